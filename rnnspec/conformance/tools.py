"""The tools that the suite runs, as data; how each is called is in its adapter."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool; several may share an adapter, which is told the name."""

    name: str
    title: str
    group: str
    """The heading of the table that it belongs to; see GROUPS."""
    adapter: str
    """The name of a module in ``adapters``, without ``.py``."""
    format: str
    """The model of a case that it takes: a key of ``models`` in ``case.json``."""
    packages: tuple[str, ...]
    """What ``pip install`` takes to have it, or a command if that is no pip package."""
    environment: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Environment variables of its process."""


GROUPS = {
    "onnx": "ONNX runtimes",
    "export": "Exporters to ONNX",
    "keras": "Keras engines and converters",
    "torch": "PyTorch compilers",
    "other": "Others",
}
"""The tables of the page, with their headings."""

_ALL = (
    Tool("onnxruntime", "ONNX Runtime", "onnx", "onnxruntime", "onnx", ("onnxruntime",)),
    Tool(
        "torch-onnx-dynamo",
        "torch.onnx, dynamo=True",
        "export",
        "torch_onnx",
        "torch",
        ("torch", "safetensors", "onnxruntime", "onnxscript"),
    ),
    Tool(
        "torch-onnx-legacy",
        "torch.onnx, dynamo=False",
        "export",
        "torch_onnx",
        "torch",
        ("torch", "safetensors", "onnxruntime", "onnx"),
    ),
    Tool(
        "tf2onnx",
        "tf2onnx",
        "export",
        "tf2onnx",
        "keras",
        ("tf2onnx", "keras", "tensorflow", "onnxruntime"),
        {"KERAS_BACKEND": "tensorflow"},
    ),
    Tool(
        "keras-onnx-tensorflow",
        "Keras on TensorFlow, export to ONNX",
        "export",
        "keras_exports",
        "keras",
        ("keras", "tensorflow", "tf2onnx", "onnxruntime"),
        {"KERAS_BACKEND": "tensorflow"},
    ),
    Tool(
        "keras-onnx-torch",
        "Keras on PyTorch, export to ONNX",
        "export",
        "keras_exports",
        "keras",
        ("keras", "torch", "onnxscript", "onnxruntime"),
        {"KERAS_BACKEND": "torch"},
    ),
    Tool(
        "keras-onnx-jax",
        "Keras on JAX, export to ONNX",
        "export",
        "keras_exports",
        "keras",
        ("keras", "jax", "jax2onnx", "onnxruntime"),
        {"KERAS_BACKEND": "jax"},
    ),
    Tool(
        "jax2onnx",
        "jax2onnx",
        "export",
        "jax2onnx",
        "jax",
        ("jax2onnx", "flax", "safetensors", "onnxruntime"),
    ),
    Tool(
        "keras-tensorflow",
        "Keras on TensorFlow",
        "keras",
        "keras_engines",
        "keras",
        ("keras", "tensorflow"),
        {"KERAS_BACKEND": "tensorflow"},
    ),
    Tool(
        "keras-jax",
        "Keras on JAX",
        "keras",
        "keras_engines",
        "keras",
        ("keras", "jax"),
        {"KERAS_BACKEND": "jax"},
    ),
    Tool(
        "keras-torch",
        "Keras on PyTorch",
        "keras",
        "keras_engines",
        "keras",
        ("keras", "torch"),
        {"KERAS_BACKEND": "torch"},
    ),
    Tool(
        "keras-saved-model",
        "Keras to SavedModel",
        "keras",
        "keras_exports",
        "keras",
        ("keras", "tensorflow"),
        {"KERAS_BACKEND": "tensorflow"},
    ),
    Tool(
        "keras-saved-model-jax",
        "Keras on JAX to SavedModel",
        "keras",
        "keras_exports",
        "keras",
        ("keras", "jax", "tensorflow"),
        {"KERAS_BACKEND": "jax"},
    ),
    Tool(
        "keras-openvino",
        "Keras to OpenVINO",
        "keras",
        "keras_exports",
        "keras",
        ("keras", "tensorflow", "openvino"),
        {"KERAS_BACKEND": "tensorflow"},
    ),
    Tool(
        "keras-litert",
        "Keras to LiteRT",
        "keras",
        "keras_exports",
        "keras",
        ("keras", "tensorflow", "ai-edge-litert"),
        {"KERAS_BACKEND": "tensorflow"},
    ),
    Tool(
        "keras-litert-fixed",
        "Keras to LiteRT, sizes fixed",
        "keras",
        "keras_exports",
        "keras",
        ("keras", "tensorflow", "ai-edge-litert"),
        {"KERAS_BACKEND": "tensorflow"},
    ),
    Tool(
        "keras-litert-torch",
        "Keras on PyTorch to LiteRT",
        "keras",
        "keras_exports",
        "keras",
        ("keras", "torch", "litert-torch"),
        {"KERAS_BACKEND": "torch"},
    ),
    Tool("torch", "PyTorch", "torch", "torch_programs", "torch", ("torch", "safetensors")),
    Tool(
        "torch-compile",
        "torch.compile",
        "torch",
        "torch_programs",
        "torch",
        ("torch", "safetensors"),
    ),
    Tool(
        "torch-compile-aot-eager",
        "torch.compile, aot_eager",
        "torch",
        "torch_programs",
        "torch",
        ("torch", "safetensors"),
    ),
    Tool(
        "torch-export", "torch.export", "torch", "torch_programs", "torch", ("torch", "safetensors")
    ),
    Tool(
        "torch-aot-inductor",
        "AOTInductor",
        "torch",
        "torch_programs",
        "torch",
        ("torch", "safetensors"),
    ),
    Tool(
        "torchscript-trace",
        "torch.jit.trace",
        "torch",
        "torch_programs",
        "torch",
        ("torch", "safetensors"),
    ),
    Tool(
        "torchscript-script",
        "torch.jit.script",
        "torch",
        "torch_programs",
        "torch",
        ("torch", "safetensors"),
    ),
    Tool("executorch", "ExecuTorch", "torch", "executorch", "torch", ("executorch", "safetensors")),
    Tool(
        "executorch-fixed",
        "ExecuTorch, sizes fixed",
        "torch",
        "executorch",
        "torch",
        ("executorch", "safetensors"),
    ),
    Tool(
        "litert-torch",
        "litert-torch",
        "torch",
        "litert_torch",
        "torch",
        ("litert-torch", "safetensors"),
    ),
    Tool(
        "litert-torch-fixed",
        "litert-torch, sizes fixed",
        "torch",
        "litert_torch",
        "torch",
        ("litert-torch", "safetensors"),
    ),
    Tool(
        "openvino-torch",
        "OpenVINO from PyTorch",
        "torch",
        "openvino_torch",
        "torch",
        ("openvino", "torch", "safetensors"),
    ),
    Tool("jax", "JAX", "other", "jax_programs", "jax", ("jax", "flax", "safetensors")),
    Tool(
        "jax-export", "jax.export", "other", "jax_programs", "jax", ("jax", "flax", "safetensors")
    ),
)

TOOLS = {tool.name: tool for tool in _ALL}
"""The tools by name, in the order of the page."""
