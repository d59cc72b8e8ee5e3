"""``rnnspec parity``: compare given or random specs on all backends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rnnspec.cli.terminal import tables
from rnnspec.cli.terminal.frameworks import import_quietly
from rnnspec.cli.terminal.progress import progress
from rnnspec.errors import ParityError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rnnspec.backends import Backend
    from rnnspec.pipeline import Program


@dataclass(frozen=True, slots=True)
class Options:
    """The options for given and for random specs."""

    backends: Sequence[str] | None
    level: str
    dtype: str
    seed: int
    batch: Path | None

    def chosen(self) -> list[Backend]:
        """Return the backends to compare, or raise UsageError before anything slow."""
        from rnnspec.comparison.run import comparable

        return comparable(self.backends, self.level, self.dtype)


def run(specs: Sequence[Program], options: Options, *, json: bool) -> None:
    """Compare ``specs``, print the report, and raise ParityError if something differs."""
    from rnnspec.comparison.batch import read_batch
    from rnnspec.comparison.run import parity

    chosen = options.chosen()
    batch = None if options.batch is None else read_batch(options.batch)
    with progress(len(specs) * len(chosen)) as step:
        step("importing the frameworks")
        import_quietly(chosen)
        report = parity(
            [each.spec for each in specs],
            options.backends,
            level=options.level,
            dtype=options.dtype,
            seed=options.seed,
            batch=batch,
            progress=step,
        )
    if json:
        tables.print_json(report.as_dict())
    else:
        tables.print_parity(report)
    if not report.equal:
        raise ParityError(report.differences)


def run_random(number: int, options: Options, *, json: bool) -> None:
    """Compare random specs; print the smallest that differs as YAML, and raise its error."""
    from rnnspec.comparison.random import compare_random

    chosen = options.chosen()
    if options.dtype != "float64":
        raise UsageError(f"--random compares in float64; it cannot honour --dtype {options.dtype}")
    if options.batch is not None:
        raise UsageError("--random draws a batch for each spec; it cannot honour --batch")
    with progress(number) as step:
        step("importing the frameworks")
        import_quietly(chosen)
        found = compare_random(
            number, options.seed, options.backends, level=options.level, progress=step
        )
    if json:
        tables.print_json(found.as_dict())
    else:
        tables.print_random(found, options.level)
    if found.error is not None:
        raise found.error
