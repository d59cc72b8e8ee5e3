"""Hypothesis strategies for valid specs of small networks, over the whole language."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, get_args

from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from hypothesis.internal.conjecture.providers import AVAILABLE_PROVIDERS, HypothesisProvider

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


def spec_text(spec: Mapping[str, Any]) -> str:
    """Return a spec as text for ``rnnspec.loads``."""
    return json.dumps(spec)


@st.composite
def specs(draw: st.DrawFn, *, long_names: bool = False) -> Words:
    """Draw a valid spec as plain data, with a few names, or with long ones up to the maximum."""
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
    if head is not None and head.get("pooling") == "last_step":
        # With a mask, the last step may be padding.
        for section, key in (("input", "mask_value"), ("embedding", "mask_zero")):
            spec.get(section, {}).pop(key, None)
    width = embedding["dim"] if embedding else network_input["features"]
    gives_state = head is not None and head.get("pooling", "last") == "last"
    layers = draw(_rnn(names, width, gives_state=gives_state))
    spec["rnn"] = layers[0] if len(layers) == 1 and draw(st.booleans()) else layers
    if head is not None:
        spec["head"] = head
    if initializers := draw(_initializers(spec, layers)):
        spec["initializers"] = initializers
    return spec


def sample(strategy: st.SearchStrategy[Words], size: int) -> list[Words]:
    """Return ``size`` examples, the same ones every time."""
    examples: list[Words] = []

    @settings(
        max_examples=size, database=None, deadline=None, derandomize=True, phases=[Phase.generate]
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
        self._number += 1
        if self.length:
            return {"name": f"layer_{self._number}_".ljust(self.length - room, "y")}
        return {"name": f"my_layer_{self._number}"} if draw(st.integers(0, 3)) == 0 else {}


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


@st.composite
def _rnn(draw: st.DrawFn, names: _Names, width: int, *, gives_state: bool) -> list[Words]:
    """Draw the recurrent layers, sometimes with a repeat between two of them."""
    number = draw(st.integers(1, 3))
    layers: list[Words] = []
    for index in range(number):
        last = index == number - 1
        # Something has to follow a repeat.
        repeats = not last and draw(st.integers(0, 5)) == 0
        layer = draw(_layers(names, width, sequence=not (repeats or (last and gives_state))))
        layers.append(layer)
        joined = layer.get("bidirectional") and layer.get("merge", "concat") == "concat"
        width = 2 * layer["units"] if joined else layer["units"]
        if repeats:
            layers.append({"type": "repeat", "steps": draw(st.integers(1, 4)), **names.layer(draw)})
    return layers


@st.composite
def _layers(draw: st.DrawFn, names: _Names, width: int, *, sequence: bool) -> Words:
    type_ = draw(st.sampled_from(["simple", "lstm", "gru"]))
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
    if draw(st.booleans()):
        layer["bias"] = draw(st.booleans())
    if draw(st.integers(0, 3)) == 0:
        layer["layer_norm"] = draw(st.booleans() | st.just({"epsilon": 1e-05}))
    layer |= draw(_cells(type_))
    if sequence and draw(st.integers(0, 3)) == 0:
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
    if draw(st.integers(0, 2)) == 0:
        drawn["activation"] = draw(CELL_ACTIVATIONS)
    if type_ != "simple" and draw(st.integers(0, 2)) == 0:
        drawn["recurrent_activation"] = draw(CELL_ACTIVATIONS)
    if type_ == "gru" and draw(st.booleans()):
        drawn["reset_after"] = draw(st.booleans())
    return drawn


@st.composite
def _heads(draw: st.DrawFn, names: _Names) -> Words:
    pooling = st.sampled_from(["last", "mean", "max", "none", "last_step"])
    head: Words = draw(st.fixed_dictionaries({}, optional={"pooling": pooling, "dropout": RATES}))
    if draw(st.booleans()):
        head["hidden"] = draw(st.lists(_hidden(names), min_size=1, max_size=2))
    if draw(st.integers(0, 4)):
        output = {"activation": ACTIVATIONS, "bias": st.booleans()}
        head |= {"units": draw(SIZES), **names.layer(draw)}
        head |= draw(st.fixed_dictionaries({}, optional=output))
        if draw(st.integers(0, 7)) == 0:
            bounded = {"units": draw(SIZES), "activation": "tanh"}
            head |= {"hidden": [*head.get("hidden", []), bounded], "activation": "exponential"}
    if head.get("pooling") != "none" and draw(st.integers(0, 3)) == 0:
        head["normalize"] = draw(st.sampled_from(["l2", "none"]))
    return head


@st.composite
def _hidden(draw: st.DrawFn, names: _Names) -> Words:
    optional = {"activation": ACTIVATIONS, "dropout": RATES}
    layer = draw(st.fixed_dictionaries({"units": SIZES}, optional=optional))
    return {**layer, **names.layer(draw)}


@st.composite
def _initializers(draw: st.DrawFn, spec: Words, layers: list[Words]) -> Words:
    head = spec.get("head", {})
    recurrent = [layer for layer in layers if layer["type"] != "repeat"]
    biased = [layer for layer in recurrent if layer.get("bias", True)]
    optional = {"kernel": MATRICES, "recurrent": MATRICES}
    if "embedding" in spec:
        optional["embedding"] = VECTORS
    if biased or "hidden" in head or ("units" in head and head.get("bias", True)):
        optional["bias"] = VECTORS
    if any(layer["type"] == "lstm" for layer in biased):
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
