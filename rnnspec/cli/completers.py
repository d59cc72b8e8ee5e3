"""The values that shells complete; each takes the word so far and imports no framework."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from rnnspec.backends import BACKENDS
from rnnspec.backends import forms as all_source_forms
from rnnspec.backends.base import LEVELS, TEMPLATES
from rnnspec.backends.optimizers import OPTIMIZERS
from rnnspec.drawing.options import BACKGROUNDS, FORMS, LABELS, THEMES

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

SHELLS = ("bash", "zsh", "fish", "powershell")

# zsh evaluates what it is given, and Typer's quoting of a backslash before a dollar sign fails.
_HARMLESS = re.compile(r"[\w@%+=,./-]*")


def words(read: Callable[[], Iterable[str]]) -> Callable[[str], list[str]]:
    """Return a completer of one of several words, which are read when a shell asks."""

    def complete(incomplete: str) -> list[str]:
        return starting(incomplete, read())

    return complete


def network_names() -> tuple[str, ...]:
    """Return the kinds of network to start from, sorted."""
    return tuple(sorted(Path(entry.name).stem for entry in (TEMPLATES / "init").iterdir()))


backends = words(lambda: BACKENDS)
levels = words(lambda: LEVELS)
optimizers = words(lambda: OPTIMIZERS)
dtypes = words(lambda: dict.fromkeys(d for each in BACKENDS.values() for d in each.dtypes))
source_forms = words(all_source_forms)
networks = words(network_names)
forms = words(lambda: FORMS)
labels = words(lambda: LABELS)
themes = words(lambda: THEMES)
backgrounds = words(lambda: BACKGROUNDS)
shells = words(lambda: SHELLS)


def several_backends(incomplete: str) -> list[str]:
    """Return lists of backends, separated by commas."""
    return in_list(incomplete, BACKENDS)


def formats(incomplete: str) -> list[str]:
    """Return formats of reports."""
    from rnnspec.cli.report import FORMATS

    return starting(incomplete, FORMATS)


def codes(incomplete: str) -> list[str]:
    """Return codes of messages."""
    from rnnspec import pages

    return starting(incomplete, pages.codes())


def several_advice_codes(incomplete: str) -> list[str]:
    """Return lists of codes of advice, separated by commas."""
    from rnnspec import pages

    return in_list(incomplete, [code for code in pages.codes() if code.startswith("L")])


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


def starting(incomplete: str, words: Iterable[str]) -> list[str]:
    """Return the words that start as typed."""
    return [word for word in words if word.startswith(incomplete)]


def in_list(incomplete: str, words: Collection[str]) -> list[str]:
    """Return what is typed of a list, separated by commas, with each word that can be its last."""
    before, comma, last = incomplete.rpartition(",")
    chosen = before.split(",")
    return [f"{before}{comma}{word}" for word in starting(last, words) if word not in chosen]
