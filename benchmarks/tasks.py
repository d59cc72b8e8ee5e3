"""``python -m benchmarks.tasks TASK [PATH ...]``: run one task in its own process.

A task of memory prints its seconds and the peak of the process in megabytes, including imports, so
each imports only what it needs. A task of growth prints the median seconds and the peak of
allocated bytes. The clock starts after imports and everything else that is loaded once.
"""

import json
import os
import resource
import sys
import tracemalloc
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.race import Run, seconds

SPEC = "specs/stacked_lstm.yaml"
_KIB = 1024 / 1e6
# Runs of growth are repeated up to this many seconds or this often.
_ENOUGH, _MOST = 0.3, 5


def build(backend: str) -> Any:
    """Build the model of rnnspec."""
    import rnnspec

    return rnnspec.build(SPEC, backend)


def torch_by_hand() -> Any:
    """Build the handwritten model in PyTorch."""
    from benchmarks.handwritten.torch import NETS, BatchFirst

    return BatchFirst(NETS["stacked_lstm"])


def keras_by_hand() -> Any:
    """Build the handwritten model in Keras."""
    from benchmarks.handwritten.keras import stacked_lstm

    return stacked_lstm(padded=False)


def torch_step(model: Any) -> None:
    """Train a model for one step."""
    import torch
    from torch.nn import functional

    from benchmarks.networks import RATE, Case

    optimizer = torch.optim.SGD(model.parameters(), lr=RATE)
    tokens, labels = map(torch.from_numpy, Case("stacked_lstm").draw())
    # The output of the network by hand is logits already.
    by_hand = type(model).__module__.startswith("benchmarks.")
    output = model(tokens) if by_hand else model(tokens, logits=True)
    torch.autograd.backward(functional.binary_cross_entropy_with_logits(output, labels))
    optimizer.step()


def keras_step(model: Any) -> None:
    """Train a model for one step."""
    from benchmarks.networks import Case

    model.compile("sgd", "binary_crossentropy")
    model.train_on_batch(*Case("stacked_lstm").draw())


def vectors(folder: Path) -> object:
    """Read the vectors of a spec, as ``rnnspec.build`` does."""
    from rnnspec import pipeline
    from rnnspec.models import building

    # Without the model, which would need a framework and hide the peak of reading.
    return building.pretrained_vectors(pipeline.read(folder / "spec.yaml"))


def vectors_whole(folder: Path) -> object:
    """Read every vector into a dictionary, then pick those of the words: the usual way."""
    import numpy as np

    vectors = {}
    with (folder / "vectors.txt").open(encoding="utf-8") as lines:
        for line in lines:
            word, *numbers = line.rstrip().split(" ")
            vectors[word] = np.asarray(numbers, dtype="float32")
    words = (folder / "words.txt").read_text("utf-8").splitlines()
    return np.stack([vectors[word] for word in words])


def vectors_needed(folder: Path) -> object:
    """Read line by line and keep only the vectors of the words: the careful way."""
    import numpy as np

    words = (folder / "words.txt").read_text("utf-8").splitlines()
    needed, vectors = set(words), {}
    with (folder / "vectors.txt").open(encoding="utf-8") as lines:
        for line in lines:
            word, _, numbers = line.partition(" ")
            if word in needed:
                vectors[word] = np.array(numbers.split(), dtype="float32")
    return np.stack([vectors[word] for word in words])


def import_file(path: Path) -> object:
    """Import a trained model."""
    from rnnspec.importing.run import take

    return take(path)


MEMORY: dict[str, Callable[..., object]] = {
    "torch-build": partial(build, "torch"),
    "torch-build-by-hand": torch_by_hand,
    "torch-step": lambda: torch_step(build("torch")),
    "torch-step-by-hand": lambda: torch_step(torch_by_hand()),
    "keras-build": partial(build, "keras"),
    "keras-build-by-hand": keras_by_hand,
    "keras-step": lambda: keras_step(build("keras")),
    "keras-step-by-hand": lambda: keras_step(keras_by_hand()),
    "vectors": vectors,
    "vectors-whole": vectors_whole,
    "vectors-needed": vectors_needed,
    "import": import_file,
}


def peak() -> float:
    """Return the peak memory of this process, in megabytes.

    ``ru_maxrss`` may be the peak of the process that started this one, so on Linux ``VmHWM`` is
    preferred.
    """
    status = Path("/proc/self/status")
    lines = status.read_text("utf-8").splitlines() if status.exists() else []
    for line in lines:
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * _KIB
    # Bytes on macOS, kibibytes elsewhere.
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / 1e6 if sys.platform == "darwin" else most * _KIB


def generate(path: Path) -> Run:
    """Return the generation of PyTorch source."""
    import rnnspec

    text = path.read_text("utf-8")
    return lambda: rnnspec.codegen(rnnspec.loads(text), "torch")


def validate(path: Path) -> Run:
    """Return the validation of a folder of specs."""
    from rnnspec.cli.inputs import check, find_inputs
    from rnnspec.cli.report import print_report

    return lambda: print_report([*map(check, find_inputs([str(path)]))], "concise", "validate")


GROWTH: dict[str, Callable[[Path], Run]] = {"growth-layers": generate, "growth-specs": validate}


def measure_growth(task: str, path: Path, first: Path) -> tuple[float, float]:
    """Return the median seconds and the peak bytes; ``first`` is small, to trigger lazy imports."""
    # The first call imports modules and compiles patterns and templates, whatever the size.
    GROWTH[task](first)()
    run = GROWTH[task](path)
    times = [seconds(run)]
    while sum(times) < _ENOUGH and len(times) < _MOST:
        times.append(seconds(run))
    # In a run of its own, because tracing takes time.
    tracemalloc.start()
    try:
        run()
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    return median(times), float(most)


def export_keras(weights: Path, path: Path, *, padded: bool) -> None:
    """Write a Keras model of the founding stack with canonical arrays, as tf2onnx does."""
    import numpy as np
    import tensorflow as tf
    import tf2onnx

    from benchmarks.handwritten.keras import stacked_lstm
    from benchmarks.networks import STEPS

    model = stacked_lstm(padded=padded)
    with np.load(weights) as arrays:  # canonical arrays have Keras's layout
        model.set_weights([arrays[name] for name in arrays.files])
    signature = [tf.TensorSpec((None, STEPS), tf.int64, name="inputs")]
    run = tf.function(lambda x: model(x, training=False), input_signature=signature)
    tf2onnx.convert.from_function(run, input_signature=signature, opset=18, output_path=path)


def main() -> None:
    """Run the task that the command line names."""
    task, *paths = sys.argv[1], *map(Path, sys.argv[2:])
    if task in MEMORY:
        taken = seconds(lambda: MEMORY[task](*paths))
        print(json.dumps({"seconds": taken, "megabytes": peak()}))
    elif task in GROWTH:
        # The output of 'validate' must not mix with the JSON, nor count as memory.
        with (
            Path(os.devnull).open("w", encoding="utf-8") as sink,
            redirect_stdout(sink),
            redirect_stderr(sink),
        ):
            point = measure_growth(task, *paths)
        print(json.dumps(point))
    else:
        export_keras(*paths, padded=task == "keras-export-padded")


if __name__ == "__main__":
    main()
