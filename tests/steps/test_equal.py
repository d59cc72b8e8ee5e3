"""A model in step form computes on chunks what the reference computes on the whole sequence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import in_turn
from offered import require, require_source
from steps.models import EACH, STEP, each_of, stepped

import rnnspec
from rnnspec import pipeline
from rnnspec.backends import Backend, needs, refusals
from rnnspec.comparison.case import step_through
from rnnspec.comparison.levels import distance
from rnnspec.comparison.random import compare_random
from rnnspec.errors import UnsupportedError
from rnnspec.ir import forms
from rnnspec.ir.nodes import Recurrent, Repeat, SequenceInput

LAST_STEP = """\
version: 1
name: net
input: {features: 2}
rnn: [{type: lstm, units: 3, layer_norm: true}]
head: {pooling: last_step, hidden: [{units: 3, activation: relu}], units: 2}
"""

pytestmark = [
    pytest.mark.needs(STEP),
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:(?s).*softmax over axis -1:UserWarning"),
]


# Every other network is compared in the form for inference.
@in_turn(1, STEP)
def test_every_kind_of_network_is_equal_or_refused(covering_spec: Path, backend: str) -> None:
    is_equal_or_refused(covering_spec, backend)


def is_equal_or_refused(path: Path, backend: str) -> None:
    chosen, text = require(backend), path.read_text("utf-8")
    network = pipeline.reads(text).network
    if network.streams:
        is_program_equal_or_refused(pipeline.reads(text), chosen)
        return
    refused = refusals(chosen, network, "step")
    assert [(each.layer, each.key) for each in refused] == [(network.name, "stream")]
    for network_input in network.inputs:
        if isinstance(network_input, SequenceInput):
            program = pipeline.reads(f"{text}stream: {network_input.name}\n")
            is_program_equal_or_refused(program, chosen)


def is_program_equal_or_refused(program: pipeline.Program, backend: Backend) -> None:
    network, dtype = program.network, backend.dtypes[0]
    in_chunks = forms.streamed(network)
    ruled_out = {
        (layer.name, "repeat" if isinstance(layer, Repeat) else "bidirectional")
        for layer in network.layers
        if layer.name in in_chunks
        and (
            (isinstance(layer, Repeat) and not layer.like)
            or (isinstance(layer, Recurrent) and layer.merge)
        )
    }
    refused = refusals(backend, network, "step")
    assert ruled_out <= {(each.layer, each.key) for each in refused}
    if refused:
        with pytest.raises(UnsupportedError, match=refused[0].reason):
            rnnspec.codegen(program.spec, backend.name, form="step")
        return
    report = rnnspec.parity(program.spec, [backend.name], form="step", dtype=dtype)
    assert report.equal, report.differences
    near = 1e-12 if dtype == "float64" else 2e-6
    assert report.specs[0].backends[backend.name].forward_max_difference < near


@pytest.mark.needs(needs.level("forward"), needs.dtype("float64"))
def test_random_specs_are_equal_in_step_form(backend: str) -> None:
    require(backend, STEP, needs.level("forward"), needs.dtype("float64"))
    # One in twelve can be computed in chunks.
    found = compare_random(48, 38, [backend], form="step")
    assert found.equal, f"{found.error}\n{found.spec}"
    assert found.largest["forward"] < 1e-9
    assert found.compared > found.refused / 48


@pytest.mark.parametrize(("entrance", "head"), EACH)
def test_one_step_at_a_time(backend: str, entrance: str, head: str) -> None:
    made = each_of(backend, entrance, head)
    states = None
    for t in range(made.batch.shape[1]):
        output, states = made.step(made.batch[:, t : t + 1], states)
        assert distance(output, made.wanted(t + 1)) < made.near, f"step {t}"


@pytest.mark.parametrize(("entrance", "head"), [each for each in EACH if each[0] != "features"])
def test_padding_alone_changes_nothing(backend: str, entrance: str, head: str) -> None:
    made = each_of(backend, entrance, head)
    value = 0 if entrance == "tokens" else -1.0
    padding = np.full_like(made.batch[:, :3], value)
    _, first = made.step(padding)
    assert all(not state.any() for state in first.values())
    output, states = made.step(made.batch, first)
    assert all(np.isfinite(state).all() and state.any() for state in states.values())
    again, after = made.step(padding, states)
    for name, state in states.items():
        np.testing.assert_array_equal(after[name], state)
    np.testing.assert_array_equal(again, output)
    assert distance(again, made.wanted(made.batch.shape[1])) < made.near


def test_the_last_step_needs_no_state(backend: str) -> None:
    made = stepped(backend, LAST_STEP)
    assert [state.name for state in forms.states(made.program.network)] == ["lstm_1_h", "lstm_1_c"]
    output = step_through(made.backend, made.model, made.program.network, made.batch, [5, 1, 6])
    assert distance(output, made.wanted(12)) < made.near


def test_a_layer_with_the_name_of_a_state_is_refused(backend: str) -> None:
    chosen = require_source(backend, STEP)
    text = LAST_STEP.replace("head: {", "head: {name: lstm_1_c, ")
    found = refusals(chosen, pipeline.reads(text).network, "step")
    reason = "in step form, a state of lstm_1 has this name"
    assert [(each.layer, each.key, each.reason) for each in found] == [("lstm_1_c", "name", reason)]
    assert not refusals(chosen, pipeline.reads(text).network)
