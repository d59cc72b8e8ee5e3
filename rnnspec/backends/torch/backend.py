"""The record of the PyTorch backend."""

from rnnspec.backends.base import Backend

TORCH = Backend(
    name="torch",
    title="PyTorch",
    package="rnnspec.backends.torch",
    distribution="torch",
    minimum=(2, 6),
    extra="torch",
    forms=("training", "inference", "step"),
    files=("{name}.py", "{name}.safetensors"),
    loading=(
        "import sys",
        "from safetensors.torch import load_file",
        "sys.path.append({folder!r})",
        "from {name} import {entry}",
        "model = {entry}()",
        "model.load_state_dict(load_file({path!r}))",
    ),
    optimizers="torch.optim",
)
