"""Reports on many files, in several formats."""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING

from rnnspec.cli.report.results import Checked
from rnnspec.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["FORMATS", "Checked", "format_for", "print_report"]

FORMATS = ("full", "concise", "json", "github", "sarif", "junit")
"""Each is a module of this package, with a function ``show``, imported when it is asked for."""


def format_for(asked: str | None) -> str:
    """Return the format to print in: the one asked for, else GitHub's own where that runs us.

    Raises:
        UsageError: there is no such format.
    """
    if asked is None:
        return "github" if os.environ.get("GITHUB_ACTIONS") == "true" else "full"
    if asked not in FORMATS:
        raise UsageError(f"unknown format {asked!r}; there are {', '.join(FORMATS)}")
    return asked


def print_report(results: Sequence[Checked], format: str | None, tool: str) -> int:  # noqa: A002
    """Print ``results`` and return the exit code; ``tool`` is the command: validate or lint.

    The code is 2 where something cannot be read, else 1 where there is an error or a warning.

    Raises:
        UsageError: there is no such format, or nothing among ``results`` is a spec.
    """
    module = import_module(f"{__name__}.{format_for(format)}")
    module.show(results, tool)
    if results and all(each.state == "foreign" for each in results):
        files = "the file" if len(results) == 1 else f"any of the {len(results)} files"
        raise UsageError(f"expected a spec, found none in {files}")
    return max((each.exit_code for each in results), default=0)
