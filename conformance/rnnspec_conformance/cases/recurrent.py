"""Recurrent layers: the order of gates, biases, the reset gate, activations and directions."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from rnnspec_conformance.scenario import (
    Mistake,
    Scenario,
    batch,
    exchanged,
    permuted,
    replaced,
    scaled,
)

if TYPE_CHECKING:
    from rnnspec.backends.slots import Array
    from rnnspec_conformance.scenario import Arrays, Change


def _transposed_gates(gates: int) -> Callable[[Array], Array]:
    def change(array: Array) -> Array:
        return np.concatenate([part.T for part in np.split(array, gates, axis=1)], axis=1)

    return change


def _rolled_gate(array: Array, gate: int, gates: int, amount: float) -> Array:
    moved = array.copy()
    size = len(array) // gates
    moved[gate * size : (gate + 1) * size] += amount
    return moved


def _added_bias(amount: float) -> Change:
    def change(arrays: Arrays) -> Arrays:
        bias = np.zeros(arrays["lstm_1.kernel"].shape[1])
        return {**arrays, "lstm_1.bias": _rolled_gate(bias, 1, 4, amount)}

    return change


def _joined_biases(arrays: Arrays) -> Arrays:
    bias = arrays["gru_1.bias"] + arrays["gru_1.recurrent_bias"]
    return {**arrays, "gru_1.bias": bias, "gru_1.recurrent_bias": 0.0 * bias}


GATES = (
    Scenario(
        name="lstm-gate-order",
        fact="The kernels and the bias of an LSTM hold its four gates side by side, in the order that the format defines.",
        consequence="All outputs are wrong, with shapes that fit.",
        spec="""
input: {features: 3}
rnn: {type: lstm, units: 4}
head: {units: 2}
""",
        mistakes=(
            Mistake(
                name="gates taken to be in ONNX's order (i, o, f, c) instead of Keras's and PyTorch's (i, f, c, o)",
                arrays=(permuted("lstm_1", "ifco", "iofc"),),
            ),
            Mistake(
                name="input gate and forget gate exchanged",
                arrays=(permuted("lstm_1", "ifco", "fico"),),
            ),
        ),
    ),
    Scenario(
        name="gru-gate-order",
        fact="The kernels and the biases of a GRU hold its three gates side by side, in the order that the format defines.",
        consequence="All outputs are wrong, with shapes that fit.",
        spec="""
input: {features: 3}
rnn: {type: gru, units: 4}
head: {units: 2}
""",
        mistakes=(
            Mistake(
                name="reset gate and update gate exchanged: PyTorch's order (r, z, n) instead of Keras's and ONNX's (z, r, n)",
                arrays=(permuted("gru_1", "zrn", "rzn"),),
            ),
        ),
    ),
    Scenario(
        name="gru-reset-after",
        fact="With reset after (linear_before_reset=1 in ONNX), the reset gate multiplies the recurrent product of the candidate.",
        consequence="Every GRU of PyTorch, and of Keras since version 2.3, gives other numbers.",
        spec="""
input: {features: 3}
rnn: {type: gru, units: 4, reset_after: true}
head: {units: 2}
""",
        mistakes=(
            Mistake(
                name="reset gate before the recurrent product",
                instead={"reset_after: true": "reset_after: false"},
            ),
        ),
    ),
    Scenario(
        name="gru-reset-before",
        fact="With reset before (linear_before_reset=0 in ONNX), the reset gate multiplies the state before the recurrent product.",
        consequence="Keras's GRU with reset_after=False, the one of Cho et al. (2014), gives other numbers.",
        spec="""
input: {features: 3}
rnn: {type: gru, units: 4, reset_after: false}
head: {units: 2}
""",
        mistakes=(
            Mistake(
                name="reset gate after the recurrent product",
                instead={"reset_after: false": "reset_after: true"},
            ),
        ),
    ),
    Scenario(
        name="gru-recurrent-bias",
        fact="With reset after, the recurrent bias of the candidate is inside the product with the reset gate.",
        consequence="The two biases of a GRU cannot be added up as those of an LSTM can: outputs are a little off everywhere.",
        spec="""
input: {features: 3}
rnn: {type: gru, units: 4}
head: {units: 2}
""",
        mistakes=(
            Mistake(name="both biases added up, outside the reset gate", arrays=(_joined_biases,)),
            Mistake(name="recurrent bias ignored", arrays=(scaled(0.0, "gru_1.recurrent_bias"),)),
        ),
    ),
    Scenario(
        name="lstm-second-bias",
        fact="PyTorch and ONNX give an LSTM two biases, one of the input and one of the state, and both are added.",
        consequence="Models of PyTorch, whose two biases are both trained, are wrong everywhere.",
        halved=True,
        spec="""
input: {features: 3}
rnn: {type: lstm, units: 4}
head: {units: 2}
""",
        mistakes=(
            Mistake(name="only one of the two biases", arrays=(scaled(0.5, "lstm_1.bias"),)),
            Mistake(name="no bias", arrays=(scaled(0.0, "lstm_1.bias"),)),
        ),
    ),
    Scenario(
        name="lstm-forget-bias",
        fact="The bias of the forget gate is the stored one; the 1 that Keras adds at the start of training is already in it.",
        consequence="The state is kept too long.",
        spec="""
input: {features: 3}
rnn: {type: lstm, units: 4}
head: {units: 2}
""",
        mistakes=(
            Mistake(
                name="1 added to the bias of the forget gate",
                arrays=(replaced(lambda bias: _rolled_gate(bias, 1, 4, 1.0), "lstm_1.bias"),),
            ),
        ),
    ),
    Scenario(
        name="lstm-no-bias",
        fact="A layer without a bias has zeros in its place, for the forget gate too.",
        consequence="An absent optional input is refused, or is filled with another value.",
        spec="""
input: {features: 3}
rnn: {type: lstm, units: 4, bias: false}
head: {units: 2}
""",
        mistakes=(
            Mistake(
                name="bias of the forget gate 1, as in a new layer of Keras",
                instead={"bias: false": "bias: true"},
                arrays=(_added_bias(1.0),),
            ),
        ),
    ),
    Scenario(
        name="recurrent-kernel-axes",
        fact="The axes of a recurrent kernel have a fixed order, which its shape does not show: it is square.",
        consequence="The recurrent kernel of each gate is transposed, without an error; the first step is right.",
        spec="""
input: {features: 3}
rnn: {type: gru, units: 4}
head: {units: 2}
""",
        mistakes=(
            Mistake(
                name="recurrent kernel of each gate transposed",
                arrays=(replaced(_transposed_gates(3), "gru_1.recurrent_kernel"),),
            ),
        ),
    ),
)

CELL_ACTIVATIONS = (
    Scenario(
        name="simple-rnn-relu",
        fact="A simple recurrent layer may have relu in place of tanh.",
        consequence="The attribute is ignored, and values above 1 are squashed.",
        spec="""
input: {features: 3}
rnn: {type: simple, units: 4, activation: relu}
head: {units: 2}
""",
        mistakes=(Mistake(name="tanh", instead={"activation: relu": "activation: tanh"}),),
    ),
    Scenario(
        name="lstm-relu",
        fact="An LSTM may have relu in place of both tanh, that of the candidate and that of the cell state.",
        consequence="The default activations are used: older models of Keras for forecasts are wrong.",
        spec="""
input: {features: 3}
rnn: {type: lstm, units: 4, activation: relu}
head: {units: 2}
""",
        mistakes=(Mistake(name="tanh", instead={"activation: relu": "activation: tanh"}),),
    ),
    Scenario(
        name="lstm-activation-order",
        fact="The activation of the gates and that of the state are two settings, in a fixed order.",
        consequence="Gates are computed with the activation of the state, and the state with that of the gates.",
        spec="""
input: {features: 3}
rnn: {type: lstm, units: 4, activation: sigmoid, recurrent_activation: tanh}
head: {units: 2}
""",
        mistakes=(
            Mistake(
                name="the two activations exchanged",
                instead={
                    "activation: sigmoid, recurrent_activation: tanh": "activation: tanh, recurrent_activation: sigmoid"
                },
            ),
        ),
    ),
    Scenario(
        name="hard-sigmoid-keras3",
        fact="The hard_sigmoid of Keras 3, PyTorch and Flax is clip(x / 6 + 0.5, 0, 1).",
        consequence="Gates have another slope: with that of Keras 2, or the default alpha of ONNX, outputs are off by some percent.",
        spec="""
input: {features: 3}
rnn: {type: lstm, units: 4, recurrent_activation: hard_sigmoid}
head: {units: 2}
""",
        mistakes=(
            Mistake(name="slope 0.2", instead={": hard_sigmoid": ": legacy_hard_sigmoid"}),
            Mistake(name="sigmoid", instead={": hard_sigmoid": ": sigmoid"}),
        ),
    ),
    Scenario(
        name="hard-sigmoid-keras2",
        fact="The hard_sigmoid of Keras 1 and 2, the default of their gates before 2.3, is clip(0.2 x + 0.5, 0, 1).",
        consequence="Old models open without an error and are off by some percent.",
        spec="""
input: {features: 3}
rnn: {type: lstm, units: 4, recurrent_activation: legacy_hard_sigmoid}
head: {units: 2}
""",
        mistakes=(
            Mistake(name="slope 1/6", instead={"legacy_hard_sigmoid": "hard_sigmoid"}),
            Mistake(name="sigmoid", instead={"legacy_hard_sigmoid": "sigmoid"}),
        ),
    ),
    Scenario(
        name="hard-sigmoid-gru",
        fact="A GRU may have hard_sigmoid gates, as those of Keras before 2.3 have.",
        consequence="They are computed with sigmoid, by a tool that honours the activations of an LSTM only.",
        spec="""
input: {features: 3}
rnn: {type: gru, units: 4, recurrent_activation: legacy_hard_sigmoid, reset_after: false}
head: {units: 2}
""",
        mistakes=(
            Mistake(name="slope 1/6", instead={"legacy_hard_sigmoid": "hard_sigmoid"}),
            Mistake(name="sigmoid", instead={"legacy_hard_sigmoid": "sigmoid"}),
        ),
    ),
)

_HALVES = (replaced(lambda kernel: np.roll(kernel, len(kernel) // 2, axis=0), "dense_1.kernel"),)


def _turned(outputs: Array) -> Array:
    """Return the output of a bidirectional layer with the backward half in the order it was read."""
    half = outputs.shape[-1] // 2
    return np.concatenate([outputs[..., :half], outputs[:, ::-1, half:]], axis=-1)


def _backward(cell: str, name: str, words: str, layer: str) -> Scenario:
    return Scenario(
        name=f"backward-{name}",
        fact=f"{words} that reads backward only has the output of a step at its place, and its last state is the one at the first step.",
        consequence="It runs forward, its outputs are in the order in which they were computed, or its last state is the one at the last step.",
        spec=f"""
input: {{features: 3}}
rnn: {{type: {cell}, units: 4, direction: backward}}
head: {{pooling: [last, last_step], units: 2}}
""",
        mistakes=(
            Mistake(name="forward", instead={", direction: backward": ""}),
            Mistake(
                name="outputs in the order in which they were computed",
                values={layer: lambda output: output[:, ::-1]},
            ),
            Mistake(
                name="last state at the last step",
                instead={"[last, last_step]": "last_step"},
                arrays=(replaced(lambda kernel: kernel[:4] + kernel[4:], "dense_1.kernel"),),
            ),
        ),
    )


DIRECTIONS = (
    _backward("lstm", "lstm", "An LSTM", "lstm_1"),
    _backward("gru", "gru", "A GRU", "gru_1"),
    _backward("simple", "simple-rnn", "A simple recurrent layer", "simple_rnn_1"),
    Scenario(
        name="backward-last-state",
        fact="The last state of the backward direction is the one at the first step, where it ends.",
        consequence="A classifier sees the backward direction after one step instead of the whole sequence.",
        spec="""
input: {features: 3}
rnn: {type: lstm, units: 3, bidirectional: true}
head: {pooling: last, units: 2}
""",
        mistakes=(
            Mistake(
                name="both directions at the last step, as output[:, -1]",
                instead={"pooling: last": "pooling: last_step"},
            ),
        ),
    ),
    Scenario(
        name="last-step-backward",
        fact="The output at the last step has the backward direction after one step only.",
        consequence="A model that reads output[:, -1] is converted to one that reads the last states.",
        spec="""
input: {features: 3}
rnn: {type: gru, units: 3, bidirectional: true}
head: {pooling: last_step, units: 2}
""",
        mistakes=(
            Mistake(
                name="the last state of each direction",
                instead={"pooling: last_step": "pooling: last"},
            ),
        ),
    ),
    Scenario(
        name="backward-steps",
        fact="The output of the backward direction at a step is what it has there, in the order of the input.",
        consequence="Labels of steps use the backward direction of the mirrored step.",
        spec="""
input: {features: 3}
rnn: {type: lstm, units: 3, bidirectional: true}
head: {pooling: none, units: 2}
""",
        batches=(batch(2, 5),),
        mistakes=(
            Mistake(
                name="backward outputs in the order in which they were computed",
                values={"bidirectional_1": _turned},
            ),
        ),
    ),
    Scenario(
        name="bidirectional-concat",
        fact="The features of the forward direction come first, those of the backward direction after them.",
        consequence="The next layer takes one direction for the other.",
        spec="""
input: {features: 3}
rnn: {type: gru, units: 3, bidirectional: true}
head: {units: 2}
""",
        mistakes=(
            Mistake(name="backward features first", arrays=_HALVES),
            Mistake(
                name="weights of the directions exchanged",
                arrays=(exchanged("bidirectional_1.forward", "bidirectional_1.backward"),),
            ),
        ),
    ),
    Scenario(
        name="bidirectional-sum",
        fact="Both directions may be added instead of concatenated.",
        consequence="The result has another size, or is their mean.",
        spec="""
input: {features: 3}
rnn: {type: lstm, units: 3, bidirectional: true, merge: sum}
head: {pooling: mean, units: 2}
""",
        mistakes=(
            Mistake(name="mean", instead={"merge: sum": "merge: ave"}),
            Mistake(
                name="forward direction only",
                arrays=(
                    scaled(0.0, "bidirectional_1.backward.kernel", "bidirectional_1.backward.bias"),
                ),
            ),
        ),
    ),
    Scenario(
        name="bidirectional-product",
        fact="Both directions may be multiplied, feature by feature.",
        consequence="The result is their sum.",
        spec="""
input: {features: 3}
rnn: {type: gru, units: 3, bidirectional: true, merge: mul}
head: {pooling: mean, units: 2}
""",
        mistakes=(Mistake(name="sum", instead={"merge: mul": "merge: sum"}),),
    ),
    Scenario(
        name="bidirectional-average",
        fact="Both directions may be averaged.",
        consequence="The result is twice as large.",
        spec="""
input: {features: 3}
rnn: {type: gru, units: 3, bidirectional: true, merge: ave}
head: {pooling: mean, units: 2}
""",
        mistakes=(Mistake(name="sum", instead={"merge: ave": "merge: sum"}),),
    ),
    Scenario(
        name="bidirectional-stack",
        fact="Each direction of a second bidirectional layer sees both directions of the first one, in the order of the steps.",
        consequence="The second layer sees backward outputs of mirrored steps, or weights of another layer and direction.",
        spec="""
input: {features: 4}
rnn: {type: lstm, units: 2, layers: 2, bidirectional: true}
head: {units: 2}
""",
        mistakes=(
            Mistake(
                name="backward outputs not turned back between the layers",
                values={"bidirectional_1": _turned},
            ),
            Mistake(
                name="weights read direction by direction instead of layer by layer",
                arrays=(exchanged("bidirectional_1.backward", "bidirectional_2.forward"),),
            ),
        ),
    ),
    Scenario(
        name="stack-of-sizes",
        fact="Each layer of a stack has a size of its own.",
        consequence="The size of the first layer is used for all, or the layers run in another order.",
        spec="""
input: {features: 4}
rnn: [{type: lstm, units: 5}, {type: lstm, units: 2}, {type: lstm, units: 4}]
head: {units: 2}
""",
        mistakes=(
            Mistake(
                name="state of the second layer not used",
                arrays=(scaled(0.0, "lstm_2.recurrent_kernel"),),
            ),
            Mistake(
                name="only the last state of the second layer reaches the third one",
                values={"lstm_2": lambda x: np.repeat(x[:, -1:], x.shape[1], axis=1)},
            ),
        ),
    ),
)

CASES = (*GATES, *CELL_ACTIVATIONS, *DIRECTIONS)
