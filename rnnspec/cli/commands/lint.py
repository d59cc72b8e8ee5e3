"""``rnnspec lint``: print advice on specs, in the formats of ``validate``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rnnspec.cli.inputs import check, find_inputs
from rnnspec.cli.report import format_for, print_report
from rnnspec.lint.rules import select_codes
from rnnspec.lint.run import lint

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Options:
    """The selected codes, the output format, and whether a note fails too."""

    select: Sequence[str]
    ignore: Sequence[str]
    format: str | None
    strict: bool


def run(paths: Sequence[str], options: Options, *, allow_outside: bool) -> int:
    """Print the advice on the specs at ``paths``, and return the exit code.

    Raises:
        UsageError: a code or the format is unknown.
    """
    format_for(options.format)
    codes = select_codes(options.select, options.ignore)
    # Last, because it may wait for standard input, and wrong options are reported at once.
    inputs = find_inputs(paths, allow_outside=allow_outside)
    results = [check(item, lambda program: lint(program, codes)) for item in inputs]
    code = print_report(results, options.format, "lint")
    noted = options.strict and any(result.problems for result in results)
    return max(code, int(noted))
