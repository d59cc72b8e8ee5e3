"""What every test shares: the gallery, and which backends are here."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from covering import covering
from hypothesis import settings

from rnnspec.backends import BACKENDS

# TensorFlow writes to standard error while it is imported, before Python can ask it not to.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Small models lose more by waiting for a second thread than they gain, and so do two workers.
for _name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
    os.environ.setdefault(_name, "1")
# Wherever the tests run, reports are what a person at a desk gets.
for _name in ("GITHUB_ACTIONS", "GITHUB_WORKSPACE", "TF_BUILD", "TEAMCITY_VERSION"):
    os.environ.pop(_name, None)
for _name in ("FORCE_COLOR", "NO_COLOR"):
    os.environ.pop(_name, None)

# The same examples at every run; HYPOTHESIS_PROFILE=explore looks for new ones.
settings.register_profile("steady", derandomize=True, deadline=None, database=None)
settings.register_profile("explore", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "steady"))

ROOT = Path(__file__).parent.parent
GALLERY = sorted((ROOT / "specs").glob("*.yaml"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test once for each spec of the gallery, and once for each backend, if it asks."""
    if "gallery_spec" in metafunc.fixturenames:
        metafunc.parametrize("gallery_spec", GALLERY, ids=lambda path: path.stem)
    if "covering_spec" in metafunc.fixturenames:
        metafunc.parametrize("covering_spec", covering(GALLERY), ids=lambda path: path.stem)
    if "backend" in metafunc.fixturenames:
        metafunc.parametrize("backend", list(BACKENDS))
