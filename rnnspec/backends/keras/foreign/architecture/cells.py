"""The settings of Keras's recurrent layers, in one direction or in both."""

from __future__ import annotations

from dataclasses import dataclass, replace
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

KINDS = ("SimpleRNN", "LSTM", "GRU", "CuDNNLSTM", "CuDNNGRU")
"""The classes of recurrent layers."""
CELLS = {"SimpleRNNCell": "SimpleRNN", "LSTMCell": "LSTM", "GRUCell": "GRU"}
"""The classes of cells for the layer RNN, each with the layer that has such a cell."""
_MOST_CELLS = 1_000
_STATEFUL = (
    "the state of a call would be the start of the next; if each call may start from zeros, pass "
    "the architecture with 'stateful' false with --config"
)


@dataclass(frozen=True, slots=True)
class _Run:
    """How a layer is run over time."""

    return_sequences: bool
    zeros: bool


def recurrent(settings: Settings, layer: Foreign) -> pieces.Recurrent:
    """Return a recurrent layer in one direction."""
    settings.only("go_backwards", False, why="the language reads backwards in 'bidirectional' only")
    return _direction(settings, layer, layer.kind)


def of_cells(
    settings: Settings, layer: Foreign
) -> pieces.Recurrent | pieces.Stack | pieces.Lacking:
    """Return the layer RNN with a cell of Keras's own, or one layer for each cell of a stack."""
    settings.only("go_backwards", False, why="the language reads backwards in 'bidirectional' only")
    run, path = _running(settings, layer), f"{settings.name}.cell"
    cell = foreign(settings.account, settings.take("cell"), path)
    if cell.kind != "StackedRNNCells" or cell.custom:
        return _cell_of(settings, layer, cell, path, run) or pieces.Lacking(layer)
    own = Settings(settings.account, settings.version, path, cell.config)
    own.common()
    cells = own.take("cells", [])
    own.close()
    if not isinstance(cells, list | tuple) or not 1 <= len(cells) <= _MOST_CELLS:
        own.refuse("cells", f"expected 1 to {_MOST_CELLS:,} cells, received {said(cells)}")
        return pieces.Lacking(layer)
    if layer.output:
        message = f"its output {layer.output} is used; the language passes on the first, that of"
        settings.account.refuse(layer.name, f"{message} the last cell", "E704")
    found, first = list[pieces.Recurrent](), 0
    # Each cell hands its output to the next one at every step.
    lower = _Run(return_sequences=True, zeros=False)
    for at, each in enumerate(cells):
        path = f"{settings.name}.cell.cells[{at}]"
        one, top = foreign(settings.account, each, path), at + 1 == len(cells)
        piece = _cell_of(settings, layer, one, path, run if top else lower)
        if piece is None:
            return pieces.Lacking(layer)
        after = first + (3 if piece.bias else 2)
        name = layer.name if top else f"{layer.name}.{one.name}"
        placed = replace(layer, name=name, part=(layer.name, first, after))
        found.append(replace(piece, layer=placed))
        first = after
    return pieces.Stack(layer, tuple(found))


def _cell_of(
    settings: Settings, layer: Foreign, cell: Foreign, path: str, run: _Run
) -> pieces.Recurrent | None:
    own = Settings(settings.account, settings.version, path, cell.config)
    if cell.custom or cell.kind not in CELLS:
        wanted = f"expected one of {', '.join(CELLS)}"
        own.refuse("", f"{wanted}, received {said(cell.custom or cell.kind)}", "E701")
        return None
    own.common()
    found = _celled(own, layer, CELLS[cell.kind], run)
    own.close()
    return found


def bidirectional(settings: Settings, layer: Foreign) -> pieces.Recurrent | pieces.Lacking:
    """Return a recurrent layer in both directions."""
    inner = foreign(settings.account, settings.take("layer"), f"{settings.name}.layer")
    merge = settings.take("merge_mode", "concat")
    if merge not in get_args(Merge):
        wanted = f"expected one of {', '.join(get_args(Merge))}"
        settings.refuse("merge_mode", f"{wanted}, received {said(merge)}")
        merge = "concat"
    backward = settings.take("backward_layer", None)
    settings.drop("return_sequences", "return_state", "stateful", "weights")
    if inner.kind not in KINDS or inner.custom:
        wanted = f"expected one of {', '.join(KINDS)}"
        settings.refuse("layer", f"{wanted}, received {said(inner.custom or inner.kind)}")
        return pieces.Lacking(layer)
    found = _inner(settings, inner, layer, backwards=False)
    if backward is not None:
        other = foreign(settings.account, backward, f"{settings.name}.backward_layer")
        if other.kind not in KINDS or other.kind != inner.kind or other.custom:
            received = said(other.custom or other.kind)
            settings.refuse("backward_layer", f"expected {inner.kind}, received {received}")
        elif replace(_inner(settings, other, layer, backwards=True), layer=found.layer) != found:
            message = "expected the settings of the forward layer, received others"
            settings.refuse("backward_layer", message)
    # Keras zeroes padding by itself if sequences are returned, and else it holds the state.
    return replace(found, merge=cast("Merge", merge), zeros=found.return_sequences)


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
    return _celled(settings, layer, kind, _running(settings, layer))


def _celled(settings: Settings, layer: Foreign, kind: str, run: _Run) -> pieces.Recurrent:
    """Return a layer in one direction, whose cell has the settings."""
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
        return_sequences=run.return_sequences,
        zeros=run.zeros,
        kernel=initializer(settings.take("kernel_initializer", "glorot_uniform")),
        recurrent=initializer(settings.take("recurrent_initializer", "orthogonal")),
        bias_initializer=bias_initializer,
    )


def _running(settings: Settings, layer: Foreign) -> _Run:
    """Take the settings that say how the layer is run over time."""
    settings.only("stateful", False, why=_STATEFUL)
    settings.only("time_major", False, why="the language has the batch first")
    run = _Run(
        settings.flag("return_sequences", False), settings.flag("zero_output_for_mask", False)
    )
    if settings.flag("return_state", False) and not layer.output:
        settings.account.leave("return_state", settings.name, "nothing reads the states")
    if settings.flag("unroll", False):
        settings.account.leave("unroll", settings.name, "changes the speed only")
    settings.drop("use_cudnn")
    if not layer.output:
        return run
    if layer.kind == "Bidirectional":
        message = f"its output {layer.output} is used; the language passes on the first, the merged"
        settings.account.refuse(layer.name, message, "E704")
    elif layer.output > 1:
        message = "its cell state c is used; the language passes on the hidden state h"
        settings.account.refuse(layer.name, message, "E704")
    # The hidden state is the last output, which is held at padding.
    return _Run(return_sequences=False, zeros=False)


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
