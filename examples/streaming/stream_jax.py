"""Print the output of a JAX model in step form for a stream of numbers, as they come.

    rnnspec build forecast.yaml --backend jax --form step --seed 1 -o forecast
    python stream_jax.py forecast < numbers.txt

A line of standard input is a chunk: one number or several, with spaces between them. Each number of
them is compiled once.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import jax.numpy as jnp
from flax import nnx
from safetensors.flax import load_file


@nnx.jit
def _step(model: Any, chunk: Any, states: Any) -> Any:
    return model(chunk, states)


def main(folder: Path) -> None:
    """Print the output after each line, from the states that the lines before it left."""
    sys.path.append(str(folder))
    model = import_module("forecast").Forecast()
    arrays = load_file(folder / "forecast.safetensors")
    nnx.update(model, nnx.traversals.unflatten_mapping(arrays, sep="."))
    states = model.initial_states(jnp.zeros((1, 1, 1)))
    for line in sys.stdin:
        chunk = jnp.array([[[float(number)] for number in line.split()]])
        output, states = _step(model, chunk, states)
        print(f"{output.item():.6f}", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
