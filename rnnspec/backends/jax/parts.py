"""The functions and classes above the model class that its layers need, each once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnnspec.backends.docstrings import LEGACY_HARD_SIGMOID
from rnnspec.backends.jax.cells import (
    cell_classes,
    draws_bias,
    draws_uniformly,
    make_initializer,
)
from rnnspec.backends.jax.recurrent import recurrent_class
from rnnspec.ir import nodes
from rnnspec.ir.equations import ApplyToVector, Concat
from rnnspec.ir.expand import expand
from rnnspec.ir.nodes import layer_activations
from rnnspec.source.code import Code, code, docstring, lines, listed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rnnspec.ir.forms import Form
    from rnnspec.source.verbs import Verbs


def parts(network: nodes.Network, form: Form, verbs: Verbs) -> Iterator[Code]:
    """Yield the parts of a network's source, those that others use first."""
    if form == "training" and draws_uniformly(network):
        yield _SYMMETRIC_UNIFORM
    if any(isinstance(layer, nodes.Embedding) and not layer.trainable for layer in network.layers):
        yield _FROZEN_EMBED if form == "training" else _FROZEN_EMBED_TO_LOAD
    yield from _functions_of_cells(network)
    activations = {name for layer in network.layers for name in layer_activations(layer)}
    if "hard_sigmoid" in activations:
        yield _HARD_SIGMOID
    if "legacy_hard_sigmoid" in activations:
        yield _LEGACY_HARD_SIGMOID
    if any(isinstance(layer, nodes.Normalize) for layer in network.layers):
        yield _L2_NORMALIZED
    if any(isinstance(layer, nodes.BatchNorm) and layer.masked for layer in network.layers):
        yield _NORM_MASK
    classes = cell_classes(network, form).values()
    if any(class_.first.recurrent_dropout for class_ in classes):
        yield from (_GATE_MASKS, _GATE_PRODUCTS)
    if tied := nodes.tied_layers(network):
        yield _tied_linear(tied[0], embedding_of(network, tied[0]), form)
    for name, (attention, *_) in pooling_classes(network).items():
        yield _attention_pooling(name, attention, form, verbs)
    about = _NOT_STOCK
    for class_ in classes:
        if isinstance(class_.first.cell, nodes.EquationCell):
            yield recurrent_class(class_, form)
            continue
        yield lines(about, recurrent_class(class_, form))
        about = Code()


def _functions_of_cells(network: nodes.Network) -> Iterator[Code]:
    """Yield the functions that cells by equations call."""
    expressions = list(nodes.cell_expressions(network))
    if any(isinstance(part, ApplyToVector) and part.epsilon for part in expressions):
        yield _STANDARDIZED
    if any(isinstance(part, Concat) for part in expressions):
        yield _JOINED


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


def attend(x: str, embedding: str, layer: nodes.Embedding) -> Code:
    """Return ``x`` times the transpose of the vectors of an embedding."""
    if layer.trainable:
        return code("{}.attend({})", embedding, x)
    return code("{} @ {}.embedding[...].T", x, embedding)


def embedding_of(network: nodes.Network, layer: nodes.Dense) -> nodes.Embedding:
    """Return the embedding to which a layer is tied."""
    (embedding,) = (table for table in network.layers if table.name == layer.tied)
    assert isinstance(embedding, nodes.Embedding), "verify requires it"
    return embedding


def _tied_linear(layer: nodes.Dense, embedding: nodes.Embedding, form: Form) -> Code:
    arguments, bias = code("features: int"), code("jnp.zeros((features,), jnp.float32)")
    if form == "training" and draws_bias(layer):
        arguments = code("features: int, *, rngs: nnx.Rngs")
        initializer = make_initializer(layer.bias_initializer)
        bias = code("{}(rngs.params(), (features,), jnp.float32)", initializer)
    return code(
        '''
        class TiedLinear(nnx.Module):
            """A linear layer whose kernel is the transpose of an embedding."""

            def __init__(self, {arguments}) -> None:
                self.bias = nnx.Param({bias})

            def __call__(self, x: jax.Array, embed: {embed}) -> jax.Array:
                return {product} + self.bias[...]
        ''',
        arguments=arguments,
        bias=bias,
        embed="nnx.Embed" if embedding.trainable else "FrozenEmbed",
        product=attend("x", "embed", embedding),
    )


def pooling_classes(network: nodes.Network) -> dict[str, list[nodes.AttentionPooling]]:
    """Return the layers of each generated class that pools by attention, by its name."""
    classes = dict[str, list[nodes.AttentionPooling]]()
    for layer in network.layers:
        if isinstance(layer, nodes.AttentionPooling) and (layer.units or not layer.query):
            classes.setdefault(_attention_class(layer), []).append(layer)
    for name, layers in list(classes.items()):
        masked = [layer for layer in layers if layer.masked]
        # A class of one kind of layers alone needs no name that tells them apart.
        if 0 < len(masked) < len(layers):
            classes[f"Masked{name}"] = masked
            classes[name] = [layer for layer in layers if not layer.masked]
    return classes


def _attention_class(layer: nodes.AttentionPooling) -> str:
    if layer.units is None:
        kind = "Linear" if layer.activation == "linear" else "Activated"
    else:
        kind = f"{'' if layer.bias else 'Unbiased'}{'Queried' if layer.query else ''}"
    return f"{kind}AttentionPooling"


def _attention_pooling(name: str, layer: nodes.AttentionPooling, form: Form, verbs: Verbs) -> Code:
    """Return the class of attentions of a kind; all are drawn alike."""
    kernel, bias = Code(), Code()
    if form == "training":
        kernel = code("kernel_init={}", make_initializer(layer.kernel_initializer))
        if layer.bias and draws_bias(layer):
            bias = code("bias_init={}", make_initializer(layer.bias_initializer))
    activated = layer.units is not None or layer.activation != "linear"
    arguments = [
        code("features: int"),
        code("units: int") if layer.units else "",
        code("*"),
        code("activation: Callable[[jax.Array], jax.Array]") if activated else "",
        code("rngs: nnx.Rngs"),
    ]
    inputs, hidden, steps = code("features"), Code(), code("x")
    if layer.units is not None:
        unbiased = Code() if layer.bias else code("use_bias=False")
        linear = listed("features", "units", unbiased, kernel, bias, code("rngs=rngs"))
        hidden, inputs = code("self.hidden = nnx.Linear({})", linear), code("units")
        steps = code("self.hidden(x)")
    if activated:
        steps = code("self.activation({})", steps)
    query = code(
        "self.query = nnx.Linear({})",
        listed(inputs, code("1, use_bias=False"), kernel, code("rngs=rngs")),
    )
    scores = code("self.query({})", steps)
    if layer.query:
        query, scores = Code(), code("{} @ jnp.expand_dims(query, -1)", steps)
    _, *results, result = expand(layer, form)
    return code(
        '''
        class {name}(nnx.Module):
            """The mean of the steps, weighted by a softmax of their scores."""

            def __init__({arguments}) -> None:
                {hidden}
                {activation}
                {query}

            def __call__({inputs}) -> jax.Array:
                scores = {scores}
                {weights}
                return {result}
        ''',
        name=name,
        arguments=listed("self", *arguments),
        hidden=hidden,
        activation=code("self.activation = activation") if activated else Code(),
        query=query,
        inputs=listed(
            "self",
            code("x: jax.Array"),
            code("mask: jax.Array") if layer.masked else "",
            code("query: jax.Array") if layer.query else "",
        ),
        scores=scores,
        weights=lines(verbs.statements(results)),
        result=verbs.write(result.value),
    )


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
_STANDARDIZED = code('''
    def standardized(x: jax.Array, epsilon: float) -> jax.Array:
        """Return vectors with a mean of 0, and a variance of 1 but for epsilon."""
        centred = x - x.mean(axis=-1, keepdims=True)
        variance = (centred * centred).mean(axis=-1, keepdims=True)
        return centred / jnp.sqrt(variance + epsilon)
''')
_JOINED = code('''
    def joined(*vectors: jax.Array) -> jax.Array:
        """Return vectors one after the other; one that has no batch goes with each sequence."""
        shape = jnp.broadcast_shapes(*(vector.shape[:-1] for vector in vectors))
        whole = [jnp.broadcast_to(v, (*shape, v.shape[-1])) for v in vectors]
        return jnp.concatenate(whole, axis=-1)
''')
_L2_NORMALIZED = code('''
    def l2_normalized(x: jax.Array) -> jax.Array:
        """Return x / max(norm, 1e-12), (batch, features), with a finite gradient at zeros."""
        square = jnp.sum(jnp.square(x), axis=-1, keepdims=True)
        return x / jnp.sqrt(jnp.maximum(square, 1e-24))
''')
_NORM_MASK = code('''
    def norm_mask(mask: jax.Array) -> jax.Array:
        """Return the steps that a batch norm counts: the real ones, or all if there are none."""
        return jnp.expand_dims(mask | ~mask.any(), -1)
''')
_GATE_MASKS = code('''
    def gate_masks(
        dropout: nnx.Dropout, kernel: jax.Array, gates: int, batch: int
    ) -> jax.Array | None:
        """Return a mask for each gate, (gates, batch, ...), or None in inference."""
        shape = gates, batch, len(kernel)
        return None if dropout.deterministic else dropout(jnp.ones(shape, kernel.dtype))
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
