"""The answer to a text: problems, advice, summary, pictures and sources."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from rnnspec import pipeline
from rnnspec.backends import Backend, having
from rnnspec.backends.needs import SOURCE
from rnnspec.drawing.options import FORMS, Form
from rnnspec.drawing.picture import picture
from rnnspec.drawing.words import cell_words, description, equation_cells
from rnnspec.drawing.writers.mathml import Markup, mathml
from rnnspec.errors import (
    Problem,
    SpecError,
    UnsupportedError,
    UsageError,
    brief,
    printable,
    render_refusal,
)
from rnnspec.ir.forms import Form as SourceForm
from rnnspec.lint.rules import CODES
from rnnspec.lint.run import lint
from rnnspec.pipeline import Program
from rnnspec.results.summaries import TITLES, summarize, totals
from rnnspec.version import __version__

_SOURCE = "spec.yaml"
_MOST = 50
"""Maximum number of problems in an answer."""


@dataclass(frozen=True, slots=True)
class Note:
    """A problem or a piece of advice; its place counts characters from 1."""

    severity: str
    code: str
    where: str
    message: str
    line: int
    column: int
    end_column: int


@dataclass(frozen=True, slots=True)
class Table:
    """The summary of a network: its layers as rows of text, and sentences about the whole."""

    titles: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    remarks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CellEquations:
    """The equations of a cell, and the layers and states that it has in words."""

    name: str
    words: str
    formula: Markup


@dataclass(frozen=True, slots=True)
class Drawing:
    """A picture as SVG with its name and its content in words, or a reason why there is none.

    One that was not asked for has a title alone.
    """

    title: str
    file: str = ""
    svg: str = ""
    words: str = ""
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class Code:
    """Source in one form for a backend, and the name of its file, or reasons why there is none.

    One that was not asked for has a title and a form alone.
    """

    title: str
    form: str
    file: str = ""
    text: str = ""
    refusals: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer; ``verdict`` is its result in a few words.

    A wrong spec has neither summary nor pictures nor sources. In an answer that has failed, because
    of a bug in rnnspec, ``verdict`` describes the bug. ``omitted`` is the number of further notes.
    """

    version: str
    state: Literal["valid", "wrong", "failed"]
    verdict: str
    notes: tuple[Note, ...] = ()
    omitted: int = 0
    summary: Table | None = None
    equations: tuple[CellEquations, ...] = ()
    pictures: tuple[Drawing, ...] = ()
    sources: tuple[Code, ...] = ()


def answer(text: str, titles: Sequence[str] | None = None) -> dict[str, Any]:
    """Return an ``Answer`` to the text of a spec, as plain data.

    No file is read, not even one that the spec names, and no text raises an exception. With the
    ``titles``, pictures and sources of other titles are left empty, which saves time: a page
    shows one at a time.
    """
    try:
        return asdict(_answer(text, titles))
    except Exception as error:  # noqa: BLE001 - the page must be able to show a bug
        failure = f"rnnspec failed on this text, which is a bug: {type(error).__name__}: "
        return asdict(Answer(__version__, "failed", printable(failure + brief(error))))


def _answer(text: str, titles: Sequence[str] | None) -> Answer:
    try:
        program = pipeline.reads(text, _SOURCE)
    except SpecError as error:
        notes = error.problems
        verdict = f"wrong: {_number(len(notes), 'problem')}"
        return Answer(__version__, "wrong", verdict, *_notes(notes))
    summary = summarize(program.network)
    return Answer(
        __version__,
        "valid",
        f"valid: {_number(summary.parameters.total, 'parameter')}",
        *_notes(lint(program, frozenset(CODES))),
        Table(
            TITLES,
            tuple(row for layer in summary.layers for row in layer.cells),
            (totals(summary.parameters), *summary.remarks),
        ),
        tuple(_equations(program)),
        tuple(_drawings(program, titles)),
        tuple(_codes(program, titles)),
    )


def _equations(program: Program) -> Iterator[CellEquations]:
    for (name, equations), layers in equation_cells(program.network).items():
        words = cell_words(equations.states, layers)
        yield CellEquations(name, words, mathml(equations))


def _drawings(program: Program, titles: Sequence[str] | None) -> Iterator[Drawing]:
    for form in FORMS:
        title = form.capitalize()
        yield _drawing(program, form) if _is_in(title, titles) else Drawing(title)


def _codes(program: Program, titles: Sequence[str] | None) -> Iterator[Code]:
    for backend in having(SOURCE):
        for form in backend.forms:
            if _is_in(backend.source_title, titles):
                yield _code(program, backend, form)
            else:
                yield Code(backend.source_title, form.capitalize())


def _is_in(title: str, titles: Sequence[str] | None) -> bool:
    return titles is None or title in titles


def _number(many: int, noun: str) -> str:
    return f"{many:,} {noun}{'' if many == 1 else 's'}"


def _notes(problems: Sequence[Problem]) -> tuple[tuple[Note, ...], int]:
    notes = tuple(map(_note, problems[:_MOST]))
    return notes, len(problems) - len(notes)


def _note(problem: Problem) -> Note:
    span = problem.span
    line, column, end = (span.line, span.column, span.end_column) if span else (1, 1, 1)
    where, message = printable(problem.where), printable(problem.message)
    return Note(problem.severity, problem.code, where, message, line, column, end)


def _drawing(program: Program, form: Form) -> Drawing:
    title, network = form.capitalize(), program.network
    try:
        drawn = picture(
            network, form=form, steps=None, labels="full", theme="auto", background="white"
        )
    except UsageError as error:
        return Drawing(title, refusal=printable(error.message))
    words = description(network, f"A recurrent network, {form}")
    return Drawing(title, f"{network.name}_{form}.svg", str(drawn), words)


def _code(program: Program, backend: Backend, form: SourceForm) -> Code:
    title, name = backend.source_title, form.capitalize()
    try:
        generated = pipeline.generate(program, backend, form)
    except UnsupportedError as error:
        reasons = (render_refusal(refusal, backend.name) for refusal in error.refusals)
        return Code(title, name, refusals=tuple(reasons))
    return Code(title, name, f"{program.network.name}{backend.ending}", generated.text)
