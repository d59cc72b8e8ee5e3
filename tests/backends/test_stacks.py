"""Layers that share one module; marking them changes nothing else."""

from __future__ import annotations

from dataclasses import fields

import pytest
from cases import cases
from fuzz.of_growth import check_growth
from offered import require_source

import rnnspec
from rnnspec import pipeline
from rnnspec.backends.torch.plan import StackedDropout, plan_layers, stack_of
from rnnspec.ir.forms import Form
from rnnspec.ir.nodes import Dropout, Network

LSTM = "type: lstm, units: 4"
HEAD = "head: {units: 1}"
FRESH = "dropout: 0.2, variational: false"


def network(rnn: str, entrance: str = "input: {features: 3}", head: str = HEAD) -> Network:
    return pipeline.program(
        rnnspec.loads(f"version: 1\nname: net\n{entrance}\nrnn: [{rnn}]\n{head}\n")
    ).network


def stacks(marked: Network) -> list[tuple[str, list[str], float]]:
    """Return the name, the layers and the dropout of each stack."""
    found: dict[str, tuple[list[str], float]] = {}
    for layer in marked.layers:
        if stack := stack_of(layer):
            names, _ = found.setdefault(stack.name, ([], stack.dropout))
            assert stack.index == len(names)
            names.append(layer.name)
    for layer in marked.layers:
        if stack := stack_of(layer):
            assert stack.size == len(found[stack.name][0])
    return [(name, names, dropout) for name, (names, dropout) in found.items()]


def marked(network: Network) -> Network:
    return plan_layers(network, "training")


@cases(
    "rnn, levels, dropout",
    [
        (f"{{{LSTM}, layers: 3}}", ["lstm_1", "lstm_2", "lstm_3"], 0.0),
        (f"{{{LSTM}}}, {{{LSTM}, name: top}}", ["lstm_1", "top"], 0.0),
        (f"{{{LSTM}, {FRESH}, layers: 3}}", ["lstm_1", "lstm_2", "lstm_3"], 0.2),
        (f"{{{LSTM}, dropout: 0.5}}, {{{LSTM}}}", ["lstm_1", "lstm_2"], 0.0),
        (f"{{{LSTM}}}, {{{LSTM}, dropout: 0.5}}, {{{LSTM}}}", ["lstm_2", "lstm_3"], 0.0),
        (f"{{{LSTM}}}, {{{LSTM}, {FRESH}}}, {{{LSTM}}}", ["lstm_1", "lstm_2"], 0.2),
        (f"{{{LSTM}}}, {{{LSTM}}}, {{{LSTM}, {FRESH}}}", ["lstm_1", "lstm_2"], 0.0),
        (
            f"{{{LSTM}}}, {{type: lstm, units: 5}}, {{type: lstm, units: 5}}",
            ["lstm_2", "lstm_3"],
            0.0,
        ),
        (f"{{{LSTM}, layer_norm: true}}, {{{LSTM}, layers: 2}}", ["lstm_2", "lstm_3"], 0.0),
        (
            f"{{{LSTM}}}, {{{LSTM}, residual: true}}, {{{LSTM}, layers: 2}}",
            ["lstm_3", "lstm_4"],
            0.0,
        ),
        (
            f"{{{LSTM}, bidirectional: true, layers: 2}}",
            ["bidirectional_1", "bidirectional_2"],
            0.0,
        ),
    ],
)
def test_equal_layers_are_levels_of_one_stack(rnn: str, levels: list[str], dropout: float) -> None:
    assert stacks(marked(network(rnn))) == [(levels[0], levels, dropout)]


@cases(
    "rnn",
    [
        f"{{{LSTM}}}",
        f"{{{LSTM}}}, {{type: gru, units: 4}}",
        f"{{{LSTM}}}, {{type: lstm, units: 5}}",
        f"{{{LSTM}}}, {{{LSTM}, bias: false}}",
        f"{{{LSTM}}}, {{{LSTM}, dropout: 0.5}}",
        f"{{{LSTM}}}, {{{LSTM}, recurrent_dropout: 0.5}}",
        f"{{{LSTM}}}, {{{LSTM}, activation: relu}}",
        f"{{{LSTM}, layers: 2, layer_norm: true}}",
        f"{{{LSTM}}}, {{{LSTM}, bidirectional: true}}",
        f"{{{LSTM}, layers: 2, bidirectional: true, merge: sum}}",
        f"{{{LSTM}, bidirectional: true, dropout: 0.5}}, {{{LSTM}, bidirectional: true}}",
        f"{{{LSTM}}}, {{type: repeat, steps: 2}}, {{{LSTM}}}",
        f"{{{LSTM}}}, {{{LSTM}, residual: true}}, {{type: gru, units: 4}}",
        f"{{{LSTM}}}, {{{LSTM}, {FRESH}, residual: true}}, {{type: gru, units: 4}}",
    ],
)
def test_what_stands_between_two_layers_keeps_them_apart(rnn: str) -> None:
    found = marked(network(rnn))
    assert stacks(found) == []
    assert not any(isinstance(layer, StackedDropout) for layer in found.layers)


def test_two_stacks_of_one_network() -> None:
    found = stacks(marked(network(f"{{{LSTM}, layers: 2}}, {{type: gru, units: 4, layers: 2}}")))
    assert [name for name, _, _ in found] == ["lstm_1", "gru_1"]


@pytest.mark.parametrize(("words", "number"), [("", 1), (", bidirectional: true", 0)])
def test_padding_leaves_one_way_stacks(words: str, number: int) -> None:
    """Each direction sorts the padding differently, so the next layer could not read both."""
    padded = network(f"{{{LSTM}, layers: 2{words}}}", "input: {features: 3, mask_value: 0}")
    assert len(stacks(marked(padded))) == number


def test_the_module_applies_the_dropout_between_its_layers() -> None:
    found = marked(network(f"{{{LSTM}, {FRESH}, layers: 2}}"))
    drops = [type(layer) for layer in found.layers if isinstance(layer, Dropout)]
    assert drops == [Dropout, StackedDropout]


def test_marking_changes_nothing_else() -> None:
    before = network(f"{{{LSTM}, {FRESH}, layers: 3}}")
    after = marked(before)
    assert after != before
    for was, now in zip(before.layers, after.layers, strict=True):
        assert isinstance(now, type(was))
        kept = [field.name for field in fields(was)]
        assert [getattr(now, name) for name in kept] == [getattr(was, name) for name in kept]


@pytest.mark.parametrize("initial", ["learned", "given"])
def test_time_for_source_grows_with_the_number_of_layers(backend: str, initial: str) -> None:
    def text(times: int) -> str:
        keys = f"units: 1, layers: {15 * times}, initial_state: {initial}"
        rest = f"rnn: {{type: lstm, {keys}}}\nhead: {{pooling: mean}}\n"
        return f"version: 1\nname: net\ninput: {{features: 1}}\n{rest}"

    chosen = require_source(backend, pipeline.reads(text(1)))
    for form in chosen.forms[initial == "given" :: 2]:

        def write(text: str, form: Form = form) -> None:
            pipeline.generate(pipeline.reads(text), chosen, form)

        check_growth(f"{form}, {initial}", text, write)


def test_a_sum_of_many_layers_has_source(backend: str) -> None:
    names = [f"dense_{number}" for number in range(1, 1001)]
    layers = ", ".join("{type: dense, of: gru_1, units: 1}" for _ in names)
    rnn = f"{{type: gru, units: 1}}, {layers}, {{type: add, of: [{', '.join(names)}]}}"
    rest = f"rnn: [{rnn}]\nhead: {{pooling: mean}}\n"
    program = pipeline.reads(f"version: 1\nname: net\ninput: {{features: 1}}\n{rest}")
    chosen = require_source(backend, program)
    generated = pipeline.generate(program, chosen)
    if backend in ("keras", "torch", "jax"):
        compile(generated.text, "net.py", "exec")
