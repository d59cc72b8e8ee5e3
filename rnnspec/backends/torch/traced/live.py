"""A live module as a network and its canonical arrays, with an account of everything in it."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnspec.backends.imported import Account, Imported
from rnnspec.backends.torch.checkpoint.files import arrays_of
from rnnspec.backends.torch.checkpoint.modules import modules
from rnnspec.backends.torch.checkpoint.states import Entry
from rnnspec.backends.torch.traced import graph
from rnnspec.backends.torch.traced.layers import hooked, is_alone, lacks, replaced
from rnnspec.backends.torch.traced.reader import Reader
from rnnspec.ir import nodes
from rnnspec.slots import is_finite

if TYPE_CHECKING:
    from rnnspec.backends.torch.traced.scope import Scope
    from rnnspec.backends.torch.traced.values import Layout
    from rnnspec.slots import Array


def read(module: Any, name: str, given: int | None) -> tuple[Imported, Layout]:
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
    network = scope.chain.finish(name, lambda each: _padded(account, each))
    entries = {key: _entry(found[key]) for key in found if _owner(key) in scope.modules}
    ordered = {
        key: entries[key] for path in scope.modules for key in entries if _owner(key) == path
    }
    arrays = arrays_of(network, modules(ordered, account), account, Path("module"))
    for layer in scope.backward_first:
        for key in (f"{layer}.{array}" for array in ("kernel", "gamma", "beta")):
            if key in arrays:
                arrays[key] = np.roll(arrays[key], len(arrays[key]) // 2, axis=0)
    imported = Imported(
        network=network,
        arrays=arrays,
        names=_given_names(scope),
        form="module of PyTorch",
        layers=tuple(account.became),
        left_out=account.left_out,
        inferred=account.inferred,
    )
    return imported, reader.layout


def _check_calls(account: Account, module: Any) -> None:
    """Refuse what is called beside the ``forward`` of the module's class, and is not traced.

    Raises:
        ModelError: ``forward`` itself is not called, so that it is pointless to trace it.
    """
    hooked(account, module)
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
    if replaced(module):
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
        if replaced(each):
            message = f"its forward is set on the object; expected that of its class, {kind}"
            account.refuse(path, message, "E701")
        if type(each).__module__ == "torch.nn.modules.rnn" and kind.endswith("Cell"):
            account.refuse(path, lacks(kind), "E701")


def _given_names(scope: Scope) -> dict[str, str]:
    """Return the names of modules by those of their layers, without numbers of a Sequential."""
    return {
        own: path.replace(".", "_")
        for own, path in scope.names.items()
        if not path.rpartition(".")[2].isdigit()
    }


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
        account.refuse(scope.names.get(plain[0], plain[0]), message, "E704")


def _padded(account: Account, given: nodes.Input) -> nodes.Input:
    """Return the input with the padding that the lengths of packed sequences stand for."""
    match given:
        case nodes.TokenInput():
            account.infer("padding is token 0; the module takes lengths")
            return nodes.TokenInput(steps=given.steps, vocabulary=given.vocabulary, mask_zero=True)
        case nodes.NumericInput():
            account.infer("padding has zeros in every feature; the module takes lengths")
            return nodes.NumericInput(steps=given.steps, features=given.features, mask_value=0.0)
