"""The layers of a graph in the order of a spec: a stack, and the heads behind it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rnnspec.importing.graph.layer_graph import RefusedError, Step, pooling
from rnnspec.ir import nodes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rnnspec.importing.graph.layer_graph import LayerGraph

ONE_USE = (
    "uses the output of an earlier layer again; rnnspec supports a chain: the output of a layer "
    "goes to the next layer alone, or is added as a residual, joined with others by torch.cat, or "
    "taken by several poolings or results"
)
_RESULT = -1
_POOLS = (nodes.Pooling, nodes.Attention, nodes.Flatten, nodes.LastSteps)
_STEPWISE = (nodes.LayerNorm, nodes.Dense, nodes.Activate, nodes.Dropout)
"""Layers that may as well come behind the last step as before it."""


@dataclass(frozen=True, slots=True)
class Arranged:
    """The layers in the order of a spec, with the layers that they take, and the named outputs."""

    steps: tuple[Step, ...]
    outputs: tuple[tuple[str, str], ...]
    length: int | None


def arrange(
    scope: LayerGraph, results: Sequence[tuple[str, int]], steps: int | None
) -> Arranged | None:
    """Return layers in the order of a spec, or None if the account has the reason why not.

    Args:
        scope: the layers.
        results: the name of each result with its place; a single one may have none.
        steps: the number of steps of the example, if there is one.
    """
    plan = _Plan(scope, [at for _, at in results])
    try:
        plan.simplify()
        placed = plan.place(plan.order())
        length = plan.length(steps)
    except _MisplacedError as error:
        op = error.step.op
        scope.account.refuse(op.where, error.message, error.code, op.place.file, op.place.span)
        return None
    names = [name for name, _ in results]
    outputs = (
        () if names == [""] else tuple(zip(names, map(plan.name_of, plan.results), strict=True))
    )
    return Arranged(placed, outputs, length)


class _MisplacedError(RefusedError):
    """A layer that has no place in a spec."""

    def __init__(self, step: Step, message: str) -> None:
        super().__init__(message)
        self.step = step


class _Plan:
    """The graph of the layers, which becomes that of a spec."""

    def __init__(self, scope: LayerGraph, results: list[int]) -> None:
        self.scope = scope
        self.results = results
        self.account = scope.account
        reached, rest = set[int](), list(results)
        while rest:
            at = rest.pop()
            if at and at not in reached:
                reached.add(at)
                rest += scope.steps[at].sources
        self.steps = {at: replace(scope.steps[at]) for at in sorted(reached)}
        for step in self.steps.values():
            # In a join, the name of the input is that of no layer.
            if step.layer.name == nodes.INPUT:
                step.layer = replace(step.layer, name=f"{nodes.INPUT} (layer)")
        self._trunk_end = 0

    def _users(self, at: int) -> list[int]:
        users = [user for user, step in self.steps.items() if at in step.sources]
        return users + [_RESULT for result in self.results if result == at]

    def _redirect(self, old: int, new: int) -> None:
        """Let everything that takes the output at ``old`` take that at ``new``."""
        for step in self.steps.values():
            step.sources = tuple(new if source == old else source for source in step.sources)
        self.results = [new if source == old else source for source in self.results]

    def _remove(self, at: int) -> None:
        self._redirect(at, self.steps[at].sources[0])
        del self.steps[at]

    def simplify(self) -> None:
        """Put activations into the layers before them, and states in place of poolings."""
        for at in sorted(self.steps):
            match self.steps[at].layer:
                case nodes.Activate(activation=activation):
                    self._put_inside(at, activation)
                case nodes.Residual():
                    self._close_block(at)
                case nodes.Pooling(statistic="last_step"):
                    self._move_forward(at)
                case _:
                    pass
        for at in sorted(self.steps):
            match self.steps[at].layer:
                case nodes.Pooling(statistic="last"):
                    self._end_recurrent(at)
                case _:
                    pass

    def _put_inside(self, at: int, activation: nodes.Activation) -> None:
        source = self.steps[at].sources[0]
        # These give the same before and after a dropout.
        scales = activation == "relu" or isinstance(activation, nodes.LeakyRelu)
        while scales and source and isinstance(self.steps[source].layer, nodes.Dropout):
            if len(self._users(source)) > 1:
                return
            source = self.steps[source].sources[0]
        before = self.steps.get(source)
        if before is None or len(self._users(source)) > 1:
            return
        layer = before.layer
        if isinstance(layer, nodes.Dense | nodes.Conv) and layer.activation == "linear":
            before.layer = replace(layer, activation=activation)
            self._remove(at)

    def _close_block(self, at: int) -> None:
        """Check that a sum is that of the output of one recurrent layer and its input."""
        step = self.steps[at]
        end, start = step.sources
        block = list[int]()
        while end not in (start, 0):
            block.insert(0, end)
            end = self.steps[end].sources[0]
        layers = [self.steps[index].layer for index in block]
        recurrent = [layer for layer in layers if isinstance(layer, nodes.Recurrent)]
        kinds = (nodes.Dropout, nodes.Recurrent, nodes.LayerNorm)
        inside = all(isinstance(layer, kinds) for layer in layers)
        if end != start or len(recurrent) != 1 or not inside:
            message = "expected the sum of the output of one recurrent layer and its input"
            raise _MisplacedError(step, message)
        behind = False
        for index, layer in zip(block, layers, strict=True):
            if isinstance(layer, nodes.Dropout) and behind:
                self.account.leave(f"dropout {layer.rate:g} before a sum")
                self._remove(index)
            behind |= isinstance(layer, nodes.Recurrent)

    def _move_forward(self, at: int) -> None:
        """Take the last step before layers that compute each step by itself."""
        pool = self.steps[at]
        joined = [user for user in self._users(at) if user != _RESULT]
        if any(isinstance(self.steps[user].layer, nodes.Join) for user in joined):
            return
        last = first = None
        source = pool.sources[0]
        while source and isinstance(self.steps[source].layer, _STEPWISE):
            if len(self._users(source)) > 1:
                break
            last = source if last is None else last
            first, source = source, self.steps[source].sources[0]
        if first is not None and last is not None:
            self._redirect(at, last)
            self.steps[first].sources = (at,)
            pool.sources = (source,)
        layer = self.steps[source].layer if source else None
        if isinstance(layer, nodes.Recurrent) and layer.merge is None:
            pool.layer = replace(pooling("last"), name=pool.layer.name)

    def _end_recurrent(self, at: int) -> None:
        """Let a recurrent layer whose sequence is not used return its final state."""
        source = self.steps[at].sources[0]
        recurrent = self.steps[source].layer
        users = self._users(at)
        joined = [user for user in users if user != _RESULT]
        sole = len(self._users(source)) == 1
        if not isinstance(recurrent, nodes.Recurrent):
            return
        if not sole and recurrent.merge not in (None, "concat"):
            message = "uses both the sequence and the sum of the final states; expected one of them"
            raise _MisplacedError(self.steps[at], message)
        if sole and not any(isinstance(self.steps[i].layer, nodes.Join) for i in joined):
            self.steps[source].layer = replace(recurrent, return_sequences=False)
            self._remove(at)

    def _lengths(self) -> dict[int, int]:
        """Return how many places are on the path to each."""
        lengths, waiting = {0: 0}, list(self.steps)
        while waiting:
            step = self.steps[waiting[-1]]
            pools = all(self._is_pool(source) for source in step.sources)
            # All of a join's pools are on the path to it, else the longest one of its inputs.
            before = self.steps[step.sources[0]].sources[:1] if pools else step.sources
            if missing := [source for source in before if source not in lengths]:
                waiting += missing
                continue
            added = 1 + len(set(step.sources)) if pools else 1
            lengths[waiting.pop()] = added + max(lengths[source] for source in before)
        return lengths

    def _path(self, at: int, lengths: dict[int, int]) -> list[int]:
        """Return the places from the first layer to one, each of which takes the one before it."""
        path = list[int]()
        while at:
            step = self.steps[at]
            path.insert(0, at)
            at = step.sources[0]
            if not isinstance(step.layer, nodes.Join):
                continue
            if all(self._is_pool(source) for source in step.sources):
                starts = {self.steps[source].sources[0] for source in step.sources}
                if len(starts) > 1:
                    raise _MisplacedError(step, ONE_USE)
                path[:0] = dict.fromkeys(step.sources)
                at = starts.pop()
            else:
                # The one that is farthest from the input.
                at = max(step.sources, key=lambda source: lengths[source])
        return path

    def _is_pool(self, at: int) -> bool:
        return at != 0 and isinstance(self.steps[at].layer, nodes.Pooling | nodes.Attention)

    def order(self) -> list[list[int]]:
        """Return the places of the stack, then those of each head."""
        lengths = self._lengths()
        paths = [self._path(result, lengths) for result in self.results]
        trunk = 0
        if len(paths) == 1:
            pools = (i for i, at in enumerate(paths[0]) if isinstance(self.steps[at].layer, _POOLS))
            trunk = next(pools, len(paths[0]))
        else:
            for ats in zip(*paths, strict=False):
                if len(set(ats)) > 1 or isinstance(self.steps[ats[0]].layer, _POOLS):
                    break
                trunk += 1
        self._trunk_end = paths[0][trunk - 1] if trunk else 0
        order, placed = [paths[0][:trunk]], set[int]()
        for index, path in enumerate(paths):
            head, copies = path[trunk:], dict[int, int]()
            for i, at in enumerate(head):
                sources = tuple(copies.get(source, source) for source in self.steps[at].sources)
                if at in placed:
                    head[i] = copies[at] = self._copy(at)
                self.steps[head[i]].sources = sources
            self.results[index] = copies.get(self.results[index], self.results[index])
            placed |= set(head)
            order.append(head)
        for at, step in self.steps.items():
            if not any(at in part for part in order):
                raise _MisplacedError(step, ONE_USE)
        return order

    def _copy(self, at: int) -> int:
        """Return a copy of a layer for another head."""
        step = self.steps[at]
        if step.modules:
            message = "is behind a pooling, and several results take it; expected one, or heads"
            raise _MisplacedError(step, f"{message} that are behind the same sequence or state")
        new = max(self.steps) + 1
        named = replace(step.layer, name=f"{step.layer.name} {new}")
        self.steps[new] = replace(step, layer=named)
        return new

    def place(self, order: list[list[int]]) -> tuple[Step, ...]:
        """Return the layers in their order, with the layers that they take."""
        placed, previous = list[Step](), 0
        reached = {0}
        for number, part in enumerate(order):
            for index, at in enumerate(part):
                step = self.steps[at]
                source = step.sources[0]
                begins = number > 0 and (index == 0 or self._is_pool(at))
                match step.layer:
                    case nodes.Join():
                        if not reached.issuperset(step.sources):
                            raise _MisplacedError(step, ONE_USE)
                        of = tuple(map(self.name_of, step.sources))
                        step.layer = replace(step.layer, of=of)
                    case _ if source == previous:
                        pass
                    case _ if begins and source == self._trunk_end:
                        step.layer = replace(step.layer, source=self.name_of(source))
                    case _:
                        raise _MisplacedError(step, ONE_USE)
                if isinstance(step.layer, nodes.Residual):
                    trunk, source = order[0], step.sources[1]
                    if source and source not in trunk[:-1]:
                        raise _MisplacedError(step, ONE_USE)
                    start = trunk[trunk.index(source) + 1 if source else 0]
                    step.layer = replace(step.layer, start=self.name_of(start))
                reached.add(at)
                placed.append(step)
                previous = at
        return tuple(placed)

    def name_of(self, at: int) -> str:
        """Return the name of a layer, or that of the input."""
        return self.steps[at].layer.name if at else nodes.INPUT

    def length(self, steps: int | None) -> int | None:
        """Return the number of steps of the input that a flattened sequence needs, or None.

        Args:
            steps: the number of steps of the example.
        """
        for at, step in self.steps.items():
            if not isinstance(step.layer, nodes.Flatten) or at not in self.scope.steps:
                continue
            total = self.scope.flattened.get(at, 0)
            width = self.scope.width(self.scope.steps[at].sources[0])
            if steps is not None and not total:
                return steps
            if not total or not width:
                message = "needs a fixed number of steps: give inputs as example="
                raise _MisplacedError(step, message)
            if total % width:
                message = f"expected a multiple of {width} features, received {total}"
                raise _MisplacedError(step, message)
            layers = [self.steps[before].layer for before in self._path(at, self._lengths())[:-1]]
            if any(isinstance(layer, nodes.Repeat) for layer in layers):
                return None
            windows = [e.window for e in layers if isinstance(e, nodes.Conv | nodes.WindowPooling)]
            left: int | None = steps
            for window in windows:
                left = window.count(left)
            if steps is not None and left == total // width:
                return steps
            least = total // width
            for window in reversed(windows):
                least = window.least(least)
            if any(window.stride > 1 for window in windows):
                self.account.infer(f"input.length {least}, the smallest that gives as many steps")
            return least
        return None
