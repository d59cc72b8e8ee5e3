"""State dicts in files, as a network and its canonical arrays."""

from __future__ import annotations

from glob import escape
from typing import TYPE_CHECKING

from rnnspec.errors import UsageError
from rnnspec.importing.imported import Account, Imported
from rnnspec.importing.torch.archive import FREE, MOST_TIMES
from rnnspec.importing.torch.arrays import arrays_of
from rnnspec.importing.torch.draft import draft
from rnnspec.importing.torch.order import order_by_file, order_by_spec
from rnnspec.importing.torch.state_dict import (
    Convolution,
    Entry,
    modules,
    state,
)
from rnnspec.ir import nodes

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from rnnspec.importing.torch.state_dict import State

_MOST_ARRAYS = 5_000


def read(
    path: Path, name: str, known: nodes.Network | None = None, ignore: Sequence[str] = ()
) -> Imported:
    """Return the model whose state dict is in a file.

    Args:
        path: the file.
        name: the name of the network.
        known: the network of the spec that describes the model; without it, one is guessed.
        ignore: patterns of the arrays that are left out.

    Raises:
        ModelError: rnnspec cannot express the model, or ``known`` is another one.
        UsageError: the file cannot be read, or has none of the arrays of a pattern.
    """
    account = Account(str(path), ignore)
    with state(path) as found:
        ignored = account.take_ignored(list(found.entries))
        weights = {
            key: entry
            for key, entry in found.entries.items()
            if entry.floating and key not in ignored
        }
        _leave(found, ignored, account)
        _check_sizes(weights, found.size, path)
        gone = [key for key in ignored if found.entries[key].floating]
        ties = known is not None and any(
            isinstance(layer, nodes.Dense) and layer.tied for layer in known.layers
        )
        listed = modules(weights, account, gone, ties=ties)
        for module in listed if known is None else ():
            if isinstance(module, Convolution):
                message = (
                    f"weight {module.weight.shape}: of a convolution, a state dict tells neither "
                    "stride, padding and activation nor the pools behind it; write the spec, and "
                    f"name it with --spec{account.way_out([f'{escape(module.name)}.*'])}"
                )
                account.refuse(module.name, message, "E705")
        account.check()
        if known is None:
            listed = order_by_file(listed, account, ordered=found.ordered)
        else:
            listed = order_by_spec(listed, known, account)
        network = known or draft(name, listed, account)
        arrays = arrays_of(network, listed, account, path)
    form = f"state dict of PyTorch{f', under {found.key}' if found.key else ''}"
    return account.finish(network, arrays, form)


def _check_sizes(weights: Mapping[str, Entry], size: int, path: Path) -> None:
    """Raise UsageError if the arrays of a file are out of proportion to it."""
    total, most = sum(entry.size for entry in weights.values()), MOST_TIMES * size + FREE
    if total > most:
        message = (
            f"expected tensors of at most {most:,} bytes in a file of {size:,}, received {total:,}"
        )
        raise UsageError(message, str(path))
    if len(weights) > _MOST_ARRAYS:
        message = f"expected at most {_MOST_ARRAYS:,} arrays, received {len(weights):,}"
        raise UsageError(message, str(path))


def _leave(found: State, ignored: Collection[str], account: Account) -> None:
    for key in found.beside:
        account.leave(key, reason="saved beside the state dict")
    for key in found.others:
        account.leave(key, reason="not a tensor")
    for key, entry in found.entries.items():
        if not entry.floating and key not in ignored:
            account.leave(key, reason="a buffer of integers")
