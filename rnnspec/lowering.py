"""Spec -> Network: every default resolved, every layer named, every shape known."""

from __future__ import annotations

from collections import Counter
from typing import assert_never

from rnnspec.errors import Problem, SpecError
from rnnspec.ir import nodes
from rnnspec.spec import models
from rnnspec.spec.names import MAX_NAME_LENGTH

Path = tuple[str | int, ...]


def lower(spec: models.Spec) -> nodes.Network:
    """Return the network that ``spec`` describes.

    Raises:
        SpecError: two layers would have the same name.
    """
    chain = _Chain(spec, _input(spec))
    if spec.embedding is not None:
        _embedding(chain, spec.embedding)
    for index, layer in enumerate(spec.rnn):
        _recurrent(chain, index, layer)
    if spec.head is not None:
        _head(chain, spec.head)
    if chain.problems:
        raise SpecError(tuple(chain.problems))
    return nodes.Network(
        name=spec.name,
        description=spec.description,
        input=chain.input,
        layers=tuple(chain.layers),
    )


class _Chain:
    """The layers so far: gives each its name and its input shape, and notes names used twice."""

    def __init__(self, spec: models.Spec, entrance: nodes.Input) -> None:
        self.spec = spec
        self.input = entrance
        self.layers: list[nodes.Layer] = []
        self.problems: list[Problem] = []
        self.shape: nodes.Shape = entrance.shape
        self._numbers: Counter[str] = Counter()
        self._names: set[str] = set()

    def name(self, kind: str, path: Path, given: str | None = None) -> str:
        """Return the name of the next layer of a kind, ``given`` or the kind with its number."""
        self._numbers[kind] += 1
        name = given or f"{kind}_{self._numbers[kind]}"
        if name in self._names:
            self.problems.append(
                self.spec.document.problem(path, f"a layer named '{name}' is there already")
            )
        self._names.add(name)
        return name

    def add(self, layer: nodes.Layer) -> None:
        """Append a layer."""
        self.layers.append(layer)
        self.shape = layer.output


def _input(spec: models.Spec) -> nodes.Input:
    steps = spec.input.length
    if spec.embedding is not None:
        return nodes.TokenInput(steps=steps, vocabulary=spec.embedding.vocabulary)
    assert spec.input.features is not None, "spec.rules has seen to it"
    return nodes.NumericInput(steps=steps, features=spec.input.features)


def _embedding(chain: _Chain, embedding: models.Embedding) -> None:
    chain.add(
        nodes.Embedding(
            name=chain.name("embedding", ("embedding", "name"), embedding.name),
            input=chain.shape,
            vocabulary=embedding.vocabulary,
            dim=embedding.dim,
            trainable=embedding.trainable,
            initializer=_initializer(chain.spec.initializers.embedding),
        )
    )


def _recurrent(chain: _Chain, index: int, layer: models.RecurrentLayer) -> None:
    path: Path = ("rnn", index, "name")
    last = index == len(chain.spec.rnn) - 1
    if layer.name and layer.layers > 1 and len(f"{layer.name}_{layer.layers}") > MAX_NAME_LENGTH:
        message = f"with _1 to _{layer.layers} after it, longer than {MAX_NAME_LENGTH} characters"
        chain.problems.append(chain.spec.document.problem(path, message))
    for number in range(1, layer.layers + 1):
        if layer.dropout and not layer.variational:
            _dropout(chain, layer.dropout, path)
        given = f"{layer.name}_{number}" if layer.name and layer.layers > 1 else layer.name
        chain.add(
            nodes.Recurrent(
                name=chain.name(_kind(layer), path, given),
                input=chain.shape,
                cell=_cell(layer, chain.spec.initializers),
                units=layer.units,
                merge=layer.merge if layer.bidirectional else None,
                bias=layer.bias,
                dropout=layer.dropout if layer.variational else 0.0,
                recurrent_dropout=0.0,
                return_sequences=not (last and number == layer.layers and _takes_last(chain.spec)),
                kernel_initializer=_initializer(chain.spec.initializers.kernel),
                recurrent_initializer=_initializer(chain.spec.initializers.recurrent),
                bias_initializer=_initializer(chain.spec.initializers.bias),
            )
        )


def _takes_last(spec: models.Spec) -> bool:
    return spec.head is not None and spec.head.pooling == "last"


def _kind(layer: models.RecurrentLayer) -> str:
    if layer.bidirectional:
        return "bidirectional"
    match layer:
        case models.SimpleRNN():
            return "simple_rnn"
        case models.LSTM():
            return "lstm"
        case models.GRU():
            return "gru"
        case _:
            assert_never(layer)


def _cell(layer: models.RecurrentLayer, initializers: models.Initializers) -> nodes.Cell:
    match layer:
        case models.SimpleRNN():
            return nodes.SimpleRNN(activation="tanh")
        case models.LSTM():
            return nodes.LSTM(
                activation="tanh",
                recurrent_activation="sigmoid",
                forget_bias=float(initializers.forget_bias),
            )
        case models.GRU():
            return nodes.GRU(
                activation="tanh", recurrent_activation="sigmoid", reset_after=layer.reset_after
            )
        case _:
            assert_never(layer)


def _head(chain: _Chain, head: models.Head) -> None:
    _pooling(chain, head)
    if head.dropout:
        _dropout(chain, head.dropout, ("head", "dropout"))
    for index, hidden in enumerate(head.hidden):
        path: Path = ("head", "hidden", index)
        _dense(chain, path, hidden, units=hidden.units, bias=True)
        if hidden.dropout:
            _dropout(chain, hidden.dropout, (*path, "dropout"))
    if head.units is not None:
        _dense(chain, ("head",), head, units=head.units, bias=head.bias)


def _pooling(chain: _Chain, head: models.Head) -> None:
    match head.pooling:
        case "mean" | "max":
            name = chain.name(f"{head.pooling}_pooling", ("head", "pooling"))
            chain.add(nodes.Pooling(name=name, input=chain.shape, statistic=head.pooling))
        case "last" | "none":
            pass
        case _:
            assert_never(head.pooling)


def _dropout(chain: _Chain, rate: float, path: Path) -> None:
    chain.add(nodes.Dropout(name=chain.name("dropout", path), input=chain.shape, rate=float(rate)))


def _dense(
    chain: _Chain, path: Path, said: models.Head | models.Hidden, *, units: int, bias: bool
) -> None:
    chain.add(
        nodes.Dense(
            name=chain.name("dense", (*path, "name"), said.name),
            input=chain.shape,
            units=units,
            activation=said.activation,
            bias=bias,
            kernel_initializer=_initializer(chain.spec.initializers.kernel),
            bias_initializer=_initializer(chain.spec.initializers.bias),
        )
    )


_WORDS: dict[str, nodes.Initializer] = {
    "glorot_uniform": nodes.GlorotUniform(),
    "he_uniform": nodes.HeUniform(),
    "lecun_uniform": nodes.LecunUniform(),
    "orthogonal": nodes.Orthogonal(),
    "zeros": nodes.Constant(0.0),
    "ones": nodes.Constant(1.0),
}


def _initializer(
    given: str | models.Uniform | models.Normal | models.Constant,
) -> nodes.Initializer:
    match given:
        case str():
            return _WORDS[given]
        case models.Uniform():
            return nodes.Uniform(float(given.uniform))
        case models.Normal():
            return nodes.Normal(float(given.normal))
        case models.Constant():
            return nodes.Constant(float(given.constant))
        case _:
            assert_never(given)
