"""The catalogue of cases, and the folders that a suite is written to."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import unittest
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import onnx
import onnxruntime
import pytest
from cases import cases
from conftest import ROOT
from onnx.backend.base import Backend
from onnx.backend.test.runner import Runner
from safetensors.numpy import load_file

from rnnspec.backends import having, needs
from rnnspec.errors import GenerationError, OutputError, ParityError, UsageError
from rnnspec.files import output as output_files
from rnnspec_conformance import layout, models, suite
from rnnspec_conformance.cases import CASES
from rnnspec_conformance.encoding import Omission
from rnnspec_conformance.layout import Case
from rnnspec_conformance.scenario import FAR, Mistake, Scenario, scaled

NAMES = [case.name for case in CASES]
FAST = ("onnx", models.CANONICAL)
"""The formats that are written in no time."""
SLOW = ("lstm-second-bias", "state-carried")
"""Cases of both forms, in all formats; the extended tests write more of them."""
MOST_BYTES = 10_000_000


def chosen(*names: str) -> list[Scenario]:
    return [case for case in CASES if case.name in names]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A suite of all cases in the fast formats, whose models were compared with the reference."""
    path = tmp_path_factory.mktemp("conformance") / "suite"
    suite.write(path, formats=FAST)
    return path


@pytest.fixture(scope="module")
def written(folder: Path) -> dict[str, Case]:
    return {case.name: case for case in suite.read(folder)}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A suite of few cases in all formats."""
    path = tmp_path_factory.mktemp("conformance") / "whole"
    suite.write(path, chosen(*SLOW), [backend.name for backend in having(needs.FILES)])
    return path


def test_a_case_is_named_for_its_fact() -> None:
    assert len(set(NAMES)) == len(NAMES) >= 60
    assert set(SLOW) <= set(NAMES)
    assert len({case.fact for case in CASES}) == len(CASES)
    for case in CASES:
        # ONNX's loader reads the sixth character of a name.
        assert re.fullmatch("[a-z0-9]+(-[a-z0-9]+)*", case.name), case.name
        assert len(case.name) > 5, case.name
        for sentence in (case.fact, case.consequence):
            assert sentence.endswith("."), sentence
        faults = [mistake.name for mistake in case.mistakes]
        assert len(set(faults)) == len(faults) >= 1


def test_what_is_read_is_what_was_written(written: dict[str, Case]) -> None:
    assert list(written) == NAMES
    for scenario in CASES:
        case = written[scenario.name]
        assert (case.fact, case.consequence) == (scenario.fact, scenario.consequence)
        assert [fault.name for fault in case.faults] == [
            mistake.name for mistake in scenario.mistakes
        ]
        assert len(case.calls) == len(scenario.batches)
        for name in FAST:
            path = case.model(name)
            assert (path is None) == (name in case.refused)
            assert path is None or path.exists()


def test_each_fault_is_far_from_the_truth(written: dict[str, Case]) -> None:
    for case in written.values():
        for fault in case.faults:
            far = 0.0
            for call, outputs in zip(case.calls, fault.outputs, strict=True):
                for right, wrong in zip(call.outputs, outputs, strict=True):
                    if right.shape != wrong.shape or not np.isfinite(wrong).all():
                        far = np.inf
                    else:
                        far = max(far, float(np.abs(right - wrong).max()))
            assert far >= FAR * case.tolerance, (case.name, fault.name)


def test_a_tolerance_is_near_what_float32_costs(written: dict[str, Case]) -> None:
    for case in written.values():
        largest = max(float(np.abs(out).max()) for call in case.calls for out in call.outputs)
        assert 1e-5 <= case.tolerance <= 3e-5 * max(1.0, largest), case.name


def test_inputs_are_exact_in_float32(written: dict[str, Case]) -> None:
    for case in written.values():
        for call in case.calls:
            assert {array.dtype.name for array in call.inputs} <= {"int64", "float32", "bool"}
            assert {array.dtype.name for array in call.outputs} == {"float64"}
            assert all(np.isfinite(array).all() for array in (*call.inputs, *call.outputs))
            for output in call.outputs:
                # Those that ONNX's own runner compares relatively.
                assert np.all((np.abs(output) >= 0.01) | (output == 0.0)), case.name


class EmptyRunner(Runner):
    """ONNX's runner, without its own cases, which take seconds to make."""

    def __init__(self, backend: type[Backend], parent_module: str) -> None:
        self.backend = backend
        self._parent_module = parent_module
        self._include_patterns = set()
        self._exclude_patterns = set()
        self._xfail_patterns = set()
        self._test_kwargs = {}
        self._test_items = {"SimpleModel": {}}


@pytest.mark.filterwarnings("ignore:onnx.version is deprecated:DeprecationWarning")
def test_the_runner_of_onnx_takes_the_suite_as_its_readme_says(folder: Path) -> None:
    (code,) = re.findall(
        r"```python\n(.*?)```", (folder / "README.md").read_text("utf-8"), re.DOTALL
    )
    for old, new in (
        ("from onnx.backend.test.runner import Runner\n", ""),
        ("FOLDER OF THE SUITE", str(folder.parent)),
        ("NAME OF THE SUITE", folder.name),
    ):
        assert old in code
        code = code.replace(old, new)
    names: dict[str, Any] = {"Runner": EmptyRunner}
    exec(code, names)
    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(names["OnnxBackendSimpleModelTest"]).run(
        result
    )
    assert result.failures == result.errors == []
    # The others are those for CUDA.
    assert result.testsRun - len(result.skipped) == len(CASES)


def test_onnx_runtime_computes_the_outputs(
    written: dict[str, Case], subtests: pytest.Subtests
) -> None:
    for case in written.values():
        with subtests.test(case.name):
            check_in_onnx_runtime(case)


def check_in_onnx_runtime(case: Case) -> None:
    session = onnxruntime.InferenceSession(case.model("onnx"))
    for at, call in enumerate(case.calls):
        named = zip(session.get_inputs(), call.inputs, strict=True)
        outputs = session.run(None, {given.name: array for given, array in named})
        for number, (output, expected) in enumerate(zip(outputs, call.outputs, strict=True)):
            assert output.shape == expected.shape
            assert np.abs(output - expected).max() <= case.tolerance
            tensor = onnx.load_tensor(case.folder / f"test_data_set_{at}" / f"output_{number}.pb")
            stored = onnx.numpy_helper.to_array(tensor)
            assert np.array_equal(stored, expected.astype(np.float32))


def tree(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_both_biases_of_an_lstm_are_written(whole: Path) -> None:
    """Only then does a tool show whether it adds them."""
    case = next(case for case in suite.read(whole) if case.name == "lstm-second-bias")
    state = load_file(case.folder / "torch" / "network.safetensors")
    assert np.array_equal(state["lstm_1.bias_ih_l0"], state["lstm_1.bias_hh_l0"])
    assert np.all(state["lstm_1.bias_hh_l0"] != 0)
    graph = onnx.load_model(case.folder / "model.onnx").graph
    (node,) = (node for node in graph.node if node.op_type == "LSTM")
    (bias,) = (array for array in graph.initializer if array.name == node.input[3])
    of_input, of_state = np.split(onnx.numpy_helper.to_array(bias)[0], 2)
    assert np.array_equal(of_input, of_state)


def test_onnx_files_are_written_as_by_exporters_but_for_what_a_case_omits(
    written: dict[str, Case],
) -> None:
    outputs = {"RNN": 2, "GRU": 2, "LSTM": 3}
    omissions = dict[str, set[str]]()
    for scenario in CASES:
        graph = onnx.load_model(written[scenario.name].folder / "model.onnx").graph
        makers = {name: node for node in graph.node for name in node.output}
        taken = set()
        for node in graph.node:
            if node.op_type not in outputs:
                continue
            settings = {attribute.name: attribute for attribute in node.attribute}
            functions = len(settings["activations"].strings) if "activations" in settings else 0
            states = [*node.input, "", "", ""][5 : 4 + outputs[node.op_type]]
            zeros = [makers[name] for name in states if name in makers]
            taken |= {
                *(
                    ["output names"]
                    if len([*filter(None, node.output)]) < outputs[node.op_type]
                    else []
                ),
                *(["first states"] if not all(states) else []),
                *(
                    "unused numbers"
                    for key in ("activation_alpha", "activation_beta")
                    if key in settings and len(settings[key].floats) < functions
                ),
                *(
                    "type of zeros"
                    for node in zeros
                    if node.op_type == "ConstantOfShape" and not node.attribute
                ),
            }
        assert taken == {*filter(None, [scenario.omission])}, scenario.name
        omissions.setdefault(scenario.omission or "", set()).add(scenario.name)
    assert {*omissions} == {"", *get_args(Omission)}


def test_a_suite_is_small(folder: Path, whole: Path) -> None:
    fast, slow = (sum(map(len, tree(path).values())) for path in (folder, whole))
    assert fast < MOST_BYTES / 4
    assert slow / len(SLOW) * len(CASES) < MOST_BYTES


def test_each_format_is_the_one_of_its_backend(whole: Path) -> None:
    for case in suite.read(whole):
        for backend in having(needs.FILES):
            path = case.model(backend.name)
            assert path is not None, case.refused
            if backend.suffix:
                assert path.name == f"model{backend.suffix}"
            else:
                names = {name.format(name="network") for name in backend.files}
                assert {each.name for each in path.iterdir()} == names


def test_the_licence_is_that_of_the_repository(folder: Path) -> None:
    assert (folder / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
    assert (folder / "README.md").is_file()


def test_reading_needs_numpy_only(folder: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from rnnspec_conformance import suite\n"
        "suite.read(Path(sys.argv[1]))\n"
        "print(*{name.partition('.')[0] for name in sys.modules})\n"
    )
    command = [sys.executable, "-c", code, str(folder)]
    loaded = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    assert "numpy" in loaded
    assert not {"onnx", "torch", "keras", "jax", "safetensors", "pydantic", "yaml"} & set(loaded)


ONE = chosen("lstm-gate-order")


def test_a_model_that_differs_is_not_written(tmp_path: Path) -> None:
    (right,) = ONE
    drawn = right.draw()
    other = replace(drawn.program, network=chosen("lstm-relu")[0].program.network)
    with pytest.raises(ParityError, match="lstm-gate-order"):
        models.write_models(tmp_path, right, replace(drawn, program=other), ["torch"])
    assert list(tmp_path.iterdir()) == []


def test_a_fact_that_does_not_show_is_an_error() -> None:
    (right,) = ONE
    same = Mistake(name="nothing", arrays=(scaled(1.0, "lstm_1.bias"),))
    case = Scenario(name="nothing", fact="", consequence="", spec=right.spec, mistakes=(same,))
    with pytest.raises(GenerationError, match="'nothing' shows nowhere"):
        case.draw()


def test_a_folder_with_other_things_is_not_replaced(tmp_path: Path) -> None:
    target = tmp_path / "suite"
    target.mkdir()
    suite.write(target, ONE, [models.CANONICAL])
    before = tree(target)
    with pytest.raises(UsageError, match="already exists; use --force"):
        suite.write(target, ONE, [models.CANONICAL])
    suite.write(target, ONE, [models.CANONICAL], force=True)
    assert tree(target) == before
    (target / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"also has notes\.txt"):
        suite.write(target, ONE, [models.CANONICAL], force=True)
    (target / "suite.json").unlink()
    with pytest.raises(UsageError, match="expected a new or empty"):
        suite.write(target, ONE, [models.CANONICAL], force=True)
    assert (target / "notes.txt").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["suite"]
    with pytest.raises(OutputError, match="no such folder"):
        suite.write(tmp_path / "absent" / "suite", ONE, [models.CANONICAL])


def test_an_interrupt_leaves_what_was_there(tmp_path: Path) -> None:
    def interrupt(name: str) -> None:
        if name == SLOW[1]:
            raise KeyboardInterrupt

    target = tmp_path / "suite"
    with pytest.raises(KeyboardInterrupt):
        suite.write(target, chosen(*SLOW), [], progress=interrupt)
    assert list(tmp_path.iterdir()) == []
    suite.write(target, ONE, [])
    before = tree(target)
    with pytest.raises(KeyboardInterrupt):
        suite.write(target, chosen(*SLOW), [], force=True, progress=interrupt)
    assert tree(target) == before
    assert list(tmp_path.iterdir()) == [target]


def test_an_unknown_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="canonical"):
        suite.write(tmp_path / "suite", ONE, ["tflite"])


@cases(
    ("file", "content", "message"),
    [
        ("suite.json", "{", "not JSON"),
        ("suite.json", "[]", "expected an object"),
        ("suite.json", '{"version": 2}', "expected version 1, received 2"),
        ("suite.json", '{"version": 1, "cases": []}', "cases: expected at least one case"),
        ("suite.json", '{"version": 1, "cases": ["../x"]}', "not the name of a file: '../x'"),
        ("suite.json", '{"version": 1, "cases": [".."]}', "not the name of a file: '..'"),
        ("suite.json", '{"version": 1, "cases": ["/tmp"]}', "not the name of a file: '/tmp'"),
        ("suite.json", '{"version": 1, "cases": [""]}', "not the name of a file: ''"),
        ("suite.json", '{"version": 1, "cases": ["x", "x"]}', "expected each case once: x"),
        ("suite.json", '{"version": 1, "cases": ["x"], "y": 1}', "y: unknown key"),
        ("suite.json", '{"version": 1, "cases": 1}', "cases: expected a list, received 1"),
        ("lstm-gate-order/case.json", "{}", "not a case of a suite"),
        ("lstm-gate-order/test_data_set_0/input_0.npy", "x", "expected a .npy array"),
        ("lstm-gate-order/fault_1/test_data_set_0/output_0.npy", None, "no such file"),
    ],
)
def test_a_broken_suite_is_one_error(
    file: str, content: str | None, message: str, tmp_path: Path
) -> None:
    target = tmp_path / "suite"
    suite.write(target, ONE, [])
    if content is None:
        (target / file).unlink()
    else:
        (target / file).write_text(content)
    with pytest.raises(UsageError, match=message):
        layout.read(target)


def test_a_wrong_case_is_one_error(tmp_path: Path) -> None:
    target = tmp_path / "suite"
    suite.write(target, ONE, [models.CANONICAL])
    path = target / "lstm-gate-order" / "case.json"
    data = json.loads(path.read_text())
    for key, value, message in (
        ("models", {"canonical": "../../model.safetensors"}, "not the name of a file"),
        ("faults", [{"name": "x", "folder": "/tmp"}], "not the name of a file"),
        ("name", "other", "name: expected that of its folder, 'lstm-gate-order'"),
        ("calls", 0, "calls: expected at least one"),
        ("outputs", [], "outputs: expected at least one"),
        ("tolerance", 0, "tolerance: expected a number above 0"),
        ("tolerance", float("nan"), "tolerance: expected a finite number"),
        ("inputs", "x", "inputs: expected a list"),
    ):
        path.write_text(json.dumps({**data, key: value}))
        with pytest.raises(UsageError, match=message):
            suite.read(target)
    path.write_text(json.dumps(data))
    assert suite.read(target)
    outputs = target / "lstm-gate-order" / "test_data_set_0" / "output_0.npy"
    outputs.rename(tmp_path / "output_0.npy")
    outputs.symlink_to(tmp_path / "output_0.npy")
    with pytest.raises(UsageError, match="expected a file inside"):
        suite.read(target)
    (target / "lstm-gate-order").rename(tmp_path / "lstm-gate-order")
    (target / "lstm-gate-order").symlink_to(tmp_path / "lstm-gate-order")
    with pytest.raises(UsageError, match="expected a folder, received a link"):
        suite.read(target)


def test_a_folder_stays_when_its_suite_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, link = tmp_path / "suite", tmp_path / "link"
    target.mkdir()
    link.symlink_to(target)
    monkeypatch.chdir(target)
    suite.write(Path(), ONE, [])
    before, status = tree(target), target.stat()
    for place in (Path("../suite"), Path(), link):
        (target / "README.md").write_text("old")
        suite.write(place, ONE, [], force=True)
        assert tree(target) == before
        assert os.path.samestat(Path().stat(), status)
    monkeypatch.chdir("lstm-gate-order")
    suite.write(Path(".."), ONE, [], force=True)
    assert tree(target) == before
    assert link.is_symlink()
    assert os.path.samestat(target.stat(), status)

    def fail(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(output_files, "publish", fail)
    with pytest.raises(KeyboardInterrupt):
        suite.write(target, ONE, [models.CANONICAL], force=True)
    assert tree(target) == before


def test_a_folder_that_an_index_names_is_not_replaced(tmp_path: Path) -> None:
    target = tmp_path / "suite"
    suite.write(target, ONE, [])
    (target / "thesis").mkdir()
    (target / "suite.json").write_text('{"version": 1, "cases": ["lstm-gate-order", "thesis"]}')
    with pytest.raises(UsageError, match="not replaced: it also has thesis"):
        suite.write(target, ONE, [], force=True)
