"""Layers around recurrent ones: convolutions, pools, norms, attention, joins and heads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rnnspec_conformance.scenario import (
    Mistake,
    Scenario,
    batch,
    replaced,
    scaled,
)

if TYPE_CHECKING:
    from rnnspec.backends.slots import Array
    from rnnspec_conformance.scenario import Arrays, Change


def _with_tap(before: bool) -> Change:
    """Return a change that adds a tap of zeros to a kernel, which moves its windows by one step."""

    def change(kernel: Array) -> Array:
        tap = np.zeros((1, *kernel.shape[1:]))
        return np.concatenate([tap, kernel] if before else [kernel, tap])

    return replaced(change, "conv_1.kernel")


def _untied(arrays: Arrays) -> Arrays:
    return {**arrays, "dense_1.kernel": arrays["embedding_1.embeddings"]}


CONVOLUTIONS = (
    Scenario(
        name="conv-kernel-order",
        fact="The convolution of neural networks is a cross-correlation: the first tap of the kernel meets the earliest step.",
        consequence="The kernel is flipped, or its axes are in another order.",
        spec="""
input: {features: 3}
rnn: [{type: conv, filters: 3, kernel_size: 3}, {type: gru, units: 4}]
head: {units: 2}
""",
        mistakes=(
            Mistake(
                name="kernel flipped in time",
                arrays=(replaced(lambda kernel: kernel[::-1], "conv_1.kernel"),),
            ),
            Mistake(
                name="inputs and filters exchanged",
                arrays=(replaced(lambda kernel: kernel.swapaxes(1, 2), "conv_1.kernel"),),
            ),
        ),
    ),
    Scenario(
        name="conv-same-even-kernel",
        fact="With padding same and an even kernel, the odd zero is after the sequence (SAME_UPPER in ONNX).",
        consequence="All steps are moved by one.",
        spec="""
input: {features: 3}
rnn: [{type: conv, filters: 4, kernel_size: 4, padding: same}, {type: lstm, units: 3}]
head: {units: 2}
""",
        mistakes=(
            Mistake(
                name="odd zero before the sequence (SAME_LOWER)",
                instead={"kernel_size: 4": "kernel_size: 5"},
                arrays=(_with_tap(before=False),),
            ),
        ),
    ),
    Scenario(
        name="conv-same-stride",
        fact="With padding same and a stride, the zeros depend on the length; with 8 steps, a kernel of 3 and stride 2, the only one is after the sequence.",
        consequence="Windows begin a step earlier, as with padding=k//2 in PyTorch.",
        spec="""
input: {features: 3}
rnn: [{type: conv, filters: 4, kernel_size: 3, stride: 2, padding: same}, {type: lstm, units: 3}]
head: {units: 2}
""",
        batches=(batch(2, 8), batch(2, 7)),
        mistakes=(
            Mistake(
                name="a zero on each side",
                instead={"kernel_size: 3": "kernel_size: 4"},
                arrays=(_with_tap(before=False),),
            ),
        ),
    ),
    Scenario(
        name="conv-causal",
        fact="With causal padding, all zeros are before the sequence, so that no step sees a later one.",
        consequence="A forecast sees the future.",
        spec="""
input: {features: 3}
rnn: [{type: conv, filters: 4, kernel_size: 3, padding: causal}, {type: gru, units: 3}]
head: {pooling: none, units: 2}
""",
        batches=(batch(2, 5),),
        mistakes=(Mistake(name="padding same", instead={"causal": "same"}),),
    ),
    Scenario(
        name="conv-causal-dilation",
        fact="With dilation, causal padding is dilation times (kernel - 1) zeros.",
        consequence="The dilation is ignored in the padding or in the windows.",
        spec="""
input: {features: 2}
rnn: [{type: conv, filters: 3, kernel_size: 3, dilation: 2, padding: causal}, {type: gru, units: 3}]
head: {pooling: none, units: 2}
""",
        batches=(batch(2, 7),),
        mistakes=(
            Mistake(name="dilation ignored", instead={", dilation: 2": ""}),
            Mistake(name="padding same", instead={"causal": "same"}),
        ),
    ),
    Scenario(
        name="max-pool-edge",
        fact="Steps outside the sequence do not count in a maximum, even if all values are negative.",
        consequence="Zeros at the edge are taken for the highest value.",
        spec="""
input: {features: 3}
rnn: [{type: max_pool, size: 3, padding: same}, {type: lstm, units: 4}]
head: {units: 2}
""",
        batches=(batch(2, 7, shift=-1.5),),
        mistakes=(
            Mistake(
                name="zeros at both edges count",
                values={
                    "max_pool_1": lambda x: np.concatenate(
                        [np.maximum(x[:, :1], 0.0), x[:, 1:-1], np.maximum(x[:, -1:], 0.0)], axis=1
                    )
                },
            ),
        ),
    ),
    Scenario(
        name="average-pool-edge",
        fact="Steps outside the sequence do not count in an average (count_include_pad=0).",
        consequence="Averages at the edges are too small, as with the default of PyTorch.",
        spec="""
input: {features: 3}
rnn: [{type: average_pool, size: 3, padding: same}, {type: lstm, units: 4}]
head: {units: 2}
""",
        batches=(batch(2, 7),),
        mistakes=(
            Mistake(
                name="zeros at both edges count",
                values={
                    "average_pool_1": lambda x: np.concatenate(
                        [x[:, :1] * 2 / 3, x[:, 1:-1], x[:, -1:] * 2 / 3], axis=1
                    )
                },
            ),
        ),
    ),
    Scenario(
        name="pool-last-window",
        fact="Without padding, steps that fill no whole window are dropped (ceil_mode=0).",
        consequence="A shorter window at the end gives one more step.",
        spec="""
input: {features: 3}
rnn: [{type: max_pool, size: 3}, {type: gru, units: 4}]
head: {units: 2}
""",
        batches=(batch(2, 8),),
        mistakes=(
            Mistake(
                name="a shorter window at the end counts",
                instead={"size: 3": "size: 3, padding: same"},
            ),
        ),
    ),
)

NORMS = (
    Scenario(
        name="batch-norm-variance",
        fact="A batch norm divides by the square root of the stored variance plus epsilon.",
        consequence="The stored variance is taken for the standard deviation, or its square root is missing.",
        spec="""
input: {features: 3}
rnn: [{type: batch_norm}, {type: lstm, units: 4}]
head: {units: 2}
""",
        mistakes=(
            Mistake(
                name="division by the variance",
                arrays=(replaced(np.square, "batch_norm_1.moving_variance"),),
            ),
        ),
    ),
    Scenario(
        name="batch-norm-inference",
        fact="In inference, a batch norm uses the stored mean and variance, not those of the batch.",
        consequence="Results depend on the other sequences of the batch.",
        spec="""
input: {features: 3}
rnn: [{type: conv, filters: 3, kernel_size: 2}, {type: batch_norm}, {type: gru, units: 4}]
head: {units: 2}
""",
        batches=(batch(3, 5), batch(1, 5)),
        mistakes=(Mistake(name="mean and variance of the batch", training=True),),
    ),
    Scenario(
        name="batch-norm-epsilon",
        fact="The epsilon of a batch norm is what the file says: 1e-3 by default in Keras, 1e-5 in PyTorch and ONNX.",
        consequence="Features of small variance are scaled otherwise.",
        spec="""
input: {features: 3}
rnn: [{type: batch_norm, epsilon: 1.0e-3}, {type: lstm, units: 4}]
head: {units: 2}
""",
        arrays=(
            scaled(1e-3, "batch_norm_1.moving_variance"),
            scaled(0.03, "batch_norm_1.moving_mean"),
        ),
        batches=(batch(2, 5, scale=0.03),),
        mistakes=(Mistake(name="epsilon 1e-5", instead={"1.0e-3": "1.0e-5"}),),
    ),
    Scenario(
        name="layer-norm-epsilon",
        fact="The epsilon of a layer norm is what the file says: 1e-3 by default in Keras, 1e-5 in PyTorch and ONNX, 1e-6 in Flax.",
        consequence="Steps of small variance are scaled otherwise: by a factor of 3 in the example.",
        spec="""
input: {features: 3}
rnn: [{type: layer_norm, epsilon: 1.0e-3}, {type: lstm, units: 4}]
head: {units: 2}
""",
        batches=(batch(2, 5, scale=0.01),),
        mistakes=(Mistake(name="epsilon 1e-5", instead={"1.0e-3": "1.0e-5"}),),
    ),
    Scenario(
        name="layer-norm-in-stack",
        fact="A layer norm between recurrent layers is over the features of each step, with its gamma and beta.",
        consequence="It is dropped, or its arrays are, when layers are fused.",
        spec="""
input: {features: 4}
rnn: [{type: lstm, units: 4, layer_norm: true}, {type: gru, units: 3}]
head: {units: 2}
""",
        mistakes=(
            Mistake(name="left out", instead={", layer_norm: true": ""}),
            Mistake(
                name="gamma and beta left out",
                arrays=(
                    replaced(np.ones_like, "layer_normalization_1.gamma"),
                    scaled(0.0, "layer_normalization_1.beta"),
                ),
            ),
        ),
    ),
)

HEADS = (
    Scenario(
        name="attention-over-steps",
        fact="The weights of attention are a softmax over the steps, and their sum is 1.",
        consequence="The softmax is over another axis: all weights are 1, and the result is the sum of the steps.",
        spec="""
input: {features: 3}
rnn: {type: gru, units: 4}
head: {pooling: {attention: {units: 3}}, units: 2}
""",
        mistakes=(
            Mistake(name="all weights 1", instead={"{attention: {units: 3}}": "sum"}),
            Mistake(name="all weights alike", instead={"{attention: {units: 3}}": "mean"}),
        ),
    ),
    Scenario(
        name="tied-weights",
        fact="The kernel of a tied output layer is the transpose of the embedding.",
        consequence="The table is used as it is, which nothing shows if the vocabulary has as many tokens as a vector has numbers.",
        spec="""
embedding: {vocabulary: 4, dim: 4}
rnn: {type: lstm, units: 4}
head: {units: 4, tied: true}
""",
        mistakes=(Mistake(name="not transposed", instead={", tied: true": ""}, arrays=(_untied,)),),
    ),
    Scenario(
        name="residual",
        fact="A residual connection adds the input of a layer to its output.",
        consequence="The sum is dropped when layers are fused.",
        spec="""
input: {features: 4}
rnn: [{type: lstm, units: 4, residual: true}, {type: gru, units: 4, residual: true}]
head: {pooling: mean, units: 2}
""",
        mistakes=(
            Mistake(
                name="left out in the second layer",
                instead={"gru, units: 4, residual: true": "gru, units: 4"},
            ),
            Mistake(name="left out", instead={", residual: true": ""}),
        ),
    ),
    Scenario(
        name="concat-order",
        fact="Joined features are in the order that the join names them.",
        consequence="They are in the order of the layers.",
        spec="""
input: {features: 3}
rnn:
  - {type: lstm, units: 3}
  - {type: concat, of: [lstm_1, input]}
  - {type: gru, units: 3}
head: {units: 2}
""",
        mistakes=(
            Mistake(
                name="in the order of the layers", instead={"[lstm_1, input]": "[input, lstm_1]"}
            ),
        ),
    ),
    Scenario(
        name="two-outputs",
        fact="Outputs have names, and their order is that of the file.",
        consequence="Two outputs of the same shape are exchanged.",
        spec="""
input: {features: 3}
rnn: {type: lstm, units: 4}
heads:
  valence: {pooling: mean, units: 2}
  arousal: {pooling: last, units: 2, activation: sigmoid}
""",
        mistakes=(Mistake(name="in the order of the alphabet", reversed_outputs=True),),
    ),
    Scenario(
        name="repeated-state",
        fact="A decoder gets the last state of the encoder at each of its steps.",
        consequence="It gets it at the first step only.",
        spec="""
input: {features: 3}
rnn: [{type: lstm, units: 4}, {type: repeat, steps: 3}, {type: lstm, units: 3}]
head: {pooling: none, units: 2}
""",
        batches=(batch(2, 5),),
        mistakes=(
            Mistake(
                name="zeros after the first step",
                values={"repeat_vector_1": lambda x: x * np.array([1.0, 0.0, 0.0])[:, np.newaxis]},
            ),
        ),
    ),
    Scenario(
        name="flatten-order",
        fact="A flattened sequence has the features of the first step, then those of the second, and so on.",
        consequence="It has all steps of the first feature first, as after a layout with features before steps.",
        spec="""
input: {features: 3, length: 4}
rnn: {type: lstm, units: 3}
head: {pooling: flatten, units: 2}
""",
        batches=(batch(2, 4),),
        mistakes=(
            Mistake(
                name="feature after feature",
                values={"flatten_1": lambda x: x.reshape(-1, 4, 3).swapaxes(1, 2).reshape(-1, 12)},
            ),
        ),
    ),
    Scenario(
        name="softmax-axis",
        fact="A softmax at each step is over the features.",
        consequence="It is over the steps or the batch, as with another default axis.",
        spec="""
input: {features: 3}
rnn: {type: lstm, units: 4}
head: {pooling: none, units: 3, activation: softmax}
""",
        batches=(batch(2, 3),),
        mistakes=(
            Mistake(
                name="over the steps",
                outputs=lambda output: output / output.sum(axis=1, keepdims=True),
            ),
        ),
    ),
    Scenario(
        name="dropout-in-inference",
        fact="Dropout does nothing in inference, between layers and inside them.",
        consequence="An exported model was left in training mode: its results are random.",
        form="training",
        spec="""
input: {features: 3}
rnn: [{type: lstm, units: 4, dropout: 0.5}, {type: dropout, rate: 0.5}, {type: gru, units: 4}]
head: {units: 2}
""",
        mistakes=(
            Mistake(
                name="half of the features dropped",
                values={"dropout_1": lambda x: x * np.array([2.0, 0.0, 0.0, 2.0])},
            ),
        ),
    ),
)

CASES = (*CONVOLUTIONS, *NORMS, *HEADS)
