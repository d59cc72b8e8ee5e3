"""Checks of the arguments of public functions, made before any work begins."""

from __future__ import annotations

import operator
import os
import re
from collections.abc import Collection, Iterable, Mapping
from numbers import Number
from types import MappingProxyType
from typing import Any

from rnnspec.errors import UsageError, brief, few, listed
from rnnspec.errors.wording import nearest

_NOTHING_MEANT: Mapping[str, str] = MappingProxyType({})


def received(value: object) -> str:
    """Return the ``repr`` of a string or number, or the type of another object, for messages."""
    if value is None or isinstance(value, str | Number):
        try:
            return brief(repr(value))
        except ValueError:  # Python refuses to print more than 4,300 digits
            return "an int of too many digits to print"
    # Not its repr, which can be slow and long, as that of a tensor.
    return brief(f"an object of type {type(value).__name__}")


def seed_from(value: object) -> int:
    """Return a seed as an int; integers of other libraries are accepted.

    Raises:
        UsageError: the seed is negative or not an integer.
    """
    try:
        # A bool is an int in Python, but as a seed it is a mistake.
        number = -1 if isinstance(value, bool) else operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        number = -1
    if number < 0:
        raise UsageError(f"seed: expected an integer of at least 0, received {received(value)}")
    return number


def path_from(value: object) -> str:
    """Return the path of a file as a string.

    Raises:
        UsageError: the value is not a path, or is a path in bytes.
    """
    path = os.fspath(value) if isinstance(value, str | os.PathLike) else None
    if not isinstance(path, str):
        raise UsageError(f"expected the path of a YAML file, received {received(value)}")
    return path


def list_from(name: str, values: object) -> list[Any]:
    """Return the items of an iterable that is not a string.

    Raises:
        UsageError: the value is a string, or not iterable.
    """
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise UsageError(f"{name}: expected a list, received {received(values)}")
    return list(values)


def check_flag(name: str, value: object) -> None:
    """Raise UsageError unless ``value`` is a bool, because the string "no" would count as true."""
    if not isinstance(value, bool):
        raise UsageError(f"{name}: expected True or False, received {received(value)}")


def one_of(
    kind: str, value: object, known: Collection[str], meant: Mapping[str, str] = _NOTHING_MEANT
) -> str:
    """Return ``value`` if it is one of the known names of its kind.

    ``meant`` has advice, each with the names in lower case that it is for.

    Raises:
        UsageError: the value is unknown, or not a string.
    """
    names = tuple(known)
    expected = f"expected {listed(names, 'or') if len(names) <= _MOST_LISTED else few(names)}"
    if not isinstance(value, str):
        raise UsageError(f"expected the name of a {kind}, received {received(value)}; {expected}")
    if value not in known:
        hints = (hint for hint, names in meant.items() if value.lower() in names.split())
        similar = _similar(value, known)
        hint = next(hints, f"did you mean {similar!r}?" if similar else expected)
        raise UsageError(f"unknown {kind} {received(value)}; {hint}")
    return value


def _similar(value: str, known: Collection[str]) -> str | None:
    # Imported here because a valid request does not need it.
    from difflib import get_close_matches

    # Looser than for keys of a spec: nothing is corrected here, only suggested.
    similar = nearest(value, known) or next(
        iter(get_close_matches(value.lower()[:_LONGEST], known, 1, 0.7)), None
    )
    # Whoever writes float16 or int4 does not mean float64 or int8.
    same = similar and re.findall(r"\d", similar) == re.findall(r"\d", value)
    return similar if same else None


_LONGEST = 64
"""The search for a similar name takes quadratic time."""
_MOST_LISTED = 30
"""The most names that an error lists; the cases of a suite are more."""
