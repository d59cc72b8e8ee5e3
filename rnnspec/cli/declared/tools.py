"""Commands about rnnspec itself. Each imports what it needs when it runs."""

from __future__ import annotations

from typing import Annotated

import typer

from rnnspec.cli.options import Json


def doctor(
    json: Json = False,
    deep: Annotated[
        bool, typer.Option("--deep", help="Also compare a network on the installed backends.")
    ] = False,
) -> None:
    """Print versions and settings, and test rnnspec itself.

    No framework is imported without --deep. Exit code: 0, or 3 if something cannot be used as it is
    installed; the message says what to do.
    """
    from rnnspec.cli.commands.doctor import run

    run(json=json, deep=deep)
