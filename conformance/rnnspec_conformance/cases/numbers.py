"""Activations, and numbers at the ends of their range."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rnnspec_conformance.scenario import Mistake, Scenario, batch, scaled

if TYPE_CHECKING:
    from rnnspec.backends.slots import Array


def _activation(name: str, other: str) -> Mistake:
    return Mistake(name=other, instead={f"activation: {name}": f"activation: {other}"})


def _overflowing(limit: float, value: float) -> Mistake:
    def spoil(outputs: Array) -> Array:
        return np.where(np.abs(outputs) > limit, value, outputs)

    return Mistake(name="overflow", outputs=spoil)


CASES = (
    Scenario(
        name="softplus-large",
        fact="softplus(x) is log(1 + exp(x)), and x itself where that would overflow.",
        consequence="Values above 88 are infinite in float32, and NaN further on.",
        spec="""
input: {features: 3}
rnn: {type: lstm, units: 4}
head: {units: 3, activation: softplus}
""",
        arrays=(lambda arrays: {**arrays, "dense_1.bias": np.array([200.0, 90.0, 0.0])},),
        mistakes=(
            _overflowing(88.7, np.inf),
            _activation("softplus", "relu"),
        ),
    ),
    Scenario(
        name="elu-alpha",
        fact="elu(x) is exp(x) - 1 where x is negative, with alpha 1.",
        consequence="Negative values are lost, or scaled.",
        spec="""
input: {features: 3}
rnn: [{type: dense, units: 4, activation: elu}, {type: lstm, units: 3}]
head: {units: 2}
""",
        mistakes=(_activation("elu", "relu"), _activation("elu", "selu")),
    ),
    Scenario(
        name="selu-constants",
        fact="selu has the two constants 1.0507 and 1.6733, to all digits of float32.",
        consequence="The constants are left out or rounded.",
        spec="""
input: {features: 3}
rnn: {type: lstm, units: 4, activation: selu}
head: {units: 2}
""",
        mistakes=(_activation("selu", "elu"),),
    ),
    Scenario(
        name="silu-or-swish",
        fact="silu(x), also known as swish, is x sigmoid(x).",
        consequence="It is taken for relu or for hard_swish.",
        spec="""
input: {features: 3}
rnn: [{type: dense, units: 4, activation: silu}, {type: gru, units: 3}]
head: {units: 2}
""",
        mistakes=(_activation("silu", "relu"), _activation("silu", "sigmoid")),
    ),
    Scenario(
        name="leaky-relu-slope",
        fact="The slope of a leaky relu is what the file says; the defaults are 0.3 and 0.2 in Keras, 0.01 elsewhere.",
        consequence="Negative values are scaled by another default.",
        spec="""
input: {features: 3}
rnn: [{type: dense, units: 4, activation: {leaky_relu: 0.3}}, {type: lstm, units: 3}]
head: {units: 2}
""",
        mistakes=(
            Mistake(name="slope 0.01", instead={"leaky_relu: 0.3": "leaky_relu: 0.01"}),
            Mistake(name="slope 0.2", instead={"leaky_relu: 0.3": "leaky_relu: 0.2"}),
        ),
    ),
    Scenario(
        name="clipped-relu-limit",
        fact="The limit of a clipped relu is what the file says.",
        consequence="It is taken for relu, or for relu6.",
        spec="""
input: {features: 3}
rnn: [{type: dense, units: 4, activation: {clipped_relu: 1.5}}, {type: gru, units: 3}]
head: {units: 2}
""",
        arrays=(scaled(2.0, "dense_1.kernel"),),
        mistakes=(
            Mistake(name="limit 6", instead={"clipped_relu: 1.5": "clipped_relu: 6"}),
            Mistake(name="no limit", instead={"{clipped_relu: 1.5}": "relu"}),
        ),
    ),
    Scenario(
        name="softmax-large",
        fact="A softmax subtracts the largest value first, so that no exponential overflows.",
        consequence="Scores above 88 give NaN in float32.",
        spec="""
input: {features: 3}
rnn: {type: lstm, units: 4}
head: {units: 3, activation: softmax}
""",
        arrays=(
            scaled(1.0, "dense_1.kernel"),
            lambda arrays: {
                **arrays,
                "dense_1.bias": np.array([200.0, 200.5, 199.0]),
            },
        ),
        mistakes=(Mistake(name="overflow", outputs=lambda output: output * np.nan),),
    ),
    Scenario(
        name="log-softmax-large",
        fact="The logarithm of a softmax is finite, however unlikely a class is.",
        consequence="It is computed as the logarithm of a softmax that is 0 in float32: minus infinity.",
        spec="""
input: {features: 3}
rnn: {type: gru, units: 4}
head: {units: 3, activation: log_softmax}
""",
        arrays=(
            lambda arrays: {
                **arrays,
                "dense_1.bias": np.array([0.0, 150.0, 151.0]),
            },
        ),
        mistakes=(_overflowing(103.0, -np.inf),),
    ),
    Scenario(
        name="gates-saturated",
        fact="A gate far from 0 is 0 or 1, and the state stays finite.",
        consequence="1 / (1 + exp(-x)) or a quotient of exponentials overflows: NaN from one large input.",
        spec="""
input: {features: 2}
rnn: {type: lstm, units: 4}
head: {units: 2}
""",
        batches=(batch(2, 5, scale=300.0),),
        mistakes=(
            Mistake(name="overflow", outputs=lambda output: output * np.nan),
            Mistake(
                name="inputs limited to 1",
                batches=lambda calls: [np.clip(numbers, -1.0, 1.0) for numbers in calls],
            ),
        ),
    ),
    Scenario(
        name="large-values",
        fact="Values far above 65504, the largest one of float16, are as exact as others.",
        consequence="The model is run in float16, and values overflow.",
        spec="""
input: {features: 2}
rnn: {type: simple, units: 3, activation: relu}
head: {pooling: mean, units: 2}
""",
        arrays=(scaled(0.5, "simple_rnn_1.recurrent_kernel"),),
        batches=(batch(2, 5, scale=1e6),),
        mistakes=(_overflowing(65504.0, np.inf),),
    ),
    Scenario(
        name="tiny-values",
        fact="Values far below 6e-8, the smallest one of float16, are as exact as others.",
        consequence="The model is run in float16, and small values are zeros.",
        spec="""
input: {features: 2}
rnn: [{type: dense, units: 3}, {type: lstm, units: 3}]
head: {units: 2}
""",
        arrays=(scaled(1e20, "dense_1.kernel"),),
        batches=(batch(2, 5, scale=1e-20),),
        mistakes=(
            Mistake(name="zeros", batches=lambda calls: [0.0 * numbers for numbers in calls]),
        ),
    ),
    Scenario(
        name="zero-kernel",
        fact="An array of zeros is an array as any other.",
        consequence="A range of 0 is divided by when weights are rounded or scaled: NaN.",
        spec="""
input: {features: 2}
rnn: {type: lstm, units: 3}
head: {units: 2}
""",
        arrays=(scaled(0.0, "lstm_1.recurrent_kernel"),),
        mistakes=(Mistake(name="0 / 0", outputs=lambda output: output * np.nan),),
    ),
)
