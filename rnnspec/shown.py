"""Results as notebooks and ``print`` show them, made by packages that know how, on first use."""

from __future__ import annotations

from importlib import import_module


def html_of(result: object) -> str:
    """Return a spec, a model, a summary, a report of parity or a diff as an HTML fragment."""
    return str(import_module("rnnspec.html.results").fragment(result))


def text_of(result: object) -> str:
    """Return a model, a summary or a report of parity as text, as a command prints it in a file."""
    return str(import_module("rnnspec.cli.terminal.tables").text(result))
