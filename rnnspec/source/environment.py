"""The Jinja environment: strict, and with filters that make free text safe as source."""

from __future__ import annotations

import re
import textwrap
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from rnnspec.errors import printable
from rnnspec.source.linebreaks import LINE_LENGTH

# Directives in comments to which type checkers, linters, formatters, editors, script runners and CI
# services react: a keyword with the characters that must follow it, or a keyword alone. A match can
# begin only at the start of a word, so that a very long word takes linear time.
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
def environment(templates: Path) -> Environment:
    """Return the environment for the templates in a folder."""
    jinja = Environment(
        loader=FileSystemLoader(templates),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=False,
        autoescape=False,  # noqa: S701 - the output is Python, not HTML
    )
    jinja.filters["comment"] = comment
    return jinja


def comment(text: str) -> str:
    """Return free text as comment lines, the only form in which it may enter generated source.

    A directive for a tool is put in quotes, which disable it. A word that is longer than a line,
    such as a URL, is not broken.
    """
    paragraphs = (" ".join(words) for line in text.splitlines() if (words := line.split()))
    lines = [line for paragraph in paragraphs for line in _wrapped(printable(_unheeded(paragraph)))]
    return "\n".join(f"# {line}" for line in lines)


def _wrapped(paragraph: str) -> list[str]:
    # Most lines are short, and textwrap is slow even for those.
    if len(paragraph) <= _WIDTH:
        return [paragraph]
    return textwrap.wrap(paragraph, _WIDTH, break_long_words=False, break_on_hyphens=False)


def _unheeded(text: str) -> str:
    return _HEEDED.sub(r'"\g<0>"', text)
