"""Stacks of every layer, in front of every head, are the reference's on every backend and form."""

from __future__ import annotations

import pytest
from mutation import source_edited
from offered import require

import rnnspec
from rnnspec import pipeline
from rnnspec.backends import needs, refusals
from rnnspec.comparison.random import Texts, passes
from rnnspec.ir.forms import Form

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

INPUTS = {
    "tokens": "embedding: {vocabulary: 9, dim: 4}",
    "masked tokens": "embedding: {vocabulary: 9, dim: 4, mask_zero: true}",
    "numbers": "input: {features: 4}",
    "masked numbers": "input: {features: 4, mask_value: 0.5}",
    "numbers of a length": "input: {features: 4, length: 14}",
}
LSTM = "{type: lstm, units: 4}"
STACKS = {
    "valid": f"{{type: conv, filters: 3, kernel_size: 3, activation: relu}}, {LSTM}",
    "even": "{type: conv, filters: 3, kernel_size: 4, padding: same, dilation: 2, bias: false}, "
    "{type: gru, units: 3, bidirectional: true}",
    "strided": "{type: conv, filters: 3, kernel_size: 4, stride: 3, padding: same}, "
    f"{{type: conv, filters: 3, kernel_size: 1, stride: 2, padding: same}}, {LSTM}",
    "sparse": f"{{type: conv, filters: 3, kernel_size: 2, stride: 4, padding: same}}, {LSTM}",
    "dilated": "{type: conv, filters: 3, kernel_size: 3, dilation: 2, padding: causal, "
    f"activation: softmax}}, {LSTM}",
    "pools": "{type: max_pool, size: 2, padding: same}, {type: average_pool, size: 3, stride: 1, "
    f"padding: same}}, {{type: average_pool, size: 2}}, {LSTM}, {{type: max_pool, size: 2}}",
    "uneven": "{type: average_pool, size: 2, stride: 1, padding: same}, {type: max_pool, size: 3, "
    "stride: 2, padding: same}, {type: gru, units: 4, reset_after: false}",
    "average": f"{LSTM}, {{type: average_pool, size: 4, stride: 3, padding: same}}, {LSTM}",
    "norms": f"{{type: batch_norm, momentum: 0.7}}, {LSTM}, {{type: layer_norm}}, "
    "{type: gru, units: 4, layer_norm: true, residual: true, activation: silu}, "
    "{type: batch_norm, epsilon: 0.01}, {type: simple, units: 3}",
    "run": "{type: dense, units: 3, activation: {leaky_relu: 0.1}}, {type: conv, filters: 3, "
    "kernel_size: 3, padding: causal}, {type: batch_norm}, {type: activation, activation: "
    "{clipped_relu: 1}}, {type: dropout, rate: 0.2, variational: true}, {type: dropout, rate: "
    f"0.1}}, {{type: max_pool, size: 2}}, {{type: activation, activation: softmax}}, {LSTM}",
    "join": f"{LSTM}, {LSTM}, {{type: concat, of: [FIRST, lstm_1, lstm_2]}}, {{type: conv, "
    "filters: 3, kernel_size: 2, padding: same}, {type: conv, filters: 3, kernel_size: 2, "
    f"padding: causal}}, {{type: concat, of: [conv_2, conv_1, lstm_1]}}, {LSTM}",
    "behind": f"{LSTM}, {{type: conv, filters: 3, kernel_size: 3, padding: causal}}, "
    "{type: layer_norm}, {type: gru, units: 3, bidirectional: true, merge: mul}, "
    "{type: max_pool, size: 2, stride: 1}",
}
STREAMS = {
    "convs": "{type: conv, filters: 4, kernel_size: 3, dilation: 2, padding: causal, activation: "
    "relu}, {type: batch_norm}, {type: conv, filters: 3, kernel_size: 1, padding: causal}, {type: "
    f"conv, filters: 4, kernel_size: 4, padding: causal, activation: softmax}}, {LSTM}, {{type: "
    f"concat, of: [FIRST, conv_1, lstm_1]}}, {{type: dense, units: 4}}, {LSTM}",
    "behind": f"{{type: dense, units: 2}}, {LSTM}, {{type: conv, filters: 3, kernel_size: 3, "
    "padding: causal}, {type: activation, activation: softmax}",
}
HIDDEN = "hidden: [{units: 3}, {type: batch_norm}, {type: activation, activation: relu}]"
HEADS = (
    f"head: {{pooling: [sum, max, mean, {{attention: {{}}}}], {HIDDEN}, units: 2}}",
    (
        "heads: {tags: {pooling: none, units: 2}, one: {pooling: sum}, "
        "all: {pooling: {attention: {units: 3, activation: softplus}}}}"
    ),
    f"head: {{pooling: none, {HIDDEN}, units: 2}}",
)
OPEN = "input: {features: 4}"
FIXED = INPUTS["numbers of a length"]
TIED = f"rnn: [{LSTM}]\nhead: {{units: 9, tied: true, "
OTHERS = {
    "last": f"{INPUTS['masked numbers']}\nrnn: [{LSTM}]\nhead: {{pooling: [last, mean], units: 2}}",
    "last of both": f"{INPUTS['masked tokens']}\n"
    "rnn: [{type: gru, units: 3, activation: selu, bidirectional: true}]\nhead: {units: 2}",
    "last step": f"{OPEN}\nrnn: [{LSTM}]\nhead: {{pooling: [last_step, last], units: 2}}",
    "flatten": f"{FIXED}\nrnn: [{LSTM}]\nhead: {{pooling: flatten, {HIDDEN}, units: 2}}",
    "last steps": f"{OPEN}\nrnn: [{LSTM}]\nhead: {{pooling: {{last_steps: 2}}, units: 2}}",
    "tied": f"{INPUTS['masked tokens']}\n{TIED}pooling: none, activation: softmax}}",
    "tied without a bias": "embedding: {vocabulary: 9, dim: 4, trainable: false}\n"
    f"{TIED}pooling: mean, bias: false}}",
}


def texts(stacks: dict[str, str], heads: tuple[str, ...], pairs: int) -> dict[str, str]:
    """Return specs of all stacks, each with some of the inputs and of the heads in turn."""
    named, number = dict[str, str](), 0
    for name, stack in stacks.items():
        for _ in range(pairs):
            network_input = list(INPUTS)[number % len(INPUTS)]
            first = "embedding_1" if "tokens" in network_input else "input"
            rnn = stack.replace("FIRST", first)
            head = heads[number % len(heads)]
            named[f"{name}, {network_input}"] = f"{INPUTS[network_input]}\nrnn: [{rnn}]\n{head}"
            number += 1
    return named


WHOLE = texts(STACKS, HEADS, 2) | OTHERS
STEPS = texts(STREAMS, (HEADS[0].replace(", {attention: {}}", ""), HEADS[2]), 5)
STEPS |= {name: OTHERS[name] for name in ("tied", "tied without a bias")}


def is_equal(backend: str, form: Form | None, text: str) -> None:
    spec = rnnspec.loads(f"version: 1\nname: net\n{text}\n")
    record = require(backend)
    form = record.form(form)
    if refusals(record, pipeline.program(spec).network, form):
        pytest.skip("refused in this form")
    report = rnnspec.parity(spec, [backend], form=form, dtype=record.dtypes[0])
    assert report.equal, (text, report.differences)


@pytest.mark.parametrize("text", WHOLE.values(), ids=WHOLE)
def test_a_stack(backend: str, text: str) -> None:
    is_equal(backend, None, text)


@pytest.mark.needs(needs.form("training"), needs.form("inference"))
@pytest.mark.parametrize("text", list(WHOLE.values())[::2], ids=list(WHOLE)[::2])
def test_a_stack_in_inference(backend: str, text: str) -> None:
    is_equal(backend, "inference", text)


@pytest.mark.needs(needs.form("step"))
@pytest.mark.parametrize("text", STEPS.values(), ids=STEPS)
def test_a_stack_in_step_form(backend: str, text: str) -> None:
    is_equal(backend, "step", text)


def test_ten_random_specs_have_a_maximum_of_negative_numbers_beside_padding() -> None:
    require("torch", needs.level("forward"))
    text = Texts(10, 0).all()[-1]
    (comparison,) = passes(["torch"], "forward", None)
    assert comparison.compare(text).equal
    with source_edited("torch", [("-3e38", "0.0")]):
        assert not comparison.compare(text).equal
