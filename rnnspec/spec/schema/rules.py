"""The checks of ``spec.rules`` and ``spec.names``, as far as JSON Schema can express them.

Each rule is written so that a validator points at the invalid key: a key that is not allowed has
the schema ``False``, instead of a failed ``not`` of the whole document.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from rnnspec.spec import names, reserved

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rnnspec.taken_names import TakenNames

Schema = dict[str, Any]


def _name_schema(reserved_names: set[str], pattern: str, description: str) -> Schema:
    # Names that do not match the pattern of names are rejected already.
    possible = sorted(name for name in reserved_names if re.fullmatch(names.NAME_PATTERN, name))
    return {
        "description": description,
        "anyOf": [{"enum": possible}, {"pattern": f"^(?:{pattern})$"}],
    }


# JSON Schema cannot remove underscores before a comparison, so the pattern allows them everywhere.
def _underscored(squashed: Iterable[str]) -> str:
    """Return a pattern for names with underscores anywhere, which a class name does not have."""
    return "|".join("".join(f"{letter}_*" for letter in name) for name in sorted(squashed))


def taken_names_schemas(taken: tuple[TakenNames, ...]) -> dict[str, Schema]:
    """Return the schemas of names that no network and no layer can have."""
    builtins = {name for name in reserved.BUILTINS if "_" not in name}
    return {
        "TakenNetworkName": _name_schema(
            {
                *reserved.KEYWORDS,
                *reserved.CAPITAL_KEYWORDS,
                *reserved.PACKAGES,
                *reserved.STANDARD_LIBRARY,
                *reserved.RUN_UNASKED,
                *reserved.WINDOWS_DEVICES,
            },
            _underscored({*names.without_underscores(taken), *builtins}),
            "Keywords, modules and builtins of Python, packages, and names used in generated code.",
        ),
        "TakenLayerName": _name_schema(
            {
                *reserved.KEYWORDS,
                *reserved.CAPITAL_KEYWORDS,
                *(name for each in taken for name in (*each.in_framework, *each.in_class)),
            },
            "|".join(filter(None, (each.framework_pattern for each in taken))),
            "Keywords of Python, attributes of modules of PyTorch and Flax, and operations of "
            "Keras.",
        ),
    }


# The dependency alone would accept `merge` beside `bidirectional: false`.
_RECURRENT: Schema = {
    "dependencies": {"merge": ["bidirectional"], "variational": ["dropout"]},
    "allOf": [
        {
            "if": {"required": ["merge"]},
            "then": {"properties": {"bidirectional": {"const": True}}},
        },
        {
            "if": {"required": ["variational"]},
            "then": {"properties": {"dropout": {"exclusiveMinimum": 0}}},
        },
    ],
}
WITHIN: dict[str, Schema] = {
    "Input": {"minProperties": 1, "dependencies": {"mask_value": ["features"]}},
    "Embedding": {
        "dependencies": {"weights": ["words"], "words": ["weights"]},
        "if": {"required": ["mask_zero"], "properties": {"mask_zero": {"const": True}}},
        "then": {"properties": {"vocabulary": {"minimum": 2}}},
    },
    "SimpleRNN": _RECURRENT,
    "LSTM": _RECURRENT,
    "GRU": _RECURRENT,
    "Head": {"dependencies": {key: ["units"] for key in ("name", "activation", "bias")}},
    "Initializers": {"minProperties": 1},
    "Data": {"minProperties": 1},
    "Expect": {"minProperties": 1},
}
"""Conditions between the keys of a mapping, by the name of its model."""


def _inside(section: str, schema: Schema, *, required: bool = False) -> Schema:
    """Apply ``schema`` to a section, which may be absent unless it is ``required``."""
    inside: Schema = {"properties": {section: schema}}
    return {"required": [section], **inside} if required else inside


# 'properties' accepts a section that is not a mapping, so this is reported once, by its own schema.
def _without(section: str, key: str) -> Schema:
    return _inside(section, {"properties": {key: False}})


def _some_layer(schema: Schema) -> Schema:
    """Require that at least one layer of ``rnn`` matches ``schema``."""
    # A single layer may be written without a list.
    some = {"if": {"type": "array"}, "then": {"contains": schema}, "else": schema}
    return _inside("rnn", some)


def _biased(types: list[str]) -> Schema:
    return {
        "required": ["type"],
        "properties": {"type": {"enum": types}, "bias": {"not": {"const": False}}},
    }


# Properties apply only to keys that are present, so this also matches the default of `pooling`.
_POOLS_LAST = _inside("head", {"properties": {"pooling": {"const": "last"}}}, required=True)
_HAS_BIAS: Schema = {
    "anyOf": [
        _some_layer(_biased(["simple", "lstm", "gru"])),
        _inside("head", {"required": ["hidden"]}, required=True),
        _inside(
            "head",
            {"required": ["units"], "properties": {"bias": {"not": {"const": False}}}},
            required=True,
        ),
    ]
}
BETWEEN_SECTIONS: list[Schema] = [
    {
        "if": {"required": ["embedding"]},
        "then": _without("input", "features"),
        "else": _inside("input", {"required": ["features"]}, required=True),
    },
    {"if": {"not": {"required": ["embedding"]}}, "then": _without("initializers", "embedding")},
    {"if": {"not": _HAS_BIAS}, "then": _without("initializers", "bias")},
    {
        "if": {"not": _some_layer(_biased(["lstm"]))},
        "then": _without("initializers", "forget_bias"),
    },
    {
        "if": _inside(
            "head",
            {"required": ["pooling"], "properties": {"pooling": {"const": "none"}}},
            required=True,
        ),
        "then": _inside("head", {"properties": {"normalize": {"const": "none"}}}),
    },
    {
        "if": {"allOf": [_POOLS_LAST, _inside("rnn", {"type": "object"})]},
        "then": _inside("rnn", {"properties": {"residual": {"const": False}}}),
    },
]
"""Conditions between the sections of a spec."""

NOT_REPEAT: Schema = {
    "if": {"required": ["type"], "properties": {"type": {"const": "repeat"}}},
    "then": {"properties": {"type": {"enum": ["simple", "lstm", "gru"]}}},
}
"""The schema of the first layer, before which there is no state to repeat."""
