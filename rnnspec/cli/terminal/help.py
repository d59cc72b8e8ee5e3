"""The help of a command, laid out here because the layout differs between typer versions."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand, TyperGroup

from rnnspec.arguments import one_of


class Group(TyperGroup):
    """The commands; an unknown one is refused as any other unknown name is."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command that the first argument names."""
        if not ctx.resilient_parsing:  # as when a shell completes
            one_of("command", args[0], self.list_commands(ctx))
        return super().resolve_command(ctx, args)


class Command(TyperCommand):
    """A command whose ``--help`` shows metavars as declared, without Python types."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return ``[OPTIONS]`` and the arguments of the usage line."""
        return ["[OPTIONS]", *(_usage(each) for each in self.get_params(ctx) if _is_argument(each))]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the list of arguments and the list of options."""
        parameters = [each for each in self.get_params(ctx) if not getattr(each, "hidden", False)]
        arguments = [(each.metavar, _text(each)) for each in parameters if _is_argument(each)]
        options = [(_option(each), _text(each)) for each in parameters if not _is_argument(each)]
        for title, rows in (("Arguments", arguments), ("Options", options)):
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)


def _is_argument(parameter: Any) -> bool:
    return bool(parameter.param_type_name == "argument")


def _usage(argument: Any) -> str:
    name = argument.metavar + ("..." if argument.nargs == -1 else "")
    return name if argument.required else f"[{name}]"


def _option(option: Any) -> str:
    names = ", ".join(sorted(option.opts, key=len))
    return names if option.is_flag else f"{names} {option.metavar}"


def _text(parameter: Any) -> str:
    shown = parameter.default not in {None, False} and parameter.show_default
    return f"{parameter.help} [default: {parameter.default}]" if shown else str(parameter.help)
