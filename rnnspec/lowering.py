"""Spec to network: every default resolved, every layer named, every shape known."""

from __future__ import annotations

from collections import Counter
from typing import assert_never

from rnnspec.errors import Problem, SpecError
from rnnspec.ir import initializers, nodes
from rnnspec.ir.params import too_large, too_large_shape
from rnnspec.spec import models
from rnnspec.spec.names import MAX_NAME_LENGTH
from rnnspec.spec.yaml.document import in_file_order

Path = tuple[str | int, ...]
"""The keys and indices that lead to a value of the spec."""


class _Chain:
    """The layers so far, the problems, and the name counters, shape and mask for the next layer."""

    def __init__(self, spec: models.Spec, network_input: nodes.Input) -> None:
        self.spec = spec
        self.input = network_input
        self.layers: list[nodes.Layer] = []
        self.problems: list[Problem] = []
        self.shape: nodes.Shape = network_input.shape
        self.masked = network_input.masked
        self._numbers: Counter[str] = Counter()
        self._names: set[str] = set()
        self._large: set[Path] = set()

    def refuse(self, path: Path, message: str, *, code: str, key: bool = False) -> None:
        """Record a problem with the value at ``path``, or with its key."""
        self.problems.append(self.spec.document.problem(path, message, code=code, key=key))

    def name(self, kind: str, path: Path, declared: str | None = None) -> str:
        """Return the name of the next layer of a kind: as declared, or the kind and its number."""
        # Layers with a declared name count too, so naming one does not rename those after it.
        self._numbers[kind] += 1
        name = declared or f"{kind}_{self._numbers[kind]}"
        if name in self._names:
            self.refuse(path, f"another layer is already named '{name}'", code="E415")
        self._names.add(name)
        return name

    def add(self, layer: nodes.Layer, path: Path | None = None) -> None:
        """Append a layer; ``path`` leads to the size that it is reported at if it is too large."""
        self.layers.append(layer)
        self.shape = layer.output
        # Copies made by 'layers' share a path, and are reported once.
        if path is not None and path not in self._large and (message := too_large(layer)):
            self._large.add(path)
            self.refuse(path, message, code="E417")


def lower(spec: models.Spec) -> nodes.Network:
    """Return the network that ``spec`` describes.

    Raises:
        SpecError: two layers have the same name, a name is too long, a residual adds unequal
            sizes, or an array is too large to address.
    """
    chain = _Chain(spec, _input(spec))
    if message := too_large_shape("one input sequence", chain.shape):
        chain.refuse(("input", "length"), message, code="E417")
    if spec.embedding is not None:
        _embedding(chain, spec.embedding)
    for index, layer in enumerate(spec.rnn):
        _rnn(chain, index, layer)
    if spec.head is not None:
        _head(chain, spec.head)
    if chain.problems:
        raise SpecError(in_file_order(tuple(chain.problems)))
    return nodes.Network(
        name=spec.name,
        description=spec.description,
        input=chain.input,
        layers=tuple(chain.layers),
    )


def _initializer(
    declared: str | models.Uniform | models.Normal | models.Constant,
) -> initializers.Initializer:
    match declared:
        case str():
            return initializers.NAMED[declared]
        case models.Uniform():
            return initializers.Uniform(float(declared.uniform))
        case models.Normal():
            return initializers.Normal(float(declared.normal))
        case models.Constant():
            return initializers.Constant(float(declared.constant))
        case _:
            assert_never(declared)


def _input(spec: models.Spec) -> nodes.Input:
    steps = spec.input.length
    if spec.embedding is not None:
        return nodes.TokenInput(
            steps=steps,
            vocabulary=spec.embedding.vocabulary,
            mask_zero=spec.embedding.mask_zero,
        )
    assert spec.input.features is not None, "spec.rules requires it without an embedding"
    value = spec.input.mask_value
    # 'mask_value: 0' is an integer in the spec.
    return nodes.NumericInput(
        steps=steps,
        features=spec.input.features,
        mask_value=None if value is None else float(value),
    )


def _embedding(chain: _Chain, embedding: models.Embedding) -> None:
    # spec.rules requires both keys or neither.
    pretrained = None
    if embedding.weights is not None and embedding.words is not None:
        pretrained = nodes.Pretrained(weights=embedding.weights, words=embedding.words)
    chain.add(
        nodes.Embedding(
            name=chain.name("embedding", ("embedding", "name"), embedding.name),
            input=chain.shape,
            vocabulary=embedding.vocabulary,
            dim=embedding.dim,
            masked=embedding.mask_zero,
            trainable=embedding.trainable,
            initializer=_initializer(chain.spec.initializers.embedding),
            pretrained=pretrained,
        ),
        ("embedding", "dim"),
    )


def _rnn(chain: _Chain, index: int, layer: models.RecurrentLayer | models.RepeatVector) -> None:
    if isinstance(layer, models.RepeatVector):
        name = chain.name("repeat_vector", ("rnn", index, "name"), layer.name)
        repeat = nodes.Repeat(name=name, input=chain.shape, steps=layer.steps)
        chain.add(repeat, ("rnn", index, "steps"))
        # Every step of a repeat is real, even if the sequence before it was padded.
        chain.masked = False
        return
    # Only the last copy can be the one whose final state is used.
    for number, declared in enumerate(_names_of_copies(chain, index, layer), start=1):
        gives_state = number == layer.layers and chain.spec.gives_state(index)
        _block(chain, index, layer, declared, return_sequences=not gives_state)


def _names_of_copies(chain: _Chain, index: int, layer: models.RecurrentLayer) -> list[str | None]:
    """Return the given name of each copy of a layer, or None."""
    if not layer.name or layer.layers == 1:
        return [layer.name] * layer.layers
    if len(f"{layer.name}_{layer.layers}") > MAX_NAME_LENGTH:
        message = (
            f"expected at most {MAX_NAME_LENGTH} characters including the suffixes _1 to "
            f"_{layer.layers}"
        )
        chain.refuse(("rnn", index, "name"), message, code="E416")
    return [f"{layer.name}_{number}" for number in range(1, layer.layers + 1)]


def _block(
    chain: _Chain,
    index: int,
    layer: models.RecurrentLayer,
    declared: str | None,
    *,
    return_sequences: bool,
) -> None:
    """Add a recurrent layer with its dropout, layer norm and residual."""
    path, first = ("rnn", index), len(chain.layers)
    # A residual starts before the dropout: it adds the input as it was.
    if layer.dropout and not layer.variational:
        _dropout(chain, layer.dropout, (*path, "dropout"))
    name = chain.name(_kind(layer), (*path, "name"), declared)
    recurrent = _recurrent(chain, layer, name, return_sequences=return_sequences)
    chain.add(recurrent, (*path, "units"))
    if layer.layer_norm:
        name = chain.name("layer_normalization", (*path, "layer_norm"))
        norm = layer.layer_norm
        default = nodes.LAYER_NORM_EPSILON
        epsilon = float(norm.epsilon) if isinstance(norm, models.LayerNorm) else default
        chain.add(nodes.LayerNorm(name=name, input=chain.shape, epsilon=epsilon))
    if layer.residual:
        _residual(chain, (*path, "residual"), chain.layers[first])


def _residual(chain: _Chain, path: Path, start: nodes.Layer) -> None:
    """Add the input of ``start``, the first layer of the block, to the output of the block."""
    if chain.shape != start.input:
        received = f"received {start.input[-1]} and {chain.shape[-1]} features"
        message = f"'residual' needs an input and an output of equal size, {received}"
        chain.refuse(path, message, code="E409", key=True)
    # Added even if the sizes differ, so that later problems are found too.
    name = chain.name("add", path)
    chain.add(nodes.Residual(name=name, input=chain.shape, start=start.name))


def _recurrent(
    chain: _Chain, layer: models.RecurrentLayer, name: str, *, return_sequences: bool
) -> nodes.Recurrent:
    return nodes.Recurrent(
        name=name,
        input=chain.shape,
        cell=_cell(layer, float(chain.spec.initializers.forget_bias)),
        units=layer.units,
        merge=layer.merge if layer.bidirectional else None,
        bias=layer.bias,
        # Otherwise it is a layer of its own; see _block.
        dropout=float(layer.dropout) if layer.variational else 0.0,
        recurrent_dropout=float(layer.recurrent_dropout),
        masked=chain.masked,
        return_sequences=return_sequences,
        kernel_initializer=_initializer(chain.spec.initializers.kernel),
        recurrent_initializer=_initializer(chain.spec.initializers.recurrent),
        bias_initializer=_initializer(chain.spec.initializers.bias),
    )


def _kind(layer: models.RecurrentLayer) -> str:
    # The kinds are those of Keras's default names, so that summaries look alike.
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


def _cell(layer: models.RecurrentLayer, forget_bias: float) -> nodes.Cell:
    match layer:
        case models.SimpleRNN():
            return nodes.SimpleRNN(activation=layer.activation)
        case models.LSTM():
            return nodes.LSTM(
                activation=layer.activation,
                recurrent_activation=layer.recurrent_activation,
                forget_bias=forget_bias,
            )
        case models.GRU():
            return nodes.GRU(
                activation=layer.activation,
                recurrent_activation=layer.recurrent_activation,
                reset_after=layer.reset_after,
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
    if head.normalize == "l2":
        name = chain.name("unit_normalization", ("head", "normalize"))
        chain.add(nodes.Normalize(name=name, input=chain.shape))


def _pooling(chain: _Chain, head: models.Head) -> None:
    match head.pooling:
        case "mean" | "max" | "last_step":
            if head.pooling == "last_step" and chain.masked:
                message = (
                    "the last step may be padding, which 'last_step' does not skip; use 'last'"
                )
                chain.refuse(("head", "pooling"), message, code="E419")
            name = chain.name(f"{head.pooling}_pooling", ("head", "pooling"))
            chain.add(
                nodes.Pooling(
                    name=name, input=chain.shape, statistic=head.pooling, masked=chain.masked
                )
            )
        # The last recurrent layer returns its final state or its sequence.
        case "last" | "none":
            pass
        case _:
            assert_never(head.pooling)


def _dropout(chain: _Chain, rate: float, path: Path) -> None:
    chain.add(nodes.Dropout(name=chain.name("dropout", path), input=chain.shape, rate=float(rate)))


def _dense(
    chain: _Chain, path: Path, declared: models.Head | models.Hidden, *, units: int, bias: bool
) -> None:
    chain.add(
        nodes.Dense(
            name=chain.name("dense", (*path, "name"), declared.name),
            input=chain.shape,
            units=units,
            activation=declared.activation,
            bias=bias,
            kernel_initializer=_initializer(chain.spec.initializers.kernel),
            bias_initializer=_initializer(chain.spec.initializers.bias),
        ),
        (*path, "units"),
    )
