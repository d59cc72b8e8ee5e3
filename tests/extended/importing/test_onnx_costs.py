"""Files and graphs that would cost time or memory are refused in little of both."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli.conftest import _own_folder
from importing.test_onnx_hostile import check_limits, costly_files, costly_models, written
from offered import import_later

__all__ = ["_own_folder"]

import_later("onnxruntime")
pytestmark = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux")


def test_time_and_memory_of_files() -> None:
    check_limits(list(costly_files()))


def test_time_and_memory_of_graphs() -> None:
    check_limits([written(model, f"{name}.onnx") for name, model in costly_models()])
