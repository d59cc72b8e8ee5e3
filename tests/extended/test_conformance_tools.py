"""Tools that are installed here give what conformance/results says of them."""

from __future__ import annotations

from importlib.util import find_spec

import pytest
from conftest import ROOT

from rnnspec_conformance import suite
from rnnspec_conformance.layout import Case
from rnnspec_conformance.results import Results, read_results
from rnnspec_conformance.run import Launch, run_suite
from rnnspec_conformance.tools import TOOLS

RESULTS = ROOT / "conformance" / "results"

# Their columns need no environment of their own, and take seconds.
NAMES = {"onnxruntime": "onnxruntime", "onnx-reference": "onnx", "openvino": "openvino"}


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> tuple[Case, ...]:
    pytest.importorskip("onnxruntime")
    return suite.write(tmp_path_factory.mktemp("conformance") / "suite", formats=["onnx"])


@pytest.mark.parametrize("name", NAMES)
def test_a_tool_has_its_results(name: str, cases: tuple[Case, ...]) -> None:
    if find_spec(NAMES[name]) is None:
        pytest.skip(f"{NAMES[name]} is not installed")
    recorded = read_results(RESULTS / f"{name}.json")
    assert set(recorded.cells) == {case.name for case in cases}
    results = run_suite(cases, [Launch(TOOLS[name], name)])
    if results.tools[name].version != recorded.tools[name].version:
        # Another version may be better, not worse.
        assert results.worse_than(recorded) == ()
        return
    assert _outcomes(results, name) == _outcomes(recorded, name)


def _outcomes(results: Results, tool: str) -> dict[str, tuple[str, str]]:
    return {case: (row[tool].state, row[tool].fault) for case, row in results.cells.items()}
