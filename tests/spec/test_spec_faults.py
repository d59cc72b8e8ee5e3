"""The message and the position of every fault, as texts with ``=>`` lines in ``faults/*.txt``.

``@ NAME`` selects the template for the texts that follow it. After ``@ PYTHON`` they are Python
expressions, for characters that a text file cannot show.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from cases import cases

from rnnspec import pipeline
from rnnspec.errors import SpecError
from rnnspec.pages import codes
from rnnspec.spec.yaml import tree

if TYPE_CHECKING:
    from collections.abc import Iterator

    Case = tuple[str | bytes, list[str]]

HEAD = "version: 1\nname: net\n"
INPUT = "input: {features: 3}\n"
RNN = "rnn: {type: lstm, units: 4}\n"
ENCODED = f"{HEAD}inputs: {{source: {{features: 3}}, target: {{features: 3}}}}\n"
TEMPLATES = {
    "WHOLE": "TEXT",
    "GRAPH": f"{HEAD}TEXT\n",
    "TOP": f"TEXT\n{INPUT}{RNN}",
    "BEFORE": f"{HEAD}TEXT\n{RNN}",
    "TOKENS": f"{HEAD}embedding:\n  vocabulary: 3\n  dim: 2\n  TEXT\n{RNN}",
    "RNN": f"{HEAD}{INPUT}rnn: TEXT\n",
    "UNITS": f"{HEAD}{INPUT}rnn:\n  - type: lstm\n    units: TEXT\n",
    "LAYER": f"{HEAD}{INPUT}rnn:\n  - type: lstm\n    units: 4\n    TEXT\n",
    "REST": f"{HEAD}{INPUT}{RNN}TEXT\n",
    "STACK": f"{HEAD}input: {{features: 3, length: 6}}\nrnn: TEXT\n",
    "CELLS": f"{HEAD}{INPUT}cells: TEXT\nrnn: {{type: mine, units: 4}}\n",
    "CELL": f"{HEAD}{INPUT}cells:\n  mine:\n    TEXT\nrnn: {{type: mine, units: 4}}\n",
    "LINE": (
        f"{HEAD}{INPUT}cells:\n  mine:\n    states: [h]\n    equations:\n      h: TEXT\n"
        "rnn: {type: mine, units: 4}\n"
    ),
    "DECODER": (
        f"{ENCODED}rnn:\n  - {{type: gru, units: 4, of: source, name: enc}}\n"
        "  - {type: gru, units: 4, of: target, name: dec, attention: TEXT}\n"
        "  - {type: dense, units: 2, name: later}\n"
    ),
    "ATTENDING": (f"{ENCODED}rnn: [{{type: gru, units: 4, of: source, name: enc}}, TEXT]\n"),
    "SHARES": (
        f"{HEAD}inputs: {{a: {{features: 3}}, b: {{features: 3}}, c: {{features: 2}}, "
        "p: {features: 3, mask_value: 0.0}, v: {features: 3, per: sequence}}\n"
        "rnn:\n"
        "- {type: lstm, units: 4, name: first, of: a}\n"
        "- {type: dense, units: 2, name: flat, of: a}\n"
        "- {type: batch_norm, name: normed, of: a}\n"
        "- {TEXT, name: tested}\n"
        "- {type: concat, of: [a, b, flat, normed], name: rest}\n"
        "- {type: concat, of: [first.state, v], name: end}\n"
        "- {type: pool, pooling: mean, of: c, name: g}\n"
        "- {type: pool, pooling: mean, of: p, name: h}\n"
        "heads: {one: {of: tested, pooling: mean}, two: {of: rest, pooling: mean}, "
        "three: {of: end, units: 2, pooling: none}, four: {of: g, pooling: none}, "
        "five: {of: h, pooling: none}}\n"
    ),
    "MEMORY": (
        f"{ENCODED}cells: {{mine: {{states: [h], memory: [m], TEXT}}}}\n"
        "rnn: [{type: mine, units: 3, of: target, over: {m: source}}]\n"
    ),
    "ASKING": (
        f"{ENCODED}cells:\n  mine: {{states: [h], memory: [m], "
        'equations: {h: "tanh(W @ concat(x, attend(h, m)))"}}\n'
        "rnn:\n  - {type: gru, units: 4, of: source, name: enc}\n"
        "  - {of: target, TEXT}\n"
    ),
    "ALONE": (
        f"{ENCODED}cells: {{plain: {{states: [h], equations: {{h: tanh(W @ x + U @ h)}}}}}}\n"
        "rnn: [{type: gru, units: 4, of: source, name: enc}, {of: target, TEXT}]\n"
    ),
    "HEAD": f"{HEAD}input: {{features: 3, length: 6}}\n{RNN}head: TEXT\n",
}


def _cases() -> Iterator[tuple[str, Case]]:
    for path in sorted(Path(__file__).with_name("faults").glob("*.txt")):
        name = ""
        for number, block in enumerate(path.read_text("utf-8").rstrip("\n").split("\n\n")):
            if block.startswith("@ "):
                name = block[2:]
                continue
            text, *expected = block.split("\n=> ")
            raw = eval(text) if name == "PYTHON" else TEMPLATES[name].replace("TEXT", text)
            yield f"{path.stem}-{number}", (raw, expected)


CASES = dict(_cases())
SHORT = {name: case for name, case in CASES.items() if len(case[0]) < 2**14}
# For each code, the first of them that has it.
BY_CODE = {line[-5:-1]: case for case in reversed(SHORT.values()) for line in case[1]}


def _first_lines(raw: str | bytes) -> list[str]:
    with pytest.raises(SpecError) as caught:
        pipeline.loads(raw, "s")
    return [line[2:] for line in str(caught.value).split("\n") if line.startswith("s:")]


def test_each_code_has_a_case() -> None:
    said = "\n".join(line for _, expected in CASES.values() for line in expected)
    # Faults in other files are tested in tests/weights and tests/importing, and by the examples on
    # the pages of these codes.
    elsewhere = ("E603", "E62", "E7", "L")
    wanted = {code for code in codes() if not code.startswith(elsewhere)}
    assert {code for code in wanted if f"[{code}]" not in said} == set()


@cases(("text", "expected"), CASES)
def test_says_what_is_wrong_and_where(text: str | bytes, expected: list[str]) -> None:
    assert _first_lines(text) == expected


@cases(("text", "expected"), BY_CODE)
def test_needs_no_libyaml(
    monkeypatch: pytest.MonkeyPatch, text: str | bytes, expected: list[str]
) -> None:
    monkeypatch.setattr(tree, "LOADER", yaml.SafeLoader)
    assert _first_lines(text) == expected
