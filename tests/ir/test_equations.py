"""Equations: their errors, their shapes, and the form in which two cells can be compared."""

from __future__ import annotations

import random
import re
from contextlib import suppress
from dataclasses import replace

import pytest
from cases import cases
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnspec.ir.equations import EquationError, Equations, is_linear_recurrence
from rnnspec.ir.normal_form import normal_form
from rnnspec.ir.notation import Block, Notation, WrittenLine, write_expression
from rnnspec.ir.parser import parse, read_cell

FUNCTIONS = ("sigmoid", "tanh")
LSTM = """
i: sigmoid(W_i @ x + U_i @ h + b_i)
f: sigmoid(W_f @ x + U_f @ h + b_f)
g: tanh(W_c @ x + U_c @ h + b_c)
o: sigmoid(W_o @ x + U_o @ h + b_o)
c: f * c + i * g
h: o * tanh(c)
"""


@cases(
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
        ("h: W @ x if h else h", "h, column 4: unexpected 'if': write where(a > b, W @ x, h)"),
        ("h: W @ x +", "h, column 10: expected a value after '+'"),
        ("h: (W @ x", "h, column 4: this '(' is never closed"),
        ("h: tanh", "h, column 4: tanh is a function: expected tanh(value)"),
        ("h: W.S @ x", "h, column 4: expected no attribute but .T, received .S"),
        ("h: h @ x", "h, column 4: expected a parameter, a matrix, before @"),
        ("h: W @ x + 1e999", "h, column 12: expected a number that a float32 can hold"),
        ("h: W @ x + 1or 2", "h, column 4: expected a condition only in where"),
        ("h: W @ x + \N{GREEK SMALL LETTER ALPHA}", "h, column 12: expected printable ASCII"),
        ("x: W @ x", "x: expected another name: x has a meaning in expressions"),
        ("h: W @ x" + " + b" * 9999, "h, column 1004: expected at most 1000 characters"),
        ("h: " + "-" * 40 + "x", "h, column 36: expected at most 32 operations"),
        ("h: W @ x" + " + b" * 300, "h, column 1004: expected at most 1000 characters"),
        ("z: W @ x\n" * 257, "z: expected at most 256 lines, received 257"),
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


@cases(
    ("text", "parameters", "shapes"),
    [
        # Each kind of expression decides what stands in it, forwards and backwards.
        ("h: (A - A.T) @ h + W @ x", "A: units units, W: units features", "h: units"),
        ("h: 0.5 * A.T @ x + h", "A: features units", "h: units"),
        ("h: where(W @ x > p, q, h)", "W: units features, p: units, q: units", "h: units"),
        ("h: softmax(minimum(W @ x, p))", "W: units features, p: units", "h: units"),
        ("h: split(W @ x + b, 2, 3)", "W: 3 * units features, b: 3 * units", "h: units"),
        (
            "z: concat(x, h, 2 * x)\nh: W @ z",
            "W: units units + 2 * features",
            "z: units + 2 * features, h: units",
        ),
        ("z: concat(h, p)\nh: W @ x + split(z, 1, 2)", "p: units, W: units features", "h: units"),
        (
            "h: layer_norm(W @ x) + layer_norm(U @ h, 1e-5)",
            (
                "h_gamma: units, W: units features, h_beta: units, "
                "h_gamma_2: units, U: units units, h_beta_2: units"
            ),
            "h: units",
        ),
        ("z: V @ (W @ x)\nh: z", "V: units units, W: units features", "z: units, h: units"),
    ],
)
def test_shapes_of_each_expression(text: str, parameters: str, shapes: str) -> None:
    cell = parse(text, ("h",))
    said = ", ".join(f"{name}: {' '.join(shape)}" for name, shape in cell.parameters)
    assert said == parameters
    sizes = dict(cell.shapes)
    assert all(sizes[row[0]] == (row[3:],) for row in shapes.split(", "))


def test_an_expression_is_read_as_it_is_written() -> None:
    """The writer's text of every kind of expression gives the same expression again."""
    text = (
        "z: -tanh(W @ x) * -2 + minimum(U.T @ h, abs(b)) / (1 - 0.5 * maximum(h, z_0))\n"
        "c: where(concat(z - h, z) <= 1, softmax(concat(z, h)), standardize(concat(h, z), 1e-05))\n"
        "h: split((A - 2 * A.T) @ c, 2, 2)"
    )
    sizes = {"c": "2 * units"}
    cell = read_cell(Notation(states=("h", "c"), blocks=(Block(_rows(text), ()),), sizes=sizes))
    lines = [f"{line.name}: {write_expression(line.value)}" for line in cell.equations.lines]
    again = Block(_rows("\n".join(lines)), ())
    assert read_cell(Notation(states=("h", "c"), blocks=(again,), sizes=sizes)) == cell


def _blocks(*blocks: Block, states: tuple[str, ...] = ("h",)) -> Equations:
    return read_cell(Notation(states=states, blocks=blocks)).equations


def _rows(text: str) -> tuple[WrittenLine, ...]:
    return tuple(WrittenLine(line[0], line[3:], ("lines", line)) for line in text.split("\n"))


def test_a_block_is_written_out() -> None:
    """Each repetition uses what the one before it assigned, and parameters of its own."""
    first = Block(_rows("y: W @ x"), ())
    repeated = Block(_rows("k: tanh(R @ h + y)\nh: h + b * k"), (), 3, ("R",))
    cell = _blocks(first, repeated)
    assert [f"{line.name}: {write_expression(line.value)}" for line in cell.lines] == [
        "y: W @ x",
        *("k_1: tanh(R_1 @ h + y)", "h_1: h + b * k_1"),
        *("k_2: tanh(R_2 @ h_1 + y)", "h_2: h_1 + b * k_2"),
        *("k: tanh(R_3 @ h_2 + y)", "h: h_2 + b * k"),
    ]
    assert [name for name, _ in cell.parameters] == ["W", "R_1", "b", "R_2", "R_3"]


def test_the_last_value_of_a_block_may_be_of_no_use() -> None:
    cell = _blocks(Block(_rows("z: W @ x"), ()), Block(_rows("h: h + z\nz: tanh(z)"), (), 2))
    assert [line.name for line in cell.lines] == ["z_1", "h_1", "z_2", "h"]


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


@cases(
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


TOKENS = (
    *(
        "x",
        "h",
        "W",
        "U.T",
        "b",
        "z",
        "units",
        "1",
        "0.5",
        "2e9",
        "1e999",
        "(",
        ")",
        ",",
        "<",
        ">=",
    ),
    *(
        "+",
        "-",
        "*",
        "/",
        "@",
        "**",
        "tanh(",
        "where(",
        "split(",
        "concat(",
        "softmax(",
        "minimum(",
    ),
    *("layer_norm(", "standardize(", " ", "\n", "lambda", "'", "[", "\N{DEGREE SIGN}", "#", "T"),
)


@settings(max_examples=200)
@given(
    st.lists(st.lists(st.sampled_from(TOKENS), max_size=14).map("".join), min_size=1, max_size=3)
)
def test_any_text_is_read_or_refused(texts: list[str]) -> None:
    rows = tuple(WrittenLine(name, text, (name,)) for name, text in zip("zyh", texts, strict=False))
    first = Block((WrittenLine("z", "W @ x", ("first",)),), ())
    for blocks in ((Block(rows, ()),), (first, Block(rows, (), 2, ("b",)))):
        with suppress(EquationError):
            cell = _blocks(*blocks, states=("z",))
            assert normal_form(cell) == normal_form(replace(cell))
            assert is_linear_recurrence(cell) in (True, False)


@cases(
    ("text", "states", "linear"),
    [
        ("z: sigmoid(W @ x)\nh: (1 - z) * h + z * tanh(V @ x)", "h", True),
        ("z: sigmoid(W @ x)\nh: h - (h - V @ x) * z / 2", "h", True),
        # The c of each step is known when the steps of h are computed.
        ("f: sigmoid(W @ x)\nc: f * c + V @ x\nh: tanh(c) + f * h", "h c", True),
        # As is the input of the step before.
        ("h: exp(-W @ x) * h + V @ p\np: x", "h p", True),
        ("h: W @ x + U @ h", "h", False),
        ("z: sigmoid(W @ x + p * h)\nh: z * h", "h", False),
        ("h: h * h + W @ x", "h", False),
        ("h: tanh(h) + W @ x", "h", False),
        ("h: W @ x / h", "h", False),
        ("c: 0.5 * h + c + W @ x\nh: 0.5 * c + h", "h c", False),
        ("c: 0.5 * c + W @ x\nh: tanh(h + c)", "h c", False),
    ],
)
def test_a_linear_recurrence_is_seen(text: str, states: str, linear: bool) -> None:
    sizes = {"p": "features"} if "p: x" in text else {}
    blocks = (Block(_rows(text), ()),)
    cell = read_cell(Notation(states=tuple(states.split()), blocks=blocks, sizes=sizes)).equations
    assert is_linear_recurrence(cell) == linear


@cases(("line", "linear"), [("h: h / 2 + y", True), ("h: tanh(h) + y", False)])
def test_a_linear_recurrence_is_seen_in_a_long_block(line: str, linear: bool) -> None:
    cell = _blocks(Block(_rows("y: W @ x"), ()), Block(_rows(line), (), 255))
    assert is_linear_recurrence(cell) == linear


def test_coefficients_do_not_overflow() -> None:
    text = "h: W @ x / 1e-320 / 1e-320 - x * 0 / (h - h)"
    assert normal_form(parse(text.replace("x * 0", "h * 0"), ("h",), ())).digest
