"""The value of each operation of a live module, in the order in which it computes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rnnspec.errors import brief
from rnnspec.importing.arrange import arrange
from rnnspec.importing.graph.layer_graph import RefusedError
from rnnspec.importing.torch import calls, graph, layers
from rnnspec.importing.torch.functions import settle
from rnnspec.importing.torch.scope import Scope
from rnnspec.importing.torch.values import (
    Layout,
    Lengths,
    ModuleArray,
    Ref,
    Result,
    Several,
    Size,
    State,
    Tensor,
    Unknown,
    Zeros,
    describe,
)
from rnnspec.ir import nodes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rnnspec.importing.arrange import Arranged
    from rnnspec.importing.imported import Account
    from rnnspec.importing.torch.values import Op, Value


class Reader:
    """The value of each operation so far."""

    def __init__(self, account: Account, module: Any, operations: Sequence[Op]) -> None:
        tokens = any(type(op.module).__name__ == "Embedding" for op in operations)
        self.scope = Scope(account, graph.parameters(module), tokens=tokens)
        self.results: list[tuple[str, Tensor]] = []
        self._operations = operations
        self._values: dict[str, Value] = {}
        self._users: dict[str, list[Op]] = {}
        self._refused: list[RefusedError] = []
        self._inputs = list[str]()
        self._in_autocast = False

    def read(self) -> None:
        """Read all operations; what cannot be taken over is refused in the account."""
        for op in self._operations:
            for name in _names((op.args, tuple(op.kwargs.values()))):
                self._users.setdefault(name, []).append(op)
        for op in self._operations:
            self.scope.op = op
            if op.kind == "input" and op.name not in self._users:
                self.scope.account.leave(
                    f"the argument '{op.target}'", reason="not used by forward"
                )
            try:
                self._values[op.name] = self._value(op)
            except RefusedError as refused:
                self._note_refusal(op, refused)
                self._values[op.name] = Unknown()
            except Exception as error:  # noqa: BLE001 - PyTorch takes more than is foreseen here
                message = f"expected arguments that rnnspec supports, received an error: {error!r}"
                self._refuse(op, brief(message), "E704")
                self._values[op.name] = Unknown()
            self._check_modes(op)

    def _note_refusal(self, op: Op, refused: RefusedError) -> None:
        """Refuse an operation once, or the earlier one that is the origin of the reason."""
        if refused not in self._refused:
            self._refused.append(refused)
            origin = refused.origin or op
            place = origin.place
            self.scope.account.refuse(
                origin.where, refused.message, refused.code, place.file, place.span
            )

    def _settle(self, op: Op, value: Any) -> Any:
        """Return values with functions of features as the output of layers."""
        match value:
            case tuple():
                return tuple(self._settle(op, each) for each in value)
            case dict():
                return {key: self._settle(op, each) for key, each in value.items()}
            case Several(items=items):
                return Several(self._settle(op, items))
            case Tensor():
                try:
                    return settle(self.scope, value)
                except RefusedError as refused:
                    self._note_refusal(op, refused)
                    return Unknown()
            case _:
                return value

    def _refuse(self, op: Op, message: str, code: str) -> None:
        self.scope.account.refuse(op.where, message, code, op.place.file, op.place.span)

    def _value(self, op: Op) -> Value:
        args = self._resolve(op.args)
        kwargs = {key: self._resolve(value) for key, value in op.kwargs.items()}
        of_features = op.layer in layers.OF_FEATURES or op.target in calls.OF_FEATURES
        if not of_features:
            args, kwargs = self._settle(op, args), self._settle(op, kwargs)
        unknown = _holds_unknown((args, tuple(kwargs.values())))
        given = None if unknown else (args, kwargs)
        if op.overwrites and not isinstance(args[0], Size):
            raise RefusedError(
                "changes a tensor in place that is used again under an older name; expected a new "
                "one, such as y = y + x in place of y += x"
            )
        match op.kind:
            case "input":
                self._inputs.append(op.target)
                first = len(self._inputs) == 1
                axes = "01" if self.scope.tokens else "012"
                return Tensor(0, "steps", axes) if first else Lengths("*", op.target)
            case "module":
                return layers.call_module(self.scope, op, given)
            case "array":
                return self._read_array(op)
            case "output":
                if not unknown:
                    self._note_results(args[0])
                return Size()
            case _:
                return calls.call_function(self.scope, op.target, given)

    def _resolve(self, value: Any) -> Any:
        match value:
            case tuple():
                return tuple(map(self._resolve, value))
            case dict():
                return {key: self._resolve(each) for key, each in value.items()}
            case slice():
                ends = (value.start, value.stop, value.step)
                return slice(*map(self._resolve, ends))
            case Ref():
                return self._values[value.name]
            case _:
                return value

    def _check_modes(self, op: Op) -> None:
        """Refuse operations in autocast, once, and name those without gradients."""
        if "autocast" in op.modes and not self._in_autocast:
            self._in_autocast = True
            message = "runs in autocast, which rounds; expected it around the call of the module"
            self._refuse(op, message, "E703")
        if "no_grad" in op.modes and op.kind == "module":
            self.scope.account.leave("torch.no_grad", op.target)

    def _read_array(self, op: Op) -> Value:
        """Return the value of an array outside of a layer: zeros, or what zeros are made like."""
        if op.module is not None and not op.module.any():
            return Zeros(op.module.shape[1] if op.module.ndim == 3 else 0)
        if all(user.target in ("new_zeros", "zeros_like") for user in self._users[op.name]):
            return Size()
        return ModuleArray(op.target)

    def _note_results(self, value: Any) -> None:
        """Note the results of the module, several of which have names."""
        match value:
            case dict() if value and all(isinstance(key, str) for key in value):
                named = dict(value)
            case tuple() if value:
                named = {f"output_{place}": each for place, each in enumerate(value)}
            case _:
                named = {"": value}
        for name, each in named.items():
            self._note_result(name, each, alone=len(named) == 1)

    def _note_result(self, name: str, value: Any, *, alone: bool) -> None:
        scope = self.scope
        if isinstance(value, State) and (alone or value.index == -1):
            value = scope.whole(value)
        match value:
            case Tensor(form="one step" | "rows"):
                raise RefusedError(f"expected a sequence or a vector, received {describe(value)}")
            case Tensor(at=0):
                raise RefusedError("expected the output of a layer, received the input")
            case Tensor():
                scope.tensor(value)
            case _ if alone:
                raise RefusedError(f"expected a tensor as the result, received {describe(value)}")
            case _:
                raise RefusedError(
                    "expected one result, or sequences and vectors alone, received "
                    f"{describe(value)}; return the first result alone"
                )
        if not any(isinstance(step.layer, nodes.Recurrent) for step in scope.steps.values()):
            raise RefusedError("expected a recurrent layer, received none")
        if value.form == "squeezed":
            reason = "the spec keeps the last axis, of size 1"
            scope.account.leave("squeeze of the result", reason=reason)
        self._say_layout(value)
        self.results.append((name, value))

    def arrange(self, shape: Sequence[int]) -> Arranged | None:
        """Return the layers in the order of a spec, or None if the account has a problem.

        Args:
            shape: the shape of the example, empty if there is none.
        """
        order, steps = self.scope.order, None
        if len(shape) == len(order):
            steps = shape[order.index(1)]
        return arrange(self.scope, [(name, value.at) for name, value in self.results], steps)

    @property
    def layout(self) -> Layout:
        """The layout of the input and the results, once they have been read."""
        scope = self.scope
        return Layout(
            order=scope.order,
            results=tuple(
                Result(name, _order_axes(scope.roles(value)), self._is_padded(value))
                for name, value in self.results
            ),
            inputs=len(self._inputs),
            lengths=self._inputs.index(scope.lengths) if scope.lengths else 0,
            counted=scope.counted or (scope.masks and not scope.lengths),
            decreasing=scope.decreasing,
            batch=scope.batch,
            casts=scope.casts,
        )

    def _is_padded(self, value: Tensor) -> bool:
        """Return whether a result has steps of padding."""
        return value.padded or (self.scope.masks and "steps" in self.scope.roles(value))

    def _say_layout(self, value: Tensor) -> None:
        names, scope = ("batch", "steps", "features"), self.scope
        order = [names[axis] for axis in scope.order]
        scope.infer_axes("the module takes", order, names[: len(order)])
        roles = scope.roles(value)
        if value.form != "vector":
            scope.infer_axes("the module returns", roles, sorted(roles, key=names.index))


def _order_axes(roles: tuple[str, ...]) -> tuple[int, ...]:
    """Return the order of axes in which the batch is first, then the steps."""
    names = ("batch", "steps", "features")
    return tuple(sorted(range(len(roles)), key=lambda axis: names.index(roles[axis])))


def _names(value: Any) -> Iterator[str]:
    """Yield the names of all results in the arguments of an operation."""
    match value:
        case Ref(name=name):
            yield name
        case tuple():
            for each in value:
                yield from _names(each)
        case dict():
            yield from _names(tuple(value.values()))
        case slice():
            yield from _names((value.start, value.stop, value.step))
        case _:
            pass


def _holds_unknown(value: Any) -> bool:
    match value:
        case Several():
            value = value.items
        case dict():
            value = tuple(value.values())
        case slice():
            value = (value.start, value.stop, value.step)
        case _:
            pass
    return isinstance(value, Unknown) or (
        isinstance(value, tuple) and any(map(_holds_unknown, value))
    )
