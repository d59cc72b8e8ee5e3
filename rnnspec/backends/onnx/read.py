"""Reading of ONNX files that rnnspec wrote: the spec in the metadata, and the initializers.

The file is read as data, by the package ``onnx``: nothing is run, and no other file is opened.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rnnspec.backends.contract import ArrayType
from rnnspec.backends.model_files import FileReader, Saved
from rnnspec.backends.onnx.contents import Contents, UnreadableArrayError, load
from rnnspec.backends.onnx.slots import BEGIN, FORM, array_of, find_array, other_shapes
from rnnspec.errors import UsageError, brief, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from pathlib import Path

    from rnnspec.backends.model_files import Gather
    from rnnspec.backends.slots import Array
    from rnnspec.ir.nodes import Network

SPEC = "rnnspec"
"""The key of the spec's text in the metadata, as in canonical files."""
QUANTIZED = "rnnspec.quantized"
"""The key that says to which type the arrays were rounded."""


@dataclass(frozen=True, slots=True)
class InitializerArrays:
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
class OwnFile(Saved):
    """An ONNX file that rnnspec wrote, and the one that is run before it if there is one."""

    contents: Contents
    begin: Contents | None = None

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

    def gather(self, gather: Gather) -> Mapping[str, Array]:
        """Return the canonical arrays in the initializers.

        Raises:
            UsageError: they cannot be read, or are others.
        """
        files = filter(None, (self.contents, self.begin))
        return gather(
            InitializerArrays({k: v for file in files for k, v in _weights(file).items()})
        )

    def problem(self, text: str, fresh: Callable[[], Any]) -> str:  # noqa: ARG002
        """Return why a graph of the files, without its weights, is not that of the source."""
        from onnx import parser

        protos = [file.proto for file in (self.contents, self.begin) if file]
        sources = map(parser.parse_model, split_models(text))
        problems = (_graph_problem(*pair) for pair in zip(protos, sources, strict=False))
        return next(filter(None, problems), "")


def read_own_file(path: Path) -> OwnFile:
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
    if _word(proto, FORM) == BEGIN:
        message = "expected the file of the chunks, received the one that is run before it"
        raise UsageError(f"{message}; import the file without '_begin' in its name", str(path))
    if not _word(proto, BEGIN):
        return OwnFile(contents)
    begin = begin_path(path)
    if not begin.is_file():
        message = f"expected {printable(begin.name)} beside it, which is run before it"
        raise UsageError(f"{message}; received no such file", str(path))
    return OwnFile(contents, load(begin))


def is_own(path: Path) -> bool:
    """True if rnnspec wrote a file, with its spec in it.

    Raises:
        BackendError: the package ``onnx`` is not installed.
        UsageError: the file cannot be read.
    """
    return _is_ours(load(path).proto)


def is_quantized(path: Path) -> bool:
    """True if a file of rnnspec says that its arrays are rounded.

    Raises:
        BackendError: the package ``onnx`` is not installed.
        UsageError: the file cannot be read.
    """
    return bool(_word(load(path).proto, QUANTIZED))


def recognises(path: Path) -> bool:
    """True if the path has the ending of ONNX files."""
    return path.suffix.lower() == ".onnx" and not path.is_dir()


def files(path: Path) -> tuple[Path, ...]:
    """Return the one file, and the one that is run before it if there is one."""
    begin = begin_path(path)
    if begin.is_file() and _word(load(path).proto, BEGIN):
        return (path, begin)
    return (path,)


def spec_text(path: Path) -> str:
    """Return the text of the spec in the metadata."""
    return read_own_file(path).spec


def saved(path: Path, network: Network) -> OwnFile:  # noqa: ARG001 - the graph says enough
    """Return the content of a file."""
    return read_own_file(path)


def split_models(text: str) -> list[str]:
    """Return the texts of the graphs in a source, each of which ends in a line with a brace."""
    return [f"{part}\n}}\n" for part in text.split("\n}\n") if part.strip()]


def begin_path(path: Path) -> Path:
    """Return the path of the file that is run before the first chunk, beside that of the chunks."""
    return path.with_name(f"{path.stem}_begin{path.suffix}")


def _graph_problem(one: Any, other: Any) -> str:
    """Return why the graph of a file is not that of the source."""
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


def _is_ours(proto: Any) -> bool:
    return bool(proto.producer_name == "rnnspec" and _word(proto, SPEC))


def _word(proto: Any, key: str) -> str:
    """Return the text of a key in the metadata, empty if there is none."""
    values = (entry.value for entry in proto.metadata_props if entry.key == key)
    # Text that is not UTF-8 is bytes here.
    return next((value for value in values if isinstance(value, str)), "")


def _constants(graph: Any) -> dict[str, Any]:
    return {
        tensor.name: tensor for tensor in graph.initializer if not array_of(str(tensor.name))[0]
    }


def _weights(contents: Contents) -> dict[str, Array]:
    from onnx import TensorProto

    weights, path = dict[str, "Array"](), str(contents.path)
    for tensor in contents.proto.graph.initializer:
        if not array_of(str(tensor.name))[0]:
            continue
        if tensor.data_location == TensorProto.EXTERNAL:
            message = f"{brief(tensor.name)}: expected its numbers in this file, not in another one"
            raise UsageError(message, path)
        try:
            weights[tensor.name] = contents.array(tensor)
        except UnreadableArrayError as error:
            message = f"{brief(tensor.name)}: its numbers cannot be read: {error}"
            raise UsageError(message, path) from error
    return weights


READER = FileReader(recognises=recognises, files=files, spec_text=spec_text, saved=saved)
