"""The language as a JSON Schema, draft-07: what editors complete, explain and check by.

Keys, types, bounds and defaults are those of the models; ``schema_words`` says what they are for
and ``schema_rules`` what they need of one another.
"""

from __future__ import annotations

import json
from typing import Any, get_args

from rnnspec.spec import models
from rnnspec.spec.schema.descriptions import KEYS, MAPPINGS, WORDS, About
from rnnspec.spec.schema.rules import BETWEEN_SECTIONS, NOT_REPEAT, TAKEN_NAMES, WITHIN, Schema

ID = "https://json.schemastore.org/rnnspec.json"

_KINDS: tuple[type[models.Model], ...] = get_args(get_args(models.RnnLayer)[0])
_FORMS = (models.Uniform, models.Normal, models.Constant)
_DEFINED: tuple[type[models.Model], ...] = (*_KINDS, models.Hidden)
"""What has a definition of its own; the sections, each used once, stand where they are used."""


def text() -> str:
    """Return the schema as JSON, always the same text."""
    return json.dumps(json_schema(), indent=2) + "\n"


def json_schema() -> Schema:
    """Return the schema as plain data."""
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
        **_mapping(models.Spec, made, found),
        "title": "rnnspec",
        "allOf": BETWEEN_SECTIONS,
        "definitions": {"Layer": _layer(kinds), **kinds, "Drawn": _drawn(drawn), **TAKEN_NAMES},
    }


def _mapping(model: type[models.Model], made: Schema, found: dict[str, Schema]) -> Schema:
    """Return the schema of a mapping from the one that pydantic ``made`` of its model."""
    name = model.__name__
    about = {"title": name, "description": MAPPINGS[name]} if name in MAPPINGS else {}
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
    about, default = _about(model, key), _default(made)
    return {
        "title": key.replace("_", " ").capitalize(),
        "description": about.description + _said(default.get("default")),
        **default,
        "examples": list(about.examples),
        **_value(model, key, made, found),
    }


def _about(model: type[models.Model], key: str) -> About:
    """Return what is said of a key where its model, or one that it extends, has it."""
    return next(KEYS[m.__name__][key] for m in model.__mro__ if key in KEYS.get(m.__name__, {}))


def _default(made: Schema) -> Schema:
    """Return a default as a keyword, unless it stands for the absence of a key or section."""
    unwritten = "$ref" in made or made.get("default") in (None, [])
    return {} if unwritten else {"default": made["default"]}


def _said(default: Any) -> str:
    """Say a default in words too: what yaml-language-server explains a key by leaves it out."""
    if default in (None, ""):
        return ""
    return f" By default {default if isinstance(default, str) else json.dumps(default)}."


def _value(model: type[models.Model], key: str, made: Schema, found: dict[str, Schema]) -> Schema:
    """Return what a key may have as its value."""
    match made:
        case {"$ref": str() as reference}:
            section = reference.rpartition("/")[2]
            return _mapping(getattr(models, section), found[section], found)
        case {"anyOf": [_, {"type": "array"} as layers]}:
            return _layers(layers)
        case {"oneOf": [{"enum": _} as words, *_]}:
            return _initializer(words)
        case _ if key == "name":
            taken = "TakenNetworkName" if model is models.Spec else "TakenLayerName"
            return {**_plain(made), "not": _reference(taken)}
        case _:
            return _plain(made)


def _plain(made: Schema) -> Schema:
    """Return a value's own keywords, and the meaning of each of its words."""
    kept = {name: made[name] for name in made if name not in {"title", "default"}}
    if "enum" in kept:
        kept["enumDescriptions"] = [WORDS[word] for word in kept["enum"]]
    return kept


def _initializer(words: Schema) -> Schema:
    """Return the schema of a word or a mapping, told apart so that an error is about the one."""
    drawn = _reference("Drawn")
    return {
        # Takes anything: yaml-language-server completes what stands here, not branches of an `if`.
        "anyOf": [_plain(words), drawn, True],
        "if": {"type": "object"},
        "then": drawn,
        "else": {"enum": words["enum"]},
    }


def _drawn(forms: list[Schema]) -> Schema:
    """Return the schema of a mapping that has the one key of one of ``forms``."""
    return {
        "title": "Drawn",
        "description": MAPPINGS["Drawn"],
        "type": "object",
        "additionalProperties": False,
        "minProperties": 1,
        "maxProperties": 1,
        "properties": {key: value for form in forms for key, value in form["properties"].items()},
    }


def _layers(made: Schema) -> Schema:
    """Return the schema of one layer or a list of them, of which the first is no repeat."""
    layer = _reference("Layer")
    first = {"allOf": [layer, NOT_REPEAT]}
    return {
        "type": ["object", "array"],
        "if": {"type": "array"},
        "then": {"minItems": made["minItems"], "items": [first], "additionalItems": layer},
        "else": first,
    }


def _layer(kinds: dict[str, Schema]) -> Schema:
    """Return the schema that picks the kind of a layer by its type, so that errors are its own."""
    types = {kinds[each.__name__]["properties"]["type"]["const"]: each.__name__ for each in _KINDS}
    return {
        "title": "Layer",
        "description": MAPPINGS["Layer"],
        "type": "object",
        "required": ["type"],
        "properties": {
            "type": {
                "title": "Type",
                "description": "The kind of layer, which decides on the other keys.",
                "examples": ["lstm"],
                "enum": list(types),
                "enumDescriptions": [WORDS[word] for word in types],
            }
        },
        "allOf": [
            {
                "if": {
                    "type": "object",
                    "required": ["type"],
                    "properties": {"type": {"const": word}},
                },
                "then": _reference(name),
            }
            for word, name in types.items()
        ],
    }


def _reference(name: str) -> Schema:
    return {"$ref": f"#/definitions/{name}"}
