"""A cell by equation as plain data, as a spec has it, and the cell that such data defines."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rnnspec.ir.equations import EquationError, Features, attends_of, rewrite
from rnnspec.ir.initializers import NAMED, Constant, GlorotUniform, Normal, Uniform, in_words
from rnnspec.ir.nodes import EquationCell
from rnnspec.ir.notation import Block, Notation, WrittenLine, write_expression
from rnnspec.ir.parser import read_cell
from rnnspec.ir.shapes import NAMED_SIZES, read_size, size_names, size_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rnnspec.ir.equations import Equations, Expression, Shape, Size
    from rnnspec.ir.initializers import Initializer


def define(cell: EquationCell, initial: Mapping[str, Initializer]) -> dict[str, Any]:
    """Return the definition of a cell, with the initializers that are not ``initial``."""
    # A text does not say which features of the input are the same at each step.
    equations = replace(
        cell.equations,
        lines=tuple(
            replace(line, value=rewrite(line.value, _at_each_step)) for line in cell.equations.lines
        ),
    )
    memory = {part.memory: part.size for part in attends_of(equations)}
    definition: dict[str, Any] = {
        "states": list(equations.states),
        **({"memory": list(memory)} if memory else {}),
        "equations": {line.name: write_expression(line.value) for line in equations.lines},
    }
    # Scalars never follow. What else does not is seen by reading the cell again.
    sizes = {name: shape[0] for name, shape in equations.shapes if shape}
    states = {name: sizes[name] for name in equations.states if sizes[name] != "units"}
    of_memory = {name: size for name, size in memory.items() if name != size}
    states, sizes = of_memory | states, of_memory | sizes
    shapes = {name: list(shape) or "scalar" for name, shape in equations.parameters}
    scalars = {name: shape for name, shape in shapes.items() if shape == "scalar"}
    for said in ({"sizes": states, "parameters": scalars}, {"sizes": sizes, "parameters": shapes}):
        whole = definition | {section: names for section, names in said.items() if names}
        try:
            if _read_equations(whole) == equations:
                break
        except EquationError:
            continue
    return whole | write_initializers(cell.initializers, initial)


def _at_each_step(part: Expression) -> Expression | None:
    return replace(part, once=False) if isinstance(part, Features) and part.once else None


def write_initializers(
    values: Iterable[tuple[str, Initializer]], initial: Mapping[str, Initializer]
) -> dict[str, Any]:
    """Return the section ``initialize`` with what is not ``initial``, nothing without any."""
    initialize = {
        name: value.value
        if isinstance(value, Constant) and value.value not in (0.0, 1.0)
        else in_words(value)
        for name, value in values
        if repr(value) != repr(initial[name])
    }
    return {"initialize": initialize} if initialize else {}


def usual_initializers(equations: Equations) -> dict[str, Initializer]:
    """Return the initializers of parameters of which a definition without a spec says nothing."""
    return {
        name: GlorotUniform() if len(shape) == 2 else Constant(0.0)
        for name, shape in equations.parameters
    }


def read_definition(name: str, definition: Any) -> EquationCell:
    """Return the cell that data of any kind defines, without numbers for the sizes that it names.

    Raises:
        EquationError: this is no definition of a cell.
    """
    if not isinstance(definition, dict):
        raise EquationError(("definition",), 0, "expected one")
    equations = _read_equations(definition)
    values = definition.get("initialize", {})
    drawn = usual_initializers(equations)
    if not isinstance(values, dict) or not values.keys() <= drawn.keys():
        raise EquationError(("initialize",), 0, "expected initializers by the names of parameters")
    drawn |= {name: _read_initializer(name, value) for name, value in values.items()}
    return EquationCell(name=name, equations=equations, initializers=tuple(drawn.items()), sizes=())


def named_sizes(equations: Equations) -> list[str]:
    """Return the names of sizes in the shapes of equations, beside ``units`` and ``features``."""
    shapes = (*equations.parameters, *equations.shapes)
    names = {name for _, shape in shapes for size in shape for name in size_names(size)}
    return sorted(names - {*NAMED_SIZES})


def _read_equations(definition: Mapping[str, Any]) -> Equations:
    lines: dict[str, str]
    match definition:
        case {"states": [*states], "equations": dict(lines)} if all(
            isinstance(text, str) for text in (*states, *lines.values())
        ):
            pass
        case _:
            raise EquationError(("equations",), 0, "expected states and equations")
    sizes, parameters = definition.get("sizes", {}), definition.get("parameters", {})
    memory = definition.get("memory", [])
    if not isinstance(memory, list) or not all(isinstance(name, str) for name in memory):
        raise EquationError(("memory",), 0, "expected the names of what the cell attends to")
    if not isinstance(sizes, dict) or not isinstance(parameters, dict):
        raise EquationError(("sizes",), 0, "expected sizes and parameters by their names")
    rows = tuple(WrittenLine(name, text, ("equations", name)) for name, text in lines.items())
    notation = Notation(
        states=tuple(states),
        blocks=(Block(rows, ("equations",)),),
        memory={name: _read_size(name, sizes.get(name, name)) for name in memory},
        sizes={name: _read_size(name, size) for name, size in sizes.items() if name not in memory},
        parameters={name: _read_shape(name, shape) for name, shape in parameters.items()},
    )
    return read_cell(notation).equations


def _read_shape(name: str, shape: object) -> Shape:
    match shape:
        case "scalar":
            return ()
        case [_] | [_, _]:
            return tuple(_read_size(name, size) for size in shape)
        case _:
            raise EquationError(("parameters", name), 0, "expected a shape")


def _read_size(name: str, size: object) -> Size:
    """Return a size, whose names are those that it has."""
    if isinstance(size, str):
        with suppress(ValueError):
            return size_text(read_size(size, re.findall(r"[A-Za-z]\w*", size, re.ASCII)))
    raise EquationError(("sizes", name), 0, "expected a size")


def _read_initializer(name: str, value: object) -> Initializer:
    kinds: dict[str, type[Uniform | Normal]] = {"uniform": Uniform, "normal": Normal}
    match value:
        case str() if value in NAMED:
            return NAMED[value]
        case float():
            return Constant(value)
        case {**words} if len(words) == 1:
            ((kind, number),) = words.items()
            if kind in kinds and isinstance(number, float):
                return kinds[kind](number)
        case _:
            pass
    raise EquationError(("initialize", name), 0, "expected an initializer")
