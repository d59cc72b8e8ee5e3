"""Names used by the installed frameworks: each is a key of the language or has a message."""

from __future__ import annotations

import inspect
from itertools import product
from typing import Any, get_args

import pytest
from cases import cases

from rnnspec.spec import models
from rnnspec.spec.messages.foreign_keys import key_for
from rnnspec.spec.messages.foreign_values import home_for, layer_for, value_for
from rnnspec.spec.models import GRU, LSTM, RepeatVector, SimpleRNN
from rnnspec.words import Activation, CellActivation

Places = list[tuple[str, type[models.Model]]]
PARTS: dict[type[models.Model], str] = {
    **{model: kind for kind, model in models.KINDS.items() if kind not in models.RECURRENT},
    models.Hidden: "hidden",
}
RECURRENT: Places = [("rnn", SimpleRNN), ("rnn", LSTM), ("rnn", GRU)]
DENSE: Places = [("head", models.Head), ("head", models.Hidden)]
# Arguments of a call, not of a layer.
DATA = {"input", "sequence", "name"}
KERAS: dict[str, Places] = {
    "Input": [("input", models.Input)],
    "Masking": [("input", models.Input)],
    "Embedding": [("embedding", models.Embedding)],
    "SimpleRNN": [("rnn", SimpleRNN)],
    "LSTM": [("rnn", LSTM)],
    "GRU": [("rnn", GRU)],
    "RNN": RECURRENT,
    "Bidirectional": RECURRENT,
    "LayerNormalization": [*RECURRENT, ("rnn", models.LayerNormLayer)],
    "BatchNormalization": [("rnn", models.BatchNorm), ("head", models.BatchNorm)],
    "Dropout": [*RECURRENT, *DENSE, ("rnn", models.Dropout), ("head", models.Dropout)],
    "SpatialDropout1D": [("rnn", models.Dropout)],
    "RepeatVector": [("rnn", RepeatVector)],
    "Dense": [*DENSE, ("rnn", models.Dense)],
    "Conv1D": [("rnn", models.Conv)],
    "MaxPooling1D": [("head", models.Head), ("rnn", models.MaxPool)],
    "AveragePooling1D": [("head", models.Head), ("rnn", models.AveragePool)],
    "Activation": [("rnn", models.ActivationLayer)],
    "Concatenate": [("rnn", models.Concat)],
    "TimeDistributed": [("head", models.Head)],
    "GlobalAveragePooling1D": [("head", models.Head)],
    "GlobalMaxPooling1D": [("head", models.Head)],
}
TORCH: dict[str, Places] = {
    "Embedding": [("embedding", models.Embedding)],
    # RNN, LSTM and GRU take the arguments of their base class.
    "RNNBase": RECURRENT,
    "RNNCell": [("rnn", SimpleRNN)],
    "LSTMCell": [("rnn", LSTM)],
    "GRUCell": [("rnn", GRU)],
    "LayerNorm": [*RECURRENT, ("rnn", models.LayerNormLayer)],
    "BatchNorm1d": [("rnn", models.BatchNorm), ("head", models.BatchNorm)],
    "Dropout": [*RECURRENT, *DENSE, ("rnn", models.Dropout), ("head", models.Dropout)],
    "Dropout1d": [("rnn", models.Dropout)],
    "Linear": [*DENSE, ("rnn", models.Dense)],
    "Conv1d": [("rnn", models.Conv)],
    "MaxPool1d": [("rnn", models.MaxPool)],
    "AvgPool1d": [("rnn", models.AveragePool)],
    "utils.rnn.pack_padded_sequence": [("input", models.Input)],
    "utils.rnn.pad_packed_sequence": [("input", models.Input)],
}
CELLS, HEAD = get_args(CellActivation), get_args(Activation)
MATRIX = ("glorot_uniform", "he_uniform", "lecun_uniform", "orthogonal", "zeros", "ones")


def _named(module: Any, name: str) -> Any:
    for part in name.split("."):
        module = getattr(module, part)
    return module


def _unanswered(callable_: Any, section: str, model: type[models.Model]) -> list[str]:
    part = PARTS.get(model, section)
    return [
        parameter.name
        for parameter in inspect.signature(callable_).parameters.values()
        if parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
        and parameter.name not in {*model.model_fields, *DATA}
        and key_for(parameter.name, section, part, tuple(model.model_fields)) is None
        and not (section == "rnn" and parameter.name in GRU.model_fields)
    ]


@cases("name", list(KERAS))
def test_each_argument_of_keras_is_known(name: str) -> None:
    keras = pytest.importorskip("keras")
    for section, model in KERAS[name]:
        assert _unanswered(_named(keras.layers, name), section, model) == []


@cases("name", list(TORCH))
def test_each_argument_of_torch_is_known(name: str) -> None:
    torch = pytest.importorskip("torch")
    for section, model in TORCH[name]:
        assert _unanswered(_named(torch.nn, name), section, model) == []


def _answered(what: str, word: str, words: tuple[str, ...]) -> bool:
    own = word.lower() in words
    return own or bool(value_for(what, word, words) or home_for(what, word, words))


@pytest.mark.parametrize("words", [CELLS, HEAD])
def test_each_activation_is_known(words: tuple[str, ...]) -> None:
    keras, torch = pytest.importorskip("keras"), pytest.importorskip("torch")
    names = {name for name in vars(keras.activations) if not name.startswith("_")}
    names |= set(torch.nn.modules.activation.__all__)
    names -= {"get", "serialize", "deserialize"}
    assert {name for name in names if not _answered("activation", name, words)} == set()


def test_each_initializer_is_known() -> None:
    keras, torch = pytest.importorskip("keras"), pytest.importorskip("torch")
    names = {name for name in vars(keras.initializers) if not name.startswith("_")}
    names |= {name for name in vars(torch.nn.init) if name.endswith("_") and name[0] != "_"}
    names -= {"get", "serialize", "deserialize", "Initializer"}
    assert {name for name in names if not _answered("initializer", name, MATRIX)} == set()


def test_each_layer_with_steps_is_known() -> None:
    keras, torch = pytest.importorskip("keras"), pytest.importorskip("torch")
    parts = ("RNN", "LSTM", "GRU", "Conv", "Pool", "Norm", "Dropout", "Attention", "Dense")
    names = {name for module in (keras.layers, torch.nn) for name in vars(module)}
    names = {name for name in names if name[0].isupper() and not name.endswith("Base")}
    layers = {name for name in names if any(part in name for part in parts)}
    assert len(layers) > 100
    assert {name for name in layers if layer_for(name) is None} == set()


@cases(
    "kind, spelling",
    [*product(("lstm", "gru"), ("b{}", "bi{}", "bi-{}", "BI_{}", "nn.Bi{}", "{}_bidirectional"))],
)
def test_no_guess_takes_a_direction_away(kind: str, spelling: str) -> None:
    assert layer_for(spelling.format(kind)) == f"write 'type: {kind}' with 'bidirectional: true'"
