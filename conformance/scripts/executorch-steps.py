"""Lowering a GRU to ExecuTorch takes longer with each step, with ExecuTorch 1.5.1."""

import time

import torch
from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
from executorch.exir import to_edge_transform_and_lower
from torch import nn

for steps in (10, 20, 40):
    start = time.perf_counter()
    program = torch.export.export(nn.GRU(2, 4, batch_first=True).eval(), (torch.ones(2, steps, 2),))
    to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()]).to_executorch()
    print(steps, "steps:", round(time.perf_counter() - start), "seconds")
