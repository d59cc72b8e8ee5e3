"""Shared by all tests: the gallery, and the backends that are available."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from covering import covering
from hypothesis import settings

from rnnspec.backends import BACKENDS

# TensorFlow logs while it is imported, before Python can change its settings.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# In small models, waiting for a second thread costs more than it gains. So do two test workers.
for _name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
    os.environ.setdefault(_name, "1")
# In a CI service, reports have the same format as on a developer's machine.
for _name in ("GITHUB_ACTIONS", "GITHUB_WORKSPACE", "TF_BUILD", "TEAMCITY_VERSION"):
    os.environ.pop(_name, None)
for _name in ("FORCE_COLOR", "NO_COLOR"):
    os.environ.pop(_name, None)

# The same examples in every run; HYPOTHESIS_PROFILE=explore tries new ones.
settings.register_profile("steady", derandomize=True, deadline=None, database=None)
settings.register_profile("explore", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "steady"))

ROOT = Path(__file__).parent.parent
GALLERY = sorted((ROOT / "specs").glob("*.yaml"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test for each spec of the gallery or for each backend, if it takes that parameter."""
    if "gallery_spec" in metafunc.fixturenames:
        metafunc.parametrize("gallery_spec", GALLERY, ids=lambda path: path.stem)
    if "covering_spec" in metafunc.fixturenames:
        metafunc.parametrize("covering_spec", covering(GALLERY), ids=lambda path: path.stem)
    if "backend" in metafunc.fixturenames:
        metafunc.parametrize("backend", list(BACKENDS))
