"""Sessions of ONNX Runtime."""

from __future__ import annotations

from typing import Any

import onnxruntime

_FATAL = 4
"""The severity from which ONNX Runtime prints: it raises errors as well."""


def open_session(model: str | bytes) -> Any:
    """Return a session of a model, given as the path of a file or as its content."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _FATAL
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
