"""``rnnspec build``: build the model, print what the framework counts, and save it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from rnnspec import building, pipeline, saving
from rnnspec.arguments import one_of
from rnnspec.backends import Backend, Need, choose, form_named, needs, quantized
from rnnspec.backends.needs import FILES, MODEL
from rnnspec.cli.inputs import Input, read_files
from rnnspec.cli.terminal import tables
from rnnspec.cli.terminal.frameworks import import_quietly
from rnnspec.cli.terminal.progress import reading
from rnnspec.errors import UsageError, printable
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
    quantize: str | None = None

    def chosen(self) -> Backend:
        """Return the backend to build with."""
        source = needs.source(form_named(self.form))
        files = () if self.output is None else (FILES,)
        return choose(self.backend, *source, MODEL, *files, *self._quantized())

    def _quantized(self) -> tuple[Need, ...]:
        if self.quantize is None:
            return ()
        kind = one_of("type", self.quantize, quantized())
        if self.output is None:
            raise UsageError("--quantize needs -o: the file is quantized")
        return (needs.quantized(kind),)


def run(program: Program, options: Options) -> None:
    """Build a spec, print the parameters that the framework counts, and write a file if asked."""
    output, force, seed = options.output, options.force, options.seed
    backend, proven = options.chosen(), list[str]()
    if output is not None:
        _check_output(output, backend, program, force=force)
    # Checked before the framework is imported, and again below, because building takes time.
    backend.require()
    generated = pipeline.generate(program, backend, form_named(options.form))
    if options.quantize is not None:
        # Imported here, as below: a model that is not compared needs no reference.
        from rnnspec.convert.quantized import check

        check(program, generated, options.quantize)
    arrays = building.trained(program, seed)
    with reading() as progress:
        vectors = building.pretrained(program, progress)
    import_quietly([backend])
    model = building.assemble(generated, vectors, seed=seed, arrays=arrays)
    if output is not None:
        _check_output(output, backend, program, force=force)
        # Before the summary, which would look like success if saving failed.
        proven = _save(output, program, generated, model, options)
    tables.print_summary(_counted(generated, model))
    for line in _about_zeros(generated):
        print(line)
    for line in vectors.report() if vectors else ():
        print(printable(line))
    print(f"Built with {backend.runtime.version()}")
    if output is not None:
        _print_written(output, generated, proven)


def _about_zeros(generated: Generated) -> Iterator[str]:
    """Yield a line if the framework counts zeros that the spec has no parameters for."""
    zeros = sum(generated.store.zeros.values())
    if zeros:
        title = generated.backend.title
        yield f"{zeros:,} of them are zero: layers of {title} have a second bias, not needed here"


def _save(
    output: Path, program: Program, generated: Generated, model: Any, options: Options
) -> list[str]:
    """Write the files of a model, and return lines about the comparison, if there is one.

    A model that is written to be deployed is compared with the reference first.
    """
    save = partial(saving.save, output, generated, program.spec.document.text, model)
    if generated.form == "training":
        save(force=options.force)
        return []
    # Imported here: a model that is not compared needs no reference.
    from rnnspec.comparison.verify import Proof
    from rnnspec.convert.quantized import Quantization

    proof = Proof(program, generated, generated.store.read(model))
    if options.quantize is None:
        save(force=options.force, verify=proof)
        return [f"equal to {proof.equal}"]
    quantization = Quantization(proof, options.quantize, output)
    save(force=options.force, verify=quantization)
    return [f"equal to {proof.equal}, before quantization", *quantization.report()]


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


def _print_written(output: Path, generated: Generated, proven: list[str]) -> None:
    """Print the written paths, how equal they are, and the code that loads the model again."""
    for path in saving.output_paths(output, generated):
        print(printable(f"wrote {path}"))
    for line in proven:
        print(line)
    print("To load it, without rnnspec:")
    for line in saving.loading(output, generated):
        print(f"  {line}")
