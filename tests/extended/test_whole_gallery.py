"""What other tests prove for a few networks that cover the gallery, for the rest of the gallery.

Each network is compared on two or three backends, and each backend has its forms in turn.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import GALLERY
from covering import covering
from forms.test_equal import computes_the_same
from importing.test_keras_live import is_taken_over
from offered import require, shipped
from small_networks import write_small
from steps.test_equal import is_equal_or_refused
from test_gallery import (
    HUGE,
    LARGE,
    PRINTED,
    TOTALS,
    has_the_printed_table_and_computes_the_same,
    says_what_the_source_printed,
)

import rnnspec
from rnnspec import pipeline

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

REST = sorted({*GALLERY} - {*covering(GALLERY)})
IN_TURN = [
    pytest.param(each.name, each.forms[turn % len(each.forms)], path, id=f"{each.name}-{path.stem}")
    for number, each in enumerate(shipped())
    for turn, path in enumerate(REST[number % 2 :: 2])
]
WHOLE = [path for path in GALLERY if path not in REST and TOTALS[path.stem] > LARGE]
"""Those that make test compares in small."""


@pytest.mark.parametrize(("backend", "form", "path"), IN_TURN)
def test_a_backend_computes_the_same(backend: str, form: str, path: Path, tmp_path: Path) -> None:
    small, dtype = write_small(path, tmp_path), require(backend).dtypes[0]
    if form == "step":
        is_equal_or_refused(small, backend)
    elif form == "inference" and dtype == "float64":
        computes_the_same(pipeline.read(small), backend)
    else:
        report = rnnspec.parity(small, [backend], level="forward", dtype=dtype)
        assert report.equal, report.differences
        near = 1e-12 if dtype == "float64" else 2e-6
        assert report.specs[0].backends[backend].forward_max_difference < near


def test_every_network_and_every_form_has_its_turn() -> None:
    turns = [param.values for param in IN_TURN]
    assert {path for _, _, path in turns} == set(REST)
    forms = {(each.name, form) for each in shipped() for form in each.forms}
    assert {(backend, form) for backend, form, _ in turns} == forms


@pytest.mark.parametrize("path", WHOLE, ids=lambda path: path.stem)
def test_every_backend_has_the_printed_table_and_computes_the_same(path: Path) -> None:
    has_the_printed_table_and_computes_the_same(path)


@pytest.mark.parametrize("name", [name for name in PRINTED if TOTALS[name] >= HUGE])
def test_parity_says_what_the_source_printed(name: str) -> None:
    pytest.importorskip("torch")
    says_what_the_source_printed(name)


# The covering networks have every kind of layer: what the others add is how layers are joined.
@pytest.mark.parametrize("path", REST[::4], ids=lambda path: path.stem)
def test_a_live_model_of_keras_is_taken_over(path: Path, tmp_path: Path) -> None:
    pytest.importorskip("keras")
    is_taken_over(write_small(path, tmp_path))
