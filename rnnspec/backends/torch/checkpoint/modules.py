"""The modules that the names in a state dict belong to, told apart by their arrays' names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from glob import escape
from typing import TYPE_CHECKING

from rnnspec.errors import few

if TYPE_CHECKING:
    from rnnspec.backends.imported import Account
    from rnnspec.backends.torch.checkpoint.states import Entry

# As PyTorch writes them: without leading zeros, which would name a layer twice.
_IN_STACK = re.compile(r"((?:weight|bias)_(?:ih|hh|hr))_l(0|[1-9][0-9]{0,4})(_reverse)?")
_DIRECTIONS = ("", "_reverse")


@dataclass(frozen=True, slots=True)
class Stack:
    """``nn.RNN``, ``nn.LSTM`` or ``nn.GRU``: for each layer and direction its arrays by name."""

    name: str
    layers: tuple[tuple[Mapping[str, Entry], ...], ...]

    @property
    def bidirectional(self) -> bool:
        """True if it runs in both directions."""
        return len(self.layers[0]) == 2

    @property
    def units(self) -> int:
        """The number of units of each layer and direction."""
        return self.layers[0][0]["weight_hh"].shape[1]

    @property
    def features(self) -> int:
        """The number of features of the input."""
        return self.layers[0][0]["weight_ih"].shape[1]

    @property
    def gates(self) -> int:
        """The number of gates: 4 of an LSTM, 3 of a GRU, 1 of a simple layer."""
        return self.layers[0][0]["weight_hh"].shape[0] // self.units

    @property
    def bias(self) -> bool:
        """True if it has biases."""
        return "bias_ih" in self.layers[0][0]


@dataclass(frozen=True, slots=True)
class Matrix:
    """``nn.Linear``, or ``nn.Embedding`` if it has no bias and stands first: (out, in)."""

    name: str
    weight: Entry
    bias: Entry | None


@dataclass(frozen=True, slots=True)
class Norm:
    """``nn.LayerNorm`` over the last axis."""

    name: str
    weight: Entry
    bias: Entry


Module = Stack | Matrix | Norm


def modules(
    entries: Mapping[str, Entry], account: Account, ignored: Iterable[str] = ()
) -> list[Module]:
    """Return the modules in the order of a state dict, which is that of their definition.

    A module is refused in ``account`` if its arrays have other names or shapes, or if some of them
    are among those that the user leaves out.
    """
    grouped = dict[str, dict[str, "Entry"]]()
    for name, entry in entries.items():
        module, _, own = name.rpartition(".")
        grouped.setdefault(module, {})[own] = entry
    gone = dict[str, list[str]]()
    for name in ignored:
        module, _, own = name.rpartition(".")
        gone.setdefault(module, []).append(own)
    found = list[Module]()
    for name, arrays in grouped.items():
        # Without its bias, a module would come in as another one.
        if needed := _needed(arrays, gone.get(name, [])):
            message = (
                f"needs {few(needed)}, which --ignore leaves out; "
                "leave out all of its arrays or none"
            )
            account.refuse(name or "the model", message, "E705")
        elif (module_ := _module(name, arrays, account)) is not None:
            found.append(module_)
    return found


def _needed(arrays: Mapping[str, Entry], ignored: Sequence[str]) -> list[str]:
    """Return the arrays that the user leaves out of a module, but that may be a part of it."""
    # The arrays of a recurrent layer are known by their names, those of others are not.
    if all(map(_IN_STACK.fullmatch, arrays)):
        return [own for own in ignored if _IN_STACK.fullmatch(own)]
    return list(ignored) if "weight" in arrays else []


def _module(name: str, arrays: Mapping[str, Entry], account: Account) -> Module | None:
    names = arrays.keys()
    if all(map(_IN_STACK.fullmatch, names)):
        return _stack(name, arrays, account)
    dims = {own: len(entry.shape) for own, entry in arrays.items()}
    match dims:
        case {"weight": 2, **rest} if rest in ({}, {"bias": 1}):
            return Matrix(name, arrays["weight"], arrays.get("bias"))
        case {"weight": 1, "bias": 1, **rest} if not rest:
            return Norm(name, arrays["weight"], arrays["bias"])
        case _:
            shapes = ", ".join(f"{own} {entry.shape}" for own, entry in arrays.items())
            message = (
                "expected the arrays of nn.RNN, nn.LSTM, nn.GRU, nn.Embedding, nn.Linear or "
                f"nn.LayerNorm, received {shapes}{account.way_out(_unknown(name, arrays))}"
            )
            account.refuse(name or "the model", message, "E701")
            return None


def _unknown(module: str, arrays: Mapping[str, Entry]) -> list[str]:
    """Return patterns of the arrays that belong to no recurrent layer."""
    odd = [own for own in arrays if not _IN_STACK.fullmatch(own)]
    if module and len(odd) == len(arrays):
        return [f"{escape(module)}.*"]
    return [escape(f"{module}.{own}" if module else own) for own in odd]


def _stack(name: str, arrays: Mapping[str, Entry], account: Account) -> Stack | None:
    found = dict[tuple[int, int], dict[str, "Entry"]]()
    for own, entry in arrays.items():
        match = _IN_STACK.fullmatch(own)
        assert match is not None, "_module checked the names"
        place = int(match[2]), _DIRECTIONS.index(match[3] or "")
        found.setdefault(place, {})[match[1]] = entry
    both = any(direction for _, direction in found)
    number = max(layer for layer, _ in found) + 1
    if len(found) != number * (1 + both):
        account.refuse(name, "expected every layer in each direction, received a part", "E705")
        return None
    layers = tuple(tuple(found[i, j] for j in range(1 + both)) for i in range(number))
    stack = Stack(name, layers)
    problems = list(_problems(stack))
    for message, code in problems:
        account.refuse(name, message, code)
    return None if problems else stack


def _problems(stack: Stack) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with the arrays of a stack, each with its code."""
    first = stack.layers[0][0]
    if any("weight_hr" in arrays for layer in stack.layers for arrays in layer):
        yield "proj_size: the language has no projection of the state", "E703"
        return
    if missing := [own for own in ("weight_ih", "weight_hh") if own not in first]:
        yield f"expected {missing[0]}_l0, which is missing", "E705"
        return
    shape, given = first["weight_hh"].shape, first["weight_ih"].shape
    if len(shape) != 2 or not shape[1] or shape[0] not in (shape[1], 3 * shape[1], 4 * shape[1]):
        yield f"weight_hh_l0: expected (gates x units, units), received {shape}", "E707"
        return
    if len(given) != 2:
        yield f"weight_ih_l0: expected (gates x units, features), received {given}", "E707"
        return
    width = stack.units * len(stack.layers[0])
    for index, layer in enumerate(stack.layers):
        features = stack.features if index == 0 else width
        wanted = shapes_of(stack.gates, stack.units, features, bias=stack.bias)
        for suffix, arrays in zip(_DIRECTIONS, layer, strict=False):
            received = {own: entry.shape for own, entry in arrays.items()}
            for own in sorted(wanted.keys() | received.keys()):
                if wanted.get(own) != received.get(own):
                    shapes = f"expected shape {wanted.get(own)}, received {received.get(own)}"
                    yield f"{own}_l{index}{suffix}: {shapes}", "E707"


def shapes_of(gates: int, units: int, features: int, *, bias: bool) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the arrays of a recurrent layer in one direction, by name."""
    rows = gates * units
    shapes: dict[str, tuple[int, ...]] = {
        "weight_ih": (rows, features),
        "weight_hh": (rows, units),
    }
    return {**shapes, "bias_ih": (rows,), "bias_hh": (rows,)} if bias else shapes
