"""Network to spec, the inverse of lowering: the plain data of a spec that describes a network.

What the language cannot express of a network of another tool is an error, never approximated.
"""

from __future__ import annotations

from collections import Counter
from itertools import groupby
from typing import TYPE_CHECKING, Any, Literal, assert_never

from rnnspec.errors import ModelError, Problem
from rnnspec.ir import initializers, nodes
from rnnspec.ir.params import counts
from rnnspec.ir.text import default_kind
from rnnspec.spec import models

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rnnspec.words import Statistic

Words = dict[str, Any]
Drawn = initializers.Initializer | float


def raise_spec(network: nodes.Network, source: str = "", *, placed: bool = True) -> Words:
    """Return the spec of ``network`` as plain data for ``spec.write.dump``.

    Keys at their default are left out, and so are names that lowering gives by itself.

    Args:
        network: the network; its masks, residuals and shapes must be those that lowering makes,
            which lowering the result again shows.
        source: the file that the network comes from, for errors.
        placed: whether its layers have names and shapes that lowering makes; otherwise their names
            are left out, and so is the number of parameters.

    Raises:
        ModelError: the language cannot express an arrangement or an initializer of the network;
            every reason is listed.
    """
    reader = _Reader(network, source or network.name, placed=placed)
    words: Words = {"version": 1, "name": network.name}
    if network.description:
        words["description"] = network.description
    if section := _input(network.input):
        words["input"] = section
    if isinstance(network.input, nodes.TokenInput):
        words["embedding"] = reader.embedding(network.input)
    layers = _with_copies(reader.recurrent())
    words["rnn"] = layers[0] if len(layers) == 1 else layers
    if head := reader.head():
        words["head"] = head
    if section := _initializers(reader, network):
        words["initializers"] = section
    if placed:
        words["expect"] = {"parameters": counts(network).total}
    if reader.problems:
        raise ModelError(tuple(reader.problems))
    return words


def _input(network_input: nodes.Input) -> Words:
    words = _without_defaults(models.Input, length=network_input.steps)
    match network_input:
        case nodes.TokenInput():
            return words
        case nodes.NumericInput(features=features, mask_value=value):
            return words | _without_defaults(models.Input, features=features, mask_value=value)
        case _:
            assert_never(network_input)


def _without_defaults(model: type[models.Model], **words: Any) -> Words:
    """Return keys with their values, without those at the default of the ``model``."""
    fields = model.model_fields
    return {key: value for key, value in words.items() if value != fields[key].default}


class _Reader:
    """The layers of a network, read from the first to the last."""

    def __init__(self, network: nodes.Network, source: str, *, placed: bool) -> None:
        self.network = network
        self.source = source
        self.placed = placed
        self.problems: list[Problem] = []
        self._layers = network.layers
        self._at = 0
        self._numbers: Counter[str] = Counter()

    def refuse(self, layer: str, message: str) -> None:
        """Record why the language cannot express a layer."""
        self.problems.append(Problem(self.source, message, layer, code="E704"))

    def name(self, layer: nodes.Layer) -> Words:
        """Return the ``name`` key of a layer, or nothing if lowering gives the same name."""
        kind = default_kind(layer)
        self._numbers[kind] += 1
        default = f"{kind}_{self._numbers[kind]}"
        return {"name": layer.name} if self.placed and layer.name != default else {}

    def take_next(self, *kinds: type[nodes.Layer]) -> Any:
        """Return the next layer and step over it, or None if it is of none of these kinds."""
        layer = self._next()
        if not isinstance(layer, kinds):
            return None
        self._at += 1
        return layer

    def _next(self, ahead: int = 0) -> nodes.Layer | None:
        at = self._at + ahead
        return self._layers[at] if at < len(self._layers) else None

    def embedding(self, tokens: nodes.TokenInput) -> Words:
        """Read the embedding of tokens."""
        layer: nodes.Embedding | None = self.take_next(nodes.Embedding)
        if layer is None:
            self.refuse("input", "expected an embedding of the tokens, received none")
            return {}
        files = layer.pretrained
        return self.name(layer) | _without_defaults(
            models.Embedding,
            vocabulary=layer.vocabulary,
            dim=layer.dim,
            mask_zero=tokens.mask_zero,
            trainable=layer.trainable,
            weights=files and files.weights,
            words=files and files.words,
        )

    def recurrent(self) -> list[Words]:
        """Read the recurrent layers and repeats, up to the head."""
        layers = list(self._recurrent())
        if not layers:
            first = self._next()
            name = first.name if first else "network"
            self.refuse(name, "expected a recurrent layer first, received none")
            # Without one, nothing behind it has a place.
            raise ModelError(tuple(self.problems))
        return layers

    def _recurrent(self) -> Iterator[Words]:
        while True:
            if repeat := self.take_next(nodes.Repeat):
                yield {"type": "repeat", **self.name(repeat), "steps": repeat.steps}
            elif isinstance(self._next(), nodes.Recurrent):
                yield self._block(None)
            elif isinstance(self._next(), nodes.Dropout) and isinstance(
                self._next(1), nodes.Recurrent
            ):
                yield self._block(self.take_next(nodes.Dropout))
            else:
                return

    def _block(self, dropout: nodes.Dropout | None) -> Words:
        """Read a recurrent layer with its dropout, layer norm and residual."""
        first = dropout or self._next()
        layer: nodes.Recurrent = self.take_next(nodes.Recurrent)
        words = {**self._cell(layer), **self._dropout(layer, dropout)}
        if norm := self.take_next(nodes.LayerNorm):
            usual = norm.epsilon == nodes.LAYER_NORM_EPSILON
            words["layer_norm"] = True if usual else {"epsilon": norm.epsilon}
        if residual := self.take_next(nodes.Residual):
            if first is None or residual.start != first.name:
                message = f"adds the input of {residual.start}, expected that of the layer before"
                self.refuse(residual.name, message)
            words["residual"] = True
        return words

    def _cell(self, layer: nodes.Recurrent) -> Words:
        cell = layer.cell
        kind = nodes.cell_type(cell)
        words: Words = {"type": kind, **self.name(layer), "units": layer.units}
        if layer.merge is not None:
            words |= {
                "bidirectional": True,
                **_without_defaults(models.KINDS[kind], merge=layer.merge),
            }
        words |= _without_defaults(models.KINDS[kind], activation=cell.activation)
        if not isinstance(cell, nodes.SimpleRNN):
            gates = cell.recurrent_activation
            words |= _without_defaults(models.KINDS[kind], recurrent_activation=gates)
        if isinstance(cell, nodes.GRU):
            words |= _without_defaults(models.GRU, reset_after=cell.reset_after)
        return words | _without_defaults(models.KINDS[kind], bias=layer.bias)

    def _dropout(self, layer: nodes.Recurrent, dropout: nodes.Dropout | None) -> Words:
        if dropout and layer.dropout:
            message = f"expected one dropout, received {dropout.name} and that of the layer"
            self.refuse(layer.name, message)
        words: Words = {}
        if dropout:
            words = {"dropout": dropout.rate, "variational": False}
        elif layer.dropout:
            words = {"dropout": layer.dropout}
        return words | _without_defaults(models.LSTM, recurrent_dropout=layer.recurrent_dropout)

    def head(self) -> Words:
        """Read everything after the last recurrent layer."""
        words: Words = {"pooling": self._pooling()}
        if dropout := self.take_next(nodes.Dropout):
            words["dropout"] = dropout.rate
        hidden, output = list[Words](), Words()
        while dense := self.take_next(nodes.Dense):
            after = self.take_next(nodes.Dropout)
            if after is None and not isinstance(self._next(), nodes.Dense):
                output = {**self.name(dense), "units": dense.units} | _without_defaults(
                    models.Head, activation=dense.activation, bias=dense.bias
                )
                break
            if not dense.bias:
                self.refuse(dense.name, "expected a bias: only the last dense layer has none")
            own = {**self.name(dense), "units": dense.units}
            own |= _without_defaults(models.Hidden, activation=dense.activation)
            hidden.append(own | ({"dropout": after.rate} if after else {}))
        words |= ({"hidden": hidden} if hidden else {}) | output
        if self.take_next(nodes.Normalize):
            words["normalize"] = "l2"
        if rest := self._next():
            self.refuse(rest.name, f"{type(rest).__name__} is in a place with no key for it")
        if words == {"pooling": "none"}:
            return {}
        # The default, but a head needs a key.
        if words["pooling"] == "last" and len(words) > 1:
            del words["pooling"]
        return words

    def _pooling(self) -> Literal["last", Statistic, "none"]:
        pooling = self.take_next(nodes.Pooling)
        if pooling is not None:
            statistic: Statistic = pooling.statistic
            return statistic
        state = [
            isinstance(layer, nodes.Recurrent) and not layer.return_sequences
            for layer in self._layers[: self._at]
            if isinstance(layer, nodes.Recurrent | nodes.Repeat)
        ]
        return "last" if state[-1] else "none"


def _with_copies(layers: Sequence[Words]) -> list[Words]:
    """Return layers with equal ones that follow each other as one, with ``layers``."""
    merged = list[Words]()
    for words, group in groupby(layers):
        number = len(list(group))
        if number == 1 or words["type"] == "repeat" or "name" in words:
            merged += [words] * number
        else:
            kind, units, rest = words["type"], words["units"], dict(words)
            merged.append({"type": kind, "units": units, "layers": number} | rest)
    return merged


def _initializers(reader: _Reader, network: nodes.Network) -> Words:
    """Return the section ``initializers``: one for each role, the same in every layer."""
    words: Words = {}
    for key, default, drawn in _roles(network):
        # By their text, because -0.0 equals 0.0.
        different = {repr(source): source for source in drawn}
        if len(different) > 1:
            message = f"expected one {key} initializer for the network, received {len(different)}"
            reader.refuse("initializers", message)
        for text, source in different.items():
            if text != repr(default):
                words[key] = source if isinstance(source, float) else initializers.in_words(source)
    return words


def _roles(network: nodes.Network) -> Iterator[tuple[str, Drawn, list[Drawn]]]:
    """Yield each key of the section with its default, and the initializers of the layers."""
    recurrent = [layer for layer in network.layers if isinstance(layer, nodes.Recurrent)]
    dense = [layer for layer in network.layers if isinstance(layer, nodes.Dense)]
    drawn: list[nodes.Recurrent | nodes.Dense] = [*recurrent, *dense]
    yield "kernel", initializers.GlorotUniform(), [layer.kernel_initializer for layer in drawn]
    recurrent_kernels = [layer.recurrent_initializer for layer in recurrent]
    yield "recurrent", initializers.Orthogonal(), list(recurrent_kernels)
    biases = [layer.bias_initializer for layer in drawn if layer.bias]
    yield "bias", initializers.Constant(0.0), list(biases)
    cells = [layer.cell for layer in recurrent if layer.bias]
    yield "forget_bias", 1.0, [cell.forget_bias for cell in cells if isinstance(cell, nodes.LSTM)]
    embeddings = [layer for layer in network.layers if isinstance(layer, nodes.Embedding)]
    yield "embedding", initializers.Uniform(0.05), [layer.initializer for layer in embeddings]
