"""``rnnspec completion``: the script with which a shell completes commands, and its questions."""

from __future__ import annotations

import os

from rnnspec.arguments import one_of

SHELLS = ("bash", "zsh", "fish", "powershell")

_VARIABLE = "_RNNSPEC_COMPLETE"
"""The environment variable in which a script asks for completions."""
_QUESTIONS = frozenset(f"complete_{shell}" for shell in (*SHELLS, "pwsh"))


def run(shell: str) -> None:
    """Print the script for ``shell``.

    Raises:
        UsageError: there is none.
    """
    from typer.completion import get_completion_script  # type: ignore[attr-defined]

    one_of("shell", shell, SHELLS)
    print(get_completion_script(prog_name="rnnspec", complete_var=_VARIABLE, shell=shell))


def answer_shells() -> None:
    """Let the application print completions if the script of a shell asks for them."""
    # Typer would answer anything else in this variable with an error.
    if (asked := os.environ.pop(_VARIABLE, "")) in _QUESTIONS:
        from typer.completion import completion_init  # type: ignore[attr-defined]

        os.environ[_VARIABLE] = asked
        completion_init()
