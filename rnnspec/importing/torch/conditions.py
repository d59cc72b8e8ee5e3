"""Conditions in a ``forward`` whose answer is the same for every input, and their answers."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import fx, nn
from torch.nn.utils import rnn

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class OpenError(Exception):
    """A condition on what is not the same for every input, which its message names."""


@dataclass(frozen=True, slots=True)
class _Size:
    """The size of an axis, 1 or more; None if it may be any."""

    number: int | None

    def compare(self, function: Any, other: Any) -> bool:
        """Return a comparison with a number that every size has the answer to."""
        if isinstance(other, _Size):
            other = other.number
        if self.number is not None and other is not None:
            return bool(function(self.number, other))
        if isinstance(other, int | float) and other < 1:
            return bool(function(1, other))
        if other == 1 and function in (operator.lt, operator.ge):
            return function is operator.ge
        raise OpenError("a number of sequences or of steps")


_COMPARISONS = (
    operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge,
)  # fmt: skip
_OPERATORS = (
    *_COMPARISONS, operator.not_, operator.and_, operator.or_, operator.add, operator.sub,
    operator.mul, operator.floordiv, operator.mod, operator.neg, operator.is_, operator.is_not,
    operator.contains,
)  # fmt: skip
_PROPERTIES = ("device", "dtype", "is_cuda", "is_mps", "layout", "is_sparse", "ndim", "names")
_DEVICES = ("type", "index")


class Conditions:
    """Answers to conditions of a module, of which only properties of tensors are asked.

    The number of axes, the dtype and the device of a tensor are those that it has for an example,
    on which the operations before it are run. Numbers of sequences and steps may be any.
    """

    def __init__(
        self, make: Callable[[], nn.Module], example: Mapping[str, Any], module: nn.Module
    ) -> None:
        self._make = make
        self._example = example
        self._embeds = any(isinstance(part, nn.Embedding) for part in module.modules())
        self._module: nn.Module | None = None
        self._values: dict[fx.Node, Any] = {}

    def answer(self, node: fx.Node) -> bool:
        """Return the value of a condition.

        Raises:
            OpenError: it is not the same for every input.
        """
        several = self.count(node) if node.op == "placeholder" else None
        value = self._fixed(node) if several is None else several
        return value.compare(operator.ge, 1) if isinstance(value, _Size) else bool(value)

    def kind(self, node: fx.Node) -> type:
        """Return the class of a value."""
        name = _name(node)
        match name:
            case "pack_padded_sequence":
                return rnn.PackedSequence
            case "pad_packed_sequence":
                return tuple
            case "size" | "shape":
                return torch.Size if name == "shape" or len(node.args) == 1 else int
            case _ if node.op == "placeholder" and node.target in self._example:
                return type(self._example[str(node.target)])
            case _ if self.count(node) is not None:
                return tuple
            case _:
                return torch.Tensor

    def count(self, node: fx.Node) -> int | None:
        """Return how many items a value has, None if it is a tensor."""
        name = _name(node)
        if node.op == "placeholder":
            value = self._example.get(str(node.target))
            return len(value) if isinstance(value, list | tuple) else None
        if node.op == "call_module" and self._module_of(node, nn.RNNBase):
            return 2
        source = node.args[0] if node.args else None
        if name == "getitem" and isinstance(source, fx.Node) and source.op == "call_module":
            states = self._module_of(source, nn.LSTM) and node.args[1] == 1
            return 2 if states else None
        try:
            if name in ("shape", "size") and (name == "shape" or len(node.args) == 1):
                return self._rank(source)
            if name == "getitem" and isinstance(node.args[1], slice):
                of = self.count(source) if isinstance(source, fx.Node) else None
                return None if of is None else len(range(of)[node.args[1]])
        except OpenError:
            return None
        return 2 if name == "pad_packed_sequence" else None

    def number(self, node: fx.Node) -> int:
        """Return the number that a node gives for the example.

        Raises:
            OpenError: it gives none.
        """
        value = self.value(node)
        if type(value) is not int:
            raise OpenError("what a tensor holds")
        return value

    def _module_of(self, node: fx.Node, kind: type) -> bool:
        if node.op != "call_module":
            return False
        return isinstance(self._own().get_submodule(str(node.target)), kind)

    def _own(self) -> nn.Module:
        if self._module is None:
            self._module = self._make()
        return self._module

    def _fixed(self, value: Any) -> Any:  # noqa: PLR0912 - a branch for each question
        """Return a value that is the same for every input."""
        if isinstance(value, tuple | list):
            return type(value)(map(self._fixed, value))
        if not isinstance(value, fx.Node):
            return value
        name, args = _name(value), value.args
        match name:
            case "shape" | "size" if len(args) < 2 or name == "shape":
                return self._sizes(args[0])
            case "size":
                return self._sizes(args[0])[args[1]]  # type: ignore[index]
            case "numel":
                return _Size(None)
            case "dim" | "ndimension":
                return self._rank(args[0])
            case "is_floating_point":
                return self._property(args[0], "dtype").is_floating_point
            case "get_device":
                return -1 if self._property(args[0], "device").type == "cpu" else 0
            case "getitem" if isinstance(args[0], fx.Node) and _name(args[0]) in ("shape", "size"):
                return self._fixed(args[0])[args[1]]
            case _ if name in _PROPERTIES:
                return self._property(args[0], name)
            case _ if name in _DEVICES and isinstance(args[0], fx.Node):
                return getattr(self._fixed(args[0]), name)
            case _ if value.op == "call_function" and value.target in _OPERATORS:
                one, *rest = map(self._fixed, args)
                return _apply(value.target, one, *rest)
            case _:
                raise OpenError("what a tensor holds")

    def _sizes(self, tensor: Any) -> tuple[_Size, ...]:
        """Return the sizes of the axes of a tensor."""
        shape = getattr(self.value(tensor), "shape", None)
        rank = self._rank(tensor)
        sizes = [_Size(None)] * rank
        if shape is not None and rank == 3 and tensor.op == "placeholder":
            # The features of an input; the other axes are sequences and steps.
            sizes[-1] = _Size(int(shape[-1]))
        return tuple(sizes)

    def _rank(self, tensor: Any) -> int:
        return int(self._property(tensor, "ndim"))

    def _property(self, tensor: Any, name: str) -> Any:
        value = self.value(tensor)
        if value is not None:
            return getattr(value, name)
        if isinstance(tensor, fx.Node) and tensor.op == "placeholder":
            tokens = self._embeds
            first = next(self._own().parameters(), torch.zeros(1))
            match name:
                case "ndim":
                    return 2 if tokens else 3
                case "dtype":
                    return torch.int64 if tokens else first.dtype
                case _:
                    return getattr(first, name)
        what = {"ndim": "a number of axes"}.get(name, f"the {name} of a tensor")
        raise OpenError(f"{what}, which only an example tells")

    def value(self, node: Any) -> Any:
        """Return what a node gives for the example, None if that is not known."""
        if not isinstance(node, fx.Node):
            return node
        if node not in self._values:
            with torch.no_grad():
                try:
                    self._values[node] = self._run(node)
                except Exception:  # noqa: BLE001 - of PyTorch, for an example that does not fit
                    self._values[node] = None
        return self._values[node]

    def _run(self, node: fx.Node) -> Any:
        if node.op == "placeholder":
            return self._example.get(str(node.target))
        args, kwargs = fx.map_arg((node.args, node.kwargs), self._needed)
        match node.op:
            case "call_function":
                return node.target(*args, **kwargs)  # type: ignore[operator]
            case "call_method":
                return getattr(args[0], str(node.target))(*args[1:], **kwargs)
            case "call_module":
                # Not its call, which is traced.
                return self._own().get_submodule(str(node.target)).forward(*args, **kwargs)
            case _:
                return operator.attrgetter(str(node.target))(self._own())

    def _needed(self, node: fx.Node) -> Any:
        value = self.value(node)
        if value is None:
            raise OpenError("what an example tells")
        return value


def _name(node: fx.Node) -> str:
    """Return the name of a function, of a method, or of an attribute that is read."""
    if node.op == "call_function" and node.target is getattr:
        return str(node.args[1])
    return node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")


def _apply(function: Any, one: Any, *rest: Any) -> Any:
    """Return what an operator makes of fixed values; sizes that may be any are compared only."""
    if function in _COMPARISONS and any(isinstance(value, _Size) for value in (one, *rest)):
        (other,) = rest
        if isinstance(one, _Size):
            return one.compare(function, other)
        mirrored = {operator.lt: operator.gt, operator.le: operator.ge, operator.gt: operator.lt,
                    operator.ge: operator.le}  # fmt: skip
        return other.compare(mirrored.get(function, function), one)
    values = [_number(value) for value in (one, *rest)]
    return function(*values)


def _number(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(map(_number, value))
    if not isinstance(value, _Size):
        return value
    if value.number is None:
        raise OpenError("a number of sequences or of steps")
    return value.number
