"""Attention to another sequence: masks, scores, its place before or after the cell, and chunks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rnnspec_conformance.scenario import (
    Batch,
    Mistake,
    Scenario,
    batch,
    exchanged,
    replaced,
    scaled,
)

if TYPE_CHECKING:
    from rnnspec.backends.slots import Array
    from rnnspec_conformance.scenario import Arrays


def _ask_before(states: Array) -> Array:
    """Return the state before each step, which is zeros before the first one."""
    return np.concatenate([np.zeros_like(states[:, :1]), states[:, :-1]], axis=1)


def _without_context(arrays: Arrays) -> Arrays:
    """Return the arrays of a cell that takes its input alone."""
    return {**arrays, "decoder.kernel": arrays["decoder.kernel"][:3]}


_TRANSLATOR = """
inputs:
  source: {embedding: {vocabulary: 9, dim: 3, mask_zero: true}}
  target: {features: 3}
stream: target
rnn:
  - {type: dense, units: 4, of: source, activation: tanh, name: memory}
  - {type: pool, pooling: mean, name: summary}
  - {type: dense, units: 4, activation: tanh, name: bridge}
  - {type: gru, units: 4, of: target, name: decoder, initial_state: {h: bridge},
    attention: {over: memory, score: additive, units: 3}}
  - {type: concat, of: [decoder, decoder.context]}
head: {pooling: none, units: 2}
"""
_SOURCE = {"source": Batch(("xxxxx", "xxx..", "x....")), "target": batch(3, 1)}

CASES = (
    Scenario(
        name="attention-masked-source",
        fact="Padding of the memory has no weight in an attention: the softmax is over the real steps.",
        consequence="The context of a short sequence depends on how far it was padded.",
        spec="""
embedding: {vocabulary: 9, dim: 3, mask_zero: true}
rnn:
  - {type: gru, units: 4, name: encoder}
  - {type: lstm, units: 4, of: embedding_1, name: decoder}
  - {type: attention, over: encoder, score: dot}
head: {pooling: mean, units: 2}
""",
        batches=(Batch(("xxxxxx", "xxx...", "..x.xx")),),
        mistakes=(
            Mistake(name="padding has a weight", unmasked=("attention_1",)),
            Mistake(name="mask ignored", instead={"mask_zero: true": "mask_zero: false"}),
        ),
    ),
    Scenario(
        name="attention-nothing-real",
        fact="Attention to a memory of padding alone gives zeros.",
        consequence="An empty sequence gives NaN, as a softmax over minus infinity does, or the mean of its padding, as one over large negative numbers does.",
        spec="""
embedding: {vocabulary: 9, dim: 3, mask_zero: true}
rnn:
  - {type: gru, units: 4, name: encoder}
  - {type: dense, units: 4, name: memory}
  - {type: pool, pooling: mean, of: encoder, name: question}
  - {type: attention, over: memory, score: scaled_dot}
head: {units: 2}
""",
        batches=(Batch(("xxxxx", ".....", "xx...")),),
        mistakes=(Mistake(name="padding has a weight", unmasked=("attention_1",)),),
    ),
    Scenario(
        name="attention-score-general",
        fact="The score general of a query q and a step m is q W m.",
        consequence="W is transposed, or the scores are divided by the root of their size, as those of transformers are.",
        spec="""
input: {features: 3}
rnn:
  - {type: gru, units: 4, name: encoder}
  - {type: simple, units: 4, of: input, name: decoder}
  - {type: attention, over: encoder, score: general}
head: {pooling: none, units: 2}
""",
        mistakes=(
            Mistake(
                name="W transposed",
                arrays=(replaced(np.transpose, "attention_1_query.kernel"),),
            ),
            Mistake(
                name="scores divided by the root of their size",
                arrays=(scaled(0.5, "attention_1_query.kernel"),),
            ),
        ),
    ),
    Scenario(
        name="attention-score-additive",
        fact="The score additive of a query q and a step m is v . tanh(W q + U m + b).",
        consequence="The projections of the query and of the memory are exchanged, or one of them is left out.",
        spec="""
input: {features: 3}
rnn:
  - {type: gru, units: 4, name: encoder}
  - {type: simple, units: 4, of: input, name: decoder}
  - {type: attention, over: encoder, score: additive, units: 3}
head: {pooling: none, units: 2}
""",
        mistakes=(
            Mistake(
                name="projections exchanged",
                arrays=(exchanged("attention_1_query.kernel", "attention_1_keys.kernel"),),
            ),
            Mistake(
                name="query not in the score",
                arrays=(scaled(0.0, "attention_1_query.kernel"),),
            ),
            Mistake(name="bias left out", arrays=(scaled(0.0, "attention_1_keys.bias"),)),
            Mistake(
                name="sign of v",
                arrays=(scaled(-1.0, "attention_1.score"),),
            ),
        ),
    ),
    Scenario(
        name="attention-before-the-cell",
        fact="A cell with attention asks with its state before the step, and takes the context behind the input (Bahdanau).",
        consequence="The query is the state after the step, the context comes before the input, or it does not reach the cell.",
        spec="""
embedding: {vocabulary: 9, dim: 3, mask_zero: true}
rnn:
  - {type: gru, units: 4, name: encoder}
  - {type: lstm, units: 4, of: embedding_1, name: decoder, attention: {over: encoder, score: dot}}
  - {type: concat, of: [decoder, decoder.context]}
head: {pooling: sum, units: 2}
""",
        batches=(Batch(("xxxxxx", "xxxx..", ".xx.xx")),),
        mistakes=(
            Mistake(
                name="context before the input",
                arrays=(replaced(lambda kernel: np.roll(kernel, 4, axis=0), "decoder.kernel"),),
            ),
            Mistake(
                name="context does not reach the cell, and the query is the state after the step",
                instead={
                    ", attention: {over: encoder, score: dot}}": "}\n  - {type: attention, over: encoder, score: dot}",
                    "decoder.context": "attention_1",
                },
                arrays=(_without_context,),
            ),
        ),
    ),
    Scenario(
        name="attention-after-the-cell",
        fact="The layer attention asks with the state after the step (Luong).",
        consequence="The query is the state before the step, and each context belongs to the step before it.",
        spec="""
input: {features: 3}
rnn:
  - {type: lstm, units: 4, name: encoder}
  - {type: gru, units: 4, of: input, name: decoder, initial_state: {h: encoder.state}}
  - {type: attention, over: encoder, score: dot}
head: {pooling: none, units: 2}
""",
        batches=(batch(3, 5),),
        mistakes=(
            Mistake(name="query is the state before the step", values={"decoder": _ask_before}),
        ),
    ),
    Scenario(
        name="attention-begin",
        fact="What does not depend on the target is computed once: the memory, its keys and its mask, and the first state of the decoder.",
        consequence="The source is read again for each step, or the mask of the source is lost on the way.",
        form="step",
        begins=True,
        spec=_TRANSLATOR,
        batches=(_SOURCE,),
        mistakes=(
            Mistake(name="bias of the keys left out", arrays=(scaled(0.0, "decoder_keys.bias"),)),
            Mistake(
                name="first state of zeros", arrays=(scaled(0.0, "bridge.kernel", "bridge.bias"),)
            ),
        ),
    ),
    Scenario(
        name="attention-continue",
        fact="A decoder with attention goes on from its state, with the same memory and mask in each call.",
        consequence="The decoder forgets its state between two steps, or attends to the padding of the source.",
        form="step",
        spec=_TRANSLATOR,
        batches=(_SOURCE, {"target": batch(3, 1)}, {"target": batch(3, 3)}),
        mistakes=(
            Mistake(
                name="given state ignored",
                states=lambda states: {name: 0.0 * state for name, state in states.items()},
            ),
            Mistake(
                name="mask of the memory ignored",
                instead={"mask_zero: true": "mask_zero: false"},
            ),
        ),
    ),
)
