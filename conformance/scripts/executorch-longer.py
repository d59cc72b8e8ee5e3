"""ExecuTorch takes a longer sequence than that of the example, and cuts it, with ExecuTorch 1.5.1."""

import torch
from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
from executorch.exir import to_edge_transform_and_lower
from executorch.runtime import Runtime
from torch import nn
from torch.export import Dim

lstm = nn.LSTM(2, 4, batch_first=True).eval()
open_batch = ({0: Dim("batch", max=64)},)
program = torch.export.export(lstm, (torch.ones(2, 3, 2),), dynamic_shapes=open_batch)
lowered = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()])
buffer = lowered.to_executorch().buffer
loaded = Runtime.get().load_program(buffer)
method = loaded.load_method("forward")
for steps in (3, 9):
    print("expected", steps, "steps")
    print("received", method.execute([torch.ones(2, steps, 2)])[0].shape[1], "steps")
