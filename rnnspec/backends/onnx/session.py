"""Sessions of ONNX Runtime."""

from __future__ import annotations

from typing import Any

import onnxruntime

_FATAL = 4
"""The severity from which ONNX Runtime prints: it raises errors as well."""
_MOST_BYTES = 2**29
"""The memory for the values of a model of another tool, beside that for its arrays."""


def open_session(model: bytes) -> Any:
    """Return a session of a model."""
    return _open(model, onnxruntime.SessionOptions())


def open_limited(model: bytes) -> Any:
    """Return a session of a model of another tool, which fails if it needs much memory.

    Its graph is run as it is: optimizing it would compute what no output needs.
    """
    # An array is copied, and packed once more for its operator.
    limits = {"max_mem": _MOST_BYTES + 4 * len(model), "arena_extend_strategy": 1}
    allocator, kind = onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, onnxruntime.OrtMemType
    memory = onnxruntime.OrtMemoryInfo("Cpu", allocator, 0, kind.DEFAULT)
    onnxruntime.create_and_register_allocator(memory, onnxruntime.OrtArenaCfg(limits))
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.add_session_config_entry("session.use_env_allocators", "1")
    return _open(model, options)


def _open(model: bytes, options: Any) -> Any:
    options.log_severity_level = _FATAL
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
