"""Bytes, characters, size limits, and the values of plain scalars."""

from __future__ import annotations

from itertools import product

import pytest
import yaml
from cases import cases

from rnnspec import loads
from rnnspec.errors import Span, SpecError
from rnnspec.spec.yaml import tree
from rnnspec.spec.yaml.document import read, render_path
from rnnspec.spec.yaml.tree import BadScalarError, resolve

GOOD = "version: 1\nname: net\ninput: {features: 3}\nrnn: {type: lstm, units: 4}\n"


def _told(text: str | bytes) -> list[str]:
    with pytest.raises(SpecError) as caught:
        loads(text, "s")
    return [line[2:] for line in str(caught.value).split("\n") if line.startswith("s:")]


NOT_ALLOWED = "is not allowed in a spec; remove it [E102]"
UTF_8 = "error: expected UTF-8 text, received"
LONG = " error: expected a file of at most 524288 bytes, received a larger one [E106]"
MANY = "20000:3: error: expected at most 20000 keys and values, found more [E108]"
UNITS = "4:26: error: rnn.units: expected"
NAME = (
    "2:7: error: name: expected a string, received 3 "
    "(write 'n3': quoted or not, a name starts with a letter) [E305]"
)
EMPTY = (
    "1:1: error: expected a mapping with the keys version, name and rnn, received an empty "
    "document [E111]"
)


@cases(
    ("text", "expected"),
    [
        (GOOD + "# a\u2028b", f"5:4: error: character U+2028 {NOT_ALLOWED}"),
        (GOOD + "# a\x85b", f"5:4: error: character U+0085 {NOT_ALLOWED}"),
        (GOOD + "# a\ufeffb", f"5:4: error: character U+FEFF {NOT_ALLOWED}"),
        (GOOD + "# \ud800", f"5:3: error: character U+D800 {NOT_ALLOWED}"),
        (b"\xef\xbb\xbf# \x81", "1:3: error: expected UTF-8 text, received byte 0x81 [E101]"),
        (GOOD.encode("utf-16"), "1:1: error: expected UTF-8 text, received UTF-16 [E101]"),
        (GOOD.encode("utf-16-be"), f"1:1: {UTF_8} text that looks like UTF-16 [E101]"),
        (b"\xfe\xff\x00v", "1:1: error: expected UTF-8 text, received UTF-16 [E101]"),
        ("", EMPTY),
        ("\n\n", EMPTY),
        (" error: " * 2, "1:15: error: unexpected ': '; quote the value [E115]"),
        ("#" * 2**19 + "\n", LONG),
        ("é" * 2**18 + "\n", LONG),
        (b"\xff" * 2**21, "1:1: error: expected UTF-8 text, received byte 0xFF [E101]"),
        ("é".encode() * 2**20, LONG),
        (b"a" + "é".encode() * 2**20, LONG),
        ("a: " + "[" * 32, "1:35: error: expected at most 32 levels of nesting, found more [E107]"),
        ("[" * 10**5, "1:33: error: expected at most 32 levels of nesting, found more [E107]"),
        ("- " * 100, "1:65: error: expected at most 32 levels of nesting, found more [E107]"),
        ("- 1\n" * 20_001, MANY),
        (
            GOOD.replace("4", "9" * 10_000),
            f"{UNITS} an integer of at most 19 digits, received one of 10000 digits [E213]",
        ),
        (
            GOOD.replace("4", "9" * 10_000 + ".0"),
            f"{UNITS} a number that fits in 64 bits, received '{'9' * 57}...' [E213]",
        ),
        (
            GOOD.replace("4", "1_" + "0" * 10_000),
            f"{UNITS} an integer, received the string '1_{'0' * 55}...' [E305]",
        ),
        ("version: 1\r\nname: 3\r\n" + GOOD[21:], NAME),
        (GOOD.replace("net", "3").replace("\n", "\r"), NAME),
    ],
)  # fmt: skip
def test_refuses(text: str | bytes, expected: str) -> None:
    assert _told(text) == [expected]


LOADERS = [yaml.SafeLoader, tree.LOADER]


@cases(
    "loader, text",
    product(LOADERS, ["%YAML " + "9" * 5000 + ".1\n---\na", r'"\UFFFFFFFF"', "!<%zz> a"]),
)
def test_survives_what_breaks_the_parser(
    monkeypatch: pytest.MonkeyPatch, loader: type, text: str
) -> None:
    monkeypatch.setattr(tree, "LOADER", loader)
    assert len(_told(text)) == 1


HEADS = [
    "\ufeff", "---\n", "# c\n\n", "%YAML 1.2\n---\n", "%YAML 1.2 \n \n---\n", "%YAML 1.2\r---\r",
    "\ufeff# c\r\n\r\n%YAML  1.2 # c\r\n\r\n # c?\r\n--- # c\r\n",
]  # fmt: skip


@cases("loader, head", product(LOADERS, HEADS))
def test_accepts(monkeypatch: pytest.MonkeyPatch, loader: type, head: str) -> None:
    monkeypatch.setattr(tree, "LOADER", loader)
    text = head + GOOD + "...\n"
    assert loads(text) == loads(text)
    assert loads(text.encode()).rnn == loads(GOOD).rnn


@cases(
    ("text", "value"),
    [
        ("", None), ("~", None), ("null", None), ("NULL", None), ("Null", None), ("nULL", "nULL"),
        ("true", True), ("True", True), ("TRUE", True), ("false", False), ("tRUE", "tRUE"),
        ("yes", "yes"), ("no", "no"), ("on", "on"), ("off", "off"), ("y", "y"),
        ("0", 0), ("-0", 0), ("+7", 7), ("-12", -12), ("9" * 19, 10**19 - 1),
        ("1e-3", 1e-3), ("1.", 1.0), (".5", 0.5), ("-.5e1", -5.0), ("1E+2", 100.0), ("0.0", 0.0),
        ("0e5", 0.0), ("1_000", "1_000"), ("1:30", "1:30"), ("1,5", "1,5"), ("2001-01-01",) * 2,
        (".", "."), ("e3", "e3"), ("0b11", "0b11"), ("inf", "inf"), ("nan", "nan"), ("-", "-"),
        ("\u0661", "\u0661"), ("1\n", "1\n"), ("=", "="),
    ],
)  # fmt: skip
def test_plain_scalars_mean_what_yaml_1_2_says(text: str, value: object) -> None:
    assert (type(resolve(text)), resolve(text)) == (type(value), value)


@cases(
    "text",
    ["010", "00", "-01", "0o7", "0x1f", ".inf", "-.INF", "+.Inf", ".nan", ".NaN", "1e400", "-1e400",
     "1e-400", "9" * 20, "9" * 10_000],
)  # fmt: skip
def test_plain_scalars_that_the_language_lacks(text: str) -> None:
    with pytest.raises(BadScalarError):
        resolve(text)


def test_quoted_and_block_scalars_are_text() -> None:
    data = read("a: '1'\nb: \"true\"\nc: |\n  1\nd: >-\n  null\ne: ''\n", "s").data
    assert data == {"a": "1", "b": "true", "c": "1\n", "d": "null", "e": ""}


DOCUMENT = read("# c\na: [1, {b: two}]\nrnn: {type: x}\nempty:\n", "s")


@cases(
    ("path", "key", "place"),
    [
        ((), False, (2, 1, 17)),
        (("a",), False, (2, 4, 17)),
        (("a",), True, (2, 1, 2)),
        (("a", 0), False, (2, 5, 6)),
        (("a", 1, "b"), False, (2, 12, 15)),
        (("a", 1, "b"), True, (2, 9, 10)),
        (("a", 1, "absent"), False, (2, 8, 16)),
        (("a", 9, "b", "c"), False, (2, 4, 17)),
        (("rnn", 0, "type"), False, (3, 13, 14)),
        (("rnn", 0), False, (3, 6, 15)),
        (("empty",), False, (4, 1, 6)),
        (("absent",), False, (2, 1, 17)),
    ],
)
def test_finds_places(path: tuple[str | int, ...], key: bool, place: tuple[int, int, int]) -> None:
    text = DOCUMENT.text.split("\n")[place[0] - 1]
    assert DOCUMENT.span(path, key=key) == Span(*place, text)


def test_names_paths() -> None:
    assert DOCUMENT.problem(("rnn", 0, "type"), "m", code="E301").where == "rnn.type"
    assert DOCUMENT.problem(("a", 1, "b"), "m", code="E301").where == "a[1].b"
    assert DOCUMENT.problem(("a", 1, "b"), "m", code="E301", key=True).where == "a[1]"
    assert render_path(("x y", "é", "z" * 99)) == "['x y'].é['" + "z" * 57 + "...']"


def test_thousands_of_problems_on_one_long_line_share_it() -> None:
    with pytest.raises(SpecError) as caught:
        loads(GOOD.splitlines()[0] + "\nrnn: [" + "1, " * 15_000 + "1]\nname: net")
    problems = caught.value.problems
    assert len(problems) == 15_001
    assert len({id(problem.span.text) for problem in problems if problem.span}) == 1


def test_no_more_than_fifty_forbidden_characters_are_told() -> None:
    told = _told(GOOD + "# \x01\n" * 60)
    assert len(told) == 50
    assert told[-1] == f"54:3: error: character U+0001 {NOT_ALLOWED}"
