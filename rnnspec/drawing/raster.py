"""PNG and PDF, made from the SVG by CairoSVG, which comes with ``rnnspec[pictures]``."""

from __future__ import annotations

from typing import Any

from rnnspec.errors import BackendError

_SCALE = 2
"""Pixels of a PNG per pixel of the picture: sharp on the usual dense screens."""


def png(svg: str) -> bytes:
    """Return a picture as PNG, twice as large as its size in pixels.

    Raises:
        BackendError: CairoSVG is not installed.
    """
    made: bytes = _cairosvg().svg2png(bytestring=svg.encode(), scale=_SCALE)
    return made


def pdf(svg: str) -> bytes:
    """Return a picture as PDF.

    Raises:
        BackendError: CairoSVG is not installed.
    """
    made: bytes = _cairosvg().svg2pdf(bytestring=svg.encode())
    return made


def _cairosvg() -> Any:
    try:
        import cairosvg
    # OSError: CairoSVG is there, the library cairo is not.
    except (ImportError, OSError) as error:
        message = "PNG and PDF need CairoSVG: pip install cairosvg"
        raise BackendError(
            f"{message} ({error})" if isinstance(error, OSError) else message
        ) from None
    return cairosvg
