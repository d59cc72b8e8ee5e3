"""Translate dates in Keras, by a model in step form: generate_keras.py MODEL.keras DATE...

    rnnspec convert build/trained.safetensors build/date_translator.keras \
        --spec date_translator.yaml --form step
    python generate_keras.py build/date_translator.keras "3rd of may, 1999" --beam 4

``greedy``, ``sample`` and ``search`` fit any model whose chunks are tokens, and whose output is
their log-probabilities.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops
from notations import BEGIN, END, LONGEST, generate_options, read_source, write_target

States = dict[str, Any]


class Model:
    """The two files of a model: what is computed once, and a step."""

    def __init__(self, path: Path) -> None:
        # The module beside the files has the classes of their layers.
        sys.path.append(str(path.parent))
        import_module(path.stem)
        self.begin = keras.saving.load_model(path.with_stem(f"{path.stem}_begin"))
        self.step = keras.saving.load_model(path)

    def __call__(self, token: Any, states: States) -> tuple[Any, States]:
        """Return the log-probabilities of what follows, (batch, vocabulary), and the states."""
        states = self.step({"target": token[:, None], **states})
        return states.pop("output")[:, -1], states


def greedy(model: Model, source: Any, longest: int) -> Any:
    """Return the likeliest token after each other, (batch, tokens); what follows END is void."""
    states, tokens = model.begin({"source": source}), [ops.full((len(source),), BEGIN, "int32")]
    while len(tokens) <= longest and not ops.all(ops.any(ops.stack(tokens) == END, axis=0)):
        scores, states = model(tokens[-1], states)
        tokens.append(ops.argmax(scores, axis=-1))
    return ops.stack(tokens[1:], axis=1)


def sample(
    model: Model,
    source: Any,
    longest: int,
    temperature: float,
    random: keras.random.SeedGenerator,
) -> Any:
    """Return tokens that are drawn, (batch, tokens); a low temperature prefers the likely ones."""
    states, tokens = model.begin({"source": source}), [ops.full((len(source),), BEGIN, "int32")]
    while len(tokens) <= longest and not ops.all(ops.any(ops.stack(tokens) == END, axis=0)):
        scores, states = model(tokens[-1], states)
        drawn = keras.random.categorical(scores / temperature, 1, dtype="int32", seed=random)
        tokens.append(drawn[:, 0])
    return ops.stack(tokens[1:], axis=1)


def search(model: Model, source: Any, longest: int, width: int) -> Any:
    """Return the best sequence that a beam of some width finds for one source, (tokens,).

    The best one has the highest mean log-probability of a token, its end included.
    """
    states = model.begin({"source": source})
    states = {name: ops.repeat(state, width, axis=0) for name, state in states.items()}
    tokens = ops.full((width, 1), BEGIN, "int32")
    lengths, has_ended = ops.zeros(width), ops.zeros(width, "bool")
    # All rows begin alike, so only the first of them counts.
    totals = ops.where(ops.arange(width) == 0, 0.0, -np.inf)
    while tokens.shape[1] <= longest and not ops.all(has_ended):
        scores, states = model(tokens[:, -1], states)
        # What has ended goes on with END alone, which costs nothing.
        stays = ops.where(ops.arange(scores.shape[1]) == END, 0.0, -np.inf)
        sums = totals[:, None] + ops.where(has_ended[:, None], stays, scores)
        lengths = lengths + ops.where(has_ended, 0.0, 1.0)
        _, best = ops.top_k(ops.reshape(sums / lengths[:, None], (-1,)), width)
        rows, chosen = best // scores.shape[1], best % scores.shape[1]
        totals, lengths = ops.take(ops.reshape(sums, (-1,)), best), ops.take(lengths, rows)
        tokens = ops.concatenate([ops.take(tokens, rows, axis=0), chosen[:, None]], axis=1)
        has_ended = ops.logical_or(ops.take(has_ended, rows), chosen == END)
        states = {name: ops.take(state, rows, axis=0) for name, state in states.items()}
    return tokens[0, 1:]


def main() -> None:
    """Print the translation of each date."""
    options = generate_options(__doc__ or "")
    model, random = Model(options.model), keras.random.SeedGenerator(options.seed)
    for text in options.dates:
        source = read_source(text)
        if options.temperature:
            (tokens,) = sample(model, source, LONGEST, options.temperature, random)
        elif options.beam > 1:
            tokens = search(model, source, LONGEST, options.beam)
        else:
            (tokens,) = greedy(model, source, LONGEST)
        print(write_target([int(token) for token in tokens]), flush=True)


if __name__ == "__main__":
    main()
