"""Draw what the decoder looks at for each character: draw_attention.py FOLDER DATE OUT.png.

FOLDER has the PyTorch model in step form. Everything that the attention of a step is computed from
is among the states: its keys, the mask of the source, and the state that it asks with.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

import torch
from matplotlib import pyplot as plt
from notations import BEGIN, END, LONGEST, SPEC, read_source, write_target
from safetensors.torch import load_file

import rnnspec


def attend(model: torch.nn.Module, text: str) -> tuple[str, torch.Tensor]:
    """Return a translation, and for each of its characters the weights of those of the source."""
    arrays = rnnspec.read_weights(model, SPEC)
    kernel, score = (
        torch.tensor(arrays[f"decoder.attention.{name}"]) for name in ("kernel", "score")
    )
    states = model.begin(source=torch.from_numpy(read_source(text)))
    token, tokens, weights = torch.tensor([[BEGIN]]), list[int](), list[torch.Tensor]()
    while len(tokens) < LONGEST and END not in tokens:
        query = states["decoder_h"][0] @ kernel
        scores = torch.tanh(query[:, None] + states["decoder_keys_value"]) @ score
        weights.append(torch.softmax(scores[0, :, 0], dim=0))
        output, states = model(target=token, states=states)
        token = output[:, -1:].argmax(dim=-1)
        tokens.append(int(token))
    return write_target(tokens), torch.stack(weights)


def main() -> None:
    """Write the picture."""
    if len(sys.argv) != 4:
        raise SystemExit("usage: draw_attention.py FOLDER DATE OUT.png")
    folder, text, out = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    sys.path.append(str(folder))
    model = import_module("date_translator").DateTranslator()
    model.load_state_dict(load_file(folder / "date_translator.safetensors"))
    with torch.inference_mode():
        translation, weights = attend(model, text)
    figure, axes = plt.subplots(figsize=(0.32 * len(text) + 1, 0.32 * len(translation) + 1))
    axes.imshow(weights[: len(translation)], cmap="Blues", vmin=0.0, vmax=1.0)
    axes.set_xticks(range(len(text)), list(text))
    axes.set_yticks(range(len(translation)), list(translation))
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    figure.savefig(out, dpi=120, bbox_inches="tight")


if __name__ == "__main__":
    main()
