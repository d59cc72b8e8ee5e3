"""Cells by equation beside what a person would write by hand: ``python -m benchmarks.cells``.

Prints a Markdown table for the backends in the arguments, by default all: a ratio is the median of
rounds in which the two take turns, on one thread. Before they run, both return the same outputs.
"""

from __future__ import annotations

import os
import sys
import time
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

import rnnspec
from benchmarks.race import Effort, Ratio, Run, race, ratios
from benchmarks.report import table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rnnspec.backends.slots import Array

UNITS, FEATURES, STEPS = 64, 32, 100
EFFORT = Effort(4, 20, 400)
CELLS = {
    "peephole_lstm": """\
    states: [h, c]
    equations:
      i: sigmoid(W_i @ x + U_i @ h + p_i * c + b_i)
      f: sigmoid(W_f @ x + U_f @ h + p_f * c + b_f)
      g: tanh(W_g @ x + U_g @ h + b_g)
      c: f * c + i * g
      o: sigmoid(W_o @ x + U_o @ h + p_o * c + b_o)
      h: o * tanh(c)
""",
    "mgu": """\
    states: [h]
    equations:
      f: sigmoid(W_f @ x + U_f @ h + b_f)
      n: tanh(W_n @ x + U_n @ (f * h) + b_n)
      h: (1 - f) * h + f * n
""",
    "cornn": """\
    states: [y, z]
    equations:
      z: z + 0.042 * (tanh(W @ y + U @ z + V @ x + b) - 2.7 * y - 4.7 * z)
      y: y + 0.042 * z
""",
}
_SPEC = """\
version: 1
name: net
input: {{features: {features}}}
cells:
  {cell}:
{equations}rnn: {{type: {cell}, units: {units}, name: layer}}
head: {{pooling: last}}
"""

Arrays = dict[str, "Array"]
"""The parameters of a cell by name."""


def main() -> None:
    """Print the table."""
    titles = ("case", "opponent", "ratio", "quartiles", "rnnspec", "opponent")
    print(*table(titles, []), sep="\n")
    for backend in sys.argv[1:] or BACKENDS:
        for ratio in BACKENDS[backend]():
            quartiles = f"{ratio.low:.2f} to {ratio.high:.2f}"
            times = (
                f"{seconds * 1e3:.3f} ms" for seconds in (ratio.ours_median, ratio.theirs_median)
            )
            cells = (ratio.title, ratio.theirs, f"{ratio.median:.2f}", quartiles, *times)
            print(f"| {' | '.join(cells)} |", flush=True)


def spec(cell: str) -> rnnspec.Spec:
    """Return a network of one layer with a cell."""
    sizes = {"features": FEATURES, "units": UNITS}
    return rnnspec.loads(_SPEC.format(cell=cell, equations=CELLS[cell], **sizes))


def batch_of(size: int) -> Array:
    """Return a batch of sequences, the same every time."""
    return np.random.default_rng(0).standard_normal((size, STEPS, FEATURES), np.float32)


def compare(title: str, ours: Run, theirs: dict[str, Run]) -> Iterator[Ratio]:
    """Yield the ratio of the time of rnnspec and that of each opponent."""
    yield from ratios(race(title, {"rnnspec": ours}, theirs, EFFORT, measure=processor_seconds))


def processor_seconds(run: Run) -> float:
    """Return what a run takes of the processor, which other programs hardly change."""
    began = time.process_time()
    run()
    return time.process_time() - began


def onnx() -> Iterator[Ratio]:
    """Compare in ONNX Runtime, in inference."""
    from onnx import numpy_helper, parser

    for cell, (arrays_of, text) in ONNX_MODELS.items():
        model = rnnspec.build(spec(cell), "onnx", seed=0)
        arrays = {
            name.removeprefix("layer."): array.T
            for name, array in rnnspec.read_weights(model).items()
        }
        theirs = parser.parse_model(_ONNX_HEAD + text)
        del theirs.graph.value_info[:]
        theirs.graph.initializer.extend(
            numpy_helper.from_array(np.ascontiguousarray(array), name)
            for name, array in arrays_of(arrays).items()
        )
        sessions = [_open_session(proto) for proto in (model.to_proto(), theirs)]
        for size in (1, 32):
            batch = batch_of(size)
            runs = [partial(session.run, None, {"inputs": batch}) for session in sessions]
            one, other = (run()[0] for run in runs)
            np.testing.assert_allclose(one, other, atol=1e-5)
            title = f"ONNX Runtime, {cell}, batch {size}, inference"
            yield from compare(title, runs[0], {"a Scan by hand": runs[1]})


def _open_session(proto: Any) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(proto.SerializeToString(), options)


def keras() -> Iterator[Ratio]:
    """Compare in Keras, on the engine that it is set to run on."""
    import keras

    from benchmarks.handwritten.keras import CELLS_BY_EQUATION

    _use_one_thread(keras.backend.backend())
    for cell, by_hand in CELLS_BY_EQUATION.items():
        model = rnnspec.build(spec(cell), "keras", seed=0)
        arrays = {
            name.removeprefix("layer."): array.T
            for name, array in rnnspec.read_weights(model).items()
        }
        written = keras.Sequential([keras.Input((None, FEATURES)), by_hand(UNITS)])
        layer = written.layers[0]
        layer.cell.set_weights(layer.cell.joined(arrays))
        models = (model, written)
        for one in models:
            # Nothing is learned, so that all outputs stay the same.
            one.compile(keras.optimizers.SGD(0.0), "mse")
        for size in (1, 32):
            batch, target = batch_of(size), np.zeros((size, UNITS), np.float32)
            title = f"Keras on {keras.backend.backend()}, {cell}, batch {size}"
            ours, theirs = (partial(one.predict_on_batch, batch) for one in models)
            np.testing.assert_allclose(ours(), theirs(), atol=1e-5)
            yield from compare(f"{title}, inference", ours, {"a cell by hand": theirs})
            ours, theirs = (partial(one.train_on_batch, batch, target) for one in models)
            yield from compare(f"{title}, training", ours, {"a cell by hand": theirs})


def _use_one_thread(engine: str) -> None:
    if engine == "tensorflow":
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)


def torch() -> Iterator[Ratio]:
    """Compare in PyTorch, also with ``torchrecurrent`` if it is installed."""
    import torch

    from benchmarks.handwritten.torch import CELLS_BY_EQUATION

    torch.set_num_threads(1)
    for cell, by_hand in CELLS_BY_EQUATION.items():
        model = rnnspec.build(spec(cell), "torch", seed=0)
        arrays = {
            name.removeprefix("layer."): torch.from_numpy(array.copy())
            for name, array in rnnspec.read_weights(model).items()
        }
        written = by_hand(arrays)
        models: dict[str, Any] = {"a loop by hand": written, **_torchrecurrent(cell)}
        for size in (1, 32):
            batch = torch.from_numpy(batch_of(size))
            with torch.no_grad():
                torch.testing.assert_close(model(batch), written(batch), atol=1e-5, rtol=0.0)
            for training in (False, True):
                task = _train if training else _infer
                title = f"PyTorch, {cell}, batch {size}, {'training' if training else 'inference'}"
                runs: dict[str, Run] = {
                    name: partial(task, other, batch) for name, other in models.items()
                }
                yield from compare(title, partial(task, model, batch), runs)


def _infer(model: Any, batch: Any) -> None:
    import torch

    with torch.no_grad():
        model(batch)


def _train(model: Any, batch: Any) -> None:
    model(batch).square().sum().backward()


def _torchrecurrent(cell: str) -> dict[str, Any]:
    """Return the layer of ``torchrecurrent``, which has the same sizes, and other weights."""
    try:
        layers = import_module("torchrecurrent")
    except ImportError:
        return {}
    name = {"peephole_lstm": "PeepholeLSTM", "mgu": "MGU", "cornn": "coRNN"}[cell]
    layer = getattr(layers, name)(FEATURES, UNITS, batch_first=True)
    return {f"torchrecurrent.{name}": lambda x: layer(x)[0][:, -1]}


def jax() -> Iterator[Ratio]:
    """Compare in JAX: the outputs, and the gradients of all arrays."""
    # Read when JAX starts.
    threads = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {threads}"
    import jax
    from flax import nnx

    from benchmarks.handwritten.jax import CELLS_BY_EQUATION

    for cell, (joined, by_hand) in CELLS_BY_EQUATION.items():
        model = rnnspec.build(spec(cell), "jax", seed=0)
        arrays = {
            name.removeprefix("layer."): jax.numpy.asarray(array)
            for name, array in rnnspec.read_weights(model).items()
        }
        graph, state = nnx.split(model)
        functions: tuple[tuple[Callable[..., Any], Any], ...] = (
            (lambda state, batch, graph=graph: nnx.merge(graph, state)(batch), state),
            (by_hand, joined(arrays)),
        )
        for size in (1, 32):
            batch = jax.numpy.asarray(batch_of(size))
            one, other = (function(values, batch) for function, values in functions)
            np.testing.assert_allclose(one, other, atol=1e-5)
            for task in ("inference", "gradient"):
                ours, theirs = (
                    partial(_run_compiled, _compile(function, task), values, batch)
                    for function, values in functions
                )
                title = f"JAX, {cell}, batch {size}, {task}"
                yield from compare(title, ours, {"a scan by hand": theirs})


def _compile(function: Callable[..., Any], task: str) -> Any:
    import jax

    if task == "inference":
        return jax.jit(function)
    return jax.jit(jax.grad(lambda values, batch: jax.numpy.square(function(values, batch)).sum()))


def _run_compiled(compiled: Any, values: Any, batch: Any) -> None:
    import jax

    jax.block_until_ready(compiled(values, batch))


def join(arrays: Arrays, *names: str) -> Array:
    """Return arrays beside each other."""
    return np.concatenate([arrays[name] for name in names], axis=-1)


_ONNX_HEAD = '<ir_version: 8, opset_import: ["": 18]>\n'
ONNX_MODELS: dict[str, tuple[Callable[[Arrays], Arrays], str]] = {
    "peephole_lstm": (
        lambda arrays: {
            "W": join(arrays, "W_i", "W_f", "W_g", "W_o"),
            "U": join(arrays, "U_i", "U_f", "U_g", "U_o"),
            "B": join(arrays, "b_i", "b_f", "b_g", "b_o"),
            **{name: arrays[name] for name in ("p_i", "p_f", "p_o")},
        },
        """\
peephole_lstm (float[batch, steps, 32] inputs) => (float[batch, 64] last_h)
<
  float[32, 256] W, float[64, 256] U, float[256] B, float[64] p_i, float[64] p_f, float[64] p_o,
  int64[1] units = {64}
>
{
  x = Transpose <perm = [1, 0, 2]> (inputs)
  product = MatMul (x, W)
  projected = Add (product, B)
  batch_size = Shape <start = 1, end = 2> (x)
  shape = Concat <axis = 0> (batch_size, units)
  zeros = ConstantOfShape (shape)
  last_h, last_c = Scan <
    num_scan_inputs = 1,
    body = step (float[batch, 64] h, float[batch, 64] c, float[batch, 256] now)
      => (float[batch, 64] new_h, float[batch, 64] new_c)
    {
      recurrent = MatMul (h, U)
      gates = Add (now, recurrent)
      i_sum, f_sum, g_sum, o_sum = Split <axis = -1, num_outputs = 4> (gates)
      i_peephole = Mul (p_i, c)
      i_total = Add (i_sum, i_peephole)
      i = Sigmoid (i_total)
      f_peephole = Mul (p_f, c)
      f_total = Add (f_sum, f_peephole)
      f = Sigmoid (f_total)
      g = Tanh (g_sum)
      kept = Mul (f, c)
      added = Mul (i, g)
      new_c = Add (kept, added)
      o_peephole = Mul (p_o, new_c)
      o_total = Add (o_sum, o_peephole)
      o = Sigmoid (o_total)
      squashed = Tanh (new_c)
      new_h = Mul (o, squashed)
    }
  > (zeros, zeros, projected)
}
""",
    ),
    "mgu": (
        lambda arrays: {
            "W": join(arrays, "W_f", "W_n"),
            "B": join(arrays, "b_f", "b_n"),
            **{name: arrays[name] for name in ("U_f", "U_n")},
        },
        """\
mgu (float[batch, steps, 32] inputs) => (float[batch, 64] last_h)
<
  float[32, 128] W, float[64, 64] U_f, float[64, 64] U_n, float[128] B,
  int64[1] units = {64}, float one = {1.0}
>
{
  x = Transpose <perm = [1, 0, 2]> (inputs)
  product = MatMul (x, W)
  projected = Add (product, B)
  batch_size = Shape <start = 1, end = 2> (x)
  shape = Concat <axis = 0> (batch_size, units)
  zeros = ConstantOfShape (shape)
  last_h = Scan <
    num_scan_inputs = 1,
    body = step (float[batch, 64] h, float[batch, 128] now) => (float[batch, 64] new_h)
    {
      f_now, n_now = Split <axis = -1, num_outputs = 2> (now)
      f_recurrent = MatMul (h, U_f)
      f_sum = Add (f_now, f_recurrent)
      f = Sigmoid (f_sum)
      forgotten = Mul (f, h)
      n_recurrent = MatMul (forgotten, U_n)
      n_sum = Add (n_now, n_recurrent)
      n = Tanh (n_sum)
      rest = Sub (one, f)
      kept = Mul (rest, h)
      added = Mul (f, n)
      new_h = Add (kept, added)
    }
  > (zeros, projected)
}
""",
    ),
    "cornn": (
        lambda arrays: arrays,
        """\
cornn (float[batch, steps, 32] inputs) => (float[batch, 64] last_y)
<
  float[32, 64] V, float[64, 64] W, float[64, 64] U, float[64] b, int64[1] units = {64},
  float dt = {0.042}, float gamma = {2.7}, float epsilon = {4.7}
>
{
  x = Transpose <perm = [1, 0, 2]> (inputs)
  product = MatMul (x, V)
  projected = Add (product, b)
  batch_size = Shape <start = 1, end = 2> (x)
  shape = Concat <axis = 0> (batch_size, units)
  zeros = ConstantOfShape (shape)
  last_y, last_z = Scan <
    num_scan_inputs = 1,
    body = step (float[batch, 64] y, float[batch, 64] z, float[batch, 64] now)
      => (float[batch, 64] new_y, float[batch, 64] new_z)
    {
      of_y = MatMul (y, W)
      of_z = MatMul (z, U)
      recurrent = Add (of_y, of_z)
      sum = Add (recurrent, now)
      force = Tanh (sum)
      spring = Mul (gamma, y)
      friction = Mul (epsilon, z)
      pull = Sub (force, spring)
      acceleration = Sub (pull, friction)
      faster = Mul (dt, acceleration)
      new_z = Add (z, faster)
      farther = Mul (dt, new_z)
      new_y = Add (y, farther)
    }
  > (zeros, zeros, projected)
}
""",
    ),
}
"""For each cell the arrays of a graph by hand, made of the parameters, and its text."""

BACKENDS: dict[str, Callable[[], Iterator[Ratio]]] = {
    "jax": jax,
    "keras": keras,
    "onnx": onnx,
    "torch": torch,
}

if __name__ == "__main__":
    main()
