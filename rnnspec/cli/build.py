"""``rnnspec build``: the live model, its own counts, and its files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError

from rnnspec import compiler, files
from rnnspec.backends import Backend, chosen
from rnnspec.cli import tables
from rnnspec.cli.frameworks import import_quietly
from rnnspec.cli.progress import reading
from rnnspec.errors import OutputError, UsageError, printable
from rnnspec.weights.live import origin

if TYPE_CHECKING:
    from pathlib import Path

    from rnnspec.spec.models import Spec


def run(
    spec: Spec, backend_name: str | None, seed: int | None, output: Path | None, *, force: bool
) -> None:
    """Build ``spec``, print what the framework counts, and write ``output``."""
    backend = chosen(backend_name)
    if output is not None:
        _check_output(output, backend, spec.name, force=force)
    backend.require()
    with reading() as progress:
        vectors = compiler.pretrained(spec, progress)
    import_quietly([backend])
    model = compiler.assemble(spec, backend, vectors, seed=seed)
    if output is not None:
        _check_output(output, backend, spec.name, force=force)
        _save(output, spec, backend, model)
    tables.print_summary(_counted(spec, backend, model))
    for line in vectors.report() if vectors else ():
        print(printable(line))
    print(f"Built with {backend.runtime.version()}")
    if output is not None:
        _print_written(output, spec, backend)


def _counted(spec: Spec, backend: Backend, model: Any) -> compiler.Summary:
    """Return the summary with the framework's own types and counts in place of the spec's."""
    expected, runtime = compiler.summary(spec), backend.runtime
    rows = tuple(
        compiler.LayerSummary(
            name=row.name,
            type=runtime.layer_type(model, layer) or row.type,
            output_shape=row.output_shape,
            parameters=runtime.layer_count(model, layer),
        )
        for row, layer in zip(expected.layers, origin(model).network.layers, strict=True)
    )
    stepwise = {k: v for k, v in expected.stepwise.items() if k == backend.name}
    return compiler.Summary(spec.name, rows, runtime.counts(model), stepwise)


def _names(backend: Backend, name: str) -> tuple[str, ...]:
    return (f"{name}{backend.suffix}",) if backend.suffix else (f"{name}.py", f"{name}.safetensors")


def _check_output(output: Path, backend: Backend, name: str, *, force: bool) -> None:
    """Raise before the long work begins where its result could not be written."""
    if backend.suffix:
        if output.suffix != backend.suffix:
            raise UsageError(f"expected a path that ends in {backend.suffix}", str(output))
        files.check_target(output, force=force)
    elif output.is_dir():
        for file in _names(backend, name):
            files.check_target(output / file, force=force)
    elif output.exists():
        raise UsageError("is a file, expected a folder", str(output))
    else:
        files.check_folder(output.parent)


def _save(output: Path, spec: Spec, backend: Backend, model: Any) -> None:
    source = compiler.codegen(spec, backend.name)
    with files.staged(output if output.is_dir() else output.parent) as folder:
        made = folder / spec.name
        made.mkdir()
        try:
            backend.runtime.save(model, made, spec.name, source, spec.document.text)
        except (OSError, SafetensorError) as error:  # a full disk, as each of them says it
            raise OutputError(f"cannot be written: {_reason(error)}", str(output)) from error
        names = _names(backend, spec.name)
        if backend.suffix:
            files.publish({made / names[0]: output})
        elif output.is_dir():
            files.publish({made / name: output / name for name in names})
        else:
            files.publish({made: output})


def _reason(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error)).lower()


def _print_written(output: Path, spec: Spec, backend: Backend) -> None:
    """Say what was written, and how it becomes a model again."""
    made = [output] if backend.suffix else [output / name for name in _names(backend, spec.name)]
    for path in made:
        print(printable(f"wrote {path}"))
    words = {
        "name": spec.name,
        "entry": backend.emitter.emit(compiler.lower(spec)).entry,
        "path": str(made[-1]),
        "folder": str(output),
    }
    print("To load it, without rnnspec:")
    for line in backend.loading:
        print(f"  {line.format_map(words)}")
