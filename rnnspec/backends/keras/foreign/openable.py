"""Configurations that Keras may open: every class that they name is one of Keras's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rnnspec.backends.imported import said
from rnnspec.backends.keras.foreign.architecture.cells import CELLS
from rnnspec.backends.keras.foreign.architecture.layers import CLASSES, OPERATIONS
from rnnspec.backends.keras.foreign.architecture.records import MODULES

if TYPE_CHECKING:
    from collections.abc import Iterator

_KNOWN = {
    *(*CLASSES, *OPERATIONS, *CELLS, "StackedRNNCells"),
    *("Sequential", "Functional", "Model", "__keras_tensor__", "__slice__"),
    *("NotEqual", "Any", "LogicalOr", "LogicalAnd", "ConvertToTensor"),
    *("DTypePolicy", "Policy", "PolicyV1"),
    *(
        "Zeros",
        "Ones",
        "Constant",
        "Identity",
        "Orthogonal",
        "OrthogonalInitializer",
        "VarianceScaling",
    ),
    *("RandomNormal", "RandomUniform", "TruncatedNormal"),
    *("GlorotUniform", "GlorotNormal", "HeUniform", "HeNormal", "LecunUniform", "LecunNormal"),
    *("L1", "L2", "L1L2", "MaxNorm", "MinMaxNorm", "NonNeg", "UnitNorm"),
}


def unknown_class(config: Any, like: Any = None) -> str:
    """Return a class in a configuration that Keras would look up elsewhere, empty if none is.

    The settings that are not carried over, such as regularizers, name classes too. All classes of
    the configuration ``like`` are known.
    """
    known = _KNOWN | {str(each.get("class_name")) for each in _objects(like)}
    unknown = (_unknown(each, known) for each in _objects(config))
    return next(filter(None, unknown), "")


def _objects(config: Any) -> Iterator[dict[str, Any]]:
    """Yield every object in a configuration that a model needs to be opened without compiling."""
    waiting = [config]
    while waiting:
        match waiting.pop():
            case dict() as found:
                yield found
                waiting += [each for key, each in found.items() if key != "compile_config"]
            case list() as found:
                waiting += found
            case _:
                pass


def _unknown(found: dict[str, Any], known: set[str]) -> str:
    name, module = found.get("class_name"), found.get("module")
    registered = found.get("registered_name")
    for each in (name, module, registered):
        if not isinstance(each, str | None):
            return said(each)
    if module is not None and module.partition(".")[0] not in MODULES:
        return f"{module}.{name}"
    if registered not in (None, name):
        return str(registered)
    return "" if name is None or str(name) in known else str(name)
