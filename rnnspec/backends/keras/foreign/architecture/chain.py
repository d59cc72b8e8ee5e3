"""Pieces to nodes: each piece gets its place in the chain that the language has."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import TYPE_CHECKING, assert_never

from rnnspec.backends.imported import Account, Became
from rnnspec.backends.keras.foreign.architecture import pieces
from rnnspec.backends.keras.foreign.architecture.begin import begin
from rnnspec.backends.keras.foreign.architecture.drawn import drawn_by
from rnnspec.backends.keras.foreign.architecture.dropouts import no_place
from rnnspec.backends.keras.foreign.architecture.settings import in_float32
from rnnspec.ir import initializers, nodes
from rnnspec.ir.text import type_name

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rnnspec.backends.keras.foreign.architecture.pieces import Piece
    from rnnspec.backends.keras.foreign.architecture.records import Foreign
    from rnnspec.words import Statistic

BEFORE = "expected dense layers behind the last recurrent layer, received one before it"
_FIRST: dict[type[nodes.Cell], str] = {
    nodes.SimpleRNN: "simple_rnn",
    nodes.LSTM: "lstm",
    nodes.GRU: "gru",
}


@dataclass(frozen=True, slots=True)
class Placed:
    """A node with the layer of the file whose arrays it has."""

    node: nodes.Layer
    layer: Foreign


class Chain:
    """The nodes so far, with the shape and the mask for the next one.

    ``masked`` is whether the language has a mask here, ``kept`` whether Keras has: it drops the
    mask at an operation. Once a layer was refused, nothing is ``certain`` of features and masks,
    and what depends on them is not refused as well; the rank is known again behind the next
    recurrent layer.
    """

    def __init__(self, account: Account, found: Sequence[Piece]) -> None:
        self.account = account
        self.placed: list[Placed] = []
        self.input: nodes.Input
        self.shape: nodes.Shape = ()
        self.masked = False
        self.kept = False
        self.padding: float | None = None
        self.certain = True
        self._ranked = True
        self._numbers: Counter[str] = Counter()
        self._pieces = found
        self._drawn = drawn_by(account, self._pieces)
        # The input of the block whose output a sum may be added to, and its first node.
        self._starts: dict[str, str] = {}
        self._recurrent_before: list[nodes.Layer] = []
        self._same: dict[str, str] = {}
        self._masks: dict[str, bool] = {}
        self._before = ""
        self._pending: pieces.Dropout | None = None
        # The nodes whose outputs are zero at padding, and what dropped the mask.
        self._zeros: set[str] = set()
        self._dropped = ""
        self._lacking = False

    def refuse(self, layer: Foreign, message: str) -> None:
        """Record that a layer is in a place that the language lacks."""
        self.account.refuse(layer.name, message, "E704")

    def doubt(self, layer: Foreign, message: str) -> None:
        """Refuse a layer for features or a mask, unless a layer before it was refused."""
        if self.certain:
            self.refuse(layer, message)
        self.certain = False

    def build(self, features: Callable[[Foreign], int | None] | None) -> None:
        """Place every piece; ``features`` tells the number that goes into a layer, by its arrays.

        What does not fit is refused in the account.
        """
        begun = begin(self.account, self._pieces, features)
        if begun is None:
            return
        self.input, self.padding, rest = begun.input, begun.padding, begun.rest
        self.shape, self.masked = begun.input.shape, begun.padding is not None
        self.kept, self.certain, self._ranked = self.masked, begun.certain, begun.certain
        self._before, self._same = begun.before, dict(begun.same)
        self._masks[self._before] = self.masked
        numbers = Counter(type(piece) for piece in rest)
        for piece, after in zip_longest(rest, rest[1:]):
            numbers[type(piece)] -= 1
            if isinstance(piece, pieces.Lacking):
                self.certain, self._ranked, self._lacking = False, False, True
            else:
                self._place(piece, after, {kind for kind, number in numbers.items() if number})
                self._lacking &= isinstance(piece, pieces.Activated | pieces.Dropout)
            self._masks[piece.layer.name] = self.kept
            if piece.layer.name not in self._same:
                self._before = piece.layer.name

    def _name(self, kind: str) -> str:
        self._numbers[kind] += 1
        return f"{kind}_{self._numbers[kind]}"

    def _add(self, node: nodes.Layer, layer: Foreign) -> None:
        self.placed.append(Placed(node, layer))
        self.account.became.append(
            Became(layer.name, layer.kind, f"{node.name} ({type_name(node)})")
        )
        self.shape = node.output
        self._ranked |= isinstance(node, nodes.Recurrent | nodes.Pooling | nodes.Repeat)
        self._pending = None

    def _place(self, piece: pieces.Known, after: Piece | None, later: set[type]) -> None:
        self._take_mask(piece.layer)
        match piece:
            case pieces.Recurrent():
                self._recurrent(piece)
            case pieces.Dropout():
                self._dropout(piece, after, later)
            case pieces.Dense():
                self._dense(piece, later)
            case pieces.Activated():
                self._activation(piece)
            case pieces.Embedding():
                self._embedding(piece)
            case pieces.Pooling() | pieces.LastStep():
                self._pooling(piece)
            case pieces.Repeat():
                self._repeat(piece)
            case pieces.LayerNorm() | pieces.Normalize():
                self._norm(piece)
            case pieces.Add():
                self._residual(piece)
            case pieces.Identity():
                self._drop_mask(piece.layer.name)
            case pieces.Masking() | pieces.Input():
                self.refuse(piece.layer, "expected a mask on the input only, received one inside")
            case _:
                assert_never(piece)

    def _take_mask(self, layer: Foreign) -> None:
        """Find out whether Keras has a mask at a layer: the one it is called with, or none."""
        if layer.operation:
            self._drop_mask(f"the operation {layer.name}")
        elif layer.mask is not None:
            self.kept = True
            if self.padding is None or in_float32(layer.mask) != in_float32(self.padding):
                wanted = "none" if self.padding is None else f"{self.padding!r}"
                received = f"received a mask of {layer.mask!r}"
                self.doubt(layer, f"expected the padding {wanted}, {received}")

    def _drop_mask(self, where: str) -> None:
        if self.kept:
            self.kept, self._dropped = False, where

    def _check_mask(self, layer: Foreign) -> None:
        """Refuse a layer that reads a mask if Keras has none there and the language has one."""
        if self.masked and not self.kept:
            message = (
                f"has no mask, since Keras drops it at {self._dropped}, and the "
                "language keeps it; expected a layer that keeps it, such as keras.layers.Add"
            )
            self.doubt(layer, message)

    def _expect_rank(self, layer: Foreign, rank: int) -> None:
        if len(self.shape) != rank:
            names = {1: "a vector", 2: "a sequence"}
            received = names.get(len(self.shape), "tokens")
            if self._ranked:
                self.refuse(layer, f"expected {names[rank]}, received {received}")
            self.certain = False
            # Any shape of this rank, so that what comes next is looked at too.
            self.shape = (1,) if rank == 1 else (None, 1)

    def _repeat(self, piece: pieces.Repeat) -> None:
        self._expect_rank(piece.layer, 1)
        name = self._name("repeat_vector")
        self._add(nodes.Repeat(name=name, input=self.shape, steps=piece.steps), piece.layer)
        self.masked, self.kept, self.padding = False, False, None

    def _norm(self, piece: pieces.LayerNorm | pieces.Normalize) -> None:
        node: nodes.LayerNorm | nodes.Normalize
        if isinstance(piece, pieces.LayerNorm):
            name = self._name("layer_normalization")
            node = nodes.LayerNorm(name=name, input=self.shape, epsilon=piece.epsilon)
        else:
            self._expect_rank(piece.layer, 1)
            node = nodes.Normalize(name=self._name("unit_normalization"), input=self.shape)
        self._add(node, piece.layer)

    def _embedding(self, piece: pieces.Embedding) -> None:
        if self.placed or not isinstance(self.input, nodes.TokenInput):
            if self.placed or self.certain:
                what = "expected an embedding of the input only, received one inside"
                self.refuse(piece.layer, what)
            self.certain = False
            return
        node = nodes.Embedding(
            name=self._name("embedding"),
            input=self.shape,
            vocabulary=piece.vocabulary,
            dim=piece.dim,
            masked=piece.masked,
            trainable=piece.trainable,
            initializer=piece.initializer or initializers.Uniform(0.05),
            pretrained=None,
        )
        if piece.initializer is None:
            self.account.leave("embeddings_initializer", piece.layer.name)
        self._add(node, piece.layer)

    def _recurrent(self, piece: pieces.Recurrent) -> None:
        self._expect_rank(piece.layer, 2)
        self._check_mask(piece.layer)
        if piece.zeros and self.masked and piece.merge is None:
            what = "zero_output_for_mask"
            if piece.return_sequences:
                self.account.leave(what, piece.layer.name, "changes outputs at padding only")
            else:
                why = "the output of a sequence that ends in padding would be zero"
                message = f"expected False, received True; {why}"
                self.account.refuse(f"{piece.layer.name}.{what}", message, "E703")
        pending = self._pending
        drawn, cell, dropout = self._drawn, piece.cell, piece.dropout
        if isinstance(cell, nodes.LSTM):
            cell = replace(cell, forget_bias=drawn.forget_bias)
        if pending is not None and pending.spatial:
            dropout = pending.rate
        kind = "bidirectional" if piece.merge else _FIRST[type(cell)]
        node = nodes.Recurrent(
            name=self._name(kind),
            input=self.shape,
            cell=cell,
            units=piece.units,
            merge=piece.merge,
            bias=piece.bias,
            dropout=dropout,
            recurrent_dropout=piece.recurrent_dropout,
            masked=self.masked,
            return_sequences=piece.return_sequences,
            kernel_initializer=drawn.kernel,
            recurrent_initializer=drawn.recurrent,
            bias_initializer=drawn.bias,
        )
        self._starts[self._before] = node.name
        self._recurrent_before = [node]
        self._add(node, piece.layer)
        self.kept = self.kept and piece.return_sequences
        if piece.zeros:
            self._zeros.add(node.name)

    def _dropout(self, piece: pieces.Dropout, after: Piece | None, later: set[type]) -> None:
        """Place dropout where the language has it; elsewhere name it, as inference has none."""
        if piece.rate == 0.0:
            self._same[piece.layer.name] = self._before
            self.account.leave("a dropout of rate 0", piece.layer.name, "changes nothing")
            return
        what = f"{piece.layer.kind} {piece.rate:g}"
        before = [*self._recurrent_before, *(each.node for each in self.placed[-1:])]
        if reason := no_place(piece, after, later, before):
            self._same[piece.layer.name] = self._before
            self.account.leave(what, piece.layer.name, f"{reason}; it acts in training only")
            return
        if piece.spatial:
            self._pending = piece
            self._same[piece.layer.name] = self._before
            self.account.became.append(Became(piece.layer.name, piece.layer.kind, "dropout"))
            return
        name = self._name("dropout")
        # A residual starts before the dropout of its block.
        self._starts[self._before] = name
        self._add(nodes.Dropout(name=name, input=self.shape, rate=piece.rate), piece.layer)

    def _dense(self, piece: pieces.Dense, later: set[type]) -> None:
        if later & {pieces.Recurrent, pieces.Repeat}:
            self.refuse(piece.layer, BEFORE)
        drawn = self._drawn
        node = nodes.Dense(
            name=self._name("dense"),
            input=self.shape,
            units=piece.units,
            activation=piece.activation,
            bias=piece.bias,
            kernel_initializer=drawn.kernel,
            bias_initializer=drawn.bias,
        )
        self._add(node, piece.layer)

    def _activation(self, piece: pieces.Activated) -> None:
        if piece.activation == "linear":
            self._same[piece.layer.name] = self._before
            self.account.leave("the activation 'linear'", piece.layer.name, "changes nothing")
            return
        if piece.masks and self.kept and len(self.shape) == 2:
            self.doubt(piece.layer, "applies the mask of the steps to the features")
        if self._lacking:
            return
        last = self.placed[-1] if self.placed else None
        if (
            last is None
            or not isinstance(last.node, nodes.Dense)
            or last.node.activation != "linear"
        ):
            before = self._before or "the input"
            self.refuse(
                piece.layer,
                f"expected a linear dense layer before '{piece.activation}', received {before}: "
                "the language has activations inside layers",
            )
            return
        self.placed[-1] = replace(last, node=replace(last.node, activation=piece.activation))
        key = f"{last.node.name}.activation"
        self.account.became.append(Became(piece.layer.name, piece.layer.kind, key))

    def _pooling(self, piece: pieces.Pooling | pieces.LastStep) -> None:
        self._expect_rank(piece.layer, 2)
        if isinstance(piece, pieces.LastStep):
            self._last_step(piece)
            return
        if self.masked and (piece.statistic == "max" or piece.layer.operation):
            what = "maximum" if piece.statistic == "max" else piece.statistic
            own = f"'pooling: {piece.statistic}' of a masked sequence does not"
            self.doubt(piece.layer, f"the {what} of Keras counts padding, {own}")
        elif piece.statistic == "mean":
            self._check_mask(piece.layer)
        if piece.statistic == "mean" and self.masked:
            self.account.infer(
                "a sequence of padding alone has the mean 0, where Keras has no number",
                piece.layer.name,
            )
        self._add(self._pooled(piece.statistic), piece.layer)
        self.kept = False

    def _pooled(self, statistic: Statistic) -> nodes.Pooling:
        name = self._name(f"{statistic}_pooling")
        return nodes.Pooling(name=name, input=self.shape, statistic=statistic, masked=self.masked)

    def _last_step(self, piece: pieces.LastStep) -> None:
        """Read the last step where it is in the language: right behind the recurrent layers.

        Dense layers and norms act on each step, so it makes no difference whether it is taken
        before them.
        """
        at = len(self.placed)
        while at and isinstance(self.placed[at - 1].node, nodes.Dense | nodes.Dropout):
            at -= 1
        block = at
        while block and isinstance(self.placed[block - 1].node, nodes.LayerNorm):
            block -= 1
        layer = self.placed[block - 1] if block else None
        node = layer.node if layer else None
        if not isinstance(node, nodes.Recurrent | nodes.Residual):
            message = "expected the last step of a recurrent layer, received that of another"
            self.doubt(piece.layer, message)
            return
        simple = isinstance(node, nodes.Recurrent) and node.merge is None
        if self.masked and (not simple or node.name in self._zeros):
            message = "reads the last step, which is padding in a shorter sequence; expected the"
            self.doubt(piece.layer, f"{message} output of a layer with return_sequences=False")
        if simple and isinstance(layer, Placed):
            # At padding the output is that of the last real step, as the state is.
            if self.masked and layer.layer.kind in ("LSTM", "GRU"):
                what = "its last step holds the last real one, where cuDNN on a GPU has zeros"
                self.account.infer(what, layer.layer.name)
            assert isinstance(layer.node, nodes.Recurrent)
            last = replace(layer.node, return_sequences=False)
            self.placed[block - 1] = replace(layer, node=last)
            became, start, shape = f"{last.name}: the last step", block, last.output
        else:
            self.shape = self.placed[at - 1].node.output
            pooled = self._pooled("last_step")
            self.placed.insert(at, Placed(pooled, piece.layer))
            became, start, shape = f"{pooled.name} ({type_name(pooled)})", at + 1, pooled.output
        for n in range(start, len(self.placed)):
            each = self.placed[n]
            self.placed[n] = replace(each, node=replace(each.node, input=shape))
            shape = self.placed[n].node.output
        self.shape, self._pending = shape, None
        self.account.became.append(Became(piece.layer.name, piece.layer.kind, became))

    def _residual(self, piece: pieces.Add) -> None:
        skip = self._same.get(piece.layer.skip, piece.layer.skip)
        start = self._starts.get(skip) if skip else None
        # A block is a dropout, a recurrent layer and a norm.
        block = [each.node for each in self.placed[-3:]]
        while block and block[0].name != start:
            del block[0]
        recurrent = sum(isinstance(each, nodes.Recurrent) for each in block)
        self.kept = self.kept and self._masks.get(skip, False)
        if recurrent == 1:
            self._expect_rank(piece.layer, 2)
        else:
            self.doubt(
                piece.layer,
                f"expected the sum of a recurrent layer and its input, received the output of "
                f"{piece.layer.skip or 'one layer'}",
            )
            return
        if block[0].input != self.shape:
            received = f"received {block[0].input} and {self.shape}"
            self.doubt(piece.layer, f"expected equal shapes, {received}")
            return
        node = nodes.Residual(name=self._name("add"), input=self.shape, start=block[0].name)
        self._add(node, piece.layer)
