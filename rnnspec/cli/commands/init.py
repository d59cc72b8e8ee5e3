"""``rnnspec init``: a commented spec to start from, and the schema that editors know it by."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from shlex import quote

from rnnspec.cli.terminal.messages import tell
from rnnspec.errors import OutputError, UsageError, listed, printable
from rnnspec.files import Inputs, write_file
from rnnspec.spec.names import check_network_name
from rnnspec.spec.schema import json_schema
from rnnspec.spec.wording import nearest, quoted

SCHEMA_FILE = "rnnspec.schema.json"
MODELINE = f"# yaml-language-server: $schema=./{SCHEMA_FILE}\n"

_NETWORKS = files("rnnspec.templates") / "init"


def networks() -> tuple[str, ...]:
    """Return the names of the networks that there are to start from, sorted."""
    return tuple(sorted(Path(entry.name).stem for entry in _NETWORKS.iterdir()))


def list_networks() -> None:
    """Print each network with what goes in and comes out, one a line."""
    width = max(map(len, networks()))
    for network in networks():
        first = _text(network).partition("\n")[0]
        print(f"{network:{width}}  {first.removeprefix('# ')}")


def run(name: str | None, network: str, output: Path | None, *, force: bool) -> None:
    """Write ``network`` under ``name``, which is its own by default, to ``output`` or NAME.yaml.

    The schema goes beside it, unless something is there already. If it cannot be written, a
    message says so, and the spec is there all the same.

    Raises:
        UsageError: there is no such network, no network may have this name, or the file exists
            and ``force`` is not given, or it is where the schema goes.
        OutputError: the spec cannot be written; what was there still is.
    """
    name = network if name is None else name
    text = _named(_known(network), name)
    target = output or Path(f"{name}.yaml")
    schema_target = target.parent / SCHEMA_FILE
    taken = Inputs.of([(schema_target, "where the schema goes")])
    write_file(target, MODELINE + text, force=force, inputs=taken)
    print(printable(f"wrote {target}"))
    _write_schema(schema_target)
    print(printable(f"next: rnnspec summary {quote(str(target))}"))


def _known(network: str) -> str:
    if network in networks():
        return network
    word = nearest(network, networks())
    hint = f"did you mean {word!r}?" if word else f"there are {listed(networks())}"
    raise UsageError(f"unknown network {quoted(network)}; {hint}")


def _named(network: str, name: str) -> str:
    """Return the text of a network under another name."""
    try:
        check_network_name(name)
    except ValueError as error:
        raise UsageError(str(error)) from None
    return _text(network).replace(f"\nname: {network}\n", f"\nname: {name}\n", 1)


def _text(network: str) -> str:
    return (_NETWORKS / f"{network}.yaml").read_text("utf-8")


def _write_schema(target: Path) -> None:
    """Write the schema if nothing is there, and say what there is to say about it."""
    try:
        write_file(target, json_schema.text(), force=False)
    except UsageError:  # something is there, perhaps by now
        _compare_schema(target)
    except OutputError as error:
        _note(target, f"{error.message}; the spec is written, the schema is not")
    else:
        print(printable(f"wrote {target}, by which editors complete and check it"))


def _compare_schema(target: Path) -> None:
    """Say if what is there is not the schema of this version, or cannot be compared with it."""
    expected = json_schema.text().encode()
    try:
        if not target.is_file():  # to open a named pipe would wait for a writer
            _note(target, "is no regular file, so the schema is neither written nor compared")
            return
        with target.open("rb") as stream:
            found = stream.read(2 * len(expected))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        _note(target, f"cannot be read, so it is not compared with the schema: {reason}")
        return
    if found.replace(b"\r\n", b"\n") != expected:
        renew = f"rnnspec schema -o {quote(str(target))} --force renews it"
        print(printable(f"{target} is not that of this version: {renew}"))


def _note(target: Path, message: str) -> None:
    tell(printable(f"{target}: note: {message}"))
