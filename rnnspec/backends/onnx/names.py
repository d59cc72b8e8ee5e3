"""The names of values: a layer's own has no capital letter, so none of those added here clashes."""

from __future__ import annotations

import re

INPUT = "inputs"
FORM = "form"
"""The key of the form in the metadata of a file; a file without it is for inference."""
PLACE = "Place"
"""The value with the place of each time step, if real steps are moved to the front."""

BIAS = "B"
HALVES = {"Wb": 0, "Rb": 1}
"""The halves of the bias of a fused layer, as the documentation of ONNX's operators names them."""

# No name in a spec has a capital letter.
_ARRAY = re.compile("([a-z][a-z0-9_]*)_([A-Z][A-Za-z_]*)", re.ASCII)


def array(layer: str, path: str) -> str:
    """Return the name of an array of a layer."""
    return f"{layer}_{path}"


def after(state: str) -> str:
    """Return the name of a state after the chunk, which is an output of the step form."""
    return f"{state}_next"


def array_of(name: str) -> tuple[str, str]:
    """Return the layer and the path of an array, both empty for a constant of the graph."""
    found = _ARRAY.fullmatch(name)
    return (found[1], found[2]) if found else ("", "")
