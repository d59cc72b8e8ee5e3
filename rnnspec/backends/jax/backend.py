"""The record of the JAX backend."""

from itertools import product

from rnnspec.backends.base import Backend
from rnnspec.ir.text import composed_names
from rnnspec.words import POOLING_FUNCTIONS, ReservedNames

_WITH_ATTENTION = product(
    ("_with_",),
    ("", "masked_"),
    ("", "scaled_"),
    ("additive_", "dot_", "general_"),
    ("attention",),
)
_CLASSES = product(
    ("", "masked_"),
    ("", "unbiased_"),
    ("", "recurrent_dropout_"),
    ("rnn", "lstm", "gru", "reset_first_gru"),
    ("_layer", *map("".join, _WITH_ATTENTION)),
)
_ATTENTIONS = product(
    ("", "masked_"),
    ("", "activated_", "linear_", "queried_", "unbiased_", "unbiased_queried_"),
    ("attention_pooling",),
)
_RESERVED = ReservedNames(
    in_source=frozenset(
        """
        callable frozen_embed gate_masks gate_products hard_sigmoid jnp l2_normalized layers
        legacy_hard_sigmoid model nn nnx norm_mask partial softplus symmetric_uniform tied_linear
        """.split()  # noqa: SIM905 - names side by side are easier to check
    ).union(map("".join, _CLASSES), map("".join, _ATTENTIONS), composed_names(), POOLING_FUNCTIONS),
    in_class=frozenset({"begin", "initial_states", "mask", "self"}),
    # Every public attribute of flax.nnx.Module (Flax 0.12), which a test compares likewise.
    in_framework=frozenset(
        {"eval", "iter_children", "iter_modules", "perturb", "set_attributes", "sow", "train"}
    ),
)

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
    reserved_names=_RESERVED,
)
