"""What every test shares: the gallery, and which backends are here."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rnnspec.backends import BACKENDS

# TensorFlow writes to standard error while it is imported, before Python can ask it not to.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

ROOT = Path(__file__).parent.parent
GALLERY = sorted((ROOT / "specs").glob("*.yaml"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test once for each spec of the gallery, and once for each backend, if it asks."""
    if "gallery_spec" in metafunc.fixturenames:
        metafunc.parametrize("gallery_spec", GALLERY, ids=lambda path: path.stem)
    if "backend" in metafunc.fixturenames:
        metafunc.parametrize("backend", list(BACKENDS))
