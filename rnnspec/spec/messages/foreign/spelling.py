"""Normalization of the spelling of foreign names."""

from __future__ import annotations

import re


def squeezed(name: str) -> str:
    """Return ``name`` in lower case, without hyphens, underscores and spaces."""
    lower = name.lower()
    # Names that start with two underscores are Python's own.
    return lower if lower.startswith("__") else re.sub("[-_ ]", "", lower)


def without_module(name: str) -> str:
    """Return ``name`` without its module path and its call: ``LSTM`` for ``nn.LSTM()``."""
    # Not a regular expression: it takes quadratic time on 500,000 letters.
    name = name.strip()
    name = name.partition("(")[0] if name.endswith(")") else name
    path, dot, last = name.rpartition(".")
    parts = (*path.split("."), last)
    return last if dot and all(map(str.isidentifier, parts)) else name
