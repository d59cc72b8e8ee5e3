"""The models that ``rnnspec.build`` made in this process, with their stores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from rnnspec.weights.store import Store

_BY_MODEL: WeakKeyDictionary[Any, Store] = WeakKeyDictionary()
_BY_MODULE: dict[str, Store] = {}


def remember(model: Any, store: Store, module: str) -> None:
    """Record the store of ``model``; copies of it are found by the ``module`` of their class."""
    _BY_MODEL[model] = _BY_MODULE[module] = store


def origin(model: Any) -> Store | None:
    """Return the store of a model, or None if ``rnnspec.build`` did not make it."""
    try:
        store = _BY_MODEL.get(model)
    except TypeError:  # it allows no weak reference, so it is not a model
        store = None
    return store or _BY_MODULE.get(str(type(model).__module__))
