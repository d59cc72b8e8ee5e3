"""``rnnspec parity --merge``: join the reports of shards."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnnspec.cli.comparing.results import show_given, show_random
from rnnspec.comparison.report import ParityReport
from rnnspec.comparison.shards.merge import merged
from rnnspec.errors import ParityError

if TYPE_CHECKING:
    from collections.abc import Sequence


def run(paths: Sequence[str], *, json: bool) -> None:
    """Print the report of the whole run, and raise its error if a spec differs."""
    whole = merged(paths)
    if isinstance(whole, ParityReport):
        show_given(whole, None, json=json)
        if not whole.equal:
            raise ParityError(whole.differences)
        return
    found, again = whole
    show_random(found, again, None, json=json)
    if found.error is not None:
        raise found.error
