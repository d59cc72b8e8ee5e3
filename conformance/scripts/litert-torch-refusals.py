"""litert-torch has no sort, no Conv1d with padding="same", and no factor of torch.sub."""

import litert_torch
import torch


class Network(torch.nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


functions = {
    "argsort": lambda x: torch.argsort(x.int(), dim=2),
    "sort": lambda x: torch.sort(x, dim=2)[0],
    "Conv1d": torch.nn.Conv1d(3, 3, 3, padding="same"),
    "sub": lambda x: torch.sub(x, x, alpha=2),
}
x = torch.ones(2, 3, 4)
for name, function in functions.items():
    network = Network(function).eval()
    print("expected", network(x).shape, "from", name)
    try:
        print("received", litert_torch.convert(network, (x,))(x).shape)
    except Exception as error:  # noqa: BLE001 - each is another one
        print("received", str(error).splitlines()[0])
