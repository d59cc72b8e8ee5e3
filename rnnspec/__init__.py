"""One YAML file, the same recurrent network in Keras, PyTorch, JAX and ONNX.

``import rnnspec`` loads no framework; neither do ``load``, ``summary``, ``draw`` and
``codegen``.
"""

from __future__ import annotations

from importlib import import_module

from rnnspec.version import __version__

TYPE_CHECKING = False  # importing typing is slow, and needed only later
if TYPE_CHECKING:
    from typing import Any

    from rnnspec.building import build
    from rnnspec.comparison.run import parity
    from rnnspec.drawing.picture import draw
    from rnnspec.environment import show_versions
    from rnnspec.importing.live import from_keras, from_torch
    from rnnspec.live import read_weights, write_weights
    from rnnspec.pipeline import codegen, load, loads, summary

__all__ = [
    "__version__",
    "build",
    "codegen",
    "draw",
    "from_keras",
    "from_torch",
    "load",
    "loads",
    "parity",
    "read_weights",
    "show_versions",
    "summary",
    "write_weights",
]

_HOMES = {
    "build": "rnnspec.building",
    "codegen": "rnnspec.pipeline",
    "load": "rnnspec.pipeline",
    "loads": "rnnspec.pipeline",
    "summary": "rnnspec.pipeline",
    "draw": "rnnspec.drawing.picture",
    "parity": "rnnspec.comparison.run",
    "from_keras": "rnnspec.importing.live",
    "from_torch": "rnnspec.importing.live",
    "read_weights": "rnnspec.live",
    "write_weights": "rnnspec.live",
    "show_versions": "rnnspec.environment",
}


def __getattr__(name: str) -> Any:
    # Imported on demand, because otherwise the command line would load NumPy to check a spec.
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
