"""Train a network of a spec in PyTorch, in one process or in several under torchrun.

    python train_torch.py characters.yaml --out trained
    torchrun --standalone --nproc-per-node 2 train_torch.py characters.yaml --out trained

A run that is started again goes on from its last checkpoint. Both commands take the same steps: the
batch is shared out over the processes, and DistributedDataParallel averages their gradients. With
GPUs, each process takes one, over NCCL; without them, over gloo. On several machines, start the
same command on each, with torchrun's own options in place of --standalone:

    torchrun --nnodes 4 --nproc-per-node 8 --rdzv-backend c10d --rdzv-endpoint HOST:29400 ...

Only the first process writes, so --out must be a folder that all machines read, or one machine
must hold it and be given the checkpoint by hand.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import progress
import torch
from safetensors.torch import save_file
from text import Characters, fitting, read_text
from torch import distributed, nn

import rnnspec

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST_WAIT = timedelta(seconds=45)
"""How long a process waits for the others, before it takes them for dead."""


@progress.one_sentence()
def main() -> None:
    """Train, or go on with a run that was stopped."""
    parser = progress.parser(__doc__ or "")
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    given = parser.parse_args()
    with processes() as (rank, number, device):
        dtype = getattr(torch, given.dtype)
        model = rnnspec.build(fitting(given.spec), "torch", seed=given.seed).to(device, dtype)
        data = Characters.of(read_text(given.text), given.batch, given.seed)
        run = Run(given, model, data, data.share(rank, number), device)
        with progress.report(given.steps, run.step, shown=rank == 0) as report:
            run.train(report, writes=rank == 0)


@contextmanager
def processes() -> Iterator[tuple[int, int, torch.device]]:
    """Yield the number of this process, the number of all, and the device of this one."""
    if "RANK" not in os.environ:
        yield 0, 1, torch.device("cuda" if torch.cuda.is_available() else "cpu")
        return
    cuda = torch.cuda.is_available()
    device = torch.device("cuda", int(os.environ["LOCAL_RANK"])) if cuda else torch.device("cpu")
    try:
        distributed.init_process_group("nccl" if cuda else "gloo", timeout=LONGEST_WAIT)
    except distributed.DistNetworkError as error:
        raise SystemExit(f"the processes cannot meet: {str(error).splitlines()[0]}") from None
    try:
        yield distributed.get_rank(), distributed.get_world_size(), device
        # A process that leaves while another still writes may abort as it exits.
        distributed.barrier()
    except (distributed.DistBackendError, RuntimeError) as error:
        if "onnection" not in str(error) and "imed out" not in str(error):
            raise
        print(f"another process is gone: {str(error).splitlines()[0]}", file=sys.stderr, flush=True)
        # At a usual exit, a thread of gloo that still runs would make the process abort.
        os._exit(1)
    finally:
        distributed.destroy_process_group()


class Run:
    """A model in training, with all that a checkpoint keeps."""

    def __init__(
        self, given: Any, model: nn.Module, data: Characters, share: slice, device: torch.device
    ) -> None:
        """Read the last checkpoint in the folder of the run, if there is one."""
        self.given, self.model, self.data = given, model, data
        self.share, self.device = share, device
        makers = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}
        self.optimizer = makers[given.optimizer](model.parameters(), lr=given.rate)
        self.step, self.history = 0, progress.History()
        self.checkpoint = Path(given.out) / "checkpoint.pt"
        if self.checkpoint.exists():
            kept = torch.load(self.checkpoint, weights_only=True, map_location=device)
            model.load_state_dict(kept["model"])
            self.optimizer.load_state_dict(kept["optimizer"])
            self.step, self.history = kept["step"], progress.History.from_json(kept["history"])

    def train(self, report: progress.Report, *, writes: bool) -> None:
        """Train to the last step, or until validation brings no gain."""
        # Its forward, and no other method: a method that bypasses it would not average gradients.
        parallel = distributed.is_initialized()
        trained = nn.parallel.DistributedDataParallel(self.model) if parallel else self.model
        losses = list[float]()
        while self.step < self.given.steps and not self.history.is_over(self.given.patience):
            loss = self.loss(trained, *self.data.batch(self.step))
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            self.step += 1
            losses.append(float(loss.detach()))
            report.step(self.step, losses[-1])
            if self.step % self.given.every == 0 or self.step == self.given.steps:
                self.keep(sum(losses) / len(losses), writes=writes)
                report.checkpoint(self.history)
                losses.clear()
        report.end(self.history, self.checkpoint.parent)

    def loss(self, model: nn.Module, inputs: Any, targets: Any) -> torch.Tensor:
        """Return the mean cross-entropy of the rows of this process, in nats a character."""
        mine = torch.from_numpy(inputs[self.share]).to(self.device)
        wanted = torch.from_numpy(targets[self.share]).to(self.device)
        return nn.functional.nll_loss(model(mine).flatten(0, 1), wanted.flatten())

    def keep(self, training: float, *, writes: bool) -> None:
        """Validate, and write the checkpoint, the weights and the curve."""
        self.model.eval()
        with torch.no_grad():
            validation = self.loss(self.model, *self.data.validation())
        self.model.train()
        losses = torch.tensor([training, float(validation)], device=self.device)
        if distributed.is_initialized():
            distributed.all_reduce(losses)
            losses /= distributed.get_world_size()
        # The mean over all processes, so each comes to the same decision to stop.
        self.history.add(self.step, *losses.tolist())
        if writes:
            self.write()

    def write(self) -> None:
        """Write each file whole, the checkpoint last."""
        out = self.checkpoint.parent
        out.mkdir(parents=True, exist_ok=True)
        name = rnnspec.load(self.given.spec).name
        (out / f"{name}.py").write_text(rnnspec.codegen(self.given.spec, "torch"))
        self.history.draw(out / "curve.png")
        with progress.whole(out / f"{name}.safetensors") as path:
            save_file(self.model.state_dict(), path)
        with progress.whole(self.checkpoint) as path:
            kept = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}
            torch.save({**kept, "step": self.step, "history": self.history.as_json()}, path)


if __name__ == "__main__":
    main()
