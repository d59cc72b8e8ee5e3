"""Arrays in files by their names, as a network and its canonical arrays."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from rnnspec import files, pipeline
from rnnspec.backends import get, refusals
from rnnspec.backends.model_files import NamedArrays
from rnnspec.errors import UsageError
from rnnspec.files.arrays import HeaderError
from rnnspec.importing.imported import Account, Imported
from rnnspec.importing.torch.archive import FREE, MOST_TIMES, TensorError
from rnnspec.importing.torch.arrays import arrays_of, check_finite, gather
from rnnspec.importing.torch.draft import draft
from rnnspec.importing.torch.fit import fit
from rnnspec.importing.torch.mapping import MappedArrays, read_mapping, write_mapping
from rnnspec.importing.torch.state_dict import STATE_DICT, StateDictEntry, modules, state
from rnnspec.weights.store import Store

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from rnnspec.backends.slots import Array
    from rnnspec.importing.torch.state_dict import StateDict
    from rnnspec.pipeline import Program

_MOST_ARRAYS = 5_000
_OF_KERAS = (".npz", ".h5", ".hdf5")
"""The endings of files whose arrays are those of Keras unless their names or a mapping say more."""


def read(
    path: Path,
    name: str,
    program: Program | None = None,
    ignore: Sequence[str] = (),
    mapping: Path | None = None,
) -> Imported:
    """Return the model whose arrays are in a file.

    Args:
        path: the file.
        name: the name of the network.
        program: the spec that describes the model; without it, one is guessed.
        ignore: patterns of the arrays that are left out.
        mapping: a file that says which array is which of the spec; if there is none, it is written.

    Raises:
        BackendError: a package that reads the file is not installed.
        ModelError: rnnspec cannot express the model, or ``program`` is another one.
        OutputError: the mapping cannot be written.
        SpecError: the mapping is no YAML document.
        UsageError: the file cannot be read, or has none of the arrays of a pattern.
    """
    account = Account(str(path), ignore)
    with state(path, named=program is None) as saved:
        ignored = account.take_ignored(list(saved.entries))
        weights = {
            key: entry
            for key, entry in saved.entries.items()
            if entry.floating and key not in ignored
        }
        _leave(saved, ignored, account)
        _check_sizes(weights, saved.size, path)
        form = saved.form + (f", under {saved.key}" if saved.key else "")
        what = "a state dict" if saved.form == STATE_DICT else "the file"
        account.differ(f"{what} has arrays, and nothing that can be run")
        try:
            if program is not None:
                return _by_spec(path, program, weights, form, account, mapping=mapping)
            gone = [key for key in ignored if saved.entries[key].floating]
            listed = modules(weights, account, gone)
            network, listed = draft(name, listed, account, ordered=saved.ordered)
            return account.finish(network, arrays_of(network, listed, account, path), form)
        except (TensorError, HeaderError) as error:
            raise UsageError(str(error), str(path)) from None


def _by_spec(  # noqa: PLR0913 - what a file has, and what is known of it
    path: Path,
    program: Program,
    weights: Mapping[str, StateDictEntry],
    form: str,
    account: Account,
    *,
    mapping: Path | None,
) -> Imported:
    """Return the model of a spec, with the arrays that are its own by their names and shapes."""
    network = program.network
    own = None if mapping else _read_own(weights, list(_own_stores(program)))
    if own is not None:
        check_finite(own, account)
        return account.finish(network, own, f"{form}, with the names of rnnspec's own source")
    layout = "keras" if path.suffix.lower() in _OF_KERAS else "torch"
    given = MappedArrays({})
    if mapping is not None and mapping.exists():
        given = read_mapping(mapping, network, weights, layout)
        for key in given.ignored:
            account.leave(key, reason=f"left out by {mapping}")
        weights = {key: entry for key, entry in weights.items() if key not in given.ignored}
    found = fit(network, weights, given.placed, account)
    if mapping is not None and not mapping.exists():
        text = write_mapping(found, network, weights, layout, (program.source, str(path)))
        files.write_file(mapping, text, force=False)
        if account.problems:
            message = "written: complete the lines without a name, then run the same command again"
            account.refuse("", message, "E710", file=str(mapping))
    account.check()
    return account.finish(network, gather(network, found.filled, account), form)


def _own_stores(program: Program) -> Iterator[Store]:
    """Yield access to the models of the source that rnnspec writes for PyTorch, in each form."""
    backend = get("torch")
    for form in pipeline.forms_of(program, backend):
        if not refusals(backend, program.network, form):
            yield Store(backend, pipeline.arrange(program, backend, form))


def _read_own(
    weights: Mapping[str, StateDictEntry], stores: Sequence[Store]
) -> Mapping[str, Array] | None:
    """Return the canonical arrays in a state dict of rnnspec's own source, or None if it is not.

    Its names may be inside others: ``DistributedDataParallel`` and ``torch.compile`` add some.
    """
    prefix = ""
    while True:
        inside = {name.removeprefix(prefix): entry for name, entry in weights.items()}
        for store in stores:
            own = {f"{module}.{p}" for _, module, _, slot in store.places for p in slot.paths}
            if inside.keys() == own:
                read = {name: entry.read() for name, entry in inside.items()}
                # Arrays of other shapes are refused by what reads any file, with their modules.
                with suppress(UsageError):
                    return store.gather(NamedArrays(read))
        first, dot, _ = next(iter(inside), "").partition(".")
        if not dot or not all(name.startswith(f"{first}.") for name in inside):
            return None
        prefix += f"{first}."


def _check_sizes(weights: Mapping[str, StateDictEntry], size: int, path: Path) -> None:
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


def _leave(saved: StateDict, ignored: Collection[str], account: Account) -> None:
    for key in saved.beside:
        account.leave(key, reason="saved beside the state dict")
    for key in saved.others:
        account.leave(key, reason="not a tensor")
    for key, entry in saved.entries.items():
        if not entry.floating and key not in ignored:
            account.leave(key, reason="a buffer of integers")
