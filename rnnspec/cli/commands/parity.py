"""``rnnspec parity``: compare given or random specs on all backends."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rnnspec.backends import form_named
from rnnspec.cli.inputs import Input, read_files
from rnnspec.cli.terminal import tables
from rnnspec.cli.terminal.frameworks import import_quietly
from rnnspec.cli.terminal.progress import progress
from rnnspec.errors import ParityError, UsageError
from rnnspec.files import check_target, write_file

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

    backends: Sequence[str] | None
    form: str | None
    named_level: str | None
    dtype: str
    seed: int
    batch: Path | None
    html: Path | None
    force: bool
    optimizer: str

    def chosen(self) -> list[Backend]:
        """Return the backends to compare, or raise UsageError before anything slow."""
        from rnnspec.comparison.run import comparable

        form = form_named(self.form)
        return comparable(self.backends, self.level, self.dtype, form, own=self.own)

    @property
    def own(self) -> bool:
        """Whether the frameworks' own optimizers are compared too."""
        from rnnspec.comparison.levels import trains_own

        return trains_own(self.optimizer, self.named_level, self.dtype)

    @property
    def level(self) -> str:
        """The level to compare up to."""
        from rnnspec.comparison.levels import level_for

        return level_for("training" if self.own else self.named_level, form_named(self.form))

    @property
    def words(self) -> str:
        """The options that ask for the same comparison of a spec again."""
        form = "" if self.form is None else f" --form {self.form}"
        return f"--level {self.level}{form}"


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
        return cls(options.html, options, kept)

    def write(self, report: ParityReport, specs: Sequence[Program]) -> None:
        """Write the page."""
        from rnnspec.html.page import page

        command = shlex.join(["rnnspec", *sys.argv[1:]])
        text = page(report, [each.spec for each in specs], seed=self.options.seed, command=command)
        write_file(self.target, text, force=self.options.force, inputs=self.kept)


def run(inputs: Sequence[Input], specs: Sequence[Program], options: Options, *, json: bool) -> None:
    """Compare the specs in ``inputs``, print the report, and raise ParityError if it differs."""
    from rnnspec.comparison.batch import read_batch
    from rnnspec.comparison.run import parity

    chosen = options.chosen()
    page = _Page.of(options, inputs, specs)
    batch = None if options.batch is None else read_batch(options.batch)
    with progress(len(specs) * len(chosen)) as step:
        step("importing the frameworks")
        import_quietly(chosen)
        report = parity(
            [each.spec for each in specs],
            options.backends,
            level=options.level,
            form=options.form,
            optimizer=options.optimizer,
            dtype=options.dtype,
            seed=options.seed,
            batch=batch,
            progress=step,
        )
    if json:
        tables.print_json(report.as_dict())
    else:
        tables.print_parity(report)
    if page is not None:
        page.write(report, specs)
    # After the report, which shows how far apart all values are.
    if not report.equal:
        raise ParityError(report.differences)


def run_random(number: int, options: Options, *, json: bool) -> None:
    """Compare random specs; print the smallest that differs as YAML, and raise its error."""
    from rnnspec.comparison.random import compare_random

    chosen = options.chosen()
    if options.dtype != "float64":
        raise UsageError(f"--random compares in float64; it cannot honour --dtype {options.dtype}")
    if options.own:
        raise UsageError("--random compares no optimizers; it cannot honour --optimizer own")
    if options.batch is not None:
        raise UsageError("--random draws a batch for each spec; it cannot honour --batch")
    if options.html is not None:
        raise UsageError("--random prints no report of each spec; it cannot honour --html")
    with progress(number) as step:
        step("importing the frameworks")
        import_quietly(chosen)
        found = compare_random(
            number,
            options.seed,
            options.backends,
            level=options.level,
            form=options.form,
            progress=step,
        )
    if json:
        tables.print_json(found.as_dict())
    else:
        tables.print_random(found, options.words)
    if found.error is not None:
        raise found.error
