"""Recurrent layers: gates, biases, the reset gate, directions and lengths."""

from __future__ import annotations

import numpy as np

from rnnspec.conformance.scenario import (
    Batch,
    Mistake,
    Scenario,
    batch,
    permuted,
)

CASES = (
    Scenario(
        name="lstm-gate-order",
        fact="The kernels of an LSTM hold its four gates one after another, in the order that its format defines.",
        consequence="Every output is wrong, although all shapes fit.",
        spec="""
input: {features: 3}
rnn: {type: lstm, units: 4}
head: {units: 2}
""",
        mistakes=(
            Mistake(
                name="input, output, forget, cell: the order of ONNX",
                arrays=(permuted("lstm_1", "ifco", "iofc"),),
            ),
            Mistake(
                name="forget and input gate exchanged",
                arrays=(permuted("lstm_1", "ifco", "fico"),),
            ),
        ),
    ),
    Scenario(
        name="gru-gate-order",
        fact="The kernels of a GRU hold its three gates one after another, in the order that its format defines.",
        consequence="Every output is wrong, although all shapes fit.",
        spec="""
input: {features: 3}
rnn: {type: gru, units: 4}
head: {units: 2}
""",
        mistakes=(
            Mistake(
                name="reset, update, candidate: the order of PyTorch",
                arrays=(permuted("gru_1", "zrn", "rzn"),),
            ),
        ),
    ),
    Scenario(
        name="gru-reset-after",
        fact="With reset after (linear_before_reset=1 in ONNX), the reset gate multiplies the recurrent product and its bias.",
        consequence="Every GRU of PyTorch and of current Keras gives other numbers.",
        spec="""
input: {features: 3}
rnn: {type: gru, units: 4, reset_after: true}
head: {units: 2}
""",
        mistakes=(
            Mistake(
                name="reset gate before the product",
                instead={"reset_after: true": "reset_after: false"},
            ),
        ),
    ),
    Scenario(
        name="gru-reset-before",
        fact="With reset before (linear_before_reset=0 in ONNX), the reset gate multiplies the state before the recurrent product.",
        consequence="A GRU of Keras with reset_after=False, which is that of the paper of 2014, gives other numbers.",
        spec="""
input: {features: 3}
rnn: {type: gru, units: 4, reset_after: false}
head: {units: 2}
""",
        mistakes=(
            Mistake(
                name="reset gate after the product",
                instead={"reset_after: false": "reset_after: true"},
            ),
        ),
    ),
    Scenario(
        name="backward-last-state",
        fact="The last state of the backward direction is the one at the first step.",
        consequence="A bidirectional classifier sees one step of the backward direction instead of the whole sequence.",
        spec="""
input: {features: 3}
rnn: {type: lstm, units: 3, bidirectional: true}
head: {pooling: last, units: 2}
""",
        mistakes=(
            Mistake(
                name="both directions at the last step",
                instead={"pooling: last": "pooling: last_step"},
            ),
        ),
    ),
    Scenario(
        name="open-length",
        fact="A model with a symbolic number of steps takes sequences of any length.",
        consequence="The model runs over the number of steps of the example that it was traced with: other lengths fail, or are cut without an error.",
        spec="""
input: {features: 3}
rnn: {type: gru, units: 4}
head: {units: 2}
""",
        batches=(batch(2, 5), batch(2, 9), batch(2, 3)),
        mistakes=(
            Mistake(
                name="steps of the first call only",
                batches=lambda calls: [numbers[:, :5] for numbers in calls],
            ),
        ),
    ),
    Scenario(
        name="batch-of-one-after-three",
        fact="A model takes another batch size in the next call, and starts from zeros.",
        consequence="The batch size of the first call is built in, or its states are left: the second call fails or is wrong.",
        spec="""
input: {features: 3}
rnn: {type: lstm, units: 4}
head: {units: 2}
""",
        batches=(batch(3, 5), batch(1, 5), batch(1, 5)),
        mistakes=(Mistake(name="states of the call before", kept=True),),
    ),
    Scenario(
        name="padding-inside",
        fact="A padded step inside a sequence leaves the state as it is, whatever its place.",
        consequence="A gap in the data changes the result, or everything after the gap is dropped.",
        spec="""
embedding: {vocabulary: 9, dim: 3, mask_zero: true}
rnn: {type: lstm, units: 4}
head: {units: 2}
""",
        batches=(Batch(("xxxxxx", "xx..xx", "x.x.xx")),),
        mistakes=(
            Mistake(name="mask ignored", instead={"mask_zero: true": "mask_zero: false"}),
            Mistake(
                name="as many steps from the start as there are real ones",
                batches=lambda calls: [
                    np.where(
                        np.arange(numbers.shape[1]) < (numbers != 0).sum(1, keepdims=True),
                        numbers,
                        0,
                    )
                    for numbers in calls
                ],
            ),
        ),
    ),
    Scenario(
        name="all-padding",
        fact="A sequence of only padding has the state zero.",
        consequence="Empty sequences in a batch give numbers that mean nothing, or NaN.",
        spec="""
embedding: {vocabulary: 9, dim: 3, mask_zero: true}
rnn: {type: gru, units: 4}
head: {pooling: mean, units: 2}
""",
        batches=(Batch(("xxxxx", ".....", "xx...")),),
        mistakes=(Mistake(name="mask ignored", instead={"mask_zero: true": "mask_zero: false"}),),
    ),
    Scenario(
        name="state-carried",
        fact="The state given as an input is where the first step starts, and the one returned is that after the last step.",
        consequence="A stream that is fed in chunks forgets everything at each chunk.",
        form="step",
        spec="""
input: {features: 3}
rnn: {type: lstm, units: 4}
head: {pooling: last_step, units: 2}
""",
        batches=(batch(2, 4), batch(2, 1), batch(2, 3)),
        mistakes=(
            Mistake(
                name="given states ignored",
                states=lambda given: {k: 0 * v for k, v in given.items()},
            ),
            Mistake(
                name="hidden and cell state exchanged",
                states=lambda given: {
                    "lstm_1_h": given["lstm_1_c"],
                    "lstm_1_c": given["lstm_1_h"],
                },
            ),
        ),
    ),
)
