"""Files of Keras: ``.h5`` and ``.hdf5`` with or without the architecture, and ``.keras``."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from rnnspec.backends.imported import Account, Imported, show_value
from rnnspec.backends.keras.arrays import arrays_of
from rnnspec.backends.keras.read import StoredModel, open_model, read_json, unknown_class
from rnnspec.errors import UsageError, listed
from rnnspec.importing.keras.layers import CELLS, CLASSES, OPERATIONS
from rnnspec.importing.keras.model import Description, read_model

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rnnspec.ir.nodes import Network

LAYERS = frozenset(
    {
        *(*CLASSES, *OPERATIONS, *CELLS, "StackedRNNCells", "Sequential", "Functional", "Model"),
        *("NotEqual", "Any", "LogicalOr", "LogicalAnd", "ConvertToTensor"),
    }
)
"""The classes of layers and operations of Keras's own that a file may name to be opened."""


def read(
    path: Path,
    name: str,
    config: Path | None = None,
    known: Network | None = None,
    ignore: Sequence[str] = (),
) -> Imported:
    """Return the model in a file, as ``name``.

    Args:
        path: the file.
        name: the name of the network.
        config: a file with the architecture, as ``model.to_json()`` writes it.
        known: the network whose arrays a file without architecture has.
        ignore: patterns of the arrays that are left out.

    Raises:
        BackendError: pyfive is not installed.
        ModelError: the language lacks something in it, or arrays are not those of its layers.
        UsageError: the file cannot be read, or has no architecture and none was given.
    """
    account = Account(str(path), ignore)
    separate = None if config is None else read_json(config)
    with open_model(path) as found:
        architecture = found.config if separate is None else separate
        if architecture is not None:
            if found.compiled:
                account.leave("optimizer, loss and metrics")
            _check_opening(account, found, separate)
            given = Description(found.form, found.version, architecture, name)
            return read_model(account, given, found.source)
        if not found.is_of_keras():
            names = [show_value(path) for path, _ in islice(found.file.arrays(found.group, ""), 4)]
            what = f"another program's, with {listed(names)}" if names else "one without arrays"
            raise UsageError(f"expected an HDF5 file of Keras, received {what}", str(path))
        if known is not None:
            return arrays_of(account, found.form, found.version, known, found.source)
    wanted = "pass that of model.to_json() with --config, or the spec of the model with --spec"
    raise UsageError(f"contains arrays and no architecture; {wanted}", str(path))


def _check_opening(account: Account, found: StoredModel, separate: Any) -> None:
    """Record why Keras shall not open the file, if there is a reason."""
    if separate is not None:
        account.differ("the architecture is in another file")
    elif found.beside:
        account.differ("the file has more parts than are read here")
    elif unknown := unknown_class(found.config, LAYERS):
        account.differ(f"the file names {show_value(unknown)}, which is not opened here")
