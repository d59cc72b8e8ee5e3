"""Print the output of an ONNX model in step form for a stream of numbers, as they come.

    rnnspec build forecast.yaml --backend onnx --form step --seed 1 -o forecast.onnx
    python stream_onnx.py forecast.onnx < numbers.txt

A line of standard input is a chunk: one number or several, with spaces between them.
"""

from __future__ import annotations

import sys

import numpy as np
import onnxruntime


def main(path: str) -> None:
    """Print the output after each line, from the states that the lines before it left."""
    session = onnxruntime.InferenceSession(path)
    states = {
        each.name: np.zeros((1, each.shape[1]), np.float32)
        for each in session.get_inputs()
        if each.name != "inputs"
    }
    for line in sys.stdin:
        chunk = np.array([[[float(number)] for number in line.split()]], np.float32)
        # The outputs NAME_next come after that of the network, in the order of the inputs.
        output, *after = session.run(None, {"inputs": chunk, **states})
        states = dict(zip(states, after, strict=True))
        print(f"{output.item():.6f}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
