"""The verdict on a file: right, wrong by how much, or the message with which it fails."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime

from benchmarks.exporters.rows import SIZES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rnnspec.slots import Array

    Feed = tuple[Array, ...]
    Feeds = Callable[[tuple[int, int]], Feed]
    Truth = Callable[[Feed], Array]

TOLERANCE = 1e-5
_LENGTH = 90
_FUSED = {"RNN", "LSTM", "GRU"}


@dataclass(frozen=True, slots=True)
class File:
    """An exported graph: the function that runs it, and whether its operators are fused."""

    run: Callable[[Feed], Array]
    fused: bool

    @classmethod
    def of(cls, path: Path) -> File:
        """Open a file, whose inputs are given in their order."""
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        opened = onnxruntime.InferenceSession(path, options)
        names = [each.name for each in opened.get_inputs()]

        def run(feed: Feed) -> Array:
            outputs: Sequence[Any] = opened.run(None, dict(zip(names, feed, strict=True)))
            return np.asarray(outputs[0])

        return cls(run, is_fused(onnx.load_model(path)))


def is_fused(proto: Any) -> bool:
    """Return whether a graph has an operator of recurrent layers, in the main graph."""
    return any(node.op_type in _FUSED for node in proto.graph.node)


def verdict(export: Callable[[], File], feeds: Feeds, truth: Truth) -> str:
    """Return the cell of the table for one tool and one row."""
    try:
        file = export()
    except Exception as error:  # noqa: BLE001 - whatever a tool raises is its result
        return f"no file: {short(error)}"
    found = {title: _one(file.run, feeds(sizes), truth) for title, sizes in SIZES.items()}
    results = set(found.values())
    if results == {"right"}:
        return "right" if file.fused else "right, not fused"
    if len(results) == 1:
        return results.pop()
    return "; ".join(f"{title}: {each}" for title, each in found.items() if each != "right")


def short(error: BaseException) -> str:
    """Return the first sentence of the cause of an error, without colours and codes."""
    while error.__cause__ is not None:
        error = error.__cause__
    text = re.sub(r"\x1b\[[\d;]*m|\[ONNXRuntimeError\] : \d+ : \w+ : ", "", str(error))
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    first = lines[0].split(". ")[0] if lines else type(error).__name__
    first = re.sub(r"Non-zero status code .* running (\w+) node", r"in a node \1", first)
    return first[:_LENGTH].rstrip(". ").replace("|", "/")


def _one(run: Callable[[Feed], Array], feed: Feed, truth: Truth) -> str:
    expected = truth(feed)
    try:
        found = run(feed)
    except Exception as error:  # noqa: BLE001 - whatever the runtime raises is the result
        return f"fails: {short(error)}"
    if found.shape != expected.shape:
        return "**wrong shape**"
    difference = float(np.abs(found - expected).max())
    return "right" if difference <= TOLERANCE else f"**wrong by {difference:.2g}**"
