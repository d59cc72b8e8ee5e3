"""JSON Schema (draft-07) of the language, for completion, help and checks in editors.

Keys, types, bounds, defaults and descriptions come from the models, those of fixed values from
``words``, and conditions that involve several keys from ``rules``.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, get_args

from rnnspec.spec import models
from rnnspec.spec.schema.rules import (
    BETWEEN_SECTIONS,
    NOT_REPEAT,
    WITHIN,
    Schema,
    taken_names_schemas,
)
from rnnspec.words import MEANINGS

if TYPE_CHECKING:
    from rnnspec.taken_names import TakenNames

ID = "https://json.schemastore.org/rnnspec.json"

_KINDS: tuple[type[models.Model], ...] = get_args(get_args(models.RnnLayer)[0])
_FORMS = (models.Uniform, models.Normal, models.Constant)
_DEFINED: tuple[type[models.Model], ...] = (*_KINDS, models.Hidden)
"""Models with a separate definition; sections are inlined, because each is used once."""


def text(taken: tuple[TakenNames, ...]) -> str:
    """Return the schema as JSON text, which is the same in every run."""
    return json.dumps(json_schema(taken), indent=2) + "\n"


def json_schema(taken: tuple[TakenNames, ...]) -> Schema:
    """Return the schema as plain data; ``taken`` are the names that the backends use."""
    for model in models.Model.__subclasses__():
        # Schemas of models are built late, and pydantic before 2.14 cannot write a default that is
        # a model without its own schema.
        model.model_rebuild()
    made = models.Spec.model_json_schema(ref_template="#/definitions/{model}")
    found: dict[str, Schema] = made.pop("$defs")
    kinds = {each.__name__: _mapping(each, found[each.__name__], found) for each in _DEFINED}
    drawn = [_mapping(form, found[form.__name__], found) for form in _FORMS]
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$id": ID,
        "title": "rnnspec",
        "description": "A recurrent network, which rnnspec builds with every backend.",
        **_mapping(models.Spec, made, found),
        "allOf": BETWEEN_SECTIONS,
        "definitions": {
            "Layer": _layer(kinds),
            **kinds,
            "Drawn": _drawn_schema(drawn),
            **taken_names_schemas(taken),
        },
    }


def _mapping(model: type[models.Model], made: Schema, found: dict[str, Schema]) -> Schema:
    """Return the schema of a mapping, based on ``made``, the schema from pydantic."""
    name = model.__name__
    # A section is described by its key.
    about = {"title": name, "description": model.__doc__} if model in _DEFINED else {}
    properties = {
        key: _property(model, key, schema, found) for key, schema in made["properties"].items()
    }
    required = {"required": made["required"]} if "required" in made else {}
    return {
        **about,
        "type": "object",
        "additionalProperties": False,
        **required,
        "properties": properties,
        **WITHIN.get(name, {}),
    }


def _property(
    model: type[models.Model], key: str, made: Schema, found: dict[str, Schema]
) -> Schema:
    field, default = model.model_fields[key], _default(made)
    # The type of a layer is described by the model that it selects.
    description = model.__doc__ if key == "type" else field.description
    assert description, f"{model.__name__}.{key} has no description"
    return {
        "title": key.replace("_", " ").capitalize(),
        "description": description + _default_sentence(default.get("default")),
        **default,
        "examples": [made["const"]] if key == "type" else field.examples,
        **_value(model, key, made, found),
    }


def _default(made: Schema) -> Schema:
    """Return the keyword ``default``, unless the default means that the key is absent."""
    absent = "$ref" in made or made.get("default") in (None, [])
    return {} if absent else {"default": made["default"]}


def _default_sentence(default: Any) -> str:
    """Return a sentence about the default, which yaml-language-server does not show otherwise."""
    if default in (None, ""):
        return ""
    return f" By default {default if isinstance(default, str) else json.dumps(default)}."


def _value(model: type[models.Model], key: str, made: Schema, found: dict[str, Schema]) -> Schema:
    """Return the schema of the value of a key."""
    # The patterns are the forms in which pydantic writes sections, layers and initializers.
    match made:
        case {"$ref": str() as reference}:
            section = reference.rpartition("/")[2]
            return _mapping(getattr(models, section), found[section], found)
        case {"anyOf": [_, {"type": "array"} as layers]}:
            return _layers(layers)
        case {"oneOf": [{"type": "boolean"}, {"$ref": str() as reference}]}:
            section = reference.rpartition("/")[2]
            inside = _mapping(getattr(models, section), found[section], found)
            return {"type": ["boolean", "object"], "if": {"type": "object"}, "then": inside}
        case {"oneOf": [{"enum": _} as names, *_]}:
            return _initializer(names)
        case _ if key == "name":
            taken = "TakenNetworkName" if model is models.Spec else "TakenLayerName"
            return {**_plain(made), "not": _reference(taken)}
        case _:
            return _plain(made)


def _plain(made: Schema) -> Schema:
    """Return the keywords of a value, with a description of each fixed value."""
    ours = {"title", "default", "description", "examples"}
    kept = {name: made[name] for name in made if name not in ours}
    if "enum" in kept:
        # Not part of draft-07: an extension that editors show.
        kept["enumDescriptions"] = [MEANINGS[value] for value in kept["enum"]]
    return kept


def _initializer(names: Schema) -> Schema:
    """Return the schema of a name or a mapping; an error mentions only the one that was written."""
    drawn = _reference("Drawn")
    return {
        # Accepts anything: yaml-language-server completes from here, not from branches of an `if`.
        "anyOf": [_plain(names), drawn, True],
        "if": {"type": "object"},
        "then": drawn,
        "else": {"enum": names["enum"]},
    }


def _drawn_schema(forms: list[Schema]) -> Schema:
    """Return the schema of a mapping with a single key, that of one of ``forms``."""
    return {
        "title": "Drawn",
        "description": "The distribution of the initial weights, given by a single key.",
        "type": "object",
        "additionalProperties": False,
        "minProperties": 1,
        "maxProperties": 1,
        "properties": {key: value for form in forms for key, value in form["properties"].items()},
    }


def _layers(made: Schema) -> Schema:
    """Return the schema of one layer or a list of layers; the first must not be a repeat."""
    layer = _reference("Layer")
    first = {"allOf": [layer, NOT_REPEAT]}
    return {
        "type": ["object", "array"],
        "if": {"type": "array"},
        "then": {"minItems": made["minItems"], "items": [first], "additionalItems": layer},
        "else": first,
    }


def _layer(kinds: dict[str, Schema]) -> Schema:
    """Return the schema that selects a layer by its type; errors mention only this type."""
    types = {kinds[each.__name__]["properties"]["type"]["const"]: each.__name__ for each in _KINDS}
    return {
        "title": "Layer",
        "description": "A recurrent layer, or a repeat of the final state between two of them.",
        "type": "object",
        "required": ["type"],
        "properties": {
            "type": {
                "title": "Type",
                "description": "The type of layer, which determines the other keys.",
                "examples": ["lstm"],
                "enum": list(types),
                "enumDescriptions": [MEANINGS[value] for value in types],
            }
        },
        "allOf": [
            {
                "if": {
                    "type": "object",
                    "required": ["type"],
                    "properties": {"type": {"const": value}},
                },
                "then": _reference(name),
            }
            for value, name in types.items()
        ],
    }


def _reference(name: str) -> Schema:
    return {"$ref": f"#/definitions/{name}"}
