"""Free text reaches comments of generated source only, whatever it contains."""

from __future__ import annotations

import ast
import io
import json
import re
import subprocess
import sys
import tokenize
from functools import cache

from cases import cases
from hypothesis import example, given, settings
from hypothesis import strategies as st

import rnnspec
from rnnspec import pipeline
from rnnspec.backends import honouring
from rnnspec.source.linebreaks import LINE_LENGTH
from rnnspec.source.render import comment

SPEC = "version: 1\nname: net\ninput: {features: 3}\nrnn: {type: lstm, units: 4}\n"
NASTY = [
    '"""', "'''", "\\", "\\\n", "\n", "\r", "\r\n", "\x0c", "\x0b", "\x1c", "\x85", "\u2028",
    "\u2029", "\t", "#", "# type: ignore", "{{ 1 }}", "{% raw %}", "{#", "%}", "import os",
    "\u202e", "\u2066", "\ufeff", "\x00", "\x1b[31m", "-*- coding: rot13 -*-",
    "##", "[", "##[error]", "\nimport os\n", "\U0001f600",
]  # fmt: skip
TEXTS = st.lists(st.sampled_from(NASTY) | st.text(max_size=20), max_size=8).map("".join)
BIDIRECTIONAL = set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@cache
def tree_without(backend: str) -> str:
    return ast.dump(ast.parse(rnnspec.codegen(rnnspec.loads(SPEC), backend)))


@cache
def bare(backend: str) -> str:
    return without_comments(rnnspec.codegen(rnnspec.loads(SPEC), backend))


def without_comments(text: str) -> str:
    """Return a text without the comments of C, or the lines that are no comments of ONNX."""
    if text.startswith("/*"):
        return re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    # Split at line feeds alone, as the parser of ONNX does.
    return "\n".join(line for line in text.split("\n") if not line.startswith("#"))


def comments(text: str) -> list[str]:
    """Return the comments without indentation, such as those with the description."""
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return [
        token.string for token in tokens if token.type == tokenize.COMMENT and not token.start[1]
    ]


@settings(max_examples=100, deadline=None, derandomize=True)
@given(TEXTS)
@example('"""\nimport os\n"""')
@example("x\\")
@example("a\u2028import os")
@example("\x0cimport os")
def test_a_description_is_only_ever_a_comment(description: str) -> None:
    # Set directly: the reader refuses some of these characters, but codegen must not rely on that.
    spec = rnnspec.loads(SPEC).model_copy(update={"description": description})
    spec._document = rnnspec.loads(SPEC).document
    for backend in honouring(pipeline.program(spec).network):
        text = rnnspec.codegen(spec, backend.name)
        if backend.ending == ".py":
            assert ast.dump(ast.parse(text)) == tree_without(backend.name)
            compile(text.encode(), "<net>", "exec")
        else:
            assert without_comments(text) == bare(backend.name)
        assert text.isprintable() or set(text) - {"\n"} == {c for c in text if c.isprintable()}
        assert not set(text) & BIDIRECTIONAL
        assert not re.search(r"(?m)##\w*\[|^\s*::", text)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    st.text(
        st.characters(min_codepoint=32, max_codepoint=0x17F, exclude_categories=["Cc"]),
        max_size=200,
    )
)
def test_the_words_of_a_description_are_all_there(description: str) -> None:
    spec = rnnspec.loads(SPEC + f"description: {json.dumps(description)}\n")
    found = " ".join(line.removeprefix("#") for line in comments(rnnspec.codegen(spec, "torch")))
    assert found.replace('"', "").split() == _escaped(description).replace('"', "").split()


def _escaped(text: str) -> str:
    return "".join(c if c.isprintable() or c.isspace() else ascii(c)[1:-1] for c in text)


@cases("text", ["", " ", "\n\n", "\t \r\n"])
def test_an_empty_text_is_no_comment(text: str) -> None:
    assert comment(text) == ""


def test_a_comment_is_wrapped() -> None:
    lines = comment("word " * 100 + "\n\n" + "x" * 300).splitlines()
    assert all(line.startswith("# ") for line in lines)
    assert max(map(len, lines[:-1])) <= LINE_LENGTH
    assert lines[-1] == "# " + "x" * 300


def ruff(*arguments: str, text: str) -> str:
    command = [sys.executable, "-m", "ruff", *arguments, "--isolated", "-"]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=False).stdout


def test_linters_let_a_long_address_be() -> None:
    text = comment("https://" + "x" * 300) + "\n"
    assert "All checks passed" in ruff("check", "--select", "E501", text=text)


# Each pattern is the one by which the tool finds its comments.
HEEDED = {
    "mypy: ignore-errors": r"^# mypy: ",
    "type: ignore": r"#\s*type:",
    "type: lstm, units: 4": r"#\s*type:",
    "pyright: basic": r"((^|#)\s*)pyright:",
    "fmt: off": r"#\s*fmt:\s*off",
    "fmt:skip": r"#\s*fmt:\s*skip",
    "yapf: disable": r"#\s*yapf:\s*disable",
    "ruff: NOQA": r"(?i)#\s*(ruff|flake8)\s*[:=]\s*noqa",
    "flake8=noqa": r"(?i)#\s*(ruff|flake8)\s*[:=]\s*noqa",
    "NoQA": r"(?i)#\s*noqa",
    "ok # noqa: F401": r"(?i)#\s*noqa",
    "pylint: disable=all": r"\bpylint:",
    "so, pylint:skip-file": r"\bpylint:",
    "isort: skip_file": r"isort:\s*skip_file",
    "pragma: no cover": r"#\s*(pragma|PRAGMA)[:\s]?\s*(no|NO)\s*(cover|COVER)",
    "pragma no cover": r"#\s*(pragma|PRAGMA)[:\s]?\s*(no|NO)\s*(cover|COVER)",
    "nosec": r"#\s*nosec",
    "-*- coding: latin-1 -*-": r"coding[:=]",
    "vim: set fileencoding=utf-7 :": r"coding[:=]|(^|\s)vim?:",
    "cython: boundscheck=False": r"#\s*cython:",
    "/// script": r"(?m)^# /// [a-zA-Z0-9-]+$",
    "%% cell": r"#\s*%%",
    "pyre-strict": r"#\s*pyre-",
    "##[error]x": r"##\[",
    "so ###[add-mask]x": r"##\[",
    "##vso[task.setvariable variable=x]y": r"##vso\[",
    "##teamcity[x]": r"##teamcity\[",
}


@cases(("text", "heeded"), HEEDED.items())
def test_no_tool_obeys_a_description(text: str, heeded: str) -> None:
    assert re.search(heeded, f"# {text}")
    # The second is wrapped so that a line begins with it; the third is in quotes already.
    for description in (text, "word " * 19 + "wo " + text, f'"{text}"', f"'{text}'"):
        made = comment(description)
        assert not re.search(heeded, made)
        ast.parse(made, type_comments=True)
        assert (
            made.replace('"', "").replace("\n#", "").split()
            == f"# {text}".replace(text, description.replace('"', "")).split()
        )


def test_ruff_obeys_no_description() -> None:
    made = comment("ruff: noqa\nfmt: off") + "\nimport os\nx = [1,2]\n"
    assert "F401" in ruff("check", "--select", "F401", text=made)
    assert "x = [1, 2]" in ruff("format", text=made)


@cases(
    "text", ["Note: a type of network, of typed text.", "See https://x.y/type/coding", "mypy, too"]
)
def test_other_words_stay_as_they_are(text: str) -> None:
    assert comment(text) == f"# {text}"
