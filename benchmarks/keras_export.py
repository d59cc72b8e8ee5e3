"""A Keras model of the founding stack as tf2onnx writes it, in a process of its own.

``python -m benchmarks.keras_export WEIGHTS.npz OUTPUT.onnx [padded]``. The arrays are the canonical
ones, which have Keras's layout.
"""

import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.cold import output


def converted(arrays: Mapping[str, Any], *, padded: bool) -> bytes:
    """Return the ONNX file of a Keras model with canonical arrays.

    Raises:
        BenchmarkError: TensorFlow or tf2onnx is missing or fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        weights, path = Path(folder) / "weights.npz", Path(folder) / "theirs.onnx"
        # By number: the order counts, and not the names.
        np.savez(weights, *arrays.values())
        code = "benchmarks.keras_export"
        output(sys.executable, "-m", code, str(weights), str(path), *(["padded"] * padded))
        return path.read_bytes()


def _write(weights: str, path: str, *, padded: bool) -> None:
    import tensorflow as tf
    import tf2onnx

    from benchmarks.handwritten.keras import STEPS, stacked_lstm

    model = stacked_lstm(padded=padded)
    with np.load(weights) as found:
        model.set_weights([found[name] for name in found.files])
    signature = [tf.TensorSpec((None, STEPS), tf.int64, name="inputs")]
    run = tf.function(lambda x: model(x, training=False), input_signature=signature)
    tf2onnx.convert.from_function(run, input_signature=signature, opset=18, output_path=path)


if __name__ == "__main__":
    _write(sys.argv[1], sys.argv[2], padded="padded" in sys.argv[3:])
