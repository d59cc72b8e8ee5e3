"""Train the translator of dates in PyTorch: train_torch.py OUT.safetensors."""

from __future__ import annotations

import numpy as np
import torch
from notations import SPEC, batch, train_options
from safetensors.numpy import save_file

import rnnspec


def main() -> None:
    """Train, and write the weights."""
    options = train_options(__doc__ or "")
    torch.set_num_threads(1)  # more would wait for each other: the network is small
    random = np.random.default_rng(1)
    model = rnnspec.build(SPEC, "torch", seed=1)
    optimizer = torch.optim.Adam(model.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=5e-3, total_steps=options.steps
    )
    for step in range(1, options.steps + 1):
        source, target, following = map(torch.from_numpy, batch(random, 64))
        scores = model(source=source, target=target)
        loss = torch.nn.functional.nll_loss(scores.flatten(0, 1), following.flatten())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 100 == 0 or step == options.steps:
            print(f"step {step} of {options.steps}: loss {float(loss.detach()):.4f}", flush=True)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    save_file(rnnspec.read_weights(model), options.out)


if __name__ == "__main__":
    main()
