"""Shared by all tests: the gallery, and the backends that are available."""

from __future__ import annotations

import gc
import os
from functools import cache
from pathlib import Path

import pytest
from covering import covering
from hypothesis import settings
from small_networks import write_small

from rnnspec.backends import BACKENDS

# TensorFlow logs while it is imported, before Python can change its settings.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# In small models, waiting for a second thread costs more than it gains. So do two test workers.
for _name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
    os.environ.setdefault(_name, "1")
# JAX compiles each small network anew: with its older code generator in a third of the time, and
# without optimization in half of that. tests/extended/engines optimizes.
os.environ.setdefault(
    "XLA_FLAGS", "--xla_cpu_use_fusion_emitters=false --xla_backend_optimization_level=0"
)
# In a CI service, reports have the same format as on a developer's machine.
for _name in ("GITHUB_ACTIONS", "GITHUB_WORKSPACE", "TF_BUILD", "TEAMCITY_VERSION"):
    os.environ.pop(_name, None)
for _name in ("FORCE_COLOR", "NO_COLOR"):
    os.environ.pop(_name, None)

# The same examples in every run; HYPOTHESIS_PROFILE=explore tries new ones.
settings.register_profile("steady", derandomize=True, deadline=None, database=None)
settings.register_profile("explore", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "steady"))

# Frameworks allocate so much that looking for cycles as often as usual takes an eighth of the time.
gc.set_threshold(10_000)

ROOT = Path(__file__).parent.parent
GALLERY = sorted((ROOT / "specs").glob("*.yaml"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test for each spec of the gallery or for each backend, if it takes that parameter."""
    if "gallery_spec" in metafunc.fixturenames:
        metafunc.parametrize("gallery_spec", GALLERY, ids=lambda path: path.stem)
    if "covering_spec" in metafunc.fixturenames:
        metafunc.parametrize(
            "covering_spec", _covering(), ids=lambda path: path.stem, indirect=True
        )
    if "backend" in metafunc.fixturenames:
        metafunc.parametrize("backend", list(BACKENDS))


@cache
def _covering() -> list[Path]:
    return covering(GALLERY)


@pytest.fixture
def covering_spec(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The file of one of few networks, in small, that have all that the gallery has."""
    return write_small(request.param, tmp_path)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give all tests of one framework to one worker, and other tests by their modules.

    A worker then imports a second framework only when it has run all that the first one is for.
    The longest groups come first, so that all workers end at about the same time.
    """
    if not hasattr(config, "workerinput"):
        return
    groups = {item: _framework(item) or item.path.as_posix() for item in items}
    for item, group in groups.items():
        item.add_marker(pytest.mark.xdist_group(group))
    longest = ["keras", "jax", "torch", *BACKENDS]
    items.sort(key=lambda item: [*longest, groups[item]].index(groups[item]))


def _framework(item: pytest.Item) -> str:
    """Return the backend that a test is for, by its parameters or its module, or nothing."""
    parameters = item.callspec.params.values() if hasattr(item, "callspec") else ()
    for value in parameters:
        name = getattr(value, "backend", value)
        if isinstance(name, str) and name in BACKENDS:
            return name
    found = [name for name in BACKENDS if name in item.path.stem.split("_")]
    return found[0] if len(found) == 1 else ""
