"""The examples of a written page, in their order: files, commands, code, pictures, excerpts."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class File:
    """A file that the page shows after its name: ``net.yaml``, a colon, and a fenced block."""

    line: int
    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Command:
    """A call of ``rnnspec`` with the output that the page shows.

    ``output`` is None if the call is in a comment: it draws a picture for the page.
    """

    line: int
    arguments: tuple[str, ...]
    output: str | None


@dataclass(frozen=True, slots=True)
class Compilation:
    """A line for the shell that compiles and runs a program, and what the page shows of it."""

    line: int
    text: str
    output: str


@dataclass(frozen=True, slots=True)
class Code:
    """Python code, and the output that the page shows: in a block after it, or in comments."""

    line: int
    text: str
    output: str


@dataclass(frozen=True, slots=True)
class Excerpt:
    """Successive lines of what a call of ``rnnspec`` prints, in a block of its language."""

    line: int
    arguments: tuple[str, ...]
    text: str


Example = File | Command | Compilation | Code | Excerpt

_COMPILERS = ("cc", "c++")

# Blocks in tabs are indented. Each ends at a fence with the indentation of the first.
_BLOCKS = re.compile(
    r"`(?P<name>[\w/-]+\.(?:c|cpp|json|py|txt|yaml))`:\n\n(?P<i> *)```\w+\n(?P<file>.*?)^(?P=i)```$"
    r"|^(?P<j> *)```console\n(?P<console>.*?)^(?P=j)```$"
    r"|^(?P<k> *)```python\n(?P<code>.*?)^(?P=k)```$"
    r"(?:\n\n(?P=k)```text\n(?P<output>.*?)^(?P=k)```$)?"
    r"|^<!-- rnnspec (?P<printed>(?:codegen|init) .*?) -->\n\n```\w+\n(?P<excerpt>.*?)^```$"
    r"|^<!-- rnnspec (?P<picture>.*?) -->$",
    re.DOTALL | re.MULTILINE,
)


def examples(page: str) -> Iterator[Example]:
    """Yield the examples of a page in their order.

    Raises:
        ValueError: a console block has a command other than ``rnnspec`` or a compiler.
    """
    for block in _BLOCKS.finditer(page):
        line = page.count("\n", 0, block.start()) + 1
        if block["name"]:
            yield File(line, block["name"], dedent(block["file"]))
        elif block["console"]:
            yield from _commands(line, dedent(block["console"]))
        elif block["code"]:
            code = dedent(block["code"])
            yield Code(line, code, dedent(block["output"] or "") or _in_comments(code))
        elif block["printed"]:
            yield Excerpt(line, tuple(shlex.split(block["printed"])), block["excerpt"])
        else:
            yield Command(line, tuple(shlex.split(block["picture"])), None)


def _commands(line: int, block: str) -> Iterator[Command | Compilation]:
    before, *parts = re.split(r"^\$ ", block, flags=re.MULTILINE)
    if before or not parts:
        raise ValueError(f"line {line}: expected a console block to start with '$ '")
    for part in parts:
        # A command goes on in the next line after a backslash.
        command, _, output = part.replace("\\\n", "").partition("\n")
        program, *arguments = shlex.split(command)
        if program in _COMPILERS:
            yield Compilation(line, command, output)
        elif program == "rnnspec":
            yield Command(line, tuple(arguments), output)
        else:
            raise ValueError(f"line {line}: expected the command rnnspec, received {program!r}")


def _in_comments(code: str) -> str:
    """Return the output of ``code``, according to the comments beside its calls of ``print``."""
    return "".join(f"{text}\n" for text in re.findall(r"^print\(.*\)  # (.*)$", code, re.MULTILINE))


def provide(page: str, folder: Path) -> None:
    """Write the files of ``specs/`` and ``examples/`` that a page names into ``folder``."""
    for name in {"specs/stacked_lstm.yaml", *re.findall(r"(?:specs|examples)/[\w/]+\.\w+", page)}:
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes((ROOT / name).read_bytes())
