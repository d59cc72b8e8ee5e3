"""``rnnspec build``: build the model, print what the framework counts, and save it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rnnspec import building, pipeline, saving
from rnnspec.backends import Backend, chosen, form_named, needs
from rnnspec.backends.needs import FILES, MODEL
from rnnspec.cli.inputs import Input, read_files
from rnnspec.cli.terminal import tables
from rnnspec.cli.terminal.frameworks import import_quietly
from rnnspec.cli.terminal.progress import reading
from rnnspec.errors import printable
from rnnspec.summaries import LayerSummary, Summary, summarize

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rnnspec.pipeline import Generated, Program


@dataclass(frozen=True, slots=True)
class Options:
    """The options of the command."""

    backend: str | None
    form: str | None
    seed: int | None
    output: Path | None
    force: bool

    def chosen(self) -> Backend:
        """Return the backend to build with."""
        source = needs.source(form_named(self.form))
        return chosen(self.backend, *source, MODEL, *(() if self.output is None else (FILES,)))


def run(program: Program, options: Options) -> None:
    """Build a spec, print the parameters that the framework counts, and write a file if asked."""
    output, force, seed = options.output, options.force, options.seed
    backend, equal = options.chosen(), ""
    if output is not None:
        _check_output(output, backend, program, force=force)
    # Checked before the framework is imported, and again below, because building takes time.
    backend.require()
    generated = pipeline.generate(program, backend, form_named(options.form))
    arrays = building.trained(program, seed)
    with reading() as progress:
        vectors = building.pretrained(program, progress)
    import_quietly([backend])
    model = building.assemble(generated, vectors, seed=seed, arrays=arrays)
    if output is not None:
        _check_output(output, backend, program, force=force)
        # Before the summary, which would look like success if saving failed.
        equal = _save(output, program, generated, model, force=force)
    tables.print_summary(_counted(generated, model))
    for line in _about_zeros(generated):
        print(line)
    for line in vectors.report() if vectors else ():
        print(printable(line))
    print(f"Built with {backend.runtime.version()}")
    if output is not None:
        _print_written(output, generated, equal)


def _about_zeros(generated: Generated) -> Iterator[str]:
    """Yield a line if the framework counts zeros that the spec has no parameters for."""
    zeros = sum(generated.store.zeros.values())
    if zeros:
        yield f"Zeros among them, in second biases that only stock layers have: {zeros:,}"


def _save(output: Path, program: Program, generated: Generated, model: Any, *, force: bool) -> str:
    """Write the files of a model, and return the result of the comparison, if there is one.

    A model that is written to be deployed is compared with the reference first.
    """
    text = program.spec.document.text
    if generated.form == "training":
        saving.save(output, generated, text, model, force=force)
        return ""
    # Imported here: a model that is not compared needs no reference.
    from rnnspec.convert.verify import Proof

    proof = Proof(program, generated, generated.store.read(model))
    saving.save(output, generated, text, model, force=force, verify=proof)
    return proof.equal


def _counted(generated: Generated, model: Any) -> Summary:
    """Return the summary with types and counts from the framework instead of the spec."""
    backend, network = generated.backend, generated.network
    expected, runtime = summarize(network), backend.runtime
    rows = tuple(
        LayerSummary(
            name=row.name,
            type=runtime.layer_type(model, layer) or row.type,
            output_shape=row.output_shape,
            parameters=runtime.layer_count(model, layer),
        )
        for row, layer in zip(expected.layers, network.layers, strict=True)
    )
    stepwise = {k: v for k, v in expected.stepwise.items() if k == backend.name}
    return Summary(network.name, rows, runtime.counts(model), stepwise)


def _check_output(output: Path, backend: Backend, program: Program, *, force: bool) -> None:
    kept = read_files([Input(program.source)], [program])
    saving.check_output(output, backend, program.spec.name, force=force, inputs=kept)


def _print_written(output: Path, generated: Generated, equal: str) -> None:
    """Print the written paths, how equal they are, and the code that loads the model again."""
    for path in saving.written(output, generated):
        print(printable(f"wrote {path}"))
    if equal:
        print(f"equal: {equal}")
    print("To load it, without rnnspec:")
    for line in saving.loading(output, generated):
        print(f"  {line}")
