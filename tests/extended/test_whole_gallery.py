"""What other tests prove for a few networks that cover the gallery, for the rest of the gallery."""

from __future__ import annotations

from pathlib import Path

import pytest
from backends.test_onnx import is_equal
from conftest import GALLERY
from covering import covering
from forms.test_equal import BOTH, computes_the_same
from importing.test_keras_live import is_taken_over
from small_networks import write_small
from steps.models import STEP
from steps.test_equal import is_equal_or_refused
from test_gallery import LARGE, TOTALS, has_the_printed_table_and_computes_the_same

from rnnspec import pipeline

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

REST = sorted({*GALLERY} - {*covering(GALLERY)})
WHOLE = [path for path in GALLERY if path in REST or TOTALS[path.stem] > LARGE]


@pytest.fixture(params=REST, ids=lambda path: path.stem)
def spec(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The file of a network, in small."""
    return write_small(request.param, tmp_path)


@pytest.mark.parametrize("path", WHOLE, ids=lambda path: path.stem)
def test_every_backend_has_the_printed_table_and_computes_the_same(path: Path) -> None:
    has_the_printed_table_and_computes_the_same(path)


@pytest.mark.needs(*BOTH)
def test_source_for_inference_computes_the_same(spec: Path, backend: str) -> None:
    computes_the_same(pipeline.read(spec), backend)


def test_onnx_is_equal_in_single_precision(spec: Path) -> None:
    is_equal(spec)


@pytest.mark.needs(STEP)
def test_source_in_step_form_is_equal_or_refused(spec: Path, backend: str) -> None:
    is_equal_or_refused(spec, backend)


def test_a_live_model_of_keras_is_taken_over(spec: Path) -> None:
    pytest.importorskip("keras")
    is_taken_over(spec)
