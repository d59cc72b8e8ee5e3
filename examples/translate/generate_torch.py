"""Translate dates in PyTorch, by a model in step form: generate_torch.py FOLDER DATE...

    rnnspec convert build/trained.safetensors build/torch \
        --spec date_translator.yaml -b torch --form step
    python generate_torch.py build/torch "3rd of may, 1999" --beam 4

``greedy``, ``sample`` and ``search`` fit any model whose chunks are tokens, and whose output is
their log-probabilities.
"""

from __future__ import annotations

import sys
from importlib import import_module

import torch
from notations import BEGIN, END, LONGEST, generate_options, read_source, write_target
from safetensors.torch import load_file


def greedy(model: torch.nn.Module, source: torch.Tensor, longest: int) -> torch.Tensor:
    """Return the likeliest token after each other, (batch, tokens); what follows END is void."""
    states = model.begin(source=source)
    tokens = torch.full((len(source), 1), BEGIN)
    while tokens.shape[1] <= longest and not (tokens == END).any(dim=1).all():
        scores, states = model(target=tokens[:, -1:], states=states)
        tokens = torch.cat([tokens, scores[:, -1:].argmax(dim=-1)], dim=1)
    return tokens[:, 1:]


def sample(
    model: torch.nn.Module,
    source: torch.Tensor,
    longest: int,
    temperature: float,
    random: torch.Generator,
) -> torch.Tensor:
    """Return tokens that are drawn, (batch, tokens); a low temperature prefers the likely ones."""
    states = model.begin(source=source)
    tokens = torch.full((len(source), 1), BEGIN)
    while tokens.shape[1] <= longest and not (tokens == END).any(dim=1).all():
        scores, states = model(target=tokens[:, -1:], states=states)
        shares = torch.softmax(scores[:, -1] / temperature, dim=-1)
        drawn = torch.multinomial(shares, 1, generator=random)
        tokens = torch.cat([tokens, drawn], dim=1)
    return tokens[:, 1:]


def search(model: torch.nn.Module, source: torch.Tensor, longest: int, width: int) -> torch.Tensor:
    """Return the best sequence that a beam of some width finds for one source, (tokens,).

    The best one has the highest mean log-probability of a token, its end included.
    """
    states = take_rows(model.begin(source=source), torch.zeros(width, dtype=torch.long))
    tokens = torch.full((width, 1), BEGIN)
    lengths, has_ended = torch.zeros(width), torch.zeros(width, dtype=torch.bool)
    # All rows begin alike, so only the first of them counts.
    totals = torch.full((width,), -torch.inf)
    totals[0] = 0.0
    while tokens.shape[1] <= longest and not has_ended.all():
        scores, states = model(target=tokens[:, -1:], states=states)
        # What has ended goes on with END alone, which costs nothing.
        stays = torch.full_like(scores[:, -1], -torch.inf)
        stays[:, END] = 0.0
        sums = totals[:, None] + torch.where(has_ended[:, None], stays, scores[:, -1])
        lengths = lengths + ~has_ended
        best = (sums / lengths[:, None]).flatten().topk(width).indices
        rows, chosen = best // sums.shape[1], best % sums.shape[1]
        totals, lengths = sums.flatten()[best], lengths[rows]
        tokens = torch.cat([tokens[rows], chosen[:, None]], dim=1)
        has_ended = has_ended[rows] | (chosen == END)
        states = take_rows(states, rows)
    return tokens[0, 1:]


def take_rows(states: dict[str, torch.Tensor], rows: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return the states of some sequences of the batch."""
    # The states of nn.GRU and nn.LSTM, and no others, have the batch behind their layers.
    return {
        name: state.index_select(1 if name.endswith(("_h", "_c")) else 0, rows)
        for name, state in states.items()
    }


def main() -> None:
    """Print the translation of each date."""
    options = generate_options(__doc__ or "")
    sys.path.append(str(options.model))
    model = import_module("date_translator").DateTranslator()
    model.load_state_dict(load_file(options.model / "date_translator.safetensors"))
    random = torch.Generator().manual_seed(options.seed)
    with torch.inference_mode():
        for text in options.dates:
            source = torch.from_numpy(read_source(text))
            if options.temperature:
                tokens = sample(model, source, LONGEST, options.temperature, random)[0]
            elif options.beam > 1:
                tokens = search(model, source, LONGEST, options.beam)
            else:
                tokens = greedy(model, source, LONGEST)[0]
            print(write_target(tokens.tolist()), flush=True)


if __name__ == "__main__":
    main()
