"""``rnnspec parity``: compare given or random specs on all backends."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rnnspec.backends import BACKENDS, form_named, names
from rnnspec.cli import completers
from rnnspec.cli.options import AllowOutside, Force, Json, Set, SourceForm
from rnnspec.errors import ParityError, UsageError
from rnnspec.files import check_target, write_file

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rnnspec.backends import Backend
    from rnnspec.comparison.random import Pass, SearchResult
    from rnnspec.comparison.report import ParityReport
    from rnnspec.comparison.run import Prepared


def parity(
    specs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SPECS",
            help="Specs, folders, patterns, or - for standard input.",
            autocompletion=completers.specs,
        ),
    ] = None,
    backend: Annotated[
        list[str] | None,
        typer.Option(
            "--backend",
            "-b",
            metavar="NAMES",
            help=f"One or more of {names()}, as in {','.join(list(BACKENDS)[:2])}; by default all "
            "that support LEVEL and TYPE.",
            show_default=False,
            autocompletion=completers.several_backends,
        ),
    ] = None,
    former_backend: Annotated[
        list[str] | None,
        typer.Option("--backends", hidden=True, autocompletion=completers.several_backends),
    ] = None,
    level: Annotated[
        str | None,
        typer.Option(
            metavar="LEVEL",
            help="counts, forward, gradients (the default) or training.",
            autocompletion=completers.levels,
        ),
    ] = None,
    form: SourceForm = None,
    optimizer: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="reference: rnnspec's optimizers only; own: those of the frameworks too.",
            autocompletion=completers.optimizers,
        ),
    ] = "reference",
    dtype: Annotated[
        str,
        typer.Option(metavar="TYPE", help="float64 or float32.", autocompletion=completers.dtypes),
    ] = "float64",
    random: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Compare N random specs instead.")
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, metavar="N", help="Seed of arrays, batches and random specs.")
    ] = 0,
    batch: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help=".npy array to run on, or .npz of named inputs; by default random."
        ),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs", min=1, metavar="N", help="Number of processes that share the specs."
        ),
    ] = None,
    json: Json = False,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write the report as a page.")
    ] = None,
    force: Force = False,
    settings: Set = None,
    allow_outside: AllowOutside = False,
) -> None:
    """Check that every backend builds the same network from a spec.

    All backends get the same arrays and batches. Each level includes those before it: numbers of
    parameters, outputs, gradients, and 20 steps of training.
    """
    lists = [*(backend or ()), *(former_backend or ())]
    listed = [name.strip() for group in lists for name in group.split(",")]
    backends = list(dict.fromkeys(listed)) or None
    if (random is None) == (not specs):
        raise UsageError("expected either specs or --random N")
    # Imported here because '--help' computes nothing.
    from rnnspec.machine.processes import single_threaded

    # NumPy reads the number of threads when it is imported.
    with single_threaded():
        if random is not None:
            from rnnspec.comparison.random import passes

            if settings:
                raise UsageError("--set is about the specs of files; random ones have none")
            planned = passes(backends, level, form)
            _check_random(level, dtype, optimizer, batch, html)
            _compare_random(random, seed, planned, jobs, backends, level, form, json=json)
            return
        from rnnspec.cli.guard import print_json
        from rnnspec.cli.inputs import files_to_keep, find_inputs, load_all
        from rnnspec.comparison.batch import read_batch
        from rnnspec.comparison.levels import level_for, trains_own
        from rnnspec.comparison.run import comparable, prepare
        from rnnspec.results import tables

        inputs = find_inputs(specs or [], allow_outside=allow_outside, settings=settings)
        programs = load_all(inputs)
        source_form = form_named(form)
        optimizers = trains_own(optimizer, level, dtype)
        highest = level_for("training" if optimizers else level, source_form)
        chosen = comparable(backends, highest, dtype, source_form, optimizers=optimizers)
        others = [] if batch is None else [(batch, "the batch")]
        protected = files_to_keep(inputs, programs, others)
        if html is not None:
            check_target(html, force=force, inputs=protected)
            if html.suffix not in (".html", ".htm"):
                raise UsageError("expected a path that ends in .html", str(html))
        ready = prepare(
            [program.spec for program in programs],
            backends,
            level=highest,
            form=form,
            optimizer=optimizer,
            dtype=dtype,
            seed=seed,
            batch=None if batch is None else read_batch(batch),
        )
        report = _compare(ready, chosen, jobs)
        if json:
            print_json(report.as_dict())
        else:
            tables.print_result(report)
        if html is not None:
            from rnnspec.results.page import page

            command = shlex.join(["rnnspec", *sys.argv[1:]])
            text = page(report, [program.spec for program in programs], seed=seed, command=command)
            write_file(html, text, force=force, inputs=protected)
        # After the report, which shows how far apart all values are.
        if not report.equal:
            raise ParityError(report.differences)


def _compare(ready: Prepared, backends: Sequence[Backend], jobs: int | None) -> ParityReport:
    from rnnspec.cli.progress import progress
    from rnnspec.cli.workers import Processes, jobs_for

    number = len(ready.tasks)
    jobs = jobs_for(number, jobs)
    with progress(number * (1 if jobs else len(backends))) as step:
        return ready.report(Processes(jobs, backends, step).report(ready))


def _check_random(
    level: str | None, dtype: str, optimizer: str, batch: Path | None, html: Path | None
) -> None:
    """Raise UsageError for an option that random specs do not honour."""
    from rnnspec.comparison.levels import trains_own

    if dtype != "float64":
        raise UsageError(f"--random compares in float64; it cannot honour --dtype {dtype}")
    if trains_own(optimizer, level, dtype):
        raise UsageError("--random compares no optimizers; it cannot honour --optimizer own")
    if batch is not None:
        raise UsageError("--random draws a batch for each spec; it cannot honour --batch")
    if html is not None:
        raise UsageError("--random prints no report of each spec; it cannot honour --html")


def _compare_random(
    number: int,
    seed: int,
    planned: tuple[Pass, ...],
    jobs: int | None,
    backends: list[str] | None,
    level: str | None,
    form: str | None,
    *,
    json: bool,
) -> None:
    """Compare random specs; print the smallest that differs as YAML, and raise its error."""
    from rnnspec.cli.guard import print_json
    from rnnspec.cli.progress import progress
    from rnnspec.cli.workers import Processes, jobs_for
    from rnnspec.comparison.random import compare_random

    chosen = [backend for part in planned for backend in part.chosen]
    with progress(number) as step:
        compare = Processes(jobs_for(number, jobs), chosen, step).outcomes
        result = compare_random(number, seed, backends, level=level, form=form, compare=compare)
    if json:
        print_json(result.as_dict())
    else:
        _print_random(result, planned)
    if result.error is not None:
        raise result.error


def _print_random(result: SearchResult, planned: tuple[Pass, ...]) -> None:
    """Print the result for random specs.

    If one failed, the smallest failing spec is printed with the result as comments, so the output
    is a spec that reproduces the failure.
    """
    lines = [f"Largest difference in {name}: {most:.1e}" for name, most in result.largest.items()]
    for name, part in result.backends.items():
        if part.dtype == "float64":
            continue
        for level, most in part.largest.items():
            lines.append(f"Largest difference in {level} in {part.dtype} on {name}: {most:.1e}")
        if part.compared < result.compared:
            lines.append(f"left out by {name}: {result.compared - part.compared}")
    if result.refused:
        lines.append(f"refused: {result.refused}")
    absent = [backend for part in planned for backend in part.absent]
    lines += [f"Left out {backend.name}: {backend.absence}" for backend in absent]
    if not result.spec:
        print(*lines, f"equal: {result.compared} random specs", sep="\n")
        return
    # No seed is needed to see it again, because the whole spec follows.
    command = f"rnnspec parity FILE {result.again}"
    lines.append(f"equal so far: {result.compared}; this one is not; to see it again: {command}")
    print(*(f"# {line}" for line in lines), sep="\n")
    print(result.spec, end="")
