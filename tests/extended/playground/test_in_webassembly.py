"""The playground's Python, compiled to WebAssembly, answers as CPython does."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import rnnspec_playground as playground
from offered import shipped
from spec.test_spec_faults import SHORT

from rnnspec.backends import BACKENDS
from rnnspec.pages import codes

ROOT = Path(__file__).parents[3]
SITE = ROOT / "build" / "playground"


def _built() -> Path:
    """Return the folder of the site, or skip."""
    if shutil.which("node") is None:
        pytest.skip("Node is not installed")
    if not (SITE / "index.html").exists():
        pytest.skip("the playground is not built: make playground")
    folders = ("rnnspec", "templates", "playground/python/rnnspec_playground")
    sources = [path for folder in folders for path in ROOT.glob(f"{folder}/**/*.*")]
    changed = max(path.stat().st_mtime for path in sources if path.suffix != ".pyc")
    if changed > (SITE / "packages.gz").stat().st_mtime:
        pytest.skip("the playground is older than rnnspec: make playground")
    return SITE


def _calls() -> list[tuple[str, list[Any]]]:
    """Return a call for each spec there is, valid or wrong, and for each line of some."""
    files = [*ROOT.glob("specs/*.yaml"), *ROOT.glob("templates/init/*.yaml")]
    good = [path.read_text("utf-8") for path in sorted(files)]
    wrong = [text for text, _ in SHORT.values()]
    texts = [text for text in (*good, *wrong) if isinstance(text, str)]
    places = [[good[0], number + 1, 3] for number in range(good[0].count("\n"))]
    cursors = [(name, place) for name in ("complete", "describe") for place in places]
    explanations: list[tuple[str, list[Any]]] = [("explain", [code]) for code in codes()]
    answers: list[tuple[str, list[Any]]] = [("answer", [text]) for text in texts]
    part: tuple[str, list[Any]] = ("answer", [good[0], ["Folded", "PyTorch"]])
    return [*answers, part, *cursors, *explanations]


def test_answers_are_those_of_cpython(monkeypatch: pytest.MonkeyPatch) -> None:
    # The built playground knows no backends that are there only for tests.
    of_tests = set(BACKENDS) - {backend.name for backend in shipped()}
    for name in of_tests:
        monkeypatch.delitem(BACKENDS, name)
    command = ["node", str(ROOT / "playground" / "test" / "answers.mjs"), str(_built())]
    calls = _calls()
    assert len(calls) > 800
    printed = subprocess.run(
        command, check=True, input=json.dumps(calls), stdout=subprocess.PIPE, text=True
    ).stdout
    for (name, given), found in zip(calls, json.loads(printed), strict=True):
        expected = json.loads(json.dumps(getattr(playground, name)(*given)))
        assert found == expected, given
