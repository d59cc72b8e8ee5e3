"""rnnspec in the continuous integration of other projects: its hooks and its action."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from rnnspec import pipeline

ROOT = Path(__file__).parent.parent
HOOKS = {
    hook["id"]: hook
    for hook in yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
}
ACTION = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
STEPS = ACTION["runs"]["steps"]
SPEC = """\
version: 1
name: small
input: {features: 4}
rnn: {type: lstm, units: 3}
"""
BROKEN = SPEC.replace("lstm", "lsmt")

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="runs sh")


def test_the_page_that_the_hooks_name_is_there() -> None:
    text = (ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8")
    ((section, page),) = re.findall(r'see "(.+)" in (\S+\.md)', text)
    assert f"## {section}\n" in (ROOT / page).read_text(encoding="utf-8")


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("specs", "models"):
        Path(folder).mkdir()
    Path("specs/small.yaml").write_text(SPEC)
    Path("specs/workflow.yaml").write_text("on: push\njobs: {}\n")
    Path("models/small.py").write_text(pipeline.codegen("specs/small.yaml", "torch"))


def shell(script: str, *arguments: str, **environment: str) -> tuple[int, str]:
    """Run a script like GitHub's runner and pre-commit; return its exit code and its output."""
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script, "bash", *arguments],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stdout
    return done.returncode, done.stdout


RNNSPEC = f'rnnspec() {{ "{sys.executable}" -m rnnspec "$@"; }}\n'


def run_hook(name: str, *arguments: str) -> tuple[int, str]:
    entry = HOOKS[name]["entry"]
    assert entry.startswith("rnnspec ")
    return shell(f'{RNNSPEC}{entry} "$@"', *arguments)


def test_the_manifest_is_what_pre_commit_reads() -> None:
    client = pytest.importorskip("pre_commit.clientlib")
    client.load_manifest(ROOT / ".pre-commit-hooks.yaml")
    assert sorted(HOOKS) == ["rnnspec-codegen-check", "rnnspec-lint", "rnnspec-validate"]
    assert {hook["language"] for hook in HOOKS.values()} == {"python"}


@pytest.mark.parametrize("name", ["rnnspec-validate", "rnnspec-lint"])
def test_a_hook_on_specs(name: str) -> None:
    assert run_hook(name, "specs/small.yaml")[0] == 0
    Path("specs/small.yaml").write_text(BROKEN)
    code, said = run_hook(name, "specs/small.yaml")
    assert code == 1
    assert "specs/small.yaml:4:13: error: " in said


@pytest.mark.parametrize("name", ["rnnspec-validate", "rnnspec-lint"])
@pytest.mark.parametrize(
    ("path", "taken"),
    [("specs/a.yaml", True), ("nets/spec/a.yml", True), (".github/workflows/ci.yml", False)],
)
def test_which_files_a_hook_takes(name: str, path: str, *, taken: bool) -> None:
    assert (re.search(HOOKS[name]["files"], path) is not None) == taken


def test_the_hook_on_sources() -> None:
    assert HOOKS["rnnspec-codegen-check"]["pass_filenames"] is False
    words = ("specs", "--backend", "torch", "--output", "models")
    assert run_hook("rnnspec-codegen-check", *words)[0] == 0
    Path("specs/small.yaml").write_text(SPEC.replace("units: 3", "units: 5"))
    code, said = run_hook("rnnspec-codegen-check", *words)
    assert code == 1
    assert "models/small.py: error: is not up to date with specs/small.yaml" in said


def filled(text: str, inputs: dict[str, str], outputs: dict[str, str]) -> str:
    """Return ``text`` with its expressions replaced, as by the runner."""
    values = {f"inputs.{key}": value for key, value in inputs.items()}
    values |= {f"steps.{key}": value for key, value in outputs.items()}
    return re.sub(r"\$\{\{ (\S+) \}\}", lambda match: values[match[1]], text)


def run_action(tmp_path: Path, **given: str) -> tuple[int, str]:
    """Run the steps that check, with the rnnspec of this environment instead of a new one."""
    Path("rnnspec").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m rnnspec "$@"\n')
    Path("rnnspec").chmod(0o755)
    inputs = {name: each["default"] for name, each in ACTION["inputs"].items()} | given
    outputs = {"install.outputs.bin": str(tmp_path)}
    printed = ""
    for step in STEPS[2:]:
        if "if" in step and not inputs["sources"]:
            continue
        environment = {key: filled(text, inputs, outputs) for key, text in step["env"].items()}
        code, said = shell(step["run"], **environment)
        printed += said
        if code:
            return code, printed
    return 0, printed


def test_no_input_is_pasted_into_a_script() -> None:
    assert ACTION["runs"]["using"] == "composite"
    used = [step["uses"].partition("@")[0] for step in STEPS if "uses" in step]
    assert used == ["actions/setup-python"]
    for step in STEPS:
        assert ("uses" in step) != ("run" in step)
        assert "${{" not in step.get("run", "")
        assert step.get("shell", "bash") == "bash"
    assert [step.get("if") for step in STEPS] == [None, None, None, "inputs.sources != ''"]


def test_every_input_of_the_action_is_described_and_used() -> None:
    text = json.dumps(STEPS)
    for name, each in ACTION["inputs"].items():
        assert each["description"]
        assert f"inputs.{name} " in text


def test_the_action_annotates(tmp_path: Path) -> None:
    assert run_action(tmp_path)[0] == 0
    Path("specs/small.yaml").write_text(BROKEN)
    code, said = run_action(tmp_path, sources="models", backend="torch")
    assert code == 1
    assert "::error " in said
    assert "file=specs/small.yaml,line=4,col=13" in said.replace("./", "")


def test_the_action_takes_one_path_a_line_whatever_is_in_it(tmp_path: Path) -> None:
    odd = "specs/a $(touch pwned) `touch pwned`; touch pwned.yaml"
    shutil.copy("specs/small.yaml", odd)
    shutil.copy("specs/small.yaml", "-o.yaml")
    code, said = run_action(tmp_path, paths=f"specs/small.yaml\n\n{odd}\n-o.yaml\n", format="full")
    assert (code, said) == (0, "3 specs: valid\n")
    assert not Path("pwned").exists()


def test_the_action_writes_sarif(tmp_path: Path) -> None:
    Path("specs/small.yaml").write_text(BROKEN)
    code, _ = run_action(tmp_path, paths="specs", sarif="found.sarif")
    assert code == 1
    found: Any = json.loads(Path("found.sarif").read_text())
    assert len(found["runs"][0]["results"]) == 1
    assert run_action(tmp_path, paths="specs", sarif="none/found.sarif")[0] == 1


def test_the_action_gives_advice_if_asked(tmp_path: Path) -> None:
    Path("specs/small.yaml").write_text(SPEC + "head: {units: 1, activation: softmax}\n")
    assert run_action(tmp_path, paths="specs", format="concise") == (
        0,
        "1 spec: valid; 1 file is not a spec\n",
    )
    code, said = run_action(tmp_path, paths="specs", lint="true", format="concise")
    assert code == 1
    assert re.search(r"warning: .* \[L\d+\]", said)


def test_the_action_holds_sources_against_their_specs(tmp_path: Path) -> None:
    given = {"paths": "specs", "sources": "models", "backend": "torch"}
    assert run_action(tmp_path, **given)[0] == 0
    Path("models/small.py").write_text("")
    code, said = run_action(tmp_path, **given)
    assert code == 1
    assert "models/small.py: error: is not up to date" in said


def test_the_documentation_shows_hooks_and_inputs_that_exist() -> None:
    readme = (ROOT / "docs" / "guides" / "editors-and-ci.md").read_text(encoding="utf-8")
    (hooks,) = re.findall(r"```yaml\n(repos:.*?)```", readme, re.DOTALL)
    (repository,) = yaml.safe_load(hooks)["repos"]
    assert {hook["id"] for hook in repository["hooks"]} == set(HOOKS)
    (steps,) = re.findall(r"```yaml\n(- uses:.*?)```", readme, re.DOTALL)
    given = yaml.safe_load(steps)[-1]["with"]
    assert given.keys() <= ACTION["inputs"].keys()
