"""The layers of a configuration of Keras in the order in which data passes through them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from rnnspec.errors import UsageError, listed
from rnnspec.importing.imported import Account, show_value
from rnnspec.importing.keras.arrays import Foreign
from rnnspec.importing.keras.calls import Call, End, read_calls, read_ends
from rnnspec.importing.keras.layers import CLASSES, JOINS, OPERATIONS
from rnnspec.importing.keras.recurrent import CELLS, KINDS
from rnnspec.importing.keras.settings import MODELS, foreign

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_DEEPEST_MASK = 50
_LARGEST = 1e30
_OTHER = "has a mask that is not that of the input, which rnnspec does not support"


class _MaskError(Exception):
    """A mask that is not made from the padding of the input."""


class _MaskOperations:
    """The operations of a graph that compute masks."""

    def __init__(
        self, layers: Mapping[str, Foreign], calls: Mapping[str, tuple[Call, ...]]
    ) -> None:
        self._layers = layers
        self._calls = calls
        # What was found, as a hostile graph has as many paths as it likes.
        self._found: dict[tuple[str, str], float] = {}

    def padding(self, mask: Any, first: str) -> float:
        """Return the value of padding: the mask is true where the input ``first`` is another.

        Raises:
            _MaskError: the mask is another.
        """
        match mask:
            case {"config": {"keras_history": [str(name), int(), int()]}}:
                return self._of(name, first, 0)
            case [str(name), int(), int()]:
                return self._of(name, first, 0)
            case _:
                raise _MaskError(_OTHER)

    def _of(self, name: str, first: str, depth: int) -> float:
        if (name, first) not in self._found:
            self._found[name, first] = self._made_by(name, first, depth)
        return self._found[name, first]

    def _made_by(self, name: str, first: str, depth: int) -> float:
        layer, calls = self._layers.get(name), self._calls.get(name, ())
        if layer is None or layer.custom or len(calls) != 1 or depth > _DEEPEST_MASK:
            raise _MaskError(_OTHER)
        inputs = [source for source, _, _ in calls[0].inputs]
        match layer.kind, inputs, calls[0].constants:
            case "NotEqual", [source], [int() | float() as value] if source == first:
                # Keras compares with numbers of 32 or 64 bits.
                if type(value) is not bool and abs(value) < _LARGEST:
                    return float(value)
            case "Any", [source], [] if layer.config.get("axis") in (-1, [-1], 2):
                return self._of(source, first, depth + 1)
            case "ConvertToTensor" | "ExpandDims", [source], []:
                return self._of(source, first, depth + 1)
            # All sides of a join have the mask of the input, which Concatenate adds to zeros.
            case "LogicalOr" | "LogicalAnd" | "Concatenate", several, []:
                masks = [name for name in several if not self._is_zeros(layer, name)]
                values = {self._of(name, first, depth + 1) for name in dict.fromkeys(masks)}
                if len(values) == 1:
                    return values.pop()
            case _:
                pass
        raise _MaskError(_OTHER)

    def _is_zeros(self, reader: Foreign, name: str) -> bool:
        layer = self._layers.get(name)
        return reader.kind == "LogicalOr" and layer is not None and layer.kind == "ZerosLike"


MAX_LAYERS = 4_000
_DEEPEST_MODEL = 4
_MOST_UNUSED = 10
_RECURRENT = (*KINDS, *CELLS, "RNN", "Bidirectional")


@dataclass(frozen=True, slots=True)
class OrderedLayers:
    """The layers of a model, each behind those whose outputs it takes if they are ``ordered``.

    ``outputs`` has each output of the model with its name, empty if it is the only one, and the
    name of its layer.
    """

    layers: list[Foreign]
    ordered: bool
    outputs: tuple[tuple[str, str], ...] = ()

    @property
    def in_file(self) -> list[Foreign]:
        """The layers in the order of the file, where each stands once."""
        return sorted(
            (layer for layer in self.layers if not layer.tied), key=lambda layer: layer.position
        )


def layers_of(account: Account, config: Any) -> OrderedLayers:
    """Return the layers of a model in order, with the input layer if there is one.

    The layers of a model that is itself a layer stand in its place. What has no such order is
    refused in ``account``; the layers then stand in the order of the file.

    Raises:
        UsageError: this is no configuration of a model.
    """
    return _flat(account, _layers_of(account, config))


def _flat(account: Account, layers: OrderedLayers, depth: int = 0) -> OrderedLayers:
    flat, ordered = list[Foreign](), layers.ordered
    # The last layer of each model that is itself a layer.
    ends = dict[str, str]()
    for outer in layers.layers:
        layer = replace(outer, inputs=tuple(ends.get(name, name) for name in outer.inputs))
        if layer.kind not in MODELS or layer.custom or depth >= _DEEPEST_MODEL:
            flat.append(layer)
            continue
        config = {"class_name": layer.kind, "config": layer.config}
        inner = _flat(account, _layers_of(account, config), depth + 1)
        ordered = ordered and inner.ordered
        if layer.output or len(inner.outputs) > 1:
            what = f"its output {layer.output} is used" if layer.output else "has several outputs"
            message = f"{what}; rnnspec passes on the first"
            account.refuse(layer.name, message, "E704")
        own = [member.inside(layer) for member in inner.layers]
        if layer.inputs:
            own = _connect(account, layer, own)
        for _, end in inner.outputs[:1]:
            # A model of an input alone passes on what it gets.
            name = f"{layer.name}.{end}"
            passed = name not in {member.name for member in own} and layer.inputs
            ends[layer.name] = layer.inputs[0] if passed else name
        flat += own
    outputs = tuple((name, ends.get(layer, layer)) for name, layer in layers.outputs)
    return OrderedLayers(flat, ordered, outputs)


def _connect(account: Account, model: Foreign, own: list[Foreign]) -> list[Foreign]:
    """Return the layers of a model that takes the output of another layer, without its input."""
    for layer in own:
        if layer.mask is not None:
            message = "has a mask that is made from the output of another layer"
            message += "; rnnspec supports only that of the input"
            account.refuse(layer.name, message, "E704")
    starts = {layer.name for layer in own if layer.kind == "InputLayer"}
    connected = [
        replace(
            layer,
            inputs=tuple(model.inputs[0] if name in starts else name for name in layer.inputs)
            or model.inputs,
        )
        for layer in own
        if layer.name not in starts
    ]
    if connected and model.mask is not None:
        connected[0] = replace(connected[0], mask=model.mask)
    return connected


def _layers_of(account: Account, config: Any) -> OrderedLayers:
    match config:
        case {"class_name": "Sequential", "config": [] | {"layers": []}}:
            account.refuse("model", "expected layers, received none", "E704")
            return OrderedLayers([], ordered=False)
        case {"class_name": "Sequential", "config": [*layers] | {"layers": [*layers]}}:
            members = list[Foreign]()
            for at, item in enumerate(_few(account, layers)):
                layer = foreign(account, item, f"layers[{at}]")
                inputs = tuple(before.name for before in members[-1:])
                members.append(replace(layer, inputs=inputs, position=(at,)))
            return OrderedLayers(members, ordered=True, outputs=(("", members[-1].name),))
        case {
            "class_name": "Model" | "Functional",
            "config": {"layers": [*layers], "input_layers": inputs, "output_layers": outputs},
        }:
            graph = _Graph(account, _few(account, layers))
            return graph.layers_between(
                read_ends(account, "input_layers", inputs),
                read_ends(account, "output_layers", outputs),
            )
        case {"class_name": "Sequential" | "Model" | "Functional" as name, "config": inner}:
            expected = "expected the layers with the input and the output layers"
            received = f"received {show_value(inner)}"
            raise UsageError(f"config of a {name} model: {expected}, {received}", account.source)
        case {"class_name": str(name), "config": _}:
            account.refuse(
                "model",
                f"expected a Sequential or a functional model, received {show_value(name)}: the "
                "layers of a subclassed model are in its Python code, not in the file",
                "E701",
            )
            return OrderedLayers([], ordered=False)
        case _:
            expected = "expected the configuration of a Keras model"
            raise UsageError(f"{expected}, received {show_value(config)}", account.source)


def _few(account: Account, layers: list[Any]) -> list[Any]:
    if len(layers) > MAX_LAYERS:
        raise UsageError(
            f"expected at most {MAX_LAYERS:,} layers, received {len(layers):,}", account.source
        )
    return layers


class _Graph:
    """The layers of a functional model with the calls that connect them."""

    def __init__(self, account: Account, layers: Sequence[Any]) -> None:
        self.account = account
        members = [
            replace(foreign(account, config, f"layers[{at}]"), position=(at,))
            for at, config in enumerate(layers)
        ]
        self.layers = {member.name: member for member in members}
        if len(self.layers) < len(members):
            raise UsageError("expected layers of different names", account.source)
        self.calls = {
            member.name: tuple(read_calls(account, layer, member.name))
            for member, layer in zip(members, layers, strict=True)
        }
        for layer in members:
            if layer.kind == "ReversibleEmbedding" and not layer.custom:
                self._split_calls(layer)
        self._masks = _MaskOperations(self.layers, self.calls)
        self._order: list[str] = []

    def _split_calls(self, layer: Foreign) -> None:
        """Make each call of an embedding that projects back to its tokens a layer of its own."""
        first, *others = self.calls[layer.name] or (Call((), {}),)
        if not others or not all(call.kwargs.get("reverse") is True for call in others):
            return
        self.calls[layer.name] = (_without_reverse(first),)
        for at, call in enumerate(others, 1):
            name = f"{layer.name}:{at}"
            self.layers[name] = replace(layer, name=name, tied=layer.name)
            self.calls[name] = (_without_reverse(call),)
        self.calls = {
            name: tuple(
                replace(call, inputs=tuple(map(self._name_call, call.inputs))) for call in calls
            )
            for name, calls in self.calls.items()
        }

    def _name_call(self, tensor: tuple[str, int, int]) -> tuple[str, int, int]:
        layer, call, output = tensor
        name = f"{layer}:{call}"
        return (name, 0, output) if name in self.layers else tensor

    def refuse(self, where: str, message: str) -> None:
        """Record that the layers have no order."""
        self.account.refuse(where, message, "E704")

    def layers_between(self, inputs: tuple[End, ...], outputs: tuple[End, ...]) -> OrderedLayers:
        """Return the layers from the input to the outputs."""
        outputs = tuple(
            replace(end, layer=self._name_call((end.layer, end.call, end.output))[0])
            for end in outputs
        )
        ends = [end.layer for end in outputs]
        data = self._find_data(ends)
        fits = self._check_ends(inputs, outputs)
        if not fits or not self._sort(inputs[0].layer, ends):
            return OrderedLayers([self.layers[name] for name in data], ordered=False)
        unused = [name for name in data if name not in set(self._order)]
        for name in unused[:_MOST_UNUSED]:
            self.refuse(name, "not on the way from the input to the output")
        read = self._find_outputs(outputs)
        members = [self._with_call(name, inputs[0].layer, read) for name in self._order]
        single = len(outputs) == 1 and outputs[0].key is None
        names = tuple(
            ("" if single else end.layer if end.key is None else end.key, end.layer)
            for end in outputs
        )
        return OrderedLayers(members, ordered=not unused, outputs=names)

    def _check_ends(self, inputs: tuple[End, ...], outputs: tuple[End, ...]) -> bool:
        fits = True
        for what, ends, most in (("one input", inputs, 1), ("outputs", outputs, len(outputs))):
            if not 1 <= len(ends) <= most or any(end.layer not in self.layers for end in ends):
                received = listed([show_value(end.layer) for end in ends]) or "none"
                self.refuse("model", f"expected {what}, received {received}")
                fits = False
        return fits

    def _find_data(self, ends: list[str]) -> list[str]:
        """Return the layers that data passes through: operations that only make masks are none."""
        waiting, reached = list(ends), set[str]()
        while waiting:
            if (name := waiting.pop()) not in reached:
                reached.add(name)
                calls = self.calls.get(name, ())
                waiting += [source for call in calls for source, _, _ in call.inputs]
        return [
            name for name, layer in self.layers.items() if not layer.operation or name in reached
        ]

    def _sources(self, name: str) -> list[str]:
        return [source for call in self.calls[name] for source, _, _ in call.inputs]

    def _sort(self, first: str, ends: list[str]) -> bool:
        """Find the order of the layers: each behind its inputs, and those in their order.

        So the layers of a branch stand together. Returns whether there is an order.
        """
        placed, open_ = {first}, set[str]()
        self._order = [first]
        waiting = list(reversed(ends))
        fits = True
        while waiting:
            name = waiting[-1]
            if name in placed:
                waiting.pop()
                continue
            sources = [] if name not in self.layers else self._sources(name)
            missing = [source for source in sources if source not in placed]
            if name not in open_:
                fits = self._check_calls(name) and fits
            if name in open_ and missing:
                self.refuse(first, "the layers form a cycle")
                return False
            open_.add(name)
            if missing and fits:
                waiting += reversed(missing)
                continue
            waiting.pop()
            placed.add(name)
            self._order.append(name)
        return fits

    def _check_calls(self, name: str) -> bool:
        """Return whether a layer takes what it may take."""
        if name not in self.layers:
            self.refuse(name, "is an input of another layer, and is not in the model")
            return False
        layer, calls, sources = self.layers[name], self.calls[name], self._sources(name)
        if len(calls) > 1:
            message = f"called {len(calls)} times, with the same weights"
            self.refuse(name, f"{message}; rnnspec does not support that")
            return False
        known = layer.kind in (OPERATIONS if layer.operation else (*CLASSES, *MODELS))
        # Any other layer is refused for its class, whatever it takes.
        if not known or layer.custom:
            return bool(sources)
        if not sources:
            self.refuse(name, "takes no output of another layer")
            return False
        reads = [(source, at) for call in calls for source, _, at in call.inputs]
        for source in dict.fromkeys(sources):
            outputs = list(dict.fromkeys(at for other, at in reads if other == source))
            if len(outputs) > 1:
                names = listed([_output_name(self.layers[source], at) for at in outputs])
                message = f"reads {names} of {source}; rnnspec passes on one of them"
                self.refuse(name, message)
                return False
        taken = [(source, at) for call in calls for source, at, _ in call.inputs]
        # A join may have an output twice.
        several = [] if layer.kind == "Concatenate" else taken
        again = [tensor for tensor in dict.fromkeys(several) if several.count(tensor) > 1]
        for source, at in again:
            number = taken.count((source, at))
            self.refuse(name, f"reads the output of {source} {number} times; expected it once")
        if layer.kind not in JOINS and len(sources) > 1 and not again:
            self.refuse(name, f"expected one input, received {listed(sources)}")
            return False
        return not again

    def _find_outputs(self, outputs: tuple[End, ...]) -> dict[str, int]:
        """Return the number of the output that is used of each layer."""
        read: dict[str, dict[int, None]] = {end.layer: {end.output: None} for end in outputs}
        for name in self._order:
            for call in self.calls[name]:
                for source, _, at in call.inputs:
                    read.setdefault(source, {})[at] = None
        for source, several in read.items():
            if len(several) > 1:
                what = listed([_output_name(self.layers[source], at) for at in several])
                self.refuse(source, f"{what} are used; rnnspec passes on one of them")
        return {source: next(iter(several)) for source, several in read.items()}

    def _with_call(self, name: str, first: str, read: Mapping[str, int]) -> Foreign:
        layer = replace(self.layers[name], output=read.get(name, 0))
        if name == first:
            return layer
        call = self.calls[name][0]
        inputs = tuple(source for source, _, _ in call.inputs)
        mask = self._mask(name, call, first)
        return replace(layer, inputs=inputs, mask=mask, constants=call.constants)

    def _mask(self, name: str, call: Call, first: str) -> float | None:
        """Return the value of padding behind the mask that a call is given, if it is given one."""
        arguments = {key: value for key, value in call.kwargs.items() if value is not None}
        if arguments.pop("training", False) is not False:
            self.refuse(name, "called with training=True, which drops values in inference too")
        mask = arguments.pop("mask", None)
        for key in arguments:
            self.refuse(name, f"called with {key}, which rnnspec does not support")
        layer = self.layers[name]
        if call.constants and not (layer.operation and layer.kind == "GetItem"):
            self.refuse(name, "called with constants, which rnnspec does not support")
        if mask is None:
            return None
        try:
            return self._masks.padding(mask, first)
        except _MaskError as error:
            self.refuse(name, str(error))
            return None


def _without_reverse(call: Call) -> Call:
    return replace(
        call, kwargs={key: value for key, value in call.kwargs.items() if key != "reverse"}
    )


def _output_name(layer: Foreign, at: int) -> str:
    """Name one of the outputs of a layer for a message."""
    if layer.kind == "Bidirectional":
        merged: Mapping[str, Any] = layer.config
        if merged.get("merge_mode", "concat") is None and at < 2:
            return ("the forward output", "the backward output")[at]
        return "a state of one direction" if at else "the output"
    if layer.kind in _RECURRENT and at < 3:
        return ("the output", "the hidden state h", "the cell state c")[at]
    return f"output {at}"
