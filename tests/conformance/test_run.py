"""Each tool runs in a process of its own; whatever it does becomes one cell of the results."""

from __future__ import annotations

import _thread
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from textwrap import dedent
from zipfile import ZipFile

import pytest
from cases import cases

from rnnspec.errors import BackendError, UsageError
from rnnspec_conformance import suite
from rnnspec_conformance.cases import CASES
from rnnspec_conformance.copies import copy_case
from rnnspec_conformance.layout import Case
from rnnspec_conformance.results import Cell
from rnnspec_conformance.run import InterruptedRun, Launch, launch_command, run_suite
from rnnspec_conformance.tools import TOOLS, Tool

pytest.importorskip("onnxruntime")

NAMES = ("backward-last-state", "state-carried")

ADAPTER = """
import ctypes, os, signal, subprocess, sys, time
from pathlib import Path
import numpy as np

def version():
    if KIND == "missing":
        import a_module_that_nobody_has
    if KIND == "dies at the start":
        os._exit(7)
    return "Fake 1.0"

def load(case, tool):
    assert tool == "fake"
    if KIND == "refuses to load":
        raise ValueError(f"no /lstm/LSTM at {hex(id(case))} in {case / 'model.onnx'}")
    calls = iter(range(100))

    def run(inputs):
        number = next(calls)
        outputs = read(case, number)
        match KIND:
            case "prints":
                print("to standard output")
                ctypes.CDLL(None).puts(b"from C")
                subprocess.run(["echo", "from a child"], check=True)
                assert sys.stdin.read() == ""
            case "has a fault":
                return read(Path(SUITE, case.name, "fault_0"), number)
            case "is wrong":
                return [output + 0.25 for output in outputs]
            case "is wrong, then refuses":
                if number == 1:
                    raise ValueError("enough")
                return [output + 0.25 for output in outputs]
            case "has another shape":
                return [output[..., None] for output in outputs]
            case "returns too many":
                return [*outputs, outputs[0]]
            case "returns NaN":
                return [np.full_like(output, np.nan) for output in outputs]
            case "returns complex numbers":
                return [output + 0j for output in outputs]
            case "returns an array":
                return outputs[0]
            case "returns text":
                return [np.array("text") for output in outputs]
            case "refuses a call" if number == 1:
                raise ValueError("one call is enough")
            case "dies by a signal":
                os.kill(os.getpid(), signal.SIGSEGV)
            case "exits":
                print("out of luck", file=sys.stderr)
                os._exit(3)
            case "hangs":
                time.sleep(1000)
            case "waits for the others":
                here = Path(__file__).parent
                (here / f"{os.getpid()}.here").touch()
                while len([*here.glob("*.here")]) < 2:
                    time.sleep(0.01)
            case "hangs later" if case.name == "state-carried":
                time.sleep(1000)
            case "prints escapes":
                raise ValueError("\\x1b[2J\\u202e")
            case "dies with escapes":
                print("\\x1b[2J\\u202e", file=sys.stderr)
                os._exit(3)
            case "takes all memory":
                np.ones(10**9)
        return outputs
    return run

def read(folder, number):
    folder = folder / f"test_data_set_{number}"
    return [np.load(folder / f"output_{n}.npy") for n in range(len([*folder.glob("output_*.npy")]))]
"""


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> tuple[Case, ...]:
    """A suite of few cases, with ONNX files only."""
    folder = tmp_path_factory.mktemp("conformance") / "suite"
    return suite.write(folder, [case for case in CASES if case.name in NAMES], ["onnx"])


@pytest.fixture
def fake(few: tuple[Case, ...], tmp_path: Path) -> Callable[..., Launch]:
    """A function that returns a tool of a kind, with options of its process."""

    def fake(kind: str, seconds: float = 60, memory: int | None = None) -> Launch:
        path = tmp_path / f"fake{len(list(tmp_path.iterdir()))}.py"
        suite_folder = str(few[0].folder.parent)
        path.write_text(f"KIND = {kind!r}\nSUITE = {suite_folder!r}\n{ADAPTER}")
        tool = Tool("fake", "Fake", "other", str(path.with_suffix("")), "onnx", ("fake-package",))
        return Launch(tool, "fake", seconds=seconds, memory=memory)

    return fake


def cells(few: tuple[Case, ...], launch: Launch) -> tuple[Cell, Cell]:
    results = run_suite(few, [launch])
    assert list(results.cells) == list(NAMES)
    first, second = (row[launch.tool.name] for row in results.cells.values())
    return first, second


@cases("kind", ["is right", "prints"])
def test_a_tool_that_is_right(
    kind: str,
    few: tuple[Case, ...],
    fake: Callable[..., Launch],
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert cells(few, fake(kind)) == (Cell("equal", 0.0), Cell("equal", 0.0))
    assert capfd.readouterr() == ("", "")


def test_jobs_run_at_the_same_time(few: tuple[Case, ...], fake: Callable[..., Launch]) -> None:
    launches = [fake("waits for the others", 30) for _ in range(2)]
    names = ["second", "first"]
    launches = [
        replace(launch, tool=replace(launch.tool, name=name))
        for launch, name in zip(launches, names, strict=True)
    ]
    results = run_suite(few, launches, jobs=2)
    assert list(results.tools) == names
    assert all(row == dict.fromkeys(names, Cell("equal", 0.0)) for row in results.cells.values())


@pytest.fixture
def _heeding() -> Iterator[None]:
    """Heed interrupts, which a shell ignores in what it starts in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_heeding")
def test_an_interrupted_run_keeps_its_results(
    few: tuple[Case, ...], fake: Callable[..., Launch]
) -> None:
    def press(what: str) -> None:
        if NAMES[1] in what:
            _thread.interrupt_main()

    with pytest.raises(InterruptedRun) as stop:
        run_suite(few, [fake("hangs later")], press)
    results = stop.value.results
    assert list(results.tools) == ["fake"]
    assert results.cells == {NAMES[0]: {"fake": Cell("equal", 0.0)}, NAMES[1]: {}}


def test_wrong_outputs_name_the_fault_that_they_match(
    few: tuple[Case, ...], fake: Callable[..., Launch]
) -> None:
    for case, cell in zip(few, cells(few, fake("has a fault")), strict=True):
        assert (cell.state, cell.fault) == ("wrong", case.faults[0].name)
        assert cell.difference is not None
        assert cell.difference > case.tolerance


def test_wrong_outputs_that_match_no_fault_have_their_difference(
    few: tuple[Case, ...], fake: Callable[..., Launch]
) -> None:
    for cell in cells(few, fake("is wrong")):
        assert cell.difference == pytest.approx(0.25)
        assert cell == Cell("wrong", cell.difference, "call 1")


def test_an_error_does_not_hide_wrong_outputs_before_it(
    few: tuple[Case, ...], fake: Callable[..., Launch]
) -> None:
    _, cell = cells(few, fake("is wrong, then refuses"))
    assert (cell.state, cell.where) == ("wrong", "call 1")
    assert cell.message == "refused in call 2: ValueError: enough"


@cases(
    ("kind", "message"),
    [
        ("has another shape", "expected the shape ("),
        ("returns too many", "expected 1 outputs, received 2"),
        ("returns NaN", "outputs are not finite"),
        ("returns complex numbers", "expected real numbers, received complex128"),
    ],
)
def test_wrong_outputs_without_a_difference_say_why(
    kind: str, message: str, few: tuple[Case, ...], fake: Callable[..., Launch]
) -> None:
    cell, _ = cells(few, fake(kind))
    assert (cell.state, cell.difference, cell.where) == ("wrong", None, "call 1")
    assert cell.message.startswith(message)


@cases(
    ("kind", "where", "message"),
    [
        ("refuses to load", "load", "ValueError: no /lstm/LSTM at 0x... in model.onnx"),
        ("refuses a call", "call 2", "ValueError: one call is enough"),
        ("returns an array", "call 1", "TypeError: expected a list of outputs, received ndarray"),
        ("returns text", "call 1", "ValueError: could not convert string to float"),
        ("prints escapes", "call 1", r"ValueError: \x1b[2J\u202e"),
    ],
)
def test_an_exception_refuses(
    kind: str, where: str, message: str, few: tuple[Case, ...], fake: Callable[..., Launch]
) -> None:
    _, cell = cells(few, fake(kind))
    assert (cell.state, cell.where) == ("refused", where)
    assert cell.message.startswith(message)


def test_a_process_that_dies_is_started_again(
    few: tuple[Case, ...], fake: Callable[..., Launch]
) -> None:
    crashed = Cell("crashed", where="call 1", message="SIGSEGV")
    assert cells(few, fake("dies by a signal")) == (crashed, crashed)
    crashed = Cell("crashed", where="call 1", message="exit code 3: out of luck")
    assert cells(few, fake("exits")) == (crashed, crashed)
    crashed = Cell("crashed", where="call 1", message=r"exit code 3: \x1b[2J\u202e")
    assert cells(few, fake("dies with escapes")) == (crashed, crashed)


def test_a_tool_that_hangs_is_ended(few: tuple[Case, ...], fake: Callable[..., Launch]) -> None:
    crashed = Cell("crashed", where="call 1", message="not done after 0.5 seconds")
    assert cells(few, fake("hangs", seconds=0.5)) == (crashed, crashed)


@pytest.mark.skipif(sys.platform != "linux", reason="needs prlimit")
def test_memory_is_limited(few: tuple[Case, ...], fake: Callable[..., Launch]) -> None:
    cell, _ = cells(few, fake("takes all memory", memory=10**9))
    assert cell.state == "refused"
    assert "MemoryError" in cell.message


def test_a_tool_that_is_not_installed_is_one_error(
    few: tuple[Case, ...], fake: Callable[..., Launch]
) -> None:
    with pytest.raises(BackendError, match="-m pip install fake-package") as error:
        run_suite(few, [fake("missing")])
    assert "No module named 'a_module_that_nobody_has'" in str(error.value)


def test_nothing_is_run_if_a_later_tool_is_missing(
    few: tuple[Case, ...], fake: Callable[..., Launch]
) -> None:
    told: list[str] = []
    with pytest.raises(BackendError, match="fake-package"):
        run_suite(few, [fake("is right"), fake("missing")], told.append)
    assert told == ["looking for Fake", "looking for Fake"]


def test_a_tool_that_does_not_start_is_one_error(
    few: tuple[Case, ...], fake: Callable[..., Launch]
) -> None:
    with pytest.raises(BackendError, match="Fake does not start: exit code 7"):
        run_suite(few, [fake("dies at the start")])


def test_a_format_that_a_case_lacks(few: tuple[Case, ...]) -> None:
    reason = "no such network"
    changed = [replace(case, models={}, refused={"onnx": reason}) for case in few]
    results = run_suite(changed, [Launch(TOOLS["onnxruntime"], "onnxruntime")])
    for row in results.cells.values():
        assert row == {"onnxruntime": Cell("absent", message=reason)}
    assert not any(results.failures)


FOREIGN = """
import os
os.close(os.open({mark!r}, os.O_CREAT))
"""


def test_nothing_that_is_in_a_suite_is_run(tmp_path: Path) -> None:
    folder, mark = tmp_path / "suite", tmp_path / "mark"
    scenarios = [case for case in CASES if case.name in {"state-carried", "dropout-in-inference"}]
    written = suite.write(folder, scenarios, ["torch", "canonical", "onnx"])
    launch = Launch(TOOLS["torch"], "torch")
    case = written[0].folder
    source = case / "torch" / "network.py"
    text = source.read_text()
    source.write_text(text + FOREIGN.format(mark=str(mark)))
    with pytest.raises(UsageError, match="not the source that rnnspec generates"):
        run_suite(suite.read(folder), [launch])
    # What a tool finds is generated, and not read again.
    source.write_text(text)
    (case / "torch" / "torch.py").write_text(FOREIGN.format(mark=str(mark)))
    (case / "numpy.py").write_text(FOREIGN.format(mark=str(mark)))
    results = run_suite(suite.read(folder), [launch])
    assert {row["torch"].state for row in results.cells.values()} == {"equal"}
    assert not mark.exists()
    source.unlink()
    source.symlink_to(tmp_path / "elsewhere.py")
    (tmp_path / "elsewhere.py").write_text(text)
    with pytest.raises(UsageError, match="expected a file inside"):
        run_suite(suite.read(folder), [launch])


def test_a_file_of_keras_that_names_other_code_is_not_opened(
    few: tuple[Case, ...], tmp_path: Path
) -> None:
    keras = pytest.importorskip("keras")
    layers = [keras.layers.Input((2,)), keras.layers.Lambda(lambda x: x)]
    folder = tmp_path / few[0].name
    shutil.copytree(few[0].folder, folder)
    keras.Sequential(layers).save(folder / "model.keras")
    case = replace(few[0], folder=folder, models={"keras": "model.keras"})
    with pytest.raises(UsageError, match="'Lambda', which is not opened here"):
        run_suite([case], [Launch(TOOLS["keras-tensorflow"], "keras-tensorflow")])


def test_a_file_of_keras_may_name_classes_of_the_source_beside_it(tmp_path: Path) -> None:
    pytest.importorskip("keras")
    (scenario,) = (case for case in CASES if case.name == "cell-projection")
    (case,) = suite.write(tmp_path / "suite", [scenario], ["keras"])
    copy_case(case, "keras", tmp_path)
    model = case.folder / "keras"
    copied = tmp_path / case.name / "keras"
    assert {path.name: path.read_bytes() for path in copied.iterdir()} == {
        path.name: path.read_bytes() for path in model.iterdir()
    }
    with ZipFile(model / "network.keras") as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with ZipFile(model / "network.keras", "w") as archive:
        for name, part in parts.items():
            archive.writestr(name, part.replace(b"network>Projected", b"other>Projected"))
    shutil.rmtree(copied.parent)
    with pytest.raises(UsageError, match="ProjectedLstmCell', which is not opened here"):
        copy_case(case, "keras", tmp_path)


def test_onnx_runtime_is_right(few: tuple[Case, ...]) -> None:
    results = run_suite(few, [Launch(TOOLS["onnxruntime"], "onnxruntime")])
    assert [cell["onnxruntime"].state for cell in results.cells.values()] == ["equal", "equal"]
    tool = results.tools["onnxruntime"]
    assert str(tool).startswith("ONNX Runtime 1.")
    assert "Python" in tool.system
    assert results.cases[NAMES[0]].fact == few[0].fact


COMMAND = """
import os, shutil, signal, sys
from pathlib import Path
import numpy as np

kind, model, inputs, outputs = sys.argv[1:]
model, inputs, outputs = Path(model), Path(inputs), Path(outputs)
assert model.name == "model.onnx"
assert not list(outputs.iterdir())
assert {path.suffix for path in inputs.iterdir()} == {".npy", ".pb"}
arrays = [np.load(inputs / f"input_{n}.npy") for n in range(len([*inputs.glob("*.npy")]))]
for n, array in enumerate(arrays):
    assert array.tobytes() in (inputs / f"input_{n}.pb").read_bytes()

def is_of(call):
    given = [np.load(call / f"input_{n}.npy") for n in range(len(arrays))]
    return all(map(np.array_equal, given, arrays))

# The outputs that are right lie beside the model.
(call,) = filter(is_of, model.parent.glob("test_data_set_*"))
print("printed", flush=True)
for path in call.glob("output_*.npy"):
    match kind:
        case "npy":
            shutil.copy(path, outputs)
        case "pb":
            shutil.copy(path.with_suffix(".pb"), outputs)
        case "garbage":
            (outputs / path.name).write_bytes(b"garbage")
        case "other":
            (outputs / "result.npy").touch()
if kind == "refuses":
    sys.exit("the model is too good")
if kind == "dies":
    os.kill(os.getpid(), signal.SIGABRT)
"""


@pytest.fixture
def command(tmp_path: Path) -> Callable[[str], Launch]:
    """A function that returns a command of a kind."""
    path = tmp_path / "my tool.py"
    path.write_text(COMMAND)

    def command(kind: str) -> Launch:
        words = f"'{sys.executable}' '{path}' {kind} {{model}} {{inputs}} {{outputs}}"
        return launch_command(words, "mytool", "onnx")

    return command


@cases("kind", ["npy", "pb"])
def test_a_command_that_is_right(
    kind: str, few: tuple[Case, ...], command: Callable[[str], Launch]
) -> None:
    assert [cell.state for cell in cells(few, command(kind))] == ["equal", "equal"]


@cases(
    ("kind", "state", "message"),
    [
        ("garbage", "refused", "output_0.npy"),
        ("other", "refused", "expected output_0.npy or output_0.pb, the command wrote result.npy"),
        ("refuses", "refused", "exit code 1: the model is too good"),
        ("dies", "crashed", "SIGABRT"),
    ],
)
def test_a_command_that_fails(
    kind: str, state: str, message: str, few: tuple[Case, ...], command: Callable[[str], Launch]
) -> None:
    cell, _ = cells(few, command(kind))
    assert (cell.state, cell.where) == (state, "call 1")
    assert message in cell.message


@cases(
    ("words", "message"),
    [
        ("mytool {model} {inputs}", "{outputs} is missing"),
        ("mytool", "{model}, {inputs} and {outputs} are missing"),
        ("mytool {model} {input} {outputs}", "unknown placeholder {input}; expected {model}, "),
        ("mytool {model} {inputs} {outputs}", "no program 'mytool' was found"),
        ("'mytool {model} {inputs} {outputs}", "no closing quotation"),
    ],
)
def test_a_wrong_command_is_refused(words: str, message: str) -> None:
    with pytest.raises(UsageError) as error:
        launch_command(words, "", "onnx")
    assert message in str(error.value)


def test_the_name_of_a_command_is_that_of_its_program() -> None:
    launch = launch_command(f"'{sys.executable}' {{model}} {{inputs}} {{outputs}}", "", "onnx")
    assert launch.tool.name == Path(sys.executable).stem


TREE = """
import os, subprocess, sys, time
from pathlib import Path

def version():
    return "Tree 1.0"

def load(case, tool):
    # In a session of its own and without our environment, as a daemon is.
    command = [sys.executable, "-c", "import time; time.sleep(1000)"]
    child = subprocess.Popen(command, start_new_session=True, env={})
    Path(tool).write_text(str(child.pid))
    if case.name == "state-carried":
        os._exit(1)
    time.sleep(1000)
"""
RUN = """
import signal, sys
from pathlib import Path
from rnnspec_conformance.layout import read
from rnnspec_conformance.run import Launch, run_suite
from rnnspec_conformance.tools import Tool

signal.signal(signal.SIGINT, signal.default_int_handler)
suite, adapter, told, seconds, at = sys.argv[1:]
tool = Tool("tree", "Tree", "other", adapter, "onnx", ())
print(run_suite([read(Path(suite))[int(at)]], [Launch(tool, told, seconds=float(seconds))]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs PR_SET_CHILD_SUBREAPER")
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL, "time limit", "crash"])
def test_no_process_outlives_the_run(
    end: signal.Signals | str, few: tuple[Case, ...], tmp_path: Path
) -> None:
    (tmp_path / "tree.py").write_text(dedent(TREE))
    told = tmp_path / "told"
    seconds, at = "1" if end == "time limit" else "100", str(NAMES.index("state-carried"))
    suite_folder, at = few[0].folder.parent, at if end == "crash" else "0"
    arguments = [suite_folder, tmp_path / "tree", told, seconds, at]
    run = subprocess.Popen(
        [sys.executable, "-c", RUN, *map(str, arguments)], stderr=subprocess.DEVNULL
    )
    try:
        child = int(wait_for(lambda: told.exists() and told.read_text()))
        if isinstance(end, signal.Signals):
            run.send_signal(end)
        run.wait(20)
        wait_for(lambda: not is_running(child))
    finally:
        run.kill()
        run.wait()


def wait_for(condition: Callable[[], object]) -> str:
    end = time.monotonic() + 20
    while not (result := condition()):
        assert time.monotonic() < end
        time.sleep(0.05)
    return str(result)


def is_running(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
