"""``rnnspec codegen``: print source, write it, or check that written source is up to date."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from rnnspec import pipeline
from rnnspec.backends import BACKENDS, Backend, choose, form_named, needs
from rnnspec.cli.inputs import read_files
from rnnspec.cli.specs import load_all
from rnnspec.cli.terminal.messages import tell
from rnnspec.errors import UnsupportedError, UsageError, printable
from rnnspec.files import (
    NO_WORKING_FOLDER,
    Inputs,
    check_target,
    has_working_folder,
    write_file,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rnnspec.cli.inputs import Input
    from rnnspec.ir.forms import Form
    from rnnspec.pipeline import Program


_MODELS = frozenset(filter(None, (each.suffix for each in BACKENDS.values())))
"""Endings of files that other programs would not expect source in."""


@dataclass(frozen=True, slots=True)
class Source:
    """Generated text, the path of its spec, and the file to write."""

    spec: str
    target: Path
    text: str


@dataclass(frozen=True, slots=True)
class Options:
    """The options of the command."""

    backend: str | None
    form: str | None
    output: Path | None
    force: bool
    check: bool


@dataclass(frozen=True, slots=True)
class _Writer:
    """A backend, and the form of its source that is asked for."""

    backend: Backend
    form: Form | None

    @classmethod
    def of(cls, options: Options) -> _Writer:
        form = form_named(options.form)
        return cls(choose(options.backend, *needs.source(form)), form)

    def text(self, program: Program) -> str:
        """Return the source of a network."""
        return pipeline.generate(program, self.backend, self.form).text

    @property
    def words(self) -> list[str]:
        """The options that ask for it again."""
        form = [] if self.form is None else ["--form", self.form]
        return ["--backend", self.backend.name, *form]


def run(inputs: Sequence[Input], options: Options) -> None:
    """Print the source of the specs, write it to ``output``, or compare it with ``output``.

    ``output`` is a file, or a folder for files that are named after their networks.
    """
    output, force, check = options.output, options.force, options.check
    if check and (force or output is None):
        raise UsageError("--check needs -o, and writes nothing, so there is nothing to --force")
    if output == Path("-"):
        raise UsageError("expected the path of a file; without -o the source is printed", "-")
    if output is not None and output.suffix in _MODELS:
        raise UsageError(
            f"expected a path for source; 'rnnspec build' writes {output.suffix}", str(output)
        )
    programs = load_all(inputs)
    writer = _Writer.of(options)
    if output is None:
        if len(programs) > 1:
            raise UsageError("expected -o FOLDER, because there are several specs")
        print(writer.text(programs[0]), end="")
        return
    targets = _targets(programs, output, writer.backend.ending, check=check)
    if check:
        # A check writes nothing, so the targets are not checked for writing.
        _check(_generated(programs, targets, writer), writer, output)
        return
    kept = read_files(inputs, programs)
    for target in targets:
        check_target(target, force=force, inputs=kept)
    # All sources are generated before the first is written, so a refusal leaves nothing half
    # written.
    _write(_generated(programs, targets, writer), kept, force=force)


def _targets(programs: Sequence[Program], output: Path, ending: str, *, check: bool) -> list[Path]:
    """Return the path of the source of each spec."""
    if check and not output.is_absolute() and not has_working_folder():
        raise UsageError(NO_WORKING_FOLDER, str(output))
    # Before Python 3.14, some methods of Path raise if a name is too long; os.path does not.
    exists = os.path.exists(output)  # noqa: PTH110
    if not os.path.isdir(output):  # noqa: PTH112
        absent = check and not output.name.endswith(ending) and not exists
        if len(programs) > 1 or absent:
            raise UsageError(
                "is a file, expected a folder" if exists else "no such folder", str(output)
            )
        return [output]
    # The same spec given twice is no conflict: both times the same text would be written.
    owners: dict[str, str] = {}
    for program in programs:
        name, source = program.spec.name, program.source
        if (other := owners.setdefault(name, source)) != source:
            raise UsageError(
                f"has the name '{name}', which {other} has too, so both would be "
                f"written to {output / name}{ending}",
                source,
            )
    return [output / f"{program.spec.name}{ending}" for program in programs]


def _generated(
    programs: Sequence[Program], targets: Sequence[Path], writer: _Writer
) -> list[Source]:
    """Return every source, or print a message for each spec that the backend refuses, and exit."""
    sources, refused = [], []
    for program, target in zip(programs, targets, strict=True):
        try:
            sources.append(Source(program.source, target, writer.text(program)))
        except UnsupportedError as error:
            refused.append(error)
    if refused:
        tell("\n".join(map(str, refused)))
        raise typer.Exit(UnsupportedError.exit_code)
    return sources


def _write(sources: Sequence[Source], kept: Inputs, *, force: bool) -> None:
    for source in sources:
        write_file(source.target, source.text, force=force, inputs=kept)
        print(printable(f"wrote {source.target}"))


def _check(sources: Sequence[Source], writer: _Writer, output: Path) -> None:
    """Print a patch that brings the files up to date, and exit with 1 unless it is empty."""
    from rnnspec.cli.terminal.patch import committed, print_patch

    stale, messages = [], []
    for source in sources:
        before = committed(source.target)
        if before != source.text:
            print_patch(source.target, before, source.text)
            stale.append(source.spec)
            what = "is missing, the source of" if before is None else "is not up to date with"
            messages.append(printable(f"{source.target}: error: {what} {source.spec}"))
    if stale:
        tell("\n".join([*messages, _remedy(stale, writer, output)]))
        raise typer.Exit(1)
    print(f"{len(sources)} source{'' if len(sources) == 1 else 's'}: up to date")


def _remedy(specs: Sequence[str], writer: _Writer, output: Path) -> str:
    words = ["rnnspec", "codegen", *specs, *writer.words, "-o", str(output), "--force"]
    # Quoted, because the line will be pasted into a shell, and a path may contain anything.
    return printable(f"rnnspec: note: to update: {shlex.join(words)}")
