"""onnxruntime-web runs the case's ONNX file in Node.js, as WebAssembly.

``npm install --prefix FOLDER onnxruntime-web``, and set NODE_PATH to ``FOLDER/node_modules``.
"""

from __future__ import annotations

import base64
import json
import subprocess
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable


def version() -> str:
    """Return the name and version of the tool."""
    return f"onnxruntime-web {_node()[1]}"


def load(case: Path, tool: str) -> Callable[[list[np.ndarray]], list[np.ndarray]]:
    """Open the model of a case."""
    del tool
    _ask({"file": str(case / "model.onnx")})

    def run(inputs: list[np.ndarray]) -> list[np.ndarray]:
        reply = _ask(
            [
                {
                    "type": array.dtype.name,
                    "shape": array.shape,
                    "data": base64.b64encode(array.tobytes()).decode(),
                }
                for array in inputs
            ]
        )
        return [
            np.frombuffer(base64.b64decode(output["data"]), output["type"]).reshape(output["shape"])
            for output in reply["outputs"]
        ]

    return run


@cache
def _node() -> tuple[subprocess.Popen[str], str]:
    """Return the process of Node.js, and the version of onnxruntime-web."""
    process = subprocess.Popen(
        ["node", Path(__file__).with_suffix(".mjs")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise ImportError("node cannot import onnxruntime-web from a folder of NODE_PATH")
    return process, json.loads(line)["version"]


def _ask(request: object) -> Any:
    """Send one line to the process, and return its reply.

    Raises:
        RuntimeError: the runtime raised an error, or the process has died.
    """
    process, _ = _node()
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(request) + "\n")
    process.stdin.flush()
    reply = json.loads(process.stdout.readline() or '{"error": "node has died"}')
    if "error" in reply:
        raise RuntimeError(reply["error"])
    return reply
