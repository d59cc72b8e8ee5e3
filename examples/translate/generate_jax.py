"""Translate dates in JAX, by a model in step form: generate_jax.py FOLDER DATE...

    rnnspec convert build/trained.safetensors build/jax \
        --spec date_translator.yaml -b jax --form step
    python generate_jax.py build/jax "3rd of may, 1999" --beam 4

``greedy``, ``sample`` and ``search`` fit any model whose chunks are tokens, and whose output is
their log-probabilities.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from notations import BEGIN, END, LONGEST, generate_options, read_source, write_target
from safetensors.flax import load_file

States = dict[str, jax.Array]


@nnx.jit
def step(model: Any, token: jax.Array, states: States) -> tuple[jax.Array, States]:
    """Return the log-probabilities of what follows a token, (batch, vocabulary), and the states."""
    scores, states = model(target=token[:, None], states=states)
    return scores[:, -1], states


def greedy(model: Any, source: jax.Array, longest: int) -> jax.Array:
    """Return the likeliest token after each other, (batch, tokens); what follows END is void."""
    states = model.begin(source=source)
    tokens = [jnp.full(len(source), BEGIN)]
    while len(tokens) <= longest and not (jnp.stack(tokens) == END).any(axis=0).all():
        scores, states = step(model, tokens[-1], states)
        tokens.append(scores.argmax(axis=-1))
    return jnp.stack(tokens[1:], axis=1)


def sample(
    model: Any, source: jax.Array, longest: int, temperature: float, key: jax.Array
) -> jax.Array:
    """Return tokens that are drawn, (batch, tokens); a low temperature prefers the likely ones."""
    states = model.begin(source=source)
    tokens = [jnp.full(len(source), BEGIN)]
    while len(tokens) <= longest and not (jnp.stack(tokens) == END).any(axis=0).all():
        scores, states = step(model, tokens[-1], states)
        key, drawing = jax.random.split(key)
        tokens.append(jax.random.categorical(drawing, scores / temperature))
    return jnp.stack(tokens[1:], axis=1)


def search(model: Any, source: jax.Array, longest: int, width: int) -> jax.Array:
    """Return the best sequence that a beam of some width finds for one source, (tokens,).

    The best one has the highest mean log-probability of a token, its end included.
    """
    states = model.begin(source=source)
    states = {name: state.repeat(width, axis=0) for name, state in states.items()}
    tokens = jnp.full((width, 1), BEGIN)
    lengths, has_ended = jnp.zeros(width), jnp.zeros(width, dtype=bool)
    # All rows begin alike, so only the first of them counts.
    totals = jnp.full(width, -jnp.inf).at[0].set(0.0)
    while tokens.shape[1] <= longest and not has_ended.all():
        scores, states = step(model, tokens[:, -1], states)
        # What has ended goes on with END alone, which costs nothing.
        stays = jnp.where(jnp.arange(scores.shape[1]) == END, 0.0, -jnp.inf)
        sums = totals[:, None] + jnp.where(has_ended[:, None], stays, scores)
        lengths = lengths + ~has_ended
        _, best = jax.lax.top_k((sums / lengths[:, None]).flatten(), width)
        rows, chosen = jnp.divmod(best, scores.shape[1])
        totals, lengths = sums.flatten()[best], lengths[rows]
        tokens = jnp.concatenate([tokens[rows], chosen[:, None]], axis=1)
        has_ended = has_ended[rows] | (chosen == END)
        states = {name: state[rows] for name, state in states.items()}
    return tokens[0, 1:]


def main() -> None:
    """Print the translation of each date."""
    options = generate_options(__doc__ or "")
    sys.path.append(str(options.model))
    model = import_module("date_translator").DateTranslator()
    arrays = load_file(options.model / "date_translator.safetensors")
    nnx.update(model, nnx.traversals.unflatten_mapping(arrays, sep="."))
    key = jax.random.key(options.seed)
    for text in options.dates:
        source = jnp.asarray(read_source(text))
        if options.temperature:
            key, drawing = jax.random.split(key)
            (tokens,) = sample(model, source, LONGEST, options.temperature, drawing)
        elif options.beam > 1:
            tokens = search(model, source, LONGEST, options.beam)
        else:
            (tokens,) = greedy(model, source, LONGEST)
        print(write_target(tokens.tolist()), flush=True)


if __name__ == "__main__":
    main()
