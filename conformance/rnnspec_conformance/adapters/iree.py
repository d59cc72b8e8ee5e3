"""IREE compiles the case's ONNX file for the CPU, with open sizes or with those of each call."""

from __future__ import annotations

import re
import tempfile
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import iree.compiler.tools
import iree.runtime
from iree.compiler.tools.import_onnx import __main__ as importer

from .onnx_files import save_with_sizes

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np


def version() -> str:
    """Return the name and version of the tool."""
    return f"IREE {metadata.version('iree-base-compiler')}"


def load(case: Path, tool: str) -> Callable[[list[np.ndarray]], list[np.ndarray]]:
    """Compile the model of a case, or, with sizes of their own, once a call."""
    if tool == "iree":
        return partial(_call, _compile(case / "model.onnx"))

    def run(inputs: list[np.ndarray]) -> list[np.ndarray]:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "model.onnx")
            save_with_sizes(case / "model.onnx", inputs, path)
            return _call(_compile(path), inputs)

    return run


def _compile(path: Path) -> Callable[..., Any]:
    with tempfile.TemporaryDirectory() as folder:
        imported = Path(folder, "model.mlir")
        importer.main(importer.parse_arguments([str(path), "-o", str(imported)]))
        try:
            binary = iree.compiler.tools.compile_file(
                str(imported),
                input_type="onnx",
                target_backends=["llvm-cpu"],
                extra_args=["--iree-llvmcpu-target-cpu=generic"],
            )
        except iree.compiler.tools.CompilerToolError as error:
            # The rest is the command line and the code, with names of temporary files.
            problem = re.search("error: (.*)", str(error))
            raise RuntimeError(problem[1] if problem else str(error)) from error
    config = iree.runtime.Config("local-task")
    module = iree.runtime.load_vm_module(
        iree.runtime.VmModule.copy_buffer(config.vm_instance, binary), config
    )
    # An ONNX file's graph becomes a function of its name, and one that does not wait.
    names = module.vm_module.function_names
    name = next(name for name in names if f"{name}$async" in names)
    return getattr(module, name)  # type: ignore[no-any-return]


def _call(function: Callable[..., Any], inputs: list[np.ndarray]) -> list[np.ndarray]:
    result = function(*inputs)
    outputs = result if isinstance(result, (tuple, list)) else [result]
    return [output.to_host() for output in outputs]
