"""Bytes mutated by atheris, guided by the lines of the reader and the validator that they reach."""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

import atheris

ROOT = Path(__file__).parents[2]

with atheris.instrument_imports(include=["rnnspec", "yaml"]):
    from fuzz.verdict import MEBIBYTES, judge


def run(number: int, seed: int) -> None:
    """Try ``number`` inputs, starting from the gallery and from every text of the fault corpus."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "seeds").mkdir()
        for index, text in enumerate(_seeds()):
            (folder / "seeds" / str(index)).write_text(text, "utf-8")
        (folder / "words").write_text("".join(f'"{word}"\n' for word in sorted(_words())))
        arguments = [
            f"-runs={number}", f"-seed={seed}", f"-dict={folder / 'words'}",
            "-max_len=2048", "-timeout=300", f"-rss_limit_mb={MEBIBYTES}", "-print_final_stats=1",
            f"-artifact_prefix={Path.cwd()}/", str(folder / "seeds"),
        ]  # fmt: skip
        atheris.Setup([sys.argv[0], *arguments], judge_bytes)
        atheris.Fuzz()


def judge_bytes(raw: bytes) -> None:
    """Judge one input."""
    judge(raw)


def _seeds() -> list[str]:
    faults = sorted((ROOT / "tests" / "spec" / "faults").glob("*.txt"))
    texts = [path.read_text("utf-8") for path in sorted((ROOT / "specs").glob("*.yaml"))]
    blocks = [block for path in faults for block in path.read_text("utf-8").split("\n\n")]
    return texts + [block.split("\n=> ")[0] for block in blocks]


def _words() -> set[str]:
    return {word for text in _seeds() for word in re.findall(r"[a-z_0-9]{3,20}|: |- |\{|\}", text)}
