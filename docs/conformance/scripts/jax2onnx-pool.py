"""jax2onnx replaces nnx.max_pool and nnx.avg_pool by functions that take the window by name only."""

import jax2onnx
from flax import nnx

for name in ("max_pool", "avg_pool"):
    for function in (
        lambda x: getattr(nnx, name)(x, window_shape=(2,)),
        lambda x: getattr(nnx, name)(x, (2,)),
    ):
        print(name, "expected a model")
        try:
            jax2onnx.to_onnx(function, inputs=[(1, 6, 3)])
            print(name, "received one")
        except TypeError as error:
            print(name, "received TypeError:", error)
