"""From a spec to the advice on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnnspec.lint.comments import silence
from rnnspec.lint.context import context
from rnnspec.lint.rules import RULES
from rnnspec.spec.yaml.document import in_file_order

if TYPE_CHECKING:
    from rnnspec.errors import Problem
    from rnnspec.pipeline import Program


def lint(program: Program, codes: frozenset[str]) -> tuple[Problem, ...]:
    """Return what the rules with ``codes`` find in a spec, in file order.

    What a comment on its line turns down is left out; a comment that turns nothing down, or names
    no rule, is found too.
    """
    seen = context(program)
    rules = (rule for rule in RULES if rule.code in codes)
    problems = tuple(problem for rule in rules for problem in rule.problems(seen))
    return in_file_order(silence(program.spec.document, problems, codes))
