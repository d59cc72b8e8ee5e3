"""Help texts about backends, from their records."""

from __future__ import annotations

from rnnspec.backends import having, names
from rnnspec.backends.needs import FILES
from rnnspec.errors import listed

NAMED = f"{names('or')}."
COMPARED = f"Which of {names()}; by default all that support LEVEL and TYPE."


def _written() -> str:
    targets = [
        f"a {each.suffix} file for {each.name}" if each.suffix else f"a folder for {each.name}"
        for each in having(FILES)
    ]
    return f"{listed(targets, 'or')}.".capitalize()


WRITTEN = _written()


def _folders() -> str:
    able = [each.name for each in having(FILES) if not each.suffix]
    return f"The backend of a folder OUT, {listed(able, 'or')}; by default {able[0]}."


FOLDERS = _folders()
