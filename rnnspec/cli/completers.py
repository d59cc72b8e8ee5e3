"""The values that shells complete; each takes the word so far and imports no framework."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from rnnspec.backends import BACKENDS
from rnnspec.backends import forms as all_source_forms
from rnnspec.backends.base import LEVELS, TEMPLATES

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    Completer = Callable[[str], list[str]]

SHELLS = ("bash", "zsh", "fish", "powershell")

# zsh evaluates what it is given, and Typer's quoting of a backslash before a dollar sign fails.
_HARMLESS = re.compile(r"[\w@%+=,./-]*")


def starting(incomplete: str, words: Iterable[str]) -> list[str]:
    """Return the words that start as typed."""
    return [word for word in words if word.startswith(incomplete)]


def in_list(incomplete: str, words: Collection[str]) -> list[str]:
    """Complete the last word of a list, separated by commas, by one that is not in it yet."""
    before, comma, last = incomplete.rpartition(",")
    chosen = before.split(",")
    return [f"{before}{comma}{word}" for word in starting(last, words) if word not in chosen]


def complete_with(words: Callable[[], Iterable[str]]) -> Completer:
    """Return a completer; ``words`` is called when a shell asks."""
    # Typer passes what is typed to the parameter of this name.
    return lambda incomplete: starting(incomplete, words())


def network_names() -> tuple[str, ...]:
    """Return the kinds of network to start from, sorted."""
    return tuple(sorted(Path(entry.name).stem for entry in (TEMPLATES / "init").iterdir()))


def cell_names() -> tuple[str, ...]:
    """Return the names of the cells to start from, sorted."""
    from rnnspec.spec.zoo import zoo_names

    return zoo_names()


def _codes() -> tuple[str, ...]:
    from rnnspec import pages

    return pages.codes()


def _formats() -> Iterable[str]:
    from rnnspec.cli.report import FORMATS

    return FORMATS


def _optimizers() -> Iterable[str]:
    from rnnspec.backends.optimizers import OPTIMIZERS

    return OPTIMIZERS


def _of_pictures(name: str) -> Completer:
    def words() -> Iterable[str]:
        from rnnspec.drawing import options

        values: tuple[str, ...] = getattr(options, name)
        return values

    return complete_with(words)


backends = complete_with(lambda: BACKENDS)
levels = complete_with(lambda: LEVELS)
optimizers = complete_with(_optimizers)
dtypes = complete_with(
    lambda: dict.fromkeys(t for backend in BACKENDS.values() for t in backend.dtypes)
)
source_forms = complete_with(all_source_forms)
networks = complete_with(network_names)
cells = complete_with(cell_names)
codes = complete_with(_codes)
formats = complete_with(_formats)
forms = _of_pictures("FORMS")
labels = _of_pictures("LABELS")
themes = _of_pictures("THEMES")
backgrounds = _of_pictures("BACKGROUNDS")
shells = complete_with(lambda: SHELLS)


def several_backends(incomplete: str) -> list[str]:
    """Complete a list of backends."""
    return in_list(incomplete, BACKENDS)


def several_advice_codes(incomplete: str) -> list[str]:
    """Complete a list of codes of advice."""
    return in_list(incomplete, [code for code in _codes() if code.startswith("L")])


def specs(incomplete: str) -> list[str]:
    """Return YAML files and folders; a folder that is the only match comes with its content."""
    entries = _entries(incomplete)
    if len(entries) == 1 and entries[0].endswith("/"):
        entries += _entries(entries[0])
    return entries


def _entries(incomplete: str) -> list[str]:
    folder, name = os.path.split(incomplete)
    try:
        entries = sorted(os.scandir(folder or "."), key=lambda entry: entry.name)
        return [
            path
            for entry in entries
            if entry.name.startswith(name) and (name or not entry.name.startswith("."))
            if (path := _path(folder, entry)) and _HARMLESS.fullmatch(path)
        ]
    except (OSError, ValueError):  # no folder, or one that may not be read
        return []


def _path(folder: str, entry: os.DirEntry[str]) -> str:
    path = os.path.join(folder, entry.name)  # noqa: PTH118 - as typed: Path would drop './'
    if entry.is_dir():
        return f"{path}/"
    return path if Path(path).suffix in {".yaml", ".yml"} else ""
