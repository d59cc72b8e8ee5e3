"""The settings of Keras's recurrent layers, in one direction or in both."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast, get_args

from rnnspec.backends.imported import said
from rnnspec.backends.keras.foreign.architecture import pieces
from rnnspec.backends.keras.foreign.architecture.records import Foreign, foreign
from rnnspec.backends.keras.foreign.architecture.settings import Settings
from rnnspec.backends.keras.foreign.architecture.words import cell_activation, initializer
from rnnspec.ir import nodes
from rnnspec.ir.initializers import Constant
from rnnspec.words import CellActivation, Merge

if TYPE_CHECKING:
    from rnnspec.ir.initializers import Initializer

_KINDS = ("SimpleRNN", "LSTM", "GRU", "CuDNNLSTM", "CuDNNGRU")
_STATEFUL = (
    "the state of a call would be the start of the next; if each call may start from zeros, pass "
    "the architecture with 'stateful' false with --config"
)


def recurrent(settings: Settings, layer: Foreign) -> pieces.Recurrent:
    """Return a recurrent layer in one direction."""
    settings.only("go_backwards", False, why="the language reads backwards in 'bidirectional' only")
    return _direction(settings, layer, layer.kind)


def bidirectional(settings: Settings, layer: Foreign) -> pieces.Recurrent | pieces.Identity:
    """Return a recurrent layer in both directions."""
    inner = foreign(settings.account, settings.take("layer"))
    merge = settings.take("merge_mode", "concat")
    if merge not in get_args(Merge):
        wanted = f"expected one of {', '.join(get_args(Merge))}"
        settings.refuse("merge_mode", f"{wanted}, received {said(merge)}")
        merge = "concat"
    backward = settings.take("backward_layer", None)
    settings.drop("return_sequences", "return_state", "stateful", "weights")
    if inner.kind not in _KINDS or inner.custom:
        wanted = f"expected one of {', '.join(_KINDS)}"
        settings.refuse("layer", f"{wanted}, received {said(inner.custom or inner.kind)}")
        return pieces.Identity(layer)
    found = _inner(settings, inner, layer, backwards=False)
    if backward is not None:
        other = foreign(settings.account, backward)
        again = _inner(settings, other, layer, backwards=True)
        if other.kind != inner.kind or replace(again, layer=found.layer) != found:
            message = "expected the settings of the forward layer, received others"
            settings.refuse("backward_layer", message)
    return replace(found, merge=cast("Merge", merge))


def _inner(
    settings: Settings, inner: Foreign, layer: Foreign, *, backwards: bool
) -> pieces.Recurrent:
    name = f"{layer.name}.{'backward_layer' if backwards else 'layer'}"
    own = Settings(settings.account, settings.version, name, inner.config)
    own.common()
    own.drop("batch_shape", "batch_input_shape", "input_shape", "input_dim", "input_length")
    why = "one direction has to read forwards, the other backwards"
    own.only("go_backwards", backwards, why=why, default=backwards)
    found = _direction(own, layer, inner.kind)
    own.close()
    return found


def _direction(settings: Settings, layer: Foreign, kind: str) -> pieces.Recurrent:
    _running(settings)
    for name in ("kernel", "recurrent", "bias"):
        settings.trained(f"{name}_regularizer", f"{name}_constraint")
    settings.trained("activity_regularizer")
    bias_initializer = initializer(settings.take("bias_initializer", "zeros"))
    fused = kind.startswith("CuDNN")
    return pieces.Recurrent(
        layer=layer,
        units=settings.size("units"),
        cell=_cell(settings, kind, bias_initializer),
        merge=None,
        # The layers of cuDNN have no such setting.
        bias=True if fused else settings.flag("use_bias", True),
        dropout=0.0 if fused else settings.rate("dropout", 0.0),
        recurrent_dropout=0.0 if fused else settings.rate("recurrent_dropout", 0.0),
        return_sequences=settings.flag("return_sequences", False),
        kernel=initializer(settings.take("kernel_initializer", "glorot_uniform")),
        recurrent=initializer(settings.take("recurrent_initializer", "orthogonal")),
        bias_initializer=bias_initializer,
    )


def _running(settings: Settings) -> None:
    """Take the settings that say how the layer is run over time."""
    settings.only("stateful", False, why=_STATEFUL)
    settings.only("time_major", False, why="the language has the batch first")
    # Bidirectional sets it by itself. What follows a masked layer never reads padding.
    if settings.take("zero_output_for_mask", False) is True:
        settings.account.leave(
            "zero_output_for_mask", settings.name, "changes outputs at padding only"
        )
    # Readers of the states are refused where the graph is read.
    if settings.take("return_state", False) is True:
        settings.account.leave("return_state", settings.name, "nothing reads the states")
    if settings.take("unroll", False) is True:
        settings.account.leave("unroll", settings.name, "changes the speed only")
    settings.drop("use_cudnn")


def _cell(settings: Settings, kind: str, bias: Initializer | None) -> nodes.Cell:
    match kind:
        case "SimpleRNN":
            return nodes.SimpleRNN(activation=cell_activation(settings, "activation", "tanh"))
        case "LSTM":
            return nodes.LSTM(
                activation=cell_activation(settings, "activation", "tanh"),
                recurrent_activation=_gates(settings),
                forget_bias=_forget_bias(settings, bias),
            )
        case "GRU":
            return nodes.GRU(
                activation=cell_activation(settings, "activation", "tanh"),
                recurrent_activation=_gates(settings),
                reset_after=_reset_after(settings),
            )
        case "CuDNNLSTM":
            forget = _forget_bias(settings, bias)
            return nodes.LSTM(activation="tanh", recurrent_activation="sigmoid", forget_bias=forget)
        case _:
            return nodes.GRU(activation="tanh", recurrent_activation="sigmoid", reset_after=True)


def _gates(settings: Settings) -> CellActivation:
    """Return the activation of the gates, by the default of the file's version if it is absent."""
    key, version = "recurrent_activation", settings.version
    # The default is sigmoid since Keras 2.3.
    default = "hard_sigmoid" if (version.major, version.minor) < (2, 3) else "sigmoid"
    if not settings.states(key):
        settings.account.infer(f"{key} '{default}', the default of {version}", settings.name)
    return cell_activation(settings, key, default)


def _reset_after(settings: Settings) -> bool:
    key, version = "reset_after", settings.version
    # It exists since Keras 2.1.5, false by default until Keras 3 (and in TensorFlow's, where files
    # always state it).
    default = version.major >= 3
    if not settings.states(key):
        settings.account.infer(
            f"{key} {str(default).lower()}, the default of {version}", settings.name
        )
        if not default:
            settings.account.differ("Keras 3 reads a GRU without reset_after in another way")
    return settings.flag(key, default)


def _forget_bias(settings: Settings, bias: Initializer | None) -> float:
    """Return the initial bias of the forget gate; NaN stands for one that the language lacks."""
    if settings.flag("unit_forget_bias", True):
        return 1.0
    return bias.value if isinstance(bias, Constant) else float("nan")
