"""Reading of ``.keras`` files that rnnspec wrote: the spec, and whether it is that of the model.

A model is never built from the configuration in the file, which can name code to run. It is
compared with the configuration of the model built from the spec.
"""

from __future__ import annotations

import json
from itertools import islice
from typing import TYPE_CHECKING, Any

from rnnspec.backends.imported import said
from rnnspec.backends.keras.configs import ConfigError, differences
from rnnspec.backends.keras.foreign import files as foreign
from rnnspec.backends.keras.foreign.openable import unknown_class

if TYPE_CHECKING:
    from pathlib import Path

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


def differing(model: Any, config: Any) -> str:
    """Return how a configuration in a file differs from a live model's, empty if it does not.

    Shapes of arrays do not show activations, masks or dropout, so the configuration decides.
    """
    try:
        found = differences(json.loads(model.to_json()), config)
        return "; ".join(islice(found, _MOST_DIFFERENCES))
    except ConfigError as error:
        return str(error)


def unopenable(model: Any, config: Any) -> tuple[str, ...]:
    """Return the reasons why Keras shall not open a file whose configuration is like a model's.

    What ``differing`` skips may still name code.
    """
    name = unknown_class(config, like=json.loads(model.to_json()))
    return (f"the file names {said(name)}, which is not opened here",) if name else ()
