"""A cell by equation as data, from which it is made again: strings, lists and dicts of them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from rnnspec.ir.equations import EquationError
from rnnspec.ir.initializers import (
    NAMED,
    Constant,
    GlorotUniform,
    Normal,
    Uniform,
    in_words,
)
from rnnspec.ir.nodes import EquationCell
from rnnspec.ir.notation import write_expression
from rnnspec.ir.parser import Block, Notation, Row, read_cell

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rnnspec.ir.equations import Equations, Shape
    from rnnspec.ir.initializers import Initializer


def define(cell: EquationCell, *, initialized: bool) -> dict[str, Any]:
    """Return the definition of a cell, with the initializers of its parameters or without."""
    equations = cell.equations
    definition: dict[str, Any] = {
        "name": cell.name,
        "states": list(equations.states),
        "equations": {line.name: write_expression(line.value) for line in equations.lines},
    }
    usual: dict[str, Shape] = dict.fromkeys(equations.states, ("units",))
    # Where a shape that is not the usual one does not follow, all of them are there.
    for every in (False, True):
        shapes = {
            name: list(shape)
            for name, shape in (*equations.shapes, *equations.parameters)
            if every or len(shape) == 0 or (name in usual and shape != usual[name])
        }
        found = definition | ({"shapes": shapes} if shapes else {})
        try:
            if _read_equations(found) == equations:
                break
        except EquationError:
            pass
    values = {
        name: in_words(initializer)
        for name, initializer in cell.initializers
        if initialized and initializer != _default(dict(equations.parameters)[name])
    }
    return found | ({"initialize": values} if values else {})


def read_definition(definition: Any, sizes: Mapping[str, int]) -> EquationCell:
    """Return the cell with a definition, whatever that is; ``sizes`` are those that it names.

    Raises:
        EquationError: this is no definition of a cell.
    """
    match definition:
        case {"name": str(name), "states": [*_], "equations": dict()} if _NAME.fullmatch(name):
            equations = _read_equations(definition)
        case _:
            raise EquationError((), 0, "expected a name, states and equations")
    values = definition.get("initialize", {})
    parameters = dict(equations.parameters)
    if not isinstance(values, dict) or not values.keys() <= parameters.keys():
        raise EquationError(("initialize",), 0, "expected initializers by the names of parameters")
    return EquationCell(
        name=name,
        equations=equations,
        initializers=tuple(
            (name, _initializer(name, values[name]) if name in values else _default(shape))
            for name, shape in parameters.items()
        ),
        sizes=tuple(sizes.items()),
    )


def named_sizes(cell: EquationCell) -> tuple[str, ...]:
    """Return the names of sizes in a cell, beside ``units`` and ``features``."""
    equations = cell.equations
    shapes = (*equations.shapes, *equations.parameters)
    words = {word for _, shape in shapes for size in shape for word in size.split()}
    return tuple(sorted(word for word in words if _NAME.fullmatch(word) and word not in _SIZES))


_SIZES = ("units", "features")
_NAME = re.compile("[a-z][a-z0-9_]{0,63}")


def _read_equations(definition: Mapping[str, Any]) -> Equations:
    texts, shapes = definition["equations"], definition.get("shapes", {})
    sized = shapes.values() if isinstance(shapes, dict) else [None]
    lists = [definition["states"], *sized]
    strings = [
        *texts.values(),
        *(text for values in lists if isinstance(values, list) for text in values),
    ]
    if not all(isinstance(values, list) for values in lists) or not all(
        isinstance(text, str) for text in strings
    ):
        raise EquationError((), 0, "expected strings, received others")
    states = tuple(definition["states"])
    rows = tuple(Row(name, text, ("equations", name)) for name, text in texts.items())
    of_lines = {*states, *texts}
    notation = Notation(
        states=states,
        blocks=(Block(rows, ("equations",)),),
        sizes={name: shape[0] for name, shape in shapes.items() if name in of_lines and shape},
        parameters={name: tuple(shape) for name, shape in shapes.items() if name not in of_lines},
    )
    return read_cell(notation)[0]


def _default(shape: Shape) -> Initializer:
    return GlorotUniform() if len(shape) == 2 else Constant(0.0)


def _initializer(name: str, words: object) -> Initializer:
    kinds: dict[str, type[Uniform | Normal | Constant]] = {
        "uniform": Uniform,
        "normal": Normal,
        "constant": Constant,
    }
    match words:
        case str() if words in NAMED:
            return NAMED[words]
        case {**one} if len(one) == 1:
            ((kind, value),) = one.items()
            if kind in kinds and isinstance(value, float):
                return kinds[kind](value)
        case _:
            pass
    raise EquationError(("initialize", name), 0, "expected an initializer, received another value")
