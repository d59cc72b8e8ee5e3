"""Which array of a file is which array of a network: by names and shapes, where that is unique.

Arrays belong together if their names have one beginning. Such a unit fits a layer, or several of
a stack, by the names that PyTorch or Keras has for the arrays of a module, and by all shapes. What
fits once is certain, and so is what is left then. Where several units fit, a name decides that the
spec gave to a layer, the word for a direction, or the numbers of units in a row; nothing else does.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from dataclasses import dataclass, field, replace
from glob import escape
from itertools import pairwise, takewhile
from typing import TYPE_CHECKING, Literal, assert_never

import numpy as np

from rnnspec.errors import few, listed
from rnnspec.importing.imported import Became
from rnnspec.importing.torch.arrays import (
    ArrayTarget,
    Filled,
    Piece,
    list_shapes,
    pieces,
    refuse_shapes,
    slot_of,
)
from rnnspec.importing.torch.state_dict import DIRECTIONS, IN_STACK
from rnnspec.ir import nodes
from rnnspec.ir.params import directions, named_params, params
from rnnspec.ir.params import shape_of as shape_of_axes
from rnnspec.ir.text import default_kind, type_name

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from rnnspec.importing.imported import Account
    from rnnspec.importing.torch.state_dict import StateDictEntry
    from rnnspec.ir.nodes import Layer
    from rnnspec.ir.params import Param

_OF_TORCH = frozenset({"weight", "bias", "running_mean", "running_var"})
_OF_KERAS = frozenset(
    """
    kernel recurrent_kernel bias recurrent_bias embeddings gamma beta moving_mean moving_variance
    """.split()  # noqa: SIM905 - names side by side are easier to check
)
_NAME = re.compile(r"(?:(?P<unit>.*)[./])?(?P<array>[^./]*?)(?::0)?", re.DOTALL)
_WORDS = {
    "forward.": frozenset({"forward", "fwd", "fw"}),
    "backward.": frozenset({"backward", "bwd", "bw", "reverse"}),
}
_CLASSES: tuple[tuple[type[nodes.Node], str], ...] = (
    (nodes.Embedding, "nn.Embedding"),
    (nodes.Conv, "nn.Conv1d"),
    (nodes.BatchNorm, "nn.BatchNorm1d"),
    (nodes.LayerNorm, "nn.LayerNorm"),
)
"""The classes of PyTorch whose arrays are not those of ``nn.Linear``."""
_MOST_NAMED = 8


def shape_in_file(layer: Layer, param: Param, *, canonical: bool) -> tuple[int, ...]:
    """Return the shape that an array of a layer has in a file."""
    return shape_of_axes(slot_of(layer, param, canonical=canonical).axes, dict(param.sizes))


def is_in_shape(shape: tuple[int, ...], expected: tuple[int, ...]) -> bool:
    """True if an array is in a shape; a vector may have an axis of 1 more or less."""
    if shape == expected:
        return True
    vectors = [
        len(sizes) in (1, 2) and math.prod(sizes) == max(sizes) for sizes in (shape, expected)
    ]
    return all(vectors) and math.prod(shape) == math.prod(expected)


@dataclass(slots=True, eq=False)
class _Unit:
    """Arrays with one beginning: for each layer of a stack, their names by those in a module.

    ``kind`` is a stack or a cell of PyTorch, another module of it, a layer of Keras, or an array
    that no module has, without ``layers``; the name of that unit is that of the array.
    """

    name: str
    kind: Literal["stack", "cell", "module", "keras", "array"]
    layers: list[dict[str, str]] = field(default_factory=list)

    @property
    def arrays(self) -> list[str]:
        """The names of its arrays in the file."""
        return [name for layer in self.layers for name in layer.values()] or [self.name]


@dataclass(frozen=True, slots=True, eq=False)
class _Option:
    """A way to use a unit: as ``pieces`` of the network, or in one ``direction`` of a piece.

    ``covers`` are the canonical arrays that no other unit can be then.
    """

    unit: _Unit
    pieces: tuple[Piece, ...]
    filled: tuple[Filled, ...]
    covers: frozenset[str]
    direction: str = ""


@dataclass(frozen=True, slots=True)
class Fit:
    """What is certain of the arrays of a file, and what is not.

    ``candidates`` are the canonical arrays that an array of the file may be, if that is not
    certain, and ``missing`` the canonical arrays that no array is for certain.
    """

    filled: tuple[Filled, ...]
    candidates: Mapping[str, Sequence[str]]
    missing: tuple[str, ...]


def fit(
    network: nodes.Network,
    entries: Mapping[str, StateDictEntry],
    given: Mapping[str, Filled],
    account: Account,
) -> Fit:
    """Return which array of a network each array of a file is.

    Args:
        network: the network.
        entries: the arrays of the file.
        given: those that the user has placed.
        account: takes what became of each unit, and a problem for all that is not certain.
    """
    named = {name: (layer, param) for name, layer, param in named_params(network)}
    shapes = {name: entry.shape for name, entry in entries.items()}
    if not given and all(shapes.get(name) == param.shape for name, (_, param) in named.items()):
        # Each array has its canonical name, as rnnspec writes them.
        given = {name: Filled(name, entries[name], (name,), canonical=True) for name in named}
    search = _Search(network, entries, given)
    if not search.run(whole=True):
        # Which arrays of too many, or of another network, are left over is not known.
        search = _Search(network, entries, given)
        search.run(whole=False)
    order = [layer.name for layer in network.layers]
    search.chosen.sort(key=lambda option: order.index(option.pieces[0].layer.name))
    search.report(account)
    filled = [*given.values(), *(slot for option in search.chosen for slot in option.filled)]
    found = {name for slot in filled for name in slot.names}
    missing = tuple(name for name in named if name not in found)
    candidates = dict[str, list[str]]()
    for unit in search.units:
        for array in [] if search.is_chosen(unit) else unit.arrays:
            options = [slot for option in search.options[unit] for slot in option.filled]
            names = [name for slot in options if slot.name == array for name in slot.names]
            candidates[array] = list(dict.fromkeys(names)) or [
                name for name in missing if _may_be(*named[name], shapes[array])
            ]
    return Fit(tuple(filled), candidates, missing)


def _may_be(layer: Layer, param: Param, shape: tuple[int, ...]) -> bool:
    ways = (shape_in_file(layer, param, canonical=way) for way in (False, True))
    return any(is_in_shape(shape, way) for way in ways)


class _Search:
    """The units of a file, and the ways that are left to use each."""

    def __init__(
        self,
        network: nodes.Network,
        entries: Mapping[str, StateDictEntry],
        given: Mapping[str, Filled],
    ) -> None:
        self.network = network
        self.entries = entries
        self.given = given
        self.pieces = pieces(network)
        self.of_keras = [p for layer in network.layers for p in _canonical_pieces(layer)]
        self.claimed = {name for slot in given.values() for name in slot.names}
        self.open = {
            name
            for piece in self.pieces
            for place in piece.places.values()
            for name in place.names
            if place.required and name not in self.claimed
        }
        self.chosen: list[_Option] = []
        self.inferred: list[str] = []
        self.blamed: list[Piece] = []
        self.options: dict[_Unit, list[_Option]] = {}
        for unit in _units(entries, {path for piece in self.pieces for path in piece.places}):
            left = [array for array in unit.arrays if array not in given]
            options = list(self._options(unit)) if left else []
            if options or len(left) == len(unit.arrays):
                self.options[unit] = options
                continue
            for array in left:
                alone = _Unit(array, "array")
                self.options[alone] = list(self._options(alone))
        self.units = [*self.options]
        self.by_name = defaultdict[str, list[_Option]](list)
        for option in self._alive():
            for name in option.covers:
                self.by_name[name].append(option)

    def _alive(self) -> Iterator[_Option]:
        for options in self.options.values():
            yield from options

    def _options(self, unit: _Unit) -> Iterator[_Option]:
        """Yield the ways to use a unit by the names and the shapes of its arrays."""
        found: Iterator[_Option]
        match unit.kind:
            case "array":
                found = self._options_of_array(unit)
            case "stack" | "cell":
                # What stands between two layers of a stack is within their module.
                row = [p for p in self.pieces if not _is_beside_cell(p)]
                number = len(unit.layers)
                starts = range(len(row) - number + 1)
                found = (o for at in starts for o in self._uses(unit, row[at : at + number]))
            case "module":
                found = (o for piece in self.pieces for o in self._uses(unit, [piece]))
            case "keras":
                found = (o for piece in self.of_keras for o in self._uses(unit, [piece]))
            case _:
                assert_never(unit.kind)
        return filter(self._agrees, found)

    def _agrees(self, option: _Option) -> bool:
        """True if an option says the same as the user."""
        own = [slot for slot in option.filled if slot.name in self.given]
        decided = {name for slot in own for name in self.given[slot.name].names}
        return all(
            replace(slot, name="") == replace(self.given[slot.name], name="") for slot in own
        ) and (not (option.covers & self.claimed) - decided)

    def _uses(self, unit: _Unit, pieces: Sequence[Piece]) -> Iterator[_Option]:
        """Yield the option that a unit is some pieces, or a direction of one."""
        first = pieces[0].layer
        if unit.kind in ("stack", "cell") and any(_resets_before(p.layer) for p in pieces):
            return
        ways = [("", [piece.places for piece in pieces])]
        if isinstance(first, nodes.Recurrent) and len(pieces) == 1:
            for prefix in filter(None, directions(first)):
                inside = [(k, v) for k, v in pieces[0].places.items() if k.startswith(prefix)]
                ways.append((prefix, [{k.removeprefix(prefix): v for k, v in inside}]))
        for direction, places in ways:
            filled = self._fill(unit, places)
            if filled is not None:
                required = [v for place in places for v in place.values() if v.required]
                covers = {name for place in required for name in place.names}
                # A layer that may do without arrays has those of one module at most.
                names = frozenset(covers or {pieces[0].name})
                yield _Option(unit, tuple(pieces), filled, names, direction)

    def _fill(
        self, unit: _Unit, places: Sequence[Mapping[str, ArrayTarget]]
    ) -> tuple[Filled, ...] | None:
        """Return the arrays of a unit at their places, or None if it is not these."""
        result = list[Filled]()
        for by_path, layer in zip(places, unit.layers, strict=True):
            if not {path for path, place in by_path.items() if place.required} <= layer.keys():
                return None
            for path, name in layer.items():
                place, entry = by_path.get(path), self.entries[name]
                if place is None or place.shape != entry.shape:
                    return None
                result.append(Filled(name, entry, place.names, canonical=unit.kind == "keras"))
        return tuple(result)

    def _options_of_array(self, unit: _Unit) -> Iterator[_Option]:
        """Yield what an array by itself may be, by its shape; its gates would be in any order."""
        entry = self.entries[unit.name]
        is_matrix = len(entry.shape) > 1 and math.prod(entry.shape) > max(entry.shape)
        for piece in self.pieces:
            param_of = {f"{piece.layer.name}.{param.name}": param for param in params(piece.layer)}
            for place in piece.places.values():
                if not place.required or len(param_of[place.names[0]].gates) > 1:
                    continue
                # A square matrix fits as it is, and transposed.
                param = param_of[place.names[0]]
                axes = {slot_of(piece.layer, param, canonical=way).axes for way in (False, True)}
                for way in (False, True) if is_matrix and len(axes) > 1 else (False,):
                    shape = shape_in_file(piece.layer, param, canonical=way)
                    if is_in_shape(entry.shape, shape):
                        filled = Filled(unit.name, entry, place.names, canonical=way)
                        yield _Option(unit, (piece,), (filled,), frozenset(place.names))

    def is_chosen(self, unit: _Unit) -> bool:
        """True if it is decided how a unit is used."""
        return any(option.unit is unit for option in self.chosen)

    def run(self, *, whole: bool) -> bool:
        """Decide all that is certain, and return whether everything is.

        If the ``whole`` file is of the network, a unit that fits one layer is that layer.
        """
        steps = (self._by_name, self._by_direction, self._by_content, self._by_number)
        while self._without_alternative(whole=whole) or any(step() for step in steps):
            pass
        return not self.open and all(map(self.is_chosen, self.units))

    def _choose(self, option: _Option) -> None:
        self.chosen.append(option)
        self.open -= option.covers
        gone = {*self.options[option.unit]}.union(*(self.by_name[name] for name in option.covers))
        for other in gone:
            self.options[other.unit].remove(other)
            for name in other.covers:
                self.by_name[name].remove(other)

    def _without_alternative(self, *, whole: bool) -> bool:
        before = len(self.chosen)
        for name in sorted(self.open):
            if name in self.open and len(self.by_name[name]) == 1:
                self._choose(self.by_name[name][0])
        for unit in self.units if whole else ():
            if len(self.options[unit]) == 1:
                self._choose(self.options[unit][0])
        return len(self.chosen) > before

    def _by_name(self) -> bool:
        """Choose an option whose unit has the name that its layer was given in the spec."""
        named = [option for option in self._alive() if _is_named(option)]
        for option in named:
            rivals = [o for o in named if o.unit is option.unit or o.covers & option.covers]
            if len(rivals) == 1:
                self._choose(option)
                return True
        return False

    def _by_direction(self) -> bool:
        """Choose a direction of a layer whose word is in the name of the unit."""
        for unit, options in self.options.items():
            words = {*re.split("[^a-z]+", unit.name.lower())}
            said = [o for o in options if o.direction and words & _WORDS[o.direction]]
            if len(said) == 1 < len(options) and len({o.pieces for o in options}) == 1:
                self._choose(said[0])
                return True
        return False

    def _by_content(self) -> bool:
        """Choose between arrays that a tied layer and its embedding have, if they are equal."""
        for options in self.options.values():
            ways = {option.pieces for option in options}
            if len(ways) != 2 or all(piece.shapes for (piece, *_) in ways):
                continue
            alike = [u for u, os in self.options.items() if {o.pieces for o in os} == ways]
            arrays = [self.entries[other.arrays[0]].read() for other in alike]
            if len(arrays) == 2 and np.array_equal(arrays[0], arrays[1]):
                self._choose(options[0])
                return True
        return False

    def _by_number(self) -> bool:
        """Choose for units that are alike but for their numbers, and layers behind each other."""
        rows = defaultdict[tuple[str, frozenset[Piece]], list[_Unit]](list)
        for unit, options in self.options.items():
            ways = {option.pieces[0] for option in options if len(option.pieces) == 1}
            if len(ways) == len(options) > 1:
                rows[re.sub("[0-9]+", "#", unit.name), frozenset(ways)].append(unit)
        for (_, alike), units in rows.items():
            row = sorted(alike, key=self.pieces.index)
            if len(units) != len(row) or not self._is_chain([piece.layer.name for piece in row]):
                continue
            units.sort(key=lambda unit: [*map(int, re.findall("[0-9]+", unit.name))])
            for unit, piece in zip(units, row, strict=True):
                self._choose(next(o for o in self.options[unit] if o.pieces[0] is piece))
            names = few([unit.name for unit in units])
            self.inferred.append(f"layers of equal shapes, by the numbers in their names: {names}")
            return True
        return False

    def _is_chain(self, names: Sequence[str]) -> bool:
        """True if each of some layers is behind the one before it."""
        sources = nodes.sources(self.network)
        for first, second in pairwise(names):
            before = {second}
            for layer in reversed(self.network.layers):
                if layer.name in before:
                    before |= {*sources[layer.name]}
            if first not in before:
                return False
        return True

    def report(self, account: Account) -> None:
        """Record what became of each unit that is certain, and a problem for each other one."""
        for slot in self.given.values():
            account.became.append(Became(slot.name, "array", few(list(slot.names))))
        for option in self.chosen:
            for index, piece in enumerate(option.pieces):
                where = option.unit.name + (f"[{index}]" if option.unit.kind == "stack" else "")
                became = f"{piece.layer.name} ({type_name(piece.layer)})"
                account.became.append(Became(where, self._class_of(option.unit, piece), became))
        for sentence in self.inferred:
            account.infer(sentence)
        told = set[_Unit]()
        for piece in self.pieces:
            names = [n for place in piece.places.values() if place.required for n in place.names]
            lacking = [name for name in names if name in self.open]
            units = list(dict.fromkeys(o.unit for name in lacking for o in self.by_name[name]))
            if units:
                told.update(units)
                several = listed([unit.name or "the model" for unit in units[:_MOST_NAMED]], "or")
                ways = several if len(units) > 1 else f"{several}, in several ways"
                message = (
                    f"its arrays, {list_shapes(piece.shapes)}, may be those of {ways}; say which "
                    f"in a mapping: --map FILE, which is written if it is not there"
                )
                account.refuse(piece.name, message, "E710")
            elif lacking and piece not in self.blamed:
                self._refuse_piece(piece, told, account)
        for unit in self.units:
            if unit not in told and not self.is_chosen(unit):
                self._refuse_unit(unit, account)

    def _class_of(self, unit: _Unit, piece: Piece) -> str:
        match unit.kind:
            case "stack" | "cell":
                rows, units = self.entries[unit.arrays[-1]].shape[0], piece.layer
                assert isinstance(units, nodes.Recurrent)
                kind = {1: "RNN", 3: "GRU", 4: "LSTM"}[rows // units.units]
                return f"nn.{kind}{'Cell' if unit.kind == 'cell' else ''}"
            case "module":
                kinds = [name for kind, name in _CLASSES if isinstance(piece.layer, kind)]
                return next(iter(kinds), "nn.Linear")
            case _:
                return "array" if unit.kind == "array" else type_name(piece.layer)

    def _refuse_piece(self, piece: Piece, told: set[_Unit], account: Account) -> None:
        """Say that a layer has no arrays, or that those of its kind have other shapes."""

        def last(paths: Iterable[str]) -> set[str]:
            return {path.rpartition(".")[2] for path in paths}

        rest = [unit for unit in self.units if unit.layers and not self.options[unit]]
        rest = [unit for unit in rest if unit not in told and not self.is_chosen(unit)]
        # The one with the same names first.
        rest.sort(key=lambda unit: last(unit.layers[0]) != last(piece.shapes))
        for unit in rest:
            if not (last(unit.layers[0]) & last(piece.shapes)) - {"bias"}:
                continue
            told.add(unit)
            self._refuse_row(unit, piece, account)
            return
        message = f"expected the arrays of {piece.name}, {list_shapes(piece.shapes)}, received none"
        account.refuse("the model", f"{message}{account.reminder()}", "E705")

    def _refuse_row(self, unit: _Unit, first: Piece, account: Account) -> None:
        """Say how the layers of a unit differ from the layers of the spec from one on."""
        rest = self.pieces[self.pieces.index(first) :]
        row = [piece for piece in rest if not _is_beside_cell(piece)]
        row = [first, *takewhile(lambda p: isinstance(p.layer, nodes.Recurrent), row[1:])]
        row = row[: len(unit.layers)]
        self.blamed += row
        before = len(account.problems)
        for index, (piece, layer) in enumerate(zip(row, unit.layers, strict=False)):
            where = f"{unit.name}[{index}]" if len(unit.layers) > 1 else unit.name
            received = {path: self.entries[name].shape for path, name in layer.items()}
            refuse_shapes(where or "the model", received, piece, account)
        if len(account.problems) == before:
            names = few([piece.name for piece in row]) + (" alone" if len(row) == 1 else "")
            message = f"expected {names}, received {len(unit.layers)} layers in a row"
            account.refuse(unit.name or "the model", message, "E707")

    def _refuse_unit(self, unit: _Unit, account: Account) -> None:
        shapes = {name.rpartition(".")[2]: self.entries[name].shape for name in unit.arrays}
        whole = [f"{escape(unit.name)}.*"] if unit.layers and unit.name else unit.arrays
        message = f"fits no layer of the spec: {list_shapes(shapes)}{account.way_out(whole)}"
        account.refuse(unit.name or "the model", message, "E706")


def _resets_before(layer: Layer) -> bool:
    """True if PyTorch has no such layer: its GRU resets after the product."""
    cell = layer.cell if isinstance(layer, nodes.Recurrent) else None
    return isinstance(cell, nodes.GRU) and not cell.reset_after


def _is_beside_cell(piece: Piece) -> bool:
    """True if a piece has arrays of a recurrent layer that are not in its module of PyTorch."""
    is_recurrent = isinstance(piece.layer, nodes.Recurrent)
    return is_recurrent and not piece.places.keys() & {"weight_ih", "forward.weight_ih"}


def _is_named(option: _Option) -> bool:
    """True if a unit has the name, or its end, that the first of its layers was given."""
    piece = option.pieces[0]
    if re.fullmatch(rf"{default_kind(piece.layer)}_[0-9]+", piece.name):
        return False
    # ``layers`` numbers the copies of a layer.
    name = piece.name.removesuffix("_1") if len(option.pieces) > 1 else piece.name
    return re.sub("[./]", "_", f".{option.unit.name}").endswith(f"_{name}")


def _canonical_pieces(layer: Layer) -> Iterator[Piece]:
    """Yield the arrays of a layer with their canonical names, and as Keras has those of a GRU."""
    places = {p.name: ArrayTarget((f"{layer.name}.{p.name}",), p.shape) for p in params(layer)}
    if not places:
        return
    yield Piece(layer.name, layer, places)
    pairs = [name for name in places if name.rpartition(".")[2] == "recurrent_bias"]
    if pairs and isinstance(layer, nodes.Recurrent):
        for name in pairs:
            one, two = places[name.replace("recurrent_", "")], places.pop(name)
            stacked = ArrayTarget((*one.names, *two.names), (2, *one.shape))
            places = {**places, name.replace("recurrent_", ""): stacked}
        yield Piece(layer.name, layer, places)


def _units(entries: Mapping[str, StateDictEntry], own: Collection[str]) -> Iterator[_Unit]:
    """Yield the arrays of a file that belong together; ``own`` are names that the network has."""
    # Those of a cell by equations, whose directions have a module each.
    own = {path.rpartition(".")[2] for path in own}
    groups = dict[str, dict[str, str]]()
    for name in entries:
        match = _NAME.fullmatch(name)
        assert match is not None, "any text has this form"
        # A file may have a name with and without its ending.
        group = groups.setdefault(match["unit"] or "", {})
        group[name if match["array"] in group else match["array"]] = name
    for unit, arrays in groups.items():
        stack = {key: name for key, name in arrays.items() if IN_STACK.fullmatch(key)}
        layers = _layers(stack)
        rest = {key: name for key, name in arrays.items() if not layers or key not in stack}
        if layers:
            yield _Unit(unit, "stack" if "_l" in min(stack, key=len) else "cell", layers)
        if rest.keys() <= _OF_KERAS and rest.keys() - _OF_TORCH:
            yield _Unit(unit, "keras", [rest])
            continue
        known = {k: n for k, n in rest.items() if k in _OF_TORCH or (k in own and k not in stack)}
        if known:
            yield _Unit(unit, "module", [known])
        for key, name in rest.items():
            if key not in known:
                yield _Unit(name, "array")


def _layers(stack: Mapping[str, str]) -> list[dict[str, str]]:
    """Return the arrays of each layer of a stack, none if they are not whole."""
    by_place = dict[tuple[int, str], dict[str, str]]()
    for key, name in stack.items():
        match = IN_STACK.fullmatch(key)
        assert match is not None, "the caller checked the names"
        by_place.setdefault((int(match[2] or 0), match[3] or ""), {})[match[1]] = name
    ways = DIRECTIONS if any(way for _, way in by_place) else ("",)
    number = 1 + max((layer for layer, _ in by_place), default=-1)
    numbered = {IN_STACK.fullmatch(key)[2] is None for key in stack}  # type: ignore[index]
    if len(by_place) != number * len(ways) or len(numbered) > 1:
        return []
    prefixes = ("forward.", "backward.") if len(ways) > 1 else ("",)
    return [
        {
            prefix + path: name
            for prefix, way in zip(prefixes, ways, strict=True)
            for path, name in by_place[at, way].items()
        }
        for at in range(number)
    ]
