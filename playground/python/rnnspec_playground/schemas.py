"""The parts of the JSON Schema of the language that describe one place of a spec."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from rnnspec.backends import reserved_names
from rnnspec.spec.json_schema import Schema, json_schema
from rnnspec.spec.yaml.text import Path

_TYPES = {"object": dict, "array": list}


def at(path: Path, data: Any) -> list[Schema]:
    """Return the schemas that apply to the value at ``path`` of ``data``."""
    schemas: list[Any] = [_root()]
    node = data
    for step in path:
        schemas = [inner for schema in schemas for inner in _child_schemas(schema, step, node)]
        node = child(node, step)
    return [inner for schema in schemas for inner in _schemas_of(schema, node)]


def properties(path: Path, data: Any) -> dict[str, Schema]:
    """Return the schema of each key that the mapping at ``path`` may have."""
    result: dict[str, Any] = {}
    for schema in at(path, data):
        for key, value in schema.get("properties", {}).items():
            # A key can occur in several schemas: with its description, and with conditions.
            if value is False or result.get(key) is False:
                result[key] = False
            elif "description" in value:
                result[key] = value
    return {key: value for key, value in result.items() if value is not False}


@cache
def _root() -> Schema:
    return json_schema(reserved_names())


def _child_schemas(schema: Any, step: str | int, node: Any) -> Iterator[Any]:
    """Yield the schemas of a child of ``node``, which ``schema`` describes."""
    for part in _schemas_of(schema, node):
        if isinstance(step, str):
            named = part.get("properties", {})
            if step in named:
                yield named[step]
            elif isinstance(part.get("additionalProperties"), dict):
                yield part["additionalProperties"]
        else:
            yield from _items(part, step)


def _items(schema: Schema, index: int) -> Iterator[Any]:
    match schema.get("items"):
        case list() as first:
            yield first[index] if index < len(first) else schema["additionalItems"]
        case dict() as every:
            yield every
        case _:
            return


def _schemas_of(schema: Any, node: Any) -> Iterator[Schema]:
    """Yield the schemas without conditions that ``schema`` applies to ``node``."""
    if not isinstance(schema, dict):
        return
    yield schema
    if "$ref" in schema:
        yield from _schemas_of(_root()["definitions"][schema["$ref"].rpartition("/")[2]], node)
    parts = [*schema.get("allOf", ()), *schema.get("anyOf", ())]
    holds = _holds(schema["if"], node) if "if" in schema else None
    if holds is not None:
        parts.append(schema.get("then" if holds else "else"))
    for part in parts:
        yield from _schemas_of(part, node)


def _holds(condition: Schema, node: Any) -> bool | None:
    """True if a condition about keys holds, None if it has others."""
    if set(condition) == {"not"}:
        inner = _holds(condition["not"], node)
        return None if inner is None else not inner
    if set(condition) - {"type", "required", "properties", "const", "enum"}:
        return None
    if not isinstance(node, _TYPES.get(condition.get("type", ""), object)):
        return False
    if "const" in condition:
        return bool(node == condition["const"])
    if "enum" in condition:
        return node in condition["enum"]
    keys: dict[str, Any] = node if isinstance(node, dict) else {}
    if any(key not in keys for key in condition.get("required", ())):
        return False
    parts = condition.get("properties", {})
    of_keys = [_holds(part, keys[key]) for key, part in parts.items() if key in keys]
    return None if None in of_keys else all(of_keys)


def child(node: Any, step: str | int) -> Any:
    """Return the value under a key or index of a value, None if there is none."""
    match node, step:
        case dict(), str():
            return node.get(step)
        case list(), int() if step < len(node):
            return node[step]
        case _:
            return None
