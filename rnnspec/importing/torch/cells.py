"""Modules of classes that rnnspec wrote for cells by equations.

The docstring of such a class has its equations, and ``__init__`` the shapes of its parameters. They
are read as text. That they are what ``forward`` computes follows from its source, and from that of
the functions that it calls: it is what rnnspec writes for them.
"""

from __future__ import annotations

import ast
import inspect
import re
from dataclasses import dataclass, replace
from functools import cache
from textwrap import dedent
from typing import Any

from rnnspec.backends import BACKENDS
from rnnspec.backends.contract import DEFAULTS
from rnnspec.backends.torch.parts import stock_classes
from rnnspec.cells import equation_cell
from rnnspec.errors import listed
from rnnspec.importing.graph.layer_graph import RefusedError
from rnnspec.importing.unplaced import INITIALIZERS, recurrent
from rnnspec.ir import nodes
from rnnspec.ir.equations import EquationError, evaluate_size
from rnnspec.source.code import Module
from rnnspec.spec import models

_TITLE = re.compile(r"The cell (\w+), run step by step\.")


@dataclass(frozen=True, slots=True)
class OwnCell:
    """A cell with the settings of a layer, and whether its ``forward`` returns all outputs."""

    cell: nodes.EquationCell
    features: int
    units: int
    returns_sequences: bool
    recurrent_dropout: float


def is_own_cell(module: Any) -> bool:
    """True if a class says that it runs a cell by equations."""
    return _TITLE.match(type(module).__doc__ or "") is not None


def first_states_of(module: Any) -> tuple[str, ...]:
    """Return the first states that the ``forward`` of such a class takes."""
    taken = inspect.signature(type(module).forward).parameters
    return tuple(name for name in taken if name not in ("self", "x", "mask"))


def read_own_cell(module: Any) -> OwnCell:
    """Return the cell that a class describes, with the sizes of the module.

    Raises:
        RefusedError: it does not describe one, or the module has other parameters.
    """
    kind = type(module)
    text = inspect.cleandoc(kind.__doc__ or "")
    try:
        title, equations, states, *_ = re.sub(r"\n    +", " ", text).split("\n\n")
        init, forward = (inspect.getsource(getattr(kind, name)) for name in ("__init__", "forward"))
    except (ValueError, OSError) as error:
        message = f"expected a class with its docstring and source as rnnspec writes them: {error}"
        raise RefusedError(message, "E701") from None
    received = {name: tuple(array.shape) for name, array in module.named_parameters()}
    shapes = dict(_read_shapes(init))
    values = _solve(shapes, received)
    sized = dict(re.findall(r"(\w+) \(([^)]*)\)", states))
    if "units" not in values and (output := next(iter(sized.values()))) != "units":
        # No array depends on them, so they are the size of the output.
        values["units"] = evaluate_size(output, values)
    if missing := {"features", "units"} - values.keys():
        message = f"expected an array whose size depends on {listed(tuple(sorted(missing)))}"
        raise RefusedError(f"{message}, received none", "E707")
    features, units = (values.pop(name) for name in ("features", "units"))
    words = {
        "states": [*sized],
        "equations": dict(re.findall(r"(\w+) = (.*)", equations)),
        "sizes": {name: size for name, size in sized.items() if size != "units"},
        "parameters": {
            name if re.search(rf"\b{name}\b", equations) else re.sub(r"_\d+$", "", name): (
                list(shape) or "scalar"
            )
            for name, shape in shapes.items()
        },
        "settings": values,
    }
    match = _TITLE.match(title)
    assert match is not None, "is_own_cell looked for it"
    try:
        declared = models.Cell.model_validate({key: value for key, value in words.items() if value})
        cell = equation_cell(match[1], declared, values, INITIALIZERS)
    except EquationError as error:
        raise RefusedError(f"expected the equations of a cell in its docstring: {error}") from None
    except ValueError:
        # Not its text, which is about the model of a spec.
        message = "expected states and equations in its docstring, as rnnspec writes them"
        raise RefusedError(f"{message}, received others", "E701") from None
    returns_sequences = getattr(module, "return_sequences", "torch.stack(outputs)" in forward)
    rate = float(getattr(module, "recurrent_dropout", 0.0))
    own = OwnCell(cell, features, units, returns_sequences, rate)
    _check_source(module, own)
    return own


def _check_source(module: Any, own: OwnCell) -> None:
    """Check that the source of a class, and of what it calls, is that of a cell.

    Raises:
        RefusedError: it is other source.
    """
    kind = type(module)
    layer = recurrent("r", own.cell, own.units, merge=None, bias=True, return_sequences=True)
    layer = replace(
        layer,
        recurrent_dropout=own.recurrent_dropout,
        masked="mask" in inspect.signature(kind.forward).parameters,
        return_sequences=own.returns_sequences,
        input=(None, own.features),
    )
    layers = [layer]
    if hasattr(module, "return_sequences"):
        # In such a class, some layers return all outputs, and others the last one.
        first = replace(layer, return_sequences=True)
        layers = [first, replace(layer, name="last", input=first.output, return_sequences=False)]
    emitter = BACKENDS["torch"].emitter
    network = nodes.Network(
        name="net",
        description="",
        inputs=(
            nodes.NumericInput(
                steps=None, features=own.features, mask_value=0.0 if layer.masked else None
            ),
        ),
        layers=tuple(layers),
    )
    source = emitter.emit(emitter.arrange(network, "training"), "training", DEFAULTS)
    assert isinstance(source, Module)
    *parts, _ = source.parts
    for part in map(_definition, parts):
        is_class = isinstance(part, ast.ClassDef)
        received = kind if is_class else kind.forward.__globals__.get(part.name)
        try:
            found = ast.dump(_definition(inspect.getsource(received)))
        except (TypeError, OSError, SyntaxError):
            found = ""
        if found != ast.dump(part):
            what = "class" if is_class else f"function {part.name}"
            message = (
                f"expected the {what} that rnnspec writes for the cell {own.cell.name}, received "
                "another; give the spec of the model to read its arrays alone"
            )
            raise RefusedError(message, "E704")


def _definition(text: str) -> ast.ClassDef | ast.FunctionDef:
    """Return a class or a function without its docstrings, and a class without its name.

    Raises:
        SyntaxError: it is neither.
    """
    match ast.parse(dedent(text)).body:
        case [ast.ClassDef() | ast.FunctionDef() as definition]:
            pass
        case _:
            raise SyntaxError
    for part in ast.walk(definition):
        if isinstance(part, ast.ClassDef | ast.FunctionDef) and ast.get_docstring(part):
            del part.body[0]
    if isinstance(definition, ast.ClassDef):
        definition.name = ""
    return definition


def own_class(module: Any) -> str:
    """Return which class a module is of that rnnspec writes around stock layers, or nothing.

    They are told by their source: see ``stock_classes``.
    """
    kind: Any = type(module)
    return _own_class(kind)


@cache
def _own_class(kind: Any) -> str:
    if not re.search(r"padded steps|one bias per direction|A batch norm of", kind.__doc__ or ""):
        return ""
    try:
        return _own_classes().get(ast.dump(_definition(inspect.getsource(kind))), "")
    except (TypeError, OSError, SyntaxError):
        return ""


@cache
def _own_classes() -> dict[str, str]:
    return {ast.dump(_definition(text)): kind for text, kind in stock_classes()}


def _read_shapes(init: str) -> dict[str, tuple[str, ...]]:
    """Return the sizes of each parameter that ``__init__`` makes by ``torch.empty``."""
    shapes = {}
    for node in ast.walk(ast.parse(dedent(init))):
        match node:
            case ast.Assign(
                targets=[ast.Attribute(attr=name)],
                value=ast.Call(args=[ast.Call(func=ast.Attribute(attr="empty"), args=sizes)]),
            ):
                texts = [ast.unparse(size) for size in sizes]
                shapes[name] = () if texts == ["()"] else tuple(texts)
            case _:
                pass
    return shapes


def _solve(
    shapes: dict[str, tuple[str, ...]], received: dict[str, tuple[int, ...]]
) -> dict[str, int]:
    """Return the value of each size in some shapes.

    Raises:
        RefusedError: the parameters have other shapes.
    """
    values = dict[str, int]()
    sizes = [
        (size, number)
        for name, shape in shapes.items()
        for size, number in zip(shape, received.get(name, ()), strict=False)
    ]
    # Those with the fewest terms first, so that the others have at most one that is unknown.
    for size, number in sorted(sizes, key=lambda pair: pair[0].count("+")):
        unknown = {name for name in re.findall(r"[A-Za-z]\w*", size) if name not in values}
        if len(unknown) == 1:
            (name,) = unknown
            none, one = (evaluate_size(size, values | {name: times}) for times in (0, 1))
            values[name] = (number - none) // (one - none)
    try:
        expected = {
            name: tuple(evaluate_size(size, values) for size in shape)
            for name, shape in shapes.items()
        }
    except (KeyError, ValueError):
        expected = {}
    if expected != received:
        message = f"expected parameters of the shapes {shapes}, received {received}"
        raise RefusedError(message, "E707")
    return values
