"""Arguments left out of generated source: the installed frameworks have these defaults."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from cases import cases

from rnnspec.backends.jax.emit import DEFAULTS as JAX
from rnnspec.backends.keras.defaults import DEFAULTS as KERAS
from rnnspec.backends.torch.emit import DEFAULTS as TORCH

# Arguments for features that are not supported, with the value that switches each of them off.
INERT_IN_KERAS: dict[str, object] = {
    "activity_regularizer": None,
    "autocast": True,
    "axis": -1,
    "backward_layer": None,
    "beta_initializer": "zeros",
    "center": True,
    "dtype": None,
    "gamma_initializer": "ones",
    "go_backwards": False,
    "groups": 1,
    "keepdims": False,
    "data_format": None,
    "logit_soft_cap": None,
    "mask_zero": False,
    "moving_mean_initializer": "zeros",
    "moving_variance_initializer": "ones",
    "name": None,
    "noise_shape": None,
    "quantization_config": None,
    "renorm": False,
    "renorm_clipping": None,
    "renorm_momentum": 0.99,
    "return_sequences": False,
    "return_state": False,
    "reverse_dtype": None,
    "scale": True,
    "seed": None,
    "stateful": False,
    "synchronized": False,
    "tie_weights": True,
    "trainable": True,
    "unroll": False,
    "use_cudnn": "auto",
    "weights": None,
}
STATED_IN_KERAS = {
    "BatchNormalization": ("momentum", "epsilon"),
    "LayerNormalization": ("epsilon",),
    "LeakyReLU": ("negative_slope",),
    "MaxPooling1D": ("pool_size",),
    # It has none, as the language has no activation of a scale and an offset.
    "EinsumDense": ("activation", "bias_axes", "gptq_unpacked_column_size"),
}
"""Arguments that are always written, most because their defaults differ between frameworks."""
INERT_ENDINGS = ("_regularizer", "_constraint")
INERT_PREFIXES = ("lora_",)
INERT_IN_TORCH: dict[str, object] = {
    "device": None,
    "dropout": 0.0,
    "dtype": None,
    "inplace": False,
    "max_norm": None,
    "norm_type": 2.0,
    "num_layers": 1,
    "padding_idx": None,
    "proj_size": 0,
    "scale_grad_by_freq": False,
    "sparse": False,
    "_freeze": False,
    "_weight": None,
}


def defaults(*classes: Any) -> dict[str, object]:
    """Return the defaults of the constructors; a class overrides those after it."""
    found: dict[str, object] = {}
    for class_ in reversed(classes):
        for name, parameter in inspect.signature(class_.__init__).parameters.items():
            if parameter.default is not inspect.Parameter.empty:
                found[name] = parameter.default
    return found


def in_keras(type_: str) -> dict[str, object]:
    keras = pytest.importorskip("keras")
    return defaults(getattr(keras.layers, type_), keras.layers.Layer)


def in_torch(type_: str) -> dict[str, object]:
    nn = pytest.importorskip("torch").nn
    # nn.LSTM and similar classes accept **kwargs for their base class.
    class_ = getattr(nn, type_)
    found = defaults(nn.RNNBase if issubclass(class_, nn.RNNBase) else class_)
    # It is in no signature, because nn.RNN reads it from its keyword arguments.
    return {**found, "nonlinearity": nn.RNN(1, 1).nonlinearity} if class_ is nn.RNN else found


@cases("type_", sorted(KERAS))
def test_what_is_left_out_in_keras(type_: str) -> None:
    there = in_keras(type_)
    assert KERAS[type_]
    assert {name: there.get(name, "absent") for name in KERAS[type_]} == dict(KERAS[type_])


@cases("type_", sorted(JAX))
def test_what_is_left_out_in_flax(type_: str) -> None:
    nnx = pytest.importorskip("flax.nnx")
    there = defaults(getattr(nnx, type_.removeprefix("nnx.")))
    assert {name: there.get(name, "absent") for name in JAX[type_]} == dict(JAX[type_])


@cases("type_", sorted(TORCH))
def test_what_is_left_out_in_torch(type_: str) -> None:
    there = in_torch(type_.removeprefix("nn."))
    assert TORCH[type_]
    assert {name: there.get(name, "absent") for name in TORCH[type_]} == dict(TORCH[type_])


@cases(
    "type_",
    [
        *sorted({*KERAS, *STATED_IN_KERAS}),
        *("Concatenate", "Dropout", "Flatten", "SpatialDropout1D"),
        *("GlobalAveragePooling1D", "GlobalMaxPooling1D"),
    ],
)
def test_what_is_never_said_in_keras_is_inert(type_: str) -> None:
    for name, value in in_keras(type_).items():
        if name in KERAS.get(type_, {}) or name in STATED_IN_KERAS.get(type_, ()):
            continue
        inert = name.endswith(INERT_ENDINGS) or name.startswith(INERT_PREFIXES)
        assert value == (None if inert else INERT_IN_KERAS.get(name, "an unknown argument")), name


@cases("type_", ["RNN", "LSTM", "GRU", "Linear", "Embedding"])
def test_what_is_never_said_in_torch_is_inert(type_: str) -> None:
    for name, value in in_torch(type_).items():
        if name not in TORCH.get(f"nn.{type_}", {}):
            assert value == INERT_IN_TORCH.get(name, "an unknown argument"), name


def test_keras_words_for_initializers() -> None:
    keras = pytest.importorskip("keras")
    uniform = keras.initializers.get("uniform")
    assert isinstance(uniform, keras.initializers.RandomUniform)
    assert uniform.get_config() == {"minval": -0.05, "maxval": 0.05, "seed": None}
    assert keras.initializers.get("orthogonal").get_config() == {"gain": 1.0, "seed": None}


def test_what_flax_draws_unasked() -> None:
    nnx = pytest.importorskip("flax.nnx")
    batch_norm = nnx.BatchNorm(3, rngs=nnx.Rngs(0))
    for layer in (nnx.Linear(2, 3, rngs=nnx.Rngs(0)), nnx.Conv(2, 3, 1, rngs=nnx.Rngs(0))):
        assert layer.bias[...].tolist() == [0.0, 0.0, 0.0]
    for norm in (nnx.LayerNorm(3, rngs=nnx.Rngs(0)), batch_norm):
        assert (norm.bias[...].tolist(), norm.scale[...].tolist()) == ([0.0] * 3, [1.0] * 3)
    assert (batch_norm.mean[...].tolist(), batch_norm.var[...].tolist()) == ([0.0] * 3, [1.0] * 3)
