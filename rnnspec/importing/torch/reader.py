"""The value of each operation of a live module, in the order in which it computes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rnnspec.errors import brief
from rnnspec.importing.arrange import arrange
from rnnspec.importing.graph.layer_graph import RefusedError
from rnnspec.importing.graph.probes import Setting
from rnnspec.importing.graph.reader import read_in_order
from rnnspec.importing.graph.values import (
    NAMES_OF_AXES,
    Argument,
    Known,
    RestartError,
    Tensor,
    Unknown,
)
from rnnspec.importing.torch import calls, graph, layers
from rnnspec.importing.torch.operators import Operators
from rnnspec.importing.torch.scope import ModuleScope
from rnnspec.importing.torch.values import (
    Beside,
    Layout,
    ModuleArray,
    Ref,
    Result,
    Several,
    State,
    Zeros,
    describe,
    is_size,
)
from rnnspec.ir import nodes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rnnspec.importing.arrange import Arranged
    from rnnspec.importing.graph.probes import Probes
    from rnnspec.importing.imported import Account
    from rnnspec.importing.torch.values import Op, Value


def read_operations(account: Account, module: Any, operations: Sequence[Op]) -> Reader:
    """Read all operations of a module; what cannot be taken over is refused in the account."""
    tokens = any(type(op.module).__name__ == "Embedding" for op in operations)
    orders = ("BT", "TB") if tokens else ("BTF", "TBF", "BFT", "TFB", "FBT", "FTB")
    tensors = graph.parameters(module)

    def read(tried: Account, probes: Probes) -> Reader:
        reader = Reader(ModuleScope(tried, probes, tensors), operations)
        reader.read()
        return reader

    settings = (
        Setting(order=order, sizes=(None,) * len(order), tokens=tokens, at_end=True)
        for order in orders
    )
    return read_in_order(account, "the input", settings, read)


class Reader:
    """The value of each operation so far."""

    def __init__(self, scope: ModuleScope, operations: Sequence[Op]) -> None:
        self.scope = scope
        self._operators = Operators(scope)
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
            except RestartError:
                raise
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

    def _refuse(self, op: Op, message: str, code: str) -> None:
        self.scope.account.refuse(op.where, message, code, op.place.file, op.place.span)

    def _value(self, op: Op) -> Value:
        args = self._resolve(op.args)
        kwargs = {key: self._resolve(value) for key, value in op.kwargs.items()}
        unknown = _holds_unknown((args, tuple(kwargs.values())))
        given = None if unknown else (args, kwargs)
        if op.overwrites and not is_size(args[0]):
            raise RefusedError(
                "changes a tensor in place that is used again under an older name; expected a new "
                "one, such as y = y + x in place of y += x"
            )
        match op.kind:
            case "input":
                self._inputs.append(op.target)
                return self._first_input() if len(self._inputs) == 1 else Argument(op.target)
            case "module":
                return layers.call_module(self._operators, op, given)
            case "array":
                return self._read_array(op)
            case "output":
                if not unknown:
                    self._note_results(args[0])
                return Beside()
            case _:
                return calls.call_function(self._operators, op.target, given)

    def _first_input(self) -> Value:
        probes = self.scope.probes
        if self.scope.tokens:
            return Known(probes.inputs, kind="input")
        return Tensor(0, tuple(probes.setting.order))

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
            return Beside()
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
            case Known(kind="input") | Tensor(at=0, formula=None):
                raise RefusedError("expected the output of a layer, received the input")
            case Tensor(role="plain"):
                solid = scope.layer_output(value)
            case _ if alone:
                raise RefusedError(f"expected a tensor as the result, received {describe(value)}")
            case _:
                raise RefusedError(
                    "expected one result, or sequences and vectors alone, received "
                    f"{describe(value)}; return the first result alone"
                )
        if not any(isinstance(step.layer, nodes.Recurrent) for step in scope.steps.values()):
            raise RefusedError("expected a recurrent layer, received none")
        missing = set("BTF" if scope.is_sequence(solid.at) else "BF") - {*solid.axes}
        if "" in solid.axes or missing - {"F"} or (missing and scope.features(solid) != 1):
            raise RefusedError(f"expected a sequence or a vector, received {describe(solid)}")
        if missing:
            reason = "the spec keeps the last axis, of size 1"
            scope.account.leave("squeeze of the result", reason=reason)
        self._say_layout(solid)
        self.results.append((name, solid))

    def arrange(self, shape: Sequence[int]) -> Arranged | None:
        """Return the layers in the order of a spec, or None if the account has a problem.

        Args:
            shape: the shape of the example, empty if there is none.
        """
        order, steps = self._order, None
        if len(shape) == len(order):
            steps = shape[order.index(1)]
        return arrange(self.scope, [(name, value.at) for name, value in self.results], steps)

    @property
    def _order(self) -> tuple[int, ...]:
        """The axes of a batch of the network that make the input of the module."""
        return tuple(map("BTF".index, self.scope.probes.setting.order))

    @property
    def layout(self) -> Layout:
        """The layout of the input and the results, once they have been read."""
        scope = self.scope
        return Layout(
            order=self._order,
            results=tuple(
                Result(name, _order_axes(value.axes), self._is_padded(value))
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
        scope = self.scope
        return scope.is_padded(value.at) or (scope.masks and scope.is_sequence(value.at))

    def _say_layout(self, value: Tensor) -> None:
        scope, names = self.scope, NAMES_OF_AXES
        order = scope.probes.setting.order
        usual = [names[axis] for axis in "BTF"[: len(order)]]
        scope.infer_axes("the module takes", [names[axis] for axis in order], usual)
        if scope.is_sequence(value.at):
            own = sorted(value.axes, key="BTF".index)
            axes, usual = ([names[axis] for axis in each] for each in (value.axes, own))
            scope.infer_axes("the module returns", axes, usual)


def _order_axes(axes: tuple[str, ...]) -> tuple[int, ...]:
    """Return the order of axes in which the batch is first, then the steps."""
    return tuple(sorted(range(len(axes)), key=lambda axis: "BTF".index(axes[axis])))


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
