"""The layers of a graph in an order in which each is behind those that it takes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rnnspec.importing.graph.layer_graph import GraphLayer, RefusedError, pooling
from rnnspec.importing.taken import DraftLayer, Taken
from rnnspec.ir import nodes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rnnspec.importing.graph.layer_graph import LayerGraph


_RESULT = -1
_IN_BLOCK = (nodes.Dropout, nodes.Recurrent, nodes.LayerNorm)
"""The layers that keys of a recurrent layer can say."""


@dataclass(frozen=True, slots=True)
class Arranged:
    """The layers in the order of a spec, with the layers that they take, and the named outputs."""

    steps: tuple[GraphLayer, ...]
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
    plan = _GraphPlan(scope, [at for _, at in results])
    try:
        plan.simplify()
        placed = plan.place()
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

    def __init__(self, step: GraphLayer, message: str) -> None:
        super().__init__(message)
        self.step = step


class _GraphPlan:
    """The graph of the layers, which becomes that of a spec."""

    def __init__(self, scope: LayerGraph, results: list[int]) -> None:
        self.scope = scope
        self.results = results
        self.account = scope.account
        reached, rest = set[int](), list(results)
        while rest:
            at = rest.pop()
            if at > 0 and at not in reached:
                reached.add(at)
                rest += scope.steps[at].sources
        self.steps = {at: replace(scope.steps[at]) for at in sorted(reached)}
        for step in self.steps.values():
            # What an input is called is the name of no layer.
            if step.layer.name in scope.inputs:
                step.layer = replace(step.layer, name=f"{step.layer.name} (layer)")

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
        while scales and source > 0 and isinstance(self.steps[source].layer, nodes.Dropout):
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
        """Let a sum be that of a recurrent layer and its input if it is, and else a join."""
        step = self.steps[at]
        end, start = step.sources
        block = list[int]()
        while end != start and end > 0 and isinstance(self.steps[end].layer, _IN_BLOCK):
            # What else takes it takes it without the sum.
            if len(self._users(end)) > 1:
                break
            block.insert(0, end)
            end = self.steps[end].sources[0]
        layers = [self.steps[index].layer for index in block]
        recurrent = [layer for layer in layers if isinstance(layer, nodes.Recurrent)]
        if end != start or len(recurrent) != 1:
            of = tuple(map(self.name_of, step.sources))
            join = nodes.Join(name=step.layer.name, input=(), how="add", of=of, inputs=())
            step.layer = join
            return
        behind = False
        for index, layer in zip(block, layers, strict=True):
            if isinstance(layer, nodes.Dropout) and behind:
                self.account.leave(f"dropout {layer.rate:g} before a sum")
                self._remove(index)
            behind |= isinstance(layer, nodes.Recurrent)
        first = next(index for index in block if index in self.steps)
        step.layer = nodes.Residual(name=step.layer.name, input=(), start=self.name_of(first))

    def _move_forward(self, at: int) -> None:
        """Take the last step before layers that compute each step by itself."""
        pool = self.steps[at]
        joined = [user for user in self._users(at) if user != _RESULT]
        if any(isinstance(self.steps[user].layer, nodes.Joined) for user in joined):
            return
        last = first = None
        source = pool.sources[0]
        while source > 0 and (inner := self.steps[source].layer).is_pointwise:
            # In training, a batch norm has statistics of all steps.
            if inner.acts_on == "feature" or len(self._users(source)) > 1:
                break
            last = source if last is None else last
            first, source = source, self.steps[source].sources[0]
        if first is not None and last is not None:
            self._redirect(at, last)
            self.steps[first].sources = (at,)
            pool.sources = (source,)
        layer = self.steps[source].layer if source > 0 else None
        # A backward layer begins there.
        if isinstance(layer, nodes.Recurrent) and layer.merge is None and not layer.backward:
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
        others = [self.steps[user].layer for user in self._users(source) if user != _RESULT]
        into_join = any(isinstance(self.steps[i].layer, nodes.Joined) for i in joined)
        is_output = recurrent.merge in (None, "concat")
        # All calls of a layer return alike.
        is_shared = any(step.layer.shares == recurrent.owner for step in self.steps.values())
        if (
            is_output
            and not isinstance(recurrent.cell, nodes.EquationCell)
            and (
                (sole and into_join)
                or is_shared
                or any(isinstance(layer, Taken) for layer in others)
            )
        ):
            part, size = recurrent.states[0]
            name = self.steps[at].layer.name
            self.steps[at].layer = Taken(name=name, input=(), state=part, size=size)
        elif sole and not into_join:
            self.steps[source].layer = replace(recurrent, return_sequences=False)
            self._remove(at)
        elif recurrent.merge in (None, "concat") and not all(map(self._is_list, joined)):
            cell, name = recurrent.cell, self.steps[at].layer.name
            part = cell.equations.states[0] if isinstance(cell, nodes.EquationCell) else "h"
            self.steps[at].layer = Taken(name=name, input=(), state=part)

    def _is_list(self, at: int) -> bool:
        """True if a layer is a join of poolings of one sequence, which a list of poolings says."""
        parts = [self.steps.get(source) for source in self.steps[at].sources]
        pools = nodes.Pooling | nodes.AttentionPooling
        return (
            isinstance(self.steps[at].layer, nodes.Join)
            and len({part and part.sources[0] for part in parts}) == 1
            and all(part is not None and isinstance(part.layer, pools) for part in parts)
        )

    def _order(self) -> list[int]:
        """Return the places so that each is behind those that it takes, branch by branch."""
        order, waiting = dict[int, None](), list(reversed(self.results))
        while waiting:
            at = waiting[-1]
            before = [] if at <= 0 else [one for one in self.steps[at].sources if one > 0]
            missing = [one for one in before if one not in order]
            waiting += reversed(missing)
            if not missing:
                waiting.pop()
                if at > 0:
                    order[at] = None
        return list(order)

    def place(self) -> tuple[GraphLayer, ...]:
        """Return the layers in order, with the names of what they take."""
        for step in self.steps.values():
            main, *others = map(self.name_of, step.sources)
            match step.layer:
                case nodes.Joined():
                    step.layer = replace(step.layer, of=(main, *others))
                case nodes.Recurrent(initial=initial) if others:
                    vectors = iter(others)
                    named = tuple(name and next(vectors) for name in initial)
                    step.layer = replace(step.layer, source=main, initial=named)
                    if (asking := step.layer.attention) is not None:
                        over = next(vectors)
                        asking = replace(asking, over=over, keys=next(vectors, over))
                        step.layer = replace(step.layer, attention=asking)
                case nodes.Attention():
                    over, keys = others[0], others[-1]
                    step.layer = replace(step.layer, source=main, over=over, keys=keys)
                case nodes.AttentionPooling() if others:
                    step.layer = replace(step.layer, source=main, query=others[0])
                case nodes.Repeat() if others:
                    step.layer = replace(step.layer, source=main, like=others[0])
                case _:
                    step.layer = replace(step.layer, source=main)
        return tuple(self.steps[at] for at in self._order())

    def name_of(self, at: int) -> str:
        """Return the name of a layer, or that of an input."""
        return self.steps[at].layer.name if at > 0 else self.scope.inputs[-at]

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
            layers, before = list[DraftLayer](), step.sources[0]
            while before > 0:
                layers.insert(0, self.steps[before].layer)
                before = self.steps[before].sources[0]
            if any(isinstance(layer, nodes.Repeat | nodes.Transpose) for layer in layers):
                return None
            windows = [e.window for e in layers if isinstance(e, nodes.Windowed)]
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
