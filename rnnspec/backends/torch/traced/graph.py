"""The operations of a module's ``forward``, recorded by ``torch.fx``."""

from __future__ import annotations

import inspect
import linecache
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import fx, nn
from torch.nn.utils import rnn

from rnnspec.backends.torch.traced.values import Op, Place, Ref
from rnnspec.errors import Span, brief

if TYPE_CHECKING:
    from types import CodeType, FrameType, TracebackType

_PACKAGE = str(Path(torch.__file__).parent)
_PACKING = (rnn.pack_padded_sequence, rnn.pad_packed_sequence)
_BRANCHES = ("control flow", "as an integer", "iterated", "'len'")
"""Parts of what torch.fx and Python say of a condition or a loop on a symbol."""
_SYMBOLS = "operations that take symbols in place of tensors"
_CONTAINERS = (nn.Module, nn.Sequential, nn.ModuleList, nn.ModuleDict)
_OF_TORCH = ("_operator", "builtins", "torch")


class TraceError(Exception):
    """A ``forward`` that cannot be traced: the reason, and its place."""

    def __init__(self, reason: str, place: Place) -> None:
        super().__init__(reason)
        self.reason = reason
        self.place = place


def operations(module: nn.Module, given: int | None) -> list[Op]:
    """Return the operations of ``module.forward`` in evaluation mode, without unused ones.

    Args:
        module: the module; it is not changed.
        given: how many arguments are inputs; by default those without a default.

    Raises:
        TraceError: the operations depend on data.
    """
    tracer = _Tracer(autowrap_functions=_PACKING)
    try:
        with _evaluating(module), _packing_recorded(tracer):
            graph = tracer.trace(module, _defaults(module, given))
    except Exception as error:
        branches = any(part in str(error) for part in _BRANCHES)
        expected = "no condition or loop on tensors or their sizes" if branches else _SYMBOLS
        message = f"cannot be traced: expected {expected}, received: {brief(error)}"
        raise TraceError(message, _place_of(error.__traceback__)) from error
    used = _used(graph, module)
    return [_op(node, module) for node in graph.nodes if node in used and not _is_check(node)]


def parameters(module: nn.Module) -> dict[str, Any]:
    """Return the parameters and buffers by their full names, shared ones under each name."""
    found = dict(module.named_parameters(remove_duplicate=False))
    return found | dict(module.named_buffers(remove_duplicate=False))


def array(values: Any) -> Any:
    """Return a copy of a tensor or of numbers as an array, of bfloat16 in float32."""
    tensor = torch.as_tensor(values).detach().cpu()
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy().copy()


def outcome(module: nn.Module, inputs: tuple[Any, ...]) -> Any:
    """Return the result of a copy of the module in float64 and evaluation mode."""
    copied = deepcopy(module).double().eval()
    with torch.no_grad():
        return array(copied(*map(_exact, inputs)))


def _exact(value: Any) -> Any:
    floating = isinstance(value, torch.Tensor) and value.is_floating_point()
    return value.double() if floating else value


class _Tracer(fx.Tracer):
    """A tracer that notes the line of each operation."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Return whether a module is one operation: a layer of PyTorch, or a subclass of one."""
        bases = (base for base in type(m).__mro__ if base not in _CONTAINERS)
        stock = any(base.__module__.startswith("torch.nn.modules") for base in bases)
        return stock or bool(super().is_leaf_module(m, module_qualified_name))

    def to_bool(self, obj: fx.Proxy) -> bool:
        """Return the value of a condition, which must not depend on the numbers of the input."""
        # Features are floats; a module may convert integers before its layers.
        return obj.node.target == "is_floating_point" or bool(super().to_bool(obj))

    def create_node(self, *args: Any, **kwargs: Any) -> fx.Node:
        """Return a node with its place in the source."""
        node: fx.Node = super().create_node(*args, **kwargs)
        node.meta["place"] = _place(inspect.currentframe())
        return node


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    modes = [(each, each.training) for each in module.modules()]
    for each, _ in modes:
        each.training = False
    try:
        yield
    finally:
        for each, mode in modes:
            each.training = mode


@contextmanager
def _packing_recorded(tracer: fx.Tracer) -> Iterator[None]:
    """Have the functions of packing recorded, which compute with the lengths.

    The tracer does this for names in the globals of each ``forward``, not for ``rnn.NAME``.
    """

    def recorded(function: Any) -> Any:
        return lambda *args, **kwargs: tracer.create_proxy("call_function", function, args, kwargs)

    for function in _PACKING:
        setattr(rnn, function.__name__, recorded(function))
    try:
        yield
    finally:
        for function in _PACKING:
            setattr(rnn, function.__name__, function)


def _defaults(module: nn.Module, given: int | None) -> dict[str, Any]:
    """Return the arguments of ``forward`` that are no inputs, with their defaults."""
    found = list(inspect.signature(module.forward).parameters.values())
    optional = {each.name: each.default for each in found if each.default is not each.empty}
    inputs = {each.name for each in found[:given]} if given is not None else set()
    return {name: default for name, default in optional.items() if name not in inputs}


def _used(graph: fx.Graph, root: nn.Module) -> set[fx.Node]:
    """Return the nodes that lead to the result, and those that change a tensor in place."""
    used = set[fx.Node]()
    for node in reversed(graph.nodes):
        if node in used or node.op in ("output", "placeholder") or _is_in_place(node, root):
            used |= {node, *node.all_input_nodes}
    return used


def _is_in_place(node: fx.Node, root: nn.Module) -> bool:
    name = node.target if isinstance(node.target, str) else node.target.__name__
    if node.op == "call_module":
        return bool(getattr(root.get_submodule(name), "inplace", False))
    changes = name.endswith("_") and not name.endswith("__") and name != "requires_grad_"
    return node.op.startswith("call") and (changes or bool(node.kwargs.get("inplace")))


def _is_check(node: fx.Node) -> bool:
    """Return whether a node checks an argument that has its default, or leads to such a check."""
    name = getattr(node.target, "__name__", "")
    if node.op == "call_function" and name.startswith("_assert"):
        return True
    leads = node.op == "placeholder" or (node.op == "call_function" and name == "eq")
    return leads and bool(node.users) and all(map(_is_check, node.users))


def _op(node: fx.Node, root: nn.Module) -> Op:
    kinds = {"placeholder": "input", "call_module": "module", "get_attr": "array"}
    target = node.target if isinstance(node.target, str) else _function(node.target)
    return Op(
        name=node.name,
        kind=kinds.get(node.op, "output" if node.op == "output" else "call"),
        target=target,
        module=root.get_submodule(target) if node.op == "call_module" else None,
        args=_plain(node.args),
        kwargs=_plain(node.kwargs),
        place=node.meta.get("place", Place()),
    )


def _function(function: Any) -> str:
    """Return the name of a function of PyTorch or Python, or the full name of another one."""
    module, name = getattr(function, "__module__", None) or "torch", function.__name__
    return name if module.partition(".")[0] in _OF_TORCH else f"{module}.{name}"


def _plain(value: Any) -> Any:
    match value:
        case fx.Node():
            return Ref(value.name)
        case tuple() | list():
            return tuple(_plain(each) for each in value)
        case dict():
            return {key: _plain(each) for key, each in value.items()}
        case slice():
            return slice(_plain(value.start), _plain(value.stop), _plain(value.step))
        case _:
            return value


def _place(frame: FrameType | None) -> Place:
    """Return the innermost place outside of PyTorch, below the call that traces."""
    while frame is not None and frame.f_code is not operations.__code__:
        if not frame.f_code.co_filename.startswith((_PACKAGE, __file__)):
            return _line(frame.f_code, frame.f_lasti, frame.f_lineno)
        frame = frame.f_back
    return Place()


def _place_of(traceback: TracebackType | None) -> Place:
    """Return the innermost place outside of PyTorch at which an error was raised."""
    found = Place()
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if not code.co_filename.startswith((_PACKAGE, __file__)):
            found = _line(code, traceback.tb_lasti, traceback.tb_lineno)
        traceback = traceback.tb_next
    return found


def _line(code: CodeType, instruction: int, number: int) -> Place:
    text = linecache.getline(code.co_filename, number).rstrip("\n")
    positions: Sequence[Any] = list(code.co_positions())[instruction // 2]
    _, last, start, end = positions
    if start is None or end is None or last != number:
        start, end = len(text) - len(text.lstrip()), len(text)
    return Place(code.co_filename, Span(number, start + 1, end + 1, text))
