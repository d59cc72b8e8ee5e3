"""Compare random specs with a decoder that attends to another sequence, and print what they gave.

Run as ``python tests/extended/comparison/decoders.py 1000 SEED [LEVEL [BACKEND ...]]``.
"""

from __future__ import annotations

import sys

from rnnspec.comparison.random import compare_random


def main(number: str, seed: str, level: str = "gradients", *backends: str) -> int:
    """Return 1 if a spec is unequal, which is then printed."""

    def progress(text: str) -> None:
        print(f"\r{text}", end="", file=sys.stderr)

    result = compare_random(
        int(number), int(seed), backends or None, level=level, decoder=True, progress=progress
    )
    print(f"\n{result.compared} equal, {result.refused} refused by all but one")
    for name, part in result.backends.items():
        print(f"{name}: {part.compared} in {part.dtype}, largest differences {part.largest}")
    if not result.equal:
        print(result.spec, result.error, sep="\n")
    return 0 if result.equal else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
