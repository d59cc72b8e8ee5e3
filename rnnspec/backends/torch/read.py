"""Reading of a folder with a state dict, or of one that names no framework."""

from __future__ import annotations

from rnnspec.backends.model_files import folder_reader, framework_of

READER = folder_reader(
    "PyTorch",
    lambda path: any(path.glob("*.safetensors")) and framework_of(path) in ("", "torch"),
)
