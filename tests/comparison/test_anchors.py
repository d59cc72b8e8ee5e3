"""The founding networks, written by hand as in a textbook, are equal to those of rnnspec.

The handwritten side uses nothing of what rnnspec knows about the frameworks: the arrays are
assigned explicitly in this file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from live import outputs
from offered import require

import rnnspec
from rnnspec import pipeline
from rnnspec.backends import get

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor, nn

    from rnnspec.backends.slots import Array

    Arrays = dict[str, Array]

TOLERANCE = 1e-12
BATCH = 4
SMALL_STACK = """\
version: 1
name: small_stack
input: {length: 6}
embedding: {vocabulary: 11, dim: 5}
rnn: {type: lstm, units: 5, layers: 3, dropout: 0.2}
head: {units: 1, activation: sigmoid}
"""
SMALL_BOTH = """\
version: 1
name: small_both
input: {length: 6}
embedding: {vocabulary: 11, dim: 5}
rnn: {type: lstm, units: 5, bidirectional: true, dropout: 0.2}
head: {units: 1, activation: sigmoid}
"""
SMALL_GRU = """\
version: 1
name: small_gru
input: {length: 6, features: 3}
rnn: {type: gru, units: 4}
head: {units: 2}
"""


def fixed(shapes: dict[str, tuple[int, ...]]) -> Arrays:
    """Return random arrays: kernels from N(0, 1 / fan in), all others from N(0, 1)."""
    rng = np.random.default_rng(20)
    return {
        name: rng.normal(0.0, shape[0] ** -0.5 if name.endswith("kernel") else 1.0, shape)
        for name, shape in shapes.items()
    }


def lstm_shapes(name: str, features: int, units: int) -> dict[str, tuple[int, ...]]:
    return {
        f"{name}.kernel": (features, 4 * units),
        f"{name}.recurrent_kernel": (units, 4 * units),
        f"{name}.bias": (4 * units,),
    }


def stack_arrays(vocabulary: int, size: int) -> Arrays:
    return fixed(
        {
            "embedding_1.embeddings": (vocabulary, size),
            **lstm_shapes("lstm_1", size, size),
            **lstm_shapes("lstm_2", size, size),
            **lstm_shapes("lstm_3", size, size),
            "dense_1.kernel": (size, 1),
            "dense_1.bias": (1,),
        }
    )


def both_arrays(vocabulary: int, size: int) -> Arrays:
    return fixed(
        {
            "embedding_1.embeddings": (vocabulary, size),
            **lstm_shapes("bidirectional_1.forward", size, size),
            **lstm_shapes("bidirectional_1.backward", size, size),
            "dense_1.kernel": (2 * size, 1),
            "dense_1.bias": (1,),
        }
    )


def gru_arrays() -> Arrays:
    return fixed(
        {
            "gru_1.kernel": (3, 12),
            "gru_1.recurrent_kernel": (4, 12),
            "gru_1.bias": (12,),
            "gru_1.recurrent_bias": (12,),
            "dense_1.kernel": (4, 2),
            "dense_1.bias": (2,),
        }
    )


def tokens(vocabulary: int, steps: int) -> Array:
    return np.random.default_rng(21).integers(0, vocabulary, (BATCH, steps), dtype=np.int32)


def numbers() -> Array:
    return np.random.default_rng(22).standard_normal((BATCH, 6, 3))


def built(spec: Path | str, backend: str, arrays: Arrays) -> Any:
    """Return the network of a spec (a path or a text) in float64, with these arrays."""
    loaded = rnnspec.loads(spec) if isinstance(spec, str) else rnnspec.load(spec)
    generated = pipeline.generate(pipeline.program(loaded), get(backend))
    model = pipeline.instantiate(generated, "float64")
    rnnspec.write_weights(model, arrays)
    return model


def keras_stack(vocabulary: int, size: int, steps: int, arrays: Arrays) -> Any:
    keras = pytest.importorskip("keras")
    model = keras.Sequential(
        [
            keras.Input((steps,), dtype="int32"),
            keras.layers.Embedding(vocabulary, size, dtype="float64"),
            keras.layers.LSTM(size, dropout=0.2, return_sequences=True, dtype="float64"),
            keras.layers.LSTM(size, dropout=0.2, return_sequences=True, dtype="float64"),
            keras.layers.LSTM(size, dropout=0.2, dtype="float64"),
            keras.layers.Dense(1, activation="sigmoid", dtype="float64"),
        ]
    )
    embedding, lstm_1, lstm_2, lstm_3, dense = model.layers
    embedding.set_weights([arrays["embedding_1.embeddings"]])
    lstm_1.set_weights(three(arrays, "lstm_1"))
    lstm_2.set_weights(three(arrays, "lstm_2"))
    lstm_3.set_weights(three(arrays, "lstm_3"))
    dense.set_weights([arrays["dense_1.kernel"], arrays["dense_1.bias"]])
    return model


def keras_both(arrays: Arrays) -> Any:
    keras = pytest.importorskip("keras")
    model = keras.Sequential(
        [
            keras.Input((500,), dtype="int32"),
            keras.layers.Embedding(10_000, 32, dtype="float64"),
            keras.layers.Bidirectional(
                keras.layers.LSTM(32, dropout=0.2, dtype="float64"), dtype="float64"
            ),
            keras.layers.Dense(1, activation="sigmoid", dtype="float64"),
        ]
    )
    embedding, both, dense = model.layers
    embedding.set_weights([arrays["embedding_1.embeddings"]])
    both.forward_layer.set_weights(three(arrays, "bidirectional_1.forward"))
    both.backward_layer.set_weights(three(arrays, "bidirectional_1.backward"))
    dense.set_weights([arrays["dense_1.kernel"], arrays["dense_1.bias"]])
    return model


def three(arrays: Arrays, name: str) -> list[Array]:
    return [arrays[f"{name}.kernel"], arrays[f"{name}.recurrent_kernel"], arrays[f"{name}.bias"]]


def keras_gru(arrays: Arrays) -> Any:
    keras = pytest.importorskip("keras")
    model = keras.Sequential(
        [
            keras.Input((6, 3), dtype="float64"),
            keras.layers.GRU(4, dtype="float64"),
            keras.layers.Dense(2, dtype="float64"),
        ]
    )
    gru, dense = model.layers
    biases = np.stack([arrays["gru_1.bias"], arrays["gru_1.recurrent_bias"]])
    gru.set_weights([arrays["gru_1.kernel"], arrays["gru_1.recurrent_kernel"], biases])
    dense.set_weights([arrays["dense_1.kernel"], arrays["dense_1.bias"]])
    return model


def set_lstm(lstm: nn.LSTM, arrays: Arrays, name: str, suffix: str = "") -> None:
    # PyTorch: (4 * units, in), with gates i f g o, where g is Keras's c.
    assign(getattr(lstm, f"weight_ih_l0{suffix}"), arrays[f"{name}.kernel"].T)
    assign(getattr(lstm, f"weight_hh_l0{suffix}"), arrays[f"{name}.recurrent_kernel"].T)
    assign(getattr(lstm, f"bias_ih_l0{suffix}"), arrays[f"{name}.bias"])
    getattr(lstm, f"bias_hh_l0{suffix}").data.zero_()


def assign(parameter: Tensor | nn.Module, array: Array) -> None:
    import torch

    assert isinstance(parameter, torch.nn.Parameter)
    assert tuple(parameter.shape) == array.shape
    parameter.data = torch.tensor(array)


def set_dense(dense: nn.Linear, arrays: Arrays) -> None:
    assign(dense.weight, arrays["dense_1.kernel"].T)
    assign(dense.bias, arrays["dense_1.bias"])


def torch_stack(vocabulary: int, size: int, arrays: Arrays) -> nn.Module:
    torch = pytest.importorskip("torch")
    from torch import nn

    class Stack(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(vocabulary, size)
            self.lstm_1 = nn.LSTM(size, size, batch_first=True)
            self.lstm_2 = nn.LSTM(size, size, batch_first=True)
            self.lstm_3 = nn.LSTM(size, size, batch_first=True)
            self.dense = nn.Linear(size, 1)

        def forward(self, x: Tensor) -> Tensor:
            sequence, _ = self.lstm_1(self.embedding(x))
            sequence, _ = self.lstm_2(sequence)
            _, (h_n, _) = self.lstm_3(sequence)
            result: Tensor = torch.sigmoid(self.dense(h_n[0]))
            return result

    model = Stack().double()
    assign(model.embedding.weight, arrays["embedding_1.embeddings"])
    set_lstm(model.lstm_1, arrays, "lstm_1")
    set_lstm(model.lstm_2, arrays, "lstm_2")
    set_lstm(model.lstm_3, arrays, "lstm_3")
    set_dense(model.dense, arrays)
    return model


def torch_both(vocabulary: int, size: int, arrays: Arrays) -> nn.Module:
    torch = pytest.importorskip("torch")
    from torch import nn

    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(vocabulary, size)
            self.lstm = nn.LSTM(size, size, batch_first=True, bidirectional=True)
            self.dense = nn.Linear(2 * size, 1)

        def forward(self, x: Tensor) -> Tensor:
            _, (h_n, _) = self.lstm(self.embedding(x))
            result: Tensor = torch.sigmoid(self.dense(torch.cat([h_n[0], h_n[1]], dim=1)))
            return result

    model = Both().double()
    assign(model.embedding.weight, arrays["embedding_1.embeddings"])
    set_lstm(model.lstm, arrays, "bidirectional_1.forward")
    set_lstm(model.lstm, arrays, "bidirectional_1.backward", "_reverse")
    set_dense(model.dense, arrays)
    return model


def torch_gru(arrays: Arrays) -> nn.Module:
    pytest.importorskip("torch")
    from torch import nn

    class Gated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gru = nn.GRU(3, 4, batch_first=True)
            self.dense = nn.Linear(4, 2)

        def forward(self, x: Tensor) -> Tensor:
            _, h_n = self.gru(x)
            result: Tensor = self.dense(h_n[0])
            return result

    def reset_first(array: Array) -> Array:
        # Keras: gates z r h in columns; PyTorch: gates r z n in rows.
        z, r, h = array[..., :4], array[..., 4:8], array[..., 8:]
        return np.concatenate([r, z, h], axis=-1).T

    model = Gated().double()
    assign(model.gru.weight_ih_l0, reset_first(arrays["gru_1.kernel"]))
    assign(model.gru.weight_hh_l0, reset_first(arrays["gru_1.recurrent_kernel"]))
    assign(model.gru.bias_ih_l0, reset_first(arrays["gru_1.bias"]))
    assign(model.gru.bias_hh_l0, reset_first(arrays["gru_1.recurrent_bias"]))
    set_dense(model.dense, arrays)
    return model


def agree(by_hand: Any, made: Any, batch: Array) -> None:
    expected = outputs(by_hand, batch, training=False)
    assert expected.dtype == np.float64
    assert np.ptp(expected) > 1e-3, "an output that is the same for every row proves nothing"
    np.testing.assert_allclose(
        outputs(made, batch, training=False), expected, rtol=0.0, atol=TOLERANCE
    )


def test_the_founding_stack_in_keras(specs_folder: Path) -> None:
    arrays = stack_arrays(10_000, 32)
    by_hand = keras_stack(10_000, 32, 500, arrays)
    assert by_hand.count_params() == 344_993
    made = built(specs_folder / "stacked_lstm.yaml", "keras", arrays)
    agree(by_hand, made, tokens(10_000, 500))


def test_the_founding_stack_in_torch(specs_folder: Path) -> None:
    arrays = stack_arrays(10_000, 32)
    made = built(specs_folder / "stacked_lstm.yaml", "torch", arrays)
    agree(torch_stack(10_000, 32, arrays), made, tokens(10_000, 500))


def test_the_founding_pair_of_directions_in_keras(specs_folder: Path) -> None:
    arrays = both_arrays(10_000, 32)
    by_hand = keras_both(arrays)
    assert by_hand.count_params() == 336_705
    made = built(specs_folder / "bidirectional_lstm.yaml", "keras", arrays)
    agree(by_hand, made, tokens(10_000, 500))


def test_the_founding_pair_of_directions_in_torch(specs_folder: Path) -> None:
    arrays = both_arrays(10_000, 32)
    made = built(specs_folder / "bidirectional_lstm.yaml", "torch", arrays)
    agree(torch_both(10_000, 32, arrays), made, tokens(10_000, 500))


def test_a_gru_in_keras() -> None:
    arrays = gru_arrays()
    agree(keras_gru(arrays), built(SMALL_GRU, "keras", arrays), numbers())


def test_a_gru_in_torch() -> None:
    arrays = gru_arrays()
    agree(torch_gru(arrays), built(SMALL_GRU, "torch", arrays), numbers())


BY_HAND: dict[str, Callable[[Arrays], Any]] = {
    "keras": lambda arrays: keras_stack(10_000, 32, 500, arrays),
    "torch": lambda arrays: torch_stack(10_000, 32, arrays),
}


@pytest.mark.parametrize("backend", BY_HAND)
def test_build_itself_is_equal_in_single_precision(backend: str, specs_folder: Path) -> None:
    require(backend)
    arrays = stack_arrays(10_000, 32)
    made = rnnspec.build(specs_folder / "stacked_lstm.yaml", backend)
    rnnspec.write_weights(made, arrays)
    by_hand = BY_HAND[backend](arrays)
    batch = tokens(10_000, 500)
    expected = outputs(by_hand, batch, training=False)
    np.testing.assert_allclose(outputs(made, batch, training=False), expected, rtol=0.0, atol=1e-5)


@pytest.mark.parametrize("network", ["stack", "both", "gru"])
def test_gradients_in_torch(network: str) -> None:
    torch = pytest.importorskip("torch")
    if network == "stack":
        arrays, batch = stack_arrays(11, 5), tokens(11, 6)
        by_hand, made = torch_stack(11, 5, arrays), built(SMALL_STACK, "torch", arrays)
    elif network == "both":
        arrays, batch = both_arrays(11, 5), tokens(11, 6)
        by_hand, made = torch_both(11, 5, arrays), built(SMALL_BOTH, "torch", arrays)
    else:
        arrays, batch = gru_arrays(), numbers()
        by_hand, made = torch_gru(arrays), built(SMALL_GRU, "torch", arrays)
    expected, found = gradients(by_hand, batch), gradients(made, batch)
    # The handwritten network has second biases, zero here, which rnnspec's network lacks.
    second = [name for name in expected if "bias_hh" in name and network != "gru"]
    assert len(second) == {"stack": 3, "both": 2, "gru": 0}[network]
    for name in second:
        first = expected[name.replace("_hh_", "_ih_")]
        torch.testing.assert_close(expected.pop(name), first, rtol=0.0, atol=TOLERANCE)
    assert len(found) == len(expected)
    for one, other in zip(expected.values(), found.values(), strict=True):
        assert float(one.abs().max()) > 1e-6
        torch.testing.assert_close(other, one, rtol=0.0, atol=TOLERANCE)


def gradients(model: nn.Module, batch: Array) -> dict[str, Tensor]:
    import torch

    result = model.eval()(torch.from_numpy(batch))
    target = torch.linspace(0.0, 1.0, result.numel(), dtype=torch.float64).reshape(result.shape)
    ((result - target) ** 2).mean().backward()
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
