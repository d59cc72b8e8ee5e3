"""Arrays are written into a live model and read back unchanged, or nothing is written."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from cases import cases
from comparison.test_every_layer import ASKED, probe
from offered import require

import rnnspec
from rnnspec import pipeline
from rnnspec.backends import get
from rnnspec.backends.needs import dtype
from rnnspec.errors import UsageError
from rnnspec.weights.initial import draw_fresh

if TYPE_CHECKING:
    from collections.abc import Callable

    from rnnspec.backends.slots import Array

    Arrays = dict[str, Array]

EVERY_CELL = """\
version: 1
name: every_cell
embedding: {vocabulary: 7, dim: 3, trainable: false}
rnn:
  - {type: lstm, units: 2, bidirectional: true, dropout: 0.5}
  - {type: lstm, units: 3, bidirectional: true, merge: mul}
  - {type: gru, units: 4}
  - {type: gru, units: 2, bidirectional: true, dropout: 0.5}
  - {type: gru, units: 2, bias: false}
  - {type: simple, units: 3, layers: 2}
  - {type: lstm, units: 2, bias: false}
head: {hidden: [{units: 2}], units: 2, bias: false}
"""


pytestmark = pytest.mark.needs(EVERY_CELL)


def random_arrays(model: Any, dtype: type[np.floating[Any]]) -> Arrays:
    rng = np.random.default_rng(4)
    return {
        name: rng.standard_normal(array.shape).astype(dtype)
        for name, array in rnnspec.read_weights(model).items()
    }


def same(one: Arrays, other: Arrays) -> None:
    assert list(one) == list(other)
    for name, array in one.items():
        assert array.dtype == other[name].dtype
        np.testing.assert_array_equal(array, other[name], err_msg=name)


@pytest.fixture
def model(backend: str) -> Any:
    spec = rnnspec.loads(EVERY_CELL)
    require(backend, spec)
    return rnnspec.build(spec, backend)


def test_what_was_written_is_read(model: Any) -> None:
    written = random_arrays(model, np.float32)
    rnnspec.write_weights(model, written)
    same(rnnspec.read_weights(model), written)


@pytest.mark.parametrize("source", ASKED)
def test_every_layer_has_the_bits_of_a_seed_and_is_read_back(source: str, backend: str) -> None:
    program = probe(backend, require(backend).forms[0], source)
    made = rnnspec.build(program.spec, backend, seed=5)
    drawn = draw_fresh(program.network, 5)
    same(
        rnnspec.read_weights(made),
        {name: array.astype(np.float32) for name, array in drawn.items()},
    )
    written = random_arrays(made, np.float32)
    rnnspec.write_weights(made, written)
    same(rnnspec.read_weights(made), written)


@pytest.mark.needs(dtype("float64"))
def test_double_precision_stays(backend: str) -> None:
    program = pipeline.reads(EVERY_CELL)
    generated = pipeline.generate(program, require(backend, dtype("float64"), program))
    made = pipeline.instantiate(generated, "float64")
    written = random_arrays(made, np.float64)
    rnnspec.write_weights(made, written)
    same(rnnspec.read_weights(made), written)


def test_the_models_own_precision_stays(model: Any) -> None:
    written = random_arrays(model, np.float64)
    rnnspec.write_weights(model, written)
    same(
        rnnspec.read_weights(model),
        {name: array.astype(np.float32) for name, array in written.items()},
    )


def test_the_names_and_shapes_are_those_of_the_spec(model: Any) -> None:
    shapes = {name: array.shape for name, array in rnnspec.read_weights(model).items()}
    assert shapes["bidirectional_1.forward.kernel"] == (3, 8)
    assert shapes["bidirectional_1.backward.recurrent_kernel"] == (2, 8)
    assert shapes["gru_1.kernel"] == (3, 12)
    assert shapes["gru_1.recurrent_bias"] == (12,)
    assert shapes["dense_2.kernel"] == (2, 2)
    assert "dense_2.bias" not in shapes
    assert sum(np.prod(shape) for shape in shapes.values()) == (
        rnnspec.summary(rnnspec.loads(EVERY_CELL)).parameters.total
    )


def test_what_is_read_is_a_copy(model: Any) -> None:
    before = rnnspec.read_weights(model)
    kept = copy.deepcopy(before)
    for array in before.values():
        np.add(array, 1.0, out=array)
    same(rnnspec.read_weights(model), kept)


def test_what_was_written_is_not_held_on_to(model: Any) -> None:
    written = random_arrays(model, np.float32)
    rnnspec.write_weights(model, written)
    kept = copy.deepcopy(written)
    for array in written.values():
        np.add(array, 1.0, out=array)
    same(rnnspec.read_weights(model), kept)


def test_lists_and_the_order_of_another_are_taken(model: Any) -> None:
    written = random_arrays(model, np.float32)
    backwards = dict(reversed([(name, array.tolist()) for name, array in written.items()]))
    rnnspec.write_weights(model, backwards)
    same(rnnspec.read_weights(model), written)


def without_one(arrays: Arrays) -> Arrays:
    return dict(list(arrays.items())[:-1])


def with_one_more(arrays: Arrays) -> Arrays:
    return {**arrays, "lstm_9.kernel": np.zeros(1)}


def with_a_wrong_shape(arrays: Arrays) -> Arrays:
    return {**arrays, "dense_2.kernel": np.zeros((2, 3))}


def transposed(arrays: Arrays) -> Arrays:
    return {**arrays, "gru_1.kernel": arrays["gru_1.kernel"].T}


def with_a_word(arrays: Arrays) -> Arrays:
    return {**arrays, "dense_2.kernel": np.full((2, 2), "one")}


REFUSED = [
    (without_one, "missing array 'dense_2.kernel'"),
    (with_one_more, "unknown array 'lstm_9.kernel'"),
    (with_a_wrong_shape, "dense_2.kernel: expected the shape (2, 2), received (2, 3)"),
    (transposed, "gru_1.kernel: expected the shape (3, 12), received (12, 3)"),
    (with_a_word, "dense_2.kernel: expected numbers"),
]


@cases("changed, message", REFUSED)
def test_a_wrong_array_is_refused_and_nothing_written(
    changed: Any, message: str, model: Any
) -> None:
    before = rnnspec.read_weights(model)
    with pytest.raises(UsageError) as caught:
        rnnspec.write_weights(model, changed(random_arrays(model, np.float32)))
    assert message in str(caught.value)
    same(rnnspec.read_weights(model), before)


def of_keras() -> Any:
    keras = pytest.importorskip("keras")
    return keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])


def of_torch() -> Any:
    return pytest.importorskip("torch").nn.Linear(2, 1)


@pytest.mark.parametrize("foreign", [of_keras, of_torch])
def test_a_foreign_model_is_refused(foreign: Callable[[], Any]) -> None:
    made = foreign()
    with pytest.raises(UsageError, match=r"a model that rnnspec\.build made"):
        rnnspec.read_weights(made)
    with pytest.raises(UsageError, match=r"a model that rnnspec\.build made"):
        rnnspec.write_weights(made, {})


@pytest.mark.parametrize("value", [None, 3, "model", object()])
def test_no_model_at_all_is_refused(value: object) -> None:
    with pytest.raises(UsageError, match=r"a model that rnnspec\.build made"):
        rnnspec.read_weights(value)


def test_a_copy_of_a_torch_model_is_read_on_its_own() -> None:
    pytest.importorskip("torch")
    made = rnnspec.build(rnnspec.loads(EVERY_CELL), "torch", seed=3)
    before = rnnspec.read_weights(made)
    twin = copy.deepcopy(made)
    same(rnnspec.read_weights(twin), before)
    written = random_arrays(twin, np.float32)
    rnnspec.write_weights(twin, written)
    same(rnnspec.read_weights(twin), written)
    same(rnnspec.read_weights(made), before)


def test_writing_leaves_what_is_trainable_as_it_was(model: Any, backend: str) -> None:
    runtime = get(backend).runtime
    before = runtime.counts(model)
    assert before.non_trainable == 21
    rnnspec.write_weights(model, random_arrays(model, np.float32))
    assert runtime.counts(model) == before
