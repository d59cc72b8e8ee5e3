"""jax2onnx replaces nnx.max_pool and nnx.avg_pool by functions that take the window by name only."""

import jax2onnx
from flax import nnx


def by_name(x):
    return nnx.max_pool(x, window_shape=(2,))


def by_position(x):
    return nnx.max_pool(x, (2,))


for function in (by_name, by_position):
    print(function.__name__, "expected a model")
    try:
        jax2onnx.to_onnx(function, inputs=[(1, 6, 3)])
        print(function.__name__, "received one")
    except TypeError as error:
        print(function.__name__, "received TypeError:", error)
