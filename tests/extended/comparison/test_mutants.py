"""Each promise of the language, broken in one backend: parity must find it, and say where.

Every mutant is found at its named level and not before, in its named layer; without it, its spec is
equal. Parity cannot compare random values, so mutants of these are given to the tests of dropout
and of fresh weights.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, contextmanager
from copy import copy
from dataclasses import dataclass, fields, replace
from functools import cache, partial
from itertools import combinations, product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from backends import test_dropout
from live import outputs, seed
from mutation import slots_edited, source_edited
from offered import require, shipped
from weights import test_initial

import rnnspec
from rnnspec import pipeline
from rnnspec.backends import get, having, needs
from rnnspec.backends.base import LEVELS
from rnnspec.backends.c import arrays as c_arrays
from rnnspec.comparison.case import Case
from rnnspec.comparison.compare import Comparison
from rnnspec.comparison.levels import TOLERANCES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rnnspec.backends.slots import Array
    from rnnspec.comparison.report import ParityReport
    from rnnspec.errors import Difference

pytestmark = pytest.mark.skipif(
    not all(backend.installed for backend in shipped()), reason="a backend is not installed"
)

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
    "attending": """\
inputs:
  source: {length: 5, embedding: {vocabulary: 7, dim: 3, mask_zero: true}}
  target: {length: 4, embedding: {vocabulary: 6, dim: 4}}
rnn:
  - {type: gru, units: 4, of: source, name: encoder}
  - {type: gru, units: 4, of: target, attention: {over: encoder, score: additive, units: 3},
    name: decoder}
  - {type: attention, over: encoder, score: scaled_dot, name: after}
  - {type: concat, of: [decoder.context, after]}
head: {pooling: none, units: 2}""",
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
    "legacy": f"""\
{NUMBERS}rnn:
- {{type: lstm, units: 4, activation: softplus, recurrent_activation: legacy_hard_sigmoid}}
- {{type: gru, units: 4, activation: selu}}
head: {{units: 3, activation: log_softmax}}""",
    "unit": f"{PADDED_TOKENS}rnn: {{type: gru, units: 4}}\nhead: {{normalize: l2}}",
    "reset_first": f"""\
{NUMBERS}rnn: {{type: gru, units: 4, reset_after: false}}
head: {{units: 2}}""",
    "dilated": f"""\
{NUMBERS}rnn:
- {{type: conv, filters: 3, kernel_size: 2, dilation: 2, padding: causal}}
- {{type: gru, units: 4}}
head: {{hidden: [{{units: 3, activation: relu}}], units: 1}}""",
    "both_dropped": f"""\
{NUMBERS}rnn: {{type: gru, units: 4, bidirectional: true, dropout: 0.5}}
head: {{units: 1}}""",
    "dropped_at_each_step": f"""\
{NUMBERS}rnn: {{type: lstm, units: 4, dropout: 0.5, variational: false}}
head: {{units: 1, activation: sigmoid}}""",
    "dropped": f"{NUMBERS}rnn: {{type: lstm, units: 4, dropout: 0.5}}",
    "recurrent_dropped": f"{NUMBERS}rnn: {{type: lstm, units: 4, recurrent_dropout: 0.5}}",
    "residual": f"""\
{SQUARE}rnn:
- {{type: simple, units: 4}}
- {{type: gru, units: 4, layer_norm: true, residual: true}}
head: {{pooling: mean, units: 2}}""",
    "normed": f"""\
{PADDED_NUMBERS}rnn: [{{type: instance_norm}}, {{type: gru, units: 4}}]
head: {{units: 2}}""",
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
    "windows": f"""\
{PADDED_NUMBERS}rnn:
- {{type: conv, filters: 4, kernel_size: 2, padding: same, activation: {{leaky_relu: 0.2}}}}
- {{type: max_pool, size: 2, stride: 1}}
- {{type: average_pool, size: 2, stride: 1, padding: same}}
- {{type: batch_norm, momentum: 0.9}}
- {{type: gru, units: 4}}""",
    "windowed_heads": f"""\
{NUMBERS}rnn:
- type: conv
  filters: 4
  kernel_size: 2
  stride: 2
  padding: causal
  activation: {{clipped_relu: 0.4}}
- {{type: average_pool, size: 2, stride: 1, padding: same}}
- {{type: batch_norm, momentum: 0.9}}
- {{type: lstm, units: 3}}
heads:
  each: {{pooling: none, units: 3}}
  last: {{units: 2}}
  flat: {{pooling: flatten, units: 2}}
  late: {{pooling: {{last_steps: 2}}, units: 2}}""",
    "tied": f"""\
{PADDED_TOKENS}rnn: {{type: lstm, units: 4}}
head: {{pooling: {{attention: {{units: 3, activation: tanh}}}}, units: 7, tied: true}}""",
    "joined": f"""\
{PADDED_NUMBERS}rnn:
- {{type: gru, units: 4, bidirectional: true}}
- {{type: concat, of: [input, bidirectional_1]}}
- {{type: dense, units: 3}}
- {{type: gru, units: 4, bidirectional: true}}
head: {{pooling: [last, sum], units: 2}}""",
}


@dataclass(frozen=True)
class Mutant:
    """One fault: its description, network and backend, and where it is found.

    That is the first level, and the layer or array that is named first, or the total.
    """

    broken: str
    spec: str
    backend: str
    level: str
    layer: str
    plant: Callable[[], AbstractContextManager[None]]


def of_the_source() -> Iterator[Mutant]:
    """Yield the mutants of mutants.txt."""
    for block in Path(__file__).with_name("mutants.txt").read_text().split("\n\n")[1:]:
        title, *lines = block.splitlines()
        broken, spec, backend, level, layer = title.split(" | ")
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
        yield Mutant(broken, spec, backend, level, layer, edited(backend, edits))


def edited(backend: str, edits: list[tuple[str, str]]) -> Callable[[], Any]:
    return lambda: source_edited(backend, edits)


def of_the_slots() -> Iterator[Mutant]:
    """Yield mutants of the places where a backend keeps its arrays."""
    for broken, spec, backend, layer, said in SLOTS:
        plant = lambda b=backend, on=layer, s=said: slots_edited(b, on, s)  # noqa: E731
        yield Mutant(broken, spec, backend, "forward", layer, plant)


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
            ("an LSTM", "lstm", "jax", "lstm_1", LSTM_ARRAYS, "ifoc"),
            ("a GRU", "gru", "jax", "gru_1", GRU_ARRAYS, "rzn"),
            ("a kernel alone", "lstm", "torch", "lstm_1", ("kernel",), "fico"),
            ("a bias alone", "lstm", "torch", "lstm_1", ("bias",), "ifoc"),
            ("a recurrent kernel", "lstm", "keras", "lstm_1", ("recurrent_kernel",), "icfo"),
            ("a kernel alone", "gru", "keras", "gru_1", ("kernel",), "rzn"),
            *((f"the {a} alone", "gru", "torch", "gru_1", (a,), "zrn") for a in GRU_ARRAYS),
        )
    ),
    (
        *(OTHER_SIDE, "gru", "torch", "gru_1"),
        {"bias": {"path": "bias_hh_l0"}, "recurrent_bias": {"path": "bias_ih_l0"}},
    ),
    (OTHER_SIDE, "gru", "keras", "gru_1", {"bias": {"row": 1}, "recurrent_bias": {"row": 0}}),
    ("a transposed kernel", "simple", "torch", "dense_1", {"kernel": {"axes": "in out"}}),
    ("a transposed kernel", "simple", "keras", "dense_1", {"kernel": {"axes": "out in"}}),
    *(
        (f"a transposed {array}", "simple", backend, "simple_rnn_1", {array: {"axes": axes}})
        for array, backend, axes in (
            ("kernel", "torch", "in (gate out)"),
            ("recurrent_kernel", "torch", "in (gate out)"),
            ("recurrent_kernel", "keras", "(gate out) in"),
        )
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
    (
        *("the kernels of each other's direction", "both", "torch", "bidirectional_1"),
        {
            "forward.kernel": {"path": "weight_ih_l0_reverse"},
            "backward.kernel": {"path": "weight_ih_l0"},
        },
    ),
    (
        *("the biases of each other's direction", "both", "keras", "bidirectional_1"),
        {
            "forward.bias": {"path": "backward_layer.cell.bias"},
            "backward.bias": {"path": "forward_layer.cell.bias"},
        },
    ),
]


@contextmanager
def writes_ignored(backend: str, where: str, after: int) -> Iterator[None]:
    """Make the array at ``where`` ignore every write but the first ones into a model."""
    runtime = get(backend).runtime
    put = runtime.put
    written: list[object] = []

    def planted(model: object, layer: str, path: str, array: Array) -> None:
        if path == where:
            written.append(model)
        if path != where or sum(each is model for each in written) <= after:
            put(model, layer, path, array)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runtime, "put", planted)
        yield
    assert len(written) > after


def of_the_writing() -> Iterator[Mutant]:
    """Yield mutants of arrays that are never written, or not written back."""
    for backend, path in (
        ("torch", "weight_hh_l0"),
        ("keras", "cell.recurrent_kernel"),
        ("keras", "cell.bias"),
        ("jax", "recurrent_kernel"),
    ):
        never = partial(writes_ignored, backend, path, 0)
        yield Mutant(f"{path} not written", "lstm", backend, "forward", "lstm_1", never)
        if path != "cell.bias":
            losses = "sgd: losses"
            once = partial(writes_ignored, backend, path, 1)
            yield Mutant("an array not written back", "lstm", backend, "training", losses, once)


@contextmanager
def arrays_of_c_are_trained() -> Iterator[None]:
    """Make the records of C say that every array is trained."""
    stored = c_arrays.Stored

    def arrays_are_trained(*record: Any, **fields: Any) -> Any:
        return replace(stored(*record, **fields), trainable=True)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(c_arrays, "Stored", arrays_are_trained)
        yield


def of_the_records() -> Iterator[Mutant]:
    """Yield the mutant of what C counts, which is no text."""
    broken = "a frozen embedding is trained"
    yield Mutant(broken, "frozen", "c", "counts", "total", arrays_of_c_are_trained)


MUTANTS = [*of_the_source(), *of_the_slots(), *of_the_writing(), *of_the_records()]


def report_of(spec: str, backends: list[str] | None, level: str) -> ParityReport:
    return rnnspec.parity(rnnspec.loads(text_of(spec)), backends, level=level)


def text_of(spec: str) -> str:
    return f"version: 1\nname: small\n{SPECS[spec]}\n"


@cache
def sound(spec: str, level: str, dtype: str, *backends: str) -> Comparison:
    """Return the comparison of a spec on backends without a fault, which its mutants share."""
    case = Case.of(pipeline.reads(text_of(spec)), 0, dtype)
    comparison = Comparison(case, level)
    for name in backends:
        comparison.add(get(name))
    return comparison


def differences(mutant: Mutant) -> tuple[Difference, ...]:
    """Return what parity finds of a mutant, up to its level."""
    backend = get(mutant.backend)
    # The reference, which is stricter than another backend, does not train.
    other = "keras" if mutant.backend == "torch" else "torch"
    others = [other] if mutant.level == "training" else []
    # The first dtype of a backend is its most precise one.
    shared = sound(mutant.spec, mutant.level, backend.dtypes[0], *others)
    parts = {field.name: copy(getattr(shared, field.name)) for field in fields(shared)}
    comparison = replace(shared, **parts)
    with mutant.plant():
        comparison.add(backend)
    return comparison.report().differences


@pytest.mark.parametrize("spec", SPECS)
def test_without_a_mutant_every_spec_is_equal(spec: str) -> None:
    """On the backends that are broken in it; those without float64 have their own mutants only."""
    its = [mutant for mutant in MUTANTS if mutant.spec == spec]
    level = max((mutant.level for mutant in its), key=LEVELS.index)
    precise = {mutant.backend for mutant in its if "float64" in get(mutant.backend).dtypes}
    # Training is compared with another backend, and a spec needs one.
    names = precise | ({"keras", "torch"} if level == "training" or not precise else set())
    report = report_of(spec, sorted(names), level)
    assert report.equal, report.differences
    for account in report.specs[0].backends.values():
        for level, finding in account.findings.items():
            assert finding.difference < TOLERANCES["float64"][level] / 1000


QUANTITIES = {
    "counts": "parameters",
    "forward": "output",
    "gradients": "gradient",
    "training": "training",
}


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: f"{m.broken}-{m.spec}-{m.backend}")
def test_a_mutant_is_found(mutant: Mutant) -> None:
    first, *_ = differences(mutant)
    place = (mutant.layer, QUANTITIES[mutant.level])
    if mutant.layer == "total":
        place = ("", "trainable parameters")
    assert (first.backend, first.layer, first.quantity) == (mutant.backend, *place)


def test_the_mutants_break_every_spec_and_level_of_every_backend() -> None:
    assert len(MUTANTS) >= 235
    assert len({mutant.broken for mutant in MUTANTS}) >= 135
    assert {mutant.spec for mutant in MUTANTS} == set(SPECS)
    assert {(mutant.level, mutant.backend) for mutant in MUTANTS} == {
        (level, backend.name) for backend in shipped() for level in LEVELS if backend.reaches(level)
    }


@pytest.mark.parametrize(
    ("faulty", "old", "new"),
    [("keras", '"softmax"', '"linear"'), ("torch", "softmax(x, dim=-1)", "sigmoid(x)")],
)
def test_a_difference_from_the_reference_is_one_from_the_other_backend(
    faulty: str, old: str, new: str
) -> None:
    with source_edited(faulty, [(old, new)]):
        first, *others = report_of("lstm", ["keras", "torch"], "forward").differences
    assert (first.backend, first.layer, first.quantity) == (faulty, "dense_1", "output")
    # The other backend agrees with the reference, so the two backends differ as well.
    assert [(other.layer, other.backend) for other in others] == [("dense_1", "torch")]


def test_a_fault_in_every_backend_is_found_by_the_reference() -> None:
    keras = source_edited("keras", [('"sigmoid"', '"tanh"')])
    with keras, source_edited("torch", [("torch.sigmoid(", "torch.tanh(")]):
        found = report_of("tokens", ["keras", "torch"], "forward").differences
    assert [(each.backend, each.layer) for each in found] == [
        ("keras", "dense_1"),
        ("torch", "dense_1"),
    ]


# Random values


ENTRANCES = {
    "plain": "input: {length: 6, features: 4}",
    "padded": "input: {length: 6, features: 4, mask_value: -1.5}",
    "padded tokens": PADDED_TOKENS.rstrip(),
}
CELLS = {
    "simple": "type: simple",
    "relu simple": "type: simple, activation: relu",
    "lstm": "type: lstm",
    "stepwise lstm": "type: lstm, activation: softsign, recurrent_activation: hard_sigmoid",
    "gru": "type: gru",
    "unbiased gru": "type: gru, bias: false",
    "stepwise gru": "type: gru, recurrent_activation: hard_sigmoid",
    "reset-first gru": "type: gru, reset_after: false",
}
NEARLY = {
    "dropped": "dropout: 1e-12",
    "dropped at each step": "dropout: 1e-12, variational: false",
    "recurrent dropped": "recurrent_dropout: 1e-12",
    "dropped twice": "dropout: 1e-12, recurrent_dropout: 1e-12",
}
WAYS = {
    "one way": "units: 4",
    "concat": "units: 2, bidirectional: true",
    **{each: f"units: 4, bidirectional: true, merge: {each}" for each in ("sum", "mul", "ave")},
}
# The layers and the head, with {} for a layer with 4 inputs and 4 outputs, and whether the result
# is a sequence with padding.
ENDS = {
    "sequence": ("[{{{}}}]\nhead: {{pooling: none, dropout: 1e-12, units: 2}}", True),
    "state": ("[{{{}}}]\nhead: {{hidden: [{{units: 3, dropout: 1e-12}}], units: 2}}", False),
    "mean": ("[{{{}}}]\nhead: {{pooling: mean, units: 2}}", False),
    "max": ("[{{{}}}]\nhead: {{pooling: max, units: 2}}", False),
    "stack": ("[{{{}, layers: 3}}]\nhead: {{pooling: none}}", True),
    "states of a stack": ("[{{{}, layers: 2}}]\nhead: {{units: 2}}", False),
    "blocks": ("[{{{}, residual: true, layer_norm: true, layers: 2}}]", True),
    "repeat": ("[{{{0}}}, {{type: repeat, steps: 3}}, {{{0}, residual: true}}]", False),
}


def nearly_no_dropout_changes_nothing(entrance: str, cell: str, nearly: str, *rest: str) -> None:
    """Assert that dropout with a rate of nearly 0 has no effect, although masks are applied.

    Code that runs only in training can then be compared with the reference, which knows inference
    only.
    """
    way, end, backend = rest
    layer = f"{CELLS[cell]}, {WAYS[way]}, {NEARLY[nearly]}"
    after, is_padded = ENDS[end]
    text = f"version: 1\nname: nearly\n{ENTRANCES[entrance]}\nrnn: {after.format(layer)}\n"
    program = pipeline.reads(text)
    case = Case.of(program, 0, "float64")
    live = case.build(require(backend, program))
    case.reset(live)
    seed(3)
    assert isinstance(case.batch, np.ndarray)
    found = outputs(live.model, case.batch, training=True)
    assert found.shape == case.truth.output.shape
    real = REAL[entrance](case.batch) if is_padded else ...
    wrong = np.abs(found[real] - case.truth.output[real]).max()
    assert wrong < 1e-9, text


REAL: dict[str, Callable[[Array], Any]] = {
    "plain": lambda batch: np.ones(batch.shape[:2], dtype=bool),
    "padded": lambda batch: (batch != -1.5).any(axis=-1),
    "padded tokens": lambda batch: batch != 0,
}


CHOICES = [list(choices) for choices in (ENTRANCES, CELLS, NEARLY, WAYS, ENDS)]
COMBINATIONS = [
    tuple(
        choices[number % len(choices)]
        for choices, number in zip(CHOICES, (c + n, c, n, c + 2 * n, n + 7 * c), strict=True)
    )
    for c, n in product(range(len(CELLS)), range(len(NEARLY)))
]
"""Every cell with every dropout, and the other choices in turn."""


def test_the_combinations_have_nearly_every_pair_of_choices() -> None:
    for one, other in combinations(range(len(CHOICES)), 2):
        pairs = {(combination[one], combination[other]) for combination in COMBINATIONS}
        possible = len(CHOICES[one]) * len(CHOICES[other])
        assert len(pairs) >= 0.9 * min(possible, len(COMBINATIONS))


ON_A_BACKEND = [
    pytest.param(combination, backend.name, id="-".join([*combination, backend.name]))
    for turn, backend in enumerate(having(needs.form("training")))
    for place, combination in enumerate(COMBINATIONS)
    if (place + place // len(NEARLY) + turn) % 2
]
"""Every other combination on every other backend, so that each has two dropouts of each cell."""


@pytest.mark.parametrize(("combination", "backend"), ON_A_BACKEND)
def test_nearly_no_dropout_changes_nothing(combination: tuple[str, ...], backend: str) -> None:
    nearly_no_dropout_changes_nothing(*combination, backend)


MASK = "keep = x.new_ones(x.shape[0], 1, x.shape[2])"
BACK = "back = variational_dropout(x, 0.25, self.training)"
STEP_BY_STEP = "x = self.dropout_1(x)"
DROPPED = "variational_dropout(x, 0.25, self.training)"
KERNEL = "nn.init.xavier_uniform_(kernel)"
BIDIRECTIONAL = "keras.layers.Bidirectional("
CALLED = "super(type(self), self).call({}, initial_state, {}, training)"


def calling(what: str) -> tuple[str, str]:
    """Return the edit that makes Keras's Bidirectional return something else."""
    parameters = "self, sequences, initial_state=None, mask=None, training=None"
    bases = "(keras.layers.Bidirectional,)"
    method = f'{{"call": lambda {parameters}: {what}}}'
    return BIDIRECTIONAL, f'type("Bidirectional", {bases}, {method})('


PLAIN, PADDED = (test_dropout.FORMS[form] for form in ("plain", "padded"))
one_mask = test_dropout.test_one_mask_a_sequence
of_each_direction = test_dropout.test_each_direction_has_a_mask_of_its_own
of_each_layer = test_dropout.test_each_layer_of_a_stack_has_a_mask_of_its_own
one_for_both = test_dropout.test_a_fresh_mask_each_step_is_one_for_both_directions
between_levels = test_dropout.test_between_the_levels_of_a_stack_the_mask_is_fresh_at_each_step
of_a_layer = test_dropout.test_a_variational_layer_has_one_mask_a_sequence
by_a_layer = test_dropout.test_a_layer_has_a_fresh_mask_each_step_by_default
at_each_step = test_dropout.test_a_fresh_mask_each_step
in_the_head = test_dropout.test_the_heads_dropout_is_fresh_at_each_number
starts = test_initial.test_what_a_layer_starts_from_by_default


@dataclass(frozen=True)
class RandomMutant:
    """A fault in random values: its edits, and the test that finds it with these arguments."""

    broken: str
    backend: str
    edits: tuple[tuple[str, str], ...]
    test: Callable[..., None]
    arguments: tuple[object, ...] = ()


@cache
def pass_without_a_fault(
    test: Callable[..., None], arguments: tuple[object, ...], backend: str
) -> None:
    """Run a test of random values once for all mutants that it finds."""
    test(*arguments, backend)


def of_dropout() -> Iterator[RandomMutant]:
    """Yield faults that show in the mean and the correlations of the masks."""
    for broken, fault in (
        ("a mask redrawn at each step", (MASK, "keep = torch.ones_like(x)")),
        ("one mask for all rows", (MASK, "keep = x.new_ones(1, 1, x.shape[2])")),
        ("one mask for all features", (MASK, "keep = x.new_ones(x.shape[0], 1, 1)")),
        ("what is kept is not scaled", ("dropout(keep, rate)", "dropout(keep, rate).sign()")),
        ("the rate kept in place of dropped", ("dropout(keep, rate)", "dropout(keep, 1 - rate)")),
    ):
        yield RandomMutant(broken, "torch", (fault,), one_mask, (PLAIN,))
    no_dropout = (("dropout=0.25", "dropout=0.0"),)
    yield RandomMutant("no dropout in training", "keras", no_dropout, one_mask, (PLAIN,))
    once = (("Dropout(0.25,", "Dropout(0.25, noise_shape=(None, 1, 4),"),)
    of_a_sequence = "one mask a sequence where each step has its own"
    yield RandomMutant(of_a_sequence, "keras", once, at_each_step, (PLAIN,))
    unlinked = (("num_layers=2, dropout=0.25", "num_layers=2"),)
    yield RandomMutant(
        *("no dropout between the levels of a stack", "torch", unlinked, between_levels, (PLAIN,))
    )
    in_head = "the head's dropout drawn once a sequence"
    yield RandomMutant(in_head, "keras", once, in_the_head)
    once = ((STEP_BY_STEP, "x = x * self.dropout_1(torch.ones_like(x[:, :1]))"),)
    yield RandomMutant(in_head, "torch", once, in_the_head)


def of_dropout_layers() -> Iterator[RandomMutant]:
    """Yield faults of dropout layers that take one kind of mask for the other."""
    for backend, variational, plain in (
        ("torch", "nn.Dropout1d(", "nn.Dropout("),
        ("keras", "SpatialDropout1D(", "Dropout("),
        ("jax", "broadcast_dims=(1,), ", ""),
    ):
        drawn = "a variational layer's mask drawn at each step"
        yield RandomMutant(drawn, backend, ((variational, plain),), of_a_layer, (PLAIN,))
    features = (("broadcast_dims=(1,)", "broadcast_dims=(2,)"),)
    yield RandomMutant("one mask for all features", "jax", features, of_a_layer, (PLAIN,))
    rows = (("x = self.dropout_1(x.transpose(1, 2)).transpose(1, 2)", "x = self.dropout_1(x)"),)
    yield RandomMutant("a mask of each step for all features", "torch", rows, of_a_layer, (PLAIN,))
    once = (("keras.layers.Dropout(", "keras.layers.SpatialDropout1D("),)
    of_a_sequence = "a layer's mask drawn once a sequence"
    yield RandomMutant(of_a_sequence, "keras", once, by_a_layer, (PLAIN,))


def of_shared_dropout() -> Iterator[RandomMutant]:
    """Yield faults in masks that two directions or two layers share."""
    mask = "keras.random.dropout(keras.ops.ones_like(sequences[:, :1]), 0.25)"
    dropped = f"sequences * {mask} if training else sequences"
    once = (("dropout=0.25", "dropout=0.0"), calling(CALLED.format(dropped, "mask")))
    same = ((BACK, "back = ahead"),)
    for name, form in test_dropout.FORMS.items():
        shared = f"a mask shared by the directions of a network that is {name}"
        yield RandomMutant(shared, "keras", once, of_each_direction, (form,))
        yield RandomMutant(shared, "torch", same, of_each_direction, (form,))
    kept = "variational_dropout(torch.ones_like(x), 0.25, True)"
    of_a_seed = (("SimpleRNN(", "SimpleRNN(seed=3, units="),)
    same = ((DROPPED, f"x * self.__dict__.setdefault('kept', {kept})"),)
    for form in (PLAIN, PADDED):
        shared = "one mask for two layers"
        yield RandomMutant(shared, "keras", of_a_seed, of_each_layer, (form,))
        yield RandomMutant(shared, "torch", same, of_each_layer, (form,))
    drawn = "masks of each step drawn for each direction"
    dropped = "keras.random.dropout(sequences, 0.25) if training else sequences"
    half = f"keras.ops.split({CALLED.format(dropped, 'mask')}, 2, -1)[i]"
    halves = f"keras.ops.concatenate([{half} for i in (0, 1)], -1)"
    again: tuple[tuple[str, str], ...] = (("Dropout(0.25,", "Dropout(0.0,"), calling(halves))
    for form in (PLAIN, PADDED):
        yield RandomMutant(drawn, "keras", again, one_for_both, (form,))
    twice = "[self.bidirectional_1(self.dropout_1(x))[0].chunk(2, -1)[i] for i in (0, 1)]"
    again = (
        (STEP_BY_STEP, "pass"),
        ("x, _ = self.bidirectional_1(x)", f"x = torch.cat({twice}, -1)"),
    )
    yield RandomMutant(drawn, "torch", again, one_for_both, (PLAIN,))
    fresh = "nn.functional.dropout(x, 0.25, self.training)"
    again = (
        (STEP_BY_STEP, "pass"),
        ('forward_layer"](x', f'forward_layer"]({fresh}'),
        ('backward_layer"](x', f'backward_layer"]({fresh}'),
    )
    yield RandomMutant(drawn, "torch", again, one_for_both, (PADDED,))


def of_training() -> Iterator[RandomMutant]:
    """Yield faults that occur only in training, whatever the masks are."""

    def seen_by(backend: str, broken: str, edit: tuple[str, str], *at: str) -> RandomMutant:
        return RandomMutant(broken, backend, (edit,), nearly_no_dropout_changes_nothing, at)

    share = "a mask on the state of another gate's share"
    flipped = ("h * h_keep, h_weight)", "h * h_keep, h_weight.flip(0))")
    yield seen_by("torch", share, flipped, "plain", "gru", "dropped twice", "one way", "sequence")
    ignored = "padding is real in training"
    fused = ("mask.cumsum(dim=1)", "(mask | self.training).cumsum(dim=1)")
    stepwise = ("real_steps = mask.", "real_steps = (mask | self.training).")
    # A sum of tensors does not carry the mask that Keras would otherwise find.
    none = calling(CALLED.format("sequences + 0", "None if training else mask"))
    for entrance in ("padded", "padded tokens"):
        for way in WAYS:
            at = (way, "state")
            yield seen_by("torch", ignored, fused, entrance, "lstm", "dropped", *at)
            yield seen_by("torch", ignored, stepwise, entrance, "gru", "recurrent dropped", *at)
        yield seen_by("keras", ignored, none, entrance, "gru", "dropped", "concat", "sequence")


def of_fresh_weights() -> Iterator[RandomMutant]:
    """Yield faults in the initial values."""

    def seen_by(backend: str, broken: str, edit: tuple[str, str], *at: str) -> RandomMutant:
        return RandomMutant(broken, backend, (edit,), starts, at)

    numbers, tokens = test_initial.FORMS
    chunks = "list(map(nn.init.xavier_uniform_, kernel.chunk(4)))"
    own = "nn.init.uniform_(kernel, -(40**-0.5), 40**-0.5)"
    fan = "the fan of one gate for glorot's"
    yield seen_by("torch", fan, (KERNEL, chunks), "lstm", numbers)
    own_fan = "the fan of PyTorch's own initializer"
    yield seen_by("torch", own_fan, (KERNEL, own), "lstm", numbers)
    each_gate = "the gates orthogonal each on its own"
    recurrent = "nn.init.orthogonal_(recurrent_kernel)"
    chunks = "list(map(nn.init.orthogonal_, recurrent_kernel.chunk(4)))"
    yield seen_by("torch", each_gate, (recurrent, chunks), "lstm", numbers)
    not_orthogonal = "a recurrent kernel that is not orthogonal"
    without = "a forget gate that starts from 0"
    for entrance in (numbers, tokens):
        # The fused layers, and those that run step by step.
        for kernel, bias in (
            ("recurrent_kernel", "bias"),
            ("module.weight_hh_l0", "module.bias_ih_l0"),
        ):
            glorot = (f"orthogonal_({kernel})", f"xavier_uniform_({kernel})")
            yield seen_by("torch", f"{not_orthogonal}: {kernel}", glorot, "lstm", entrance)
            forget = f"_({bias}.chunk(4)[1])"
            nothing = (f"ones{forget}", f"zeros{forget}")
            yield seen_by("torch", f"{without}: {bias}", nothing, "lstm", entrance)
    glorot = ("orthogonal_(module.weight_hh", "xavier_uniform_(module.weight_hh")
    yield seen_by("torch", not_orthogonal, glorot, "reset-first gru", numbers)
    above = f"if recurrent_kernel is module.weight_hh_l1: {KERNEL.replace('(', '(recurrent_')}"
    of_stack = f'getattr(module, "weight_hh_l1", None) is not None and {above[3:]}'
    upper = (recurrent, f"{recurrent}\n                    if {of_stack}")
    yield seen_by("torch", f"{not_orthogonal}, above", upper, "lstm", numbers)
    forget = "bias.chunk(4)[1]"
    forward = 'bias is not getattr(module, "bias_ih_l0_reverse", None)'
    backward = (f"ones_({forget})", f"constant_({forget}, float({forward}))")
    yield seen_by("torch", f"{without}, backward alone", backward, "lstm", numbers)
    for end, entrance in (
        (', name="lstm_1"', numbers),
        (', name="lstm_2"', tokens),
        (', recurrent_dropout=0.5),\n                name="bidirectional_1"', numbers),
        ('), name="bidirectional_4"', numbers),
    ):
        for broken, words in (
            (not_orthogonal, 'recurrent_initializer="glorot_uniform"'),
            (without, "unit_forget_bias=False"),
        ):
            edit = (end, f", {words}{end}")
            yield seen_by("keras", f"{broken}: {end[-16:-1]}", edit, "lstm", entrance)
    every = test_initial.test_every_initializer
    xavier = "nn.init.xavier_uniform_(module.weight)"
    of_one_step = "list(map(nn.init.xavier_uniform_, module.weight.unbind(2)))"
    for backend, edit in (
        ("torch", (xavier, f"{of_one_step} if module.weight.ndim > 2 else {xavier}")),
        ("keras", ('name="conv_1"', 'kernel_initializer="he_uniform", name="conv_1"')),
        ("jax", ("glorot_uniform()", "lecun_uniform()")),
    ):
        broken = "the fans of a convolution of another rule"
        yield RandomMutant(broken, backend, (edit,), every, ("glorot_uniform",))
    normal = "an embedding that starts from N(0, 1)"
    torch_normal = ("uniform_(module.weight, -0.05, 0.05)", "normal_(module.weight)")
    of_keras = "embeddings_initializer=keras.initializers.RandomNormal(0.0, 1.0)"
    keras_normal = ("Embedding(90, 48", f"Embedding(90, 48, {of_keras}")
    yield seen_by("torch", normal, torch_normal, "gru", tokens)
    yield seen_by("keras", normal, keras_normal, "gru", tokens)


RANDOM = [
    *of_dropout(),
    *of_dropout_layers(),
    *of_shared_dropout(),
    *of_training(),
    *of_fresh_weights(),
]


@pytest.mark.parametrize("mutant", RANDOM, ids=lambda m: f"{m.broken}-{m.backend}")
def test_a_random_mutant_is_found_by_its_own_test(mutant: RandomMutant) -> None:
    pass_without_a_fault(mutant.test, mutant.arguments, mutant.backend)
    with source_edited(mutant.backend, mutant.edits), pytest.raises(AssertionError) as caught:
        mutant.test(*mutant.arguments, mutant.backend)
    assert "is not in:" not in str(caught.value)


def test_parity_cannot_see_what_is_random() -> None:
    with source_edited("torch", [(MASK, "keep = torch.ones_like(x)")]):
        text = PLAIN.spec("")
        assert rnnspec.parity(rnnspec.loads(text), ["torch"], level="forward").equal
    assert "variational_dropout" in pipeline.codegen(rnnspec.loads(text), "torch")
