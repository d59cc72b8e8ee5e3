"""Advice on keys that no fused layer of a backend supports."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from rnnspec.backends import honouring
from rnnspec.lint.context import Context, Finding


def unfused(*keys: str) -> Callable[[Context], Iterator[Finding]]:
    """Return a check that finds layers which one of ``keys`` keeps from being fused."""

    def rule(context: Context) -> Iterator[Finding]:
        for title, reasons in _stepwise(context):
            for entry in context.entries:
                # A reason may include the value of the key, as in "reset_after: false".
                key = reasons.get(entry.layers[0].name, "").partition(":")[0]
                if key in keys:
                    message = (
                        f"{title} has no fused layer for this, so the layer runs step by step, "
                        "which is slower"
                    )
                    yield (*entry.path, key), message

    return rule


def _stepwise(context: Context) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the title of each backend, and the key that its fused layers lack, by layer."""
    for backend in honouring(context.network):
        yield backend.title, backend.emitter.stepwise(context.network)
