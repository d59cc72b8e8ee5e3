"""The README and the pages in docs/ show the actual output of commands and code."""

from __future__ import annotations

import posixpath
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent, indent

import pytest
import yaml
from offered import shipped
from pydantic import BaseModel

from docs.generate.examples import Code, Command, Compilation, Excerpt, File, examples, provide
from docs.generate.written import draw_pictures
from rnnspec.cli import main
from rnnspec.spec import models

ROOT = Path(__file__).parents[2]
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in (
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        ROOT / "conformance" / "README.md",
        *sorted((ROOT / "docs").rglob("*.md")),
    )
}


def settled(text: str) -> str:
    """Return output without the parts that differ between machines."""
    text = re.sub(r"(Largest difference in \w+): .*", r"\1", text)
    text = re.sub(r"\d\.\de[+-]\d\d", "0.0e-00", text)
    text = re.sub(r"(Keras|PyTorch|ONNX Runtime|ONNX|JAX|Flax) [\w.+]+", r"\1", text)
    return re.sub(r"(Built with|the original in) C compiler .*", r"\1", text)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return an empty working folder. What is imported from it is forgotten.

    Keras numbers its layers anew, as in a process that runs one page.
    """
    if keras := sys.modules.get("keras"):
        keras.utils.clear_session(free_memory=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    known = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - known:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


@pytest.mark.parametrize("page", PAGES)
def test_a_page_shows_what_its_examples_print(
    page: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    provide(PAGES[page], folder)
    names: dict[str, object] = {"__name__": "__main__"}
    for example in examples(PAGES[page]):
        capfd.readouterr()
        place = f"{page}:{example.line}"
        match example:
            case File(name=name, text=text):
                Path(name).parent.mkdir(parents=True, exist_ok=True)
                Path(name).write_text(text, encoding="utf-8")
            case Excerpt(arguments=arguments, text=text):
                called(arguments, monkeypatch)
                printed, code = capfd.readouterr().out, dedent(text)
                assert any(indent(code, " " * margin) in printed for margin in (0, 2, 4, 8, 12)), (
                    place
                )
            case Command(output=None):
                pass  # a picture, which has a test of its own
            case Command(arguments=arguments, output=output):
                called(arguments, monkeypatch)
                printed = capfd.readouterr().out
                assert settled(printed) == settled(output or ""), place
            case Compilation(text=text, output=output):
                done = subprocess.run(text, shell=True, capture_output=True, text=True, check=True)
                assert done.stdout + done.stderr == output, place
            case Code(text=text, output=output):
                exec(compile(text, place, "exec"), names)
                assert settled(capfd.readouterr().out) == settled(output), place


def called(arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a command; as on a terminal, results and messages are in the order of their output."""
    with monkeypatch.context() as patch:
        patch.setattr(sys, "argv", ["rnnspec", *arguments])
        patch.setattr(sys, "stderr", sys.stdout)
        with pytest.raises(SystemExit):
            main()


def test_the_language_says_what_each_backend_offers() -> None:
    for backend in shipped():
        files = [name.format(name="NAME") for name in backend.files]
        parts = ([backend.name], backend.forms, [str(backend.level)], backend.dtypes, files)
        row = " | ".join(", ".join(f"`{word}`" for word in words) for words in parts)
        assert f"\n| {row} |" in PAGES["docs/reference/language.md"]


@pytest.mark.parametrize("page", PAGES)
def test_a_picture_is_what_its_command_draws(page: str) -> None:
    for path, picture in draw_pictures(ROOT / page).items():
        assert path.read_bytes() == picture, f"{path.name}: run make pictures"


def test_a_link_of_a_page_leads_to_a_file_of_the_repository() -> None:
    command = ("git", "ls-files", "--cached", "--others", "--exclude-standard")
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    files = set(listed.splitlines())
    places = files.union(str(folder) for name in files for folder in Path(name).parents)
    for name in sorted(name for name in files if name.endswith(".md")):
        code = re.compile(r"^ *```.*?^ *```$", re.DOTALL | re.MULTILINE)
        text = code.sub("", (ROOT / name).read_text(encoding="utf-8"))
        for link in re.findall(r"""(?:\]\(|(?:src|srcset|href)=")(?!\w+:|#)([^)"#\s]+)""", text):
            target = posixpath.normpath(posixpath.join(posixpath.dirname(name), link))
            assert target in places, f"{name}: {link}"


@pytest.mark.parametrize("page", PAGES)
def test_no_example_is_overlooked(page: str) -> None:
    found = list(examples(PAGES[page]))
    consoles = re.findall(r"^ *```console\n(.*?)```$", PAGES[page], re.DOTALL | re.MULTILINE)
    commands = [each for each in found if isinstance(each, Command) and each.output is not None]
    assert len(commands) == sum(block.count("$ rnnspec") for block in consoles)
    codes = [each for each in found if isinstance(each, Code)]
    assert len(codes) == len(re.findall(r"^ *```python$", PAGES[page], re.MULTILINE))


def test_the_readme_is_short_and_has_examples() -> None:
    found = [example for example in examples(PAGES["README.md"]) if isinstance(example, Command)]
    assert [each.arguments[0] for each in found] == ["draw", "parity", "convert"]
    assert len(PAGES["README.md"].splitlines()) <= 150


def test_the_spec_it_shows_is_the_one_in_the_gallery() -> None:
    ((name, text),) = (
        (example.name, example.text)
        for example in examples(PAGES["README.md"])
        if isinstance(example, File)
    )
    assert text == (ROOT / name).read_text(encoding="utf-8")
    # The other block is the middle of a cell.
    first, cell = re.findall(r"```yaml\n(.*?)```", PAGES["README.md"], re.DOTALL)
    assert first == text
    assert cell in (ROOT / "specs/cells/mgu.yaml").read_text(encoding="utf-8")


def test_a_broken_example_is_reported() -> None:
    with pytest.raises(ValueError, match="line 3: expected the command rnnspec, received 'ls'"):
        list(examples("# Title\n\n```console\n$ ls\n```\n"))


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
    (shown,) = re.findall(
        r"```yaml\n(version: 1  .*?)```", PAGES["docs/reference/language.md"], re.DOTALL
    )
    # A table has the keys of cells, whose other keys are names.
    rows = re.findall(r"^\| `(\w+)` \|", PAGES["docs/reference/language.md"], re.MULTILINE)
    assert {*models.Cell.model_fields, "from"} <= set(rows)
    of_cells = {"cells", "zoo", *models.Cell.model_fields, *models.EquationBlock.model_fields}
    in_comments = {"normal", "constant", "heads", "last_steps", "inputs", "per", "stream", "shares"}
    in_comments |= {"projections", "values", "causal", "score_units", "score_bias"}
    of_network = words(models.Spec) - of_cells | {"parameters", "inputs"}
    assert keys(yaml.safe_load(shown)) | in_comments == of_network
