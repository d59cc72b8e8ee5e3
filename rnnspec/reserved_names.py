"""Names that a backend uses, which no network or no layer can have."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ReservedNames:
    """The names that one backend uses.

    ``in_source`` are modules, classes and functions in the generated source, in lower case; no
    network can have their names. ``in_class`` are attributes and variables of the generated class
    or function, and ``in_framework`` are names that the framework uses in every model, as is any
    name that the regular expression ``framework_pattern`` matches; no layer can have any of them.
    ``framework_reason`` says in a message what the framework uses them for, after the name.
    """

    in_source: frozenset[str] = frozenset()
    in_class: frozenset[str] = frozenset()
    in_framework: frozenset[str] = frozenset()
    framework_pattern: str = ""
    framework_reason: str = ""


NO_NAMES = ReservedNames()
