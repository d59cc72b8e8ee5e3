"""Equations as MathML Core, which browsers show without a script."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import assert_never
from xml.etree.ElementTree import Element

from rnnspec.drawing.typeset import (
    Cases,
    Fenced,
    Fraction,
    Letters,
    Math,
    Root,
    Row,
    Script,
    Sign,
    lay_out,
)
from rnnspec.drawing.words import cell_words, equation_cells
from rnnspec.html.elements import Content, element, paragraph, strong
from rnnspec.ir.equations import Equations
from rnnspec.ir.nodes import Network

_NAMESPACE = "http://www.w3.org/1998/Math/MathML"
_FONT = "font-family: 'STIX Two Math', 'Latin Modern Math', 'Cambria Math', serif"
_SIDES = ("text-align: right; padding: 0.2em 0", "text-align: left; padding: 0.2em 0.3em")


def equations_of(network: Network) -> Iterator[Element]:
    """Yield the equations of each cell that has some, below its name and its states."""
    for (name, equations), layers in equation_cells(network).items():
        yield paragraph(strong(name), f", {cell_words(equations.states, layers)}")
        # A browser breaks no formula into lines.
        yield element("div", formula(equations), style="overflow-x: auto")


def formula(equations: Equations) -> Element:
    """Return equations below each other, aligned at their signs of equality."""
    rows = ((_write(left), _row((Sign("="), right))) for left, right in lay_out(equations))
    return element("math", _table(rows, _SIDES), xmlns=_NAMESPACE, style=_FONT)


def _table(rows: Iterable[tuple[Content, ...]], styles: tuple[str, ...]) -> Element:
    return element(
        "mtable",
        *(
            element(
                "mtr",
                *(
                    element("mtd", cell, style=style)
                    for cell, style in zip(cells, styles, strict=True)
                ),
            )
            for cells in rows
        ),
        displaystyle="true",
    )


def _row(parts: Iterable[Math]) -> Element:
    return element("mrow", *map(_write, parts))


def _write(math: Math) -> Element:
    match math:
        case Letters():
            return _letters(math)
        case Sign(text=" "):
            return element("mspace", width="0.17em")
        case Sign(text=text):
            return element("mo", text)
        case Script(base=base, index=index, exponent=exponent):
            return _script(base, index, exponent)
        case Row(parts=parts):
            return _row(parts)
        case Fenced(left=left, parts=parts, right=right):
            row = _row(parts)
            is_high = row.find(".//mfrac") is not None or row.find(".//mtable") is not None
            opening, closing = (
                element("mo", fence, form=form, stretchy=str(is_high).lower())
                for fence, form in ((left, "prefix"), (right, "postfix"))
            )
            return element("mrow", opening, row, closing)
        case Fraction(above=above, below=below):
            return element("mfrac", _write(above), _write(below))
        case Root(radicand=radicand):
            return element("msqrt", _write(radicand))
        case Cases(chosen=chosen, condition=condition, otherwise=otherwise):
            space = element("mspace", width="0.4em")
            rows = (
                (_write(chosen), element("mrow", element("mtext", "if"), space, _write(condition))),
                (_write(otherwise), element("mtext", "otherwise")),
            )
            left = "text-align: left; padding: 0.1em 0.6em 0.1em 0"
            return element("mrow", element("mo", "{", form="prefix"), _table(rows, (left, left)))
        case _:
            assert_never(math)


def _letters(letters: Letters) -> Element:
    match letters.kind:
        case "number":
            return element("mn", letters.text)
        case "mark":
            return element("mo", letters.text, form="prefix")
        case "variable":
            return element("mi", letters.text)
        case "upright" | "function":
            # By itself, a name of one letter is in italics.
            return element("mi", letters.text, mathvariant="normal")
        case _:
            assert_never(letters.kind)


def _script(base: Math, index: tuple[Math, ...], exponent: tuple[Math, ...]) -> Element:
    if index and exponent:
        return element("msubsup", _write(base), _row(index), _row(exponent))
    return element("msub" if index else "msup", _write(base), _row(index or exponent))
