"""Arguments of the library's functions, checked before any work begins."""

from __future__ import annotations

import operator
import os
from collections.abc import Collection, Iterable
from numbers import Number
from typing import Any

from rnnspec.errors import UsageError, brief


def received(value: object) -> str:
    """Say what an argument is: text and numbers as Python writes them, else the type."""
    if value is None or isinstance(value, str | Number):
        try:
            return brief(repr(value))
        except ValueError:  # Python prints no int of more than 4,300 digits
            return "an int of too many digits to print"
    return brief(f"an object of type {type(value).__name__}")


def seed_from(value: object) -> int:
    """Return a seed as an int; integers of other libraries are taken.

    Raises:
        UsageError: it is no integer, or negative.
    """
    try:
        # Python counts a bool as an integer, but nobody means a seed by it.
        number = -1 if isinstance(value, bool) else operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        number = -1
    if number < 0:
        raise UsageError(f"seed: expected an integer of at least 0, received {received(value)}")
    return number


def path_from(value: object) -> str:
    """Return the path of a file as text.

    Raises:
        UsageError: it is no path, or one in bytes.
    """
    path = os.fspath(value) if isinstance(value, str | os.PathLike) else None
    if not isinstance(path, str):
        raise UsageError(f"expected the path of a YAML file, received {received(value)}")
    return path


def list_from(name: str, values: object) -> list[Any]:
    """Return what an iterable gives; the letters of a text are no list that anybody means.

    Raises:
        UsageError: it is none.
    """
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise UsageError(f"{name}: expected a list, received {received(values)}")
    return list(values)


def check_flag(name: str, value: object) -> None:
    """Raise UsageError unless ``value`` is a bool: a text such as "no" would count as true."""
    if not isinstance(value, bool):
        raise UsageError(f"{name}: expected True or False, received {received(value)}")


def one_of(kind: str, value: object, known: Collection[str]) -> str:
    """Return ``value`` if it is one of the known names of its kind.

    Raises:
        UsageError: it is unknown, or not a string.
    """
    *most, last = known
    names = f"{', '.join(most)} or {last}" if most else last
    if not isinstance(value, str):
        message = f"expected the name of a {kind}, received {received(value)}"
        raise UsageError(f"{message}; expected {names}")
    if value not in known:
        raise UsageError(f"unknown {kind} {received(value)}; expected {names}")
    return value
