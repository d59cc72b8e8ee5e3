"""ExecuTorch has no kernel of a sort, with ExecuTorch 1.5.1."""

import torch
from executorch.exir import to_edge_transform_and_lower
from executorch.runtime import Runtime
from torch import nn


class Order(nn.Module):
    def forward(self, x):
        return torch.argsort(x, dim=1)


program = torch.export.export(Order().eval(), (torch.tensor([[3.0, 1.0, 2.0]]),))
buffer = to_edge_transform_and_lower(program).to_executorch().buffer
loaded = Runtime.get().load_program(buffer)
print("expected a method")
try:
    loaded.load_method("forward")
    print("received one")
except RuntimeError as error:
    print("received", error)
