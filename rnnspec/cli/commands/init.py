"""``rnnspec init``: write a commented spec to start from, and the schema for editors."""

from __future__ import annotations

from pathlib import Path
from shlex import quote

from rnnspec.arguments import one_of
from rnnspec.backends import taken_names
from rnnspec.backends.base import TEMPLATES
from rnnspec.cli.terminal.messages import tell
from rnnspec.errors import OutputError, UsageError, printable
from rnnspec.files import Inputs, write_file
from rnnspec.spec import json_schema
from rnnspec.spec.names import check_network_name

SCHEMA_FILE = "rnnspec.schema.json"
MODELINE = f"# yaml-language-server: $schema=./{SCHEMA_FILE}\n"

_NETWORKS = TEMPLATES / "init"


def networks() -> tuple[str, ...]:
    """Return the names of the example networks, sorted."""
    return tuple(sorted(Path(entry.name).stem for entry in _NETWORKS.iterdir()))


def list_networks() -> None:
    """Print each network with its inputs and outputs, one per line."""
    width = max(map(len, networks()))
    for network in networks():
        first = _text(network).partition("\n")[0]
        print(f"{network:{width}}  {first.removeprefix('# ')}")


def run(name: str | None, network: str, output: Path | None, *, force: bool) -> None:
    """Write ``network`` to ``output`` or NAME.yaml; ``name`` defaults to the name of the network.

    The schema is written beside the spec unless its file exists. If it cannot be written, a
    message says so, and the spec is kept.

    Raises:
        UsageError: the network is unknown, the name is invalid, the file exists and ``force`` is
            not given, or ``output`` is the path of the schema.
        OutputError: the spec cannot be written; the previous file is unchanged.
    """
    name = network if name is None else name
    text = _rename_network(one_of("network", network, networks()), name)
    target = output or Path(f"{name}.yaml")
    schema_target = target.parent / SCHEMA_FILE
    taken = Inputs.of([(schema_target, "the file of the schema")])
    taken.check(target)
    if target.suffix not in ("", ".yaml", ".yml"):
        raise UsageError("expected a path that ends in .yaml", str(target))
    write_file(target, MODELINE + text, force=force, inputs=taken)
    print(printable(f"wrote {target}"))
    _write_schema(schema_target)
    print(printable(f"next: rnnspec summary {quote(str(target))}"))


def _rename_network(network: str, name: str) -> str:
    """Return the text of a network under another name."""
    try:
        check_network_name(name, taken_names())
    except ValueError as error:
        raise UsageError(str(error)) from None
    return _text(network).replace(f"\nname: {network}\n", f"\nname: {name}\n", 1)


def _text(network: str) -> str:
    return (_NETWORKS / f"{network}.yaml").read_text("utf-8")


def _write_schema(target: Path) -> None:
    """Write the schema unless its file exists, and print the result."""
    try:
        write_file(target, json_schema.text(taken_names()), force=False)
    except UsageError:  # the file exists, perhaps created a moment ago
        _compare_schema(target)
    except OutputError as error:
        _note(target, f"{error.message}; the spec was written, the schema was not")
    else:
        print(printable(f"wrote {target}, for completion and checks in editors"))


def _compare_schema(target: Path) -> None:
    """Print a note if the file is not the schema of this version, or cannot be compared."""
    expected = json_schema.text(taken_names()).encode()
    try:
        if not target.is_file():  # opening a named pipe would wait for a writer
            _note(target, "is not a regular file, so the schema is neither written nor compared")
            return
        with target.open("rb") as stream:
            # A longer file differs anyway; twice leaves room for Windows line breaks.
            found = stream.read(2 * len(expected))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        _note(target, f"cannot be read, so it was not compared with the schema: {reason}")
        return
    if found.replace(b"\r\n", b"\n") != expected:
        renew = f"rnnspec schema -o {quote(str(target))} --force updates it"
        print(printable(f"{target} is not the schema of this version: {renew}"))


def _note(target: Path, message: str) -> None:
    tell(printable(f"{target}: note: {message}"))
