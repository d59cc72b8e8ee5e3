"""What must hold of every input, however broken it is."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import yaml

import rnnspec
from rnnspec.backends import BACKENDS
from rnnspec.errors import SpecError
from rnnspec.spec import tree

if TYPE_CHECKING:
    from rnnspec.spec.models import Spec

SECONDS = 1.0
"""Of the processor, that one answer may take."""


def judge(raw: bytes) -> bool:
    """Return whether ``raw`` is a spec; raise AssertionError where an answer is not as it must be.

    The same answer twice, whichever of PyYAML's loaders reads it, with a place for each problem,
    soon; and of what is accepted, source that compiles on every backend.
    """
    begun = time.process_time()
    first = answer(raw)
    took = time.process_time() - begun
    assert took < SECONDS, f"{took:.2f} s"
    assert answer(raw) == first, "another answer the second time"
    assert answer(raw, yaml.SafeLoader) == first, "another answer without libyaml"
    if isinstance(first, str):
        return False
    for backend in BACKENDS:
        compile(rnnspec.codegen(first, backend), backend, "exec")
    return True


def answer(raw: bytes, loader: object = tree.LOADER) -> Spec | str:
    """Return the spec, or every problem as it is printed."""
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
