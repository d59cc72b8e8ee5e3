"""What other tests prove for a few specs that cover the gallery, for the rest of the gallery."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import GALLERY
from covering import covering
from forms.test_equal import computes_the_same
from importing.test_live import is_taken_over
from steps.test_equal import is_equal_or_refused

from rnnspec import pipeline
from rnnspec.ir.params import counts

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

LARGEST = 5_000_000
"""The most parameters: larger networks take minutes, and have nothing that others lack."""
REST = [
    path
    for path in sorted({*GALLERY} - {*covering(GALLERY)})
    if counts(pipeline.read(path).network).total <= LARGEST
]
EACH = pytest.mark.parametrize("spec", REST, ids=lambda path: path.stem)


@EACH
def test_source_for_inference_computes_the_same(spec: Path, backend: str) -> None:
    computes_the_same(pipeline.read(spec), backend)


@EACH
def test_source_in_step_form_is_equal_or_refused(spec: Path, backend: str) -> None:
    is_equal_or_refused(spec, backend)


@EACH
def test_a_live_model_of_keras_is_taken_over(spec: Path) -> None:
    pytest.importorskip("keras")
    is_taken_over(spec)
