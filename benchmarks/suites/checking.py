"""What continuous integration waits for: ``rnnspec validate`` against check-jsonschema."""

import tempfile
from pathlib import Path

from benchmarks.budget import Budget
from benchmarks.findings import Findings
from benchmarks.ratio import against_each
from benchmarks.validation import aimed, races, rate

_RACES = 3


def run(budget: Budget, findings: Findings) -> None:
    """Race one spec, a thousand, and the help."""
    with tempfile.TemporaryDirectory() as folder:
        for found in races(Path(folder), budget.effort(_RACES)):
            findings.add(found, map(aimed, against_each(found)))
    findings.notes.append(f"rnnspec validate --jobs 1: {rate(findings.races):,.0f} specs a second")
