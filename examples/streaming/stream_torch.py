"""Print the output of a PyTorch model in step form for a stream of numbers, as they come.

    rnnspec build forecast.yaml --backend torch --form step --seed 1 -o forecast
    python stream_torch.py forecast < numbers.txt

A line of standard input is a chunk: one number or several, with spaces between them.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

import torch
from safetensors.torch import load_file


def main(folder: Path) -> None:
    """Print the output after each line, from the states that the lines before it left."""
    sys.path.append(str(folder))
    model = import_module("forecast").Forecast()
    model.load_state_dict(load_file(folder / "forecast.safetensors"))
    states = None
    with torch.inference_mode():
        for line in sys.stdin:
            chunk = torch.tensor([[[float(number)] for number in line.split()]])
            output, states = model(chunk, states)
            print(f"{output.item():.6f}", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
