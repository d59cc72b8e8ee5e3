"""torch.jit.script compiles nn.LSTM, and not a class that inherits from it."""

import torch
from torch import nn


class Subclass(nn.LSTM):
    pass


class Network(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        output, _ = self.layer(x)
        return output


for kind in (nn.LSTM, Subclass):
    network, x = Network(kind(3, 2)).eval(), torch.ones(2, 1, 3)
    print("expected", network(x).flatten().tolist())
    try:
        print("received", torch.jit.script(network)(x).flatten().tolist())
    except RuntimeError as error:
        print("received", "RuntimeError:", str(error).strip().splitlines()[0])
