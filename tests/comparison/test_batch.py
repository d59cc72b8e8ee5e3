"""Batches from the user: accepted if they fit the network, otherwise refused in one line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cases import cases
from graphs import ATTENDING, COPIED, JOINED

from rnnspec import pipeline
from rnnspec.backends.slots import as_batch, by_name
from rnnspec.comparison import reference
from rnnspec.comparison.batch import checked_batch, draw_batch, read_batch
from rnnspec.comparison.case import Case
from rnnspec.errors import UsageError
from rnnspec.ir.nodes import Network

SPEC = """\
version: 1
name: small
input: {features: 2, mask_value: 0.0}
rnn: {type: gru, units: 3, bidirectional: true}
head: {units: 2}
"""

TOKENS = pipeline.reads("""\
version: 1
name: small
input: {length: 3}
embedding: {vocabulary: 5, dim: 2, mask_zero: true}
rnn: {type: gru, units: 3}
""").network
NUMBERS = pipeline.reads(SPEC).network
WINDOWS = pipeline.reads("""\
version: 1
name: small
input: {features: 2}
rnn: [{type: conv, filters: 2, kernel_size: 3}, {type: max_pool, size: 2}, {type: gru, units: 3}]
""").network


def test_what_the_network_takes_is_taken_as_a_model_is_given_it() -> None:
    tokens = checked_batch(TOKENS, np.array([[1, 4, 0]], dtype=np.uint8), "it")
    assert isinstance(tokens, np.ndarray)
    assert (str(tokens.dtype), tokens.tolist()) == ("int32", [[1, 4, 0]])
    numbers = checked_batch(NUMBERS, np.array([[[0.1, 1.0]] * 7]), "it")
    assert isinstance(numbers, np.ndarray)
    assert (str(numbers.dtype), numbers.shape) == ("float64", (1, 7, 2))
    assert numbers[0, 0, 0] == np.float32(0.1)


@cases(
    "network, batch, message",
    [
        (TOKENS, [[1, 2]], "tokens of shape (rows, 3), received int64 of (1, 2)"),
        (TOKENS, [1, 2, 3], "tokens of shape (rows, 3), received int64 of (3,)"),
        (TOKENS, [[1.0, 2.0, 3.0]], "tokens of shape (rows, 3), received float64 of (1, 3)"),
        (TOKENS, [[True, True, True]], "tokens of shape (rows, 3), received bool of (1, 3)"),
        (TOKENS, [[1, 2, 3], [1, -1, 5]], "[1, 1]: expected tokens in [0, 5), received -1"),
        (TOKENS, [[1, 2, 5]], "[0, 2]: expected tokens in [0, 5), received 5"),
        (TOKENS, [[0, 0, 0]], "expected a step that is no padding, received padding alone"),
        (WINDOWS, np.ones((1, 3, 2)), "expected at least 4 steps, received 3"),
        (NUMBERS, np.zeros((0, 4, 2)), "(rows, steps, 2), received float64 of (0, 4, 2)"),
        (NUMBERS, np.ones((4, 2, 3)), "(rows, steps, 2), received float64 of (4, 2, 3)"),
        (NUMBERS, np.ones((1, 1, 2), complex), "received complex128 of (1, 1, 2)"),
        (NUMBERS, [[[1.0, np.nan]]], "[0, 0, 1]: expected numbers that float32 can hold, rec"),
        (NUMBERS, [[[1e39, 1.0]]], "[0, 0, 0]: expected numbers that float32 can hold, rec"),
    ],
)
def test_what_it_does_not_take_is_refused(network: Network, batch: Any, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        checked_batch(network, np.array(batch), "it")
    assert message in str(caught.value)
    assert str(caught.value).startswith("it: error: ")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no array", "expected a .npy array, received"),
        (b"", "expected a .npy array, received"),
        (None, "no such file"),
    ],
)
def test_a_file_that_holds_none(content: bytes | None, message: str, tmp_path: Path) -> None:
    path = tmp_path / "batch.npy"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=message):
        read_batch(path)


def test_nothing_in_a_file_is_unpickled(tmp_path: Path) -> None:
    np.save(tmp_path / "batch.npy", np.array([None]), allow_pickle=True)
    with pytest.raises(UsageError, match="expected an array of numbers, received Python objects"):
        read_batch(tmp_path / "batch.npy")


def test_each_input_has_an_array_by_its_name(tmp_path: Path) -> None:
    network = pipeline.reads(JOINED).network
    drawn = draw_batch(network, np.random.default_rng(0), 5)
    assert isinstance(drawn, Mapping)
    assert {name: array.shape for name, array in drawn.items()} == {
        "words": (6, 5),
        "power": (6, 5, 3),
        "plain": (6, 5, 1),
        "basin": (6, 2),
        "user": (6,),
    }
    arrays: Any = dict(drawn)
    np.savez_compressed(tmp_path / "batch.npz", **arrays)
    batch = read_batch(tmp_path / "batch.npz")
    checked = checked_batch(network, batch, "it")
    assert isinstance(batch, Mapping)
    assert isinstance(checked, Mapping)
    for name, array in drawn.items():
        np.testing.assert_array_equal(batch[name], array)
        np.testing.assert_allclose(checked[name], array, rtol=1e-6)


def test_joined_inputs_differ_in_their_padding_and_others_in_their_steps() -> None:
    network = pipeline.reads(JOINED).network
    masks = reference.masks(network, draw_batch(network, np.random.default_rng(0), 5))
    words, power, joined = (masks[name] for name in ("words", "power", "concat_1"))
    assert (words & power == joined).all()
    assert all((mask & ~joined).any() for mask in (words, power))
    assert (words.any(axis=1) != power.any(axis=1)).any()
    assert joined[0].all()
    assert joined[1:].any()
    copied = draw_batch(pipeline.reads(COPIED).network, np.random.default_rng(0), 5)
    assert isinstance(copied, Mapping)
    assert (copied["one"].shape[1], copied["two"].shape[1]) == (5, 6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"user": None}, "arrays for words, power, plain, basin and user, received basin, plain"),
        ({"power": np.ones((6, 4, 3))}, "power: expected as many steps as in words, 5, received 4"),
        (
            {"basin": np.ones((2, 2))},
            "basin: expected as many sequences as in words, 6, received 2",
        ),
        ({"user": np.full(6, 5)}, "user: [0]: expected labels in [0, 5), received 5"),
        ({"user": np.ones((6, 5), int)}, "user: expected labels of shape (rows), received int64"),
        ({"basin": np.full((6, 2), np.nan)}, "basin: [0, 0]: expected numbers that float32"),
    ],
)
def test_arrays_that_do_not_fit_each_other_are_refused(changes: Any, message: str) -> None:
    network = pipeline.reads(JOINED).network
    batch = {**by_name(draw_batch(network, np.random.default_rng(0), 5)), **changes}
    with pytest.raises(UsageError) as caught:
        checked_batch(network, {k: v for k, v in batch.items() if v is not None}, "it")
    assert message in str(caught.value)


def test_a_mapping_is_for_named_inputs_and_an_array_for_an_only_one() -> None:
    with pytest.raises(UsageError, match=r"a mapping, or a \.npz file, with an array for words"):
        checked_batch(pipeline.reads(JOINED).network, np.ones((1, 3)), "it")
    with pytest.raises(UsageError, match="expected one array, received arrays for input"):
        checked_batch(NUMBERS, {"input": np.ones((1, 3, 2))}, "it")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PK\x05\x06" + bytes(18), "expected a .npz file with an array for each input"),
        (None, "expected an array of numbers, received Python objects"),
    ],
)
def test_an_archive_that_holds_none(content: bytes | None, message: str, tmp_path: Path) -> None:
    path = tmp_path / "batch.npz"
    if content is None:
        np.savez(path, words=np.array([None]))
    else:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=message):
        read_batch(path)


def test_every_step_of_training_has_the_given_batch() -> None:
    given = np.ones((2, 3, 2))
    case = Case.of(pipeline.reads(SPEC), 0, "float64", given)
    np.testing.assert_array_equal(case.batch, given)
    np.testing.assert_array_equal(case.another_batch(np.random.default_rng(1)), given)


def test_a_batch_attends_to_fewer_steps_and_to_padding_alone() -> None:
    network = pipeline.reads(ATTENDING).network
    batch = draw_batch(network, np.random.default_rng(0))
    masks = reference.masks(network, batch)
    assert masks["encoder"].shape[1] != masks["decoder"].shape[1]
    nothing = ~masks["encoder"].any(axis=1)
    assert nothing.any()
    assert masks["decoder"][nothing].any()


def test_a_batch_is_an_array_only_if_its_one_input_has_no_name() -> None:
    array, other = np.zeros((2, 3)), np.ones((2, 1))
    assert as_batch({"input": array}) is array
    for named in ({"tokens": array}, {"input": array, "lstm_1_h": other}):
        assert as_batch(named) == named
        assert by_name(as_batch(named)) == named
    assert by_name(as_batch({"input": array}))["input"] is array
