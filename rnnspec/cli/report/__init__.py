"""Reports on many files, in several formats."""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING

from rnnspec.arguments import one_of
from rnnspec.cli.report.results import Checked
from rnnspec.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["FORMATS", "Checked", "format_for", "print_report"]

FORMATS = ("full", "concise", "json", "github", "sarif", "junit")
"""Each is a module of this package with a function ``show``, imported on demand."""


def format_for(asked: str | None) -> str:
    """Return the requested format, or the default: annotations on GitHub, otherwise full text.

    Raises:
        UsageError: the format is unknown.
    """
    if asked is None:
        return "github" if os.environ.get("GITHUB_ACTIONS") == "true" else "full"
    return one_of("format", asked, FORMATS)


def print_report(results: Sequence[Checked], format: str | None, tool: str) -> int:  # noqa: A002
    """Print ``results`` and return the exit code; ``tool`` is the command: validate or lint.

    The code is 2 if a file cannot be read, else 1 if there is an error or a warning, else 0.

    Raises:
        UsageError: the format is unknown, or none of the files is a spec.
    """
    module = import_module(f"{__name__}.{format_for(format)}")
    module.show(results, tool)
    # Not a success: the path was probably mistyped. Raised after the report, so that it is
    # complete.
    if results and all(each.state == "foreign" for each in results):
        files = "the file" if len(results) == 1 else f"any of the {len(results)} files"
        raise UsageError(f"expected a spec, found none in {files}")
    return max((each.exit_code for each in results), default=0)
