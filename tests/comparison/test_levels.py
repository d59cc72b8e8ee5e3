"""Levels, tolerances and reference values of a comparison."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import yaml
from cases import cases
from graphs import TRANSLATION, TURNED
from offered import require, require_all

import rnnspec
from rnnspec import pipeline
from rnnspec.backends import get, needs
from rnnspec.backends.base import LEVELS
from rnnspec.comparison import reference
from rnnspec.comparison.batch import ROWS, STEPS_OF_ANY_LENGTH, draw_input
from rnnspec.comparison.case import Case
from rnnspec.comparison.levels import (
    DEFAULT_LEVEL,
    TOLERANCES,
    distance,
    levels_up_to,
    tolerances,
)
from rnnspec.comparison.training import (
    ADAM,
    ADAMW,
    SGD,
    STEPS,
    along_directions,
    directional_derivatives,
    gradients_of,
    steady_share,
    train,
    update_of,
)
from rnnspec.errors import OutOfMemoryError, UsageError
from rnnspec.ir import nodes

if TYPE_CHECKING:
    from rnnspec.spec.models import Spec

SMALL = """\
version: 1
name: small
input: {length: 4, features: 2}
rnn: {type: lstm, units: 3}
head: {units: 1, activation: tanh}
"""
EVERYTHING = """\
version: 1
name: everything
embedding: {vocabulary: 6, dim: 3, mask_zero: true}
rnn:
- {type: lstm, units: 2, bidirectional: true, activation: elu, recurrent_activation: hard_sigmoid}
- {type: gru, units: 4, layer_norm: true, residual: true}
- {type: gru, units: 3, reset_after: false, bidirectional: true, merge: mul}
- {type: repeat, steps: 2}
- {type: simple, units: 2, activation: softsign}
head: {pooling: mean, hidden: [{units: 3, activation: softplus}], units: 2, activation: softmax}
"""

GRADIENTS, TRAINING = needs.level("gradients"), needs.level("training")


# Distance


def test_the_distance_of_small_numbers_is_absolute() -> None:
    assert distance(np.array([0.1, 0.5]), np.array([0.1, 0.25])) == 0.25
    assert distance(np.array([1e-9]), np.array([0.0])) == 1e-9


def test_the_distance_of_large_numbers_is_relative_to_the_largest() -> None:
    assert distance(np.array([100.0, 1.0]), np.array([100.0, 2.0])) == 0.01
    # Relative to the expected value, not to the value that is compared.
    assert distance(np.array([8.0]), np.array([1.0])) == 7.0


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("side", [0, 1])
def test_a_number_that_is_not_finite_is_infinitely_far(wrong: float, side: int) -> None:
    pair = [np.zeros(3), np.zeros(3)]
    pair[side] = np.array([0.0, wrong, 0.0])
    assert distance(*pair) == math.inf


def test_both_infinite_is_not_equal() -> None:
    assert distance(np.array([math.inf]), np.array([math.inf])) == math.inf
    assert distance(np.array([math.nan]), np.array([math.nan])) == math.inf


@pytest.mark.parametrize("shape", [(2, 1), (1, 2), (3,), (), (0,), (1,)])
def test_another_shape_is_infinitely_far_even_where_it_broadcasts(shape: tuple[int, ...]) -> None:
    assert distance(np.ones(shape), np.ones(2)) == math.inf


def test_the_distance_of_nothing_is_none() -> None:
    assert distance(np.zeros((0, 3)), np.zeros((0, 3))) == 0.0


def test_single_precision_is_compared_in_double() -> None:
    found = distance(np.array([0.1], np.float32), np.array([0.1], np.float64))
    assert 1e-10 < found < 1e-8


# Levels, dtypes, and the report about them


def test_each_level_includes_those_before_it() -> None:
    assert [levels_up_to(level) for level in LEVELS] == [
        ("counts",),
        ("counts", "forward"),
        ("counts", "forward", "gradients"),
        ("counts", "forward", "gradients", "training"),
    ]
    assert DEFAULT_LEVEL == "gradients"


@pytest.mark.parametrize("level", LEVELS)
def test_the_report_has_a_finding_and_a_tolerance_of_each_level(level: str) -> None:
    require_all(needs.level(level))
    report = rnnspec.parity(rnnspec.loads(SMALL), level=level)
    assert report.equal
    compared = levels_up_to(level)[1:]
    assert (report.level, report.dtype) == (level, "float64")
    assert report.tolerances == {each: TOLERANCES["float64"][each] for each in compared}
    data = report.as_dict()
    assert (data["level"], data["dtype"]) == (level, "float64")
    assert data["tolerances"] == report.tolerances
    for name, account in report.specs[0].backends.items():
        assert tuple(account.findings) == compared
        said = data["specs"][0]["backends"][name]
        for each, finding in account.findings.items():
            assert 0.0 <= finding.difference < 1e-12
            assert finding.where
            assert said[f"{each}_max_difference"] == finding.difference
            assert said[f"{each}_max_difference_at"] == finding.where
        assert sum(key.endswith("_max_difference") for key in said) == len(compared)


def test_without_a_word_it_is_gradients_in_float64() -> None:
    pytest.importorskip("torch")
    report = rnnspec.parity(rnnspec.loads(SMALL), ["torch"])
    assert (report.level, report.dtype) == ("gradients", "float64")


@pytest.mark.parametrize("level", ["", "Forward", "all", "gradient"])
def test_an_unknown_level_is_refused(level: str) -> None:
    with pytest.raises(UsageError, match="unknown level"):
        levels_up_to(level)
    pytest.importorskip("torch")
    with pytest.raises(UsageError, match="unknown level"):
        rnnspec.parity(rnnspec.loads(SMALL), ["torch"], level=level)


@pytest.mark.parametrize("dtype", ["", "float16", "double"])
def test_an_unknown_dtype_is_refused(dtype: str) -> None:
    with pytest.raises(UsageError, match="expected float64 or float32"):
        tolerances(dtype)
    pytest.importorskip("torch")
    with pytest.raises(UsageError, match="unknown dtype"):
        rnnspec.parity(rnnspec.loads(SMALL), ["torch"], dtype=dtype)


@pytest.mark.needs(TRAINING)
def test_training_on_one_backend_is_refused(backend: str) -> None:
    require(backend, TRAINING)
    with pytest.raises(UsageError, match="between backends; expected at least two"):
        rnnspec.parity(rnnspec.loads(SMALL), [backend], level="training")


def test_every_dtype_has_a_tolerance_of_every_level_and_float32_the_wider_ones() -> None:
    for allowed in TOLERANCES.values():
        assert tuple(allowed) == LEVELS[1:]
    for level in LEVELS[1:]:
        assert TOLERANCES["float64"][level] < TOLERANCES["float32"][level]


FOUNDERS = ["standard_rnn", "stacked_lstm", "bidirectional_lstm"]


def small_version(path: Path) -> Spec:
    """Return a spec of the gallery with shorter sequences and a smaller vocabulary."""
    spec = yaml.safe_load(path.read_text())
    spec["input"]["length"] = 7
    spec["embedding"] |= {"vocabulary": 20, "dim": 8}
    spec["rnn"]["units"] = 8
    del spec["expect"]
    return rnnspec.loads(yaml.safe_dump(spec))


@pytest.mark.parametrize("founder", FOUNDERS)
def test_the_founders_in_single_precision(founder: str, specs_folder: Path) -> None:
    require_all(TRAINING)
    spec = small_version(specs_folder / f"{founder}.yaml")
    report = rnnspec.parity(spec, level="training", dtype="float32")
    assert report.equal, report.differences
    assert report.dtype == report.as_dict()["dtype"] == "float32"
    assert report.tolerances == TOLERANCES["float32"]
    for account in report.specs[0].backends.values():
        # Rounding errors show that everything is computed in float32.
        assert account.findings["forward"].difference > 1e-10


# The derivatives that gradients are compared with


@pytest.mark.parametrize(
    "text",
    [SMALL, EVERYTHING, TRANSLATION.replace("{type: normalize}", "{units: 3}"), TURNED],
    ids=["small", "everything", "translation", "turned"],
)
def test_the_derivatives_are_those_of_central_differences(text: str) -> None:
    case = Case.of(pipeline.reads(text), 3, "float64")
    exact = directional_derivatives(case)
    assert list(exact) == list(case.arrays)

    def loss(name: str, shift: float, direction: np.ndarray) -> float:
        arrays = {**case.arrays, name: case.arrays[name] + shift * direction}
        error = reference.run(case.network, arrays, case.batch).output - case.target
        return float(np.sum(case.weight * error**2) / 2.0)

    step = 1e-6
    for name, found in exact.items():
        way = direction(case, name)
        slope = (loss(name, step, way) - loss(name, -step, way)) / (2.0 * step)
        assert abs(found - slope) < 1e-8 * max(1.0, abs(slope)), name
        assert abs(found) > 1e-6, f"{name}: a derivative of nothing proves nothing"


def direction(case: Case, name: str) -> np.ndarray:
    """Return the weight of each element of an array in ``along_directions``."""
    shape = case.arrays[name].shape
    units = np.eye(int(np.prod(shape))).reshape(-1, *shape)
    zeros = {key: np.zeros_like(array) for key, array in case.arrays.items()}
    weights = [along_directions(case, {**zeros, name: unit})[name] for unit in units]
    return np.array(weights).reshape(shape)


def test_no_two_directions_are_alike_and_none_leaves_an_element_out() -> None:
    case = Case.of(pipeline.reads(SMALL), 0, "float64")
    first = direction(case, "lstm_1.kernel")
    second = direction(replace(case, seed=1), "lstm_1.kernel")
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.9
    assert np.abs(first).min() > 1e-3


def test_padding_has_no_part_in_the_loss() -> None:
    text = """\
version: 1
name: per_step
input: {length: 6, features: 2, mask_value: 0.5}
rnn: {type: gru, units: 3}
head: {pooling: none, units: 2}
"""
    program = pipeline.reads(text)
    case = Case.of(program, 0, "float64")
    live = case.build(require("torch", GRADIENTS, program))
    case.reset(live)
    mask = reference.masks(case.network, case.batch)[nodes.INPUT]
    assert case.weight.shape == case.target.shape == (ROWS, 6, 2)
    assert np.array_equal(case.weight, np.broadcast_to(mask[..., None], case.weight.shape))
    elsewhere = np.where(case.weight > 0, case.target, 1e6)
    (loss, found), (same, too) = (
        gradients_of(live)(case.batch, target, case.weight) for target in (case.target, elsewhere)
    )
    assert loss == pytest.approx(same, rel=1e-12)
    for name, array in found.items():
        np.testing.assert_allclose(too[name], array, rtol=0.0, atol=1e-12)


@pytest.mark.needs(GRADIENTS)
@pytest.mark.parametrize("cell", ["type: simple", "type: lstm, recurrent_activation: relu"])
def test_a_state_without_a_bound_does_not_grow_over_padding(cell: str, backend: str) -> None:
    text = f"""\
version: 1
name: doubling
input: {{features: 1, mask_value: 99}}
rnn: {{{cell}, units: 1, activation: relu, bidirectional: true}}
head: {{pooling: mean}}
"""
    program = pipeline.reads(text)
    case = Case.of(program, 0, "float64")
    case = replace(case, arrays={name: np.full_like(a, 2.0) for name, a in case.arrays.items()})
    live = case.build(require(backend, GRADIENTS, program))
    case.reset(live)
    # 2 to the power of the number of padded steps overflows in float64.
    batch = np.full((1, 1100, 1), 99.0)
    batch[0, 0] = 1.0
    loss, found = gradients_of(live)(batch, np.zeros((1, 2)), np.ones((1, 2)))
    assert math.isfinite(loss)
    assert all(np.isfinite(array).all() for array in found.values())
    assert found["bidirectional_1.forward.kernel"].any()


# Batches


def batch_of(entrance: nodes.Input, seed: int = 0) -> np.ndarray:
    return draw_input(entrance, np.random.default_rng(seed))


ENTRANCES: list[nodes.Input] = [
    nodes.TokenInput(steps=9, vocabulary=5, mask_zero=True),
    nodes.NumericInput(steps=9, features=3, mask_value=-1.5),
    nodes.NumericInput(steps=9, features=1, mask_value=0.0),
]


@cases("entrance, seed", [*product(ENTRANCES, range(20))])
def test_a_masked_batch_has_every_pattern_of_padding(entrance: nodes.Input, seed: int) -> None:
    mask = reference.padding_mask(entrance, batch_of(entrance, seed))
    assert mask.shape == (ROWS, 9)
    whole, right, left, inside, single, none = mask
    real = right.sum()
    assert whole.all()
    assert not none.any()
    assert (right[:real].all(), right[real:].any()) == (True, False)
    assert left.tolist() == right[::-1].tolist()
    assert 0 < real < 9
    assert (inside[0], inside[-1], inside.all()) == (True, True, False)
    assert single.sum() == 1


def test_a_real_step_may_hold_the_value_of_padding() -> None:
    entrance = nodes.NumericInput(steps=9, features=3, mask_value=-1.5)
    batch = batch_of(entrance)
    mask = reference.padding_mask(entrance, batch)
    some = (batch == -1.5).any(axis=-1) & mask
    assert some[0].any()
    assert not some[0].all()


@pytest.mark.parametrize("steps", [1, 2, None])
def test_a_masked_batch_of_few_steps_or_of_any_number(steps: int | None) -> None:
    entrance = nodes.TokenInput(steps=steps, vocabulary=2, mask_zero=True)
    for seed in range(20):
        batch = batch_of(entrance, seed)
        assert batch.shape == (ROWS, steps or STEPS_OF_ANY_LENGTH)
        assert batch[0].all()
        assert not batch[-1].any()


def test_without_a_mask_no_step_is_padding() -> None:
    tokens = nodes.TokenInput(steps=50, vocabulary=3, mask_zero=False)
    assert set(batch_of(tokens).ravel().tolist()) == {0, 1, 2}
    assert batch_of(tokens).dtype == np.int32
    numbers = nodes.NumericInput(steps=4, features=3, mask_value=None)
    assert (batch_of(numbers) != 0.0).all()
    for entrance in (tokens, numbers):
        assert reference.padding_mask(entrance, batch_of(entrance)).all()


def test_a_seed_gives_the_same_batch_and_another_another() -> None:
    for entrance in ENTRANCES:
        assert np.array_equal(batch_of(entrance, 1), batch_of(entrance, 1))
        assert not np.array_equal(batch_of(entrance, 1), batch_of(entrance, 2))


# Training


def test_the_optimizers_are_pytorch_s() -> None:
    pytest.importorskip("torch")
    import torch

    start = np.random.default_rng(0).standard_normal(5)
    parameter = torch.nn.Parameter(torch.tensor(start))
    for given, theirs in (
        (SGD, torch.optim.SGD([parameter], lr=0.1)),
        (ADAM, torch.optim.Adam([parameter], lr=0.01, eps=1e-7)),
        (ADAMW, torch.optim.AdamW([parameter], lr=0.01, eps=1e-7, weight_decay=0.1)),
    ):
        arrays, update = {"w": start.copy()}, update_of(given)
        with torch.no_grad():
            parameter.copy_(torch.tensor(start))
        for _ in range(STEPS):
            arrays = {**arrays, **update(arrays, {"w": np.sin(arrays["w"])})}
            parameter.grad = parameter.detach().sin()
            theirs.step()
        np.testing.assert_allclose(arrays["w"], parameter.detach().numpy(), rtol=0.0, atol=1e-14)


def test_training_moves_every_array_but_a_frozen_one() -> None:
    require_all(TRAINING)
    text = """\
version: 1
name: frozen_embedding
embedding: {vocabulary: 6, dim: 3, trainable: false}
rnn: {type: gru, units: 3}
head: {units: 1}
"""
    case = Case.of(pipeline.reads(text), 0, "float64")
    live = case.build(get("torch"))
    found = train(case, live, gradients_of(live))
    for optimizer in ("sgd", "adam"):
        losses = found[f"{optimizer}: losses"]
        assert losses.shape == (STEPS,)
        assert np.isfinite(losses).all()
        for name, array in case.arrays.items():
            moved = np.abs(found[f"{optimizer}: {name}"] - array).max()
            assert (moved == 0.0) if name.startswith("embedding") else (moved > 1e-3)


def test_training_goes_on_with_a_batch_of_one_vector() -> None:
    require_all(TRAINING)
    text = """\
version: 1
name: one
input: {features: 2}
rnn: [{type: batch_norm, momentum: 0.5}, {type: gru, units: 2}]
head: {hidden: [{type: batch_norm, momentum: 0.5}], units: 1}
"""
    for steps in (1, 4):
        given = np.random.default_rng(steps).standard_normal((1, steps, 2))
        report = rnnspec.parity(rnnspec.loads(text), level="training", batch=given)
        assert report.equal, str(report)


def test_training_goes_slower_where_rounding_would_grow() -> None:
    require_all(TRAINING)
    text = """\
version: 1
name: exploding
input: {features: 1, mask_value: 0}
rnn:
- {type: lstm, units: 5, bias: false, activation: linear, recurrent_activation: tanh}
- {type: repeat, steps: 1}
- {type: simple, units: 4}
"""
    spec = rnnspec.loads(text)
    case = Case.of(pipeline.program(spec), 0, "float64")
    live = case.build(get("torch"))
    gradients = gradients_of(live)
    plain, nudged = (train(case, live, gradients, nudge=nudge) for nudge in (0.0, 1e-12))
    assert distance(nudged["sgd: losses"], plain["sgd: losses"]) > 1e-3
    assert steady_share(case, live, gradients) < 1.0
    assert rnnspec.parity(spec, level="training").equal


# Arrays of a case


@pytest.mark.parametrize("value", [99, 1e6])
def test_the_value_of_padding_is_no_reason_for_smaller_arrays(value: float) -> None:
    text = f"""\
version: 1
name: loud
input: {{features: 1, mask_value: {value}}}
rnn: {{type: gru, units: 1, residual: true}}
"""
    quiet = text.replace(f", mask_value: {value}", "")
    drawn = [Case.of(pipeline.reads(each), 0, "float64").arrays for each in (text, quiet)]
    for name, array in drawn[0].items():
        np.testing.assert_array_equal(array, drawn[1][name])


def test_what_the_reference_makes_is_of_the_arrays_that_are_handed_out() -> None:
    """The residual adds inputs of 1e6 to the output, so smaller arrays cannot bound the values."""
    text = """\
version: 1
name: never_tame
input: {length: 6, features: 2, mask_value: 1e6}
rnn: {type: simple, units: 2, residual: true}
"""
    case = Case.of(pipeline.reads(text), 0, "float64")
    assert np.abs(case.truth.output).max() > 1e5
    again = reference.run(case.network, case.arrays, case.batch)
    np.testing.assert_array_equal(case.truth.output, again.output)


# Batches that are larger than the memory

LONG = """\
version: 1
name: long
input: {length: 2147483647, features: 1000}
rnn: {type: lstm, units: 2}
head: {units: 1}
"""


def test_counting_draws_no_batch() -> None:
    spec = rnnspec.loads(LONG)
    require("torch", spec)
    report = rnnspec.parity(spec, ["torch"], level="counts")
    assert report.equal


def test_a_batch_larger_than_the_memory() -> None:
    spec = rnnspec.loads(LONG)
    require("torch", spec)
    message = r"out of memory: 6 sequences of 2,147,483,647 steps take 96,000\.0 GiB, and this "
    with pytest.raises(OutOfMemoryError, match=message):
        rnnspec.parity(spec, ["torch"], level="forward")
