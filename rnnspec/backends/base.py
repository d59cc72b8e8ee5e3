"""The record of a backend: its names, requirements and capabilities."""

from __future__ import annotations

import re
import shlex
import shutil
from contextlib import nullcontext
from dataclasses import dataclass, replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rnnspec.errors import BackendError, brief
from rnnspec.version import install_command, ways_to_install
from rnnspec.words import NO_NAMES, ReservedNames

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from rnnspec.backends.contract import Emitter, Option, Runtime, Slots, SourceOptions
    from rnnspec.backends.optimizers import Cause
    from rnnspec.ir.forms import Form


_PACKAGE = Path(__file__).parents[1]
_INSTALLED = _PACKAGE / "templates"
TEMPLATES = _INSTALLED if _INSTALLED.is_dir() else _PACKAGE.parent / "templates"
"""The folder of the templates: a wheel has it inside the package, a checkout beside it."""

LEVELS = ("counts", "forward", "gradients", "training")
"""Levels of comparison, each including those before it."""

Level = Literal["counts", "forward", "gradients", "training"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """The record of a backend: its names, requirements and capabilities.

    ``title`` is the name of the framework, and ``format`` that of its source if other frameworks
    run it too.
    ``package`` contains its modules ``emit``, ``slots`` and ``runtime``, and ``templates`` is the
    folder of its templates. ``distribution`` is the installed package that the runtime imports
    (empty if it needs none), ``minimum`` the oldest version of it that works, ``needed`` further
    packages, and ``extra`` the extra of rnnspec that installs all of them. ``ending`` is that of a
    file of its source: only Python is executed, and the runtime is given any other text as it is.
    ``forms`` are the forms of source it writes: without
    ``training`` the source draws no weights, and its arrays are zero until they are written.
    The first form is written if none is asked for.
    ``level`` is the highest level of comparison that its runtime supports (None if it has no
    runtime), in each of ``dtypes``. ``files`` are the files that ``build`` writes, with ``{name}``
    for the name of the network: a single file, or several in a folder; ``reads_files`` tells
    whether they come in again. ``loading`` is the Python code that loads them; ``{name}``,
    ``{entry}``, ``{arguments}``, ``{path!r}`` and ``{folder!r}`` are filled in. ``arguments`` are
    those of the entry, for the forms of source that need some.
    ``loading_begin`` loads the file that computes the first states of a model in step form, from
    ``{begin!r}``. For a single file, ``{file}`` is its name, and ``{macro}`` the entry in capitals.
    ``options`` are those of its source and its files.
    With ``quantizes_source``, another source is written for a file that is quantized.
    ``function_error`` is the absolute error of the functions in its recurrent layers in float32, if
    it is more than a relative one of a few units.
    ``command`` returns the name of the program that the runtime needs, if it needs one, and
    ``command_version`` its version.
    ``importing`` returns what the runtime is imported in.
    ``engine`` returns the name of the framework that the runtime is set to run on, if it has
    several, without importing it. ``optimizers`` is the package of the framework's own optimizers,
    if the runtime has ``own_steps``; ``causes`` returns known differences of these.
    ``reserved_names`` are those that the source and the framework use.
    """

    name: str
    title: str
    package: str
    format: str = ""
    templates: Path = TEMPLATES
    distribution: str = ""
    minimum: tuple[int, int] = (0, 0)
    needed: tuple[str, ...] = ()
    extra: str = ""
    ending: str = ".py"
    forms: tuple[Form, ...] = ("training",)
    level: Level | None = "training"
    dtypes: tuple[str, ...] = ("float64", "float32")
    files: tuple[str, ...] = ()
    reads_files: bool = True
    options: tuple[Option, ...] = ()
    quantizes_source: bool = False
    function_error: float = 0.0
    loading: tuple[str, ...] = ()
    loading_begin: str = ""
    arguments: tuple[tuple[Form, str], ...] = ()
    command: Callable[[], str] | None = None
    command_version: Callable[[], str] = str
    engine: Callable[[], str] | None = None
    importing: Callable[[], AbstractContextManager[None]] = nullcontext
    optimizers: str = ""
    causes: Callable[[], tuple[Cause, ...]] = tuple
    reserved_names: ReservedNames = NO_NAMES

    @property
    def installed(self) -> bool:
        """True if the framework can be found, without importing it."""
        packages = filter(None, (self.distribution, *self.needed))
        if self.command is not None and shutil.which(self.command()) is None:
            return False
        return all(find_spec(package) is not None for package in packages)

    @property
    def source_title(self) -> str:
        """The name of the source: its format, or the framework that it is for."""
        return self.format or self.title

    @property
    def requirement(self) -> str:
        """The arguments of ``pip install`` for the framework: the requirements of the extra."""
        return shlex.join(_requirements_of(self.extra) or [self.distribution])

    @property
    def way(self) -> str:
        """The shortest way to get what is not installed."""
        if self.command is not None:
            return f"{brief(self.command())!r} was not found; install one, or set CC to its path"
        return install_command(self.extra) if self.extra else f"pip install {self.requirement}"

    @property
    def missing(self) -> str:
        """Advice if the framework, or the program that the runtime needs, is not installed."""
        if self.command is not None or not self.extra:
            return self.way
        return ways_to_install(self.extra, self.requirement)

    @property
    def absence(self) -> str:
        """A message for when it is not installed: what is missing, and what to do."""
        what = f"no {self.title} compiler" if self.command else f"{self.title} is not installed"
        return f"{what}: {self.missing}"

    @property
    def suffix(self) -> str:
        """The suffix of the single file that ``build`` writes, empty if it writes a folder."""
        return self.files[0].removeprefix("{name}") if len(self.files) == 1 else ""

    def option(self, name: str) -> Option | None:
        """Return the option that is named, or None if there is none."""
        return next((option for option in self.options if option.name == name), None)

    def with_options(self, options: SourceOptions) -> Backend:
        """Return the record with the fields that options replace."""
        asked = [
            option
            for option in self.options
            if option.name in options and options[option.name] != option.default
        ]
        return replace(
            self, **{field: value for option in asked for field, value in option.replaces}
        )

    def form(self, name: Form | None) -> Form:
        """Return the form of source that is named, or the first one if none is."""
        return self.forms[0] if name is None else name

    def reaches(self, level: str) -> bool:
        """True if the runtime can be compared up to ``level``."""
        return self.level is not None and LEVELS.index(level) <= LEVELS.index(self.level)

    @property
    def emitter(self) -> Emitter:
        """The functions that turn the IR into source."""
        emitter: Emitter = self._module("emit").EMITTER
        return emitter

    @property
    def slots(self) -> Slots:
        """The place of each canonical array."""
        slots: Slots = self._module("slots").SLOTS
        return slots

    @property
    def runtime(self) -> Runtime:
        """The framework.

        Raises:
            BackendError: the framework is not installed, too old, or fails to import.
        """
        self.require()
        try:
            with self.importing():
                runtime: Runtime = self._module("runtime").RUNTIME
        except Exception as error:  # Keras raises ValueError for an unknown engine
            raise BackendError(f"{self.title} cannot be imported: {error}") from error
        return runtime

    def require(self) -> None:
        """Raise BackendError unless the framework is installed and recent enough."""
        # Imported here: a command that needs no framework starts sooner without it.
        from importlib import metadata

        if not self.installed:
            raise BackendError(self.absence)
        try:
            version = metadata.version(self.distribution) if self.distribution else ""
        except metadata.PackageNotFoundError:
            return  # Installed under another name, such as keras-nightly: the import decides.
        # Local and development suffixes do not count, as in '2.6.0+cpu'.
        release = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
        if version and release < self.minimum:
            minimum = ".".join(map(str, self.minimum))
            raise BackendError(
                f"{self.title} {version} is too old, expected {minimum} or newer: "
                f"pip install --upgrade {self.requirement}"
            )

    # Imported on first use, so that the record of a backend costs no import.
    def _module(self, name: str) -> Any:
        return import_module(f"{self.package}.{name}")


def _requirements_of(extra: str) -> list[str]:
    """Return the requirements that ``extra`` adds to those of rnnspec."""
    # Imported here: only a message needs it.
    from importlib import metadata

    try:
        declared = metadata.requires("rnnspec") or []
    except metadata.PackageNotFoundError:
        return []  # run from a folder, not installed
    # The extras of rnnspec have no other markers, so this needs no parser of markers.
    parts = (requirement.replace("'", '"').partition(";") for requirement in declared)
    marker = ["extra", "==", f'"{extra}"']
    return [
        requirement.strip() for requirement, _, condition in parts if condition.split() == marker
    ]
