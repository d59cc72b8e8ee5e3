"""The source line of a problem: whole or cut, with carets under the relevant part."""

from __future__ import annotations

from cases import cases

from rnnspec.errors import (
    Difference,
    ModelError,
    ParityError,
    Problem,
    Refusal,
    RnnspecError,
    Span,
    SpecError,
    UnsupportedError,
    UsageError,
    render_problem,
)


def excerpt(text: str, marked: str) -> list[str]:
    start = text.index(marked)
    span = Span(7, start + 1, start + 1 + len(marked), text)
    return render_problem(Problem("s", "wrong", span=span)).split("\n")[1:]


@cases(
    ("text", "marked", "carets"),
    [
        ("a: b", "b", "   ^"),
        ('a: "\u65e5\u672c", b: 1', "b", " " * 11 + "^"),
        ('a: "\u65e5\u672c"', "\u65e5\u672c", "    ^^^^"),
        ("e\u0301: b", "b", "   ^"),
        ("\U0001f600: b", "b", "    ^"),
    ],
)
def test_carets_stand_where_a_terminal_shows_the_characters(
    text: str, marked: str, carets: str
) -> None:
    assert excerpt(text, marked) == [f"  7 | {text}", f"    | {carets}"]


@cases(("before", "after"), [("", "y" * 200), ("y" * 200, ""), ("y" * 200, "z" * 200)])
def test_a_long_line_is_cut_around_what_is_meant(before: str, after: str) -> None:
    line, carets = excerpt(f"{before}X{after}", "X")
    assert line.index("X") == carets.index("^")
    assert line.startswith("  7 | ...y" if before else "  7 | Xy")
    assert line.endswith("..." if after else "X")
    assert len(line) < 120


LONG = "n" * 100_000


@cases(
    "error",
    [
        SpecError((Problem(LONG, f"{LONG}: expected", f"rnn.{LONG}"),)),
        ModelError((Problem("net.pt", f"received {LONG}; what to do", LONG),)),
        ModelError((Problem("net.pt", f"received {'n ' * 50_000}; what to do"),)),
        UnsupportedError("net.yaml", "torch", (Refusal(LONG, LONG, f"no {LONG}"),)),
        ParityError((Difference(LONG, "torch", LONG, LONG, LONG, LONG),)),
        UsageError(f"received {LONG}; what to do", LONG),
    ],
)
def test_a_name_as_long_as_the_file_is_cut(error: RnnspecError) -> None:
    text = str(error)
    assert len(text) < 6_000
    assert "nnn...nnn" in text or "n n...n n" in text
    assert ("what to do" in text) == ("what to do" in repr(error.args))


def test_paths_are_not_cut() -> None:
    path = "/".join(["folder" * 40] * 15)
    assert str(UsageError(f"this is the input {path}", path)).count(path) == 2
