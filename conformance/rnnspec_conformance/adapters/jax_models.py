"""The JAX model of a case, which is a module of Flax."""

from __future__ import annotations

from dataclasses import dataclass
from inspect import signature
from typing import TYPE_CHECKING

import jax
import numpy as np
from flax import nnx

from .cases import load_network, order_outputs, read_case, read_example, steps_are_fixed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any


@dataclass(frozen=True)
class JaxModel:
    """The model of a case, as a function from arrays to a list, both in the order of the case."""

    function: Callable[..., Any]
    example: list[np.ndarray]
    steps_are_fixed: bool
    least_steps: int
    """The shortest sequence of all calls."""

    def open_shapes(self) -> list[jax.ShapeDtypeStruct]:
        """Return the inputs with a symbolic batch size, and number of steps in the first one."""
        first, *states = map(to_jax, self.example)
        if self.steps_are_fixed:
            (batch,), steps = jax.export.symbolic_shape("batch"), first.shape[1]
        else:
            # The source checks that it gets enough steps for its windows.
            least = f"steps >= {self.least_steps}"
            batch, steps = jax.export.symbolic_shape("batch, steps", constraints=[least])
        shapes = [(batch, steps, *first.shape[2:]), *((batch, *s.shape[1:]) for s in states)]
        return [
            jax.ShapeDtypeStruct(shape, array.dtype)
            for shape, array in zip(shapes, [first, *states], strict=True)
        ]

    def runner(
        self, function: Callable[..., Any]
    ) -> Callable[[list[np.ndarray]], list[np.ndarray]]:
        """Return a function of a case for one that takes and returns JAX's arrays."""

        def run(inputs: list[np.ndarray]) -> list[np.ndarray]:
            return [np.asarray(output) for output in function(*map(to_jax, inputs))]

        return run


def to_jax(array: np.ndarray) -> np.ndarray:
    """Return an input in the types of JAX, which has 32 bits unless told otherwise."""
    return array.astype(np.int32) if array.dtype == np.int64 else array


def open_model(case: Path) -> JaxModel:
    """Load the source and the arrays of a case as ``rnnspec build`` says."""
    from safetensors.flax import load_file

    data = read_case(case)
    network_class, path = load_network(case, "jax")
    rngs = {"rngs": nnx.Rngs(0)} if "rngs" in signature(network_class.__init__).parameters else {}
    network = network_class(**rngs)
    nnx.update(network, nnx.traversals.unflatten_mapping(load_file(path), sep="."))
    network.eval()
    graph, state = nnx.split(network)
    names = data["inputs"][1:]

    def function(x: Any, *states: Any) -> Any:
        arguments = [dict(zip(names, states, strict=True))] if states else []
        output = nnx.merge(graph, state)(x, *arguments)
        return order_outputs(output, data["outputs"])

    least = min(np.load(path).shape[1] for path in case.glob("test_data_set_*/input_0.npy"))
    return JaxModel(function, read_example(case), steps_are_fixed(case), least)
