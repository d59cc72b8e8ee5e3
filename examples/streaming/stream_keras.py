"""Print the output of a Keras model in step form for a stream of numbers, as they come.

    rnnspec build forecast.yaml --backend keras --form step --seed 1 -o forecast.keras
    python stream_keras.py forecast.keras < numbers.txt

A line of standard input is a chunk: one number or several, with spaces between them.
"""

from __future__ import annotations

import sys

import keras


def main(path: str) -> None:
    """Print the output after each line, from the states that the lines before it left."""
    model = keras.saving.load_model(path)
    states = {
        each.name: keras.ops.zeros((1, *each.shape[1:]))
        for each in model.inputs
        if each.name != "inputs"
    }
    for line in sys.stdin:
        chunk = keras.ops.convert_to_tensor([[[float(number)] for number in line.split()]])
        states = model({"inputs": chunk, **states})
        print(f"{float(states.pop('output')[0, 0]):.6f}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
