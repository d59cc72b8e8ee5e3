"""Equations as mathematics: in one line of text, as LaTeX, as MathML, and in pictures."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from xml.etree import ElementTree as ET

from cases import cases
from drawing.drawn import SVG, overlaps

from rnnspec import pipeline
from rnnspec.drawing.layout.build import scene
from rnnspec.drawing.options import Options
from rnnspec.drawing.scene import FormulaBlock, Text, TextRun, runs_width
from rnnspec.drawing.typeset import break_lines
from rnnspec.drawing.words import dropped_states, equation_cells, state_arrows
from rnnspec.drawing.writers.mathml import Markup, mathml
from rnnspec.drawing.writers.mermaid import mermaid
from rnnspec.drawing.writers.svg import svg
from rnnspec.drawing.writers.text import text
from rnnspec.drawing.writers.tikz import tikz
from rnnspec.ir.equations import Equations
from rnnspec.ir.nodes import Network, Recurrent
from rnnspec.spec.names import MAX_CELL_NAME_LENGTH

LONG = "n" * MAX_CELL_NAME_LENGTH


@cache
def network(cell: str, *lines: str, more: str = "") -> Network:
    """Return a network with a cell of some lines, whose states are the names without ``let``."""
    states = ", ".join(line.split(":")[0] for line in lines if not line.startswith(("u:", "let")))
    rows = [f"      {line}" for line in ("u: W @ x", *lines)]
    start = ["version: 1", "name: net", "input: {features: 4, length: 9}", "cells:", f"  {cell}:"]
    rows = [*start, f"    states: [{states}]", "    equations:", *rows, *([more] if more else [])]
    # Without a matrix for a state, it would have no effect.
    drops = ", recurrent_dropout: 0.2" if any("@" in line for line in lines) else ""
    layer = f"rnn: {{type: {cell}, units: 6, name: layer{drops}}}"
    return pipeline.reads("\n".join([*rows, layer, "head: {units: 2}"])).network


def equations(value: str) -> Equations:
    """Return the equations of a cell whose new state is an expression of u, h and parameters."""
    more = "    parameters: {k: scalar}" if "k" in re.findall(r"\w+", value) else ""
    ((_, found),) = equation_cells(network("cell_1", f"h: {value}", more=more))
    return found


EXPRESSIONS = [
    ("u + U @ h + b_i * h", "uₜ + U hₜ₋₁ + bᵢ ⊙ hₜ₋₁", r"u_{t} + U\,h_{t-1} + b_{i} \odot h_{t-1}"),
    ("u * (h - alpha)", "uₜ ⊙ (hₜ₋₁ − α)", r"u_{t} \odot (h_{t-1} - \alpha)"),
    ("u - (h - u)", "uₜ − (hₜ₋₁ − uₜ)", r"u_{t} - (h_{t-1} - u_{t})"),
    ("k * u + 2 * h", "k uₜ + 2 hₜ₋₁", r"k\,u_{t} + 2\,h_{t-1}"),
    ("(u + h) * 2", "(uₜ + hₜ₋₁) · 2", r"(u_{t} + h_{t-1}) \cdot 2"),
    ("U @ (V @ h) + u", "U V hₜ₋₁ + uₜ", r"U\,V\,h_{t-1} + u_{t}"),
    ("(A - A.T) @ h + u", "(A − A⊤) hₜ₋₁ + uₜ", r"(A - A^{\top})\,h_{t-1} + u_{t}"),
    ("A_1.T @ h + u", "A₁⊤ hₜ₋₁ + uₜ", r"A_{1}^{\top}\,h_{t-1} + u_{t}"),
    ("U @ (h / u)", "U (hₜ₋₁ / uₜ)", r"U\,\tfrac{h_{t-1}}{u_{t}}"),
    ("h / (1 + u) + u", "hₜ₋₁ / (1 + uₜ) + uₜ", r"\tfrac{h_{t-1}}{1 + u_{t}} + u_{t}"),
    ("h * (u / h)", "hₜ₋₁ ⊙ (uₜ / hₜ₋₁)", r"h_{t-1} \odot \tfrac{u_{t}}{h_{t-1}}"),
    ("-u + h * -u", "−uₜ + hₜ₋₁ ⊙ (−uₜ)", r"-u_{t} + h_{t-1} \odot (-u_{t})"),
    ("sigmoid(u) + abs(h)", "σ(uₜ) + |hₜ₋₁|", r"\sigma(u_{t}) + |h_{t-1}|"),
    (
        "sqrt(u) + hard_sigmoid(h)",
        "√(uₜ) + hard_sigmoid(hₜ₋₁)",
        r"\sqrt{u_{t}} + \operatorname{hard\_sigmoid}(h_{t-1})",
    ),
    (
        "minimum(u, h) + 1e-05 * u",
        "min(uₜ, hₜ₋₁) + 10⁻⁵ uₜ",
        r"\min(u_{t} , h_{t-1}) + 10^{-5}\,u_{t}",
    ),
    (
        "softmax(u) + tanh(h / u)",
        "softmax(uₜ) + tanh(hₜ₋₁ / uₜ)",
        r"\operatorname{softmax}(u_{t}) + \tanh\left(\tfrac{h_{t-1}}{u_{t}}\right)",
    ),
    (
        "standardize(u, 0.5) * h",
        "standardize(uₜ, 0.5) ⊙ hₜ₋₁",
        r"\operatorname{standardize}(u_{t} , 0.5) \odot h_{t-1}",
    ),
    ("split(concat(u, h), 2, 2)", "[uₜ; hₜ₋₁]<[2/2]>", r"[u_{t} ; h_{t-1}]_{[2/2]}"),
    (
        "where(u >= h, u, h)",
        "(uₜ if uₜ ≥ hₜ₋₁, otherwise hₜ₋₁)",
        (
            r"\left\{\begin{smallmatrix} u_{t} & \text{if } u_{t} \ge h_{t-1} \\ "
            r"h_{t-1} & \text{otherwise} \end{smallmatrix}\right."
        ),
    ),
    (
        "u * omega2 + W_hat2 @ h",
        "uₜ ⊙ ω₂ + W<hat2> hₜ₋₁",
        r"u_{t} \odot \omega_{2} + W_{\mathrm{hat2}}\,h_{t-1}",
    ),
]
_INDEX, _EXPONENT = str.maketrans("t125−i", "ₜ₁₂₅₋ᵢ"), str.maketrans("5−⊤", "⁵⁻⊤")


def line_of(runs: tuple[TextRun, ...]) -> str:
    """Return runs as one text, with longer indices in brackets."""
    signs = {-1: _INDEX, 0: {}, 1: _EXPONENT}
    pieces = (
        f"<{run.text}>"
        if run.level < 0 and len(run.text) > 3
        else run.text.translate(signs[run.level])
        for run in runs
    )
    return "".join(pieces)


@cases(("value", "line", "latex"), EXPRESSIONS)
def test_an_expression_in_one_line_and_as_latex(value: str, line: str, latex: str) -> None:
    *_, row = break_lines(equations(value), 1000)
    assert line_of(row.right) == f" = {line}"
    assert row.latex == f"h_{{t}} & = {latex}"


def test_letters_of_variables_are_in_italics_and_words_are_not() -> None:
    *_, row = break_lines(equations("tanh(u) + W_hat @ h + 2"), 1000)
    assert "".join(run.text for run in row.right if run.italic) == "utWht"


def parts(markup: Markup) -> Iterator[Markup]:
    yield markup
    for part in markup.content if isinstance(markup.content, tuple) else ():
        yield from parts(part)


def words(markup: Markup) -> str:
    return "".join(part.content for part in parts(markup) if isinstance(part.content, str))


def test_an_expression_as_mathml() -> None:
    """The structure that a browser draws: fractions, roots and cases, and what is a number."""
    found = mathml(equations("where(u > h, sqrt(u) / 2, A_1.T @ (h * 1e-05))"))
    assert {part.tag for part in parts(found)} == {
        *("math", "mtable", "mtr", "mtd", "mrow", "mi", "mn", "mo", "msub", "msup", "msubsup"),
        *("mfrac", "msqrt", "mtext", "mspace"),
    }
    cells = [words(part) for part in parts(found) if part.tag == "mtd"]
    assert cells[-4:] == ["ut2", "ifut>ht−1", "A1⊤(ht−1·10−5)", "otherwise"]
    fences = {
        words(row): row.content[0].attributes["stretchy"]  # type: ignore[union-attr]
        for value in ("tanh(u / h)", "tanh(u * h)")
        for row in parts(mathml(equations(value)))
        if row.tag == "mrow" and words(row).startswith("(")
    }
    assert fences == {"(utht−1)": "true", "(ut⊙ht−1)": "false"}
    (power,) = (part for part in parts(found) if part.tag == "msubsup")
    assert list(map(words, power.content)) == ["A", "1", "⊤"]  # type: ignore[arg-type]


LINES = [
    ("short", ("h: tanh(u) * c + h", "c: u * c")),
    ("four", ("h: u + b", "c: c + h", "d: U @ d + c", "e: d")),
    ("many", ("h: u + b", *(f"s{n}: h * s{n}" for n in range(12)))),
    ("long", (f"{LONG[1:]}: u * {LONG[1:]} + V @ {LONG}", f"{LONG}: {LONG[1:]}")),
    ("wide", ("h: " + " + ".join(f"W_{n} @ (u - h)" for n in range(20)),)),
    ("high", ("let0: u", *(f"let{n}: let{n - 1} * b_{n}" for n in range(1, 55)), "h: let54 + h")),
    ("deep", ("h: " + "u / (1 + " * 12 + "h" + ")" * 12,)),
]  # fmt: skip


@cases(("cell", "lines"), [*LINES, (LONG, LINES[0][1])])
def test_equations_of_any_size_stay_in_their_picture(cell: str, lines: tuple[str, ...]) -> None:
    drawn = network(cell, *lines)
    for options in (Options(), Options(form="folded")):
        picture = scene(drawn, options)
        assert list(overlaps(picture)) == []
        shapes = [shape for part in picture.parts for shape in part.shapes]
        (block,) = (shape for shape in shapes if isinstance(shape, FormulaBlock))
        left, top, right, low = block.area
        assert picture.x <= left < right <= picture.x + picture.width
        assert picture.y <= top < low <= picture.y + picture.height
        assert all(right > x + runs_width(runs) - 0.01 for x, _, runs in block.lines)
        assert len(block.rows) <= 40
    rows = text(drawn).splitlines()
    assert max(map(len, rows)) <= 80
    assert tikz(picture).count(r" \\" + "\n") == len(block.rows) - 1


def test_a_long_line_is_broken_before_a_sign() -> None:
    _, *rows = break_lines(equations("+".join(["tanh(W_1 @ u + W_2 @ h)"] * 9)), 480)
    assert len(rows) > 2
    assert max(runs_width(row.left) + runs_width(row.right) for row in rows) < 490
    assert all(line_of(row.right).lstrip()[0] in "+=" for row in rows)
    assert all(row.latex.startswith(r"&\qquad") for row in rows[1:])
    # The signs inside a parenthesis are the only ones here.
    _, *rows = break_lines(equations(f"tanh({' + '.join(['U @ h * u'] * 9)})"), 300)
    assert len(rows) > 2
    assert max(runs_width(row.right) for row in rows) < 300


def test_an_index_is_low_an_exponent_high_and_what_follows_on_the_line() -> None:
    root = ET.fromstring(svg(scene(network("short", "h: A_1.T @ h * 1e-05 + u"), Options())))
    heights = {}
    for line in root.iter(f"{SVG}text"):
        low = 0.0
        for run in line.iter(f"{SVG}tspan"):
            low += float(run.get("dy", 0))
            heights[run.text] = round(low, 2)
    assert (heights["t"], heights["1"], heights[" "], heights["h"]) == (3.08, 3.08, 0.0, 0.0)
    assert heights["⊤"] == heights["−5"] == -5.04


def test_tex_loads_amsmath_for_equations_only() -> None:
    drawn = network("short", *LINES[0][1])
    for options, loads in ((Options(), True), (Options(labels="none"), False)):
        assert (r"\usepackage{amsmath}" in tikz(scene(drawn, options))) == loads


def test_more_lines_than_there_is_room_for_are_counted() -> None:
    name, lines = LINES[5]
    assert ">and 17 more lines<" in svg(scene(network(name, *lines), Options()))


def test_the_states_of_a_cell_and_those_that_matrices_multiply() -> None:
    through = ("through", ("let: h * c", "h: U @ let + u", "c: h"))
    found = {}
    for name, lines in (*LINES[:3], through):
        (layer, *_) = network(name, *lines).layers
        assert isinstance(layer, Recurrent)
        found[name] = state_arrows(layer), dropped_states(layer)
    text = "version: 1\nname: net\ninput: {features: 4}\nrnn: {type: lstm, units: 6}\n"
    (lstm,) = pipeline.reads(text).network.layers
    assert isinstance(lstm, Recurrent)
    for name, layer in (("lstm", lstm), ("swapped", replace(lstm, state_names=("c", "h")))):
        found[name] = state_arrows(layer), dropped_states(layer)
    others = " ".join(f"s{n}" for n in reversed(range(12)))
    assert found == {
        "lstm": (("c", "h"), {"h"}),
        "swapped": (("h", "c"), {"c"}),
        "short": (("c", "h"), frozenset()),
        "four": (("e", "d", "c", "h"), {"d"}),
        "many": ((others, "h"), frozenset()),
        "through": (("c", "h"), {"h", "c"}),
    }


def test_a_cell_is_a_box_with_its_name_and_its_states() -> None:
    drawn = network("short_cell", *LINES[0][1])
    for options in (Options(), Options(form="folded")):
        contents = [
            shape.content
            for part in scene(drawn, options).parts
            if dict(part.data).get("data-node", "").startswith("layer")
            for shape in part.shapes
            if isinstance(shape, Text)
        ]
        assert {"short_cell"} == set(contents)
    chart = mermaid(drawn)
    assert "short_cell" in chart
    # No matrix multiplies its states, so no dropout acts on them.
    assert '-->|"c, h"|' in chart
    assert "~" not in text(drawn, unicode=False)


def test_equations_stand_in_the_legend_once_for_each_cell_and_not_beside_mathml() -> None:
    drawn = network("short", *LINES[0][1])
    assert svg(scene(drawn, Options())).count(">the cell of layer: states h, c<") == 1
    for options in (Options(labels="none"), Options(equations=False)):
        assert "tanh(" not in svg(scene(drawn, options))
