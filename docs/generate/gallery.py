"""One page for each spec of the gallery: its picture, its table, its source on every backend."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from html import escape
from pathlib import Path

import rnnspec
from docs.generate.markdown import UNSEARCHED, dark, fence, figure, tab, table
from docs.generate.zoo import zoo_pages
from rnnspec.backends import Backend, having
from rnnspec.backends.needs import SOURCE
from rnnspec.errors import UnsupportedError
from rnnspec.ir.nodes import Network, Recurrent
from rnnspec.ir.text import type_name
from rnnspec.pipeline import program
from rnnspec.results.summaries import Summary
from rnnspec.spec.models import Spec
from rnnspec.spec.zoo import head_comment


def gallery_pages(folder: Path) -> dict[str, str]:
    """Return the pages and pictures of the specs in ``folder``, and their index."""
    paths = sorted(folder.glob("*.yaml"))
    specs = {path: rnnspec.load(path) for path in paths}
    return {
        "gallery/index.md": _index(specs),
        **{f"gallery/{spec.name}.md": _page(path, spec) for path, spec in specs.items()},
        **{place: text for spec in specs.values() for place, text in _pictures(spec)},
        **{f"gallery/{spec.name}.h": text for spec in specs.values() if (text := _header(spec))},
        **zoo_pages(folder / "cells"),
    }


def _pictures(spec: Spec) -> Iterator[tuple[str, str]]:
    """Yield the pictures of a spec by their places, for light and for dark pages."""
    for theme, place in (("colour", str), ("dark", dark)):
        yield place(f"gallery/{spec.name}.svg"), str(rnnspec.draw(spec, theme=theme))
        small = rnnspec.draw(spec, theme=theme, labels="none", steps=_few_steps(spec))
        yield place(f"gallery/small/{spec.name}.svg"), str(small)


def _few_steps(spec: Spec) -> int:
    """Return 3, or the length of a shorter input."""
    lengths = [spec.input.length, *(own.length for own in (spec.inputs or {}).values())]
    return min(3, *(length for length in lengths if length is not None), 3)


def _index(specs: dict[Path, Spec]) -> str:
    cards = "\n".join(_card(spec) for spec in specs.values())
    return f'{_ABOUT}\n<div class="grid cards networks" markdown>\n\n{cards}\n</div>\n'


def _card(spec: Spec) -> str:
    page = f"{spec.name}.md"
    picture = figure(f"The layers of {spec.name}", f"small/{spec.name}.svg", page)
    return (
        f"-   {picture}\n\n"
        f"    **[{spec.name}]({page})**\n\n"
        f"    {spec.description} {rnnspec.summary(spec).parameters.total:,} parameters.\n\n"
        f"    *{', '.join(kinds(program(spec).network))}*{{ .kinds }}\n"
    )


_COMMON = {"Activation", "Dense", "Dropout"}
"""Types of layers that most networks have, by which nobody looks for one."""


def kinds(network: Network) -> list[str]:
    """Return what a network can be filtered by: types of layers, several inputs or outputs."""
    types = {type_name(layer) for layer in network.layers} - _COMMON
    # The cells within layers of both directions, too.
    types |= {
        type_name(replace(layer, merge=None))
        for layer in network.layers
        if isinstance(layer, Recurrent)
    }
    several = (("inputs", network.inputs), ("outputs", network.outputs))
    return [*sorted(types), *(f"several {name}" for name, all_ in several if len(all_) > 1)]


_ABOUT = """# Gallery

The parameter table of each of these networks is published elsewhere, most of them with a model in
Keras or PyTorch. The tests build, count and compare each network on every backend.

Recurrent cells that were published with their equations have [a page of their own](cells.md).
"""


def _page(path: Path, spec: Spec) -> str:
    text = path.read_text(encoding="utf-8")
    # Without a table of contents the picture has more room.
    parts = [f"---\nhide: [toc]\n---\n\n# {spec.name}\n", spec.description + "\n"]
    # To Markdown, a word in angle brackets such as <pad> is a tag.
    parts += [escape(head_comment(text), quote=False) + "\n"]
    parts += [figure(f"{spec.name}, unrolled over time.", f"{spec.name}.svg") + "\n"]
    parts += [_layers(rnnspec.summary(spec)), f"## Sources {{ {UNSEARCHED} }}\n"]
    parts += [tab("Spec", fence("yaml", text)) + "".join(_sources(spec))]
    parts += [f"Compare them: `rnnspec parity specs/{path.name}`\n"]
    return "\n".join(parts)


def _layers(summary: Summary) -> str:
    rows = [
        (layer.name, layer.type, _shape(layer.output_shape), f"{layer.parameters:,}")
        for layer in summary.layers
    ]
    total = ("**total**", "", "", f"**{summary.parameters.total:,}**")
    return table(("layer", "type", "output", "parameters"), [*rows, total])


def _shape(shape: tuple[int | None, ...]) -> str:
    return " x ".join("any" if size is None else f"{size:,}" for size in shape[1:])


def _sources(spec: Spec) -> list[str]:
    return [tab(backend.source_title, _source(spec, backend)) for backend in having(SOURCE)]


_LANGUAGES = {".py": "python", ".h": "c"}


def _source(spec: Spec, backend: Backend) -> str:
    language = _LANGUAGES.get(backend.ending, "text")
    try:
        text = rnnspec.codegen(spec, backend.name)
    except UnsupportedError as error:
        return "Refused:\n\n" + fence("text", str(error))
    if backend.name != "c":
        return fence(language, text)
    interface = text.partition(f"\n#ifdef {spec.name.upper()}_IMPLEMENTATION\n")[0]
    lines = len(text.splitlines()) - len(interface.splitlines())
    link = f"[The whole header]({spec.name}.h) has {lines:,} lines more, the implementation."
    return f"{link}\n\n{fence(language, interface)}"


def _header(spec: Spec) -> str:
    """Return the source of a spec in C, empty if it is refused."""
    try:
        return rnnspec.codegen(spec, "c")
    except UnsupportedError:
        return ""
