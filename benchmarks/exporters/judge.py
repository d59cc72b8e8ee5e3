"""The rows of the table, and the verdict on a file.

Every tool exports with a batch of ``TRACED`` sizes and is asked to leave both sizes open. A file is
right, wrong by how much, or fails with a message.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from rnnspec.slots import Array

    Feed = tuple[Array, ...]

FEATURES, UNITS = 3, 4
TRACED = (2, 7)
"""The batch size and the number of steps of the batch for tracing."""
SIZES = {"traced sizes": TRACED, "other steps": (2, 5), "other batch": (5, 7)}
TOLERANCE = 1e-5
_LENGTH = 90
_FUSED = {"RNN", "LSTM", "GRU"}


@dataclass(frozen=True, slots=True)
class Row:
    """A network: ``layers`` of a cell, and what it has beyond that."""

    title: str
    cell: Literal["simple", "lstm", "gru"] = "lstm"
    layers: int = 1
    bidirectional: bool = False
    padding: Literal["none", "right", "inside"] = "none"
    states: bool = False
    hard: bool = False

    def batch(self, sizes: tuple[int, int]) -> Array:
        """Return a batch (batch, steps, features) of float32, in which padding is zero."""
        rng = np.random.default_rng((*sizes, 0))
        batch = rng.standard_normal((*sizes, FEATURES)).astype(np.float32)
        for at, sequence in enumerate(batch):
            match self.padding:
                case "right":
                    sequence[sizes[1] - at % 4 :] = 0
                case "inside":
                    sequence[1 + at % 2 : 3 + at % 2] = 0
                case "none":
                    pass
        return batch


ROWS = (
    Row("RNN", "simple"),
    Row("LSTM"),
    Row("GRU", "gru"),
    Row("two LSTM layers", layers=2),
    Row("bidirectional LSTM", bidirectional=True),
    Row("LSTM, padding on the right", padding="right"),
    Row("LSTM, padding inside", padding="inside"),
    Row("LSTM, states in and out", states=True),
    Row("LSTM, `hard_sigmoid` gates", hard=True),
)


@dataclass(frozen=True, slots=True)
class File:
    """An exported graph: the function that runs it, and whether its operators are fused."""

    run: Callable[[Feed], Array]
    fused: bool

    @classmethod
    def open(cls, path: Path) -> File:
        """Open a file, whose inputs are given in their order."""
        import onnx
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        session = onnxruntime.InferenceSession(path, options)
        names = [node.name for node in session.get_inputs()]
        return cls(
            lambda feed: np.asarray(session.run(None, dict(zip(names, feed, strict=True)))[0]),
            is_fused(onnx.load_model(path)),
        )


def is_fused(proto: Any) -> bool:
    """Return whether a graph has an operator of recurrent layers, in the main graph."""
    return any(node.op_type in _FUSED for node in proto.graph.node)


def judge(
    export: Callable[[], File],
    feed: Callable[[tuple[int, int]], Feed],
    truth: Callable[[Feed], Array],
) -> str:
    """Return the cell of the table for one tool and one row."""
    try:
        file = export()
    except Exception as error:  # noqa: BLE001 - whatever a tool raises is its result
        return f"no file: {shorten(error)}"
    verdicts = {}
    for title, sizes in SIZES.items():
        inputs = feed(sizes)
        expected = truth(inputs)
        try:
            output = file.run(inputs)
        except Exception as error:  # noqa: BLE001 - whatever the runtime raises is the result
            verdicts[title] = f"fails: {shorten(error)}"
            continue
        if output.shape != expected.shape:
            verdicts[title] = "**wrong shape**"
        elif (difference := float(np.abs(output - expected).max())) <= TOLERANCE:
            verdicts[title] = "right"
        else:
            verdicts[title] = f"**wrong by {difference:.2g}**"
    results = set(verdicts.values())
    if results == {"right"}:
        return "right" if file.fused else "right, not fused"
    if len(results) == 1:
        return results.pop()
    return "; ".join(f"{title}: {text}" for title, text in verdicts.items() if text != "right")


def shorten(error: BaseException) -> str:
    """Return the first sentence of the cause of an error, without colours and codes."""
    while error.__cause__ is not None:
        error = error.__cause__
    text = re.sub(r"\x1b\[[\d;]*m|\[ONNXRuntimeError\] : \d+ : \w+ : ", "", str(error))
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    first = lines[0].split(". ")[0] if lines else type(error).__name__
    first = re.sub(r"Non-zero status code .* running (\w+) node", r"in a node \1", first)
    return first[:_LENGTH].rstrip(". ").replace("|", "/")
