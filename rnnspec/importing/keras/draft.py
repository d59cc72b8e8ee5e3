"""The layers of a Keras model as nodes, with what is known of their outputs."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rnnspec.importing.assemble import assemble, is_input_name, is_layer_name
from rnnspec.importing.imported import Account, Became, show_value
from rnnspec.importing.keras import pieces
from rnnspec.importing.keras.arrays import Placed
from rnnspec.importing.taken import Taken
from rnnspec.ir import initializers, nodes
from rnnspec.ir.text import default_kind, type_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rnnspec.importing.keras.arrays import Foreign
    from rnnspec.importing.keras.pieces import Piece
    from rnnspec.ir.initializers import Initializer

_LAYER = "{name} ({type})"

_WITH_ARRAYS = (
    *(nodes.Recurrent, nodes.Dense, nodes.Conv),
    *(nodes.LayerNorm, nodes.InstanceNorm, nodes.BatchNorm),
)
"""The layers with arrays of a draft, but embeddings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """The initializers of the whole network."""

    kernel: Initializer
    recurrent: Initializer
    bias: Initializer
    forget_bias: float

    def set_in(self, node: nodes.Layer) -> nodes.Layer:
        """Return a node with these initializers, those that it has."""
        match node:
            case nodes.Dense() | nodes.Conv():
                return replace(node, kernel_initializer=self.kernel, bias_initializer=self.bias)
            case nodes.Attention():
                return replace(node, kernel_initializer=self.kernel)
            case nodes.Recurrent(cell=cell):
                if isinstance(cell, nodes.LSTM):
                    cell = replace(cell, forget_bias=self.forget_bias)
                return replace(
                    node,
                    cell=cell,
                    kernel_initializer=self.kernel,
                    recurrent_initializer=self.recurrent,
                    bias_initializer=self.bias,
                )
            case _:
                return node


def drawn_by(account: Account, model_pieces: Sequence[Piece]) -> Drawn:
    """Return the one initializer of each role; where layers differ, the default of the language."""
    layers = [piece for piece in model_pieces if isinstance(piece, pieces.Layer)]

    def one(role: str, default: Initializer) -> Initializer:
        drawn = [piece.initializers[role] for piece in layers if role in piece.initializers]
        first = next(iter(drawn), default)
        if first is not None and all(initializer == first for initializer in drawn):
            return first
        what, lacks = f"{role} initializers", "one"
        if role == "forget":
            what, lacks = "the initial forget_bias", "it"
        account.leave(what, reason=f"layers differ, or rnnspec does not support {lacks}")
        return default

    forget = one("forget", initializers.Constant(1.0))
    return Drawn(
        kernel=one("kernel", initializers.GlorotUniform()),
        recurrent=one("recurrent", initializers.Orthogonal()),
        bias=one("bias", initializers.Constant(0.0)),
        forget_bias=forget.value if isinstance(forget, initializers.Constant) else 1.0,
    )


@dataclass(frozen=True, slots=True)
class _Mask:
    """The mask that Keras has beside an output, or what dropped it.

    ``origins`` are the layers of the inputs that it is made from.
    """

    present: bool = False
    dropped: str = ""
    origins: frozenset[str] = frozenset()


class KerasMasks:
    """Where Keras has a mask: beside the output of each layer, and at its input."""

    def __init__(self, model_pieces: Sequence[Piece]) -> None:
        self.at: dict[str, _Mask] = {}
        self.behind: dict[str, _Mask] = {}
        self.read = set[str]()
        """The inputs of which a layer computes something else with their mask than without."""
        self.dropped = ""
        for piece in model_pieces:
            name = piece.layer.name
            before = [
                self.behind.get(source, _Mask()) if not number else _Mask()
                for source, number in _data(piece)
            ]
            if isinstance(piece, pieces.AttentionPiece):
                # It reads the mask of the values, and passes on that of the queries.
                queries, values, *_ = before
                mask = self.at[name] = values
                behind = self.behind[name] = queries
                # It sets the contexts of padded queries to zero.
                self.read |= queries.origins if queries.present else frozenset()
            else:
                mask = self.at[name] = _mask_at(piece, before)
                behind = self.behind[name] = _mask_behind(piece, mask)
            if isinstance(piece, pieces.RecurrentPiece) and piece.unmasked:
                continue
            if mask.present and _reads_mask(piece):
                self.read |= mask.origins
            if mask.present and not behind.present:
                self.dropped = self.dropped or behind.dropped


def _data(piece: Piece) -> tuple[tuple[str, int], ...]:
    """Return the outputs that a piece takes, without first states."""
    tensors = piece.layer.tensors
    return tensors[: len(tensors) - piece.layer.states]


def _mask_at(piece: Piece, before: Sequence[_Mask]) -> _Mask:
    layer = piece.layer
    origins = frozenset[str]().union(*(mask.origins for mask in before if mask.present))
    dropped = next((mask.dropped for mask in before if mask.dropped), "")
    if layer.operation:
        lost = any(mask.present for mask in before)
        return _Mask(dropped=f"the operation {layer.name}" if lost else dropped)
    if layer.mask is not None:
        return _Mask(present=True, origins=frozenset({layer.mask_input}))
    either = isinstance(piece, pieces.AddPiece | pieces.ConcatPiece) and piece.either
    present = [mask.present for mask in before]
    return _Mask(
        present=bool(present) and (any(present) if either else all(present)),
        dropped=dropped,
        origins=origins,
    )


def _mask_behind(piece: Piece, mask: _Mask) -> _Mask:
    match piece:
        case pieces.Masking() | pieces.Layer(node=nodes.Embedding(masked=True)):
            return _Mask(present=True, origins=frozenset(piece.layer.inputs[:1]) or _FIRST)
        case pieces.Layer(node=nodes.Recurrent(return_sequences=True)):
            return mask
        case (
            pieces.InputPiece()
            | pieces.Lacking()
            | pieces.Layer(node=nodes.Repeat() | nodes.Recurrent())
        ):
            return _Mask()
        case (
            pieces.ZeroPadding()
            | pieces.DotPiece()
            | pieces.Reshape()
            | pieces.Identity(drops=True)
            | pieces.Layer(
                node=nodes.Conv() | nodes.WindowPooling() | nodes.Pooling() | nodes.LastSteps()
            )
        ):
            return _Mask(dropped=piece.layer.name) if mask.present else mask
        case pieces.Layer(node=nodes.Dense()) if piece.layer.tied:
            return _Mask(dropped=piece.layer.name) if mask.present else mask
        case _:
            return mask


_FIRST = frozenset({""})
"""The input of a chain that does not have it as a layer."""


def _reads_mask(piece: Piece) -> bool:
    match piece:
        case pieces.RecurrentPiece() | pieces.AttentionPiece() | pieces.Activated(masks=True):
            return True
        case pieces.Layer(node=nodes.Pooling(statistic="mean"), layer=layer):
            return not layer.operation
        case _:
            return False


@dataclass(frozen=True, slots=True)
class KerasScores:
    """The scores of each query and each step of a memory, or their softmax with ``normal``."""

    queries: LayerOutput
    memory: LayerOutput
    scale: float = 1.0
    normal: bool = False


@dataclass(frozen=True, slots=True)
class LayerOutput:
    """The output of a layer of the file.

    ``node`` is the name of the node in the draft that computes it, and ``masked`` is whether the
    language has a mask beside it. Behind a layer that was refused, nothing is ``certain`` of
    features and masks, and what depends on them is not refused as well; whether it is a sequence is
    ``ranked`` again behind the next recurrent layer. ``zeros`` is true if it is zero at padding,
    and ``padding`` has the zeros that a ZeroPadding1D adds, with its layer. ``origin`` is the layer
    of the input whose padding it has. A ``half`` is the state of one direction, 0 or 1, and what is
    ``reversed`` has its last step first. ``scores`` are set if it is those of an attention.
    """

    node: str
    shape: nodes.Shape
    masked: bool
    certain: bool = True
    ranked: bool = True
    zeros: bool = False
    padding: pieces.ZeroPadding | None = None
    origin: str = ""
    half: int | None = None
    reversed: bool = False
    scores: KerasScores | None = None


class KerasDraft:
    """The layers so far, with what is known of their outputs.

    ``placed`` are the nodes with their layers in the file, and ``by_name`` the same by the names
    of the nodes; ``outputs`` are by the names of layers. ``inputs`` and ``padding``, the value of a
    padded step (None without a mask), are by the layers of inputs, whose names are in
    ``input_names``. ``readers`` counts the layers that take the output of each layer.
    """

    def __init__(
        self,
        account: Account,
        model_pieces: Sequence[Piece],
        inputs: Sequence[tuple[str, str]],
        outputs: Sequence[tuple[str, str, int]],
    ) -> None:
        self.account = account
        self.placed: list[Placed] = []
        self.inputs: dict[str, nodes.Input] = {}
        self.pieces = model_pieces
        self.by_layer = {piece.layer.name: piece for piece in model_pieces}
        self.input_names = _name_inputs(account, model_pieces, inputs)
        self.results = outputs
        self.drawn = drawn_by(account, model_pieces)
        self.masks = KerasMasks(model_pieces)
        self.padding: dict[str, float | None] = {}
        self.outputs: dict[str, LayerOutput] = {}
        self.by_name: dict[str, Placed] = {}
        self.taken: dict[str, Taken] = {}
        self.readers = Counter(name for piece in model_pieces for name in piece.layer.inputs)
        self.readers.update(layer for _, layer, _ in outputs)
        # What each layer of the file became, in words that need the place of a node.
        self.became: list[tuple[Foreign, Placed | None, str]] = []
        self.padded_at_end = False
        """True if the model is the same only where padding is behind the real steps."""
        self.now = LayerOutput(nodes.INPUT, (), masked=False)
        """The input of the layer that is placed."""

    def assemble(self, name: str) -> nodes.Network:
        """Return the network of a draft that was built without a problem, its layers placed.

        Raises:
            ModelError: it is not supported.
        """
        results = [self.output(layer, number) for _, layer, number in self.results]
        for (_, layer, _), output in zip(self.results, results, strict=True):
            self.check_whole(self.by_layer[layer].layer, output)
        self.account.check()
        layers = [entry.node for entry in self.placed]
        taken = self.taken.values()
        with_taken = [
            part
            for layer in layers
            for part in (layer, *(other for other in taken if other.source == layer.name))
        ]
        kinds = {entry.node.name: entry.layer.kind for entry in self.placed}
        assembled = assemble(
            self.account,
            name,
            list(self.inputs.values()),
            with_taken,
            kinds,
            outputs=self._name_outputs(layers, [output.node for output in results]),
        )
        originals = {placed.node.name: placed for placed in self.placed}
        pairs = assembled.pairs(originals)
        for placed, node in pairs:
            placed.node = node
        # A final state may be the output of its layer.
        self.placed = [placed for placed, _ in pairs]
        for origin, became, words in self.became:
            if became is not None:
                words = words.format(name=became.node.name, type=type_name(became.node))  # noqa: PLW2901
            self.account.became.append(Became(origin.name, origin.kind, words))
        return assembled.network

    def _name_outputs(
        self, layers: Sequence[nodes.Layer], results: Sequence[str]
    ) -> tuple[tuple[str, str], ...]:
        """Return the name of each output, and its node; nothing for an output without a name."""
        if not any(name for name, _, _ in self.results):
            return ()
        kinds = {default_kind(layer) for layer in layers}
        named = dict[str, str]()
        for at, ((own_name, layer, number), node) in enumerate(
            zip(self.results, results, strict=True), 1
        ):
            if number and own_name == layer:
                # A state is not the output of its layer.
                own_name = node.replace(":", "_")  # noqa: PLW2901
            name, (kind, _, counter) = own_name, own_name.rpartition("_")
            # The language may give such a name to a layer.
            made_up = kind in kinds and counter.isdecimal()
            if made_up or name in named or not is_layer_name(name):
                name = f"output_{at}"
                self.account.infer(f"output {at}, {show_value(own_name)}, is named {name}")
            named[name] = node
        return tuple(named.items())

    def refuse(self, layer: Foreign, message: str) -> None:
        """Record that a layer is in a place that is not supported."""
        self.account.refuse(layer.name, message, "E704")

    def doubt(self, layer: Foreign, message: str) -> None:
        """Refuse a layer for features or a mask, unless a layer before it was refused."""
        if self.now.certain:
            self.refuse(layer, message)
        self.now = replace(self.now, certain=False)

    def add(
        self, node: nodes.Layer, layer: Foreign, *, source: str = "", lacks: tuple[str, ...] = ()
    ) -> Placed:
        """Append a node that takes the current input, or ``source``."""
        name = self._unique_name(node.name)
        before = self.placed[-1].node.name if self.placed else nodes.INPUT
        taken_from = source or self.now.node
        # A join names what it takes.
        joins = isinstance(node, nodes.Joined) or taken_from == before
        node = replace(
            self._shared(self.drawn.set_in(node), layer),
            name=name,
            input=self.now.shape,
            source=None if joins else taken_from,
        )
        placed = Placed(node, layer, lacks)
        self.placed.append(placed)
        self.by_name[name] = placed
        self.became.append((layer, placed, _LAYER))
        shape = node.output
        now = self.now
        self.now = replace(
            now,
            node=name,
            shape=shape,
            masked=now.masked and len(shape) > 1 and not isinstance(node, nodes.Repeat),
            ranked=now.ranked or isinstance(node, nodes.Recurrent | nodes.Pooling | nodes.Repeat),
            zeros=now.zeros and keeps_zeros(node),
            padding=None,
            half=None,
            reversed=False,
            scores=None,
        )
        return placed

    def _shared(self, node: nodes.Layer, layer: Foreign) -> nodes.Layer:
        """Return a node with the arrays of an earlier call of its layer, if it is a later one."""
        if not layer.shared or node.shares or not isinstance(node, _WITH_ARRAYS):
            return node
        alike = (
            placed.node
            for placed in self.placed
            if placed.layer.name == layer.shared and type(placed.node) is type(node)
        )
        owner = next(alike, None)
        if owner is None or isinstance(node, nodes.BatchNorm):
            message = "called several times, with the same weights"
            self.refuse(layer, f"{message}; rnnspec does not support that")
            return node
        return replace(node, shares=owner.name)

    def output(self, layer: str, number: int = 0) -> LayerOutput:
        """Return an output of a layer: behind the first, a recurrent layer has its states."""
        output, piece = self.outputs[layer], self.by_layer[layer]
        recurrent = self.by_name.get(output.node)
        if isinstance(piece, pieces.RecurrentPiece) and piece.apart and output.ranked:
            if number < 2:
                shape = (*output.shape[:-1], (output.shape[-1] or 0) // 2)
                return replace(output, shape=shape, half=number)
            number -= 1
        if not number or recurrent is None or not isinstance(recurrent.node, nodes.Recurrent):
            return output
        states = state_names(recurrent.node.cell)
        direction, at = divmod(number - 1, len(states))
        if direction >= recurrent.node.ways:
            self.refuse(recurrent.layer, f"has no output {number}")
            return replace(output, certain=False)
        part, name = states[at], f"{recurrent.node.name}:{states[at]}"
        source = recurrent.node.name
        self.taken[name] = Taken(name=name, input=(), source=source, state=part)
        size = dict(recurrent.node.states)[part]
        half = direction if recurrent.node.merge else None
        return LayerOutput(name, (size,), masked=False, certain=output.certain, half=half)

    def readers_of(self, layer: str) -> list[Piece]:
        """Return the pieces that take an output of a layer, through those that change nothing."""
        found: list[Piece] = []
        for piece in self.pieces:
            if layer in piece.layer.inputs:
                passes = isinstance(piece, pieces.Identity)
                found += self.readers_of(piece.layer.name) if passes else [piece]
        return found

    def join_halves(self, outputs: Sequence[LayerOutput]) -> list[LayerOutput]:
        """Return outputs with both directions of a state as one, where they are in order."""
        joined = list[LayerOutput]()
        for output in outputs:
            before = joined[-1] if joined else None
            if before and before.node == output.node and (before.half, output.half) == (0, 1):
                shape = (*output.shape[:-1], 2 * (output.shape[-1] or 0))
                joined[-1] = replace(output, shape=shape, half=None)
            else:
                joined.append(output)
        return joined

    def check_whole(self, layer: Foreign, output: LayerOutput) -> None:
        """Refuse the state of one direction, steps in reverse order, and scores."""
        if output.half is not None:
            message = "reads one direction; rnnspec supports both side by side, as Concatenate does"
            self.refuse(layer, message)
        if output.reversed:
            message = "reads steps in reverse order; expected keras.ops.flip of them, axis=1"
            self.refuse(layer, message)
        if output.scores is not None:
            what = "weights" if output.scores.normal else "scores"
            message = f"reads the {what} of an attention; expected their softmax over the steps"
            self.refuse(layer, f"{message}, and its product with these steps")

    def _unique_name(self, name: str) -> str:
        """Return a name for the draft that no other node has, and that is not the input's."""
        used = {nodes.INPUT, *self.input_names.values(), *self.by_name, *self.taken}
        return next(
            candidate
            for candidate in (name, *(f"{name}#{n}" for n in range(2, len(used) + 3)))
            if candidate not in used
        )

    def leave_out(self, layer: Foreign, what: str) -> None:
        """Leave out a layer that changes nothing."""
        self.account.leave(what, layer.name, "changes nothing")

    def check_padding(self, name: str, output: LayerOutput) -> None:
        """Refuse zeros that are added before a layer that has no padding of its own."""
        if output.padding is not None:
            layer = output.padding.layer
            message = f"expected a convolution or a pooling of windows behind it, received {name}"
            self.refuse(layer, message)

    def check_mask(self, layer: Foreign) -> None:
        """Refuse a layer that reads a mask if Keras has none there and the language has one."""
        mask = self.masks.at[layer.name]
        if self.now.masked and not mask.present:
            message = (
                f"has no mask, since Keras drops it at {mask.dropped}, and "
                "rnnspec keeps it; expected a layer that keeps it, such as keras.layers.Add"
            )
            self.doubt(layer, message)

    def expect_rank(self, layer: Foreign, rank: int) -> None:
        """Refuse a layer whose input is no vector (rank 1), or no sequence (rank 2)."""
        now = self.now
        if len(now.shape) != rank:
            names = {1: "a vector", 2: "a sequence"}
            received = names.get(len(now.shape), "tokens")
            if now.ranked:
                self.refuse(layer, f"expected {names[rank]}, received {received}")
            # Any shape of this rank, so that what comes next is looked at too.
            shape: nodes.Shape = (1,) if rank == 1 else (None, 1)
            self.now = replace(now, certain=False, shape=shape)


def state_names(cell: nodes.Cell) -> tuple[str, ...]:
    """Return the names of the states of a cell, its output first."""
    match cell:
        case nodes.EquationCell(equations=equations):
            return equations.states
        case nodes.LSTM():
            return ("h", "c")
        case _:
            return ("h",)


def _name_inputs(
    account: Account, model_pieces: Sequence[Piece], inputs: Sequence[tuple[str, str]]
) -> dict[str, str]:
    """Return the name of each input by that of its layer."""
    shapes = {
        piece.layer.name: piece.shape
        for piece in model_pieces
        if isinstance(piece, pieces.InputPiece)
    }
    if len(inputs) < 2 and not any(
        shapes.get(layer) is not None and _is_vector(model_pieces, layer, shapes[layer])
        for _, layer in inputs
    ):
        return {layer: nodes.INPUT for _, layer in inputs}
    kinds = {default_kind(piece.node) for piece in model_pieces if isinstance(piece, pieces.Layer)}
    named = dict[str, str]()
    for at, (own_name, layer) in enumerate(inputs, 1):
        name, (kind, _, number) = own_name, own_name.rpartition("_")
        made_up = kind in kinds and number.isdecimal()
        if made_up or name in named.values() or not is_input_name(name):
            name = f"input_{at}"
            account.infer(f"input {at}, {show_value(own_name)}, is named {name}")
        named[layer] = name
    return named


def _is_vector(
    model_pieces: Sequence[Piece], layer: str, shape: tuple[int | None, ...] | None
) -> bool:
    """True if an input has numbers without steps."""
    readers = [piece for piece in model_pieces if layer in piece.layer.inputs]
    embeds = any(
        isinstance(piece, pieces.Layer) and isinstance(piece.node, nodes.Embedding)
        for piece in readers
    )
    return shape is not None and len(shape) == (0 if embeds else 1)


_ZERO_AT_ZERO = ("linear", "relu", "tanh", "softsign", "elu", "selu", "silu")


def keeps_zeros(node: nodes.Layer) -> bool:
    """True if zeros at padding stay zeros."""
    match node:
        case nodes.Activate(activation=nodes.LeakyRelu() | nodes.ClippedRelu()):
            return True
        case nodes.Activate(activation=activation):
            return activation in _ZERO_AT_ZERO
        case _:
            return isinstance(node, nodes.Dropout | nodes.Residual | nodes.Join)
