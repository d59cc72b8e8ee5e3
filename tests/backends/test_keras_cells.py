"""Cells by equation in Keras: their classes, their masks, and their files."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cases import cases
from graphs import RENAMED, SETTINGS
from offered import import_later

import rnnspec
from rnnspec import pipeline
from rnnspec.backends import get
from rnnspec.backends.keras.cells import ATTRIBUTES
from rnnspec.errors import ModelError, UsageError
from rnnspec.importing.original import compare_file
from rnnspec.importing.run import take
from rnnspec.models.building import Output
from rnnspec.source.execute import execute

keras = import_later("keras")

# A state of another size, a scalar, a matrix that is made of another, and names of Keras's own.
VARIED = """\
version: 1
name: varied
input: {features: 3, mask_value: 0}
cells:
  odd_one:
    states: [h, m]
    equations:
      input: sigmoid(W @ x + U @ h + training * (V @ m))
      m: tanh(m - (A - A.T) @ m + K @ h)
      h: where(input > 0.5, minimum(h + input, 1), split(concat(input, b), 2, 2))
    settings: {dtype: 2}
    sizes: {m: dtype}
    parameters: {training: scalar}
    initialize: {training: 1.5, b: {uniform: 0.5}}
rnn:
  - {type: odd_one, units: 4, bidirectional: true, dtype: 3}
  - {type: odd_one, units: 2, dropout: 0.5}
head: {units: 1}
"""


def test_the_source_is_what_a_person_would_write() -> None:
    text = rnnspec.codegen(rnnspec.loads(VARIED), "keras")
    begin, call = text.partition("    def call(")[::2]
    assert begin.partition("    def begin(")[2].splitlines()[1:] == [
        '        """Compute once what all steps share, and return the sequences."""',
        "        if training:",
        "            batch, _, features = keras.ops.shape(sequences)",
        "            sequences = keras.random.dropout(",
        "                sequences, self.dropout, (batch, 1, features), self.seed_generator",
        "            )",
        "        h_kernel = keras.ops.concatenate([self.U, self.K], axis=-1)",
        "        m_kernel = keras.ops.concatenate(",
        "            [self.V, self.A - keras.ops.transpose(self.A)], axis=-1",
        "        )",
        "        self.shared = h_kernel, m_kernel",
        "        return sequences",
        "",
    ]
    assert call.partition('"""\n')[2].partition("\n\n")[0].splitlines() == [
        "        h, m = states",
        "        h_kernel, m_kernel = self.shared",
        "        x_product = keras.ops.matmul(x, self.W)",
        "        h_part_0, h_part_1 = keras.ops.split(",
        "            keras.ops.matmul(h, h_kernel), [self.units], axis=-1",
        "        )",
        "        input_sum = x_product + h_part_0",
        "        m_product = keras.ops.matmul(m, m_kernel)",
        "        input_sum_2, m_sum_2 = keras.ops.split(m_product, [self.units], axis=-1)",
        "        input_1 = keras.ops.sigmoid(input_sum + self.training_1 * input_sum_2)",
        "        m = keras.ops.tanh(h_part_1 + m - m_sum_2)",
        "        h = keras.ops.where(",
        "            input_1 > 0.5,",
        "            keras.ops.minimum(h + input_1, 1),",
        "            keras.ops.split(",
        "                keras.ops.concatenate(",
        "                    [input_1, keras.ops.zeros_like(x[:, :1]) + self.b], axis=-1",
        "                ),",
        "                2,",
        "                axis=-1,",
        "            )[1],",
        "        )",
        "        return h, [h, m]",
    ]
    assert text.count("Cell(keras.layers.Layer)") == 1
    assert "OddOneCell(4, dtype_size=3), return_sequences=True" in text


def test_every_attribute_of_a_layer_is_reserved() -> None:
    layer = keras.layers.Layer()
    assert {name for name in dir(layer) if not name.startswith("_")} <= ATTRIBUTES


@pytest.fixture(scope="module")
def varied(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """Return a model, and its file as Keras writes it, without the spec."""
    path = tmp_path_factory.mktemp("varied") / "varied.keras"
    model = rnnspec.build(rnnspec.loads(VARIED), "keras", seed=1)
    model.save(path)
    return model, path


def test_a_file_without_a_spec_comes_back_with_its_cell(varied: tuple[Any, Path]) -> None:
    model, path = varied
    read = take(path)
    cells = [getattr(layer, "cell", None) for layer in read.program.network.layers]
    assert cells == [
        getattr(layer, "cell", None) for layer in pipeline.reads(VARIED).network.layers
    ]
    own = rnnspec.read_weights(model)
    renamed = dict(zip(own, read.arrays.values(), strict=True))
    for name, array in own.items():
        np.testing.assert_array_equal(renamed[name], array, err_msg=name)
    assert compare_file(path, read, lambda _: None).outcome.startswith("largest difference")
    live = rnnspec.from_keras(model)
    assert [
        getattr(layer, "cell", None) for layer in pipeline.program(live.spec).network.layers
    ] == cells


def test_a_trained_model_loads_with_the_source_for_inference(varied: tuple[Any, Path]) -> None:
    model, path = varied
    execute(rnnspec.codegen(rnnspec.loads(VARIED), "keras", form="inference"), "varied")
    other, batch = keras.saving.load_model(path), np.ones((2, 3, 3), np.float32)
    np.testing.assert_array_equal(other(batch), model(batch))


@cases(
    "place, value, message",
    {
        "no equation": (("definition", "equations", "m"), "__import__('os')", "m, column 1: "),
        "no text": (("definition", "equations", "m"), 3, "expected states and equations"),
        "no states": (
            (
                "definition",
                "states",
            ),
            None,
            "expected states and equations",
        ),
        "no size": (("definition", "sizes", "m"), "units * units", "expected a size"),
        "no shape": (
            ("definition", "parameters", "training"),
            ["units", "units", "units"],
            "expected a shape",
        ),
        "no name": (
            (
                "definition",
                "name",
            ),
            "a>b",
            "expected the name of a cell",
        ),
        "no initializer": (("initialize", "b"), {"uniform": "x"}, "expected an initializer"),
        "of no parameter": (("initialize", "other"), "zeros", "expected initializers"),
    },
)
def test_a_wrong_definition_is_one_error(
    varied: tuple[Any, Path], tmp_path: Path, place: tuple[str, ...], value: Any, message: str
) -> None:
    wrong = tmp_path / "wrong.keras"
    with zipfile.ZipFile(varied[1]) as old, zipfile.ZipFile(wrong, "w") as new:
        for part in old.namelist():
            data = old.read(part)
            if part == "config.json":
                config = json.loads(data)
                _change(config, place, value)
                data = json.dumps(config).encode()
            new.writestr(part, data)
    with pytest.raises(ModelError) as caught:
        take(wrong)
    texts = {problem.message for problem in caught.value.problems}
    assert any(message in text for text in texts), texts


def _change(config: Any, place: tuple[str, ...], value: Any) -> None:
    """Change every definition of a cell in a configuration."""
    if isinstance(config, list):
        for item in config:
            _change(item, place, value)
    elif isinstance(config, dict):
        if "definition" in config:
            inner = config
            for key in place[:-1]:
                inner = inner[key]
            inner[place[-1]] = value
        for item in config.values():
            _change(item, place, value)


def test_force_replaces_only_source_that_rnnspec_wrote(tmp_path: Path) -> None:
    program, beside = pipeline.reads(VARIED), tmp_path / "varied.py"
    output = Output(tmp_path / "trained.keras", force=True)
    beside.write_text("print('mine')\n")
    with pytest.raises(UsageError, match=r"expected source that rnnspec wrote, .* not replaced"):
        output.check(program, get("keras"))
    beside.write_text(pipeline.generate(program, get("keras")).text)
    output.check(program, get("keras"))


@pytest.mark.parametrize("text", [SETTINGS, RENAMED], ids=["settings", "names of states"])
def test_a_file_that_keras_saved_is_that_of_its_spec(text: str, tmp_path: Path) -> None:
    program, path = pipeline.reads(text), tmp_path / "saved.keras"
    model = rnnspec.build(program.spec, "keras", seed=1)
    model.save(path)
    read = take(path, spec=program)
    for name, array in rnnspec.read_weights(model).items():
        np.testing.assert_array_equal(read.arrays[name], array, err_msg=name)


def test_cells_of_one_name_stay_apart(tmp_path: Path) -> None:
    # Bidirectional makes its layers by name, and so does load_model.
    spec = """\
version: 1
name: net
input: {features: 2}
cells:
  own: {states: [h], equations: {h: "tanh(W @ x + 0.5 * (U @ h))"}}
rnn: {type: own, units: 2, bidirectional: true}
"""
    first = rnnspec.build(rnnspec.loads(spec), "keras")
    first.save(tmp_path / "first.keras")
    other = rnnspec.loads(spec.replace("0.5", "0.25"))
    execute(rnnspec.codegen(other, "keras"), "net")
    again = rnnspec.build(rnnspec.loads(spec), "keras")
    one, two = (type(model.layers[0].forward_layer.cell) for model in (first, again))
    assert one is two
    with pytest.raises(ValueError, match="saved with other equations of own"):
        keras.saving.load_model(tmp_path / "first.keras")
