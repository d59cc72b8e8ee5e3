"""The networks of the races, the batch for every model, and the names of contestants."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parent.parent
FOUNDING = ("stacked_lstm", "standard_rnn", "bidirectional_lstm")
# As in the specs of the founding networks.
STEPS, SHORTEST, VOCABULARY, DIM, UNITS = 500, 50, 10_000, 32, 32
# Smaller in the networks of ``LAYERS``, so that the recurrent layers do not hide the others.
FEW_STEPS, FEW_WORDS = 100, 1_000
RATE = 0.01
# A layer over one feature, as for audio.
LSTM_40 = "lstm_40"

# Names of contestants that lanes and suites use.
OURS = "rnnspec.build"
PACKED = "pack_padded_sequence"
NNX_RNN = "nnx.RNN of nnx.OptimizedLSTMCell"
SHARED_MASK = "one dropout mask for both directions"
CELLS = "stacked cells, which cuDNN cannot run"
LEGACY_EXPORT = "torch.onnx.export by tracing, in ONNX Runtime"
ONNX_RUNTIME = "ONNX Runtime"
PICKED = "last step picked"
PYTORCH = "rnnspec.build, PyTorch"
STOCK = "stock layers, written plainly"
SEQUENTIAL = "Sequential"
TF2ONNX = "tf2onnx of the same in Keras, in ONNX Runtime"
TORCH_COMPILE = "the same, torch.compile"
XLA = "the same, jit_compile=True"

# Not in the gallery: three equal layers, and cells that PyTorch has no fused layer for.
_OWN = {
    "three_lstm": "{type: lstm, units: 32, layers: 3}",
    "recurrent_dropout": "{type: lstm, units: 32, recurrent_dropout: 0.2}",
    "reset_before": "{type: gru, units: 32, reset_after: false}",
    "hard_gates": "{type: lstm, units: 32, recurrent_activation: hard_sigmoid}",
}
# Layers around the recurrent ones, poolings, tied weights, heads and joins.
LAYERS = {
    "conv_norm_pool": """\
rnn:
  - {type: conv, filters: 32, kernel_size: 5, padding: same, activation: relu}
  - {type: batch_norm}
  - {type: max_pool, size: 2}
  - {type: lstm, units: 32, bidirectional: true}
head: {units: 1}
""",
    "attention": """\
rnn: {type: lstm, units: 32}
head: {pooling: {attention: {units: 32, activation: tanh}}, units: 1}
""",
    "poolings": """\
rnn: {type: lstm, units: 32, bidirectional: true}
head: {pooling: [mean, max, last], units: 1}
""",
    "tied_output": """\
rnn: {type: lstm, units: 32}
head: {pooling: none, units: 1000, tied: true}
""",
    "two_heads": """\
rnn: {type: lstm, units: 32}
heads: {tags: {pooling: none, units: 9}, topic: {pooling: mean, units: 5}}
""",
    "concat_join": """\
rnn:
  - {type: lstm, units: 32}
  - {type: concat, of: [embedding_1, lstm_1]}
  - {type: lstm, units: 32}
head: {units: 1}
""",
    "dense_layer_norm": """\
rnn:
  - {type: dense, units: 32, activation: {leaky_relu: 0.1}}
  - {type: layer_norm}
  - {type: lstm, units: 32}
head: {units: 1}
""",
}
_TEXT = """\
version: 1
name: {name}
input: {{length: {steps}}}
embedding:
  vocabulary: {words}
  dim: 32
{layers}
"""


_LSTM_40 = """\
version: 1
name: lstm_40
input: {length: 500, features: 1}
rnn: {type: lstm, units: 40}
head: {units: 1}
"""


@dataclass(frozen=True, slots=True)
class Case:
    """A network, a batch size, and a task."""

    network: str
    batch: int = 32
    training: bool = False
    padded: bool = False
    compiled: bool = False
    """True if the framework's compiler (``torch.compile``, XLA) is a contestant too."""
    single: bool = False
    """True if it runs on one thread, against the plainest code."""
    deployed: bool = False
    """True if it is built from source for inference."""
    stepped: bool = False
    """True if it is built from source in step form, and runs one step at a time."""
    flags: str = ""
    """What C is compiled with, or an empty string if it is no contestant."""

    @property
    def title(self) -> str:
        """The title of its rows in the table."""
        padding = ", padded" if self.padded else ""
        thread = ", one thread" if self.single else ""
        task = "training step" if self.training else "inference"
        task = "one step at a time" if self.stepped else task
        source = ", source for inference" if self.deployed else ""
        flags = f", {self.flags}" if self.flags else ""
        return f"{self.network}, batch {self.batch}{padding}{thread}, {task}{source}{flags}"

    @property
    def has_tokens(self) -> bool:
        """True if its inputs are tokens, and false if they are features."""
        return self.network != LSTM_40

    @property
    def sizes(self) -> tuple[int, int, int]:
        """The number of steps, that of the shortest sequence of a padded batch, and of words."""
        if self.network in LAYERS:
            return FEW_STEPS, FEW_STEPS // 10, FEW_WORDS
        return STEPS, SHORTEST, VOCABULARY

    @property
    def text(self) -> str:
        """The spec, with a mask if the batch is padded."""
        steps, _, words = self.sizes
        if not self.has_tokens:
            text = _LSTM_40
        elif layers := LAYERS.get(self.network):
            text = _TEXT.format(name=self.network, steps=steps, words=words, layers=layers)
        elif rnn := _OWN.get(self.network):
            layers = f"rnn: {rnn}\nhead: {{units: 1, activation: sigmoid}}"
            text = _TEXT.format(name=self.network, steps=steps, words=words, layers=layers)
        else:
            text = (ROOT / "specs" / f"{self.network}.yaml").read_text("utf-8")
        # Source for inference has no argument for logits, which all opponents return.
        if self.deployed:
            text = text.replace("activation: sigmoid", "activation: linear")
        # Some networks of the gallery have a mask already.
        if self.padded and "mask_zero: true" not in text:
            return text.replace("embedding:\n", "embedding:\n  mask_zero: true\n")
        return text

    def build(self, backend: str) -> Any:
        """Return the model of rnnspec, with the same weights every time."""
        import rnnspec

        form = "inference" if self.deployed or backend in ("onnx", "c") else "training"
        form = "step" if self.stepped else form
        return rnnspec.build(rnnspec.loads(self.text), backend, seed=0, form=form)

    def draw(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return inputs and labels, the same ones every time; padding is zeros on the right."""
        rng, (steps, shortest, words) = np.random.default_rng(0), self.sizes
        if not self.has_tokens:
            features = rng.standard_normal((self.batch, STEPS, 1), np.float32)
            return features, np.zeros((self.batch, 1), np.float32)
        # From 1 on, because token 0 is padding.
        tokens = rng.integers(1, words, (self.batch, steps), dtype=np.int64)
        labels = rng.integers(0, 2, (self.batch, 1)).astype(np.float32)
        if self.padded:
            lengths = rng.integers(shortest, steps + 1, (self.batch, 1))
            # On the right, where pack_padded_sequence needs it.
            tokens[np.arange(steps) >= lengths] = 0
        return tokens, labels
