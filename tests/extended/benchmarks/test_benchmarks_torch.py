"""The handwritten PyTorch networks are the networks that they are compared with."""

from collections.abc import Iterator

import pytest
from offered import import_later

from benchmarks.networks import FOUNDING, OURS, PACKED, STOCK, Case
from benchmarks.processes import Lane
from benchmarks.race import result

import_later("torch")

OWN = ("recurrent_dropout", "reset_before", "hard_gates")


@pytest.fixture(scope="module")
def lane() -> Iterator[Lane]:
    with Lane("torch") as lane:
        yield lane


@pytest.mark.parametrize("network", [*FOUNDING, *OWN, "three_lstm", "imdb_bidirectional_lstm"])
def test_opponents_are_equal(lane: Lane, network: str) -> None:
    # 'prepare' checks that they are equal; this test, that there are some, and that each one runs.
    runs = lane.prepare(Case(network, batch=2, training=True)).runs
    assert len(runs) > 1
    assert all(result(run) > 0 for run in runs.values())


@pytest.mark.parametrize("network", FOUNDING)
def test_opponents_with_padding_are_equal(lane: Lane, network: str) -> None:
    assert {OURS, PACKED} <= set(lane.prepare(Case(network, batch=2, padded=True)).runs)


@pytest.mark.parametrize("network", FOUNDING)
def test_the_plainest_opponents_are_equal(lane: Lane, network: str) -> None:
    assert set(lane.prepare(Case(network, batch=1, single=True)).runs) == {OURS, STOCK}
