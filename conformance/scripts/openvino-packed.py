"""OpenVINO does not convert a packed sequence of PyTorch."""

import openvino
import torch
from openvino.frontend import OpConversionFailure
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(3, 4, batch_first=True)

    def forward(self, x, lengths):
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        return pad_packed_sequence(self.gru(packed)[0], batch_first=True)[0]


example = torch.ones(2, 5, 3), torch.tensor([5, 3])
print("expected a model")
try:
    openvino.convert_model(Network().eval(), example_input=example)
    print("received one")
except OpConversionFailure as error:
    print("received", error)
