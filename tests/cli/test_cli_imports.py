"""Modules loaded by each command: none that it does not need."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from cases import cases

SPEC = Path(__file__).parents[2] / "specs" / "stacked_lstm.yaml"
CODE = """\
import sys
from rnnspec.cli import main
sys.argv = ["rnnspec", *sys.argv[1:]]
try:
    main()
finally:
    print("loaded:", *sys.modules)
"""
FRAMEWORKS = {"torch", "keras", "tensorflow", "jax", "numpy", "safetensors"}
READING = {"yaml", "pydantic"}
MOST = 80
"""The modules of rnnspec that a check of one spec may load."""
SHOWING = {"rich", "jinja2", "json", "hypothesis"}


def loaded(*arguments: str) -> set[str]:
    """Return the modules that are loaded when a command ends."""
    done = subprocess.run(
        [sys.executable, "-c", CODE, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.rsplit("loaded:", 1)[1].split())


@cases(
    ("arguments", "absent", "present"),
    [
        (["--help"], FRAMEWORKS | READING | SHOWING, set()),
        (["--version"], FRAMEWORKS | SHOWING | {"yaml"}, set()),
        (["validate", str(SPEC)], FRAMEWORKS | SHOWING, READING),
        *(
            (["codegen", str(SPEC), "-b", name], FRAMEWORKS | SHOWING - {"jinja2", "json"}, READING)
            for name in ("keras", "torch")
        ),
        (["draw", str(SPEC), "-o", "a.svg"], FRAMEWORKS | {"jinja2", "rich", "cairosvg"}, READING),
        (["summary", str(SPEC)], FRAMEWORKS | {"jinja2", "hypothesis"}, {"rich"}),
        (["summary", str(SPEC), "--json"], FRAMEWORKS | {"jinja2"}, {"json"}),
        (["lint", str(SPEC)], FRAMEWORKS | {"jinja2", "rich", "hypothesis"}, READING),
        (["schema"], FRAMEWORKS | {"jinja2", "rich", "hypothesis"}, {"json"}),
        (["doctor"], FRAMEWORKS | {"jinja2", "rich", "hypothesis"}, READING),
        (["explain", "E301"], FRAMEWORKS | {"jinja2", "rich", "yaml"}, set()),
    ],
)
def test_a_command_loads_what_it_needs(
    arguments: list[str], absent: set[str], present: set[str]
) -> None:
    modules = loaded(*arguments)
    packages = {name.partition(".")[0] for name in modules}
    assert packages & absent == set()
    assert present <= packages
    if arguments[0] == "validate":
        assert {name for name in modules if name.startswith("rnnspec.cli.commands.")} == {
            "rnnspec.cli.commands.completion",
            "rnnspec.cli.commands.validate",
        }
        # Each costs half a millisecond or more.
        assert len({name for name in modules if name.partition(".")[0] == "rnnspec"}) <= MOST
