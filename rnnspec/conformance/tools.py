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

_SHORT = MappingProxyType({"RUST_BACKTRACE": "0"})
"""No stack after a message of Rust."""
_IREE = ("iree-base-compiler[onnx]", "iree-base-runtime")

_ALL = (
    Tool("onnxruntime", "ONNX Runtime", "onnx", "onnxruntime", "onnx", ("onnxruntime",)),
    Tool(
        "onnxruntime-web",
        "onnxruntime-web in Node.js",
        "onnx",
        "onnxruntime_web",
        "onnx",
        ("(npm) onnxruntime-web",),
    ),
    Tool("onnx-reference", "onnx.reference", "onnx", "onnx_reference", "onnx", ("onnx",)),
    Tool("openvino", "OpenVINO", "onnx", "openvino", "onnx", ("openvino",)),
    Tool("openvino-fixed", "OpenVINO, fixed sizes", "onnx", "openvino", "onnx", ("openvino",)),
    Tool("tract", "tract", "onnx", "tract", "onnx", ("tract",), _SHORT),
    Tool("tract-fixed", "tract, fixed sizes", "onnx", "tract", "onnx", ("tract",), _SHORT),
    Tool("iree", "IREE", "onnx", "iree", "onnx", _IREE),
    Tool("iree-fixed", "IREE, fixed sizes", "onnx", "iree", "onnx", _IREE),
    Tool("mnn", "MNN", "onnx", "mnn", "onnx", ("MNN", "onnx")),
    Tool("mnn-operators", "MNN, --useOriginRNNImpl", "onnx", "mnn", "onnx", ("MNN", "onnx")),
    Tool("opencv", "OpenCV", "onnx", "opencv", "onnx", ("opencv-python-headless>=5", "onnx")),
    Tool("emx-onnx-cgen", "emx-onnx-cgen", "onnx", "emx_onnx_cgen", "onnx", ("emx-onnx-cgen",)),
    Tool(
        "emx-onnx-cgen-fixed",
        "emx-onnx-cgen, fixed sizes",
        "onnx",
        "emx_onnx_cgen",
        "onnx",
        ("emx-onnx-cgen",),
    ),
    Tool(
        "onnx2c", "onnx2c, fixed sizes", "onnx", "onnx2c", "onnx", ("onnx",)
    ),  # built from https://github.com/kraiskil/onnx2c
)

TOOLS = {tool.name: tool for tool in _ALL}
"""The tools by name, in the order of the page."""
