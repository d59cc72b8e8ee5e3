"""The application: its commands in the order of its help, and their help.

The help is laid out here, because the layout differs between versions of typer.
"""

from __future__ import annotations

from importlib import import_module
from keyword import iskeyword
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from rnnspec.errors import UsageError
from rnnspec.errors.arguments import one_of
from rnnspec.version import __version__, install_package

_EXAMPLES = {
    "init": "rnnspec init my_tagger --network tagger",
    "validate": "rnnspec validate specs --format concise",
    "lint": "rnnspec lint specs --ignore L103,L2",
    "explain": "rnnspec explain L101",
    "summary": "rnnspec summary specs/stacked_lstm.yaml --json",
    "build": "rnnspec build specs/stacked_lstm.yaml -b torch --seed 1 -o out",
    "convert": "rnnspec convert trained.keras moved --spec specs/stacked_lstm.yaml",
    "import": "rnnspec import trained.h5 -o names/classifier.yaml",
    "codegen": "rnnspec codegen specs/stacked_lstm.yaml --backend keras -o model.py",
    "draw": "rnnspec draw specs/stacked_lstm.yaml -o stacked.svg",
    "diff": "rnnspec diff specs/stacked_lstm.yaml specs/standard_rnn.yaml",
    "schema": "rnnspec schema -o rnnspec.schema.json",
    "parity": "rnnspec parity specs/*.yaml --level training",
    "doctor": "rnnspec doctor --json",
    "completion": "rnnspec completion bash",
}
"""An example of each command, which is the function of its name in its module."""

ADVICE = {
    "use 'convert' for a trained model, or 'build -o OUT' for one of a spec": (
        "export save to_onnx onnx dump deploy"
    ),
    "use 'codegen', which writes source": (
        "code compile emit gen generate scaffold source transpile translate"
    ),
    "use 'validate' for a spec, or 'parity' to compare backends": "check test verify",
    "use 'parity' for backends, or 'diff' for two specs": "compare equal",
    "use 'draw'": "display graph picture plot render show view visualise visualize",
    "use 'summary'": "count describe info inspect params print stats",
    "use 'init'": "create new start template",
    "use 'import'": "load open read",
    "use 'build', and train the model in its framework": "fit predict run train",
    "use 'build --quantize int8'": "quantise quantize",
    "use '--version'": "version",
    "use 'help'": "commands list",
}
"""What to use for the commands of other tools."""

PACKAGES = {"conformance": "Show which tools compute recurrent networks right."}
"""The help of each command that comes with a package of its own, in the folder of its name."""


class CommandGroup(TyperGroup):
    """The commands; an unknown one is refused as any other unknown name is."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments, with ``help COMMAND`` as ``COMMAND --help``."""
        if args[:1] == ["help"]:
            args = [*args[1:], "--help"]
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command that the first argument names."""
        if not ctx.resilient_parsing:  # as when a shell completes
            one_of("command", args[0], [*self.list_commands(ctx), "help"], ADVICE)
        return super().resolve_command(ctx, args)


class _Commands(CommandGroup):
    """The commands of rnnspec, imported when they are asked for, then those of packages.

    To import one costs time that all others would take; packages are looked for only when they run.
    """

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - the signature of the class above
        """Return the names of all commands, also if their packages are not installed."""
        return [*_EXAMPLES, *PACKAGES]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        """Return a command; of a package, what the list of commands shows."""
        if about := PACKAGES.get(cmd_name):
            return TyperCommand(cmd_name, help=about)
        if cmd_name not in _EXAMPLES:
            return None
        # A function whose name Python has taken has an underscore that the command lacks.
        name = cmd_name + "_" * iskeyword(cmd_name)
        function = getattr(import_module(f"rnnspec.cli.commands.{name}"), name)
        alone = typer.Typer(add_completion=False, rich_markup_mode=None)
        epilog = f"Example: {_EXAMPLES[cmd_name]}"
        alone.command(cmd_name, cls=Command, epilog=epilog)(function)
        return get_command(alone)

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
                install = install_package(f"rnnspec-{name}", name)
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
