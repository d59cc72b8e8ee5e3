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

_ALL = (Tool("onnxruntime", "ONNX Runtime", "onnx", "onnxruntime", "onnx", ("onnxruntime",)),)

TOOLS = {tool.name: tool for tool in _ALL}
"""The tools by name, in the order of the page."""
