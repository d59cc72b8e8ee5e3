"""``rnnspec build``: the live model, its own counts, and its files."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError

from rnnspec import files, pipeline
from rnnspec.backends import Backend, chosen
from rnnspec.backends.needs import FILES, MODEL, SOURCE
from rnnspec.cli import tables
from rnnspec.cli.frameworks import import_quietly
from rnnspec.cli.inputs import Input, read_files
from rnnspec.cli.progress import reading
from rnnspec.errors import OutputError, UsageError, printable

if TYPE_CHECKING:
    from pathlib import Path

    from rnnspec.pipeline import Generated, Program


def run(
    program: Program,
    backend_name: str | None,
    seed: int | None,
    output: Path | None,
    *,
    force: bool,
) -> None:
    """Build a spec, print what the framework counts, and write ``output``."""
    backend = chosen(backend_name, SOURCE, MODEL, *(() if output is None else (FILES,)))
    if output is not None:
        _check_output(output, backend, program, force=force)
    backend.require()
    generated = pipeline.generate(program, backend)
    with reading() as progress:
        vectors = pipeline.pretrained(program, progress)
    import_quietly([backend])
    model = pipeline.assemble(generated, vectors, seed=seed)
    if output is not None:
        _check_output(output, backend, program, force=force)
        _save(output, generated, program.spec.document.text, model, force=force)
    tables.print_summary(_counted(generated, model))
    for line in vectors.report() if vectors else ():
        print(printable(line))
    print(f"Built with {backend.runtime.version()}")
    if output is not None:
        _print_written(output, generated)


def _counted(generated: Generated, model: Any) -> pipeline.Summary:
    """Return the summary with the framework's own types and counts in place of the spec's."""
    backend, network = generated.backend, generated.network
    expected, runtime = pipeline.summarize(network), backend.runtime
    rows = tuple(
        pipeline.LayerSummary(
            name=row.name,
            type=runtime.layer_type(model, layer) or row.type,
            output_shape=row.output_shape,
            parameters=runtime.layer_count(model, layer),
        )
        for row, layer in zip(expected.layers, network.layers, strict=True)
    )
    stepwise = {k: v for k, v in expected.stepwise.items() if k == backend.name}
    return pipeline.Summary(network.name, rows, runtime.counts(model), stepwise)


def _names(backend: Backend, name: str) -> tuple[str, ...]:
    """Return the names of the files that are written."""
    return tuple(file.format(name=name) for file in backend.files)


def _check_output(output: Path, backend: Backend, program: Program, *, force: bool) -> None:
    """Raise before the long work begins where its result could not be written."""
    kept = read_files([Input(program.source)], [program])
    check = partial(files.check_target, force=force, inputs=kept)
    if backend.suffix:
        if output.suffix != backend.suffix:
            raise UsageError(f"expected a path that ends in {backend.suffix}", str(output))
        check(output)
    elif files.check_target_folder(output):
        for name in _names(backend, program.spec.name):
            check(output / name)


def _save(output: Path, generated: Generated, spec: str, model: Any, *, force: bool) -> None:
    backend, name = generated.backend, generated.network.name
    with files.staged(output if output.is_dir() else output.parent) as folder:
        made = folder / name
        made.mkdir()
        try:
            backend.saving.save(model, made, name, generated.text, spec)
        except (OSError, SafetensorError) as error:  # a full disk, as each of them says it
            raise OutputError(f"cannot be written: {_reason(error)}", str(output)) from error
        if backend.suffix:
            files.publish({made / f"{name}{backend.suffix}": output}, force=force)
        else:
            _publish_folder(made, output, force=force)


def _publish_folder(made: Path, output: Path, *, force: bool) -> None:
    """Move a folder to ``output``, or what it holds if there is one, perhaps a moment ago."""
    if not output.is_dir():
        try:
            files.publish({made: output}, force=force)
        except (UsageError, OutputError):
            if not output.is_dir():
                raise
        else:
            return
    files.publish({path: output / path.name for path in sorted(made.iterdir())}, force=force)


def _reason(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error)).lower()


def _print_written(output: Path, generated: Generated) -> None:
    """Say what was written, and how it becomes a model again."""
    single = bool(generated.backend.suffix)
    made = (
        [output]
        if single
        else [output / name for name in _names(generated.backend, generated.network.name)]
    )
    for path in made:
        print(printable(f"wrote {path}"))
    words = {
        "name": generated.network.name,
        "entry": generated.entry,
        "path": str(made[-1]),
        "folder": str(output),
    }
    print("To load it, without rnnspec:")
    for line in (*generated.before_loading, *generated.backend.loading):
        print(f"  {line.format_map(words)}")
