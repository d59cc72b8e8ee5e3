"""The intermediate representation and the source of a few specs, byte for byte.

After an intended change, ``RNNSPEC_UPDATE_GOLDENS=1 pytest tests/source`` rewrites the files.
Review the difference as you would review a colleague's code, because users will read it.
"""

from __future__ import annotations

import inspect
import os
from pathlib import Path

import pytest
from offered import require, require_source, shipped

import rnnspec
from rnnspec import pipeline
from rnnspec.backends import BACKENDS, needs, refusals
from rnnspec.ir.params import counts
from rnnspec.ir.text import dump
from rnnspec.source.execute import execute

# Keras 3.15 has an __array__ method without 'copy', which NumPy 2 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

ROOT = Path(__file__).parents[2]
GOLDENS = ROOT / "tests" / "goldens"
FOUNDING = ("bidirectional_lstm", "stacked_lstm", "standard_rnn")
OWN = sorted(path.parent.name for path in GOLDENS.glob("*/spec.yaml"))
EACH = pytest.mark.parametrize("name", [*FOUNDING, *OWN])
INFERENCE = ("padded", "sleep_staging", "stacked_lstm")
STEP = ("stacked_lstm",)
DEPLOYED = pytest.mark.parametrize("name", INFERENCE)

OF_C = ("everything", "padded", "stacked_lstm")
"""The networks whose C is kept: most of it are the same functions."""


def spec_of(name: str) -> Path:
    return ROOT / "specs" / f"{name}.yaml" if name in FOUNDING else GOLDENS / name / "spec.yaml"


UPDATE = bool(os.environ.get("RNNSPEC_UPDATE_GOLDENS"))
KEPT = [each for each in shipped() if UPDATE or any(GOLDENS.glob(f"*/{each.name}{each.ending}"))]
"""The backends with golden files: all or none of the source of a backend is kept."""


def require_kept(backend: str, name: str) -> None:
    if BACKENDS[backend] not in KEPT or not is_kept(name, backend):
        pytest.skip(f"{name} has no golden file of {backend}; see {__file__}")


def is_kept(name: str, backend: str) -> bool:
    return backend != "c" or name in OF_C


def file_of(backend: str) -> str:
    return f"{backend}{BACKENDS[backend].ending}"


def golden(name: str, file: str) -> Path:
    return GOLDENS / name / file


def compare(text: str, path: Path) -> None:
    """Compare with the golden file, or rewrite it on request."""
    if UPDATE:
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
    assert text == path.read_bytes().decode(), f"{path} differs: see {__file__}"


@EACH
def test_network(name: str) -> None:
    compare(dump(pipeline.program(spec_of(name)).network), golden(name, "network.txt"))


@EACH
def test_source(name: str, backend: str) -> None:
    require_source(backend, spec_of(name))
    require_kept(backend, name)
    compare(rnnspec.codegen(spec_of(name), backend), golden(name, file_of(backend)))


@DEPLOYED
def test_source_for_inference(name: str, backend: str) -> None:
    require_source(backend, needs.form("inference"), spec_of(name))
    require_kept(backend, name)
    if BACKENDS[backend].form(None) == "inference":
        pytest.skip("this is the source of the test above")
    text = rnnspec.codegen(spec_of(name), backend, form="inference")
    compare(text, golden(name, f"{backend}_inference.py"))


@pytest.mark.parametrize("name", STEP)
def test_source_in_step_form(name: str, backend: str) -> None:
    require_source(backend, needs.form("step"), spec_of(name))
    require_kept(backend, name)
    text = rnnspec.codegen(spec_of(name), backend, form="step")
    compare(text, golden(name, f"{backend}_step{BACKENDS[backend].ending}"))


@EACH
def test_golden_source_makes_the_model(name: str, backend: str) -> None:
    program = pipeline.program(spec_of(name))
    require(backend, program)
    require_kept(backend, name)
    text = golden(name, file_of(backend)).read_text(encoding="utf-8")
    ending = BACKENDS[backend].ending
    module = execute(text, name, ending)
    source = pipeline.generate(program, BACKENDS[backend]).source
    model = BACKENDS[backend].runtime.instantiate(module, source, "float32", drawn=False)
    assert BACKENDS[backend].runtime.counts(model) == counts(program.network)
    assert ending != ".py" or inspect.getdoc(getattr(module, source.entry))


def test_there_is_no_golden_without_a_test() -> None:
    wanted = {f"{name}/network.txt" for name in (*FOUNDING, *OWN)}
    wanted |= {f"{name}/spec.yaml" for name in OWN}
    for backend in KEPT:
        files = [(name, file_of(backend.name)) for name in (*FOUNDING, *OWN)]
        if "inference" in backend.forms[1:]:
            files += [(name, f"{backend.name}_inference.py") for name in INFERENCE]
        if "step" in backend.forms[1:]:
            files += [(name, f"{backend.name}_step{backend.ending}") for name in STEP]
        wanted |= {
            f"{name}/{file}"
            for name, file in files
            if is_kept(name, backend.name)
            and not refusals(backend, pipeline.read(spec_of(name)).network)
        }
    there = {path.relative_to(GOLDENS).as_posix() for path in GOLDENS.rglob("*.*")}
    assert {path for path in there if "__pycache__" not in path} == wanted


@pytest.mark.parametrize("name", FOUNDING)
def test_pytorch_source_is_short(name: str) -> None:
    assert len(golden(name, "torch.py").read_text(encoding="utf-8").splitlines()) < 80


def test_pytorch_source_for_inference_is_stock_code() -> None:
    text = golden("stacked_lstm", "torch_inference.py").read_text(encoding="utf-8")
    assert len([line for line in text.splitlines() if line.strip()]) == 24
    assert "nn.LSTM(32, 32, num_layers=3, batch_first=True)" in text


def test_stacked_lstm_reads_as_if_written_by_hand() -> None:
    text = golden("stacked_lstm", "keras.py").read_text(encoding="utf-8")
    lstm = "x = keras.layers.LSTM(32, return_sequences={}, dropout=0.2, name={})(x)"
    lines = [line.strip() for line in text.splitlines() if "keras.layers." in line]
    assert lines == [
        'x = keras.layers.Embedding(10000, 32, name="embedding_1")(inputs)',
        lstm.format(True, '"lstm_1"'),
        lstm.format(True, '"lstm_2"'),
        lstm.format(False, '"lstm_3"'),
        'x = keras.layers.Dense(1, activation="sigmoid", name="dense_1")(x)',
    ]
