"""The specs of the races: some of the gallery, and a few with a single purpose."""

from dataclasses import dataclass

from benchmarks.cold import ROOT

FOUNDING = ("stacked_lstm", "standard_rnn", "bidirectional_lstm")

# Not in the gallery: three equal layers, and cells that PyTorch has no fused layer for.
_OWN = {
    "three_lstm": "{type: lstm, units: 32, layers: 3}",
    "recurrent_dropout": "{type: lstm, units: 32, recurrent_dropout: 0.2}",
    "reset_before": "{type: gru, units: 32, reset_after: false}",
    "hard_gates": "{type: lstm, units: 32, recurrent_activation: hard_sigmoid}",
}
_TEXT = """\
version: 1
name: {name}
input: {{length: 500}}
embedding:
  vocabulary: 10000
  dim: 32
rnn: {rnn}
head: {{units: 1, activation: sigmoid}}
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

    @property
    def title(self) -> str:
        """The title of its rows in the table."""
        padding = ", padded" if self.padded else ""
        thread = ", one thread" if self.single else ""
        what = "training step" if self.training else "inference"
        what = "one step at a time" if self.stepped else what
        source = ", source for inference" if self.deployed else ""
        return f"{self.network}, batch {self.batch}{padding}{thread}, {what}{source}"


def text(case: Case) -> str:
    """Return the spec of a case, with a mask if the batch is padded."""
    if case.network in _OWN:
        found = _TEXT.format(name=case.network, rnn=_OWN[case.network])
    else:
        found = (ROOT / "specs" / f"{case.network}.yaml").read_text("utf-8")
    # Source for inference has no argument for logits, which all opponents return.
    if case.deployed:
        found = found.replace("activation: sigmoid", "activation: linear")
    # Some networks of the gallery have a mask already.
    if case.padded and "mask_zero: true" not in found:
        return found.replace("embedding:\n", "embedding:\n  mask_zero: true\n")
    return found
