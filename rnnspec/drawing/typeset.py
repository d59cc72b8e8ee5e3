"""The equations of a cell as mathematics: a layout without places, as LaTeX, and as runs of text.

As in papers, a state before the step has the index t - 1, and what a step computes has t.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, assert_never

from rnnspec.drawing.scene import FormulaRow, TextRun, runs_width
from rnnspec.ir.equations import (
    REDUCTIONS,
    Apply,
    ApplyToVector,
    Attend,
    Choose,
    Comparison,
    Concat,
    Elementwise,
    Equations,
    Expression,
    Features,
    Name,
    Number,
    Part,
    Product,
    Transpose,
    operands,
)
from rnnspec.ir.notation import write_expression

_GREEK = {
    "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "epsilon": "ε", "zeta": "ζ",
    "eta": "η", "theta": "θ", "iota": "ι", "kappa": "κ", "lambda": "λ", "mu": "μ", "nu": "ν",
    "xi": "ξ", "pi": "π", "rho": "ρ", "sigma": "σ", "tau": "τ", "phi": "φ", "chi": "χ",
    "psi": "ψ", "omega": "ω", "Gamma": "Γ", "Delta": "Δ", "Theta": "Θ", "Lambda": "Λ",
    "Xi": "Ξ", "Pi": "Π", "Sigma": "Σ", "Phi": "Φ", "Psi": "Ψ", "Omega": "Ω",
}  # fmt: skip
_LATEX = {letter: rf"\{name}" for name, letter in _GREEK.items()} | {
    "−": "-",
    "·": r"\cdot",
    "⊙": r"\odot",
    "≤": r"\le",
    "≥": r"\ge",
    "⊤": r"\top",
    "_": r"\_",
}
_LATEX_FUNCTIONS = frozenset({"exp", "log", "max", "min", "tanh"})
_BINDING = {"+": 1, "-": 1, "*": 2, "@": 3, "/": 4}
_COMPARISONS: dict[Comparison, Literal["<", "≤", ">", "≥"]] = {
    "<": "<", "<=": "≤", ">": ">", ">=": "≥",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Letters:
    """A name, a number or a parenthesis: a variable is in italics, other names are upright."""

    text: str
    kind: Literal["variable", "upright", "function", "number", "mark"]


@dataclass(frozen=True, slots=True)
class Sign:
    """A sign between two operands, or a space for the product with a matrix or a scalar."""

    text: Literal["+", "−", "⊙", "·", "=", ",", ";", " ", "<", "≤", ">", "≥"]


@dataclass(frozen=True, slots=True)
class Script:
    """A base with an index and an exponent."""

    base: Math
    index: tuple[Math, ...] = ()
    exponent: tuple[Math, ...] = ()


@dataclass(frozen=True, slots=True)
class MathRow:
    """Parts beside each other."""

    parts: tuple[Math, ...]


@dataclass(frozen=True, slots=True)
class Fenced:
    """Parts between parentheses or other fences, which are as high as the parts."""

    left: str
    parts: tuple[Math, ...]
    right: str


@dataclass(frozen=True, slots=True)
class Fraction:
    """A fraction."""

    above: Math
    below: Math


@dataclass(frozen=True, slots=True)
class Root:
    """A square root."""

    radicand: Math


@dataclass(frozen=True, slots=True)
class Cases:
    """One value if a condition holds, and another otherwise."""

    chosen: Math
    condition: Math
    otherwise: Math


Math = Letters | Sign | Script | MathRow | Fenced | Fraction | Root | Cases


def lay_out(equations: Equations) -> Iterator[tuple[Math, Math]]:
    """Yield the left and the right side of each line."""
    scalars = {name for name, shape in (*equations.parameters, *equations.shapes) if not shape}
    for line in equations.lines:
        yield identifier(line.name, "t"), _Layout(frozenset(scalars)).place(line.value)


def identifier(name: str, *more: str) -> Math:
    """Return a name as mathematics: ``W_i`` has the index i, and ``more`` indices follow it."""
    match = re.fullmatch(r"([a-zA-Z]+)_?(\d+|(?<=_).+)", name)
    base, index = match.groups() if match else (name, "")
    pieces = [_letters(text) for text in (index, *more) if text]
    separated = [part for piece in pieces for part in (Sign(","), *piece)][1:]
    (letters,) = _letters(base)
    return Script(letters, tuple(separated)) if separated else letters


def _letters(text: str) -> tuple[Math, ...]:
    if text == "t-1":
        return Letters("t", "variable"), Letters("−", "mark"), Letters("1", "number")
    if text.isdecimal():
        return (Letters(text, "number"),)
    text = _GREEK.get(text, text)
    return (Letters(text, "variable" if len(text) == 1 else "upright"),)


@dataclass(frozen=True, slots=True)
class _Layout:
    """The layout of expressions; ``scalars`` are the names of no size."""

    scalars: frozenset[str]

    def place(self, expression: Expression, binding: int = 0) -> Math:  # noqa: PLR0912 - a branch for each kind of expression
        """Return an expression, in parentheses if its operator binds less than another."""
        match expression:
            case Number(value=value):
                number = _number(value)
                return _fence(number) if value < 0.0 and binding else number
            case Name(name=name, kind=kind):
                times = {"state": "t-1", "input": "t", "line": "t", "parameter": ""}
                return identifier(name, times[kind])
            case Apply(function="sqrt", operand=operand):
                return Root(self.place(operand))
            case Apply(function="abs", operand=operand):
                return Fenced("|", (self.place(operand),), "|")
            case Apply(function=function, operand=operand):
                return self._call("σ" if function == "sigmoid" else function, operand)
            case Elementwise(operator="minimum" | "maximum" as function, left=left, right=right):
                return self._call(function[:3], left, right)
            case Elementwise(operator="/", left=left, right=right):
                return Fraction(self.place(left), self.place(right))
            case Elementwise(operator="-", left=Number(value=0.0), right=right):
                minus = MathRow((Letters("−", "mark"), self.place(right, _BINDING["*"])))
                return _fence(minus) if binding > _BINDING["-"] else minus
            case Elementwise(operator="*", left=left, right=Number() as right):
                return self._between(left, Sign("·"), right, "*", binding)
            case Elementwise(operator="*", left=left, right=right):
                is_number = self._is_scalar(left) or self._is_scalar(right)
                return self._between(left, Sign(" " if is_number else "⊙"), right, "*", binding)
            case Elementwise(operator="+", left=left, right=right):
                return self._between(left, Sign("+"), right, "+", binding)
            case Elementwise(left=left, right=right):
                return self._between(left, Sign("−"), right, "-", binding)
            case Transpose(matrix=matrix):
                placed, exponent = self.place(matrix), (Letters("⊤", "mark"),)
                if isinstance(placed, Script):
                    return Script(placed.base, placed.index, exponent)
                return Script(placed, (), exponent)
            case Product(matrix=matrix, vector=vector):
                return self._between(matrix, Sign(" "), vector, "@", binding)
            case Choose():
                return self._choose(expression)
            case ApplyToVector(function=function, operand=operand, epsilon=epsilon, groups=groups):
                last = float(groups) if groups > 1 else epsilon
                return self._call(function, operand, *([Number(last)] if last else []))
            case Concat(parts=parts):
                return Fenced("[", tuple(_join(";", map(self.place, parts))), "]")
            case Part(operand=operand, index=index, count=count):
                return self._part(operand, f"{index + 1}/{count}")
            case Features(operand=operand, text=text):
                return self._part(operand, text)
            case Attend(query=query, memory=memory):
                asked = _join(",", iter((self.place(query), identifier(memory))))
                return MathRow((Letters("attend", "function"), Fenced("(", tuple(asked), ")")))
            case _:
                assert_never(expression)

    def _part(self, whole: Expression, share: str) -> Math:
        placed = self.place(whole)
        held = placed if isinstance(placed, Fenced) else _fence(placed)
        return Script(held, (Letters(f"[{share}]", "mark"),))

    def _call(self, function: str, *arguments: Expression) -> Math:
        placed = tuple(_join(",", map(self.place, arguments)))
        return MathRow((Letters(function, "function"), Fenced("(", placed, ")")))

    def _choose(self, expression: Choose) -> Math:
        left, right, chosen, otherwise = map(self.place, operands(expression))
        condition = MathRow((left, Sign(_COMPARISONS[expression.comparison]), right))
        return Cases(chosen, condition, otherwise)

    def _between(
        self, left: Expression, sign: Sign, right: Expression, operator: str, binding: int
    ) -> Math:
        rank = _BINDING[operator]
        # The product of matrices and a vector is the same in any order.
        after = self.place(right, rank if operator == "@" else rank + 1)
        row = MathRow((self.place(left, rank), sign, after))
        return _fence(row) if rank < binding else row

    def _is_scalar(self, expression: Expression) -> bool:
        match expression:
            case Number():
                return True
            case Name(name=name):
                return name in self.scalars
            case Features(places=int()):
                return True
            case ApplyToVector(function=function):
                return function in REDUCTIONS
            case Apply() | Elementwise() | Choose():
                return all(map(self._is_scalar, operands(expression)))
            case _:
                return False


def _number(value: float) -> Math:
    factor, _, power = write_expression(Number(value)).replace("-", "−").partition("e")
    if not power:
        return Letters(factor, "number")
    sign = "−" if power.startswith("−") else ""
    exponent = Letters(sign + power.lstrip("−+0"), "number")
    ten = Script(Letters("10", "number"), (), (exponent,))
    return ten if factor == "1" else MathRow((Letters(factor, "number"), Sign("·"), ten))


def _fence(content: Math) -> Math:
    return Fenced("(", (content,), ")")


def _join(sign: Literal[",", ";"], parts: Iterator[Math]) -> Iterator[Math]:
    for number, part in enumerate(parts):
        if number:
            yield Sign(sign)
        yield part


def write_latex(math: Math) -> str:
    """Return mathematics as LaTeX with the package amsmath, in lines of one height."""
    match math:
        case Letters():
            return _latex_letters(math)
        case Sign(text=" "):
            return r"\,"
        case Sign(text=text):
            return f" {_escape(text)} "
        case Script(base=base, index=index, exponent=exponent):
            below = f"_{{{_latex_parts(index).replace(' ', '')}}}" if index else ""
            above = f"^{{{_latex_parts(exponent)}}}" if exponent else ""
            return f"{write_latex(base)}{below}{above}"
        case MathRow(parts=parts):
            return _latex_parts(parts)
        case Fenced(left=left, parts=parts, right=right):
            inside = _latex_parts(parts)
            is_high = r"\tfrac" in inside or r"\begin" in inside
            return rf"\left{left}{inside}\right{right}" if is_high else f"{left}{inside}{right}"
        case Fraction(above=above, below=below):
            return rf"\tfrac{{{write_latex(above)}}}{{{write_latex(below)}}}"
        case Root(radicand=radicand):
            return rf"\sqrt{{{write_latex(radicand)}}}"
        case Cases():
            chosen, condition, otherwise = map(
                write_latex, (math.chosen, math.condition, math.otherwise)
            )
            rows = rf"{chosen} & \text{{if }} {condition} \\ {otherwise} & \text{{otherwise}}"
            return rf"\left\{{\begin{{smallmatrix}} {rows} \end{{smallmatrix}}\right."
        case _:
            assert_never(math)


def _latex_letters(letters: Letters) -> str:
    text = letters.text
    match letters.kind:
        case "upright":
            return rf"\mathrm{{{_escape(text)}}}"
        case "function" if text in _LATEX_FUNCTIONS:
            return rf"\{text}"
        case "function" if len(text) > 1:
            return rf"\operatorname{{{_escape(text)}}}"
        case _:
            return _escape(text)


def _latex_parts(parts: Sequence[Math]) -> str:
    """Return parts beside each other; a command does not run into the letter after it."""
    text = ""
    for piece in map(write_latex, parts):
        ends_in_command = text.rpartition("\\")[2].isalpha() and "\\" in text
        text += f" {piece}" if ends_in_command and piece[:1].isalpha() else piece
    return text


def _escape(text: str) -> str:
    return "".join(_LATEX.get(letter, letter) for letter in text)


def write_runs(*parts: Math) -> tuple[TextRun, ...]:
    """Return mathematics on one line, for text whose letters have no places: a / b for a fraction.

    Runs of one look are one.
    """
    merged = list[TextRun]()
    for run in _parts_runs(parts, 0):
        if merged and (merged[-1].italic, merged[-1].level) == (run.italic, run.level):
            merged[-1] = TextRun(merged[-1].text + run.text, run.italic, run.level)
        else:
            merged.append(run)
    return tuple(merged)


def _parts_runs(parts: Sequence[Math], level: int) -> Iterator[TextRun]:
    binds = {Sign(" "), Sign("⊙"), Sign("·")}
    for before, part, after in zip((None, *parts), parts, (*parts[1:], None), strict=False):
        # A fraction on one line is no longer held together by its bar.
        is_bound = isinstance(part, Fraction) and not binds.isdisjoint({before, after})
        yield from _runs(_fence(part) if is_bound else part, level)


def _runs(math: Math, level: int) -> Iterator[TextRun]:
    match math:
        case Letters(text=text, kind=kind):
            yield TextRun(text, kind == "variable", level)
        case Sign(text=text):
            before = "" if text in (" ", ",", ";") or level else " "
            after = "" if text == " " or level else " "
            yield TextRun(f"{before}{text}{after}", False, level)
        case Script(base=base, index=index, exponent=exponent):
            yield from _runs(base, level)
            yield from _parts_runs(index, -1)
            yield from _parts_runs(exponent, 1)
        case MathRow(parts=parts):
            yield from _parts_runs(parts, level)
        case Fenced(left=left, parts=parts, right=right):
            yield TextRun(left, False, level)
            yield from _parts_runs(parts, level)
            yield TextRun(right, False, level)
        case Fraction(above=above, below=below):
            yield from _runs(_hold_together(above), level)
            yield TextRun(" / ", False, level)
            yield from _runs(_hold_together(below), level)
        case Root(radicand=radicand):
            yield TextRun("√", False, level)
            yield from _runs(_fence(radicand), level)
        case Cases():
            words = (" if ", math.condition), (", otherwise ", math.otherwise)
            yield TextRun("(", False, level)
            yield from _runs(math.chosen, level)
            for word, part in words:
                yield TextRun(word, False, level)
                yield from _runs(part, level)
            yield TextRun(")", False, level)
        case _:
            assert_never(math)


def _hold_together(math: Math) -> Math:
    has_sign = isinstance(math, MathRow) and any(isinstance(part, Sign) for part in math.parts)
    return _fence(math) if has_sign or isinstance(math, Fraction) else math


def break_lines(equations: Equations, width: float) -> Iterator[FormulaRow]:
    """Yield the lines of equations in rows, which signs break at a width where it is possible."""
    sides = list(lay_out(equations))
    lefts = [write_runs(left) for left, _ in sides]
    room = max(width / 2, width - max(runs_width(runs) for runs in lefts))
    for (left, right), runs in zip(sides, lefts, strict=True):
        first, *rest = _break((Sign("="), right), room)
        start = f"{write_latex(left)} &{_latex_parts(first)}"
        yield FormulaRow(runs, write_runs(*first), start)
        for parts in rest:
            indented = TextRun("\u2003\u2003", False, 0), *write_runs(*parts)
            yield FormulaRow((), indented, rf"&\qquad{_latex_parts(parts)}")


def _break(parts: Sequence[Math], room: float) -> list[tuple[Math, ...]]:
    if runs_width(write_runs(*parts)) <= room:
        return [tuple(parts)]
    rows: list[tuple[Math, ...]] = [()]
    for chunk in _chunks(parts, room):
        if rows[-1] and runs_width(write_runs(*rows[-1], *chunk)) > room:
            rows.append(chunk)
        else:
            rows[-1] += chunk
    return rows


def _chunks(parts: Sequence[Math], room: float) -> Iterator[tuple[Math, ...]]:
    """Yield parts that no row begins within; one that is too wide is broken inside its fences."""
    chunks: list[tuple[Math, ...]] = [()]
    for part in _flatten(parts):
        ends = chunks[-1][-1:] in ((Sign(","),), (Sign(";"),))
        if ends or part in (Sign("+"), Sign("−"), Sign("⊙")):
            chunks.append(())
        chunks[-1] += (part,)
    for chunk in chunks:
        is_wide = runs_width(write_runs(*chunk)) > room
        if is_wide and any(isinstance(part, Fenced) for part in chunk):
            yield from _chunks(list(_open(chunk)), room)
        else:
            yield chunk


def _flatten(parts: Sequence[Math]) -> Iterator[Math]:
    for part in parts:
        yield from _flatten(part.parts) if isinstance(part, MathRow) else (part,)


def _open(parts: Sequence[Math]) -> Iterator[Math]:
    for part in parts:
        if isinstance(part, Fenced):
            yield Letters(part.left, "mark")
            yield from part.parts
            yield Letters(part.right, "mark")
        else:
            yield part
