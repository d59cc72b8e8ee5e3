"""Model files, whole ones with a few of their bytes broken, or cut short."""

from __future__ import annotations

import io
import random
import time
import zipfile
from pathlib import Path

import numpy as np
import torch
from importing.old import archived, reviews
from safetensors.numpy import save_file

from fuzz.breaking import broken_bytes
from rnnspec.errors import ModelError, SpecError, UsageError
from rnnspec.importing.run import take

SECONDS = 3.0
"""Of this process, that one answer may take."""


def run(number: int, seed: int) -> int:
    """Import ``number`` broken files in the working folder; return how many were accepted."""
    rng = random.Random(seed)
    wholes = {path: path.read_bytes() for path in _wholes()}
    for path in wholes:
        take(path)  # a file that is refused while it is whole would test little
    accepted = 0
    for _ in range(number):
        path = rng.choice(list(wholes))
        broken = path.with_stem("broken")
        inside = path.suffix == ".keras" and rng.random() < 0.8
        broken.write_bytes((_broken_inside if inside else broken_bytes)(wholes[path], rng))
        begun, said = time.process_time(), ""
        try:
            take(broken)
            accepted += 1
        except (ModelError, SpecError, UsageError) as error:
            said = str(error)
        # On a crash or a hang the broken file is left.
        assert all(line.isprintable() for line in said.split("\n"))
        took = time.process_time() - begun
        assert took < SECONDS, f"{took:.2f} s"
        broken.unlink()
    return accepted


def _wholes() -> list[Path]:
    """Write a file of each kind."""
    old = reviews("whole.h5")
    modules = {
        "table": torch.nn.Embedding(20, 4),
        "rnn": torch.nn.LSTM(4, 3, num_layers=2, bidirectional=True),
        "norm": torch.nn.LayerNorm(6),
        "out": torch.nn.Linear(6, 2),
    }
    state = torch.nn.ModuleDict(modules).state_dict()
    torch.save({"epoch": 3, "model_state": state}, "whole.pt")
    torch.save(state, "whole.pth", _use_new_zipfile_serialization=False)
    arrays = {name: np.asarray(tensor) for name, tensor in state.items()}
    save_file(arrays, "whole.safetensors")
    names = ("whole.pt", "whole.pth", "whole.safetensors")
    return [old, archived("whole.keras", old), *map(Path, names)]


def _broken_inside(whole: bytes, rng: random.Random) -> bytes:
    """Break a member of an archive, and make its checksum right."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(whole)) as archive, zipfile.ZipFile(made, "w") as again:
        chosen = rng.choice(archive.namelist())
        for name in archive.namelist():
            member = archive.read(name)
            again.writestr(name, broken_bytes(member, rng) if name == chosen else member)
    return made.getvalue()
