"""``rnnspec parity``: compare given or random specs on all backends."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rnnspec.backends import form_named
from rnnspec.cli.inputs import Input, read_files
from rnnspec.cli.terminal.progress import progress
from rnnspec.errors import ParityError, UsageError
from rnnspec.files import check_target, write_file
from rnnspec.processes import single_threaded

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rnnspec.backends import Backend
    from rnnspec.comparison.report import ParityReport
    from rnnspec.files import Inputs
    from rnnspec.pipeline import Program


@dataclass(frozen=True, slots=True)
class Options:
    """The options for given and for random specs."""

    backends: Sequence[str] | None = None
    form: str | None = None
    named_level: str | None = None
    dtype: str = "float64"
    seed: int = 0
    batch: Path | None = None
    html: Path | None = None
    force: bool = False
    jobs: int | None = None
    optimizer: str = "reference"

    def chosen(self) -> list[Backend]:
        """Return the backends to compare, or raise UsageError before anything slow."""
        from rnnspec.comparison.run import comparable

        form = form_named(self.form)
        return comparable(self.backends, self.level, self.dtype, form, own=self.own)

    @property
    def own(self) -> bool:
        """True if the frameworks' own optimizers are compared too."""
        from rnnspec.comparison.levels import trains_own

        return trains_own(self.optimizer, self.named_level, self.dtype)

    @property
    def level(self) -> str:
        """The level to compare up to."""
        from rnnspec.comparison.levels import level_for

        return level_for("training" if self.own else self.named_level, form_named(self.form))


@dataclass(frozen=True, slots=True)
class _Page:
    """The page that a report is written to."""

    target: Path
    options: Options
    kept: Inputs

    @classmethod
    def of(
        cls, options: Options, inputs: Sequence[Input], specs: Sequence[Program]
    ) -> _Page | None:
        """Return the page that the options ask for, once it is known that it can be written."""
        if options.html is None:
            return None
        kept = read_files(inputs, specs)
        if options.batch is not None:
            kept = kept.and_of([(options.batch, "the batch")])
        check_target(options.html, force=options.force, inputs=kept)
        if options.html.suffix not in (".html", ".htm"):
            raise UsageError("expected a path that ends in .html", str(options.html))
        return cls(options.html, options, kept)

    def write(self, report: ParityReport, specs: Sequence[Program]) -> None:
        """Write the page."""
        from rnnspec.html.page import page

        command = shlex.join(["rnnspec", *sys.argv[1:]])
        text = page(report, [each.spec for each in specs], seed=self.options.seed, command=command)
        write_file(self.target, text, force=self.options.force, inputs=self.kept)


@single_threaded()
def run_given(paths: Sequence[str], options: Options, *, allow_outside: bool, json: bool) -> None:
    """Compare the specs at ``paths``, print the report, and raise ParityError if it differs."""
    from rnnspec.cli.inputs import find_inputs
    from rnnspec.cli.specs import load_all

    inputs = find_inputs(paths, allow_outside=allow_outside)
    _run(inputs, load_all(inputs), options, json=json)


def _run(
    inputs: Sequence[Input], specs: Sequence[Program], options: Options, *, json: bool
) -> None:
    from rnnspec.cli.sharing import Processes, jobs_for
    from rnnspec.cli.terminal import tables
    from rnnspec.comparison.batch import read_batch
    from rnnspec.comparison.run import prepared

    chosen = options.chosen()
    page = _Page.of(options, inputs, specs)
    batch = None if options.batch is None else read_batch(options.batch)
    ready = prepared(
        [each.spec for each in specs],
        options.backends,
        level=options.level,
        form=options.form,
        optimizer=options.optimizer,
        dtype=options.dtype,
        seed=options.seed,
        batch=batch,
    )
    jobs = jobs_for(len(specs), options.jobs)
    with progress(len(specs) * (1 if jobs else len(chosen))) as step:
        report = ready.report(Processes(jobs, chosen, step).report(ready))
    if json:
        tables.print_json(report.as_dict())
    else:
        tables.print_parity(report)
    if page is not None:
        page.write(report, specs)
    # After the report, which shows how far apart all values are.
    if not report.equal:
        raise ParityError(report.differences)


@single_threaded()
def run_random(number: int, options: Options, *, json: bool) -> None:
    """Compare random specs; print the smallest that differs as YAML, and raise its error."""
    from rnnspec.cli.sharing import Processes, jobs_for
    from rnnspec.cli.terminal import tables
    from rnnspec.comparison.random import Search, Texts, passes

    planned = passes(options.backends, options.named_level, options.form)
    if options.dtype != "float64":
        raise UsageError(f"--random compares in float64; it cannot honour --dtype {options.dtype}")
    if options.own:
        raise UsageError("--random compares no optimizers; it cannot honour --optimizer own")
    if options.batch is not None:
        raise UsageError("--random draws a batch for each spec; it cannot honour --batch")
    if options.html is not None:
        raise UsageError("--random prints no report of each spec; it cannot honour --html")
    search = Search(Texts(number, options.seed), planned)
    chosen = [backend for each in planned for backend in each.chosen]
    with progress(number) as step:
        sharing = Processes(jobs_for(number, options.jobs), chosen, step)
        outcomes = search.outcomes(sharing.outcomes)
    outcomes.check_accepted()
    found = outcomes.result(search.single)
    if json:
        tables.print_json(found.as_dict())
    else:
        tables.print_random(found, search.again(outcomes))
    if found.error is not None:
        raise found.error
