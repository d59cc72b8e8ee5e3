"""Characters of a real text in batches; the batch of a step depends on nothing but its number."""

from __future__ import annotations

import string
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

import rnnspec

if TYPE_CHECKING:
    from rnnspec.spec.models import Spec

STEPS = 48
"""The time steps of each sequence."""


def fitting(path: str | Path) -> Spec:
    """Return the spec of a network that predicts a character at each time step."""
    spec, number = rnnspec.load(path), len(string.printable)
    tokens = spec.embedding.vocabulary if spec.embedding else 0
    out = rnnspec.summary(spec).layers[-1].output_shape
    sequences = out in {(None, None, number), (None, STEPS, number)}
    if tokens != number or not sequences or spec.head.activation != "log_softmax":
        raise SystemExit(
            f"{spec.name}: expected a vocabulary of {number}, and a head with pooling: none, "
            f"units: {number} and activation: log_softmax, as in characters.yaml"
        )
    return spec


def read_text(path: Path | None) -> str:
    """Return the text of a file, or by default Python's own language reference."""
    if path is not None:
        return path.read_text(encoding="utf-8")
    from pydoc_data.topics import topics

    return "\n\n".join(topics[name] for name in sorted(topics))


@dataclass(frozen=True)
class Characters:
    """A text as tokens; its last tenth is for validation."""

    tokens: NDArray[np.int64]
    batch_size: int
    seed: int = 0

    @classmethod
    def of(cls, text: str, batch_size: int, seed: int = 0) -> Characters:
        """Return a text as tokens, with a space in place of what is not printable ASCII."""
        space = string.printable.index(" ")
        number = {character: index for index, character in enumerate(string.printable)}
        tokens = np.array([number.get(each, space) for each in text], dtype=np.int64)
        if len(tokens) < 20 * (STEPS + 1):
            raise SystemExit(
                f"expected a text of {20 * (STEPS + 1)} characters, received {len(tokens)}"
            )
        return cls(tokens, batch_size, seed)

    def batch(self, step: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the inputs and the targets of a step, each (batch, steps)."""
        training = self.tokens[: len(self.tokens) * 9 // 10]
        generator = np.random.default_rng([self.seed, step])
        starts = generator.integers(0, len(training) - STEPS, self.batch_size)
        return _sequences(training, starts)

    def validation(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the same sequences of the last tenth each time, each (batch, steps)."""
        rest = self.tokens[len(self.tokens) * 9 // 10 :]
        return _sequences(rest, np.linspace(0, len(rest) - STEPS - 1, self.batch_size).astype(int))

    def share(self, rank: int, processes: int) -> slice:
        """Return the rows of a batch that a process computes."""
        if self.batch_size % processes:
            raise SystemExit(
                f"expected a batch that divides over {processes} processes, "
                f"received {self.batch_size} sequences"
            )
        size = self.batch_size // processes
        return slice(rank * size, (rank + 1) * size)


def _sequences(
    tokens: NDArray[np.int64], starts: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    rows = starts[:, None] + np.arange(STEPS)
    return tokens[rows], tokens[rows + 1]
