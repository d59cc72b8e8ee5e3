"""Each rule on specs that it should find, and on similar ones that it should not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from cases import cases
from conftest import GALLERY

import rnnspec
from rnnspec import pages, pipeline
from rnnspec.cli.commands.init import init
from rnnspec.cli.completers import network_names
from rnnspec.errors import Problem, Span
from rnnspec.lint import run
from rnnspec.lint.rules import CODES, RULES, select_codes
from rnnspec.lint.run import lint
from rnnspec.spec.models import Spec

HEAD = "version: 1\nname: net\n"
ONE = "{type: gru, units: 4}"
BOTH = "{type: gru, units: 4, bidirectional: true}"
CODER = f"{ONE}, {{type: repeat, steps: 2}}, {ONE}"


def advice(text: str, *, select: str | None = None) -> tuple[Problem, ...]:
    return lint(pipeline.reads(text, "s"), select_codes([select] if select else [], []))


def codes(text: str) -> set[str]:
    return {problem.code for problem in advice(text)}


def _near_and_far() -> Iterator[tuple[str, tuple[str, bool, str]]]:
    text = Path(__file__).with_name("cases.txt").read_text("utf-8")
    for block in text.rstrip("\n").split("\n\n"):
        title, _, body = re.sub(r"\A# .*\n", "", block).partition("\n")
        code, verdict, reason = title.split(" | ")
        assert verdict in ("found", "not")
        yield f"{code} {reason}", (code, verdict == "found", HEAD + body + "\n")


CASES = dict(_near_and_far())


@cases(("code", "found", "text"), CASES)
def test_a_rule_finds_what_it_is_for_and_not_what_comes_near(
    code: str, found: bool, text: str
) -> None:
    assert (code in codes(text)) == found


@cases(
    ("cell", "keys", "of"),
    {
        "without": ("h: tanh(x)}, sizes: {h: features", "", "{x: gru_1}"),
        "with": ("h: tanh(W @ x + b)", ", units: 5", "{x: gru_1}, units: 5"),
    },
)
def test_a_cell_that_reads_no_state_is_a_formula(cell: str, keys: str, of: str) -> None:
    text = (
        "version: 1\nname: net\ninput: {features: 3}\n"
        f"rnn: [{{type: gru, units: 3}}, {{type: mine{keys}}}]\n"
        f"cells: {{mine: {{states: [h], equations: {{{cell}}}}}}}\n"
    )
    (found,) = advice(text, select="L131")
    assert f"{{type: formula, of: {of}, equations: ...}}" in found.message


def test_every_rule_has_something_near_it() -> None:
    assert {code for code, found, _ in CASES.values() if not found} == set(CODES)


@cases("code", CODES)
def test_a_page_shows_what_the_rule_finds_and_what_is_clean(code: str) -> None:
    wrong, right = re.findall(r"```yaml\n(.*?)```", pages.page(code), re.DOTALL)
    assert codes(wrong) == {code}
    assert codes(right) == set()


def test_every_page_of_advice_has_a_rule() -> None:
    assert tuple(code for code in pages.codes() if code.startswith("L")) == CODES


@cases("code", CODES)
def test_a_page_has_the_form_of_a_page(code: str) -> None:
    title, *rest = pages.page(code).split("\n")
    assert re.fullmatch(rf"# {code}: [a-z].*[^.]", title)
    assert [line for line in rest if line.startswith("## ")] == ["## Wrong", "## Right"]
    assert all(len(line) <= 120 for line in rest)


def test_a_finding_says_where_and_how_grave_it_is() -> None:
    (found,) = advice(HEAD + "input: {features: 3}\nrnn:\n  - type: simple\n    units: 4\n")
    assert found == Problem(
        source="s",
        message="an 'lstm' or 'gru' layer remembers more time steps than a 'simple' layer",
        where="rnn[0].type",
        span=Span(5, 11, 17, "  - type: simple"),
        code="L101",
        severity="note",
    )


def test_what_is_found_comes_in_file_order() -> None:
    text = "head: {units: 1, activation: softmax}\nrnn: {type: simple, units: 4}\n"
    lines = [
        found.span and found.span.line for found in advice(f"{HEAD}{text}input: {{features: 1}}")
    ]
    assert lines == sorted(lines, key=lambda line: line or 0)
    assert len(lines) > 2


def test_a_value_that_is_not_written_is_placed_at_what_lacks_it() -> None:
    head = "head:\n  hidden:\n    - units: 9\n  units: 1\n"
    text = f"{HEAD}input: {{features: 3}}\nrnn: {{type: lstm, units: 4}}\n{head}"
    (found,) = advice(text, select="L303")
    assert (found.where, found.span and found.span.line) == ("head.hidden[0].activation", 7)


@cases(
    ("units", "message"),
    [
        (1, "in 50% of cases the only value is dropped, and nothing is left"),
        (4, "in 6% of cases all 4 values are dropped, and nothing is left"),
    ],
)
def test_how_often_nothing_is_left(units: int, message: str) -> None:
    rnn = f"rnn: {{type: lstm, units: {units}}}\n"
    (found,) = advice(f"{HEAD}input: {{features: 3}}\n{rnn}head: {{dropout: 0.5}}\n", select="L123")
    assert found.message == message


@cases(
    ("layers", "head", "effect"),
    [
        (ONE, "pooling: last", "if it is on the right, the last state comes after it"),
        (BOTH, "pooling: last", "the last state of one direction comes after it"),
        (ONE, "pooling: mean", "it counts in the mean"),
        (ONE, "pooling: max", "the maximum may come from it"),
        (
            CODER,
            "pooling: mean",
            "if it is on the right, the repeated state comes after it",
        ),
    ],
)
def test_what_padding_does_is_said_of_what_reads_it(layers: str, head: str, effect: str) -> None:
    tokens = "input: {length: 9}\nembedding: {vocabulary: 9, dim: 4}\n"
    (found,) = advice(f"{HEAD}{tokens}rnn: [{layers}]\nhead: {{{head}}}\n", select="L206")
    assert found.message == f"without 'mask_zero', padding is read like any other token: {effect}"


@cases(("dropout", "but"), [("", ""), (", dropout: 0.1", "except for the dropout, ")])
def test_two_linear_maps_are_one_but_for_what_is_dropped(dropout: str, but: str) -> None:
    net = "input: {features: 3}\nrnn: {type: lstm, units: 4}\n"
    head = f"head: {{hidden: [{{units: 4{dropout}}}], units: 1}}\n"
    (found,) = advice(HEAD + net + head, select="L303")
    assert found.message.endswith(f"before another dense layer: {but}the two are one linear map")


def test_a_comment_silences_its_line_alone() -> None:
    layers = "  - {type: simple, units: 4}  # rnnspec: ignore[L101]\n  - {type: simple, units: 4}\n"
    (found,) = advice(f"{HEAD}input: {{features: 3}}\nrnn:\n{layers}")
    assert (found.code, found.where) == ("L101", "rnn[1].type")


def test_a_comment_is_not_said_to_silence_nothing_where_its_rule_was_not_asked() -> None:
    text = HEAD + "input: {features: 3}\nrnn: {type: lstm, units: 4}  # rnnspec: ignore[L101]\n"
    assert [found.code for found in advice(text)] == ["L902"]
    assert advice(text, select="L3,L9") == ()
    assert advice(text, select="L1") == ()


def test_a_wrong_comment_is_placed_at_its_code() -> None:
    line = "rnn: {type: lstm, units: 4}  # rnnspec: ignore[L99, L1011]"
    found = advice(f"{HEAD}input: {{features: 3}}\n{line}\n")
    marked = [each.span and line[each.span.column - 1 : each.span.end_column - 1] for each in found]
    assert marked == ["L99", "L1011"]
    assert [each.message for each in found] == [
        "suppression comment: unknown code 'L99'; expected a code from L101 to L902",
        "suppression comment: unknown code 'L1011'; did you mean 'L101'?",
    ]


@cases(
    ("code", "message"),
    [
        ("E301", "errors cannot be ignored (E301); expected a code from L101 to L902"),
        ("L1", "expected a full code, received the prefix 'L1'"),
        ("l101", "unknown code 'l101'; did you mean 'L101'?"),
    ],
)
def test_what_a_comment_cannot_name_is_told(code: str, message: str) -> None:
    comment = f"# rnnspec: ignore[{code}]\n"
    (found,) = advice(f"{HEAD}{comment}input: {{features: 3}}\nrnn: {{type: lstm, units: 4}}\n")
    assert (found.code, found.message) == ("L901", f"suppression comment: {message}")


def test_of_a_great_many_wrong_comments_few_are_worded() -> None:
    text = HEAD + "input: {features: 3}\nrnn: {type: lstm, units: 4}\n"
    spec = rnnspec.loads(text + "# rnnspec: ignore[L1011]\n" * 20_000)
    assert len(lint(pipeline.program(spec), select_codes([], []))) == 100
    with pytest.MonkeyPatch.context() as patch:
        # Messages of rules that are not selected are not even made.
        patch.setattr(run, "unknown_code", None)
        assert lint(pipeline.program(spec), select_codes(["L1"], [])) == ()


@cases("gallery_spec", GALLERY)
def test_the_gallery_is_free_of_warnings(gallery_spec: Path) -> None:
    found = lint(pipeline.read(gallery_spec), select_codes([], []))
    assert [problem for problem in found if problem.severity != "note"] == []


@cases("network", network_names())
def test_a_network_to_start_from_is_clean(
    network: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    init("mine", network, output=tmp_path / "mine.yaml")
    assert "wrote" in capsys.readouterr().out
    assert lint(pipeline.read(tmp_path / "mine.yaml"), select_codes([], [])) == ()


def test_codes_are_sorted_and_told_apart() -> None:
    assert list(CODES) == sorted(set(CODES))
    assert {rule.severity for rule in RULES} == {"note", "warning"}


def test_many_heads_are_listed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    heads = "".join(f"  h{number}: {{units: 1}}\n" for number in range(100))
    text = f"{HEAD}input: {{features: 2}}\nrnn: [{ONE}, {{type: dense, units: 2}}]\nheads:\n{heads}"
    program = pipeline.reads(text, "s")
    lists = [0]
    list_heads = vars(Spec)["all_heads"].fget

    def counted(spec: Spec) -> object:
        lists[0] += 1
        return list_heads(spec)

    monkeypatch.setattr(Spec, "all_heads", property(counted))
    lint(program, frozenset(CODES))
    assert 0 < lists[0] < 20
