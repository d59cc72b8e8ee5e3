"""Cells by equation: from the section ``cells`` of a spec to the cell of a layer."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from graphlib import CycleError, TopologicalSorter
from math import inf
from typing import TYPE_CHECKING, Any, Literal

from rnnspec.ir import initializers, nodes
from rnnspec.ir.cells import recognize
from rnnspec.ir.equations import (
    INPUT,
    ApplyToVector,
    Choose,
    Concat,
    EquationError,
    EquationErrors,
    Features,
    Line,
    Name,
    Number,
    Part,
    Product,
    Transpose,
    evaluate,
    evaluate_size,
    rewrite,
    walk,
)
from rnnspec.ir.notation import RESERVED, Block, Notation, WrittenLine
from rnnspec.ir.params import MAX_AXIS
from rnnspec.ir.parser import MAX_NUMBER, read_cell
from rnnspec.ir.shapes import NAMED_SIZES, add_terms, read_size, size_names, size_text
from rnnspec.spec import models
from rnnspec.spec.zoo import zoo_cell

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from rnnspec.ir.cells import Recognition
    from rnnspec.ir.equations import Equations, Expression, Path, Shape
    from rnnspec.ir.notation import Reading
    from rnnspec.ir.shapes import Terms

Initial = tuple[tuple[str, initializers.Initializer], ...]
"""The initializer of each parameter."""
Role = Literal["kernel", "recurrent", "bias"]
"""The key of ``initializers`` that a parameter begins with by default."""


def declared_cell(cell: models.Cell | models.ZooCell) -> models.Cell:
    """Return a cell of a spec with its equations, which it may have from the zoo."""
    return zoo_cell(cell.zoo) if isinstance(cell, models.ZooCell) else cell


def read(
    cell: models.Cell, settings: Mapping[str, float], widths: Mapping[str, int] | None = None
) -> Reading:
    """Return the equations of a cell with the values of its settings.

    ``widths`` are the features of its ``inputs``, if it has several and they are known.

    Raises:
        EquationError: a text of the cell is wrong, or does not fit the others.
    """
    blocks = tuple(_blocks(cell))
    lines = {row.name for block in blocks for row in block.rows}
    errors = EquationErrors()
    for index, name in enumerate(cell.inputs):
        if name in cell.inputs[:index]:
            errors.add(EquationError(("inputs", name), 0, f"the input {name} is there twice"))
    sizes = _Sizes(cell, settings, widths, errors)
    parameters: dict[str, Shape] = {}
    for name, shape in cell.parameters.items():
        path: Path = ("parameters", name)
        texts = () if shape == "scalar" else shape
        parameters[name] = ()
        with errors.collected():
            parameters[name] = tuple(
                size_text(sizes.read(text, (*path, at))) for at, text in enumerate(texts)
            )
    resolved = {name: size_text(sizes.known[name]) for name in cell.sizes}
    names = {"output", *cell.states, *lines}
    return read_cell(
        Notation(
            states=cell.states,
            blocks=blocks,
            inputs={
                # In a formula, one feature is a scalar.
                name: () if cell.states == () and size == "1" else (size,)
                for name in cell.inputs
                for size in (size_text(sizes.known[name]),)
            }
            or {INPUT: (NAMED_SIZES[1],)},
            memory={name: size_text(sizes.known[name]) for name in cell.memory},
            output=None if cell.output is None else _row("output", cell.output, ("output",)),
            settings=settings,
            # A name that only other sizes have says nothing about a line.
            sizes={
                name: size
                for name, size in resolved.items()
                if name not in (*cell.inputs, *cell.memory)
                and (name in names or name not in sizes.used)
            },
            parameters=parameters,
            initialized=tuple(cell.initialize),
            sized=frozenset(sizes.used),
        ),
        errors,
    )


def read_formula(
    layer: models.Formula,
    widths: Mapping[str, int],
    defaults: Mapping[Role, initializers.Initializer],
) -> tuple[nodes.Formula, Initial]:
    """Return a formula, given the features of its inputs, and how each of its arrays begins.

    Raises:
        EquationError: a text is wrong, or does not fit the others.
    """
    keys = ("equations", "settings", "sizes", "parameters", "initialize")
    cell = models.Cell.model_construct(
        states=(), inputs=tuple(widths), **{key: getattr(layer, key) for key in keys}
    )
    reading = read(cell, layer.settings, widths)
    begins = initial_values(cell, reading, defaults)
    sizes = dict(cell_sizes(reading.equations, layer.settings))
    equations = _with_units(reading.equations, sizes, layer.units)
    _check_parameters(equations)
    equations = _fold(equations)
    inputs = {name: (str(width),) if width > 1 else () for name, width in widths.items()}
    equations = replace(
        equations,
        states=(equations.lines[-1].name,),
        parameters=(*inputs.items(), *equations.parameters),
    )
    for line, message in misplaced_features(equations, {}):
        raise EquationError(("equations", line.name), 0, message)
    return nodes.Formula(names=tuple(widths), equations=equations), begins


def _with_units(equations: Equations, sizes: Mapping[str, int], units: int | None) -> Equations:
    """Return equations with a number for each size.

    Raises:
        EquationError: there are units and no size has any, or the other way round.
    """
    shapes = (*equations.parameters, *equations.shapes)
    has_units = (name for name, shape in shapes for s in shape if NAMED_SIZES[0] in size_names(s))
    name = next(has_units, None)
    if name and units is None:
        message = f"missing key 'units', on which the size of {name} depends"
        raise EquationError(("units",), 0, message)
    end = dict(equations.shapes)[equations.lines[-1].name] or ("1",)
    if name is None and units is not None and units != evaluate_size(end[0], sizes):
        own = evaluate_size(end[0], sizes)
        message = (
            f"no size depends on 'units': expected that of the output, {own}, received {units}"
        )
        raise EquationError(("units",), 0, message)
    known = {**sizes, NAMED_SIZES[0]: units or 1}

    def settle(of: Iterable[tuple[str, Shape]]) -> Iterator[tuple[str, Shape]]:
        for name, shape in of:
            yield name, tuple(str(evaluate_size(size, known)) for size in shape)

    arrays, lines = settle(equations.parameters), settle(equations.shapes)
    return replace(equations, parameters=tuple(arrays), shapes=tuple(lines))


def _check_parameters(equations: Equations) -> None:
    """Check that a formula computes nothing of parameters alone but element by element.

    Raises:
        EquationError: it does.
    """
    alone = {name for name, _ in equations.parameters}
    for line in equations.lines:
        for part in walk(line.value):
            of: tuple[Expression, ...] = ()
            match part:
                case Product(matrix=matrix) if not isinstance(matrix, Name | Transpose):
                    message = "expected the name of one parameter before @ in a formula"
                    raise EquationError(("equations", line.name), part.column, message)
                case Product(vector=vector):
                    of = (vector,)
                case ApplyToVector(operand=operand) | Part(operand=operand):
                    of = (operand,)
                case Features(operand=operand):
                    of = (operand,)
                case Concat(parts=parts):
                    of = parts
                case _:
                    pass
            if any(_names(walk(vector)) <= alone for vector in of):
                message = "expected an input in this vector, received parameters alone"
                raise EquationError(("equations", line.name), part.column, message)
        if _names(walk(line.value)) <= alone:
            alone.add(line.name)


def misplaced_features(
    equations: Equations, sizes: Mapping[str, int]
) -> Iterator[tuple[Line, str]]:
    """Yield each line that takes features which a vector does not have, with a message."""
    shapes = {INPUT: ("features",), **dict(equations.parameters), **dict(equations.shapes)}
    for line in equations.lines:
        for part in walk(line.value):
            if not isinstance(part, Features):
                continue
            # Imported here because few cells take features, and 'validate' is to start quickly.
            from rnnspec.ir.schedule import shape_of

            size = evaluate_size(shape_of(part.operand, shapes)[0], sizes)
            if part.size_of(str(size)) is None:
                yield line, f"expected a vector that has [{part.text}], received one of {size}"


def _fold(equations: Equations) -> Equations:
    """Return the equations of a formula without what is computed of numbers alone.

    Raises:
        EquationError: that is no number that a float32 can hold, or one of an activation.
    """
    known: dict[str, Number] = {}

    def value_of(name: Expression) -> Expression | None:
        return known.get(name.name) if isinstance(name, Name) else None

    lines = list[Line]()
    for line in equations.lines:
        folded = partial(_folded, path=("equations", line.name))
        value = rewrite(rewrite(line.value, value_of), folded)
        if isinstance(value, Number):
            known[line.name] = value
        else:
            lines.append(replace(line, value=value))
    shapes = tuple((name, shape) for name, shape in equations.shapes if name not in known)
    return replace(equations, lines=tuple(lines), shapes=shapes)


def _folded(expression: Expression, path: Path) -> Expression | None:
    """Return the number that an expression without names is, None if it has some."""

    def is_number(*parts: Expression) -> bool:
        return not any(isinstance(name, Name) for part in parts for name in walk(part))

    if isinstance(expression, Choose) and is_number(expression.left, expression.right):
        message = "expected a comparison with an input, and this one is of numbers alone"
        raise EquationError(path, expression.column, message)
    if not is_number(expression):
        return None
    try:
        value = evaluate(expression)
    except LookupError:
        message = "expected an input in the activation: write its value as a number"
        raise EquationError(path, expression.column, message) from None
    except (ValueError, OverflowError, ZeroDivisionError):
        value = inf
    if not abs(value) <= MAX_NUMBER:
        message = "expected a number that a float32 can hold"
        raise EquationError(path, expression.column, message)
    return Number(value, expression.column)


def _row(name: str, text: str, path: Path) -> WrittenLine:
    return WrittenLine(name, text.strip(), path, 1 + len(text) - len(text.lstrip()))


def _blocks(cell: models.Cell) -> Iterator[Block]:
    declared = cell.equations
    for index, item in enumerate(declared if isinstance(declared, tuple) else (declared,)):
        path: Path = ("equations", index) if isinstance(declared, tuple) else ("equations",)
        if isinstance(item, models.EquationBlock):
            of_lines = (*path, "equations")
            rows = tuple(
                _row(name, text, (*of_lines, name)) for name, text in item.equations.items()
            )
            yield Block(rows, path, item.repeat, item.own)
        else:
            yield Block(tuple(_row(name, text, (*path, name)) for name, text in item.items()), path)


class _Sizes:
    """The sizes that a cell declares, in terms of ``units``, ``features`` and settings.

    ``used`` are the other names that they have, and ``known`` the sizes of the section; one with an
    error is ``units``, so that the error is told once.
    """

    def __init__(
        self,
        cell: models.Cell,
        settings: Mapping[str, float],
        widths: Mapping[str, int] | None,
        errors: EquationErrors,
    ) -> None:
        self.settings, self.errors = settings, errors
        own = cell.inputs or NAMED_SIZES[1:]
        self.names = (NAMED_SIZES[0], *own, *settings, *cell.memory, *cell.sizes)
        self.used = set[str]()
        self.known: dict[str, Terms] = {
            name: {"": widths[name]} if widths else {name: 1}
            for name in cell.inputs
            if name not in cell.sizes
        }
        self.known |= {name: {name: 1} for name in cell.memory if name not in cell.sizes}
        declared: dict[str, Terms] = {}
        for name, text in cell.sizes.items():
            if name in cell.inputs and text not in cell.inputs:
                message = f"expected the name of another input, received {text!r}"
                errors.add(EquationError(("sizes", name), 0, message))
            elif name not in cell.inputs and (name in RESERVED or name in settings):
                what = "a setting" if name in settings else "a name of the language"
                message = f"expected another name: {name} is {what}"
                errors.add(EquationError(("sizes", name), 0, message, key=True))
            declared[name] = {NAMED_SIZES[0]: 1}
            with errors.collected():
                declared[name] = self._terms(text, ("sizes", name))
        for name in self._in_order(declared):
            with errors.collected():
                self.known[name] = self._resolve(declared[name], ("sizes", name))
            self.known.setdefault(name, {NAMED_SIZES[0]: 1})
        for name in widths or ():
            size = size_text(self.known[name])
            if size.isdigit() and widths and int(size) != widths[name]:
                message = f"expected {size} features of {name}, as {cell.sizes[name]} has"
                message = f"{message}; received {widths[name]}"
                errors.add(EquationError(("inputs", name), 0, message))

    def read(self, text: str, path: Path) -> Terms:
        """Return a size with the values of the names in it."""
        return self._resolve(self._terms(text, path), path)

    def _terms(self, text: str, path: Path) -> Terms:
        try:
            terms = read_size(text, self.names)
        except ValueError as error:
            raise EquationError(path, 0, f"{error}, received {text!r}") from None
        self.used |= terms.keys() - {"", *NAMED_SIZES}
        for name in terms.keys() & self.settings.keys():
            value = self.settings[name]
            if not isinstance(value, int) or not 1 <= value <= MAX_AXIS:
                message = f"{name} is a size: expected an integer of at least 1, received {value}"
                raise EquationError(("settings", name), 0, message)
        return terms

    def _resolve(self, terms: Terms, path: Path) -> Terms:
        parts: list[Terms] = []
        for name, times in terms.items():
            known = self.known.get(name, {name: 1})
            parts.append({term: times * factor for term, factor in known.items()})
        total = add_terms(parts)
        if max(total.values()) > MAX_AXIS:
            message = f"expected a size of at most {MAX_AXIS:,}, received {size_text(total)}"
            raise EquationError(path, 0, message)
        return total

    def _in_order(self, declared: dict[str, Terms]) -> tuple[str, ...]:
        """Return the names of the section, each behind those that its size has."""
        while True:
            graph = {name: terms.keys() & declared.keys() for name, terms in declared.items()}
            try:
                return tuple(TopologicalSorter(graph).static_order())
            except CycleError as error:
                # Each one is needed by the next, and the first is there twice.
                circle = error.args[1][:0:-1]
                first = next(name for name in declared if name in circle)
                start = circle.index(first)
                names = [*circle[start:], *circle[:start], first]
                message = f"the sizes are in a circle: {' -> '.join(names)}"
                self.errors.add(EquationError(("sizes", first), 0, message))
                declared |= {name: {NAMED_SIZES[0]: 1} for name in circle}


def cell_sizes(equations: Equations, settings: Mapping[str, float]) -> tuple[tuple[str, int], ...]:
    """Return the settings that are sizes in the shapes of equations, with their values."""
    shapes = (*equations.parameters, *equations.shapes)
    names = {name for _, shape in shapes for size in shape for name in size_names(size)}
    return tuple((name, int(settings[name])) for name in sorted(names & settings.keys()))


def roles(equations: Equations) -> Mapping[str, Role]:
    """Return the role of each parameter.

    A matrix that multiplies something with a state in it is ``recurrent``, any other matrix a
    ``kernel``, and the rest is a ``bias``.
    """
    by_name: dict[str, Role] = {name: "bias" for name, _ in equations.parameters}
    matrices = {name for name, shape in equations.parameters if len(shape) == 2}
    moving = set[str]()

    def moves(expression: Expression) -> bool:
        parts = (part for part in walk(expression) if isinstance(part, Name))
        return any(part.kind == "state" or part.name in moving for part in parts)

    for line in equations.lines:
        for part in walk(line.value):
            if isinstance(part, Product):
                role: Role = "recurrent" if moves(part.vector) else "kernel"
                for name in matrices & _names(walk(part.matrix)):
                    by_name[name] = "recurrent" if by_name[name] == "recurrent" else role
        if moves(line.value):
            moving.add(line.name)
    return by_name


def _names(parts: Iterable[Expression]) -> set[str]:
    return {part.name for part in parts if isinstance(part, Name)}


def default_initializers(spec: models.Spec) -> Mapping[Role, initializers.Initializer]:
    """Return the initializer of each role in a spec."""
    drawn = spec.initializers
    return {
        "kernel": read_initializer(drawn.kernel),
        "recurrent": read_initializer(drawn.recurrent),
        "bias": read_initializer(drawn.bias),
    }


def initial_values(
    cell: models.Cell, reading: Reading, defaults: Mapping[Role, initializers.Initializer]
) -> Initial:
    """Return the initializer of each parameter.

    Raises:
        EquationError: that of a scalar or a vector is one of a matrix.
    """
    values = []
    role_of = roles(reading.equations)
    for name, shape in reading.equations.parameters:
        written = reading.written[name]
        declared = cell.initialize.get(written)
        if declared is None:
            norm = reading.norms.get(written)
            value = defaults[role_of[name]] if norm is None else initializers.Constant(norm)
        else:
            value = read_initializer(declared)
            if len(shape) < 2 and declared in _OF_MATRICES:
                what = "vector" if shape else "scalar"
                message = f"expected the initial values of a {what}, received {declared!r}"
                raise EquationError(("initialize", written), 0, message)
        values.append((name, value))
    return tuple(values)


_OF_MATRICES = ("glorot_uniform", "he_uniform", "lecun_uniform", "orthogonal")


def read_initializer(
    declared: str | float | models.Uniform | models.Normal | models.Constant,
) -> initializers.Initializer:
    """Return an initializer of a spec."""
    match declared:
        case str():
            return initializers.NAMED[declared]
        case models.Uniform():
            return initializers.Uniform(float(declared.uniform))
        case models.Normal():
            return initializers.Normal(float(declared.normal))
        case models.Constant():
            return initializers.Constant(float(declared.constant))
        case _:
            return initializers.Constant(float(declared))


def equation_cell(  # noqa: PLR0913, PLR0917 - a cell, and what a layer says of it
    name: str,
    cell: models.Cell,
    settings: Mapping[str, float],
    defaults: Mapping[Role, initializers.Initializer],
    widths: Mapping[str, int] | None = None,
    memory: Mapping[str, int] | None = None,
) -> nodes.EquationCell:
    """Return a cell of a spec with the settings of a layer.

    Of several inputs, it has the features one after the other, if their ``widths`` are known.
    ``memory`` has the number of features of what it attends to.

    Raises:
        EquationError: as ``read`` and ``initial_values``.
    """
    reading = read(cell, settings, widths)
    equations = reading.equations
    return nodes.EquationCell(
        name=name,
        equations=_take_apart(equations, widths) if widths else equations,
        initializers=initial_values(cell, reading, defaults),
        sizes=cell_sizes(
            equations, {**settings, **dict.fromkeys(cell.memory, 1), **(memory or {})}
        ),
    )


def take_once(
    cell: nodes.EquationCell, features: int, repeated: Sequence[range]
) -> nodes.EquationCell:
    """Return a cell that takes what is the same at each step of its input once.

    ``repeated`` are the places of such features among all.
    """

    def change(part: Expression) -> Expression | None:
        match part:
            case Features(operand=Name(name=name, kind="input")) if name == INPUT:
                places = part.range_of(features)
                is_once = any(set(places) <= set(same) for same in repeated)
                return replace(part, once=is_once and len(places) > 0)
            case _:
                return None

    equations = cell.equations
    lines = (replace(line, value=rewrite(line.value, change)) for line in equations.lines)
    return replace(cell, equations=replace(equations, lines=tuple(lines)))


def _take_apart(equations: Equations, widths: Mapping[str, int]) -> Equations:
    """Return equations whose inputs are side by side in one, of which the first lines take each."""
    taken = {*dict(equations.shapes), *dict(equations.parameters), *widths}
    lines, names, start = list[Line](), dict[str, Name](), 0
    for name, width in widths.items():
        own = name
        while own == INPUT or (own != name and own in taken):
            own = f"{own}_own"
        names[name] = Name(own, "line")
        lines.append(Line(own, Features(Name(INPUT, "input"), (start, start + width))))
        start += width

    def own_line(part: Expression) -> Expression | None:
        is_input = isinstance(part, Name) and part.kind == "input"
        return names[part.name] if isinstance(part, Name) and is_input else None

    rewritten = (replace(line, value=rewrite(line.value, own_line)) for line in equations.lines)
    shapes = zip(
        (line.name for line in lines), ((str(width),) for width in widths.values()), strict=True
    )
    return replace(equations, lines=(*lines, *rewritten), shapes=(*shapes, *equations.shapes))


def standard_cell(
    cell: nodes.EquationCell, defaults: Mapping[Role, initializers.Initializer]
) -> Recognition | str | None:
    """Return the standard cell that a cell by equations is, or None.

    If its equations are those of one, but its arrays do not begin as those of a layer of the
    language, return why.
    """
    known = recognize(cell.equations)
    if known is None:
        return None
    if known.swapped:
        return "z and 1 - z have changed places, so that its arrays for z have the other sign"
    roles_of_arrays: Mapping[str, Role] = {"kernel": "kernel", "recurrent_kernel": "recurrent"}
    of_forget = None
    for name, value in cell.initializers:
        array, gate = known.places[name]
        role = roles_of_arrays.get(array, "bias")
        if isinstance(known.cell, nodes.LSTM) and (array, gate) == ("bias", "f"):
            if not isinstance(value, initializers.Constant):
                return f"{name}, the bias of its forget gate, does not begin as a number"
            of_forget = value.value
        elif repr(value) != repr(defaults[role]):
            return f"{name} does not begin as 'initializers.{role}'"
    if of_forget is not None and isinstance(known.cell, nodes.LSTM):
        return replace(known, cell=replace(known.cell, forget_bias=of_forget))
    return known


def write_cell(
    cell: nodes.EquationCell, defaults: Mapping[Role, initializers.Initializer]
) -> dict[str, Any]:
    """Return a cell as plain data of a spec; its sizes are the defaults of its settings."""
    from rnnspec.ir.definition import define

    role_of = roles(cell.equations)
    definition = define(cell, {name: defaults[role] for name, role in role_of.items()})
    # The features of a memory are those of the layer that it is.
    sizes = {name: n for name, n in cell.sizes if name not in definition.get("memory", ())}
    settings = {"settings": sizes} if sizes else {}
    # In the order in which a person would write them.
    sections = ("states", "memory", "equations")
    first = {section: definition.pop(section) for section in sections if section in definition}
    return first | settings | definition
