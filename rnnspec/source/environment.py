"""The one Jinja environment: strict, with the few filters through which anything reaches text."""

from __future__ import annotations

import re
import textwrap
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined

from rnnspec.errors import printable
from rnnspec.source.layout import LINE_LENGTH, statement

# What type checkers, linters, formatters, editors, and runners of scripts and of workflows heed in
# a comment: a word and what must follow it at once, or a word that is enough by itself. Each run of
# letters is tried once, from its beginning, so that a long one takes linear time.
_HEEDED = re.compile(
    r"""(?<![\w-])[\w-]*coding(?=\s*[:=])
    |(?<!\w)(?:
    (?:type|vim?)(?=\s*[:=])
    |(?i:autopep8|codespell|cython|flake8|fmt|isort|mypy|pragma|pylint|pyre|pyrefly|pyright|pytype
      |ruff|semgrep|ty|usort|ufmt|yapf)(?=\s*[:=]|\s+no\s+cover)
    |(?i:nolint|nopep8|noqa|nosec|nosem|nosemgrep|noinspection|skipcq|sourcery
      |pyre-(?:fixme|ignore|strict|unsafe))(?![\w"])
    |(?<!\S)(?:///|%%)(?!\S)
    )
    |\#\#(?=\w*\[)""",
    re.VERBOSE,
)
_WIDTH = LINE_LENGTH - len("# ")


@cache
def environment(templates: str) -> Environment:
    """Return the environment that finds its templates inside an installed package."""
    made = Environment(
        loader=PackageLoader(templates, ""),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=False,
        autoescape=False,  # noqa: S701 - what comes out is Python, not HTML
    )
    made.filters["statement"] = statement
    made.filters["comment"] = comment
    made.filters["docstring"] = docstring
    return made


def docstring(lines: tuple[str, ...], indent: int) -> str:
    """Return a docstring in its quotes; every line but the first is at ``indent``."""
    if len(lines) == 1:
        return f'"""{lines[0]}"""'
    margin = " " * indent
    body = "\n".join(margin + line if line else "" for line in lines[1:])
    return f'"""{lines[0]}\n{body}\n{margin}"""'


def comment(text: str) -> str:
    """Return free text as comment lines: the only way it may reach generated source.

    What a tool would obey there is put in quotes, which keep it from being one. A word that is
    longer than a line, an address say, stays whole: cut in two it would be another.
    """
    paragraphs = (" ".join(words) for line in text.splitlines() if (words := line.split()))
    lines = [line for each in paragraphs for line in _wrapped(printable(_unheeded(each)))]
    return "\n".join(f"# {line}" for line in lines)


def _wrapped(paragraph: str) -> list[str]:
    # Most lines are short, and textwrap takes a while to find that out.
    if len(paragraph) <= _WIDTH:
        return [paragraph]
    return textwrap.wrap(paragraph, _WIDTH, break_long_words=False, break_on_hyphens=False)


def _unheeded(text: str) -> str:
    return _HEEDED.sub(r'"\g<0>"', text)
