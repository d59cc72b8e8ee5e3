"""Network to spec, the inverse of lowering: the plain data of a spec that describes a network.

What a spec cannot express of a network of another tool is an error, never approximated.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import fields
from itertools import groupby
from typing import TYPE_CHECKING, Any, assert_never, get_args

from rnnspec.cells import write_cell
from rnnspec.errors import ModelError, Problem
from rnnspec.ir import initializers, nodes
from rnnspec.ir.params import counts
from rnnspec.ir.text import default_kind
from rnnspec.lowering import BY_KEYS
from rnnspec.spec import models

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

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
        ModelError: a spec cannot express an arrangement or an initializer of the network;
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
    layers = _with_copies(reader.stack(), reader.cells)
    if reader.cells:
        words["cells"] = reader.cells
    words["rnn"] = layers[0] if len(layers) == 1 else layers
    if network.outputs:
        words["heads"] = reader.heads()
    elif head := reader.head():
        # Without it, the output has the same steps.
        words |= {} if head == {"pooling": "none"} else {"head": head}
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
        self._end = len(network.layers)
        """The index behind the last layer of the stack, or of the head that is read."""
        self._joined = nodes.kept_outputs(network)
        self._types, self.cells = _name_cells(network)
        numbers: Counter[str] = Counter()
        self._defaults: dict[str, str] = {}
        for layer in network.layers:
            kind = default_kind(layer)
            if isinstance(layer, nodes.Recurrent) and layer.merge is None:
                kind = self._types.get(layer.name, kind)
            numbers[kind] += 1
            self._defaults[layer.name] = f"{kind}_{numbers[kind]}"

    def refuse(self, layer: str, message: str) -> None:
        """Record why a spec cannot express a layer."""
        self.problems.append(Problem(self.source, message, layer, code="E704"))

    def name(self, layer: nodes.Layer) -> Words:
        """Return the ``name`` key of a layer, or nothing if lowering gives the same name."""
        return {} if self._has_default_name(layer) else {"name": layer.name}

    def _has_default_name(self, layer: nodes.Layer) -> bool:
        return not self.placed or layer.name == self._defaults[layer.name]

    def take_next(self, *kinds: type[nodes.Layer]) -> Any:
        """Return the next layer and step over it, or None if it is of none of these kinds."""
        layer = self._next()
        if not isinstance(layer, kinds):
            return None
        self._at += 1
        return layer

    def _next(self, ahead: int = 0) -> nodes.Layer | None:
        at = self._at + ahead
        return self._layers[at] if at < self._end else None

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

    def stack(self) -> list[Words]:
        """Read the layers up to the head."""
        end = self._end_of_stack()
        layers = list[Words]()
        while self._at < end:
            layers.append(self._item())
        recurrent = (*models.RECURRENT, *self.cells)
        if not any(words.get("type") in recurrent for words in layers):
            first = self._next()
            name = first.name if first else self._layers[-1].name
            self.refuse(name, "expected a recurrent layer first, received none")
            # Without one, nothing behind it has a place.
            raise ModelError(tuple(self.problems))
        return layers

    def _end_of_stack(self) -> int:
        """Return the index of the first layer of the head.

        Several heads or poolings take the same layer. Otherwise it is the first layer that pools,
        or without one, it is behind the last layer that does not compute each step by itself.
        """
        by_name = {layer.name: index for index, layer in enumerate(self._layers)}
        for layer in self._layers:
            if layer.source is not None:
                return by_name[layer.source] + 1
        results = {by_name[layer] for _, layer in self.network.outputs}
        if len(results) > 1:
            # The layers of a second head would have a source: the first output is the stack's.
            return min(results) + 1
        pools = (nodes.Pooling, nodes.Attention, nodes.Flatten, nodes.LastSteps)
        end = self._at
        for index, layer in enumerate(self._layers):
            if isinstance(layer, pools):
                return index
            if isinstance(layer, nodes.Normalize):
                continue
            if not isinstance(layer, _POINTWISE) or self._is_in_block(index):
                end = index + 1
        return end

    def _is_in_block(self, index: int) -> bool:
        """True if a key of the recurrent layer before a norm can say it."""
        layer = self._layers[index] if index < len(self._layers) else None
        before = self._layers[index - 1]
        return (
            isinstance(layer, nodes.LayerNorm)
            and isinstance(before, nodes.Recurrent)
            # A join that names a block takes what is behind its norm.
            and before.name not in self._joined
            and self._has_default_name(layer)
        )

    def _item(self) -> Words:
        """Read one item of ``rnn``."""
        dropout, layer = None, self._next()
        if isinstance(layer, nodes.Dropout) and self._is_of_block(layer):
            dropout, layer = self.take_next(nodes.Dropout), self._next()
        if isinstance(layer, nodes.Recurrent):
            return self._block(dropout)
        self._at += 1
        match layer:
            case nodes.Conv():
                return {"type": "conv", **self.name(layer), **self._conv(layer)}
            case nodes.WindowPooling(window=window, statistic=statistic):
                stride = None if window.stride == window.size else window.stride
                keys = {"type": f"{statistic}_pool", **self.name(layer), "size": window.size}
                model = models.MaxPool
                return keys | _without_defaults(model, stride=stride, padding=window.padding)
            case nodes.Join():
                defaults = self._defaults if not self.placed else {}
                of = [defaults.get(name, name) for name in layer.of]
                return {"type": "concat", **self.name(layer), "of": of}
            case _:
                assert layer is not None, "the caller has not reached the end"
                if isinstance(layer, tuple(BY_KEYS.values())):
                    return self._keys(layer)
                self.refuse(layer.name, f"{type(layer).__name__} is in a place with no key for it")
                return {}

    def _is_of_block(self, dropout: nodes.Dropout) -> bool:
        """True if ``dropout`` is a key of the recurrent layer behind it."""
        layer = self._next(1)
        if not isinstance(layer, nodes.Recurrent) or layer.dropout or not self._is_key(dropout):
            return False
        behind = [self._next(ahead) for ahead in (2, 3)]
        starts = [node.start for node in behind if isinstance(node, nodes.Residual)]
        # A residual begins with its block.
        return starts[:1] != [layer.name]

    def _conv(self, layer: nodes.Conv) -> Words:
        window = layer.window
        return {
            "filters": layer.filters,
            "kernel_size": window.size,
            **_without_defaults(
                models.Conv,
                stride=window.stride,
                dilation=window.dilation,
                padding=window.padding,
                activation=_activation(layer.activation),
                bias=layer.bias,
            ),
        }

    def _keys(self, layer: nodes.Layer) -> Words:
        """Read a layer whose fields are its keys."""
        if isinstance(layer, nodes.Dense) and layer.tied:
            self.refuse(layer.name, "only the output layer can be tied to the embedding")
        model = next(model for model, node in BY_KEYS.items() if isinstance(layer, node))
        (kind,) = (kind for kind, other in models.KINDS.items() if other is model)
        keys = [key for key in model.model_fields if key != "name" and hasattr(layer, key)]
        values = {key: _activation(getattr(layer, key)) for key in keys}
        return {"type": kind, **self.name(layer), **_without_defaults(model, **values)}

    def _block(self, dropout: nodes.Dropout | None) -> Words:
        """Read a recurrent layer with its dropout, layer norm and residual."""
        first = dropout or self._next()
        layer: nodes.Recurrent = self.take_next(nodes.Recurrent)
        words = {**self._cell(layer), **self._dropout(layer, dropout)}
        if self._is_in_block(self._at):
            norm: nodes.LayerNorm = self.take_next(nodes.LayerNorm)
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
        kind = self._types.get(layer.name) or nodes.cell_type(cell)
        model = models.KINDS.get(kind, models.CellLayer)
        words: Words = {"type": kind, **self.name(layer), "units": layer.units}
        if layer.merge is not None:
            words |= {"bidirectional": True, **_without_defaults(model, merge=layer.merge)}
        if isinstance(cell, nodes.EquationCell):
            defaults = self.cells[kind].get("settings", {})
            return words | {name: size for name, size in cell.sizes if size != defaults[name]}
        names = [field.name for field in fields(cell) if field.name in model.model_fields]
        return words | _without_defaults(
            model, **{name: getattr(cell, name) for name in names}, bias=layer.bias
        )

    def _dropout(self, layer: nodes.Recurrent, dropout: nodes.Dropout | None) -> Words:
        words: Words = {}
        if dropout:
            words = {"dropout": dropout.rate, "variational": False}
        elif layer.dropout:
            words = {"dropout": layer.dropout}
        return words | _without_defaults(models.LSTM, recurrent_dropout=layer.recurrent_dropout)

    def heads(self) -> Words:
        """Read the named heads."""
        trunk, heads = self._at, Words()
        by_name = {layer.name: index for index, layer in enumerate(self._layers)}
        for name, layer in self.network.outputs:
            # A head without layers gives the output of the stack.
            self._end = by_name[layer] + 1
            if self._end > self._at:
                heads[name] = self.head()
            else:
                at, self._at = self._at, trunk
                self._end = trunk
                heads[name] = self.head()
                self._at = at
        return heads

    def head(self) -> Words:
        """Read the layers of a head."""
        words: Words = {"pooling": self._pooling()}
        first = self._next()
        if isinstance(first, nodes.Dropout) and self._is_key(first):
            self._at += 1
            words["dropout"] = first.rate
        hidden = list[Words]()
        output = self._output()
        while self._at < output:
            hidden.append(self._hidden())
        words |= {"hidden": hidden} if hidden else {}
        if dense := self.take_next(nodes.Dense):
            words |= {**self.name(dense), "units": dense.units}
            words |= _without_defaults(
                models.Head,
                activation=_activation(dense.activation),
                bias=dense.bias,
                tied=dense.tied is not None,
            )
        if self.take_next(nodes.Normalize):
            words["normalize"] = "l2"
        if rest := self._next():
            self.refuse(rest.name, f"{type(rest).__name__} is in a place with no key for it")
        # The default, but a head needs a key.
        if words["pooling"] == "last" and len(words) > 1:
            del words["pooling"]
        return words

    def _output(self) -> int:
        """Return the index of the output layer, or of what follows the hidden layers."""
        at = self._at
        while at < self._end and isinstance(self._layers[at], _POINTWISE):
            at += 1
        ends_dense = at > self._at and isinstance(self._layers[at - 1], nodes.Dense)
        return at - 1 if ends_dense else at

    def _is_key(self, dropout: nodes.Dropout) -> bool:
        """True if a key can say a dropout, rather than an item of its own."""
        # A key with the rate 0 makes no layer.
        needs_item = dropout.variational or not dropout.rate
        return self._has_default_name(dropout) and not needs_item

    def _hidden(self) -> Words:
        """Read a hidden layer, and its dropout if it is dense."""
        layer = self.take_next(*_POINTWISE)
        words = self._keys(layer)
        if isinstance(layer, nodes.Dense):
            # The default.
            del words["type"]
            after = self._next()
            if isinstance(after, nodes.Dropout) and self._is_key(after):
                self._at += 1
                words["dropout"] = after.rate
        return words

    def _pooling(self) -> Any:
        """Read the layers that pool."""
        parts, names = list[Any](), list[str]()
        while layer := self.take_next(nodes.Pooling, nodes.Attention):
            names.append(layer.name)
            parts.append(self._pool(layer))
        join = self._next()
        if len(parts) > 1:
            if not isinstance(join, nodes.Join) or list(join.of) != names:
                self.refuse(names[-1], "expected a join of several poolings, in their order")
            self._at += 1
            return parts
        if parts:
            return parts[0]
        if self.take_next(nodes.Flatten):
            return "flatten"
        if last := self.take_next(nodes.LastSteps):
            return {"last_steps": last.count}
        state = [
            isinstance(layer, nodes.Recurrent) and not layer.return_sequences
            for layer in self._layers[: self._at]
            if isinstance(layer, nodes.Recurrent | nodes.Repeat)
        ]
        return "last" if state[-1] else "none"

    def _pool(self, layer: nodes.Pooling | nodes.Attention) -> Any:
        if isinstance(layer, nodes.Pooling):
            return layer.statistic
        keys: Words = {} if layer.units is None else {"units": layer.units}
        activation = _activation(layer.activation)
        keys |= _without_defaults(models.AttentionSettings, activation=activation)
        return {"attention": keys}


_POINTWISE = tuple(BY_KEYS[model] for model in get_args(models.PointwiseLayer))
"""Layers that compute each step by itself."""


def _activation(activation: Any) -> Any:
    """Return an activation as a spec writes it, or any other value as it is."""
    match activation:
        case nodes.LeakyRelu(slope=slope):
            return {"leaky_relu": slope}
        case nodes.ClippedRelu(limit=limit):
            return {"clipped_relu": limit}
        case _:
            return activation


def _name_cells(network: nodes.Network) -> tuple[dict[str, str], dict[str, Words]]:
    """Return the type of each layer with a cell by equations, and the cells under these names.

    Cells that differ in more than sizes have different names.
    """
    types, cells = dict[str, str](), dict[str, Words]()
    named = dict[str, tuple[object, ...]]()
    for layer in network.layers:
        if not isinstance(layer, nodes.Recurrent) or not isinstance(layer.cell, nodes.EquationCell):
            continue
        cell = layer.cell
        drawn = (layer.kernel_initializer, layer.recurrent_initializer, layer.bias_initializer)
        content = (cell.equations, repr(cell.initializers), repr(drawn))
        suffixes = ("", *(f"_{number}" for number in range(2, len(network.layers) + 2)))
        candidates = (cell.name + suffix for suffix in suffixes)
        name = next(other for other in candidates if named.setdefault(other, content) == content)
        types[layer.name] = name
        if name not in cells:
            cells[name] = write_cell(
                cell,
                {
                    "kernel": layer.kernel_initializer,
                    "recurrent": layer.recurrent_initializer,
                    "bias": layer.bias_initializer,
                },
            )
    return types, cells


def _with_copies(layers: Sequence[Words], cells: Collection[str]) -> list[Words]:
    """Return layers with equal ones that follow each other as one, with ``layers``."""
    merged = list[Words]()
    for words, group in groupby(layers):
        number = len(list(group))
        recurrent = words.get("type") in (*models.RECURRENT, *cells)
        if number == 1 or not recurrent or "name" in words:
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
    drawn = [layer for layer in network.layers if isinstance(layer, _DRAWN)]
    yield "kernel", initializers.GlorotUniform(), [layer.kernel_initializer for layer in drawn]
    recurrent_kernels = [layer.recurrent_initializer for layer in recurrent]
    yield "recurrent", initializers.Orthogonal(), list(recurrent_kernels)
    biases = [
        layer.bias_initializer
        for layer in drawn
        if (layer.units is not None if isinstance(layer, nodes.Attention) else layer.bias)
    ]
    yield "bias", initializers.Constant(0.0), list(biases)
    cells = [layer.cell for layer in recurrent if layer.bias]
    yield "forget_bias", 1.0, [cell.forget_bias for cell in cells if isinstance(cell, nodes.LSTM)]
    embeddings = [layer for layer in network.layers if isinstance(layer, nodes.Embedding)]
    yield "embedding", initializers.Uniform(0.05), [layer.initializer for layer in embeddings]


_DRAWN = (nodes.Recurrent, nodes.Conv, nodes.Dense, nodes.Attention)
"""Layers with kernels."""
