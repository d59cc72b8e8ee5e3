"""Equations: their errors, their shapes, and the form in which two cells can be compared."""

from __future__ import annotations

import random
import re
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnspec.ir.equations import EquationError
from rnnspec.ir.parser import parse
from rnnspec.ir.normal_form import normal_form

FUNCTIONS = ("sigmoid", "tanh")
LSTM = """
i: sigmoid(W_i @ x + U_i @ h + b_i)
f: sigmoid(W_f @ x + U_f @ h + b_f)
g: tanh(W_c @ x + U_c @ h + b_c)
o: sigmoid(W_o @ x + U_o @ h + b_o)
c: f * c + i * g
h: o * tanh(c)
"""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("h: tnah(W @ x)", "h, column 4: unknown function 'tnah'; did you mean tanh?"),
        (
            "h: lstm(W @ x)",
            "h, column 4: unknown function 'lstm'; expected one of sigmoid, tanh, minimum",
        ),
        (
            "h: tanh(x + h)",
            "column 9: expected two equal shapes, received a vector of features and a vector of",
        ),
        (
            "h: W @ x + W @ h",
            "column 12: expected a matrix of n x units, received a matrix of n x features",
        ),
        (
            "h: W @ x + b * x",
            "h, column 4: expected a vector of units, received a vector of features",
        ),
        ("h: W @ (V @ x) + V", "h, column 4: expected two equal shapes"),
        ("h: W @ 2 + x", "h, column 8: expected a vector, received a scalar"),
        ("z: W @ x\nz: z + h\nh: z", "z: z is assigned twice"),
        ("h: z * h\nz: W @ x", "h, column 4: z is used before it is assigned"),
        ("z: W @ x\nh: U @ h + V @ x", "z: z is never used"),
        ("z: W @ x\nw: z + z\nh: W @ x", "w: w is never used"),
        ("h: U @ h", "h: the input x is never used"),
        ("z: p * q\ny: W @ z\nh: y + V @ x", "z, column 4: the shape of p does not follow"),
        ("h: W @ x if h else h", "h, column 4: expected a number, a name, + - * / @"),
        ("h: W @ x +", "h, column 11: expected an expression"),
        ("h: (W @ x", "h, column 4: expected an expression"),
        ("h: tanh", "h, column 4: tanh is a function: expected tanh(value)"),
        ("h: W.S @ x", "h, column 4: expected a number, a name"),
        ("h: h @ x", "h, column 4: expected a parameter, a matrix, before @"),
        ("h: W @ x + 1e999", "h, column 12: expected a number that a float32 can hold"),
        ("h: W @ x + 1or 2", "h, column 4: expected a number, a name"),
        ("h: W @ x + \N{GREEK SMALL LETTER ALPHA}", "h, column 12: expected printable ASCII"),
        ("x: W @ x", "x: expected another name: x has a meaning in expressions"),
        ("h: " + "-" * 40 + "x", "h, column 36: expected at most 32 operations"),
        ("h: W @ x" + " + b" * 100, "h, column 404: expected at most 400 characters"),
        ("z: W @ x\n" * 65, "z: expected at most 64 lines, received 65"),
    ],
)
def test_an_error_has_its_column(text: str, message: str) -> None:
    with pytest.raises(EquationError, match=re.escape(message)):
        parse(text, ("h",), FUNCTIONS)


def test_a_state_needs_its_line() -> None:
    with pytest.raises(EquationError, match="the state c is never assigned"):
        parse("h: W @ x", ("h", "c"), FUNCTIONS)
    with pytest.raises(EquationError, match="expected a vector of units, received a scalar"):
        parse("z: W @ x\nc: z\nh: 1", ("h", "c"), FUNCTIONS)


def test_shapes_follow_from_where_parameters_stand() -> None:
    text = "y: s * (p * 2 + q)\nh: y * tanh(V @ (W @ x)) + h"
    cell = parse(text, ("h",), FUNCTIONS, {"s": ()})
    assert dict(cell.parameters) == {
        "s": (),
        "p": ("units",),
        "q": ("units",),
        "V": ("units", "units"),
        "W": ("units", "features"),
    }


def test_a_number_decides_no_shape() -> None:
    cell = parse("y: p * 2\nh: W @ x + y", ("h",), ())
    assert dict(cell.parameters) == {"p": ("units",), "W": ("units", "features")}


def _rename(text: str, names: dict[str, str]) -> str:
    return re.sub(r"[A-Za-z_]+", lambda match: names.get(match[0], match[0]), text)


@settings(max_examples=20)
@given(st.randoms(use_true_random=False))
def test_order_names_and_grouping_do_not_matter(draw: random.Random) -> None:
    names = sorted(set(re.findall(r"[A-Za-z_]+", LSTM)) - {"x", *FUNCTIONS})
    new = dict(
        zip(
            names,
            draw.sample([f"n_{letter}" for letter in "abcdefghijklmnopqrst"], len(names)),
            strict=True,
        )
    )
    gates = []
    for line in LSTM.strip().splitlines()[:4]:
        target, function, *terms = re.split(r": |\(| \+ |\)", line)[:-1]
        draw.shuffle(terms)
        one, two, three = terms
        sum_ = draw.choice([f"{one} + {two} + {three}", f"{one} + ({two} + {three})"])
        gates.append(f"{target}: {function}({sum_})")
    draw.shuffle(gates)
    rest = draw.choice(
        ["c: i * g + c * f\nh: tanh(c) * o", "k: g * i\nc: k + f * c\nh: o * tanh(c)"]
    )
    other = parse(_rename("\n".join([*gates, rest]), new), (new["h"], new["c"]), FUNCTIONS)
    form, expected = normal_form(other), normal_form(parse(LSTM, ("h", "c"), FUNCTIONS))
    assert form == expected
    # The names of one, in their order, are those of the other.
    assert [new[name] for name in expected.names] == list(form.names)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("f * c + i * g", "f * c + i * i * g"),
        ("f * c + i * g", "f * c - i * g"),
        ("o * tanh(c)", "o * c"),
        ("o * tanh(c)", "o * tanh(c) * 0.5"),
        ("tanh(W_c", "sigmoid(W_c"),
        ("U_o @ h + b_o", "U_o @ c + b_o"),
        ("U_o @ h + b_o", "U_o @ h + b_i"),
        ("U_o @ h + b_o", "U_o @ h"),
        ("W_f", "W_i"),
    ],
)
def test_another_cell_has_another_form(old: str, new: str) -> None:
    one, other = (parse(text, ("h", "c"), FUNCTIONS) for text in (LSTM, LSTM.replace(old, new)))
    assert normal_form(one) != normal_form(other)


def test_the_order_of_other_states_does_not_matter() -> None:
    text = "m: W @ x + m\nc: V @ x + m * c\nh: c * h"
    forms = [normal_form(parse(text, ("h", *others), ())) for others in ("cm", "mc")]
    assert forms[0] == forms[1]
    assert normal_form(parse(text, ("c", "m", "h"), ())) != forms[0]


@given(st.text("xhWU_b12.+-*/@(): tanhior,=[]\n\N{DEGREE SIGN}", max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(EquationError):
        cell = parse(f"h: {text}", ("h",), FUNCTIONS)
        assert normal_form(cell) == normal_form(cell)


def test_coefficients_do_not_overflow() -> None:
    text = "h: W @ x / 1e-320 / 1e-320 - x * 0 / (h - h)"
    assert normal_form(parse(text.replace("x * 0", "h * 0"), ("h",), ())).digest
