"""Advice on what a word costs: the layers that no fused layer of a backend computes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from rnnspec.backends import BACKENDS
from rnnspec.lint.context import Context, Finding


def unfused(*words: str) -> Callable[[Context], Iterator[Finding]]:
    """Return the rule that finds where one of ``words`` costs a fused layer."""

    def rule(context: Context) -> Iterator[Finding]:
        for title, reasons in _stepwise(context):
            for entry in context.entries:
                # What is said of a word may hold its value too: "reset_after: false".
                word = reasons.get(entry.layers[0].name, "").partition(":")[0]
                if word in words:
                    message = f"{title} has no fused layer with this: it runs step by step, slower"
                    yield (*entry.path, word), message

    return rule


def _stepwise(context: Context) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield each backend's title, and by layer the word that its fused layers lack."""
    for backend in BACKENDS.values():
        yield backend.title, backend.emitter.stepwise(context.network)
