"""Constructs that YAML allows but the language does not."""

from __future__ import annotations

from dataclasses import dataclass

from rnnspec.spec.yaml.places import Extent, Path


@dataclass(frozen=True, slots=True)
class Fault:
    """A construct that YAML allows but the language does not.

    With ``key``, the fault is in the last key of ``path``, otherwise in the value there.
    """

    path: Path
    extent: Extent
    code: str
    message: str
    key: bool = False
    hides_keys: bool = False
    """True if the fault may hide keys, so that the mapping is not checked for missing ones."""
