"""Completion of keys and values from the JSON Schema of the language."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import reduce
from typing import Any

from rnnspec.errors import SpecError, listed
from rnnspec.spec.json_schema import Schema
from rnnspec.spec.yaml.text import Path
from rnnspec.spec.zoo import zoo_names
from rnnspec_playground.cursor import Cursor, find
from rnnspec_playground.equations import (
    cell_settings,
    declared_cells,
    is_equation,
    known_names,
    parameter_names,
    state_names,
)
from rnnspec_playground.schemas import at, child, properties

_NOUNS = {"object": "mapping", "array": "list", "boolean": "true or false"}


@dataclass(frozen=True, slots=True)
class Option:
    """A key or value with its type or default in ``detail``; ``insert`` is the text to insert."""

    label: str
    insert: str
    detail: str
    description: str


def complete(text: str, line: int, column: int) -> dict[str, Any]:
    """Return the keys or values that fit at a cursor, as plain data.

    ``options`` is a list of ``Option``, which replace the characters from ``column`` to
    ``end_column``. Lines and columns are counted in characters from 1; the cursor is before
    ``column``. Other text than a spec gets no options.
    """
    try:
        cursor = find(text, line, column)
    except SpecError:
        cursor = None
    if cursor is None:
        return {"column": column, "end_column": column, "options": []}
    return {
        "column": cursor.word.column,
        "end_column": cursor.word.end_column,
        "options": [asdict(option) for option in _options(cursor)],
    }


def _options(cursor: Cursor) -> Iterator[Option]:
    if cursor.is_key:
        return _keys(cursor)
    if is_equation(cursor.path):
        return _names(cursor)
    return _values(cursor.path, cursor.data)


def _names(cursor: Cursor) -> Iterator[Option]:
    """Yield the names that may stand in an expression."""
    for name, about in known_names(cursor.path, cursor.data):
        is_function = about.startswith(f"{name}(")
        call = "" if not is_function or cursor.word.has_parenthesis else "("
        yield Option(name, f"{name}{call}", about, "A function." if is_function else "")


def _keys(cursor: Cursor) -> Iterator[Option]:
    """Yield the keys that the mapping at the cursor may have and does not have."""
    mapping = cursor.path[:-1]
    present = reduce(child, mapping, cursor.data)
    for key, schema in properties(mapping, cursor.data).items():
        if key not in present:
            insert = key if cursor.word.has_colon else f"{key}: "
            yield Option(key, insert, detail(schema), schema["description"])
    for key, about in _own_keys(mapping, cursor.data):
        if key not in present:
            yield Option(key, key if cursor.word.has_colon else f"{key}: ", about, "")


def _own_keys(path: Path, data: Any) -> Iterator[tuple[str, str]]:
    """Yield the keys that a spec defines itself: names of its cells, and what they are."""
    cells = declared_cells(data)
    match path:
        case ("cells", str() as name) if len(cells.get(name, ())) == 1:  # the key at the cursor
            yield "from", "a cell that rnnspec has"
        case ("cells", name, "equations", *_) if name in cells:
            yield from ((state, "state") for state in state_names(cells[name]))
        case ("cells", name, "initialize" | "parameters") if name in cells:
            yield from ((parameter, "parameter") for parameter in parameter_names(cells[name]))
        case ("rnn",) | ("rnn", _):
            kind = child(reduce(child, path, data), "type")
            settings = cell_settings(cells.get(str(kind), {}))
            yield from ((name, f"{value} by default") for name, value in settings.items())
        case _:
            return


def detail(schema: Schema) -> str:
    """Return the type of a value, with its bounds."""
    if "const" in schema:
        return json.dumps(schema["const"])
    if "enum" in schema:
        return listed([str(value) for value in schema["enum"][:4]], "or")
    if "anyOf" in schema:
        return "name or mapping"
    kinds = schema.get("type", "")
    kinds = [kinds] if isinstance(kinds, str) else kinds
    return listed([_NOUNS.get(kind, kind) for kind in kinds], "or")


def _values(path: Path, data: Any) -> Iterator[Option]:
    """Yield the values that the schema names for ``path``, each once."""
    options = [option for schema in at(path, data) for option in _named_values(schema)]
    match path:
        case ("rnn", "type") | ("rnn", _, "type"):
            options += [_value(name, "A cell of this spec.") for name in declared_cells(data)]
        case ("cells", _, "from"):
            options += [_value(name, "") for name in zoo_names()]
        case _:
            pass
    labels = dict.fromkeys(option.label for option in options)
    # The first has the description: an `else` repeats the names alone.
    first = {option.label: option for option in reversed(options)}
    yield from (first[label] for label in labels)


def _named_values(schema: Schema) -> Iterator[Option]:
    if "enum" in schema:
        about = schema.get("enumDescriptions", [""] * len(schema["enum"]))
        for value, words in zip(schema["enum"], about, strict=True):
            yield _value(value, words)
    elif "const" in schema:
        yield _value(schema["const"], schema.get("description", ""))
    elif schema.get("type") == "boolean":
        for flag in (True, False):
            yield _value(flag, "")
    else:
        for example in schema.get("examples", ()):
            if isinstance(example, int | float):
                yield _value(example, "An example.")


def _value(value: Any, description: str) -> Option:
    text = value if isinstance(value, str) else json.dumps(value)
    return Option(text, text, "", description)
