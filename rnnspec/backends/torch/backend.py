"""The record of the PyTorch backend."""

from __future__ import annotations

from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from rnnspec.backends.contract import (
        Emitter,
        OptimizingRuntime,
        SavingRuntime,
        Slots,
        SteppingRuntime,
    )
    from rnnspec.backends.kept import Reader
    from rnnspec.backends.torch import emit, read, runtime, slots

    _emit: Emitter = emit
    _slots: Slots = slots
    _optimizing: OptimizingRuntime = runtime
    _saving: SavingRuntime = runtime
    _stepping: SteppingRuntime = runtime
    _reader: Reader = read
