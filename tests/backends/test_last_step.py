"""The last step behind layers that compute each step by itself."""

from __future__ import annotations

import numpy as np
from graphs import ENDS, STATES

from rnnspec import pipeline
from rnnspec.comparison import reference
from rnnspec.comparison.batch import draw_batch, steps_to_draw
from rnnspec.weights.initial import draw_scaled

SEQUENCES = STATES + "".join(f"  all_{end}: {{of: {end}, pooling: none}}\n" for end in ENDS)


def test_what_is_behind_a_state_has_one_value_whoever_reads_it() -> None:
    results = []
    for text in (STATES, SEQUENCES):
        network = pipeline.reads(text).network
        batch = draw_batch(network, np.random.default_rng(1), steps_to_draw(network))
        trace = reference.run(network, draw_scaled(network, 0), batch, training=True)
        results.append([trace.outputs[network.results[f"last_{end}"].name] for end in ENDS])
    empty = ~(batch != 0.0).any(axis=(1, 2))  # type: ignore[union-attr]
    assert empty.any()
    for state, step in zip(*results, strict=True):
        np.testing.assert_allclose(state, step, atol=1e-12)
        assert not state[empty].any()


SUMS = """\
version: 1
name: net
input: {features: 3, mask_value: 0}
rnn:
- {type: lstm, units: 4, bidirectional: true, merge: sum, name: both}
- {type: pool, pooling: last, of: both, name: pooled}
- {type: formula, of: {s: both.state}, equations: {y: "s[:4] + s[4:]"}, name: added}
heads: {one: {of: pooled}, two: {of: added}}
"""


def test_the_last_of_merged_directions_is_the_sum_of_their_final_states() -> None:
    network = pipeline.reads(SUMS).network
    batch = draw_batch(network, np.random.default_rng(1), steps_to_draw(network))
    outputs = reference.run(network, draw_scaled(network, 0), batch, training=False).outputs
    one, two = (outputs[network.results[name].name] for name in ("one", "two"))
    assert one.shape[-1] == 4
    np.testing.assert_allclose(one, two, atol=1e-12)
