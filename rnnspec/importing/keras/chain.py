"""Pieces in the order that the language has, as layers that lowering gives their places."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import TYPE_CHECKING, assert_never

from rnnspec.backends.imported import Account, Became
from rnnspec.backends.keras.arrays import Placed
from rnnspec.importing.assemble import assemble
from rnnspec.importing.keras import pieces
from rnnspec.importing.keras.settings import in_float32
from rnnspec.ir import initializers, nodes
from rnnspec.ir.text import type_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rnnspec.backends.keras.arrays import Foreign
    from rnnspec.importing.keras.pieces import Piece
    from rnnspec.ir.initializers import Initializer
    from rnnspec.words import Statistic

    Features = Callable[[Foreign], int | None] | None
    """Tells the number of features that go into a layer, by its arrays."""

BEFORE = "expected dense layers behind the last recurrent layer, received one before it"
_LAYER = "{name} ({type})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """The initializers of the whole network."""

    kernel: Initializer
    recurrent: Initializer
    bias: Initializer
    forget_bias: float


def drawn_by(account: Account, found: Sequence[Piece]) -> Drawn:
    """Return the one initializer of each role; where layers differ, the default of the language."""
    recurrent = [each for each in found if isinstance(each, pieces.Recurrent)]
    drawn: list[pieces.Recurrent | pieces.Dense] = [
        each for each in found if isinstance(each, pieces.Recurrent | pieces.Dense)
    ]
    forget = {e.cell.forget_bias for e in recurrent if isinstance(e.cell, nodes.LSTM) and e.bias}
    (value,) = forget if len(forget) == 1 else (math.nan,)
    if math.isnan(value) and forget:
        account.leave("the initial forget_bias", reason="layers differ, or the language lacks it")
    biased = [each for each in drawn if each.bias]
    return Drawn(
        kernel=_one(account, "kernel", [e.kernel for e in drawn], initializers.GlorotUniform()),
        recurrent=_one(
            account, "recurrent", [e.recurrent for e in recurrent], initializers.Orthogonal()
        ),
        bias=_one(
            account, "bias", [e.bias_initializer for e in biased], initializers.Constant(0.0)
        ),
        forget_bias=1.0 if math.isnan(value) else value,
    )


def _one(
    account: Account, role: str, given: Sequence[Initializer | None], default: Initializer
) -> Initializer:
    first = next(iter(given), default)
    if first is not None and all(each == first for each in given):
        return first
    account.leave(f"{role} initializers", reason="layers differ, or the language lacks one")
    return default


class Chain:
    """The layers so far, with what is known of the input of the next one.

    ``masked`` is whether the language has a mask here, ``kept`` whether Keras has: it drops the
    mask at an operation. Once a layer was refused, nothing is ``certain`` of features and masks,
    and what depends on them is not refused as well; the rank is known again behind the next
    recurrent layer.
    """

    def __init__(self, account: Account, found: Sequence[Piece]) -> None:
        self.account = account
        self.placed: list[Placed] = []
        self.input: nodes.Input
        self._pieces = found
        self._drawn = drawn_by(account, found)
        self._shape: nodes.Shape = ()
        self._masked = False
        self._kept = False
        self._padding: float | None = None
        self._certain = True
        self._ranked = True
        self._lacking = False
        # The last layer of the file that does something, and those before layers that do nothing.
        self._before = ""
        self._same: dict[str, str] = {}
        # By a layer of the file: the first layer of the block behind it, and the shape there.
        self._starts: dict[str, tuple[Placed, nodes.Shape]] = {}
        self._masks: dict[str, bool] = {}
        self._pending: pieces.Dropout | None = None
        # The nodes whose outputs are zero at padding, and what dropped the mask.
        self._zeros: list[nodes.Layer] = []
        self._dropped = ""
        # What each layer of the file became, in words that need the place of a node.
        self._became: list[tuple[Foreign, Placed | None, str]] = []

    def assemble(self, name: str) -> nodes.Network:
        """Return the network of a chain that was built without a problem, its layers placed.

        Raises:
            ModelError: the language cannot express it.
        """
        layers = [each.node for each in self.placed]
        kinds = {each.layer.name: each.layer.kind for each in self.placed}
        network = assemble(self.account, name, self.input, layers, kinds)
        for placed, node in zip(self.placed, network.layers, strict=True):
            placed.node = node
        for layer, became, words in self._became:
            if became is not None:
                words = words.format(name=became.node.name, type=type_name(became.node))  # noqa: PLW2901
            self.account.became.append(Became(layer.name, layer.kind, words))
        return network

    def refuse(self, layer: Foreign, message: str) -> None:
        """Record that a layer is in a place that the language lacks."""
        self.account.refuse(layer.name, message, "E704")

    def doubt(self, layer: Foreign, message: str) -> None:
        """Refuse a layer for features or a mask, unless a layer before it was refused."""
        if self._certain:
            self.refuse(layer, message)
        self._certain = False

    def build(self, features: Features) -> None:
        """Place every piece. What does not fit is refused in the account.

        Without ``features``, the arrays are not looked at.
        """
        rest = list(self._pieces_with_a_place())
        first = self._pieces[0]
        if not rest:
            message = "expected layers behind the input, received none"
            self.account.refuse(first.layer.name, message, "E704")
            return
        rest = self._begin(first, rest, features)
        self._masks[self._before] = self._masked
        numbers = Counter(type(piece) for piece in rest)
        for piece, after in zip_longest(rest, rest[1:]):
            numbers[type(piece)] -= 1
            if isinstance(piece, pieces.Lacking):
                self._certain, self._ranked, self._lacking = False, False, True
            else:
                self._place(piece, after, {kind for kind, number in numbers.items() if number})
                self._lacking &= isinstance(piece, pieces.Activated | pieces.Dropout)
            self._masks[piece.layer.name] = self._kept
            if piece.layer.name not in self._same:
                self._before = piece.layer.name

    def _pieces_with_a_place(self) -> Iterator[Piece]:
        """Yield the pieces that do something, if only to the mask, and note the others."""
        masked, before = False, ""
        for piece in self._pieces:
            if isinstance(piece, pieces.Identity):
                self._same[piece.layer.name] = before
            else:
                before = piece.layer.name
            if isinstance(piece, pieces.Identity) and not (masked and piece.drops):
                continue
            masked |= isinstance(piece, pieces.Masking | pieces.Embedding)
            if not isinstance(piece, pieces.Input):
                yield piece

    def _begin(self, first: Piece, rest: list[Piece], features: Features) -> list[Piece]:
        """Take the input: tokens behind an embedding, or numbers, perhaps with a mask.

        Returns the pieces behind it.
        """
        shape = first.shape if isinstance(first, pieces.Input) else None
        shape = shape or pieces.stated_shape(first.layer)
        if isinstance(first, pieces.Input):
            self._before = first.layer.name
        match rest[0]:
            case pieces.Embedding() as tokens:
                if fits := shape is None or len(shape) == 1:
                    steps = tokens.steps if shape is None else shape[0]
                else:
                    steps = tokens.steps
                    received = f"received {(None, *(shape or ()))}"
                    message = f"expected tokens of shape (batch, steps), {received}"
                    self.account.refuse(tokens.layer.name, message, "E704")
                self.input = nodes.TokenInput(
                    steps=steps, vocabulary=tokens.vocabulary, mask_zero=tokens.masked
                )
                self._padding = 0.0 if tokens.masked else None
                self._certain = fits
            case _:
                if isinstance(masking := rest[0], pieces.Masking):
                    self._padding, self._before = masking.value, masking.layer.name
                    self._became.append((masking.layer, None, "input.mask_value"))
                    rest = rest[1:]
                numbers = self._numbers(rest, shape, features)
                # Before a layer that was refused the input may be anything.
                known = shape is not None or features is not None
                if (
                    numbers is None
                    and known
                    and not isinstance(next(iter(rest), None), pieces.Lacking)
                ):
                    received = "no shape" if shape is None else f"the shape {(None, *shape)}"
                    message = (
                        f"expected an input of shape (batch, steps, features), received {received}"
                    )
                    self.account.refuse(first.layer.name, message, "E704")
                steps, width = numbers or (None, 1)
                self.input = nodes.NumericInput(
                    steps=steps, features=width, mask_value=self._padding
                )
                self._certain = numbers is not None
        self._shape, self._ranked = self.input.shape, self._certain
        self._masked = self._kept = self._padding is not None
        return rest

    def _numbers(
        self, rest: Sequence[Piece], shape: nodes.Shape | None, features: Features
    ) -> tuple[int | None, int] | None:
        """Return the steps and the features of the input, from its shape or the first kernel."""
        match shape:
            case (steps, int(width)):
                return steps, width
            case None | (_, None):
                recurrent = next((p for p in rest if isinstance(p, pieces.Recurrent)), None)
                number = features(recurrent.layer) if recurrent and features else None
                if recurrent is None or number is None:
                    return None
                what = f"input.features {number}, from its kernel"
                self.account.infer(what, recurrent.layer.name)
                return (shape[0] if shape else None), number
            case _:
                return None

    def _add(self, node: nodes.Layer, layer: Foreign) -> Placed:
        placed = Placed(node, layer)
        self.placed.append(placed)
        self._became.append((layer, placed, _LAYER))
        self._shape = replace(node, input=self._shape).output
        self._ranked |= isinstance(node, nodes.Recurrent | nodes.Pooling | nodes.Repeat)
        self._pending = None
        return placed

    def _add_to_block(self, node: nodes.Layer, layer: Foreign) -> None:
        """Append a layer that a residual may start before."""
        before, shape = self._before, self._shape
        self._starts[before] = self._add(node, layer), shape

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
            self._kept = True
            if self._padding is None or in_float32(layer.mask) != in_float32(self._padding):
                wanted = "none" if self._padding is None else f"{self._padding!r}"
                received = f"received a mask of {layer.mask!r}"
                self.doubt(layer, f"expected the padding {wanted}, {received}")

    def _drop_mask(self, where: str) -> None:
        if self._kept:
            self._kept, self._dropped = False, where

    def _check_mask(self, layer: Foreign) -> None:
        """Refuse a layer that reads a mask if Keras has none there and the language has one."""
        if self._masked and not self._kept:
            message = (
                f"has no mask, since Keras drops it at {self._dropped}, and the "
                "language keeps it; expected a layer that keeps it, such as keras.layers.Add"
            )
            self.doubt(layer, message)

    def _expect_rank(self, layer: Foreign, rank: int) -> None:
        if len(self._shape) != rank:
            names = {1: "a vector", 2: "a sequence"}
            received = names.get(len(self._shape), "tokens")
            if self._ranked:
                self.refuse(layer, f"expected {names[rank]}, received {received}")
            self._certain = False
            # Any shape of this rank, so that what comes next is looked at too.
            self._shape = (1,) if rank == 1 else (None, 1)

    def _repeat(self, piece: pieces.Repeat) -> None:
        self._expect_rank(piece.layer, 1)
        self._add(nodes.Repeat(name=piece.layer.name, input=(), steps=piece.steps), piece.layer)
        self._masked, self._kept, self._padding = False, False, None

    def _norm(self, piece: pieces.LayerNorm | pieces.Normalize) -> None:
        name = piece.layer.name
        if isinstance(piece, pieces.LayerNorm):
            self._add(nodes.LayerNorm(name=name, input=(), epsilon=piece.epsilon), piece.layer)
        else:
            self._expect_rank(piece.layer, 1)
            self._add(nodes.Normalize(name=name, input=()), piece.layer)

    def _embedding(self, piece: pieces.Embedding) -> None:
        if self.placed or not isinstance(self.input, nodes.TokenInput):
            if self.placed or self._certain:
                what = "expected an embedding of the input only, received one inside"
                self.refuse(piece.layer, what)
            self._certain = False
            return
        node = nodes.Embedding(
            name=piece.layer.name,
            input=(),
            vocabulary=piece.vocabulary,
            dim=piece.dim,
            masked=False,
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
        if piece.zeros and self._masked and piece.merge is None:
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
        node = nodes.Recurrent(
            name=piece.layer.name,
            input=(),
            cell=cell,
            units=piece.units,
            merge=piece.merge,
            bias=piece.bias,
            dropout=dropout,
            recurrent_dropout=piece.recurrent_dropout,
            masked=False,
            return_sequences=piece.return_sequences,
            kernel_initializer=drawn.kernel,
            recurrent_initializer=drawn.recurrent,
            bias_initializer=drawn.bias,
        )
        self._add_to_block(node, piece.layer)
        self._kept = self._kept and piece.return_sequences
        if piece.zeros:
            self._zeros.append(node)

    def _dropout(self, piece: pieces.Dropout, after: Piece | None, later: set[type]) -> None:
        """Place dropout where the language has it; elsewhere name it, as inference has none."""
        if piece.rate == 0.0:
            self._same[piece.layer.name] = self._before
            self.account.leave("a dropout of rate 0", piece.layer.name, "changes nothing")
            return
        what = f"{piece.layer.kind} {piece.rate:g}"
        if reason := self._no_place(piece, after, later):
            self._same[piece.layer.name] = self._before
            self.account.leave(what, piece.layer.name, f"{reason}; it acts in training only")
            return
        if piece.spatial:
            self._pending = piece
            self._same[piece.layer.name] = self._before
            self._became.append((piece.layer, None, "dropout"))
            return
        node = nodes.Dropout(name=piece.layer.name, input=(), rate=piece.rate)
        self._add_to_block(node, piece.layer)

    def _no_place(self, piece: pieces.Dropout, after: Piece | None, later: set[type]) -> str:
        """Return why the language has no place for a dropout, empty if it has one.

        ``after`` is the next piece, and ``later`` are the types of all that come.
        """
        layers = [placed.node for placed in self.placed]
        if layers and isinstance(layers[-1], nodes.Dropout):
            return "the language has one dropout in a place"
        if isinstance(after, pieces.Recurrent):
            if after.dropout:
                return "the next layer has a dropout of its own"
            if piece.spatial and (after.merge or after.recurrent_dropout):
                return "the language draws a mask for each direction or gate"
            return ""
        if piece.spatial:
            return "the language has it before a layer in one direction"
        if later & {pieces.Recurrent, pieces.Repeat, pieces.Add}:
            return "the language has dropout before a recurrent layer"
        if pieces.Pooling in later:
            return "the language has dropout behind the pooling"
        recurrent = any(isinstance(layer, nodes.Recurrent) for layer in layers)
        return "" if recurrent else "the language has no place for it"

    def _dense(self, piece: pieces.Dense, later: set[type]) -> None:
        if later & {pieces.Recurrent, pieces.Repeat}:
            self.refuse(piece.layer, BEFORE)
        drawn = self._drawn
        node = nodes.Dense(
            name=piece.layer.name,
            input=(),
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
        if piece.masks and self._kept and len(self._shape) == 2:
            self.doubt(piece.layer, "applies the mask of the steps to the features")
        if self._lacking:
            return
        last = self.placed[-1] if self.placed else None
        dense = last.node if last else None
        if last is None or not isinstance(dense, nodes.Dense) or dense.activation != "linear":
            before = self._before or "the input"
            self.refuse(
                piece.layer,
                f"expected a linear dense layer before '{piece.activation}', received {before}: "
                "the language has activations inside layers",
            )
            return
        last.node = replace(dense, activation=piece.activation)
        self._became.append((piece.layer, last, "{name}.activation"))

    def _pooling(self, piece: pieces.Pooling | pieces.LastStep) -> None:
        self._expect_rank(piece.layer, 2)
        if isinstance(piece, pieces.LastStep):
            self._last_step(piece)
            return
        if self._masked and (piece.statistic == "max" or piece.layer.operation):
            what = "maximum" if piece.statistic == "max" else piece.statistic
            own = f"'pooling: {piece.statistic}' of a masked sequence does not"
            self.doubt(piece.layer, f"the {what} of Keras counts padding, {own}")
        elif piece.statistic == "mean":
            self._check_mask(piece.layer)
        if piece.statistic == "mean" and self._masked:
            self.account.infer(
                "a sequence of padding alone has the mean 0, where Keras has no number",
                piece.layer.name,
            )
        self._add(_pooling(piece.layer, piece.statistic), piece.layer)
        self._kept = False

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
        read = self.placed[block - 1] if block else None
        node = read.node if read else None
        if read is None or not isinstance(node, nodes.Recurrent | nodes.Residual):
            message = "expected the last step of a recurrent layer, received that of another"
            self.doubt(piece.layer, message)
            return
        simple = isinstance(node, nodes.Recurrent) and node.merge is None
        if self._masked and (not simple or node in self._zeros):
            message = "reads the last step, which is padding in a shorter sequence; expected the"
            self.doubt(piece.layer, f"{message} output of a layer with return_sequences=False")
        if isinstance(node, nodes.Recurrent) and simple:
            # At padding the output is that of the last real step, as the state is.
            if self._masked and read.layer.kind in ("LSTM", "GRU"):
                what = "its last step holds the last real one, where cuDNN on a GPU has zeros"
                self.account.infer(what, read.layer.name)
            read.node = replace(node, return_sequences=False)
            self._became.append((piece.layer, read, "{name}: the last step"))
        else:
            pooled = Placed(_pooling(piece.layer, "last_step"), piece.layer)
            self.placed.insert(at, pooled)
            self._became.append((piece.layer, pooled, _LAYER))
        self._shape, self._pending = self._shape[-1:], None

    def _residual(self, piece: pieces.Add) -> None:
        skip = self._same.get(piece.layer.skip, piece.layer.skip)
        start, shape = self._starts.get(skip, (None, ())) if skip else (None, ())
        # A block is a dropout, a recurrent layer and a norm.
        block = self.placed[-3:]
        while block and block[0] is not start:
            del block[0]
        recurrent = sum(isinstance(placed.node, nodes.Recurrent) for placed in block)
        self._kept = self._kept and self._masks.get(skip, False)
        if recurrent == 1:
            self._expect_rank(piece.layer, 2)
        else:
            self.doubt(
                piece.layer,
                f"expected the sum of a recurrent layer and its input, received the output of "
                f"{piece.layer.skip or 'one layer'}",
            )
            return
        if shape != self._shape:
            received = f"received {shape} and {self._shape}"
            self.doubt(piece.layer, f"expected equal shapes, {received}")
            return
        name, first = piece.layer.name, block[0].node.name
        self._add(nodes.Residual(name=name, input=(), start=first), piece.layer)


def _pooling(layer: Foreign, statistic: Statistic) -> nodes.Pooling:
    return nodes.Pooling(name=layer.name, input=(), statistic=statistic, masked=False)
