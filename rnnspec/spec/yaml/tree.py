"""Conversion of PyYAML's events to plain data with positions, in one loop with a stack."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import yaml

from rnnspec.errors.wording import cut_value, quoted, received
from rnnspec.spec.yaml.events import StopReadingError, events
from rnnspec.spec.yaml.text import (
    Extent,
    Path,
    TextLines,
    first_forbidden,
    foreign_letter,
    invisible,
    tabs,
)


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


Scalar = str | int | float | bool | None

# As many as the largest 64-bit integer has.
_MAX_DIGITS = 19
_WORDS: dict[str, bool | None] = {
    "": None,
    "~": None,
    **dict.fromkeys(("null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
# YAML 1.2.2, section 10.3.2, as one pattern, whose matching group is the type.
_NUMBER = re.compile(
    r"(?P<int>[-+]?[0-9]+)"
    r"|(?P<float>[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?)"
    r"|(?P<based>0o[0-7]+|0x[0-9a-fA-F]+)"
    r"|(?P<infinite>[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))"
)


class BadScalarError(ValueError):
    """A scalar that is valid in YAML but not in the language."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def resolve(text: str) -> Scalar:
    """Return the value of the plain scalar ``text``.

    Raises:
        BadScalarError: the number is octal, hexadecimal, infinite, too long, or starts with zero.
    """
    if text in _WORDS:
        return _WORDS[text]
    match = _NUMBER.fullmatch(text)
    if match is None:
        return text
    match match.lastgroup:
        case "int":
            return _integer(text)
        case "float":
            return _float(text)
        case "based":
            message = f"expected a decimal number, received {quoted(text)}"
            write = f" (write {int(text, 0)})" if len(text) <= _MAX_DIGITS else ""
            raise BadScalarError("E211", message + write)
        case _:
            raise BadScalarError("E212", f"expected a finite number, received {quoted(text)}")


def _integer(text: str) -> int:
    digits = text.lstrip("+-")
    if len(digits) > 1 and digits.startswith("0"):
        raise BadScalarError("E210", _leading_zeros(text, digits))
    # Checked before int(), which raises its own error for more than 4300 digits.
    if len(digits) > _MAX_DIGITS:
        message = (
            f"expected an integer of at most {_MAX_DIGITS} digits, received one of "
            f"{len(digits)} digits"
        )
        raise BadScalarError("E213", message)
    return int(text)


def _float(text: str) -> float:
    value = float(text)
    # float() turns large numbers into infinity and small ones into zero, without an error.
    mantissa = re.split("[eE]", text)[0]
    if value in (float("inf"), float("-inf")) or (value == 0.0 and mantissa.strip("+-0.")):
        message = f"expected a number that fits in 64 bits, received {quoted(text)}"
        raise BadScalarError("E213", message)
    return value


def _leading_zeros(text: str, digits: str) -> str:
    message = f"expected a number without leading zeros, received {quoted(text)}"
    # int() raises an error for more than 4300 digits.
    if len(digits) > _MAX_DIGITS:
        return message
    decimal = int(text)
    octal = decimal if set(digits) & {"8", "9"} else int(text, 8)
    if decimal == octal:
        return f"{message} (write {decimal})"
    return f"{message} (YAML 1.2 reads {decimal}, YAML 1.1 reads {octal}; write the one you mean)"


# Limits that keep hostile files cheap, such as half a megabyte of brackets. Aliases, with which a
# few lines can stand for billions of values, are refused and never expanded.
MAX_DEPTH = 32
MAX_NODES = 20_000

# Only its events are used, never its constructors, so no tag can create an object. libyaml is an
# optional part of PyYAML, and more than ten times as fast as the parser in Python.
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_MOST_TABS = 1_000
_TAG = re.compile(r"!\S*")
_TOO_MANY = "E108"


_COMMAS = re.compile(r"[-+]?[0-9]{1,19}(?:,[0-9]{1,19}){1,6}(?=\s*[,}])")
_LONGEST_NUMBER = 64


def comma_in_number(text: str, start: int) -> tuple[Extent, str] | None:
    """Return the extent of a number with commas around ``start`` in braces, and the message."""
    begin = start
    # A tuple, because the empty text before the first character is 'in' every string.
    while start - begin < _LONGEST_NUMBER and text[begin - 1 : begin] in tuple("0123456789,+-"):
        begin -= 1
    match = _COMMAS.match(text, begin)
    if match is None or not begin < start < match.end() or not text[begin - 1].isspace():
        return None
    number = without_comma(match.group())
    hint = f" (write {number})" if number else ""
    message = f"expected a number without commas, received {match.group()!r}{hint}"
    return match.span(), message


def without_comma(number: str) -> str | None:
    """Return ``1000`` for ``1,000``, ``0.5`` for ``0,5``, and None if neither was meant."""
    first, *groups = number.split(",")
    digits = first.lstrip("+-")
    if digits[:1] != "0" and len(digits) <= 3 and {len(group) for group in groups} == {3}:
        return first + "".join(groups)
    # Three digits after the comma are thousands, unless only a zero is before it.
    fraction = len(groups) == 1 and (digits == "0" or len(groups[0]) < 3)
    return f"{first}.{groups[0]}" if fraction else None


@dataclass(slots=True)
class _Frame:
    """An open collection.

    In a mapping, ``key`` is the key whose value comes next, if any. With ``lost``, this value is
    read only for its faults, and then discarded.
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
    """The data, positions and faults of a text; not ``whole`` if reading stopped early."""

    data: Any = None
    values: dict[Path, Extent] = field(default_factory=dict)
    keys: dict[Path, Extent] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    whole: bool = True


def grow(text: str, loader: Any = None) -> Tree:
    """Return the tree of ``text``, which must not contain forbidden characters."""
    first = loader or LOADER
    tree = grow_once(text, first)
    if tree.whole or first is yaml.SafeLoader or tree.faults[-1].code == _TOO_MANY:
        return tree
    # What libyaml rejects is read again by PyYAML's own parser, so that the message is the same
    # without libyaml. It stops at the same position, so it reads only the valid part again.
    again = grow_once(text, yaml.SafeLoader)
    return again if again.faults else tree


def grow_once(text: str, loader: Any = None) -> Tree:
    """Return the tree that a single parser makes of ``text``; its error messages may differ."""
    tree = Tree()
    if "\t" in text:
        message = "found a tab; use a space, or '\\t' in double quotes"
        tree.faults += [
            Fault((), (start, start + 1), "E112", message, key=True)
            for start in tabs(text, _MOST_TABS)
        ]
    builder = _Builder(tree, text)
    try:
        for event, extent in events(text, loader or LOADER):
            builder.take(event, extent)
    except StopReadingError as stop:
        tree.faults.append(Fault((), stop.extent, stop.code, stop.message))
        tree.whole = False
    return tree


class _Builder:
    def __init__(self, tree: Tree, text: str) -> None:
        self._tree = tree
        self._text = text
        self._lines = TextLines(text)
        # Recursion would let a text choose a depth at which CPython maps memory at each call.
        self._stack: list[_Frame] = []
        self._nodes = 0
        self._documents = 0

    def take(self, event: Any, extent: Extent) -> None:
        """Add the content of ``event`` to the tree."""
        match event:
            case yaml.ScalarEvent():
                self._count(extent)
                self._scalar(event, extent)
            case yaml.DocumentStartEvent():
                self._documents += 1
                if self._documents > 1:
                    message = "expected one document, found a second one"
                    raise StopReadingError(extent, "E205", message)
            case yaml.AliasEvent():
                self._count(extent)
                self._alias(event, extent)
            case yaml.MappingStartEvent():
                self._open(event, {}, extent)
            case yaml.SequenceStartEvent():
                self._open(event, [], extent)
            case yaml.CollectionEndEvent():
                frame = self._stack.pop()
                # The value of a duplicate key has the path of the first one, and does not replace
                # it.
                if self._tree.values.get(frame.path, extent)[0] == frame.start:
                    self._tree.values[frame.path] = (frame.start, extent[1])
            case _:
                pass

    def _count(self, extent: Extent) -> None:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            message = f"expected at most {MAX_NODES} keys and values, found more"
            raise StopReadingError(extent, "E108", message)

    def _open(self, event: Any, node: dict[str, Any] | list[Any], extent: Extent) -> None:
        self._count(extent)
        if len(self._stack) == MAX_DEPTH:
            message = f"expected at most {MAX_DEPTH} levels of nesting, found more"
            raise StopReadingError(extent, "E107", message)
        if self._expects_key():
            kind = "mapping" if isinstance(node, dict) else "list"
            message = f"expected a string as the key, received a {kind}"
            self._lose_key("?", extent, "E208", message)
            self._stack.append(_Frame(node, self._path(), extent[0]))
        else:
            self._refuse_properties(event, extent)
            # Before _place, which moves on to the path of the next value.
            frame = _Frame(node, self._path(), extent[0])
            self._place(node, extent)
            self._stack.append(frame)

    def _scalar(self, event: Any, extent: Extent) -> None:
        # In braces, the comma of 1,000 ends a value, and 000 is read as the next key.
        if event.value[:1].isdecimal() and self._expects_key():
            cut = comma_in_number(self._text, extent[0])
            if cut is not None:
                self._cut_number(*cut)
                return
        try:
            value = self._value(event)
        except BadScalarError as error:
            self._bad_node(event.value, extent, error.code, str(error))
            return
        if self._expects_key():
            self._key(event, value, extent)
        else:
            self._refuse_properties(event, extent)
            self._place(value, extent)

    def _value(self, event: Any) -> Scalar:
        """Return the value of a scalar event.

        Raises:
            BadScalarError: the language has no such value.
        """
        text: str = event.value
        if not (text.isascii() and text.isprintable()):
            is_free_text = self._path() == ("description",)
            flaw = first_forbidden(text) or (None if is_free_text else invisible(text))
            if flaw:
                raise BadScalarError(*flaw[1:])
        return text if event.style or event.tag is not None else resolve(text)

    def _alias(self, event: Any, extent: Extent) -> None:
        # The key of this value was reported already.
        if self._stack and self._stack[-1].lost:
            self._place(None, extent)
            return
        alias = cut_value(event.anchor)
        message = f"aliases (*{alias}) are not supported; write the value out"
        self._bad_node(None, extent, "E202", message)

    def _key(self, event: Any, value: Scalar, extent: Extent) -> None:
        if value == "<<" and not event.style:
            message = "merge keys (<<) are not supported; write the keys out"
            self._lose_key("<<", extent, "E204", message)
        elif not isinstance(value, str):
            message = f"expected a string as the key, received {received(value)}"
            self._lose_key("?", extent, "E208", message)
        elif letter := foreign_letter(value):
            message = f"key {quoted(value)} contains {letter}; keys are plain ASCII"
            self._lose_key(value, extent, "E105", message)
        else:
            self._refuse_properties(event, extent, value)
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
            self._tree.faults.append(Fault(path, extent, "E207", message, key=True))

    def _cut_number(self, extent: Extent, message: str) -> None:
        """Refuse the value before the current key: a number that a comma in braces ended."""
        frame = self._stack[-1]
        frame.key, frame.lost = "?", True
        last = islice(reversed(frame.node), 1)
        fault = Fault((*frame.path, *last), extent, "E216", message)
        # A number with several commas gets here once for each of them.
        if fault not in self._tree.faults[-1:]:
            self._tree.faults.append(fault)

    def _bad_node(self, value: str | None, extent: Extent, code: str, message: str) -> None:
        if self._expects_key():
            # How to write a number is no advice for a key, which cannot be one.
            if value is not None and code.startswith("E21"):
                code, message = "E208", f"expected a string as the key, received {cut_value(value)}"
            self._lose_key("?", extent, code, message)
        else:
            self._tree.faults.append(Fault(self._path(), extent, code, message))
            self._place(value, extent)

    def _lose_key(self, name: str, extent: Extent, code: str, message: str) -> None:
        """Refuse a key; paths contain ``name`` in its place."""
        frame = self._stack[-1]
        frame.key, frame.lost = name, True
        fault = Fault(frame.next_path, extent, code, message, key=True, hides_keys=True)
        self._tree.faults.append(fault)

    def _refuse_properties(self, event: Any, extent: Extent, key: str | None = None) -> None:
        if event.anchor is None and event.tag is None:
            return
        path = self._path() if key is None else (*self._path(), key)
        # As written: the event has the tag in its long form.
        tag = _TAG.search(self._text, extent[0]) if event.tag else None
        for value, code, name, hint in (
            (event.anchor, "E201", "anchors (&", "write the value out"),
            (tag and tag.group(), "E203", "tags (", "remove the tag"),
        ):
            if value:
                message = f"{name}{cut_value(value)}) are not supported; {hint}"
                self._tree.faults.append(Fault(path, extent, code, message, key is not None))

    def _expects_key(self) -> bool:
        return bool(self._stack) and self._stack[-1].expects_key

    def _path(self) -> Path:
        return self._stack[-1].next_path if self._stack else ()

    def _place(self, value: Any, extent: Extent) -> None:
        """Add ``value`` to the innermost open collection."""
        self._tree.values.setdefault(self._path(), extent)
        if self._stack:
            self._stack[-1].add(value)
        else:
            self._tree.data = value
