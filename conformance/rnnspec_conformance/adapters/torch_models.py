"""The PyTorch model of a case, and what exporters are told about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from .cases import load_network, order_outputs, read_case, read_example

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any


class Step(torch.nn.Module):
    """A network in step form whose states are arguments and results, which exporters need."""

    def __init__(self, network: torch.nn.Module, states: list[str]) -> None:
        super().__init__()
        self.network = network
        self.states = states

    def forward(self, x: torch.Tensor, *states: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return the output and the new states."""
        output, after = self.network(x, dict(zip(self.states, states, strict=True)))
        return output, *(after[name] for name in self.states)


@dataclass(frozen=True)
class TorchModel:
    """The model of a case: a function of tensors in the order of the case."""

    module: torch.nn.Module
    inputs: list[str]
    outputs: list[str]
    example: tuple[torch.Tensor, ...]
    """The inputs of the first call."""
    open_axes: tuple[tuple[int, ...], ...]
    """For each input, the axes that have the batch size and the number of steps."""

    def runner(
        self, function: Callable[..., Any]
    ) -> Callable[[list[np.ndarray]], list[np.ndarray]]:
        """Return a function of arrays for a function of tensors."""

        def run(inputs: list[np.ndarray]) -> list[np.ndarray]:
            with torch.no_grad():
                output = function(*self.to_tensors(inputs))
            return self.to_arrays(order_outputs(output, self.outputs))

        return run

    def to_tensors(self, arrays: list[np.ndarray]) -> tuple[torch.Tensor, ...]:
        """Return the inputs of a call; the states of ``nn.LSTM`` have an axis for layers."""
        return tuple(
            torch.from_numpy(array[np.newaxis] if array.ndim < example.ndim else array)
            for array, example in zip(arrays, self.example, strict=True)
        )

    def to_arrays(self, outputs: list[Any]) -> list[np.ndarray]:
        """Return the outputs of a call; states without the axis for layers."""
        layers = {
            name for name, axes in zip(self.inputs, self.open_axes, strict=True) if axes == (1,)
        }
        return [
            np.asarray(output)[0] if name in layers else np.asarray(output)
            for name, output in zip(self.outputs, outputs, strict=True)
        ]


def open_model(case: Path) -> TorchModel:
    """Load the source and the arrays of a case as PyTorch's documentation says."""
    from safetensors.torch import load_file

    data = read_case(case)
    network_class, arrays = load_network(case, "torch")
    network = network_class()
    network.load_state_dict(load_file(arrays))
    network.eval()
    x, *states = map(torch.from_numpy, read_example(case))
    names = data["inputs"], data["outputs"]
    if not states:
        return TorchModel(network, *names, (x,), ((0, 1),))
    zeros = network.initial_states(x)
    layered = [
        zeros[name].ndim > state.ndim for name, state in zip(names[0][1:], states, strict=True)
    ]
    example = (state[None] if axis else state for state, axis in zip(states, layered, strict=True))
    axes = ((1,) if axis else (0,) for axis in layered)
    return TorchModel(Step(network, names[0][1:]), *names, (x, *example), ((0, 1), *axes))


def dynamic_shapes(model: TorchModel, **sizes: Any) -> tuple[Any, ...]:
    """Return the open axes as ``torch.export`` takes them, each ``Dim.AUTO``."""
    from torch.export import Dim

    kind = Dim.AUTO(**sizes) if sizes else Dim.AUTO
    first, *more = (dict.fromkeys(axes, kind) for axes in model.open_axes)
    # The arguments after the first are one argument of ``Step.forward``.
    return (first, tuple(more)) if more else (first,)
