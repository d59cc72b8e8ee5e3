"""The intermediate representation and the source of a few specs, byte for byte.

After an intended change, ``RNNSPEC_UPDATE_GOLDENS=1 pytest tests/source`` rewrites the files.
Review the difference as you would review a colleague's code, because users will read it.
"""

from __future__ import annotations

import inspect
import os
from pathlib import Path

import pytest
from cases import cases
from offered import require, shipped

import rnnspec
from rnnspec import pipeline
from rnnspec.backends import BACKENDS, Backend, refusals
from rnnspec.ir.forms import Form
from rnnspec.ir.params import counts
from rnnspec.ir.text import dump
from rnnspec.source.execute import execute

# Keras 3.15 has an __array__ method without 'copy', which NumPy 2 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

ROOT = Path(__file__).parents[2]
GOLDENS = ROOT / "tests" / "goldens"
FOUNDING = ("bidirectional_lstm", "stacked_lstm", "standard_rnn")
OWN = sorted(path.parent.name for path in GOLDENS.glob("*/spec.yaml"))
NAMES = (*FOUNDING, *OWN)
INFERENCE = ("padded", "sleep_staging", "stacked_lstm")
STEP = ("stacked_lstm",)

OF_C = ("everything", "padded", "stacked_lstm")
"""The networks whose C is kept: most of it are the same functions."""


def spec_of(name: str) -> Path:
    return ROOT / "specs" / f"{name}.yaml" if name in FOUNDING else GOLDENS / name / "spec.yaml"


UPDATE = bool(os.environ.get("RNNSPEC_UPDATE_GOLDENS"))
KEPT = [each for each in shipped() if UPDATE or any(GOLDENS.glob(f"*/{each.name}{each.ending}"))]
"""The backends with golden files: all or none of the source of a backend is kept."""


EACH_KEPT = pytest.mark.parametrize("name", [each.name for each in KEPT])


def files(backend: Backend) -> dict[str, tuple[str, Form]]:
    """Return the golden files of a backend: the network and the form of the source in each."""
    first, *others = backend.forms
    rows: list[tuple[str, Form, str]] = [(name, first, "") for name in NAMES]
    for form, names in (("inference", INFERENCE), ("step", STEP)):
        rows += [(name, other, f"_{form}") for other in others if other == form for name in names]
    return {
        f"{name}/{backend.name}{suffix}{backend.ending}": (name, form)
        for name, form, suffix in rows
        if (backend.name != "c" or name in OF_C)
        and not refusals(backend, pipeline.read(spec_of(name)).network, form)
    }


def compare(text: str, place: str) -> None:
    """Compare with a golden file, or rewrite it on request."""
    path = GOLDENS / place
    if UPDATE:
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
    assert text == path.read_bytes().decode(), f"{path} differs: see {__file__}"


@cases("name", NAMES)
def test_network(name: str) -> None:
    compare(dump(pipeline.program(spec_of(name)).network), f"{name}/network.txt")


@EACH_KEPT
def test_source(name: str, subtests: pytest.Subtests) -> None:
    for place, (network, form) in files(BACKENDS[name]).items():
        with subtests.test(place):
            compare(rnnspec.codegen(spec_of(network), name, form=form), place)


@EACH_KEPT
def test_golden_source_makes_the_model(name: str, subtests: pytest.Subtests) -> None:
    backend = require(name)
    for place, (network, form) in files(backend).items():
        if form != backend.forms[0]:
            continue
        with subtests.test(place):
            program = pipeline.program(spec_of(network))
            text = golden(place)
            module = execute(text, network, backend.ending)
            source = pipeline.generate(program, backend).source
            model = backend.runtime.instantiate(module, source, "float32", drawn=False)
            assert backend.runtime.counts(model) == counts(program.network)
            assert backend.ending != ".py" or inspect.getdoc(getattr(module, source.entry))


def golden(place: str) -> str:
    return (GOLDENS / place).read_text(encoding="utf-8")


def test_there_is_no_golden_without_a_test() -> None:
    wanted = {f"{name}/network.txt" for name in NAMES}
    wanted |= {f"{name}/spec.yaml" for name in OWN}
    wanted |= {place for backend in KEPT for place in files(backend)}
    there = {path.relative_to(GOLDENS).as_posix() for path in GOLDENS.rglob("*.*")}
    assert {path for path in there if "__pycache__" not in path} == wanted


@cases("name", FOUNDING)
def test_pytorch_source_is_short(name: str) -> None:
    assert len(golden(f"{name}/torch.py").splitlines()) < 80


def test_pytorch_source_for_inference_is_stock_code() -> None:
    text = golden("stacked_lstm/torch_inference.py")
    assert len([line for line in text.splitlines() if line.strip()]) == 24
    assert "nn.LSTM(32, 32, num_layers=3, batch_first=True)" in text


def test_stacked_lstm_reads_as_if_written_by_hand() -> None:
    text = golden("stacked_lstm/keras.py")
    lstm = "x = keras.layers.LSTM(32, return_sequences={}, dropout=0.2, name={})(x)"
    lines = [line.strip() for line in text.splitlines() if "keras.layers." in line]
    assert lines == [
        'x = keras.layers.Embedding(10000, 32, name="embedding_1")(inputs)',
        lstm.format(True, '"lstm_1"'),
        lstm.format(True, '"lstm_2"'),
        lstm.format(False, '"lstm_3"'),
        'x = keras.layers.Dense(1, activation="sigmoid", name="dense_1")(x)',
    ]
