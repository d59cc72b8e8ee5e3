"""jax.export refuses steps of a sequence whose size it cannot compare, with JAX 0.10.2."""

import jax
import jax.numpy as jnp
from jax import export
from jax.extend.core import InconclusiveDimensionOperation


def first_after_convolution(x):
    # A convolution with a kernel of 3 leaves n - 2 steps.
    return x[:, 2:][:, 0]


def padding_of_pool(x):
    (_, pads, _) = jax.lax.padtype_to_pads(x.shape, (1, 2, 1), (1, 2, 1), "SAME")
    return jnp.pad(x, ((0, 0), [int(size) for size in pads], (0, 0)))


x = jax.ShapeDtypeStruct(export.symbolic_shape("batch, n, 3"), jnp.float32)
for function in (first_after_convolution, padding_of_pool):
    print("expected", "a program of", function.__name__)
    try:
        export.export(jax.jit(function))(x)
    except InconclusiveDimensionOperation as error:
        print("received", str(error).splitlines()[0])
