"""The options of a picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rnnspec.errors import UsageError
from rnnspec.errors.arguments import one_of, received
from rnnspec.ir.nodes import Network, SequenceInput

Form = Literal["unrolled", "folded"]
Labels = Literal["full", "none"]
Theme = Literal["colour", "dark", "auto", "print"]
Background = Literal["white", "none"]

FORMS: tuple[Form, ...] = ("unrolled", "folded")
LABELS: tuple[Labels, ...] = ("full", "none")
THEMES: tuple[Theme, ...] = ("colour", "dark", "auto", "print")
BACKGROUNDS: tuple[Background, ...] = ("white", "none")

MOST_STEPS = 64
"""The largest number of time steps that a picture shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The contents of a picture, and how it shows them.

    ``steps`` is the number of time steps drawn, the last one included; ``None`` stands for all of
    at most 5, else for 4, or up to 6 if windows gather more. It applies to the input; a repeat
    shows all of at most 5 steps, else 4.
    The theme ``auto`` is ``colour``, and in an SVG file ``dark`` for readers of dark pages. The
    background ``white`` is dark in a dark theme. A page that shows ``equations`` itself has them
    left out of the legend.
    """

    form: Form = "unrolled"
    steps: int | None = None
    labels: Labels = "full"
    theme: Theme = "colour"
    background: Background = "white"
    equations: bool = True


def check_options(  # noqa: PLR0913 - the options of a picture
    network: Network, *, form: str, steps: int | None, labels: str, theme: str, background: str
) -> Options:
    """Return the options of a picture of a network.

    Raises:
        UsageError: one has a value that it cannot have.
    """
    one_of("form", form, FORMS)
    one_of("labels", labels, LABELS)
    one_of("theme", theme, THEMES)
    one_of("background", background, BACKGROUNDS)
    _check_steps(network, form, steps)
    return Options(
        form="folded" if form == "folded" else "unrolled",
        steps=steps,
        labels="none" if labels == "none" else "full",
        theme=next(name for name in THEMES if name == theme),
        background="none" if background == "none" else "white",
    )


def _check_steps(network: Network, form: str, steps: object) -> None:
    if steps is None:
        return
    if form == "folded":
        raise UsageError("steps: the folded form shows no time steps; expected the unrolled form")
    steps_of = [
        network_input.steps
        for network_input in network.inputs
        if isinstance(network_input, SequenceInput)
    ]
    known = [length for length in steps_of if length is not None]
    length = max(known) if known and len(known) == len(steps_of) else None
    most = MOST_STEPS if length is None else min(length, MOST_STEPS)
    least = min(2, most)  # the first step and the last
    if not isinstance(steps, int) or isinstance(steps, bool) or not least <= steps <= most:
        allowed = f"{least} to {most}" if least < most else str(most)
        of = "any length" if length is None else f"length {length:,}"
        raise UsageError(
            f"steps: expected {allowed} for an input of {of}, received {received(steps)}"
        )
