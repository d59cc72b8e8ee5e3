"""Hypothesis strategies for specs of small graphs: named inputs, reads, joins and attention."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hypothesis import strategies as st

from rnnspec.ir.nodes import Window
from rnnspec.spec import models
from rnnspec_random.layers import (
    ANY_ACTIVATIONS,
    ATTENTIONS,
    CELLS,
    END_STEPS,
    PLAIN_CELLS,
    RATES,
    ROOM,
    SIZES,
    Flow,
    Names,
    Words,
    any_head,
    any_initializers,
    formulas,
    layer_keys,
    poolings_of,
    recurrent_layers,
    room_of,
    width_of,
    window_keys,
    window_of,
)

_INPUTS = ("words", "power", "basin", "user", "target")
_MOST_HEADS = 3
_VECTOR_LAYERS = (*models.HIDDEN, "repeat", "join", "attention")
_SEQUENCE_LAYERS = (
    *("recurrent",) * 8,
    *models.HIDDEN,
    *("conv", "max_pool", "average_pool", "instance_norm", "transpose"),
    *("pool",) * 6,
    *("join",) * 4,
    *("attention",) * 3,
)
_SHAREABLE = (*models.RECURRENT, *CELLS, "dense", "layer_norm", "instance_norm")
_OF_ANY_CELL = frozenset(
    ("units", "name", "layers", "dropout", "variational", "direction", "layer_norm", "residual")
)
_KEEPS_FEATURES = ("batch_norm", "dropout", "activation")


@dataclass(slots=True)
class _Value:
    """What a layer can read: its name, its features, and its time steps if it has some.

    ``axis`` is the same for sequences with equal steps. ``ways`` is the number of directions whose
    final state ``pooling: last`` reads, 0 if it has none.
    """

    name: str
    width: int
    axis: tuple[str, int, int] | None = None
    steps: int | None = None
    masked: bool = False
    ways: int = 0
    is_read: bool = False


def _is_open(value: _Value) -> bool:
    """True if a value is a sequence of any number of steps."""
    return value.axis is not None and value.steps is None


@st.composite
def graphs(draw: st.DrawFn, names: Names, *, cells: bool) -> Words:
    """Draw the sections of a spec that are about inputs and layers."""
    graph = _Graph(draw, names, cells=cells)
    spec = graph.draw_inputs()
    number = draw(st.integers(1, 5))
    for _ in range(number):
        graph.add_layer()
    if not any(layer["type"] in (*models.RECURRENT, *CELLS) for layer in graph.layers):
        graph.add_recurrent(graph.pick(steps=True))
    return graph.finish(spec)


@st.composite
def encoder_decoders(draw: st.DrawFn, names: Names, *, cells: bool) -> Words:
    """Draw the sections of a spec in which a decoder attends to another sequence."""
    graph = _Graph(draw, names, cells=cells)
    spec = graph.draw_inputs(least=2)
    target = next(value for value in graph.values if value.name == spec["stream"])
    memory = next(value for value in graph.values if value.axis and value is not target)
    target.is_read = memory.is_read = True
    for _ in range(draw(st.integers(0, 2))):
        memory = graph.add_recurrent(memory)
        memory.is_read = True
    place = draw(st.sampled_from(["cell", "layer", "both"]))
    decoder = graph.add_recurrent(target, memory if place != "layer" else None)
    if place != "cell":
        query = graph.pick_vector() if draw(st.integers(0, 3)) == 0 else decoder
        graph.add_attention(query or decoder, memory)
    for _ in range(draw(st.integers(0, 2))):
        graph.add_layer()
    return graph.finish(spec)


class _Graph:
    """The layers so far, and what can be read."""

    def __init__(self, draw: st.DrawFn, names: Names, *, cells: bool) -> None:
        self.draw = draw
        self.names = names
        self.cells = cells
        self.layers: list[Words] = []
        self.values: list[_Value] = []
        self.last = ""
        """What a layer reads that does not say so, empty if it must."""
        # The final state of a layer with its name, which reads the layer itself.
        self.parts: list[tuple[_Value, _Value]] = []
        # Each layer whose arrays another one may share, with what it reads and gives.
        self.shareable: list[tuple[Words, _Value, _Value]] = []

    def finish(self, spec: Words) -> Words:
        """Add the layers, their cells and initializers, and the heads to the inputs of a spec."""
        used = sorted({layer["type"] for layer in self.layers} & CELLS.keys())
        spec |= {"cells": {name: CELLS[name] for name in used}} if used else {}
        heads = self.draw_heads()
        spec["rnn"] = self.layers
        if len(heads) == 1 and self.draw(st.booleans()):
            spec["head"] = heads[0]
        elif heads:
            spec["heads"] = {f"head_{number}": head for number, head in enumerate(heads)}
        if initializers := self.draw(any_initializers(spec, self.layers)):
            spec["initializers"] = initializers
        return spec

    def draw_inputs(self, least: int = 1) -> Words:
        """Return the sections of the inputs, of which at least some are sequences."""
        length = self.draw(st.integers(2, 6)) if self.draw(st.booleans()) else None
        if least == 1 and self.draw(st.integers(0, 3)) == 0:
            steps: Words = {} if length is None else {"length": length}
            keys, value = self._draw_numbers(), _Value("input", 0, ("", 0, 1), length)
            value.width, value.masked = keys["features"], "mask_value" in keys
            self.values, self.last = [value], "input"
            return {"input": steps | keys}
        inputs: dict[str, Words] = {}
        kinds = ["tokens", "numbers", "vector", "label", "shared"]
        drawn = [self.draw(st.sampled_from(kinds[:2])) for _ in range(least)]
        drawn += self.draw(st.lists(st.sampled_from(kinds), max_size=4 - least))
        for name, kind in zip(_INPUTS, self.draw(st.permutations(drawn)), strict=False):
            tables = [
                other for other, keys in inputs.items() if "dim" in str(keys.get("embedding"))
            ]
            value = _Value(name, self.draw(SIZES), ("", 0, 1), length)
            if self.draw(st.integers(0, 3)) == 0:
                # Its steps are not those of the others.
                own = self.draw(st.none() | st.integers(1, 6))
                value.axis, value.steps = (name, 0, 1), own
            steps = {} if value.steps is None else {"length": value.steps}
            table: Words = {
                "vocabulary": self.draw(st.integers(2, 7)),
                "dim": value.width,
                **self.draw(st.fixed_dictionaries({}, optional={"trainable": st.booleans()})),
                **self.names.layer(self.draw),
            }
            match kind:
                case "numbers":
                    keys = steps | self._draw_numbers()
                    value.width, value.masked = keys["features"], "mask_value" in keys
                case "vector":
                    keys = {"features": value.width, "per": "sequence"}
                case "shared" if tables:
                    shared = self.draw(st.sampled_from(tables))
                    keys = {"embedding": shared, "per": self.draw(st.sampled_from(_PER))}
                    keys |= steps if keys["per"] == "step" else {}
                    table = inputs[shared]["embedding"]
                    value.width = table["dim"]
                    value.masked = bool(table.get("mask_zero"))
                case "label":
                    keys = {"per": "sequence", "embedding": table}
                case _:
                    table["mask_zero"] = value.masked = self.draw(st.booleans())
                    keys = steps | {"embedding": table}
            if keys.get("per") == "sequence":
                value = _Value(name, value.width)
            inputs[name] = keys
            self.values.append(value)
        self.last = self.values[0].name if len(self.values) == 1 else ""
        spec: Words = {"inputs": inputs}
        sequences = [value.name for value in self.values if value.axis]
        if least > 1 or self.draw(st.booleans()):
            spec["stream"] = self.draw(st.sampled_from(sequences))
            chosen = next(value for value in self.values if value.name == spec["stream"])
            alike = [one.name for one in self.values if one.axis and one.steps == chosen.steps]
            if least == 1 and len(alike) > 1 and self.draw(st.booleans()):
                spec["stream"] = self.draw(
                    st.lists(st.sampled_from(alike), min_size=2, unique=True)
                )
        return spec

    def _draw_numbers(self) -> Words:
        keys: Words = {"features": self.draw(SIZES)}
        if self.draw(st.booleans()):
            keys["mask_value"] = self.draw(st.sampled_from([0, -1.5, 99]))
        return keys

    def pick(self, *, steps: bool | None = None) -> _Value:
        """Return a value to read, rather one that nothing reads; with ``steps``, a sequence."""
        fitting = [value for value in self.values if steps is None or bool(value.axis) == steps]
        new = [value for value in fitting if not value.is_read]
        if self.draw(st.integers(0, 3)) and new:
            fitting = new
        value = self.draw(st.sampled_from(fitting))
        value.is_read = True
        return value

    def pick_vector(self) -> _Value | None:
        """Return a vector to read, which may be a final state; None if there is none."""
        vectors = [(value, value) for value in self.values if value.axis is None]
        if not (choices := [*vectors, *self.parts]):
            return None
        value, owner = self.draw(st.sampled_from(choices))
        owner.is_read = True
        return value

    def add(self, layer: Words, value: _Value, read: _Value | None = None) -> _Value:
        """Append a layer that reads one value, or several; ``value`` is what it gives."""
        if "name" not in layer:
            layer |= self.names.new(room=room_of(layer["type"]))
        if read is not None and (read.name != self.last or self.draw(st.integers(0, 3)) == 0):
            layer["of"] = read.name
        value.name = self.last = layer["name"]
        is_alone = not {"attention", "shares"} & layer.keys()
        if read is not None and is_alone and layer["type"] in _SHAREABLE:
            self.shareable.append((layer, read, value))
        value.is_read = False
        self.layers.append(layer)
        self.values.append(value)
        return value

    def add_layer(self) -> None:
        """Append a layer, and before it those that it needs."""
        if self.shareable and self.draw(st.integers(0, 5)) == 0 and self._add_shared():
            return
        vector = self.pick_vector() if self.draw(st.integers(0, 3)) == 0 else None
        read = vector or self.pick()
        kind = self.draw(st.sampled_from(_SEQUENCE_LAYERS if read.axis else _VECTOR_LAYERS))
        match kind:
            case "recurrent" if self.cells and self.draw(st.integers(0, 5)) == 0:
                self._add_fused(read)
            case "recurrent":
                self.add_recurrent(read)
            case "join":
                self._add_join(read)
            case "pool":
                self._add_pool(read)
            case "repeat":
                self._add_repeat(read)
            case "attention":
                self.add_attention(read, self.pick(steps=True))
            case "conv" | "max_pool" | "average_pool":
                self._add_window(kind, read)
            case "transpose":
                if read.masked or read.steps is None:
                    self.add_recurrent(read)
                    return
                axis = (self.names.new()["name"], 0, 1)
                self.add({"type": kind}, _Value("", read.steps, axis, read.width), read)
            case _:
                layer = {"type": kind, **self.draw(layer_keys(kind, "variational"))}
                width = layer.get("units", read.width)
                mixes = kind not in _KEEPS_FEATURES or "softmax" in str(layer.get("activation"))
                ends = kind == "instance_norm" or (mixes and read.ways == 2)
                ways = 0 if ends else read.ways
                self.add(layer, replace(read, width=width, ways=ways), read)

    def add_recurrent(  # noqa: PLR0912 - what it may attend to, and what of it others take
        self, read: _Value, memory: _Value | None = None
    ) -> _Value:
        """Append a recurrent layer, which attends to a ``memory``, or sometimes to any."""
        layer = self.draw(recurrent_layers(self.names, read.width, sequence=True, cells=self.cells))
        layer.pop("initial_state", None)
        if "name" not in layer:
            layer |= self.names.new(room=room_of(layer["type"]))
        if memory is None and self.draw(st.integers(0, 3)) == 0:
            memory = self.pick(steps=True)
        asks = memory is not None and self.cells and self.draw(st.integers(0, 3)) == 0
        if asks:
            kept = {key: layer[key] for key in _OF_ANY_CELL & layer.keys()}
            layer = {"type": "asking", **kept}
        if memory is not None:
            for key in ("bidirectional", "merge", "recurrent_dropout"):
                layer.pop(key, None)
            if not asks:
                layer.pop("layers", None)
            if layer.get("residual"):
                layer["units"] = read.width
            elif self.draw(st.integers(0, 3)) == 0:
                # For scores that need equal sizes.
                layer["units"] = memory.width
        self._begin(layer, attends=memory is not None)
        if memory is not None and asks:
            # The query of the cell has as many features as the memory, whatever its score.
            scored = self._scored(memory, memory.width)
            layer["over"] = {"m": scored.pop("over")}
            layer["score"] = scored.pop("score")
            layer |= {f"score_{key}": value for key, value in scored.items()}
        elif memory is not None:
            layer["attention"] = self._scored(memory, width_of(layer))
        both = layer.get("bidirectional", False)
        joined = both and layer.get("merge", "concat") == "concat"
        width = width_of(layer)
        # Its output is that of the layer itself, or of what follows each step.
        is_normed = bool(layer.get("layer_norm"))
        ways = 2 if joined and not is_normed else int(not both)
        ways = 0 if layer.get("residual") else ways
        value = replace(read, width=2 * width if joined else width, ways=ways)
        self.add(layer, value, read)
        if not is_normed and not layer.get("residual"):
            sizes = {"state": 2 * width if both else width}
            if layer["type"] == "lstm":
                sizes["cell"] = sizes["state"]
            for part, size in sizes.items():
                self.parts.append((_Value(f"{layer['name']}.{part}", size), value))
        if memory is not None and not asks:
            context = replace(value, name=f"{value.name}.context", width=memory.width, ways=0)
            context.is_read = self.draw(st.integers(0, 2)) > 0
            self.values.append(context)
        return value

    def _add_shared(self) -> bool:
        """Append a layer with the arrays of another one, if something else fits it."""
        calls = [
            (layer, value, read)
            for layer, other, value in self.shareable
            for read in self.values
            if (read.width, read.masked) == (other.width, other.masked)
            and (read.axis is None) == (other.axis is None)
        ]
        if not calls:
            return False
        layer, value, read = self.draw(st.sampled_from(calls))
        keys = {
            "type": layer["type"],
            "shares": layer["name"],
            **self.names.new(room=room_of(layer["type"])),
        }
        if layer.get("initial_state") == "learned":
            keys["initial_state"] = "learned"
        self.add(keys, replace(read, width=value.width, ways=value.ways), read)
        return True

    def _add_fused(self, read: _Value) -> None:
        """Append a layer whose cell takes a sequence, and others or vectors."""
        memory = self.pick(steps=True) if self.draw(st.integers(0, 3)) == 0 else None
        type_ = "fused_asking" if memory else self.draw(st.sampled_from(["fused", "fused_three"]))
        inputs = CELLS[type_]["inputs"]
        fitting = [value for value in self.values if value.axis in (None, read.axis)]
        others = [self.draw(st.sampled_from(fitting)) for _ in inputs[1:]]
        for other in others:
            other.is_read = True
        parts = self.draw(st.permutations([read, *others]))
        layer: Words = {"type": type_, "units": self.draw(SIZES), **self.names.new(room=ROOM)}
        layer["of"] = dict(zip(inputs, (part.name for part in parts), strict=True))
        if memory:
            scored = self._scored(memory, memory.width)
            layer["over"] = {"m": scored.pop("over")}
            layer["score"] = scored.pop("score")
            layer |= {f"score_{key}": value for key, value in scored.items()}
        options = {
            "direction": st.just("backward"),
            "initial_state": st.sampled_from(["learned", "given"]),
            "dropout": RATES,
            "recurrent_dropout": RATES,
        }
        if memory:
            options = {key: options[key] for key in ("direction", "initial_state", "dropout")}
        layer |= self.draw(st.fixed_dictionaries({}, optional=options))
        width = layer["units"]
        if not memory and "direction" not in layer and self.draw(st.booleans()):
            layer, width = {**layer, "bidirectional": True}, 2 * width
        masked = any(part.masked for part in parts)
        self.add(layer, replace(read, width=width, masked=masked, ways=0))

    def _scored(self, memory: _Value, size: int) -> Words:
        """Return the keys of an attention to a memory, given the size of the queries."""
        scores = ["general", "additive", *(["dot", "scaled_dot"] * 2 * (size == memory.width))]
        keys: Words = {"over": memory.name, "score": self.draw(st.sampled_from(scores))}
        if keys["score"] == "additive":
            keys["units"] = self.draw(SIZES)
            keys |= self.draw(st.fixed_dictionaries({}, optional={"bias": st.booleans()}))
        return keys

    def add_attention(self, queries: _Value, memory: _Value) -> None:
        """Append an attention, and sometimes a layer that makes the sizes of both equal."""
        if queries.width != memory.width and self.draw(st.integers(0, 2)) == 0:
            dense = {"type": "dense", "units": memory.width}
            queries.is_read = True
            queries = self.add(dense, replace(queries, width=memory.width, ways=0), queries)
            queries.is_read = True
        values = self._values(memory)
        layer, width = self._layer_of(queries, memory, values)
        was_read = values.is_read
        if values is not memory:
            values.is_read = True
            layer["values"] = values.name
        # Those of one value have equal steps, whatever their number.
        alike = (queries.axis, queries.steps) == (memory.axis, memory.steps)
        if queries.axis and alike and self.draw(st.booleans()):
            layer["causal"] = True
        result = replace(queries, width=width, ways=0)
        gives = self.draw(st.sampled_from(["context", "context", "weights", "scores"]))
        if gives == "context" and self.draw(st.integers(0, 3)) == 0:
            layer["output"] = gives
        elif gives != "context" and "heads" not in layer and (not queries.axis or memory.steps):
            if layer.pop("values", None):
                values.is_read = was_read
            layer["output"] = gives
            result.width = memory.steps or 1
            if queries.axis is None:
                result = replace(memory, width=1, ways=0)
        self.add(layer, result, queries)

    def _layer_of(self, queries: _Value, memory: _Value, values: _Value) -> tuple[Words, int]:
        """Return the keys of a layer that attends to a memory, and its size."""
        heads = self.draw(st.integers(1, 3))
        kind = self.draw(st.integers(0, 5))
        of_heads: Words = {"type": "attention", "over": memory.name, "heads": heads}
        if self.draw(st.booleans()):
            of_heads["score"] = self.draw(st.sampled_from(["dot", "scaled_dot"]))
        divides = not (queries.width % heads or values.width % heads)
        if kind == 0 and queries.width == memory.width and divides:
            return of_heads | {"projections": False}, values.width
        if kind < 3:
            of_heads["units"] = heads * self.draw(st.integers(1, 3))
            of_heads |= self.draw(st.fixed_dictionaries({}, optional={"bias": st.booleans()}))
            return of_heads, of_heads["units"]
        scored = self._scored(memory, queries.width)
        if scored["score"] == "additive":
            activation = st.fixed_dictionaries({}, optional={"activation": ANY_ACTIVATIONS})
            scored |= self.draw(activation)
        return {"type": "attention", **scored}, values.width

    def _values(self, memory: _Value) -> _Value:
        """Return a memory, or sometimes another value with its steps and its padding."""
        kind = self.draw(st.integers(0, 5))
        if kind == 0:
            size = self.draw(SIZES)
            dense = {"type": "dense", "units": size, "of": memory.name}
            return self.add(dense, replace(memory, width=size, ways=0), memory)
        key = (memory.axis, memory.steps, False)
        same = [one for one in self.values if (one.axis, one.steps, one.masked) == key]
        takes_other = kind == 1 and same and not memory.masked
        return self.draw(st.sampled_from(same)) if takes_other else memory

    def _begin(self, layer: Words, *, attends: bool) -> None:
        """Draw the first states of a recurrent layer, and append what they are."""
        # The sizes of this one depend on the features that it reads.
        types = {*models.RECURRENT, *PLAIN_CELLS} - {"three_states"}
        # One that shares does not say what the states are of.
        others = [
            other for other in self.layers if other["type"] in types and "shares" not in other
        ]
        if attends:
            # Its own state is that of one layer in one direction.
            one = [other for other in others if other.get("layers", 1) == 1]
            others = [other for other in one if not other.get("bidirectional")]
        kind = self.draw(st.sampled_from(["zeros", "learned", "given", "of", "named"]))
        ways = 2 if layer.get("bidirectional") else 1
        match kind:
            case "learned" | "given":
                layer["initial_state"] = kind
            case "of" if others and layer["type"] != "asking":
                other = self.draw(st.sampled_from(others))
                # Equal states need what these keys say; what depends on the input stays.
                for key in ("residual", "bidirectional", "merge", "direction", "layers"):
                    layer.pop(key, None)
                for key in ("activation", "recurrent_activation", "reset_after", "bias"):
                    layer.pop(key, None)
                layer.pop("dt", None)
                layer.pop("projection", None)
                same = ("type", "units", "bidirectional", "layers", "dt", "projection")
                layer |= {key: other[key] for key in same if key in other}
                layer["initial_state"] = {"of": other["name"]}
            case "named" if layer["type"] in models.RECURRENT and layer.get("layers", 1) == 1:
                states = ["h", "c"] if layer["type"] == "lstm" else ["h"]
                vectors = {
                    state: self._vector_of(ways * layer["units"])
                    for state in self.draw(st.lists(st.sampled_from(states), unique=True))
                }
                named = {state: vector for state, vector in vectors.items() if vector}
                layer |= {"initial_state": named} if named else {}
            case _:
                pass

    def _vector_of(self, size: int) -> str:
        """Return the name of a vector of a size, which may be appended; empty if there is none."""
        value = self.pick_vector()
        if value is not None and value.width != size:
            dense = {"type": "dense", "units": size, "activation": "tanh"}
            value = self.add(dense, _Value("", size), value)
            value.is_read = True
        return value.name if value else ""

    def _add_join(self, first: _Value) -> None:
        """Append a join of a value and others that fit it."""
        # The last of these has no step form, as a rule.
        kinds = ["concat", "add", "multiply", "formula"] * 2 + ["steps"]
        kind = self.draw(st.sampled_from(kinds))
        if kind == "steps":
            self._append_steps(first)
            return
        parts = [first]
        for _ in range(self.draw(st.integers(0 if kind == "formula" else 1, 2))):
            axis = next((part.axis for part in parts if part.axis), None)
            fitting = [
                value for value in self.values if None in (value.axis, axis) or value.axis == axis
            ]
            part = self.draw(st.sampled_from(fitting))
            part.is_read = True
            fits = kind == "concat" or part.width == first.width
            if not fits and not (kind in ("multiply", "formula") and part.width == 1):
                dense = {"type": "dense", "units": first.width}
                part = self.add(dense, replace(part, width=first.width), part)
                part.is_read = True
            parts.append(part)
        parts = self.draw(st.permutations(parts))
        joined = next((part for part in parts if part.axis), parts[0])
        width = sum(part.width for part in parts) if kind == "concat" else first.width
        masked = any(part.masked for part in parts)
        layer: Words = {"type": kind, "of": [part.name for part in parts]}
        if kind == "concat" and self.draw(st.integers(0, 7)) == 0:
            layer["axis"] = "features"
        if kind == "formula":
            names = ("a", "x", "mask", "W")[: len(parts)]
            layer |= self.draw(formulas({n: p.width for n, p in zip(names, parts, strict=True)}))
            layer["of"] = dict(zip(names, layer["of"], strict=True))
        self.add(layer, replace(joined, width=width, masked=masked, ways=0))

    def _append_steps(self, first: _Value) -> None:
        """Append a sequence to a value, or a value to it; only one may have any number of steps."""
        fitting = [
            value
            for value in self.values
            if not value.masked and not (_is_open(value) and _is_open(first))
        ]
        if first.masked or not fitting:
            self.add_recurrent(first) if first.axis else self._add_repeat(first)
            return
        part = self.draw(st.sampled_from(fitting))
        part.is_read = True
        if part.width != first.width:
            dense = {"type": "dense", "units": first.width}
            part = self.add(dense, replace(part, width=first.width, ways=0), part)
            part.is_read = True
        parts = self.draw(st.permutations([first, part]))
        counts = [1 if value.axis is None else value.steps or 0 for value in parts]
        steps = None if any(map(_is_open, parts)) else sum(counts)
        own = self.names.new(room=ROOM)
        layer: Words = {"type": "concat", "axis": "steps", "of": [value.name for value in parts]}
        self.add(layer | own, _Value("", first.width, (own["name"], 0, 1), steps))

    def _add_pool(self, read: _Value) -> None:
        """Append a pooling."""
        # Few sequences allow the last of these.
        seldom = ("last", "flatten", *END_STEPS)
        words = st.sampled_from(["mean", "max", "min", "sum", *seldom * 3])
        others = ATTENTIONS | st.integers(1, 3).map(lambda count: {"last_steps": count})
        pooling = self.draw(words if self.draw(st.integers(0, 2)) else others)
        if read.ways and self.draw(st.integers(0, 3)) == 0:
            pooling = "last"
        if self.draw(st.integers(0, 3)) == 0 and (query := self.pick_vector()):
            asked: Words = {"query": query.name}
            if query.width != read.width or self.draw(st.booleans()):
                asked |= {"units": query.width, "bias": self.draw(st.booleans())}
            asked |= {"activation": self.draw(ANY_ACTIVATIONS)}
            pooling = {"attention": asked}
        layer: Words = {"type": "pool", "pooling": pooling}
        _fit(layer, read, otherwise="mean")
        value = _Value("", read.width)
        match layer["pooling"]:
            case "flatten":
                value.width = read.width * (read.steps or 0)
            case {"last_steps": count}:
                name = self.names.new()["name"]
                value = _Value("", read.width, (name, 0, 1), count)
            case _:
                pass
        self.add(layer, value, read)

    def _add_repeat(self, read: _Value) -> None:
        """Append a repeat of a vector, a number of times or as often as a sequence has steps."""
        if self.draw(st.booleans()):
            like = self.pick(steps=True)
            value = _Value("", read.width, like.axis, like.steps)
            self.add({"type": "repeat", "like": like.name}, value, read)
            return
        steps = self.draw(st.integers(1, 4))
        value = _Value("", read.width, (self.names.new()["name"], 0, 1), steps)
        self.add({"type": "repeat", "steps": steps}, value, read)

    def _add_window(self, kind: str, read: _Value) -> None:
        """Append a convolution or a pool."""
        flow = Flow(read.width, read.steps, read.masked)
        layer = {"type": kind, **self.draw(window_keys(kind, flow))}
        window: Window = window_of(layer)
        assert read.axis is not None
        origin, first, every = read.axis
        axis = (origin, first + every * window.anchor, every * window.stride)
        self.add(layer, _Value("", flow.width, axis, flow.steps, read.masked), read)

    def draw_heads(self) -> list[Words]:
        """Return heads that read what nothing else does, or none if that is the last layer."""
        left = [value for value in self.values if not value.is_read]
        if len(left) > _MOST_HEADS:
            vectors = []
            for read in left:
                value = read
                if read.axis:
                    pool = {"type": "pool", "pooling": "last" if read.ways else "mean"}
                    value = self.add(pool, _Value("", read.width))
                    self.layers[-1]["of"] = read.name
                vectors.append(value)
            width = sum(value.width for value in vectors)
            of = [value.name for value in vectors]
            left = [self.add({"type": "concat", "of": of}, _Value("", width))]
        is_last = [value.name for value in left] == [self.last]
        if is_last and self.draw(st.integers(0, 4)) == 0:
            return []
        if not left or self.draw(st.integers(0, 4)) == 0:
            left.append(self.pick())
        heads = []
        for read in left:
            head = self.draw(any_head(self.names))
            head.setdefault("pooling", "last")
            _fit(head, read, otherwise="none" if self.draw(st.booleans()) else "sum")
            if read.axis and head["pooling"] == "none":
                head.pop("normalize", None)
            dropouts = (layer.get("name") for layer in self.layers if layer["type"] == "dropout")
            if read.name in (*_INPUTS, "input", *dropouts):
                # An input as it is, in inference too, would be no output.
                head.setdefault("units", 2)
            if read.name != self.last or self.draw(st.booleans()):
                head["of"] = read.name
            heads.append(head)
        return heads


_PER = ("step", "sequence")


def _fit(head: Words, read: _Value, *, otherwise: str) -> None:
    """Change the poolings of a head, or of a layer, that what it reads does not allow."""
    if read.axis is None:
        # A vector has no steps to reduce.
        head["pooling"] = "last"
        return
    several = isinstance(head["pooling"], list)
    fitting = []
    for pooling in poolings_of(head):
        match pooling:
            case "last":
                fits = read.ways > 0
            case "first_step" | "last_step":
                fits = not read.masked
            case "flatten":
                fits = not read.masked and read.steps is not None
            case {"last_steps": count}:
                fits = not read.masked and (read.steps is None or count <= read.steps)
            case _:
                fits = True
        if fits:
            fitting.append(pooling)
    if not several:
        head["pooling"] = fitting[0] if fitting else otherwise
    elif len(fitting) > 1:
        head["pooling"] = fitting
    else:
        head["pooling"] = "mean"
