"""Recurrent layers of Keras: their settings, and their place in the network."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast, get_args

from rnnspec.backends.keras.cells import size_argument
from rnnspec.importing import unplaced
from rnnspec.importing.assemble import is_layer_name
from rnnspec.importing.imported import show_value
from rnnspec.importing.keras import pieces
from rnnspec.importing.keras.arrays import Placed
from rnnspec.importing.keras.draft import state_names
from rnnspec.importing.keras.files import DEFINITION, SHARING
from rnnspec.importing.keras.settings import Settings, cell_activation, foreign
from rnnspec.ir import nodes
from rnnspec.ir.definition import named_sizes, read_definition
from rnnspec.ir.equations import EquationError
from rnnspec.ir.initializers import Constant
from rnnspec.words import CellActivation, Merge

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rnnspec.importing.keras.arrays import Foreign
    from rnnspec.importing.keras.draft import KerasDraft, LayerOutput
    from rnnspec.words import Statistic

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
class _RunSettings:
    """How a layer is run over time."""

    return_sequences: bool
    zeros: bool


def read_recurrent(settings: Settings, layer: Foreign) -> pieces.RecurrentPiece | pieces.Lacking:
    """Return a recurrent layer in one direction."""
    backward = settings.flag("go_backwards", False)
    piece = _direction(settings, layer, layer.kind)
    if isinstance(piece, pieces.Lacking):
        return piece
    return replace(piece, node=replace(piece.node, backward=backward))


def read_cells(
    settings: Settings, layer: Foreign
) -> pieces.RecurrentPiece | pieces.CellStack | pieces.Lacking:
    """Return the layer RNN with a cell of Keras's own, or one layer for each cell of a stack."""
    backward = settings.flag("go_backwards", False)
    run, path = _running(settings, layer), f"{settings.name}.cell"
    cell = foreign(settings.account, settings.take("cell"), path)
    if cell.kind != "StackedRNNCells" or cell.custom:
        only = _cell_of(settings, layer, cell, path, run)
        if only is None:
            return pieces.Lacking(layer)
        return replace(only, node=replace(only.node, backward=backward))
    if backward:
        settings.refuse("go_backwards", "expected False for several cells, received True")
    with settings.inside(path, cell.config) as cell_settings:
        cells = cell_settings.take("cells", [])
    if not isinstance(cells, list | tuple) or not 1 <= len(cells) <= _MOST_CELLS:
        cell_settings.refuse(
            "cells", f"expected 1 to {_MOST_CELLS:,} cells, received {show_value(cells)}"
        )
        return pieces.Lacking(layer)
    if other := next((number for number in layer.used if number), 0):
        message = f"its output {other} is used; rnnspec passes on the first, that of"
        settings.account.refuse(layer.name, f"{message} the last cell", "E704")
    stack, first = list[pieces.RecurrentPiece](), 0
    # Each cell hands its output to the next one at every step.
    lower = _RunSettings(return_sequences=True, zeros=False)
    for at, config in enumerate(cells):
        path = f"{settings.name}.cell.cells[{at}]"
        one, top = foreign(settings.account, config, path), at + 1 == len(cells)
        piece = _cell_of(settings, layer, one, path, run if top else lower)
        if piece is None:
            return pieces.Lacking(layer)
        after = first + (3 if piece.node.bias else 2)
        name = layer.name if top else f"{layer.name}.{one.name}"
        # Each cell takes what the one before it gives.
        inputs, outputs = (
            ((stack[-1].layer.name,), (0,)) if stack else (layer.inputs, layer.outputs)
        )
        placed = replace(
            layer, name=name, inputs=inputs, outputs=outputs, part=(layer.name, first, after)
        )
        stack.append(replace(piece, layer=placed, node=replace(piece.node, name=name)))
        first = after
    return pieces.CellStack(layer, tuple(stack))


def _cell_of(
    settings: Settings, layer: Foreign, cell: Foreign, path: str, run: _RunSettings
) -> pieces.RecurrentPiece | None:
    if layer.kind == SHARING or DEFINITION in cell.config:
        with settings.inside(path, cell.config) as cell_settings:
            return _equation_layer(cell_settings, layer, run)
    if cell.custom or cell.kind not in CELLS:
        received = show_value(cell.custom or cell.kind)
        message = f"expected one of {', '.join(CELLS)}, received {received}"
        settings.account.refuse(path, message, "E701")
        return None
    with settings.inside(path, cell.config) as cell_settings:
        return _recurrent_layer(cell_settings, layer, CELLS[cell.kind], run)


def read_bidirectional(
    settings: Settings, layer: Foreign
) -> pieces.RecurrentPiece | pieces.Lacking:
    """Return a recurrent layer in both directions."""
    inner = foreign(settings.account, settings.take("layer"), f"{settings.name}.layer")
    merge = settings.take("merge_mode", "concat")
    apart, merge = merge is None, merge or "concat"
    if merge not in get_args(Merge):
        expected = f"expected one of {', '.join(get_args(Merge))}"
        settings.refuse("merge_mode", f"{expected}, received {show_value(merge)}")
        merge = "concat"
    backward = settings.take("backward_layer", None)
    settings.drop("return_sequences", "return_state", "stateful", "weights")
    if inner.kind not in (*KINDS, SHARING) or inner.custom:
        expected = f"expected one of {', '.join(KINDS)}"
        settings.refuse("layer", f"{expected}, received {show_value(inner.custom or inner.kind)}")
        return pieces.Lacking(layer)
    piece = _inner(settings, inner, layer, backwards=False)
    if isinstance(piece, pieces.Lacking):
        return piece
    if backward is not None:
        other = foreign(settings.account, backward, f"{settings.name}.backward_layer")
        if other.kind != inner.kind or other.custom:
            received = show_value(other.custom or other.kind)
            settings.refuse("backward_layer", f"expected {inner.kind}, received {received}")
        elif _inner(settings, other, layer, backwards=True) != piece:
            message = "expected the settings of the forward layer, received others"
            settings.refuse("backward_layer", message)
    # Keras zeroes padding by itself if sequences are returned, and else it holds the state.
    node = replace(piece.node, merge=cast("Merge", merge))
    return replace(piece, node=node, zeros=node.return_sequences, apart=apart)


def _inner(
    settings: Settings, inner: Foreign, layer: Foreign, *, backwards: bool
) -> pieces.RecurrentPiece | pieces.Lacking:
    name = f"{layer.name}.{'backward_layer' if backwards else 'layer'}"
    with settings.inside(name, inner.config) as inner_settings:
        inner_settings.drop(
            "batch_shape", "batch_input_shape", "input_shape", "input_dim", "input_length"
        )
        why = "one direction has to read forwards, the other backwards"
        inner_settings.only("go_backwards", backwards, why=why, default=backwards)
        return _direction(inner_settings, layer, inner.kind)


def _direction(
    settings: Settings, layer: Foreign, kind: str
) -> pieces.RecurrentPiece | pieces.Lacking:
    run = _running(settings, layer)
    if kind != SHARING:
        return _recurrent_layer(settings, layer, kind, run)
    path = f"{settings.name}.cell"
    cell = foreign(settings.account, settings.take("cell"), path)
    with settings.inside(path, cell.config) as cell_settings:
        return _equation_layer(cell_settings, layer, run) or pieces.Lacking(layer)


def _equation_layer(
    settings: Settings, layer: Foreign, run: _RunSettings
) -> pieces.RecurrentPiece | None:
    """Return a layer in one direction whose cell the file defines by its equations."""
    units, definition = settings.size("units"), settings.take(DEFINITION, None)
    initialize = settings.take("initialize", {})
    settings.drop("features")
    try:
        name = definition.pop("name", None) if isinstance(definition, dict) else None
        if not isinstance(name, str) or not is_layer_name(name):
            settings.refuse(DEFINITION, f"expected the name of a cell, received {show_value(name)}")
            return None
        cell = read_definition(name, definition | {"initialize": initialize})
    except EquationError as error:
        settings.refuse(DEFINITION, str(error))
        return None
    names = named_sizes(cell.equations)
    sizes = tuple((name, settings.size(size_argument(name))) for name in names)
    cell = replace(cell, sizes=sizes)
    node = replace(
        unplaced.recurrent(
            layer.name,
            cell,
            units,
            merge=None,
            bias=True,
            return_sequences=run.return_sequences,
        ),
        dropout=settings.rate("dropout", 0.0),
        recurrent_dropout=settings.rate("recurrent_dropout", 0.0),
    )
    return pieces.RecurrentPiece(layer=layer, node=node, initializers={}, zeros=run.zeros)


def _recurrent_layer(
    settings: Settings, layer: Foreign, kind: str, run: _RunSettings
) -> pieces.RecurrentPiece:
    """Return a layer in one direction, whose cell has the settings."""
    # The layers of cuDNN have no such settings.
    fused = kind.startswith("CuDNN")
    bias = True if fused else settings.flag("use_bias", True)
    cell, drawn = _cell(settings, kind), settings.initializers(bias=bias, recurrent=True)
    if isinstance(cell, nodes.LSTM):
        unit = settings.flag("unit_forget_bias", True)
        if bias:
            forget = drawn["bias"] if isinstance(drawn["bias"], Constant) else None
            drawn["forget"] = Constant(1.0) if unit else forget
    units, sequences = settings.size("units"), run.return_sequences
    node = replace(
        unplaced.recurrent(
            layer.name, cell, units, merge=None, bias=bias, return_sequences=sequences
        ),
        dropout=0.0 if fused else settings.rate("dropout", 0.0),
        recurrent_dropout=0.0 if fused else settings.rate("recurrent_dropout", 0.0),
    )
    return pieces.RecurrentPiece(layer=layer, node=node, initializers=drawn, zeros=run.zeros)


def _running(settings: Settings, layer: Foreign) -> _RunSettings:
    """Take the settings that say how the layer is run over time."""
    settings.only("stateful", False, why=_STATEFUL)
    settings.only("time_major", False, why="rnnspec supports only the batch first")
    run = _RunSettings(
        settings.flag("return_sequences", False), settings.flag("zero_output_for_mask", False)
    )
    if settings.flag("return_state", False) and not any(layer.used):
        settings.account.leave("return_state", settings.name, "nothing reads the states")
    if settings.flag("unroll", False):
        settings.account.leave("unroll", settings.name, "changes the speed only")
    settings.drop("use_cudnn")
    # A state is held at padding.
    outputs = {0, 1} if layer.config.get("merge_mode", "") is None else {0}
    return (
        _RunSettings(return_sequences=False, zeros=False) if outputs.isdisjoint(layer.used) else run
    )


def _cell(settings: Settings, kind: str) -> nodes.Cell:
    match kind:
        case "SimpleRNN":
            return nodes.SimpleRNN(activation=cell_activation(settings, "activation", "tanh"))
        case "LSTM":
            return nodes.LSTM(
                activation=cell_activation(settings, "activation", "tanh"),
                recurrent_activation=_gates(settings),
                forget_bias=1.0,
            )
        case "GRU":
            return nodes.GRU(
                activation=cell_activation(settings, "activation", "tanh"),
                recurrent_activation=_gates(settings),
                reset_after=_reset_after(settings),
            )
        case "CuDNNLSTM":
            return nodes.LSTM(activation="tanh", recurrent_activation="sigmoid", forget_bias=1.0)
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


def place_recurrent(
    draft: KerasDraft, piece: pieces.RecurrentPiece, states: Sequence[LayerOutput] = ()
) -> None:
    """Place a recurrent layer, whose states begin as ``states`` if there are any."""
    layer = piece.layer
    draft.expect_rank(layer, 2)
    draft.check_mask(layer)
    if piece.unmasked and draft.now.masked:
        what = "Keras 3 passes no mask on to a layer that is called with initial_state"
        forward = piece.node.ways == 1 and not piece.node.backward
        if forward and piece.node.return_sequences and layer.used == (0,):
            draft.account.infer(f"{what}: padding must be behind the real steps", layer.name)
            draft.padded_at_end = True
        else:
            message = f"reads padding, since {what}"
            draft.doubt(layer, f"{message}; expected the argument mask= in this call")
    if piece.zeros and draft.now.masked and piece.node.merge is None:
        what = "zero_output_for_mask"
        if piece.node.return_sequences:
            draft.account.leave(what, layer.name, "changes outputs at padding only")
        else:
            why = "the output of a sequence that ends in padding would be zero"
            message = f"expected False, received True; {why}"
            draft.account.refuse(f"{layer.name}.{what}", message, "E703")
    initial = _first_states(draft, piece, states) if states else ()
    draft.add(replace(piece.node, initial=initial), layer)
    reverses = piece.node.backward and piece.node.return_sequences
    draft.now = replace(draft.now, zeros=piece.zeros, reversed=reverses)


def _first_states(
    draft: KerasDraft, piece: pieces.RecurrentPiece, states: Sequence[LayerOutput]
) -> tuple[str | None, ...]:
    """Return the nodes with the first states, both directions side by side."""
    names, now = state_names(piece.node.cell), draft.now
    ways = piece.node.ways
    if len(states) != len(names) * ways:
        message = f"expected {len(names) * ways} first states, received {len(states)}"
        draft.doubt(piece.layer, message)
        return ()
    vectors = dict[str, str]()
    for at, name in enumerate(names):
        parts = draft.join_halves(states[at :: len(names)])
        for part in parts:
            draft.check_whole(piece.layer, part)
            if len(part.shape) != 1:
                draft.doubt(piece.layer, "expected vectors as first states, received a sequence")
        if len(parts) == 1:
            vectors[name] = parts[0].node
            continue
        draft.now = replace(parts[0], certain=now.certain)
        join = nodes.Join(
            how="concat",
            name=f"{piece.layer.name}:first {name}",
            input=parts[0].shape,
            of=tuple(part.node for part in parts),
            inputs=tuple(part.shape for part in parts),
        )
        vectors[name] = draft.add(join, piece.layer).node.name
        draft.became.pop()
    draft.now = now
    begins = replace(piece.node, input=now.shape).begins
    return tuple(vectors[name] for name, _ in begins)


def place_last_step(draft: KerasDraft, layer: Foreign) -> None:
    """Read the last step, by the state of a recurrent layer if that is the same.

    Layers at each step make no difference, so it makes none whether it is taken before them.
    """
    draft.expect_rank(layer, 2)
    recurrent, once = _find_recurrent(draft, layer)
    node = recurrent.node if recurrent else None
    is_simple = isinstance(node, nodes.Recurrent) and node.merge is None
    simple = recurrent if is_simple else None
    zeros = simple is not None and draft.outputs[simple.layer.name].zeros
    if draft.now.masked and (simple is None or zeros):
        message = "reads the last step, which is padding in a shorter sequence; expected the"
        draft.doubt(layer, f"{message} output of a layer with return_sequences=False")
        return
    # At padding the output is that of the last real step, as the state is.
    if simple is not None and draft.now.masked and simple.layer.kind in ("LSTM", "GRU"):
        what = "its last step holds the last real one, where cuDNN on a GPU has zeros"
        draft.account.infer(what, simple.layer.name)
    if simple is not None and isinstance(simple.node, nodes.Recurrent) and once:
        simple.node = replace(simple.node, return_sequences=False)
        draft.became.append((layer, simple, "{name}: the last step"))
        draft.now = replace(draft.now, shape=draft.now.shape[-1:], masked=False)
        return
    direct = simple is not None and simple.node.name == draft.now.node
    if draft.now.masked and not direct:
        message = "expected the last step of a recurrent layer, received that of another"
        draft.doubt(layer, message)
    statistic: Statistic = "last" if draft.now.masked else "last_step"
    draft.add(nodes.Pooling(name=layer.name, input=(), statistic=statistic, masked=False), layer)


def _find_recurrent(draft: KerasDraft, layer: Foreign) -> tuple[Placed | None, bool]:
    """Return the recurrent layer behind layers at each step, and whether nothing else reads."""
    by_layer = {piece.layer.name: piece for piece in draft.pieces}
    once = True
    while len(layer.inputs) == 1 and (piece := by_layer.get(layer.inputs[0])):
        once = once and draft.readers[piece.layer.name] == 1
        match piece:
            case pieces.RecurrentPiece():
                return draft.by_name.get(draft.outputs[piece.layer.name].node), once
            case (
                pieces.Identity()
                | pieces.Layer(node=nodes.Dense() | nodes.Activate() | nodes.LayerNorm())
                | pieces.Layer(node=nodes.Dropout(variational=False))
            ):
                layer = piece.layer
            case _:
                return None, False
    return None, False


def place_residual(
    draft: KerasDraft, piece: pieces.AddPiece, inputs: Sequence[LayerOutput]
) -> bool:
    """Place the sum of a recurrent layer and its input; return false if it is another sum."""
    layer = piece.layer
    # A block is a dropout, a recurrent layer and a norm.
    kinds = [(nodes.LayerNorm,), (nodes.Recurrent,), (nodes.Dropout,)]
    block, at = list[Placed](), len(draft.placed)
    for kind in kinds:
        node = draft.placed[at - 1].node if at else None
        if isinstance(node, kind) and not (isinstance(node, nodes.Dropout) and node.variational):
            at -= 1
            block.insert(0, draft.placed[at])
    end = draft.placed[-1].node.name if draft.placed else ""
    others = [output for output in inputs if output.node != end]
    starts = [
        placed
        for placed in block
        if isinstance(placed.node, nodes.Recurrent | nodes.Dropout)
        and [_source(draft, placed)] == [output.node for output in others]
    ]
    recurrent = any(isinstance(placed.node, nodes.Recurrent) for placed in block)
    if not starts or not recurrent or len(inputs) != 2:
        return False
    result = next(output for output in inputs if output.node == end)
    # What else takes a layer of the block takes it without the sum.
    once = all(draft.readers[placed.layer.name] == 1 for placed in block)
    if not once or others[0].shape != result.shape or len(result.shape) != 2:
        return False
    draft.now = replace(
        result,
        certain=draft.now.certain,
        ranked=draft.now.ranked,
        zeros=result.zeros and others[0].zeros,
    )
    if len({output.masked for output in inputs}) > 1:
        return False
    start = starts[0].node.name
    draft.add(nodes.Residual(name=layer.name, input=(), start=start), layer)
    return True


def _source(draft: KerasDraft, placed: Placed) -> str:
    """Return the name of the node that a node takes."""
    at = draft.placed.index(placed)
    before = draft.placed[at - 1].node.name if at else next(iter(draft.inputs.values())).name
    return placed.node.source or before
