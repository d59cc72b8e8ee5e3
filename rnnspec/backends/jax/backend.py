"""The record of the JAX backend."""

from rnnspec.backends.base import Backend

JAX = Backend(
    name="jax",
    title="JAX",
    package="rnnspec.backends.jax",
    distribution="flax",
    minimum=(0, 12),
    needed=("jax",),
    extra="jax",
    forms=("training", "inference", "step"),
    arguments=(("training", "rngs=nnx.Rngs(0)"),),
    files=("{name}.py", "{name}.safetensors"),
    loading=(
        "import sys",
        "from flax import nnx",
        "from safetensors.flax import load_file",
        "sys.path.append({folder!r})",
        "from {name} import {entry}",
        "model = {entry}({arguments})",
        "arrays = load_file({path!r})",
        'nnx.update(model, nnx.traversals.unflatten_mapping(arrays, sep="."))',
    ),
    optimizers="optax",
)
