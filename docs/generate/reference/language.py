"""The reference of the language, read from its JSON Schema, which comes from the models."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from docs.generate.markdown import table
from rnnspec.backends import reserved_names
from rnnspec.spec import json_schema

Schema = dict[str, Any]
_LARGEST = 10**9
"""Bounds beyond this are limits of addresses, not of the language."""


def language_page() -> dict[str, str]:
    """Return the page with every key, and the schema that editors use."""
    schema = json_schema.json_schema(reserved_names())
    parts = [_section(path, part) for path, part in _mappings("", schema, schema["definitions"])]
    return {
        "reference/keys.md": "\n".join(["# Every key\n", *parts, _values(schema), _DOWNLOAD]),
        "reference/rnnspec.schema.json": json_schema.text(reserved_names()),
    }


_DOWNLOAD = """## JSON Schema

[rnnspec.schema.json](rnnspec.schema.json) is this page for editors, as `rnnspec schema` prints it.
"""


def _mappings(path: str, schema: Schema, defined: Schema) -> Iterator[tuple[str, Schema]]:
    """Yield each mapping of the language with its path, in the order of the keys."""
    yield path, schema
    for key, value in schema["properties"].items():
        inside = f"{path}.{key}" if path else key
        if key == "rnn":
            yield from _layers(defined)
        elif key == "inputs":
            yield "inputs.NAME", defined["NamedInput"]
            embedding = defined["NamedInput"]["properties"]["embedding"]
            yield "inputs.NAME.embedding as a mapping", embedding["then"]
        elif key == "cells":
            yield "cells.NAME", defined["Cell"]
            yield "cells.NAME.equations[i] with repeat", defined["EquationBlock"]
            yield "cells.NAME as one of rnnspec's", defined["ZooCell"]
        elif "properties" in value:
            yield from _mappings(inside, value, defined)
        elif "properties" in value.get("then", {}):
            yield f"{inside} as a mapping", value["then"]
        elif key == "hidden":
            # The other types are those of `rnn`.
            yield f"{inside}[i], type: dense", defined["Hidden"]
    if path == "initializers":
        yield "initializers as a mapping", defined["Drawn"]
    if path == "head":
        yield "pooling as a mapping", defined["PoolingWithSettings"]
        yield "pooling.attention", defined["PoolingWithSettings"]["properties"]["attention"]
        yield "activation as a mapping", defined["ActivationWithNumber"]


def _layers(defined: Schema) -> Iterator[tuple[str, Schema]]:
    nested: Schema = {}
    for choice in defined["Layer"]["allOf"]:
        # The last choice is that of all other types.
        kind = choice["if"]["properties"]["type"].get("const", "a name of cells")
        layer = defined[choice["then"]["$ref"].rpartition("/")[2]]
        yield f"rnn[i], type: {kind}", layer
        switches = {key: value for key, value in layer["properties"].items() if "then" in value}
        nested |= {
            key: value["then"] for key, value in switches.items() if "properties" in value["then"]
        }
    for key, value in nested.items():
        yield f"rnn[i].{key} as a mapping", value


def _values(schema: Schema) -> str:
    rows = [(f"`{value}`", meaning) for value, meaning in sorted(set(_meanings_of(schema)))]
    return "\n".join(["## Every value\n", table(("value", "meaning"), rows)])


def _meanings_of(schema: object) -> Iterator[tuple[str, str]]:
    """Yield each value that a key with fixed values accepts, with its meaning."""
    match schema:
        case dict():
            yield from zip(schema.get("enum", []), schema.get("enumDescriptions", []), strict=False)
            yield from _meanings_of(list(schema.values()))
        case list():
            for item in schema:
                yield from _meanings_of(item)
        case _:
            pass


def _section(path: str, schema: Schema) -> str:
    required = schema.get("required", [])
    rows = [
        (f"`{key}`" + (" (required)" if key in required else ""), _value(value), _about(value))
        for key, value in schema["properties"].items()
    ]
    title = f"## `{path}`\n" if path else "## The file\n"
    about = f"{schema['description']}\n" if "description" in schema else ""
    return "\n".join([title, about, table(("key", "value", "meaning"), rows)])


def _about(schema: Schema) -> str:
    examples = schema.get("examples", [])
    words = [f"`{json.dumps(value)}`" for value in examples if not isinstance(value, dict | list)]
    return f"{schema['description']} Example: {words[0]}" if words else str(schema["description"])


def _value(schema: Schema) -> str:
    match schema:
        case {"const": value}:
            return f"`{value}`"
        case {"anyOf": [{"enum": [*values]}, other, *_]}:
            more = ", or a list" if other.get("type") == "array" else ", or a mapping"
            return ", ".join(f"`{value}`" for value in values) + more
        case {"enum": [*values]}:
            return ", ".join(f"`{value}`" for value in values)
        case {"type": [*kinds]}:
            return " or ".join(_kind(kind) for kind in kinds)
        case {"type": kind}:
            return _kind(kind) + _bounds(schema)
        case _:
            return "any"


def _kind(kind: str) -> str:
    return {"object": "mapping", "array": "list", "boolean": "true or false"}.get(kind, kind)


def _bounds(schema: Schema) -> str:
    words = {
        "minimum": "at least",
        "exclusiveMinimum": "above",
        "maximum": "at most",
        "exclusiveMaximum": "below",
    }
    bounds = [
        f"{word} {schema[key]}"
        for key, word in words.items()
        if key in schema and abs(schema[key]) < _LARGEST
    ]
    return f", {', '.join(bounds)}" if bounds else ""
