"""The record of the Keras backend."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnnspec.backends.base import Backend

KERAS = Backend(
    name="keras",
    title="Keras",
    package="rnnspec.backends.keras",
    distribution="keras",
    minimum=(3, 10),
    extra="keras",
    files=("{name}.keras",),
    loading=("import keras", "model = keras.saving.load_model({path!r})"),
)

if TYPE_CHECKING:
    from rnnspec.backends.base import Emitter, LearningRuntime, SavingRuntime, Slots
    from rnnspec.backends.kept import Reader
    from rnnspec.backends.keras import emit, read, runtime, slots

    _emit: Emitter = emit
    _slots: Slots = slots
    _learning: LearningRuntime = runtime
    _saving: SavingRuntime = runtime
    _reader: Reader = read
