"""The runtime in NumPy: a model is an instance of the generated class."""

from typing import Any

import numpy as np

from rnnspec.backends.contract import ArrayType, Runtime, Trace
from rnnspec.ir.nodes import Layer
from rnnspec.ir.params import Counts


class ToyRuntime(Runtime):
    """NumPy."""

    def version(self) -> str:
        return f"Toy on NumPy {np.__version__}"

    def instantiate(self, module: Any, source: Any, dtype: str, *, drawn: bool) -> Any:  # noqa: ARG002
        model = getattr(module, source.entry)()
        for arrays in vars(model).values():
            arrays.update({path: array.astype(dtype) for path, array in arrays.items()})
        return model

    def layer_count(self, model: Any, layer: Layer) -> int:
        return sum(array.size for array in getattr(model, layer.name).values())

    def counts(self, model: Any) -> Counts:
        held = [array.size for arrays in vars(model).values() for array in arrays.values()]
        return Counts(trainable=sum(held), non_trainable=0)

    def unwrap(self, model: Any) -> Any | None:
        return model if {*map(type, getattr(model, "__dict__", {}).values())} == {dict} else None

    def array_type(self, model: Any, layer: str, path: str) -> ArrayType:
        array = getattr(model, layer, {})[path]
        return ArrayType(str(array.dtype), array.shape)

    def other_shapes(self, model: Any, known: Any) -> dict[str, tuple[int, ...]]:
        places = {(layer, path) for layer, arrays in vars(model).items() for path in arrays}
        return {".".join(at): vars(model)[at[0]][at[1]].shape for at in places if at not in known}

    def get(self, model: Any, layer: str, path: str) -> Any:
        return np.array(getattr(model, layer)[path])

    def put(self, model: Any, layer: str, path: str, array: Any) -> None:
        getattr(model, layer)[path][...] = array

    def trace(self, model: Any, layers: Any, inputs: Any) -> Trace:
        return Trace({}, model(inputs.astype(self.get(model, layers[0], "kernel").dtype)))


RUNTIME = ToyRuntime()
