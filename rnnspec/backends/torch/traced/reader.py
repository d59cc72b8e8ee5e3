"""The operations of a traced ``forward``, one after the other, as layers of a network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rnnspec.backends.torch.traced import calls, layers
from rnnspec.backends.torch.traced.scope import Scope
from rnnspec.backends.torch.traced.values import (
    Layout,
    Lengths,
    Ref,
    RefusedError,
    Several,
    Size,
    State,
    Tensor,
    Unknown,
    Zeros,
    said,
)
from rnnspec.ir import nodes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rnnspec.backends.imported import Account
    from rnnspec.backends.torch.traced.values import Op, Value


class Reader:
    """The value of each operation so far."""

    def __init__(self, account: Account) -> None:
        self.scope = Scope(account)
        self.result: Tensor | None = None
        self._values: dict[str, Value] = {}
        self._users: dict[str, list[Op]] = {}
        self._inputs = list[str]()
        self._in_autocast = False

    def read(self, operations: Sequence[Op]) -> None:
        """Read all operations; what cannot be taken over is refused in the account."""
        for op in operations:
            for name in _names((op.args, tuple(op.kwargs.values()))):
                self._users.setdefault(name, []).append(op)
        for op in operations:
            if op.kind == "input" and op.name not in self._users:
                self.scope.account.leave(
                    f"the argument '{op.target}'", reason="not used by forward"
                )
            try:
                self._values[op.name] = self._value(op)
            except RefusedError as refused:
                self._refuse(op, refused.message, refused.code)
                self._values[op.name] = Unknown()
            self._check_modes(op)

    def _refuse(self, op: Op, message: str, code: str) -> None:
        where = op.target if op.kind in ("module", "array", "call") else op.name
        self.scope.account.refuse(where, message, code, op.place.file, op.place.span)

    def _value(self, op: Op) -> Value:
        args = self._resolved(op.args)
        kwargs = {key: self._resolved(value) for key, value in op.kwargs.items()}
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
                return Tensor(self.scope.chain.version, "steps") if first else Lengths(op.target)
            case "module":
                return layers.called(self.scope, op, given)
            case "array":
                return self._array(op)
            case "output":
                if not unknown or isinstance(args[0], tuple):
                    self._output(args[0])
                return Size()
            case _:
                return calls.called(self.scope, op.target, given)

    def _resolved(self, value: Any) -> Any:
        match value:
            case tuple():
                return tuple(map(self._resolved, value))
            case slice():
                return value
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

    def _array(self, op: Op) -> Value:
        """Return the value of an array outside of a layer: zeros, or what zeros are made like."""
        if op.module is not None and not op.module.any():
            return Zeros(op.module.shape[1] if op.module.ndim == 3 else 0)
        if all(user.target in ("new_zeros", "zeros_like") for user in self._users[op.name]):
            return Size()
        shape = "an array of the module outside of a layer"
        raise RefusedError(f"expected layers of PyTorch alone, received {shape}", "E701")

    def _output(self, value: Any) -> None:
        match value:
            case Tensor(form="one step"):
                raise RefusedError(
                    "expected a sequence or a vector, received a sequence of one step"
                )
            case Tensor():
                self.scope.tensor(value)
                if not any(isinstance(each, nodes.Recurrent) for each in self.scope.chain.layers):
                    raise RefusedError("expected a recurrent layer, received none")
                self.scope.leave_drops(value, "behind the last layer")
                self._say_layout(value)
                self.result = value
            case Several() | tuple():
                raise RefusedError("expected one result, received several; return the first alone")
            case State():
                self._output(self.scope.whole(value))
            case _:
                raise RefusedError(f"expected a tensor as the result, received {said(value)}")

    @property
    def layout(self) -> Layout:
        """The layout of the input and the result, once they have been read."""
        assert self.result is not None, "without a result the account has a problem"
        is_sequence = self.result.form == "steps"
        return Layout(
            time_first=bool(self.scope.time_first),
            gives_time_first=is_sequence and self.scope.is_time_first(self.result),
            padded=len(self.scope.chain.shape) == 2 and self.scope.chain.has_padding,
            inputs=len(self._inputs),
            lengths=self._inputs.index(self.scope.lengths) if self.scope.lengths else 0,
            decreasing=self.scope.decreasing,
            batch=self.scope.batch,
            casts=self.scope.casts,
        )

    def _say_layout(self, value: Tensor) -> None:
        if self.scope.time_first:
            self.scope.account.infer("the module takes (steps, batch), the spec (batch, steps)")
        if value.form == "steps" and self.scope.is_time_first(value):
            self.scope.account.infer(
                "the module returns (steps, batch, features), the spec batch first"
            )


def _names(value: Any) -> Iterator[str]:
    """Yield the names of all results in the arguments of an operation."""
    if isinstance(value, Ref):
        yield value.name
    for each in value if isinstance(value, tuple) else ():
        yield from _names(each)


def _holds_unknown(value: Any) -> bool:
    if isinstance(value, Several):
        value = value.items
    return isinstance(value, Unknown) or (
        isinstance(value, tuple) and any(map(_holds_unknown, value))
    )
