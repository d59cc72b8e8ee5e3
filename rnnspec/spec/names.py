"""Checks of network and layer names, so that every generated file is valid Python."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from pydantic_core import PydanticCustomError

from rnnspec.spec import reserved
from rnnspec.wording import received

if TYPE_CHECKING:
    from rnnspec.taken_names import TakenNames

MAX_NAME_LENGTH = 64
# Names become files, modules, classes and attributes. No capital letters, because some file systems
# ignore case.
NAME_PATTERN = f"[a-z][a-z0-9_]{{0,{MAX_NAME_LENGTH - 1}}}"

_NAME = re.compile(NAME_PATTERN)


def check_network_name(name: str, taken: tuple[TakenNames, ...]) -> str:
    """Return ``name`` if a file, a class and a module can have this name.

    ``taken`` are the names that the backends use.

    Raises:
        PydanticCustomError: it is not a snake_case name, or it shadows a name that the generated
            file uses or a module that Python would import.
    """
    _check_form(name)
    # The class has the name without underscores: value_error would shadow ValueError.
    squashed = name.replace("_", "")
    if name in reserved.STANDARD_LIBRARY:
        raise _taken_error(name, "is a module of Python's standard library")
    if squashed in reserved.BUILTINS:
        raise _taken_error(name, "has the spelling of a Python builtin")
    if name in reserved.PACKAGES:
        raise _taken_error(name, "is the name of a package")
    if name in reserved.RUN_UNASKED:
        raise _taken_error(name, "is a file that Python, pip or pytest runs automatically")
    if name in reserved.WINDOWS_DEVICES:
        raise _taken_error(name, "is a device name on Windows, where no file can have it")
    if squashed in without_underscores(taken):
        raise _taken_error(name, "is used by the generated code")
    return name


@cache
def without_underscores(taken: tuple[TakenNames, ...]) -> frozenset[str]:
    """Return the names in the source of all backends as their classes have them."""
    return frozenset(name.replace("_", "") for each in taken for name in each.in_source)


def check_layer_name(name: str, taken: tuple[TakenNames, ...]) -> str:
    """Return ``name`` if a layer, and so an attribute of the generated class, can have it.

    ``taken`` are the names that the backends use.

    Raises:
        PydanticCustomError: it is not a snake_case name, is that of the input, shadows an attribute
            of the class, or is a name that the framework of a backend uses.
    """
    _check_form(name)
    if name == reserved.INPUT:
        raise _taken_error(name, "is the name of the network's input")
    for each in taken:
        if name in each.in_framework or re.fullmatch(each.framework_pattern, name):
            raise _taken_error(name, each.framework_reason)
    if any(name in each.in_class for each in taken):
        raise _taken_error(name, "is used by the generated code")
    return name


def _check_form(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise PydanticCustomError(
            "name_form",
            "expected a name of at most 64 lower-case letters a-z, digits and underscores that "
            "starts with a letter, received {received}",
            {"received": received(name)},
        )
    if name in reserved.KEYWORDS:
        raise _taken_error(name, "is a Python keyword")
    if name in reserved.CAPITAL_KEYWORDS:
        raise _taken_error(name, f"has the spelling of Python's {name.capitalize()}")


def _taken_error(name: str, reason: str) -> PydanticCustomError:
    context = {"name": name, "reason": reason}
    return PydanticCustomError("name_taken", "'{name}' {reason}; choose another name", context)
