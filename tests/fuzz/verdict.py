"""Assertions that hold for every input, however broken it is."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import yaml

import rnnspec
from rnnspec import pipeline
from rnnspec.backends import honouring
from rnnspec.errors import SpecError
from rnnspec.spec.yaml import tree

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rnnspec.spec.models import Spec

SECONDS = 1.0
"""The maximum processor time of one answer."""

MEBIBYTES = 200
"""The maximum memory of the whole process."""


def judge(raw: bytes) -> bool:
    """True if ``raw`` is a spec; raise AssertionError if the answer is not as required.

    The answer must be quick, the same when repeated, the same with both of PyYAML's parsers, and
    have a position for each problem. For an accepted spec, every backend must quickly generate
    source that compiles.
    """
    with _soon():
        first = answer(raw)
    assert answer(raw) == first, "another answer the second time"
    assert answer(raw, yaml.SafeLoader) == first, "another answer without libyaml"
    if isinstance(first, str):
        return False
    for backend in honouring(pipeline.program(first).network):
        with _soon():
            source = rnnspec.codegen(first, backend.name)
        if backend.ending == ".py":
            compile(source, backend.name, "exec")
    return True


@contextmanager
def _soon() -> Iterator[None]:
    begun = time.process_time()
    yield
    took = time.process_time() - begun
    assert took < SECONDS, f"{took:.2f} s"


def answer(raw: bytes, loader: object = tree.LOADER) -> Spec | str:
    """Return the spec, or all problems as printed."""
    usual, tree.LOADER = tree.LOADER, loader
    try:
        return rnnspec.loads(raw)
    except SpecError as error:
        return _printed(error)
    finally:
        tree.LOADER = usual


def _printed(error: SpecError) -> str:
    assert error.problems
    assert all(problem.code for problem in error.problems)
    text = str(error)
    assert all(line.isprintable() for line in text.split("\n"))
    return text
