"""What other tests prove for a few specs that cover the gallery, for the whole gallery."""

from __future__ import annotations

from pathlib import Path

import pytest
from forms.test_equal import computes_the_same
from importing.test_live import is_taken_over
from steps.test_equal import is_equal_or_refused

from rnnspec import pipeline

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def test_source_for_inference_computes_the_same(gallery_spec: Path, backend: str) -> None:
    computes_the_same(pipeline.read(gallery_spec), backend)


def test_source_in_step_form_is_equal_or_refused(gallery_spec: Path, backend: str) -> None:
    is_equal_or_refused(gallery_spec, backend)


def test_a_live_model_of_keras_is_taken_over(gallery_spec: Path) -> None:
    pytest.importorskip("keras")
    is_taken_over(gallery_spec)
