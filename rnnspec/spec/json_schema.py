"""JSON Schema (draft-07) of the language, for completion, help and checks in editors.

Keys, types, bounds, defaults and descriptions come from the models, those of fixed values from
``words``. Conditions that involve several keys are those of ``spec.rules`` and ``spec.names``, as
far as JSON Schema can express them. Each is written so that a validator points at the invalid key:
a key that is not allowed has the schema ``False``, instead of a failed ``not`` of the whole
document.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from rnnspec.spec import models, names
from rnnspec.words import MEANINGS

if TYPE_CHECKING:
    from rnnspec.words import ReservedNames

Schema = dict[str, Any]


def _name_schema(reserved_names: set[str], pattern: str, description: str) -> Schema:
    # Names that do not match the pattern of names are rejected already.
    possible = sorted(name for name in reserved_names if re.fullmatch(names.NAME_PATTERN, name))
    return {
        "description": description,
        "anyOf": [{"enum": possible}, {"pattern": f"^(?:{pattern})$"}],
    }


def _taken_names_schemas(taken: tuple[ReservedNames, ...]) -> dict[str, Schema]:
    """Return the schemas of names that no network, no layer and no input can have."""
    # A class name has no underscores, so neither have these. JSON Schema cannot remove those of a
    # name before a comparison: the pattern allows them everywhere.
    classes = names.without_underscores(taken) | {n for n in names.BUILTINS if "_" not in n}
    class_pattern = "|".join("".join(f"{letter}_*" for letter in name) for name in sorted(classes))
    of_layers = {*names.KEYWORDS, *names.CAPITAL_KEYWORDS, names.INPUT}
    of_frameworks = [own.framework_pattern for own in taken if own.framework_pattern]
    return {
        "TakenNetworkName": _name_schema(
            {
                *names.KEYWORDS,
                *names.CAPITAL_KEYWORDS,
                *names.PACKAGES,
                *names.STANDARD_LIBRARY,
                *names.RUN_UNASKED,
                *names.WINDOWS_DEVICES,
            },
            class_pattern,
            "Keywords, modules and builtins of Python, packages, and names used in generated code.",
        ),
        "TakenLayerName": {
            "description": "Keywords of Python, and the name of the input.",
            "enum": sorted(of_layers),
        },
        "TakenInputName": _name_schema(
            of_layers,
            "|".join(of_frameworks),
            "Names that no layer can have, and operations of Keras.",
        ),
    }


def _require(key: str, schema: Schema) -> Schema:
    """Require ``key``, with a value that matches ``schema``."""
    return {"required": [key], "properties": {key: schema}}


def _apply(key: str, schema: Schema | bool) -> Schema:
    """Apply ``schema`` to the value of ``key``, which may be absent."""
    # Accepts anything but a mapping, so this is reported once, by the schema of the key itself.
    return {"properties": {key: schema}}


def _reference(name: str) -> Schema:
    return {"$ref": f"#/definitions/{name}"}


_FALSE: Schema = {"const": False}

_ASKS_ONCE: Schema = {
    "bidirectional": _FALSE,
    "layers": {"maximum": 1},
    "recurrent_dropout": {"maximum": 0},
}
# Only the dependency would accept `merge` beside `bidirectional: false`.
_RECURRENT: Schema = {
    "dependencies": {"merge": ["bidirectional"], "variational": ["dropout"]},
    "allOf": [
        {"if": {"required": ["direction"]}, "then": _apply("bidirectional", _FALSE)},
        {
            "if": _require("layers", {"type": "integer", "minimum": 2}),
            "then": _apply(
                "initial_state", {"if": {"type": "object"}, "then": {"required": ["of"]}}
            ),
        },
        {"if": {"required": ["merge"]}, "then": _apply("bidirectional", {"const": True})},
        {"if": {"required": ["variational"]}, "then": _apply("dropout", {"exclusiveMinimum": 0})},
        {
            "if": {"required": ["attention"]},
            "then": {"properties": _ASKS_ONCE},
        },
    ],
}
_ADDITIVE: Schema = {"const": "additive"}
_SCORED: Schema = {
    "if": _require("score", _ADDITIVE),
    "then": {"required": ["units"]},
    "else": {"properties": {"units": False, "bias": False, "activation": False}},
}
_KEEPS_STEPS: Schema = {
    "anyOf": [{"const": "none"}, {"required": ["last_steps"], "type": "object"}]
}
_EMBEDDING: Schema = {
    "dependencies": {"weights": ["words"], "words": ["weights"]},
    "if": _require("mask_zero", {"const": True}),
    "then": _apply("vocabulary", {"minimum": 2}),
}
WITHIN: dict[str, Schema] = {
    "Input": {"minProperties": 1, "dependencies": {"mask_value": ["features"]}},
    "Embedding": _EMBEDDING,
    "InputEmbedding": _EMBEDDING,
    "NamedInput": {
        "if": {"required": ["embedding"]},
        "then": {"properties": {"features": False, "mask_value": False}},
        "else": {"required": ["features"]},
        "allOf": [
            {
                "if": _require("per", {"const": "sequence"}),
                "then": {
                    "properties": {
                        "length": False,
                        "mask_value": False,
                        "embedding": _apply("mask_zero", _FALSE),
                    }
                },
            }
        ],
    },
    "SimpleRNN": _RECURRENT,
    "LSTM": _RECURRENT,
    "GRU": _RECURRENT,
    # The settings of its cell, which are in another section.
    "CellLayer": {
        **_RECURRENT,
        "dependencies": {
            **_RECURRENT["dependencies"],
            **{key: ["over"] for key in ("score", "score_units", "score_bias")},
            "over": {
                "properties": {"attention": False, **_ASKS_ONCE},
                "if": _require("score", _ADDITIVE),
                "then": {"required": ["score_units"]},
                "else": {"properties": {"score_units": False, "score_bias": False}},
            },
        },
        "additionalProperties": {"type": "number", "minimum": -1e30, "maximum": 1e30},
    },
    "Head": {
        "dependencies": {
            "name": {"anyOf": [{"required": [key]} for key in ("units", "activation")]},
            **{key: ["units"] for key in ("bias", "tied")},
        },
        "if": {"not": _require("pooling", _KEEPS_STEPS)},
        "then": _apply("hidden", {"items": _apply("variational", _FALSE)}),
    },
    "RepeatVector": {
        "if": {"required": ["steps"]},
        "then": _apply("like", False),
        "else": {"required": ["like"]},
    },
    "Conv": {
        "if": _require("kernel_size", {"const": 1}),
        "then": _apply("dilation", {"maximum": 1}),
    },
    "Dropout": {"if": _require("rate", {"const": 0}), "then": _apply("variational", _FALSE)},
    "StepAttention": _SCORED,
    "AttentionLayer": {
        "if": {"required": ["heads"]},
        "then": {
            "properties": {"score": {"enum": ["dot", "scaled_dot"]}, "activation": False},
            "if": _require("projections", _FALSE),
            "then": {"properties": {"units": False, "bias": False}},
            "else": {"required": ["units"]},
        },
        "else": {**_SCORED, "required": ["score"], "properties": {"projections": False}},
        "allOf": [
            {
                "if": _require("output", {"enum": ["weights", "scores"]}),
                "then": {"properties": {"heads": False, "values": False}},
            }
        ],
    },
    "AttentionSettings": {"dependencies": {"bias": ["units"]}},
    "Initializers": {"minProperties": 1},
    "Data": {"minProperties": 1},
    "Expect": {"minProperties": 1},
}
"""Conditions between the keys of a mapping, by the name of its model."""


def _some_layer(*types: str, cells: bool = False, **values: Schema) -> Schema:
    """Require that ``rnn`` has a layer of one of ``types``, or with a cell of the spec.

    The layer has ``values`` by key.
    """
    others = [kind for kind in models.KINDS if kind not in types]
    kinds: Schema = {"not": {"enum": others}} if cells else {"enum": list(types)}
    return _has_layer({"required": ["type"], "properties": {"type": kinds, **values}})


def _has_layer(schema: Schema) -> Schema:
    """Require that a layer of ``rnn`` matches ``schema``."""
    # A single layer may be written without a list.
    return _apply("rnn", {"if": {"type": "array"}, "then": {"contains": schema}, "else": schema})


def _each_layer(schema: Schema) -> Schema:
    """Apply ``schema`` to each layer of ``rnn``."""
    return _apply("rnn", {"if": {"type": "array"}, "then": {"items": schema}, "else": schema})


def _each_head(schema: Schema) -> Schema:
    """Apply ``schema`` to the only head, or to each of several."""
    return {"properties": {"head": schema, "heads": {"additionalProperties": schema}}}


def _each_pooling(schema: Schema) -> Schema:
    """Apply ``schema`` to the pooling of each head and of each layer that has one."""
    pooling = _apply("pooling", schema)
    return {"allOf": [_each_head(pooling), _each_layer(pooling)]}


def _some_head(schema: Schema) -> Schema:
    """Require that at least one head matches ``schema``."""
    several = {"type": "object", "not": {"additionalProperties": {"not": schema}}}
    return {"anyOf": [_require("head", schema), _require("heads", several)]}


_KEEPS_BIAS: Schema = {"not": _FALSE}
_SCORES_WITH_UNITS = {
    "type": "object",
    **_require(
        "attention",
        {"type": "object", "required": ["units"], "properties": {"bias": _KEEPS_BIAS}},
    ),
}
_POOLS_WITH_UNITS: Schema = {
    "anyOf": [_SCORES_WITH_UNITS, {"type": "array", "contains": _SCORES_WITH_UNITS}]
}
_BIASED_DENSE: Schema = {"properties": {"type": {"const": "dense"}, "bias": _KEEPS_BIAS}}
_BIASED_PARTS: list[Schema] = [
    {"required": ["units"], "properties": {"bias": _KEEPS_BIAS}},
    _require("hidden", {"contains": _BIASED_DENSE}),
    _require("pooling", _POOLS_WITH_UNITS),
]
_ADDS_WITH_BIAS: Schema = {
    "required": ["score"],
    "properties": {"score": _ADDITIVE, "bias": _KEEPS_BIAS},
}
_HAS_BIAS: Schema = {
    "anyOf": [
        _some_layer(*models.RECURRENT, "dense", "conv", cells=True, bias=_KEEPS_BIAS),
        _some_layer("pool", pooling=_POOLS_WITH_UNITS),
        _has_layer({"type": "object", **_ADDS_WITH_BIAS}),
        _has_layer(_require("attention", {"type": "object", **_ADDS_WITH_BIAS})),
        _some_head({"anyOf": _BIASED_PARTS}),
    ]
}
# Properties apply only to keys that are present, so this also matches the default of `pooling`.
_POOLS_LAST = _require("head", _apply("pooling", {"const": "last"}))
# After a repeat there is no padding, and the number of steps is known.
_REPEATS = _some_layer("repeat")
_IS_MASKED: Schema = {
    "anyOf": [
        _require("input", {"required": ["mask_value"]}),
        _require("embedding", _require("mask_zero", {"const": True})),
    ]
}
_NEEDS_ALL_STEPS: Schema = {
    "anyOf": [
        {"enum": ["flatten", "first_step", "last_step"]},
        {"type": "object", "required": ["last_steps"]},
        {"type": "array", "contains": {"enum": ["first_step", "last_step"]}},
    ]
}
_NAMES_INPUTS: Schema = {"required": ["inputs"]}
_HAS_EMBEDDING: Schema = {
    "anyOf": [
        {"required": ["embedding"]},
        _require(
            "inputs",
            {
                "type": "object",
                "not": {"additionalProperties": {"not": {"required": ["embedding"]}}},
            },
        ),
    ]
}
_NO_EMBEDDING: Schema = {"not": _HAS_EMBEDDING}
_READS_BY_NAME: Schema = {
    "anyOf": [
        _NAMES_INPUTS,
        _has_layer({"type": "object", "required": ["of"]}),
        _some_layer("pool"),
    ]
}
NOT_REPEAT: Schema = {
    "if": _require("type", {"enum": ["repeat"]}),
    "then": _apply("type", {"enum": [kind for kind in models.KINDS if kind != "repeat"]}),
}
"""The schema of the first layer behind an input with time steps."""

BETWEEN_SECTIONS: list[Schema] = [
    {
        "if": _NAMES_INPUTS,
        "then": {"properties": {"input": False, "embedding": False}},
        "else": {
            "allOf": [
                {
                    "if": {"required": ["embedding"]},
                    "then": _apply("input", _apply("features", False)),
                    "else": _require("input", {"required": ["features"]}),
                },
                _apply("stream", False),
                _apply(
                    "rnn",
                    {"if": {"type": "array"}, "then": {"items": [NOT_REPEAT]}, "else": NOT_REPEAT},
                ),
            ]
        },
    },
    # Otherwise, a head may take a vector.
    {
        "if": {"not": _READS_BY_NAME},
        "then": _each_head(
            {
                "if": {"allOf": [_require("pooling", _KEEPS_STEPS), {"not": {"required": ["of"]}}]},
                "then": _apply("normalize", {"const": "none"}),
            }
        ),
    },
    {"if": _NO_EMBEDDING, "then": _apply("initializers", _apply("embedding", False))},
    {"if": {"not": _HAS_BIAS}, "then": _apply("initializers", _apply("bias", False))},
    {
        "if": {"not": _some_layer("lstm", cells=True, bias=_KEEPS_BIAS)},
        "then": _apply("initializers", _apply("forget_bias", False)),
    },
    # Each cell of a spec has a layer, and each type of layer that is none of the language a cell.
    {
        "if": {"required": ["cells"]},
        "else": {
            "allOf": [
                _some_layer(*models.RECURRENT),
                _each_layer(_apply("type", {"enum": list(models.KINDS)})),
            ]
        },
    },
    {"if": {"required": ["head"]}, "then": _apply("heads", False)},
    {"if": _NO_EMBEDDING, "then": _each_head(_apply("tied", _FALSE))},
    {
        "if": {
            "not": {"anyOf": [_NAMES_INPUTS, _REPEATS, _require("input", {"required": ["length"]})]}
        },
        "then": _each_pooling({"not": {"const": "flatten"}}),
    },
    {
        "if": {"allOf": [_IS_MASKED, {"not": _REPEATS}]},
        "then": _each_pooling({"not": _NEEDS_ALL_STEPS}),
    },
    {
        "if": {"allOf": [_POOLS_LAST, _apply("rnn", {"type": "object"})]},
        "then": _apply("rnn", _apply("residual", _FALSE)),
    },
]
"""Conditions between the sections of a spec."""

ID = "https://json.schemastore.org/rnnspec.json"

_DEFINED: tuple[type[models.Model], ...] = (
    *models.KINDS.values(),
    models.CellLayer,
    models.Hidden,
    models.Cell,
    models.ZooCell,
    models.EquationBlock,
)
"""Models with a separate definition; sections are inlined, because each is used once."""

_FORMS: dict[str, tuple[dict[str, type[models.Model]], str]] = {
    "Drawn": (models.FORMS, "The distribution of the initial weights, given by a single key."),
    "ActivationWithNumber": (
        models.ACTIVATION_FORMS,
        "An activation with a number, given by a single key.",
    ),
    "PoolingWithSettings": (
        models.POOLING_FORMS,
        "A pooling with settings, given by a single key.",
    ),
    "AttentionPooling": (
        {"attention": models.Attention},
        "The mean of the time steps, weighted by a softmax of scores that are learned.",
    ),
}
"""Mappings with a single key that may stand in place of a name, each with its description."""


def text(taken: tuple[ReservedNames, ...]) -> str:
    """Return the schema as JSON text, which is the same in every run."""
    return json.dumps(json_schema(taken), indent=2) + "\n"


def json_schema(taken: tuple[ReservedNames, ...]) -> Schema:
    """Return the schema as plain data; ``taken`` are the names that the backends use."""
    for model in models.Model.__subclasses__():
        # Schemas of models are built late, and pydantic before 2.14 cannot write a default that is
        # a model without its own schema.
        model.model_rebuild()
    whole = models.Spec.model_json_schema(ref_template="#/definitions/{model}")
    parts: dict[str, Schema] = whole.pop("$defs")
    defined = {model.__name__: _mapping(model, parts[model.__name__], parts) for model in _DEFINED}
    forms = {
        name: _form_schema(
            name, about, [_mapping(m, parts[m.__name__], parts) for m in of.values()]
        )
        for name, (of, about) in _FORMS.items()
    }
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$id": ID,
        "title": "rnnspec",
        "description": "A recurrent network, which rnnspec builds with every backend.",
        **_mapping(models.Spec, whole, parts),
        "allOf": BETWEEN_SECTIONS,
        "definitions": {
            "Layer": _layer_schema(models.KINDS),
            "HiddenLayer": _layer_schema(models.HIDDEN, default="dense"),
            **defined,
            **{
                name: {"title": name, "description": m.__doc__, **_mapping(m, parts[part], parts)}
                for name, part, m in (
                    ("NamedInput", "NamedInput", models.NamedInput),
                    ("NamedHead", "Head", models.Head),
                )
            },
            **forms,
            **_taken_names_schemas(taken),
        },
    }


def _mapping(model: type[models.Model], plain: Schema, parts: dict[str, Schema]) -> Schema:
    """Return the schema of a mapping, based on ``plain``, pydantic's, and those of its parts."""
    name = model.__name__
    # A section is described by its key.
    about = {"title": name, "description": model.__doc__} if model in _DEFINED else {}
    properties = {
        key: _property(model, key, schema, parts)
        for key, schema in plain["properties"].items()
        # A hidden layer takes the one before it.
        if key != models.SETTINGS and not (key in ("of", "shares") and model is models.Hidden)
    }
    needed, within = plain.get("required", []), dict(WITHIN.get(name, {}))
    if "shares" in properties and (others := [key for key in needed if key not in models.OWN_KEYS]):
        # The layer with the arrays has the other keys.
        needed = [key for key in needed if key in models.OWN_KEYS]
        alone = {"if": {"required": ["shares"]}, "else": {"required": others}}
        within["allOf"] = [*within.get("allOf", ()), alone]
    return {
        **about,
        "type": "object",
        "additionalProperties": False,
        **({"required": needed} if needed else {}),
        "properties": properties,
        **within,
    }


def _property(
    model: type[models.Model], key: str, plain: Schema, parts: dict[str, Schema]
) -> Schema:
    field = next(f for name, f in model.model_fields.items() if key in (name, f.alias))
    # The type of a layer is described by the model that it selects.
    description = model.__doc__ if key == "type" else field.description
    assert description, f"{model.__name__}.{key} has no description"
    # Some defaults mean that the key is absent.
    absent = "$ref" in plain or "const" in plain or plain.get("default") in (None, [], {})
    default = {} if absent else {"default": plain["default"]}
    if default and (value := plain["default"]) != "":
        # Also as a sentence: yaml-language-server does not show the keyword.
        description += f" By default {value if isinstance(value, str) else json.dumps(value)}."
    return {
        "title": key.replace("_", " ").capitalize(),
        "description": description,
        **default,
        "examples": [plain["const"]] if "const" in plain and key == "type" else field.examples,
        **_value(model, key, plain, parts),
    }


def _value(model: type[models.Model], key: str, plain: Schema, parts: dict[str, Schema]) -> Schema:
    """Return the schema of the value of a key."""
    # The patterns are the forms in which pydantic writes sections, layers and initializers.
    match plain:
        case _ if key in _OF_CELLS and model in (models.Spec, models.Cell):
            return _OF_CELLS[key]
        case {"additionalProperties": {"oneOf": [{"enum": _}, *_]} as values}:
            return {"type": "object", "additionalProperties": _name_or_more(key, values)}
        case {"$ref": str() as reference}:
            section = reference.rpartition("/")[2]
            return _mapping(getattr(models, section), parts[section], parts)
        case {"anyOf": [_, {"type": "array"} as layers]}:
            return _layers(layers)
        case {"oneOf": [{"type": str() as kind}, {"$ref": str() as reference}]} | {
            "oneOf": [{"$ref": str() as reference}, {"type": str() as kind}]
        }:
            section = reference.rpartition("/")[2]
            inside = _mapping(getattr(models, section), parts[section], parts)
            return {"type": [kind, "object"], "if": {"type": "object"}, "then": inside}
        case _ if key == "tied":
            return {"type": ["boolean", "string"]}
        case _ if key == "initial_state":
            return _initial_state(model, plain["oneOf"][0])
        case {"oneOf": [{"enum": _}, *_]}:
            return _name_or_more(key, plain)
        case {"patternProperties": {} as by_name}:
            (pattern,) = by_name
            taken, value = _NAMED[key]
            return {
                "type": "object",
                "minProperties": 1,
                "propertyNames": {"pattern": pattern, "not": _reference(taken)},
                "additionalProperties": _reference(value),
            }
        case {"type": "array", "items": {"oneOf": _}}:
            return {**_keywords(key, plain), "items": _reference("HiddenLayer")}
        case _ if key == "name":
            taken = "TakenNetworkName" if model is models.Spec else "TakenLayerName"
            return {**_keywords(key, plain), "not": _reference(taken)}
        case _:
            return _keywords(key, plain)


_NAMED = {"inputs": ("TakenInputName", "NamedInput"), "heads": ("TakenLayerName", "NamedHead")}
"""The names that sections with names of their own cannot have, and the schemas of the values."""

_STATES = {"SimpleRNN": "h", "LSTM": "hc", "GRU": "h"}


def _initial_state(model: type[models.Model], words: Schema) -> Schema:
    """Return the schema of the first states of a recurrent layer."""
    states = _STATES.get(model.__name__)
    mapping: Schema = {
        "type": "object",
        "minProperties": 1,
        "if": {"required": ["of"]},
        "then": {"maxProperties": 1},
        "properties": {
            "of": {
                "type": "string",
                "description": "The recurrent layer with whose final states this one begins.",
            },
            **{
                state: {"type": "string", "description": f"The vector that {state} begins as."}
                for state in states or ""
            },
        },
        "additionalProperties": False if states else {"type": "string"},
    }
    return {
        "anyOf": [_keywords("initial_state", words), mapping, True],
        "if": {"type": "object"},
        "then": mapping,
        "else": {"enum": words["enum"]},
    }


_LINES: Schema = {
    "type": "object",
    "minProperties": 1,
    "additionalProperties": {"type": "string"},
}
_OF_CELLS: dict[str, Schema] = {
    "cells": {
        "type": "object",
        "minProperties": 1,
        "propertyNames": {
            "pattern": f"^{names.NAME_PATTERN}$",
            "not": {"anyOf": [{"enum": list(models.KINDS)}, _reference("TakenLayerName")]},
        },
        "additionalProperties": {
            "type": "object",
            "if": {"required": ["from"]},
            "then": _reference("ZooCell"),
            "else": _reference("Cell"),
        },
    },
    "equations": {
        "type": ["object", "array"],
        "if": {"type": "array"},
        "then": {
            "minItems": 1,
            "items": {
                "type": "object",
                "if": {"required": ["repeat"]},
                "then": _reference("EquationBlock"),
                "else": _LINES,
            },
        },
        "else": _LINES,
    },
    "parameters": {
        "type": "object",
        "additionalProperties": {
            "if": {"type": "array"},
            "then": {
                "minItems": 1,
                "maxItems": 2,
                "items": {"type": ["string", "integer"], "minimum": 1},
            },
            "else": {"const": "scalar"},
        },
    },
}
"""The schemas of keys of cells that have several forms."""

_VALUES_OF = {"recurrent_activation": "activation"} | dict.fromkeys(
    ("kernel", "recurrent", "bias", "embedding", "initialize"), "initializer"
)


def _keywords(key: str, plain: Schema) -> Schema:
    """Return the keywords of a value of ``key``, with a description of each fixed value."""
    ours = {"title", "default", "description", "examples"}
    schema = {name: plain[name] for name in plain if name not in ours}
    if "enum" in schema:
        meanings = MEANINGS[_VALUES_OF.get(key, key)]
        # Not part of draft-07: an extension that editors show.
        schema["enumDescriptions"] = [meanings[value] for value in schema["enum"]]
    return schema


def _name_or_more(key: str, plain: Schema) -> Schema:
    """Return the schema of a name, a mapping with a single key, or a list of these.

    An error mentions only the form that was written.
    """
    names, *others = plain["oneOf"]
    models_of = [other["$ref"].rpartition("/")[2] for other in others if "$ref" in other]
    mappings = [
        _reference(name)
        for name, (forms, _) in _FORMS.items()
        if models_of == [model.__name__ for model in forms.values()]
    ]
    named: Schema = {"enum": names["enum"]}
    several: list[Schema] = []
    for other in others:
        if other.get("type") == "number":
            several = [other]
            named = {"if": {"type": "number"}, "then": other, "else": named}
        if other.get("type") == "array":
            several = [other]
            if "oneOf" in other["items"]:
                items = _name_or_more(key, other["items"])
                several = [{**other, "items": items, "uniqueItems": True}]
            named = {"if": {"type": "array"}, "then": several[0], "else": named}
    return {
        # Accepts anything: yaml-language-server completes from here, not from branches of an `if`.
        "anyOf": [_keywords(key, names), *mappings, *several, True],
        **({"if": {"type": "object"}, "then": mappings[0], "else": named} if mappings else named),
    }


def _form_schema(title: str, description: str, forms: list[Schema]) -> Schema:
    """Return the schema of a mapping with a single key, that of one of ``forms``."""
    return {
        "title": title,
        "description": description,
        "type": "object",
        "additionalProperties": False,
        "minProperties": 1,
        "maxProperties": 1,
        "properties": {key: value for form in forms for key, value in form["properties"].items()},
    }


def _layers(plain: Schema) -> Schema:
    """Return the schema of one layer or a list of layers."""
    layer = _reference("Layer")
    return {
        "type": ["object", "array"],
        "if": {"type": "array"},
        "then": {"minItems": plain["minItems"], "items": layer},
        "else": layer,
    }


def _layer_schema(kinds: dict[str, type[models.Model]], default: str = "") -> Schema:
    """Return the schema that selects a layer by its type; errors mention only this type."""
    description = "The type of layer, which determines the other keys."
    if default:
        description += f" By default {default}."
    known: Schema = {
        "enum": list(kinds),
        "enumDescriptions": [model.__doc__ for model in kinds.values()],
    }
    # A layer of `rnn` may have a cell of the spec.
    cell: Schema = {
        "if": {
            "type": "object",
            "required": ["type"],
            "properties": {"type": {"not": {"enum": list(kinds)}}},
        },
        "then": _reference("CellLayer"),
    }
    return {
        "title": "Hidden layer" if default else "Layer",
        "description": "A layer before the output layer." if default else "A layer of `rnn`.",
        "type": "object",
        **({} if default else {"required": ["type"]}),
        "properties": {
            "type": {
                "title": "Type",
                "description": description,
                **({"default": default} if default else {}),
                "examples": list(kinds)[:1],
                **(known if default else {"anyOf": [known, {"type": "string"}]}),
            },
        },
        "allOf": [
            {
                "if": {
                    "type": "object",
                    **({} if kind == default else {"required": ["type"]}),
                    "properties": {"type": {"const": kind}},
                },
                "then": _reference(model.__name__),
            }
            for kind, model in kinds.items()
        ]
        + ([_apply("of", False), _apply("shares", False)] if default else [cell]),
    }
