"""Networks of the gallery in small: every layer and setting, with few units, tokens and steps."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import yaml

from rnnspec import pipeline
from rnnspec.importing.assemble import is_layer_name
from rnnspec.ir.nodes import least_steps
from rnnspec.spec.write import dump

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_SIZES = ("dim", "features", "filters", "units", "vocabulary")
_SMALLEST = 3
_STEPS = 4
"""The fewest steps that are left behind all windows."""
_WIDEST = 32
"""The steps of the widest window that stays as it is."""


_FEATURES = {"music_separation_lstm": {4098: 14, 3536: 12, 2049: 7, 1487: 5}}
"""Sizes of networks whose equations take features, and smaller ones that go together."""


def in_small(path: Path) -> str:
    """Return the text of a spec with smaller numbers.

    Numbers that differ still do: an array that is transposed, or taken for another, has another
    shape here too.
    """
    text, kept = path.read_text("utf-8"), _FEATURES.get(path.stem, {})
    for size, smaller in kept.items():
        text = re.sub(rf"\b{size}\b", str(smaller), text)
    spec = yaml.safe_load(text)
    del spec["expect"]
    places = [place for place in _sizes_in(spec) if place[0][place[1]] not in kept.values()]
    sizes = sorted({mapping[key] for mapping, key in places})
    for mapping, key in places:
        mapping[key] = min(mapping[key], sizes.index(mapping[key]) + _SMALLEST)
    for layer in spec["rnn"] if isinstance(spec["rnn"], list) else ():
        if (width := layer.get("kernel_size", 0)) > _WIDEST:
            layer["kernel_size"] = width // _WIDEST + 1
    least = least_steps(pipeline.read(path).network)
    for taken in (spec.get("input", {}), *spec.get("inputs", {}).values()):
        if length := taken.get("length"):
            taken["length"] = min(length, max(_STEPS * least, 2 * _STEPS))
    return dump(spec)


def write_small(path: Path, folder: Path) -> Path:
    """Write a spec with smaller numbers into a folder, and return its path."""
    small = folder / path.name
    small.write_text(in_small(path), encoding="utf-8")
    return small


def _sizes_in(value: Any) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield where each size of an array is: a mapping and a key of it."""
    match value:
        case dict():
            for key, item in value.items():
                if key in _SIZES:
                    yield value, key
                else:
                    yield from _sizes_in(item)
        case list():
            for item in value:
                yield from _sizes_in(item)
        case _:
            pass


WORDS = """
a auto bool const_cast delete explicit extern friend goto inline int int32_t main memcpy mutable
namespace new null operator private register restrict signed sizeof size_t sqrtf static struct
template this throw typedef typename union unsigned using virtual void volatile

at before bias c chunk count data done error f features first from g h hidden highest i k kept
largest last mask_0 mask_1 mean merged n net norm o ok out outputs product r real row scale
scores start state stats status steps t total u variance w window windows work workspace x x0 y
y_a z

bits by_sign dot dot_int8 exp farther gru_cell limit lstm_cell multiply_1x1 net_a project_4x8
relus reset run self_test sigmoid softmax step tanh tanhs test_x test_y

a_2 a_forward a_kernel a_kernel_scale a_forward_kernel conv conv_out conv_steps conv_steps_out
"""
"""Names of layers that languages, functions, variables, parameters and arrays have too."""


def with_names(name: str, form: str) -> str:
    """Return the text of a spec whose layers have all ``WORDS``, for sequences or for steps."""
    words = [word for word in (*WORDS.split(), 64 * "a") if is_layer_name(word)]
    whole = form != "step"
    kinds: dict[str, dict[str, Any]] = {
        "a": {"type": "lstm", "units": 2, "bidirectional": whole},
        "conv": {
            "type": "conv",
            "filters": 2,
            "kernel_size": 2,
            "padding": "valid" if whole else "causal",
        },
    }
    other = {"type": "dense", "units": 2}
    layers = [{**kinds.get(word, other), "name": word} for word in words]
    # Pointers, of which some are what a variable of a layer would be called.
    heads = {head: {"units": 1, "pooling": "mean"} for head in ("a_out", "steps_steps", "y_run")}
    return dump(
        {
            "version": 1,
            "name": name,
            "input": {"features": 2, "mask_value": 0.0},
            "rnn": layers,
            **({"heads": {"tokens": {"pooling": "none"}, **heads}} if whole else {}),
        }
    )
