"""Hypothesis strategies for valid specs of small networks, over the whole language."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.internal.conjecture.providers import AVAILABLE_PROVIDERS, HypothesisProvider

from rnnspec.spec import models
from rnnspec.spec.yaml.text import first_forbidden
from rnnspec_random.graphs import encoder_decoders, graphs
from rnnspec_random.layers import (
    CELLS,
    END_STEPS,
    LONGEST,
    RATES,
    ROOM,
    SIZES,
    Flow,
    Names,
    Words,
    any_head,
    any_initializers,
    layer_keys,
    poolings_of,
    recurrent_layers,
    width_of,
    window_keys,
)

if TYPE_CHECKING:
    from collections.abc import Mapping


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


def spec_text(spec: Mapping[str, Any]) -> str:
    """Return a spec as text for ``rnnspec.loads``."""
    return json.dumps(spec)


@st.composite
def specs(
    draw: st.DrawFn,
    *,
    long_names: bool = False,
    cells: bool = True,
    graph: bool | None = None,
    decoder: bool = False,
) -> Words:
    """Draw a valid spec as plain data, with a few names, or with long ones up to the maximum.

    Without ``cells``, all recurrent layers are of the types of the language. One spec in four is a
    ``graph`` in which layers name what they read, unless all or none have to be. With ``decoder``,
    all have a decoder that attends to another sequence.
    """
    names = Names(draw(st.just(LONGEST) | st.integers(30, LONGEST)) if long_names else None)
    if decoder or ((draw(st.integers(0, 3)) == 3) if graph is None else graph):
        sections = draw((encoder_decoders if decoder else graphs)(names, cells=cells))
        return {"version": 1, "name": names.network(), **sections}
    return draw(_chains(names, cells=cells))


@st.composite
def _chains(draw: st.DrawFn, names: Names, *, cells: bool) -> Words:
    """Draw a spec in which each layer reads the one before it, but for joins."""
    embedding = draw(_embeddings(names)) if draw(st.booleans()) else None
    spec: Words = {"version": 1, "name": names.network()}
    if description := draw(st.just("") | DESCRIPTIONS):
        spec["description"] = description
    if network_input := draw(_inputs(numeric=embedding is None)):
        spec["input"] = network_input
    if embedding is not None:
        spec["embedding"] = embedding
    head = draw(any_head(names)) if draw(st.integers(0, 4)) else None
    if head is not None and _reads_an_end(head):
        # With a mask, the step may be padding.
        for section, key in (("input", "mask_value"), ("embedding", "mask_zero")):
            spec.get(section, {}).pop(key, None)
    flow = Flow(
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
        heads += draw(st.lists(any_head(names), min_size=1, max_size=2))
    for output in heads:
        masked = flow.masked and _reads_an_end(output)
        if gives_state or masked:
            # Nothing else fits a state; and of a mask, the step may be padding.
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
    if initializers := draw(any_initializers(spec, layers)):
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
def _embeddings(draw: st.DrawFn, names: Names) -> Words:
    optional = {"trainable": st.booleans(), "mask_zero": st.booleans()}
    drawn = draw(st.fixed_dictionaries({}, optional=optional))
    return {
        **names.layer(draw),
        # Of one token, all sequences are equal: behind a batch norm they are rounding alone.
        "vocabulary": draw(st.integers(2, 7)),
        "dim": draw(SIZES),
        **drawn,
    }


@st.composite
def _rnn(
    draw: st.DrawFn, names: Names, flow: Flow, *, gives_state: bool, cells: bool
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
        layer = draw(recurrent_layers(names, flow.width, sequence=sequence, cells=cells))
        layers.append(layer)
        joined = layer.get("bidirectional") and layer.get("merge", "concat") == "concat"
        flow.width = 2 * width_of(layer) if joined else width_of(layer)
        if sequence and layer.get("layers", 1) == 1 and "name" in layer:
            flow.outputs.append((layer["name"], flow.width))
        while draw(st.integers(0, 3)) == 3:
            both = bool(layer.get("bidirectional"))
            others = _others(names, flow, layers, pointwise=not sequence, both=both)
            layers.append(draw(others))
        if repeats:
            steps = draw(st.integers(1, 4))
            layers.append({"type": "repeat", "steps": steps, **names.layer(draw)})
            flow.steps, flow.masked = steps, False
            flow.outputs.clear()
    return layers


@st.composite
def _others(  # noqa: PLR0913 - what is drawn so far, and what the layer reads
    draw: st.DrawFn,
    names: Names,
    flow: Flow,
    layers: list[Words],
    *,
    pointwise: bool = False,
    both: bool = False,
) -> Words:
    """Draw a layer of ``rnn`` that is not recurrent; on a state, only one that is ``pointwise``.

    The state may be that of ``both`` directions, which a layer between may have mixed.
    """
    kinds = [*models.HIDDEN]
    if pointwise and both:
        kinds.remove("batch_norm")
    if not pointwise:
        kinds += ["conv", "conv", "max_pool", "average_pool", "instance_norm"]
        kinds += ["concat"] if layers and flow.outputs else []
    kind = draw(st.sampled_from(kinds))
    if kind == "concat":
        return _join(draw, names, flow, layers[-1])
    layer: Words = {"type": kind} | names.layer(draw, room=ROOM)
    match kind:
        case "conv" | "max_pool" | "average_pool":
            layer |= draw(window_keys(kind, flow))
        case "dropout":
            layer["rate"] = draw(RATES)
            # At a rate of 0, 'variational' has no effect, which is an error.
            if layer["rate"] and not pointwise and draw(st.booleans()):
                layer["variational"] = draw(st.booleans())
        case _:
            layer |= draw(layer_keys(kind))
            flow.width = layer.get("units", flow.width)
    if "name" in layer and not pointwise:
        flow.outputs.append((layer["name"], flow.width))
    return layer


def _join(draw: st.DrawFn, names: Names, flow: Flow, before: Words) -> Words:
    """Return a join of the layer before it and others."""
    # A name, so that it can be joined; copies would have several.
    if before.get("layers", 1) > 1 or before["type"] == "repeat" or "name" not in before:
        named = before.get("layers", 1) == 1 and before["type"] != "repeat"
        if not named:
            return {"type": "activation", "activation": "tanh"}
        before |= names.new()
        flow.outputs.append((before["name"], flow.width))
    joined_first = next(item for item in flow.outputs if item[0] == before["name"])
    kind = draw(st.sampled_from(["concat", "concat", "add", "multiply"]))
    widths = {"concat": range(1000), "add": (flow.width,), "multiply": (flow.width, 1)}[kind]
    fitting = [item for item in flow.outputs if item[1] in widths]
    others = draw(st.lists(st.sampled_from(fitting), min_size=1, max_size=2))
    joined = draw(st.permutations([joined_first, *others]))
    layer = {"type": kind, **names.layer(draw), "of": [name for name, _ in joined]}
    if kind == "concat":
        flow.width = sum(width for _, width in joined)
    if "name" in layer:
        flow.outputs.append((layer["name"], flow.width))
    return layer


def _reads_an_end(head: Words) -> bool:
    return any(pooling in END_STEPS for pooling in poolings_of(head))


def _fit_pooling(head: Words, flow: Flow, last: Words, *, beside: bool) -> None:
    """Change a pooling that the sequence, or another head ``beside`` this one, does not allow."""
    pooling = head.get("pooling", "last")
    if pooling == "flatten" and (flow.masked or flow.steps is None):
        head["pooling"] = "sum"
    if isinstance(pooling, dict) and "last_steps" in pooling:
        if flow.masked:
            head["pooling"] = "none"
        elif flow.steps is not None:
            head["pooling"] = {"last_steps": min(pooling["last_steps"], flow.steps)}
    if "last" in poolings_of(head) and (beside or isinstance(pooling, list)):
        apart = not last.get("bidirectional") or last.get("merge", "concat") == "concat"
        recurrent = last["type"] in (*models.RECURRENT, *CELLS)
        if not (recurrent and apart) or last.get("layer_norm") or last.get("residual"):
            others = [part for part in poolings_of(head) if part not in ("last", "sum")]
            head["pooling"] = ["sum", *others] if others else "sum"


class SeededProvider(HypothesisProvider):
    """Hypothesis's own source, without constants from source code.

    It draws one value in twenty from the constants in all modules that are imported and not in
    ``site-packages``, so that the values depend on them too.
    """

    def _maybe_draw_constant(self, *_: object, **__: object) -> None:
        return None


PROVIDER = "rnnspec"
AVAILABLE_PROVIDERS[PROVIDER] = f"{__name__}.{SeededProvider.__name__}"
