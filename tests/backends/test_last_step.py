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
