"""The application: its commands in the order of its help, and their help.

The help is laid out here, because the layout differs between versions of typer.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from rnnspec.arguments import one_of
from rnnspec.cli.commands.build import build
from rnnspec.cli.commands.codegen import codegen
from rnnspec.cli.commands.completion import completion
from rnnspec.cli.commands.convert import convert
from rnnspec.cli.commands.diff import diff
from rnnspec.cli.commands.doctor import doctor
from rnnspec.cli.commands.draw import draw
from rnnspec.cli.commands.explain import explain
from rnnspec.cli.commands.import_ import import_
from rnnspec.cli.commands.init import init
from rnnspec.cli.commands.lint import lint
from rnnspec.cli.commands.parity import parity
from rnnspec.cli.commands.schema import schema
from rnnspec.cli.commands.summary import summary
from rnnspec.cli.commands.validate import validate
from rnnspec.errors import UsageError
from rnnspec.version import PLACE, __version__


class Group(TyperGroup):
    """The commands; an unknown one is refused as any other unknown name is."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments, with ``help COMMAND`` as ``COMMAND --help``."""
        if args[:1] == ["help"]:
            args = [*args[1:], "--help"]
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command that the first argument names."""
        if not ctx.resilient_parsing:  # as when a shell completes
            one_of("command", args[0], [*self.list_commands(ctx), "help"])
        return super().resolve_command(ctx, args)


PACKAGES = {"conformance": "Show which tools compute recurrent networks right."}
"""The help of each command that comes with a package of its own, in the folder of its name."""


class _Commands(Group):
    """The commands of rnnspec, then those of packages, which are looked for only when they run."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of all commands, also if their packages are not installed."""
        return [*super().list_commands(ctx), *PACKAGES]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command; of a package, what the list of commands shows."""
        if about := PACKAGES.get(cmd_name):
            return TyperCommand(cmd_name, help=about)
        return super().get_command(ctx, cmd_name)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command that the first argument names.

        Raises:
            UsageError: there is none, or its package is not installed.
        """
        name, command, rest = super().resolve_command(ctx, args)
        if name in PACKAGES:
            # Imported here: it reads the metadata of every installed package.
            from importlib.metadata import entry_points

            for point in entry_points(group="rnnspec.commands", name=name):
                return name, get_command(point.load()), rest
            if not ctx.resilient_parsing:
                install = f"{PLACE}, pip install ./{name}"
                raise UsageError(f"'rnnspec {name}' is not installed: {install}")
        return name, command, rest


class Command(TyperCommand):
    """A command whose ``--help`` shows metavars as declared, without Python types."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return ``[OPTIONS]`` and the arguments of the usage line."""
        pieces = ["[OPTIONS]"]
        argument: Any
        for argument in filter(_is_argument, self.get_params(ctx)):
            name = argument.metavar + ("..." if argument.nargs == -1 else "")
            pieces.append(name if argument.required else f"[{name}]")
        return pieces

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the list of arguments and the list of options."""
        arguments, options = [], []
        parameter: Any
        for parameter in self.get_params(ctx):
            has_default = parameter.default not in {None, False} and parameter.show_default
            default = f" [default: {parameter.default}]" if has_default else ""
            text = f"{parameter.help}{default}"
            if _is_argument(parameter):
                arguments.append((parameter.metavar, text))
            elif not parameter.hidden:
                names = ", ".join(sorted(parameter.opts, key=len))
                options.append(
                    (names if parameter.is_flag else f"{names} {parameter.metavar}", text)
                )
        for title, rows in (("Arguments", arguments), ("Options", options)):
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)


def _is_argument(parameter: Any) -> bool:
    return bool(parameter.param_type_name == "argument")


app = typer.Typer(
    name="rnnspec",
    cls=_Commands,
    help="One YAML file: the same recurrent network in Keras, PyTorch, JAX, ONNX and C.",
    epilog="Example: rnnspec build specs/stacked_lstm.yaml --backend keras",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(requested: bool) -> None:
    if requested:
        print(f"rnnspec {__version__}")
        raise typer.Exit


@app.callback()
def _rnnspec(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    del version


_COMMANDS = (
    (init, "rnnspec init my_tagger --network tagger"),
    (validate, "rnnspec validate specs --format concise"),
    (lint, "rnnspec lint specs --ignore L103,L2"),
    (explain, "rnnspec explain L101"),
    (summary, "rnnspec summary specs/stacked_lstm.yaml --json"),
    (build, "rnnspec build specs/stacked_lstm.yaml -b torch --seed 1 -o out"),
    (convert, "rnnspec convert trained.keras moved --spec specs/stacked_lstm.yaml"),
    (import_, "rnnspec import trained.h5 -o names/classifier.yaml"),
    (codegen, "rnnspec codegen specs/stacked_lstm.yaml --backend keras -o model.py"),
    (draw, "rnnspec draw specs/stacked_lstm.yaml -o stacked.svg"),
    (diff, "rnnspec diff specs/stacked_lstm.yaml specs/standard_rnn.yaml"),
    (schema, "rnnspec schema -o rnnspec.schema.json"),
    (parity, "rnnspec parity specs/*.yaml --level training"),
    (doctor, "rnnspec doctor --json"),
    (completion, "rnnspec completion bash"),
)
"""The function of each command, and an example."""

for _function, _example in _COMMANDS:
    # A function whose name Python has taken has an underscore that the command lacks.
    _name = _function.__name__.rstrip("_")
    app.command(_name, cls=Command, epilog=f"Example: {_example}")(_function)
