"""``python -m benchmarks.validation [--quick]``: what CI and editors wait for, whole processes.

Cold ``rnnspec validate`` against check-jsonschema with rnnspec's own schema, and against a process
that only imports what both need; a thousand specs in one call; ``rnnspec --help``.
"""

import argparse
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from benchmarks.cold import ROOT, SPEC
from benchmarks.machine import machine
from benchmarks.race import Effort, Race, Run, race, say
from benchmarks.ratio import Ratio, against_each
from benchmarks.report import markdown, write

_SCRIPTS = Path(sysconfig.get_path("scripts"))
_RNNSPEC = str(_SCRIPTS / "rnnspec")
_MANY = 1000
_IMPORTS = "import yaml, pydantic"
_TYPER = "import typer"
_OURS_ON_ONE, _OURS_ON_MANY, _HELP = "rnnspec validate", "rnnspec validate --jobs 1", "rnnspec -h"
_SCHEMA_CHECK = "check-jsonschema"
_AIMS = {
    (_OURS_ON_ONE, _SCHEMA_CHECK): 1.0,
    (_OURS_ON_ONE, _IMPORTS): 2.0,
    (_HELP, _TYPER): 1.5,
}


def main() -> None:
    """Run the races, print a Markdown table, write results/."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.validation", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds: to try, not to quote")
    quick = parser.parse_args().quick
    effort = Effort(3, 4, 20) if quick else Effort(45, 12, 100)
    facts = machine()
    with tempfile.TemporaryDirectory() as folder:
        found = list(races(Path(folder), effort))
    ratios = [aimed(ratio) for each in found for ratio in against_each(each)]
    facts |= {"rate": f"{rate(found):,.0f} specs a second, {_OURS_ON_MANY}, the start included"}
    name = "validation-quick" if quick else "validation"
    write(ROOT / "benchmarks" / "results", name, facts, found, ratios)
    print(markdown(facts, ratios), end="")


def races(folder: Path, effort: Effort) -> Iterator[Race]:
    specs = _copies(folder)
    rival = _rival(folder)
    one = {name: _process(*command, SPEC) for name, command in rival.items()}
    bare = {_IMPORTS: _process(sys.executable, "-c", _IMPORTS)}
    yield race("one spec", {_OURS_ON_ONE: _process(_RNNSPEC, "validate", SPEC)}, one | bare, effort)
    many = {name: _process(*command, *specs) for name, command in rival.items()} | bare
    ours = {_OURS_ON_MANY: _process(_RNNSPEC, "validate", "--jobs", "1", *specs)}
    yield race(f"{_MANY} specs", ours, many, effort, warmups=1)
    typer = {_TYPER: _process(sys.executable, "-c", _TYPER)}
    yield race("help", {_HELP: _process(_RNNSPEC, "--help")}, typer, effort)


def _copies(folder: Path) -> list[str]:
    """Write a thousand specs, each its own text, and return their paths."""
    text = (ROOT / SPEC).read_text("utf-8")
    paths = [folder / f"spec_{number:04}.yaml" for number in range(_MANY)]
    for number, path in enumerate(paths):
        path.write_text(f"{text}# {number}\n", "utf-8")
    return [str(path) for path in paths]


def _rival(folder: Path) -> Mapping[str, tuple[str, ...]]:
    """Return the command of check-jsonschema, where it and ``rnnspec schema`` are there."""
    script, schema = _SCRIPTS / _SCHEMA_CHECK, folder / "schema.json"
    printed = subprocess.run([_RNNSPEC, "schema"], capture_output=True, check=False)
    if printed.returncode or not script.exists():
        say(f"{_SCHEMA_CHECK} or rnnspec schema is not there: skipped")
        return {}
    schema.write_bytes(printed.stdout)
    return {_SCHEMA_CHECK: (str(script), "--schemafile", str(schema))}


def _process(*command: str) -> Run:
    def run() -> None:
        subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, check=True)

    return run


def aimed(ratio: Ratio) -> Ratio:
    return replace(ratio, aim=_AIMS.get((ratio.ours, ratio.theirs)))


def rate(races: list[Race]) -> float:
    """Return the specs checked a second, by the median of the rounds."""
    (seconds,) = (each.ours[_OURS_ON_MANY] for each in races if _OURS_ON_MANY in each.ours)
    return _MANY / sorted(seconds)[len(seconds) // 2]


if __name__ == "__main__":
    main()
