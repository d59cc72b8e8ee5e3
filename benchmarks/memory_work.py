"""``python -m benchmarks.memory_work WHAT [FOLDER]``: run one task, print its time and peak.

The peak is that of the process in megabytes, including imports, so each task imports only what it
needs.
"""

import json
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.race import seconds

SPEC = "specs/stacked_lstm.yaml"
_KIB = 1024 / 1e6


def _torch_built() -> Any:
    import rnnspec

    return rnnspec.build(SPEC, "torch")


def _torch_by_hand() -> Any:
    from benchmarks.handwritten.torch import NETS, BatchFirst

    return BatchFirst(NETS["stacked_lstm"])


def _torch_step(model: Any) -> None:
    import torch
    from torch.nn import functional

    from benchmarks import batch

    optimizer = torch.optim.SGD(model.parameters(), lr=batch.RATE)
    tokens, labels = map(torch.from_numpy, batch.draw(32))
    # The output of the network by hand is logits already.
    by_hand = type(model).__module__.startswith("benchmarks.")
    found = model(tokens) if by_hand else model(tokens, logits=True)
    torch.autograd.backward(functional.binary_cross_entropy_with_logits(found, labels))
    optimizer.step()


def _keras_built() -> Any:
    import rnnspec

    return rnnspec.build(SPEC, "keras")


def _keras_by_hand() -> Any:
    from benchmarks.handwritten.keras import stacked_lstm

    return stacked_lstm(padded=False)


def _keras_step(model: Any) -> None:
    from benchmarks import batch

    model.compile("sgd", "binary_crossentropy")
    model.train_on_batch(*batch.draw(32))


def _vectors(folder: Path) -> object:
    """Read the vectors of a spec, as ``rnnspec.build`` does."""
    from rnnspec import building, pipeline

    # Without the model, which would need a framework and hide the peak of reading.
    return building.pretrained(pipeline.read(folder / "spec.yaml"))


def _whole_file(folder: Path) -> object:
    """Read every vector into a dictionary, then pick those of the words: the usual way."""
    import numpy as np

    vectors = {}
    with (folder / "vectors.txt").open(encoding="utf-8") as lines:
        for line in lines:
            word, *numbers = line.rstrip().split(" ")
            vectors[word] = np.asarray(numbers, dtype="float32")
    words = (folder / "words.txt").read_text("utf-8").splitlines()
    return np.stack([vectors[word] for word in words])


def _wanted_lines(folder: Path) -> object:
    """Read line by line and keep only the vectors of the words: the careful way."""
    import numpy as np

    words = (folder / "words.txt").read_text("utf-8").splitlines()
    rows, found = {word: row for row, word in enumerate(words)}, {}
    with (folder / "vectors.txt").open(encoding="utf-8") as lines:
        for line in lines:
            word, _, numbers = line.partition(" ")
            if word in rows:
                found[word] = np.array(numbers.split(), dtype="float32")
    return np.stack([found[word] for word in words])


WORK: dict[str, Callable[..., object]] = {
    "torch-build": _torch_built,
    "torch-build-by-hand": _torch_by_hand,
    "torch-step": lambda: _torch_step(_torch_built()),
    "torch-step-by-hand": lambda: _torch_step(_torch_by_hand()),
    "keras-build": _keras_built,
    "keras-build-by-hand": _keras_by_hand,
    "keras-step": lambda: _keras_step(_keras_built()),
    "keras-step-by-hand": lambda: _keras_step(_keras_by_hand()),
    "vectors": _vectors,
    "vectors-whole": _whole_file,
    "vectors-wanted": _wanted_lines,
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


if __name__ == "__main__":
    work, given = WORK[sys.argv[1]], map(Path, sys.argv[2:])
    taken = seconds(lambda: work(*given))
    print(json.dumps({"seconds": taken, "megabytes": peak()}))
