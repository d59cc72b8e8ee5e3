"""``rnnspec init``: a commented spec to start from, and the schema that editors know it by."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from shlex import quote

from rnnspec.errors import UsageError, printable
from rnnspec.files import check_target, write_file
from rnnspec.spec import schema
from rnnspec.spec.names import check_network_name
from rnnspec.spec.wording import listed, nearest, quoted

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

    The schema goes beside it, unless it is there already.

    Raises:
        UsageError: there is no such network, no network may have this name, or the file exists
            and ``force`` is not given.
        OutputError: a file cannot be written; what was there still is.
    """
    name = network if name is None else name
    text = _named(_known(network), name)
    target = output or Path(f"{name}.yaml")
    check_target(target, force=force)
    notes = [f"wrote {target}", *_write_schema(target.with_name(SCHEMA_FILE))]
    write_file(target, MODELINE + text, force=force)
    for note in [*notes, f"next: rnnspec summary {quote(str(target))}"]:
        print(printable(note))


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


def _write_schema(target: Path) -> tuple[str, ...]:
    """Write the schema where there is none, and return what there is to say about it."""
    text = schema.text()
    if not target.exists():
        write_file(target, text, force=False)
        return (f"wrote {target}, by which editors complete and check it",)
    if target.read_text("utf-8", errors="replace") != text:
        return (
            f"{target} is not that of this version: rnnspec schema -o {target} --force renews it",
        )
    return ()
