"""The batch that every model is given."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

SIZE, STEPS, VOCABULARY = 32, 500, 10_000
RATE = 0.01


def draw() -> tuple[NDArray[Any], NDArray[Any]]:
    """Return tokens and labels, the same ones each time."""
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, VOCABULARY, (SIZE, STEPS), dtype=np.int64)
    return tokens, rng.integers(0, 2, (SIZE, 1)).astype(np.float32)
