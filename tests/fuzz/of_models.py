"""Model files, whole ones with a few of their bytes broken, or cut short."""

from __future__ import annotations

import random
import time
import zipfile
from pathlib import Path

from importing.old import reviews

from rnnspec.errors import ModelError, UsageError
from rnnspec.importing.run import take

SECONDS = 3.0
"""Of this process, that one answer may take."""


def run(number: int, seed: int) -> int:
    """Import ``number`` broken files in the working folder; return how many were accepted."""
    rng = random.Random(seed)
    wholes = {path: path.read_bytes() for path in (reviews("whole.h5"), _archived("whole.keras"))}
    accepted = 0
    for _ in range(number):
        path = rng.choice(list(wholes))
        broken = path.with_stem("broken")
        broken.write_bytes(_broken(wholes[path], rng))
        begun, said = time.process_time(), ""
        try:
            take(broken)
            accepted += 1
        except (ModelError, UsageError) as error:
            said = str(error)
        # On a crash or a hang the broken file is left.
        assert all(line.isprintable() for line in said.split("\n"))
        took = time.process_time() - begun
        assert took < SECONDS, f"{took:.2f} s"
        broken.unlink()
    return accepted


def _archived(path: str) -> Path:
    """Write a file like those of Keras 3, whose arrays are elsewhere than it says."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", '{"keras_version": "3.0.0"}')
        archive.writestr("config.json", '{"class_name": "Sequential", "config": {"layers": []}}')
        archive.writestr("model.weights.h5", Path("whole.h5").read_bytes())
    return Path(path)


def _broken(whole: bytes, rng: random.Random) -> bytes:
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
