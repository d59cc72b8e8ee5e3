"""Differences between two networks: layers, their keys, shapes and parameters."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, fields, is_dataclass
from difflib import SequenceMatcher
from itertools import pairwise, takewhile
from typing import TYPE_CHECKING, Any, Literal

from rnnspec.display import html_of
from rnnspec.ir.initializers import Constant, Initializer, in_words
from rnnspec.ir.nodes import (
    LSTM,
    Activation,
    Attention,
    AttentionPooling,
    Conv,
    Dense,
    Dropout,
    Embedding,
    EquationCell,
    Flatten,
    Input,
    Join,
    LabelInput,
    Layer,
    LearnedState,
    Network,
    Normalize,
    NumericInput,
    Pooling,
    Recurrent,
    StepAttention,
    TokenInput,
    VectorInput,
    Window,
    WindowPooling,
    attention_of,
    cell_type,
    sources,
    width,
)
from rnnspec.ir.notation import write_expression
from rnnspec.ir.params import Counts, count, counts
from rnnspec.ir.text import activation_text, type_name

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence

    from rnnspec.pipeline import Program


Settings = dict[str, Any]
"""Plain values by key; keys without a meaning for the layer are absent."""


def layer_settings(network: Network) -> list[Settings]:
    """Return the settings of each layer, without its name or anything other layers decide.

    With ``variational: false``, dropout is a layer of its own, but the spec sets it in the
    recurrent layer, so it is a setting of both.
    """
    result = list[Settings]()
    for entering, layer in zip((None, *network.layers), network.layers, strict=False):
        settings = _settings_of(layer)
        match layer, entering:
            case Recurrent(), Dropout(rate=rate, variational=False) if not has_given_name(entering):
                # A dropout of its own before a recurrent layer is the same network.
                settings |= {"dropout": rate, "variational": False}
            case Attention(name=name, additive=False), Dense(name=query) if (
                query == f"{name}_query"
            ):
                settings["score"] = "general"
            case _:
                pass
        result.append(settings)
    return result


_ELSEWHERE = {
    *("name", "input", "inputs", "source", "masked", "return_sequences", "start"),
    *("attention", "over", "keys", "memory", "additive", "scale"),
}
"""Fields of layers that other layers decide, or the place of the layer, or ``_attention``."""
_KEYS = {"statistic": "pooling", "count": "last_steps", "how": "type"}
"""Keys of the language by the field of a node that has another name."""
_PRESENT: dict[type, Settings] = {
    Normalize: {"normalize": "l2"},
    Flatten: {"pooling": "flatten"},
    AttentionPooling: {"pooling": "attention"},
}
"""The meaning of a layer for a key that none of its fields has."""


def _settings_of(layer: Layer) -> Settings:
    """Return the settings of a layer: every field that is not decided elsewhere, by its key."""
    settings: Settings = {**_PRESENT.get(type(layer), {})}
    for field in fields(layer):
        value = getattr(layer, field.name)
        match layer, field.name:
            case _, "cell":
                settings |= {"type": cell_type(value), **_plain(value)}
            case (
                Recurrent(),
                "merge" | "backward" | "initial" | "dropout" | "state_names" as name,
            ):
                settings |= _recurrent(layer, name)
            case Pooling(), "backward":
                pass
            case Embedding(), "table":
                settings |= {"embedding": value} if value else {}
            case Embedding(), "masked":
                settings["mask_zero"] = value
            case Dense(), "tied":
                settings["tied"] = value is not None
            case WindowPooling(), "statistic":
                settings["type"] = f"{value}_pool"
            case _, "window":
                settings |= _window(layer, value)
            case _, "activation":
                settings["activation"] = _activation(value)
            case Join(), "of" if len(layer.input) == 1:
                # A list of poolings, not a layer of the spec.
                settings["pooling"] = value
            case _, name if name not in _ELSEWHERE and not isinstance(value, Initializer):
                settings |= _plain(value) if is_dataclass(value) else {_KEYS.get(name, name): value}
    settings |= _attention(layer)
    # Sorting is stable: the others are in the order of the fields.
    order = sorted(settings, key=lambda key: _LAST.index(key) + 1 if key in _LAST else 0)
    return {key: settings[key] for key in order}


def _attention(layer: Layer) -> Settings:
    """Return the settings of what a layer attends to.

    The projection of the queries of an attention is a layer of its own; see ``layer_settings``.
    """
    match attention_of(layer):
        case None:
            return {}
        case StepAttention() as attention:
            size, projects, own = attention.size, attention.projects, _plain(attention)
            own |= {"units": size} if attention.additive else {}
            prefix = "attention."
        case attention:
            size, projects, own, prefix = width(attention.input), False, {}, ""
    score = "additive" if attention.additive else "general" if projects else "dot"
    settings: Settings = {"over": attention.over, "score": score}
    if attention.scale == size**-0.5 != 1:
        settings["score"] = "scaled_dot"
    elif attention.scale != 1:
        settings["scale"] = attention.scale
    if attention.keys not in (attention.over, f"{layer.name}_keys"):
        settings["keys"] = attention.keys
    settings |= {key: value for key, value in own.items() if key not in _OF_ATTENTION}
    return {f"{prefix}{key}": value for key, value in settings.items()}


_OF_ATTENTION = {*("over", "keys", "additive", "scale", "masked", "width", "size", "projects")}
"""Fields of an attention that the keys over, score and units stand for."""


def _recurrent(layer: Recurrent, field: str) -> Settings:
    """Return the settings that a field of a recurrent layer stands for."""
    match field:
        case "merge":
            settings: Settings = {"bidirectional": layer.merge is not None}
            return settings | ({"merge": layer.merge} if layer.merge else {})
        case "backward":
            return {"direction": "backward"} if layer.backward else {}
        case "state_names":
            return {"states": layer.state_names} if layer.state_names else {}
        case "initial":
            return {f"initial_state.{name}": vector for name, vector in layer.first_states.items()}
        case _:
            # Replaced in layer_settings if the dropout is a layer of its own.
            return {"dropout": layer.dropout, "variational": True}


_LAST = ("activation", "recurrent_activation", "reset_after", "bias")
"""Keys of recurrent layers that come after the others, as in the language."""


def _window(layer: Layer, window: Window) -> Settings:
    """Return the settings of the window of a convolution or a pool."""
    settings = _plain(window)
    size = settings.pop("size")
    return {"kernel_size" if isinstance(layer, Conv) else "size": size, **settings}


def _activation(activation: Activation) -> str:
    if isinstance(activation, str):
        return activation
    name = activation_text(activation).partition(" ")[0]
    return " ".join([name, *(repr(value) for value in _plain(activation).values())])


def _plain(node: Any) -> Settings:
    """Return the fields of a node inside a layer, without initial values that all layers share."""
    elsewhere = {"forget_bias", "name", "equations", "initializers", "sizes"}
    settings: Settings = {
        field.name: getattr(node, field.name)
        for field in fields(node)
        if field.name not in elsewhere
    }
    if isinstance(node, EquationCell):
        lines = {line.name: write_expression(line.value) for line in node.equations.lines}
        shapes = {name: shape or "scalar" for name, shape in node.equations.parameters}
        settings |= {
            "states": node.equations.states,
            **{f"equations.{name}": text for name, text in lines.items()},
            **{f"parameters.{name}": shape for name, shape in shapes.items()},
            **{f"initialize.{name}": str(in_words(value)) for name, value in node.initializers},
            **dict(node.sizes),
        }
    return settings


def network_settings(network: Network) -> Settings:
    """Return the settings of the whole network: its name, input and initializers."""
    settings: Settings = {"name": network.name}
    for each in network.inputs:
        settings |= _input(each, network.key_of(each.name))
    if network.outputs:
        # The layers that compute them follow from those of each head.
        settings["heads"] = tuple(name for name, _ in network.outputs)
    # A description is no part of the network.
    known = {"name", "description", "inputs", "layers", "outputs"}
    settings |= {f.name: getattr(network, f.name) for f in fields(network) if f.name not in known}
    drawn = dict[str, list[Any]]()
    for layer in network.layers:
        for key, value in _initializers(layer).items():
            values = drawn.setdefault(key, [])
            values += [] if value in values else [value]
    # In a network of a spec, all layers have the same.
    return settings | {
        key: values[0] if len(values) == 1 else values for key, values in drawn.items()
    }


def _input(network_input: Input, place: str) -> Settings:
    """Return the settings of an input at a place, but those that are keys of the embedding."""
    # The place stands for the kind of input, which no single key of the language sets.
    kind = next(text for kind, text in _KINDS.items() if isinstance(network_input, kind))
    settings: Settings = {place: kind}
    for field in fields(network_input):
        if field.name not in ("name", "vocabulary", "mask_zero", "state"):
            key = {"steps": "length"}.get(field.name, field.name)
            settings[f"{place}.{key}"] = getattr(network_input, field.name)
    return settings


_KINDS: dict[type, str] = {
    TokenInput: "tokens",
    NumericInput: "numbers",
    VectorInput: "a vector",
    LabelInput: "a label",
}


def _initializers(layer: Layer) -> Settings:
    """Return the initializers that a layer uses, which the language sets for all layers at once."""
    settings: Settings = {}
    for field in fields(layer):
        value = getattr(layer, field.name)
        if isinstance(value, Initializer):
            # An embedding has one array, and so one initializer without a name of its own.
            key = field.name.removesuffix("initializer").rstrip("_") or "embedding"
            # -0.0 and 0.0 make the same network.
            value = Constant(0.0) if value == Constant(0.0) else value
            settings[f"initializers.{key}"] = in_words(value)
    if isinstance(layer, Recurrent) and isinstance(layer.cell, LSTM):
        settings["initializers.forget_bias"] = layer.cell.forget_bias
    return settings


# difflib compares each item with every equal one, once for each block that it finds.
_MOST_COMPARISONS = 100_000
_SOON = 50


@dataclass(frozen=True, slots=True)
class LayerSettings:
    """A layer, its settings, and the name of what it takes.

    It is ``branched`` if it says so itself; otherwise it takes the output of the layer before it,
    or that of the last layer that all heads have in common.
    """

    layer: Layer
    settings: Settings
    source: str = ""
    branched: bool = False

    @property
    def kind(self) -> str:
        """The class of its node."""
        return type(self.layer).__name__


Pair = tuple[LayerSettings | None, LayerSettings | None]
"""A layer before and after, None on the side that lacks it."""


def align(before: Sequence[LayerSettings], after: Sequence[LayerSettings]) -> list[Pair]:
    """Return every layer of both networks once and in order, with corresponding layers paired.

    Layers with the same explicit name are paired first, because who names a layer says which
    one it is. Between them, equal layers are paired, then those of the same type, then those of the
    same kind. Default names do not count, because their numbers shift whenever a layer is added.
    """
    keys: tuple[Callable[[LayerSettings], Hashable], ...] = (
        # A layer without a name of its own is equal to no other.
        lambda one: (one.kind, one.layer.name if has_given_name(one.layer) else object()),
        lambda one: (one.kind, type_name(one.layer), *one.settings.items()),
        lambda one: (one.kind, type_name(one.layer)),
        lambda one: one.kind,
    )
    return list(_pair(before, after, keys))


def has_given_name(layer: Layer) -> bool:
    """True if a layer has an explicit name, rather than its type and a number."""
    # 'layer_normalization_1' is the default name of a 'LayerNormalization'.
    kind, _, number = layer.name.rpartition("_")
    return not (number.isdecimal() and kind.replace("_", "") == type_name(layer).lower())


def _pair(
    before: Sequence[LayerSettings],
    after: Sequence[LayerSettings],
    keys: Sequence[Callable[[LayerSettings], Hashable]],
) -> Iterator[Pair]:
    """Yield pairs of layers that are equal by the first key, and between them by the others."""
    if not (before and after and keys):
        yield from ((entry, None) for entry in before)
        yield from ((None, entry) for entry in after)
        return
    key, *rest = keys
    i = j = 0
    for place, other in _equal_places([*map(key, before)], [*map(key, after)]):
        yield from _pair(before[i:place], after[j:other], rest)
        yield before[place], after[other]
        i, j = place + 1, other + 1
    yield from _pair(before[i:], after[j:], rest)


def _equal_places(
    before: Sequence[Hashable], after: Sequence[Hashable]
) -> Iterator[tuple[int, int]]:
    """Yield the places of items that are equal, rising on both sides, common ends included."""
    head = _count_common(before, after)
    tail = _count_common(before[head:][::-1], after[head:][::-1])
    old, new = before[head : len(before) - tail], after[head : len(after) - tail]
    counts, others = Counter(old), Counter(new)
    if sum(count * others[item] for item, count in counts.items()) > _MOST_COMPARISONS:
        # Each item with an equal one soon after the last pair.
        inner, at = [], 0
        for place, item in enumerate(old):
            if item in (soon := new[at : at + _SOON]):
                at += soon.index(item) + 1
                inner.append((place, at - 1))
    else:
        matcher = SequenceMatcher(None, old, new, autojunk=False)
        blocks = matcher.get_matching_blocks()
        inner = [(at + n, other + n) for at, other, size in blocks for n in range(size)]
        # Of two answers, the one without insertions and removals is easier to read.
        same = [(at, at) for at, pair in enumerate(zip(old, new, strict=False)) if len({*pair}) < 2]
        if len(old) == len(new) and len(same) >= len(inner):
            inner = same
    yield from ((at, at) for at in range(head))
    yield from ((head + at, head + other) for at, other in inner)
    yield from ((len(before) - at, len(after) - at) for at in range(tail, 0, -1))


def _count_common(before: Sequence[Hashable], after: Sequence[Hashable]) -> int:
    """Return the length of the common prefix."""
    pairs = zip(before, after, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


State = Literal["same", "changed", "added", "removed"]


@dataclass(frozen=True, slots=True)
class Change:
    """The value of a key before and after, None if the key is absent or not set."""

    key: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class LayerDiff:
    """A layer before and after, None on the side that lacks it."""

    before: Layer | None
    after: Layer | None
    changes: tuple[Change, ...] = ()

    @property
    def state(self) -> State:
        """The kind of change; a different shape or parameter count is a change too."""
        if self.before is None:
            return "added"
        if self.after is None:
            return "removed"
        if self.changes:
            return "changed"
        # A change in another layer may affect these.
        before, after = ((layer.output, count(layer)) for layer in (self.before, self.after))
        return "same" if before == after else "changed"

    @property
    def renamed(self) -> bool:
        """True if the layer is on both sides under different names."""
        return bool(self.before and self.after and self.before.name != self.after.name)

    def as_dict(self) -> dict[str, Any]:
        """Return the layer as plain data."""
        both = [self.before, self.after]
        return {
            "state": self.state,
            "name": _sides(*(layer and layer.name for layer in both)),
            "type": _sides(*(layer and type_name(layer) for layer in both)),
            "changes": _changes_dict(self.changes),
            "output_shape": _sides(*(layer and _shape(layer) for layer in both)),
            "parameters": _sides(*(layer and count(layer) for layer in both)),
        }


@dataclass(frozen=True, slots=True)
class Diff:
    """The differences between two networks.

    ``network`` has the changes of the whole network, ``expect`` those of the promises, which are
    not part of the network, and ``layers`` every layer of both.
    """

    before: Network
    after: Network
    network: tuple[Change, ...]
    expect: tuple[Change, ...]
    layers: tuple[LayerDiff, ...]

    @property
    def same(self) -> bool:
        """True if the two networks are the same, down to the names of their arrays."""
        unchanged = (layer.state == "same" and not layer.renamed for layer in self.layers)
        return not self.network and all(unchanged)

    @property
    def parameters(self) -> tuple[Counts, Counts]:
        """The parameter counts before and after."""
        return counts(self.before), counts(self.after)

    def __repr__(self) -> str:
        change = "no change in the network" if self.same else "changed"
        return f"Diff({self.before.name} -> {self.after.name}, {change})"

    def _repr_html_(self) -> str:
        return html_of(self)

    def as_dict(self) -> dict[str, Any]:
        """Return the differences as plain data, as ``rnnspec diff --json`` prints them."""
        before, after = self.parameters
        return {
            "same": self.same,
            "name": _sides(self.before.name, self.after.name),
            "network": _changes_dict(self.network),
            "layers": [layer.as_dict() for layer in self.layers],
            "output_shape": _sides(_shape(self.before), _shape(self.after)),
            "parameters": _sides(before.as_dict(), after.as_dict()),
            "expect": _changes_dict(self.expect),
        }


def diff(before: Program, after: Program) -> Diff:
    """Return the differences: defaults count as written, comments and descriptions do not count."""
    old, new = before.network, after.network
    pairs = align(_with_settings(old), _with_settings(new))
    renamed = {a.layer.name: b.layer.name for a, b in pairs if a and b}
    settings, others = network_settings(old), network_settings(new)
    # A removed embedding would otherwise appear as a changed initializer too.
    unused = {key for key in settings.keys() ^ others.keys() if key.startswith("initializers.")}
    return Diff(
        before=old,
        after=new,
        network=tuple(c for c in _changes(settings, others) if c.key not in unused),
        expect=_changes(before.spec.expect.model_dump(), after.spec.expect.model_dump()),
        layers=tuple(
            LayerDiff(a.layer if a else None, b.layer if b else None, _layer_changes(a, b, renamed))
            for a, b in pairs
        ),
    )


def _with_settings(network: Network) -> list[LayerSettings]:
    """Return the layers of a network with their settings, and which branches they are on."""
    result, before = list[LayerSettings](), None
    taken, ends = sources(network), {name for _, name in network.outputs}
    # Heads begin behind the end of the one before; usually all take the same.
    heads = {
        after.source
        for end, after in pairwise(network.layers)
        if end.name in ends and after.source is not None
    }
    for layer, settings in zip(network.layers, layer_settings(network), strict=True):
        (source, *_) = taken[layer.name]
        is_head = before is not None and before.layer.name in ends and len(heads) == 1
        is_pooling = before is not None and all(
            isinstance(one, Pooling | AttentionPooling) for one in (before.layer, layer)
        )
        beside = is_head or (is_pooling and before is not None and before.source == source)
        own = layer.source is not None and not isinstance(layer, Embedding | LearnedState)
        before = LayerSettings(layer, settings, source, own and not beside)
        result.append(before)
    return result


def _layer_changes(
    before: LayerSettings | None, after: LayerSettings | None, renamed: Mapping[str, str]
) -> tuple[Change, ...]:
    """Return the changes of a layer; ``renamed`` has the new name of each that is in both."""
    if before is None or after is None:
        return ()
    changes = _changes(before.settings, after.settings)
    source = renamed.get(before.source, before.source)
    if (before.branched or after.branched) and source != after.source:
        changes = (Change("of", before.source, after.source), *changes)
    # The number in a default name shifts whenever a layer is added or removed.
    old, new = before.layer, after.layer
    if old.name != new.name and (has_given_name(old) or has_given_name(new)):
        return (Change("name", old.name, new.name), *changes)
    return changes


def _changes(before: Settings, after: Settings) -> tuple[Change, ...]:
    # In the order of the keys before, then of the keys that are new.
    changes = (Change(key, before.get(key), after.get(key)) for key in {**before, **after})
    return tuple(change for change in changes if change.before != change.after)


def _sides(before: Any, after: Any) -> dict[str, Any]:
    return {"before": before, "after": after}


def _changes_dict(changes: tuple[Change, ...]) -> dict[str, Any]:
    return {change.key: _sides(change.before, change.after) for change in changes}


def _shape(of: Layer | Network) -> list[int | None]:
    # None stands for the batch size, as in Keras.
    return [None, *of.output]
