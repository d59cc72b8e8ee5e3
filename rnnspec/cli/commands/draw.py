"""``rnnspec draw``: the picture of a network, in a file or as text."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from rnnspec.cli import completers
from rnnspec.cli.options import AllowOutside, Force, Set, SpecPath
from rnnspec.errors import UsageError, printable


def draw(
    spec: SpecPath,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="File to write: .svg, .png, .pdf, .tex, .mmd or .txt; by default text is printed.",
        ),
    ] = None,
    form: Annotated[
        str,
        typer.Option(metavar="FORM", help="unrolled or folded.", autocompletion=completers.forms),
    ] = "unrolled",
    steps: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Number of time steps to draw, 2 to 64.", show_default=False
        ),
    ] = None,
    labels: Annotated[
        str, typer.Option(metavar="LABELS", help="full or none.", autocompletion=completers.labels)
    ] = "full",
    theme: Annotated[
        str,
        typer.Option(
            metavar="THEME",
            help="colour, dark, print, or auto: an SVG file that follows its reader's page.",
            autocompletion=completers.themes,
        ),
    ] = "colour",
    background: Annotated[
        str,
        typer.Option(
            metavar="GROUND", help="white or none.", autocompletion=completers.backgrounds
        ),
    ] = "white",
    force: Force = False,
    settings: Set = None,
    allow_outside: AllowOutside = False,
) -> None:
    """Draw the network, unrolled over time or folded.

    More than 6 equal layers in a row are drawn as the first, dots, and the last. A network that
    still has more than 60 rows is refused.
    """
    # Imported here because '--help' reads no spec.
    from rnnspec import pipeline
    from rnnspec.cli.inputs import InputFile, files_to_keep, read_settings
    from rnnspec.drawing.formats import plain_text, writer
    from rnnspec.drawing.picture import picture, write

    if output == Path("-"):
        raise UsageError("expected the path of a file; without -o the text form is printed", "-")
    if output is not None:
        writer(output)  # refuses an ending that no format has
    program = pipeline.read(spec, overrides=read_settings(settings), allow_outside=allow_outside)
    drawing = picture(
        program.network, form=form, steps=steps, labels=labels, theme=theme, background=background
    )
    if output is None:
        print(plain_text(drawing.network, drawing.options, unicode=shows_unicode()), end="")
        return
    inputs = files_to_keep([InputFile(program.source)], [program])
    write(drawing, output, force=force, inputs=inputs)
    print(printable(f"wrote {output}"))


def shows_unicode() -> bool:
    """True if standard output is a terminal in UTF-8."""
    encoding = (sys.stdout.encoding or "").lower().replace("-", "")
    return sys.stdout.isatty() and encoding == "utf8"
