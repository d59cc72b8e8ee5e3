"""torch.onnx.export cuts an nn.RNN at the steps of the example, with Dim.AUTO only."""

import onnxruntime
import torch
from torch.export import Dim


class Network(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = torch.nn.RNN(1, 1, batch_first=True)

    def forward(self, x):
        return self.rnn(x)[0]


network = Network().eval()
for steps in (Dim.AUTO, Dim("steps"), Dim.DYNAMIC):
    print("expected", 9, "steps")
    try:
        torch.onnx.export(
            network, (torch.ones(2, 4, 1),), "rnn.onnx", dynamo=True, dynamic_shapes=({1: steps},)
        )
        session = onnxruntime.InferenceSession("rnn.onnx")
        (output,) = session.run(None, {session.get_inputs()[0].name: torch.ones(2, 9, 1).numpy()})
        print("received", output.shape[1], "steps with", steps)
    except Exception as error:  # noqa: BLE001 - of PyTorch, or of ONNX Runtime
        print("received", type(error).__name__, "with", steps)
