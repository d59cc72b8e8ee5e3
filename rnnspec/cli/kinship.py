"""The distinction between a wrong spec and a YAML file of another program."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnnspec.spec.yaml.document import glimpse
from rnnspec.spec.yaml.text import MAX_BYTES
from rnnspec.wording import nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

# Without 'data' and 'expect', which are common in files of other programs.
_SECTIONS = frozenset({"input", "embedding", "head", "heads", "initializers"})
_GUESSES = 20
_LINE = re.compile(rb"^[\"']?([A-Za-z_]+)[\"']?[ \t]*:[ \t]*([^\s#]*)", re.MULTILINE)


def is_foreign(path: str) -> bool:
    """Return true if an invalid spec was probably not meant to be a spec.

    A file counts as a spec if it has ``rnn``, or two sections, or ``version: 1`` with a section or
    a misspelt one. A single one of these keys is not enough: files of other programs use them too.
    """
    with Path(path).open("rb") as stream:
        raw = stream.read(MAX_BYTES + 1)
    # Problems are not collected: PyYAML's Python parser takes a second for half a MiB.
    data = glimpse(raw)
    if data is None:
        # Not YAML: look for keys line by line. NULs are removed because UTF-16 text contains them.
        pairs = _LINE.findall(raw.replace(b"\0", b""))
        data = {key.decode(): value.decode(errors="replace") for key, value in pairs}
    return not (isinstance(data, dict) and _is_meant(data))


def _is_meant(data: Mapping[str, Any]) -> bool:
    # A capital letter may be the very reason why the spec is invalid.
    words = {key.lower(): value for key, value in data.items()}
    sections = len(_SECTIONS.intersection(words))
    if "rnn" in words or sections > 1:
        return True
    if str(words.get("version")) not in ("1", "1.0"):
        return False
    unknown = [word for word in words if word not in ("version", "name", "description")]
    guesses = unknown[:_GUESSES] if "name" in words else []
    return sections == 1 or any(nearest(word, ("rnn", *_SECTIONS)) for word in guesses)
