"""Recurrent dropout as the language defines it: one mask per sequence and gate, on the state.

The dropout of the input then has one mask per gate too, and each direction has its own masks.
"""

from __future__ import annotations

import re
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from live import outputs, seed
from offered import require
from recurrent_masks import (
    CELLS,
    FIRST,
    NUMBERS,
    PADDED,
    SOURCES,
    Cell,
    check,
    check_both,
    correlated,
    load,
    masks,
    run,
    same,
    spec_of,
)

import rnnspec
from rnnspec.backends import having
from rnnspec.backends.needs import form
from rnnspec.source.execute import execute

pytestmark = pytest.mark.needs(form("training"))


def built(cell: Cell, more: str, entrance: str, backend: str) -> Any:
    spec = spec_of(cell, more, entrance)
    require(backend, spec)
    return load(rnnspec.build(spec, backend), cell)


# Where a framework compiles each cell anew, every second one has padding.
of_every_cell = pytest.mark.parametrize(
    ("backend", "name", "entrance"),
    [
        pytest.param(each.name, name, entrance, id=f"{each.name}-{name}-{text}")
        for each in having(form("training"))
        for number, name in enumerate(CELLS)
        for at, (text, entrance) in enumerate((("plain", NUMBERS), ("padded", PADDED)))
        if each.name == "torch" or at == number % 2
    ],
)


@of_every_cell
def test_one_mask_a_sequence_and_one_a_gate(name: str, entrance: str, backend: str) -> None:
    cell = CELLS[name]
    model = built(cell, "", entrance, backend)
    shown = run(model, entrance)
    assert check(cell, shown) == []
    again = masks(cell, run(model, entrance, number=8)) > 0.5
    for first, second in zip(masks(cell, shown) > 0.5, again, strict=True):
        assert not correlated(first[:, 0], second[:, 0])
    # There are none in inference.
    shown = run(model, entrance, training=False)
    assert (shown == shown[:1]).all()
    signals = len(cell.signals)
    for (_, gate, _), unit in zip(
        cell.signals, np.moveaxis(shown, -1, 0)[SOURCES : SOURCES + signals], strict=True
    ):
        if not (cell.reset_first and gate == "r"):
            found = cell.read.get(gate, same)(unit[:, FIRST:], unit[:, FIRST - 1 : -1])
            np.testing.assert_allclose(found, 1.0, atol=1e-4)


@of_every_cell
def test_each_direction_has_masks_of_its_own(name: str, entrance: str, backend: str) -> None:
    cell = CELLS[name]
    model = built(cell, ", bidirectional: true", entrance, backend)
    assert check_both(cell, run(model, entrance)) == []


BY_EQUATION = """\
version: 1
name: masks
input: {features: 4}
cells:
  shown:
    states: [s]
    equations: {p: P @ s, q: Q @ s, s: 1 + 0 * (W @ x)}
    output: concat(p, q, V @ x)
rnn: {type: shown, units: 4, bidirectional: true, dropout: 0.25, recurrent_dropout: 0.5}
head: {pooling: none}
"""


def test_each_product_of_a_cell_by_equation_has_a_mask(backend: str) -> None:
    spec = rnnspec.loads(BY_EQUATION)
    require(backend, spec)
    model = rnnspec.build(spec, backend)
    arrays = rnnspec.read_weights(model)
    rnnspec.write_weights(model, {name: np.eye(*array.shape) for name, array in arrays.items()})
    seed(1)
    batch = np.ones((400, 3, 4), np.float32)
    # Of each sequence and direction: the masks of P, of Q and of the input, at the middle step.
    first, middle, last = np.moveaxis(outputs(model, batch, training=True), 1, 0)
    masks = middle.reshape(400, 2, 3, 4)
    np.testing.assert_array_equal(first[:, 12:], middle[:, 12:])
    np.testing.assert_array_equal(middle[:, :12], last[:, :12])
    for mask, rate in zip(np.moveaxis(masks, 2, 0), (0.5, 0.5, 0.25), strict=True):
        np.testing.assert_allclose(np.unique(mask), [0.0, 1 / (1 - rate)], rtol=1e-6)
        assert abs((mask == 0).mean() - rate) < 0.05
    columns = masks.reshape(400, -1)
    apart = np.corrcoef(columns.T) - np.eye(24)
    assert np.abs(apart).max() < 0.25
    assert (outputs(model, batch, training=False)[:, 1] == 1).all()


# Ways in which the PyTorch cells could be wrong, each with the reason why it is rejected.
DRAWN = re.compile(
    r"(\w+_keep) = nn.functional.dropout\(\1, self.recurrent_dropout, self.training\)"
)
INPUT = "variational_dropout(x, self.dropout, True)"
FAULTS: dict[str, tuple[str | re.Pattern[str], str, str]] = {
    "one mask for all gates": (
        DRAWN,
        r"\1 = nn.functional.dropout(\1[:1], self.recurrent_dropout, self.training).expand_as(\1)",
        "go together",
    ),
    "one mask for all rows": (
        DRAWN,
        (
            r"\1 = nn.functional.dropout(\1[:, :1], self.recurrent_dropout, self.training)"
            r".expand_as(\1)"
        ),
        "repeats from row to row",
    ),
    "not scaled": (
        DRAWN,
        r"\1 = nn.functional.dropout(\1, self.recurrent_dropout, self.training).sign()",
        "does not scale",
    ),
    "the input's rate": (
        "self.recurrent_dropout = recurrent_dropout",
        "self.recurrent_dropout = dropout",
        "does not keep its share",
    ),
    "drawn again at each step": (
        re.compile(r"\bh \* (\w+_keep)"),
        r"h * nn.functional.dropout(torch.ones_like(\1), self.recurrent_dropout)",
        "not one mask a sequence",
    ),
    "on what leaves the layer": (
        "outputs.append(h)",
        "outputs.append(nn.functional.dropout(h, self.recurrent_dropout))",
        "not on the state alone",
    ),
    "the input's mask one for all gates": (
        re.compile(rf"({re.escape(INPUT)}), \*arrays\s*\)\s*for"),
        r"once, *arrays) for once in [\1] for",
        "go together",
    ),
    "the input's mask drawn again at each step": (
        INPUT,
        "nn.functional.dropout(x, self.dropout)",
        "not one mask a sequence",
    ),
}


def faulty(
    cell: Cell, right: str | re.Pattern[str], wrong: str, more: str = "", entrance: str = NUMBERS
) -> Any:
    """Return the PyTorch model with part of its source replaced."""
    pytest.importorskip("torch")
    spec = spec_of(cell, more, entrance)
    model, text = load(rnnspec.build(spec, "torch"), cell), rnnspec.codegen(spec, "torch")
    edited = text.replace(right, wrong) if isinstance(right, str) else right.sub(wrong, text)
    assert edited != text
    made = getattr(execute(edited, spec.name), type(model).__name__)()
    made.load_state_dict(model.state_dict())
    return made


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize(
    ("name", "entrance"), [("lstm", NUMBERS), ("gru", PADDED), ("reset-first gru", NUMBERS)]
)
def test_a_wrong_mask_is_found(name: str, fault: str, entrance: str) -> None:
    right, wrong, reason = FAULTS[fault]
    model = faulty(CELLS[name], right, wrong, entrance=entrance)
    found = check(CELLS[name], run(model, entrance))
    assert any(reason in each for each in found), found


def test_a_mask_in_inference_is_found() -> None:
    model = faulty(CELLS["lstm"], "self.training", "True")
    shown = run(model, training=False)
    assert (shown != shown[:1]).any()


@pytest.mark.parametrize("entrance", [NUMBERS, PADDED], ids=["plain", "padded"])
def test_masks_shared_by_both_directions_are_found(entrance: str) -> None:
    # The forward direction draws first, with the seed that ``run`` sets.
    right = 'back = self.bidirectional_1["backward_layer"]('
    wrong = f"torch.manual_seed(7)\n        {right}"
    model = faulty(CELLS["lstm"], right, wrong, ", bidirectional: true", entrance)
    found = check_both(CELLS["lstm"], run(model, entrance))
    assert any("both directions" in each for each in found), found


# y shows the masks on the state s, which is always 1, of A and B, and that on the input of V and W.
SHOWN = """\
version: 1
name: shows_its_masks
input: {features: 3}
cells:
  shown:
    states: [y, s]
    equations:
      y: concat(A @ s, B @ s, V @ x, W @ x)
      s: 1 + 0 * s
    sizes: {y: 4 * units}
rnn: {type: shown, units: 3, bidirectional: true, dropout: 0.25, recurrent_dropout: 0.4}
"""


def test_in_a_cell_by_equations_each_matrix_of_a_state_has_its_mask(backend: str) -> None:
    spec = rnnspec.loads(SHOWN)
    require(backend, spec)
    model = rnnspec.build(spec, backend)
    rnnspec.write_weights(model, dict.fromkeys(rnnspec.read_weights(model), np.eye(3)))
    seed(7)
    batch = np.ones((1500, 4, 3), dtype=np.float32)
    shown = outputs(model, batch, training=True).reshape(1500, 4, 2, 4, 3)
    ahead, back = shown[:, 1:, 0], shown[:, :-1, 1]
    for direction in (ahead, back):
        assert (direction == direction[:, :1]).all()
        np.testing.assert_array_equal(direction[:, :, 2], direction[:, :, 3])
        for part, rate in ((0, 0.4), (1, 0.4), (2, 0.25)):
            values = direction[:, 0, part]
            np.testing.assert_allclose(values[values > 0.0], 1.0 / (1.0 - rate), rtol=1e-6)
            assert abs((values == 0.0).mean() - rate) < 6.0 * (rate * (1.0 - rate) / 4500) ** 0.5
    masks_of_parts = [
        direction[:, 0, part, 0] > 0.0 for direction in (ahead, back) for part in range(3)
    ]
    for one, other in combinations(masks_of_parts, 2):
        assert not correlated(one, other)
    assert not any(correlated(mask[::2], mask[1::2]) for mask in masks_of_parts)
