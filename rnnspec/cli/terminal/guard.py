"""Standard streams from which a service that runs a workflow takes no command that a user wrote.

Such services read commands out of what a program prints. GitHub's runner takes a line for one that
begins with ``::``, whatever spaces are before it, or has ``##[`` anywhere (``ActionCommand.cs`` in
https://github.com/actions/runner); Azure Pipelines know ``##vso[`` too, and TeamCity
``##teamcity[``. Text of a spec, a path or an argument may hold all of them.
"""

from __future__ import annotations

import os
import re
import sys
from typing import Any, TextIO

_LINE = re.compile(r"(?:^|(?<=[\r\n]))([^\S\r\n]*):(?=:)")
_ANYWHERE = re.compile(r"##(?=\w*\[)")


def guard_streams() -> None:
    """Break commands in all that is printed from now on, where something would obey them."""
    if not _is_obeyed():
        return
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if not isinstance(stream, _Guarded):
            setattr(sys, name, _Guarded(stream))


def print_command(line: str) -> None:
    """Print a command of our own."""
    stream = sys.stdout
    print(line, file=stream.unguarded if isinstance(stream, _Guarded) else stream)


def print_json(data: Any) -> None:
    """Print plain data in ASCII, without commands in it: JSON has its own way to break them."""
    # Imported here: most of what is printed is no JSON.
    import json

    print(_ANYWHERE.sub(r"#\\u0023", json.dumps(data, indent=2, allow_nan=False)))


def print_xml(text: str) -> None:
    """Print XML without commands in it, as ``print_json`` does."""
    print(_ANYWHERE.sub("#&#35;", _LINE.sub(r"\1&#58;", text)))


def _is_obeyed() -> bool:
    """Tell whether this runs in a workflow of a service that obeys what is printed."""
    return (
        os.environ.get("GITHUB_ACTIONS") == "true"
        or bool(os.environ.get("TF_BUILD"))
        or bool(os.environ.get("TEAMCITY_VERSION"))
    )


def _broken(text: str) -> str:
    return _ANYWHERE.sub(r"#\\#", _LINE.sub(r"\1\\:", text))


class _Guarded:
    """A stream that writes whole lines; a part of one waits for its end, or to be flushed."""

    def __init__(self, stream: TextIO) -> None:
        self.unguarded = stream
        self._part = ""

    def write(self, text: str) -> int:
        lines, end, self._part = (self._part + text).rpartition("\n")
        if end:
            self.unguarded.write(_broken(lines + end))
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        self.write("".join(lines))

    def flush(self) -> None:
        part, self._part = self._part, ""
        self.unguarded.write(_broken(part))
        self.unguarded.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.unguarded, name)
