"""Moving an array between two layouts is exact and can be reversed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file

from rnnspec.backends.slots import Slot, pack, packed, unpack
from rnnspec.ir.initializers import Constant
from rnnspec.ir.params import Param
from rnnspec.weights.file import write_arrays


def kernel(gates: str = "zrn", rows: int = 2, units: int = 4) -> Param:
    return Param(
        name="kernel",
        axes="in (gate out)",
        sizes=(("in", rows), ("gate", len(gates)), ("out", units)),
        gates=gates,
        initializer=Constant(0.0),
    )


def test_each_gate_lands_where_the_slot_says() -> None:
    array = np.concatenate([np.full((2, 4), gate) for gate in (1.0, 2.0, 3.0)], axis=1)
    slot = Slot(param="kernel", path="weight_ih_l0", axes="(gate out) in", gates="rzn")
    packed = pack(kernel(), slot, array)
    assert packed.shape == (12, 2)
    assert packed[:, 0].tolist() == [2.0] * 4 + [1.0] * 4 + [3.0] * 4


def test_without_a_change_of_axes_or_gates_nothing_moves() -> None:
    array = np.arange(24.0).reshape(2, 12)
    slot = Slot(param="kernel", path="kernel", axes="in (gate out)", gates="zrn")
    assert np.array_equal(pack(kernel(), slot, array), array)


@given(
    gates=st.sampled_from(["h", "zrn", "ifco"]).flatmap(
        lambda order: st.tuples(st.just(order), st.permutations(order))
    ),
    axes=st.sampled_from(["in (gate out)", "(gate out) in", "gate in out", "(out gate) in"]),
    rows=st.integers(1, 4),
    units=st.integers(1, 4),
)
def test_unpack_undoes_pack(gates: tuple[str, list[str]], axes: str, rows: int, units: int) -> None:
    param = kernel(gates[0], rows, units)
    slot = Slot(param="kernel", path="w", axes=axes, gates="".join(gates[1]))
    array = np.arange(float(param.count)).reshape(param.shape)
    assert np.array_equal(unpack(param, slot, pack(param, slot, array)), array)


def test_a_wrong_shape_is_refused() -> None:
    slot = Slot(param="kernel", path="w", axes="(gate out) in", gates="zrn")
    with pytest.raises(ValueError, match=r"kernel: expected shape \(2, 12\), received \(12, 2\)"):
        pack(kernel(), slot, np.zeros((12, 2)))


def test_a_scalar_stays_one_in_memory_and_in_files(tmp_path: Path) -> None:
    scalar = np.array(0.5)
    assert packed(scalar).shape == ()
    path = write_arrays(tmp_path, "arrays.safetensors", {"rnn.alpha": scalar}, "")
    assert load_file(path)["rnn.alpha"].shape == ()
