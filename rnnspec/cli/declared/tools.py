"""Commands about rnnspec itself. Each imports what it needs when it runs."""

from __future__ import annotations

from typing import Annotated

import typer

from rnnspec.cli import completers
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


def completion(
    shell: Annotated[
        str,
        typer.Argument(
            metavar="SHELL",
            help="bash, zsh, fish or powershell.",
            show_default=False,
            autocompletion=completers.shells,
        ),
    ],
) -> None:
    """Print the script with which a shell completes commands.

    Nothing is installed: load the script where your shell starts, as in ~/.bashrc:

    source <(rnnspec completion bash)
    """
    from rnnspec.cli.commands.completion import run

    run(shell)
