"""Generated classes under ``DistributedDataParallel``, which only sees calls of ``forward``."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from offered import import_later

import rnnspec

torch = import_later("torch")

SPEC = """\
version: 1
name: net
embedding: {vocabulary: 9, dim: 4, mask_zero: true}
rnn: {type: lstm, units: 4, bidirectional: true}
head: {units: 1, activation: sigmoid}
"""
# The test calls ``model``; each of two processes trains on half of the batch.
TRAIN = """\
import torch

def train(model, parameters, half=slice(None)):
    draw = torch.Generator().manual_seed(1)
    optimizer = torch.optim.SGD(parameters, lr=0.5)
    for _ in range(5):
        x = torch.randint(9, (8, 6), generator=draw)[half]
        y = torch.randint(2, (8, 1), generator=draw).double()[half]
        optimizer.zero_grad()
        loss = torch.nn.functional.binary_cross_entropy_with_logits(model(x, logits=True), y)
        loss.backward()
        optimizer.step()
"""
PROCESS = """\
import sys
import torch
from net import Net
from train import train

rank, rendezvous = int(sys.argv[1]), sys.argv[2]
torch.distributed.init_process_group("gloo", rendezvous, rank=rank, world_size=2)
torch.manual_seed(0)
ddp = torch.nn.parallel.DistributedDataParallel(Net().double())
train(ddp, ddp.parameters(), slice(4 * rank, 4 * rank + 4))
torch.save(ddp.module.state_dict(), f"{rank}.pt")
# The other one may still be sending when this one ends.
torch.distributed.barrier()
torch.distributed.destroy_process_group()
"""


def run(folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    # The loopback interface works however the machine resolves its own name.
    network = {"GLOO_SOCKET_IFNAME": "lo"} if sys.platform == "linux" else {}
    environment = {**os.environ, **network, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(folder)}
    return subprocess.Popen(
        [sys.executable, "-c", *arguments], cwd=folder, env=environment, stderr=subprocess.PIPE
    )


def test_replicas_trained_by_their_logits_stay_equal(tmp_path: Path) -> None:
    if not torch.distributed.is_available():
        pytest.skip("PyTorch was built without its distributed package")
    spec = rnnspec.loads(SPEC)
    (tmp_path / "net.py").write_text(rnnspec.codegen(spec, "torch"), "utf-8")
    (tmp_path / "train.py").write_text(TRAIN, "utf-8")
    rendezvous = (tmp_path / "rendezvous").as_uri()
    started = [run(tmp_path, PROCESS, rank, rendezvous) for rank in ("0", "1")]
    try:
        for process in started:
            _, said = process.communicate(timeout=120)
            assert process.returncode == 0, said.decode()
    finally:
        for process in started:
            process.kill()
            process.wait()
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    torch.testing.assert_close(first, second, rtol=0, atol=0)

    torch.manual_seed(0)
    whole = rnnspec.build(spec, "torch").double()
    fresh = {name: array.clone() for name, array in whole.state_dict().items()}
    names: dict[str, Any] = {}
    exec(TRAIN, names)
    names["train"](whole, whole.parameters())
    torch.testing.assert_close(first, dict(whole.state_dict()), rtol=0, atol=1e-12)
    assert all((first[name] - fresh[name]).abs().max() > 1e-3 for name in fresh)
