"""Hypothesis strategies over the whole language, version 1: valid specs of small networks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from rnnspec.spec.places import forbidden

if TYPE_CHECKING:
    from collections.abc import Mapping

Words = dict[str, Any]

LONGEST = 64
"""How long a name may be."""

SIZES = st.integers(1, 5)
RATES = st.sampled_from([0, 0.0, 0.1, 0.25, 0.5, 1e-05])
ACTIVATIONS = st.sampled_from(["linear", "sigmoid", "softmax", "tanh", "relu", "softplus"])
DRAWN = st.one_of(
    st.sampled_from([0.05, 0.3, 1, 1e-05]).map(lambda limit: {"uniform": limit}),
    st.sampled_from([0.05, 0.3, 1, 1e-05]).map(lambda stddev: {"normal": stddev}),
    st.sampled_from([-0.0, 0, 0.5, 1.0, -2, 1e30]).map(lambda value: {"constant": value}),
)
VECTORS = st.sampled_from(["zeros", "ones"]) | DRAWN
MATRICES = st.one_of(
    st.sampled_from(["glorot_uniform", "he_uniform", "lecun_uniform", "orthogonal"]), VECTORS
)
# Written as JSON, which is YAML for as long as no character needs a surrogate pair.
LETTERS = st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"])
DESCRIPTIONS = st.text(LETTERS, max_size=120).filter(lambda text: forbidden(text) is None)


def spec_text(spec: Mapping[str, Any]) -> str:
    """Return a spec as text that ``rnnspec.loads`` reads."""
    return json.dumps(spec)


@st.composite
def specs(draw: st.DrawFn, *, long_names: bool = False) -> Words:
    """Draw a valid spec as plain data, with few names or with long ones, up to what is allowed."""
    names = _Names(draw(st.just(LONGEST) | st.integers(30, LONGEST)) if long_names else None)
    embedding = draw(_embeddings(names)) if draw(st.booleans()) else None
    spec: Words = {"version": 1, "name": names.network()}
    if description := draw(st.just("") | DESCRIPTIONS):
        spec["description"] = description
    if entrance := draw(_inputs(numeric=embedding is None)):
        spec["input"] = entrance
    if embedding is not None:
        spec["embedding"] = embedding
    layers = draw(st.lists(_layers(names), min_size=1, max_size=3))
    spec["rnn"] = layers[0] if len(layers) == 1 and draw(st.booleans()) else layers
    if draw(st.integers(0, 4)):
        spec["head"] = draw(_heads(names))
    if initializers := draw(_initializers(spec, layers)):
        spec["initializers"] = initializers
    return spec


def sample(strategy: st.SearchStrategy[Words], size: int) -> list[Words]:
    """Return ``size`` examples, always the same ones."""
    found: list[Words] = []

    @settings(
        max_examples=size, database=None, deadline=None, derandomize=True, phases=[Phase.generate]
    )
    @given(strategy)
    def collect(spec: Words) -> None:
        found.append(spec)

    collect()
    return found


class _Names:
    """Gives names that are used once: all of them ``length`` long, or now and then a short one."""

    def __init__(self, length: int | None) -> None:
        self.length = length
        self._given = 0

    def network(self) -> str:
        return "network_gru_".ljust(self.length, "x") if self.length else "small_net"

    def layer(self, draw: st.DrawFn, *, room: int = 0) -> Words:
        """Return a ``name`` key, or nothing; ``room`` is for what is added to the name."""
        self._given += 1
        if self.length:
            return {"name": f"layer_{self._given}_".ljust(self.length - room, "y")}
        return {"name": f"my_layer_{self._given}"} if draw(st.integers(0, 3)) == 0 else {}


@st.composite
def _inputs(draw: st.DrawFn, *, numeric: bool) -> Words:
    entrance: Words = {"features": draw(SIZES)} if numeric else {}
    if draw(st.booleans()):
        entrance["length"] = draw(st.integers(1, 6))
    return entrance


@st.composite
def _embeddings(draw: st.DrawFn, names: _Names) -> Words:
    optional = draw(st.fixed_dictionaries({}, optional={"trainable": st.booleans()}))
    sizes = {"vocabulary": draw(st.integers(1, 7)), "dim": draw(SIZES)}
    return {**names.layer(draw), **sizes, **optional}


@st.composite
def _layers(draw: st.DrawFn, names: _Names) -> Words:
    type_ = draw(st.sampled_from(["simple", "lstm", "gru"]))
    layer: Words = {"type": type_, "units": draw(SIZES)}
    if draw(st.integers(0, 3)) == 0:
        layer["layers"] = draw(st.integers(1, 2))
    room = len("_2") if layer.get("layers", 1) > 1 else 0
    layer |= names.layer(draw, room=room)
    if draw(st.booleans()):
        layer["dropout"] = draw(RATES)
        if layer["dropout"] and draw(st.booleans()):
            layer["variational"] = draw(st.booleans())
    if draw(st.booleans()):
        layer["bidirectional"] = True
        if draw(st.integers(0, 3)):
            layer["merge"] = draw(st.sampled_from(["concat", "sum", "mul", "ave"]))
    if draw(st.booleans()):
        layer["bias"] = draw(st.booleans())
    if type_ == "gru" and draw(st.booleans()):
        layer["reset_after"] = True
    return layer


@st.composite
def _heads(draw: st.DrawFn, names: _Names) -> Words:
    pooling = st.sampled_from(["last", "mean", "max", "none"])
    head: Words = draw(st.fixed_dictionaries({}, optional={"pooling": pooling, "dropout": RATES}))
    if draw(st.booleans()):
        head["hidden"] = draw(st.lists(_hidden(names), min_size=1, max_size=2))
    if draw(st.integers(0, 4)):
        output = {"activation": ACTIVATIONS, "bias": st.booleans()}
        head |= {"units": draw(SIZES), **names.layer(draw)}
        head |= draw(st.fixed_dictionaries({}, optional=output))
    return head


@st.composite
def _hidden(draw: st.DrawFn, names: _Names) -> Words:
    optional = {"activation": ACTIVATIONS, "dropout": RATES}
    layer = draw(st.fixed_dictionaries({"units": SIZES}, optional=optional))
    return {**layer, **names.layer(draw)}


@st.composite
def _initializers(draw: st.DrawFn, spec: Words, layers: list[Words]) -> Words:
    head = spec.get("head", {})
    biased = [layer for layer in layers if layer.get("bias", True)]
    optional = {"kernel": MATRICES, "recurrent": MATRICES}
    if "embedding" in spec:
        optional["embedding"] = VECTORS
    if biased or "hidden" in head or ("units" in head and head.get("bias", True)):
        optional["bias"] = VECTORS
    if any(layer["type"] == "lstm" for layer in biased):
        optional["forget_bias"] = st.sampled_from([0, 0.5, 1, 1.0, -1e-05, 2.5])
    return draw(st.just({}) | st.fixed_dictionaries({}, optional=optional))
