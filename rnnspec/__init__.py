"""One YAML file, the same recurrent network in Keras, PyTorch, JAX, ONNX and C.

``import rnnspec`` loads no framework; neither do ``load``, ``summary``, ``draw`` and
``codegen``.
"""

from __future__ import annotations

from rnnspec.display import Renderers
from rnnspec.version import __version__

TYPE_CHECKING = False  # importing typing is slow, and needed only later
if TYPE_CHECKING:
    from typing import Any

    from rnnspec.comparison.run import parity
    from rnnspec.drawing.picture import draw
    from rnnspec.machine.environment import show_versions
    from rnnspec.models.building import build, save
    from rnnspec.models.foreign import from_keras, from_torch
    from rnnspec.models.live import read_weights, write_weights
    from rnnspec.pipeline import codegen, load, loads
    from rnnspec.results.summaries import summary

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
    "save",
    "show_versions",
    "summary",
    "write_weights",
]


def __getattr__(name: str) -> Any:
    # Imported on demand, because otherwise the command line would load NumPy to check a spec.
    match name:
        case "load" | "loads" | "codegen":
            from rnnspec import pipeline

            return getattr(pipeline, name)
        case "read_weights" | "write_weights":
            from rnnspec.models import live

            return getattr(live, name)
        case "from_keras" | "from_torch":
            from rnnspec.models import foreign

            return getattr(foreign, name)
        case "build" | "save":
            from rnnspec.models import building

            return getattr(building, name)
        case "draw":
            from rnnspec.drawing.picture import draw

            return draw
        case "parity":
            from rnnspec.comparison.run import parity

            return parity
        case "summary":
            from rnnspec.results.summaries import summary

            return summary
        case "show_versions":
            from rnnspec.machine.environment import show_versions

            return show_versions
        case _:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__


def _html(result: Any) -> str:
    from rnnspec.results.html import fragment

    return fragment(result)


def _text(result: Any) -> str:
    from rnnspec.results.tables import text

    return text(result)


Renderers.html, Renderers.text = _html, _text
