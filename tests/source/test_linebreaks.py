"""Breaking long lines."""

from __future__ import annotations

from rnnspec.source.linebreaks import break_lines


def test_as_many_items_as_a_deep_network_has_states() -> None:
    names = [f"lstm_{index}_h" for index in range(2000)]
    entries = [f'"{name}": {name}' for name in names]
    lines = break_lines(f"    return {{{', '.join(entries)}}}").split("\n")
    assert lines == ["    return {", *(f"        {entry}," for entry in entries), "    }"]


def test_arithmetic_is_broken_as_ruff_breaks_it() -> None:
    source = """\
def step(x, h):
    h = forget_gate * hidden_state + input_gate * candidate_state + output_gate * hidden_state
    h = candidate_state_of_the_cell + jnp.where(mask_of_the_step, hidden_state - candidate, hidden)
    h = (hidden_state_before_the_step - candidate_state_of_the_cell) * update_gate + candidate
    h = jax.nn.sigmoid(x @ kernel_of_the_gate + bias) * jnp.tanh(hidden_state @ kernel + bias_of_it)
    h = jnp.where(hidden_state_before_the_step @ recurrent_kernel + bias > x @ kernel + bias, x, h)
    return keras.ops.sum(keras.ops.where(keras.ops.expand_dims(mask, -1), x, 0), axis=1) / steps
"""
    # The output of ruff format 0.17.
    assert (
        break_lines(source)
        == """\
def step(x, h):
    h = (
        forget_gate * hidden_state
        + input_gate * candidate_state
        + output_gate * hidden_state
    )
    h = candidate_state_of_the_cell + jnp.where(
        mask_of_the_step, hidden_state - candidate, hidden
    )
    h = (
        hidden_state_before_the_step - candidate_state_of_the_cell
    ) * update_gate + candidate
    h = jax.nn.sigmoid(x @ kernel_of_the_gate + bias) * jnp.tanh(
        hidden_state @ kernel + bias_of_it
    )
    h = jnp.where(
        hidden_state_before_the_step @ recurrent_kernel + bias > x @ kernel + bias, x, h
    )
    return (
        keras.ops.sum(keras.ops.where(keras.ops.expand_dims(mask, -1), x, 0), axis=1)
        / steps
    )
"""
    )


def test_loops_quotients_of_calls_and_tuples_are_broken_as_ruff_breaks_them() -> None:
    source = """\
    for x_1_step, x_2_step, real in zip(x_1_of_all.unbind(1), x_2_of_all.unbind(1), real_steps):
        output = torch.addcmul(torch.exp(m - q) * n, torch.exp(k - q), v) / torch.addcmul(u, m, d)
    def f(a, b) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, BCD]:
"""
    # The output of ruff format 0.17.
    assert (
        break_lines(source)
        == """\
    for x_1_step, x_2_step, real in zip(
        x_1_of_all.unbind(1), x_2_of_all.unbind(1), real_steps
    ):
        output = torch.addcmul(
            torch.exp(m - q) * n, torch.exp(k - q), v
        ) / torch.addcmul(u, m, d)
    def f(
        a, b
    ) -> tuple[
        torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, BCD
    ]:
"""
    )


def test_tuples_and_indexes_are_broken_as_ruff_breaks_them() -> None:
    index = (
        "torch.arange(x.shape[0], device=x.device), mask_of_the_words_of_each_sentence.sum(dim=1)"
    )
    source = f"""\
    sequences = sentences_of_the_source.shape[0], sentences_of_the_target_language.shape[0]
    last = torch.where(found, x[{index}], 0)
"""
    # The output of ruff format 0.17.
    assert (
        break_lines(source)
        == """\
    sequences = (
        sentences_of_the_source.shape[0],
        sentences_of_the_target_language.shape[0],
    )
    last = torch.where(
        found,
        x[
            torch.arange(x.shape[0], device=x.device),
            mask_of_the_words_of_each_sentence.sum(dim=1),
        ],
        0,
    )
"""
    )
