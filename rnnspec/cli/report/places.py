"""Paths of files as other programs expect them."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote

STDIN = "<stdin>"
"""The name of standard input in messages."""


def readable(path: str) -> str:
    r"""Return ``path`` as Unicode, with bytes that are not UTF-8 written as ``\xNN``."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def in_repository(path: str) -> str:
    """Return ``path`` with forward slashes, relative to the root of the repository on GitHub.

    Elsewhere it is relative to the current folder. A file outside keeps its absolute path.
    """
    if path == STDIN:
        return path
    try:
        root, here = os.environ.get("GITHUB_WORKSPACE"), Path.cwd()
    except FileNotFoundError:  # the current folder was removed
        return Path(path).as_posix()
    base = Path(root).resolve() if root else here
    # Not resolve(): in the repository, a file below a link has the path with the link.
    absolute = Path(os.path.normpath(here / path))
    if not here.is_relative_to(base):
        base = here
    return (absolute.relative_to(base) if absolute.is_relative_to(base) else absolute).as_posix()


def uri(path: str) -> str:
    """Return the URI of ``path``, relative if ``in_repository`` is; its bytes are kept."""
    place = Path(in_repository(path))
    return place.as_uri() if place.is_absolute() else quote(os.fsencode(place.as_posix()))
