"""Planted faults: parity must report each, with its layer and its quantity."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from mutation import slots_edited, source_edited

import rnnspec
from rnnspec.backends import get

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from _pytest.mark import ParameterSet

    from rnnspec.comparison.report import ParityReport
    from rnnspec.slots import Array

pytest.importorskip("keras")
pytest.importorskip("torch")

TOKENS = "embedding: {vocabulary: 7, dim: 3}"
NUMBERS = "input: {length: 5, features: 3}"
SQUARE = "input: {length: 5, features: 4}"
SPECS = {
    "lstm": f"{NUMBERS}\nrnn: {{type: lstm, units: 4}}\nhead: {{units: 1, activation: sigmoid}}",
    "dropped": f"""\
{NUMBERS}
rnn: {{type: lstm, units: 4, dropout: 0.5}}
head: {{units: 1, activation: sigmoid}}""",
    "dropped_each_step": f"""\
{NUMBERS}
rnn: {{type: lstm, units: 4, dropout: 0.5, variational: false}}
head: {{units: 1, activation: sigmoid}}""",
    "simple": f"{SQUARE}\nrnn: {{type: simple, units: 4}}\nhead: {{units: 4}}",
    "gru": f"{NUMBERS}\nrnn: {{type: gru, units: 4}}\nhead: {{units: 2}}",
    "both": f"{NUMBERS}\nrnn: {{type: lstm, units: 4, bidirectional: true}}\nhead: {{units: 1}}",
    "both_dropped": f"""\
{NUMBERS}
rnn: {{type: gru, units: 4, bidirectional: true, dropout: 0.5}}
head: {{units: 1}}""",
    "average": f"""\
{NUMBERS}
rnn: {{type: gru, units: 4, bidirectional: true, merge: ave}}
head: {{units: 1}}""",
    "frozen": """\
embedding: {vocabulary: 7, dim: 3, trainable: false}
rnn: {type: simple, units: 4}""",
    "tokens": f"{TOKENS}\nrnn: {{type: simple, units: 4}}",
    "mean": f"{NUMBERS}\nrnn: {{type: gru, units: 4}}\nhead: {{pooling: mean, units: 1}}",
    "relu": f"""\
{NUMBERS}
rnn: {{type: gru, units: 4}}
head: {{hidden: [{{units: 3, activation: relu}}], units: 1}}""",
    "softplus": f"""\
{NUMBERS}
rnn: {{type: gru, units: 4}}
head: {{hidden: [{{units: 3, activation: softplus}}], units: 1}}""",
}
OUTPUT, PARAMETERS, TRAINABLE = "output", "parameters", "trainable parameters"
# Keras overrides ``training=True`` in the call of a layer, but not inside the layer's own call.
ALWAYS = """type("{0}", (keras.layers.{0},), {{
    "call": lambda self, {1}: super(type(self), self).call({1}, training=True)
}})("""
ALWAYS_LSTM = ALWAYS.format("LSTM", "sequences, initial_state, mask").replace(
    "initial_state, mask:", "initial_state=None, mask=None:"
)

# The planted faults: spec, backend, text of the generated source, replacement; then the layer and
# the quantity that must be reported.
SOURCE_FAULTS: dict[str, list[tuple[str, ...]]] = {
    "a unit more": [
        ("lstm", "keras", "LSTM(4,", "LSTM(5,", "lstm_1", PARAMETERS),
        ("lstm", "torch", "LSTM(3, 4,", "LSTM(3, 5,", "lstm_1", PARAMETERS),
    ],
    "a second bias": [
        ("lstm", "torch", "= SingleBiasLSTM(", "= nn.LSTM(", "lstm_1", PARAMETERS),
        ("simple", "torch", "= SingleBiasRNN(", "= nn.RNN(", "simple_rnn_1", PARAMETERS),
    ],
    "no bias": [
        ("lstm", "keras", "Dense(1,", "Dense(1, use_bias=False,", "dense_1", PARAMETERS),
    ],
    "the reset gate before the product": [
        ("gru", "keras", "GRU(4,", "GRU(4, reset_after=False,", "gru_1", PARAMETERS),
    ],
    "trained though frozen": [
        ("frozen", "keras", "trainable=False", "trainable=True", "", TRAINABLE),
        ("frozen", "torch", "grad_(False)", "grad_(True)", "", TRAINABLE),
    ],
    "frozen though trained": [
        (
            "tokens",
            "keras",
            '"embedding_1")',
            '"embedding_1", trainable=False)',
            "",
            TRAINABLE,
        ),
        (
            *("tokens", "torch", "self.reset_parameters()"),
            "self.embedding_1.requires_grad_(False)",
            *("", TRAINABLE),
        ),
    ],
    "the backward state after one step": [
        (
            *("both", "keras"),
            'return_sequences=False), name="bidirectional_1"\n    )(inputs)',
            'return_sequences=True), name="bidirectional_1"\n    )(inputs)[:, -1]',
            *("bidirectional_1", OUTPUT),
        ),
        (
            *("both", "torch"),
            "_, (state, _) = self.bidirectional_1(x)",
            "y, _ = self.bidirectional_1(x); state = [y[:, -1, :4], y[:, -1, 4:]]",
            *("bidirectional_1", OUTPUT),
        ),
        (
            *("both_dropped", "torch", "(back.flip(1))", "(back[:, -1:])"),
            *("bidirectional_1", OUTPUT),
        ),
    ],
    "the backward direction run forward": [
        ("both_dropped", "torch", "back.flip(1)", "back", "bidirectional_1", OUTPUT),
    ],
    "sum for average": [
        ("average", "keras", '"ave"', '"sum"', "bidirectional_1", OUTPUT),
        ("average", "torch", " / 2", "", "bidirectional_1", OUTPUT),
    ],
    "maximum for mean": [
        ("mean", "keras", "GlobalAverage", "GlobalMax", "mean_pooling_1", OUTPUT),
        ("mean", "torch", "x.mean(", "x.amax(", "mean_pooling_1", OUTPUT),
    ],
    "no head activation": [
        ("lstm", "keras", 'activation="sigmoid", ', "", "dense_1", OUTPUT),
        ("lstm", "torch", "x if logits else torch.sigmoid(x)", "x", "dense_1", OUTPUT),
    ],
    "relu for softplus": [
        ("softplus", "keras", '"softplus"', '"relu"', "dense_1", OUTPUT),
        ("softplus", "torch", "softplus(x, threshold=40)", "relu(x)", "dense_1", OUTPUT),
    ],
    "softplus for relu": [
        ("relu", "keras", '"relu"', '"softplus"', "dense_1", OUTPUT),
        ("relu", "torch", "torch.relu(", "nn.functional.softplus(", "dense_1", OUTPUT),
    ],
    "another activation in the cell": [
        ("gru", "keras", "GRU(4,", 'GRU(4, recurrent_activation="tanh",', "gru_1", OUTPUT),
        ("simple", "keras", "RNN(4,", 'RNN(4, activation="relu",', "simple_rnn_1", OUTPUT),
        (
            *("simple", "torch", "RNN(4, 4,"),
            'RNN(4, 4, nonlinearity="relu",',
            *("simple_rnn_1", OUTPUT),
        ),
    ],
    "dropout in inference": [
        ("dropped", "keras", "keras.layers.LSTM(", ALWAYS_LSTM, "lstm_1", OUTPUT),
        ("dropped", "torch", "not training", "False", "lstm_1", OUTPUT),
        (
            *("dropped_each_step", "keras"),
            *("keras.layers.Dropout(", ALWAYS.format("Dropout", "inputs")),
            *("dropout_1", OUTPUT),
        ),
        (
            *("dropped_each_step", "torch"),
            *("self.dropout_1(x)", "nn.functional.dropout(x, 0.5)"),
            *("dropout_1", OUTPUT),
        ),
    ],
    "not a number": [
        ("lstm", "keras", "(inputs, x,", '(inputs, x * float("nan"),', "dense_1", OUTPUT),
        ("lstm", "torch", "sigmoid(x)", 'sigmoid(x) * float("nan")', "dense_1", OUTPUT),
    ],
    "another shape": [
        ("simple", "keras", "sequences=False", "sequences=True", "simple_rnn_1", OUTPUT),
        ("simple", "torch", "x = state[-1]", "x = state[-1:]", "simple_rnn_1", OUTPUT),
    ],
}

# Faults in the places where a backend keeps its arrays: spec, backend, layer, wrong fields.
SLOT_FAULTS: dict[str, list[tuple[object, ...]]] = {
    "a transposed kernel": [
        ("simple", "torch", "simple_rnn_1", {"kernel": {"axes": "in (gate out)"}}),
        ("simple", "torch", "simple_rnn_1", {"recurrent_kernel": {"axes": "in (gate out)"}}),
        ("simple", "torch", "dense_1", {"kernel": {"axes": "in out"}}),
        ("simple", "keras", "simple_rnn_1", {"recurrent_kernel": {"axes": "(gate out) in"}}),
        ("simple", "keras", "dense_1", {"kernel": {"axes": "out in"}}),
    ],
    "two swapped gates": [
        ("lstm", "torch", "lstm_1", {"kernel": {"gates": "fico"}}),
        ("lstm", "torch", "lstm_1", {"bias": {"gates": "ifoc"}}),
        ("lstm", "keras", "lstm_1", {"recurrent_kernel": {"gates": "icfo"}}),
    ],
    "the gate order of another GRU": [
        *(
            ("gru", "torch", "gru_1", {param: {"gates": "zrn"}})
            for param in ("kernel", "recurrent_kernel", "bias", "recurrent_bias")
        ),
        ("gru", "keras", "gru_1", {"kernel": {"gates": "rzn"}}),
    ],
    "the other bias": [
        ("gru", "keras", "gru_1", {"bias": {"row": 1}, "recurrent_bias": {"row": 0}}),
        (
            *("gru", "torch", "gru_1"),
            {"bias": {"path": "bias_hh_l0"}, "recurrent_bias": {"path": "bias_ih_l0"}},
        ),
    ],
    "the other direction": [
        (
            *("both", "keras", "bidirectional_1"),
            {
                "forward.bias": {"path": "backward_layer.cell.bias"},
                "backward.bias": {"path": "forward_layer.cell.bias"},
            },
        ),
        (
            *("both", "torch", "bidirectional_1"),
            {
                "forward.kernel": {"path": "weight_ih_l0_reverse"},
                "backward.kernel": {"path": "weight_ih_l0"},
            },
        ),
    ],
}


def _cases(faults: Mapping[str, Sequence[tuple[object, ...]]]) -> list[ParameterSet]:
    return [
        pytest.param(fault, id=f"{name}-{fault[0]}-{fault[1]}-{number}")
        for name, planted in faults.items()
        for number, fault in enumerate(planted)
    ]


@pytest.mark.parametrize("spec", SPECS)
def test_without_a_fault_every_spec_is_equal(spec: str) -> None:
    report = _parity(spec)
    assert report.equal, report.differences


@pytest.mark.parametrize("fault", _cases(SOURCE_FAULTS))
def test_a_fault_in_the_source_is_found(fault: tuple[str, ...]) -> None:
    spec, faulty, old, new, layer, quantity = fault
    with source_edited(faulty, [(old, new)]):
        _found(_parity(spec), faulty, layer, quantity)


@pytest.mark.parametrize("fault", _cases(SLOT_FAULTS))
def test_an_array_kept_elsewhere_is_found(
    fault: tuple[str, str, str, Mapping[str, Mapping[str, Any]]],
) -> None:
    spec, faulty, layer, said = fault
    with slots_edited(faulty, layer, said):
        _found(_parity(spec), faulty, layer, OUTPUT)


@pytest.mark.parametrize(
    ("faulty", "path"),
    [("keras", "cell.recurrent_kernel"), ("keras", "cell.bias"), ("torch", "weight_hh_l0")],
)
def test_an_array_not_written_is_found(
    faulty: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = get(faulty).runtime
    put = runtime.put
    left_out = []

    def planted(model: object, layer: str, where: str, array: Array) -> None:
        if where == path:
            left_out.append(layer)
        else:
            put(model, layer, where, array)

    monkeypatch.setattr(runtime, "put", planted)
    report = _parity("lstm")
    assert left_out == ["lstm_1"]
    _found(report, faulty, "lstm_1", OUTPUT)


def test_a_fault_in_every_backend_is_found_by_the_reference() -> None:
    keras = source_edited("keras", [('activation="sigmoid"', 'activation="tanh"')])
    with keras, source_edited("torch", [("torch.sigmoid(", "torch.tanh(")]):
        found = [(d.backend, d.layer, d.quantity) for d in _parity("lstm").differences]
    assert found == [("keras", "dense_1", OUTPUT), ("torch", "dense_1", OUTPUT)]


def _parity(spec: str) -> ParityReport:
    loaded = rnnspec.loads(f"version: 1\nname: faulty\n{SPECS[spec]}\n")
    return rnnspec.parity(loaded, ["keras", "torch"], level="forward")


def _found(report: ParityReport, faulty: str, layer: str, quantity: str) -> None:
    assert report.equal is False
    first = report.differences[0]
    assert (first.backend, first.layer, first.quantity) == (faulty, layer, quantity)
    if quantity == OUTPUT:
        # The other backend agrees with the reference, so the two backends differ as well.
        assert [(d.layer, d.backend) for d in report.differences[1:]] == [(layer, "torch")]
