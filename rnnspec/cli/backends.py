"""Help texts about backends and files, from the records of backends and the known files."""

from __future__ import annotations

from rnnspec.backends import BACKENDS, forms, having, names
from rnnspec.backends.needs import FILES, SOURCE
from rnnspec.errors import listed
from rnnspec.files.model import SUFFIX
from rnnspec.importing.origins import ORIGINS

NAMED = f"{names('or')}; not needed if only one is installed."
COMPARED = (
    f"One or more of {names()}, as in {','.join(list(BACKENDS)[:2])}; by default all that support "
    "LEVEL and TYPE."
)

_FIRST = forms()[0]
_OTHERS = [f"for {b.name} {b.forms[0]}" for b in having(SOURCE) if b.forms[0] != _FIRST]
FORM = f"{listed(forms(), 'or')}; by default {', '.join([_FIRST, *_OTHERS])}."

_FILES = [each for each in having(FILES) if each.suffix]
_FOLDERS = [each for each in having(FILES) if not each.suffix]
_MODELS = listed(
    [
        *(each.suffix for each in _FILES),
        SUFFIX,
        f"a folder of {listed([each.title for each in _FOLDERS], 'or')}",
    ],
    "or",
)


def _written() -> str:
    targets = [
        *(f"a {each.suffix} file for {each.name}" for each in _FILES),
        f"a folder for {listed([each.name for each in _FOLDERS], 'or')}",
    ]
    return f"{listed(targets, 'or')}.".capitalize()


WRITTEN = _written()
TRAINED = f"A model that rnnspec wrote ({_MODELS}), or a file that 'rnnspec import' takes."
CONVERTED = f"{_MODELS}; its ending decides which."
_ORIGINS = listed([origin.form for origin in ORIGINS], "or")
FOREIGN = f"{_ORIGINS[0].upper()}{_ORIGINS[1:]}."
FOLDERS = (
    f"The backend of a folder OUT, {listed([each.name for each in _FOLDERS], 'or')}; by default "
    f"{_FOLDERS[0].name}."
)
