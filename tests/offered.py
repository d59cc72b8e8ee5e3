"""Tests of features that a backend lacks or refuses are skipped, with the reason."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import pytest

from rnnspec import pipeline
from rnnspec.backends import BACKENDS, Backend, Need, get, having, lack, refusals
from rnnspec.backends.needs import MODEL, SOURCE


def require(name: str, *wanted: Need | pipeline.Program | pipeline.Source) -> Backend:
    """Return a backend that builds models and supports all needs and specs, or skip."""
    backend = get(name)
    if not backend.installed:
        pytest.skip(f"{backend.title} is not installed")
    return require_source(name, MODEL, *wanted)


def require_source(name: str, *wanted: Need | pipeline.Program | pipeline.Source) -> Backend:
    """Return a backend, installed or not, that supports all needs and specs, or skip."""
    backend = get(name)
    needs = [each for each in wanted if isinstance(each, Need)]
    if reason := lack(backend, SOURCE, *needs):
        pytest.skip(reason)
    for each in wanted:
        if not isinstance(each, Need):
            given = each if isinstance(each, pipeline.Program) else pipeline.program(each)
            if refused := refusals(backend, given.network):
                first = refused[0]
                pytest.skip(f"{name} refuses {first.layer}.{first.key}: {first.reason}")
    return backend


def shipped() -> list[Backend]:
    """Return the backends of the package, without those that are registered only for tests."""
    return [backend for backend in BACKENDS.values() if backend.package.startswith("rnnspec.")]


@contextmanager
def registered(*backends: Backend) -> Iterator[None]:
    """Register these backends alone for a while; the order of all is the same again afterwards."""
    kept = dict(BACKENDS)
    BACKENDS.clear()
    BACKENDS.update({backend.name: backend for backend in backends})
    try:
        yield
    finally:
        BACKENDS.clear()
        BACKENDS.update(kept)


def able(*wanted: Need) -> list[str]:
    """Return the names of the shipped backends that have all needs, as messages list them."""
    return [each.name for each in shipped() if not lack(each, *wanted)]


def taking(spec: pipeline.Source, *wanted: Need) -> list[str]:
    """Return the names of the shipped backends that have all needs and refuse nothing of a spec."""
    network = pipeline.program(spec).network
    return [name for name in able(*wanted) if not refusals(get(name), network)]


def require_all(*needs: Need) -> list[str]:
    """Return the names of the backends that support all of ``needs``, or skip if one is missing."""
    return [require(backend.name).name for backend in having(MODEL, *needs)]


class _Later:
    """A module that is imported when something of it is asked for."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        # pytest asks everything in a module for marks of its own.
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(import_module(self._name), name)


def import_later(name: str) -> Any:
    """Return a module that is imported when it is used, or skip the tests of the calling module.

    A worker that runs no test of a framework then does not import it.
    """
    package = name.partition(".")[0]
    if find_spec(package) is None:
        pytest.skip(f"{package} is not installed", allow_module_level=True)
    return _Later(name)
