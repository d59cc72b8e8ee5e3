"""The walk of one spec through the packages, station by station, in docs/project/walk.md.

``python -m docs.generate.walk`` writes it between the markers of the page. What each station takes
and returns is read from the objects themselves.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from docs.generate.examples import ROOT
from docs.generate.markdown import fence, replace_between, table
from rnnspec import backends, pipeline
from rnnspec.backends.contract import DEFAULTS
from rnnspec.comparison import reference
from rnnspec.comparison.batch import draw_batch
from rnnspec.ir import expand, params
from rnnspec.ir.core import Name, Param
from rnnspec.ir.nodes import Network
from rnnspec.lowering import lower
from rnnspec.raising import raise_spec
from rnnspec.source import execute, render
from rnnspec.source.code import Module
from rnnspec.spec.load import loads
from rnnspec.spec.write import dump
from rnnspec.spec.yaml import document
from rnnspec.weights.initial import draw_fresh
from rnnspec.weights.store import Store

PAGE = ROOT / "docs" / "project" / "walk.md"
BEGIN, END = (
    "<!-- stations: written by docs/generate/walk.py -->\n",
    "<!-- end of stations -->\n",
)
SPEC = ROOT / "specs" / "stacked_lstm.yaml"


@dataclass(frozen=True, slots=True)
class Station:
    """A call on the way: its title, what it is for, its code, and some lines of what it gave."""

    title: str
    purpose: str
    call: str
    function: Callable[..., Any]
    given: tuple[Any, ...]
    returned: Any
    seen: str

    @property
    def file(self) -> str:
        """The file of the function, from the root of the repository."""
        path = inspect.getsourcefile(inspect.unwrap(self.function))
        assert path is not None
        return Path(path).relative_to(ROOT).as_posix()

    @property
    def types(self) -> tuple[str, str]:
        """The types of what goes in, and of what comes out."""
        return ", ".join(map(type_of, self.given)), type_of(self.returned)


def type_of(value: Any) -> str:
    """Return the type of a value, and of what is in it if it is a container of the standard one."""
    name = "Path" if isinstance(value, Path) else type(value).__name__
    match value:
        case dict() if value:
            key, inner = next(iter(value.items()))
            return f"dict[{type_of(key)}, {type_of(inner)}]"
        case tuple() | list() if value:
            inside = dict.fromkeys(map(type_of, value))
            return f"{name}[{' | '.join(inside)}, ...]"
        case _:
            return name


def stations() -> Iterator[Station]:
    """Yield the ten stations of the spec; each takes what those before it returned."""
    text = SPEC.read_text(encoding="utf-8")
    read = document.read(text, SPEC.name)
    path = ("rnn", 0, "units")
    place = read.span(path)
    yield Station(
        "Read",
        "YAML becomes plain data in which every value keeps its place.",
        "document.read(text, source)",
        document.read,
        (text,),
        read,
        f"rnn.units = {read.value(path)}, at line {place.line}, column {place.column}",
    )

    draft = loads(text, SPEC.name, taken=backends.reserved_names())
    spec = draft.spec
    assert spec is not None
    yield Station(
        "Check",
        "The data is checked: all problems at once, or a valid spec. Defaults are filled in.",
        "loads(text, source).spec",
        loads,
        (text,),
        spec,
        f"{spec.rnn[0]!r}"[:86] + " ...",
    )

    network = lower(spec)
    yield Station(
        "Lower",
        "The spec becomes a network: `layers: 3` is three nodes, each with a name and a shape. The "
        "last of them gives its final state, because the head asks for no more.",
        "lower(spec)",
        lower,
        (spec,),
        network,
        "\n".join(
            f"{type(one).__name__:<10} {one.name:<12} {one.input} -> {one.output}"
            for one in network.layers
        ),
    )

    lstm, dense = network.layers[2], network.layers[-1]
    arrays = params.params(lstm)
    yield Station(
        "Count",
        "Each node says what arrays it has; all counts are sums of their sizes.",
        "params(layer)",
        params.params,
        (lstm,),
        arrays,
        "\n".join(f"{lstm.name}.{one.name} {one.shape}" for one in arrays)
        + f"\n{params.counts(network).total:,} numbers in the network",
    )

    recipe = tuple(expand.expand(dense, "training"))
    yield Station(
        "Expand",
        "Each node says what it computes, in verbs that every backend can spell.",
        "expand(layer, form)",
        expand.expand,
        (dense, "training"),
        recipe,
        "\n".join(f"{one.name} = {short(one.value)}" for one in recipe),
    )

    numbers = draw_fresh(network, seed=0)
    batch = draw_batch(network, np.random.default_rng(0))
    trace = reference.run(network, numbers, batch)
    yield Station(
        "Define",
        "NumPy computes the network by its definition, in float64. Every backend is compared with "
        "this.",
        "reference.run(network, arrays, batch)",
        reference.run,
        (network, numbers, batch),
        trace,
        f"output of shape {trace.output.shape}, {trace.output.dtype}",
    )

    backend = backends.get("torch")
    arranged = pipeline.arrange(pipeline.Program(spec, network), backend)
    source = backend.emitter.emit(arranged, "training", DEFAULTS)
    assert isinstance(source, Module)
    yield Station(
        "Emit",
        "A backend writes the network as code with holes for values. It knows neither the spec nor "
        "YAML.",
        "emitter.emit(network, form, options)",
        backend.emitter.emit,
        (arranged, "training"),
        source,
        f"{len(source.imports)} lines of imports, {len(source.parts)} functions and classes, "
        f"the last of them {source.entry}",
    )

    written = render.render(source, backend.templates)
    yield Station(
        "Render",
        "A template lays the code out, and long lines are broken. `rnnspec codegen` prints this.",
        "render(source, templates)",
        render.render,
        (source, backend.templates),
        written,
        excerpt(written, "def forward"),
    )

    module = execute.execute(written, network.name)
    model = backend.runtime.instantiate(module, source, "float32", drawn=False)
    yield Station(
        "Run",
        "The text is executed, and its class called: there is no second way to make a model.",
        "runtime.instantiate(execute(text, name), source)",
        execute.execute,
        (written, network.name),
        model,
        f"{type(model).__mro__[1].__module__}.{type(model).__mro__[1].__name__}",
    )

    store = Store(backend, arranged)
    store.write(model, numbers)
    again = store.read(model)
    (name, where, _, slot), *_ = (one for one in store.places if one[0] == "lstm_2.kernel")
    back = dump(raise_spec(network))
    raised = pipeline.reads(back).network
    assert all(np.allclose(again[key], numbers[key], atol=1e-6) for key in numbers)
    assert comparable(raised) == comparable(network)
    yield Station(
        "Move, and go back",
        "Weights go in and out through one table of places per backend. `raise_spec(network)`, of "
        "`rnnspec/raising/`, makes a spec of the network again.",
        "Store(backend, network).read(model)",
        Store.read,
        (model,),
        again,
        f"{name} {again[name].shape} is {where}.{slot.path}\n\n{back}",
    )


def short(value: Any) -> str:
    """Return an expression of verbs without the names of their fields."""
    match value:
        case Name() | Param():
            return value.name
        case _ if is_dataclass(value):
            inside = (getattr(value, field.name) for field in fields(value))
            words = ", ".join(short(one) for one in inside if one is not False)
            return f"{type(value).__name__}({words})"
        case _:
            return str(value)


def excerpt(source: str, start: str) -> str:
    """Return the last function of a source that begins so, without its margin."""
    lines = source[source.rindex(start) :].splitlines()
    end = next(
        (at for at, line in enumerate(lines) if at and not line.startswith("        ")), None
    )
    return "\n".join([lines[0], *(line[4:] for line in lines[1:end])])


def comparable(network: Network) -> object:
    """Return what must be equal after a walk there and back."""
    return network.inputs, network.layers


def slug(number: int, station: Station) -> str:
    """Return the anchor of the heading of a station."""
    return f"{number}-{station.title}".lower().replace(",", "").replace(" ", "-")


def page() -> str:
    """Return the page with its stations written again."""
    every = tuple(stations())
    overview = table(
        ("station", "file", "takes", "returns"),
        [
            (
                f"[{number}. {one.title}](#{slug(number, one)})",
                f"`{one.file}`",
                *(f"`{name}`" for name in one.types),
            )
            for number, one in enumerate(every, 1)
        ],
    )
    parts = [overview]
    for number, one in enumerate(every, 1):
        taken, given = one.types
        parts.append(
            f"## {number}. {one.title}\n\n{one.purpose}\n\n`{one.call}` in `{one.file}`: "
            f"`{taken}` → `{given}`\n\n{fence('text', one.seen)}"
        )
    return replace_between(PAGE.read_text(encoding="utf-8"), BEGIN, END, "\n".join(parts))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
