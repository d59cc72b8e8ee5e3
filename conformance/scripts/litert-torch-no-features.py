"""litert-torch loses the bias of a layer without features."""

import litert_torch
import torch


class Network(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(0, 2)
        self.linear.bias = torch.nn.Parameter(torch.tensor([1.0, 2.0]))

    def forward(self, x):
        return self.linear(x[:, :0])


network, x = Network().eval(), torch.ones(2, 3)
print("expected", network(x).tolist())
print("received", litert_torch.convert(network, (x,))(x).tolist())
