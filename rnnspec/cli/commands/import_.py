"""``rnnspec import``: a trained model of another tool as a spec and its canonical arrays."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from rnnspec.backends import having
from rnnspec.backends.needs import FILES
from rnnspec.cli.options import Config, Force, Ignore, Map
from rnnspec.errors import printable
from rnnspec.importing.kinds import titles

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rnnspec.importing.run import ImportedFile

_KINDS = titles(importable=True)


def import_(
    source: Annotated[
        Path, typer.Argument(metavar="FILE", help=f"{_KINDS[0].upper()}{_KINDS[1:]}.")
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="SPEC",
            help="Spec to write; by default named after FILE, in this folder.",
        ),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Arrays to write; by default SPEC with the ending .safetensors."
        ),
    ] = None,
    spec: Annotated[
        str | None,
        typer.Option(
            "--spec",
            metavar="SPEC",
            help="The spec of FILE, if you have it; then only arrays are written.",
        ),
    ] = None,
    config: Config = None,
    ignore: Ignore = None,
    mapping: Map = None,
    force: Force = False,
) -> None:
    """Read a Keras, PyTorch or ONNX model as a spec and arrays.

    FILE is read as data: no code in it is run. It may be of Keras 2 or 3. Whatever is not
    supported is refused. Then the framework of FILE opens it, if it is installed and can, and
    nothing is written if the spec has other results. A state dict does not say what its modules
    compute: the spec is then a draft, and every guess in it is a comment.
    """
    # Imported here because '--help' reads no model.
    from rnnspec.cli.frameworks import import_required
    from rnnspec.importing.run import import_file

    result = import_file(
        source,
        output,
        weights,
        spec=spec,
        config=config,
        ignore=ignore or (),
        mapping=mapping,
        force=force,
        importing=import_required,
    )
    for line in (*_account(source, result), *_next_steps(source, result, ignore or ())):
        print(printable(line))


def _account(source: Path, result: ImportedFile) -> Iterator[str]:
    """Yield lines about the input, its layers and arrays, and the written files."""
    from rnnspec.results.summaries import summarize

    imported = result.model.imported
    yield f"{source}: {imported.form}"
    layers = [(f"{layer.layer} ({layer.type})", layer.became) for layer in imported.layers]
    width = max((len(layer) for layer, _ in layers), default=0)
    yield from (f"  {layer:{width}} -> {became}" for layer, became in layers)
    yield from (f"inferred: {sentence}" for sentence in imported.inferred)
    yield from (f"not carried over: {sentence}" for sentence in imported.left_out)
    summary = summarize(result.model.program.network)
    yield f"parameters: {summary.parameters.total:,}"
    types = {layer.type for layer in imported.layers}
    if any(layer.type in types for layers in summary.stock.values() for layer in layers):
        yield from summary.stock_counts
    yield str(result.compared)
    yield from (f"wrote {path}" for path in result.paths)


def _next_steps(source: Path, result: ImportedFile, ignore: Sequence[str]) -> Iterator[str]:
    imported, spec = result.model.imported, result.spec
    if imported.guesses:
        yield "guessed, because a state dict does not say it; correct the spec:"
        yield from (f"  {section}: {guess}" for section, guess in imported.guesses)
        options = "".join(f" --ignore {quote(pattern)}" for pattern in ignore)
        yield f"next: rnnspec import {quote(str(source))} --spec {quote(spec)}{options} --force"
        return
    yield f"next: rnnspec parity {quote(spec)}"
    # To another framework than the file's.
    other = next(backend for backend in having(FILES) if backend.name != imported.opener)
    target = f"NAME{other.suffix}" if other.suffix else f"NAME -b {other.name}"
    yield f"      rnnspec convert {quote(str(result.paths[-1]))} {target}"
