"""State dicts in files, as a network and its canonical arrays."""

from __future__ import annotations

from contextlib import suppress
from glob import escape
from typing import TYPE_CHECKING

from rnnspec import pipeline
from rnnspec.backends import get, refusals
from rnnspec.backends.model_files import NamedArrays
from rnnspec.errors import UsageError
from rnnspec.files.arrays import HeaderError
from rnnspec.importing.imported import Account, Imported
from rnnspec.importing.torch.archive import FREE, MOST_TIMES, TensorError
from rnnspec.importing.torch.arrays import arrays_of, check_finite
from rnnspec.importing.torch.draft import draft
from rnnspec.importing.torch.order import order_by_file, order_by_spec
from rnnspec.importing.torch.state_dict import (
    Convolution,
    Entry,
    Module,
    RecurrentModule,
    modules,
    state,
)
from rnnspec.weights.store import Store

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from rnnspec.backends.slots import Array
    from rnnspec.importing.torch.state_dict import State
    from rnnspec.pipeline import Program

_MOST_ARRAYS = 5_000


def read(
    path: Path, name: str, program: Program | None = None, ignore: Sequence[str] = ()
) -> Imported:
    """Return the model whose state dict is in a file.

    Args:
        path: the file.
        name: the name of the network.
        program: the spec that describes the model; without it, one is guessed.
        ignore: patterns of the arrays that are left out.

    Raises:
        ModelError: rnnspec cannot express the model, or ``program`` is another one.
        UsageError: the file cannot be read, or has none of the arrays of a pattern.
    """
    account, known = Account(str(path), ignore), program.network if program else None
    stores = list(_own_stores(program)) if program else []
    with state(path, frozenset().union(*map(_own_names, stores))) as saved:
        ignored = account.take_ignored(list(saved.entries))
        weights = {
            key: entry
            for key, entry in saved.entries.items()
            if entry.floating and key not in ignored
        }
        _leave(saved, ignored, account)
        _check_sizes(weights, saved.size, path)
        form = f"state dict of PyTorch{f', under {saved.key}' if saved.key else ''}"
        if known is not None and (own := _read_own(weights, stores, path)) is not None:
            check_finite(own, account)
            return account.finish(known, own, f"{form}, with the names of rnnspec's own source")
        gone = [key for key in ignored if saved.entries[key].floating]
        listed = modules(weights, account, gone, known)
        for module in listed if known is None else ():
            if reason := _lacking(module):
                way_out = account.way_out([f"{escape(module.name)}.*"])
                message = f"{reason}; write the spec, and name it with --spec{way_out}"
                account.refuse(module.name, message, "E705")
        account.check()
        if known is None:
            listed = order_by_file(listed, account, ordered=saved.ordered)
        else:
            listed = order_by_spec(listed, known, account)
        network = known or draft(name, listed, account)
        arrays = arrays_of(network, listed, account, path)
    return account.finish(network, arrays, form)


def _lacking(module: Module) -> str:
    """Return what a state dict does not tell of a module, empty if the rest can be guessed."""
    match module:
        case Convolution(weight=weight):
            return (
                f"weight {weight.shape}: of a convolution, a state dict tells neither stride, "
                "padding and activation nor the pools behind it"
            )
        case RecurrentModule(kind=kind, takes_a_step=True):
            return f"nn.{kind} takes a step, and a state dict does not tell the loop around it"
        case _:
            return ""


def _own_stores(program: Program) -> Iterator[Store]:
    """Yield access to the models of the source that rnnspec writes for PyTorch, in each form."""
    backend = get("torch")
    for form in pipeline.forms_of(program, backend):
        if not refusals(backend, program.network, form):
            yield Store(backend, pipeline.arrange(program, backend, form))


def _own_names(store: Store) -> frozenset[str]:
    """Return the names of the arrays in the state dict of a model of rnnspec's own source."""
    return frozenset(
        f"{module}.{path}" for _, module, _, slot in store.places for path in slot.paths
    )


def _read_own(
    weights: Mapping[str, Entry], stores: Sequence[Store], path: Path
) -> Mapping[str, Array] | None:
    """Return the canonical arrays in a state dict of rnnspec's own source, or None if it is not.

    Its names may be inside others: ``DistributedDataParallel`` and ``torch.compile`` add some.
    """
    prefix = ""
    while True:
        inside = {name.removeprefix(prefix): entry for name, entry in weights.items()}
        for store in stores:
            if inside.keys() != _own_names(store):
                continue
            try:
                read = {name: entry.read() for name, entry in inside.items()}
            except (TensorError, HeaderError) as error:
                raise UsageError(str(error), str(path)) from None
            # Arrays of other shapes are refused by what reads any state dict, with their modules.
            with suppress(UsageError):
                return store.gather(NamedArrays(read))
        first, dot, _ = next(iter(inside), "").partition(".")
        if not dot or not all(name.startswith(f"{first}.") for name in inside):
            return None
        prefix += f"{first}."


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


def _leave(saved: State, ignored: Collection[str], account: Account) -> None:
    for key in saved.beside:
        account.leave(key, reason="saved beside the state dict")
    for key in saved.others:
        account.leave(key, reason="not a tensor")
    for key, entry in saved.entries.items():
        if not entry.floating and key not in ignored:
            account.leave(key, reason="a buffer of integers")
