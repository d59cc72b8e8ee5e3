"""Results: what each tool made of each case."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

State = Literal["equal", "absent", "refused", "crashed", "wrong"]

STATES: tuple[State, ...] = ("equal", "absent", "refused", "crashed", "wrong")
"""From the best to the worst: an error is better than a result that is silently wrong."""


@dataclass(frozen=True, slots=True)
class Cell:
    """The result of one case in one tool.

    ``difference`` is the largest from the reference, None if there are no outputs to compare or
    they are not finite. ``where`` is ``load`` or ``call 2``, the call that shows the state.
    ``fault`` is the fault of the case that gives the same outputs, empty if none does.
    """

    state: State
    difference: float | None = None
    where: str = ""
    fault: str = ""
    message: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return what JSON holds: the fields that say something."""
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {name: value for name, value in fields.items() if value not in {None, ""}}


@dataclass(frozen=True, slots=True)
class ToolRun:
    """A tool as it was run: its version, the date of the run, and the system."""

    name: str
    title: str
    version: str
    date: str
    system: str

    def as_dict(self) -> dict[str, str]:
        """Return the fields."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


@dataclass(frozen=True, slots=True)
class Results:
    """The cells by case, then by tool."""

    tools: tuple[ToolRun, ...]
    cells: Mapping[str, Mapping[str, Cell]]

    def as_dict(self) -> dict[str, Any]:
        """Return the document that ``--json`` writes."""
        return {
            "suite": 1,
            "tools": [tool.as_dict() for tool in self.tools],
            "cells": {
                case: {tool: cell.as_dict() for tool, cell in row.items()}
                for case, row in self.cells.items()
            },
        }
