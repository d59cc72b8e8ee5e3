"""Overrides: keys of a document set to other values, by editing its text.

The text is edited, and not only the data, because a spec travels as text: in the files of models,
and in messages, which show the line that was checked.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from rnnspec.errors import SpecError, UsageError
from rnnspec.errors.wording import received
from rnnspec.spec.write import flow
from rnnspec.spec.yaml.document import Document, read, reading_problems, render_path

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rnnspec.spec.yaml.text import Path

_EXPECT = "expect"


def edit(document: Document, overrides: Mapping[str, Any]) -> Document:
    """Return the document with ``overrides``: values by the paths of their keys.

    A path is written with dots, as ``rnn.0.units``, or as messages write it, ``rnn[0].units``. A
    key that is absent is added; None removes one. What the file expects, ``expect``, is of the
    network as written, so it goes unless an override is about it.

    Raises:
        UsageError: a path leads nowhere, or a value is no plain data.
    """
    for name, value in overrides.items():
        try:
            document = _edit_one(document, name, value)
        except UsageError as error:
            raise UsageError(f"override {name!r}: {error.message}") from None
    is_own = any(_steps(name)[0] == _EXPECT for name in overrides)
    if overrides and not is_own and document.contains((_EXPECT,)):
        document = _without(document, (_EXPECT,))
    return document


def parse(setting: str) -> tuple[str, Any]:
    """Return the path and the value of ``KEY=VALUE``; the value is YAML.

    Raises:
        UsageError: there is no ``=``.
        SpecError: the value is not YAML.
    """
    name, equals, text = setting.partition("=")
    if not equals or not name.strip():
        raise UsageError(f"--set: expected KEY=VALUE, such as rnn.0.units=64, received {setting!r}")
    value = read(text, f"--set {name}")
    if value.faults:
        raise SpecError(reading_problems(value))
    return name.strip(), value.data


def _steps(name: str) -> Path:
    """Return ``("rnn", 0, "units")`` for ``rnn.0.units`` and ``rnn[0].units``."""
    parts = re.sub(r"\[(\d+)\]", r".\1", name).split(".")
    if not all(parts):
        raise UsageError("expected a key, such as 'rnn.0.units'")
    return tuple(int(part) if part.isascii() and part.isdigit() else part for part in parts)


def _edit_one(document: Document, name: str, value: Any) -> Document:
    path = _resolved(document, name)
    if value is None:
        return _without(document, path) if document.contains(path) else document
    if document.contains(path):
        start, end = _extent(document, path)
        # A value without characters, a null, ends where its colon does.
        blank = " " if start == end else ""
        return _replaced(document, start, end, blank + flow(value))
    # The nearest mapping that is there takes the rest of the path.
    depth = max(d for d in range(len(path)) if isinstance(document.value(path[:d]), dict))
    for key in reversed(path[depth + 1 :]):
        value = {key: value}
    added = f"{flow(path[depth])}: {flow(value)}"
    start, _ = _extent(document, path[:depth])
    if document.text[start] != "{":
        indent = start - document.text.rfind("\n", 0, start) - 1
        return _replaced(document, start, start, f"{added}\n{' ' * indent}")
    comma = ", " if document.value(path[:depth]) else ""
    return _replaced(document, start + 1, start + 1, f"{added}{comma}")


def _resolved(document: Document, name: str) -> Path:
    """Return the path of a key in the document, where a list of one is as good as its item.

    Raises:
        UsageError: it leads through a value that has no such key or item.
    """
    path: Path = ()
    for step in _steps(name):
        value = document.value(path)
        match value, step:
            case (dict() | None, str()):
                path = (*path, step)
            case list(), int() if step < len(value):
                path = (*path, step)
            case [_], str():
                path = (*path, 0, step)
            case dict(), 0:
                pass
            case _:
                expected = "a mapping" if isinstance(step, str) else f"at least {step + 1} items"
                items = f"{len(value)} of them" if isinstance(value, list) else received(value)
                where = render_path(path)
                raise UsageError(f"{where}: expected {expected}, received {items}")
    return path


def _without(document: Document, path: Path) -> Document:
    """Return the document without a key and its value."""
    parent = path[:-1]
    siblings = document.value(parent)
    if not isinstance(siblings, dict):
        raise UsageError("expected a key, since an item cannot be removed")
    names = list(siblings)
    position = names.index(path[-1])
    start = document.keys[path][0]
    if position + 1 < len(names):
        return _replaced(document, start, document.keys[*parent, names[position + 1]][0], "")
    if position:
        _, end = _extent(document, (*parent, names[position - 1]))
        return _replaced(document, end, _extent(document, path)[1], "")
    return _replaced(document, *_extent(document, parent), "{}")


def _extent(document: Document, path: Path) -> tuple[int, int]:
    """Return where the value at ``path`` is, without the blanks and comments behind a block."""
    start, end = document.values[path]
    while start < end:
        line = document.text.rfind("\n", start, end) + 1
        last = document.text[line:end].strip()
        if not line or (last and not last.startswith("#")):
            break
        end = line - 1
    return start, start + len(document.text[start:end].rstrip())


def _replaced(document: Document, start: int, end: int, text: str) -> Document:
    return read(f"{document.text[:start]}{text}{document.text[end:]}", document.source)
