"""The batch for every model."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

# As in the specs of the founding networks.
STEPS, SHORTEST, VOCABULARY = 500, 50, 10_000
RATE = 0.01


def draw(size: int, *, padded: bool = False) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return tokens and labels, the same ones every time; padding is zeros on the right."""
    rng = np.random.default_rng(0)
    # From 1 on, because token 0 is padding.
    tokens = rng.integers(1, VOCABULARY, (size, STEPS), dtype=np.int64)
    labels = rng.integers(0, 2, (size, 1)).astype(np.float32)
    if padded:
        lengths = rng.integers(SHORTEST, STEPS + 1, (size, 1))
        # On the right, where pack_padded_sequence needs it.
        tokens[np.arange(STEPS) >= lengths] = 0
    return tokens, labels
