"""Reading of ``.keras`` files that rnnspec wrote: the spec, and whether it is that of the model.

A model is never built from the configuration in the file, which can name code to run. It is
compared with the configuration of the model built from the spec.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from rnnspec.backends.imported import said
from rnnspec.backends.kept import Reader
from rnnspec.backends.keras.configs import ConfigError, differences
from rnnspec.backends.keras.foreign import files as foreign
from rnnspec.backends.keras.foreign.openable import unknown_class

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from rnnspec.backends.imported import Imported
    from rnnspec.backends.kept import Kept
    from rnnspec.ir.nodes import Network
    from rnnspec.slots import Array

_MOST_DIFFERENCES = 10


def recognises(path: Path) -> bool:
    """Return whether the path has the suffix of Keras's files."""
    return path.suffix == ".keras"


def files(path: Path) -> tuple[Path, ...]:
    """Return the one file."""
    return (path,)


def spec_text(path: Path) -> str:
    """Return the text of the spec in a file, empty if Keras itself has saved it since."""
    return foreign.spec_text(path)


def saved(path: Path, network: Network) -> SavedFile:
    """Return the arrays of a network in a file, and the configuration beside them."""
    imported, config = foreign.read_arrays(path, network)
    return SavedFile(imported, config)


@dataclass(frozen=True, slots=True)
class SavedFile:
    """The arrays in a file, and its configuration, of which nothing is built."""

    imported: Imported
    config: Any
    form: str = ""

    @property
    def tool(self) -> str:
        """The kind of file and the version of Keras that wrote it, in words."""
        return self.imported.form

    @property
    def left_out(self) -> tuple[str, ...]:
        """Sentences on what is not carried over."""
        return self.imported.left_out

    def gather(self, gather: Callable[[Kept], Mapping[str, Array]]) -> Mapping[str, Array]:  # noqa: ARG002
        """Return the canonical arrays, which were found by the layers of the network."""
        return self.imported.arrays

    def problem(self, text: str, fresh: Callable[[], Any]) -> str:  # noqa: ARG002
        """Return how the configuration differs from that of a live model, empty if it does not.

        Shapes of arrays do not show activations, masks or dropout, so the configuration decides.
        """
        try:
            found = list(islice(differences(_config(fresh()), self.config), _MOST_DIFFERENCES))
        except ConfigError as error:
            found = [str(error)]
        return f"this is not the model of the spec: {'; '.join(found)}" if found else ""

    def unlike(self, text: str, fresh: Callable[[], Any]) -> tuple[str, ...]:  # noqa: ARG002
        """Return a class that the live model has not: what ``problem`` skips may name code."""
        name = unknown_class(self.config, like=_config(fresh()))
        return (f"the file names {said(name)}, which is not opened here",) if name else ()


def _config(model: Any) -> Any:
    return json.loads(model.to_json())


READER = Reader(recognises=recognises, files=files, spec_text=spec_text, saved=saved)
