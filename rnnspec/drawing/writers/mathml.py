"""Equations as MathML Core, which browsers show without a script."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import assert_never

from rnnspec.drawing.typeset import (
    Cases,
    Fenced,
    Fraction,
    Letters,
    Math,
    MathRow,
    Root,
    Script,
    Sign,
    lay_out,
)
from rnnspec.ir.equations import Equations

_NAMESPACE = "http://www.w3.org/1998/Math/MathML"
_FONT = "font-family: 'STIX Two Math', 'Latin Modern Math', 'Cambria Math', serif"
_SIDES = ("text-align: right; padding: 0.2em 0", "text-align: left; padding: 0.2em 0.3em")
_CASE = "text-align: left; padding: 0.1em 0.6em 0.1em 0"


@dataclass(frozen=True, slots=True)
class Markup:
    """An element of MathML; its content is a text or elements."""

    tag: str
    attributes: dict[str, str]
    content: str | tuple[Markup, ...]


def mathml(equations: Equations) -> Markup:
    """Return equations below each other, aligned at their signs of equality."""
    rows = [(_write(left), _row((Sign("="), right))) for left, right in lay_out(equations)]
    return Markup("math", {"xmlns": _NAMESPACE, "style": _FONT}, (_table(rows, _SIDES),))


def _table(rows: Iterable[tuple[Markup, Markup]], styles: tuple[str, str]) -> Markup:
    def cells(row: tuple[Markup, Markup]) -> Iterator[Markup]:
        for part, style in zip(row, styles, strict=True):
            yield Markup("mtd", {"style": style}, (part,))

    inside = (Markup("mtr", {}, tuple(cells(row))) for row in rows)
    return Markup("mtable", {"displaystyle": "true"}, tuple(inside))


def _row(parts: Iterable[Math]) -> Markup:
    return Markup("mrow", {}, tuple(map(_write, parts)))


def _write(math: Math) -> Markup:
    match math:
        case Letters():
            return _letters(math)
        case Sign(text=" "):
            return Markup("mspace", {"width": "0.17em"}, "")
        case Sign(text=text):
            return Markup("mo", {}, text)
        case Script(base=base, index=index, exponent=exponent):
            rows = tuple(_row(parts) for parts in (index, exponent) if parts)
            tag = "msubsup" if len(rows) == 2 else "msub" if index else "msup"
            return Markup(tag, {}, (_write(base), *rows))
        case MathRow(parts=parts):
            return _row(parts)
        case Fenced(left=left, parts=parts, right=right):
            row = _row(parts)
            stretchy = str(_is_high(row)).lower()
            opening, closing = (
                Markup("mo", {"form": form, "stretchy": stretchy}, fence)
                for fence, form in ((left, "prefix"), (right, "postfix"))
            )
            return Markup("mrow", {}, (opening, row, closing))
        case Fraction(above=above, below=below):
            return Markup("mfrac", {}, (_write(above), _write(below)))
        case Root(radicand=radicand):
            return Markup("msqrt", {}, (_write(radicand),))
        case Cases(chosen=chosen, condition=condition, otherwise=otherwise):
            space = Markup("mspace", {"width": "0.4em"}, "")
            holds = Markup("mrow", {}, (Markup("mtext", {}, "if"), space, _write(condition)))
            rest = Markup("mtext", {}, "otherwise")
            cases = _table([(_write(chosen), holds), (_write(otherwise), rest)], (_CASE, _CASE))
            return Markup("mrow", {}, (Markup("mo", {"form": "prefix"}, "{"), cases))
        case _:
            assert_never(math)


def _letters(letters: Letters) -> Markup:
    match letters.kind:
        case "number":
            return Markup("mn", {}, letters.text)
        case "mark":
            return Markup("mo", {"form": "prefix"}, letters.text)
        case "variable":
            return Markup("mi", {}, letters.text)
        case "upright" | "function":
            # By itself, a name of one letter is in italics.
            return Markup("mi", {"mathvariant": "normal"}, letters.text)
        case _:
            assert_never(letters.kind)


def _is_high(markup: Markup) -> bool:
    if markup.tag in ("mfrac", "mtable"):
        return True
    return not isinstance(markup.content, str) and any(map(_is_high, markup.content))
