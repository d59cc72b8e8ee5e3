"""Layers behind a recurrent layer: whether it may give its final state instead of its sequence."""

from __future__ import annotations

from dataclasses import dataclass

from rnnspec.ir import nodes

_SOFTMAXES = ("softmax", "log_softmax")
_ZERO_AT_ZERO = ("linear", "relu", "tanh", "elu", "selu", "silu", "softsign")


@dataclass(frozen=True, slots=True)
class Behind:
    """The layers between a recurrent layer and all that takes its final state behind them.

    ``has_layers`` is False if there are none. They have ``apart_steps`` if each step of their
    output depends on that step only, ``apart_features`` likewise, and ``keeps_zeros`` if they give
    zeros of zeros.
    """

    has_layers: bool = False
    apart_steps: bool = True
    apart_features: bool = True
    keeps_zeros: bool = True

    def __or__(self, other: Behind) -> Behind:
        """Return the layers of both."""
        return Behind(
            self.has_layers or other.has_layers,
            self.apart_steps and other.apart_steps,
            self.apart_features and other.apart_features,
            self.keeps_zeros and other.keeps_zeros,
        )

    @classmethod
    def of(
        cls, kind: type[nodes.Layer], activation: nodes.Activation = "linear", *, bias: bool = False
    ) -> Behind:
        """Return a layer of a kind, one of those that compute each step by itself."""
        kept = isinstance(activation, nodes.LeakyRelu | nodes.ClippedRelu)
        kept = kept or activation in _ZERO_AT_ZERO
        return cls(
            has_layers=True,
            # In training, a batch norm has statistics of all steps.
            apart_steps=kind.acts_on != "feature",
            apart_features=kind.acts_on in ("element", "feature") and activation not in _SOFTMAXES,
            keeps_zeros=kept and not bias and kind not in (nodes.BatchNorm, nodes.LayerNorm),
        )

    def takes_state(self, layer: nodes.Recurrent) -> bool:
        """True if a recurrent layer may give its final state, rather than a sequence.

        Behind layers, a step of the sequence that they give is read, and zeros if no step is real.
        Computing them of the state only is the same, and faster, unless they have statistics of all
        steps, or give something else than zeros of the state of only padding. If they mix the
        directions, no step has the final states of both, and only the state is left.
        """
        if not self.has_layers:
            return True
        if not self.apart_steps:
            return False
        apart = layer.merge is None or (layer.merge == "concat" and self.apart_features)
        return not (layer.masked and apart) or (self.keeps_zeros and not layer.first_states)
