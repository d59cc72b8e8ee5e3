"""Commands that continuous integration and editors wait for, as whole processes.

Cold ``rnnspec validate`` against check-jsonschema with rnnspec's own schema, and against a process
with only the imports of both; a thousand specs in one call; ``rnnspec --help``.
"""

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from statistics import median

from benchmarks.budget import Budget
from benchmarks.cold import ROOT, SCRIPT, SPEC, output, process, python
from benchmarks.findings import Findings
from benchmarks.race import Effort, Race, log, race
from benchmarks.ratio import Ratio, against_each

_RACES = 3
_MANY = 1000
_IMPORTS = "import yaml, pydantic"
# 'import pydantic' alone is lazy.
_MODEL = "from pydantic import BaseModel, which loads it"
_TYPER = "import typer"
_OURS_ON_ONE, _OURS_ON_MANY, _HELP = "rnnspec validate", "rnnspec validate --jobs 1", "rnnspec -h"
_SCHEMA_CHECK = "check-jsonschema"
_AIMS = {
    (_OURS_ON_ONE, _SCHEMA_CHECK): 1.0,
    (_OURS_ON_ONE, _IMPORTS): 2.0,
    (_HELP, _TYPER): 1.5,
}


def run(budget: Budget, findings: Findings) -> None:
    """Race one spec, a thousand specs, and the help."""
    with tempfile.TemporaryDirectory() as folder:
        for found in _races(Path(folder), budget.effort(_RACES)):
            findings.add(found, map(_aimed, against_each(found)))
            if _OURS_ON_MANY in found.ours:
                rate = _MANY / median(found.ours[_OURS_ON_MANY])
                findings.notes.append(f"{_OURS_ON_MANY}: {rate:,.0f} specs a second")


def _races(folder: Path, effort: Effort) -> Iterator[Race]:
    rival = _rival(folder)
    one = {name: process(*command, SPEC) for name, command in rival.items()}
    one |= {
        _IMPORTS: python(_IMPORTS),
        _MODEL: python("import yaml; from pydantic import BaseModel"),
    }
    yield race("one spec", {_OURS_ON_ONE: process(SCRIPT, "validate", SPEC)}, one, effort)
    specs = _copies(folder)
    many = {name: process(*command, *specs) for name, command in rival.items()}
    many |= {_IMPORTS: python(_IMPORTS)}
    # One process, because check-jsonschema uses one.
    ours = {_OURS_ON_MANY: process(SCRIPT, "validate", "--jobs", "1", *specs)}
    yield race(f"{_MANY} specs", ours, many, effort, warmups=1)
    yield race("help", {_HELP: process(SCRIPT, "--help")}, {_TYPER: python(_TYPER)}, effort)


def _copies(folder: Path) -> list[str]:
    """Write a thousand specs with different texts, and return their paths."""
    text = (ROOT / SPEC).read_text("utf-8")
    paths = [folder / f"spec_{number:04}.yaml" for number in range(_MANY)]
    for number, path in enumerate(paths):
        # Different texts, so that no cache of equal files can help either tool.
        path.write_text(f"{text}# {number}\n", "utf-8")
    return [str(path) for path in paths]


def _rival(folder: Path) -> Mapping[str, tuple[str, ...]]:
    """Return the command of check-jsonschema, if it is installed."""
    script, schema = Path(SCRIPT).with_name(_SCHEMA_CHECK), folder / "schema.json"
    if not script.exists():
        log(f"{_SCHEMA_CHECK} is not installed: skipped")
        return {}
    schema.write_bytes(output(SCRIPT, "schema"))
    return {_SCHEMA_CHECK: (str(script), "--schemafile", str(schema))}


def _aimed(ratio: Ratio) -> Ratio:
    return replace(ratio, aim=_AIMS.get((ratio.ours, ratio.theirs)))
