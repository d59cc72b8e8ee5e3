"""Bytes of files with a few of them changed."""

from __future__ import annotations

import random


def broken_bytes(whole: bytes, rng: random.Random) -> bytes:
    """Return the bytes of a file with a few of them changed, or without its end."""
    raw = bytearray(whole)
    for _ in range(rng.randint(1, 6)):
        # Half of them in the headers, where most of the structure is.
        at = rng.randrange(len(raw) if rng.random() < 0.5 else min(len(raw), 6000))
        match rng.randrange(4):
            case 0:
                raw[at] = rng.randrange(256)
            case 1:
                raw[at : at + 8] = rng.choice([b"\xff" * 8, bytes(8), rng.randbytes(8)])
            case 2:
                raw[at] ^= 1 << rng.randrange(8)
            case _ if rng.random() < 0.1:
                del raw[at + 1 :]
            case _:
                raw[at : at + 1] = b"\x7f"
    return bytes(raw)
