"""``rnnspec draw``: the picture of a network, in a file or as text."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rnnspec.cli.inputs import Input, read_files
from rnnspec.cli.terminal.pictures import shows_unicode
from rnnspec.drawing.formats import plain_text, writer
from rnnspec.drawing.picture import write
from rnnspec.errors import UsageError, printable

if TYPE_CHECKING:
    from rnnspec.drawing.picture import Picture
    from rnnspec.pipeline import Program


def check_output(output: Path | None) -> None:
    """Raise UsageError if no format has the ending of ``output``."""
    if output == Path("-"):
        raise UsageError("expected the path of a file; without -o the text form is printed", "-")
    if output is not None:
        writer(output)


def run(program: Program, picture: Picture, output: Path | None, *, force: bool) -> None:
    """Print the text form of a picture, or write it to ``output``.

    Raises:
        UsageError: ``output`` exists and ``force`` is not given, or it is an input.
        OutputError: it cannot be written.
    """
    if output is None:
        print(plain_text(picture.network, picture.options, unicode=shows_unicode()), end="")
        return
    kept = read_files([Input(program.source)], [program])
    write(picture, output, force=force, inputs=kept)
    print(printable(f"wrote {output}"))
