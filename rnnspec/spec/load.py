"""From a path or a text to a checked ``Spec``, or to everything that is wrong with it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from pydantic import ValidationError

from rnnspec.errors import Problem, SpecError, UsageError
from rnnspec.spec.models import Spec
from rnnspec.spec.places import MAX_BYTES
from rnnspec.spec.rules import broken_rules
from rnnspec.spec.source import Document, in_file_order, read, reading_problems
from rnnspec.spec.wording import received


def load(path: str | os.PathLike[str], *, allow_outside: bool = False) -> Spec:
    """Return the spec in the file ``path``, which messages name as it was given.

    With ``allow_outside`` the files it names may lie outside its folder.

    Raises:
        UsageError: the file cannot be read.
        SpecError: the spec is wrong.
    """
    source = os.fspath(path)
    return loads(_contents(source), source, allow_outside=allow_outside)


def loads(text: str | bytes, source: str = "<string>", *, allow_outside: bool = False) -> Spec:
    """Return the spec that ``text`` (UTF-8 where it is bytes) holds; messages call it ``source``.

    Raises:
        SpecError: the spec is wrong; it holds every problem found.
    """
    document = read(text, source)
    spec = _validated(document)
    spec._document = document  # noqa: SLF001 - the one place that sets it
    spec._allow_outside = allow_outside  # noqa: SLF001 - likewise
    if problems := broken_rules(spec):
        raise SpecError(in_file_order(problems))
    return spec


def _validated(document: Document) -> Spec:
    problems = reading_problems(document)
    if not isinstance(document.data, dict):
        raise SpecError(in_file_order(problems or (_no_mapping(document),)))
    try:
        spec = Spec.model_validate(document.data)
    except ValidationError as error:
        # Imported here: only a wrong spec pays for it.
        from rnnspec.spec.problems import problems_of

        problems += problems_of(error, document)
    if problems:
        raise SpecError(in_file_order(problems))
    return spec


def _no_mapping(document: Document) -> Problem:
    empty = document.data is None
    what = "an empty document" if empty else received(document.data)
    message = f"expected a mapping with the keys version, name and rnn, received {what}"
    return document.problem((), message, code="E111")


def _contents(source: str) -> bytes:
    """Return the bytes of a regular file, at most one more than a spec may have."""
    try:
        mode = os.stat(source).st_mode  # noqa: PTH116 - Path("") would be the folder
        if stat.S_ISDIR(mode):
            raise UsageError("this is a folder, expected a file", source)
        if not stat.S_ISREG(mode):
            raise UsageError("this is not a regular file", source)
        with Path(source).open("rb") as stream:
            return stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise UsageError("no such file", source) from None
    except PermissionError:
        raise UsageError("no permission to read it", source) from None
    # ValueError: a path that holds a null character or cannot be encoded.
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"cannot read it: {reason}", source) from None
