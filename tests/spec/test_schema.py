"""The JSON Schema is valid, describes every key, and uses draft-07 only."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import yaml
from cases import cases
from conftest import GALLERY

from rnnspec.backends import reserved_names
from rnnspec.spec import json_schema
from rnnspec.words import MEANINGS

SCHEMA = json_schema.json_schema(reserved_names())
RULES = {"allOf", "anyOf", "if", "then", "else", "dependencies", "not"}
Step = str | int
# The keywords of draft-07, and one more that editors support.
DRAFT_07 = {
    *("$ref", "$schema", "$id", "title", "description", "default", "examples", "definitions"),
    *("type", "enum", "const", "allOf", "anyOf", "oneOf", "not", "if", "then", "else"),
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    *("minLength", "maxLength", "pattern", "format"),
    *("items", "additionalItems", "minItems", "maxItems", "uniqueItems", "contains"),
    *("properties", "patternProperties", "additionalProperties", "propertyNames", "required"),
    *("minProperties", "maxProperties", "dependencies"),
}
FOR_EDITORS = {"enumDescriptions"}
BY_NAME = {"properties", "definitions", "dependencies"}


def schemas(node: Any, path: tuple[Step, ...] = ()) -> Iterator[tuple[tuple[Step, ...], Any]]:
    """Yield every schema inside a schema, including itself, with its path."""
    yield path, node
    for keyword, value in node.items() if isinstance(node, dict) else ():
        inner: list[tuple[tuple[Step, ...], Any]]
        match value:
            case dict() if keyword in BY_NAME:
                inner = [((keyword, name), each) for name, each in value.items()]
            case dict() if keyword != "default":
                inner = [((keyword,), value)]
            case [dict(), *_] if keyword != "examples":
                inner = [((keyword, index), each) for index, each in enumerate(value)]
            case _:
                inner = []
        for steps, each in inner:
            yield from schemas(each, (*path, *steps))


ALL = list(schemas(SCHEMA))
# Places that describe a key. Rules mention keys again, but only with their conditions.
KEY_SCHEMAS = {
    path: node for path, node in ALL if path[-2:-1] == ("properties",) and not RULES & set(path)
}


def test_it_is_draft_07() -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "http://json-schema.org/draft-07/schema#"
    used = {keyword for _, node in ALL if isinstance(node, dict) for keyword in node}
    assert used <= DRAFT_07 | FOR_EDITORS
    assert {"if", "contains", "enumDescriptions"} <= used


def test_a_reference_stands_alone_and_leads_somewhere() -> None:
    references = [node for _, node in ALL if isinstance(node, dict) and "$ref" in node]
    assert {node["$ref"].rpartition("/")[2] for node in references} == set(SCHEMA["definitions"])
    assert all(set(node) == {"$ref"} for node in references), "draft-07 ignores what is beside one"


def test_patterns_are_anchored() -> None:
    patterns = [node["pattern"] for _, node in ALL if isinstance(node, dict) and "pattern" in node]
    assert len(patterns) > 4
    for pattern in patterns:
        assert re.fullmatch(r"\^[^^$]*(\[\^[^^$]*)?\$", pattern), pattern


def test_no_mapping_takes_unknown_keys() -> None:
    for path, node in ALL:
        if isinstance(node, dict) and "properties" in node and not RULES & set(path):
            # Each type refuses unknown keys itself, but for the settings of a cell.
            kinds = path in [("definitions", f"{kind}Layer") for kind in ("", "Hidden", "Cell")]
            assert node.get("additionalProperties") is False or kinds, path


@cases("node", {"/".join(map(str, path[1::2])): node for path, node in KEY_SCHEMAS.items()})
def test_a_key_is_explained(node: dict[str, Any]) -> None:
    assert node["title"]
    assert re.fullmatch(r"[A-Z].*\.", node["description"])
    assert node["examples"]
    own = jsonschema.Draft7Validator({**node, "definitions": SCHEMA["definitions"]})
    for value in [*node["examples"], *([node["default"]] if "default" in node else [])]:
        own.validate(value)
    assert len(node.get("enumDescriptions", [])) == len(node.get("enum", []))
    if node.get("default", "") != "":
        assert "By default " in node["description"]


def test_every_fixed_value_has_a_meaning_and_is_used() -> None:
    used = {word for _, node in ALL if isinstance(node, dict) for word in node.get("enum", [])}
    assert {word for meanings in MEANINGS.values() for word in meanings} <= used


def test_a_default_is_what_the_model_takes() -> None:
    found = {path: node["default"] for path, node in KEY_SCHEMAS.items() if "default" in node}
    assert found["definitions", "GRU", "properties", "reset_after"] is True
    assert found["properties", "head", "properties", "pooling"] == "last"
    assert found["properties", "initializers", "properties", "embedding"] == {"uniform": 0.05}
    assert len(found) > 40


def test_it_is_always_the_same_text() -> None:
    assert json_schema.text(reserved_names()) == json_schema.text(reserved_names())
    assert json_schema.text(reserved_names()).endswith("}\n")
    assert json.loads(json_schema.text(reserved_names())) == SCHEMA


@cases("gallery_spec", GALLERY)
def test_the_gallery_is_valid(gallery_spec: Path) -> None:
    jsonschema.Draft7Validator(SCHEMA).validate(yaml.safe_load(gallery_spec.read_text("utf-8")))


NO = object()
GRU = {"type": "gru", "units": 4}
DENSE = {"type": "dense", "units": 4}
ATTENTION = "$.rnn.attention"
ADDS = {"over": "input", "score": "additive"}
ASKS = {"over": "input", "score": "general"}
UNITS = "$.head.pooling.attention.units"
ADD = {"type": "add", "of": ["gru_1", "input"]}
SMALL = {"version": 1, "name": "net", "input": {"features": 3}, "rnn": {"type": "gru", "units": 4}}


@cases(
    ("change", "where", "message"),
    [
        ({"rnn": {"type": "gru", "unit": 4}}, "$.rnn", "'unit' was unexpected"),
        ({"rnn": {"type": "gru"}}, "$.rnn", "'units' is a required property"),
        ({"rnn": {"type": "lsmt", "units": 4}}, "$.rnn.type", "'lsmt' is not one of"),
        ({"rnn": {"type": "repeat", "steps": 4}}, "$.rnn.type", "'repeat' is not one of"),
        ({"rnn": {"type": "lstm", "units": 4, "reset_after": True}}, "$.rnn", "'reset_after'"),
        ({"rnn": [{"type": "gru", "units": 0}]}, "$.rnn[0].units", "less than the minimum of 1"),
        ({"rnn": None}, "$.rnn", "is not of type 'object', 'array'"),
        ({"input": {"length": 3}}, "$.input", "'features' is a required property"),
        (
            {"rnn": {"type": "gru", "units": 3, "residual": True}, "head": {"pooling": "last"}},
            "$.rnn.residual",
            "False was expected",
        ),
        ({"embedding": {"vocabulary": 2, "dim": 2}}, "$.input", "does not allow 3"),
        ({"initializers": {"kernel": {"unifrom": 1}}}, "$.initializers.kernel", "'unifrom'"),
        ({"initializers": {"bias": "one"}}, "$.initializers.bias", "'one' is not one of"),
        ({"initializers": {"forget_bias": 1}}, "$.initializers", "does not allow 1"),
        ({"head": {"bias": False}}, "$.head", "'units' is a dependency of 'bias'"),
        ({"name": "class"}, "$.name", "#/definitions/TakenNetworkName"),
        ({"name": "value_error"}, "$.name", "#/definitions/TakenNetworkName"),
        ({"rnn": {"type": "dense", "units": 3}}, "$.rnn.type", "'dense' is not one of"),
        ({"rnn": [{"type": "batch_norm"}]}, "$.rnn", "None of"),
        ({"rnn": [GRU, {"type": "conv", "filters": 2}]}, "$.rnn[1]", "'kernel_size' is a required"),
        ({"rnn": [GRU, {"type": "conv", "units": 2}]}, "$.rnn[1]", "'units' was unexpected"),
        ({"rnn": [GRU, DENSE | {"activation": "lrelu"}]}, "$.rnn[1].activation", "not one of"),
        (
            {"rnn": [GRU, DENSE | {"activation": {"leaky_relu": "x"}}]},
            "$.rnn[1].activation.leaky_relu",
            "'x' is not of type 'number'",
        ),
        (
            {"rnn": [GRU, DENSE | {"activation": {"clipped_relu": 1, "leaky_relu": 1}}]},
            "$.rnn[1].activation",
            "has too many properties",
        ),
        ({"rnn": [GRU, {"type": "concat", "of": ["gru_1"]}]}, "$.rnn[1].of", "is too short"),
        ({"head": {"hidden": [{"type": "lstm"}]}}, "$.head.hidden[0].type", "not one of"),
        ({"head": {"hidden": [{"unit": 3}]}}, "$.head.hidden[0]", "'unit' was unexpected"),
        ({"head": {"pooling": "average"}}, "$.head.pooling", "'average' is not one of"),
        ({"head": {"pooling": ["mean"]}}, "$.head.pooling", "is too short"),
        ({"head": {"pooling": ["mean", "mean"]}}, "$.head.pooling", "non-unique elements"),
        ({"head": {"pooling": ["mean", "none"]}}, "$.head.pooling[1]", "'none' is not one of"),
        ({"head": {"pooling": {"attention": {"units": 0}}}}, UNITS, "less than the minimum of 1"),
        ({"rnn": {**GRU, "attention": {"over": "input"}}}, ATTENTION, "'score' is a required"),
        ({"rnn": {**GRU, "attention": ADDS}}, ATTENTION, "'units' is a required property"),
        ({"rnn": {**GRU, "attention": {**ADDS, "score": "dot", "bias": True}}}, ATTENTION, "True"),
        ({"rnn": {**GRU, "attention": ASKS, "layers": 2}}, "$.rnn.layers", "the maximum of 1"),
        ({"rnn": [GRU, {"type": "attention", **ADDS}]}, "$.rnn[1]", "'units' is a required"),
        ({"head": {"pooling": {"last_step": 2}}}, "$.head.pooling", "'last_step' was unexpected"),
        ({"head": {"pooling": "flatten"}}, "$.head.pooling", "should not be valid under"),
        ({"head": {"units": 3, "tied": True}}, "$.head.tied", "False was expected"),
        ({"heads": {}}, "$.heads", "{} "),  # whose words depend on the version of jsonschema
        ({"heads": {"Topic": {"units": 3}}}, "$.heads", "does not match"),
        ({"heads": {"lambda": {"units": 3}}}, "$.heads", "#/definitions/TakenLayerName"),
        ({"heads": {"topic": {"unit": 3}}}, "$.heads.topic", "'unit' was unexpected"),
        ({"heads": {"topic": {"bias": False}}}, "$.heads.topic", "is a dependency of"),
        ({"heads": {"topic": {"pooling": "flatten"}}}, "$.heads.topic.pooling", "not be valid"),
        ({"heads": {"topic": {"units": 3}}, "head": {"units": 3}}, "$", "does not allow"),
        (
            {"heads": {"topic": {"pooling": "none", "normalize": "l2"}}},
            "$.heads.topic.normalize",
            "'none' was expected",
        ),
        ({"inputs": {"one": {"features": 3}}}, "$", "does not allow"),
        ({"inputs": {}, "input": NO}, "$.inputs", "{} "),
        ({"inputs": {"match": {"features": 3}}, "input": NO}, "$.inputs", "/TakenInputName"),
        ({"inputs": {"max_1": {"features": 3}}, "input": NO}, "$.inputs", "/TakenInputName"),
        ({"inputs": {"one": {"length": 3}}, "input": NO}, "$.inputs.one", "is a required property"),
        (
            {"inputs": {"one": {"features": 3, "embedding": "two"}}, "input": NO},
            "$.inputs.one",
            "does not allow 3",
        ),
        (
            {"inputs": {"one": {"features": 3, "per": "sequence", "length": 2}}, "input": NO},
            "$.inputs.one",
            "does not allow 2",
        ),
        (
            {"inputs": {"one": {"embedding": {"vocabulary": 3}}}, "input": NO},
            "$.inputs.one.embedding",
            "'dim' is a required property",
        ),
        ({"inputs": {"one": {"embedding": 3}}, "input": NO}, "$.inputs.one.embedding", "of type"),
        ({"stream": "one"}, "$", "does not allow"),
        ({"rnn": [GRU | {"initial_state": "zero"}]}, "$.rnn[0].initial_state", "not one of"),
        ({"rnn": [GRU | {"initial_state": {"c": "x"}}]}, "$.rnn[0].initial_state", "'c' was"),
        (
            {"rnn": [GRU | {"initial_state": {"of": "x", "h": "y"}}]},
            "$.rnn[0].initial_state",
            "has too many properties",
        ),
        (
            {"rnn": [GRU | {"initial_state": {"h": "y"}, "layers": 2}]},
            "$.rnn[0].initial_state",
            "'of' is a required property",
        ),
        (
            {"rnn": [GRU | {"direction": "backward", "bidirectional": True}]},
            "$.rnn[0].bidirectional",
            "False was expected",
        ),
        ({"rnn": [GRU, ADD | {"of": ["gru_1"]}]}, "$.rnn[1].of", "is too short"),
        ({"rnn": [GRU, ADD | {"of": "gru_1"}]}, "$.rnn[1].of", "is not of type 'array'"),
        ({"rnn": [GRU | {"of": ["input"]}]}, "$.rnn[0].of", "is not of type 'string'"),
        ({"rnn": [GRU, {"type": "pool"}]}, "$.rnn[1]", "'pooling' is a required property"),
        (
            {"rnn": [GRU, {"type": "pool", "pooling": "none"}]},
            "$.rnn[1].pooling",
            "'none' is not one of",
        ),
        ({"rnn": [GRU, {"type": "repeat"}]}, "$.rnn[1]", "'like' is a required property"),
        (
            {"rnn": [GRU, {"type": "repeat", "steps": 2, "like": "input"}]},
            "$.rnn[1]",
            "does not allow 'input'",
        ),
        (
            {"rnn": [GRU, {"type": "max_pool", "size": 2, "padding": [1]}]},
            "$.rnn[1].padding",
            "is too short",
        ),
        (
            {"rnn": [GRU, {"type": "max_pool", "size": 2, "padding": "causal"}]},
            "$.rnn[1].padding",
            "'causal' is not one of",
        ),
        ({"head": {"hidden": [{"units": 3, "of": "input"}]}}, "$.head.hidden[0]", "does not allow"),
    ],
)
def test_an_error_is_at_the_key_that_is_wrong(
    change: dict[str, Any], where: str, message: str
) -> None:
    whole = {**SMALL, **change}
    whole = {key: value for key, value in whole.items() if value is not NO}
    errors = jsonschema.Draft7Validator(SCHEMA).iter_errors(whole)
    found = {(error.json_path, error.message) for error in errors}
    assert any(path == where and message in said for path, said in found), found
    assert {path for path, _ in found} == {where}
