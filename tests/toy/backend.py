"""A backend with little: simple layers and dense ones in NumPy, forward only, no files."""

from typing import TYPE_CHECKING

from rnnspec.backends.base import Backend

TOY = Backend(
    name="toy", title="Toy", package="toy", templates="toy", forms=("inference",), level="forward"
)

if TYPE_CHECKING:
    from toy import emit, runtime, slots

    from rnnspec.backends.base import Emitter, Runtime, Slots

    _emit: Emitter = emit
    _slots: Slots = slots
    _runtime: Runtime = runtime
