"""Translate dates in ONNX Runtime, by a model in step form: generate_onnx.py MODEL.onnx DATE...

    rnnspec convert build/trained.safetensors build/date_translator.onnx \
        --spec date_translator.yaml --form step
    python generate_onnx.py build/date_translator.onnx "3rd of may, 1999" --beam 4

``greedy``, ``sample`` and ``search`` fit any model whose chunks are tokens, and whose output is
their log-probabilities.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
from notations import BEGIN, END, LONGEST, generate_options, read_source, write_target
from numpy.typing import NDArray

Tokens = NDArray[np.int64]
Scores = NDArray[np.float32]
States = dict[str, NDArray[np.generic]]


class Model:
    """The two files of a model: what is computed once, and a step."""

    def __init__(self, path: Path) -> None:
        self.first = onnxruntime.InferenceSession(path.with_stem(f"{path.stem}_begin"))
        self.step = onnxruntime.InferenceSession(path)

    def begin(self, source: Tokens) -> States:
        """Return the states before the first token."""
        names = [output.name for output in self.first.get_outputs()]
        return dict(zip(names, self.first.run(None, {"source": source}), strict=True))

    def __call__(self, target: Tokens, states: States) -> tuple[Scores, States]:
        """Return the log-probabilities of what follows, (batch, vocabulary), and the states."""
        scores, *after = self.step.run(None, {"target": target, **states})
        # What has been computed once is no output; a state NAME is the output NAME_next.
        names = [output.name.removesuffix("_next") for output in self.step.get_outputs()[1:]]
        return scores[:, -1], states | dict(zip(names, after, strict=True))


def greedy(model: Model, source: Tokens, longest: int) -> Tokens:
    """Return the likeliest token after each other, (batch, tokens); what follows END is void."""
    states, tokens = model.begin(source), np.full((len(source), 1), BEGIN)
    while tokens.shape[1] <= longest and not (tokens == END).any(axis=1).all():
        scores, states = model(tokens[:, -1:], states)
        tokens = np.append(tokens, scores.argmax(axis=-1)[:, np.newaxis], axis=1)
    return tokens[:, 1:]


def sample(
    model: Model, source: Tokens, longest: int, temperature: float, random: np.random.Generator
) -> Tokens:
    """Return tokens that are drawn, (batch, tokens); a low temperature prefers the likely ones."""
    states, tokens = model.begin(source), np.full((len(source), 1), BEGIN)
    while tokens.shape[1] <= longest and not (tokens == END).any(axis=1).all():
        scores, states = model(tokens[:, -1:], states)
        # The highest of the scores with such noise is drawn with the probability of its token.
        drawn = (scores / temperature + random.gumbel(size=scores.shape)).argmax(axis=-1)
        tokens = np.append(tokens, drawn[:, np.newaxis], axis=1)
    return tokens[:, 1:]


def search(model: Model, source: Tokens, longest: int, width: int) -> Tokens:
    """Return the best sequence that a beam of some width finds for one source, (tokens,).

    The best one has the highest mean log-probability of a token, its end included.
    """
    states = {name: state.repeat(width, axis=0) for name, state in model.begin(source).items()}
    tokens = np.full((width, 1), BEGIN)
    lengths, has_ended = np.zeros(width), np.zeros(width, dtype=bool)
    # All rows begin alike, so only the first of them counts.
    totals = np.array([0.0, *[-np.inf] * (width - 1)])
    while tokens.shape[1] <= longest and not has_ended.all():
        scores, states = model(tokens[:, -1:], states)
        # What has ended goes on with END alone, which costs nothing.
        stays = np.where(np.arange(scores.shape[1]) == END, 0.0, -np.inf)
        sums = totals[:, np.newaxis] + np.where(has_ended[:, np.newaxis], stays, scores)
        lengths = lengths + ~has_ended
        best = (-sums / lengths[:, np.newaxis]).argsort(axis=None, kind="stable")[:width]
        rows, chosen = np.divmod(best, scores.shape[1])
        totals, lengths = sums.flatten()[best], lengths[rows]
        tokens = np.append(tokens[rows], chosen[:, np.newaxis], axis=1)
        has_ended = has_ended[rows] | (chosen == END)
        states = {name: state[rows] for name, state in states.items()}
    return tokens[0, 1:]


def main() -> None:
    """Print the translation of each date."""
    options = generate_options(__doc__ or "")
    model, random = Model(options.model), np.random.default_rng(options.seed)
    for text in options.dates:
        source = read_source(text)
        if options.temperature:
            (tokens,) = sample(model, source, LONGEST, options.temperature, random)
        elif options.beam > 1:
            tokens = search(model, source, LONGEST, options.beam)
        else:
            (tokens,) = greedy(model, source, LONGEST)
        print(write_target(tokens.tolist()), flush=True)


if __name__ == "__main__":
    main()
