"""``rnnspec doctor``: versions, settings, and a test of rnnspec itself."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

from rnnspec import pipeline
from rnnspec.backends.base import TEMPLATES
from rnnspec.cli.terminal.messages import in_colour, tell
from rnnspec.environment import environment, lines
from rnnspec.errors import RnnspecError, brief, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rnnspec.pipeline import Program

_NETWORK = "classifier"


@dataclass(frozen=True, slots=True)
class Checked:
    """A test of rnnspec: its name, and its result or its failure."""

    name: str
    result: str
    failed: bool = False


def run(*, json: bool, deep: bool) -> None:
    """Print versions, settings and tests, and exit with 3 if something is wrong."""
    found = environment()
    tests = list(_tests(deep=deep))
    failures = [f"{each.name} failed: {each.result}" for each in tests if each.failed]
    problems = [*found.problems, *failures]
    if json:
        from rnnspec.cli.terminal.tables import print_json

        shown = {each.name.replace("-", "_"): each.result for each in tests}
        print_json({**found.as_dict(), **_terminal(), **shown, "problems": problems})
    else:
        rows = [*found.rows(), *_terminal().items(), *((t.name, t.result) for t in tests)]
        print(*lines(iter(rows)), sep="\n")
    if problems:
        sys.stdout.flush()
        tell("\n".join(printable(f"rnnspec: error: {each}") for each in problems))
        raise typer.Exit(3)


def _terminal() -> dict[str, str]:
    return {
        "encoding": f"{sys.stdout.encoding}, of file names {sys.getfilesystemencoding()}",
        "colour": "yes" if in_colour(sys.stderr) else "no",
    }


def _tests(*, deep: bool) -> Iterator[Checked]:
    yield _tried("self-test", _summary)
    if deep:
        yield _tried("parity", _parity)


def _tried(name: str, test: Callable[[], str]) -> Checked:
    try:
        return Checked(name, test())
    except RnnspecError as error:
        return Checked(name, brief(error), failed=True)


def _summary() -> str:
    from rnnspec.summaries import summarize

    found = summarize(_program().network)
    return f"{len(found.layers)} layers, {found.parameters.total:,} parameters"


def _parity() -> str:
    from rnnspec.cli.terminal.frameworks import import_quietly
    from rnnspec.comparison.levels import DEFAULT_LEVEL
    from rnnspec.comparison.run import comparable, parity
    from rnnspec.errors import ParityError

    able = comparable(None, DEFAULT_LEVEL, "float64")
    chosen = [each for each in able if each.installed]
    if not chosen:
        return "nothing to compare: no backend is installed"
    import_quietly(chosen)
    report = parity(_program().spec, [each.name for each in chosen])
    if not report.equal:
        raise ParityError(report.differences)
    versions = [result.version for result in report.specs[0].backends.values()]
    return f"equal up to {DEFAULT_LEVEL} ({', '.join(versions)})"


def _program() -> Program:
    text = (TEMPLATES / "init" / f"{_NETWORK}.yaml").read_text("utf-8")
    return pipeline.reads(text, f"{_NETWORK}.yaml")
