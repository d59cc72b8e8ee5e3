"""From a path or a text to a ``Spec``, and to everything that is wrong with it."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from rnnspec.errors import Problem, UsageError
from rnnspec.spec.models import Spec
from rnnspec.spec.rules import UNSOUND, broken_rules
from rnnspec.spec.wording import received
from rnnspec.spec.yaml.document import Document, read, reading_problems
from rnnspec.spec.yaml.places import MAX_BYTES

_READINGS = 4
"""How often a document is mended and read again: a slip may hide another, to the deepest key."""


@dataclass(frozen=True, slots=True)
class Draft:
    """What a text says: its spec, and what is wrong with it so far.

    ``spec`` is None where no network can be made of it.
    """

    spec: Spec | None
    problems: tuple[Problem, ...]


def load(path: str | os.PathLike[str], *, allow_outside: bool = False) -> Draft:
    """Return what the file ``path`` says, which messages name as it was given.

    With ``allow_outside`` the files it names may lie outside its folder.

    Raises:
        UsageError: the file cannot be read.
        SpecError: it is no YAML document within the budgets.
    """
    source = os.fspath(path)
    return loads(_contents(source), source, allow_outside=allow_outside)


def loads(text: str | bytes, source: str = "<string>", *, allow_outside: bool = False) -> Draft:
    """Return what ``text`` says (UTF-8 where it is bytes); messages call it ``source``.

    Raises:
        SpecError: it is no YAML document within the budgets.
    """
    document = read(text, source)
    if not isinstance(document.data, dict):
        return Draft(None, reading_problems(document) or (_no_mapping(document),))
    spec, problems = _validated(document)
    if spec is None or document.faults:
        return Draft(None, (*reading_problems(document), *problems))
    spec._allow_outside = allow_outside  # noqa: SLF001 - the one place that sets it
    broken = broken_rules(spec)
    whole = not problems and UNSOUND.isdisjoint(problem.code for problem in broken)
    return Draft(spec if whole else None, (*problems, *broken))


def _validated(document: Document) -> tuple[Spec | None, tuple[Problem, ...]]:
    """Return the spec in a document, as it was probably meant, and a problem for each slip."""
    problems: tuple[Problem, ...] = ()
    for reading in range(_READINGS):
        try:
            spec = Spec.model_validate(document.data)
        except ValidationError as error:
            # Imported here: only a wrong spec pays for it.
            from rnnspec.spec.messages.problems import findings

            found = findings(error, document)
            if found.mended is None or reading == _READINGS - 1:
                return None, (*problems, *found.problems)
            problems += found.slips
            document = found.mended
        else:
            spec._document = document  # noqa: SLF001 - the one place that sets it
            return spec, problems
    raise AssertionError("the last reading returns")


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
