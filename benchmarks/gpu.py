"""Check on a GPU that generated source keeps the fused path: ``python -m benchmarks.gpu``.

For each framework that is installed: the operation that runs the recurrent layers, the largest
difference from the float64 reference without and with TF32, and the time beside stock code.
Without a GPU, small networks run on the CPU, and no fused path is checked. The exit code is 1 if
the fused path was not taken or a difference is above its tolerance.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.networks import OURS
from benchmarks.race import Effort, Run, race
from rnnspec import pipeline
from rnnspec.backends import get
from rnnspec.comparison.case import Case, Live
from rnnspec.comparison.levels import distance

TOLERANCES = {False: 1e-4, True: 1e-2}
"""The largest difference from the float64 reference, without and with TF32 (10 bits)."""
_SPEC = """\
version: 1
name: net
input: {{features: {features}}}
rnn: {{type: {cell}, units: {units}, layers: 2}}
head: {{units: 1}}
"""


@dataclass(frozen=True, slots=True)
class Sizes:
    """The sizes of a network and its batch, and the effort of a race."""

    batch: int
    steps: int
    features: int
    units: int
    effort: Effort

    def draw(self) -> NDArray[Any]:
        """Return the inputs, (batch, steps, features)."""
        shape = self.batch, self.steps, self.features
        return np.random.default_rng(0).standard_normal(shape).astype(np.float32)

    def build(self, backend: str, cell: str) -> tuple[Case, Live]:
        """Return a network with random arrays, and the model of a backend with them."""
        text = _SPEC.format(cell=cell, features=self.features, units=self.units)
        case = Case.of(pipeline.reads(text), 0, "float32", self.draw())
        live = case.build(get(backend))
        case.reset(live)
        return case, live


SMALL = Sizes(8, 20, 8, 16, Effort(0.5, 4, 20))
LARGE = Sizes(64, 256, 128, 512, Effort(5.0, 10, 100))


@dataclass(slots=True)
class Check:
    """One network in one framework.

    ``fused`` is None if there is no GPU, or if no fused path is expected. ``differences`` are
    without and with TF32, and ``times`` are medians in seconds: ours, and the stock code.
    """

    cell: str
    path: str = ""
    fused: bool | None = None
    differences: list[float] = field(default_factory=list)
    times: dict[str, list[float]] = field(default_factory=dict)

    def compare(self, case: Case, use_tf32: Callable[[bool], object], output: Run) -> None:
        """Compare the output with the reference, without TF32 and with it."""
        for allowed in TOLERANCES:
            use_tf32(allowed)
            self.differences.append(distance(np.asarray(output()), case.truth.output))
        use_tf32(False)

    def measure(
        self, make: Callable[[Any, bool], Run], ours: Any, stock: Any, sizes: Sizes
    ) -> None:
        """Measure our model and the stock code in turns, in inference and in training."""
        for title, training in (("inference", False), ("training", True)):
            runs = {OURS: make(ours, training)}, {"stock": make(stock, training)}
            times = race(title, *runs, sizes.effort)
            self.times[title] = [median(times.ours[OURS]), median(times.theirs["stock"])]

    @property
    def wrong(self) -> str:
        """A sentence about what is not as it should be, or an empty string."""
        if self.fused is False:
            return f"{self.cell}: the fused path was not taken: {self.path}"
        pairs = zip(TOLERANCES.values(), self.differences, strict=True)
        far = [f"{number:.1e} of {limit:g}" for limit, number in pairs if not number <= limit]
        return f"{self.cell}: too far from the reference: {', '.join(far)}" if far else ""

    @property
    def line(self) -> str:
        """The check in one line."""
        off, on = self.differences
        times = (
            f"{title} {1e3 * ours:.2f} ms, stock {1e3 * stock:.2f} ms ({ours / stock:.2f})"
            for title, (ours, stock) in self.times.items()
        )
        return "; ".join([f"{self.cell}: {self.path}", f"{off:.1e}, {on:.1e}", *times])


def check_torch(cell: str) -> tuple[str, Check]:
    """Check a cell in PyTorch, where cuDNN shows as an operation of the profiler."""
    import torch
    from torch import nn

    from benchmarks.handwritten.torch import BatchFirst, Net
    from benchmarks.lanes.torch import copy_parameters

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else ""
    sizes, device = (LARGE, "cuda") if gpu else (SMALL, "cpu")
    case, live = sizes.build("torch", cell)
    ours, check, x = live.model.to(device), Check(cell), torch.from_numpy(sizes.draw()).to(device)

    layer = {"lstm": nn.LSTM, "gru": nn.GRU}[cell]
    net = Net(layer, vocabulary=0, dim=sizes.features, units=sizes.units, layers=2)
    stock = BatchFirst(net, net.one_module()).to(device)
    copy_parameters(stock, ours)

    def use_tf32(allowed: bool) -> None:
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = allowed

    def make(model: nn.Module, training: bool) -> Run:
        optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)

        def run() -> None:
            if training:
                optimizer.zero_grad()
                torch.autograd.backward(model(x).square().mean())
                optimizer.step()
            else:
                with torch.inference_mode():
                    model(x)
            if gpu:
                torch.cuda.synchronize()

        return run

    with torch.no_grad():
        torch.testing.assert_close(ours(x), stock(x), atol=1e-4, rtol=1e-3)
        with torch.profiler.profile() as profile:
            ours(x)
        operations = {event.key for event in profile.key_averages()}
        fused = ("aten::_cudnn_rnn", "aten::mkldnn_rnn_layer", "aten::lstm", "aten::gru")
        check.path = next((name for name in fused if name in operations), "a loop")
        check.fused = check.path == "aten::_cudnn_rnn" if gpu else None
        check.compare(case, use_tf32, lambda: ours(x).cpu())
    check.measure(make, ours, stock, sizes)
    return gpu, check


def check_keras(cell: str) -> tuple[str, Check]:
    """Check a cell in Keras on TensorFlow, where cuDNN shows as an operation of the graph."""
    import keras
    import tensorflow as tf

    devices = tf.config.list_physical_devices("GPU")
    details = tf.config.experimental.get_device_details
    gpu = details(devices[0])["device_name"] if devices else ""
    sizes = LARGE if gpu else SMALL
    case, live = sizes.build("keras", cell)
    ours, check, x = live.model, Check(cell), tf.constant(sizes.draw())
    layer = {"lstm": keras.layers.LSTM, "gru": keras.layers.GRU}[cell]
    layers = [layer(sizes.units, return_sequences=True), layer(sizes.units), keras.layers.Dense(1)]
    stock = keras.Sequential([keras.Input((None, sizes.features)), *layers])
    for model in (ours, stock):
        model.compile(keras.optimizers.SGD(1e-3), "mse")
    stock.set_weights(ours.get_weights())
    # The operations of the graph, and of the functions that it calls.
    graph = tf.function(ours).get_concrete_function(x).graph.as_graph_def()
    inner = (node for function in graph.library.function for node in function.node_def)
    operations = {node.op for node in (*graph.node, *inner)}
    fused = sorted(name for name in operations if name.startswith("Cudnn"))
    check.path = ", ".join(fused) or "a loop of TensorFlow"
    check.fused = bool(fused) if gpu else None
    use_tf32 = tf.config.experimental.enable_tensor_float_32_execution
    check.compare(case, use_tf32, lambda: ours.predict_on_batch(x))
    target = tf.zeros((len(x), 1))

    def make(model: Any, training: bool) -> Run:
        if training:
            return lambda: model.train_on_batch(x, target)
        return lambda: model.predict_on_batch(x)

    check.measure(make, ours, stock, sizes)
    return gpu, check


def check_jax(cell: str) -> tuple[str, Check]:
    """Check a cell in JAX, whose source is a scan that XLA compiles, without cuDNN's layers."""
    import jax
    import optax
    from flax import nnx

    import rnnspec
    from benchmarks.handwritten.jax import Stack

    gpu = str(jax.devices()[0].device_kind) if jax.default_backend() == "gpu" else ""
    sizes = LARGE if gpu else SMALL
    case, live = sizes.build("jax", cell)
    ours, check, x = live.model, Check(cell), jax.numpy.asarray(sizes.draw())

    def use_tf32(allowed: bool) -> None:
        precision = "tensorfloat32" if allowed else "float32"
        jax.config.update("jax_default_matmul_precision", precision)

    def make(model: Any, training: bool) -> Run:
        # rnnspec's network has no activation, the stock one has a sigmoid after its logits.
        options = {"logits": True} if isinstance(model, Stack) else {}
        infer = nnx.jit(lambda model, x: model(x, **options))
        if not training:
            return lambda: jax.block_until_ready(infer(model, x))
        optimizer = nnx.Optimizer(model, optax.sgd(1e-3), wrt=nnx.Param)

        def step(model: Any, optimizer: Any) -> Any:
            loss = nnx.value_and_grad(lambda model: (model(x, **options) ** 2).mean())
            value, gradients = loss(model)
            optimizer.update(model, gradients)
            return value

        compiled = nnx.jit(step)
        return lambda: jax.block_until_ready(compiled(model, optimizer))

    graph, state = nnx.split(ours)
    program = jax.jit(lambda state, x: nnx.merge(graph, state)(x)).lower(state, x).compile()
    check.path = f"a scan: {program.as_text().count(' while(')} loops of XLA, no cuDNN layer"
    check.compare(case, use_tf32, make(ours, False))
    if cell == "lstm":  # Flax has no GRU with two biases
        stock = Stack(2, 0.0, sizes.features, sizes.units, vocabulary=0)
        stock.take(rnnspec.read_weights(ours))
        output, expected = (np.asarray(make(model, False)()) for model in (stock, ours))
        np.testing.assert_allclose(output, expected, rtol=1e-3, atol=1e-4)
        check.measure(make, ours, stock, sizes)
    return gpu, check


FRAMEWORKS = {
    "torch": ("torch", check_torch),
    "keras": ("tensorflow", check_keras),
    "jax": ("flax", check_jax),
}


def main() -> int:
    """Check each framework in its own process, because each takes the memory of the GPU."""
    wrong: list[str] = []
    off, on = (f"within {limit:g}" for limit in TOLERANCES.values())
    print(f"framework, cell: path; difference without TF32 ({off}), with TF32 ({on}); times")
    for name, (package, _) in FRAMEWORKS.items():
        if find_spec(package) is None:
            print(f"{name}: not installed")
            continue
        ended = subprocess.run(
            [sys.executable, "-m", "benchmarks.gpu", name],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            env=os.environ | {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"},
        )
        answers = [
            (gpu, Check(**fields)) for gpu, fields in json.loads(ended.stdout.splitlines()[-1])
        ]
        if not answers[0][0]:
            print(f"{name}: no GPU: the fused path was not checked")
        for _, check in answers:
            print(f"{name}, {check.line}", flush=True)
        wrong += [f"{name}, {check.wrong}" for _, check in answers if check.wrong]
    print(*wrong, sep="\n", end="\n" if wrong else "")
    return 1 if wrong else 0


def _check_here(name: str) -> None:
    answers = [FRAMEWORKS[name][1](cell) for cell in ("lstm", "gru")]
    print(json.dumps([(gpu, asdict(check)) for gpu, check in answers]))


if __name__ == "__main__":
    if sys.argv[1:]:
        _check_here(sys.argv[1])
    else:
        sys.exit(main())
