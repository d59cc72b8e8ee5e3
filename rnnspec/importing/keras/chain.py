"""Pieces in the order that the language has, as layers that lowering gives their places."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, assert_never

from rnnspec.backends.imported import Account, Became, show_value
from rnnspec.backends.keras.arrays import Placed
from rnnspec.importing.assemble import assemble, is_layer_name
from rnnspec.importing.keras import pieces
from rnnspec.importing.keras.settings import in_float32
from rnnspec.ir import initializers, nodes
from rnnspec.ir.text import default_kind, type_name

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rnnspec.backends.keras.arrays import Foreign
    from rnnspec.importing.keras.pieces import Piece
    from rnnspec.ir.initializers import Initializer
    from rnnspec.words import WindowPadding

    Features = Callable[[Foreign], int | None] | None
    """Tells the number of features that go into a layer, by its arrays."""

_LAYER = "{name} ({type})"
_SAME = "{name}: the same"


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
    drawn: list[pieces.Recurrent | pieces.Dense | pieces.Conv] = [
        each
        for each in found
        if isinstance(each, pieces.Recurrent | pieces.Dense | pieces.Conv) and not each.layer.tied
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


@dataclass(frozen=True, slots=True)
class _Mask:
    """Whether Keras has a mask beside an output, and what dropped it if not."""

    kept: bool = False
    dropped: str = ""


class Masks:
    """Where Keras has a mask: beside the output of each layer, and at its input."""

    def __init__(self, found: Sequence[Piece]) -> None:
        self.at: dict[str, _Mask] = {}
        self.behind: dict[str, _Mask] = {}
        self.reader = False
        """True if a layer computes something else with its mask than without."""
        self.dropped = ""
        for piece in found:
            name = piece.layer.name
            taken = [self.behind.get(source, _Mask()) for source in piece.layer.inputs]
            own = self.at[name] = _mask_at(piece, taken)
            behind = self.behind[name] = _mask_behind(piece, own)
            self.reader |= own.kept and _reads_mask(piece)
            if own.kept and not behind.kept:
                self.dropped = self.dropped or behind.dropped


def _mask_at(piece: Piece, taken: Sequence[_Mask]) -> _Mask:
    layer = piece.layer
    dropped = next((mask.dropped for mask in taken if mask.dropped), "")
    if layer.operation:
        lost = any(mask.kept for mask in taken)
        return _Mask(dropped=f"the operation {layer.name}" if lost else dropped)
    if layer.mask is not None:
        return _Mask(kept=True)
    either = isinstance(piece, pieces.Add | pieces.Concat) and piece.either
    kept = [mask.kept for mask in taken]
    return _Mask(kept=bool(kept) and (any(kept) if either else all(kept)), dropped=dropped)


def _mask_behind(piece: Piece, own: _Mask) -> _Mask:
    match piece:
        case pieces.Masking() | pieces.Embedding(masked=True):
            return _Mask(kept=True)
        case pieces.Recurrent(return_sequences=True):
            return own
        case pieces.Repeat() | pieces.Input() | pieces.Lacking() | pieces.Recurrent():
            return _Mask()
        case (
            pieces.Conv()
            | pieces.WindowPooling()
            | pieces.ZeroPadding()
            | pieces.Pooling()
            | pieces.LastStep()
            | pieces.LastSteps()
            | pieces.Reshape()
            | pieces.Identity(drops=True)
        ):
            return _Mask(dropped=piece.layer.name) if own.kept else own
        case pieces.Dense() if piece.layer.tied:
            return _Mask(dropped=piece.layer.name) if own.kept else own
        case _:
            return own


def _reads_mask(piece: Piece) -> bool:
    match piece:
        case pieces.Recurrent() | pieces.Activated(masks=True):
            return True
        case pieces.Pooling(statistic=statistic, layer=layer):
            return statistic == "mean" and not layer.operation
        case _:
            return False


@dataclass(frozen=True, slots=True)
class _Output:
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


class Chain:
    """The layers so far, with what is known of their outputs."""

    def __init__(
        self, account: Account, found: Sequence[Piece], outputs: Sequence[tuple[str, str]]
    ) -> None:
        self.account = account
        self.placed: list[Placed] = []
        self.input: nodes.Input
        self._pieces = found
        self._results = outputs
        self._drawn = drawn_by(account, found)
        self._masks = Masks(found)
        self._padding: float | None = None
        self._outputs: dict[str, _Output] = {}
        self._by_name: dict[str, Placed] = {}
        self._readers = Counter(name for piece in found for name in piece.layer.inputs)
        self._readers.update(layer for _, layer in outputs)
        # What each layer of the file became, in words that need the place of a node.
        self._became: list[tuple[Foreign, Placed | None, str]] = []
        self._now = _Output(nodes.INPUT, (), masked=False)
        """The input of the layer that is placed."""

    def assemble(self, name: str) -> nodes.Network:
        """Return the network of a chain that was built without a problem, its layers placed.

        Raises:
            ModelError: the language cannot express it.
        """
        layers = [each.node for each in self.placed]
        kinds = {each.node.name: each.layer.kind for each in self.placed}
        network = assemble(
            self.account, name, self.input, layers, kinds, outputs=self._name_outputs(layers)
        )
        for placed, node in zip(self.placed, network.layers, strict=True):
            placed.node = node
        for layer, became, words in self._became:
            if became is not None:
                words = words.format(name=became.node.name, type=type_name(became.node))  # noqa: PLW2901
            self.account.became.append(Became(layer.name, layer.kind, words))
        return network

    def _name_outputs(self, layers: Sequence[nodes.Layer]) -> tuple[tuple[str, str], ...]:
        """Return the name of each output, and its node; nothing for an output without a name."""
        if not any(name for name, _ in self._results):
            return ()
        kinds = {default_kind(layer) for layer in layers}
        named = dict[str, str]()
        for at, (given, layer) in enumerate(self._results, 1):
            name, (kind, _, number) = given, given.rpartition("_")
            # The language may give such a name to a layer.
            made_up = kind in kinds and number.isdecimal()
            if made_up or name in named or not is_layer_name(name):
                name = f"output_{at}"
                self.account.infer(f"output {at}, {show_value(given)}, is named {name}")
            named[name] = self._outputs[layer].node
        return tuple(named.items())

    def refuse(self, layer: Foreign, message: str) -> None:
        """Record that a layer is in a place that the language lacks."""
        self.account.refuse(layer.name, message, "E704")

    def doubt(self, layer: Foreign, message: str) -> None:
        """Refuse a layer for features or a mask, unless a layer before it was refused."""
        if self._now.certain:
            self.refuse(layer, message)
        self._now = replace(self._now, certain=False)

    def build(self, features: Features) -> None:
        """Place every piece. What does not fit is refused in the account.

        Without ``features``, the arrays are not looked at.
        """
        first, rest = self._pieces[0], list(self._pieces)
        if isinstance(first, pieces.Input):
            rest = rest[1:]
        if not rest:
            message = "expected layers behind the input, received none"
            self.account.refuse(first.layer.name, message, "E704")
            return
        rest = self._begin(first, rest, features)
        start = self._now
        for piece in rest:
            taken = [self._outputs.get(name, start) for name in piece.layer.inputs] or [start]
            self._now = taken[-1]
            self._now = replace(
                self._now,
                certain=all(output.certain for output in taken),
                ranked=all(output.ranked for output in taken),
            )
            if isinstance(piece, pieces.Lacking):
                self._now = replace(self._now, certain=False, ranked=False)
            else:
                self._place(piece, taken)
            self._outputs[piece.layer.name] = self._now
        for _, layer in self._results:
            if output := self._outputs.get(layer):
                self._check_padding(layer, output)

    def _begin(self, first: Piece, rest: list[Piece], features: Features) -> list[Piece]:
        """Take the input: tokens behind an embedding, or numbers, perhaps with a mask.

        Returns the pieces behind it.
        """
        shape = first.shape if isinstance(first, pieces.Input) else None
        shape = shape or pieces.stated_shape(first.layer)
        embedding = next((piece for piece in rest if isinstance(piece, pieces.Embedding)), None)
        before = rest[: rest.index(embedding)] if embedding else rest
        masking = rest[0] if isinstance(rest[0], pieces.Masking) else None
        certain = True
        if embedding and all(isinstance(piece, pieces.Identity) for piece in before):
            certain = shape is None or len(shape) == 1
            steps = embedding.steps if shape is None or not certain else shape[0]
            if not certain:
                received = f"received {(None, *(shape or ()))}"
                message = f"expected tokens of shape (batch, steps), {received}"
                self.account.refuse(embedding.layer.name, message, "E704")
            self._padding = 0.0 if self._uses_mask(embedding, masked=embedding.masked) else None
            masked = self._padding is not None
            self.input = nodes.TokenInput(
                steps=steps, vocabulary=embedding.vocabulary, mask_zero=masked
            )
        else:
            if masking is not None:
                rest = rest[1:]
                used = self._uses_mask(masking, masked=True)
                self._padding = masking.value if used else None
                became = "input.mask_value" if used else "nothing"
                self._became.append((masking.layer, None, became))
                if not used and masking.value != 0.0:
                    message = "sets padding to zero, for layers that have no mask; expected the "
                    self.refuse(masking.layer, f"{message}mask_value 0.0")
            numbers = self._numbers(rest, shape, features)
            # Before a layer that was refused the input may be anything.
            known = shape is not None or features is not None
            if numbers is None and known and not isinstance(next(iter(rest), None), pieces.Lacking):
                received = "no shape" if shape is None else f"the shape {(None, *shape)}"
                message = "expected an input of shape (batch, steps, features)"
                self.account.refuse(first.layer.name, f"{message}, received {received}", "E704")
            steps, width = numbers or (None, 1)
            self.input = nodes.NumericInput(steps=steps, features=width, mask_value=self._padding)
            certain = numbers is not None
        self._now = _Output(
            nodes.INPUT,
            self.input.shape,
            masked=self._padding is not None,
            certain=certain,
            ranked=certain,
            zeros=masking is not None,
        )
        self._outputs[first.layer.name] = self._now
        if masking is not None:
            self._outputs[masking.layer.name] = self._now
        return rest

    def _uses_mask(self, piece: pieces.Masking | pieces.Embedding, *, masked: bool) -> bool:
        """Return whether any layer uses the mask that a layer makes."""
        if masked and not self._masks.reader:
            lost = f", which Keras drops at {self._masks.dropped}" if self._masks.dropped else ""
            self.account.infer(f"no mask, as no layer uses that of Keras{lost}", piece.layer.name)
        return masked and self._masks.reader

    def _numbers(
        self, rest: Sequence[Piece], shape: nodes.Shape | None, features: Features
    ) -> tuple[int | None, int] | None:
        """Return the steps and the features of the input, from its shape or the first kernel."""
        match shape:
            case (steps, int(width)):
                return steps, width
            case None | (_, None):
                first = next((piece for piece in rest if pieces.has_arrays(piece)), None)
                number = features(first.layer) if first and features else None
                if first is None or number is None:
                    return None
                self.account.infer(f"input.features {number}, from its kernel", first.layer.name)
                return (shape[0] if shape else None), number
            case _:
                return None

    def _add(
        self, node: nodes.Layer, layer: Foreign, *, source: str = "", lacks: tuple[str, ...] = ()
    ) -> Placed:
        """Append a node that takes the current input, or ``source``."""
        name = self._unique_name(node.name)
        before = self.placed[-1].node.name if self.placed else nodes.INPUT
        taken = source or self._now.node
        # A join names what it takes.
        joins = isinstance(node, nodes.Concat) or taken == before
        node = replace(node, name=name, source=None if joins else taken)
        placed = Placed(node, layer, lacks)
        self.placed.append(placed)
        self._by_name[name] = placed
        self._became.append((layer, placed, _LAYER))
        shape = replace(node, input=self._now.shape).output
        now = self._now
        self._now = replace(
            now,
            node=name,
            shape=shape,
            masked=now.masked and len(shape) > 1 and not isinstance(node, nodes.Repeat),
            ranked=now.ranked or isinstance(node, nodes.Recurrent | nodes.Pooling | nodes.Repeat),
            zeros=now.zeros and _keeps_zeros(node),
            padding=None,
        )
        return placed

    def _unique_name(self, name: str) -> str:
        """Return a name for the draft that no other node has, and that is not the input's."""
        taken = {nodes.INPUT, *self._by_name}
        return next(
            candidate
            for candidate in (name, *(f"{name}#{n}" for n in range(2, len(taken) + 3)))
            if candidate not in taken
        )

    def _pass(self, layer: Foreign, what: str) -> None:
        """Leave out a layer that changes nothing."""
        self.account.leave(what, layer.name, "changes nothing")

    def _place(  # noqa: PLR0912 - a branch for each kind of piece
        self, piece: pieces.Known, taken: Sequence[_Output]
    ) -> None:
        layer = piece.layer
        if layer.mask is not None and (
            self._padding is None or in_float32(layer.mask) != in_float32(self._padding)
        ):
            wanted = "none" if self._padding is None else f"{self._padding!r}"
            self.doubt(layer, f"expected the padding {wanted}, received a mask of {layer.mask!r}")
        if not isinstance(piece, pieces.Conv | pieces.WindowPooling):
            self._check_padding(layer.name, self._now)
        match piece:
            case pieces.Recurrent():
                self._recurrent(piece)
            case pieces.Conv():
                self._conv(piece)
            case pieces.WindowPooling():
                self._window_pooling(piece)
            case pieces.ZeroPadding():
                self._zero_padding(piece)
            case pieces.Dropout():
                self._dropout(piece)
            case pieces.Dense():
                self._dense(piece)
            case pieces.Activated():
                self._activation(piece)
            case pieces.Embedding():
                self._embedding(piece)
            case pieces.Pooling():
                self._pooling(piece)
            case pieces.LastStep():
                self._last_step(piece)
            case pieces.LastSteps():
                self._last_steps(piece)
            case pieces.Reshape():
                self._reshape(piece)
            case pieces.Repeat():
                self._expect_rank(layer, 1)
                self._add(nodes.Repeat(name=layer.name, input=(), steps=piece.steps), layer)
            case pieces.Norm():
                self._norm(piece)
            case pieces.Normalize():
                self._expect_rank(layer, 1)
                self._add(nodes.Normalize(name=layer.name, input=()), layer)
            case pieces.Add():
                self._residual(piece, taken)
            case pieces.Concat():
                self._concat(piece, taken)
            case pieces.Identity():
                pass
            case pieces.Masking() | pieces.Input():
                self.refuse(layer, "expected a mask on the input only, received one inside")
            case _:
                assert_never(piece)

    def _check_padding(self, name: str, output: _Output) -> None:
        """Refuse zeros that are added before a layer that has no padding of its own."""
        if output.padding is not None:
            layer = output.padding.layer
            message = f"expected a convolution or a pooling of windows behind it, received {name}"
            self.refuse(layer, message)

    def _check_mask(self, layer: Foreign) -> None:
        """Refuse a layer that reads a mask if Keras has none there and the language has one."""
        mask = self._masks.at[layer.name]
        if self._now.masked and not mask.kept:
            message = (
                f"has no mask, since Keras drops it at {mask.dropped}, and the "
                "language keeps it; expected a layer that keeps it, such as keras.layers.Add"
            )
            self.doubt(layer, message)

    def _expect_rank(self, layer: Foreign, rank: int) -> None:
        now = self._now
        if len(now.shape) != rank:
            names = {1: "a vector", 2: "a sequence"}
            received = names.get(len(now.shape), "tokens")
            if now.ranked:
                self.refuse(layer, f"expected {names[rank]}, received {received}")
            # Any shape of this rank, so that what comes next is looked at too.
            shape: nodes.Shape = (1,) if rank == 1 else (None, 1)
            self._now = replace(now, certain=False, shape=shape)

    def _norm(self, piece: pieces.Norm) -> None:
        layer, now = piece.layer, self._now
        match piece.axis:
            case [int(only)] | int(only) if type(only) is int and only in (-1, len(now.shape)):
                pass
            case axis:
                message = f"expected -1 (the features), received {show_value(axis)}"
                if now.ranked:
                    self.account.refuse(f"{layer.name}.axis", message, "E703")
        node: nodes.Layer
        if piece.momentum is None:
            node = nodes.LayerNorm(name=layer.name, input=(), epsilon=piece.epsilon)
        else:
            node = nodes.BatchNorm(
                name=layer.name,
                input=(),
                epsilon=piece.epsilon,
                momentum=piece.momentum,
                masked=False,
            )
            masked = now.masked and len(now.shape) > 1
            kept = self._masks.at[layer.name].kept
            if kept != masked or (masked and piece.counts_padding):
                what = "how padding counts in the statistics of a batch"
                self.account.leave(what, layer.name)
        self._add(node, layer, lacks=piece.lacks)

    def _embedding(self, piece: pieces.Embedding) -> None:
        layer = piece.layer
        if self.placed or not isinstance(self.input, nodes.TokenInput):
            if self.placed or self._now.certain:
                self.refuse(layer, "expected an embedding of the input only, received one inside")
            self._now = replace(self._now, certain=False)
            return
        node = nodes.Embedding(
            name=layer.name,
            input=(),
            vocabulary=piece.vocabulary,
            dim=piece.dim,
            masked=False,
            trainable=piece.trainable,
            initializer=piece.initializer or initializers.Uniform(0.05),
            pretrained=None,
        )
        if piece.initializer is None:
            self.account.leave("embeddings_initializer", layer.name)
        self._add(node, layer)

    def _recurrent(self, piece: pieces.Recurrent) -> None:
        layer = piece.layer
        self._expect_rank(layer, 2)
        self._check_mask(layer)
        if piece.zeros and self._now.masked and piece.merge is None:
            what = "zero_output_for_mask"
            if piece.return_sequences:
                self.account.leave(what, layer.name, "changes outputs at padding only")
            else:
                why = "the output of a sequence that ends in padding would be zero"
                message = f"expected False, received True; {why}"
                self.account.refuse(f"{layer.name}.{what}", message, "E703")
        drawn, cell = self._drawn, piece.cell
        if isinstance(cell, nodes.LSTM):
            cell = replace(cell, forget_bias=drawn.forget_bias)
        node = nodes.Recurrent(
            name=layer.name,
            input=(),
            cell=cell,
            units=piece.units,
            merge=piece.merge,
            bias=piece.bias,
            dropout=piece.dropout,
            recurrent_dropout=piece.recurrent_dropout,
            masked=False,
            return_sequences=piece.return_sequences,
            kernel_initializer=drawn.kernel,
            recurrent_initializer=drawn.recurrent,
            bias_initializer=drawn.bias,
        )
        self._add(node, layer)
        self._now = replace(self._now, zeros=piece.zeros)

    def _conv(self, piece: pieces.Conv) -> None:
        layer, window = piece.layer, piece.window
        self._expect_rank(layer, 2)
        now = self._now
        if now.masked and not now.zeros:
            message = "reads padding, since Keras has no mask here, and the language sets it to"
            self.doubt(layer, f"{message} zero")
        if now.padding is not None:
            window = self._with_zeros(window, now.padding)
        node = nodes.Conv(
            name=layer.name,
            input=(),
            filters=piece.filters,
            window=window,
            activation=piece.activation,
            bias=piece.bias,
            masked=False,
            kernel_initializer=self._drawn.kernel,
            bias_initializer=self._drawn.bias,
        )
        self._check_steps(layer, window)
        self._add(node, layer)

    def _check_steps(self, layer: Foreign, window: nodes.Window) -> None:
        steps = self._now.shape[0]
        if steps is not None and steps < window.least(1):
            message = f"needs at least {window.least(1)} steps, its input has {steps}"
            self.doubt(layer, message)

    def _window_pooling(self, piece: pieces.WindowPooling) -> None:
        layer, window = piece.layer, piece.window
        self._expect_rank(layer, 2)
        now = self._now
        if now.masked:
            self.doubt(layer, "counts padding, since Keras has no mask here; the language does not")
        if now.padding is not None:
            positive = piece.statistic == "max" and self._is_positive(now.node)
            if positive and max(now.padding.before, now.padding.after) < window.size:
                window = self._with_zeros(window, now.padding)
            else:
                message = f"adds zeros that {layer.name} counts; the language counts no padding"
                self.refuse(now.padding.layer, message)
        self._check_steps(layer, window)
        node = nodes.WindowPooling(
            name=layer.name, input=(), statistic=piece.statistic, window=window, masked=False
        )
        self._add(node, layer)

    def _is_positive(self, name: str) -> bool:
        """Return whether a node gives no negative number, so that a zero is no new maximum."""
        placed = self._by_name.get(name)
        activation = getattr(placed.node, "activation", None) if placed else None
        return isinstance(activation, nodes.ClippedRelu) or activation in _POSITIVE

    def _zero_padding(self, piece: pieces.ZeroPadding) -> None:
        self._expect_rank(piece.layer, 2)
        if piece.before == piece.after == 0:
            self._pass(piece.layer, "padding of 0 steps")
        else:
            self._now = replace(self._now, padding=piece)

    def _with_zeros(self, window: nodes.Window, zeros: pieces.ZeroPadding) -> nodes.Window:
        """Return the windows of the language that read the same steps with the zeros around."""
        before, after = zeros.before, zeros.after
        steps = self._now.shape[0]
        for padding in _WITH_ZEROS:
            other = replace(window, padding=padding)
            if window.padding == "valid" and _reads_same(window, other, before, after, steps):
                self._became.append((zeros.layer, None, f"padding: {padding}"))
                return other
        length = "" if window.stride == 1 or steps is not None else " of any length"
        message = f"adds {before} and {after} steps{length}, which is neither 'same' nor 'causal'"
        self.account.refuse(f"{zeros.layer.name}.padding", message, "E703")
        return window

    def _dropout(self, piece: pieces.Dropout) -> None:
        layer = piece.layer
        if piece.rate == 0.0:
            self._pass(layer, "a dropout of rate 0")
            return
        if piece.spatial:
            self._expect_rank(layer, 2)
        node = nodes.Dropout(name=layer.name, input=(), rate=piece.rate, variational=piece.spatial)
        self._add(node, layer)

    def _dense(self, piece: pieces.Dense) -> None:
        layer, tied = piece.layer, None
        if layer.tied:
            tied = self._outputs[layer.tied].node if layer.tied in self._outputs else layer.tied
            embedding = self._by_name.get(tied)
            if embedding and self._now.shape[-1] != getattr(embedding.node, "dim", None):
                message = f"expected {getattr(embedding.node, 'dim', None)} features"
                self.doubt(layer, f"{message}, received {self._now.shape[-1]}")
        node = nodes.Dense(
            name=layer.name,
            input=(),
            units=piece.units,
            activation=piece.activation,
            bias=piece.bias,
            kernel_initializer=self._drawn.kernel,
            bias_initializer=self._drawn.bias,
            tied=tied,
        )
        self._add(node, layer)

    def _activation(self, piece: pieces.Activated) -> None:
        layer, now = piece.layer, self._now
        if piece.activation == "linear":
            self._pass(layer, "the activation 'linear'")
            return
        if piece.masks and self._masks.at[layer.name].kept and len(now.shape) == 2:
            self.doubt(layer, "applies the mask of the steps to the features")
        before = self.placed[-1] if self.placed else None
        node = before.node if before else None
        if (
            before is not None
            and isinstance(node, nodes.Dense | nodes.Conv)
            and node.activation == "linear"
            and node.name == now.node
            and self._is_read_once(piece.layer)
        ):
            before.node = replace(node, activation=piece.activation)
            self._became.append((layer, before, "{name}.activation"))
            self._now = replace(now, zeros=now.zeros and _keeps_zeros(before.node))
            return
        activate = nodes.Activate(name=layer.name, input=(), activation=piece.activation)
        self._add(activate, layer)

    def _is_read_once(self, layer: Foreign) -> bool:
        """Return whether nothing but a layer takes its input."""
        return all(self._readers[name] <= 1 for name in layer.inputs)

    def _pooling(self, piece: pieces.Pooling) -> None:
        layer = piece.layer
        self._expect_rank(layer, 2)
        if self._now.masked and (piece.statistic != "mean" or layer.operation):
            what = "maximum" if piece.statistic == "max" else piece.statistic
            own = f"'pooling: {piece.statistic}' of a masked sequence does not"
            self.doubt(layer, f"the {what} of Keras counts padding, {own}")
        elif piece.statistic == "mean":
            self._check_mask(layer)
        if piece.statistic == "mean" and self._now.masked:
            self.account.infer(
                "a sequence of padding alone has the mean 0, where Keras has no number", layer.name
            )
        node = nodes.Pooling(name=layer.name, input=(), statistic=piece.statistic, masked=False)
        self._add(node, layer)

    def _last_step(self, piece: pieces.LastStep) -> None:
        """Read the last step, by the state of a recurrent layer if that is the same.

        Layers at each step make no difference, so it makes none whether it is taken before them.
        """
        layer = piece.layer
        self._expect_rank(layer, 2)
        recurrent, once = self._find_recurrent(layer)
        node = recurrent.node if recurrent else None
        is_simple = isinstance(node, nodes.Recurrent) and node.merge is None
        simple = recurrent if is_simple else None
        zeros = simple is not None and self._outputs[simple.layer.name].zeros
        if self._now.masked and (simple is None or zeros):
            message = "reads the last step, which is padding in a shorter sequence; expected the"
            self.doubt(layer, f"{message} output of a layer with return_sequences=False")
            return
        # At padding the output is that of the last real step, as the state is.
        if simple is not None and self._now.masked and simple.layer.kind in ("LSTM", "GRU"):
            what = "its last step holds the last real one, where cuDNN on a GPU has zeros"
            self.account.infer(what, simple.layer.name)
        if simple is not None and isinstance(simple.node, nodes.Recurrent) and once:
            simple.node = replace(simple.node, return_sequences=False)
            self._became.append((layer, simple, "{name}: the last step"))
            self._now = replace(self._now, shape=self._now.shape[-1:], masked=False)
            return
        direct = simple is not None and simple.node.name == self._now.node
        if self._now.masked and not direct:
            message = "expected the last step of a recurrent layer, received that of another"
            self.doubt(layer, message)
        self._add(
            nodes.Pooling(
                name=layer.name,
                input=(),
                statistic="last" if self._now.masked else "last_step",
                masked=False,
            ),
            layer,
        )

    def _find_recurrent(self, layer: Foreign) -> tuple[Placed | None, bool]:
        """Return the recurrent layer behind layers at each step, and whether nothing else reads."""
        by_layer = {piece.layer.name: piece for piece in self._pieces}
        once = True
        while len(layer.inputs) == 1 and (piece := by_layer.get(layer.inputs[0])):
            once = once and self._readers[piece.layer.name] == 1
            match piece:
                case pieces.Recurrent():
                    return self._by_name.get(self._outputs[piece.layer.name].node), once
                case pieces.Dropout(spatial=True):
                    return None, False
                case (
                    pieces.Dense()
                    | pieces.Dropout()
                    | pieces.Activated()
                    | pieces.Identity()
                    | pieces.Norm(momentum=None)
                ):
                    layer = piece.layer
                case _:
                    return None, False
        return None, False

    def _last_steps(self, piece: pieces.LastSteps) -> None:
        layer = piece.layer
        self._expect_rank(layer, 2)
        if self._now.masked:
            self.doubt(layer, "reads the last steps, which are padding in a shorter sequence")
        self._add(nodes.LastSteps(name=layer.name, input=(), count=piece.count), layer)

    def _reshape(self, piece: pieces.Reshape) -> None:
        """Read a change of shape as one that the language has a word for."""
        layer, now = piece.layer, self._now
        shape = now.shape
        known = None not in shape
        size = math.prod(length or 0 for length in shape)
        wanted = piece.shape if piece.shape is not None else (size if known else -1,)
        free = -math.prod(wanted)
        if known and wanted.count(-1) == 1 and free and size % free == 0:
            wanted = tuple(size // free if length == -1 else length for length in wanted)
        if wanted == shape or (wanted[:1] == (-1,) and wanted[1:] == shape[1:] and len(shape) > 1):
            self._pass(layer, layer.kind)
        elif len(shape) == 2 and len(wanted) == 1:
            if now.masked:
                message = "puts padding among the features; the language has no word for it"
                self.doubt(layer, message)
            if shape[0] is None:
                self.doubt(layer, "needs a fixed number of steps, received sequences of any length")
                self._now = replace(now, shape=(1,), masked=False)
            else:
                self._add(nodes.Flatten(name=layer.name, input=()), layer)
        elif len(shape) == 1 and wanted == (1, *shape):
            self._add(nodes.Repeat(name=layer.name, input=(), steps=1), layer)
        elif now.certain:
            message = f"expected the same shape or a vector, received {wanted} for {shape}"
            self.account.refuse(f"{layer.name}.target_shape", message, "E703")
            self._now = replace(now, certain=False, ranked=False)

    def _residual(self, piece: pieces.Add, taken: Sequence[_Output]) -> None:
        layer = piece.layer
        # A block is a dropout, a recurrent layer and a norm.
        kinds = [(nodes.LayerNorm,), (nodes.Recurrent,), (nodes.Dropout,)]
        block, at = list[Placed](), len(self.placed)
        for kind in kinds:
            node = self.placed[at - 1].node if at else None
            if isinstance(node, kind) and not (
                isinstance(node, nodes.Dropout) and node.variational
            ):
                at -= 1
                block.insert(0, self.placed[at])
        end = self.placed[-1].node.name if self.placed else ""
        others = [output for output in taken if output.node != end]
        starts = [
            each
            for each in block
            if isinstance(each.node, nodes.Recurrent | nodes.Dropout)
            and [self._source(each)] == [output.node for output in others]
        ]
        recurrent = any(isinstance(each.node, nodes.Recurrent) for each in block)
        if not starts or not recurrent or len(taken) != 2:
            names = [
                name
                for name, output in zip(layer.inputs, taken, strict=False)
                if output.node != end
            ]
            received = " and ".join(names) or "one layer"
            self.doubt(
                layer,
                "expected the sum of a recurrent layer and its input, received the output of "
                f"{received}",
            )
            return
        result = next(output for output in taken if output.node == end)
        if others[0].shape != result.shape:
            received = f"received {others[0].shape} and {result.shape}"
            self.doubt(layer, f"expected equal shapes, {received}")
            return
        self._now = replace(result, zeros=result.zeros and others[0].zeros)
        self._expect_rank(layer, 2)
        start = starts[0].node.name
        self._add(nodes.Residual(name=layer.name, input=(), start=start), layer)

    def _source(self, placed: Placed) -> str:
        """Return the name of the node that a node takes."""
        at = self.placed.index(placed)
        before = self.placed[at - 1].node.name if at else nodes.INPUT
        return placed.node.source or before

    def _concat(self, piece: pieces.Concat, taken: Sequence[_Output]) -> None:
        layer, rank = piece.layer, len(taken[0].shape)
        if any(len(output.shape) != rank for output in taken):
            self.doubt(layer, "expected vectors, or sequences, received both")
            return
        if piece.axis not in (-1, rank) or isinstance(piece.axis, bool):
            message = f"expected -1 (the features), received {show_value(piece.axis)}"
            self.account.refuse(f"{layer.name}.axis", message, "E703")
        if len(taken) == 1:
            self._pass(layer, "a join of one layer")
            return
        if len({output.masked for output in taken}) > 1:
            self.doubt(layer, "joins a sequence with a mask and one without")
        zeros = all(output.zeros for output in taken)
        for output in taken:
            self._check_padding(layer.name, output)
        self._now = replace(self._now, shape=taken[0].shape, zeros=zeros)
        node = nodes.Concat(
            name=layer.name,
            input=taken[0].shape,
            of=tuple(output.node for output in taken),
            inputs=tuple(output.shape for output in taken),
        )
        self._add(node, layer)


_WITH_ZEROS: tuple[WindowPadding, ...] = ("causal", "same")
_POSITIVE = ("relu", "sigmoid", "hard_sigmoid", "legacy_hard_sigmoid", "softmax", "softplus",
             "exponential")  # fmt: skip
_ZERO_AT_ZERO = ("linear", "relu", "tanh", "softsign", "elu", "selu", "silu")


def _keeps_zeros(node: nodes.Layer) -> bool:
    """Return whether zeros at padding stay zeros."""
    match node:
        case nodes.Activate(activation=nodes.LeakyRelu() | nodes.ClippedRelu()):
            return True
        case nodes.Activate(activation=activation):
            return activation in _ZERO_AT_ZERO
        case _:
            return isinstance(node, nodes.Dropout | nodes.Residual | nodes.Concat)


def _reads_same(
    valid: nodes.Window, other: nodes.Window, before: int, after: int, steps: int | None
) -> bool:
    """Return whether windows read what ``valid`` ones do with zeros before and after the steps."""
    if steps is not None:
        windows = valid.count(before + steps + after)
        return other.added(steps)[0] == before and other.count(steps) == windows
    # Sequences of any length have as many windows only if nothing is left at their end.
    if other.padding == "same" and valid.stride > 1:
        return False
    return other.added(max(valid.reach, 1)) == (before, after)
