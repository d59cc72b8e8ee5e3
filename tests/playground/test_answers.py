"""Answers of the playground are those of the library and of the commands."""

from __future__ import annotations

import json
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any

import pytest
from cases import cases
from conftest import GALLERY
from covering import covering
from hypothesis import given
from hypothesis import strategies as st
from rnnspec_playground import answer, answers

import rnnspec
from rnnspec.backends import having
from rnnspec.backends.needs import SOURCE
from rnnspec.errors import Refusal, UnsupportedError
from rnnspec.ir.forms import Form

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted([*ROOT.glob("specs/*.yaml"), *ROOT.glob("templates/init/*.yaml")])
GOOD = "version: 1\nname: net\ninput: {features: 3}\nrnn: {type: lstm, units: 4}\n"


@cases("gallery_spec", covering(GALLERY)[:4])
def test_a_spec_of_the_gallery_has_its_summary_pictures_and_sources(gallery_spec: Path) -> None:
    spec = rnnspec.load(gallery_spec)
    found = answer(gallery_spec.read_text("utf-8"))
    assert found["state"] == "valid"
    total = rnnspec.summary(spec).parameters.total
    assert found["verdict"] == f"valid: {total:,} parameters"
    forms = ("unrolled", "folded")
    drawn = [str(rnnspec.draw(spec, form=form, theme="auto")) for form in forms]
    assert [each["svg"] for each in found["pictures"]] == drawn
    expected = [
        (each.source_title, form.capitalize(), _source(gallery_spec, each.name, form))
        for each in having(SOURCE)
        for form in each.forms
    ]
    assert [(each["title"], each["form"], each["text"]) for each in found["sources"]] == expected


def _source(spec: Path, backend: str, form: Form) -> str:
    try:
        return rnnspec.codegen(spec, backend, form=form)
    except UnsupportedError:
        return ""


@cases("example", EXAMPLES)
def test_an_example_has_a_description_and_opens_without_notes(example: Path) -> None:
    assert rnnspec.load(example).description
    found = answer(example.read_text("utf-8"), [])
    assert (found["state"], found["notes"]) == ("valid", ())


def test_source_has_the_name_of_its_format() -> None:
    titles = {source["title"] for source in answer(GOOD, [])["sources"]}
    assert {"Keras", "PyTorch", "JAX", "ONNX", "C"} <= titles
    assert "ONNX Runtime" not in titles


def test_a_problem_has_its_place() -> None:
    found = answer(GOOD.replace("units", "unit"))
    assert (found["state"], found["verdict"]) == ("wrong", "wrong: 1 problem")
    assert found["notes"] == (
        {
            "severity": "error",
            "code": "E301",
            "where": "rnn",
            "message": "unknown key 'unit'; did you mean 'units'?",
            "line": 4,
            "column": 19,
            "end_column": 23,
        },
    )
    assert (found["summary"], found["pictures"], found["sources"]) == (None, (), ())


CELL = """\
version: 1
name: net
input: {features: 3}
cells:
  mine:
    states: [h]
    equations: {h: tanh(W @ x + U @ h) * h}
rnn: [{type: mine, units: 4, name: one}, {type: mine, units: 4, name: two}]
"""


def test_the_equations_of_a_cell_are_mathematics_and_have_problems_at_their_columns() -> None:
    text = CELL.replace("tanh", "silu")
    (cell,) = answer(text, [])["equations"]
    assert (cell["name"], cell["words"]) == ("mine", "the cell of one and two: state h")
    html = rnnspec.loads(text)._repr_html_()
    assert markup(cell["formula"]) in html
    assert answer(GOOD)["equations"] == ()
    (note,) = answer(CELL.replace("U @ h", "U @ g"))["notes"]
    assert (note["line"], note["column"], note["code"]) == (7, 33, "E429")


def markup(part: dict[str, Any]) -> str:
    """Return what the page makes of a tree, as text."""
    attributes = "".join(f' {name}="{value}"' for name, value in part["attributes"].items())
    content = part["content"]
    inside = escape(content) if isinstance(content, str) else "".join(map(markup, content))
    return f"<{part['tag']}{attributes}>{inside}</{part['tag']}>"


def test_advice_leaves_a_spec_valid() -> None:
    found = answer(GOOD.replace("lstm", "simple"))
    assert (found["state"], found["notes"][0]["code"]) == ("valid", "L101")


def test_more_problems_than_anyone_reads_are_counted() -> None:
    found = answer(GOOD + "".join(f"key_{number}: 1\n" for number in range(70)))
    assert (len(found["notes"]), found["omitted"]) == (50, 20)


def test_a_backend_refuses_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    backend, *_ = having(SOURCE)
    refusal = Refusal("lstm_1", "units", "4 is one too many")
    refusing = replace(backend.emitter, refusals=lambda *_: (refusal,))
    monkeypatch.setattr(f"{backend.package}.emit.EMITTER", refusing)
    first, *others = answer(GOOD)["sources"]
    assert first["text"] == ""
    (sentence,) = first["refusals"]
    assert sentence.startswith("lstm_1.units: not supported by ")
    assert "4 is one too many; supported by " in sentence
    assert all(bool(other["text"]) != bool(other["refusals"]) for other in others)


def test_only_what_is_shown_has_content() -> None:
    every = answer(GOOD)
    titles = [each["title"] for each in every["sources"]]
    found = answer(GOOD, ["Folded", titles[-1]])
    assert [bool(each["svg"]) for each in found["pictures"]] == [False, True]
    assert found["pictures"][1] == every["pictures"][1]
    assert [each["title"] for each in found["sources"]] == titles
    for whole, part in zip(every["sources"], found["sources"], strict=True):
        assert part["form"] == whole["form"]
        assert part["text"] == (whole["text"] if part["title"] == titles[-1] else "")


def test_a_network_too_large_for_a_picture_has_all_else() -> None:
    layers = "".join(f"  - {{type: lstm, units: {number + 1}}}\n" for number in range(80))
    text = f"version: 1\nname: net\ninput: {{features: 3}}\nrnn:\n{layers}"
    found = answer(text, ["Unrolled", "Folded"])
    assert [each["svg"] for each in found["pictures"]] == ["", ""]
    assert found["pictures"][0]["refusal"].startswith("net has 80 rows to draw")
    assert len(found["summary"]["rows"]) == 80


def test_reads_no_file_that_a_spec_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    embedding = "embedding: {vocabulary: 3, dim: 2, weights: absent.npy, words: absent.txt}\n"
    text = GOOD.replace("input: {features: 3}\n", embedding)
    assert answer(text)["state"] == "valid"


def test_a_bug_is_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> Any:
        raise RecursionError("too deep\nand more")

    monkeypatch.setattr(answers, "summarize", broken)
    found = answer(GOOD)
    assert found["state"] == "failed"
    assert found["verdict"] == (
        "rnnspec failed on this text, which is a bug: RecursionError: too deep"
    )


HOSTILE = [
    "",
    "\0",
    "\ud800",
    "[" * 2**18,
    "x" * 2**20,
    "&a [*a]",
    "a: 1\r\n\ta: 2",
    "\u202e: \u2028",
]


@cases("text", HOSTILE)
def test_text_that_is_no_spec_is_wrong(text: str) -> None:
    found = answer(text)
    assert found["state"] == "wrong"
    assert json.dumps(found).isascii()
    assert all(note["message"].isprintable() for note in found["notes"])


@given(st.text(max_size=80) | st.text("{}[]:-, \n#&*!|>'\"%@abt1", max_size=60))
def test_no_text_makes_it_fail(text: str) -> None:
    assert answer(text)["state"] == "wrong"
