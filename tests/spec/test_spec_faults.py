"""Every fault's message and place, as pairs of a text and ``=>`` lines in ``faults/*.txt``.

``@ NAME`` says which of the templates the texts after it are put into.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from rnnspec.errors import SpecError
from rnnspec.spec import tree
from rnnspec.spec.load import loads

if TYPE_CHECKING:
    from collections.abc import Iterator

    from _pytest.mark.structures import ParameterSet

HEAD = "version: 1\nname: net\n"
INPUT = "input: {features: 3}\n"
RNN = "rnn: {type: lstm, units: 4}\n"
TEMPLATES = {
    "WHOLE": "TEXT",
    "TOP": f"TEXT\n{INPUT}{RNN}",
    "BEFORE": f"{HEAD}TEXT\n{RNN}",
    "TOKENS": f"{HEAD}embedding:\n  vocabulary: 3\n  dim: 2\n  TEXT\n{RNN}",
    "RNN": f"{HEAD}{INPUT}rnn: TEXT\n",
    "UNITS": f"{HEAD}{INPUT}rnn:\n  - type: lstm\n    units: TEXT\n",
    "LAYER": f"{HEAD}{INPUT}rnn:\n  - type: lstm\n    units: 4\n    TEXT\n",
    "REST": f"{HEAD}{INPUT}{RNN}TEXT\n",
}


def _cases() -> Iterator[ParameterSet]:
    for path in sorted(Path(__file__).with_name("faults").glob("*.txt")):
        template = ""
        for number, block in enumerate(path.read_text("utf-8").rstrip("\n").split("\n\n")):
            if block.startswith("@ "):
                template = TEMPLATES[block[2:]]
                continue
            text, *expected = block.split("\n=> ")
            yield pytest.param(template.replace("TEXT", text), expected, id=f"{path.stem}-{number}")


CASES = list(_cases())
PLACED_ELSEWHERE = ("%FOO", r"\q", r"\U")
"""Where PyYAML's own parser gives another place than libyaml, or none."""


def _first_lines(text: str) -> list[str]:
    with pytest.raises(SpecError) as caught:
        loads(text, "s")
    return [line[2:] for line in str(caught.value).split("\n") if line.startswith("s:")]


def test_there_are_many() -> None:
    assert len(CASES) > 250


@pytest.mark.parametrize(("text", "expected"), CASES)
def test_says_what_is_wrong_and_where(text: str, expected: list[str]) -> None:
    assert _first_lines(text) == expected


@pytest.mark.parametrize(("text", "expected"), CASES)
def test_needs_no_libyaml(monkeypatch: pytest.MonkeyPatch, text: str, expected: list[str]) -> None:
    monkeypatch.setattr(tree, "LOADER", yaml.SafeLoader)
    if any(word in text for word in PLACED_ELSEWHERE):
        assert len(_first_lines(text)) == len(expected)
    else:
        assert _first_lines(text) == expected
