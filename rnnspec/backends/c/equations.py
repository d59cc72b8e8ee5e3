"""Cells by equations in C: products of one row each, and loops over the elements between them."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, assert_never, get_args

from rnnspec.backends.c.arrays import join_parameters, place_sums
from rnnspec.backends.c.cells import Elements, Lines, Vector, times
from rnnspec.backends.c.names import Activation, activation, loop, number, own_name
from rnnspec.ir.equations import (
    INPUT,
    Apply,
    ApplyToVector,
    Choose,
    Concat,
    Elementwise,
    Expression,
    Line,
    Name,
    Number,
    Part,
    Product,
    Transpose,
    divide_size,
    evaluate_size,
    operands,
    rewrite,
    walk,
)
from rnnspec.ir.schedule import JoinedProduct, JoinedSum, schedule
from rnnspec.source.code import Code
from rnnspec.words import CellActivation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rnnspec.backends.c.arrays import Stored
    from rnnspec.backends.c.cells import Run
    from rnnspec.ir.equations import Shape, Size
    from rnnspec.ir.nodes import EquationCell, Recurrent
    from rnnspec.ir.schedule import Statement

_FUNCTIONS = {name: activation(name) for name in get_args(CellActivation)}
_FUNCTIONS |= {"exp": Activation("exponential")}
"""The functions that are there for many numbers too."""
_OF_LIBRARY = {"log": "logf", "sqrt": "sqrtf", "abs": "fabsf"}
_OF_ATTENTION = frozenset(
    {"memory", "attention_kernel", "attention_kernel_scale", "score", "scale", "contexts"}
    | {"context", "input", "x_size", "query", "queries", "hidden"}
)
"""The parameters and variables of a layer with attention."""


@dataclass(frozen=True, slots=True)
class EquationText:
    """The text of a layer whose cell is given by equations.

    ``own`` are the parameters that only this function has, with their types. ``constants`` are the
    lines before the first step, ``lines`` those of each. The first of the ``states`` is the output,
    which has ``size`` numbers. ``features`` is the size of the input. ``ends`` are the lines after
    the last step.
    """

    title: str
    own: tuple[tuple[str, str], ...]
    declarations: tuple[str, ...]
    constants: tuple[str, ...]
    lines: tuple[str, ...]
    states: tuple[str, ...]
    size: str
    features: str
    ends: tuple[str, ...] = ()
    end: str = ""
    """Where the memory begins that the cell does not need."""


@dataclass(slots=True)
class _Elements(Elements):
    """Expressions of elements, in which some names are scalars.

    ``old`` are the states before the step. In a matrix, an element is in row ``r`` and column
    ``k``.
    """

    scalars: dict[str, str] = field(default_factory=dict)
    old: dict[str, Vector] = field(default_factory=dict)
    matrices: dict[str, tuple[str, str, str]] = field(default_factory=dict)

    def find(self, name: Name) -> Vector:
        return (self.old if name.kind == "state" else self.vectors)[name.name]

    def vectors_in(self, expression: Expression) -> set[Vector]:
        names = (part for part in walk(expression) if isinstance(part, Name))
        return {self.find(name) for name in names if name.name not in self.scalars}

    def write(self, expression: Expression, binding: int = 0) -> Code:
        text = super(_Elements, self).write(expression, binding)
        # What follows a minus must not begin with one.
        return Code(f"({text})") if binding > 2 and text.startswith("-") else text

    def write_name(self, name: Name, binding: int) -> Code:
        if name.name in self.scalars:
            return Code(self.scalars[name.name])
        if name.name in self.matrices:
            pointer, _, columns = self.matrices[name.name]
            return Code(f"{pointer}[r * {columns} + k]")
        return super(_Elements, self).write_name(name, binding)

    def activate(self, function: str, value: Code | str) -> Code:
        if function in _OF_LIBRARY:
            self.called.add("sqrtf")
            return Code(f"{_OF_LIBRARY[function]}({value})")
        self.called.add(function)
        return Code(f"{self.prefix}_{function}({value})")

    def call(
        self, expression: Elementwise | Transpose | Choose | ApplyToVector | Concat | Part
    ) -> Code:
        match expression:
            case Elementwise(operator=operator, left=left, right=right):
                self.called.add(operator)
                return Code(f"{self.prefix}_{operator}({self.write(left)}, {self.write(right)})")
            case Choose(comparison=comparison, left=left, right=right):
                condition = f"{self.write(left, 1)} {comparison} {self.write(right, 1)}"
                chosen, otherwise = self.write(expression.chosen), self.write(expression.otherwise)
                return Code(f"({condition} ? {chosen} : {otherwise})")
            case Transpose(matrix=matrix):
                pointer, _, columns = self.matrices[matrix.name]
                return Code(f"{pointer}[k * {columns} + r]")
            case ApplyToVector() | Concat() | Part():
                raise AssertionError(f"{expression!r} is a vector of its own")
            case _:
                assert_never(expression)


@dataclass(slots=True, kw_only=True)
class EquationLines(Lines):
    """The lines of a layer, its memory, and what it needs.

    ``arguments`` is what a call passes, ``floats`` the size of the memory that it works in.
    """

    writer: _Elements
    layer: Recurrent
    cell: EquationCell
    stored: Mapping[str, Stored]
    stepped: bool
    ends: Mapping[str, str]
    """The first and the last states, by their names and ``_first`` or ``_last``."""
    arguments: dict[str, str] = field(default_factory=dict)
    own: dict[str, str] = field(default_factory=dict)
    size_lines: list[str] = field(default_factory=list)
    memory_lines: list[str] = field(default_factory=list)
    constants: list[str] = field(default_factory=list)
    floats: int = 0
    kernels: set[str] = field(default_factory=set)
    widths: set[int] = field(default_factory=set)
    shapes: dict[str, Shape] = field(default_factory=dict)
    packed: set[str] = field(default_factory=set)
    """The matrices that are stored for products."""
    names: set[str] = field(default_factory=set)
    counts: dict[Size, str] = field(default_factory=dict)
    place: str = "work"
    """Where the next vector is in memory."""
    following: dict[Vector, Vector] = field(default_factory=dict)
    places: dict[tuple[str, int], tuple[str, int]] = field(default_factory=dict)
    """The sum of each part of a joined product, and its place."""
    labels: dict[str, str] = field(default_factory=dict)
    """The line that each sum is part of."""
    temporary: set[str] = field(default_factory=set)
    """Names of vectors that nothing else reads."""
    filled: set[str] = field(default_factory=set)
    """The sums that have the value of a product already."""

    @classmethod
    def of(  # noqa: PLR0913 - a layer, its arrays, and the kind of source
        cls,
        layer: Recurrent,
        cell: EquationCell,
        stored: Mapping[str, Stored],
        *,
        network: str,
        stepped: bool,
        ends: Mapping[str, str],
    ) -> EquationLines:
        """Return the writer of a layer, with the arrays of one direction."""
        functions = {name: "" if name == "linear" else name for name in (*_FUNCTIONS, *_OF_LIBRARY)}
        writer = _Elements(functions, prefix=network, activations=_FUNCTIONS)
        lines = cls(
            writer=writer,
            layer=layer,
            cell=cell,
            stored=stored,
            stepped=stepped,
            ends=ends,
        )
        lines.names |= {"work", "y", "steps", "width", "mask", "backward", "merge", "real"}
        lines.names |= {"units", "features"}
        lines.names |= _OF_ATTENTION if layer.attention else set()
        return lines

    def write_layer(self) -> EquationText:
        """Return the text of the function."""
        equations, plan = self.cell.equations, schedule(self.cell.equations, shares=False)
        self.shapes = {INPUT: ("features",), **dict(equations.parameters), **dict(equations.shapes)}
        self.shapes |= {name: (size,) for name, size in plan.sizes.items()}
        joined = {name: names for names in join_parameters(equations) for name in names}
        for name, shape in equations.parameters:
            names = joined.get(name, (name,))
            if name == names[0]:
                self._add_parameters(names, shape)
        states = [self._add_state(name) for name in equations.states]
        statements = (*plan.before, *plan.step)
        self.places = place_sums(plan)
        self.sums = {name for name, _ in self.places.values()}
        self._label_sums(statements)
        own = "x" if self.stepped else "x_t"
        own = "input" if self.layer.attention else own
        x = Vector(own, size=self._count("features"))
        self.writer.vectors[INPUT] = x
        # What is constant may need a matrix, whose lines are there before its own.
        self.lines = self.constants
        for line in plan.constants:
            self._add_line(line)
            self.finish()
        self.lines = []
        for statement in statements:
            match statement:
                case JoinedProduct():
                    self._add_product(statement)
                case JoinedSum():
                    # Each product is added to those before it.
                    pass
                case Line():
                    self._add_line(statement)
                case _:
                    assert_never(statement)
        self.finish()
        self.kernels |= self.writer.called
        zeros, ends = list[str](), list[str]()
        for name, state in zip(equations.states, [] if self.stepped else states, strict=False):
            zeros.append(f"memset({state.text}, 0, {state.size} * sizeof(float));")
            if first := self._add_end(f"{name}_first", "const float *"):
                zeros.append(f"memcpy({state.text}, {first}, {state.size} * sizeof(float));")
            if last := self._add_end(f"{name}_last", "float *"):
                ends.append(f"memcpy({last}, {state.text}, {state.size} * sizeof(float));")
        text = (*self.memory_lines, *self.constants, *zeros, *self.lines, *ends)
        # The output and the input of a step have sizes too.
        if self.layer.attention or not self.stepped:
            text = (*text, states[0].size, x.size)
        sizes = self._use_sizes((*text, self.place) if self.layer.attention else text)
        return EquationText(
            title=f"the cell {self.cell.name}",
            own=tuple(self.own.items()),
            declarations=(*sizes, *self.memory_lines),
            constants=(*self.constants, *zeros),
            lines=tuple(self.lines),
            states=tuple(state.pointer for state in states),
            size=states[0].size,
            features=x.size,
            ends=tuple(ends),
            end=self.place,
        )

    def _use_sizes(self, lines: tuple[str, ...]) -> list[str]:
        """Return the declarations of the sizes in lines, and forget the other sizes."""
        used, declared = set(re.findall(r"\w+", "\n".join(lines))), list[str]()
        for line in reversed(self.size_lines):
            words = re.findall(r"\w+", line)
            if words[2] in used:
                declared.insert(0, line)
                used.update(words)
        for name in self.counts.values():
            if name not in used:
                self.arguments.pop(name, None)
                self.own.pop(name, None)
        return declared

    def _label_sums(self, statements: tuple[Statement, ...]) -> None:
        """Call the first sum of a line as the line, which replaces it there."""
        for statement in statements:
            if isinstance(statement, Line) and statement.name not in self.writer.old:
                parts = walk(statement.value)
                names = (part.name for part in parts if isinstance(part, Name))
                total = next((name for name in names if name in self.sums), statement.name)
                self.labels.setdefault(total, statement.name)

    def _name(self, name: str) -> str:
        """Return a name of C that is not taken."""
        name = own_name(name)
        numbered = (f"{name}_{number}" for number in itertools.count(2))
        free = next(text for text in itertools.chain([name], numbered) if text not in self.names)
        self.names.add(free)
        return free

    def _number(self, size: Size) -> int:
        values = {"units": self.layer.units, "features": self.layer.features}
        return evaluate_size(size, values | dict(self.cell.sizes))

    def _count(self, size: Size) -> str:
        """Return a size in C."""
        if size.isdigit():
            return size
        if size not in self.counts:
            if size in ("units", "features"):
                self.counts[size] = size
                self.arguments[size] = str(self._number(size))
            elif size.isidentifier():
                self.counts[size] = name = self._name(size)
                self.own[name] = "size_t "
                self.arguments[name] = str(self._number(size))
            else:
                parts = size.split(" ")
                value = " ".join(self._count(p) if p.isidentifier() else p for p in parts)
                self.counts[size] = name = self._name("size")
                self.size_lines.append(f"const size_t {name} = {value};")
        return self.counts[size]

    def _allocate(self, label: str, size: Size) -> Vector:
        """Return a new vector, and take memory for it."""
        name = self._name(label)
        vector = Vector(name, size=self._count(size))
        self.memory_lines.append(f"float *const {name} = {self.place};")
        self.place = f"{name} + {vector.size}"
        self.floats += self._number(size)
        return vector

    def _add_parameters(self, names: tuple[str, ...], shape: Shape) -> None:
        """Add a parameter, or several that are stored as one."""
        first = names[0]
        stored, pointer = self.stored[first], self._name(_label(names))
        self.own[pointer] = f"const {stored.number} *"
        self.arguments[pointer] = stored.symbol
        if stored.rounded:
            self.own[f"{pointer}_scale"] = "const float *"
            self.arguments[f"{pointer}_scale"] = stored.scale
            self.names.add(f"{pointer}_scale")
        match shape:
            case ():
                self.writer.scalars[first] = f"{pointer}[0]"
            case (size,):
                count = self._count(size)
                for place, name in enumerate(names):
                    self.writer.vectors[name] = Vector(pointer, place, count)
            case rows, columns:
                matrix = pointer, self._count(rows), self._count(columns)
                self.packed |= set(names) if stored.parts else set()
                self.writer.matrices |= dict.fromkeys(names, matrix)
            case _:
                raise AssertionError(shape)

    def _add_state(self, name: str) -> Vector:
        size = self.shapes[name][0]
        if self.stepped:
            pointer = self._name(name)
            vector = Vector(pointer, size=self._count(size))
            self.own[pointer] = "float *"
            self.arguments[pointer] = f"state->{self.layer.name}_{name}"
        else:
            vector = self._allocate(name, size)
        self.writer.old[name] = vector
        return vector

    def _add_end(self, end: str, type_: str) -> str:
        """Return the parameter with the first or the last value of a state, if there is one."""
        if end not in self.ends:
            return ""
        name = self._name(end)
        self.own[name], self.arguments[name] = type_, self.ends[end]
        return name

    def _add_product(self, product: JoinedProduct) -> None:
        vector = self._vector(self._value(product.vector), product.name)
        self.finish()
        self._allocate_sums(product)
        biases = product.biases or (None,) * len(product.matrices)
        numbers = range(len(product.matrices))
        for _, group in itertools.groupby(numbers, key=lambda n: self._weights_of(product, n)):
            own = list(group)
            names = [self.places[product.name, number][0] for number in own]
            totals = [self.writer.vectors[name] for name in names]
            start = self._start(names, [biases[number] for number in own])
            self._multiply([product.matrices[number] for number in own], vector, totals, start)
            self.filled.update(names)

    def _allocate_sums(self, product: JoinedProduct) -> None:
        """Take memory for the sums that no product was added to yet, side by side."""
        before: Vector | None = None
        for index, size in enumerate(product.sizes):
            name, _ = self.places[product.name, index]
            if name not in self.writer.vectors:
                vector = self._allocate(self.labels.get(name, name), size)
                if before and before.size == vector.size:
                    self.following[before] = vector
                self.writer.vectors[name] = before = vector

    def _weights_of(self, product: JoinedProduct, number: int) -> str | int:
        """Return the array that a matrix shares with others, or its number."""
        matrix = product.matrices[number]
        stored = self.stored.get(matrix.name) if isinstance(matrix, Name) else None
        return stored.symbol if stored and stored.beside else number

    def _start(self, names: list[str], biases: list[Expression | None]) -> str:
        """Return where the numbers are that a product is added to, empty if they are zeros."""
        first = self.writer.vectors[names[0]]
        if names[0] in self.filled:
            for name, bias in zip(names, biases, strict=True):
                if bias is not None:
                    value = Elementwise("+", Name(name, "line"), self._value(bias))
                    self.assign(self.writer.vectors[name], value)
            self.finish()
            return first.text
        if not any(biases):
            return ""
        vectors = [self.writer.vectors[b.name] for b in biases if isinstance(b, Name)]
        pointers = {vector.pointer for vector in vectors}
        if len(vectors) == len(names) and len(pointers) == 1:
            return vectors[0].text
        for name, bias in zip(names, biases, strict=True):
            self.assign(
                self.writer.vectors[name], Number(0.0) if bias is None else self._value(bias)
            )
        self.finish()
        return first.text

    def _multiply(
        self, matrices: list[Expression], vector: Vector, totals: list[Vector], start: str
    ) -> None:
        """Add the lines of products, which are added to ``start`` if it is not empty."""
        prefix = self.writer.prefix
        matrix, total = matrices[0], totals[0]
        if isinstance(matrix, Name) and matrix.name in self.packed:
            pointer, stored = self.writer.matrices[matrix.name][0], self.stored[matrix.name]
            product = "product_int8" if stored.rounded else "product"
            columns = times(len(stored.places), total.size)
            weights = f"{pointer}, {pointer}_scale" if stored.rounded else pointer
            if not start:
                start = total.text
                self.lines.append(f"memset({total.text}, 0, {columns} * sizeof(float));")
            self.kernels.add(product)
            self.widths.update(width for part in stored.parts for width in part.widths)
            self.lines.append(
                f"{prefix}_{product}({weights}, {start}, {vector.text}, {vector.size}, "
                f"{columns}, {total.text});"
            )
            return
        pointer = self._matrix(matrix)
        product = f"{prefix}_dot({pointer} + u * {vector.size}, {vector.text}, {vector.size})"
        self.kernels.add("dot")
        element = total.element()
        first = "" if start in ("", total.text) else f"{start}[u] + "
        sign = "+=" if start == total.text else "="
        self.lines += loop("u", total.size, [f"{element} {sign} {first}{product};"])

    def _matrix(self, matrix: Expression) -> str:
        """Return where a matrix is in memory, one row after the other."""
        if not isinstance(matrix, Name):
            text = f"matrix {self.writer.write(matrix)}"
            if text not in self.writer.matrices:
                self._fill_matrix(text, matrix, self._matrix_shape(matrix))
            return self.writer.matrices[text][0]
        return self.writer.matrices[matrix.name][0]

    def _fill_matrix(self, name: str, matrix: Expression, shape: tuple[Size, Size]) -> None:
        """Add the lines of a matrix that is computed from parameters."""
        rows, columns = map(self._count, shape)
        pointer = self._name(name.partition(" ")[0])
        self.memory_lines.append(f"float *const {pointer} = {self.place};")
        self.place = f"{pointer} + {rows} * {columns}"
        self.floats += self._number(shape[0]) * self._number(shape[1])
        element = f"{pointer}[r * {columns} + k] = {self.writer.write(matrix)};"
        self.constants += loop("r", rows, list(loop("k", columns, [element])))
        self.writer.matrices[name], self.shapes[name] = (pointer, rows, columns), shape

    def _matrix_shape(self, matrix: Expression) -> tuple[Size, Size]:
        for part in walk(matrix):
            match part:
                case Transpose(matrix=Name(name=name)):
                    rows, columns = self.shapes[name]
                    return columns, rows
                case Name(name=name) if len(self.shapes[name]) == 2:
                    rows, columns = self.shapes[name]
                    return rows, columns
                case _:
                    pass
        raise AssertionError(matrix)

    def _size(self, expression: Expression) -> Size:
        """Return the size of a vector, empty if it is a number."""
        match expression:
            case Number():
                return ""
            case Name(name=name):
                return self.shapes[name][0] if self.shapes[name] else ""
            case Product(matrix=matrix):
                return self._matrix_shape(matrix)[0]
            case Transpose():
                raise AssertionError(expression)
            case Concat(parts=parts):
                return " + ".join(map(self._size, parts))
            case Part(operand=operand, count=count):
                return divide_size(self._size(operand), count)
            case Apply() | ApplyToVector() | Elementwise() | Choose():
                return max(map(self._size, operands(expression)), key=len)
            case _:
                assert_never(expression)

    def _keep(self, label: str, size: Size, vector: Vector) -> Name:
        """Return a name for a vector that has none in the equations."""
        name = f"{label} {len(self.shapes)}"
        self.temporary |= {name} if label != "part" else set()
        self.shapes[name], self.writer.vectors[name] = (size,), vector
        return Name(name, "line")

    def _vector(self, value: Expression, label: str) -> Vector:
        """Return the vector of a value, in memory of its own unless it has a name."""
        if isinstance(value, Name):
            return self.writer.find(value)
        vector = self._allocate(label, self._size(value))
        self.assign(vector, value)
        return vector

    def _value(self, expression: Expression, label: str = "") -> Expression:
        """Return a value by elements, with names for the vectors that it is computed from.

        If the value is such a vector itself, it is called ``label``.
        """

        def change(part: Expression) -> Expression | None:
            match part:
                case Apply(function=function, operand=Name(name=name) as operand) if (
                    name in self.sums and function in _FUNCTIONS
                ):
                    self.assign(self.writer.find(operand), None, function)
                    return operand
                case Product(matrix=matrix, vector=vector):
                    factor = self._vector(self._value(vector), "factor")
                    total = self._allocate("product", self._size(part))
                    self.finish()
                    self._multiply([matrix], factor, [total], "")
                    return self._keep("product", self._size(part), total)
                case ApplyToVector():
                    return self._apply_to_vector(part, label if part is expression else "")
                case Concat(parts=parts):
                    return self._concatenate(parts, label if part is expression else "")
                case Part(operand=operand, index=index):
                    value, size = self._value(operand), self._size(part)
                    whole = self._vector(value, "whole")
                    self.finish()
                    offset = times(index, self._count(size)) if index else ""
                    offset = " + ".join(filter(None, (whole.offset, offset)))
                    part_of = Vector(whole.pointer, 0, self._count(size), offset)
                    return self._keep("part", size, part_of)
                case _:
                    return None

        return rewrite(expression, change)

    def _apply_to_vector(self, expression: ApplyToVector, label: str) -> Name:
        value, size = self._value(expression.operand), self._size(expression)
        if isinstance(value, Name) and value.name in self.sums:
            vector = self.writer.find(value)
        else:
            vector = self._allocate(label or expression.function, size)
            self.assign(vector, value)
        self.finish()
        function = expression.function
        self.kernels.add(function)
        more = f", {number(expression.epsilon)}" if function == "standardize" else ""
        call = f"{self.writer.prefix}_{function}"
        self.lines.append(f"{call}({vector.text}, {vector.size}{more});")
        return self._keep(function, size, vector)

    def _concatenate(self, parts: tuple[Expression, ...], label: str) -> Name:
        size = self._size(Concat(parts))
        values = [(self._value(part), self._count(self._size(part))) for part in parts]
        whole, offset = self._allocate(label or "joined", size), ""
        for value, count in values:
            self.assign(Vector(whole.pointer, 0, count, offset), value)
            offset = f"{offset} + {count}" if offset else count
        self.finish()
        return self._keep("joined", size, whole)

    def _add_line(self, line: Line) -> None:
        name, value, writer = line.name, line.value, self.writer
        size = self.shapes.setdefault(name, ())
        if len(size) == 2:
            self._fill_matrix(name, value, (size[0], size[1]))
            return
        if not size:
            self.finish()
            scalar = self._name(name)
            self.lines.append(f"const float {scalar} = {writer.write(value)};")
            writer.scalars[name] = scalar
            return
        function = ""
        if isinstance(value, Apply) and (value.function in _FUNCTIONS):
            function, value = value.function, value.operand
        value = self._value(value, "" if name in writer.old else name)
        totals = [
            part.name
            for part in walk(value)
            if isinstance(part, Name) and part.name in self.sums and self.shapes[part.name] == size
        ]
        if name in writer.old:
            if isinstance(value, Name) and totals and function:
                self.assign(writer.find(value), None, function)
                function = ""
            state = writer.old[name]
            self.assign(state, value, function)
            writer.vectors[name] = state
        elif totals:
            vector = writer.vectors[totals[0]]
            is_there = isinstance(value, Name)
            self.assign(vector, None if is_there else value, function)
            writer.vectors[name] = vector
        elif isinstance(value, Name) and value.name in self.temporary:
            writer.vectors[name] = vector = writer.find(value)
            self.assign(vector, None, function)
        else:
            writer.vectors[name] = vector = self._allocate(name, size[0])
            self.assign(vector, value, function)

    def is_next(self, run: Run, target: Vector) -> bool:
        """Return whether a vector is behind those of a run."""
        return self.following.get(run.targets[-1]) == target and run.bound == target.size


def _label(names: tuple[str, ...]) -> str:
    """Return what arrays that are one are called: as they all begin."""
    labels = {name.partition("_")[0] for name in names}
    return labels.pop() if len(names) > 1 == len(labels) else names[0]
