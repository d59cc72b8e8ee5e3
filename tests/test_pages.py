"""Every code has a page, and the examples on each page are true."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
from cases import cases

from rnnspec import pipeline
from rnnspec.errors import ModelError, SpecError
from rnnspec.importing.run import take
from rnnspec.models import building
from rnnspec.pages import codes, page
from rnnspec.spec.fields import MAX_SIZE
from rnnspec.spec.rules import MAX_LAYERS
from rnnspec.spec.yaml.text import MAX_BYTES
from rnnspec.spec.yaml.tree import MAX_NODES

ROOT = Path(__file__).parent.parent
SOURCES = [path.read_text("utf-8") for path in (ROOT / "rnnspec").rglob("*.py")]
USED = {code for text in SOURCES for code in re.findall(r'"(E\d{3})"', text)}
ERRORS = tuple(code for code in codes() if code.startswith("E"))
SECTIONS = re.compile(
    r"# (E\d{3}): [^\n]+\n\n(.+?)\n\n## Wrong\n\n(.+?)\n\n## Right\n\n(.+?)"
    r"(?:\n\n## Wrong in PyTorch\n\n(.+?)\n\n## Right in PyTorch\n\n(.+))?",
    re.DOTALL,
)
BLOCKS = re.compile(r"```(\w+)(?: ([\w.]+))?\n(.*?)```", re.DOTALL)


def read(code: str) -> re.Match[str]:
    match = SECTIONS.fullmatch(page(code))
    assert match, f"the page of {code} lacks a part"
    return match


def said(blocks: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Return the codes of the problems in the spec, or the files, that ``blocks`` describe."""
    monkeypatch.chdir(folder)
    for framework in ("keras", "torch"):
        if f"import {framework}" in blocks:
            pytest.importorskip(framework)
    try:
        for language, name, text in BLOCKS.findall(blocks):
            if language == "python":
                exec(compile(text, "page", "exec"), {"__name__": "page"})
            else:
                Path(name or "spec.yaml").write_text(text, encoding="utf-8")
        if "from_torch" in blocks:
            return Counter()
        if model := next(Path().glob("model.[khp]*"), None):
            config, spec = Path("model.json"), Path("spec.yaml")
            known = pipeline.read(spec) if spec.exists() else None
            take(model, config=config if config.exists() else None, spec=known)
            return Counter()
        program = pipeline.read("spec.yaml")
        if Path("words.txt").exists():
            building.pretrained_vectors(program)
    except (SpecError, ModelError) as error:
        return Counter(problem.code for problem in error.problems)
    return Counter()


def test_every_code_has_a_page_and_every_page_a_code() -> None:
    assert set(ERRORS) == USED
    assert len(ERRORS) > 60


@cases("code", ERRORS)
def test_a_page_is_of_its_code_and_short(code: str) -> None:
    match = read(code)
    assert match[1] == code
    assert len(match[2].splitlines()) <= 10
    assert max(map(len, page(code).splitlines())) <= 120


@cases("code", ERRORS)
def test_wrong_is_wrong_in_this_way_alone(
    code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert set(said(read(code)[3], tmp_path, monkeypatch)) == {code}


@cases("code", ERRORS)
def test_right_is_right(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not said(read(code)[4], tmp_path, monkeypatch)


@cases("code", [code for code in ERRORS if read(code)[5]])
def test_pytorch_too(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, group, wanted in (("wrong", 5, {code}), ("right", 6, set[str]())):
        (tmp_path / name).mkdir()
        assert set(said(read(code)[group], tmp_path / name, monkeypatch)) == wanted


def test_models_of_pytorch_have_examples() -> None:
    # A state dict has no settings, and the pages of E709 and E710 are about PyTorch alone.
    assert {code for code in ERRORS if code.startswith("E7")} - {"E702", "E709", "E710"} == {
        code for code in ERRORS if read(code)[5]
    }


@cases(
    ("code", "limit"),
    [("E106", MAX_BYTES), ("E108", MAX_NODES), ("E308", MAX_SIZE), ("E412", MAX_LAYERS)],
)
def test_a_page_states_the_limit_that_is_checked(code: str, limit: int) -> None:
    explanation = page(code).partition("## Wrong")[0]
    assert {int(n.replace(",", "")) for n in re.findall(r"\d[\d,]{3,}", explanation)} == {limit}


def test_there_is_no_page_of_what_is_no_code() -> None:
    for code in ("E999", "", "../pages/E101", "e101"):
        with pytest.raises(KeyError):
            page(code)
