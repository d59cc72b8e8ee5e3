"""A backend with little: simple layers and dense ones in NumPy, forward only, no files."""

from toy import emit, runtime, slots

from rnnspec.backends import BACKENDS
from rnnspec.backends.base import Backend, Emitter, Runtime, Slots

_modules: tuple[Emitter, Slots, Runtime] = emit, slots, runtime
TOY = Backend(
    name="toy", title="Toy", package="toy", templates="toy", forms=("inference",), level="forward"
)


def pytest_configure() -> None:
    """Register it: ``pytest -p toy.backend`` runs the suite with it."""
    BACKENDS[TOY.name] = TOY
