"""Train a network of a spec in Keras, on one device or in parallel on several.

    KERAS_BACKEND=tensorflow python train_keras.py characters.yaml --out trained
    KERAS_BACKEND=jax python train_keras.py characters.yaml --out trained

A run that is started again goes on from its last checkpoint. On TensorFlow, tf.distribute shares
each batch out over the GPUs of the machine; on JAX, keras.distribution does so over all devices
of all processes. Without GPUs, ``--devices 2`` makes two of the CPU. Several processes, on one
machine or on many, run on JAX; start each with its number:

    KERAS_BACKEND=jax python train_keras.py ... --processes 2 --rank 0 --meet HOST:29400
    KERAS_BACKEND=jax python train_keras.py ... --processes 2 --rank 1 --meet HOST:29400

All must see the same folder --out; only the first writes to it.
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import meeting
import progress
from text import Characters, fitting, read_text


@progress.one_sentence()
@meeting.one_sentence()
def main() -> None:
    """Train, or go on with a run that was stopped."""
    given = progress.parallel_options(__doc__ or "")
    scope = parallel(given)
    # Imported when the devices are there.
    import keras

    import rnnspec

    spec = fitting(given.spec)
    data = Characters.of(read_text(given.text), given.batch, given.seed)
    data.share(0, given.devices * given.processes)
    checkpoint = Path(given.out) / "checkpoint.keras"
    # The same initial weights in all processes, which JAX checks.
    keras.utils.set_random_seed(given.seed)
    with scope:
        if checkpoint.exists():
            model = keras.saving.load_model(checkpoint)
        else:
            model = rnnspec.build(spec, "keras", seed=given.seed)
            makers = {"adam": keras.optimizers.Adam, "sgd": keras.optimizers.SGD}
            # The output is log-softmax, whose softmax is itself: the loss may take it as logits.
            loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
            model.compile(makers[given.optimizer](given.rate), loss)
    Run(given, model, data, spec.name, checkpoint).train()


def parallel(given: Any) -> AbstractContextManager[Any]:
    """Set up the devices, and return the scope in which the model is made."""
    if os.environ.setdefault("KERAS_BACKEND", "jax") == "jax":
        _devices_of_jax(given)
        return nullcontext()
    if given.processes > 1:
        raise SystemExit("several processes run on JAX: set KERAS_BACKEND=jax")
    import tensorflow as tf

    if gpus := tf.config.list_physical_devices("GPU"):
        return _scope(tf.distribute.MirroredStrategy() if len(gpus) > 1 else None)
    (cpu,) = tf.config.list_physical_devices("CPU")
    parts = [tf.config.LogicalDeviceConfiguration() for _ in range(given.devices)]
    tf.config.set_logical_device_configuration(cpu, parts)
    names = [f"CPU:{number}" for number in range(given.devices)]
    return _scope(tf.distribute.MirroredStrategy(names) if len(names) > 1 else None)


def _scope(strategy: Any) -> AbstractContextManager[Any]:
    return nullcontext() if strategy is None else strategy.scope()


def _devices_of_jax(given: Any) -> None:
    meeting.join(given)
    import jax
    import keras

    if jax.device_count() > 1:
        parallel = keras.distribution.DataParallel(auto_shard_dataset=False)
        keras.distribution.set_distribution(parallel)


class Run:
    """A model in training, with all that a checkpoint keeps."""

    def __init__(
        self, given: Any, model: Any, data: Characters, name: str, checkpoint: Path
    ) -> None:
        """Read the losses up to the last checkpoint, if there is one."""
        self.given, self.model, self.data = given, model, data
        self.name, self.checkpoint = name, checkpoint
        self.share = data.share(given.rank, given.processes)
        self.losses = checkpoint.with_name("losses.json")
        self.history, self.step = progress.History(), int(model.optimizer.iterations.numpy())
        if self.step:
            # Written before the checkpoint, so it may be further than the model.
            kept = progress.History.from_json(self.losses.read_text())
            self.history = kept.until(self.step)

    def train(self) -> None:
        """Train to the last step, or until validation brings no gain."""
        given = self.given
        with progress.report(given.steps, self.step, shown=given.rank == 0) as report:
            while self.step < given.steps and not self.history.is_over(given.patience):
                self.epoch(min(given.every, given.steps - self.step), report)
                self.write(keeps=given.rank == 0)
                report.checkpoint(self.history)
            report.end(self.history, self.checkpoint.parent)

    def epoch(self, steps: int, report: progress.Report) -> None:
        """Train some steps, and validate."""
        import numpy as np
        from keras.callbacks import LambdaCallback

        batches = [self.data.batch(self.step + number) for number in range(steps)]
        inputs, targets = (
            np.concatenate([part[self.share] for part in parts])
            for parts in zip(*batches, strict=True)
        )
        started = self.step
        moved = LambdaCallback(
            on_train_batch_end=lambda batch, logs: report.step(started + batch + 1, logs["loss"])
        )
        size = self.share.stop - self.share.start
        told = self.model.fit(inputs, targets, size, shuffle=False, verbose=0, callbacks=[moved])
        rows, wanted = (part[self.share] for part in self.data.validation())
        validation = self.model.evaluate(rows, wanted, size, verbose=0)
        self.step += steps
        self.history.add(self.step, told.history["loss"][0], validation)

    def write(self, *, keeps: bool) -> None:
        """Write each file whole, the checkpoint last."""
        # Every process saves, because JAX gathers the arrays from all; only the first keeps.
        self.checkpoint.parent.mkdir(parents=True, exist_ok=True)
        if keeps:
            self.history.draw(self.checkpoint.with_name("curve.png"))
        with progress.whole(self.losses, keeps=keeps) as path:
            path.write_text(self.history.as_json())
        for name in (f"{self.name}.keras", self.checkpoint.name):
            with progress.whole(self.checkpoint.with_name(name), keeps=keeps) as path:
                self.model.save(path)


if __name__ == "__main__":
    main()
