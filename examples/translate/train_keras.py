"""Train the translator of dates in Keras: train_keras.py OUT.safetensors."""

from __future__ import annotations

import keras
import numpy as np
from notations import SPEC, batch, train_options
from safetensors.numpy import save_file

import rnnspec


def main() -> None:
    """Train, and write the weights."""
    options = train_options(__doc__ or "")
    random = np.random.default_rng(1)
    model = rnnspec.build(SPEC, "keras", seed=1)
    warming = options.steps // 10
    rate = keras.optimizers.schedules.CosineDecay(
        5e-4, options.steps - warming, warmup_target=5e-3, warmup_steps=warming
    )
    # The softmax of log-softmax is softmax, so the loss may take it as logits.
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(rate, clipnorm=1.0), loss)
    for step in range(1, options.steps + 1):
        source, target, following = batch(random, 64)
        # Of one width, for which TensorFlow traces the step once.
        source = np.pad(source, ((0, 0), (0, 32 - source.shape[1])))
        value = model.train_on_batch({"source": source, "target": target}, following)
        if step % 100 == 0 or step == options.steps:
            print(f"step {step} of {options.steps}: loss {float(value):.4f}", flush=True)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    save_file(rnnspec.read_weights(model), options.out)


if __name__ == "__main__":
    main()
