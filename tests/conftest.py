"""Shared by all tests: the gallery, and the backends that are available."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest
from covering import covering
from hypothesis import given, settings
from hypothesis import strategies as st
from small_networks import write_small
from xdist.scheduler import LoadScopeScheduling

from rnnspec import pipeline
from rnnspec.backends import BACKENDS, Need, having, refusals
from rnnspec.errors import BackendError
from rnnspec.ir.nodes import Network

# TensorFlow logs while it is imported, before Python can change its settings.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# In small models, waiting for a second thread costs more than it gains. So do two test workers.
for _name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
    os.environ.setdefault(_name, "1")
# With oneDNN, TensorFlow keeps the memory of every model that there was, for those to come: 270 MB
# after a network of 19 million parameters. tests/extended/engines runs with oneDNN.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
# JAX compiles each small network anew: with its older code generator in a third of the time,
# without optimization in half of that, and in one part in three quarters of that.
# tests/extended/engines optimizes.
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_cpu_use_fusion_emitters=false --xla_backend_optimization_level=0 "
    "--xla_cpu_parallel_codegen_split_count=1",
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
    """Run a test for each spec of the gallery or for each backend, if it takes that parameter.

    A test that has the mark ``needs`` is run for the backends that have all these needs, and that
    refuse nothing of a spec, if there is one's text among them.
    """
    if "gallery_spec" in metafunc.fixturenames:
        metafunc.parametrize("gallery_spec", GALLERY, ids=lambda path: path.stem)
    named = [str(mark.args[0]) for mark in metafunc.definition.iter_markers("parametrize")]
    if "covering_spec" in metafunc.fixturenames and not any("covering" in each for each in named):
        metafunc.parametrize(
            "covering_spec", _covering(), ids=lambda path: path.stem, indirect=True
        )
    if "backend" in metafunc.fixturenames and not any("backend" in each for each in named):
        wanted = [need for mark in metafunc.definition.iter_markers("needs") for need in mark.args]
        networks = [_network(text) for text in wanted if isinstance(text, str)]
        backends = having(*(need for need in wanted if isinstance(need, Need)))
        names = [
            backend.name
            for backend in backends
            if not any(refusals(backend, network) for network in networks)
        ]
        metafunc.parametrize("backend", names)


@cache
def _network(text: str) -> Network:
    return pipeline.reads(text).network


@cache
def _covering() -> list[Path]:
    return covering(GALLERY)


def in_turn(turn: int, *wanted: Need) -> pytest.MarkDecorator:
    """Run a test for every second spec on each backend that has what is wanted.

    Those of turn 0 and those of turn 1 are all specs.
    """
    pairs = [
        pytest.param(backend.name, path, id=f"{backend.name}-{path.stem}")
        for number, backend in enumerate(having(*wanted))
        for place, path in enumerate(_covering())
        if (number + place) % 2 == turn
    ]
    return pytest.mark.parametrize(("backend", "covering_spec"), pairs, indirect=["covering_spec"])


@pytest.fixture
def covering_spec(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The file of one of few networks, in small, that have all that the gallery has."""
    return write_small(request.param, tmp_path)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the tests of one framework together, the longest groups first."""
    longest = ["keras", "jax", "torch", *BACKENDS]
    items.sort(key=lambda item: [*longest, group := _group(item.nodeid)].index(group))


HAS_NO_COMPILER = not BACKENDS["c"].installed
LACK = "there is no C compiler: cc is not found"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Generator[None]:
    with _skipping_without_compiler():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None]:
    with _skipping_without_compiler():
        return (yield)


@contextmanager
def _skipping_without_compiler() -> Iterator[None]:
    """Skip what cannot compile C on a machine without a compiler, with one reason for all."""
    try:
        yield
    except BackendError as error:
        if HAS_NO_COMPILER and error.message.startswith("no C compiler"):
            pytest.skip(LACK)
        raise


def pytest_runtest_teardown(item: pytest.Function, nextitem: pytest.Item | None) -> None:
    """Drop the models that a module keeps behind ``@cache``, and what was compiled for them."""
    if nextitem is not None and nextitem.path == item.path:
        return
    for value in vars(item.module).values():
        if getattr(value, "__module__", "") == item.module.__name__:
            getattr(value, "cache_clear", bool)()
    if jax := sys.modules.get("jax"):
        jax.clear_caches()
    if keras := sys.modules.get("keras"):
        keras.utils.clear_session(free_memory=False)
    _start_hypothesis()
    gc.collect()
    # What is left are frameworks, which stay: to look for cycles among their objects again takes a
    # second each time.
    gc.freeze()


@cache
def _start_hypothesis() -> None:
    """Let Hypothesis make its generator: it looks for what refers to one that is new."""

    @settings(max_examples=1)
    @given(st.none())
    def run(_: None) -> None:
        pass

    run()


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LoadScopeScheduling:
    """Give all tests of one framework to one worker, and other tests by their modules.

    A worker then imports a second framework only when it has run all that the first one is for.
    """
    scheduler = LoadScopeScheduling(config, log)
    # `--dist loadgroup` writes the group into a test's ID, which pytest 9.2 does not allow.
    scheduler._split_scope = _group
    return scheduler


def _group(nodeid: str) -> str:
    """Return the backend that a test is for, by its parameters or its module, or its module."""
    path, _, name = nodeid.partition("::")
    parameters = name.partition("[")[2].rstrip("]").split("-")
    backend = next((word for word in parameters if word in BACKENDS), "")
    modules = [name for name in BACKENDS if name in path.removesuffix(".py").split("_")]
    return backend or (modules[0] if len(modules) == 1 else path)
