"""The items of ``rnn``, and the layers that heads have too."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from rnnspec.ir import nodes
from rnnspec.ir.notation import write_expression
from rnnspec.lowering import BY_KEYS
from rnnspec.lowering.graph import Behind
from rnnspec.raising.cells import write_parameters
from rnnspec.spec import models

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rnnspec.raising.graph import GraphReader, Words


def behind(layer: nodes.Layer) -> Behind:
    """Return a layer that computes each step by itself, as one behind a recurrent layer."""
    activation = layer.activation if isinstance(layer, nodes.Dense | nodes.Activate) else "linear"
    return Behind.of(type(layer), activation, bias=isinstance(layer, nodes.Dense) and layer.bias)


def activation_words(activation: Any) -> Any:
    """Return an activation as a spec writes it, or any other value as it is."""
    match activation:
        case nodes.LeakyRelu(slope=slope):
            return {"leaky_relu": slope}
        case nodes.ClippedRelu(limit=limit):
            return {"clipped_relu": limit}
        case _:
            return activation


@dataclass(slots=True)
class Item:
    """An item of ``rnn``: its words, its last layer, and the main one that it takes, if any.

    ``layers`` are those that it makes.
    """

    words: Words
    main: str | None
    layers: Sequence[nodes.Layer]

    @property
    def output(self) -> str:
        """The name of its last layer."""
        return self.layers[-1].name

    @property
    def recurrent(self) -> nodes.Recurrent | None:
        """Its recurrent layer, if it is one."""
        return next((layer for layer in self.layers if isinstance(layer, nodes.Recurrent)), None)


class ItemReader:
    """The layers of a network, read as items of ``rnn`` one after the other."""

    def __init__(self, graph: GraphReader, cells: Mapping[str, Words]) -> None:
        self.graph = graph
        self._cells = cells
        self._layers = graph.layers
        self.lists = self._lists_of_poolings()

    def items(self, end: int) -> list[Item]:
        """Return the items for the layers up to the one at ``end``."""
        found, at = list[Item](), 0
        while at < end:
            item = self._item(at, end)
            recurrent = item.recurrent
            if recurrent is not None and item.output != recurrent.name:
                self.graph.aliases[item.output] = recurrent.name
            found.append(item)
            at += len(item.layers)
        return found

    def _lists_of_poolings(self) -> dict[int, int]:
        """Return the place of each join of a list of poolings by that of the first of these."""
        found = dict[int, int]()
        for at, join in enumerate(self._layers):
            if not isinstance(join, nodes.Join) or join.how != "concat":
                continue
            parts = [self._value(name) for name in join.of]
            pools = [
                part for part in parts if isinstance(part, nodes.Pooling | nodes.AttentionPooling)
            ]
            start = at - len(pools)
            if start < 0 or not pools or self._layers[start:at] != pools:
                continue
            read = self.graph.main(pools[0])
            own = all(
                self.graph.main(pool) == read
                and self.graph.has_default_name(pool)
                and self.graph.readers[pool.name] == [join.name]
                for pool in pools
            )
            words = [self._part_of_list(part, read) for part in parts]
            unique = all(word not in words[:index] for index, word in enumerate(words))
            if own and unique and None not in words:
                found[start] = at
        return found

    def _value(self, name: str) -> nodes.Layer | nodes.Port | None:
        return self.graph.by_name.get(name) or self.graph.network.ports.get(name)

    def _part_of_list(self, part: nodes.Layer | nodes.Port | None, read: str) -> Any:
        """Return a pooling of a list that reduces what is ``read``, None if it is none."""
        match part:
            case nodes.Pooling() | nodes.AttentionPooling():
                return self.pool(part)
            case nodes.Port(state=str(state)) if part.layer == read:
                recurrent = self.graph.by_name[read]
                assert isinstance(recurrent, nodes.Recurrent)
                # The last step of other layers is read from their sequence.
                is_state = state == recurrent.states[0][0] and bool(recurrent.first_states)
                return "last" if is_state and recurrent.merge in (None, "concat") else None
            case _:
                return None

    def pooling(self, at: int) -> tuple[Any, int]:
        """Return the pooling that begins at a place, and how many layers it has."""
        layer = self._layers[at]
        if at in self.lists:
            join = self._layers[self.lists[at]]
            assert isinstance(join, nodes.Join)
            read = self.graph.main(layer)
            parts = [self._part_of_list(self._value(name), read) for name in join.of]
            return parts, self.lists[at] - at + 1
        return self.pool(layer), 1

    def pool(self, layer: nodes.Layer) -> Any:
        """Read the pooling that one layer is."""
        match layer:
            case nodes.Pooling(statistic=statistic):
                return statistic
            case nodes.Flatten():
                return "flatten"
            case nodes.LastSteps(count=count):
                return {"last_steps": count}
            case _:
                assert isinstance(layer, nodes.AttentionPooling), "there are no other poolings"
        activation = activation_words(layer.activation)
        keys: Words = {} if layer.units is None else {"units": layer.units}
        if layer.units is not None:
            model = models.AttentionSettings
            keys |= self.graph.keys(model, activation=activation, bias=layer.bias)
        elif activation != "linear":
            keys["activation"] = activation
        if layer.query is not None:
            keys["query"] = self.graph.read(layer.query, beside=True)
        return {"attention": keys}

    def is_in_block(self, at: int) -> bool:
        """True if a key of the recurrent layer before a norm can say it."""
        layer = self._layers[at] if at < len(self._layers) else None
        before = self._layers[at - 1] if at else None
        return (
            isinstance(layer, nodes.LayerNorm)
            and isinstance(before, nodes.Recurrent)
            and self.graph.feeds(at - 1)
            and self.graph.has_default_name(layer)
            and self._is_shared_alike(before, layer)
            and (before.return_sequences or self.graph.gives_state(before, behind(layer)))
        )

    def _is_shared_alike(self, recurrent: nodes.Recurrent, norm: nodes.LayerNorm) -> bool:
        """True if a norm behind a recurrent layer is shared with it, or neither is shared."""
        again = nodes.called_again(self.graph.network)
        if recurrent.shares is None:
            norms = [norm.name in again, recurrent.name in again]
            return norm.shares is None and norms[0] == norms[1]
        owner = self.graph.by_name.get(norm.shares or "")
        return owner is not None and self.graph.main(owner) == recurrent.shares

    def _item(self, at: int, end: int) -> Item:
        """Read the item of ``rnn`` that begins at a place."""
        item = self._whole_item(at, end)
        layer = item.recurrent or item.layers[0]
        if layer.shares is None:
            return item
        # The layer with the arrays has the other keys.
        words = {key: value for key, value in item.words.items() if key in models.OWN_KEYS}
        owner = self.graph.by_name[layer.shares]
        if isinstance(layer, nodes.Recurrent) and isinstance(owner, nodes.Recurrent):
            over, its = (one.attention and one.attention.over for one in (layer, owner))
            words |= {"attention": item.words["attention"]} if over != its else {}
            if layer.backward != owner.backward:
                words["direction"] = "backward" if layer.backward else "forward"
        return replace(item, words=words | {"shares": self.graph.base(layer.shares)})

    def _whole_item(self, at: int, end: int) -> Item:
        """Read the item of ``rnn`` that begins at a place, with all of its keys."""
        layer = self._layers[at]
        if isinstance(layer, nodes.Recurrent) or self.is_dropout_of_block(at):
            return self._block(at, end)
        main, name = self.graph.main(layer), self.graph.name(layer)
        match layer:
            case nodes.Attention():
                scored = self.scored(layer, layer)
                return Item({"type": "attention", **name, **scored}, main, [layer])
            case nodes.Conv():
                return Item({"type": "conv", **name, **self.conv(layer)}, main, [layer])
            case nodes.WindowPooling(statistic=statistic):
                words = {"type": f"{statistic}_pool", **name, **self.window_pool(layer)}
                return Item(words, main, [layer])
            case nodes.Join(how=nodes.Formula() as formula):
                words = {**name, **self.formula(layer, formula)}
                return Item({"type": words.pop("type"), **words}, None, [layer])
            case nodes.Append():
                of = [self.graph.read(part, beside=True) for part in layer.of]
                words = {"type": "concat", **name, "axis": "steps", "of": of}
                return Item(words, None, [layer])
            case nodes.Join(how=how):
                of = [self.graph.read(part, beside=True) for part in layer.of]
                return Item({"type": how, **name, "of": of}, None, [layer])
            case _ if isinstance(layer, nodes.Reducing):
                pooling, number = self.pooling(at)
                last = self._layers[at + number - 1]
                words = {"type": "pool", **self.graph.name(last), "pooling": pooling}
                return Item(words, main, self._layers[at : at + number])
            case _ if isinstance(layer, tuple(BY_KEYS.values())):
                return Item(self.keys(layer), main, [layer])
            case _:
                message = f"{type(layer).__name__} is in a place with no key for it"
                self.graph.refuse(layer.name, message)
                return Item({}, None, [layer])

    def formula(self, layer: nodes.Join, formula: nodes.Formula) -> Words:
        """Read the keys of a formula; its settings are numbers in its equations."""
        of = (self.graph.read(part, beside=True) for part in layer.of)
        lines = formula.equations.lines
        words: Words = {
            "type": "formula",
            "of": dict(zip(formula.names, of, strict=True)),
            "equations": {line.name: write_expression(line.value) for line in lines},
        }
        if isinstance(layer, nodes.LearnedFormula):
            words |= write_parameters(self.graph.network, layer)
        return words

    def is_dropout_of_block(self, at: int) -> bool:
        """True if a dropout is a key of the recurrent layer behind it."""
        dropout, *behind = self._layers[at : at + 4]
        layer = behind[0] if behind else None
        if not isinstance(dropout, nodes.Dropout) or not isinstance(layer, nodes.Recurrent):
            return False
        # Lowering makes a layer of any dropout before one with attention.
        is_key = self.is_key(replace(dropout, variational=False) if layer.attention else dropout)
        if not is_key or layer.dropout or not self.graph.feeds(at):
            return False
        starts = [node.start for node in behind[1:] if isinstance(node, nodes.Residual)]
        # A residual begins with its block.
        return starts[:1] != [layer.name]

    def is_key(self, dropout: nodes.Dropout) -> bool:
        """True if a key can say a dropout, rather than an item of its own."""
        # A key with the rate 0 makes no layer.
        needs_item = dropout.variational or not dropout.rate
        return self.graph.has_default_name(dropout) and not needs_item

    def keys(self, layer: nodes.Layer) -> Words:
        """Read a layer whose fields are its keys."""
        if isinstance(layer, nodes.Dense) and layer.tied:
            self.graph.refuse(layer.name, "only the output layer can be tied to the embedding")
        model = _model(layer)
        (kind,) = (kind for kind, other in models.KINDS.items() if other is model)
        return {"type": kind, **self.graph.name(layer), **self.fields(layer)}

    def fields(self, layer: nodes.Layer) -> Words:
        """Read the keys that are fields of a layer under the same names."""
        if isinstance(layer, nodes.Repeat) and layer.like is not None:
            return {"like": self.graph.read(layer.like, beside=True)}
        model = _model(layer)
        own = ("name", "shares")
        keys = [key for key in model.model_fields if key not in own and hasattr(layer, key)]
        values = {key: activation_words(getattr(layer, key)) for key in keys}
        return self.graph.keys(model, **values)

    def _block(self, at: int, end: int) -> Item:
        """Read a recurrent layer with its dropout, layer norm and residual."""
        first = self._layers[at]
        dropout = first if isinstance(first, nodes.Dropout) else None
        at += dropout is not None
        layer = self._layers[at]
        assert isinstance(layer, nodes.Recurrent), "a block has one"
        block: list[nodes.Layer] = [first] if first is layer else [first, layer]
        words = {**self.cell(layer), **self.graph.initial_state(layer)}
        if layer.attention is not None:
            words |= self.attention(layer, layer.attention)
        words |= self.dropout(layer, dropout)
        if at + 1 < end and self.is_in_block(at + 1):
            norm = self._layers[at + 1]
            assert isinstance(norm, nodes.LayerNorm)
            settings = {key: getattr(norm, key) for key in models.LayerNorm.model_fields}
            words["layer_norm"] = self.graph.keys(models.LayerNorm, **settings) or True
            block.append(norm)
            at += 1
        residual = self._layers[at + 1] if at + 1 < end else None
        if isinstance(residual, nodes.Residual):
            if residual.start != first.name:
                message = f"adds the input of {residual.start}, expected that of the layer before"
                self.graph.refuse(residual.name, message)
            if not self.graph.feeds(at):
                message = f"the output of {self._layers[at].name} without the sum is used too"
                self.graph.refuse(residual.name, f"{message}, expected it once")
            words["residual"] = True
            block.append(residual)
        return Item(words, self.graph.main(first), block)

    def conv(self, layer: nodes.Conv) -> Words:
        """Read the keys of a convolution."""
        window = layer.window
        return {
            "filters": layer.filters,
            "kernel_size": window.size,
            **self.graph.keys(
                models.Conv,
                stride=window.stride,
                dilation=window.dilation,
                padding=_padding(window),
                activation=activation_words(layer.activation),
                bias=layer.bias,
            ),
        }

    def window_pool(self, layer: nodes.WindowPooling) -> Words:
        """Read the keys of a pool over windows."""
        window = layer.window
        is_usual = window.stride == window.size and not self.graph.complete
        stride = None if is_usual else window.stride
        padding = _padding(window)
        keys = self.graph.keys(models.MaxPool, stride=stride, padding=padding)
        return {"size": window.size, **keys}

    def cell(self, layer: nodes.Recurrent) -> Words:
        """Read the keys that a recurrent layer has without what is before and behind it."""
        cell = layer.cell
        kind = self.graph.types.get(layer.name) or nodes.cell_type(cell)
        model = models.KINDS.get(kind, models.CellLayer)
        words: Words = {"type": kind, **self.graph.name(layer), "units": layer.units}
        words |= self.graph.keys(model, bidirectional=layer.merge is not None)
        if layer.merge is not None:
            words |= self.graph.keys(model, merge=layer.merge)
        if layer.backward:
            words["direction"] = "backward"
        if isinstance(cell, nodes.EquationCell):
            defaults = self._cells[kind].get("settings", {})
            is_said = self.graph.complete
            # The features of a memory are those of the layer that it is.
            sizes = ((k, size) for k, size in cell.sizes if k in defaults)
            return words | {k: size for k, size in sizes if is_said or size != defaults[k]}
        if kind in self._cells:
            return words
        names = [field.name for field in fields(cell) if field.name in model.model_fields]
        return words | self.graph.keys(
            model, **{name: getattr(cell, name) for name in names}, bias=layer.bias
        )

    def attention(self, layer: nodes.Recurrent, attention: nodes.StepAttention) -> Words:
        """Read what a recurrent layer attends to: by a key, or as its equations ask it."""
        scored = self.scored(layer, attention)
        if not attention.asked_as:
            return {"attention": scored}
        words: Words = {"over": {attention.asked_as: scored.pop("over")}}
        words |= self.graph.keys(models.CellLayer, score=scored.pop("score"))
        return words | {f"score_{key}": value for key, value in scored.items()}

    def scored(self, layer: nodes.Layer, attention: nodes.Attention | nodes.StepAttention) -> Words:
        """Read what a layer attends to, and by which score."""
        own = self.graph.projections[layer.name]
        weighted = self.graph.sources[own.keys.name][0] if own.keys else attention.keys
        words: Words = {"over": self.graph.read(attention.over)}
        projects = own.query is not None
        if isinstance(attention, nodes.StepAttention):
            size, projects = attention.size, attention.projects
        else:
            # An import has no shape of the queries yet.
            size = nodes.width(attention.input or attention.memory)
            values = self.graph.sources[own.values.name][0] if own.values else attention.over
            if values != weighted:
                words = {"over": self.graph.read(weighted), "values": self.graph.read(values)}
            elif own.values:
                words = {"over": self.graph.read(weighted)}
            words |= self.graph.keys(
                models.AttentionLayer, causal=attention.causal, output=attention.gives
            )
            if own.output or attention.heads > 1:
                return words | self._heads(layer, attention, own.output)
        if attention.additive and own.keys is not None and projects:
            # A key of the layer of the keys, which is True unless it is said.
            bias = {} if own.keys.bias else {"bias": False}
            if isinstance(attention, nodes.Attention):
                act = activation_words(attention.activation)
                bias |= self.graph.keys(models.AttentionLayer, activation=act)
            return words | {"score": "additive", "units": own.keys.units, **bias}
        if attention.additive:
            message = "an additive score of queries and keys that no layers of its own project"
            self.graph.refuse(layer.name, f"{message}; expected a dense layer for each")
        elif attention.keys != attention.over and "values" not in words:
            message = f"mixes {attention.over} by keys of another layer, {attention.keys}"
            self.graph.refuse(layer.name, f"{message}; only 'score: additive' has keys")
        elif attention.scale not in (1.0, size**-0.5) or (projects and attention.scale != 1):
            message = f"scales its scores by {attention.scale:g}; expected 1"
            kind = "" if projects else f", or {size**-0.5:g}, 1 / sqrt({size})"
            self.graph.refuse(layer.name, f"{message}{kind}")
        score = "general" if projects else "dot" if attention.scale == 1 else "scaled_dot"
        return words | {"score": score}

    def _heads(
        self, layer: nodes.Layer, attention: nodes.Attention, output: nodes.Dense | None
    ) -> Words:
        """Read the keys of heads, with the dense layer behind them if there is one."""
        words: Words = {"heads": attention.heads}
        # An import has no shape of the queries yet.
        width = output.units if output else nodes.width(attention.input or attention.memory)
        size = (width // attention.heads) ** -0.5
        if attention.scale not in (1.0, size):
            message = f"scales its scores by {attention.scale:g}; expected 1 or {size:g}"
            self.graph.refuse(layer.name, message)
        score = "scaled_dot" if attention.scale == size else "dot"
        words |= {} if score == "scaled_dot" and not self.graph.complete else {"score": score}
        if output is None:
            return words | {"projections": False}
        bias = self.graph.keys(models.AttentionLayer, bias=output.bias)
        return words | {"units": output.units, **bias}

    def dropout(self, layer: nodes.Recurrent, dropout: nodes.Dropout | None) -> Words:
        """Read the dropouts of a recurrent layer, one of which may be a layer before it."""
        return self.graph.keys(
            models.LSTM,
            dropout=dropout.rate if dropout else layer.dropout,
            variational=dropout.variational if dropout else True,
            recurrent_dropout=layer.recurrent_dropout,
        )


def _model(layer: nodes.Layer) -> type[models.Model]:
    return next(model for model, node in BY_KEYS.items() if isinstance(layer, node))


def _padding(window: nodes.Window) -> Any:
    return list(window.padding) if isinstance(window.padding, tuple) else window.padding
