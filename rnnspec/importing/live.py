"""Live models of other tools: the public functions."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rnnspec.arguments import received
from rnnspec.errors import UsageError
from rnnspec.importing.naming import network_name_of
from rnnspec.importing.run import spelled

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rnnspec.slots import Array
    from rnnspec.spec.models import Spec


@dataclass(frozen=True, slots=True)
class Model:
    """A model that was taken over: its spec, its canonical arrays, and what was left behind.

    ``spec`` is what ``rnnspec.load`` returns, and its text ``spec.document.text``. ``arrays`` is
    what ``rnnspec.write_weights`` takes. ``left_out`` and ``inferred`` are sentences.
    """

    spec: Spec
    arrays: Mapping[str, Array]
    left_out: tuple[str, ...]
    inferred: tuple[str, ...]


def from_keras(model: Any, name: str = "") -> Model:
    """Return a live Keras model as a spec and its canonical arrays.

    Its configuration and its weights are read; nothing of the model is run.

    Args:
        model: a built ``keras.Model`` (Sequential or functional), of Keras 3 or of ``tf_keras``.
        name: the name of the network; by default that of the model.

    Raises:
        ModelError: the language cannot express the model; every reason is listed.
        UsageError: ``model`` is no Keras model, or has no weights yet.
    """
    from rnnspec.backends.keras.foreign import live

    version = _version(model)
    if version is None:
        raise UsageError(f"expected a Keras model, received {received(model)}")
    taken = spelled("model", live.read(model, name or network_name_of(model.name), version))
    imported = taken.imported
    return Model(taken.program.spec, taken.arrays, imported.left_out, imported.inferred)


def _version(model: Any) -> str | None:
    """Return the version of the Keras that a model is of, or None if it is no model of it."""
    # A model exists only if its framework is imported.
    for package in ("keras", "tf_keras"):
        module = sys.modules.get(package)
        if module is not None and isinstance(model, module.Model):
            return str(module.__version__)
    return None
