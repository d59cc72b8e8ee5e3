"""For every input, the answer is a spec or a SpecError, and always the same."""

from __future__ import annotations

from contextlib import suppress

import pytest
import yaml
from cases import cases
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnspec import loads, pipeline
from rnnspec.backends import BACKENDS
from rnnspec.errors import SpecError, UnsupportedError
from rnnspec.spec import models
from rnnspec.spec.write import dump
from rnnspec.spec.yaml import tree
from rnnspec.spec.yaml.text import first_forbidden
from rnnspec_random.strategies import DESCRIPTIONS

GOOD = {
    "version": 1,
    "name": "net",
    "input": {"features": 3},
    "rnn": {"type": "lstm", "units": 4},
}
SEEDS = [
    "version: 1\nname: net\ninput: {features: 3}\nrnn: {type: lstm, units: 4}\n",
    """\
version: 1
name: tagger   # of words
description: >-
  some
  text
embedding: {vocabulary: 10, dim: 3, mask_zero: true, weights: vectors.txt, words: "words.txt"}
rnn:
  - type: gru
    units: 32
    bidirectional: true
    merge: "sum"
    reset_after: false
    recurrent_dropout: 0.1
  - {type: repeat, steps: 3}
  - {type: lstm, units: 64, activation: elu, layer_norm: true, residual: false}
  - {type: simple, units: 8, dropout: 1e-1, layers: 2}
head:
  hidden: [{units: 64, activation: relu}]
  units: 9
initializers: {recurrent: {normal: .1}, bias: 'ones'}
expect: {parameters: 1}
""",
]
PIECES = [
    "&a ", "*a", "!t ", "<<: ", "'", '"', "[", "]", "{", "}", ": ", "- ", "\n", "\n  ", "\t", "#",
    "|", ">", "%", "@", "---\n", "...\n", "? ", "~", "null", "true", "yes", "010", "0x1", ".inf",
    "%YAML 1.2\n", "%YAML 1.2\n---\n",
    "1e999", "9" * 30, "\\", "\0", "\u2028", "\ufeff", "é", "units: 1", "version: 1\n", "rnn: ",
]  # fmt: skip
EDITS = st.lists(
    st.tuples(st.integers(0, 400), st.integers(0, 12), st.sampled_from(["", *PIECES])),
    min_size=1,
    max_size=4,
)
TOKENS = [
    "a", "a: ", "a:", "b: c\n", "{a: ", "[a", "\n- ", "\n    ", ", ", ",", " ", ":", "?", "-",
    "'x'", '"y"', "a?b", "a#b", " #", "|-", "|2", ">+", "%TAG ! x\n", "!<x> ", "!!str ", "!?!x ",
    "%YAML 1.1\n",
    "\\ud800", "\\u202e", "\\/", "\\x41", "\xa0", "\u200b", "\u0430", "\r", "\r\n", "`",
]  # fmt: skip
"""Among other things, constructs on which the two parsers of PyYAML differ."""

PADDING = st.sampled_from(
    [("", "")] * 7 + [("", "# " + "c" * 78 + "\n")[::way] for way in (1, -1)]
).map(lambda around: (around[0] * 260, around[1] * 260))
"""The text before and after: usually none, sometimes 20 KiB of comments."""


def _answer(raw: str | bytes) -> models.Spec | str:
    try:
        return loads(raw)
    except SpecError as error:
        return _sound(error)


def _sound(error: SpecError) -> str:
    places = [problem.span for problem in error.problems]
    order = [(span.line, span.column) if span else (0, 0) for span in places]
    assert order
    assert order == sorted(order)
    for span in filter(None, places):
        assert span.end_column >= span.column >= 1
        assert span.end_column <= len(span.text) + 1 or span.end_column == span.column
    text = str(error)
    assert all(line.isprintable() for line in text.split("\n"))
    return text


def _with(loader: object, raw: str | bytes) -> models.Spec | str:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tree, "LOADER", loader)
        return _answer(raw)


def _agreed(raw: str | bytes) -> models.Spec | str:
    """Return the answer to ``raw``, after asserting that both parsers and a repetition agree."""
    answer = _with(tree.LOADER, raw)
    assert answer == _with(yaml.SafeLoader, raw)
    assert answer == _with(tree.LOADER, raw)
    return answer


@given(st.binary(max_size=200))
def test_any_bytes(raw: bytes) -> None:
    _agreed(raw)


@given(st.text(max_size=200))
def test_any_text(raw: str) -> None:
    _agreed(raw)


@settings(max_examples=300)
@given(st.sampled_from(SEEDS), EDITS, PADDING)
def test_mutated_specs(
    text: str, edits: list[tuple[int, int, str]], padding: tuple[str, str]
) -> None:
    for start, length, piece in edits:
        at = start % (len(text) + 1)
        text = text[:at] + piece + text[at + length :]
    text = text.join(padding)
    answer = _agreed(text)
    if isinstance(answer, models.Spec):
        assert first_forbidden(text.removeprefix("\ufeff")) is None
        # A tab is allowed in a comment only.
        assert yaml.safe_load(text.replace("\t", " "))["name"] == answer.name
        _check_sources(answer)


def _check_sources(spec: models.Spec) -> None:
    """Compile the source generated from ``spec``, unless the spec is refused."""
    for backend in BACKENDS:
        with suppress(SpecError, UnsupportedError):
            text = pipeline.codegen(spec, backend)
            if BACKENDS[backend].ending == ".py":
                compile(text, spec.name, "exec")


@settings(max_examples=200)
@given(st.lists(st.sampled_from([*PIECES, *TOKENS]), max_size=30).map("".join), PADDING)
def test_broken_yaml(text: str, padding: tuple[str, str]) -> None:
    assert isinstance(_agreed(text.join(padding)), str)


@cases("text", ['"\\j": 1\n', "a: [1\n", "a: 'b\n", "a: b: c\n", "- a\nb: c\n"])
def test_both_parsers_refuse_alike_whatever_is_around(text: str) -> None:
    padding = ("# " + "c" * 80 + "\n") * 260  # more than the buffer of libyaml
    for raw in (text, text + padding, padding + text):
        assert isinstance(_agreed(raw), str)


WORDS = st.text("abyn_0123é-: '\"{}[]#,&*!|>%@`\\~?<=.", max_size=8)
DATA = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**18), 10**18) | WORDS
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(DATA, st.booleans())
def test_both_parsers_read_what_was_written(data: object, flow: bool) -> None:
    text = yaml.safe_dump(data, default_flow_style=flow, allow_unicode=True, width=10_000)
    fast, pure = tree.grow(text), tree.grow(text, yaml.SafeLoader)
    assert fast == pure
    if fast.whole and not fast.faults:
        assert _agree(fast.data, data)


def _agree(read: object, written: object) -> bool:
    # PyYAML writes YAML 1.1, in which 1e-05 is a string and needs no quotes.
    if isinstance(written, str) and isinstance(read, int | float):
        return True
    if isinstance(written, list) and isinstance(read, list):
        return len(read) == len(written) and all(map(_agree, read, written))
    if isinstance(written, dict) and isinstance(read, dict):
        return read.keys() == written.keys() and all(_agree(read[k], written[k]) for k in read)
    return type(read) is type(written) and read == written


@given(st.sampled_from(SEEDS))
def test_both_parsers_agree_on_good_specs(text: str) -> None:
    assert tree.grow(text) == tree.grow(text, yaml.SafeLoader)


WORDS = st.sampled_from(["0E0", "1e3", "010", "0o17", "1:30", "yes", "null", "~", ".inf", "=", ""])


@settings(max_examples=100)
@given(WORDS | DESCRIPTIONS)
def test_what_is_written_is_read_back(description: str) -> None:
    spec = loads(dump({**GOOD, "description": description}))
    assert spec.description == description
    assert spec.rnn == loads(dump(GOOD)).rnn
