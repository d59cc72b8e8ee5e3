"""The layers of a Keras model as nodes, with what is known of their outputs."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rnnspec.importing.assemble import assemble, is_layer_name
from rnnspec.importing.imported import Account, Became, show_value
from rnnspec.importing.keras import pieces
from rnnspec.importing.keras.arrays import Placed
from rnnspec.ir import initializers, nodes
from rnnspec.ir.text import default_kind, type_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rnnspec.importing.keras.arrays import Foreign
    from rnnspec.importing.keras.pieces import Piece
    from rnnspec.ir.initializers import Initializer

_LAYER = "{name} ({type})"


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
    """The mask that Keras has beside an output, or what dropped it."""

    present: bool = False
    dropped: str = ""


class Masks:
    """Where Keras has a mask: beside the output of each layer, and at its input."""

    def __init__(self, model_pieces: Sequence[Piece]) -> None:
        self.at: dict[str, _Mask] = {}
        self.behind: dict[str, _Mask] = {}
        self.reader = False
        """True if a layer computes something else with its mask than without."""
        self.dropped = ""
        for piece in model_pieces:
            name = piece.layer.name
            before = [self.behind.get(source, _Mask()) for source in piece.layer.inputs]
            mask = self.at[name] = _mask_at(piece, before)
            behind = self.behind[name] = _mask_behind(piece, mask)
            self.reader |= mask.present and _reads_mask(piece)
            if mask.present and not behind.present:
                self.dropped = self.dropped or behind.dropped


def _mask_at(piece: Piece, before: Sequence[_Mask]) -> _Mask:
    layer = piece.layer
    dropped = next((mask.dropped for mask in before if mask.dropped), "")
    if layer.operation:
        lost = any(mask.present for mask in before)
        return _Mask(dropped=f"the operation {layer.name}" if lost else dropped)
    if layer.mask is not None:
        return _Mask(present=True)
    either = isinstance(piece, pieces.Add | pieces.Concat) and piece.either
    present = [mask.present for mask in before]
    return _Mask(
        present=bool(present) and (any(present) if either else all(present)), dropped=dropped
    )


def _mask_behind(piece: Piece, mask: _Mask) -> _Mask:
    match piece:
        case pieces.Masking() | pieces.Layer(node=nodes.Embedding(masked=True)):
            return _Mask(present=True)
        case pieces.Layer(node=nodes.Recurrent(return_sequences=True)):
            return mask
        case (
            pieces.Input()
            | pieces.Lacking()
            | pieces.Layer(node=nodes.Repeat() | nodes.Recurrent())
        ):
            return _Mask()
        case (
            pieces.ZeroPadding()
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


def _reads_mask(piece: Piece) -> bool:
    match piece:
        case pieces.Recurrent() | pieces.Activated(masks=True):
            return True
        case pieces.Layer(node=nodes.Pooling(statistic="mean"), layer=layer):
            return not layer.operation
        case _:
            return False


@dataclass(frozen=True, slots=True)
class LayerOutput:
    """The output of a layer of the file.

    ``node`` is the name of the node in the draft that computes it, and ``masked`` is whether the
    language has a mask beside it. Behind a layer that was refused, nothing is ``certain`` of
    features and masks, and what depends on them is not refused as well; whether it is a sequence is
    ``ranked`` again behind the next recurrent layer. ``zeros`` is true if it is zero at padding,
    and ``padding`` has the zeros that a ZeroPadding1D adds, with its layer.
    """

    node: str
    shape: nodes.Shape
    masked: bool
    certain: bool = True
    ranked: bool = True
    zeros: bool = False
    padding: pieces.ZeroPadding | None = None


class Draft:
    """The layers so far, with what is known of their outputs.

    ``placed`` are the nodes with their layers in the file, and ``by_name`` the same by the names
    of the nodes; ``outputs`` are by the names of layers. ``padding`` is the value of a padded step,
    None without a mask. ``readers`` counts the layers that take the output of each layer.
    """

    def __init__(
        self, account: Account, model_pieces: Sequence[Piece], outputs: Sequence[tuple[str, str]]
    ) -> None:
        self.account = account
        self.placed: list[Placed] = []
        self.input: nodes.Input
        self.pieces = model_pieces
        self.results = outputs
        self.drawn = drawn_by(account, model_pieces)
        self.masks = Masks(model_pieces)
        self.padding: float | None = None
        self.outputs: dict[str, LayerOutput] = {}
        self.by_name: dict[str, Placed] = {}
        self.readers = Counter(name for piece in model_pieces for name in piece.layer.inputs)
        self.readers.update(layer for _, layer in outputs)
        # What each layer of the file became, in words that need the place of a node.
        self.became: list[tuple[Foreign, Placed | None, str]] = []
        self.now = LayerOutput(nodes.INPUT, (), masked=False)
        """The input of the layer that is placed."""

    def assemble(self, name: str) -> nodes.Network:
        """Return the network of a draft that was built without a problem, its layers placed.

        Raises:
            ModelError: it is not supported.
        """
        layers = [entry.node for entry in self.placed]
        kinds = {entry.node.name: entry.layer.kind for entry in self.placed}
        assembled = assemble(
            self.account, name, (self.input,), layers, kinds, outputs=self._name_outputs(layers)
        )
        for placed in self.placed:
            placed.node = assembled.by_name[placed.node.name]
        for layer, became, words in self.became:
            if became is not None:
                words = words.format(name=became.node.name, type=type_name(became.node))  # noqa: PLW2901
            self.account.became.append(Became(layer.name, layer.kind, words))
        return assembled.network

    def _name_outputs(self, layers: Sequence[nodes.Layer]) -> tuple[tuple[str, str], ...]:
        """Return the name of each output, and its node; nothing for an output without a name."""
        if not any(name for name, _ in self.results):
            return ()
        kinds = {default_kind(layer) for layer in layers}
        named = dict[str, str]()
        for at, (own_name, layer) in enumerate(self.results, 1):
            name, (kind, _, number) = own_name, own_name.rpartition("_")
            # The language may give such a name to a layer.
            made_up = kind in kinds and number.isdecimal()
            if made_up or name in named or not is_layer_name(name):
                name = f"output_{at}"
                self.account.infer(f"output {at}, {show_value(own_name)}, is named {name}")
            named[name] = self.outputs[layer].node
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
        joins = isinstance(node, nodes.Join) or taken_from == before
        node = replace(self.drawn.set_in(node), name=name, source=None if joins else taken_from)
        placed = Placed(node, layer, lacks)
        self.placed.append(placed)
        self.by_name[name] = placed
        self.became.append((layer, placed, _LAYER))
        shape = replace(node, input=self.now.shape).output
        now = self.now
        self.now = replace(
            now,
            node=name,
            shape=shape,
            masked=now.masked and len(shape) > 1 and not isinstance(node, nodes.Repeat),
            ranked=now.ranked or isinstance(node, nodes.Recurrent | nodes.Pooling | nodes.Repeat),
            zeros=now.zeros and keeps_zeros(node),
            padding=None,
        )
        return placed

    def _unique_name(self, name: str) -> str:
        """Return a name for the draft that no other node has, and that is not the input's."""
        used = {nodes.INPUT, *self.by_name}
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
