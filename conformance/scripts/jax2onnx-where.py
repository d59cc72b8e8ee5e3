"""jax2onnx mixes types where jnp.where(condition, 0, x) is in a scan or before one."""

import jax
import jax.numpy as jnp
import jax2onnx
import numpy as np
import onnxruntime
from onnxruntime.capi.onnxruntime_pybind11_state import Fail


def inside(x):
    return jax.lax.scan(lambda h, x: (h + jnp.where(x < 0, 0, x), None), x[0] * 0, x)[0]


def before(x):
    x = jnp.where(x < 0, 0, x)
    return jax.lax.scan(lambda h, x: (h + x, None), x[0] * 0, x)[0]


x = np.arange(-2, 4, dtype=np.float32).reshape(3, 2)
for function in (inside, before):
    print(function.__name__, "expected", function(x))
    try:
        model = jax2onnx.to_onnx(function, inputs=[x.shape])
        session = onnxruntime.InferenceSession(model.SerializeToString())
        print(function.__name__, "received", *session.run(None, {session.get_inputs()[0].name: x}))
    except Fail as error:
        print(function.__name__, "received", error)
