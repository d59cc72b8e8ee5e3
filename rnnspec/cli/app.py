"""The application, and its commands in the order of its help."""

from __future__ import annotations

from typing import Annotated

import typer

from rnnspec.cli.declared import models, specs, tools, trained
from rnnspec.cli.terminal.help import Command, Group
from rnnspec.version import __version__

app = typer.Typer(
    name="rnnspec",
    cls=Group,
    help="One YAML file: the same recurrent network in Keras, PyTorch, JAX and ONNX.",
    epilog="Example: rnnspec build specs/stacked_lstm.yaml --backend keras",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        print(f"rnnspec {__version__}")
        raise typer.Exit


@app.callback()
def _rnnspec(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    del version


_COMMANDS = (
    (specs.init, "rnnspec init my_tagger --network tagger"),
    (specs.validate, "rnnspec validate specs --format concise"),
    (specs.lint, "rnnspec lint specs --ignore L103,L2"),
    (specs.explain, "rnnspec explain L101"),
    (models.summary, "rnnspec summary specs/stacked_lstm.yaml --json"),
    (models.build, "rnnspec build specs/stacked_lstm.yaml -b torch --seed 1 -o out"),
    (trained.convert, "rnnspec convert trained.keras moved --spec specs/stacked_lstm.yaml"),
    (trained.import_, "rnnspec import trained.h5 -o names/classifier.yaml"),
    (models.codegen, "rnnspec codegen specs/stacked_lstm.yaml --backend keras -o model.py"),
    (models.draw, "rnnspec draw specs/stacked_lstm.yaml -o stacked.svg"),
    (specs.diff, "rnnspec diff specs/stacked_lstm.yaml specs/standard_rnn.yaml"),
    (specs.schema, "rnnspec schema -o rnnspec.schema.json"),
    (models.parity, "rnnspec parity specs/*.yaml --level training"),
    (tools.doctor, "rnnspec doctor --json"),
    (tools.completion, "rnnspec completion bash"),
)
"""The function that declares each command, and an example."""

for _function, _example in _COMMANDS:
    # A function named after a keyword of Python, import_, has an underscore that the command lacks.
    _name = _function.__name__.rstrip("_")
    app.command(_name, cls=Command, epilog=f"Example: {_example}")(_function)
