"""ExecuTorch refuses other sizes than those of the example, with ExecuTorch 1.5.1."""

import torch
from executorch.exir import to_edge_transform_and_lower
from executorch.runtime import Runtime
from torch import nn

gru = nn.GRU(2, 4, batch_first=True).eval()
program = torch.export.export(gru, (torch.ones(2, 3, 2),))
buffer = to_edge_transform_and_lower(program).to_executorch().buffer
loaded = Runtime.get().load_program(buffer)
method = loaded.load_method("forward")
for size in ((2, 3, 2), (1, 3, 2), (2, 4, 2)):
    try:
        print(size, "received", method.execute([torch.ones(size)])[0].shape)
    except RuntimeError as error:
        print(size, "received", error)
