"""Probes: batches on which sizes, indices and masks are computed, to see what they mean."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnspec.importing.graph.layer_graph import RefusedError

if TYPE_CHECKING:
    from rnnspec.backends.slots import Array
    from rnnspec.importing.graph.values import Probed

_SIZES = ((7, 37), (6, 58), (5, 41), (1, 53))
"""The sequences and the steps of the probes of an input with open sizes: no two are alike.

A single sequence is the largest of its batch, and has padding.
"""
_FEWEST_ROWS = 6
"""The number of sequences that have each pattern of padding."""
_MOST_NUMBERS = 2**21
"""The most numbers of a probe that are drawn."""
_MOST_STEPS = 2**19
"""The most steps of all sequences of a probe."""
_COST_OF_STEP = 32
"""The time that a step takes, for its numbers, padding and masks, as a number of bytes."""
_MOST_FEATURES = 2**31
_ANY_WIDTH = 5
"""The number of features as long as no layer has told it."""
_MOVED = 3
"""How many more steps the probes of another input have if it need not have those of the first."""
_ROWS_DRAWN = 64
"""The number of sequences of a probe that have padding of their own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeSetting:
    """Assumptions about the input while a graph is read.

    ``order`` has the letters of its axes in their order in the graph: B, T and, of numbers, F; it
    may lack F if there is one feature. A first state of a layer has D and U, its directions and
    their units. ``sizes`` are the sizes of these axes, None if they are
    open. ``filler`` is the number in every feature of a padded step, which the graph
    ``names_filler`` if it compares features with one. With ``at_end``, padding is at
    the end of a sequence alone. ``longer`` multiplies the open number of steps.

    Those of ``others`` are of the other inputs, in their order. An input that is not ``padded`` has
    real steps alone, and those with the same ``clock`` have as many steps. With
    ``has_turned_steps``, a layer may take the steps as features. With ``apart``, a layer ahead and
    one backward are two layers, even if their outputs stand side by side.
    """

    order: str
    sizes: tuple[int | None, ...]
    tokens: bool
    filler: float = 0.0
    names_filler: bool = False
    at_end: bool = False
    longer: int = 1
    padded: bool = True
    has_turned_steps: bool = False
    apart: bool = False
    clock: int = 0
    others: tuple[ProbeSetting, ...] = ()

    def size(self, letter: str) -> int | None:
        """Return the size of an axis, None if it is open."""
        if letter == "F" and "U" in self.order:
            directions, units = self.size("D"), self.size("U")
            return None if directions is None or units is None else directions * units
        at = self.order.find(letter)
        return self.sizes[at] if at >= 0 else 1

    @property
    def is_single(self) -> bool:
        """True if the input is one sequence, without an axis of a batch."""
        return self.is_sequence and "B" not in self.order

    @property
    def is_sequence(self) -> bool:
        """True if the input has steps."""
        return "T" in self.order

    def of(self, at: int) -> ProbeSetting:
        """Return the assumptions about the input at a place, 0 or -1 and so on."""
        return self if at == 0 else self.others[-at - 1]

    def change(self, at: int, **changes: Any) -> ProbeSetting:
        """Return the same assumptions, but for some about the input at a place."""
        if at == 0:
            return replace(self, **changes)
        others = list(self.others)
        others[-at - 1] = replace(others[-at - 1], **changes)
        return replace(self, others=tuple(others))

    def lay_out(self, batch: Array) -> Array:
        """Return a batch of the network in the order of axes of the graph's input."""
        if "U" in self.order:
            states = batch.reshape(len(batch), self.size("D") or 1, -1)
            return states.transpose(["BDU".index(letter) for letter in self.order])
        letters = "BTF"[: batch.ndim] if self.is_sequence else "BF"[: batch.ndim]
        order = [letters.index(letter) for letter in self.order]
        missing = [i for i in range(len(letters)) if i not in order]
        return batch.transpose([*order, *missing]).reshape([batch.shape[i] for i in order])


@dataclass(frozen=True, slots=True)
class Probes:
    """Batches of the network, (batch, steps) or (batch, steps, features), and their real steps.

    Those of a vector have no steps. ``others`` are those of the other inputs.
    """

    setting: ProbeSetting
    batches: Probed
    real: Probed
    others: tuple[Probes, ...] = ()

    def of(self, at: int) -> Probes:
        """Return those of the input at a place, 0 or -1 and so on."""
        return self if at == 0 else self.others[-at - 1]

    @property
    def rows(self) -> tuple[int, ...]:
        """The number of sequences of each."""
        return tuple(len(batch) for batch in self.batches)

    @property
    def steps(self) -> tuple[int, ...]:
        """The number of steps of each."""
        return tuple(batch.shape[1] for batch in self.batches)

    @property
    def lengths(self) -> Probed:
        """The number of real steps of each sequence."""
        return tuple(real.sum(1) for real in self.real)

    def with_vector(self, features: int) -> Probes:
        """Return these and those of one more input, a vector of each sequence."""
        one = ProbeSetting(order="BF", sizes=(None, features), tokens=False, padded=False)
        setting = replace(self.setting, others=(*self.setting.others, one))
        rng = np.random.default_rng(len(setting.others))
        drawn = _draw_input(rng, _with_common(self.setting, one), self.setting.size("B"))
        return replace(self, setting=setting, others=(*self.others, drawn))

    @property
    def cost(self) -> int:
        """The time that they take, as a number of bytes that are computed in it."""
        steps = sum(real.size for real in self.real)
        return _COST_OF_STEP * steps + sum(other.cost for other in self.others)

    @property
    def has_numbers(self) -> bool:
        """True if each number is one of its own: there are too many otherwise."""
        # NumPy repeats the one feature of a step without end, too.
        return all(batch.strides[-1] or batch.shape[-1] == 1 for batch in self.batches)

    @property
    def inputs(self) -> Probed:
        """The batches as the graph takes them."""
        return tuple(map(self.setting.lay_out, self.batches))


def draw_probes(setting: ProbeSetting) -> Probes:
    """Return probes with every pattern of padding.

    Raises:
        RefusedError: their sequences are too many, or too long.
    """
    first = _draw_input(np.random.default_rng(0), setting, setting.size("B"))
    others = tuple(
        _draw_input(np.random.default_rng(at), _with_common(setting, other), setting.size("B"))
        for at, other in enumerate(setting.others, 1)
    )
    return replace(first, others=others)


def _with_common(first: ProbeSetting, other: ProbeSetting) -> ProbeSetting:
    """Return the assumptions about another input with those that hold for all of them."""
    common = replace(other, at_end=first.at_end, longer=first.longer)
    if not other.is_sequence or other.clock != first.clock or other.size("T") is not None:
        return common
    sizes = list(other.sizes)
    sizes[other.order.index("T")] = first.size("T")
    return replace(common, sizes=tuple(sizes))


def _draw_input(rng: np.random.Generator, setting: ProbeSetting, rows: int | None) -> Probes:
    """Return the probes of one input, which has a number of sequences."""
    steps = setting.size("T") if setting.is_sequence else 1
    number = len(_SIZES) if rows is None or rows >= _FEWEST_ROWS else _FEWEST_ROWS
    batches, reals = [], []
    for index in range(number):
        open_rows, open_steps = _SIZES[index % len(_SIZES)]
        more = _MOVED * setting.clock
        size = (rows or open_rows, steps or (open_steps + more) * setting.longer)
        if size[0] * size[1] > _MOST_STEPS:
            message = f"expected at most {_MOST_STEPS:,} steps in all sequences, received"
            raise RefusedError(f"{message} {size[0]:,} x {size[1]:,}", "E707")
        drawn = [
            _draw_real_steps(rng, size[1], index + row + (size[0] == 1), at_end=setting.at_end)
            for row in range(min(size[0], _ROWS_DRAWN))
        ]
        real = np.stack([drawn[row % len(drawn)] for row in range(size[0])])
        if not setting.padded or not setting.is_sequence:
            real = np.ones_like(real)
        if setting.tokens:
            # No token twice in a sequence, so that each tells where it came from.
            tokens = rng.permuted(np.broadcast_to(np.arange(1, size[1] + 1), size), axis=1)
            batch = np.where(real, tokens, 0)
            if not setting.is_sequence:
                batch = rng.permutation(np.arange(1, size[0] + 1))
        else:
            features = setting.size("F") or _ANY_WIDTH
            if features > _MOST_FEATURES:
                message = f"expected at most {_MOST_FEATURES:,} features, received {features:,}"
                raise RefusedError(message, "E707")
            several = features if size[0] * size[1] * features <= _MOST_NUMBERS else 1
            numbers = rng.standard_normal((*size, several), dtype=np.float32)
            # A step is padding if every feature is the filler, not if some are.
            if several > 1 and setting.is_sequence:
                fillers = rng.random((*size, several)) < 0.5
                fillers &= np.arange(several) != rng.integers(several, size=size)[..., None]
                numbers = np.where(fillers, np.float32(setting.filler), numbers)
            numbers = np.where(real[..., None], numbers, np.float32(setting.filler))
            batch = np.broadcast_to(numbers, (*size, features))
            batch = batch if setting.is_sequence else batch[:, 0]
        batches.append(batch)
        reals.append(real)
    return Probes(setting, tuple(batches), tuple(reals))


def _draw_real_steps(rng: np.random.Generator, steps: int, kind: int, *, at_end: bool) -> Array:
    """Return the real steps of a sequence with one pattern of padding."""
    at, cut = np.arange(steps), rng.integers(1, max(steps, 2))
    holes = (rng.random(steps) < 0.5) | (at == steps // 2)
    single = at == rng.integers(0, steps)
    if at_end:
        return at < (steps if kind % 3 == 0 else cut)
    patterns: list[Array] = [at >= 0, at < cut, at >= steps - cut, holes, single, at < 0]
    return patterns[kind % _FEWEST_ROWS]
