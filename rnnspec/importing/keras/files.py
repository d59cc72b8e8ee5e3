"""Files of Keras: the configuration, the arrays, and the spec if rnnspec wrote the file.

A model is never built from the configuration in a file, which can name code to run. In a ``.keras``
file that rnnspec wrote, it is compared with the configuration of the model built from the spec.
"""

from __future__ import annotations

import json
import zipfile
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from rnnspec.backends.model_files import Saved
from rnnspec.errors import UsageError, brief
from rnnspec.files.model import SPEC_KEY
from rnnspec.files.regular import opened
from rnnspec.importing.imported import Account, show_value
from rnnspec.importing.keras.arrays import Foreign, Named, Numbered, Version, arrays_of
from rnnspec.importing.keras.hdf5.file import Hdf5
from rnnspec.importing.keras.hdf5.stream import RATIO, ROOM

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from rnnspec.backends.model_files import Gather
    from rnnspec.backends.slots import Array
    from rnnspec.importing.imported import Imported
    from rnnspec.importing.keras.arrays import LayerArrays
    from rnnspec.importing.keras.hdf5.objects import Group
    from rnnspec.ir.nodes import Network

MODULES = ("keras", "tf_keras", "tensorflow")
"""The packages with Keras's own classes."""
ATTENDING = ("AttentionRNN", "SharingAttentionRNN")
"""The classes of recurrent layers that attend to another sequence, around a class of the cell."""
SHARING = "SharingRNN"
"""The class of the layer around a cell by equation."""
DEFINITION = "definition"
"""The key that the configuration of such a cell has."""
_LONGEST_CONFIG = 2**23  # as objects, JSON may take 30 times as much
_BLOCK = 2**20
_WEIGHTS = "model.weights.h5"
_PARTS = {"config.json", "metadata.json", _WEIGHTS}
_MOST_DIFFERENCES = 10


@dataclass(frozen=True, slots=True)
class StoredModel:
    """An open file: its form, the architecture if it has one, its version, and where arrays are.

    ``beside`` is true if there is more in it than Keras's own parts.
    """

    form: str
    file: Hdf5
    group: Group
    config: Any
    version: Version
    compiled: bool = False
    beside: bool = False

    def is_of_keras(self) -> bool:
        """True if a file of arrays has the marks that Keras leaves."""
        marks = ("layer_names", "layer_names0", "keras_version", "backend")
        if self.file.states(self.group, *marks):
            return True
        # Keras 3 numbers the arrays of each object in the folder vars.
        return any("vars" in path.split("/") for path, _ in self.file.arrays(self.group, ""))

    def match_arrays(
        self, account: Account, layers: Sequence[Foreign], with_arrays: Sequence[Foreign]
    ) -> LayerArrays:
        """Match the arrays to all ``layers``, of which some are ``with_arrays``."""
        if self.file.states(self.group, "layer_names", "layer_names0"):
            return Named(self.file, self.group, account, with_arrays)
        return Numbered(self.file, account, layers)


def is_of_keras(path: Path) -> bool:
    """True if an HDF5 file has an architecture, or the marks that Keras leaves.

    Raises:
        BackendError: pyfive is not installed.
        UsageError: the file cannot be read.
    """
    with open_model(path) as stored:
        return stored.config is not None or stored.is_of_keras()


@contextmanager
def open_model(path: Path) -> Iterator[StoredModel]:
    """Yield the contents of a file, whose arrays are read when they are used.

    Raises:
        BackendError: pyfive is not installed.
        UsageError: the file cannot be read.
    """
    with opened(path) as (stream, size):
        if zipfile.is_zipfile(stream):
            yield _model_in_archive(path, stream, size)
        else:
            yield _model_in_hdf5(Hdf5(path, stream, size, size))


def _model_in_hdf5(file: Hdf5) -> StoredModel:
    text = file.attribute(file.root, "model_config")
    group = file.group(file.root, "model_weights") or file.root
    version = file.attribute(file.root, "keras_version") or file.attribute(group, "keras_version")
    compiled = file.states(file.root, "training_config")
    compiled = compiled or file.inside(file.root, "optimizer_weights") is not None
    if text is None:
        return StoredModel("weights", file, group, None, Version.of(version), compiled)
    if not isinstance(text, str):
        raise file.wrong("attribute model_config: expected text")
    config = parse_json(text, file.path)
    return StoredModel("HDF5 file", file, group, config, Version.of(version), compiled)


def _model_in_archive(path: Path, stream: BinaryIO, size: int) -> StoredModel:
    try:
        with zipfile.ZipFile(stream) as archive:
            config = parse_json(_member(archive, "config.json"), path)
            metadata = parse_json(_member(archive, "metadata.json"), path, "the metadata")
            weights = _member(archive, _WEIGHTS, RATIO * size + ROOM)
            beside = not _PARTS.issuperset(archive.namelist())
    except UsageError:
        raise
    except KeyError as error:
        message = f"expected a .keras file, received an archive without its parts: {error}"
        raise UsageError(message, str(path)) from None
    # Besides BadZipFile, zipfile lets out what broken headers make of seek, decode and inflate.
    except Exception as error:
        message = f"expected a .keras file, received another or a part of one: {brief(error)}"
        raise UsageError(message, str(path)) from error
    version = metadata.get("keras_version") if isinstance(metadata, dict) else None
    compiled = isinstance(config, dict) and bool(config.get("compile_config"))
    file = Hdf5(path, weights, len(weights), size)
    return StoredModel(
        ".keras file", file, file.root, config, Version.of(version), compiled, beside
    )


def _member(archive: zipfile.ZipFile, name: str, most: int = _LONGEST_CONFIG) -> bytearray:
    """Return the bytes of a member, of which there are as many as it declares.

    ZipFile.read unpacks all there is, whatever size is declared, and so does any read of what is
    packed with bzip2 or LZMA.
    """
    member = archive.getinfo(name)
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{name}: expected deflate or no compression, received another")
    if member.file_size > most:
        raise ValueError(f"{name} has {member.file_size:,} bytes, at most {most:,} are read")
    data = bytearray()
    with archive.open(member) as stream:
        # To the end, where zipfile compares the checksum.
        while block := stream.read(_BLOCK):
            data += block
    if len(data) != member.file_size:
        raise ValueError(f"{name}: expected {member.file_size:,} bytes, received {len(data):,}")
    return data


def read_json(path: Path) -> Any:
    """Return the value in a JSON file.

    Raises:
        UsageError: it cannot be read, or is none.
    """
    with opened(path) as (stream, size):
        if size > _LONGEST_CONFIG:
            message = f"expected at most {_LONGEST_CONFIG:,} bytes, received {size:,}"
            raise UsageError(message, str(path))
        return parse_json(stream.read(), path)


def parse_json(text: str | bytes | bytearray, path: Path, what: str = "the architecture") -> Any:
    """Return the value of a JSON text.

    Raises:
        UsageError: it is none, too deep, or has a key twice.
    """
    if len(text) > _LONGEST_CONFIG:
        raise UsageError(
            f"{what} has {len(text):,} bytes, at most {_LONGEST_CONFIG:,} are read", str(path)
        )
    try:
        value = json.loads(text, object_pairs_hook=_unique)
        # Some tools wrap the text of to_json() in a string.
        return json.loads(value, object_pairs_hook=_unique) if isinstance(value, str) else value
    except (ValueError, RecursionError) as error:
        message = f"expected {what} as JSON, received other text: {brief(error)}"
        raise UsageError(message, str(path)) from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise ValueError("an object has a key twice")
    return value


def spec_text(path: Path) -> str:
    """Return the text of the spec in a ``.keras`` file, empty if it has none or cannot be read."""
    try:
        with opened(path) as (stream, _), zipfile.ZipFile(stream) as archive:
            metadata = parse_json(_member(archive, "metadata.json"), path)
    except Exception:  # noqa: BLE001 - what is wrong is said when the whole file is read
        return ""
    text = metadata.get(SPEC_KEY) if isinstance(metadata, dict) else None
    return text if isinstance(text, str) else ""


def saved(path: Path, network: Network) -> SavedFile:
    """Return the arrays of a network in a file, and the configuration beside them."""
    account = Account(str(path))
    with open_model(path) as stored:
        if stored.compiled:
            account.leave("optimizer, loss and metrics")
        order = _names(stored.config)
        imported = arrays_of(
            account, stored.form, stored.version, network, stored.match_arrays, order
        )
        return SavedFile(imported, stored.config)


def _names(config: Any) -> list[str]:
    """Return the names of the layers of a model in their order in its file."""
    match config:
        case {"config": {"layers": [*layers]}}:
            return [
                str(layer["config"].get("name"))
                for layer in layers
                if isinstance(layer, dict) and isinstance(layer.get("config"), dict)
            ]
        case _:
            return []


@dataclass(frozen=True, slots=True)
class SavedFile(Saved):
    """The arrays in a file, and its configuration, of which nothing is built."""

    imported: Imported
    config: Any

    @property
    def tool(self) -> str:
        """The kind of file and the version of Keras that wrote it, in words."""
        return self.imported.form

    @property
    def left_out(self) -> tuple[str, ...]:
        """Sentences on what is not carried over."""
        return self.imported.left_out

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes of generated source that the file names."""
        return generated_classes(self.config)

    def gather(self, gather: Gather) -> Mapping[str, Array]:  # noqa: ARG002
        """Return the canonical arrays, which were found by the layers of the network."""
        return self.imported.arrays

    def problem(self, text: str, fresh: Callable[[], Any]) -> str:  # noqa: ARG002
        """Return how the configuration differs from that of a live model, empty if it does not.

        Shapes of arrays do not show activations, masks or dropout, so the configuration decides.
        """
        problems = _first_differences(fresh(), self.config)
        return f"this is not the model of the spec: {'; '.join(problems)}" if problems else ""

    def unlike(self, text: str, fresh: Callable[[], Any]) -> tuple[str, ...]:  # noqa: ARG002
        """Return a class that the live model has not: what ``problem`` skips may name code."""
        objects = list(_objects(_config(fresh())))
        live = {str(settings.get("class_name")) for settings in objects}
        name = unknown_class(self.config, live, generated_classes(objects))
        return (f"the file names {show_value(name)}, which is not opened here",) if name else ()


def is_unchanged(model: Any, fresh: Any) -> bool:
    """True if a live model has the configuration of another one."""
    return not _first_differences(fresh, _config(model))


def _first_differences(fresh: Any, config: Any) -> list[str]:
    try:
        return list(islice(differences(_config(fresh), config), _MOST_DIFFERENCES))
    except ConfigError as error:
        return [str(error)]


def _config(model: Any) -> Any:
    return json.loads(model.to_json())


# Precision, inferred shapes, training settings and ids of this process: not architecture.
_IGNORED = {"dtype", "build_config", "compile_config", "shared_object_id"}


class ConfigError(Exception):
    """A value that is not the configuration of a functional or a sequential model."""


def differences(expected: Any, received: Any) -> Iterator[str]:
    """Yield each difference: the layer, the key, what was expected and what was received.

    Keys that only one side has are skipped: versions of Keras differ in them.

    Raises:
        ConfigError: ``received`` is not the configuration of such a model.
    """
    form, layers, parts = _parts(expected)
    other_form, others, other_parts = _parts(received)
    if form != other_form:
        yield f"model: expected {form}, received {other_form}"
    elif layers != others:
        yield from (f"missing layer {layer}" for layer in layers if layer not in others)
        yield from (f"unexpected layer {layer}" for layer in others if layer not in layers)
        if sorted(layers) == sorted(others):
            yield f"layers: expected the order {', '.join(layers)}, received {', '.join(others)}"
    else:
        for (where, one), (_, other) in zip(parts, other_parts, strict=True):
            yield from _differences_at(where, one, other)


def _parts(config: Any) -> tuple[str, list[str], list[tuple[str, Any]]]:
    """Return the form of a model, its layers in words, and everything that is compared, by name.

    Names that Keras numbers per process are replaced by positions.
    """
    match config:
        case {
            "class_name": "Functional" | "Sequential" as form,
            "config": {"layers": [*members]} as inside,
        }:
            layers = [_with_name(layer) for layer in members]
        case _:
            raise _unknown_form()
    # Operations are not layers of the spec.
    names = [
        f"{layer['class_name']}, layer {at}" if ".ops." in str(layer["module"]) else layer["name"]
        for at, layer in enumerate(layers)
    ]
    aliases = {layer["name"]: name for layer, name in zip(layers, names, strict=True)}

    def rename(value: Any) -> Any:
        match value:
            case dict():
                return {key: rename(inner) for key, inner in value.items()}
            # Keras refers to the output of a layer as [layer, node, tensor].
            case [str(name), *rest]:
                return [aliases.get(name, name), *rest]
            case list():
                return [rename(inner) for inner in value]
            case _:
                return value

    parts = [(key, rename(inside.get(key))) for key in ("input_layers", "output_layers")]
    for name, layer in zip(names, layers, strict=True):
        settings = {**layer["config"], **layer}
        for key in ("name", "config"):
            settings.pop(key)
        parts.append((name, settings | {"inbound_nodes": rename(layer.get("inbound_nodes"))}))
    kinds = [f"{name} ({layer['class_name']})" for name, layer in zip(names, layers, strict=True)]
    return form, kinds, parts


def _with_name(layer: Any) -> dict[str, Any]:
    match layer:
        case {"module": _, "class_name": str(), "name": str(), "config": dict()}:
            return dict(layer)
        # In a Sequential model, the name of a layer is in its own configuration.
        case {"module": _, "class_name": str(), "config": {"name": str(name)}}:
            return {**layer, "name": name}
        case _:
            raise _unknown_form()


def _unknown_form() -> ConfigError:
    expected = "expected a functional or a sequential model"
    return ConfigError(f"{expected}, received another configuration")


def _differences_at(where: str, expected: Any, received: Any) -> Iterator[str]:
    # Keras generates the name of a layer inside a wrapper, and numbers it per process.
    if where.endswith(("_layer.config.name", ".layer.config.name", ".cell.config.name")):
        return
    match expected, received:
        case dict(), dict():
            for key in expected:
                # The module of a registered class is that of the source, wherever it is.
                registered = key == "module" and expected.get("registered_name")
                if key in received and key not in _IGNORED and not registered:
                    yield from _differences_at(f"{where}.{key}", expected[key], received[key])
        case list(), list() if len(expected) == len(received):
            for index, (one, other) in enumerate(zip(expected, received, strict=True)):
                yield from _differences_at(f"{where}[{index}]", one, other)
        case _:
            # In Python, True == 1, but a flag is not a number.
            if isinstance(expected, bool) != isinstance(received, bool) or expected != received:
                yield f"{where}: expected {brief(repr(expected))}, received {brief(repr(received))}"


_KNOWN = {
    *("__keras_tensor__", "__slice__", "__numpy__", "DTypePolicy", "Policy", "PolicyV1"),
    *("Zeros", "Ones", "Constant", "Identity", "Orthogonal", "OrthogonalInitializer"),
    *("VarianceScaling", "RandomNormal", "RandomUniform", "TruncatedNormal"),
    *("GlorotUniform", "GlorotNormal", "HeUniform", "HeNormal", "LecunUniform", "LecunNormal"),
    *("L1", "L2", "L1L2", "MaxNorm", "MinMaxNorm", "NonNeg", "UnitNorm"),
}
"""Classes of Keras's own that are no layers."""


def is_generated(layer: Mapping[str, Any]) -> bool:
    """True if an object is of a class that generated source has for cells by equation."""
    kind, registered = layer.get("class_name"), layer.get("registered_name")
    if not isinstance(registered, str) or registered.rpartition(">")[2] != kind:
        return False
    config = layer.get("config")
    return isinstance(config, dict) and (is_of_source(str(kind)) or DEFINITION in config)


def is_of_source(kind: str) -> bool:
    """True for the name of a class that generated source has beside those of cells."""
    return kind in ATTENDING or kind == SHARING or kind.endswith("AttentionWrapper")


def generated_classes(config: Any) -> tuple[str, ...]:
    """Return the classes of generated source in a configuration, by their registered names."""
    names = (str(value["registered_name"]) for value in _objects(config) if is_generated(value))
    return tuple(dict.fromkeys(names))


def unknown_class(config: Any, known: Iterable[str], own: Collection[str] = ()) -> str:
    """Return a class in a configuration that Keras would look up elsewhere, empty if none is.

    The settings that are not carried over, such as regularizers, name classes too. ``known`` are
    the classes of layers, and ``own`` those of generated source, by their registered names.
    """
    known = {*_KNOWN, *known}
    for settings in _objects(config):
        if is_generated(settings) and settings["registered_name"] in own:
            continue
        name, module = settings.get("class_name"), settings.get("module")
        registered = settings.get("registered_name")
        for text in (name, module, registered):
            if not isinstance(text, str | None):
                return show_value(text)
        if module is not None and module.partition(".")[0] not in MODULES:
            return f"{module}.{name}"
        if registered not in (None, name):
            return str(registered)
        if name is not None and name not in known:
            return str(name)
    return ""


def _objects(config: Any) -> Iterator[dict[str, Any]]:
    """Yield every object in a configuration that a model needs to be opened without compiling."""
    # Keras leaves out how the whole model was compiled, but compiles the models in it.
    # Source: keras/src/saving/serialization_lib.py, deserialize_keras_object.
    whole = isinstance(config, dict)
    waiting = [{**config, "compile_config": None} if whole else config]
    while waiting:
        match waiting.pop():
            case dict() as value:
                yield value
                waiting += value.values()
            case list() as value:
                waiting += value
            case _:
                pass
