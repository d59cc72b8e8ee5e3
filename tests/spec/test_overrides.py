"""Overrides: every key of a spec can be set, added and removed, and nothing else changes."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import rnnspec
from rnnspec.errors import SpecError, UsageError
from rnnspec.spec.yaml.document import read
from rnnspec.spec.yaml.edit import edit

if TYPE_CHECKING:
    from collections.abc import Iterator

GALLERY = sorted((Path(__file__).parents[2] / "specs").glob("*.yaml"))[::10]
LAYOUTS = {
    "block": "version: 1  # one\nname: net\ninput: {features: 3}\nrnn:\n"
    "  # the first\n  - type: lstm\n    units: 4  # four\n  - {type: gru, units: 5}\n"
    "head:\n  units: 2\n  # behind\nexpect:\n  parameters: 1\n",
    "flow": '{"version": 1, "name": "net", "input": {"features": 3}, "rnn": [{"type": "lstm", '
    '"units": 4}, {"type": "gru", "units": 5}], "head": {"units": 2}}',
}


def paths(data: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    items = data.items() if isinstance(data, dict) else enumerate(data)
    for key, value in items if isinstance(data, dict | list) else ():
        yield (*path, key)
        yield from paths(value, (*path, key)) if isinstance(value, dict | list) else ()


def changed(data: Any, path: tuple[str | int, ...], value: Any) -> Any:
    data = deepcopy(data)
    inner = data
    for step in path[:-1]:
        inner = inner[step]
    if value is None:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return data


def is_plain(path: tuple[str | int, ...]) -> bool:
    return not any(isinstance(step, str) and "." in step for step in path)


@pytest.mark.parametrize("file", GALLERY, ids=lambda file: file.stem)
def test_one_key_changes_and_nothing_else(file: Path) -> None:
    document = read(file.read_text(), file.name)
    wanted = {"expect": {"parameters": 1}}
    data = {**document.data, **wanted}
    for path in filter(is_plain, paths(document.data)):
        if path[0] == "expect":
            continue
        name = ".".join(map(str, path))
        for value in (7, "two words: #", [1, {"a": True}], {"b": 1.5}):
            assert edit(document, {name: value, **wanted}).data == changed(data, path, value), name
        if isinstance(path[-1], str):
            assert edit(document, {name: None, **wanted}).data == changed(data, path, None), name


@pytest.mark.parametrize("layout", LAYOUTS)
def test_values_of_a_search(layout: str, tmp_path: Path) -> None:
    file = tmp_path / "net.yaml"
    file.write_text(LAYOUTS[layout])
    spec = rnnspec.load(
        file,
        {
            "rnn.0.units": np.int64(64),
            "rnn[1].type": "lstm",
            "rnn.1.dropout": np.float32(0.25),
            "head.activation": "softmax",
            "head.0.name": "out",
        },
    )
    assert spec.document.data == {
        "version": 1,
        "name": "net",
        "input": {"features": 3},
        "rnn": [
            {"type": "lstm", "units": 64},
            {"type": "lstm", "units": 5, "dropout": 0.25},
        ],
        "head": {"units": 2, "activation": "softmax", "name": "out"},
    }
    # The spec that a model carries is the one that was checked.
    again = rnnspec.loads(spec.document.text)
    assert rnnspec.codegen(again, "torch") == rnnspec.codegen(spec, "torch")
    if layout == "block":
        assert "units: 64  # four" in spec.document.text


def test_a_layer_is_its_list_of_one(tmp_path: Path) -> None:
    file = tmp_path / "net.yaml"
    for rnn in ("{type: lstm, units: 4}", "[{type: lstm, units: 4}]"):
        file.write_text(f"version: 1\nname: net\ninput: {{features: 3}}\nrnn: {rnn}\n")
        for key in ("rnn.units", "rnn.0.units", "rnn[0].units"):
            assert rnnspec.summary(rnnspec.load(file, {key: 5})).parameters.total == 180


def test_what_a_file_expects_is_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "net.yaml"
    file.write_text(LAYOUTS["block"])
    with pytest.raises(SpecError, match=r"expect\.parameters: expected 1 parameters"):
        rnnspec.load(file)
    rnnspec.load(file, {"rnn.0.units": 8})
    with pytest.raises(SpecError, match=r"expect\.parameters: expected 2 parameters"):
        rnnspec.load(file, {"rnn.0.units": 8, "expect.parameters": 2})


@pytest.mark.parametrize(
    ("overrides", "error", "message"),
    [
        ({"rnn.0.unitz": 3}, SpecError, r"rnn\[0\]: unknown key 'unitz'; did you mean 'units'"),
        ({"rnn.0.units": 0}, SpecError, r"rnn\[0\].units: expected an integer of at least 1"),
        ({"rnn.2.units": 3}, UsageError, "rnn: expected at least 3 items, received 2 of them"),
        ({"rnn.units": 3}, UsageError, "'rnn.units': rnn: expected a mapping, received 2 of them"),
        ({"head.units.x": 3}, UsageError, "head.units: expected a mapping, received 2"),
        ({"rnn.0": None}, UsageError, "expected a key, since an item cannot be removed"),
        ({"rnn.0.units": np.zeros(2)}, UsageError, "'rnn.0.units': expected plain data"),
        ({"rnn..units": 3}, UsageError, "expected a key, such as 'rnn.0.units'"),
        ({3: 3}, UsageError, "overrides: a key: expected str, received 3"),
        ([], UsageError, "overrides: expected Mapping"),
    ],
)
def test_an_override_that_cannot_be(
    overrides: Any, error: type[Exception], message: str, tmp_path: Path
) -> None:
    file = tmp_path / "net.yaml"
    file.write_text(LAYOUTS["block"])
    with pytest.raises(error, match=message):
        rnnspec.load(file, overrides)


def test_a_mapping_is_a_spec() -> None:
    for layout in LAYOUTS.values():
        data = {**read(layout, "").data, "expect": {"parameters": 305}}
        assert rnnspec.loads(data).document.data == data
    with pytest.raises(SpecError, match="unknown type 'lstmm'"):
        rnnspec.loads({**data, "rnn": {"type": "lstmm", "units": 3}})
    with pytest.raises(UsageError, match="expected plain data, received an object of type object"):
        rnnspec.loads({"name": object()})
    endless: dict[str, Any] = {"version": 1}
    endless["name"] = endless
    with pytest.raises(UsageError, match="received some that contains itself"):
        rnnspec.loads(endless)
