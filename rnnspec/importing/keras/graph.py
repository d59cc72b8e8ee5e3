"""The layers of a configuration of Keras in the order in which data passes through them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from rnnspec.errors import UsageError, listed
from rnnspec.importing.imported import Account, show_value
from rnnspec.importing.keras.arrays import Foreign
from rnnspec.importing.keras.calls import End, LayerCall, Tensor, read_calls, read_ends
from rnnspec.importing.keras.layers import (
    ATTENTIONS,
    CLASSES,
    EMBEDDINGS,
    JOINS,
    OPERATIONS,
    STATES,
)
from rnnspec.importing.keras.settings import MODELS, foreign

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

_DEEPEST_MASK = 50
_LARGEST = 1e30
_OTHER = "has a mask that is not that of one input, which rnnspec does not support"


_WITH_CONSTANTS = ("GetItem", "Multiply")
"""The operations that may take numbers."""


class _MaskError(Exception):
    """A mask that is not made from the padding of the input."""


class _MaskOperations:
    """The operations of a graph that compute masks."""

    def __init__(
        self, layers: Mapping[str, Foreign], calls: Mapping[str, tuple[LayerCall, ...]]
    ) -> None:
        self._layers = layers
        self._calls = calls
        # What was found, as a hostile graph has as many paths as it likes.
        self._found: dict[str, tuple[str, float]] = {}

    def padding(self, mask: Any, inputs: Collection[str]) -> tuple[str, float]:
        """Return an input and the value of padding: the mask is true where it is another.

        Raises:
            _MaskError: the mask is another.
        """
        match mask:
            case {"config": {"keras_history": [str(name), int(), int()]}}:
                return self._of(name, inputs, 0)
            case [str(name), int(), int()]:
                return self._of(name, inputs, 0)
            case _:
                raise _MaskError(_OTHER)

    def _of(self, name: str, inputs: Collection[str], depth: int) -> tuple[str, float]:
        if name not in self._found:
            self._found[name] = self._made_by(name, inputs, depth)
        return self._found[name]

    def _made_by(self, name: str, inputs: Collection[str], depth: int) -> tuple[str, float]:
        layer, calls = self._layers.get(name), self._calls.get(name, ())
        if layer is None or layer.custom or len(calls) != 1 or depth > _DEEPEST_MASK:
            raise _MaskError(_OTHER)
        sources = [source for source, _, _ in calls[0].inputs]
        match layer.kind, sources, calls[0].constants:
            case "NotEqual", [source], [int() | float() as value] if source in inputs:
                # Keras compares with numbers of 32 or 64 bits.
                if type(value) is not bool and abs(value) < _LARGEST:
                    return source, float(value)
            case "Any", [source], [] if layer.config.get("axis") in (-1, [-1], 2):
                return self._of(source, inputs, depth + 1)
            case "ConvertToTensor" | "ExpandDims", [source], []:
                return self._of(source, inputs, depth + 1)
            # All sides of a join have the mask of the input, which Concatenate adds to zeros.
            case "LogicalOr" | "LogicalAnd" | "Concatenate", several, []:
                masks = [name for name in several if not self._is_zeros(layer, name)]
                values = {self._of(name, inputs, depth + 1) for name in dict.fromkeys(masks)}
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


@dataclass(frozen=True, slots=True)
class OrderedLayers:
    """The layers of a model, each behind those whose outputs it takes if they are ``ordered``.

    ``inputs`` has each input with its name and that of its layer, nothing for a chain without one.
    ``outputs`` has each output of the model with its name, empty if it is the only one, the name of
    its layer, and the number of the output of that.
    """

    layers: list[Foreign]
    ordered: bool
    outputs: tuple[tuple[str, str, int], ...] = ()
    inputs: tuple[tuple[str, str], ...] = ()

    @property
    def in_file(self) -> list[Foreign]:
        """The layers in the order of the file, where each stands once."""
        return sorted(
            (layer for layer in self.layers if not layer.tied and not layer.shared),
            key=lambda layer: layer.position,
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
    # What each output of a model that is itself a layer is an output of.
    ends = dict[tuple[str, int], tuple[str, int]]()
    for outer in layers.layers:
        tensors = [ends.get(tensor, tensor) for tensor in outer.tensors]
        layer = _taking(outer, tensors)
        if layer.kind not in MODELS or layer.custom or depth >= _DEEPEST_MODEL:
            flat.append(layer)
            continue
        config = {"class_name": layer.kind, "config": layer.config}
        inner = _flat(account, _layers_of(account, config), depth + 1)
        ordered = ordered and inner.ordered
        members = [_inside(member, layer) for member in inner.layers]
        if layer.inputs:
            starts = [f"{layer.name}.{name}" for _, name in inner.inputs]
            starts = starts or [member.name for member in members if member.kind == "InputLayer"]
            if len(layer.inputs) != max(len(starts), 1):
                message = f"expected {max(len(starts), 1)} inputs, received {len(layer.inputs)}"
                account.refuse(layer.name, message, "E704")
            passed = dict(zip(starts, layer.tensors, strict=False))
            members = _connect(account, layer, members, passed)
        else:
            passed = {}
        for at, (_, end, number) in enumerate(inner.outputs):
            # A model may pass on an input.
            name = f"{layer.name}.{end}"
            ends[layer.name, at] = passed.get(name, (name, number))
        flat += members
    outputs = tuple(
        (name, *ends.get((layer, number), (layer, number)))
        for name, layer, number in layers.outputs
    )
    return OrderedLayers(flat, ordered, outputs, layers.inputs)


def _inside(member: Foreign, model: Foreign) -> Foreign:
    """Return a layer of a model that is itself a layer, and may be called once more."""
    inside = member.inside(model)
    if not model.shared or member.tied:
        return inside
    return replace(inside, shared=f"{model.shared}.{member.shared or member.name}")


def _taking(layer: Foreign, tensors: Sequence[tuple[str, int]]) -> Foreign:
    """Return a layer that takes other outputs."""
    return replace(
        layer,
        inputs=tuple(name for name, _ in tensors),
        outputs=tuple(number for _, number in tensors),
    )


def _connect(
    account: Account,
    model: Foreign,
    members: list[Foreign],
    passed: Mapping[str, tuple[str, int]],
) -> list[Foreign]:
    """Return the layers of a model that takes outputs of other layers, without its inputs.

    ``passed`` has what each of these is an output of.
    """
    for layer in members:
        if layer.mask is not None:
            message = "has a mask that is made from the output of another layer"
            message += "; rnnspec supports only that of the input"
            account.refuse(layer.name, message, "E704")
    connected = [
        _taking(
            layer,
            [passed.get(name, (name, number)) for name, number in layer.tensors] or model.tensors,
        )
        for layer in members
        if layer.name not in passed
    ]
    if connected and model.mask is not None:
        connected[0] = replace(connected[0], mask=model.mask, mask_input=model.mask_input)
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
            return OrderedLayers(members, ordered=True, outputs=(("", members[-1].name, 0),))
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


_SHAREABLE = (*EMBEDDINGS, *STATES, "Dense", "Conv1D", "LayerNormalization", *MODELS)
"""The classes of layers that may be called several times."""


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
            if layer.kind in _SHAREABLE and not layer.custom and not layer.operation:
                self._split_calls(layer)
        for name, layer in self.layers.items():
            if layer.kind in STATES and not layer.operation:
                # Keras 2 has the first states behind the input.
                self.calls[name] = tuple(
                    call
                    if call.states or len(call.inputs) < 2
                    else replace(call, inputs=call.inputs[:1], states=call.inputs[1:])
                    for call in self.calls[name]
                )
        self._masks = _MaskOperations(self.layers, self.calls)
        self._order: list[str] = []

    def _split_calls(self, layer: Foreign) -> None:
        """Make each later call of a layer, which has its arrays, a layer of its own."""
        first, *others = self.calls[layer.name] or (LayerCall((), {}),)
        if not others or any(call.constants for call in others):
            return
        self.calls[layer.name] = (_without_reverse(first),)
        for at, call in enumerate(others, 1):
            name = f"{layer.name}:{at}"
            tied = call.kwargs.get("reverse") is True
            named = replace(layer, name=name)
            self.layers[name] = (
                replace(named, tied=layer.name) if tied else replace(named, shared=layer.name)
            )
            self.calls[name] = (_without_reverse(call),)
        self.calls = {
            name: tuple(
                replace(
                    call,
                    inputs=tuple(map(self._name_call, call.inputs)),
                    states=tuple(map(self._name_call, call.states)),
                )
                for call in calls
            )
            for name, calls in self.calls.items()
        }

    def _name_call(self, tensor: Tensor) -> Tensor:
        layer, call, output = tensor
        name = f"{layer}:{call}"
        return (name, 0, output) if name in self.layers else tensor

    def refuse(self, where: str, message: str) -> None:
        """Record that the layers have no order."""
        self.account.refuse(where, message, "E704")

    def layers_between(self, inputs: tuple[End, ...], outputs: tuple[End, ...]) -> OrderedLayers:
        """Return the layers from the inputs to the outputs."""
        outputs = tuple(
            replace(end, layer=self._name_call((end.layer, end.call, end.output))[0])
            for end in outputs
        )
        ends = [end.layer for end in outputs]
        reached = self._find_reached(ends)
        data = [
            name for name, layer in self.layers.items() if not layer.operation or name in reached
        ]
        starts = [end.layer for end in inputs]
        fits = self._check_ends(inputs, outputs)
        if not fits or not self._sort(starts, ends):
            return OrderedLayers([self.layers[name] for name in data], ordered=False)
        unused = [name for name in data if name not in {*reached, *starts}]
        ways = "the input to the output" if len(starts) == 1 else "an input to an output"
        for name in unused[:_MOST_UNUSED]:
            self.refuse(name, f"not on the way from {ways}")
        used = self._find_outputs(outputs)
        members = [self._with_call(name, starts, used) for name in self._order]
        single = len(outputs) == 1 and outputs[0].key is None
        results = tuple(
            ("" if single else end.layer if end.key is None else end.key, end.layer, end.output)
            for end in outputs
        )
        names = tuple((end.layer if end.key is None else end.key, end.layer) for end in inputs)
        return OrderedLayers(members, ordered=not unused, outputs=results, inputs=names)

    def _check_ends(self, inputs: tuple[End, ...], outputs: tuple[End, ...]) -> bool:
        fits = True
        for what, ends in (("inputs", inputs), ("outputs", outputs)):
            if not ends or any(end.layer not in self.layers for end in ends):
                received = listed([show_value(end.layer) for end in ends]) or "none"
                self.refuse("model", f"expected {what}, received {received}")
                fits = False
        return fits

    def _find_reached(self, ends: list[str]) -> set[str]:
        """Return the layers that data passes through: operations that only make masks are none."""
        waiting, reached = list(ends), set[str]()
        while waiting:
            if (name := waiting.pop()) not in reached:
                reached.add(name)
                calls = self.calls.get(name, ())
                waiting += [source for call in calls for source, _, _ in call.taken]
        return reached

    def _sources(self, name: str) -> list[str]:
        return [source for call in self.calls[name] for source, _, _ in call.taken]

    def _sort(self, starts: list[str], ends: list[str]) -> bool:
        """Find the order of the layers: each behind its inputs, and those in their order.

        A later call of an embedding stands behind the first. So the layers of a branch stand
        together. Returns whether there is an order.
        """
        placed, open_ = set(starts), set[str]()
        self._order = list(starts)
        waiting = list(reversed(ends))
        fits = True
        while waiting:
            name = waiting[-1]
            if name in placed:
                waiting.pop()
                continue
            sources = [] if name not in self.layers else self._sources(name)
            if name in self.layers and self.layers[name].shared:
                sources = [self.layers[name].shared, *sources]
            missing = [source for source in sources if source not in placed]
            if name not in open_:
                fits = self._check_calls(name) and fits
            if name in open_ and missing:
                self.refuse(starts[0], "the layers form a cycle")
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
        """True if a layer takes what it may take."""
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
        inputs = list(calls[0].inputs)
        # A join may have an output twice.
        several = [] if layer.kind in ("Concatenate", *ATTENTIONS) else inputs
        again = [tensor for tensor in dict.fromkeys(several) if several.count(tensor) > 1]
        for tensor in again:
            message = f"reads the output of {tensor[0]} {inputs.count(tensor)} times"
            self.refuse(name, f"{message}; expected it once")
        if layer.kind not in (*JOINS, *MODELS) and len(inputs) > 1 and not again:
            names = listed([source for source, _, _ in inputs])
            self.refuse(name, f"expected one input, received {names}")
            return False
        return not again

    def _find_outputs(self, outputs: tuple[End, ...]) -> dict[str, tuple[int, ...]]:
        """Return the numbers of the outputs that are used of each layer."""
        used: dict[str, set[int]] = {}
        for end in outputs:
            used.setdefault(end.layer, set()).add(end.output)
        for name in self._order:
            for call in self.calls[name]:
                for source, _, at in call.taken:
                    used.setdefault(source, set()).add(at)
        return {source: tuple(sorted(numbers)) for source, numbers in used.items()}

    def _with_call(
        self, name: str, starts: Sequence[str], used: Mapping[str, tuple[int, ...]]
    ) -> Foreign:
        layer = replace(self.layers[name], used=used.get(name, (0,)))
        if name in starts:
            return layer
        call = self.calls[name][0]
        layer = _taking(layer, [(source, at) for source, _, at in call.taken])
        mask_input, mask = self._mask(name, call, starts)
        return replace(
            layer,
            states=len(call.states),
            mask=mask,
            mask_input=mask_input,
            constants=call.constants,
            causal=layer.kind in ATTENTIONS and call.kwargs.get("use_causal_mask") is True,
        )

    def _mask(self, name: str, call: LayerCall, starts: Sequence[str]) -> tuple[str, float | None]:
        """Return the input and the value of padding that make the mask of a call, if it has one."""
        arguments = {key: value for key, value in call.kwargs.items() if value is not None}
        if arguments.pop("training", False) is not False:
            self.refuse(name, "called with training=True, which drops values in inference too")
        mask = arguments.pop("mask", None)
        if isinstance(mask, list | tuple) and not any(mask):
            # A model that is a layer has one for each of its inputs.
            mask = None
        if self.layers[name].kind in ATTENTIONS:
            arguments.pop("use_causal_mask", None)
        for key in arguments:
            self.refuse(name, f"called with {key}, which rnnspec does not support")
        layer = self.layers[name]
        if call.constants and not (layer.operation and layer.kind in _WITH_CONSTANTS):
            self.refuse(name, "called with constants, which rnnspec does not support")
        if mask is None:
            return "", None
        try:
            return self._masks.padding(mask, starts)
        except _MaskError as error:
            self.refuse(name, str(error))
            return "", None


def _without_reverse(call: LayerCall) -> LayerCall:
    return replace(
        call, kwargs={key: value for key, value in call.kwargs.items() if key != "reverse"}
    )
