"""Loading and validation of a spec, from a path or from text."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from rnnspec.errors import Problem
from rnnspec.errors.wording import received
from rnnspec.files.model import SUFFIX, spec_in
from rnnspec.files.regular import opened
from rnnspec.spec.fields import ValidationContext
from rnnspec.spec.models import Spec
from rnnspec.spec.rules import UNSOUND, broken_rules
from rnnspec.spec.yaml.document import Document, read, reading_problems
from rnnspec.spec.yaml.text import MAX_BYTES
from rnnspec.spec.zoo import settings_of_cells

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rnnspec.words import ReservedNames

_PASSES = 4
"""Maximum number of passes: a misspelled key may hide others, down to the deepest key."""


@dataclass(frozen=True, slots=True)
class SpecDraft:
    """A spec with the problems found so far.

    ``spec`` is None if no network can be built from it.
    """

    spec: Spec | None
    problems: tuple[Problem, ...]


AS_WRITTEN: Mapping[str, Any] = MappingProxyType({})


def load(
    path: str | os.PathLike[str],
    *,
    taken: tuple[ReservedNames, ...],
    overrides: Mapping[str, Any] = AS_WRITTEN,
    allow_outside: bool = False,
) -> SpecDraft:
    """Return the draft in the file ``path``, a YAML file or a canonical file.

    Messages show the path as given. ``taken`` are names that no network or no layer can have.
    ``overrides`` are values of keys, by their paths; see ``yaml.edit``.

    With ``allow_outside``, the spec may name files outside its folder.

    Raises:
        UsageError: the file cannot be read.
        SpecError: it is not a single YAML document within the size limits.
    """
    source = os.fspath(path)
    text: str | bytes
    if source.endswith(SUFFIX):
        text = spec_in(Path(source))
    else:
        with opened(source) as (stream, _):
            text = stream.read(MAX_BYTES + 1)
    draft = loads(text, source, taken=taken, overrides=overrides, allow_outside=allow_outside)
    if draft.spec is not None and source.endswith(SUFFIX):
        draft.spec._file = Path(source)  # noqa: SLF001 - the one place that sets it
    return draft


def loads(
    text: str | bytes,
    source: str = "<string>",
    *,
    taken: tuple[ReservedNames, ...],
    overrides: Mapping[str, Any] = AS_WRITTEN,
    allow_outside: bool = False,
) -> SpecDraft:
    """Return the draft in ``text``, a string or UTF-8 bytes; messages name it ``source``.

    Raises:
        SpecError: it is not a single YAML document within the size limits.
    """
    document = read(text, source)
    if not isinstance(document.data, dict):
        what = "an empty document" if document.data is None else received(document.data)
        message = f"expected a mapping with the keys version, name and rnn, received {what}"
        problem = document.problem((), message, code="E111")
        return SpecDraft(None, reading_problems(document) or (problem,))
    if overrides:
        # Imported here because a spec as it is written does not need it.
        from rnnspec.spec.yaml.edit import edit

        document = edit(document, overrides)
    spec, problems = _validate(document, taken)
    # The rules need data that can be trusted, which a document with faults does not have.
    if spec is None or document.faults:
        return SpecDraft(None, (*reading_problems(document), *problems))
    spec._allow_outside = allow_outside  # noqa: SLF001 - the one place that sets it
    broken = broken_rules(spec)
    whole = not problems and UNSOUND.isdisjoint(problem.code for problem in broken)
    return SpecDraft(spec if whole else None, (*problems, *broken))


def _validate(
    document: Document, taken: tuple[ReservedNames, ...]
) -> tuple[Spec | None, tuple[Problem, ...]]:
    """Return the spec with its likely misspellings corrected, and a problem for each of them."""
    problems: tuple[Problem, ...] = ()
    for number in range(_PASSES):
        try:
            settings = settings_of_cells(document.data)
            spec = Spec.model_validate(document.data, context=ValidationContext(taken, settings))
        except ValidationError as error:
            # Imported here because a valid spec does not need it.
            from rnnspec.spec.messages.problems import find_problems

            findings = find_problems(error, document)
            if findings.corrected is None or number == _PASSES - 1:
                return None, (*problems, *findings.problems)
            problems += findings.slips
            document = findings.corrected
        else:
            spec._document = document  # noqa: SLF001 - the one place that sets it
            return spec, problems
    raise AssertionError("unreachable")
