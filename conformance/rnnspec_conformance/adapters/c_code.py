"""Compile a function that a generator wrote in C, and call it."""

from __future__ import annotations

import ctypes
import re
import subprocess
import tempfile
from pathlib import Path

import numpy as np

_TYPES = {"float": "float32", "int64_t": "int64", "int32_t": "int32", "bool": "bool"}
_PARAMETER = re.compile(r"(const )?(\w+) (\w+)((?:\[[^\]]+\])*)")


def call_function(source: str, name: str, inputs: list[np.ndarray]) -> list[np.ndarray]:
    """Call ``void NAME(int size, const float input[3][size], float output[3])`` of a source.

    The values of the integers are those that the shapes of the inputs give them.
    """
    signature = re.search(rf"^void {name}\(([^)]*)\)", source, re.MULTILINE)
    assert signature is not None
    remaining, sizes = iter(inputs), dict[str, int]()
    arrays: list[np.ndarray | str] = []
    outputs: list[np.ndarray] = []
    for constant, kind, parameter, brackets in _PARAMETER.findall(signature[1]):
        dims = re.findall(r"\[(?:restrict )?([^\]]+)\]", brackets)
        if not dims:
            arrays.append(parameter)
            continue
        array: np.ndarray
        if constant:
            array = np.ascontiguousarray(next(remaining), _TYPES[kind])
            sizes |= dict(zip(dims, array.shape, strict=True))
        else:
            array = np.zeros([int(sizes.get(dim, dim)) for dim in dims], _TYPES[kind])
            outputs.append(array)
        arrays.append(array)
    function = getattr(_compile(source), name)
    function(
        *(
            ctypes.c_int(sizes[value])
            if isinstance(value, str)
            else value.ctypes.data_as(ctypes.c_void_p)
            for value in arrays
        )
    )
    return outputs


def _compile(source: str) -> ctypes.CDLL:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "model.c").write_text(source, "utf-8")
        done = subprocess.run(
            ["cc", "-O1", "-w", "-shared", "-fPIC", "-o", "model.so", "model.c", "-lm"],
            check=False,
            capture_output=True,
            text=True,
            cwd=folder,
        )
        if done.returncode:
            raise RuntimeError(f"cc: {done.stderr.strip()}")
        return ctypes.CDLL(str(Path(folder, "model.so")))
