"""The language of generated source: only checked names, literals and code fill a hole."""

from __future__ import annotations

import ast

import pytest
from cases import cases

from rnnspec.errors import GenerationError
from rnnspec.source.code import (
    Code,
    OutputStatement,
    assignment,
    call,
    code,
    docstring,
    function,
    lines,
    listed,
)


@cases("text", ["", "x", "self.lstm_1", "nn.functional.relu"])
def test_a_hole_takes_a_dotted_name(text: str) -> None:
    name = text or Code()
    assert code("f({})", name) == f"f({text})"


@cases("text", ["x; y", "x()", "1x", ".x", "x.", "x y", "x\n", "\N{MICRO SIGN}", "é", '"', "#"])
def test_a_hole_refuses_other_text(text: str) -> None:
    with pytest.raises(GenerationError):
        code("{}", text)
    with pytest.raises(GenerationError):
        listed("x", text)
    with pytest.raises(GenerationError):
        call(text)


@cases("value", [0, -1, True, None, 0.1, 1e16, -3e38, "a 'b' \"c\" \\", (), (1,)])
def test_a_literal_is_read_back(value: object) -> None:
    text = code("x = {!r}", value)
    assert ast.literal_eval(text.removeprefix("x = ")) == value
    assert "e+" not in text


@cases("value", [float("nan"), float("inf"), "\n", "\0", "é", [1], {}, object()])
def test_a_value_without_a_literal_is_refused(value: object) -> None:
    with pytest.raises(GenerationError):
        code("{!r}", value)
    with pytest.raises(GenerationError):
        code("{!r}", (value,))


def test_a_value_without_a_hole_is_refused() -> None:
    with pytest.raises(GenerationError, match="no hole is left for"):
        code("x = {}", "y", "z")


def test_code_of_several_lines_gets_the_margin_of_its_hole() -> None:
    body = lines(code("x = 1"), Code(), [code("if x:\n    y = {{}}")])
    text = code(
        """
        def f():
            {}

            return {}
        """,
        body,
        "x",
    )
    assert text == "def f():\n    x = 1\n    if x:\n        y = {}\n\n    return x"


def test_a_hole_without_code_leaves_no_line_of_its_own() -> None:
    template = """
        x = 1
        {first}
        {second}
        y = [{first}]
        """
    assert code(template, first=Code(), second=code("z")) == "x = 1\nz\ny = []"


def test_filled_code_keeps_what_looks_like_a_hole() -> None:
    assert code("x = {}", code("{{y}}")) == "x = {y}"


def test_a_call_leaves_out_defaults() -> None:
    made = call("nn.Linear", 4, 5, _defaults={"bias": True, "eps": 0.1}, bias=True, eps=0.2, d=None)
    assert made == "nn.Linear(4, 5, eps=0.2, d=None)"


def test_a_function_with_all_its_pieces() -> None:
    text = function(
        code("f(self)"),
        code("pass"),
        describes=["Do nothing.", "", "Twice."],
        decorators=[code("staticmethod")],
    )
    assert (
        text == '@staticmethod\ndef f(self):\n    """Do nothing.\n\n    Twice.\n    """\n    pass'
    )
    assert docstring(["Do nothing."]) == '"""Do nothing."""'


def test_an_output_is_in_x_until_another_variable_is_told() -> None:
    output = assignment(["steps", "x", "h"], code("run(x)"))
    assert isinstance(output, OutputStatement)
    assert output == "steps, x, h = run(x)"
    assert output.into(code("x_1")) == "steps, x_1, h = run(x)"
    assert OutputStatement(code("run(x)")).into(code("y")) == "y = run(x)"


def test_a_statement_without_the_output_is_as_it_is() -> None:
    state = assignment(["_", code("(x, h)")], code("run(x)"))
    assert state == "_, (x, h) = run(x)"
    assert not isinstance(state, OutputStatement)
