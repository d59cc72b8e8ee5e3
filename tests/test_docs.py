"""The README and the pages in docs/ show the actual output of commands."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest
import yaml
from importing.old import reviews
from pydantic import BaseModel

import rnnspec
from rnnspec.cli import main
from rnnspec.spec import models

ROOT = Path(__file__).parent.parent
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in (
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        *sorted((ROOT / "docs").glob("*.md")),
    )
}
EXAMPLES = [
    (page, command, output)
    for page, text in PAGES.items()
    for command, output in re.findall(r"```console\n\$ rnnspec (.*?)\n(.*?)```", text, re.DOTALL)
]
FILES = {
    name: content
    for text in PAGES.values()
    for name, content in re.findall(r"`([\w/]+\.yaml)`:\n\n```yaml\n(.*?)```", text, re.DOTALL)
}
CODE = [
    (page, code)
    for page, text in PAGES.items()
    for code in re.findall(r"```python\n(.*?)```", text, re.DOTALL)
]


def settled(text: str) -> str:
    """Return output without the parts that differ between machines."""
    text = re.sub(r"(Largest difference in \w+): .*", r"\1", text)
    text = re.sub(r"\d\.\de-\d\d", "0.0e-00", text)
    return re.sub(r"(Keras|PyTorch|JAX|Flax) [\w.+]+", r"\1", text)


def test_there_are_examples() -> None:
    readme = [command.split()[0] for page, command, _ in EXAMPLES if page == "README.md"]
    assert readme == ["codegen", "parity", "import", "validate"]
    assert len(PAGES["README.md"].splitlines()) < 200
    assert sorted(FILES) == ["sentiment.yaml", "specs/stacked_lstm.yaml", "tagger.yaml"]


@pytest.mark.parametrize("example", EXAMPLES, ids=[f"{page}: {each}" for page, each, _ in EXAMPLES])
def test_an_example_prints_what_its_page_shows(
    example: tuple[str, str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    _, command, output = example
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    if "reviews.h5" in command:
        reviews("reviews.h5")
    monkeypatch.setattr(sys, "argv", ["rnnspec", *shlex.split(command)])
    # As on a terminal, results and messages are in the order of their output.
    monkeypatch.setattr(sys, "stderr", sys.stdout)
    with pytest.raises(SystemExit):
        main()
    assert settled(capfd.readouterr().out) == settled(output)


def test_a_file_that_is_shown_twice_is_the_same() -> None:
    for text in PAGES.values():
        for name, content in re.findall(r"`([\w/]+\.yaml)`:\n\n```yaml\n(.*?)```", text, re.DOTALL):
            assert content == FILES[name]


@pytest.mark.parametrize("page", PAGES)
def test_a_link_leads_to_a_file(page: str) -> None:
    links = re.findall(r"\]\(((?!https?:)[^)#]+)", PAGES[page])
    assert all((ROOT / page).parent.joinpath(link).exists() for link in links), links


def test_every_page_is_linked_from_the_readme() -> None:
    assert set(re.findall(r"\((docs/\w+\.md)\)", PAGES["README.md"])) == {
        page for page in PAGES if page.startswith("docs/")
    }


def test_the_spec_it_shows_is_the_one_in_the_gallery() -> None:
    shown = rnnspec.loads(FILES["specs/stacked_lstm.yaml"])
    kept = rnnspec.load(ROOT / "specs" / "stacked_lstm.yaml")
    assert shown.model_dump() == kept.model_dump()


@pytest.mark.parametrize(("page", "code"), CODE, ids=[page for page, _ in CODE])
def test_python_on_a_page_runs(page: str, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    names: dict[str, object] = {}
    exec(compile(code, page, "exec"), names)


def words(model: type[BaseModel]) -> set[str]:
    """Return every key of a model and of the models inside it."""
    inside = [other for other in vars(models).values() if isinstance(other, type)]
    return set(model.model_fields).union(
        *(set(other.model_fields) for other in inside if issubclass(other, BaseModel))
    )


def keys(data: object) -> set[str]:
    match data:
        case dict():
            return set(data).union(*map(keys, data.values()))
        case list():
            return set[str]().union(*map(keys, data))
        case _:
            return set()


def test_the_language_it_shows_is_the_language() -> None:
    (shown,) = re.findall(r"```yaml\n(version: 1  .*?)```", PAGES["docs/language.md"], re.DOTALL)
    in_comments = {"normal", "constant"}
    assert keys(yaml.safe_load(shown)) | in_comments == words(models.Spec)
