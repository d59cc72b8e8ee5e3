"""How notebooks and ``print`` show results.

The classes of results know nothing of HTML and tables, which are made from them. ``rnnspec``
itself, which knows both, sets the two functions that do it.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as in ``rnnspec``, which imports this module
if TYPE_CHECKING:
    from collections.abc import Callable


class Renderers:
    """The functions that return a result as HTML and as text."""

    html: Callable[[object], str] = repr
    text: Callable[[object], str] = repr


def html_of(result: object) -> str:
    """Return a spec, a model, a summary, a report of parity or a diff as an HTML fragment."""
    return Renderers.html(result)


def text_of(result: object) -> str:
    """Return a model, a summary or a report of parity as text, as a command prints it in a file."""
    return Renderers.text(result)
