"""``rnnspec codegen``: print source, write it, or check that written source is up to date."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rnnspec.backends import (
    BACKENDS,
    choose,
    declared_options,
    form_named,
    having,
    needs,
    option_needs,
)
from rnnspec.backends.contract import DEFAULTS, SourceOptions
from rnnspec.cli.messages import in_colour, print_parts, tell
from rnnspec.cli.options import (
    AllowOutside,
    Backend,
    Force,
    Paths,
    Set,
    SourceForm,
    takes_source_options,
)
from rnnspec.errors import UnsupportedError, UsageError, printable
from rnnspec.files import (
    NO_WORKING_FOLDER,
    check_target,
    has_working_folder,
    reported,
    write_file,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rnnspec.pipeline import Program

    _Source = tuple[str, Path, str]
    """The path of a spec, the file to write, and its text."""

_MODELS = frozenset(filter(None, (backend.suffix for backend in BACKENDS.values())))
"""Endings of files that other programs would not expect source in."""


@takes_source_options
def codegen(
    paths: Paths,
    backend: Backend = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="OUT", help="File, or folder with a file for each spec."
        ),
    ] = None,
    form: SourceForm = None,
    options: SourceOptions = DEFAULTS,
    force: Force = False,
    check: Annotated[
        bool,
        typer.Option(
            "--check", help="Write nothing; if OUT is out of date, print a patch and exit with 1."
        ),
    ] = False,
    settings: Set = None,
    allow_outside: AllowOutside = False,
) -> None:
    """Print source that builds the model without rnnspec."""
    # Imported here because '--help' reads no spec.
    from rnnspec import pipeline
    from rnnspec.cli.inputs import files_to_keep, find_inputs, load_all

    inputs = find_inputs(paths, allow_outside=allow_outside, settings=settings)
    if check and (force or output is None):
        raise UsageError("--check needs -o, and writes nothing, so there is nothing to --force")
    if output == Path("-"):
        raise UsageError("expected the path of a file; without -o the source is printed", "-")
    if output is not None and output.suffix in _MODELS:
        raise UsageError(
            f"expected a path for source; 'rnnspec build' writes {output.suffix}", str(output)
        )
    programs = load_all(inputs)
    source_form = form_named(form)
    chosen = choose(
        backend,
        *needs.source(source_form),
        *option_needs(options),
        *(_output_needs(output) if backend is None else ()),
    )

    def text(program: Program) -> str:
        return pipeline.generate(program, chosen, source_form, options).text

    if output is None:
        if len(programs) > 1:
            raise UsageError("expected -o FOLDER, because there are several specs")
        print(text(programs[0]), end="")
        return
    targets = _targets(programs, output, chosen.ending, check=check)
    if check:
        # A check writes nothing, so the targets are not checked for writing.
        words = ["--backend", chosen.name, *(["--form", form] if form else [])]
        for setting in settings or ():
            words += ["--set", setting]
        for name, value in options.items():
            words += [declared_options("codegen")[name].flag, str(value)]
        _check(_generate(programs, targets, text), [*words, "-o", str(output), "--force"])
        return
    protected = files_to_keep(inputs, programs)
    in_folder = targets[0] != output
    for path in [] if in_folder and not os.path.isdir(output) else targets:  # noqa: PTH112
        check_target(path, force=force, inputs=protected)
    # All sources are generated before the first is written, so a refusal leaves nothing half
    # written.
    sources = _generate(programs, targets, text)
    if in_folder:
        with reported(output):
            output.mkdir(parents=True, exist_ok=True)
    for _, path, source in sources:
        write_file(path, source, force=force, inputs=protected)
        print(printable(f"wrote {path}"))


def _output_needs(output: Path | None) -> tuple[needs.Need, ...]:
    """Return the need to write source with the ending of a file, where no backend is named."""
    # Path.is_dir raises if a name is too long.
    if output is None or os.path.isdir(output):  # noqa: PTH112
        return ()
    endings = dict.fromkeys(backend.ending for backend in having(needs.SOURCE))
    return tuple(needs.source_ending(ending) for ending in endings if output.name.endswith(ending))


def _targets(programs: Sequence[Program], output: Path, ending: str, *, check: bool) -> list[Path]:
    """Return the path of the source of each spec."""
    if check and not output.is_absolute() and not has_working_folder():
        raise UsageError(NO_WORKING_FOLDER, str(output))
    # Before Python 3.14, some methods of Path raise if a name is too long; os.path does not.
    if not os.path.isdir(output):  # noqa: PTH112
        several, exists = len(programs) > 1, os.path.lexists(output)
        if exists and several:
            raise UsageError("is a file, expected a folder", str(output))
        if exists or (output.suffix and not several):
            return [output]
        # A path without an ending names a folder, which is made.
        if check:
            raise UsageError("no such folder", str(output))
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


def _generate(
    programs: Sequence[Program], targets: Sequence[Path], text: Callable[[Program], str]
) -> list[_Source]:
    """Return every source, or print a message for each spec that the backend refuses, and exit."""
    sources, refusals = [], []
    for program, target in zip(programs, targets, strict=True):
        try:
            sources.append((program.source, target, text(program)))
        except UnsupportedError as error:
            refusals.append(error)
    if refusals:
        tell("\n".join(map(str, refusals)))
        raise typer.Exit(UnsupportedError.exit_code)
    return sources


def _check(sources: Sequence[_Source], options: Sequence[str]) -> None:
    """Print a patch that brings the files up to date, and exit with 1 unless it is empty.

    A message then has the command that updates them, with ``options``.
    """
    stale, messages = [], []
    for spec, target, text in sources:
        before = _read_source(target)
        if before != text:
            _print_patch(target, before, text)
            stale.append(spec)
            state = "is missing, the source of" if before is None else "is not up to date with"
            messages.append(printable(f"{target}: error: {state} {spec}"))
    if stale:
        words = ["rnnspec", "codegen", *stale, *options]
        # Quoted, because the line will be pasted into a shell, and a path may contain anything.
        messages.append(printable(f"rnnspec: note: to update: {shlex.join(words)}"))
        tell("\n".join(messages))
        raise typer.Exit(1)
    print(f"{len(sources)} source{'' if len(sources) == 1 else 's'}: up to date")


def _read_source(path: Path) -> str | None:
    """Return the text of a file with line feeds, or None if it does not exist.

    Raises:
        UsageError: the file cannot be read.
    """
    try:
        if path.exists() and not path.is_file():
            raise UsageError("is not a regular file", str(path))
        raw = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UsageError(f"cannot read it: {error.strerror}", str(path)) from None
    # A checkout on Windows may have converted the line breaks.
    return raw.replace(b"\r\n", b"\n").decode("utf-8", "backslashreplace")


# The first match counts, so the headers precede the signs that they start with.
_STYLES = {"---": "bold", "+++": "bold", "@@ ": "cyan", "-": "red", "+": "green"}


def _print_patch(path: Path, before: str | None, after: str) -> None:
    """Print a patch for ``patch -p0`` that brings ``path`` up to date."""
    lines = list(_patch_lines(path, before, after))
    if not in_colour(sys.stdout):
        print("\n".join(lines))
        return
    from rich.console import Console

    styles = (
        next((style for start, style in _STYLES.items() if line.startswith(start)), "")
        for line in lines
    )
    parts = zip(lines, styles, strict=True)
    print_parts(Console(force_terminal=True), ([part] for part in parts))


def _patch_lines(path: Path, before: str | None, after: str) -> Iterator[str]:
    # Imported here because source that is up to date needs no patch.
    from difflib import unified_diff

    name = printable(path.as_posix())
    # The name by which patch and git recognize a new file, on Windows too.
    names = "/dev/null" if before is None else name, name
    for line in unified_diff(_split_lines(before or ""), _split_lines(after), *names):
        text, ended, _ = line.partition("\n")
        # Tabs are not escaped, so that the patch applies.
        yield "\t".join(map(printable, text.split("\t")))
        if not ended:
            yield "\\ No newline at end of file"


def _split_lines(text: str) -> list[str]:
    """Return the lines with their line feeds; unlike ``splitlines``, split at nothing else."""
    *whole, last = text.split("\n")
    return [*(f"{line}\n" for line in whole), *([last] if last else [])]
