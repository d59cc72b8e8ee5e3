"""Reading of ONNX files that rnnspec wrote: the spec in the metadata, and the initializers.

The file is read as data, by the package ``onnx``: nothing is run, and no other file is opened.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rnnspec.backends.contract import DEFAULTS, ArrayType, SourceOptions
from rnnspec.backends.kept import Reader
from rnnspec.backends.onnx.contents import ArrayError, Contents, load
from rnnspec.backends.onnx.slots import FORM, array_of, find_array, other_shapes
from rnnspec.errors import UsageError, brief

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from pathlib import Path

    from rnnspec.backends.kept import Kept
    from rnnspec.ir.nodes import Network
    from rnnspec.slots import Array
    from rnnspec.source.code import Source

SPEC = "rnnspec"
"""The key of the spec's text in the metadata, as in canonical files."""
QUANTIZED = "rnnspec.quantized"
"""The key that says to which type the arrays were rounded."""


@dataclass(frozen=True, slots=True)
class KeptInFile:
    """The initializers of a file."""

    weights: Mapping[str, Array]

    def array_type(self, layer: str, path: str) -> ArrayType:
        """Return the dtype and shape of the array at ``path`` of a layer."""
        array = find_array(self.weights, layer, path)
        return ArrayType(array.dtype.name, array.shape)

    def other_shapes(self, known: Collection[tuple[str, str]]) -> dict[str, tuple[int, ...]]:
        """Return the shapes of all arrays that are not at a known (layer, path), by name."""
        return other_shapes(self.weights, known)

    def get(self, layer: str, path: str) -> Array:
        """Return a copy of the array at ``path`` of a layer."""
        return find_array(self.weights, layer, path).copy()


@dataclass(frozen=True, slots=True)
class OwnFile:
    """An ONNX file that rnnspec wrote."""

    contents: Contents

    @property
    def proto(self) -> Any:
        """The message of the file."""
        return self.contents.proto

    @property
    def spec(self) -> str:
        """The text of the spec in the metadata."""
        return _word(self.proto, SPEC)

    @property
    def form(self) -> str:
        """The form of source that the graph was made from."""
        return _word(self.proto, FORM) or "inference"

    @property
    def tool(self) -> str:
        """The kind of file and what wrote it, in words."""
        return f"ONNX file of {self.contents.writer}"

    @property
    def options(self) -> SourceOptions:
        """No options: source of this backend has none."""
        return DEFAULTS

    @property
    def left_out(self) -> tuple[str, ...]:
        """Nothing: a graph has no training."""
        return ()

    def gather(self, gather: Callable[[Kept], Mapping[str, Array]]) -> Mapping[str, Array]:
        """Return the canonical arrays in the initializers.

        Raises:
            UsageError: they cannot be read, or are others.
        """
        return gather(KeptInFile(_weights(self.contents)))

    def written(self, text: str, source: Source) -> str:  # noqa: ARG002
        """Return the source: a file has none."""
        return text

    def problem(self, text: str, fresh: Callable[[], Any]) -> str:  # noqa: ARG002
        """Return why the graph of the file, without its weights, is not that of the source."""
        from onnx import parser

        one, other = self.proto, parser.parse_model(text)
        # All that ONNX Runtime runs: it is given the file without a limit on its memory.
        same = _constants(one.graph) == _constants(other.graph) and all(
            list(getattr(one.graph, part)) == list(getattr(other.graph, part))
            for part in ("node", "input", "output", "sparse_initializer")
        )
        same = same and all(
            list(getattr(one, part)) == list(getattr(other, part))
            for part in ("opset_import", "functions", "training_info")
        )
        changed = "it was changed, or another version of rnnspec wrote it"
        return "" if same else f"its graph is not that of the spec in it: {changed}"

    def unlike(self, text: str, fresh: Callable[[], Any]) -> tuple[str, ...]:  # noqa: ARG002
        """Return no reason: a graph of ours can be run."""
        return ()


def own(path: Path) -> OwnFile:
    """Return the content of a file.

    Raises:
        BackendError: the package ``onnx`` is not installed.
        UsageError: the file cannot be read, rnnspec did not write it, or it is quantized.
    """
    contents = load(path)
    proto = contents.proto
    if not _is_ours(proto):
        by = f" of {brief(contents.writer)}" if proto.producer_name else ""
        message = (
            f"expected an ONNX file that rnnspec wrote, with the spec in it, received one{by}; "
            "import the model that it was exported from"
        )
        raise UsageError(message, str(path))
    if kind := _word(proto, QUANTIZED):
        message = (
            f"expected exact arrays, received arrays rounded to {brief(kind)}; "
            "import the model that it was quantized from"
        )
        raise UsageError(message, str(path))
    return OwnFile(contents)


def is_own(path: Path) -> bool:
    """Return whether rnnspec wrote a file, with its spec in it.

    Raises:
        BackendError: the package ``onnx`` is not installed.
        UsageError: the file cannot be read.
    """
    return _is_ours(load(path).proto)


def is_quantized(path: Path) -> bool:
    """Return whether a file of rnnspec says that its arrays are rounded.

    Raises:
        BackendError: the package ``onnx`` is not installed.
        UsageError: the file cannot be read.
    """
    return bool(_word(load(path).proto, QUANTIZED))


def recognises(path: Path) -> bool:
    """Return whether the path has the ending of ONNX files."""
    return path.suffix.lower() == ".onnx" and not path.is_dir()


def files(path: Path) -> tuple[Path, ...]:
    """Return the one file."""
    return (path,)


def spec_text(path: Path) -> str:
    """Return the text of the spec in the metadata."""
    return own(path).spec


def saved(path: Path, network: Network) -> OwnFile:  # noqa: ARG001 - the graph says enough
    """Return the content of a file."""
    return own(path)


def _is_ours(proto: Any) -> bool:
    return bool(proto.producer_name == "rnnspec" and _word(proto, SPEC))


def _word(proto: Any, key: str) -> str:
    """Return the text of a key in the metadata, empty if there is none."""
    found = (each.value for each in proto.metadata_props if each.key == key)
    # Text that is not UTF-8 is bytes here.
    return next((each for each in found if isinstance(each, str)), "")


def _constants(graph: Any) -> dict[str, Any]:
    return {each.name: each for each in graph.initializer if not array_of(str(each.name))[0]}


def _weights(contents: Contents) -> dict[str, Array]:
    from onnx import TensorProto

    weights, path = dict[str, "Array"](), str(contents.path)
    for each in contents.proto.graph.initializer:
        if not array_of(str(each.name))[0]:
            continue
        if each.data_location == TensorProto.EXTERNAL:
            message = f"{brief(each.name)}: expected its numbers in this file, not in another one"
            raise UsageError(message, path)
        try:
            weights[each.name] = contents.array(each)
        except ArrayError as error:
            message = f"{brief(each.name)}: its numbers cannot be read: {error}"
            raise UsageError(message, path) from error
    return weights


READER = Reader(recognises=recognises, files=files, spec_text=spec_text, saved=saved)
