"""Standard streams that stop a CI service from executing commands in the text of users.

CI services read commands from the output of a program. GitHub's runner treats a line as a command
if it begins with ``::``, even after spaces, or contains ``##[`` (``ActionCommand.cs`` in
https://github.com/actions/runner); Azure Pipelines also react to ``##vso[``, and TeamCity to
``##teamcity[``. A spec, a path or an argument may contain all of these.
"""

from __future__ import annotations

import os
import re
import sys
from typing import Any, TextIO

# Not re.MULTILINE, with which ^ does not match after a lone carriage return.
_LINE = re.compile(r"(?:^|(?<=[\r\n]))([^\S\r\n]*):(?=:)")
# \w* covers 'vso' and 'teamcity', and the names of other services.
_ANYWHERE = re.compile(r"##(?=\w*\[)")


def guard_streams() -> None:
    """From now on, escape commands in all output if a CI service would execute them."""
    if not (
        os.environ.get("GITHUB_ACTIONS") == "true"
        or os.environ.get("TF_BUILD")
        or os.environ.get("TEAMCITY_VERSION")
    ):
        return
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if not isinstance(stream, _Guarded):
            # In sys, so that what libraries print is guarded too.
            setattr(sys, name, _Guarded(stream))


def print_command(line: str) -> None:
    """Print a command that rnnspec itself made, unescaped."""
    stream = sys.stdout
    print(line, file=stream.unguarded if isinstance(stream, _Guarded) else stream)


def print_json(data: Any) -> None:
    """Print plain data as ASCII JSON, with commands written as JSON escapes.

    An infinite difference becomes null, because JSON has no infinity.
    """
    # Imported here because most output is not JSON.
    import json

    # The guarded stream would insert a backslash, which makes the JSON invalid. '##' occurs only in
    # strings, where '\u0023' means the same. No line can start with '::', because json.dumps
    # escapes line breaks in strings.
    print(_ANYWHERE.sub(r"#\\u0023", json.dumps(_finite(data), indent=2, allow_nan=False)))


def _finite(data: Any) -> Any:
    match data:
        case dict():
            return {key: _finite(value) for key, value in data.items()}
        case list():
            return [_finite(value) for value in data]
        # RFC 8259, section 6: a program must be able to read the document.
        case float() if data in (float("inf"), float("-inf")):
            return None
        case _:
            return data


def print_xml(text: str) -> None:
    """Print XML, with commands written as character references."""
    print(_ANYWHERE.sub("#&#35;", _LINE.sub(r"\1&#58;", text)))


def escape_commands(text: str) -> str:
    """Return ``text`` without commands that a service would execute."""
    return _ANYWHERE.sub(r"#\\#", _LINE.sub(r"\1\\:", text))


class _Guarded:
    """A stream that writes complete lines, because a command could be printed in parts."""

    def __init__(self, stream: TextIO) -> None:
        self.unguarded = stream
        self._part = ""

    def write(self, text: str) -> int:
        lines, end, self._part = (self._part + text).rpartition("\n")
        if end:
            self.unguarded.write(escape_commands(lines + end))
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        self.write("".join(lines))

    def flush(self) -> None:
        part, self._part = self._part, ""
        self.unguarded.write(escape_commands(part))
        self.unguarded.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.unguarded, name)
