"""Train the amplifier's network in PyTorch to distort: train.py OUT.safetensors.

The target is a valve stage of a few lines. For a real amplifier, take a recording of what goes into
it, and one of what comes out.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

import torch
from safetensors.numpy import save_file

import rnnspec

SPEC = Path(__file__).with_name("amplifier.yaml")
RATE = 48_000
BATCH, SAMPLES, WARM_UP = 32, 300, 100
STEPS = 300


def main() -> None:
    """Train, and write the weights."""
    if len(sys.argv) != 2:
        raise SystemExit("usage: train.py OUT.safetensors")
    torch.set_num_threads(1)  # more would wait for each other: the network is small
    generator = torch.Generator().manual_seed(1)
    model = rnnspec.build(SPEC, "torch", seed=1)
    optimizer = torch.optim.Adam(model.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1e-2, total_steps=STEPS)
    for step in range(1, STEPS + 1):
        dry = pluck(generator)
        error = error_to_signal(model(dry)[:, WARM_UP:], amplify(dry)[:, WARM_UP:])
        optimizer.zero_grad()
        error.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 50 == 0:
            ratio = float(error.detach())
            print(f"step {step} of {STEPS}: error-to-signal ratio {ratio:.4f}", flush=True)
    out = Path(sys.argv[1])
    out.parent.mkdir(parents=True, exist_ok=True)
    save_file(rnnspec.read_weights(model), out)


def pluck(generator: torch.Generator) -> torch.Tensor:
    """Return a batch of chords of three random notes, shape (batch, samples, 1)."""
    pitch = 80.0 * 2.0 ** (3.0 * torch.rand(BATCH, 1, 3, generator=generator))
    start = torch.rand(BATCH, 1, 3, generator=generator)
    loudness = torch.rand(BATCH, 1, 1, generator=generator)
    time = torch.arange(SAMPLES)[None, :, None] / RATE
    angle = 2.0 * math.pi * (pitch * time + start)
    partials = torch.stack([torch.sin(k * angle) / k for k in range(1, 7)])
    return 0.25 * loudness * partials.sum(dim=(0, 3))[:, :, None]


def amplify(dry: torch.Tensor) -> torch.Tensor:
    """Return what a valve makes of it: clipped more on one side, and without the highest tones."""
    clipped = torch.tanh(6.0 * dry + 0.4) - math.tanh(0.4)
    wet = [torch.zeros_like(clipped[:, 0])]
    for sample in clipped.unbind(dim=1):
        wet.append(wet[-1] + 0.4 * (sample - wet[-1]))
    return 0.5 * torch.stack(wet[1:], dim=1)


def error_to_signal(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Return the energy of the error as a share of that of the signal."""
    return (output - target).square().sum() / target.square().sum()


if __name__ == "__main__":
    main()
