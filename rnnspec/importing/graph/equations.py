"""Equations of what a graph computes of the outputs of layers: the layer ``formula``."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import numpy as np

from rnnspec.importing.graph.formulas import FeatureFunction
from rnnspec.importing.graph.layer_graph import RefusedError
from rnnspec.ir import nodes
from rnnspec.ir.equations import EquationError
from rnnspec.lowering.cells import read_formula
from rnnspec.spec import models
from rnnspec.words import CellActivation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rnnspec.backends.slots import Array

OF_TWO = {
    "Sub": "({} - {})",
    "Div": "({} / {})",
    "Min": "minimum({}, {})",
    "Max": "maximum({}, {})",
}
"""The equations of two layers, by ONNX's operator; a sum and a product are layers of their own."""
_OPERATORS = {
    **OF_TWO,
    "Add": "({} + {})",
    "Mul": "({} * {})",
    "Neg": "(-{})",
    "Abs": "abs({})",
    "Exp": "exp({})",
    "Log": "log({})",
    "Sqrt": "sqrt({})",
    "Reciprocal": "(1 / {})",
    "ReduceSum": "sum({})",
    "ReduceMean": "mean({})",
    "ReduceMax": "max({})",
    "ReduceL2": "norm({})",
}
_LONGEST = 2_000
"""The most characters of an equation."""


def make_formula(text: str, widths: Mapping[str, int]) -> nodes.Formula:
    """Return the formula of an equation, given the features of what it names.

    Raises:
        RefusedError: the language has no such equation.
    """
    declared = models.Formula.model_construct(
        of={name: name for name in widths}, equations={"y": text}
    )
    try:
        formula, _ = read_formula(declared, widths, {})
    except EquationError as error:
        raise RefusedError(f"rnnspec does not support the equation {text}: {error}") from None
    return formula


def write_equation(function: FeatureFunction, x: str) -> str | None:
    """Return a function of features as a text, given that of the features, None without one."""
    if len(x) > _LONGEST:
        return None
    match function.attributes.get("activation"):
        case str() as activation if activation in get_args(CellActivation):
            template: str | None = f"{activation}({{}})"
        case None | "exponential":
            template = _OPERATORS.get(function.op)
        case _:
            template = None
    if function.op == "Pow" and _number(function.parts[-1]) == 2:
        base = _write_part(function.parts[0], x)
        return base and f"({base} * {base})"
    values = [_write_part(part, x) for part in function.parts]
    if template is None or None in values or template.count("{}") != len(values):
        return None
    text = template.format(*values)
    return text if len(text) <= _LONGEST else None


def _number(part: FeatureFunction | Array | None) -> float | None:
    return float(part.flat[0]) if isinstance(part, np.ndarray) and part.size == 1 else None


def _write_part(part: FeatureFunction | Array | None, x: str) -> str | None:
    match part:
        case None:
            return x
        case FeatureFunction():
            return write_equation(part, x)
        case _:
            number = _number(part)
            return None if number is None else repr(number) if number >= 0 else f"({number!r})"
