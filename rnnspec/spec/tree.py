"""PyYAML's events to plain data: one loop, an explicit stack, and a place for everything."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

import yaml

from rnnspec.spec.places import Extent, Lines, Path, forbidden
from rnnspec.spec.scalars import BadScalarError, Scalar, resolve
from rnnspec.spec.syntax import explain
from rnnspec.spec.wording import quoted, received, shortened

MAX_DEPTH = 32
MAX_NODES = 100_000

LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Events(Protocol):
    def get_event(self) -> Any: ...


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that YAML allows and the language does not.

    With ``key`` the fault lies in the last key of ``path``, otherwise in the value there.
    """

    path: Path
    extent: Extent
    message: str
    key: bool = False
    hides_keys: bool = False
    """Whether it stands where keys might have been, so that the mapping may not lack any."""


class _StopReadingError(Exception):
    """The rest of the text has no meaning."""

    def __init__(self, extent: Extent, message: str) -> None:
        super().__init__(message)
        self.fault = Fault((), extent, message)


@dataclass(slots=True)
class _Frame:
    """An open collection; in a mapping, ``key`` is the one whose value is awaited, if any is.

    ``lost``: that value is read, for the faults in it, and dropped.
    """

    node: dict[str, Any] | list[Any]
    path: Path
    start: int
    key: str | None = None
    lost: bool = False

    @property
    def expects_key(self) -> bool:
        return self.key is None and isinstance(self.node, dict)

    @property
    def next_path(self) -> Path:
        """The path of the next value."""
        step = len(self.node) if isinstance(self.node, list) else self.key
        return self.path if step is None else (*self.path, step)

    def add(self, value: Any) -> None:
        if isinstance(self.node, list):
            self.node.append(value)
        elif self.key is not None and not self.lost:
            self.node[self.key] = value
        self.key, self.lost = None, False


@dataclass(slots=True)
class Tree:
    """The data of a text, the places in it, and its faults; not ``whole`` if reading stopped."""

    data: Any = None
    values: dict[Path, Extent] = field(default_factory=dict)
    keys: dict[Path, Extent] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    whole: bool = True


def grow(text: str, loader: Any = None) -> Tree:
    """Return the tree of ``text``, which holds no character that ``places.forbidden`` names."""
    tree = Tree()
    try:
        _Builder(tree, text).read((loader or LOADER)(text))
    except _StopReadingError as stop:
        tree.faults.append(stop.fault)
        tree.whole = False
    return tree


class _Builder:
    def __init__(self, tree: Tree, text: str) -> None:
        self._tree = tree
        self._lines = Lines(text)
        self._stack: list[_Frame] = []
        self._nodes = 0
        self._documents = 0
        self._last = 0

    def read(self, events: _Events) -> None:
        while (event := self._next(events)) is not None:
            extent = (event.start_mark.index, event.end_mark.index)
            self._last = extent[1]
            self._take(event, extent)

    def _next(self, events: _Events) -> Any:
        try:
            return events.get_event()
        except yaml.MarkedYAMLError as error:
            offset, message = explain(error, self._lines.text)
            raise _StopReadingError((offset, offset + 1), message) from None
        # PyYAML's pure parser calls int() on a version and chr() on an escape unchecked.
        except (yaml.YAMLError, ValueError, OverflowError):
            extent = (self._last, self._last + 1)
            raise _StopReadingError(extent, "what follows cannot be read as YAML") from None

    def _take(self, event: Any, extent: Extent) -> None:
        match event:
            case yaml.DocumentStartEvent():
                self._open_document(event, extent)
            case yaml.ScalarEvent():
                self._count(extent)
                self._scalar(event, extent)
            case yaml.AliasEvent():
                self._count(extent)
                self._alias(event, extent)
            case yaml.MappingStartEvent():
                self._open(event, {}, extent)
            case yaml.SequenceStartEvent():
                self._open(event, [], extent)
            case yaml.CollectionEndEvent():
                self._close(extent)
            case _:
                pass

    def _open_document(self, event: Any, extent: Extent) -> None:
        self._documents += 1
        if self._documents > 1:
            raise _StopReadingError(extent, "expected one document, found a second one")
        # PyYAML's pure parser skips a directive that it does not know.
        if event.version or event.tags or self._lines.text.startswith("%", extent[0]):
            raise _StopReadingError(extent, "directives (%YAML, %TAG) are not in the language")

    def _count(self, extent: Extent) -> None:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise _StopReadingError(extent, f"expected at most {MAX_NODES} values, found more")

    def _open(self, event: Any, node: dict[str, Any] | list[Any], extent: Extent) -> None:
        self._count(extent)
        if len(self._stack) == MAX_DEPTH:
            raise _StopReadingError(extent, f"expected at most {MAX_DEPTH} levels, found more")
        if self._expects_key():
            kind = "mapping" if isinstance(node, dict) else "list"
            self._lose_key("?", extent, f"expected text as a key, received a {kind}")
            self._stack.append(_Frame(node, self._path(), extent[0]))
        else:
            self._refuse_properties(event, extent, self._path())
            frame = _Frame(node, self._path(), extent[0])
            self._place(node, extent)
            self._stack.append(frame)

    def _close(self, extent: Extent) -> None:
        frame = self._stack.pop()
        if self._tree.values.get(frame.path, extent)[0] == frame.start:
            self._tree.values[frame.path] = (frame.start, extent[1])

    def _scalar(self, event: Any, extent: Extent) -> None:
        try:
            value = _value(event)
        except BadScalarError as error:
            self._bad_node(event.value, extent, str(error))
            return
        if self._expects_key():
            self._key(event, value, extent)
        else:
            self._refuse_properties(event, extent, self._path())
            self._place(value, extent)

    def _alias(self, event: Any, extent: Extent) -> None:
        if self._stack and self._stack[-1].lost:
            self._place(None, extent)
            return
        message = f"aliases (*{shortened(event.anchor)}) are not in the language"
        self._bad_node(None, extent, message)

    def _key(self, event: Any, value: Scalar, extent: Extent) -> None:
        if value == "<<" and not event.style:
            self._lose_key("<<", extent, "merge keys (<<) are not in the language; write them out")
        elif not isinstance(value, str):
            self._lose_key("?", extent, f"expected text as a key, received {received(value)}")
        else:
            self._refuse_properties(event, extent, (*self._path(), value), key=True)
            self._text_key(value, extent)

    def _text_key(self, key: str, extent: Extent) -> None:
        frame = self._stack[-1]
        path = (*frame.path, key)
        first = self._tree.keys.setdefault(path, extent)
        frame.key = key
        if key in frame.node:
            line = self._lines.span(first).line
            frame.lost = True
            message = f"duplicate key {quoted(key)}; the first one is on line {line}"
            self._tree.faults.append(Fault(path, extent, message, key=True))

    def _bad_node(self, value: str | None, extent: Extent, message: str) -> None:
        if self._expects_key():
            self._lose_key("?", extent, message)
        else:
            self._tree.faults.append(Fault(self._path(), extent, message))
            self._place(value, extent)

    def _lose_key(self, name: str, extent: Extent, message: str) -> None:
        """Refuse a key; ``name`` stands for it in paths."""
        frame = self._stack[-1]
        frame.key, frame.lost = name, True
        fault = Fault(frame.next_path, extent, message, key=True, hides_keys=True)
        self._tree.faults.append(fault)

    def _refuse_properties(
        self, event: Any, extent: Extent, path: Path, *, key: bool = False
    ) -> None:
        for name, sign, value in (("anchors", "&", event.anchor), ("tags", "", event.tag)):
            if value is not None:
                message = f"{name} ({sign}{shortened(value)}) are not in the language"
                self._tree.faults.append(Fault(path, extent, message, key))

    def _expects_key(self) -> bool:
        return bool(self._stack) and self._stack[-1].expects_key

    def _path(self) -> Path:
        return self._stack[-1].next_path if self._stack else ()

    def _place(self, value: Any, extent: Extent) -> None:
        """Put ``value`` where the open collection awaits it."""
        self._tree.values.setdefault(self._path(), extent)
        if self._stack:
            self._stack[-1].add(value)
        else:
            self._tree.data = value


def _value(event: Any) -> Scalar:
    """Return what a scalar event means.

    Raises:
        BadScalarError: nothing that the language has.
    """
    text: str = event.value
    if found := forbidden(text):
        raise BadScalarError(f"the character {found[1]} cannot stand in a spec")
    return text if event.style or event.tag is not None else resolve(text)
