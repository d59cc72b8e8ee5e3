"""The handwritten networks of layers around recurrent ones are those of the specs."""

from collections.abc import Iterator
from importlib.util import find_spec

import pytest

from benchmarks.networks import OURS, STOCK, Case
from benchmarks.processes import Lane
from benchmarks.race import result

NEEDS = {"torch": "torch", "keras": "tensorflow", "jax": "flax"}


@pytest.fixture(scope="module", params=NEEDS)
def lane(request: pytest.FixtureRequest) -> Iterator[Lane]:
    if not find_spec(NEEDS[request.param]):
        pytest.skip(f"{NEEDS[request.param]} is not installed")
    with Lane(request.param, "tensorflow" if request.param == "keras" else "") as lane:
        yield lane


def test_stock_layers_are_equal(lane: Lane) -> None:
    # 'prepare' checks that they are equal, for every network when it is measured. Of these, one has
    # a layer that differs in training.
    runs = lane.prepare(
        Case("conv_norm_pool", batch=4, training=True, padded=True, single=True)
    ).runs
    assert set(runs) == {OURS, STOCK}
    assert all(result(run) > 0 for run in runs.values())
