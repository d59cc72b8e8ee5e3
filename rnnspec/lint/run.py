"""Run the rules on a spec."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnnspec.lint.comments import suppress
from rnnspec.lint.context import context
from rnnspec.lint.rules import RULES
from rnnspec.spec.yaml.document import in_file_order

if TYPE_CHECKING:
    from rnnspec.errors import Problem
    from rnnspec.pipeline import Program


def lint(program: Program, codes: frozenset[str]) -> tuple[Problem, ...]:
    """Return the findings of the rules in ``codes``, in file order.

    Findings suppressed by a comment on their line are left out. Comments that suppress nothing, or
    name no rule, are findings too.
    """
    given = context(program)
    rules = (rule for rule in RULES if rule.code in codes)
    problems = tuple(problem for rule in rules for problem in rule.problems(given))
    return in_file_order(suppress(program.spec.document, problems, codes))
