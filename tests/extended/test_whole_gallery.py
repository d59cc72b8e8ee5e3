"""What other tests prove for a few networks that cover the gallery, for the rest of the gallery.

Every backend has every network in one of its forms, the next network in the next form.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import GALLERY
from covering import covering
from forms.test_equal import computes_the_same
from importing.test_keras_live import is_taken_over
from offered import require
from small_networks import write_small
from steps.test_equal import is_equal_or_refused

import rnnspec
from rnnspec import pipeline
from rnnspec.backends import get, having
from rnnspec.backends.needs import MODEL

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

REST = sorted({*GALLERY} - {*covering(GALLERY)})
IN_TURN = [
    pytest.param(each.name, forms[number % len(forms)], path, id=f"{each.name}-{path.stem}")
    for each in having(MODEL)
    for forms in [each.forms]
    for number, path in enumerate(REST)
]


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


def test_every_form_of_every_backend_has_its_turn() -> None:
    turns = {tuple(param.values[:2]) for param in IN_TURN}
    assert turns == {(each.name, form) for each in having(MODEL) for form in each.forms}


# A file that is read takes most of its time, and is the same for every topology.
@pytest.mark.parametrize("path", REST[::3], ids=lambda path: path.stem)
def test_a_live_model_of_keras_is_taken_over(path: Path, tmp_path: Path) -> None:
    get("keras").installed or pytest.skip("Keras is not installed")
    is_taken_over(write_small(path, tmp_path))
