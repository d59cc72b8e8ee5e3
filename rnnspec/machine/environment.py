"""The versions that rnnspec runs with, found without importing a framework."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from importlib.util import find_spec
from typing import Any

from rnnspec.backends import BACKENDS, Backend
from rnnspec.errors import BackendError, printable
from rnnspec.errors.arguments import check_flag
from rnnspec.version import __version__

_CONFORMANCE = "rnnspec-conformance"
_ABSENT = "not installed"
_UNKNOWN = "unknown version"


@dataclass(frozen=True, slots=True)
class Environment:
    """Versions by name; a package that is not there is ``not installed``.

    ``engines`` has the framework that a backend is set to run on, with its version. ``problems``
    says of each backend that cannot be used as installed why, and what to do.
    """

    rnnspec: str
    python: str
    platform: str
    yaml: str
    packages: dict[str, str]
    backends: dict[str, str]
    engines: dict[str, str]
    problems: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the versions as plain data."""
        return {**asdict(self), "problems": list(self.problems)}

    def rows(self) -> Iterator[tuple[str, str]]:
        """Yield each name with its version, on one line each."""
        yield "rnnspec", self.rnnspec
        yield "Python", self.python
        yield "platform", self.platform
        yield from self.packages.items()
        yield "YAML parser", self.yaml
        for name, version in self.backends.items():
            engine = self.engines.get(name)
            yield name, f"{version}, on {engine}" if engine else version


def environment() -> Environment:
    """Return the versions of rnnspec, its conformance suite, Python, dependencies and backends."""
    # Imported here: PyYAML takes time.
    from rnnspec.spec.yaml.tree import LOADER

    engines = {
        name: f"{backend.engine()} {_module_version(backend.engine())}"
        for name, backend in BACKENDS.items()
        if backend.engine is not None and backend.installed
    }
    return Environment(
        rnnspec=__version__,
        python=f"{platform.python_version()} ({platform.python_implementation()})",
        platform=platform.platform(),
        yaml="libyaml" if LOADER.__name__ == "CSafeLoader" else "pure Python",
        packages={name: _version(name) for name in (*_dependencies(), _CONFORMANCE)},
        backends={name: _backend_version(backend) for name, backend in BACKENDS.items()},
        engines=engines,
        problems=tuple(_problems()),
    )


def show_versions(*, json: bool = False) -> None:
    """Print the versions of rnnspec, Python, its dependencies and the backends, for bug reports.

    No framework is imported.

    Args:
        json: print JSON.

    Raises:
        UsageError: ``json`` is neither True nor False.
    """
    check_flag("json", json)
    versions = environment()
    if json:
        from json import dumps

        print(dumps(versions.as_dict(), indent=2))
    else:
        print(*lines(versions.rows()), sep="\n")


def lines(rows: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Yield ``name  value`` for each row, the values below each other."""
    pairs = list(rows)
    width = max(len(name) for name, _ in pairs)
    for name, value in pairs:
        yield printable(f"{name:{width}}  {value}")


def _dependencies() -> list[str]:
    """Return the names of the packages that rnnspec always needs."""
    try:
        declared = metadata.requires("rnnspec") or []
    except metadata.PackageNotFoundError:
        return []  # run from a folder, not installed
    needed = (requirement for requirement in declared if "extra ==" not in requirement)
    return sorted(re.split(r"[^\w.-]", requirement, maxsplit=1)[0] for requirement in needed)


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return _ABSENT


def _backend_version(backend: Backend) -> str:
    if backend.command is not None and not backend.distribution:
        if backend.installed:
            return backend.command_version()
        return f"no compiler: {backend.missing}"
    if not backend.distribution:
        return f"part of rnnspec {__version__}"
    version = _module_version(backend.distribution)
    if not backend.needed or version == _ABSENT:
        return version
    also = [f"{name} {_module_version(name)}" for name in backend.needed]
    return ", ".join([f"{backend.distribution} {version}", *also])


def _module_version(name: str) -> str:
    """Return the version of a module; its distribution may have another name, as nightlies do."""
    version = _version(name)
    return _UNKNOWN if version == _ABSENT and _exists(name) else version


def _exists(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):  # the name of an engine is free text
        return False


def _problems() -> Iterator[str]:
    for backend in BACKENDS.values():
        if not backend.installed:
            continue
        try:
            backend.require()
        except BackendError as error:
            yield error.message
        if backend.engine is not None and not _exists(backend.engine()):
            yield printable(
                f"{backend.title} is set to run on {backend.engine()!r}, which is not installed: "
                f"pip install {backend.requirement}, or choose another one"
            )
