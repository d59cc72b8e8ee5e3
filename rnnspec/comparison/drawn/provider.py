"""A source of random choices for Hypothesis that depends on the seed alone."""

from __future__ import annotations

from hypothesis.internal.conjecture.providers import AVAILABLE_PROVIDERS, HypothesisProvider


class SeededProvider(HypothesisProvider):
    """Hypothesis's own source, without constants from source code.

    It draws one value in twenty from the constants in all modules that are imported and not in
    ``site-packages``, so that the values depend on them too.
    """

    def _maybe_draw_constant(self, *_: object, **__: object) -> None:
        return None


NAME = "rnnspec"
AVAILABLE_PROVIDERS[NAME] = f"{__name__}.{SeededProvider.__name__}"
