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
    """The arguments of ``pip install`` for it."""
    install: str = ""
    """How to install what pip cannot."""
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

_NO_STACK = MappingProxyType({"RUST_BACKTRACE": "0"})
"""Rust's messages without a stack."""


def _onnx(
    name: str,
    title: str,
    adapter: str,
    *packages: str,
    install: str = "",
    environment: Mapping[str, str] = MappingProxyType({}),
) -> Tool:
    return Tool(name, title, "onnx", adapter, "onnx", packages, install, environment)


def _torch(name: str, title: str, adapter: str, *packages: str, group: str = "torch") -> Tool:
    return Tool(name, title, group, adapter, "torch", ("torch", "safetensors", *packages))


def _keras(
    name: str, title: str, engine: str, adapter: str, *packages: str, group: str = "keras"
) -> Tool:
    environment = {"KERAS_BACKEND": engine}
    needs = ("keras", engine, *packages)
    return Tool(name, title, group, adapter, "keras", needs, environment=environment)


def _jax(name: str, title: str, adapter: str, *packages: str, group: str = "other") -> Tool:
    return Tool(name, title, group, adapter, "jax", ("jax", "flax", "safetensors", *packages))


_IREE = ("iree-base-compiler[onnx]", "iree-base-runtime")
_OPENCV = ("opencv-python-headless>=5", "onnx")

_ALL = (
    _onnx("onnxruntime", "ONNX Runtime", "onnxruntime", "onnxruntime"),
    _onnx(
        "onnxruntime-web",
        "onnxruntime-web in Node.js",
        "onnxruntime_web",
        install="npm install --prefix FOLDER onnxruntime-web; export NODE_PATH=FOLDER/node_modules",
    ),
    _onnx("onnx-reference", "onnx.reference", "onnx_reference", "onnx"),
    _onnx("openvino", "OpenVINO", "openvino", "openvino"),
    _onnx("openvino-fixed", "OpenVINO, fixed sizes", "openvino", "openvino"),
    _onnx("tract", "tract", "tract", "tract", environment=_NO_STACK),
    _onnx("tract-fixed", "tract, fixed sizes", "tract", "tract", environment=_NO_STACK),
    _onnx("iree", "IREE", "iree", *_IREE),
    _onnx("iree-fixed", "IREE, fixed sizes", "iree", *_IREE),
    _onnx("mnn", "MNN", "mnn", "MNN", "onnx"),
    _onnx("mnn-operators", "MNN, --useOriginRNNImpl", "mnn", "MNN", "onnx"),
    _onnx("opencv", "OpenCV", "opencv", *_OPENCV),
    _onnx("onnx2pytorch", "onnx2pytorch", "onnx2pytorch", "onnx2pytorch"),
    _onnx("onnx2tf", "onnx2tf", "onnx2tf", "onnx2tf"),
    _onnx("onnx2tf-fixed", "onnx2tf, fixed sizes", "onnx2tf", "onnx2tf"),
    _onnx("emx-onnx-cgen", "emx-onnx-cgen", "emx_onnx_cgen", "emx-onnx-cgen"),
    _onnx("emx-onnx-cgen-fixed", "emx-onnx-cgen, fixed sizes", "emx_onnx_cgen", "emx-onnx-cgen"),
    _onnx(
        "onnx2c",
        "onnx2c, fixed sizes",
        "onnx2c",
        "onnx",
        "onnxsim",
        install="build https://github.com/kraiskil/onnx2c, add its folder to PATH; "
        "pip install onnx onnxsim",
    ),
    _torch(
        "torch-onnx-dynamo",
        "torch.onnx, dynamo=True",
        "torch_onnx",
        "onnxscript",
        "onnxruntime",
        group="export",
    ),
    _torch(
        "torch-onnx-legacy",
        "torch.onnx, dynamo=False",
        "torch_onnx",
        "onnx",
        "onnxruntime",
        group="export",
    ),
    _keras("tf2onnx", "tf2onnx", "tensorflow", "tf2onnx", "tf2onnx", "onnxruntime", group="export"),
    _keras(
        "keras-onnx-tensorflow",
        "Keras on TensorFlow to ONNX",
        "tensorflow",
        "keras_exports",
        "tf2onnx",
        "onnxruntime",
        group="export",
    ),
    _keras(
        "keras-onnx-torch",
        "Keras on PyTorch to ONNX",
        "torch",
        "keras_exports",
        "onnxscript",
        "onnxruntime",
        group="export",
    ),
    _keras(
        "keras-onnx-jax",
        "Keras on JAX to ONNX",
        "jax",
        "keras_exports",
        "jax2onnx",
        "onnxruntime",
        group="export",
    ),
    _jax("jax2onnx", "jax2onnx", "jax2onnx", "jax2onnx", "onnxruntime", group="export"),
    _keras("keras-tensorflow", "Keras on TensorFlow", "tensorflow", "keras_engines"),
    _keras("keras-jax", "Keras on JAX", "jax", "keras_engines"),
    _keras("keras-torch", "Keras on PyTorch", "torch", "keras_engines"),
    _keras("keras-saved-model", "Keras to SavedModel", "tensorflow", "keras_exports"),
    _keras(
        "keras-saved-model-jax", "Keras on JAX to SavedModel", "jax", "keras_exports", "tensorflow"
    ),
    _keras("keras-openvino", "Keras to OpenVINO", "tensorflow", "keras_exports", "openvino"),
    _keras("keras-litert", "Keras to LiteRT", "tensorflow", "keras_exports", "ai-edge-litert"),
    _keras(
        "keras-litert-fixed",
        "Keras to LiteRT, fixed sizes",
        "tensorflow",
        "keras_exports",
        "ai-edge-litert",
    ),
    _keras(
        "keras-litert-torch",
        "Keras on PyTorch to LiteRT, fixed sizes",
        "torch",
        "keras_exports",
        "litert-torch",
    ),
    _torch("torch", "PyTorch", "torch_programs"),
    _torch("torch-compile", "torch.compile", "torch_programs"),
    _torch("torch-compile-aot-eager", "torch.compile, aot_eager", "torch_programs"),
    _torch("torch-export", "torch.export", "torch_programs"),
    _torch("torch-aot-inductor", "AOTInductor", "torch_programs"),
    _torch("torchscript-trace", "torch.jit.trace", "torch_programs"),
    _torch("torchscript-script", "torch.jit.script", "torch_programs"),
    _torch("executorch", "ExecuTorch", "executorch", "executorch"),
    _torch("executorch-fixed", "ExecuTorch, fixed sizes", "executorch", "executorch"),
    _torch("litert-torch-fixed", "litert-torch, fixed sizes", "litert_torch", "litert-torch"),
    _torch("openvino-torch", "PyTorch to OpenVINO", "openvino_torch", "openvino"),
    _jax("jax", "JAX", "jax_programs"),
    _jax("jax-export", "jax.export", "jax_programs"),
)

TOOLS = {tool.name: tool for tool in _ALL}
"""The tools by name, in the order of the page."""
