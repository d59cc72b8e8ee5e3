"""Run a LiteRT file with the interpreter of ai-edge-litert."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ai_edge_litert.interpreter import Interpreter

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np


def open_litert(content: bytes) -> Callable[[list[np.ndarray]], list[np.ndarray]]:
    """Return a function that calls the only signature of a file, which resizes its tensors.

    Inputs and outputs are in the order of the signature.
    """
    interpreter = Interpreter(model_content=content)
    (names,) = interpreter.get_signature_list().values()
    runner = interpreter.get_signature_runner()
    types = {name: detail["dtype"] for name, detail in runner.get_input_details().items()}

    def run(arrays: list[np.ndarray]) -> list[np.ndarray]:
        pairs = zip(names["inputs"], arrays, strict=True)
        results = runner(**{name: array.astype(types[name]) for name, array in pairs})
        return [results[name] for name in names["outputs"]]

    return run
