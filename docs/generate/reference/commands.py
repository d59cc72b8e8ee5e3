"""The reference of the commands, read from the Typer application."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from typer.main import get_command

from docs.generate.markdown import fence, table
from rnnspec.cli.app import app
from rnnspec_conformance.commands import app as conformance


def command_page() -> dict[str, str]:
    """Return the page with every command, argument and option."""
    parts = [_section(name, command) for name, command in all_commands()]
    return {"reference/options.md": "# Every command and option\n\n" + "\n".join(parts)}


def all_commands() -> Iterator[tuple[str, Any]]:
    """Yield each command with its name, which for one of a group has two words."""
    top: Any = get_command(app)
    commands = {name: top.get_command(None, name) for name in top.list_commands(None)}
    for name, command in {**commands, "conformance": get_command(conformance)}.items():
        if inner := getattr(command, "commands", None):
            yield from ((f"{name} {subcommand}", one) for subcommand, one in inner.items())
        else:
            yield name, command


def _section(name: str, command: Any) -> str:
    with command.make_context(name, [], resilient_parsing=True) as context:
        usage = " ".join([f"rnnspec {name}", *command.collect_usage_pieces(context)])
        parameters = command.get_params(context)
    visible = [p for p in parameters if p.name != "help" and not getattr(p, "hidden", False)]
    rows = [(_name(parameter), _meaning(parameter)) for parameter in visible]
    example = command.epilog.removeprefix("Example: ")
    about = [_paragraph(paragraph) for paragraph in command.help.split("\n\n")]
    parts = [f"## {name}\n", *about, fence("text", usage)]
    parts += [table(("argument or option", "meaning"), rows)]
    parts += ["For example:\n", fence("sh", example)]
    return "\n".join(parts)


def _paragraph(text: str) -> str:
    """Return a paragraph of help as Markdown; a line of a spec is code."""
    return fence("yaml", text) if text.startswith("# ") else text.replace("*", "\\*") + "\n"


def _name(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return f"`{parameter.metavar}`"
    names = ", ".join(f"`{option}`" for option in sorted(parameter.opts, key=len))
    return names if parameter.is_flag else f"{names} `{parameter.metavar}`"


def _meaning(parameter: Any) -> str:
    has_default = parameter.show_default and parameter.default not in {None, False}
    return f"{parameter.help} Default: `{parameter.default}`." if has_default else parameter.help
