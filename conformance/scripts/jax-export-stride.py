"""jax.export does not see that a slice with stride 2 and a "SAME" pool have as many steps."""

import jax
from flax import nnx


def function(x):
    pooled = nnx.max_pool(x, (2,), strides=(2,), padding="SAME")
    return pooled + x[:, ::2]


x = jax.numpy.ones((1, 5, 3))
print("expected", function(x).shape)
batch, steps = jax.export.symbolic_shape("batch, steps")
shape = jax.ShapeDtypeStruct((batch, steps, 3), x.dtype)
try:
    print("received", jax.export.export(jax.jit(function))(shape).call(x).shape)
except TypeError as error:
    print("received", error)
