"""Every value of a Keras configuration replaced by one of another type: an error, or a model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from copy import deepcopy
from functools import partial
from typing import Any

import numpy as np
import pytest
from importing.old import changed, layer

from rnnspec.errors import ModelError, UsageError
from rnnspec.importing.assemble import write_spec
from rnnspec.importing.imported import Account
from rnnspec.importing.keras.arrays import Foreign, LayerArrays, Version
from rnnspec.importing.keras.files import unknown_class
from rnnspec.importing.keras.hdf5.file import StoredArray
from rnnspec.importing.keras.model import LAYERS, Description, read_model
from rnnspec.ir.nodes import Network

OTHERS: list[Any] = [
    *(None, True, -1, 10**400, 1.5, float("nan"), "x", [], [["x", 0, 0]], {}),
    {"class_name": ["LSTM"], "config": {}},
    {"class_name": "LSTM", "config": {"units": 2}, "module": 3},
]
SHAPES: dict[str, list[tuple[int, ...]]] = {
    "embedding": [(9, 3)],
    "lstm": [(3, 12), (3, 12), (12,)],
    "rnn": [(3, 6), (2, 6), (2, 8), (2, 8), (8,)],
    "bidirectional": [(2, 2), (2, 2), (2,)] * 2,
    "layernormalization": [(4,), (4,)],
    "conv1d": [(3, 3, 4), (4,)],
    "batchnormalization": [(4,), (4,), (4,)],
    "second": [(4, 16), (4, 16), (16,)],
    "hidden": [(24, 5), (5,)],
    "timedistributed": [(4, 5), (5,)],
    "dense": [(5, 1), (1,)],
}


class Ones(LayerArrays):
    """The arrays of both models by the names of the layers."""

    def of(self, layer: Foreign) -> list[StoredArray]:
        shapes = SHAPES.get(layer.own_name, [])
        return [StoredArray(f"{n}", s, partial(np.ones, s)) for n, s in enumerate(shapes)]


def tensor(name: str, output: int = 0) -> dict[str, Any]:
    history = {"keras_history": [name, 0, output], "shape": [None, 6], "dtype": "float32"}
    return {"class_name": "__keras_tensor__", "config": history}


def new(base: dict[str, Any], *args: Any, **kwargs: Any) -> dict[str, Any]:
    """Return a layer of Keras 3 with one call."""
    config = {"trainable": True, **base["config"]}
    calls = [{"args": [*args], "kwargs": kwargs}] if args else []
    return {"module": "keras.layers", **base, "config": config, "name": config["name"],
            "registered_name": None, "inbound_nodes": calls}  # fmt: skip


def operation(kind: str, *args: Any) -> dict[str, Any]:
    base = {"module": "keras.src.ops.numpy", **layer(kind), "name": kind.lower()}
    return {**base, "inbound_nodes": [{"args": [*args], "kwargs": {}}]}


def recurrent() -> dict[str, Any]:
    return layer("LSTM", units=3, return_sequences=True, activation="tanh", unroll=False,
                 kernel_initializer={"class_name": "RandomUniform",
                                     "config": {"minval": -0.1, "maxval": 0.1}},
                 zero_output_for_mask=False, dropout=0.1)  # fmt: skip


def functional() -> dict[str, Any]:
    """Return a residual block over tokens, a stack of cells, and both directions."""
    mask, policy = tensor("notequal"), {"class_name": "DTypePolicy", "config": {"name": "float32"}}
    gru = layer("GRUCell", units=2, use_bias=False, reset_after=False)
    stack = layer("StackedRNNCells", cells=[gru, layer("LSTMCell", units=2)])
    both = layer("Bidirectional", layer=layer("SimpleRNN", units=2, return_sequences=True),
                 merge_mode="concat")  # fmt: skip
    layers = [
        new(layer("InputLayer", batch_shape=[None, 6], dtype=policy)),
        operation("NotEqual", tensor("inputlayer"), 0),
        new(layer("Embedding", input_dim=9, output_dim=3, mask_zero=True), tensor("inputlayer")),
        new(recurrent(), tensor("embedding"), mask=mask, training=False),
        new(layer("Add"), [tensor("embedding"), tensor("lstm")]),
        new(layer("RNN", cell=stack, return_sequences=True), tensor("add"), mask=mask),
        new(both, tensor("rnn"), mask=mask),
        new(layer("LayerNormalization", axis=[-1], epsilon=0.001), tensor("bidirectional")),
        new(layer("TimeDistributed", layer=layer("Dense", units=5)), tensor("layernormalization")),
        new(layer("Activation", activation="relu"), tensor("timedistributed")),
        new(layer("Dropout", rate=0.5, noise_shape=None), tensor("activation")),
        new(layer("Dense", units=1, use_bias=True), tensor("dropout")),
    ]
    return model_of(layers, "dense")


def with_operations() -> dict[str, Any]:
    """Return a sum by an operator, and the last step."""
    whole = {"class_name": "__slice__", "config": {"start": None, "stop": None, "step": None}}
    layers = [
        new(layer("InputLayer", batch_shape=[None, 6, 3])),
        new(changed(recurrent(), return_state=True), tensor("inputlayer")),
        operation("Add", tensor("inputlayer"), tensor("lstm")),
        operation("GetItem", tensor("add"), [whole, -1, whole]),
        new(layer("Dropout", rate=0.5), tensor("getitem")),
    ]
    return model_of(layers, "dropout")


def stack() -> dict[str, Any]:
    """Return what is around a recurrent layer, with two outputs."""
    leaky = {"module": "keras.layers", **layer("LeakyReLU", negative_slope=0.1)}
    layers = [
        new(layer("InputLayer", batch_shape=[None, 6, 3])),
        new(layer("ZeroPadding1D", padding=[2, 0]), tensor("inputlayer")),
        new(layer("Conv1D", filters=4, kernel_size=[3], strides=[1], padding="valid", groups=1,
                  activation=leaky), tensor("zeropadding1d")),
        new(layer("BatchNormalization", axis=-1, momentum=0.9, epsilon=0.01, scale=False),
            tensor("conv1d")),
        new(layer("ReLU", max_value=6.0, negative_slope=0.0), tensor("batchnormalization")),
        new(layer("AveragePooling1D", pool_size=[2], strides=1, padding="same"), tensor("relu")),
        new(layer("SpatialDropout1D", rate=0.5), tensor("averagepooling1d")),
        new(layer("LSTM", units=4, return_sequences=True, name="second"),
            tensor("spatialdropout1d")),
        new(layer("GlobalMaxPooling1D", keepdims=False), tensor("second")),
        new(layer("GlobalAveragePooling1D"), tensor("second")),
        new(layer("Concatenate", axis=-1), [tensor("globalmaxpooling1d"),
                                            tensor("globalaveragepooling1d")]),
        new(layer("Reshape", target_shape=[-1]), tensor("second")),
        new(layer("Dense", units=5, name="hidden"), tensor("reshape")),
    ]  # fmt: skip
    outputs = {"pooled": ["concatenate", 0, 0], "whole": ["hidden", 0, 0]}
    model = model_of(layers, "hidden")
    return {**model, "config": {**model["config"], "output_layers": outputs}}


def model_of(layers: list[dict[str, Any]], output: str) -> dict[str, Any]:
    config = {"layers": layers, "input_layers": [["inputlayer", 0, 0]],
              "output_layers": [output, 0, 0]}  # fmt: skip
    return {"class_name": "Functional", "config": config, "module": "keras"}


def sequential() -> dict[str, Any]:
    """Return a model of Keras 2 with another inside it."""
    first = changed(recurrent(), batch_input_shape=[None, 5, 3], name="lstm")
    layers = [
        layer("Masking", mask_value=-1.0, batch_input_shape=[None, 5, 3], dtype="float32"),
        first,
        {"class_name": "Sequential", "config": {"name": "inner", "layers": [
            changed(recurrent(), name="lstm", zero_output_for_mask=True)]}},
        layer("GlobalAveragePooling1D", data_format="channels_last"),
        layer("UnitNormalization", axis=[1]),
    ]  # fmt: skip
    config = {"name": "net", "layers": layers}
    return {"class_name": "Sequential", "config": config, "keras_version": "2.4.0"}


def paths(value: Any) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every value below a value."""
    match value:
        case dict():
            pairs = list(value.items())
        case list():
            pairs = list(enumerate(value))
        case _:
            pairs = []
    for key, inner in pairs:
        yield (key,)
        yield from ((key, *rest) for rest in paths(inner))


def places(value: Any) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every value, those in the calls of two layers only.

    The same code reads the calls of all layers, but each kind of layer reads its own settings.
    """
    called = Counter[tuple[Any, ...]]()
    for path in paths(value):
        if "inbound_nodes" in path:
            inside = path[path.index("inbound_nodes") :]
            called[inside] += 1
            if called[inside] > 2:
                continue
        yield path


def take(config: Any, known: set[Network]) -> None:
    """Take a model over; the spec of a network that is known is not made again."""
    account = Account("model")
    given = Description("model", Version.of(None), config, "net")
    found = read_model(account, given, lambda *_: Ones({}))
    if found.network not in known:
        known.add(found.network)
        write_spec("model", found)


def test_a_value_that_is_too_deep_to_show() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(UsageError, match="received a list that is too deep to show"):
        take(deep, set())


@pytest.mark.parametrize("make", [functional, with_operations, stack, sequential])
def test_only_errors_of_rnnspec_come_out(make: Any) -> None:
    known = set[Network]()
    take(make(), known)
    assert not unknown_class(make(), LAYERS)
    for path in places(make()):
        for other in OTHERS:
            holder = config = make()
            for key in path[:-1]:
                holder = holder[key]
            holder[path[-1]] = deepcopy(other)
            unknown_class(config, LAYERS)
            try:
                with suppress(ModelError, UsageError):
                    take(config, known)
            except Exception as error:
                raise AssertionError(f"{path} = {other!r}") from error
