"""onnxruntime-web in Node, in a process of its own that answers line by line."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from rnnspec.slots import Array

FOLDER = Path(__file__).parents[2] / "build" / "onnxruntime-web"
"""The folder in which ``npm install --prefix`` puts onnxruntime-web."""


def installed() -> bool:
    """Return whether there is Node, and onnxruntime-web."""
    return shutil.which("node") is not None and (FOLDER / "node_modules/onnxruntime-web").is_dir()


def version() -> str:
    """Return the version of onnxruntime-web."""
    package = FOLDER / "node_modules/onnxruntime-web/package.json"
    return str(json.loads(package.read_text("utf-8"))["version"])


def ask(**asked: object) -> Any:
    """Send one line to the process, and return its answer.

    Raises:
        RuntimeError: the runtime raised an error.
    """
    process = _process()
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(asked) + "\n")
    process.stdin.flush()
    answer = json.loads(process.stdout.readline())
    if "error" in answer:
        raise RuntimeError(answer["error"])
    return answer


def run(batch: Array) -> Array:
    """Return the output of the file that was opened last."""
    data = base64.b64encode(batch.tobytes()).decode()
    answer = ask(type=batch.dtype.name, shape=batch.shape, data=data)
    found = np.frombuffer(base64.b64decode(answer["data"]), np.float32)
    return found.reshape(answer["shape"])


@cache
def _process() -> subprocess.Popen[str]:
    return subprocess.Popen(
        ["node", Path(__file__).with_name("web.mjs"), FOLDER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
