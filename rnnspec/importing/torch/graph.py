"""The operations of a module's ``forward``, recorded by ``torch.fx``."""

from __future__ import annotations

import builtins
import inspect
import linecache
import operator
import re
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from torch import fx, nn
from torch.nn import functional
from torch.nn.utils import rnn

from rnnspec.errors import Span, UsageError, brief
from rnnspec.importing.graph.layer_graph import SourcePlace
from rnnspec.importing.torch.conditions import Conditions, OpenError
from rnnspec.importing.torch.values import HOOKS, Op, Ref
from rnnspec.importing.torch.zoo import zoo_layer

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from types import CodeType, FrameType, TracebackType

_PACKAGE = str(Path(torch.__file__).parent)
_NUMPY = str(Path(np.__file__).parent)
_OWN = str(Path(__file__).parent)
_RECORDED: tuple[tuple[Any, Any], ...] = (
    (rnn, rnn.pack_padded_sequence),
    (rnn, rnn.pad_packed_sequence),
    (torch, torch.zeros),
    (torch, torch.ones),
    (torch, torch.full),
    (torch, torch.as_tensor),
    (torch.Tensor, torch.Tensor.new),
    (torch.autograd, torch.autograd.Variable),
)
"""Functions that need numbers or tensors: lengths, sizes, and a tensor to wrap, as people had to
before PyTorch 0.4.
"""
_CONTAINERS = (nn.Module, nn.Sequential, nn.ModuleList, nn.ModuleDict)


class TraceError(Exception):
    """A ``forward`` that cannot be traced: the reason, its place, and the operations before it.

    If it ``counts`` the steps of an example, that may be read as a loop over the steps.
    """

    def __init__(
        self, reason: str, place: SourcePlace, before: list[Op], *, counts: bool = False
    ) -> None:
        super().__init__(reason)
        self.counts = counts
        self.reason = reason
        self.place = place
        self.before = before


def copy_module(module: nn.Module) -> nn.Module:
    """Return a copy of a module that shares no tensor with it.

    Raises:
        UsageError: it cannot be copied.
    """
    # PyTorch copies no results of operations, which forward may have kept in the module.
    results = (t for part in module.modules() for t in _tensors(list(vars(part).values())))
    memo: dict[int, Any] = {id(e): e.detach().clone() for e in results if not e.is_leaf}
    try:
        return deepcopy(module, dict(memo))
    except Exception:  # noqa: BLE001 - of any attribute, such as a lock
        memo |= _shared_attributes(module, memo)
    try:
        return deepcopy(module, memo)
    except Exception as error:
        message = f"expected a module that copy.deepcopy takes, received an error: {brief(error)}"
        raise UsageError(message, "module") from error


def _shared_attributes(module: nn.Module, memo: dict[int, Any]) -> dict[int, Any]:
    """Return the attributes that cannot be copied and must be shared, by their ids."""
    shared = dict[int, Any]()
    for part in module.modules():
        for name, value in vars(part).items():
            try:
                if name not in ("_parameters", "_buffers", "_modules"):
                    deepcopy(value, dict(memo))
            except Exception:  # noqa: BLE001
                shared[id(value)] = value
    return shared


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    match value:
        case torch.Tensor():
            yield value
        case list() | tuple():
            for item in value:
                yield from _tensors(item)
        case _:
            pass


class _Evaluating(int):
    """The value of ``training`` in evaluation: false, and it notes the functions that test it."""

    testers: dict[str, None]

    def __new__(cls, testers: dict[str, None]) -> Self:
        value = super().__new__(cls)
        value.testers = testers
        return value

    def __bool__(self) -> bool:
        tester = _outside_frame(inspect.currentframe())
        if tester is not None:
            self.testers[f"{tester.f_code.co_qualname}, line {tester.f_lineno}"] = None
        return False


@dataclass(frozen=True, slots=True)
class Example:
    """What operations give for an example, by their names.

    ``shapes`` are those of tensors, of which ``floats`` are real numbers, ``numbers`` are sizes,
    and ``items`` those of a tuple.
    """

    shapes: Mapping[str, tuple[int, ...]]
    floats: Collection[str]
    numbers: Mapping[str, int]
    items: Mapping[str, tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Traced:
    """The operations of a ``forward``, and the functions that do something else in training."""

    operations: list[Op]
    testers: list[str]
    _graph: fx.Graph
    _conditions: Conditions

    def example(self) -> Example:
        """Return what the operations give for the example."""
        values = {node.name: self._conditions.value(node) for node in self._graph.nodes}
        tensors = {name: x for name, x in values.items() if isinstance(x, torch.Tensor)}
        return Example(
            {name: tuple(tensor.shape) for name, tensor in tensors.items()},
            {name for name, tensor in tensors.items() if tensor.is_floating_point()},
            {name: x for name, x in values.items() if type(x) is int},
            {name: tuple(x) for name, x in values.items() if isinstance(x, list | tuple)},
        )


def operations(
    module: nn.Module, example: Mapping[str, Any] | None, *, unrolled: bool = False
) -> Traced:
    """Return the operations of ``module.forward`` in evaluation mode, without unused ones.

    Args:
        module: the module. A copy of it is traced, because ``forward`` may change it.
        example: the arguments that are inputs; by default those without a default.
        unrolled: whether a loop is run as often as for the example.

    Raises:
        TraceError: the operations depend on data.
        UsageError: the module cannot be copied.
    """
    copy, testers = copy_module(module), dict[str, None]()
    for part in copy.modules():
        vars(part)["training"] = _Evaluating(testers)
        for hooks in HOOKS:
            getattr(part, hooks, {}).clear()
    conditions = Conditions(lambda: copy_module(module).eval(), example or {}, copy)
    tracer = _Tracer(copy, conditions, unrolled=unrolled)
    try:
        with _recording(tracer, copy):
            graph = tracer.trace(copy, defaults(copy, example))
    except Exception as error:
        place = _place_of(error.__traceback__)
        before = _ops(getattr(tracer, "graph", fx.Graph()), copy)
        counts = any(part in str(error) for part in _COUNTING)
        raise TraceError(_reason_of(error, place), place, before, counts=counts) from error
    return Traced(_ops(graph, copy), list(testers), graph, conditions)


ONE_CALL = (
    "a decoder is one call of nn.GRU or nn.LSTM for all steps of its input, with the attention "
    "behind it; one that attends before each step is a spec with the key 'attention'"
)
"""What to write in place of a loop over the steps."""


_COUNTING = ("as an integer", "iterated", "argument must be")
"""What errors say of sizes that are no numbers, and of tensors that are no lists."""


def _reason_of(error: Exception, place: SourcePlace) -> str:
    """Return why a ``forward`` cannot be traced, and what to do."""
    line, said = place.span.text.strip() if place.span else "", str(error)
    expected = "cannot be traced: expected no condition or loop on tensors or their sizes, received"
    if isinstance(error, OpenError):
        return f"{expected} a condition on {said}; decide it in __init__, or take it out of forward"
    if "not installed as a submodule" in said:
        return (
            "cannot be traced: expected layers that are called as attributes of a module, received "
            "one that a function holds on to, such as a lambda in __init__ that uses self"
        )
    if any(part in said for part in _COUNTING):
        if "for " in line or "range(" in line:
            return f"{expected} a loop; {ONE_CALL}"
        return (
            f"{expected} a number or a list that is made of them, as int(), tolist() or * make "
            "one; use the sizes as they are"
        )
    if "item assignment" in said:
        return (
            "cannot be traced: expected new tensors, received an assignment to a part of one; "
            "collect the parts in a list, and put them together by torch.stack"
        )
    if line.startswith(("raise ", "assert ")):
        return f"cannot be traced: forward itself refuses its input here: {brief(error)}"
    return (
        "cannot be traced: expected operations of PyTorch on tensors, received something else that "
        "is done with one in this line; take it out of forward, or write it with torch functions"
    )


def _ops(graph: fx.Graph, root: nn.Module) -> list[Op]:
    used = _used_nodes(graph, root)
    listed = [node for node in graph.nodes if node in used and not _is_check(node)]
    overwriting = _overwriting(listed, root)
    return [_op(node, root, overwrites=node in overwriting) for node in listed]


def parameters(module: nn.Module) -> dict[str, Any]:
    """Return the parameters and buffers by their full names, shared ones under each name."""
    tensors = dict(module.named_parameters(remove_duplicate=False))
    return tensors | dict(module.named_buffers(remove_duplicate=False))


def bare_parameters(module: nn.Module) -> frozenset[str]:
    """Return the full names of parameters that are of no layer of PyTorch."""
    return frozenset(
        f"{path}.{name}" if path else name
        for path, part in module.named_modules(remove_duplicate=False)
        if not type(part).__module__.startswith("torch.nn.modules") or type(part) in _CONTAINERS
        for name, _ in part.named_parameters(recurse=False)
    )


def is_packed(value: Any) -> bool:
    """True if a value is a packed sequence."""
    return isinstance(value, rnn.PackedSequence)


def is_integer(value: Any) -> bool:
    """True if a value is a tensor of integers."""
    integers = (torch.int64, torch.int32, torch.int16, torch.uint8, torch.int8)
    return isinstance(value, torch.Tensor) and value.dtype in integers


def is_tokens(value: Any) -> bool:
    """True if a value may be tokens, (batch, steps)."""
    return is_integer(value) and value.ndim == 2


def is_recurrent(op: Op) -> bool:
    """True if an operation is a recurrent layer or cell, of PyTorch or of the zoo."""
    kinds = (nn.RNNBase, nn.RNNCellBase)
    return isinstance(op.module, kinds) or zoo_layer(op.module) is not None


def hooks_of_all_modules() -> bool:
    """True if PyTorch calls something before or after every module."""
    every = nn.modules.module
    return bool(every._global_forward_hooks or every._global_forward_pre_hooks)  # noqa: SLF001


def is_compiled(module: nn.Module) -> bool:
    """True if a module is of TorchScript."""
    return isinstance(module, torch.jit.ScriptModule)


def calls_itself(module: nn.Module) -> bool:
    """True if a call of a module does nothing but call its ``forward``."""
    return type(module).__call__ is nn.Module.__call__ or isinstance(module, fx.GraphModule)


def array(values: Any) -> Any:
    """Return a copy of a tensor or of numbers as an array, of bfloat16 in float32."""
    tensor = torch.as_tensor(values).detach().cpu()
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy().copy()


def outcome(
    module: nn.Module, inputs: Mapping[str, Any], dtype: str
) -> dict[tuple[int | str, ...], Any]:
    """Return the tensors in the results of a copy of a module in ``dtype``, by their places.

    New tensors get that dtype as well, and floating inputs, by the names of arguments, do.
    """
    before, target = torch.get_default_dtype(), getattr(torch, dtype)
    torch.set_default_dtype(target)
    try:
        with torch.inference_mode(mode=False), torch.no_grad():
            positional, named = list[Any](), dict[str, Any]()
            for name, parameter in inspect.signature(module.forward).parameters.items():
                if name not in inputs:
                    continue
                x = _in_dtype(inputs[name], target)
                if parameter.kind is parameter.KEYWORD_ONLY:
                    named[name] = x
                else:
                    positional.append(x)
            return dict(_results(module(*positional, **named)))
    finally:
        torch.set_default_dtype(before)


def _in_dtype(x: Any, dtype: torch.dtype) -> Any:
    if isinstance(x, list | tuple):
        return type(x)(_in_dtype(item, dtype) for item in x)
    return x.to(dtype) if isinstance(x, torch.Tensor) and x.is_floating_point() else x


def _results(
    value: Any, path: tuple[int | str, ...] = ()
) -> Iterator[tuple[tuple[int | str, ...], Any]]:
    """Yield each tensor of a result, with the places and keys that lead to it."""
    match value:
        case torch.Tensor():
            yield path, array(value)
        case dict():
            for key, item in value.items():
                yield from _results(item, (*path, key))
        case list() | tuple():
            for place, item in enumerate(value):
                yield from _results(item, (*path, place))
        case _:
            pass


def runnable(module: nn.Module, dtype: str) -> nn.Module:
    """Return a copy of a module in ``dtype`` and evaluation mode."""
    with torch.inference_mode(mode=False):
        return (
            copy_module(module).double() if dtype == "float64" else copy_module(module).float()
        ).eval()


def input_of(module: nn.Module, values: Any) -> Any:
    """Return an input of ``forward`` on the device of the module."""
    tensor = torch.from_numpy(np.ascontiguousarray(values))
    return tensor.to(next(module.parameters(), tensor).device)


def lengths_of(lengths: Any) -> Any:
    """Return numbers of steps as an input of ``forward``, on the CPU."""
    return torch.from_numpy(lengths.copy())


@contextmanager
def keep_randomness(module: nn.Module) -> Iterator[None]:
    """Have PyTorch's random numbers go on afterwards as if none had been drawn."""
    devices = {parameter.device for parameter in module.parameters() if parameter.is_cuda}
    with torch.random.fork_rng(list(devices)):
        yield


class Symbol(fx.Proxy):
    """A symbol in place of a tensor, which records operators in place as such.

    Those of torch.fx would be recorded as the operators that make a new tensor.
    """

    def __len__(self) -> int:
        """Return the number of sizes or of other items, which Python asks for ``f(*items)``."""
        tracer: Any = self.tracer
        count = tracer.conditions.count(self.node)
        return super().__len__() if count is None else int(count)


class Counted(Symbol):
    """A symbol that is a number wherever Python needs one: that of the example."""

    def __index__(self) -> int:
        """Return the number."""
        tracer: Any = self.tracer
        return int(tracer.conditions.number(self.node))


def _in_place(function: Any) -> Any:
    def call(self: fx.Proxy, other: Any) -> fx.Proxy:
        return self.tracer.create_proxy("call_function", function, (self, other), {})

    return call


_IN_PLACE = (
    operator.iadd, operator.isub, operator.imul, operator.imatmul, operator.itruediv,
    operator.ifloordiv, operator.imod, operator.ipow, operator.iand, operator.ior, operator.ixor,
)  # fmt: skip
for _function_in_place in _IN_PLACE:
    setattr(Symbol, f"__{_function_in_place.__name__}__", _in_place(_function_in_place))


class _Tracer(fx.Tracer):
    """A tracer that notes the line and the modes of each operation."""

    def __init__(self, module: nn.Module, conditions: Conditions, *, unrolled: bool) -> None:
        self.conditions = conditions
        self._unrolled = unrolled
        super().__init__(autowrap_functions=tuple(function for _, function in _RECORDED))
        self._devices = {
            "cpu",
            "cuda",
            *(array.device.type for array in module.parameters()),
        }
        self._outside = self._modes()
        # What forward may assign again.
        self._kept = {
            f"{path}.{name}" if path else name: value
            for path, part in module.named_modules()
            for name, value in vars(part).items()
            if isinstance(value, torch.Tensor)
        }

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """True if a module is one operation: a layer of PyTorch or of the zoo, or a subclass."""
        if zoo_layer(m) is not None:
            return True
        bases = (base for base in type(m).__mro__ if base not in _CONTAINERS)
        stock = any(base.__module__.startswith("torch.nn.modules") for base in bases)
        return stock or bool(super().is_leaf_module(m, module_qualified_name))

    def proxy(self, node: fx.Node) -> fx.Proxy:
        """Return the symbol of a node."""
        return Counted(node, self) if self._unrolled else Symbol(node, self)

    def to_bool(self, obj: fx.Proxy) -> bool:
        """Return the value of a condition, which must not depend on the numbers of the input."""
        # Features are floats; a module may convert integers before its layers.
        if obj.node.target == "is_floating_point":
            return True
        if obj.node.target is operator.eq and isinstance(obj.node.args[1], torch.dtype):
            return obj.node.args[1] == torch.float32
        try:
            return self.conditions.answer(obj.node)
        except OpenError:
            value = self.conditions.value(obj.node) if self._unrolled else None
            if isinstance(value, int):
                return bool(value)
            place = _place(inspect.currentframe())
            # Whatever a module refuses, the comparison does not give it.
            if _is_refusal(place):
                return False
            asserted = re.match(r"assert (not )?", place.span.text.strip()) if place.span else None
            if asserted is None:
                raise
            return asserted[1] is None

    def iter(self, obj: fx.Proxy) -> Iterator[Any]:
        """Return the items of a tuple, or the sizes of a tensor."""
        count = self.conditions.count(obj.node)
        if count is None and self._unrolled:
            value = self.conditions.value(obj.node)
            count = None if value is None or isinstance(value, int) else len(value)
        if count is None:
            return super().iter(obj)
        return iter([self.item(obj, place) for place in range(count)])

    def item(self, obj: fx.Proxy, place: int) -> Any:
        """Return one of several values."""
        return self.create_proxy("call_function", operator.getitem, (obj, place), {})

    def length(self, obj: fx.Proxy) -> Any:
        """Return the number of items of a tuple, or the first size of a tensor."""
        count = self.conditions.count(obj.node)
        return self.create_proxy("call_method", "size", (obj, 0), {}) if count is None else count

    def is_instance(self, obj: fx.Proxy, kinds: Any) -> bool:
        """True if a value is of a class."""
        return issubclass(self.conditions.kind(obj.node), kinds)

    def create_arg(self, a: Any) -> Any:
        """Return an argument of a node."""
        if isinstance(a, type(torch.FloatTensor)):
            return a.dtype
        return False if isinstance(a, _Evaluating) else super().create_arg(a)

    def create_node(self, *args: Any, **kwargs: Any) -> fx.Node:
        """Return a node with its place in the source, and the modes that are on there."""
        node: fx.Node = super().create_node(*args, **kwargs)
        node.meta["place"] = _place(inspect.currentframe())
        if node.op == "get_attr" and node.target in self._kept:
            node.meta["kept"] = self._kept[str(node.target)]
        node.meta["modes"] = self._modes() - self._outside
        return node

    def _modes(self) -> frozenset[str]:
        cast = any(torch.is_autocast_enabled(device) for device in self._devices - {"meta"})
        modes = {"autocast": cast, "no_grad": not torch.is_grad_enabled()}
        return frozenset(mode for mode, is_on in modes.items() if is_on)


@contextmanager
def _recording(tracer: _Tracer, module: nn.Module) -> Iterator[None]:
    """Have functions recorded that do not take symbols, and others answered for them.

    The tracer does this for names in the globals of each ``forward``, but not for ``rnn.NAME``.
    Python's own functions get a name among these globals while it is traced.
    """

    def record(function: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            if not any(isinstance(value, fx.Proxy) for value in (*args, *kwargs.values())):
                return function(*args, **kwargs)
            return tracer.create_proxy("call_function", function, args, kwargs)

        return call

    def is_instance(value: Any, kinds: Any) -> bool:
        if isinstance(value, fx.Proxy):
            return tracer.is_instance(value, kinds)
        return isinstance(value, kinds)

    def length(value: Any) -> Any:
        return tracer.length(value) if isinstance(value, fx.Proxy) else len(value)

    spaces = {
        id(space): space
        for part in module.modules()
        if not type(part).__module__.startswith("torch.")
        for space in [getattr(type(part).forward, "__globals__", {})]
    }
    own = {"isinstance": is_instance, "len": length}
    changed = [(space, name) for space in spaces.values() for name in own if name not in space]
    own_of_class = {(space, function.__name__): function.__name__ in vars(space)
                    for space, function in _RECORDED}  # fmt: skip
    for space, function in _RECORDED:
        setattr(space, function.__name__, record(function))
    is_tensor = torch.is_tensor
    torch.is_tensor = lambda value: is_instance(value, torch.Tensor)  # type: ignore[assignment]
    for names, name in changed:
        names[name] = own[name]
    try:
        yield
    finally:
        torch.is_tensor = is_tensor
        for names, name in changed:
            del names[name]
        for space, function in _RECORDED:
            if own_of_class[space, function.__name__]:
                setattr(space, function.__name__, function)
            else:
                delattr(space, function.__name__)


def arguments(module: nn.Module) -> list[str]:
    """Return the names of the arguments of ``forward``."""
    return list(inspect.signature(module.forward).parameters)


def defaults(module: nn.Module, inputs: Collection[str] | None) -> dict[str, Any]:
    """Return the arguments of ``forward`` that are no inputs, with their defaults."""
    parameters = inspect.signature(module.forward).parameters.values()
    others = [other for other in parameters if other.name not in (inputs or ())]
    return {other.name: other.default for other in others if other.default is not other.empty}


def _used_nodes(graph: fx.Graph, root: nn.Module) -> set[fx.Node]:
    """Return the nodes that lead to the result, and those that change a tensor in place.

    Without a result, because tracing failed, they are those that lead to modules.
    """
    ends = {"output", "placeholder"}
    if not any(node.op == "output" for node in graph.nodes):
        ends.add("call_module")
    used = set[fx.Node]()
    for node in reversed(graph.nodes):
        if node in used or node.op in ends or _is_in_place(node, root):
            used |= {node, *node.all_input_nodes}
    return used


def _is_in_place(node: fx.Node, root: nn.Module) -> bool:
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
    if node.op == "call_module":
        return bool(getattr(root.get_submodule(name), "inplace", False))
    kept = ("requires_grad_", "and_", "or_")
    changes = name.endswith("_") and not name.endswith("__") and name not in kept
    assigns = node.target in (*_IN_PLACE, operator.setitem) or (node.kwargs.get("out") is not None)
    return node.op.startswith("call") and (changes or assigns or bool(node.kwargs.get("inplace")))


_VIEWS = (
    "getitem getattr transpose swapaxes swapdims permute t view reshape squeeze unsqueeze flatten "
    "contiguous detach expand to float double cpu cuda type_as requires_grad_ alias dropout chunk "
    "split unbind narrow select"
)
"""Operations whose result may have the memory of their argument."""
_QUERIES = ("size", "dim", "numel", "ndimension", "getattr", "zeros_like", "new_zeros")
"""Operations that do not read what a tensor holds."""


def _overwriting(listed: Sequence[fx.Node], root: nn.Module) -> set[fx.Node]:
    """Return the operations in place that change a tensor which an older name is read of later."""
    places = {node: place for place, node in enumerate(listed)}
    memory, overwriting = dict[fx.Node, fx.Node](), set[fx.Node]()
    changed = dict[fx.Node, fx.Node]()  # by memory, the last operation in place
    for node in listed:
        if _operation_name(node) not in _QUERIES:
            for used in node.all_input_nodes:
                last = changed.get(memory[used])
                if last is not None and places[used] < places[last] and last is not used:
                    overwriting.add(last)
        source = next(iter(node.all_input_nodes), None)
        in_place = _is_in_place(node, root)
        shares = source is not None and (in_place or _is_view(node, source, root))
        memory[node] = memory[source] if shares and source is not None else node
        if in_place:
            changed[memory[node]] = node
    return overwriting


def _operation_name(node: fx.Node) -> str:
    """Return the name of a function or method, or the class of a module."""
    if isinstance(node.target, str):
        return node.target
    return str(getattr(node.target, "__name__", ""))


def _is_view(node: fx.Node, source: fx.Node, root: nn.Module) -> bool:
    if node.op == "call_module":
        return isinstance(root.get_submodule(str(node.target)), nn.Dropout | nn.Identity)
    # The output and the states of a recurrent module are different tensors.
    parts = _operation_name(node) == "getitem" and type(node.args[1]) is int
    return _operation_name(node) in _VIEWS.split() and not (parts and _is_several(source, root))


def _is_several(node: fx.Node, root: nn.Module) -> bool:
    """True if a result is a tuple of a recurrent module, or that of its states."""
    if node.op == "call_module":
        return isinstance(root.get_submodule(str(node.target)), nn.RNNBase)
    source = next(iter(node.all_input_nodes), None)
    if source is None or source.op != "call_module" or _operation_name(node) != "getitem":
        return False
    return str(node.args[1]) == "1" and isinstance(root.get_submodule(str(source.target)), nn.LSTM)


def _is_check(node: fx.Node) -> bool:
    """True if a node checks an argument that has its default, or leads to such a check."""
    name = getattr(node.target, "__name__", "")
    if node.op == "call_function" and name.startswith("_assert"):
        return True
    leads = node.op == "placeholder" or (node.op == "call_function" and name == "eq")
    return leads and bool(node.users) and all(map(_is_check, node.users))


def _op(node: fx.Node, root: nn.Module, *, overwrites: bool) -> Op:
    kinds = {"placeholder": "input", "call_module": "module", "get_attr": "array"}
    target = node.target if isinstance(node.target, str) else _function(node.target)
    module: Any = root.get_submodule(target) if node.op == "call_module" else None
    if node.op == "get_attr" and target.startswith("_tensor_constant"):
        module = getattr(root, target)
    return Op(
        name=node.name,
        kind=kinds.get(node.op, "output" if node.op == "output" else "call"),
        target=target,
        module=node.meta.get("kept", module),
        layer=_stock_class(module),
        overwrites=overwrites,
        modes=node.meta.get("modes", frozenset()),
        args=_plain(node.args),
        kwargs=_plain(node.kwargs),
        place=node.meta.get("place", SourcePlace()),
    )


def _stock_class(module: Any) -> str:
    """Return the class of ``torch.nn`` that a module is, empty for one of another class.

    A subclass of a recurrent layer is one if it changes neither what a call does nor its arrays.
    """
    kind: Any = type(module)
    name: str = kind.__name__
    if getattr(nn, name, None) is kind:
        return name
    if not isinstance(module, nn.RNNBase) or nn.utils.parametrize.is_parametrized(module):
        return ""
    bases = (base for base in (nn.RNN, nn.GRU, nn.LSTM) if kind.forward is base.forward)
    return next((base.__name__ for base in bases if calls_itself(module)), "")


_OF_TORCH = (
    torch, torch.Tensor, functional, rnn, torch.special, torch.autograd, operator, builtins,
    torch._C._nn,  # noqa: SLF001 - where functions of torch.nn.functional are
)  # fmt: skip


def _function(function: Any) -> str:
    """Return the name of a function of PyTorch or Python, or the full name of another one.

    Others may have the same name, also in a module that begins with torch.
    """
    name = getattr(function, "__name__", type(function).__name__)
    if any(getattr(space, name, None) is function for space in _OF_TORCH):
        return str(name)
    return f"{getattr(function, '__module__', None) or 'an extension'}.{name}"


def _plain(value: Any) -> Any:
    match value:
        case fx.Node():
            return Ref(value.name)
        case tuple() | list():
            return tuple(_plain(item) for item in value)
        case dict():
            return {key: _plain(item) for key, item in value.items()}
        case slice():
            return slice(_plain(value.start), _plain(value.stop), _plain(value.step))
        case _:
            return value


def _place(frame: FrameType | None) -> SourcePlace:
    """Return the innermost place outside of PyTorch, below the call that traces."""
    outside = _outside_frame(frame)
    if outside is None:
        return SourcePlace()
    return _line(outside.f_code, outside.f_lasti, outside.f_lineno)


def _outside_frame(frame: FrameType | None) -> FrameType | None:
    """Return the innermost frame outside of PyTorch, below the call that traces."""
    while frame is not None and frame.f_code is not operations.__code__:
        if not frame.f_code.co_filename.startswith((_PACKAGE, _OWN)):
            return frame
        frame = frame.f_back
    return None


def _is_refusal(place: SourcePlace) -> bool:
    """True if a condition, of comparisons and ``or`` only, has an error as its consequence."""
    if place.span is None:
        return False
    condition, consequence, behind = (
        linecache.getline(place.file, place.span.line + at).strip() for at in range(3)
    )
    # What the message says may have a name.
    said = re.match(r"\w+ = ", consequence) is not None and behind.startswith("raise ")
    return (
        condition.startswith("if ")
        and re.search(r"\b(?:not|and|else)\b", condition) is None
        and (consequence.startswith("raise ") or said)
    )


def _place_of(traceback: TracebackType | None) -> SourcePlace:
    """Return the innermost place outside of PyTorch at which an error was raised."""
    place = SourcePlace()
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if not code.co_filename.startswith((_PACKAGE, _OWN, _NUMPY)):
            place = _line(code, traceback.tb_lasti, traceback.tb_lineno)
        traceback = traceback.tb_next
    return place


def _line(code: CodeType, instruction: int, number: int) -> SourcePlace:
    text = linecache.getline(code.co_filename, number).rstrip("\n")
    positions: Sequence[Any] = list(code.co_positions())[instruction // 2]
    _, last, start, end = positions
    if start is None or end is None or last != number:
        start, end = len(text) - len(text.lstrip()), len(text)
    return SourcePlace(code.co_filename, Span(number, start + 1, end + 1, text))
