"""``rnnspec.draw``: the picture of a network, and its files."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from rnnspec.drawing.options import Options, check_options
from rnnspec.errors import UsageError
from rnnspec.errors.arguments import check_flag, received
from rnnspec.ir.nodes import Network

if TYPE_CHECKING:
    from rnnspec.files import Inputs
    from rnnspec.pipeline import Source


@dataclass(frozen=True, slots=True)
class Picture:
    """The picture of a network. ``str`` gives its SVG, and notebooks show it."""

    network: Network
    options: Options

    def __str__(self) -> str:
        from rnnspec.drawing.formats import svg_text

        return svg_text(self.network, self.options)

    def __repr__(self) -> str:
        return f"Picture({self.network.name}, {self.options.form})"

    def _repr_svg_(self) -> str:
        # A notebook may be dark.
        if self.options.theme == "colour":
            return str(replace(self, options=replace(self.options, theme="auto")))
        return str(self)

    def save(self, path: str | os.PathLike[str], *, force: bool = False) -> None:
        """Write the picture to a file whose ending is that of a format, such as ``.svg``.

        Raises:
            UsageError: no format has the ending, or the file exists and ``force`` is false.
            OutputError: the file cannot be written; what was there still is.
            BackendError: the format needs a package that is not installed.
        """
        check_flag("force", force)
        if not isinstance(path, str | os.PathLike):
            raise UsageError(f"path: expected the path of a file, received {received(path)}")
        write(self, Path(path), force=force)


def draw(  # noqa: PLR0913 - the options of a picture
    spec: Source,
    *,
    form: str = "unrolled",
    steps: int | None = None,
    labels: str = "full",
    theme: str = "colour",
    background: str = "white",
) -> Picture:
    """Return the picture of a network; no framework is needed, and the same spec gives the same.

    Args:
        spec: a path, or what ``load`` returned.
        form: ``unrolled`` over time, or ``folded``: one cell per layer, its state a loop.
        steps: the number of time steps drawn, the last one included, up to 64; by default all of
            at most 5, else 4, or up to 6 if windows gather more.
        labels: ``full``, or ``none`` for the network without the table and the remarks.
        theme: ``colour``; ``dark`` for dark pages; ``auto`` for an SVG file that follows the page
            of its reader; or ``print`` for greys.
        background: ``white``, which is dark in a dark theme, or ``none``.

    Raises:
        SpecError: the spec is wrong.
        UsageError: ``spec`` is neither a path nor a spec, the file cannot be read, an option has
            a value that it cannot have, or the network is too large for a picture.
    """
    from rnnspec.pipeline import program

    return picture(
        program(spec).network,
        form=form, steps=steps, labels=labels, theme=theme, background=background,
    )  # fmt: skip


def picture(  # noqa: PLR0913 - the options of a picture
    network: Network, *, form: str, steps: int | None, labels: str, theme: str, background: str
) -> Picture:
    """Return the picture of a network that has been lowered; see ``draw``."""
    from rnnspec.drawing.attending import fold_projections
    from rnnspec.drawing.layout.grid import rows

    options = check_options(
        network, form=form, steps=steps, labels=labels, theme=theme, background=background
    )
    rows(fold_projections(network).network)  # refuses what is too large, before anything is written
    return Picture(network, options)


def write(picture: Picture, target: Path, *, force: bool, inputs: Inputs | None = None) -> None:
    """Write a picture to a file, unless it is one of ``inputs``; see ``Picture.save``."""
    from rnnspec import files
    from rnnspec.drawing.formats import writer

    make = writer(target)
    inputs = inputs or files.Inputs()
    files.check_target(target, force=force, inputs=inputs)
    content = make(picture.network, picture.options)
    files.write_file(target, content, force=force, inputs=inputs)
