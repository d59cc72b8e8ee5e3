"""The README shows nothing that a command does not print."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel

import rnnspec
from rnnspec.cli import main
from rnnspec.spec import models

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```console\n\$ rnnspec (.*?)\n(.*?)```", README, re.DOTALL)
FILES = dict(re.findall(r"`([\w/]+\.yaml)`:\n\n```yaml\n(.*?)```", README, re.DOTALL))


def settled(text: str) -> str:
    """Return output without what differs from one machine to the next."""
    text = re.sub(r"(Largest difference in \w+): .*", r"\1", text)
    text = re.sub(r"\d\.\de-\d\d", "0.0e-00", text)
    return re.sub(r"(Keras|PyTorch) [\w.+]+", r"\1", text)


def test_there_are_examples() -> None:
    assert [command.split()[0] for command, _ in EXAMPLES] == [
        *("summary", "codegen", "parity", "validate", "lint", "validate", "init")
    ]
    assert sorted(FILES) == ["sentiment.yaml", "specs/stacked_lstm.yaml", "tagger.yaml"]


@pytest.mark.parametrize(("command", "output"), EXAMPLES, ids=[each[0] for each in EXAMPLES])
def test_an_example_prints_what_the_readme_says(
    command: str,
    output: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["rnnspec", *shlex.split(command)])
    # As on a terminal: results and messages in the order in which they come.
    monkeypatch.setattr(sys, "stderr", sys.stdout)
    with pytest.raises(SystemExit):
        main()
    assert settled(capfd.readouterr().out) == settled(output)


def test_the_spec_it_shows_is_the_one_in_the_gallery() -> None:
    shown = rnnspec.loads(FILES["specs/stacked_lstm.yaml"])
    kept = rnnspec.load(ROOT / "specs" / "stacked_lstm.yaml")
    assert shown.model_dump() == kept.model_dump()


def test_the_library_example_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    monkeypatch.chdir(ROOT)
    names: dict[str, object] = {}
    exec(compile(example, "README.md", "exec"), names)
    assert {"spec", "source", "keras_model", "torch_model"} <= names.keys()


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
    (shown,) = re.findall(r"```yaml\n(version: 1  .*?)```", README, re.DOTALL)
    in_comments = {"normal", "constant"}
    assert keys(yaml.safe_load(shown)) | in_comments == words(models.Spec)
