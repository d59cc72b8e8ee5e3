"""Reading of ONNX files that rnnspec wrote: the spec in the metadata, and the initializers.

The file is read as data, by the package ``onnx``: nothing is run, and no other file is opened.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rnnspec.backends.base import Held
from rnnspec.backends.kept import Saved
from rnnspec.backends.onnx.arrays import found, others
from rnnspec.backends.onnx.names import array_of
from rnnspec.errors import BackendError, UsageError, brief
from rnnspec.files.regular import opened

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from pathlib import Path

    from rnnspec.backends.kept import KeptInModel
    from rnnspec.slots import Array

SPEC = "rnnspec"
"""The key of the spec's text in the metadata, as in canonical files."""


@dataclass(frozen=True, slots=True)
class KeptInFile:
    """The initializers of a file."""

    weights: Mapping[str, Array]

    def held(self, layer: str, path: str) -> Held:
        """Return the dtype and shape of the array at ``path`` of a layer."""
        array = found(self.weights, layer, path)
        return Held(array.dtype.name, array.shape)

    def others(self, known: Collection[tuple[str, str]]) -> dict[str, tuple[int, ...]]:
        """Return the shapes of all arrays that are not at a known (layer, path), by name."""
        return others(self.weights, known)

    def get(self, layer: str, path: str) -> Array:
        """Return a copy of the array at ``path`` of a layer."""
        return found(self.weights, layer, path).copy()


def recognises(path: Path) -> bool:
    """Return whether the path has the ending of ONNX files."""
    return path.suffix.lower() == ".onnx" and not path.is_dir()


def files(path: Path) -> tuple[Path, ...]:
    """Return the one file."""
    return (path,)


def spec_text(path: Path) -> str:
    """Return the text of the spec in the metadata.

    Raises:
        UsageError: the file cannot be read, or rnnspec did not write it.
    """
    return _text(_proto(path), path)


def saved(path: Path, fresh: Callable[[], KeptInModel]) -> Saved:  # noqa: ARG001
    """Return the initializers."""
    proto = _proto(path)
    _text(proto, path)
    return Saved(KeptInFile(_weights(proto, path)))


def writer(path: Path) -> str:
    """Return the name and version of the tool that wrote a file."""
    return _writer(_proto(path))


def has_graph(path: Path, source: str) -> bool:
    """Return whether the nodes of a file are those of a source."""
    from onnx import parser

    graph, wanted = _proto(path).graph, parser.parse_model(source).graph
    kept = {each.name: each for each in graph.initializer if not array_of(each.name)[0]}
    constants = {each.name: each for each in wanted.initializer}
    return list(graph.node) == list(wanted.node) and kept == constants


def _proto(path: Path) -> Any:
    try:
        import onnx
    except ImportError as error:
        raise BackendError("reading ONNX files needs onnx: pip install onnx") from error
    from google.protobuf.message import DecodeError

    with opened(path) as (stream, _):
        data = stream.read()
    proto = onnx.ModelProto()
    try:
        proto.ParseFromString(data)
    except DecodeError as error:
        raise UsageError("expected an ONNX file, received other bytes", str(path)) from error
    if not proto.graph.node:
        raise UsageError("expected an ONNX file, received one without a graph", str(path))
    return proto


def _writer(proto: Any) -> str:
    return f"{proto.producer_name} {proto.producer_version}".strip()


def _text(proto: Any, path: Path) -> str:
    text = next((each.value for each in proto.metadata_props if each.key == SPEC), "")
    if proto.producer_name != "rnnspec" or not text:
        by = f" of {brief(_writer(proto))}" if proto.producer_name else ""
        message = (
            f"expected an ONNX file that rnnspec wrote, with the spec in it, received one{by}; "
            "import the file that it was exported from"
        )
        raise UsageError(message, str(path))
    return str(text)


def _weights(proto: Any, path: Path) -> dict[str, Array]:
    from onnx import TensorProto, numpy_helper

    weights = dict[str, "Array"]()
    for each in proto.graph.initializer:
        if not array_of(each.name)[0]:
            continue
        if each.data_location == TensorProto.EXTERNAL:
            message = f"{brief(each.name)}: expected its numbers in this file, not in another one"
            raise UsageError(message, str(path))
        try:
            weights[each.name] = numpy_helper.to_array(each)
        except (ValueError, TypeError, KeyError) as error:
            message = f"{brief(each.name)}: its numbers cannot be read: {brief(str(error))}"
            raise UsageError(message, str(path)) from error
    return weights
