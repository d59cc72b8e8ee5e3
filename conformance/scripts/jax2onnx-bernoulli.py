"""jax2onnx cannot draw random numbers for an open batch size, with jax2onnx 0.17.1."""

import jax
import jax2onnx
from jax.extend.core import InconclusiveDimensionOperation


def drop(x):
    return x * jax.random.bernoulli(jax.random.key(0), 0.5, x.shape)


for size in (2, "batch"):
    try:
        jax2onnx.to_onnx(drop, [(size, 4)])
        print(size, "is converted")
    except InconclusiveDimensionOperation as error:
        print(size, "is refused:", str(error).splitlines()[0])
