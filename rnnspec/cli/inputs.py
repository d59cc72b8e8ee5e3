"""The files to check, found from files, folders, patterns and standard input."""

from __future__ import annotations

import glob
import os
import re
import sys
from collections import deque
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from rnnspec import pipeline
from rnnspec.cli.messages import tell
from rnnspec.cli.report import lines_of
from rnnspec.cli.results import STDIN, Checked
from rnnspec.errors import Problem, SpecError, UsageError, printable
from rnnspec.errors.wording import nearest
from rnnspec.files import NO_WORKING_FOLDER, Inputs, has_working_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from rnnspec.pipeline import Program

_SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class InputFile:
    """One file to check, or the ``content`` of standard input.

    ``named``: the user named the file itself, so it must be a spec; files found in a folder may
    belong to other programs. ``trouble``: the reason why it cannot be read. ``allow_outside`` and
    ``overrides``: see ``pipeline.load``.
    """

    path: str
    named: bool = False
    content: bytes | None = None
    trouble: str = ""
    allow_outside: bool = False
    overrides: Mapping[str, Any] = field(default_factory=dict)


def find_inputs(
    paths: Iterable[str], *, allow_outside: bool = False, settings: Sequence[str] | None = None
) -> list[InputFile]:
    """Return the inputs that ``paths`` stand for, in order and each once; folders are sorted.

    A path is a file, a folder (every visible ``*.yaml`` and ``*.yml`` below it), a pattern such as
    ``specs/**/*.yaml``, or ``-`` for standard input, which is read here. ``settings`` are overrides
    of keys in all of them.
    """
    inputs: dict[str, InputFile] = {}
    for path in paths:
        for item in _expand(path):
            key = _key(item)
            # If a file is both named and found in a folder, its faults must be reported.
            if key not in inputs or (item.named and not inputs[key].named):
                inputs[key] = item
    overrides = read_settings(settings)
    return [
        replace(item, allow_outside=allow_outside, overrides=overrides) for item in inputs.values()
    ]


def read_settings(settings: Sequence[str] | None) -> dict[str, Any]:
    """Return the overrides that ``--set`` gives as texts, ``KEY=VALUE``.

    Raises:
        UsageError: one has no ``=``.
        SpecError: a value is not YAML.
    """
    if not settings:
        return {}
    # Imported here because most runs set nothing.
    from rnnspec.spec.yaml.edit import parse

    return dict(map(parse, settings))


def find_input(path: str, *, allow_outside: bool = False) -> InputFile:
    """Return the one input that ``path`` stands for: unlike a folder or a pattern, a spec.

    ``REVISION:PATH`` is a file as Git has it, such as ``HEAD:net.yaml``, unless there is a file of
    this name.
    """
    if path == "-":
        item = _standard_input()
    elif ":" in path and not os.path.lexists(path) and not os.path.splitdrive(path)[0]:
        item = _revision(path)
    else:
        item = InputFile(path, named=True)
    return replace(item, allow_outside=allow_outside)


def files_to_keep(
    inputs: Iterable[InputFile],
    programs: Iterable[Program],
    others: Iterable[tuple[Path | int, str]] = (),
) -> Inputs:
    """Return the files that no output may replace: the inputs, those named in specs, and others."""
    places: list[tuple[Path | int, str]] = [
        (0, "standard input")
        if item.content is not None
        else (Path(item.path), f"the input {item.path}")
        for item in inputs
    ]
    named = (file for program in programs for file in program.named_files)
    return Inputs.of((*places, *named, *others))


def _key(item: InputFile) -> str:
    if item.content is not None:
        return item.path
    try:
        # Links are kept: two links to one spec may have different files of vectors beside them.
        return os.path.abspath(item.path)  # noqa: PTH100 - as text
    except FileNotFoundError:  # the working folder was removed
        return item.path


def check(
    item: InputFile, advise: Callable[[Program], tuple[Problem, ...]] = lambda _: ()
) -> Checked:
    """Return the problems of ``item``, or the advice of ``advise`` if the spec is valid."""
    if item.trouble:
        return Checked(item.path, state="unreadable", reason=item.trouble)
    try:
        if item.content is None:
            program = pipeline.read(
                item.path, overrides=item.overrides, allow_outside=item.allow_outside
            )
        else:
            program = pipeline.reads(
                item.content,
                item.path,
                overrides=item.overrides,
                allow_outside=item.allow_outside,
            )
        return Checked(item.path, advise(program))
    except UsageError as error:
        return Checked(item.path, state="unreadable", reason=error.message)
    except SpecError as error:
        if not item.named and is_foreign(item.path):
            return Checked(item.path, state="foreign")
        return Checked(item.path, error.problems)


# Without 'data' and 'expect', which are common in files of other programs.
_SECTIONS = frozenset({"input", "embedding", "head", "heads", "initializers"})
_MOST_GUESSES = 20
_LINE_OF_KEY = re.compile(rb"^[\"']?([A-Za-z_]+)[\"']?[ \t]*:[ \t]*([^\s#]*)", re.MULTILINE)


def is_foreign(path: str) -> bool:
    """Return true if an invalid spec was probably not meant to be a spec.

    A file counts as a spec if it has ``rnn``, or two sections, or ``version: 1`` with a section or
    a misspelt one. A single one of these keys is not enough: files of other programs use them too.
    """
    # Imported here because only wrong specs need it.
    from rnnspec.spec.yaml.document import glimpse
    from rnnspec.spec.yaml.text import MAX_BYTES

    with Path(path).open("rb") as stream:
        raw = stream.read(MAX_BYTES + 1)
    # Problems are not collected: PyYAML's Python parser takes a second for half a MiB.
    data = glimpse(raw)
    if data is None:
        # Not YAML: look for keys line by line. NULs are removed because UTF-16 text contains them.
        pairs = _LINE_OF_KEY.findall(raw.replace(b"\0", b""))
        data = {key.decode(): value.decode(errors="replace") for key, value in pairs}
    return not (isinstance(data, dict) and _is_meant(data))


def _is_meant(data: Mapping[str, Any]) -> bool:
    # A capital letter may be the very reason why the spec is invalid.
    words = {key.lower(): value for key, value in data.items()}
    sections = len(_SECTIONS.intersection(words))
    if "rnn" in words or sections > 1:
        return True
    if str(words.get("version")) not in ("1", "1.0"):
        return False
    unknown = [word for word in words if word not in ("version", "name", "description")]
    guesses = unknown[:_MOST_GUESSES] if "name" in words else []
    return sections == 1 or any(nearest(word, ("rnn", *_SECTIONS)) for word in guesses)


def load_all(inputs: Sequence[InputFile]) -> list[Program]:
    """Return the specs in ``inputs``; print the names of files in folders that are not specs.

    Raises:
        typer.Exit: a spec is wrong or cannot be read; its problems have been printed.
        UsageError: none of the inputs is a spec.
    """
    programs: list[Program] = []

    def keep(program: Program) -> tuple[Problem, ...]:
        programs.append(program)
        return ()

    results = [check(item, keep) for item in inputs]
    if worst := max((result.exit_code for result in results), default=0):
        # Imported here because fuzzers of what is a spec run where no command does.
        import typer

        # All inputs have been checked by now, so that one run shows every problem.
        tell("\n".join(line for result in results for line in lines_of(result)))
        raise typer.Exit(worst)
    if foreign := [result.path for result in results if result.state == "foreign"]:
        tell(printable(f"rnnspec: note: skipped, not a spec: {', '.join(foreign)}"))
    if not programs:
        raise UsageError("expected a spec, found none", ", ".join(item.path for item in inputs))
    return programs


def _expand(path: str) -> Iterable[InputFile]:
    if path == "-":
        return [_standard_input()]
    if not os.path.isabs(path) and not has_working_folder():  # noqa: PTH117 - as text
        return [InputFile(path, trouble=NO_WORKING_FOLDER)]
    if os.path.isdir(path):  # noqa: PTH112 - Path("") would be the folder
        return _folder(path)
    # If a file has brackets in its name, the path means that file.
    if glob.has_magic(path) and not os.path.lexists(path):
        return _pattern(path)
    return [InputFile(path, named=True)]


def _standard_input() -> InputFile:
    from rnnspec.spec.yaml.text import MAX_BYTES

    if sys.stdin is None:
        return InputFile(STDIN, trouble="standard input is closed")
    # One byte above the limit is enough to refuse it; an endless stream must not fill the memory.
    return InputFile(STDIN, named=True, content=sys.stdin.buffer.read(MAX_BYTES + 1))


def _revision(name: str) -> InputFile:
    """Return a file as it is in a revision of the repository of the working folder."""
    # Imported here because other inputs are read without another program.
    import subprocess

    from rnnspec.spec.yaml.text import MAX_BYTES

    # Git would take a name that starts with a dash for an option.
    command = ["git", "cat-file", "blob", f"./{name}" if name.startswith("-") else name]
    try:
        with subprocess.Popen(  # noqa: S603 - git, and a name that the user has given
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as git:
            assert git.stdout is not None
            assert git.stderr is not None
            content = git.stdout.read(MAX_BYTES + 1)
            if len(content) > MAX_BYTES:
                git.kill()
            said = git.stderr.read().decode(errors="replace").strip()
    except FileNotFoundError:
        return InputFile(name, trouble="no such file, and git, which has revisions, is not there")
    if git.returncode and not content:
        reason = said.partition("\n")[0].removeprefix("fatal: ")
        return InputFile(name, trouble=f"no such file, and git says: {reason}")
    return InputFile(name, named=True, content=content)


def _pattern(pattern: str) -> list[InputFile]:
    matches = sorted(_matches(Path(pattern)), key=_order)
    inputs = [
        item
        for match in matches
        for item in (_folder(match) if os.path.isdir(match) else [InputFile(match)])  # noqa: PTH112
    ]
    # Without a match, reading the pattern as a path gives the usual message.
    return inputs or [InputFile(pattern, named=True)]


def _matches(pattern: Path) -> Iterator[str]:
    """Yield the paths that match a pattern, as a shell does.

    Hidden files are skipped unless named, and ``**`` does not follow links to folders: ``glob``
    does, and never ends if a link points to a parent folder.
    """
    start = Path(pattern.anchor)
    parts = pattern.relative_to(start).parts
    for match in start.glob(os.path.join(*parts)):  # noqa: PTH118 - a pattern, no path
        names = match.relative_to(start).parts
        if not any(name.startswith(".") and name not in parts for name in names):
            yield str(match)


def _folder(folder: str) -> list[InputFile]:
    inputs = sorted(_below(folder), key=lambda item: _order(item.path))
    return inputs or [
        InputFile(folder, trouble="this is a folder without any *.yaml or *.yml file")
    ]


def _order(path: str) -> tuple[str, ...]:
    return PurePath(path).parts


def _below(folder: str) -> Iterator[InputFile]:
    """Yield the YAML files below ``folder``; a folder with several links to it is read once."""
    refused: list[OSError] = []
    seen: set[tuple[int, int]] = set()
    # Links come last, so that a file that is also reachable without a link gets that path.
    links = deque([folder])
    while links:
        for base, folders, files in os.walk(links.popleft(), onerror=refused.append):
            status = os.stat(base)  # noqa: PTH116 - as text
            identity = (status.st_dev, status.st_ino)
            if identity in seen:
                # os.walk descends into the folders that are left in this list.
                folders.clear()
                continue
            seen.add(identity)
            folders[:] = [name for name in folders if not name.startswith(".")]
            inside = (os.path.join(base, name) for name in folders)  # noqa: PTH118 - bytes of a path kept
            links.extend(filter(os.path.islink, inside))
            for name in files:
                if name.lower().endswith(_SUFFIXES) and not name.startswith("."):
                    yield InputFile(os.path.join(base, name))  # noqa: PTH118 - likewise
    # By default, os.walk ignores folders that it cannot read, and their specs would go unchecked.
    for error in refused:
        yield InputFile(str(error.filename), trouble=f"cannot read this folder: {error.strerror}")
