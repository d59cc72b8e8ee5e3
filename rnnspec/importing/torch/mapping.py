"""Mappings: files that say which array of a model each array of another file is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnspec.errors import ModelError, Problem, few, listed, printable, shortened
from rnnspec.errors.wording import nearest, received
from rnnspec.files.regular import opened
from rnnspec.importing.torch.arrays import Filled, slot_of
from rnnspec.importing.torch.fit import is_in_shape, shape_in_file
from rnnspec.ir.nodes import Recurrent
from rnnspec.ir.params import named_params
from rnnspec.spec.write import flow
from rnnspec.spec.yaml.document import read, reading_problems
from rnnspec.spec.yaml.text import MAX_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from rnnspec.importing.torch.fit import Fit
    from rnnspec.importing.torch.state_dict import StateDictEntry
    from rnnspec.ir.nodes import Network
    from rnnspec.spec.yaml.document import Document
    from rnnspec.spec.yaml.text import Path as Steps

_LAYOUTS = ("torch", "keras")
_IGNORE = "ignore"
_HEAD = """\
# Which array of {spec} each array of {file} is. Complete a line
# without a name: with one of those in its comment, or with 'ignore' if the network does not need
# the array. Two arrays for one bias are added up; two for anything else must be equal.
#
# layout torch: matrices are (out, in){torch}.
# layout keras: matrices are (in, out){keras}.
# A line can have its own: {{array: NAME, layout: keras, gates: ORDER}}. Two biases of a GRU that
# are the rows of one array are a list of both.
layout: {layout}
arrays:
"""


@dataclass(frozen=True, slots=True)
class MappedArrays:
    """What a user says of the arrays in a file: those that are placed, and those left out."""

    placed: Mapping[str, Filled]
    ignored: tuple[str, ...] = ()


def read_mapping(
    path: Path, network: Network, entries: Mapping[str, StateDictEntry], layout: str
) -> MappedArrays:
    """Return what a mapping says; ``layout`` is that of its arrays if it says none.

    Raises:
        ModelError: it names no array, or one of another shape; every problem has its place.
        SpecError: it is not a YAML document.
        UsageError: the file cannot be read.
    """
    with opened(path) as (stream, _):
        document = read(stream.read(MAX_BYTES + 1), str(path))
    reader = _MappingReader(document, network, entries, layout)
    given = reader.read()
    if problems := (*reading_problems(document), *reader.problems):
        raise ModelError(problems)
    return given


class _MappingReader:
    """The entries of a mapping, compared with the arrays on both sides."""

    def __init__(
        self,
        document: Document,
        network: Network,
        entries: Mapping[str, StateDictEntry],
        layout: str,
    ) -> None:
        self.document = document
        self.named = {name: (layer, param) for name, layer, param in named_params(network)}
        self.entries = entries
        self.layout = layout
        self.problems: list[Problem] = []
        self.first: dict[str, str] = {}

    def refuse(self, path: Steps, message: str, code: str, *, key: bool = False) -> None:
        """Record a problem at its place."""
        self.problems.append(self.document.problem(path, message, code=code, key=key))

    def read(self) -> MappedArrays:
        """Return the entries without a problem."""
        match self.document.data:
            case {"arrays": dict(arrays), **rest} if rest.keys() <= {"layout"}:
                if "layout" in rest:
                    self.layout = self.checked_layout(("layout",), rest["layout"])
            case other:
                message = "expected a mapping with the keys layout and arrays, received "
                self.refuse((), message + received(other), "E707")
                return MappedArrays({})
        placed, ignored = dict[str, Filled](), list[str]()
        for name, value in arrays.items():
            path: Steps = ("arrays", name)
            if name not in self.entries:
                message = f"expected an array of the file{self.near(name, self.entries)}"
                self.refuse(path, message, "E706", key=True)
            elif value == _IGNORE:
                ignored.append(name)
            elif value is not None and (filled := self.filled(path, name, value)) is not None:
                placed[name] = filled
        return MappedArrays(placed, tuple(ignored))

    def checked_layout(self, path: Steps, value: Any) -> str:
        """Return a layout, after a problem with it the layout of the mapping."""
        if value in _LAYOUTS:
            return str(value)
        message = f"expected {listed(_LAYOUTS, 'or')}, received {received(value)}"
        self.refuse(path, message, "E707")
        return self.layout

    def near(self, name: str, names: Mapping[str, object]) -> str:
        """Return which name may be meant, as the end of a message."""
        other = nearest(name, names)
        return f", received {received(name)}" + (f"; did you mean {other}?" if other else "")

    def filled(self, path: Steps, name: str, value: Any) -> Filled | None:
        """Return what the value of an entry says of an array, or None after a problem with it."""
        layout, order, at = self.layout, "", path
        if isinstance(value, dict):
            if unknown := value.keys() - {"array", "layout", "gates"}:
                message = f"expected array, layout or gates, received {few(sorted(unknown))}"
                self.refuse(path, message, "E707")
            if "layout" in value:
                layout = self.checked_layout((*path, "layout"), value["layout"])
            order = "".join(str(value.get("gates", "")).split())
            value, at = value.get("array"), (*path, "array")
        names = value if isinstance(value, list) else [value]
        for target in names:
            if target not in self.named:
                message = f"expected an array of the spec{self.near(str(target), self.named)}"
                self.refuse(at, message, "E705")
                return None
        filled = Filled(name, self.entries[name], tuple(names), layout == "keras", order)
        return filled if names and self.fits(path, filled) else None

    def fits(self, path: Steps, filled: Filled) -> bool:
        """True if an array is as its place needs it; otherwise there is a problem."""
        before = len(self.problems)
        layer, param = self.named[filled.names[0]]
        shapes = {way: self.shape(filled, canonical=way == "keras") for way in _LAYOUTS}
        layout = _LAYOUTS[filled.canonical]
        shape = filled.entry.shape
        if not is_in_shape(shape, shapes[layout]):
            message = f"{filled.names[0]}: expected shape {shapes[layout]} in layout {layout}"
            fitting = [way for way in _LAYOUTS if is_in_shape(shape, shapes[way])]
            hint = f"; layout {fitting[0]} has this shape" if fitting else ""
            self.refuse(path, f"{message}, received {shape} of {filled.name}{hint}", "E707")
        gates = slot_of(layer, param, canonical=filled.canonical).gates
        if filled.gates and sorted(filled.gates) != sorted(gates):
            message = f"expected the gates {' '.join(gates) or '(none)'} in some order, received "
            self.refuse((*path, "gates"), message + received(filled.gates), "E707")
        for name in filled.names:
            other = self.first.setdefault(name, filled.name)
            if other == filled.name or name.endswith("bias") or len(self.problems) > before:
                continue
            if not np.array_equal(self.entries[other].read(), filled.entry.read()):
                message = f"is {name} like {other}: expected equal numbers, received others"
                self.refuse(path, message, "E707")
        return len(self.problems) == before

    def shape(self, filled: Filled, *, canonical: bool) -> tuple[int, ...]:
        """Return the shape that an array needs in a layout."""
        shape = shape_in_file(*self.named[filled.names[0]], canonical=canonical)
        return (len(filled.names), *shape) if len(filled.names) > 1 else shape


def write_mapping(
    fit: Fit,
    network: Network,
    entries: Mapping[str, StateDictEntry],
    layout: str,
    names: tuple[str, str],
) -> str:
    """Return a mapping with what is certain; ``names`` are those of the spec and of the file."""
    named = {name: (layer, param) for name, layer, param in named_params(network)}
    spec, file = (printable(shortened(name)) for name in names)
    lines = list(_lines(fit, entries, layout))
    missing = [f"#   {name} {named[name][1].shape}" for name in fit.missing]
    if missing:
        missing.insert(
            0, "# Arrays of the spec without one of the file, each with its shape in layout keras:"
        )
    orders = {way: _orders(network, canonical=way == "keras") for way in _LAYOUTS}
    head = _HEAD.format(spec=spec, file=file, layout=layout, **orders)
    return head + "\n".join((*lines, *missing, ""))


def _orders(network: Network, *, canonical: bool) -> str:
    """Return the order of the gates of each kind of cell in a network, as the end of a sentence."""
    orders = dict[str, str]()
    for _, layer, param in named_params(network):
        order = slot_of(layer, param, canonical=canonical).gates
        if isinstance(layer, Recurrent) and len(order) > 1:
            orders[type(layer.cell).__name__] = " ".join(order)
    return "".join(f", the gates of {kind} {order}" for kind, order in orders.items())


def _lines(
    fit: Fit,
    entries: Mapping[str, StateDictEntry],
    layout: str,
) -> Iterator[str]:
    """Yield a line for each array of the file, in its order."""
    certain = {filled.name: filled for filled in fit.filled}
    for name, entry in entries.items():
        comment = f"# {entry.shape}"
        filled = certain.get(name)
        if filled is None:
            several: Sequence[str] = fit.candidates.get(name, ())
            what = (
                listed(list(several), "or") or f"the shape of no array; '{_IGNORE}' leaves it out"
            )
            yield f"  {_text(name)}:  {comment}: {what}"
        elif not filled.names:
            yield f"  {_text(name)}: {_IGNORE}  {comment}: a softmax is the same without it"
        else:
            array = filled.names[0] if len(filled.names) == 1 else list(filled.names)
            value: Any = array
            own = _LAYOUTS[filled.canonical]
            if own != layout or filled.gates:
                value = {"array": array, "layout": own}
                value |= {"gates": " ".join(filled.gates)} if filled.gates else {}
            yield f"  {_text(name)}: {flow(value).strip()}  {comment}"


def _text(name: str) -> str:
    """Return the name of an array as a key of YAML."""
    plain = re.fullmatch(r"[A-Za-z_][A-Za-z0-9_./]*", name) and "." in name
    return name if plain else flow(name).strip()
