"""The formats of pictures, by the ending of the file: a new one is one file and one line here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rnnspec.drawing.layout.build import scene
from rnnspec.drawing.options import Options
from rnnspec.errors import UsageError, listed
from rnnspec.ir.nodes import Network

Writer = Callable[[Network, Options], bytes]


def svg_text(network: Network, options: Options) -> str:
    """Return a network as the text of an SVG file."""
    from rnnspec.drawing.writers.svg import svg

    return svg(scene(network, options))


def plain_text(network: Network, options: Options, *, unicode: bool) -> str:
    """Return a network as plain text for a terminal."""
    from rnnspec.drawing.characters.text import text

    return text(network, form=options.form, steps=options.steps, unicode=unicode)


def writer(path: Path) -> Writer:
    """Return what makes the content of a file with the ending of ``path``.

    Raises:
        UsageError: no format has this ending.
    """
    ending = path.suffix.lower()
    _check_ending(ending, str(path))
    return _WRITERS[ending]


def endings() -> list[str]:
    """Return the endings of the formats that there are."""
    return list(_WRITERS)


def _check_ending(ending: str, path: str) -> None:
    if ending not in endings():
        received = repr(ending) if ending else "none"
        message = f"expected a file that ends in {listed(endings(), 'or')}, received {received}"
        raise UsageError(message, path or "rnnspec")


def _svg(network: Network, options: Options) -> bytes:
    return svg_text(network, options).encode()


def _png(network: Network, options: Options) -> bytes:
    from rnnspec.drawing.writers.raster import png

    return png(svg_text(network, options))


def _pdf(network: Network, options: Options) -> bytes:
    from rnnspec.drawing.writers.raster import pdf

    return pdf(svg_text(network, options))


def _tex(network: Network, options: Options) -> bytes:
    from rnnspec.drawing.writers.tikz import tikz

    return tikz(scene(network, options)).encode()


def _mermaid(network: Network, _: Options) -> bytes:
    from rnnspec.drawing.writers.mermaid import mermaid

    return mermaid(network).encode()


def _text(network: Network, options: Options) -> bytes:
    return plain_text(network, options, unicode=True).encode()


_WRITERS: dict[str, Writer] = {
    ".svg": _svg,
    ".png": _png,
    ".pdf": _pdf,
    ".tex": _tex,
    ".mmd": _mermaid,
    ".txt": _text,
}
