"""One spelling for the many that a foreign word has."""

from __future__ import annotations

import re

_MODULE_PATH = re.compile(r"(?:[A-Za-z_]\w*\.)+(?=[A-Za-z_]\w*$)")
_CALL = re.compile(r"\(.*\)$")


def squeezed(word: str) -> str:
    """Return ``word`` in lower case and without what its spellings differ in."""
    lower = word.lower()
    # Names that begin with two underscores are Python's own.
    return lower if lower.startswith("__") else re.sub("[-_ ]", "", lower)


def without_module(word: str) -> str:
    """Return ``word`` without a module path before it and a call after it: ``nn.LSTM()``."""
    return _MODULE_PATH.sub("", _CALL.sub("", word), count=1)
