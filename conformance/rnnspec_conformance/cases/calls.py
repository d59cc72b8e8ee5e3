"""Calls of a loaded model, one after another: lengths, batch sizes, states, and axes."""

from __future__ import annotations

import numpy as np

from rnnspec_conformance.scenario import Batch, Mistake, Scenario, batch, permuted

CASES = (
    Scenario(
        name="open-length",
        fact="A model whose number of steps is open takes sequences of any length, call after call.",
        consequence="Time is frozen at the length of the example that was traced, or of the first call: other lengths fail, or are cut without an error.",
        spec="""
input: {features: 3}
rnn: {type: gru, units: 4}
head: {units: 2}
""",
        batches=(batch(2, 5), batch(2, 9), batch(2, 3)),
        mistakes=(
            Mistake(
                name="at most as many steps as in the first call",
                batches=lambda calls: [numbers[:, :5] for numbers in calls],
            ),
        ),
    ),
    Scenario(
        name="open-length-simple-rnn",
        fact="A simple recurrent layer whose number of steps is open takes sequences of any length.",
        consequence="An exporter that unrolls the layer freezes time at the length of its example, also if it keeps LSTM and GRU whole: other lengths fail, or are cut without an error.",
        spec="""
input: {features: 3}
rnn: {type: simple, units: 4}
head: {units: 2}
""",
        batches=(batch(2, 5), batch(2, 9)),
        mistakes=(
            Mistake(
                name="at most as many steps as in the first call",
                batches=lambda calls: [numbers[:, :5] for numbers in calls],
            ),
        ),
    ),
    Scenario(
        name="open-length-reset-before",
        fact="A GRU with the reset gate before the product, which many frameworks compute in a loop, takes sequences of any length.",
        consequence="An exporter that unrolls the loop freezes time at the length of its example: other lengths fail, or are cut without an error.",
        spec="""
input: {features: 3}
rnn: {type: gru, units: 4, reset_after: false}
head: {units: 2}
""",
        batches=(batch(2, 5), batch(2, 9)),
        mistakes=(
            Mistake(
                name="at most as many steps as in the first call",
                batches=lambda calls: [numbers[:, :5] for numbers in calls],
            ),
        ),
    ),
    Scenario(
        name="open-length-output",
        fact="An output for each step has as many steps as the input of the call.",
        consequence="The output has the length of the first call.",
        spec="""
input: {features: 3}
rnn: {type: lstm, units: 4}
head: {pooling: none, units: 2}
""",
        batches=(batch(2, 4), batch(2, 6)),
        mistakes=(
            Mistake(
                name="as many steps as in the first call",
                batches=lambda calls: [numbers[:, :4] for numbers in calls],
            ),
        ),
    ),
    Scenario(
        name="one-step",
        fact="A sequence may have one step.",
        consequence="The axis of the steps is dropped because its size is 1, and the sequences of the batch are taken for steps.",
        spec="""
input: {features: 3}
rnn: {type: lstm, units: 4}
head: {units: 2}
""",
        batches=(batch(3, 1), batch(3, 4)),
        mistakes=(
            Mistake(
                name="sequences of the batch taken for steps",
                batches=lambda calls: [calls[0].swapaxes(0, 1), *calls[1:]],
            ),
        ),
    ),
    Scenario(
        name="batch-of-one-after-three",
        fact="A model takes another batch size in the next call.",
        consequence="The batch size of the first call is built into the graph or into its first states: the second call fails.",
        spec="""
input: {features: 3}
rnn: {type: lstm, units: 4}
head: {units: 2}
""",
        batches=(batch(3, 5), batch(1, 5)),
        mistakes=(
            Mistake(
                name="batch of one filled up to three",
                batches=lambda calls: [calls[0], np.repeat(calls[1], 3, axis=0)],
            ),
        ),
    ),
    Scenario(
        name="batch-of-three-after-one",
        fact="All sequences of a batch are computed, whatever the batch size of the call before.",
        consequence="Only the first sequence is computed, or the call fails.",
        spec="""
input: {features: 3}
rnn: {type: gru, units: 4}
head: {units: 2}
""",
        batches=(batch(1, 5), batch(3, 5)),
        mistakes=(
            Mistake(
                name="first sequence only",
                outputs=lambda output: np.repeat(output[:1], len(output), axis=0),
            ),
        ),
    ),
    Scenario(
        name="state-starts-from-zero",
        fact="Each call starts from a state of zeros.",
        consequence="The result of a call depends on the calls before it.",
        spec="""
input: {features: 3}
rnn: {type: lstm, units: 4}
head: {units: 2}
""",
        batches=(batch(2, 5), batch(2, 5)),
        mistakes=(Mistake(name="starts from the last state of the call before", keeps_state=True),),
    ),
    Scenario(
        name="batch-first",
        fact="The batch is on the first axis of the input and of the output, and the steps are on the second.",
        consequence="If there are as many sequences as steps, the axes are confused without an error.",
        spec="""
input: {features: 3}
rnn: {type: lstm, units: 4}
head: {pooling: none, units: 2}
""",
        batches=(batch(4, 4),),
        mistakes=(
            Mistake(
                name="steps on the first axis",
                batches=lambda calls: [numbers.swapaxes(0, 1) for numbers in calls],
                outputs=lambda output: output.swapaxes(0, 1),
            ),
        ),
    ),
    Scenario(
        name="one-unit",
        fact="A layer may have one unit.",
        consequence="An axis of size 1 is dropped, or the gates, of one number each, are in another order.",
        spec="""
input: {features: 2}
rnn: {type: lstm, units: 1}
head: {pooling: mean}
""",
        mistakes=(
            Mistake(
                name="gates in the order of ONNX", arrays=(permuted("lstm_1", "ifco", "iofc"),)
            ),
        ),
    ),
    Scenario(
        name="long-sequence",
        fact="Over 200 steps, rounding errors stay small, and no step is lost.",
        consequence="Sequences are cut at an internal limit, or approximate activations add up to a visible error.",
        spec="""
input: {features: 2}
rnn: {type: gru, units: 4}
head: {pooling: mean, units: 2}
""",
        batches=(batch(2, 200),),
        mistakes=(
            Mistake(
                name="128 steps at most",
                batches=lambda calls: [numbers[:, :128] for numbers in calls],
            ),
        ),
    ),
    Scenario(
        name="state-carried",
        fact="The first step starts from the given states, and the returned states are those after the last step.",
        consequence="A stream that is fed in chunks forgets everything at each chunk, or mixes up hidden and cell state.",
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
                states=lambda states: {name: 0.0 * state for name, state in states.items()},
            ),
            Mistake(
                name="hidden state and cell state exchanged",
                states=lambda states: {
                    "lstm_1_h": states["lstm_1_c"],
                    "lstm_1_c": states["lstm_1_h"],
                },
            ),
        ),
    ),
    Scenario(
        name="state-carried-stack",
        fact="Each layer of a stack starts from a state of its own.",
        consequence="The states of two layers are exchanged, or only the first layer gets one.",
        form="step",
        spec="""
input: {features: 3}
rnn: [{type: gru, units: 4}, {type: dense, units: 3}, {type: gru, units: 4}]
head: {pooling: last_step, units: 2}
""",
        batches=(batch(2, 3), batch(2, 2)),
        mistakes=(
            Mistake(
                name="states of the layers exchanged",
                states=lambda states: {
                    "gru_1_h": states["gru_2_h"],
                    "gru_2_h": states["gru_1_h"],
                },
            ),
            Mistake(
                name="given state of the second layer ignored",
                states=lambda states: {**states, "gru_2_h": 0.0 * states["gru_2_h"]},
            ),
        ),
    ),
    Scenario(
        name="chunk-of-padding",
        fact="A chunk of only padding leaves the states as they are.",
        consequence="A pause in a stream changes what comes after it.",
        form="step",
        spec="""
embedding: {vocabulary: 9, dim: 3, mask_zero: true}
rnn: {type: gru, units: 4}
head: {pooling: sum, units: 2}
""",
        batches=(
            Batch(("xxx", "xxx")),
            Batch(("..", "xx")),
            Batch(("xx", "x.")),
        ),
        mistakes=(Mistake(name="mask ignored", unmasked=("gru_1", "sum_pooling_1")),),
    ),
)
