"""``rnnspec conformance`` writes the suite, runs it in tools, and reports the results."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cases import cases

from docs.generate.examples import ROOT, File, examples
from rnnspec.version import install_package
from rnnspec_conformance.cases import CASES
from rnnspec_conformance.tools import TOOLS

Run = Callable[..., Any]

CASE = "backward-last-state"
FEW = [case for case in CASES if case.name in {CASE, "open-length"}]

TOOL = """
import shutil, sys
from pathlib import Path

Path("ran").touch()
model, inputs, outputs = map(Path, sys.argv[1:4])
for path in (model.parent / "test_data_set_0").glob("output_*.npy"):
    shutil.copy(path, outputs)
if "wrong" in sys.argv:
    import numpy as np
    np.save(outputs / "output_0.npy", np.load(outputs / "output_0.npy") + 1)
"""


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A suite with ONNX files."""
    pytest.importorskip("onnxruntime")
    from rnnspec_conformance.suite import write

    folder = tmp_path_factory.mktemp("conformance") / "suite"
    write(folder, FEW, ["onnx"])
    return folder


@pytest.fixture
def _few_cases(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the catalogue have few cases, as all take seconds to write."""
    monkeypatch.setattr("rnnspec_conformance.cases.CASES", FEW)


@pytest.fixture
def tool(tmp_path: Path) -> str:
    """A command that gives the right outputs of the first call."""
    Path("tool.py").write_text(TOOL)
    return f"'{sys.executable}' tool.py {{model}} {{inputs}} {{outputs}}"


def test_cases_are_listed(run: Run) -> None:
    ran = run("conformance", "list")
    assert ran.code == 0
    lines = ran.out.splitlines()
    assert [line.split()[0] for line in lines] == [case.name for case in CASES]
    assert lines[0].endswith(CASES[0].fact)
    assert run("conformance", "--list") == ran


def test_tools_are_listed(run: Run) -> None:
    out = run("conformance", "list", "--tools").out
    assert [line.split()[0] for line in out.splitlines()] == [*TOOLS]
    assert "ONNX Runtime; takes onnx; pip install onnxruntime\n" in out


def test_without_a_command_there_is_help(run: Run) -> None:
    ran = run("conformance")
    assert "Usage: rnnspec conformance" in ran.out + ran.err


def test_without_its_package_the_command_says_how_to_install_it(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    searches = []

    def entry_points(**selection: str) -> tuple[()]:
        searches.append(selection)
        return ()

    monkeypatch.setattr("importlib.metadata.entry_points", entry_points)
    assert "\n  conformance  Show which tools " in run("--help").out
    assert searches == []  # it takes time to look through all that is installed
    for arguments in ((), ("--help",), ("run", "--tool", "onnxruntime")):
        ran = run("conformance", *arguments)
        assert (ran.code, ran.out) == (2, "")
        install = install_package("rnnspec-conformance", "conformance")
        assert ran.err == f"rnnspec: error: 'rnnspec conformance' is not installed: {install}\n"
    assert searches == [{"group": "rnnspec.commands", "name": "conformance"}] * 3


@pytest.mark.usefixtures("_few_cases")
def test_the_suite_is_written_in_some_formats(run: Run) -> None:
    pytest.importorskip("onnxruntime")
    ran = run("conformance", "write", "made", "--format", "onnx,canonical")
    assert (ran.code, ran.out) == (0, "wrote 2 cases to made\n")
    case = Path("made", CASE)
    assert {"model.onnx", "model.safetensors"} <= {path.name for path in case.iterdir()}
    assert not list(case.glob("*.keras"))
    again = run("conformance", "write", "made", "--format", "onnx")
    assert (again.code, again.err) == (
        2,
        "made: error: already exists; use --force or force=True to replace it\n",
    )


def test_an_installed_tool_is_run(run: Run, suite: Path) -> None:
    ran = run("conformance", "run", "--suite", suite, "--tool", "onnxruntime")
    assert ran.code == 0, ran.err
    assert ran.err == ""
    assert ran.out.startswith("ONNX Runtime 1.")
    assert f"| {CASE} |        equal |" in ran.out
    assert ran.out.endswith("2 results: 2 equal\n")


@pytest.mark.usefixtures("_few_cases")
def test_without_a_suite_it_is_written_first(run: Run) -> None:
    pytest.importorskip("onnxruntime")
    ran = run("conformance", "run", "--tool", "onnxruntime", "--case", CASE, "--json", "-")
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["cells"][CASE]["onnxruntime"]["state"] == "equal"


def test_a_command_is_run_beside_a_tool(run: Run, suite: Path, tool: str) -> None:
    arguments = ("--suite", suite, "--case", "back*", "--tool", "onnxruntime")
    ran = run("conformance", "run", *arguments, "--command", tool, "--name", "mine")
    assert ran.code == 0, ran.err
    assert f"| {CASE} |        equal | equal |" in ran.out


def test_the_tool_of_the_page_is_right(run: Run, suite: Path) -> None:
    page = (ROOT / "docs" / "conformance.md").read_text(encoding="utf-8")
    (file,) = (one for one in examples(page) if isinstance(one, File))
    Path(file.name).write_text(file.text)
    command = f"'{sys.executable}' mytool.py {{model}} {{inputs}} {{outputs}}"
    ran = run("conformance", "run", "--suite", suite, "--command", command)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.endswith("2 results: 2 equal\n")


def test_a_wrong_tool_is_explained(run: Run, suite: Path, tool: str) -> None:
    ran = run(
        "conformance", "run", "--suite", suite, "--case", CASE, "--command", f"{tool} wrong",
        "--name", "mine", "--json", "out.json", "--html", "out.html",
    )  # fmt: skip
    assert (ran.code, ran.err) == (1, "")
    assert "mine: wrong by 1 in call 1\n" in ran.out
    assert "wrong by 1 in call 1" in Path("out.html").read_text()
    document = json.loads(Path("out.json").read_text())
    assert document["cells"][CASE]["mine"]["where"] == "call 1"
    again = run("conformance", "report", "out.json")
    assert (again.code, again.out) == (0, ran.out)


def test_with_a_baseline_only_what_is_worse_counts(run: Run, suite: Path, tool: str) -> None:
    def compare(words: str, *more: str) -> Any:
        arguments = ("--suite", suite, "--case", CASE, "--command", words, "--name", "mine")
        return run("conformance", "run", *arguments, "--force", *more)

    assert compare(f"{tool} wrong", "--json", "bad.json").code == 1
    assert compare(tool, "--json", "good.json").code == 0
    assert compare(f"{tool} wrong", "--baseline", "bad.json").code == 0
    assert compare(tool, "--baseline", "bad.json").code == 0
    worse = compare(f"{tool} wrong", "--baseline", "good.json")
    assert worse.code == 1
    assert worse.err.startswith(f"{CASE}: error: mine: result: expected equal, difference 0.0e+00")
    assert worse.err.endswith("received wrong by 1 in call 1\n")
    merged = run("conformance", "report", "bad.json", "good.json", "--baseline", "bad.json")
    assert merged.code == 0
    assert "1 result: 1 equal" in merged.out


@cases(
    ("arguments", "message"),
    [
        ((), "expected --tool NAMES, or --command 'mytool {model} {inputs} {outputs}'"),
        (("--tool", "onnxruntim"), "unknown tool 'onnxruntim'; did you mean 'onnxruntime'?"),
        (("--command", "x {model}"), "{inputs} and {outputs} are missing"),
        (("--tool", "onnxruntime", "--format", "onnx"), "--format belongs to --command"),
        (("--tool", "onnxruntime", "--name", "x"), "--name belongs to --command"),
        (("--tool", "onnxruntime", "--python", "nowhere/python"), "expected a Python interpreter"),
        (("--tool", "onnxruntime", "--case", "open-lenght"), "did you mean 'open-length'?"),
        (("--tool", "onnxruntime", "--case", "closed-*"), "no case matches 'closed-*'"),
        (("--tool", "nothing"), "expected onnxruntime, onnxruntime-web, onnx-reference, "),
        (("--tool", "onnxruntime", "--html", "x.txt"), "expected a path that ends in .html"),
        (("--tool", "onnxruntime", "--json", "x.txt"), "expected a path that ends in .json"),
        (("--tool", "onnxruntime", "--baseline", "absent.json"), "no such file"),
        (("--tool", "onnxruntime", "--suite", "absent"), "no such file"),
    ],
)
def test_a_wrong_call_is_refused(
    arguments: tuple[str, ...], message: str, run: Run, suite: Path
) -> None:
    where = () if "--suite" in arguments else ("--suite", suite)
    ran = run("conformance", "run", *where, *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert message in ran.err
    assert ran.err.count("\n") == 1


def test_a_command_without_its_tool_options_is_refused(run: Run, tool: str) -> None:
    ran = run("conformance", "run", "--command", tool, "--python", sys.executable)
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "--python belongs to --tool" in ran.err
    ran = run("conformance", "run", "--command", tool, "--format", "onx")
    assert "unknown format 'onx'; did you mean 'onnx'?" in ran.err


def test_the_python_of_another_environment_is_used(run: Run, suite: Path, tmp_path: Path) -> None:
    import venv

    venv.create(tmp_path / "other", with_pip=False)
    python = tmp_path / "other" / "bin" / "python"
    ran = run("conformance", "run", "--suite", suite, "--tool", "onnxruntime", "--python", python)
    assert ran.code == 3
    assert "No module named 'onnxruntime'" in ran.err
    assert f"{python} -m pip install onnxruntime" in ran.err


def test_an_output_is_not_replaced_without_force(run: Run, suite: Path, tool: str) -> None:
    Path("out.json").write_text("{}")
    arguments = ("--suite", suite, "--case", CASE, "--command", tool, "--json", "out.json")
    assert "already exists" in run("conformance", "run", *arguments).err
    assert Path("out.json").read_text() == "{}"
    assert not Path("ran").exists()
    assert run("conformance", "run", *arguments, "--force").code == 0
    ran = run("conformance", "report", "out.json", "--json", "out.json", "--force")
    assert "this is the input out.json" in ran.err
