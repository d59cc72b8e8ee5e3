"""Train a network of a spec in JAX, on one device or with each batch shared out over several.

    python train_jax.py characters.yaml --out trained
    python train_jax.py characters.yaml --out trained --devices 2

A run that is started again goes on from its last checkpoint. The batch is sharded over all devices
and the model is on each; jax.jit adds the sums over devices by itself. ``--devices`` makes several
of the CPU, and does nothing to GPUs or TPUs, which are all used. On several machines, start the
same command on each with its number; all must see the folder --out, and the first writes to it:

    python train_jax.py ... --processes 2 --rank 0 --meet HOST:29400
    python train_jax.py ... --processes 2 --rank 1 --meet HOST:29400
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import meeting
import numpy as np
import optax
import progress
from flax import nnx
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from safetensors.numpy import load_file, save_file
from text import Characters, fitting, read_text

import rnnspec

if TYPE_CHECKING:
    from numpy.typing import NDArray


@progress.one_sentence()
@meeting.one_sentence()
def main() -> None:
    """Train, or go on with a run that was stopped."""
    given = progress.parallel_options(__doc__ or "")
    meeting.join(given)
    data = Characters.of(read_text(given.text), given.batch, given.seed)
    data.share(0, jax.device_count())
    run = Run(given, rnnspec.build(fitting(given.spec), "jax", seed=given.seed), data)
    with progress.report(given.steps, run.step, shown=given.rank == 0) as report:
        run.train(report)


def _loss(model: nnx.Module, inputs: jax.Array, targets: jax.Array) -> jax.Array:
    """Return the mean cross-entropy in nats a character."""
    return -jnp.take_along_axis(model(inputs), targets[..., None], axis=-1).mean()


@nnx.jit
def _update(
    model: nnx.Module, optimizer: nnx.Optimizer, inputs: jax.Array, targets: jax.Array
) -> jax.Array:
    loss, gradients = nnx.value_and_grad(_loss)(model, inputs, targets)
    optimizer.update(model, gradients)
    return loss


class Run:
    """A model in training, with all that a checkpoint keeps."""

    def __init__(self, given: Any, model: nnx.Module, data: Characters) -> None:
        """Read the last checkpoint in the folder of the run, if there is one."""
        makers = {"adam": optax.adam, "sgd": optax.sgd}
        self.given, self.model, self.data = given, model, data
        self.optimizer = nnx.Optimizer(model, makers[given.optimizer](given.rate), wrt=nnx.Param)
        self.mesh = Mesh(np.array(jax.devices()), ("batch",))
        self.share = data.share(given.rank, given.processes)
        self.out, self.history, self.step = Path(given.out), progress.History(), 0
        self.checkpoint = self.out / "checkpoint.safetensors"
        if self.checkpoint.exists():
            self._read()
        self._place(_arrays((self.model, self.optimizer)))

    def _read(self) -> None:
        kept = load_file(self.checkpoint)
        self.step = int(kept.pop("step"))
        # Written before the checkpoint, so it may be further than the model.
        losses = self.out.joinpath("losses.json").read_text()
        self.history = progress.History.from_json(losses).until(self.step)
        self._place(kept)

    def _place(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Put the arrays of the model and the optimizer on every device."""
        everywhere = NamedSharding(self.mesh, PartitionSpec())
        state = nnx.state((self.model, self.optimizer))
        flat = nnx.to_flat_state(state)
        for path, variable in flat:
            variable[...] = jax.device_put(arrays[_name(path)], everywhere)
        nnx.update((self.model, self.optimizer), nnx.from_flat_state(flat))

    def train(self, report: progress.Report) -> None:
        """Train to the last step, or until validation brings no gain."""
        losses = list[float]()
        while self.step < self.given.steps and not self.history.is_over(self.given.patience):
            batch = map(self._sharded, self.data.batch(self.step))
            losses.append(float(_update(self.model, self.optimizer, *batch)))
            self.step += 1
            report.step(self.step, losses[-1])
            if self.step % self.given.every == 0 or self.step == self.given.steps:
                validation = map(self._sharded, self.data.validation())
                found = float(nnx.jit(_loss)(self.model, *validation))
                self.history.add(self.step, sum(losses) / len(losses), found)
                losses.clear()
                self._write()
                report.checkpoint(self.history)
        report.end(self.history, self.out)

    def _sharded(self, rows: NDArray[np.int64]) -> jax.Array:
        """Return a batch with its rows shared out over the devices of all processes."""
        sharding = NamedSharding(self.mesh, PartitionSpec("batch"))
        mine = rows[self.share].astype(np.int32)
        return jax.make_array_from_process_local_data(sharding, mine, rows.shape)

    def _write(self) -> None:
        """Write each file whole, the checkpoint last."""
        keeps = self.given.rank == 0
        self.out.mkdir(parents=True, exist_ok=True)
        name = rnnspec.load(self.given.spec).name
        if keeps:
            (self.out / f"{name}.py").write_text(rnnspec.codegen(self.given.spec, "jax"))
            self.history.draw(self.out / "curve.png")
        with progress.whole(self.out / "losses.json", keeps=keeps) as path:
            path.write_text(self.history.as_json())
        with progress.whole(self.out / f"{name}.safetensors", keeps=keeps) as path:
            save_file(_arrays(self.model), path)
        with progress.whole(self.checkpoint, keeps=keeps) as path:
            kept = _arrays((self.model, self.optimizer))
            save_file({**kept, "step": np.array(self.step)}, path)


def _arrays(item: Any) -> dict[str, NDArray[Any]]:
    """Return the arrays of a model or an optimizer by name, as safetensors takes them."""
    flat = nnx.to_flat_state(nnx.state(item))
    # save_file writes the memory of an array as it is, whatever its strides.
    return {_name(path): np.array(variable[...], order="C") for path, variable in flat}


def _name(path: tuple[Any, ...]) -> str:
    return ".".join(map(str, path))


if __name__ == "__main__":
    main()
