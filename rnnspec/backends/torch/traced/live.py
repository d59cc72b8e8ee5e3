"""A live module as a network and its canonical arrays, with an account of everything in it."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnnspec.backends.imported import Account, Imported
from rnnspec.backends.torch import runtime
from rnnspec.backends.torch.checkpoint.files import arrays_of
from rnnspec.backends.torch.checkpoint.modules import modules
from rnnspec.backends.torch.checkpoint.states import Entry
from rnnspec.backends.torch.traced import graph
from rnnspec.backends.torch.traced.layers import alone, hooked
from rnnspec.backends.torch.traced.reader import Reader
from rnnspec.ir import nodes

if TYPE_CHECKING:
    from rnnspec.backends.torch.traced.scope import Scope
    from rnnspec.backends.torch.traced.values import Layout
    from rnnspec.slots import Array


def read(module: Any, name: str, given: int | None) -> tuple[Imported, Layout]:
    """Return a live module as ``name``, and the layout of its input and result.

    Args:
        module: the module, which is not changed and not run.
        name: the name of the network.
        given: how many arguments of ``forward`` are inputs; by default those without a default.

    Raises:
        ModelError: the language lacks something in it.
    """
    account = Account("module")
    module = runtime.unwrap(module)
    hooked(account, module)
    alone(account, module)
    account.check()
    reader = Reader(account)
    scope = reader.scope
    try:
        reader.read(graph.operations(module, given))
    except graph.TraceError as fault:
        account.refuse("forward", fault.reason, "E704", fault.place.file, fault.place.span)
    account.check()
    found = graph.parameters(module)
    _account_for(account, scope, found, module, given)
    account.check()
    network = scope.chain.finish(name, lambda each: _padded(account, scope, each))
    account.check()
    entries = {key: _entry(found[key]) for key in found if _owner(key) in scope.modules}
    ordered = {
        key: entries[key] for path in scope.modules for key in entries if _owner(key) == path
    }
    arrays = arrays_of(network, modules(ordered, account), account, Path("module"))
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
    """Name every array and argument that no layer has, and refuse shared arrays."""
    owners = dict[int, str]()
    for key, tensor in found.items():
        if _owner(key) not in scope.modules:
            account.leave(key, reason="not used by forward")
            continue
        other = owners.setdefault(id(tensor), key)
        if other != key:
            message = f"is the same array as {other}; the language shares no weights"
            account.refuse(key, message, "E704")
        embeds = type(scope.modules[_owner(key)]).__name__ == "Embedding"
        if not tensor.requires_grad and not embeds:
            account.leave("requires_grad=False", key)
    for each in list(inspect.signature(module.forward).parameters.values())[given or 0 :]:
        if each.default is not each.empty:
            account.infer(
                f"the argument '{each.name}' of forward has its default, {each.default!r}"
            )
    index = scope.padding_index
    if index is not None and not any(scope.chain.packed.values()):
        reason = "PyTorch masks nothing by it, and only keeps that vector from being trained"
        account.leave(f"padding_idx={index}", reason=reason)
    if scope.casts_to_integers and not isinstance(scope.chain.input, nodes.TokenInput):
        account.refuse("long", "expected an embedding of the integers, received none", "E704")


def _padded(account: Account, scope: Scope, given: nodes.Input) -> nodes.Input:
    """Return the input with the padding that the lengths of packed sequences stand for."""
    if not all(scope.chain.packed.values()):
        plain = [name for name, packed in scope.chain.packed.items() if not packed]
        message = "expected packed sequences in every recurrent layer or in none; received others"
        account.refuse(plain[0], message, "E704")
    match given:
        case nodes.TokenInput():
            if scope.padding_index not in (None, 0):
                message = f"padding_idx: expected 0, received {scope.padding_index}"
                account.refuse("embedding", message, "E703")
            account.infer("padding is token 0; the module takes lengths")
            return nodes.TokenInput(steps=given.steps, vocabulary=given.vocabulary, mask_zero=True)
        case nodes.NumericInput():
            account.infer("padding has zeros in every feature; the module takes lengths")
            return nodes.NumericInput(steps=given.steps, features=given.features, mask_value=0.0)
