"""PNG and PDF, made from the SVG by CairoSVG, which comes with ``rnnspec[pictures]``."""

from __future__ import annotations

from typing import Any

from rnnspec.drawing.writers.svg import SERIF
from rnnspec.errors import BackendError

_SCALE = 2
"""Pixels of a PNG per pixel of the picture: sharp on the usual dense screens."""


def png(svg: str) -> bytes:
    """Return a picture as PNG, twice as large as its size in pixels.

    Raises:
        BackendError: CairoSVG is not installed.
    """
    made: bytes = _cairosvg().svg2png(bytestring=_readable(svg), scale=_SCALE)
    return made


def pdf(svg: str) -> bytes:
    """Return a picture as PDF, without the date: the same picture gives the same bytes.

    Raises:
        BackendError: CairoSVG is not installed.
    """
    library = _cairosvg()
    import cairocffi

    def undated(*arguments: Any) -> Any:
        surface = cairocffi.PDFSurface(*arguments)
        surface.set_metadata(cairocffi.PDF_METADATA_CREATE_DATE, "")
        return surface

    surface: Any = type(
        "Surface", (library.surface.PDFSurface,), {"surface_class": staticmethod(undated)}
    )
    made: bytes = surface.convert(bytestring=_readable(svg))
    return made


def _readable(svg: str) -> bytes:
    # CairoSVG looks for the first font of a list alone; this one is always there.
    return svg.replace(SERIF, "serif").encode()


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
