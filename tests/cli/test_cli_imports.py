"""Modules loaded by each command: none that it does not need."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

GALLERY_SPEC = Path(__file__).parents[2] / "specs" / "stacked_lstm.yaml"
SPEC = "stacked_lstm.yaml"
CODE = """\
import os, sys
for words in sys.argv[1:]:
    if child := os.fork():
        _, status = os.waitpid(child, 0)
        assert not status, words
        continue
    from rnnspec.cli import main
    sys.argv = ["rnnspec", *words.split(" ")]
    try:
        main()
    finally:
        print("\\nloaded:", *sys.modules, flush=True)
"""
FRAMEWORKS = {"torch", "keras", "tensorflow", "jax", "numpy", "safetensors"}
READING = {"yaml", "pydantic"}
MOST = 80
"""The modules of rnnspec that a check of one spec may load."""
SHOWING = {"rich", "jinja2", "json", "hypothesis"}


# For each command, what it must not load, and what it must.
COMMANDS: list[tuple[str, set[str], set[str]]] = [
    ("--help", FRAMEWORKS | READING | SHOWING, set()),
    ("--version", FRAMEWORKS | SHOWING | {"yaml"}, set()),
    (f"validate {SPEC}", FRAMEWORKS | SHOWING, READING),
    *(
        (f"codegen {SPEC} -b {name}", FRAMEWORKS | SHOWING - {"jinja2", "json"}, READING)
        for name in ("keras", "torch")
    ),
    (f"draw {SPEC} -o a.svg", FRAMEWORKS | {"jinja2", "rich", "cairosvg"}, READING),
    (f"summary {SPEC}", FRAMEWORKS | {"jinja2", "hypothesis"}, {"rich"}),
    (f"summary {SPEC} --json", FRAMEWORKS | {"jinja2"}, {"json"}),
    (f"lint {SPEC}", FRAMEWORKS | {"jinja2", "rich", "hypothesis"}, READING),
    ("schema", FRAMEWORKS | {"jinja2", "rich", "hypothesis"}, {"json"}),
    ("doctor", FRAMEWORKS | {"jinja2", "rich", "hypothesis"}, READING),
    ("explain E301", FRAMEWORKS | {"jinja2", "rich", "yaml"}, set()),
]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="each command is a fork")
def test_a_command_loads_what_it_needs(subtests: pytest.Subtests) -> None:
    shutil.copy(GALLERY_SPEC, SPEC)
    commands = [words for words, _, _ in COMMANDS]
    done = subprocess.run(
        [sys.executable, "-c", CODE, *commands], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    lists = [line for line in done.stdout.splitlines() if line.startswith("loaded:")]
    for (words, absent, present), line in zip(COMMANDS, lists, strict=True):
        with subtests.test(words):
            check(words, set(line.split()[1:]), absent, present)


def check(words: str, modules: set[str], absent: set[str], present: set[str]) -> None:
    packages = {name.partition(".")[0] for name in modules}
    assert packages & absent == set()
    assert present <= packages
    if words.startswith("validate"):
        assert {name for name in modules if name.startswith("rnnspec.cli.commands.")} == {
            "rnnspec.cli.commands.completion",
            "rnnspec.cli.commands.validate",
        }
        # Each costs half a millisecond or more.
        assert len({name for name in modules if name.partition(".")[0] == "rnnspec"}) <= MOST
