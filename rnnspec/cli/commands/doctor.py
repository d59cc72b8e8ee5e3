"""``rnnspec doctor``: versions, settings, and a test of rnnspec itself."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from rnnspec.backends.base import TEMPLATES
from rnnspec.cli.messages import in_colour, tell
from rnnspec.cli.options import Json
from rnnspec.errors import BackendError, ParityError, RnnspecError, brief, printable

if TYPE_CHECKING:
    from rnnspec.pipeline import Program

_NETWORK = "classifier"


def doctor(
    json: Json = False,
    deep: Annotated[
        bool, typer.Option("--deep", help="Also compare a network on the installed backends.")
    ] = False,
) -> None:
    """Print versions and settings, and test rnnspec itself.

    No framework is imported without --deep. Exit code: 0, or 3 if something cannot be used as it is
    installed; the message says what to do.
    """
    from rnnspec.machine.environment import environment, lines

    versions = environment()
    results, problems = {}, list(versions.problems)
    tests = {"self-test": _summarize} | ({"parity": _compare} if deep else {})
    for name, test in tests.items():
        try:
            results[name] = test()
        except RnnspecError as error:
            results[name] = brief(error)
            problems.append(f"{name} failed: {results[name]}")
    terminal = {
        "encoding": f"{sys.stdout.encoding}, of file names {sys.getfilesystemencoding()}",
        "colour": "yes" if in_colour(sys.stderr) else "no",
    }
    if json:
        from rnnspec.cli.guard import print_json

        keys = {name.replace("-", "_"): result for name, result in results.items()}
        print_json({**versions.as_dict(), **terminal, **keys, "problems": problems})
    else:
        rows = [*versions.rows(), *terminal.items(), *results.items()]
        print(*lines(rows), sep="\n")
    if problems:
        sys.stdout.flush()
        tell("\n".join(printable(f"rnnspec: error: {problem}") for problem in problems))
        raise typer.Exit(3)


def _summarize() -> str:
    from rnnspec.results.summaries import summarize

    summary = summarize(_program().network)
    return f"{len(summary.layers)} layers, {summary.parameters.total:,} parameters"


def _compare() -> str:
    from rnnspec.cli.frameworks import import_quietly
    from rnnspec.comparison.levels import DEFAULT_LEVEL
    from rnnspec.comparison.run import comparable, parity

    try:
        backends = comparable(None, DEFAULT_LEVEL, "float64")
    except BackendError:
        return "nothing to compare: no backend is installed"
    import_quietly(backends)
    report = parity(_program().spec, [backend.name for backend in backends])
    if not report.equal:
        raise ParityError(report.differences)
    versions = [result.version for result in report.specs[0].backends.values()]
    return f"equal up to {DEFAULT_LEVEL} ({', '.join(versions)})"


def _program() -> Program:
    from rnnspec import pipeline

    text = (TEMPLATES / "init" / f"{_NETWORK}.yaml").read_text("utf-8")
    return pipeline.reads(text, f"{_NETWORK}.yaml")
