"""A large file of pretrained vectors, with a spec that uses it."""

from pathlib import Path

import numpy as np

_DIM, _WORDS, _BLOCK = 300, 10_000, 1000
_SPEC = f"""\
version: 1
name: pretrained
embedding:
  vocabulary: {_WORDS}
  dim: {_DIM}
  weights: vectors.txt
  words: words.txt
rnn: {{type: lstm, units: 32}}
head: {{units: 1, activation: sigmoid}}
"""


def write(folder: Path, size: int) -> None:
    """Write ``spec.yaml``, ``words.txt`` and a ``vectors.txt`` of at least ``size`` bytes.

    The words of the vocabulary are spread over the whole file. Vectors repeat, words do not.
    """
    lines = _lines()
    count = max(_WORDS, size // len(lines[0]) + 1)
    (folder / "spec.yaml").write_text(_SPEC, "utf-8")
    # Spread out, so that no reader can stop early.
    wanted = "\n".join(f"w{number}" for number in range(0, count, max(1, count // _WORDS)))
    chosen = wanted.split("\n")[:_WORDS]
    (folder / "words.txt").write_text("\n".join(chosen) + "\n", "utf-8")
    with (folder / "vectors.txt").open("wb") as file:
        for start in range(0, count, _BLOCK):
            block = range(start, min(start + _BLOCK, count))
            file.write(b"".join(b"w%d%s" % (n, lines[n % _BLOCK]) for n in block))


def _lines() -> list[bytes]:
    """Return the part of each line in a block after the word."""
    rows = np.random.default_rng(0).uniform(-1, 1, (_BLOCK, _DIM))
    return [" {}\n".format(" ".join(f"{n:.5f}" for n in row)).encode() for row in rows]
