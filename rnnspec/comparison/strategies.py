"""Hypothesis strategies for valid specs of small networks, over the whole language."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, get_args

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.internal.conjecture.providers import AVAILABLE_PROVIDERS, HypothesisProvider

from rnnspec.spec import models
from rnnspec.spec.yaml.text import first_forbidden
from rnnspec.words import CellActivation

if TYPE_CHECKING:
    from collections.abc import Mapping


Words = dict[str, Any]

LONGEST = 64
"""The longest valid name."""

SIZES = st.integers(1, 5)
RATES = st.sampled_from([0, 0.0, 0.1, 0.25, 0.5, 1e-05])
CELL_ACTIVATIONS = st.sampled_from(get_args(CellActivation))
# Without exponential, which overflows unless its input is bounded; see _heads.
ACTIVATIONS = CELL_ACTIVATIONS | st.sampled_from(["softmax", "log_softmax"])
ANY_ACTIVATIONS = st.one_of(
    ACTIVATIONS,
    st.sampled_from([0.01, 0.2, 0.3]).map(lambda slope: {"leaky_relu": slope}),
    st.sampled_from([0.3, 1, 6.0, 20]).map(lambda limit: {"clipped_relu": limit}),
)
ATTENTIONS = st.one_of(
    st.just({"attention": {}}),
    st.fixed_dictionaries({"units": SIZES}, optional={"activation": ANY_ACTIVATIONS}).map(
        lambda settings: {"attention": settings}
    ),
)
_ACTIVATED = {"activation": ANY_ACTIVATIONS, "bias": st.booleans()}
DRAWN = st.one_of(
    st.sampled_from([0.05, 0.3, 1, 1e-05]).map(lambda limit: {"uniform": limit}),
    st.sampled_from([0.05, 0.3, 1, 1e-05]).map(lambda stddev: {"normal": stddev}),
    st.sampled_from([-0.0, 0, 0.5, 1.0, -2, 1e30]).map(lambda value: {"constant": value}),
)
VECTORS = st.sampled_from(["zeros", "ones"]) | DRAWN
MATRICES = st.one_of(
    st.sampled_from(["glorot_uniform", "he_uniform", "lecun_uniform", "orthogonal"]), VECTORS
)
# Specs are written as JSON, which is YAML only if no character needs a surrogate pair.
LETTERS = st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"])
DESCRIPTIONS = st.text(LETTERS, max_size=120).filter(lambda text: first_forbidden(text) is None)


MASKED_MAXIMUM: Words = {
    "version": 1,
    "name": "small_net",
    "input": {"features": 2, "mask_value": 0.5},
    "rnn": {"type": "gru", "units": 3},
    "head": {"pooling": "max"},
}
"""A maximum over the real steps alone, which one drawn spec in a hundred has."""


CELLS: dict[str, Words] = {
    "peephole": {
        "states": ["h", "c"],
        "equations": {
            "i": "sigmoid(W_i @ x + U_i @ h + p_i * c + b_i)",
            "c": "(1 - i) * c + i * tanh(W_c @ x + U_c @ h + b_c)",
            "h": "sigmoid(W_o @ x + U_o @ h + p_o * c + b_o) * tanh(c)",
        },
        "initialize": {"b_i": "ones", "p_o": 0.25, "U_i": {"normal": 0.3}},
    },
    "minimal": {
        "states": ["h"],
        "equations": {
            "f": "sigmoid(W_f @ x + U_f @ h + b_f)",
            "h": "(1 - dt * f) * h + dt * f * tanh(W_n @ x + U_n @ (f * h) + b_n)",
        },
        "settings": {"dt": 0.5},
    },
    "three_states": {
        "states": ["h", "m", "n"],
        "equations": {
            "z": "hard_sigmoid(W @ concat(x, h, m) + b)",
            "n": "n / 2 + abs(V @ x)",
            "m": "0.5 * m + Q @ (z * h) + x / (1 + abs(Q @ n))",
            "h": "z * tanh(P @ m) + (1 - z) * softsign(h)",
        },
        "sizes": {"m": "features"},
        "output": "alpha * h + R @ m",
        "parameters": {"alpha": "scalar", "Q": ["features", "units"]},
        "initialize": {"alpha": 2},
    },
    "chosen": {
        "states": ["h"],
        "equations": {
            "s": "softmax(W @ x + layer_norm(U @ h, 0.1))",
            "h": "where(s > 0.25, tanh((A - A.T) @ h + V @ x), minimum(0.5 * h, s))",
        },
    },
    "joined": {
        "states": ["h"],
        "equations": {
            "g": "W @ x + U @ h + b",
            "z": "sigmoid(split(g, 1, 2))",
            "h": "z * h + (1 - z) * standardize(split(g, 2, 2), 0.1)",
        },
    },
    "highway": {
        "states": ["h"],
        "equations": [
            {"y": "W @ x"},
            {
                "repeat": 2,
                "own": ["R", "b"],
                "equations": {"t": "sigmoid(T @ h + b)", "h": "(1 - t) * h + t * tanh(R @ h + y)"},
            },
        ],
    },
    "projected": {
        "states": ["h", "c"],
        "equations": {
            "c": "0.5 * c + tanh(W @ x + U @ h + b)",
            "h": "P @ elu(c)",
        },
        "settings": {"projection": 2},
        "sizes": {"h": "projection"},
    },
    # Those of an LSTM, in other words.
    "memory": {
        "states": ["y", "c"],
        "equations": {
            "k": "tanh(W_k @ x + (b_k + U_k @ y))",
            "keep": "sigmoid(U_f @ y + W_f @ x + b_f)",
            "c": "sigmoid(W_i @ x + U_i @ y + b_i) * k + c * keep",
            "y": "tanh(c) * sigmoid(W_o @ x + U_o @ y + b_o)",
        },
        "initialize": {"b_f": "ones"},
    },
}
"""Cells for random specs; those of other sizes than ``units`` are in ``_width``."""


def _width(layer: Words) -> int:
    """Return the number of features that a recurrent layer gives in a direction."""
    width: int = layer["units"]
    return layer.get("projection", 2) if layer["type"] == "projected" else width


def spec_text(spec: Mapping[str, Any]) -> str:
    """Return a spec as text for ``rnnspec.loads``."""
    return json.dumps(spec)


@st.composite
def specs(draw: st.DrawFn, *, long_names: bool = False, cells: bool = True) -> Words:
    """Draw a valid spec as plain data, with a few names, or with long ones up to the maximum.

    Without ``cells``, all recurrent layers are of the types of the language.
    """
    names = _Names(draw(st.just(LONGEST) | st.integers(30, LONGEST)) if long_names else None)
    embedding = draw(_embeddings(names)) if draw(st.booleans()) else None
    spec: Words = {"version": 1, "name": names.network()}
    if description := draw(st.just("") | DESCRIPTIONS):
        spec["description"] = description
    if network_input := draw(_inputs(numeric=embedding is None)):
        spec["input"] = network_input
    if embedding is not None:
        spec["embedding"] = embedding
    head = draw(_heads(names)) if draw(st.integers(0, 4)) else None
    if head is not None and "last_step" in _poolings(head):
        # With a mask, the last step may be padding.
        for section, key in (("input", "mask_value"), ("embedding", "mask_zero")):
            spec.get(section, {}).pop(key, None)
    flow = _Flow(
        width=embedding["dim"] if embedding else network_input["features"],
        steps=spec.get("input", {}).get("length"),
        masked=bool(spec.get("embedding", {}).get("mask_zero"))
        or "mask_value" in spec.get("input", {}),
    )
    flow.outputs.append(
        (spec["embedding"].get("name", "embedding_1") if embedding else "input", flow.width)
    )
    gives_state = head is not None and head.get("pooling", "last") == "last"
    layers = draw(_rnn(names, flow, gives_state=gives_state, cells=cells))
    used = sorted({layer["type"] for layer in layers} & CELLS.keys())
    spec |= {"cells": {name: CELLS[name] for name in used}} if used else {}
    spec["rnn"] = layers[0] if len(layers) == 1 and draw(st.booleans()) else layers
    heads = [head] if head is not None else []
    if head is not None and draw(st.integers(0, 5)) == 0:
        heads += draw(st.lists(_heads(names), min_size=1, max_size=2))
    for output in heads:
        masked = flow.masked and "last_step" in _poolings(output)
        if gives_state or masked:
            # Nothing else fits a state; and of a mask, the last step may be padding.
            output["pooling"] = "last" if gives_state else "mean"
        _fit_pooling(output, flow, layers[-1], beside=len(heads) > 1 and not gives_state)
        if embedding is not None and "units" in output and draw(st.integers(0, 3)) == 0:
            # The kernel of the output layer is the transpose of the embedding.
            hidden = [*output.get("hidden", []), {"units": embedding["dim"], "activation": "tanh"}]
            output |= {"hidden": hidden, "units": embedding["vocabulary"], "tied": True}
    if len(heads) > 1:
        spec["heads"] = {f"head_{number}": output for number, output in enumerate(heads)}
    elif head is not None:
        spec["head"] = head
    if initializers := draw(_initializers(spec, layers)):
        spec["initializers"] = initializers
    return spec


def sample(strategy: st.SearchStrategy[Words], size: int) -> list[Words]:
    """Return ``size`` examples, the same ones every time."""
    examples: list[Words] = []

    @settings(
        max_examples=size,
        backend=PROVIDER,
        database=None,
        deadline=None,
        derandomize=True,
        phases=[Phase.generate],
        # A sample is not shrunk, and may take its time.
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def collect(spec: Words) -> None:
        examples.append(spec)

    collect()
    return examples


class _Names:
    """Names that are used once: all of them ``length`` long, or a few short ones."""

    def __init__(self, length: int | None) -> None:
        self.length = length
        self._number = 0

    def network(self) -> str:
        return "network_gru_".ljust(self.length, "x") if self.length else "small_net"

    def layer(self, draw: st.DrawFn, *, room: int = 0) -> Words:
        """Return a ``name`` key, or nothing; ``room`` is left for a suffix."""
        drawn = self.new(room=room)
        return drawn if self.length or draw(st.integers(0, 3)) == 0 else {}

    def new(self, *, room: int = 0) -> Words:
        """Return a ``name`` key; ``room`` is left for a suffix."""
        self._number += 1
        if self.length:
            return {"name": f"layer_{self._number}_".ljust(self.length - room, "y")}
        return {"name": f"my_layer_{self._number}"}


@st.composite
def _inputs(draw: st.DrawFn, *, numeric: bool) -> Words:
    drawn: Words = {}
    if numeric:
        drawn["features"] = draw(SIZES)
        if draw(st.integers(0, 2)) == 0:
            drawn["mask_value"] = draw(st.sampled_from([0, 0.0, -1.5, 99]))
    if draw(st.booleans()):
        drawn["length"] = draw(st.integers(1, 6))
    return drawn


@st.composite
def _embeddings(draw: st.DrawFn, names: _Names) -> Words:
    optional = {"trainable": st.booleans(), "mask_zero": st.booleans()}
    drawn = draw(st.fixed_dictionaries({}, optional=optional))
    # Token 0 is padding, and a vocabulary of only that is an error.
    least = 2 if drawn.get("mask_zero") else 1
    return {
        **names.layer(draw),
        "vocabulary": draw(st.integers(least, 7)),
        "dim": draw(SIZES),
        **drawn,
    }


@dataclass
class _Flow:
    """The output so far: its width, its steps, and the outputs that a join can name."""

    width: int
    steps: int | None
    masked: bool
    outputs: list[tuple[str, int]] = field(default_factory=list)


@st.composite
def _rnn(
    draw: st.DrawFn, names: _Names, flow: _Flow, *, gives_state: bool, cells: bool
) -> list[Words]:
    """Draw the layers of ``rnn``: recurrent ones, and others before, between and after them."""
    number = draw(st.integers(1, 3))
    layers: list[Words] = []
    for index in range(number):
        while draw(st.integers(0, 3)) == 3:
            layers.append(draw(_others(names, flow, layers)))
        last = index == number - 1
        # Something has to follow a repeat.
        repeats = not last and draw(st.integers(0, 5)) == 0
        sequence = not (repeats or (last and gives_state))
        layer = draw(_layers(names, flow.width, sequence=sequence, cells=cells))
        layers.append(layer)
        joined = layer.get("bidirectional") and layer.get("merge", "concat") == "concat"
        flow.width = 2 * _width(layer) if joined else _width(layer)
        if sequence and layer.get("layers", 1) == 1 and "name" in layer:
            flow.outputs.append((layer["name"], flow.width))
        while draw(st.integers(0, 3)) == 3:
            layers.append(draw(_others(names, flow, layers, pointwise=not sequence)))
        if repeats:
            steps = draw(st.integers(1, 4))
            layers.append({"type": "repeat", "steps": steps, **names.layer(draw)})
            flow.steps, flow.masked = steps, False
            flow.outputs.clear()
    return layers


@st.composite
def _others(
    draw: st.DrawFn, names: _Names, flow: _Flow, layers: list[Words], *, pointwise: bool = False
) -> Words:
    """Draw a layer of ``rnn`` that is not recurrent; on a state, only one that is ``pointwise``."""
    kinds = [*models.HIDDEN]
    if not pointwise:
        kinds += ["conv", "conv", "max_pool", "average_pool", "instance_norm"]
        kinds += ["concat"] if layers and flow.outputs else []
    kind = draw(st.sampled_from(kinds))
    if kind == "concat":
        return _join(draw, names, flow, layers[-1])
    layer: Words = {"type": kind} | names.layer(draw)
    match kind:
        case "conv" | "max_pool" | "average_pool":
            layer |= draw(_windows(kind, flow))
        case "dropout":
            layer["rate"] = draw(RATES)
            # At a rate of 0, 'variational' has no effect, which is an error.
            if layer["rate"] and not pointwise and draw(st.booleans()):
                layer["variational"] = draw(st.booleans())
        case _:
            layer |= draw(_keys(kind))
            flow.width = layer.get("units", flow.width)
    if "name" in layer and not pointwise:
        flow.outputs.append((layer["name"], flow.width))
    return layer


@st.composite
def _windows(draw: st.DrawFn, kind: str, flow: _Flow) -> Words:
    """Draw the keys of a convolution or a pool, and change the flow as it does."""
    is_conv = kind == "conv"
    padding = draw(st.sampled_from(["valid", "same", "causal"] if is_conv else ["valid", "same"]))
    # Without padding, a window fits into the steps.
    longest = 4 if flow.steps is None or padding != "valid" else min(4, flow.steps)
    size = draw(st.integers(1, longest))
    stride = draw(st.integers(1, 3)) if draw(st.booleans()) else None
    dilation = 1
    # Keras has either a stride or a dilation, which has no effect on windows of one step.
    if is_conv and size > 1 and stride in (None, 1) and draw(st.integers(0, 3)) == 0:
        room = 3 if flow.steps is None or padding != "valid" else flow.steps
        dilation = draw(st.integers(1, max(1, (room - 1) // (size - 1))))
        dilation = min(dilation, 3)
    layer: Words = {"kernel_size" if is_conv else "size": size}
    if is_conv:
        layer |= {"filters": draw(SIZES)}
        layer |= draw(st.fixed_dictionaries({}, optional=_ACTIVATED))
        flow.width = layer["filters"]
    if padding != "valid" or draw(st.booleans()):
        layer["padding"] = padding
    if stride is not None:
        layer["stride"] = stride
    if dilation > 1:
        layer["dilation"] = dilation
    step = stride or (1 if is_conv else size)
    outside = dilation * (size - 1) if padding == "valid" else 0
    if flow.steps is not None:
        flow.steps = -(-(flow.steps - outside) // step)
    if step > 1 or outside:
        flow.outputs.clear()
    return layer


def _join(draw: st.DrawFn, names: _Names, flow: _Flow, before: Words) -> Words:
    """Return a join of the layer before it and others."""
    # A name, so that it can be joined; copies would have several.
    if before.get("layers", 1) > 1 or before["type"] == "repeat" or "name" not in before:
        named = before.get("layers", 1) == 1 and before["type"] != "repeat"
        if not named:
            return {"type": "activation", "activation": "tanh"}
        before |= names.new()
        flow.outputs.append((before["name"], flow.width))
    joined_first = next(item for item in flow.outputs if item[0] == before["name"])
    others = draw(st.lists(st.sampled_from(flow.outputs), min_size=1, max_size=2))
    joined = draw(st.permutations([joined_first, *others]))
    layer = {"type": "concat", **names.layer(draw), "of": [name for name, _ in joined]}
    flow.width = sum(width for _, width in joined)
    if "name" in layer:
        flow.outputs.append((layer["name"], flow.width))
    return layer


def _as_lowered(pooling: Any) -> str:
    """Return a text that is equal for poolings that mean the same."""
    if isinstance(pooling, dict) and "units" in pooling.get("attention", ()):
        return repr({"attention": {"activation": "tanh"} | pooling["attention"]})
    return repr(pooling)


def _poolings(head: Words) -> list[Any]:
    """Return the poolings of a head."""
    pooling = head.get("pooling", "last")
    return pooling if isinstance(pooling, list) else [pooling]


def _fit_pooling(head: Words, flow: _Flow, last: Words, *, beside: bool) -> None:
    """Change a pooling that the sequence, or another head ``beside`` this one, does not allow."""
    pooling = head.get("pooling", "last")
    if pooling == "flatten" and (flow.masked or flow.steps is None):
        head["pooling"] = "sum"
    if isinstance(pooling, dict) and "last_steps" in pooling:
        if flow.masked:
            head["pooling"] = "none"
        elif flow.steps is not None:
            head["pooling"] = {"last_steps": min(pooling["last_steps"], flow.steps)}
    if "last" in _poolings(head) and (beside or isinstance(pooling, list)):
        apart = not last.get("bidirectional") or last.get("merge", "concat") == "concat"
        recurrent = last["type"] in (*models.RECURRENT, *CELLS)
        if not (recurrent and apart) or last.get("layer_norm") or last.get("residual"):
            others = [part for part in _poolings(head) if part not in ("last", "sum")]
            head["pooling"] = ["sum", *others] if others else "sum"


@st.composite
def _layers(draw: st.DrawFn, names: _Names, width: int, *, sequence: bool, cells: bool) -> Words:
    type_ = draw(st.sampled_from(models.RECURRENT))
    if cells and draw(st.integers(0, 4)) == 0:
        type_ = draw(st.sampled_from(sorted(CELLS)))
    layer: Words = {"type": type_, "units": draw(SIZES)}
    if draw(st.integers(0, 3)) == 0:
        layer["layers"] = draw(st.integers(1, 2))
    room = len("_2") if layer.get("layers", 1) > 1 else 0
    layer |= names.layer(draw, room=room)
    layer |= draw(_dropouts())
    if draw(st.booleans()):
        layer["bidirectional"] = True
        if draw(st.integers(0, 3)):
            layer["merge"] = draw(st.sampled_from(["concat", "sum", "mul", "ave"]))
    if type_ not in CELLS and draw(st.booleans()):
        layer["bias"] = draw(st.booleans())
    if draw(st.integers(0, 3)) == 0:
        layer["layer_norm"] = draw(st.booleans() | st.just({"epsilon": 1e-05}))
    layer |= draw(_cells(type_))
    if sequence and type_ != "projected" and draw(st.integers(0, 3)) == 0:
        joined = layer.get("bidirectional") and layer.get("merge", "concat") == "concat"
        # The output must be as wide as the input, and two directions cannot have an odd sum.
        if not (joined and width % 2):
            layer |= {"units": width // 2 if joined else width, "residual": True}
    return layer


@st.composite
def _dropouts(draw: st.DrawFn) -> Words:
    drawn: Words = {}
    if draw(st.booleans()):
        drawn["dropout"] = draw(RATES)
        # Without a rate above 0, 'variational' has no effect, which is an error.
        if drawn["dropout"] and draw(st.booleans()):
            drawn["variational"] = draw(st.booleans())
    if draw(st.integers(0, 3)) == 0:
        drawn["recurrent_dropout"] = draw(RATES)
    return drawn


@st.composite
def _cells(draw: st.DrawFn, type_: str) -> Words:
    drawn: Words = {}
    if type_ in CELLS:
        settings = CELLS[type_].get("settings", {})
        return {key: draw(st.just(value) | SIZES) for key, value in settings.items()}
    if draw(st.integers(0, 2)) == 0:
        drawn["activation"] = draw(CELL_ACTIVATIONS)
    if type_ != "simple" and draw(st.integers(0, 2)) == 0:
        drawn["recurrent_activation"] = draw(CELL_ACTIVATIONS)
    if type_ == "gru" and draw(st.booleans()):
        drawn["reset_after"] = draw(st.booleans())
    return drawn


@st.composite
def _heads(draw: st.DrawFn, names: _Names) -> Words:
    one = st.sampled_from(["mean", "max", "last_step", "sum", "last"]) | ATTENTIONS
    several = st.lists(one, min_size=2, max_size=3, unique_by=_as_lowered)
    pooling = st.one_of(
        st.sampled_from(["last", "mean", "max", "none", "last_step"]),
        st.sampled_from(["sum", "flatten"]) | st.integers(1, 3).map(lambda k: {"last_steps": k}),
        ATTENTIONS | several,
    )
    head: Words = draw(st.fixed_dictionaries({}, optional={"pooling": pooling, "dropout": RATES}))
    if draw(st.booleans()):
        head["hidden"] = draw(st.lists(_hidden(names), min_size=1, max_size=2))
    if draw(st.integers(0, 4)):
        output = {"activation": ANY_ACTIVATIONS, "bias": st.booleans()}
        head |= {"units": draw(SIZES), **names.layer(draw)}
        head |= draw(st.fixed_dictionaries({}, optional=output))
        if draw(st.integers(0, 7)) == 0:
            bounded = {"units": draw(SIZES), "activation": "tanh"}
            head |= {"hidden": [*head.get("hidden", []), bounded], "activation": "exponential"}
    gives_steps = head.get("pooling") == "none" or "last_steps" in _poolings(head)[0]
    if not gives_steps and draw(st.integers(0, 3)) == 0:
        head["normalize"] = draw(st.sampled_from(["l2", "none"]))
    return head


@st.composite
def _hidden(draw: st.DrawFn, names: _Names) -> Words:
    kind = draw(st.sampled_from(["dense"] * 3 + [*models.HIDDEN]))
    match kind:
        case "dense":
            optional = {"activation": ANY_ACTIVATIONS, "bias": st.booleans(), "dropout": RATES}
            layer = draw(st.fixed_dictionaries({"units": SIZES}, optional=optional))
            layer |= {"type": "dense"} if draw(st.booleans()) else {}
        case _:
            layer = {"type": kind, **draw(_keys(kind, "momentum", "variational"))}
    return {**layer, **names.layer(draw)}


@st.composite
def _keys(draw: st.DrawFn, kind: str, *without: str) -> Words:
    """Draw the keys of a layer; one without values of its own has those of its examples."""
    layer, optional = Words(), dict[str, st.SearchStrategy[Any]]()
    for key, declared in models.KINDS[kind].model_fields.items():
        if key in ("type", "name", *without):
            continue
        values = _BY_KEY[key] if key in _BY_KEY else st.sampled_from(declared.examples or ())
        if declared.is_required():
            layer[key] = draw(values)
        else:
            optional[key] = values
    return layer | draw(st.fixed_dictionaries({}, optional=optional)) if optional else layer


_BY_KEY: dict[str, st.SearchStrategy[Any]] = {
    "units": SIZES,
    "activation": ANY_ACTIVATIONS,
    "bias": st.booleans(),
    "rate": RATES,
    # A tiny one would make the norm of nearly constant values as large as their rounding.
    "epsilon": st.sampled_from([1e-05, 1e-3, 0.1, 1]),
    "momentum": st.sampled_from([0.0, 0.5, 0.9, 0.99]),
}


# All of the chosen cell is matrices, and a norm.
_BIASED = (*models.RECURRENT, *(CELLS.keys() - {"chosen"}), "dense", "conv")


@st.composite
def _initializers(draw: st.DrawFn, spec: Words, layers: list[Words]) -> Words:
    heads = [spec["head"]] if "head" in spec else [*spec.get("heads", {}).values()]
    biased = [layer for layer in layers if layer["type"] in _BIASED and layer.get("bias", True)]
    hidden = [
        layer
        for head in heads
        for layer in head.get("hidden", [])
        if layer.get("type", "dense") == "dense"
    ]
    scored = any(
        isinstance(pooling, dict) and pooling.get("attention", {}).get("units")
        for head in heads
        for pooling in _poolings(head)
    )
    optional = {"kernel": MATRICES, "recurrent": MATRICES}
    if "embedding" in spec:
        optional["embedding"] = VECTORS
    last = any("units" in head and head.get("bias", True) for head in heads)
    if biased or last or scored or any(layer.get("bias", True) for layer in hidden):
        optional["bias"] = VECTORS
    # A network has one value for all its LSTMs, and that of equations is 1.
    types = {layer["type"] for layer in biased}
    if "lstm" in types and "memory" not in types:
        optional["forget_bias"] = st.sampled_from([0, 0.5, 1, 1.0, -1e-05, 2.5])
    return draw(st.just({}) | st.fixed_dictionaries({}, optional=optional))


class SeededProvider(HypothesisProvider):
    """Hypothesis's own source, without constants from source code.

    It draws one value in twenty from the constants in all modules that are imported and not in
    ``site-packages``, so that the values depend on them too.
    """

    def _maybe_draw_constant(self, *_: object, **__: object) -> None:
        return None


PROVIDER = "rnnspec"
AVAILABLE_PROVIDERS[PROVIDER] = f"{__name__}.{SeededProvider.__name__}"
