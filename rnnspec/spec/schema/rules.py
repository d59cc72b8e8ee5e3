"""What ``spec.rules`` and ``spec.names`` check, as far as a JSON Schema can say it.

Each rule is written so that a validator points at the key that is wrong: a key that cannot stand
where it does is ``False`` there, and not a failed ``not`` of the whole document.
"""

from __future__ import annotations

import re
from typing import Any

from rnnspec.spec import names, reserved

Schema = dict[str, Any]


def _taken(words: set[str], pattern: str, what: str) -> Schema:
    possible = sorted(word for word in words if re.fullmatch(names.NAME_PATTERN, word))
    return {"description": what, "anyOf": [{"enum": possible}, {"pattern": f"^(?:{pattern})$"}]}


def _underscored(words: set[str]) -> str:
    """Return a pattern for ``words`` with underscores anywhere, as no class name shows them."""
    squashed = {word.replace("_", "") for word in names.IN_GENERATED_CODE}
    squashed |= {word.lower() for word in words if "_" not in word}
    return "|".join("".join(f"{letter}_*" for letter in word) for word in sorted(squashed))


TAKEN_NAMES: dict[str, Schema] = {
    "TakenNetworkName": _taken(
        {
            *reserved.KEYWORDS,
            *reserved.CAPITAL_KEYWORDS,
            *reserved.PACKAGES,
            *reserved.STANDARD_LIBRARY,
            *reserved.RUN_UNASKED,
            *reserved.WINDOWS_DEVICES,
        },
        _underscored({*reserved.BUILTINS}),
        "Keywords, modules and builtins of Python, packages, and what generated code uses.",
    ),
    "TakenLayerName": _taken(
        {
            *reserved.KEYWORDS,
            *reserved.CAPITAL_KEYWORDS,
            *names.TORCH_MODULE_ATTRIBUTES,
            *names.IN_GENERATED_CLASS,
        },
        names.KERAS_OPERATION.pattern,
        "Keywords of Python, attributes of every torch.nn.Module, and operations of Keras.",
    ),
}

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
"""By the name of the model: what its keys need of one another."""


def _inside(section: str, schema: Schema, *, there: bool = False) -> Schema:
    """Apply ``schema`` to a section, which must be ``there`` or else may be absent."""
    inside: Schema = {"properties": {section: schema}}
    return {"required": [section], **inside} if there else inside


def _without(section: str, key: str) -> Schema:
    return _inside(section, {"properties": {key: False}})


def _some_layer(schema: Schema) -> Schema:
    """Say that a layer of ``rnn``, the only one or one of a list, is as ``schema`` says."""
    some = {"if": {"type": "array"}, "then": {"contains": schema}, "else": schema}
    return _inside("rnn", some)


def _biased(types: list[str]) -> Schema:
    return {
        "required": ["type"],
        "properties": {"type": {"enum": types}, "bias": {"not": {"const": False}}},
    }


_POOLS_LAST = _inside("head", {"properties": {"pooling": {"const": "last"}}}, there=True)
_HAS_BIAS: Schema = {
    "anyOf": [
        _some_layer(_biased(["simple", "lstm", "gru"])),
        _inside("head", {"required": ["hidden"]}, there=True),
        _inside(
            "head",
            {"required": ["units"], "properties": {"bias": {"not": {"const": False}}}},
            there=True,
        ),
    ]
}
BETWEEN_SECTIONS: list[Schema] = [
    {
        "if": {"required": ["embedding"]},
        "then": _without("input", "features"),
        "else": _inside("input", {"required": ["features"]}, there=True),
    },
    {"if": {"not": {"required": ["embedding"]}}, "then": _without("initializers", "embedding")},
    {"if": {"not": _HAS_BIAS}, "then": _without("initializers", "bias")},
    {
        "if": {"not": _some_layer(_biased(["lstm"]))},
        "then": _without("initializers", "forget_bias"),
    },
    {
        "if": {"allOf": [_POOLS_LAST, _inside("rnn", {"type": "object"})]},
        "then": _inside("rnn", {"properties": {"residual": {"const": False}}}),
    },
]
"""What the sections of a spec need of one another."""

NOT_REPEAT: Schema = {
    "if": {"required": ["type"], "properties": {"type": {"const": "repeat"}}},
    "then": {"properties": {"type": {"enum": ["simple", "lstm", "gru"]}}},
}
"""For the first layer: there is no state yet that could be repeated."""
