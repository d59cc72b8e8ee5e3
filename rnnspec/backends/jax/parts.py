"""The functions and classes above the model class that its layers need, each once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnnspec.backends.docstrings import LEGACY_HARD_SIGMOID, running_docstring
from rnnspec.backends.jax.cells import cell_classes, draws_uniformly
from rnnspec.backends.jax.recurrent import recurrent_class
from rnnspec.ir import nodes
from rnnspec.ir.nodes import layer_activations
from rnnspec.source.code import Code, code, docstring, lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rnnspec.ir.forms import Form


def parts(network: nodes.Network, form: Form) -> Iterator[Code]:
    """Yield the parts of a network's source, those that others use first."""
    if form == "training" and draws_uniformly(network):
        yield _SYMMETRIC_UNIFORM
    if any(isinstance(layer, nodes.Embedding) and not layer.trainable for layer in network.layers):
        yield _FROZEN_EMBED if form == "training" else _FROZEN_EMBED_TO_LOAD
    activations = {name for layer in network.layers for name in layer_activations(layer)}
    if "hard_sigmoid" in activations:
        yield _HARD_SIGMOID
    if "legacy_hard_sigmoid" in activations:
        yield _LEGACY_HARD_SIGMOID
    if any(isinstance(layer, nodes.Normalize) for layer in network.layers):
        yield _L2_NORMALIZED
    classes = cell_classes(network, form).values()
    if any(class_.first.recurrent_dropout for class_ in classes):
        yield from (_GATE_MASKS, _GATE_PRODUCTS)
    about = _NOT_STOCK
    for class_ in classes:
        yield lines(about, recurrent_class(class_, form))
        about = Code()
    for layer in network.layers if form == "step" else ():
        match layer:
            case nodes.Pooling(statistic="mean"):
                yield _running_mean(masked=layer.masked)
            case nodes.Pooling(statistic="max"):
                yield _running_max(masked=layer.masked)
            case _:
                pass


_NOT_STOCK = code(
    "# Not nnx.RNN: its cells have other biases, and it takes padding at the end only."
)
_SYMMETRIC_UNIFORM = code('''
    def symmetric_uniform(limit: float) -> nnx.Initializer:
        """Return an initializer that draws from U(-limit, limit)."""
        return partial(jax.random.uniform, minval=-limit, maxval=limit)
''')
_FROZEN_EMBED = code('''
    class FrozenEmbed(nnx.Module):
        """``nnx.Embed`` with vectors that are not trained."""

        def __init__(
            self,
            num_embeddings: int,
            features: int,
            *,
            embedding_init: nnx.Initializer,
            rngs: nnx.Rngs,
        ) -> None:
            shape = (num_embeddings, features)
            # No nnx.Param: nnx.grad and nnx.Optimizer leave it alone.
            vectors = embedding_init(rngs.params(), shape, jnp.float32)
            self.embedding = nnx.Variable(vectors)

        def __call__(self, x: jax.Array) -> jax.Array:
            return jnp.take(self.embedding[...], x, axis=0)
''')
_FROZEN_EMBED_TO_LOAD = code('''
    class FrozenEmbed(nnx.Module):
        """``nnx.Embed`` with vectors that are not trained."""

        def __init__(self, num_embeddings: int, features: int) -> None:
            # No nnx.Param: nnx.grad and nnx.Optimizer leave it alone.
            vectors = jnp.zeros((num_embeddings, features), jnp.float32)
            self.embedding = nnx.Variable(vectors)

        def __call__(self, x: jax.Array) -> jax.Array:
            return jnp.take(self.embedding[...], x, axis=0)
''')
_HARD_SIGMOID = code('''
    def hard_sigmoid(x: jax.Array) -> jax.Array:
        """Return clip(x / 6 + 0.5, 0, 1), with the gradient 0 at both kinks."""
        return jnp.where(x <= -3, 0, jnp.where(x >= 3, 1, (x + 3) / 6))
''')
_LEGACY_HARD_SIGMOID = code(
    """
    def legacy_hard_sigmoid(x: jax.Array) -> jax.Array:
        {}
        return jnp.where(x <= -2.5, 0, jnp.where(x >= 2.5, 1, 0.2 * x + 0.5))
    """,
    docstring([LEGACY_HARD_SIGMOID]),
)
_L2_NORMALIZED = code('''
    def l2_normalized(x: jax.Array) -> jax.Array:
        """Return x / max(norm, 1e-12), (batch, features), with a finite gradient at zeros."""
        square = jnp.sum(jnp.square(x), axis=-1, keepdims=True)
        return x / jnp.sqrt(jnp.maximum(square, 1e-24))
''')
_GATE_MASKS = code('''
    def gate_masks(dropout: nnx.Dropout, like: jax.Array, *shape: int) -> jax.Array | None:
        """Return a mask for each gate, (gates, ...), or None in inference."""
        return None if dropout.deterministic else dropout(jnp.ones(shape, like.dtype))
''')
_GATE_PRODUCTS = code('''
    def gate_products(
        x: jax.Array, kernel: jax.Array, masks: jax.Array | None
    ) -> jax.Array:
        """Return ``x @ kernel``, in which each gate has a mask of its own on x."""
        if masks is None:
            return x @ kernel
        kernels = jnp.split(kernel, len(masks), axis=1)
        shares = [(x * mask) @ each for mask, each in zip(masks, kernels)]
        return jnp.concatenate(shares, axis=-1)
''')


def _running_mean(*, masked: bool) -> Code:
    about = running_docstring("mean", masked=masked)
    if masked:
        return code(
            """
            def running_mean(
                x: jax.Array, mask: jax.Array, total: jax.Array, count: jax.Array
            ) -> tuple[jax.Array, jax.Array, jax.Array]:
                {}
                real = jnp.expand_dims(mask, -1)
                total = total + jnp.where(real, x, 0).sum(axis=1)
                count = count + real.sum(axis=1)
                return total / jnp.maximum(count, 1), total, count
            """,
            about,
        )
    return code(
        """
        def running_mean(
            x: jax.Array, total: jax.Array, count: jax.Array
        ) -> tuple[jax.Array, jax.Array, jax.Array]:
            {}
            total = total + x.sum(axis=1)
            count = count + x.shape[1]
            return total / count, total, count
        """,
        about,
    )


def _running_max(*, masked: bool) -> Code:
    about = running_docstring("max", masked=masked)
    if masked:
        return code(
            """
            def running_max(
                x: jax.Array, mask: jax.Array, highest: jax.Array, count: jax.Array
            ) -> tuple[jax.Array, jax.Array]:
                {}
                real = jnp.expand_dims(mask, -1)
                found = jnp.where(real, x, -3e38).max(axis=1)
                # Before the first real step, the zeros are no maximum.
                found = jnp.where(count > 0, jnp.maximum(highest, found), found)
                highest = jnp.where(real.any(axis=1), found, highest)
                return highest, count + real.sum(axis=1)
            """,
            about,
        )
    return code(
        """
        def running_max(
            x: jax.Array, highest: jax.Array, count: jax.Array
        ) -> tuple[jax.Array, jax.Array]:
            {}
            found = x.max(axis=1)
            # Before the first step, the zeros are no maximum.
            highest = jnp.where(count > 0, jnp.maximum(highest, found), found)
            return highest, count + x.shape[1]
        """,
        about,
    )
