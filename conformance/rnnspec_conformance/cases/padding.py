"""Padding: what a mask means for the state, the directions, and what reduces the steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from rnnspec_conformance.scenario import Batch, Mistake, Scenario, replaced, scaled

if TYPE_CHECKING:
    from rnnspec.backends.slots import Array

_IGNORED = Mistake(name="mask ignored", instead={"mask_zero: true": "mask_zero: false"})


def _from_the_start(calls: Sequence[Array]) -> list[Array]:
    """Return tokens of which the first are real, as many as there are real ones."""
    return [
        np.where(np.arange(tokens.shape[1]) < (tokens != 0).sum(1, keepdims=True), tokens, 0)
        for tokens in calls
    ]


_COUNTED = Mistake(
    name="as many steps from the start as there are real ones", batches=_from_the_start
)


def _any_feature(value: float) -> Mistake:
    def spread(calls: Sequence[Array]) -> list[Array]:
        return [
            np.where((numbers == value).any(-1, keepdims=True), value, numbers) for numbers in calls
        ]

    return Mistake(name="a step is padding if any of its features has the value", batches=spread)


CASES = (
    Scenario(
        name="padding-right",
        fact="Padding at the end leaves the state as it is: the result is that of the sequence without it.",
        consequence="Short sequences in a batch give other results than by themselves.",
        spec="""
embedding: {vocabulary: 9, dim: 3, mask_zero: true}
rnn: {type: lstm, units: 4}
head: {units: 2}
""",
        batches=(Batch(("xxxxxx", "xxxx..", "x.....")),),
        mistakes=(_IGNORED,),
    ),
    Scenario(
        name="padding-left",
        fact="Padding before the first real step leaves the state at zero.",
        consequence="Sequences that are padded on the left, as Keras's pad_sequences does, lose their end or start from another state.",
        spec="""
embedding: {vocabulary: 9, dim: 3, mask_zero: true}
rnn: {type: lstm, units: 4}
head: {units: 2}
""",
        batches=(Batch(("xxxxxx", "..xxxx", ".....x")),),
        mistakes=(_IGNORED, _COUNTED),
    ),
    Scenario(
        name="padding-inside",
        fact="Padding between real steps leaves the state as it is.",
        consequence="A gap in the data changes the result, or what comes after it is cut off.",
        spec="""
embedding: {vocabulary: 9, dim: 3, mask_zero: true}
rnn: {type: gru, units: 4}
head: {units: 2}
""",
        batches=(Batch(("xxxxxx", "xx..xx", "x.x.xx")),),
        mistakes=(_IGNORED, _COUNTED),
    ),
    Scenario(
        name="padding-simple-rnn",
        fact="A simple recurrent layer keeps its state at padded steps.",
        consequence="Short sequences in a batch give other results than by themselves.",
        spec="""
embedding: {vocabulary: 9, dim: 3, mask_zero: true}
rnn: {type: simple, units: 4}
head: {units: 2}
""",
        batches=(Batch(("xxxxxx", "xxx...", "x.xx..")),),
        mistakes=(_IGNORED, _COUNTED),
    ),
    Scenario(
        name="all-padding",
        fact="A sequence of only padding has a final state of zeros.",
        consequence="An empty sequence in a batch fails, or gives a number that means nothing.",
        spec="""
embedding: {vocabulary: 9, dim: 3, mask_zero: true}
rnn: {type: lstm, units: 4}
head: {units: 2}
""",
        batches=(Batch(("xxxxx", ".....", "xx...")), Batch(("....", "...."))),
        mistakes=(_IGNORED,),
    ),
    Scenario(
        name="padding-backward-last-state",
        fact="With padding, the last state of the forward direction is at the last real step, and that of the backward direction at the first.",
        consequence="A classifier of sequences of different lengths reads states in the padding.",
        spec="""
embedding: {vocabulary: 9, dim: 3, mask_zero: true}
rnn: {type: gru, units: 3, bidirectional: true}
head: {pooling: last, units: 2}
""",
        batches=(Batch(("xxxxxx", "xxx...", "..xxxx", "x..xx.")),),
        mistakes=(_IGNORED, _COUNTED),
    ),
    Scenario(
        name="padding-stack",
        fact="Every layer of a stack skips padded steps.",
        consequence="The mask reaches the first layer only, and the second one goes on over the padding.",
        spec="""
embedding: {vocabulary: 9, dim: 3, mask_zero: true}
rnn: {type: lstm, units: 4, layers: 2}
head: {units: 2}
""",
        batches=(Batch(("xxxxxx", "xxx...", "x.xx..")),),
        mistakes=(Mistake(name="mask for the first layer only", unmasked=("lstm_2",)),),
    ),
    Scenario(
        name="padding-bidirectional-stack",
        fact="Every layer of a bidirectional stack skips padded steps, in both directions.",
        consequence="The mask reaches the first layer only.",
        spec="""
embedding: {vocabulary: 9, dim: 3, mask_zero: true}
rnn: {type: gru, units: 2, layers: 2, bidirectional: true}
head: {pooling: max, units: 2}
""",
        batches=(Batch(("xxxxx", "xxx..", ".xxx.", "x.xx.")),),
        mistakes=(
            Mistake(name="mask for the first layer only", unmasked=("bidirectional_2",)),
            Mistake(
                name="mask for the pooling only", unmasked=("bidirectional_1", "bidirectional_2")
            ),
        ),
    ),
    Scenario(
        name="padding-by-value",
        fact="A step of numbers is padding if all of its features have the mask value.",
        consequence="A real step that has the value in one feature is dropped, or padding is not seen at all.",
        spec="""
input: {features: 2, mask_value: -1.0}
rnn: {type: gru, units: 4}
head: {units: 2}
""",
        batches=(
            Batch(
                values=(
                    ((0.5, 1.5), (-1.0, 0.25), (-1.0, -1.0), (2.0, -0.5), (-1.0, -1.0)),
                    ((1.25, -1.0), (-1.0, -1.0), (-0.75, 1.0), (0.5, 0.5), (1.0, -1.0)),
                )
            ),
        ),
        mistakes=(
            _any_feature(-1.0),
            Mistake(name="mask ignored", instead={", mask_value: -1.0": ""}),
        ),
    ),
    Scenario(
        name="padding-of-large-values",
        fact="What a padded step holds never reaches a result, however large it is.",
        consequence="A mask that multiplies by 0 turns an overflow in the padding into NaN.",
        spec="""
input: {features: 2, mask_value: 9.999999394896025e+29}
rnn: {type: simple, units: 3, activation: relu}
head: {pooling: mean, units: 2}
""",
        arrays=(scaled(0.5, "simple_rnn_1.recurrent_kernel"),),
        batches=(Batch(("xxxxx", "xxx..", "x.xx.")),),
        mistakes=(
            Mistake(name="mask ignored", instead={", mask_value: 9.999999394896025e+29": ""}),
        ),
    ),
    Scenario(
        name="mean-without-padding",
        fact="A mean over the steps is over the real ones.",
        consequence="The mean depends on how far the batch is padded.",
        spec="""
embedding: {vocabulary: 9, dim: 3, mask_zero: true}
rnn: {type: lstm, units: 4}
head: {pooling: mean, units: 2}
""",
        batches=(Batch(("xxxxxx", "xxx...", "..xx..")),),
        mistakes=(
            Mistake(name="mean over all steps", unmasked=("mean_pooling_1",)),
            _IGNORED,
        ),
    ),
    Scenario(
        name="maximum-without-padding",
        fact="A maximum over the steps leaves padded ones out, even if all real values are negative.",
        consequence="Zeros of the padding are taken for the highest value.",
        spec="""
embedding: {vocabulary: 9, dim: 3, mask_zero: true}
rnn: {type: lstm, units: 4}
head: {pooling: max, units: 2}
""",
        batches=(Batch(("xxxxxx", "..xxxx", "....xx")),),
        mistakes=(Mistake(name="maximum over all steps", unmasked=("max_pooling_1",)),),
    ),
    Scenario(
        name="mean-of-all-padding",
        fact="The mean of a sequence of only padding is zeros.",
        consequence="Division by the number of real steps gives NaN, which spreads from one empty sequence.",
        spec="""
embedding: {vocabulary: 9, dim: 3, mask_zero: true}
rnn: {type: gru, units: 4}
head: {pooling: mean, units: 2}
""",
        batches=(Batch(("xxxxx", ".....", "xx...")),),
        mistakes=(
            Mistake(
                name="0 / 0",
                values={
                    "mean_pooling_1": lambda x: np.where((x == 0).all(-1, keepdims=True), np.nan, x)
                },
            ),
            Mistake(name="mask ignored", instead={"mask_zero: true": "mask_zero: false"}),
        ),
    ),
    Scenario(
        name="attention-without-padding",
        fact="The softmax of attention over the steps is over the real ones.",
        consequence="Padded steps get a share of the weights.",
        spec="""
embedding: {vocabulary: 9, dim: 3, mask_zero: true}
rnn: {type: gru, units: 4}
head: {pooling: {attention: {units: 3}}, units: 2}
""",
        batches=(Batch(("xxxxxx", "xxx...", "..xx..")),),
        mistakes=(
            Mistake(name="softmax over all steps", unmasked=("attention_pooling_1",)),
            _IGNORED,
        ),
    ),
    Scenario(
        name="attention-all-padding",
        fact="Attention over a sequence of only padding gives zeros.",
        consequence="A softmax of only minus infinity gives NaN; one of large negative numbers gives the mean of the padding.",
        spec="""
embedding: {vocabulary: 9, dim: 3, mask_zero: true}
rnn: [{type: gru, units: 4}, {type: dense, units: 3}]
head: {pooling: {attention: {units: 3}}, units: 2}
""",
        batches=(Batch(("xxxxx", ".....", "xx...")),),
        mistakes=(
            Mistake(
                name="softmax of minus infinity",
                values={
                    "attention_pooling_1": lambda x: np.where(
                        (x == 0).all(-1, keepdims=True), np.nan, x
                    )
                },
            ),
            Mistake(name="mean of the padded steps", unmasked=("attention_pooling_1",)),
        ),
    ),
    Scenario(
        name="conv-of-padding",
        fact="Padded steps are zeros for a convolution.",
        consequence="The vector of the padding token reaches real steps beside it.",
        spec="""
embedding: {vocabulary: 9, dim: 3, mask_zero: true}
rnn: [{type: conv, filters: 3, kernel_size: 3, padding: same}, {type: lstm, units: 3}]
head: {units: 2}
""",
        batches=(Batch(("xxxxxx", "xxxx..", "xx.xxx")),),
        mistakes=(
            Mistake(name="padded steps as they are", unmasked=("conv_1",)),
            Mistake(name="mask dropped at the convolution, as in Keras", unmasked=("lstm_1",)),
        ),
    ),
    Scenario(
        name="pool-of-padding",
        fact="Padded steps do not count in the windows of a pool, and a window that begins in the padding is padding.",
        consequence="Padding lowers averages at the end of a sequence, and the mask has another length than the steps.",
        spec="""
embedding: {vocabulary: 9, dim: 3, mask_zero: true}
rnn: [{type: average_pool, size: 2, padding: same}, {type: lstm, units: 3}]
head: {units: 2}
""",
        batches=(Batch(("xxxxxx", "xxxxx.", "xxx...")),),
        mistakes=(
            Mistake(name="padded steps counted", unmasked=("average_pool_1",)),
            Mistake(name="mask dropped at the pool, as in Keras", unmasked=("lstm_1",)),
        ),
    ),
    Scenario(
        name="token-zero",
        fact="Without a mask, token 0 is a token as any other.",
        consequence="Token 0 is skipped as padding, or its vector is taken to be zeros.",
        spec="""
embedding: {vocabulary: 5, dim: 3}
rnn: {type: lstm, units: 4}
head: {units: 2}
""",
        batches=(Batch(values=((0, 1, 2, 0, 4), (3, 0, 0, 2, 0))),),
        mistakes=(
            Mistake(name="taken for padding", instead={"dim: 3": "dim: 3, mask_zero: true"}),
            Mistake(
                name="vector of zeros",
                arrays=(
                    replaced(
                        lambda table: np.where(
                            np.arange(len(table))[:, np.newaxis] == 0, 0.0, table
                        ),
                        "embedding_1.embeddings",
                    ),
                ),
            ),
        ),
    ),
    Scenario(
        name="last-token",
        fact="The last token of the vocabulary has a vector of its own.",
        consequence="The table is one row short, or rows are off by one.",
        spec="""
embedding: {vocabulary: 300, dim: 2}
rnn: {type: gru, units: 3}
head: {units: 2}
""",
        batches=(Batch(values=((299, 1, 298), (0, 299, 257))),),
        mistakes=(
            Mistake(
                name="rows off by one",
                arrays=(
                    replaced(lambda table: np.roll(table, 1, axis=0), "embedding_1.embeddings"),
                ),
            ),
            Mistake(
                name="tokens in 8 bits",
                batches=lambda calls: [tokens % 256 for tokens in calls],
            ),
        ),
    ),
)
