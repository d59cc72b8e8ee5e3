"""Each thing that a network's words promise, broken on its own in one backend: parity is red.

Every mutant is found at the level named for it, and not before; its spec is green without it.
What is random, parity cannot compare: such mutants go to the tests of dropout and fresh weights.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from backends import test_dropout
from live import outputs
from mutation import slots_edited, source_edited
from weights import test_initial

import rnnspec
from rnnspec import compiler
from rnnspec.backends import BACKENDS, get
from rnnspec.parity.case import Case
from rnnspec.parity.levels import LEVELS, TOLERANCES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rnnspec.layout import Array
    from rnnspec.parity.report import ParityReport

for each in BACKENDS:
    pytest.importorskip(each)

NUMBERS = "input: {length: 5, features: 3}\n"
SQUARE = "input: {length: 5, features: 4}\n"
TOKENS = "embedding: {vocabulary: 7, dim: 4}\n"
PADDED_TOKENS = "embedding: {vocabulary: 7, dim: 4, mask_zero: true}\ninput: {length: 6}\n"
PADDED_NUMBERS = "input: {length: 6, features: 3, mask_value: -1.5}\n"
SPECS = {
    "lstm": f"{NUMBERS}rnn: {{type: lstm, units: 4}}\nhead: {{units: 2, activation: softmax}}",
    "gru": f"{NUMBERS}rnn: {{type: gru, units: 4}}\nhead: {{units: 2}}",
    "unbiased_gru": f"{NUMBERS}rnn: {{type: gru, units: 4, bias: false}}",
    "simple": f"{SQUARE}rnn: {{type: simple, units: 4}}\nhead: {{units: 4}}",
    "tokens": f"{TOKENS}rnn: {{type: gru, units: 4}}\nhead: {{units: 2, activation: sigmoid}}",
    "frozen": """\
embedding: {vocabulary: 7, dim: 3, trainable: false}
rnn: {type: simple, units: 4}""",
    "stack": f"{SQUARE}rnn: {{type: lstm, units: 4, layers: 2}}\nhead: {{units: 2}}",
    "both_stacked": f"""\
{NUMBERS}rnn: {{type: gru, units: 4, layers: 2, bidirectional: true}}
head: {{units: 2}}""",
    "both": f"{NUMBERS}rnn: {{type: lstm, units: 4, bidirectional: true}}\nhead: {{units: 1}}",
    "ave": f"{NUMBERS}rnn: {{type: gru, units: 4, bidirectional: true, merge: ave}}",
    "mul": f"""\
{NUMBERS}rnn: {{type: lstm, units: 4, bidirectional: true, merge: mul}}
head: {{pooling: max, units: 2}}""",
    "hidden": f"""\
{NUMBERS}rnn: {{type: gru, units: 4}}
head:
  {{pooling: mean, hidden: [{{units: 3, activation: tanh}}], units: 2, activation: softplus}}""",
    "stepwise_lstm": f"""\
{SQUARE}rnn: {{type: lstm, units: 4, activation: softsign, recurrent_activation: hard_sigmoid}}
head: {{pooling: none, units: 3, activation: softmax}}""",
    "unbounded_lstm": f"""\
{NUMBERS}rnn: {{type: lstm, units: 4, activation: elu, recurrent_activation: relu}}""",
    "stepwise_gru": f"""\
{NUMBERS}rnn: {{type: gru, units: 4, recurrent_activation: hard_sigmoid}}
head: {{units: 2}}""",
    "reset_first": f"""\
{NUMBERS}rnn: {{type: gru, units: 4, reset_after: false}}
head: {{units: 2}}""",
    "dropped": f"{NUMBERS}rnn: {{type: lstm, units: 4, dropout: 0.5}}",
    "recurrent_dropped": f"{NUMBERS}rnn: {{type: lstm, units: 4, recurrent_dropout: 0.5}}",
    "residual": f"""\
{SQUARE}rnn:
- {{type: simple, units: 4}}
- {{type: gru, units: 4, layer_norm: true, residual: true}}
head: {{pooling: mean, units: 2}}""",
    "repeat": f"""\
{NUMBERS}rnn: [{{type: lstm, units: 4}}, {{type: repeat, steps: 3}}, {{type: gru, units: 3}}]
head: {{pooling: none, units: 2}}""",
    "padded_state": f"""\
{PADDED_TOKENS}rnn: {{type: gru, units: 4, bidirectional: true}}
head: {{units: 2}}""",
    "padded_mean": f"""\
{PADDED_TOKENS}rnn: {{type: lstm, units: 4, bidirectional: true}}
head: {{pooling: mean, units: 2}}""",
    "padded_max": f"""\
{PADDED_NUMBERS}rnn: {{type: simple, units: 4}}
head: {{pooling: max, units: 2}}""",
    "padded_steps": f"""\
{PADDED_NUMBERS}rnn: {{type: gru, units: 4, reset_after: false, bidirectional: true}}
head: {{units: 2}}""",
}


@dataclass(frozen=True)
class Mutant:
    """One fault: what is broken, in which network, where, and the level that sees it first."""

    broken: str
    spec: str
    backend: str
    level: str
    plant: Callable[[], AbstractContextManager[None]]


def of_the_source() -> Iterator[Mutant]:
    """Yield the mutants of mutants.txt."""
    for block in Path(__file__).with_name("mutants.txt").read_text().split("\n\n")[1:]:
        title, *lines = block.splitlines()
        broken, spec, backend, level = title.split(" | ")
        edits: list[tuple[str, str]] = []
        before = "+"
        for sign, text in ((line[0], line[2:]) for line in lines):
            if sign == "-":
                old = f"{edits.pop()[0]}\n{text}" if before == "-" else text
                edits.append((old, ""))
            else:
                old, new = edits.pop()
                edits.append((old, f"{new}\n{text}" if before == "+" else text))
            before = sign
        yield Mutant(broken, spec, backend, level, edited(backend, edits))


def edited(backend: str, edits: list[tuple[str, str]]) -> Callable[[], Any]:
    return lambda: source_edited(backend, edits)


def of_the_slots() -> Iterator[Mutant]:
    """Yield mutants of where a backend says that it keeps its arrays."""
    for broken, spec, backend, layer, said in SLOTS:
        plant = lambda b=backend, on=layer, s=said: slots_edited(b, on, s)  # noqa: E731
        yield Mutant(broken, spec, backend, "forward", plant)


LSTM_ARRAYS = ("kernel", "recurrent_kernel", "bias")
GRU_ARRAYS = (*LSTM_ARRAYS, "recurrent_bias")
OTHER_SIDE = "the biases of a GRU on each other's side of the reset gate"
OTHER_DIRECTION = "the recurrent kernels of each other's direction"
SLOTS: list[tuple[str, str, str, str, dict[str, dict[str, Any]]]] = [
    *(
        (f"the gate order of {name}", spec, backend, layer, {a: {"gates": order} for a in arrays})
        for name, spec, backend, layer, arrays, order in (
            ("an LSTM", "lstm", "torch", "lstm_1", LSTM_ARRAYS, "ifoc"),
            ("an LSTM", "lstm", "keras", "lstm_1", LSTM_ARRAYS, "ifoc"),
            ("an LSTM in ONNX", "lstm", "torch", "lstm_1", LSTM_ARRAYS, "iofc"),
            ("a GRU", "gru", "torch", "gru_1", GRU_ARRAYS, "zrn"),
            ("a GRU", "gru", "keras", "gru_1", GRU_ARRAYS, "rzn"),
        )
    ),
    (
        *(OTHER_SIDE, "gru", "torch", "gru_1"),
        {"bias": {"path": "bias_hh_l0"}, "recurrent_bias": {"path": "bias_ih_l0"}},
    ),
    (OTHER_SIDE, "gru", "keras", "gru_1", {"bias": {"row": 1}, "recurrent_bias": {"row": 0}}),
    ("a transposed kernel", "simple", "torch", "dense_1", {"kernel": {"axes": "in out"}}),
    ("a transposed kernel", "simple", "keras", "dense_1", {"kernel": {"axes": "out in"}}),
    (
        *("a transposed recurrent kernel", "simple", "torch", "simple_rnn_1"),
        {"recurrent_kernel": {"axes": "in (gate out)"}},
    ),
    (
        *("the kernels of a level for each other", "stack", "torch", "lstm_2"),
        {"kernel": {"path": "weight_hh_l1"}, "recurrent_kernel": {"path": "weight_ih_l1"}},
    ),
    (
        *(OTHER_DIRECTION, "both", "torch", "bidirectional_1"),
        {
            "forward.recurrent_kernel": {"path": "weight_hh_l0_reverse"},
            "backward.recurrent_kernel": {"path": "weight_hh_l0"},
        },
    ),
    (
        *(OTHER_DIRECTION, "both", "keras", "bidirectional_1"),
        {
            "forward.recurrent_kernel": {"path": "backward_layer.cell.recurrent_kernel"},
            "backward.recurrent_kernel": {"path": "forward_layer.cell.recurrent_kernel"},
        },
    ),
]


@contextmanager
def written_once(backend: str, where: str) -> Iterator[None]:
    """Have the array at ``where`` keep what is written into it first."""
    runtime = get(backend).runtime
    put = runtime.put
    written: list[object] = []

    def planted(model: object, layer: str, path: str, array: Array) -> None:
        if path != where or not any(each is model for each in written):
            put(model, layer, path, array)
        if path == where:
            written.append(model)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runtime, "put", planted)
        yield
    assert len(written) > 1


def of_the_writing() -> Iterator[Mutant]:
    """Yield mutants of an array that stays as it was written first."""
    for backend, path in (("torch", "weight_hh_l0"), ("keras", "cell.recurrent_kernel")):
        plant = lambda b=backend, at=path: written_once(b, at)  # noqa: E731
        yield Mutant("an array not written back", "lstm", backend, "training", plant)


MUTANTS = [*of_the_source(), *of_the_slots(), *of_the_writing()]


def parity(spec: str, backends: list[str] | None, level: str) -> ParityReport:
    text = f"version: 1\nname: small\n{SPECS[spec]}\n"
    return rnnspec.parity(rnnspec.loads(text), backends, level=level)


@cache
def control(spec: str) -> ParityReport:
    """Return what parity says of a spec without a fault, up to the last level that one needs."""
    needed = [LEVELS.index(mutant.level) for mutant in MUTANTS if mutant.spec == spec]
    return parity(spec, None, LEVELS[max(needed)])


@cache
def red_at(mutant: Mutant) -> str:
    """Return the first level at which parity is red with the mutant, empty where it lives."""
    # The backend alone with the reference, which is stricter; but the reference does not train.
    backends = None if mutant.level == "training" else [mutant.backend]
    with mutant.plant():
        report = parity(mutant.spec, backends, mutant.level)
    if report.equal:
        return ""
    levels = {"output": "forward", "gradient": "gradients", "training": "training"}
    return levels.get(report.differences[0].quantity, "counts")


@pytest.mark.parametrize("spec", SPECS)
def test_without_a_mutant_every_spec_is_equal(spec: str) -> None:
    report = control(spec)
    assert report.equal, report.differences
    for account in report.specs[0].backends.values():
        for level, finding in account.findings.items():
            assert finding.difference < TOLERANCES["float64"][level] / 1000


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: f"{m.broken}-{m.spec}-{m.backend}")
def test_a_mutant_is_found(mutant: Mutant) -> None:
    assert red_at(mutant) == mutant.level


def test_none_of_them_lives() -> None:
    caught = [mutant for mutant in MUTANTS if red_at(mutant) == mutant.level]
    assert len(caught) == len(MUTANTS) >= 100
    assert len({mutant.broken for mutant in caught}) >= 60
    assert {mutant.spec for mutant in caught} == set(SPECS)
    assert {(mutant.level, mutant.backend) for mutant in caught} == {
        (level, backend) for level in LEVELS for backend in BACKENDS
    }


# What is random


def nearly_no_dropout_changes_nothing(words: str, backend: str) -> None:
    """Assert that the masks are applied as dropout at a rate of nearly 0 would be: not at all."""
    text = f"""\
version: 1
name: nearly
input: {{length: 5, features: 3}}
rnn: {{{words}, units: 4, dropout: 1e-12, recurrent_dropout: 1e-12}}
head: {{pooling: none, units: 2}}
"""
    case = Case.of(rnnspec.loads(text), 0, "float64")
    live = case.build(get(backend))
    case.reset(live)
    found = outputs(live.model, case.batch, training=True)
    np.testing.assert_allclose(found, case.truth.output, rtol=0.0, atol=1e-9)


CELLS = [
    "type: simple",
    "type: lstm, bidirectional: true",
    "type: gru",
    "type: gru, bias: false",
    "type: gru, reset_after: false, bidirectional: true",
]


@pytest.mark.parametrize("words", CELLS)
def test_nearly_no_dropout_changes_nothing(words: str, backend: str) -> None:
    nearly_no_dropout_changes_nothing(words, backend)


MASK = "keep = x.new_ones(x.shape[0], 1, x.shape[2])"
KERNEL = 'nn.init.xavier_uniform_(weights["lstm_1.weight_ih_l0"])'
RANDOM: list[tuple[str, str, tuple[str, str], Callable[[], None]]] = [
    (
        *("a mask redrawn at each step", "torch", (MASK, "keep = torch.ones_like(x)")),
        lambda: test_dropout.test_one_mask_a_sequence("", test_dropout.PLAIN, "torch"),
    ),
    (
        *("one mask for all rows", "torch", (MASK, "keep = x.new_ones(1, 1, x.shape[2])")),
        lambda: test_dropout.test_one_mask_a_sequence("", test_dropout.PLAIN, "torch"),
    ),
    (
        *("one mask for all features", "torch", (MASK, "keep = x.new_ones(x.shape[0], 1, 1)")),
        lambda: test_dropout.test_one_mask_a_sequence("", test_dropout.PLAIN, "torch"),
    ),
    (
        "a mask shared between the directions",
        *(
            "torch",
            ("back_x = variational_dropout(x, self.dropout, self.training)", "back_x = ahead_x"),
        ),
        lambda: test_dropout.test_each_direction_has_a_mask_of_its_own(test_dropout.PLAIN, "torch"),
    ),
    (
        "what is kept is not scaled",
        *(
            "torch",
            (
                "x * nn.functional.dropout(keep, rate)",
                "x * nn.functional.dropout(keep, rate) * (1 - rate)",
            ),
        ),
        lambda: test_dropout.test_one_mask_a_sequence("", test_dropout.PLAIN, "torch"),
    ),
    (
        "the rate kept in place of dropped",
        *("torch", ("dropout(keep, rate)", "dropout(keep, 1 - rate)")),
        lambda: test_dropout.test_one_mask_a_sequence("", test_dropout.PLAIN, "torch"),
    ),
    (
        "one mask a sequence where each step has its own",
        *("keras", ("Dropout(0.25,", "Dropout(0.25, noise_shape=(None, 1, 4),")),
        lambda: test_dropout.test_a_fresh_mask_each_step(test_dropout.PLAIN, "keras"),
    ),
    (
        "no dropout in training",
        *("keras", ("dropout=0.25", "dropout=0.0")),
        lambda: test_dropout.test_one_mask_a_sequence("", test_dropout.PLAIN, "keras"),
    ),
    (
        "no dropout between the levels of a stack",
        *("torch", ("num_layers=2, dropout=0.25", "num_layers=2")),
        lambda: test_dropout.test_between_the_levels_of_a_stack_the_mask_is_fresh_at_each_step(
            test_dropout.PLAIN, "torch"
        ),
    ),
    (
        "a mask on the state of another gate's share",
        *("torch", ("h * keep, weight)", "h * keep, weight.flip(0))")),
        lambda: nearly_no_dropout_changes_nothing("type: gru", "torch"),
    ),
    (
        "the fan of one gate for glorot's",
        *(
            "torch",
            (KERNEL, 'list(map(nn.init.xavier_uniform_, weights["lstm_1.weight_ih_l0"].chunk(4)))'),
        ),
        lambda: test_initial.test_what_a_layer_starts_from_by_default("lstm", "plain", "torch"),
    ),
    (
        "the fan of PyTorch's own initializer",
        *(
            "torch",
            (KERNEL, 'nn.init.uniform_(weights["lstm_1.weight_ih_l0"], -(40**-0.5), 40**-0.5)'),
        ),
        lambda: test_initial.test_what_a_layer_starts_from_by_default("lstm", "plain", "torch"),
    ),
    (
        "a recurrent kernel that is not orthogonal",
        *("keras", ("LSTM(40,", 'LSTM(40, recurrent_initializer="glorot_uniform",')),
        lambda: test_initial.test_what_a_layer_starts_from_by_default("lstm", "plain", "keras"),
    ),
    (
        "a forget gate that starts from 0",
        *("torch", ('nn.init.ones_(weights["lstm_1.bias_ih_l0"][40:80])', "pass")),
        lambda: test_initial.test_what_a_layer_starts_from_by_default("lstm", "plain", "torch"),
    ),
    (
        "a forget gate that starts from 0",
        *("keras", ("LSTM(40,", "LSTM(40, unit_forget_bias=False,")),
        lambda: test_initial.test_what_a_layer_starts_from_by_default("lstm", "plain", "keras"),
    ),
]


@pytest.mark.parametrize("fault", RANDOM, ids=lambda fault: f"{fault[0]}-{fault[1]}")
def test_a_random_mutant_is_found_by_its_own_test(
    fault: tuple[str, str, tuple[str, str], Callable[[], None]],
) -> None:
    _, backend, edit, check = fault
    check()
    with source_edited(backend, [edit]), pytest.raises(AssertionError) as caught:
        check()
    assert "is not in:" not in str(caught.value)


def test_parity_cannot_see_what_is_random() -> None:
    with source_edited("torch", [(MASK, "keep = torch.ones_like(x)")]):
        text = test_dropout.PLAIN.spec("")
        assert rnnspec.parity(rnnspec.loads(text), ["torch"], level="forward").equal
    assert "variational_dropout" in compiler.codegen(rnnspec.loads(text), "torch")
