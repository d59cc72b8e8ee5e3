"""The formats of pictures, by the ending of the file: a new one is one file and one line here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from rnnspec.drawing.layout.build import scene
from rnnspec.drawing.options import Options
from rnnspec.drawing.writers.mermaid import mermaid
from rnnspec.drawing.writers.svg import pdf, png, svg
from rnnspec.drawing.writers.text import text
from rnnspec.drawing.writers.tikz import tikz
from rnnspec.errors import UsageError, listed
from rnnspec.ir.nodes import Network

Writer = Callable[[Network, Options], bytes]


def svg_text(network: Network, options: Options) -> str:
    """Return a network as the text of an SVG file."""
    return svg(scene(network, options))


def plain_text(network: Network, options: Options, *, unicode: bool) -> str:
    """Return a network as plain text for a terminal."""
    return text(network, form=options.form, steps=options.steps, unicode=unicode)


def writer(path: Path) -> Writer:
    """Return the function that makes the content of a file with the ending of ``path``.

    Raises:
        UsageError: no format has this ending.
    """
    ending = path.suffix.lower()
    if ending not in _WRITERS:
        received = repr(ending) if ending else "none"
        message = f"expected a file that ends in {listed(endings(), 'or')}, received {received}"
        raise UsageError(message, str(path))
    return _WRITERS[ending]


def endings() -> list[str]:
    """Return the endings of the formats that there are."""
    return list(_WRITERS)


def _fix_theme(options: Options) -> Options:
    """Return options with the colours of a format that cannot adapt to its reader."""
    return replace(options, theme="colour") if options.theme == "auto" else options


_WRITERS: dict[str, Writer] = {
    ".svg": lambda network, options: svg_text(network, options).encode(),
    ".png": lambda network, options: png(svg_text(network, _fix_theme(options))),
    ".pdf": lambda network, options: pdf(svg_text(network, _fix_theme(options))),
    ".tex": lambda network, options: tikz(scene(network, options)).encode(),
    ".mmd": lambda network, _: mermaid(network).encode(),
    ".txt": lambda network, options: plain_text(network, options, unicode=True).encode(),
}
