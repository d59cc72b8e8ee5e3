"""Expressions as Python: read again, they are what was written."""

from __future__ import annotations

from cases import cases
from hypothesis import given
from hypothesis import strategies as st

from rnnspec.ir.equations import Expression
from rnnspec.ir.parser import parse
from rnnspec.source.expressions import ExpressionWriter

EXPRESSIONS = st.recursive(
    st.sampled_from(["x", "2", "0.5"]),
    lambda inner: st.one_of(
        inner.map("tanh({})".format),
        st.tuples(inner, st.sampled_from("+-*"), inner).map(lambda of: "({} {} {})".format(*of)),
        # Without x, the divisor may be a constant 0.
        st.tuples(inner, inner.filter(lambda text: "x" in text)).map(
            lambda of: "({} / {})".format(*of)
        ),
    ),
    max_leaves=6,
)


def read(text: str) -> Expression:
    return parse(f"y: W @ x + V @ ({text} + x)\nh: y", ("h",), ("tanh",)).lines[0].value


def write(text: str, function: str) -> str:
    (line, _) = parse(f"y: x * ({text})\nh: W @ y", ("h",), ("tanh",)).lines
    return ExpressionWriter({"tanh": function}).write(line.value)


@given(EXPRESSIONS)
def test_an_expression_is_read_as_it_was_written(text: str) -> None:
    written = write(text, "tanh").removeprefix("x * ")
    assert read(written) == read(text)


@cases(
    ("text", "written"),
    [
        ("1 - (x - 2)", "x * (1 - (x - 2))"),
        ("(1 - x) - 2", "x * (1 - x - 2)"),
        ("tanh((x + 1))", "x * jnp.tanh(x + 1)"),
        ("V @ (x * (U @ x)) - x", "x * (V @ (x * (U @ x)) - x)"),
    ],
)
def test_parentheses(text: str, written: str) -> None:
    assert write(text, "jnp.tanh") == written


def test_a_function_without_a_name_is_the_identity() -> None:
    assert write("tanh(x + 1)", "") == "x * (x + 1)"
