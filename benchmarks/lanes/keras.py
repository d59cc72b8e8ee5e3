"""Cases on Keras with any engine, in its own compiled functions, with equal weights."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from benchmarks.handwritten.keras import DEPTH, MODELS, Cells, around
from benchmarks.lanes.steps import prepare_loops, tokens
from benchmarks.networks import LAYERS, OURS, RATE, STOCK, UNITS, XLA, Case
from benchmarks.processes import Prepared
from benchmarks.race import Run


def prepare(case: Case) -> Prepared:
    """Build the contestants of a case, and check that they are the same network."""
    if case.stepped:
        return _prepare_steps(case)
    if case.network in LAYERS:
        return _prepare_layers(case)
    # Otherwise the graphs of earlier cases stay in memory.
    keras.utils.clear_session()
    ours = case.build("keras")
    theirs = {name: make(padded=case.padded) for name, make in MODELS[case.network].items()}
    models = {OURS: ours, **theirs, **({XLA: case.build("keras")} if case.compiled else {})}
    batch, labels = case.draw()
    runs: dict[str, Run] = {}
    outputs: list[Any] = []
    for name, model in models.items():
        # Without momentum, so that the optimizer costs as little as possible.
        optimizer = keras.optimizers.SGD(RATE)
        model.compile(optimizer, "binary_crossentropy", jit_compile=name == XLA or "auto")
        model.set_weights(ours.get_weights())
        outputs.append(model.predict_on_batch(batch))
        # The order of summation differs in XLA and in a single loop over stacked cells.
        np.testing.assert_allclose(outputs[-1], outputs[0], rtol=1e-3, atol=1e-5)
        runs[name] = _run(case, model, batch, labels)
    return Prepared(runs, np.asarray(outputs[0]).ravel().tolist())


def _run(case: Case, model: keras.Model, batch: Any, labels: Any) -> Run:
    """Return a training step, or an inference pass, on one batch."""
    # Compiled by the warm-up round of the race.
    if case.training:
        return lambda: model.train_on_batch(batch, labels)
    return lambda: model.predict_on_batch(batch)


def _use_one_thread() -> None:
    """Let TensorFlow use one thread; this must come before it computes anything."""
    from tensorflow.config import threading

    if threading.get_intra_op_parallelism_threads() != 1:
        threading.set_intra_op_parallelism_threads(1)
        threading.set_inter_op_parallelism_threads(1)


def _prepare_layers(case: Case) -> Prepared:
    """Build a network with layers around the recurrent ones, and the same in stock layers."""
    _use_one_thread()
    keras.utils.clear_session()
    ours, theirs = case.build("keras"), around(case.network, padded=case.padded)
    # The kernel of an output with a tied one is empty.
    theirs.set_weights([array for array in ours.get_weights() if array.size])
    batch, _ = case.draw()
    models = {OURS: ours, STOCK: theirs}
    # First as in inference: a pass in training changes moving arrays.
    for training in (False, True) if case.training else (False,):
        tensors = (keras.tree.flatten(m(batch, training=training)) for m in models.values())
        outputs = ([keras.ops.convert_to_numpy(x) for x in tensor] for tensor in tensors)
        for mine, other in zip(*outputs, strict=True):
            # The output of a padded step is up to each.
            real = batch != 0 if len(mine.shape) > 2 else ...
            np.testing.assert_allclose(mine[real], other[real], rtol=1e-3, atol=1e-4)
    runs = {}
    for name, model in models.items():
        model.compile(keras.optimizers.SGD(RATE), "mse")
        labels = keras.tree.map_structure(np.zeros_like, model.predict_on_batch(batch))
        runs[name] = _run(case, model, batch, labels)
    return Prepared(runs, [])


def _prepare_steps(case: Case) -> Prepared:
    """Build the step form, and a loop of ``LSTMCell`` in a model of its own."""
    _use_one_thread()
    ours, cells = case.build("keras"), Cells()
    chunks, singles = tokens(case, np.asarray)
    zeros = np.zeros((case.batch, UNITS), np.float32)
    cell_states = [[zeros, zeros] for _ in range(DEPTH)]
    cells.predict_on_batch((singles[0], cell_states))
    cells.set_weights(ours.get_weights())
    states = {tensor.name: zeros for tensor in ours.inputs if tensor.name != "inputs"}

    def step(chunk: Any, states: Mapping[str, Any]) -> tuple[Any, Mapping[str, Any]]:
        after = ours.predict_on_batch({"inputs": chunk, **states})
        return after.pop("output"), after

    def step_cells(chunk: Any, states: Any) -> Any:
        return cells.predict_on_batch((chunk, states))

    return prepare_loops(
        {OURS: (step, chunks, states), "loop of LSTMCell": (step_cells, singles, cell_states)}
    )
