"""Frameworks and their exports give what conformance/results says of them, on a few cases."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from rnnspec_conformance import suite
from rnnspec_conformance.cases import CASES
from rnnspec_conformance.layout import Case
from rnnspec_conformance.results import read_results
from rnnspec_conformance.run import Launch, run_suite
from rnnspec_conformance.tools import TOOLS

RESULTS = Path(__file__).parents[2] / "conformance" / "results"

# These need no environment of their own, and take seconds.
NAMES = ("keras-tensorflow", "keras-jax", "torch-export", "jax-export")
CHOSEN = ("backward-last-state", "open-length", "padding-inside", "state-carried", "two-outputs")


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> tuple[Case, ...]:
    for package in ("keras", "tensorflow", "torch", "jax"):
        pytest.importorskip(package)
    folder = tmp_path_factory.mktemp("frameworks") / "suite"
    scenarios = [case for case in CASES if case.name in CHOSEN]
    return suite.write(folder, cases=scenarios, formats=["keras", "torch", "jax"])


@pytest.mark.parametrize("name", NAMES)
def test_a_framework_has_its_results(name: str, cases: tuple[Case, ...]) -> None:
    tool = TOOLS[name]
    for package in tool.packages:
        if find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    recorded = read_results(RESULTS / f"{name}.json")
    results = run_suite(cases, [Launch(tool, name)])
    assert {case.name for case in cases} == set(CHOSEN)
    if results.tools[name].version != recorded.tools[name].version:
        # Another version may be better, not worse.
        assert results.worse_than(recorded) == ()
        return
    for case in CHOSEN:
        assert results.cells[case][name].state == recorded.cells[case][name].state, case
