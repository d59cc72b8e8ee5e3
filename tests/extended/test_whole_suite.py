"""Cases of the conformance suite in all formats."""

from __future__ import annotations

from pathlib import Path

from rnnspec.backends import having, needs
from rnnspec_conformance import models, suite
from rnnspec_conformance.cases import CASES

MOST_BYTES = 10_000_000


EVERY = 3
"""One case in how many is written; all are in the formats that take the least time."""


def test_all_models_of_a_case_compute_its_outputs(tmp_path: Path) -> None:
    """Writing compares each model, loaded from its files, with the reference."""
    formats = [*(backend.name for backend in having(needs.FILES)), models.CANONICAL]
    folder = tmp_path / "suite"
    cases = suite.write(folder, CASES[::EVERY], formats=formats)
    for case in cases:
        assert set(case.models) == set(formats), case.refused
    assert sum(path.stat().st_size for path in folder.rglob("*")) < MOST_BYTES / EVERY
