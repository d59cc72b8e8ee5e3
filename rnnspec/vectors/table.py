"""The vectors of the words of one embedding."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from rnnspec.vectors.words import Words

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Vectors:
    """The rows of one embedding, some of which are read from a file.

    ``array`` is the canonical name of the embedding. ``rows`` has the shape (vocabulary, dim), and
    ``found`` (vocabulary,) is true for each row that is in the file. If ``inside`` is a folder, the
    file must be in it.
    """

    array: str
    path: Path
    words: Words
    rows: NDArray[np.float32] = field(repr=False)
    found: NDArray[np.bool_] = field(repr=False)
    inside: Path | None = None

    @property
    def dim(self) -> int:
        """The size of a vector."""
        return int(self.rows.shape[1])

    @property
    def number_found(self) -> int:
        """The number of words that have a vector."""
        return int(self.found.sum())

    def report(self) -> tuple[str, ...]:
        """Return messages with the number of words that have a vector and that have none."""
        total, found = len(self.words.rows), self.number_found
        read = f"Read {found:,} vector{'s' if found != 1 else ''} from {self.path}"
        if found == total:
            return (read,)
        verbs = "has no vector", "it keeps its random initial row"
        if total - found > 1:
            verbs = "have no vector", "they keep their random initial rows"
        return (
            read,
            f"{total - found:,} of {total:,} words {verbs[0]} in {self.path}; {verbs[1]}",
        )
