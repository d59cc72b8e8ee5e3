"""Networks that show the masks of their recurrent dropout, and the faults of these masks.

All activations are linear, so a gate can be set to any number. A unit that shows a gate gets one
feature of the input, or the state of one source, into that gate only; constants in its other gates
make the output reveal the gate. Sources are units that are always 1. All bounds are at least six
standard errors, with fixed seeds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
from live import outputs, seed

import rnnspec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rnnspec.backends.slots import Array

RATES = {"input": 0.25, "state": 0.4}
ROWS, STEPS, SOURCES = 1500, 5, 2
FIRST = 2
"""From this step on, every gate can be read."""

NUMBERS = "features: 2"
PADDED = "features: 2, mask_value: 0.0"
SPEC = """\
version: 1
name: shows_its_masks
input: {{{entrance}}}
rnn: {{{words}, units: {units}, activation: linear, dropout: 0.25, recurrent_dropout: 0.4{more}}}
"""
GATED = "recurrent_activation: linear"


def same(now: Array, before: Array) -> Array:
    return now


@dataclass(frozen=True)
class Cell:
    """A cell whose gates can be read.

    ``rest`` has the values of all gates of a unit that shows none, in canonical order. ``read``
    computes a gate from the outputs at a step and at the step before, if the output is not the gate
    itself.
    """

    words: str
    rest: dict[str, float]
    shown: dict[str, dict[str, float]] = field(default_factory=dict)
    read: dict[str, Callable[[Array, Array], Array]] = field(default_factory=dict)
    recurrent_bias: dict[str, dict[str, float]] = field(default_factory=dict)
    reset_first: bool = False

    @property
    def signals(self) -> list[tuple[str, str, int]]:
        """One signal per unit: a mask on the input or the state, its gate, and its source."""
        return [(kind, g, s) for kind in RATES for g in self.rest for s in range(SOURCES)]


CELLS = {
    "simple": Cell("type: simple", {"h": 1.0}),
    "lstm": Cell(
        f"type: lstm, {GATED}",
        {"i": 1.0, "f": 0.0, "c": 1.0, "o": 1.0},
        # c = f c + 1, and the output is c.
        read={"f": lambda now, before: (now - 1.0) / before},
    ),
    "gru": Cell(
        f"type: gru, {GATED}",
        {"z": 0.0, "r": 1.0, "h": 1.0},
        # h = z h + (1 - z), with z = mask + 0.5; h = r, because r multiplies the recurrent bias.
        shown={"z": {"z": 0.5}, "r": {"r": 0.0, "h": 0.0}},
        read={"z": lambda now, before: (now - 1.0) / (before - 1.0) - 0.5},
        recurrent_bias={"r": {"h": 1.0}},
    ),
    "reset-first gru": Cell(
        f"type: gru, reset_after: false, {GATED}",
        {"z": 0.0, "r": 1.0, "h": 1.0},
        # r = mask + 1 is read by a further unit, whose output is r times the mask on its own state.
        shown={"z": {"z": 0.5}, "r": {"r": 1.0}},
        read={"z": lambda now, before: (now - 1.0) / (before - 1.0) - 0.5},
        reset_first=True,
    ),
}


def arrays(cell: Cell) -> dict[str, Array]:
    """Return the canonical arrays of one direction."""
    signals, gates = cell.signals, list(cell.rest)
    readers = {i: n for n, i in enumerate(_read_by_another(cell))}
    units = SOURCES + len(signals) + len(readers)
    kernel, recurrent = np.zeros((2, len(gates), units)), np.zeros((units, len(gates), units))
    bias = np.repeat(np.array(list(cell.rest.values()))[:, np.newaxis], units, axis=1)
    second = np.zeros_like(bias)
    for i, (kind, gate, source) in enumerate(signals):
        unit, at = SOURCES + i, gates.index(gate)
        (kernel if kind == "input" else recurrent)[source, at, unit] = 1.0
        for name, value in cell.shown.get(gate, {gate: 0.0}).items():
            bias[gates.index(name), unit] = value
        for name, value in cell.recurrent_bias.get(gate, {}).items():
            second[gates.index(name), unit] = value
        if i in readers:
            reader = SOURCES + len(signals) + readers[i]
            recurrent[unit, gates.index("h"), reader] = 1.0
            bias[gates.index("h"), reader] = 0.0
    return {
        "kernel": kernel.reshape(2, -1),
        "recurrent_kernel": recurrent.reshape(units, -1),
        "bias": bias.reshape(-1),
        "recurrent_bias": second.reshape(-1),
    }


def _read_by_another(cell: Cell) -> list[int]:
    return [i for i, (_, g, _) in enumerate(cell.signals) if cell.reset_first and g == "r"]


def spec_of(cell: Cell, more: str = "", entrance: str = NUMBERS) -> Any:
    units = SOURCES + len(cell.signals) + len(_read_by_another(cell))
    text = SPEC.format(entrance=entrance, words=cell.words, units=units, more=more)
    return rnnspec.loads(text)


def load(model: Any, cell: Cell) -> Any:
    own = arrays(cell)
    names = rnnspec.read_weights(model)
    rnnspec.write_weights(model, {name: own[name.rsplit(".", 1)[1]] for name in names})
    return model


def run(model: Any, entrance: str = NUMBERS, *, training: bool = True, number: int = 7) -> Array:
    """Return the output of every unit at the real steps, (batch, steps, units)."""
    seed(number)
    real = scattered(ROWS, STEPS) if entrance == PADDED else np.ones((ROWS, STEPS), dtype=bool)
    batch = np.repeat(real[..., np.newaxis], 2, axis=2).astype(np.float32)
    return at_real_steps(outputs(model, batch, training=training), real)


def scattered(rows: int, steps: int) -> Array:
    """Return a mask with the same number of real steps in each sequence, and padding anywhere."""
    longer = steps + 3
    order = np.random.default_rng(5).random((rows, longer)).argsort(axis=1)
    return order < steps


def at_real_steps(shown: Array, real: Array) -> Array:
    """Return (batch, steps, units) without padding, of which each sequence has the same amount."""
    return shown[real].reshape(len(shown), -1, shown.shape[-1])


def masks(cell: Cell, shown: Array) -> Array:
    """Return the factor on each signal, (signals, batch, steps), NaN if it cannot be determined."""
    signals, another = cell.signals, _read_by_another(cell)
    found = []
    for i, (_, gate, _) in enumerate(signals):
        if i in another:
            product = shown[..., SOURCES + len(signals) + another.index(i)]
            with np.errstate(invalid="ignore", divide="ignore"):
                mask = np.where(product > 0.5, product * (1.0 - RATES["state"]) - 1.0, np.nan)
            found.append(mask[:, FIRST:])
            continue
        unit = shown[..., SOURCES + i]
        read = cell.read.get(gate, same)
        found.append(read(unit[:, FIRST:], unit[:, FIRST - 1 : -1]))
    return np.stack(found)


def check(cell: Cell, shown: Array) -> list[str]:
    """Return the faults in the masks of one direction."""
    if np.abs(shown[..., :SOURCES] - 1.0).max() > 1e-4:
        return ["it is not on the state alone"]
    found = masks(cell, shown)
    known, there = ~np.isnan(found), found > 0.5
    if not known.any(axis=(1, 2)).all():
        return ["a mask repeats from row to row: it never lets another be told"]
    return [*_wrong_values(cell, found, known), *_dependent(cell, there, known)]


def _wrong_values(cell: Cell, found: Array, known: Array) -> Iterator[str]:
    there = found > 0.5
    rates = np.array([RATES[kind] for kind, _, _ in cell.signals])
    scaled = there / (1.0 - rates[:, np.newaxis, np.newaxis])
    if np.abs(np.where(known, found - scaled, 0.0)).max() > 1e-3:
        yield "it does not scale what it keeps"
    share = (there & known).sum(axis=(1, 2)) / known.sum(axis=(1, 2))
    # In the worst case each sequence has one independent number.
    error = np.sqrt(rates * (1.0 - rates) / known[:, :, 0].sum(axis=1))
    if (np.abs(share - (1.0 - rates)) > 6.0 * error).any():
        yield "it does not keep its share"
    if (there != there[:, :, :1]).any():
        yield "it is not one mask a sequence"


def _dependent(cell: Cell, there: Array, known: Array) -> Iterator[str]:
    masks = dict(zip(cell.signals, there[:, :, 0], strict=True))
    told = dict(zip(cell.signals, known[:, :, 0], strict=True))
    for one, other in combinations(masks, 2):
        both = told[one] & told[other]
        if correlated(masks[one][both], masks[other][both]):
            yield f"{one} and {other} go together"
    for signal, mask in masks.items():
        if correlated(mask[::2], mask[1::2]):
            yield f"{signal} repeats from row to row"


def correlated(one: Array, other: Array) -> bool:
    """True if two masks, with one number per sequence, depend on each other."""
    if one.std() == 0.0 or other.std() == 0.0:
        return True
    found = np.corrcoef(one.astype(np.float64), other.astype(np.float64))[0, 1]
    return bool(abs(found) > 6.0 * len(one) ** -0.5)


def halves(shown: Array) -> tuple[Array, Array]:
    """Return the output of each direction, in the order in which it read the sequence."""
    ahead, back = np.split(shown, 2, axis=-1)
    return ahead, back[:, ::-1]


def check_both(cell: Cell, shown: Array) -> list[str]:
    """Return the faults in the masks of two directions."""
    ahead, back = halves(shown)
    wrong = check(cell, ahead) + check(cell, back)
    if wrong:
        return wrong
    first, second = (masks(cell, each)[:, :, 0] > 0.5 for each in (ahead, back))
    for signal, one, other in zip(cell.signals, first, second, strict=True):
        if correlated(one, other):
            wrong.append(f"{signal} is one mask for both directions")
    return wrong
