"""The record of the Keras backend."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from rnnspec.backends.base import Backend
from rnnspec.words import POOLING_FUNCTIONS, ReservedNames

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from rnnspec.backends.optimizers import Cause

_DEFAULT = "tensorflow"
_MOST = 2**16
"""More characters than a settings file has."""


def engine() -> str:
    """Return the engine that Keras is set to run on: KERAS_BACKEND, keras.json or the default."""
    return os.environ.get("KERAS_BACKEND") or _configured() or _DEFAULT


def _configured() -> str:
    """Return the engine in the settings file, empty if there is none."""
    # Imported here: most runs never ask for the engine.
    import json

    home = os.environ.get("KERAS_HOME")
    path = (Path(home) if home else Path("~/.keras").expanduser()) / "keras.json"
    try:
        with path.open(encoding="utf-8") as stream:
            settings = json.loads(stream.read(_MOST))
    except (OSError, ValueError, RecursionError):  # Keras ignores such a file too
        return ""
    name = settings.get("backend") if isinstance(settings, dict) else None
    return name if isinstance(name, str) else ""


def _causes() -> tuple[Cause, ...]:
    """Return the known differences of Keras's optimizers, on the engine that it is set to run on.

    Sources: https://github.com/keras-team/keras/blob/master/keras/src/optimizers/adam.py, and on
    TensorFlow https://github.com/keras-team/keras/pull/18633, and ``keras.ops.cast`` of a float.
    """
    return ("epsilon", "rounded", "repeated") if engine() == _DEFAULT else ("epsilon",)


def _quietly() -> AbstractContextManager[None]:
    """Return the context in which Keras is imported: without log messages."""
    # Imported here: most runs do not import Keras.
    from rnnspec.backends.keras.quiet import without_logs

    return without_logs(engine())


_RESERVED = ReservedNames(
    in_source=frozenset(
        """
        build_begin build_model fill_padding hard_sigmoid l2_normalized layers legacy_hard_sigmoid
        masked_first model np ops repeat_like same_steps set_forget_bias softplus
        """.split()  # noqa: SIM905 - names side by side are easier to check
    ).union(POOLING_FUNCTIONS),
    in_class=frozenset({"inputs", "masking"}),
    # Operations in a Keras model, beside its layers. Keras numbers them with a counter that is
    # shared by the whole process, and rejects a model if a layer has the name of an operation.
    framework_pattern=(
        "(any|cast|concatenate|cumsum|einsum|equal|expand_dims|flip|get_item|greater|less"
        "|logical_and|logical_or|max|maximum|min|minimum|not_equal|ones_like|pad|sqrt|square|subtract|sum|tile"
        "|true_divide|where|zeros_like)(_[0-9]+)?"
    ),
    framework_reason="is a name that Keras gives to an operation",
)

KERAS = Backend(
    name="keras",
    title="Keras",
    package="rnnspec.backends.keras",
    distribution="keras",
    # ReversibleEmbedding, and the mask of Concatenate for any number of steps.
    minimum=(3, 12),
    extra="keras",
    forms=("training", "inference", "step"),
    files=("{name}.keras",),
    loading=("import keras", "model = keras.saving.load_model({path!r})"),
    loading_begin="begin = keras.saving.load_model({begin!r})",
    engine=engine,
    importing=_quietly,
    optimizers="keras.optimizers",
    causes=_causes,
    reserved_names=_RESERVED,
)
