"""A live module as a network and its canonical arrays, with an account of everything in it."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnspec.backends.imported import Account, Imported
from rnnspec.importing.assemble import assemble
from rnnspec.importing.torch import calls, graph, layers
from rnnspec.importing.torch.files import arrays_of
from rnnspec.importing.torch.layers import has_own_forward, is_alone, lacks, refuse_hooks
from rnnspec.importing.torch.scope import (
    Layout,
    Lengths,
    Ref,
    RefusedError,
    Scope,
    Several,
    Size,
    State,
    Tensor,
    Unknown,
    Zeros,
    describe,
)
from rnnspec.importing.torch.state_dict import Entry, modules
from rnnspec.ir import nodes
from rnnspec.slots import is_finite

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rnnspec.importing.torch.scope import Op, Value
    from rnnspec.slots import Array


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
        args = self._resolve(op.args)
        kwargs = {key: self._resolve(value) for key, value in op.kwargs.items()}
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
                return layers.call_module(self.scope, op, given)
            case "array":
                return self._array(op)
            case "output":
                if not unknown or isinstance(args[0], tuple):
                    self._output(args[0])
                return Size()
            case _:
                return calls.call_function(self.scope, op.target, given)

    def _resolve(self, value: Any) -> Any:
        match value:
            case tuple():
                return tuple(map(self._resolve, value))
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
                raise RefusedError(f"expected a tensor as the result, received {describe(value)}")

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


def read_module(module: Any, name: str, given: int | None) -> tuple[Imported, Layout]:
    """Return a live module as ``name``, and the layout of its inputs and result.

    Args:
        module: the module, which is not changed and not run.
        name: the name of the network.
        given: how many arguments of ``forward`` are inputs; by default those without a default.

    Raises:
        ModelError: the language lacks something in it.
        UsageError: it cannot be copied.
    """
    account = Account("module")
    _check_calls(account, module)
    reader = Reader(account)
    scope = reader.scope
    try:
        reader.read(graph.operations(module, given))
    except graph.TraceError as fault:
        reader.read(fault.before)
        _name_causes(account, module)
        account.refuse("forward", fault.reason, "E704", fault.place.file, fault.place.span)
    found = graph.parameters(module)
    _account_for(account, scope, found, module, given)
    _check_padding(account, scope)
    account.check()
    chain = scope.chain
    assert chain.input is not None, "the reader refuses an empty chain"
    given_input = _with_padding(account, chain.input) if any(chain.packed.values()) else chain.input
    paths = {layer.name: layer.name.partition("[")[0] for layer in chain.layers}
    kinds = {
        own: f"nn.{type(scope.modules[path]).__name__}"
        for own, path in paths.items()
        if path in scope.modules
    }
    network = assemble(account, name, given_input, chain.layers, kinds)
    pairs = list(zip(chain.layers, network.layers, strict=True))
    lowered = {layer.name: node.name for layer, node in pairs}
    entries = {key: _entry(found[key]) for key in found if _owner(key) in scope.modules}
    ordered = {
        key: entries[key] for path in scope.modules for key in entries if _owner(key) == path
    }
    arrays = arrays_of(network, modules(ordered, account), account, Path("module"))
    for path in scope.backward_first:
        for key in (f"{lowered[path]}.{array}" for array in ("kernel", "gamma", "beta")):
            if key in arrays:
                arrays[key] = np.roll(arrays[key], len(arrays[key]) // 2, axis=0)
    # Without the numbers of a Sequential.
    names = {
        node.name: layer.name.replace(".", "_")
        for layer, node in pairs
        if layer.name in scope.modules
        and not isinstance(layer, nodes.LayerNorm)
        and not layer.name.rpartition(".")[2].isdigit()
    }
    return account.finish(network, arrays, "module of PyTorch", names), reader.layout


def _check_calls(account: Account, module: Any) -> None:
    """Refuse what is called beside the ``forward`` of the module's class, and is not traced.

    Raises:
        ModelError: ``forward`` itself is not called, so that it is pointless to trace it.
    """
    refuse_hooks(account, module)
    if graph.hooks_of_all_modules():
        account.refuse("module", "PyTorch has a hook for all modules, which is not read", "E701")
    if reason := _untraceable(module):
        account.refuse("module", reason, "E704" if is_alone(module) else "E701")
        account.check()


def _untraceable(module: Any) -> str:
    """Return why it is pointless to trace the ``forward`` of a module's class, or nothing."""
    kind = type(module).__name__
    if is_alone(module):
        return (
            f"expected a module with a forward of its own, received nn.{kind}: call it in a module "
            "that returns a part of its result"
        )
    if graph.is_compiled(module):
        return "is compiled by TorchScript, and not read; expected the module of Python"
    if has_own_forward(module):
        return (
            "its forward is set on the object, and is not read; expected that of its class, "
            f"{kind}.forward"
        )
    if not graph.calls_itself(module):
        return "its class has a __call__ of its own, which is not read; expected forward alone"
    return ""


def _name_causes(account: Account, module: Any) -> None:
    """Refuse cells, which people call in a loop, and replaced code: neither can be traced."""
    for path, each in module.named_modules():
        kind = type(each).__name__
        if has_own_forward(each):
            message = f"its forward is set on the object; expected that of its class, {kind}"
            account.refuse(path, message, "E701")
        if type(each).__module__ == "torch.nn.modules.rnn" and kind.endswith("Cell"):
            account.refuse(path, lacks(kind), "E701")


def _owner(key: str) -> str:
    return key.rpartition(".")[0]


def _entry(tensor: Any) -> Entry:
    def read() -> Array:
        array: Array = graph.array(tensor)
        return array

    return Entry(tuple(tensor.shape), bool(tensor.is_floating_point()), read)


def _account_for(
    account: Account, scope: Scope, found: dict[str, Any], module: Any, given: int | None
) -> None:
    """Name every array and argument that no layer has, and refuse shared and broken arrays."""
    owners = dict[int, str]()
    for key, tensor in found.items():
        if _owner(key) not in scope.modules:
            account.leave(key, reason="not used by forward")
            continue
        other = owners.setdefault(id(tensor), key)
        if other != key:
            message = f"is the same array as {other}; the language shares no weights"
            account.refuse(key, message, "E704")
        elif not is_finite(graph.array(tensor)):
            account.refuse(key, "expected finite numbers, received others", "E708")
        embeds = type(scope.modules[_owner(key)]).__name__ == "Embedding"
        if not tensor.requires_grad and not embeds:
            account.leave("requires_grad=False", key)
    for each in list(inspect.signature(module.forward).parameters.values())[given or 0 :]:
        if each.default is not each.empty:
            account.infer(
                f"the argument '{each.name}' of forward has its default, {each.default!r}"
            )
    if scope.casts_to_integers and not isinstance(scope.chain.input, nodes.TokenInput):
        account.refuse("long", "expected an embedding of the integers, received none", "E704")


def _check_padding(account: Account, scope: Scope) -> None:
    """Refuse what differs from the padding that the lengths of packed sequences stand for."""
    op, index = scope.padding or (None, 0)
    if op and not any(scope.chain.packed.values()):
        reason = "PyTorch masks nothing by it, and only keeps that vector from being trained"
        account.leave(f"padding_idx={index}", reason=reason)
    elif op and index != 0:
        message = (
            f"padding_idx: expected 0, the token that a spec masks, received {index}; exchange the "
            f"tokens 0 and {index} in the vocabulary, and these rows of {op.target}.weight"
        )
        account.refuse(op.target, message, "E703", op.place.file, op.place.span)
    plain = [name for name, packed in scope.chain.packed.items() if not packed]
    if plain and len(plain) < len(scope.chain.packed):
        message = "expected packed sequences in every recurrent layer or in none; received others"
        account.refuse(plain[0], message, "E704")


def _with_padding(account: Account, given: nodes.Input) -> nodes.Input:
    """Return the input with the padding that the lengths of packed sequences stand for."""
    match given:
        case nodes.TokenInput():
            account.infer("padding is token 0; the module takes lengths")
            return nodes.TokenInput(steps=given.steps, vocabulary=given.vocabulary, mask_zero=True)
        case nodes.NumericInput():
            account.infer("padding has zeros in every feature; the module takes lengths")
            return nodes.NumericInput(steps=given.steps, features=given.features, mask_value=0.0)
