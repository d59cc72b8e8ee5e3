"""Each word of the language is in a network in each form of each backend, which knows it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from functools import cache
from itertools import chain
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest
from comparison.test_every_layer import ASKED, CELLS, PAIRS, check, network_of, probe
from jinja2 import UndefinedError
from test_every_field import node_types, parts, with_value

from rnnspec import pipeline
from rnnspec.backends import get, refusals
from rnnspec.errors import GenerationError
from rnnspec.ir import nodes
from rnnspec.ir.forms import Form
from rnnspec.ir.notation import FUNCTIONS
from rnnspec.words import Activation, CellActivation

CELL_WORDS, WORDS = get_args(CellActivation), get_args(Activation)
FURTHER = (
    *(f"{{type: activation, activation: {word}}}" for word in WORDS),
    # Each kind of layer writes its activation in its own way, but reads it from one table.
    *(
        f"{{type: {layer}, activation: {word}}}"
        for layer, word in zip(
            (
                "dense, units: 2",
                "conv, filters: 2, kernel_size: 2, padding: causal",
                "dense, units: 3",
            )
            * len(WORDS),
            WORDS,
            strict=False,
        )
    ),
    *(
        f"{{type: {kind}, units: 2, activation: {word}{gates.format(CELL_WORDS[number - 1])}}}"
        for number, word in enumerate(CELL_WORDS)
        for kind, gates in [
            (
                ("lstm", ", recurrent_activation: {}"),
                ("simple", ""),
                ("gru", ", recurrent_activation: {}"),
            )[number % 3]
        ]
    ),
    *(f"{{type: pool, pooling: {step}_step}}" for step in ("first", "last")),
    *(f"{{type: functions_{part}, units: 2}}" for part in range(2)),
)
"""Layers with the words that those of ``ASKED`` do not have."""
TERMS = [f"{name}(0.5 + softplus(a))" for name in FUNCTIONS]
MORE = {
    **CELLS,
    "functions_0": f"""
    states: [h]
    equations:
      a: W @ x + U @ h + b
      h: tanh({" + ".join(TERMS)})""",
    "functions_1": """
    states: [h]
    equations:
      a: W @ x + U @ h + b
      k: minimum(a, 0.25) * maximum(-a, V @ x) / (2 - tanh(a))
      m: where(a < 0, where(k <= 0, a, k), where(h > a, k, where(k >= a, a, h)))
      n: concat(softmax(m), standardize(k, 0.01), layer_norm(m))
      h: tanh(split(n, 2, 3) + K @ n)""",
}


LAYERS = tuple(dict.fromkeys((*chain.from_iterable(ASKED.values()), *FURTHER)))


@cache
def network(layers: tuple[str, ...]) -> pipeline.Program | None:
    """Return a network with an output for each layer, or None if no spec has it."""
    return network_of("unmasked", layers, MORE)


def has(name: str, form: Form, layer: str) -> bool:
    """True if a backend has a layer in a form."""
    program = network((layer,))
    return program is not None and not refusals(get(name), program.network, form)


UNWRITTEN = (GenerationError, LookupError, AssertionError, UndefinedError)
"""What stops a backend from writing: a refusal, a table, a match or a template without the word."""


def words(annotation: Any) -> set[str]:
    """Return the words that a field may have."""
    if get_origin(annotation) is Literal:
        return set(get_args(annotation))
    return {word for inner in get_args(annotation) for word in words(inner)}


ENUMS = {
    (kind.__name__, field.name): found
    for kind in node_types()
    for field in fields(kind)
    if (found := words(get_type_hints(kind, vars(nodes))[field.name]))
}
"""The words of each field that has any."""


@cache
def further(name: str, form: Form) -> pipeline.Program:
    """Return a network with all further layers that a backend has in a form."""
    program = network(tuple(layer for layer in FURTHER if has(name, form, layer)))
    assert program is not None
    return program


@pytest.mark.parametrize(("name", "form"), PAIRS)
def test_every_word_is_computed(name: str, form: Form) -> None:
    check(further(name, form), name, form, 6)


def seen(program: pipeline.Program) -> Iterator[tuple[str, str, str]]:
    """Yield each word of a network, after its field."""
    for _, node in parts(program.network):
        for field in fields(node):
            if (type(node).__name__, field.name) in ENUMS:
                yield type(node).__name__, field.name, getattr(node, field.name)


@pytest.mark.parametrize(("name", "form"), PAIRS)
def test_every_word_is_in_a_network(name: str, form: Form) -> None:
    """Of activations, which all layers read from one table, in some layer."""
    asked = (probe(name, form, source) for source in ASKED)
    inside = {word for program in (*asked, further(name, form)) for word in seen(program)}
    known = {(_enum(*field), word) for *field, word in inside}
    for field, expected in ENUMS.items():
        for word in expected:
            if (_enum(*field), word) not in known:
                layers = [layer for layer in LAYERS if (*field, word) in words_of(layer)]
                assert layers, (field, word)
                assert not any(has(name, form, layer) for layer in layers), (field, word)


@cache
def words_of(layer: str) -> set[tuple[str, str, str]]:
    """Return the words of a layer, after their fields."""
    program = network((layer,))
    return {*seen(program)} if program else set()


def _enum(kind: str, field: str) -> str:
    return "activation" if "activation" in field else f"{kind}.{field}"


@pytest.mark.parametrize(("name", "form"), PAIRS)
def test_an_unknown_word_has_no_source(name: str, form: Form) -> None:
    """A word that is added to the language, and that a backend does not know yet."""
    backend, asked = get(name), set[tuple[str, str]]()
    for layer in LAYERS:
        program = network((layer,))
        fresh = {tuple(enum) for *enum, _ in words_of(layer)} - asked
        if program is None or not fresh or not has(name, form, layer):
            continue
        for place, node in parts(program.network):
            for field in fields(node):
                enum = type(node).__name__, field.name
                if enum in asked or enum not in ENUMS:
                    continue
                if not isinstance(getattr(node, field.name), str):
                    continue
                asked.add(enum)
                changed = with_value(program.network, (*place, field.name), "unheard_of")
                with pytest.raises(UNWRITTEN):
                    pipeline.generate(replace(program, network=changed), backend, form)
    assert len(asked) > len(ENUMS) / 2
