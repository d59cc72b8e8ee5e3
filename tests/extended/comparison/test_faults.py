"""Faults in the source of a backend that parity finds, beside those of mutants.txt."""

from __future__ import annotations

import pytest
from mutation import source_edited
from steps.models import each_of

import rnnspec

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:(?s).*softmax over axis -1:UserWarning"),
]

IN_CHUNKS = {
    "torch": [
        ("torch.where(real, c, state[1])", "c"),
        ("steps > 0", "steps > 1"),
        ("found = torch.where(count > 0, torch.maximum(highest, found), found)", ""),
        ('"gru_1_h": gru_1_h', '"gru_1_h": gru_1_h * 0'),
        ("h, c = state[0][0], state[1][0]", "h, c = state[0][0], state[0][0]"),
    ],
    "keras": [
        ("mask=mask, ", ""),
        ("found = keras.ops.where(count > 0, keras.ops.maximum(highest, found), found)", ""),
        ('"gru_1_h": gru_1_h', '"gru_1_h": gru_2_h'),
        ('[states["lstm_2_h"], states["lstm_2_c"]]', '[states["lstm_2_c"], states["lstm_2_h"]]'),
    ],
    "onnx": [
        ("Where (Any_Real, lstm_1_Y_c_Found, lstm_1_c)", "Identity (lstm_1_Y_c_Found)"),
        ("lstm_2_Given_c = Unsqueeze (lstm_2_c", "lstm_2_Given_c = Unsqueeze (lstm_2_h"),
        ("gru_1_h_next = Where (Any_Real, gru_1_Y_h_Found, ", "gru_1_h_next = Add (gru_1_h, "),
        ("_Begun, max_pooling_1_Highest", "_Begun, max_pooling_1_Chunk"),
        ("Add (max_pooling_1_count, Length_2)", "Identity (max_pooling_1_count)"),
    ],
    "jax": [
        ("jnp.where(real, f * c + i * self.activation(g), c)", "f * c + i * self.activation(g)"),
        ("found = jnp.where(count > 0, jnp.maximum(highest, found), found)", ""),
        ('"gru_1_h": gru_1_h', '"gru_1_h": gru_1_h * 0'),
        ("mask, (lstm_2_h, lstm_2_c)", "mask, (lstm_2_c, lstm_2_h)"),
    ],
}


@pytest.mark.parametrize(
    ("backend_name", "edit"), [(name, edit) for name, edits in IN_CHUNKS.items() for edit in edits]
)
def test_a_fault_in_step_form_is_found(backend_name: str, edit: tuple[str, str]) -> None:
    made = each_of(backend_name, "masked", "max")
    with source_edited(backend_name, [edit]):
        report = rnnspec.parity(
            made.program.spec, [backend_name], form="step", dtype=made.backend.dtypes[0]
        )
    assert [difference.quantity for difference in report.differences] == ["output"]


_TOKENS = "embedding: {vocabulary: 9, dim: 3, mask_zero: true}"
_GRU = "{type: gru, units: 4}"
_CONV = "{type: conv, filters: 4, kernel_size: 2"
_NORM = "{type: batch_norm, momentum: 0.75, epsilon: 0.125}"
_POOL = "{type: average_pool, size: 3, stride: 1}"
IN_LAYERS = {
    "padded steps before a convolution": (f"{_CONV}, padding: causal}}", ", x, 0)", ", x, x)"),
    "the end of the padding": (f"{_CONV}, padding: same}}", '"SAME"', "((1, 0),)"),
    "the direction of a kernel": (f"{_CONV}}}", "conv_1(x)", "conv_1(x[:, ::-1])[:, ::-1]"),
    "the dilation": (f"{_CONV}, dilation: 2, padding: same}}", "kernel_dilation=2", "strides=1"),
    "the share that is kept": (_NORM, "momentum=0.75", "momentum=0.25"),
    "the epsilon": (_NORM, "epsilon=0.125", "epsilon=1e-5"),
    "the steps of a batch norm": (_NORM, ", mask=norm_mask(mask)", ""),
    "the steps of an average": (_POOL, "jnp.maximum(share, 1 / 3)", "1"),
    "the steps of an attention": (_GRU, "jnp.where(real, scores, -3e38)", "scores"),
    "the array of a tied layer": (
        "{type: gru, units: 3}",
        "embed.attend(x)",
        "x @ jax.lax.stop_gradient(embed.embedding[...]).T",
    ),
}


@pytest.mark.parametrize("broken", IN_LAYERS)
def test_a_fault_in_a_layer_of_jax_is_found(broken: str) -> None:
    layer, old, new = IN_LAYERS[broken]
    pooling = "{attention: {}}" if "attention" in broken else "max"
    head = (
        "{pooling: none, units: 9, tied: true}" if "tied" in broken else f"{{pooling: {pooling}}}"
    )
    last = "" if layer.startswith("{type: gru") else f"  - {_GRU}\n"
    layers = f"rnn:\n  - {layer}\n{last}head: {head}\n"
    spec = rnnspec.loads(f"version: 1\nname: net\n{_TOKENS}\n{layers}")
    assert rnnspec.parity(spec, ["jax"]).equal
    with source_edited("jax", [(old, new)]):
        assert not rnnspec.parity(spec, ["jax"]).equal
