"""``rnnspec build``: build the model, print what the framework counts, and save it."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rnnspec.backends import Backend as Record
from rnnspec.backends import choose, declared_options, form_named, needs, option_needs, options_in
from rnnspec.backends.contract import DEFAULTS, SourceOptions
from rnnspec.backends.needs import FILES, MODEL, Need
from rnnspec.cli.options import (
    BACKENDS_OF_FILES,
    BACKENDS_OF_FOLDERS,
    AllowOutside,
    Backend,
    Force,
    Set,
    SourceForm,
    SpecPath,
    takes_source_options,
)
from rnnspec.errors import UsageError, listed, printable

if TYPE_CHECKING:
    from rnnspec.models.building import Built
    from rnnspec.pipeline import Generated
    from rnnspec.results.summaries import Summary

_TARGETS = [
    *(f"a {backend.suffix} file for {backend.name}" for backend in BACKENDS_OF_FILES),
    f"a folder for {listed([backend.name for backend in BACKENDS_OF_FOLDERS], 'or')}",
]


@takes_source_options
def build(
    spec: SpecPath,
    backend: Backend = None,
    seed: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="N",
            help="Seed of the weights, which are then the same on every backend.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="OUT", help=f"{listed(_TARGETS, 'or')}.".capitalize()
        ),
    ] = None,
    form: SourceForm = None,
    options: SourceOptions = DEFAULTS,
    force: Force = False,
    settings: Set = None,
    allow_outside: AllowOutside = False,
) -> None:
    """Build the model, print its layers, and save it with -o."""
    # Imported here because '--help' reads no spec.
    from rnnspec import pipeline
    from rnnspec.cli.frameworks import import_required
    from rnnspec.cli.inputs import InputFile, files_to_keep, read_settings
    from rnnspec.cli.progress import reading
    from rnnspec.models.building import Output, build_model
    from rnnspec.results import tables

    program = pipeline.read(spec, overrides=read_settings(settings), allow_outside=allow_outside)
    source = form_named(form)
    if output is not None:
        options = {**options, **options_in(output)}
    chosen = choose(
        backend,
        *needs.source(source),
        MODEL,
        *option_needs(options),
        *_output_needs(backend, output, options),
    ).with_options(options)
    inputs = files_to_keep([InputFile(program.source)], [program])
    written = None if output is None else Output(output, force, inputs)
    with ExitStack() as bar:

        def import_framework(framework: Record) -> None:
            bar.close()  # of the vectors, which are read by now
            import_required(framework)

        progress = bar.enter_context(reading())
        built = build_model(
            program,
            chosen,
            source,
            seed,
            written,
            options=options,
            importing=import_framework,
            progress=progress,
        )
    tables.print_result(_count(built.generated, built.model))
    _print_account(built, output)


def _output_needs(
    backend: str | None, output: Path | None, options: SourceOptions
) -> tuple[Need, ...]:
    """Return the needs to write the files; without a named backend, an ending decides.

    Raises:
        UsageError: an option needs an output, and there is none.
    """
    if output is None:
        for option in declared_options("build").values():
            if option.output and option.name in options:
                raise UsageError(f"{option.flag} needs -o: {option.output}")
        return ()
    if backend is None and output.suffix in {known.suffix for known in BACKENDS_OF_FILES}:
        return (FILES, needs.ending(output.suffix))
    return (FILES,)


def _count(generated: Generated, model: Any) -> Summary:
    """Return the summary with types and counts from the framework instead of the spec."""
    from rnnspec.results.summaries import summarize

    backend, network = generated.backend, generated.network
    expected, runtime = summarize(network), backend.runtime
    rows = tuple(
        replace(
            row,
            type=runtime.layer_type(model, layer) or row.type,
            parameters=runtime.layer_count(model, layer),
        )
        for row, layer in zip(expected.layers, network.layers, strict=True)
    )
    stepwise = {k: v for k, v in expected.stepwise.items() if k == backend.name}
    counts = runtime.counts(model)
    return replace(expected, layers=rows, parameters=counts, stepwise=stepwise, stock={})


def _print_account(built: Built, output: Path | None) -> None:
    """Print what the table does not say, the written paths, and the code that loads them."""
    from rnnspec.models import saving

    backend = built.generated.backend
    # Zeros that the framework counts, and that the spec has no parameters for.
    if zeros := sum(built.generated.store.zeros.values()):
        layers = f"layers of {backend.title} have a second bias, not needed here"
        print(f"{zeros:,} of them are zero: {layers}")
    for line in (line for vectors in built.vectors for line in vectors.report()):
        print(printable(line))
    print(f"Built with {backend.runtime.version()}")
    if output is None:
        return
    for path in saving.output_paths(output, built.generated):
        print(printable(f"wrote {path}"))
    for line in built.equal:
        print(line)
    print("To load it, without rnnspec:")
    for line in saving.loading(output, built.generated):
        print(f"  {line}")
