"""Run a command once per data set; the tool's name is the command, in JSON.

``{"words": ["mytool", "{model}", "{inputs}", "{outputs}"], "format": "onnx"}``
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable


def version() -> str:
    """Return nothing: a command does not say its version."""
    return ""


def load(case: Path, tool: str) -> Callable[[list[np.ndarray]], list[np.ndarray]]:
    """Return a function that runs the command on the data sets in turn."""
    command = json.loads(tool)
    description = json.loads((case / "case.json").read_text("utf-8"))
    model = case / description["models"][command["format"]]
    data_sets = (case / f"test_data_set_{number}" for number in range(description["calls"]))

    def run(arrays: list[np.ndarray]) -> list[np.ndarray]:
        del arrays  # the command reads their files
        with tempfile.TemporaryDirectory() as folder:
            inputs, outputs = Path(folder, "inputs"), Path(folder, "outputs")
            inputs.mkdir()
            outputs.mkdir()
            # Without the outputs beside them.
            for path in next(data_sets).glob("input_*"):
                shutil.copy(path, inputs)
            values = {"{model}": str(model), "{inputs}": str(inputs), "{outputs}": str(outputs)}
            _run([_fill(word, values) for word in command["words"]])
            return _read_outputs(outputs)

    return run


def _fill(word: str, values: dict[str, str]) -> str:
    for placeholder, value in values.items():
        word = word.replace(placeholder, value)
    return word


def _run(words: list[str]) -> None:
    with tempfile.TemporaryFile() as errors:
        code = subprocess.run(words, stderr=errors, check=False).returncode
        errors.seek(0)
        text = errors.read().decode("utf-8", "replace")
    sys.stderr.write(text)
    sys.stderr.flush()
    if code < 0:
        # The command has crashed, so this process does too.
        with contextlib.suppress(OSError):
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    if code:
        last = text.strip().splitlines()[-1:]
        raise RuntimeError(": ".join([f"exit code {code}", *last]))


def _read_outputs(folder: Path) -> list[np.ndarray]:
    outputs: list[np.ndarray] = []
    while (path := folder / f"output_{len(outputs)}.npy").exists() or (
        path := path.with_suffix(".pb")
    ).exists():
        try:
            outputs.append(_read_array(path))
        except Exception as error:
            raise ValueError(f"{path.name} cannot be read: {error}") from error
    if not outputs:
        written = ", ".join(sorted(path.name for path in folder.iterdir())) or "nothing"
        raise ValueError(f"expected output_0.npy or output_0.pb, the command wrote {written}")
    return outputs


def _read_array(path: Path) -> np.ndarray:
    if path.suffix == ".npy":
        array: np.ndarray = np.load(path)
        return array
    import onnx

    return onnx.numpy_helper.to_array(onnx.load_tensor(path))
