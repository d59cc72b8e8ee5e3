"""``rnnspec completion``: the script with which a shell completes commands, and its questions."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from rnnspec.cli import completers
from rnnspec.errors.arguments import one_of

_VARIABLE = "_RNNSPEC_COMPLETE"
"""The environment variable in which a script asks for completions."""


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
    from typer.completion import get_completion_script  # type: ignore[attr-defined]

    one_of("shell", shell, completers.SHELLS)
    print(get_completion_script(prog_name="rnnspec", complete_var=_VARIABLE, shell=shell))


def answer_shells() -> None:
    """Let the application print completions if the script of a shell asks for them."""
    # Typer would answer anything else in this variable with an error.
    question = os.environ.pop(_VARIABLE, "")
    if question in {f"complete_{shell}" for shell in (*completers.SHELLS, "pwsh")}:
        from typer.completion import completion_init  # type: ignore[attr-defined]

        os.environ[_VARIABLE] = question
        completion_init()
