"""A model of Keras as a network and its canonical arrays, from a file or live."""

from __future__ import annotations

import re
import sys
import warnings
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnspec.backends.keras.outputs import engine, output_of
from rnnspec.errors import UsageError, brief, listed
from rnnspec.importing.imported import Account, Imported, show_value
from rnnspec.importing.keras.arrays import (
    Foreign,
    LayerArrays,
    Version,
    arrays_of,
    canonical,
    snake,
    stored_of,
)
from rnnspec.importing.keras.chain import place_pieces
from rnnspec.importing.keras.draft import KerasDraft
from rnnspec.importing.keras.files import (
    StoredModel,
    generated_classes,
    open_model,
    read_json,
    unknown_class,
)
from rnnspec.importing.keras.graph import layers_of
from rnnspec.importing.keras.hdf5.file import StoredArray
from rnnspec.importing.keras.layers import CLASSES, OPERATIONS, pieces_of
from rnnspec.importing.keras.pieces import has_arrays
from rnnspec.importing.keras.recurrent import CELLS
from rnnspec.ir import nodes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from rnnspec.backends.slots import Array, Batch
    from rnnspec.importing.imported import Imported
    from rnnspec.importing.keras.arrays import MatchArrays


@dataclass(frozen=True, slots=True)
class Description:
    """The configuration of a model, the version of Keras and the form of file it is from.

    ``name`` is that of the network.
    """

    form: str
    version: Version
    config: Any
    name: str


def read_model(account: Account, description: Description, match: MatchArrays) -> Imported:
    """Return the model with a configuration.

    Raises:
        ModelError: something in it is not supported, or arrays are not those of its layers.
        UsageError: this is no configuration of a model.
    """
    layers = layers_of(account, description.config)
    version = _version(account, description, layers.layers)
    read = {layer.name: pieces_of(account, version, layer) for layer in layers.layers}
    pieces = [piece for several in read.values() for piece in several]
    if not layers.ordered:
        account.check()
        raise AssertionError("what has no order was refused")
    draft = KerasDraft(account, pieces, layers.inputs, layers.outputs)
    if account.problems:
        # Its arrays may be those of other layers, but its places can be looked at.
        place_pieces(draft, None)
        account.check()
    with_arrays = [layer for layer in layers.in_file if has_arrays(read[layer.name][0])]
    arrays = match(account, layers.in_file, with_arrays)
    place_pieces(draft, partial(_features, arrays))
    account.check()
    network = draft.assemble(description.name)
    trained = canonical(account, draft.placed, arrays)
    account.check()
    form, names = f"{description.form} of {version}", _chosen_names(draft)
    imported = account.finish(network, trained, form, names, opener="keras")
    own = {draft.input_names[layer]: name for name, layer in layers.inputs}
    return replace(imported, inputs=own, padded_at_end=draft.padded_at_end)


def _version(account: Account, description: Description, layers: Sequence[Foreign]) -> Version:
    """Return the version whose defaults and activations hold: the configuration's own, if stated.

    The text of ``to_json`` states none since Keras 3, whose settings show it.
    """
    config = description.config
    stated = config.get("keras_version") if isinstance(config, dict) else None
    version = Version.of(stated)
    if not version.text and any(map(_is_of_keras_3, layers)):
        known = description.version.major >= 3
        version = description.version if known else Version("3, by its settings", 3, 0)
    version = version if version.text else description.version
    if not version.text:
        account.infer(f"the file states no version; its defaults are read as those of {version}")
    if version.major < 2:
        message = f"expected Keras 2 or 3, received {version}: load and save it with Keras 2 first"
        account.refuse("model", message, "E702")
    return version


def _is_of_keras_3(layer: Foreign) -> bool:
    match layer.config:
        case {"batch_shape": _} | {"dtype": {"class_name": "DTypePolicy"}}:
            return True
        case _:
            return False


def _features(arrays: LayerArrays, layer: Foreign) -> int | None:
    """Return the number of features that go into a layer, by its first array."""
    stored = stored_of(arrays, layer)
    shape = stored[0].shape if stored else ()
    return shape[max(len(shape) - 2, 0)] if 1 <= len(shape) <= 3 else None


def _chosen_names(draft: KerasDraft) -> dict[str, str]:
    """Return the names in the file by those of the nodes, without those that Keras made up."""
    names = {}
    for placed in draft.placed:
        made_up = re.fullmatch(rf"{snake(placed.layer.kind)}(_?\d+)?", placed.layer.name)
        match placed.node:
            case nodes.Join(output=output):
                # A list of poolings is a join of vectors, and has no name.
                named = len(output) > 1
            case node:
                named = isinstance(node, _WITH_NAMES)
        if named and not made_up:
            names[placed.node.name] = placed.layer.name
    return names


_WITH_NAMES = (
    nodes.Embedding,
    nodes.Recurrent,
    nodes.Repeat,
    nodes.Dense,
    nodes.Conv,
    nodes.WindowPooling,
    nodes.BatchNorm,
)
"""The nodes whose names in the file are worth keeping."""

LAYERS = frozenset(
    {
        *(*CLASSES, *OPERATIONS, *CELLS, "StackedRNNCells", "Sequential", "Functional", "Model"),
        *("NotEqual", "Any", "LogicalOr", "LogicalAnd", "ConvertToTensor"),
        *("ExpandDims", "ZerosLike", "OnesLike", "Pipeline", "Rescaling"),
    }
)
"""The classes of layers and operations of Keras's own that a file may name to be opened."""


def read_file(
    path: Path,
    name: str,
    config: Path | None = None,
    known: nodes.Network | None = None,
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
        ModelError: something in it is not supported, or arrays are not those of its layers.
        UsageError: the file cannot be read, or has no architecture and none was given.
    """
    account = Account(str(path), ignore)
    separate = None if config is None else read_json(config)
    with open_model(path) as stored:
        architecture = stored.config if separate is None else separate
        if architecture is not None:
            if stored.compiled:
                account.leave("optimizer, loss and metrics")
            own = generated_classes(stored.config)
            _check_opening(account, stored, separate, own)
            description = Description(stored.form, stored.version, architecture, name)
            read = read_model(account, description, stored.match_arrays)
            return replace(read, classes=own)
        if not stored.is_of_keras():
            paths = islice(stored.file.arrays(stored.group, ""), 4)
            names = [show_value(path) for path, _ in paths]
            what = f"another program's, with {listed(names)}" if names else "one without arrays"
            raise UsageError(f"expected an HDF5 file of Keras, received {what}", str(path))
        if known is not None:
            return arrays_of(account, stored.form, stored.version, known, stored.match_arrays)
    way_out = "pass that of model.to_json() with --config, or the spec of the model with --spec"
    raise UsageError(f"contains arrays and no architecture; {way_out}", str(path))


def _check_opening(
    account: Account, stored: StoredModel, separate: Any, own: Sequence[str]
) -> None:
    """Record why Keras shall not open the file, if there is a reason."""
    if separate is not None:
        account.differ("the architecture is in another file")
    elif stored.beside:
        account.differ("the file has more parts than are read here")
    elif unknown := unknown_class(stored.config, LAYERS, own):
        account.differ(f"the file names {show_value(unknown)}, which is not opened here")


def _live_arrays(model: Any, prefix: str = "") -> Iterator[tuple[str, list[StoredArray]]]:
    """Yield each layer of a live model with its arrays."""
    for layer in model.layers:
        name = f"{prefix}{layer.name}"
        if hasattr(layer, "layers"):  # a model inside the model
            yield from _live_arrays(layer, f"{name}.")
            continue
        # get_weights has them in Keras's order, without the states of random numbers.
        arrays = [np.asarray(array) for array in layer.get_weights()]
        yield (
            name,
            [StoredArray(f"{name}/{i}", array.shape, array.copy) for i, array in enumerate(arrays)],
        )


def read_live(model: Any, name: str, version: str) -> Imported:
    """Return a live model as ``name``.

    Raises:
        ModelError: something in it is not supported.
        UsageError: its configuration cannot be read.
    """
    account = Account("model")
    try:
        config = {"class_name": type(model).__name__, "config": model.get_config()}
        arrays = LayerArrays(dict(_live_arrays(model)))
    except Exception as error:  # a subclassed model, or one that is not built
        message = f"expected a built model, received an error: {brief(error)}"
        raise UsageError(message, "model") from error
    description = Description("model", Version.of(version), config, name)
    return read_model(account, description, lambda *_: arrays)


def framework(model: Any, version: str) -> str:
    """Return the Keras that a live model is of, with its version and its engine."""
    keras = sys.modules.get("keras")
    if keras is not None and isinstance(model, keras.Model):
        return f"Keras {version} on {engine(keras)}"
    return f"tf_keras {version}"


def output(model: Any, inputs: Batch) -> Array:
    """Return the output of a live model in inference, which stays as it is.

    A model may take batches of one size only.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = output_of(model, partial(_call_model, model), inputs)
    # NumPy has no bfloat16: the dtype that ml_dtypes adds is of the kind V, as void is.
    return result.astype(np.float32) if result.dtype.kind == "V" else result


def _call_model(model: Any, batch: Array) -> Any:
    """Return the output of a model, or its outputs, as arrays."""
    keras = sys.modules.get("keras")
    if keras is None or not isinstance(model, keras.Model):
        return model(batch, training=False)
    # Without a state, nothing is kept of the call, such as a compiled function for predictions.
    trained = [variable.value for variable in model.trainable_variables]
    others = [variable.value for variable in model.non_trainable_variables]
    call = partial(model.stateless_call, training=False)
    if engine(keras) == "jax":
        # Compiled as a whole: operation by operation, it takes many times as long.
        call = sys.modules["jax"].jit(call)
    outputs, _ = call(trained, others, batch)
    return keras.tree.map_structure(keras.ops.convert_to_numpy, outputs)
