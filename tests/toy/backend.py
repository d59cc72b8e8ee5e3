"""A minimal backend: simple and dense layers in NumPy, forward only, no files."""

from pathlib import Path

from rnnspec.backends import BACKENDS
from rnnspec.backends.base import Backend
from rnnspec.words import ReservedNames

TOY = Backend(
    name="toy",
    title="Toy",
    package="toy",
    templates=Path(__file__).parent,
    forms=("inference",),
    level="forward",
    reserved_names=ReservedNames(in_source=frozenset({"make_zeros", "run_dense", "run_simple"})),
)


def pytest_configure() -> None:
    """Register the backend, as the settings of pytest ask for in every run."""
    BACKENDS[TOY.name] = TOY
