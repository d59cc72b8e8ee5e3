"""The graph while it is built: what each name stands for, and what has been read."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from rnnspec.errors import Problem, listed
from rnnspec.errors.wording import nearest, quoted
from rnnspec.ir import nodes
from rnnspec.ir.params import too_large, used_params
from rnnspec.lowering.cells import default_initializers, read_initializer
from rnnspec.spec import models
from rnnspec.spec.names import MAX_NAME_LENGTH

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


Path = tuple[str | int, ...]
"""The keys and indices that lead to a value of the spec."""

Axis = tuple[str, int, int]
"""Time steps: where they come from, the first of them, and every how many one is left.

Those of all inputs come from one place, because joins need equal numbers of them.
"""

OUTPUT = "output"
"""The name of the output of a network that has the states of layers as outputs too."""

_OF_INPUTS: Axis = ("", 0, 1)
_NAMES_SHOWN = 9
_GUESSES = 50
"""Maximum number of searches for a similar name: more of them take seconds."""
_PRETENDED = ""
"""The name of a value that no layer has, with the shape that one should have."""
_SOFTMAXES = ("softmax", "log_softmax")
_ZERO_AT_ZERO = ("linear", "relu", "tanh", "elu", "selu", "silu", "softsign")


@dataclass(frozen=True, slots=True)
class Behind:
    """The layers between a recurrent layer and all that takes its final state behind them.

    ``has_layers`` is False if there are none. They have ``apart_steps`` if each step of their
    output depends on that step only, ``apart_features`` likewise, and ``keeps_zeros`` if they give
    zeros of zeros.
    """

    has_layers: bool = False
    apart_steps: bool = True
    apart_features: bool = True
    keeps_zeros: bool = True

    def __or__(self, other: Behind) -> Behind:
        """Return the layers of both."""
        return Behind(
            self.has_layers or other.has_layers,
            self.apart_steps and other.apart_steps,
            self.apart_features and other.apart_features,
            self.keeps_zeros and other.keeps_zeros,
        )

    @classmethod
    def of(
        cls, kind: type[nodes.Layer], activation: nodes.Activation = "linear", *, bias: bool = False
    ) -> Behind:
        """Return a layer of a kind, one of those that compute each step by itself."""
        kept = isinstance(activation, nodes.LeakyRelu | nodes.ClippedRelu)
        kept = kept or activation in _ZERO_AT_ZERO
        return cls(
            has_layers=True,
            # In training, a batch norm has statistics of all steps.
            apart_steps=kind.acts_on != "feature",
            apart_features=kind.acts_on in ("element", "feature") and activation not in _SOFTMAXES,
            keeps_zeros=kept and not bias and kind not in (nodes.BatchNorm, nodes.LayerNorm),
        )

    def takes_state(self, layer: nodes.Recurrent) -> bool:
        """True if a recurrent layer may give its final state, rather than a sequence.

        Behind layers, a step of the sequence that they give is read, and zeros if no step is real.
        Computing them of the state only is the same, and faster, unless they have statistics of all
        steps, or give something else than zeros of the state of only padding. If they mix the
        directions, no step has the final states of both, and only the state is left.
        """
        if not self.has_layers:
            return True
        if not self.apart_steps:
            return False
        apart = layer.merge is None or (layer.merge == "concat" and self.apart_features)
        return not (layer.masked and apart) or (self.keeps_zeros and not layer.first_states)


@dataclass(frozen=True, slots=True)
class Value:
    """The output of a layer, or an input: its shape, its time steps, and their padding."""

    shape: nodes.Shape
    axis: Axis | None
    masked: bool


class GraphBuilder:
    """The inputs and layers so far, the problems, and the name that the next layer takes.

    ``state_items`` are the items of ``rnn`` of which only the final state is taken, each with the
    layers behind which it is. ``later`` has the names of layers to come, for errors. ``readers``
    has each item of ``rnn`` with the paths of the layers and heads that take its output, None for
    one that takes it beside another. ``order`` has the place of each layer among the layers.
    """

    def __init__(
        self, spec: models.Spec, state_items: Mapping[int, Behind], later: Collection[str]
    ) -> None:
        self.spec = spec
        self.state_items = state_items
        self.later = later
        self.inputs: list[nodes.Input] = []
        self.layers: list[nodes.Layer] = []
        self.outputs: list[tuple[str, str]] = []
        """The outputs with the last values of states."""
        self.results: dict[str, str] = {}
        self.problems: list[Problem] = []
        self.values: dict[str, Value] = {}
        self.by_name: dict[str, nodes.Layer] = {}
        self.ports: set[str] = set()
        self.place: Path = ()
        self.places: dict[str, Path] = {}
        self.readers: dict[int, list[Path | None]] = {}
        self.order: dict[str, int] = {}
        # A name may stand for a block of layers, which gives the output of its last one.
        self.blocks: dict[str, str] = {}
        # The recurrent layers of each name: those of an item, from the first to the last.
        self.stacks: dict[str, tuple[nodes.Recurrent, ...]] = {}
        self.first = ""
        """What the first layer takes if it need not say so."""
        self.last: str | None = None
        """What the next layer takes, None if it has to say so."""
        self.items: dict[str, int] = {}
        """The items of ``rnn`` by the name of their last layer."""
        self.owners = dict[str, list[nodes.Layer]]()
        """The layers with arrays of each item of ``rnn`` with a name."""
        self.sharing: list[nodes.Layer] | None = None
        """The layers whose arrays those of the current item share, None if it has its own."""
        self.defaults = default_initializers(spec)
        self._numbers: Counter[str] = Counter()
        # A graph has its outputs beside its layers.
        self._names: set[str] = set(spec.heads or ())
        if not spec.heads and any(
            isinstance(layer, models.RecurrentLayer) and layer.initial_state == "given"
            for layer in spec.rnn
        ):
            self._names.add(OUTPUT)
        self._large: set[Path] = set()
        self._long: set[Path] = set()
        self._known: set[Problem] = set()

    @property
    def value(self) -> Value:
        """What the next layer takes."""
        assert self.last is not None
        return self.values[self.last]

    @property
    def shape(self) -> nodes.Shape:
        """The shape of what the next layer takes."""
        return self.value.shape

    @property
    def masked(self) -> bool:
        """True if what the next layer takes has padding."""
        return self.value.masked

    @property
    def masks(self) -> dict[str, tuple[nodes.Origin, ...]]:
        """The masks that tell the real steps of each input, and of the output of each layer."""
        inputs, layers = tuple(self.inputs), tuple(self.layers)
        return nodes.masks(nodes.Network(name="", description="", inputs=inputs, layers=layers))

    def refuse(
        self, path: Path, message: str, *, code: str, key: bool = False, column: int = 0
    ) -> None:
        """Record a problem with the value at ``path``, from a column on, or with its key."""
        problem = self.spec.document.problem(path, message, code=code, key=key, column=column)
        # Copies made by 'layers' share a path.
        if problem not in self._known:
            self._known.add(problem)
            self.problems.append(problem)

    def name(self, kind: str, path: Path, declared: str | None = None) -> str:
        """Return the name of the next layer of a kind: as declared, or the kind and its number."""
        # Layers with a declared name count too, so naming one does not rename those after it.
        self._numbers[kind] += 1
        return self.reserve(declared or f"{kind}_{self._numbers[kind]}", path)

    def reserve(self, name: str, path: Path) -> str:
        """Return a name, and refuse it if it is taken, or too long with its ending."""
        # Other endings of the same name are not reported.
        if len(name) > MAX_NAME_LENGTH and path[:2] not in self._long:
            self._long.add(path[:2])
            message = f"expected at most {MAX_NAME_LENGTH} characters; '{name}' has {len(name)}"
            self.refuse(path, message, code="E416")
        if name in self._names:
            is_input = any(network_input.name == name for network_input in self.inputs)
            what = "an input" if is_input else "another layer"
            self.refuse(path, f"{what} is already named '{name}'", code="E415")
        self._names.add(name)
        return name

    def enter(self, network_input: nodes.Input) -> None:
        """Append an input."""
        self.inputs.append(network_input)
        has_steps = isinstance(network_input, nodes.SequenceInput)
        self.last = network_input.name
        self.values[self.last] = Value(
            network_input.shape, _OF_INPUTS if has_steps else None, network_input.masked
        )

    def branch(self, name: str) -> None:
        """Let the next layer take the output of an earlier one, or an input."""
        self.last = name

    def begin_item(self, index: int) -> None:
        """Begin an item of ``rnn``, whose layers have the arrays of another one if it shares."""
        self.place = ("rnn", index)
        shares = getattr(self.spec.rnn[index], "shares", None)
        self.sharing = None if shares is None else list(self.owners.get(shares, ()))

    def _share(self, layer: nodes.Layer) -> nodes.Layer:
        """Return a layer of an item, with the arrays of that of another item if it shares these."""
        section, *rest = self.place or ("",)
        if section != "rnn" or not used_params(layer):
            return layer
        declared, layer = self.spec.rnn[int(rest[0])], replace(layer, shares=None)
        if self.sharing is None:
            if declared.name:
                self.owners.setdefault(declared.name, []).append(layer)
            return layer
        # With other problems, there may be none.
        other = self.sharing.pop(0) if self.sharing else None
        if other is None:
            return layer
        if message := _difference(layer, other, str(getattr(declared, "shares", ""))):
            if self._differs(declared):
                # A key has been refused.
                return layer
            self.refuse((*self.place, "of" if declared.of else "shares"), message, code="E439")
            return layer
        return replace(layer, shares=other.name)

    def _differs(self, declared: models.AnyLayer) -> bool:
        """True if an item has other settings than that whose arrays it shares."""
        shares = getattr(declared, "shares", None)
        others = [item for item in self.spec.rnn if item.name == shares]
        keys = type(declared).model_fields.keys() - {*models.OWN_KEYS, "attention", "direction"}
        return any(getattr(declared, k) != getattr(others[0], k, None) for k in keys)

    def add(self, layer: nodes.Layer, path: Path | None = None) -> None:
        """Append a layer; ``path`` leads to the size that it is reported at if it is too large."""
        layer = self._share(layer)
        before = self.layers[-1].name if self.layers else self.inputs[0].name
        if self.last != before and not isinstance(layer, nodes.Joined):
            layer = replace(layer, source=self.last)
        self.values[layer.name] = self._value_of(layer)
        self.last = layer.name
        self.order[layer.name] = len(self.layers)
        self.layers.append(layer)
        self.by_name[layer.name] = layer
        self.places[layer.name] = self.place
        # Copies made by 'layers' share a path, and are reported once.
        if path is not None and path not in self._large and (message := too_large(layer)):
            self._large.add(path)
            self.refuse(path, message, code="E417")

    def _value_of(self, layer: nodes.Layer) -> Value:
        shape = layer.output
        if len(shape) < 2:
            return Value(shape, None, masked=False)
        own: Axis = (layer.name, 0, 1)
        match layer:
            case nodes.Attention(is_along_memory=True, over=over):
                return replace(self.values[over], shape=shape)
            case nodes.Repeat(like=str() as like):
                return Value(shape, self.values[like].axis, masked=False)
            case _ if layer.time_axis == "new":
                return Value(shape, own, masked=False)
            case nodes.Conv(window=window) | nodes.WindowPooling(window=window):
                origin, first, every = self.value.axis or own
                axis = (origin, first + every * window.anchor, every * window.stride)
                return Value(shape, axis, self.masked)
            case nodes.Joined(of=of):
                joined = [self.values[name] for name in of]
                axis = next((value.axis for value in joined if value.axis), own)
                return Value(shape, axis, any(value.masked for value in joined))
            case _:
                return replace(self.value, shape=shape)

    def keys_of(
        self, node: type[nodes.Layer], declared: models.Model, **others: Any
    ) -> dict[str, Any]:
        """Return the fields of a layer: keys of ``declared``, or what the network has for them."""
        drawn = self.spec.initializers
        values: dict[str, Any] = {
            "input": self.shape,
            "masked": self.masked and len(self.shape) > 1,
            "kernel_initializer": read_initializer(drawn.kernel),
            "bias_initializer": read_initializer(drawn.bias),
            **others,
        }
        for name, kind in (
            (field, node.__dataclass_fields__[field].type) for field in _fields(node)
        ):
            if name in type(declared).model_fields and name not in others:
                value = getattr(declared, name)
                # 'epsilon: 1' is an integer in the spec.
                values[name] = float(value) if kind == "float" else read_activation(value)
        return {name: values[name] for name in _fields(node) if name in values}

    def take(self, declared: str | None, path: Path) -> None:
        """Let the next layer take what ``of`` names, by default what it takes anyway.

        If there is no such layer, a problem is recorded, and the next one takes another.
        """
        if declared is not None:
            name = self.find(declared, path, reader=self.place)
            self.last = name or self.last or self.first
            if name is None:
                self._read(self.last, self.place)
        elif self.last is None:
            names = listed([f"'{network_input.name}'" for network_input in self.inputs], "or")
            message = f"expected 'of', the input that the first layer takes: {names}"
            self.refuse(path[:-1], message, code="E425")
            self.last = self.first
        else:
            self._read(self.last, self.place)

    def pretend(self, shape: nodes.Shape) -> None:
        """Let the next layer take another shape, so that problems behind it are found."""
        assert self.problems
        self.values[_PRETENDED] = replace(self.value, shape=shape)
        self.last = _PRETENDED

    def find(self, declared: str, path: Path, reader: Path | None = None) -> str | None:
        """Return the layer or input that a name stands for; None, with a problem, if there is none.

        ``NAME.PART`` is the final state of a recurrent layer. ``reader`` takes it alone.
        """
        base, dot, part = declared.partition(".")
        name = self.blocks.get(base, base)
        if dot and base in self.stacks:
            return self._find_state(base, part, path)
        if not dot and name in self.values:
            self._read(name, reader)
            return name
        if dot and base and name in self.values:
            message = f"only a recurrent layer has parts such as '.{part}', and '{base}' is none"
            self.refuse(path, message, code="E425")
            return None
        self._refuse_name(declared, path)
        return None

    def expect_vector(self, name: str, declared: str, size: int) -> str:
        """Return a message: a layer or an input, by its name in the spec, gives another vector."""
        shape = self.values[name].shape
        gives = f"one of {shape[0]}" if len(shape) == 1 else "a sequence"
        message = f"expected a vector of {size} features; '{declared}' gives {gives}"
        layer = self.stacks.get(declared, (None,))[-1]
        if layer is None or len(shape) < 2 or layer.ways * layer.states[0][1] != size:
            return message
        return f"{message}: write '{declared}.state' for its final state"

    def unequal_steps(self, first: str, first_value: Value, name: str, value: Value) -> str:
        """Return a message if two sequences, by their names in the spec, have unequal steps."""
        steps, expected = value.shape[0], first_value.shape[0]
        if steps == expected and (steps is not None or value.axis == first_value.axis):
            return ""
        its = f"the steps of '{first}', any number"
        its = its if expected is None else f"the {expected} steps of '{first}'"
        has = "others" if steps == expected else "any number" if steps is None else steps
        message = f"expected {its}; '{name}' has {has}"
        if value.axis == first_value.axis and None in (steps, expected):
            message = f"{message}: give both inputs a length"
        if {first, name} <= self.stacks.keys():
            states = f"'{first}.state' and '{name}.state'"
            message = f"{message}; write {states} for their final states"
        return message

    def _read(self, name: str, reader: Path | None) -> None:
        if name in self.items:
            self.readers.setdefault(self.items[name], []).append(reader)

    def _refuse_name(self, declared: str, path: Path) -> None:
        # The embedding of an input has its name too.
        hidden = {
            _PRETENDED,
            *(self.blocks.get(network_input.name) for network_input in self.inputs),
        }
        last = list(
            islice((name for name in reversed(self.values) if name not in hidden), _NAMES_SHOWN)
        )
        some = last[::-1] if len(last) < _NAMES_SHOWN else ["...", *last[2::-1]]
        message = f"expected a layer before this one, {listed(some, 'or')}"
        message = f"{message}; received {quoted(declared)}"
        if declared in self.later:
            message = f"{message}, which is not before it"
        elif len(self.problems) < _GUESSES:
            names = tuple(name for name in self.values if name not in hidden)
            near = nearest(declared, (*names, *self.blocks))
            message = f"{message}; did you mean {near!r}?" if near else message
        self.refuse(path, message, code="E425")

    def _find_state(self, base: str, part: str, path: Path) -> str | None:
        layer = self.stacks[base][-1]
        names = [name for name, _ in layer.states]
        parts = {"state": names[0], **{name: name for name in names}}
        if isinstance(layer.cell, nodes.LSTM):
            parts.setdefault("cell", names[1])
        if part == "context" and layer.attention:
            return self._contexts(layer)
        if part == "context" and getattr(self._declared(layer), "attention", None):
            # What it attends to has been refused.
            return None
        if part not in parts:
            kind = self.declared_type(layer)
            has = f"the states of {kind!r} are {listed(names)}"
            has = has if len(names) > 1 else f"the only state of {kind!r} is {names[0]}"
            if layer.attention:
                parts["context"] = ""
            elif part == "context":
                has = f"it has no 'attention', and {has}"
            message = f"'{base}' has no part {quoted(part)}; {has}"
            self.refuse(path, f"{message}; expected {listed(list(parts), 'or')}", code="E425")
            return None
        return self.final_state(layer, parts[part])

    def _declared(self, layer: nodes.Recurrent) -> models.AnyLayer:
        """Return the item of the spec that a recurrent layer is of."""
        return self.spec.rnn[int(self.places[layer.name][1])]

    def declared_type(self, layer: nodes.Recurrent) -> str:
        """Return the type that the spec gives a recurrent layer."""
        return self._declared(layer).type

    def _contexts(self, layer: nodes.Recurrent) -> str:
        """Return the name of the contexts of a layer."""
        # They are those of a sequence of outputs.
        self._read(self.blocks[layer.name], None)
        return self._port(layer, "")

    def final_state(self, layer: nodes.Recurrent, part: str) -> str:
        """Return the name of the last value of a state."""
        is_output = part == layer.states[0][0] and layer.merge in (None, "concat")
        if is_output and not layer.return_sequences:
            return layer.name
        return self._port(layer, part)

    def _port(self, layer: nodes.Recurrent, state: str) -> str:
        """Return the name of a value beside the output of a layer, which is reserved for it."""
        port = next(port for port in layer.ports if port.state == state)
        if port.name not in self.ports:
            self.ports.add(port.name)
            self.reserve(port.name, self.place)
            of_steps = Value(port.output, None, masked=False) if state else self.values[layer.name]
            self.values[port.name] = replace(of_steps, shape=port.output)
        return port.name


def _difference(layer: nodes.Layer, other: nodes.Layer, name: str) -> str:
    """Return a message: a layer cannot have the arrays of another; empty if it can."""
    its = f"the input of {quoted(name)}"
    if len(layer.input) != len(other.input):
        kinds = ["a sequence" if len(e.input) > 1 else "a vector" for e in (other, layer)]
        return f"expected {kinds[0]}, as {its} is; received {kinds[1]}"
    if layer.input[-1] != other.input[-1]:
        return f"expected {other.input[-1]} features, those of {its}; received {layer.input[-1]}"
    padded = [getattr(e, "masked", False) for e in (other, layer)]
    if padded[0] != padded[1]:
        has = ["with padding" if masked else "without padding" for masked in padded]
        return f"expected a sequence {has[0]}, as {its} is; received one {has[1]}"
    if isinstance(layer, nodes.Recurrent) and isinstance(other, nodes.Recurrent):
        # What one call takes beside its input is not that of another.
        layer = replace(layer, initial=other.initial, backward=other.backward)
        if layer.attention and other.attention:
            over, keys = other.attention.over, other.attention.keys
            layer = replace(layer, attention=replace(layer.attention, over=over, keys=keys))
    same = replace(layer, name=other.name, input=other.input, source=other.source)
    if same != other:
        # A cell with several inputs of other sizes, which are as many features together.
        return f"expected inputs of the sizes of those of {quoted(name)}, received others"
    return ""


def _fields(node: type[nodes.Layer]) -> tuple[str, ...]:
    return tuple(node.__dataclass_fields__)


def read_activation(declared: Any) -> Any:
    """Return an activation, or any other value as it is."""
    match declared:
        case models.LeakyRelu():
            return nodes.LeakyRelu(slope=float(declared.leaky_relu))
        case models.ClippedRelu():
            return nodes.ClippedRelu(limit=float(declared.clipped_relu))
        case _:
            return declared
