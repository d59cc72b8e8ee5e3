"""Network to spec, the inverse of lowering: the plain data of a spec that describes a network.

What the language cannot express of a network of another tool is an error, never approximated.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any, Literal, assert_never

from rnnspec.errors import ModelError, Problem
from rnnspec.ir import initializers, nodes
from rnnspec.ir.params import counts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rnnspec.words import Statistic

Words = dict[str, Any]
Drawn = initializers.Initializer | float

_KINDS: dict[type[nodes.Cell], str] = {
    nodes.SimpleRNN: "simple_rnn",
    nodes.LSTM: "lstm",
    nodes.GRU: "gru",
}
_TYPES = {**_KINDS, nodes.SimpleRNN: "simple"}


def raised(network: nodes.Network, source: str = "", *, placed: bool = True) -> Words:
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
    if given := _input(network.input):
        words["input"] = given
    if isinstance(network.input, nodes.TokenInput):
        words["embedding"] = reader.embedding(network.input)
    layers = _repeated(reader.recurrent())
    words["rnn"] = layers[0] if len(layers) == 1 else layers
    if head := reader.head():
        words["head"] = head
    if given := _initializers(reader, network):
        words["initializers"] = given
    if placed:
        words["expect"] = {"parameters": counts(network).total}
    if reader.problems:
        raise ModelError(tuple(reader.problems))
    return words


def _input(given: nodes.Input) -> Words:
    words: Words = {} if given.steps is None else {"length": given.steps}
    match given:
        case nodes.TokenInput():
            return words
        case nodes.NumericInput():
            words["features"] = given.features
            return words if given.mask_value is None else {**words, "mask_value": given.mask_value}
        case _:
            assert_never(given)


class _Reader:
    """The layers of a network, read from the first to the last."""

    def __init__(self, network: nodes.Network, source: str, *, placed: bool) -> None:
        self.network = network
        self.source = source
        self.placed = placed
        self.problems: list[Problem] = []
        self._layers = network.layers
        self._at = 0
        self._numbers: dict[str, int] = {}

    def refuse(self, layer: str, message: str) -> None:
        """Record why the language cannot express a layer."""
        self.problems.append(Problem(self.source, message, layer, code="E704"))

    def name(self, kind: str, given: str) -> Words:
        """Return the ``name`` key of a layer, or nothing if lowering gives the same name."""
        self._numbers[kind] = self._numbers.get(kind, 0) + 1
        default = f"{kind}_{self._numbers[kind]}"
        return {"name": given} if self.placed and given != default else {}

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

    def embedding(self, given: nodes.TokenInput) -> Words:
        """Read the embedding of tokens."""
        layer = self.take_next(nodes.Embedding)
        if layer is None:
            self.refuse("input", "expected an embedding of the tokens, received none")
            return {}
        words = self.name("embedding", layer.name)
        words |= {"vocabulary": layer.vocabulary, "dim": layer.dim}
        if given.mask_zero:
            words["mask_zero"] = True
        if not layer.trainable:
            words["trainable"] = False
        if layer.pretrained is not None:
            words["weights"] = layer.pretrained.weights
            words["words"] = layer.pretrained.words
        return words

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
                name = self.name("repeat_vector", repeat.name)
                yield {"type": "repeat", **name, "steps": repeat.steps}
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
            words["layer_norm"] = _layer_norm(norm)
        if residual := self.take_next(nodes.Residual):
            if first is None or residual.start != first.name:
                message = f"adds the input of {residual.start}, expected that of the layer before"
                self.refuse(residual.name, message)
            words["residual"] = True
        return words

    def _cell(self, layer: nodes.Recurrent) -> Words:
        cell, kind = layer.cell, "bidirectional" if layer.merge else _KINDS[type(layer.cell)]
        words: Words = {"type": _TYPES[type(cell)], **self.name(kind, layer.name)}
        words["units"] = layer.units
        if layer.merge is not None:
            words |= {"bidirectional": True, **_unless("concat", merge=layer.merge)}
        words |= _unless("tanh", activation=cell.activation)
        if not isinstance(cell, nodes.SimpleRNN):
            words |= _unless("sigmoid", recurrent_activation=cell.recurrent_activation)
        if isinstance(cell, nodes.GRU):
            words |= _unless(True, reset_after=cell.reset_after)
        return words | _unless(True, bias=layer.bias)

    def _dropout(self, layer: nodes.Recurrent, dropout: nodes.Dropout | None) -> Words:
        if dropout and layer.dropout:
            message = f"expected one dropout, received {dropout.name} and that of the layer"
            self.refuse(layer.name, message)
        words: Words = {}
        if dropout:
            words = {"dropout": dropout.rate, "variational": False}
        elif layer.dropout:
            words = {"dropout": layer.dropout}
        return words | _unless(0.0, recurrent_dropout=layer.recurrent_dropout)

    def head(self) -> Words:
        """Read everything after the last recurrent layer."""
        words: Words = {"pooling": self._pooling()}
        if dropout := self.take_next(nodes.Dropout):
            words["dropout"] = dropout.rate
        hidden, output = list[Words](), Words()
        while dense := self.take_next(nodes.Dense):
            after = self.take_next(nodes.Dropout)
            if after is None and not isinstance(self._next(), nodes.Dense):
                output = self._output(dense)
                break
            hidden.append(self._hidden(dense, after))
        words |= ({"hidden": hidden} if hidden else {}) | output
        if self.take_next(nodes.Normalize):
            words["normalize"] = "l2"
        if rest := self._next():
            self.refuse(rest.name, f"{type(rest).__name__} is in a place with no key for it")
        if words == {"pooling": "none"}:
            return {}
        return words if len(words) == 1 or words["pooling"] != "last" else _without(words)

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

    def _output(self, dense: nodes.Dense) -> Words:
        words = {**self.name("dense", dense.name), "units": dense.units}
        words |= _unless("linear", activation=dense.activation)
        return words | _unless(True, bias=dense.bias)

    def _hidden(self, dense: nodes.Dense, dropout: nodes.Dropout | None) -> Words:
        if not dense.bias:
            self.refuse(dense.name, "expected a bias: only the last dense layer has none")
        words = {**self.name("dense", dense.name), "units": dense.units}
        words |= _unless("linear", activation=dense.activation)
        return words | ({"dropout": dropout.rate} if dropout else {})


def _layer_norm(layer: nodes.LayerNorm) -> bool | Words:
    return True if layer.epsilon == nodes.LAYER_NORM_EPSILON else {"epsilon": layer.epsilon}


def _without(words: Words) -> Words:
    return {key: value for key, value in words.items() if key != "pooling"}


def _unless(default: object, **word: Any) -> Words:
    """Return a key with its value, or nothing if it is the default."""
    return {key: value for key, value in word.items() if value != default}


def _repeated(layers: Sequence[Words]) -> list[Words]:
    """Return layers with equal ones that follow each other as one, with ``layers``."""
    found = list[Words]()
    for words, group in groupby(layers):
        number = len(list(group))
        if number == 1 or words["type"] == "repeat" or "name" in words:
            found += [words] * number
        else:
            kind, units, rest = words["type"], words["units"], dict(words)
            found.append({"type": kind, "units": units, "layers": number} | rest)
    return found


def _initializers(reader: _Reader, network: nodes.Network) -> Words:
    """Return the section ``initializers``: one for each role, the same in every layer."""
    words: Words = {}
    for key, default, drawn in _roles(network):
        found = {repr(each): each for each in drawn}
        if len(found) > 1:
            message = f"expected one {key} initializer for the network, received {len(found)}"
            reader.refuse("initializers", message)
        for text, each in found.items():
            if text != repr(default):
                words[key] = _initializer(each)
    return words


def _roles(network: nodes.Network) -> Iterator[tuple[str, Drawn, list[Drawn]]]:
    """Yield each key of the section with its default, and the initializers of the layers."""
    recurrent = [each for each in network.layers if isinstance(each, nodes.Recurrent)]
    dense = [each for each in network.layers if isinstance(each, nodes.Dense)]
    drawn: list[nodes.Recurrent | nodes.Dense] = [*recurrent, *dense]
    biased = [each for each in drawn if each.bias]
    yield "kernel", initializers.GlorotUniform(), [each.kernel_initializer for each in drawn]
    yield "recurrent", initializers.Orthogonal(), [e.recurrent_initializer for e in recurrent]
    yield "bias", initializers.Constant(0.0), [each.bias_initializer for each in biased]
    cells = [each.cell for each in recurrent if each.bias]
    yield "forget_bias", 1.0, [each.forget_bias for each in cells if isinstance(each, nodes.LSTM)]
    embeddings = [each for each in network.layers if isinstance(each, nodes.Embedding)]
    yield "embedding", initializers.Uniform(0.05), [each.initializer for each in embeddings]


def _initializer(given: Drawn) -> str | float | Words:
    match given:
        case float():
            return given
        case initializers.GlorotUniform():
            return "glorot_uniform"
        case initializers.HeUniform():
            return "he_uniform"
        case initializers.LecunUniform():
            return "lecun_uniform"
        case initializers.Orthogonal():
            return "orthogonal"
        case initializers.Uniform(limit):
            return {"uniform": limit}
        case initializers.Normal(stddev):
            return {"normal": stddev}
        case initializers.Constant(value):
            # As text, because -0.0 equals 0.0.
            return {"0.0": "zeros", "1.0": "ones"}.get(str(value)) or {"constant": value}
        case _:
            assert_never(given)
