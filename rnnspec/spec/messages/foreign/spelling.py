"""One spelling for the many that a foreign word has."""

from __future__ import annotations

import re


def squeezed(word: str) -> str:
    """Return ``word`` in lower case and without what its spellings differ in."""
    lower = word.lower()
    # Names that begin with two underscores are Python's own.
    return lower if lower.startswith("__") else re.sub("[-_ ]", "", lower)


def without_module(word: str) -> str:
    """Return ``word`` without a module path before it and a call after it: ``nn.LSTM()``."""
    # No pattern: tried at each of 500,000 letters, it takes quadratic time.
    word = word.strip()
    name = word.partition("(")[0] if word.endswith(")") else word
    path, dot, last = name.rpartition(".")
    parts = (*path.split("."), last)
    return last if dot and all(map(str.isidentifier, parts)) else name
