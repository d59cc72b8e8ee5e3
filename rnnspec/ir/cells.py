"""The cells of the language as equations.

Parameters are parts of the canonical arrays, named by the array and the gate: ``W_i`` is the part
of ``kernel`` for the gate ``i``, transposed as the equations want it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import count, product
from typing import TYPE_CHECKING, Any, assert_never, get_args

from rnnspec.ir.equations import (
    Apply,
    Elementwise,
    Equations,
    Expression,
    Line,
    Name,
    Number,
    interpolation,
    leave_out,
    rewrite,
    walk,
)
from rnnspec.ir.fields import Fields
from rnnspec.ir.nodes import (
    GRU,
    LSTM,
    Cell,
    EquationCell,
    Layer,
    Network,
    Recurrent,
    SimpleRNN,
    StandardCell,
)
from rnnspec.ir.normal_form import normal_form
from rnnspec.ir.parser import parse
from rnnspec.words import CellActivation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

FIELDS = Fields("Node.source Node.shares Recurrent.state_names")
"""The fields that a layer is written from if its cell is written from its equations."""
ARRAYS = {"W": "kernel", "U": "recurrent_kernel", "b": "bias", "d": "recurrent_bias"}
"""The canonical array of each parameter, by its letter."""

_SIMPLE = """
h: activation(W_h @ x + b_h + U_h @ h)
"""
# Source: Hochreiter and Schmidhuber, 1997; forget gate: Gers et al., 2000. The gates are in the
# order of Keras (keras/src/layers/rnn/lstm.py), like those of the GRU. PyTorch has i, f, g, o with
# g for c, and r, z, n.
_LSTM = """
i: recurrent_activation(W_i @ x + b_i + U_i @ h)
f: recurrent_activation(W_f @ x + b_f + U_f @ h)
g: activation(W_c @ x + b_c + U_c @ h)
o: recurrent_activation(W_o @ x + b_o + U_o @ h)
c: f * c + i * g
h: o * activation(c)
"""
# The reset gate multiplies the recurrent product and its bias, so the bias cannot be added to that
# of the input. In the other cells and gates, two biases would act as their sum; the gates z and r
# have two because cuDNN, Keras and PyTorch store them so.
_GRU = """
z: recurrent_activation((W_z @ x + b_z) + (U_z @ h + d_z))
r: recurrent_activation((W_r @ x + b_r) + (U_r @ h + d_r))
n: activation((W_n @ x + b_n) + r * (U_n @ h + d_n))
h: z * h + (1 - z) * n
"""
# Source: Cho et al., 2014.
_RESET_FIRST_GRU = """
z: recurrent_activation(W_z @ x + b_z + U_z @ h)
r: recurrent_activation(W_r @ x + b_r + U_r @ h)
n: activation(W_n @ x + b_n + U_n @ (r * h))
h: z * h + (1 - z) * n
"""


@lru_cache
def equations(cell: Cell, *, bias: bool = True) -> Equations:
    """Return the equations of a cell.

    The functions of a standard one are its settings, and it may have no bias.
    """
    if isinstance(cell, EquationCell):
        return cell.equations
    text, states = _state(cell)
    whole = parse(text, states, ("activation", "recurrent_activation"))
    if bias:
        return whole
    return leave_out(whole, {name for name, shape in whole.parameters if len(shape) == 1})


def states_of_equations(layer: Recurrent) -> dict[str, tuple[str, int]]:
    """Return the name and the size of each state of a layer by its name in the equations.

    A cell of the language may have other names for its states in a spec.
    """
    return dict(zip(equations(layer.cell).states, layer.states, strict=True))


def with_distinct_cells(
    network: Network, class_of: Callable[[Recurrent], str] | None = None
) -> Network:
    """Return a network in which two cells by equation have one name if they are one class.

    The cells of two layers may have a name and differ in what their settings made of them. Cells
    that differ in sizes only are one class, which takes these. With ``class_of``, the classes are
    those of this name, and have their sizes.
    """
    own = [
        (layer, layer.cell)
        for layer in network.layers
        if isinstance(layer, Recurrent) and isinstance(layer.cell, EquationCell)
    ]
    # A class has the name of its cell without underscores.
    taken = {cell.name.replace("_", "") for _, cell in own}
    names, firsts = dict[tuple[str, EquationCell], str](), set[str]()
    named = dict[str, Layer]()
    for layer, cell in own:
        class_ = cell.name if class_of is None else class_of(layer)
        key = class_, replace(cell, name="", sizes=() if class_of is None else cell.sizes)
        if key not in names:
            numbered = (f"{cell.name}_{number}" for number in count(2))
            free = (name for name in numbered if name.replace("_", "") not in taken)
            names[key] = cell.name if class_ not in firsts else next(free)
            firsts.add(class_)
            taken.add(names[key].replace("_", ""))
        named[layer.name] = replace(layer, cell=replace(cell, name=names[key]))
    return replace(network, layers=tuple(named.get(layer.name, layer) for layer in network.layers))


def applied_equations(layer: Recurrent) -> Equations:
    """Return the equations of a layer's cell with the functions that it applies."""
    cell = layer.cell
    if isinstance(cell, EquationCell):
        return cell.equations
    return _with_functions(equations(cell, bias=layer.bias), activations(cell))


def named_equations(layer: Recurrent) -> Equations:
    """Return the equations of a standard cell as a spec has them, with the names of its states."""
    named = {own: name for own, (name, _) in states_of_equations(layer).items()}
    whole = applied_equations(layer)
    # No line has the name of a state, unless it gives the state its new value.
    for line in whole.lines:
        while (
            line.name not in whole.states and named.get(line.name, line.name) in layer.state_names
        ):
            named[line.name] = f"{named.get(line.name, line.name)}_gate"

    def change(expression: Expression) -> Expression | None:
        match expression:
            case Name(name=name, kind="state" | "line"):
                return replace(expression, name=named.get(name, name))
            case _:
                return None

    return replace(
        whole,
        states=tuple(named[state] for state in whole.states),
        lines=tuple(
            Line(named.get(line.name, line.name), rewrite(line.value, change))
            for line in whole.lines
        ),
        shapes=tuple((named.get(name, name), shape) for name, shape in whole.shapes),
    )


@dataclass(frozen=True, slots=True)
class Recognition:
    """A standard cell that equations are those of, and the place of each of their parameters.

    A place is a canonical array and the gate whose part, transposed, is the parameter.
    ``state_names`` are those of the equations in the order of the cell's states, empty if they are
    the same. In a GRU that is ``swapped``, z and 1 - z have changed places: its arrays for z have
    the other sign.
    """

    cell: StandardCell
    bias: bool
    places: Mapping[str, tuple[str, str]]
    state_names: tuple[str, ...]
    swapped: bool = False


def recognize(equations_of_cell: Equations) -> Recognition | None:
    """Return the standard cell whose equations these are, in any order, names and grouping."""
    used = _count_functions(equations_of_cell)
    shapes = Counter(shape for _, shape in equations_of_cell.parameters)
    for cell, bias, swapped in product(_STANDARD, (True, False), (False, True)):
        if swapped and not isinstance(cell, GRU):
            continue
        template = equations(cell, bias=bias)
        template = _swap(template) if swapped else template
        if len(template.states) != len(equations_of_cell.states):
            continue
        if Counter(shape for _, shape in template.parameters) != shapes:
            continue
        for functions in _functions_like(_count_functions(template), used):
            other = _with_functions(template, functions)
            form, own = normal_form(other), normal_form(equations_of_cell)
            if form != own:
                continue
            named = dict(zip(own.names, form.names, strict=True))
            places = {name: place(named[name]) for name, _ in equations_of_cell.parameters}
            of = {named[name]: name for name in equations_of_cell.states}
            states = tuple(of[state] for state in template.states)
            names = states if states != template.states else ()
            values: dict[str, Any] = {key: functions[key] for key in activations(cell)}
            return Recognition(replace(cell, **values), bias, places, names, swapped)
    return None


_STANDARD: tuple[StandardCell, ...] = (
    SimpleRNN(activation="tanh"),
    LSTM(activation="tanh", recurrent_activation="sigmoid", forget_bias=1.0),
    *(
        GRU(activation="tanh", recurrent_activation="sigmoid", reset_after=after)
        for after in (True, False)
    ),
)


@lru_cache
def _swap(of: Equations) -> Equations:
    """Return the equations of a GRU in which z is the share of what is new."""
    *gates, last = of.lines
    parts = interpolation(last.value)
    assert parts is not None, "the last line of a GRU is z * h + (1 - z) * n"
    start, end, share = parts
    rest = Elementwise("-", Number(1.0), share)
    value = Elementwise("+", Elementwise("*", share, start), Elementwise("*", rest, end))
    return replace(of, lines=(*gates, Line(last.name, value)))


def _count_functions(of: Equations) -> Counter[str]:
    parts = (part for line in of.lines for part in walk(line.value))
    functions = (part.function for part in parts if isinstance(part, Apply))
    # What is linear may be left out.
    return Counter(function for function in functions if function != "linear")


def _functions_like(places: Counter[str], used: Counter[str]) -> Iterator[dict[str, str]]:
    """Yield each choice of activations by which a cell has as many functions as another."""
    choices = [name for name in (*used, "linear") if name in get_args(CellActivation)]
    for functions in product(choices, repeat=len(places)):
        counts = Counter[str]()
        for function, number in zip(functions, places.values(), strict=True):
            counts[function] += number if function != "linear" else 0
        if +counts == used:
            yield dict(zip(places, functions, strict=True))


def _with_functions(of: Equations, functions: Mapping[str, str]) -> Equations:
    def change(expression: Expression) -> Expression | None:
        match expression:
            case Apply(function=function, operand=operand):
                return Apply(functions[function], rewrite(operand, change))
            case _:
                return None

    lines = tuple(replace(line, value=rewrite(line.value, change)) for line in of.lines)
    return replace(of, lines=lines)


def _state(cell: StandardCell) -> tuple[str, tuple[str, ...]]:
    match cell:
        case SimpleRNN():
            return _SIMPLE, ("h",)
        case LSTM():
            return _LSTM, ("h", "c")
        case GRU(reset_after=True):
            return _GRU, ("h",)
        case GRU():
            return _RESET_FIRST_GRU, ("h",)
        case _:
            assert_never(cell)


def activations(cell: StandardCell) -> Mapping[str, CellActivation]:
    """Return the activation that each function of the equations is."""
    if isinstance(cell, SimpleRNN):
        return {"activation": cell.activation}
    return {
        "activation": cell.activation,
        "recurrent_activation": cell.recurrent_activation,
    }


def place(parameter: str) -> tuple[str, str]:
    """Return the canonical array that a parameter is in, and its gate."""
    letter, _, gate = parameter.partition("_")
    return ARRAYS[letter], gate


@lru_cache
def gates(cell: StandardCell) -> str:
    """Return the canonical order of a cell's gates, one letter per gate."""
    places = (place(name) for name, _ in equations(cell).parameters)
    return "".join(gate for array, gate in places if array == "kernel")


@lru_cache
def has_recurrent_bias(cell: StandardCell) -> bool:
    """Return true if the recurrent product has a bias of its own."""
    parameters = (name for name, _ in equations(cell).parameters)
    return any(place(name)[0] == "recurrent_bias" for name in parameters)
