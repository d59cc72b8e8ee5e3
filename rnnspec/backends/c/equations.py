"""Cells in C: products of one row each, and loops over the elements between them.

What the input is multiplied by is computed for several steps at once.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeGuard, assert_never

from rnnspec.backends.c.arrays import arrays_of_cell, gate_order, place_sums
from rnnspec.backends.c.cells import FUNCTIONS, OF_LIBRARY, Elements, StepLines, Vector, times
from rnnspec.backends.c.names import loop, number, own_name
from rnnspec.errors import listed
from rnnspec.ir.cells import applied_equations, states_of_equations
from rnnspec.ir.equations import (
    INPUT,
    NORM_EPSILON,
    REDUCTIONS,
    Apply,
    ApplyToVector,
    Attend,
    Choose,
    Concat,
    Elementwise,
    Expression,
    Features,
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
from rnnspec.ir.nodes import GRU, LSTM, EquationCell, SimpleRNN
from rnnspec.ir.schedule import JoinedProduct, JoinedSum, packed_arrays, schedule

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from rnnspec.backends.c.arrays import Stored
    from rnnspec.ir.equations import Equations, Shape, Size
    from rnnspec.ir.nodes import Cell, Recurrent
    from rnnspec.ir.schedule import Schedule, Statement

_BLOCK = 16
"""The number of steps for which a layer multiplies its inputs at once, as in its template."""
_OF_MEMORY = frozenset(
    ("memory", "attention_kernel", "attention_kernel_scale", "score", "scale", "query", "hidden")
)
"""The parameters and variables of a layer that attends."""
_OF_ATTENTION = frozenset(("contexts", "context", "input", "x_size", "queries"))
"""Those of a layer that does before its cell."""


@dataclass(frozen=True, slots=True)
class StateVectors:
    """A state, and the parameters with its first and its last value."""

    vector: Vector
    first: str
    last: str


@dataclass(frozen=True, slots=True)
class BlockRow:
    """Numbers of a step that are a row of a block, with how many there are in a row."""

    pointer: str
    block: str
    size: str


@dataclass(frozen=True, slots=True)
class CellText:
    """The text of a layer's cell.

    ``own`` are the parameters that only this function has, with their types. ``constants`` are the
    lines before the first step. If there are ``rows``, ``block`` has the lines before the steps of
    a block, and ``parts`` declares what is in a row. ``lines`` are those of each step. The first of
    the ``states`` is the output. ``features`` is the size of the input, which is ``read`` in a step
    unless only blocks do. The memory that the cell does not need begins at ``end``.
    """

    title: str
    own: tuple[tuple[str, str], ...]
    declarations: tuple[str, ...]
    constants: tuple[str, ...]
    block: tuple[str, ...]
    rows: tuple[BlockRow, ...]
    parts: tuple[str, ...]
    lines: tuple[str, ...]
    states: tuple[StateVectors, ...]
    features: str
    reads: bool
    end: str

    @property
    def ends(self) -> dict[str, str]:
        """The parameters with the first and the last states, which not all layers need."""
        types = {state.first: "const float *" for state in self.states}
        types |= {state.last: "float *" for state in self.states}
        return {name: type_ for name, type_ in types.items() if name}


@dataclass(frozen=True, slots=True)
class AttentionText:
    """How a recurrent layer attends: with a function, after a product if it projects its state."""

    function: str
    parameters: tuple[str, ...]
    product: str = ""

    def arguments(self, query: str, context: str = "context", hidden: str = "hidden") -> str:
        """Return what the function takes for a query, in a layer that attends at each step."""
        own = {"query": query, "y": context, "work": hidden}
        return ", ".join(own.get(name, name) for name in self.parameters)

    @property
    def additive(self) -> bool:
        """True if it needs memory for the sum of a query and a key."""
        return "work" in self.parameters


def name_cell(cell: Cell) -> str:
    """Return what the function of a cell is called."""
    match cell:
        case SimpleRNN():
            return "simple"
        case LSTM():
            return "lstm"
        case GRU(reset_after=reset_after):
            return "gru" if reset_after else "gru_reset_first"
        case EquationCell(name=name):
            return f"{name}_layer"
        case _:
            assert_never(cell)


def _title(cell: Cell) -> str:
    match cell:
        case SimpleRNN():
            return "a simple recurrent layer"
        case LSTM():
            return "an LSTM"
        case GRU(reset_after=reset_after):
            return f"a GRU that resets {'after' if reset_after else 'before'} the product"
        case EquationCell(name=name):
            return f"the cell {name}"
        case _:
            assert_never(cell)


@dataclass(slots=True, kw_only=True)
class CellLines(StepLines):
    """The lines of a layer, its memory, and what it needs.

    ``arguments`` is what a call passes, ``floats`` the size of the memory that it works in.
    """

    layer: Recurrent
    equations: Equations
    plan: Schedule
    arrays: Mapping[tuple[str, ...], Stored]
    """Those of one direction, by the parameters in each."""
    stepped: bool
    ends: Mapping[str, str]
    """The first and the last states, by their names and ``_first`` or ``_last``."""
    arguments: dict[str, str] = field(default_factory=dict)
    own: dict[str, str] = field(default_factory=dict)
    size_lines: list[str] = field(default_factory=list)
    memory_lines: list[str] = field(default_factory=list)
    constants: list[str] = field(default_factory=list)
    rows: list[BlockRow] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)
    floats: int = 0
    kernels: set[str] = field(default_factory=set)
    widths: set[int] = field(default_factory=set)
    sums: set[str] = field(default_factory=set)
    """The names of sums of products."""
    shapes: dict[str, Shape] = field(default_factory=dict)
    packed: dict[str, tuple[Stored, int]] = field(default_factory=dict)
    """The array that each matrix is stored in for products, and its place there."""
    names: set[str] = field(default_factory=set)
    counts: dict[Size, str] = field(default_factory=dict)
    place: str = "work"
    """Where the next vector is in memory."""
    places: dict[tuple[str, int], tuple[str, int]] = field(default_factory=dict)
    """The sum of each part of a joined product, and its place."""
    labels: dict[str, str] = field(default_factory=dict)
    """What each sum is called."""
    asking: AttentionText | None = None
    """How the equations ask a memory, if they do."""
    temporary: set[str] = field(default_factory=set)
    """Names of vectors that nothing else reads."""
    filled: set[str] = field(default_factory=set)
    """The sums that have the value of a product already."""

    @classmethod
    def of(
        cls,
        layer: Recurrent,
        arrays: Mapping[str, Stored],
        *,
        network: str,
        stepped: bool,
        ends: Mapping[str, str],
    ) -> CellLines:
        """Return the writer of a layer, with the arrays of one direction by their paths."""
        equations, cell = applied_equations(layer), layer.cell
        packed = () if isinstance(cell, EquationCell) else packed_arrays(cell, gate_order(layer))
        functions = {name: "" if name == "linear" else name for name in (*FUNCTIONS, *OF_LIBRARY)}
        lines = cls(
            writer=Elements(functions, prefix=network),
            layer=layer,
            equations=equations,
            plan=schedule(equations, shares=False, mixes=True, packed=packed),
            arrays={names: arrays[path] for path, names in arrays_of_cell(layer).items()},
            stepped=stepped,
            ends=ends,
        )
        lines.names |= {"work", "y", "steps", "width", "mask", "backward", "merge", "real"}
        lines.names |= {"units", "features", "first", "count", "done", "last", "row", "column"}
        lines.names |= _OF_ATTENTION if layer.leading else set()
        lines.names |= _OF_MEMORY if layer.attention else set()
        # Where a step asks, ``memory->size`` stands in its lines.
        lines.names |= {"size"} if layer.attention and not layer.leading else set()
        return lines

    def write_layer(self) -> CellText:
        """Return the text of the function."""
        equations, plan = self.equations, self.plan
        self.shapes = {INPUT: ("features",), **dict(equations.parameters), **dict(equations.shapes)}
        self.shapes |= {name: (size,) for name, size in plan.sizes.items()}
        for names, stored in self.arrays.items():
            self._add_parameters(names, stored)
        states = [self._add_state(name) for name in equations.states]
        named = zip(equations.states, states, strict=True)
        ends = tuple(
            StateVectors(vector, *(self._add_end(f"{name}_{end}") for end in ("first", "last")))
            for name, vector in named
        )
        self.places = place_sums(plan)
        self.sums = {name for name, _ in self.places.values()}
        statements = (*plan.before, *plan.step)
        self._label_sums(plan.statements)
        products = (part for part in statements if isinstance(part, JoinedProduct))
        at_once = next(filter(self._is_at_once, itertools.islice(products, 1)), None)
        own = "x" if self.stepped else "x_t"
        own = "input" if self.layer.leading else own
        x = Vector(own, self._count("features"))
        self.writer.vectors[INPUT] = x
        # What is constant may need a matrix, whose lines are there before its own.
        self.lines = self.constants
        for line in plan.constants:
            self._add_line(line)
            self.finish()
        self._add_statements(plan.once)
        self.lines = block = list[str]()
        if at_once:
            self._add_rows(at_once)
        self.lines = []
        self._add_statements(part for part in statements if part != at_once)
        self.kernels |= self.writer.called
        constants = (*self.constants, *([] if self.stepped else _zeros(states)))
        rows = (f"{row.block} {row.size}" for row in self.rows)
        text = (*self.memory_lines, *constants, *block, *rows, *self.parts, *self.lines)
        reads = x.pointer in _words(self.lines)
        # The output and the input of a step have sizes too.
        if self.layer.leading or not self.stepped:
            text = (*text, states[0].size, x.size)
        sizes = self._use_sizes((*text, self.place) if self.layer.leading else text)
        return CellText(
            title=_title(self.layer.cell),
            own=tuple(self.own.items()),
            declarations=(*sizes, *self.memory_lines),
            constants=constants,
            block=tuple(block),
            rows=tuple(self.rows),
            parts=tuple(self.parts),
            lines=tuple(self.lines),
            states=ends,
            features=x.size,
            reads=reads,
            end=self.place,
        )

    def _add_statements(self, statements: Iterable[Statement]) -> None:
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

    def _is_at_once(self, product: JoinedProduct) -> bool:
        """True if a product is computed for several steps: that of the input with one array."""
        if self.stepped or self.layer.leading or product.vector != Name(INPUT, "input"):
            return False
        numbers = range(len(product.matrices))
        (_, *others) = itertools.groupby(numbers, key=lambda n: self._weights_of(product, n))
        return not others and self._is_packed(product.matrices[0])

    def _is_packed(self, matrix: Expression) -> TypeGuard[Name]:
        return isinstance(matrix, Name) and matrix.name in self.packed

    def _use_sizes(self, lines: Iterable[str]) -> list[str]:
        """Return the declarations of the sizes in lines, and forget the other sizes."""
        used, declared = _words(lines), list[str]()
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
        """Call the first sum of a line as the line, which replaces it there, and others by it.

        That of ``U_n @ h`` beside another sum in a line n is called h_n.
        """
        vectors = {
            name: part.slices[0].product.removesuffix("_product")
            for part in statements
            if isinstance(part, JoinedSum)
            for name in part.names
        }
        for statement in statements:
            if isinstance(statement, Line):
                parts = walk(statement.value)
                names = (part.name for part in parts if isinstance(part, Name))
                first, *others = [name for name in names if name in self.sums] or [statement.name]
                is_state = statement.name in self.equations.states
                self.labels.setdefault(first, first if is_state else statement.name)
                for name in others:
                    self.labels.setdefault(name, f"{vectors[name]}_{statement.name}")
        # A sum in the vector of another product has no line.
        for product in (part for part in statements if isinstance(part, JoinedProduct)):
            for part in walk(product.vector):
                if isinstance(part, Name) and part.name in self.sums:
                    self.labels.setdefault(part.name, f"{vectors[part.name]}_{product.label}")

    def _name(self, name: str) -> str:
        """Return a name of C that is not taken."""
        name = own_name(name)
        numbered = (f"{name}_{number}" for number in itertools.count(2))
        free = next(text for text in itertools.chain([name], numbered) if text not in self.names)
        self.names.add(free)
        return free

    def _number(self, size: Size) -> int:
        cell, values = self.layer.cell, {"units": self.layer.units, "features": self.layer.features}
        return evaluate_size(
            size, values | (dict(cell.sizes) if isinstance(cell, EquationCell) else {})
        )

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
        vector = Vector(name, self._count(size))
        self.memory_lines.append(f"float *const {name} = {self.place};")
        self.place = f"{name} + {vector.size}"
        self.floats += self._number(size)
        return vector

    def _add_parameters(self, names: tuple[str, ...], stored: Stored) -> None:
        """Add a parameter, or several that are stored as one."""
        first, is_packed = names[0], not isinstance(self.layer.cell, EquationCell)
        label = stored.path.rpartition(".")[2].replace("t_kernel", "t")
        pointer = self._name(label if is_packed else _label(names))
        self.own[pointer] = f"const {stored.number} *"
        self.arguments[pointer] = stored.symbol
        if stored.rounded:
            self.own[f"{pointer}_scale"] = "const float *"
            self.arguments[f"{pointer}_scale"] = stored.scale
            self.names.add(f"{pointer}_scale")
        match self.shapes[first]:
            case ():
                self.writer.scalars[first] = f"{pointer}[0]"
            case (size,):
                count = self._count(size)
                for place, name in enumerate(names):
                    self.writer.vectors[name] = Vector(pointer, count, place)
            case rows, columns:
                matrix = pointer, self._count(rows), self._count(columns)
                self.writer.matrices |= dict.fromkeys(names, matrix)
                if stored.parts:
                    self.packed |= {name: (stored, place) for place, name in enumerate(names)}
            case shape:
                raise AssertionError(shape)

    def _add_state(self, name: str) -> Vector:
        size = self.shapes[name][0]
        if self.stepped:
            pointer = self._name(name)
            vector = Vector(pointer, self._count(size))
            self.own[pointer] = "float *"
            state, _ = states_of_equations(self.layer)[name]
            self.arguments[pointer] = f"state->{self.layer.name}_{state}"
        else:
            vector = self._allocate(name, size)
        self.writer.old[name] = vector
        return vector

    def _add_end(self, end: str) -> str:
        """Return the parameter with the first or the last value of a state, of whole sequences."""
        if self.stepped:
            return ""
        name = self._name(end)
        self.arguments |= {name: self.ends[end]} if end in self.ends else {}
        return name

    def _add_rows(self, product: JoinedProduct) -> None:
        """Add the lines of a product for all steps of a block, and what is in a row of it."""
        count, size = len(product.matrices), self._count(product.sizes[0])
        block, columns, lines = self._name("block"), times(count, size), self.lines
        self.memory_lines.append(f"float *const {block} = {self.place};")
        self.place = f"{block} + {times(_BLOCK * count, size)}"
        self.floats += _BLOCK * count * self._number(product.sizes[0])
        names = [self.places[product.name, place][0] for place in range(count)]
        self.writer.vectors |= {name: Vector("last", size, n) for n, name in enumerate(names)}
        start = self._start(names, product.biases or (None,) * count)
        if start is None:
            start = Vector("last", size)
            lines.append(f"memset(last, 0, {columns} * sizeof(float));")
        if start.pointer == "last":
            place = f"{block} + (count - 1) * {columns}"
            lines.insert(0, f"float *const last = {place}; /* what all rows begin with */")
            lines.insert(1, "")
        else:
            lines.insert(0, "")
        before: Vector | None = None
        for name in names:
            self.writer.vectors[name] = vector = Vector(self._name(self.labels[name]), size)
            if before:
                self.parts.append(f"float *const {vector.pointer} = {before.pointer} + {size};")
                self.writer.preceding[vector] = before
            else:
                self.rows.append(BlockRow(vector.pointer, block, columns))
            before = vector
        self.filled.update(names)
        kernel, weights = self._weights(product.matrices)
        self.kernels.add(kernel := kernel.replace("product", "product_rows"))
        lines.append(
            f"{self.writer.prefix}_{kernel}({weights}, {start.text}, x + first * features, count, "
            f"features, {columns}, {block});"
        )

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
                vector = self._allocate(self.labels[name], size)
                if before and before.size == vector.size:
                    self.writer.preceding[vector] = before
                self.writer.vectors[name] = before = vector

    def _weights_of(self, product: JoinedProduct, number: int) -> str | int:
        """Return the array that a matrix shares with others, or its number."""
        matrix = product.matrices[number]
        if self._is_packed(matrix):
            stored, _ = self.packed[matrix.name]
            return stored.symbol if len(self._beside(matrix.name)) > 1 else number
        return number

    def _start(self, names: Sequence[str], biases: Sequence[Expression | None]) -> Vector | None:
        """Return the numbers that a product is added to, None if they are zeros."""
        first = self.writer.vectors[names[0]]
        if names[0] in self.filled:
            for name, bias in zip(names, biases, strict=True):
                if bias is not None:
                    value = Elementwise("+", Name(name, "line"), self._value(bias))
                    self.assign(self.writer.vectors[name], value)
            self.finish()
            return first
        if not any(biases):
            return None
        vectors = [self.writer.vectors[b.name] for b in biases if isinstance(b, Name)]
        pointers = {vector.pointer for vector in vectors}
        if len(vectors) == len(names) and len(pointers) == 1:
            return vectors[0]
        for name, bias in zip(names, biases, strict=True):
            self.assign(
                self.writer.vectors[name], Number(0.0) if bias is None else self._value(bias)
            )
        self.finish()
        return first

    def _multiply(
        self,
        matrices: Sequence[Expression],
        vector: Vector,
        totals: Sequence[Vector],
        start: Vector | None,
    ) -> None:
        """Add the lines of products, which are added to ``start`` if there is one."""
        prefix = self.writer.prefix
        matrix, total = matrices[0], totals[0]
        if self._is_packed(matrix):
            product, weights = self._weights(matrices)
            columns = times(len(matrices), total.size)
            if not start:
                start = total
                self.lines.append(f"memset({total.text}, 0, {columns} * sizeof(float));")
            self.lines.append(
                f"{prefix}_{product}({weights}, {start.text}, {vector.text}, {vector.size}, "
                f"{columns}, {total.text});"
            )
            return
        pointer = self._matrix(matrix)
        product = f"{prefix}_dot({pointer} + u * {vector.size}, {vector.text}, {vector.size})"
        self.kernels.add("dot")
        first = "" if start in (None, total) else f"{start.element} + "
        sign = "+=" if start == total else "="
        self.lines += loop("u", total.size, [f"{total.element} {sign} {first}{product};"])

    def _beside(self, parameter: str) -> tuple[str, ...]:
        """Return the parameters in the array that one is in."""
        return next(names for names in self.arrays if parameter in names)

    def _weights(self, matrices: Sequence[Expression]) -> tuple[str, str]:
        """Return the function of a product with matrices of an array, and the weights it takes."""
        names = [matrix.name for matrix in matrices if isinstance(matrix, Name)]
        stored, place = self.packed[names[0]]
        pointer, size, inputs = self.writer.matrices[names[0]]
        weights = [pointer, f"{pointer}_scale"] if stored.rounded else [pointer]
        if place:
            places = f"{times(place, size)} * {inputs}", times(place, size)
            weights = [f"{name} + {behind}" for name, behind in zip(weights, places, strict=False)]
            gates = listed([name.partition("_")[2] for name in self._beside(names[0])[:place]])
            self.lines.append(f"/* The weights are behind those of {gates}. */")
        kernel = "product_int8" if stored.rounded else "product"
        self.kernels.add(kernel)
        self.widths.update(width for part in stored.parts for width in part.widths)
        return kernel, ", ".join(weights)

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
        element = f"{pointer}[row * {columns} + column] = {self.writer.write(matrix)};"
        self.constants += loop("row", rows, list(loop("column", columns, [element])))
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
            case Features(operand=operand, places=places):
                size = expression.size_of(self._size(operand))
                return size if size and not isinstance(places, int) else ""
            case ApplyToVector(function=function) if function in REDUCTIONS:
                return ""
            case Attend(size=size_of_memory):
                return size_of_memory
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
                    name in self.sums and function in FUNCTIONS
                ):
                    self.assign(self.writer.find(operand), None, function)
                    return operand
                case Product(matrix=matrix, vector=vector):
                    factor = self._vector(self._value(vector), "factor")
                    total = self._allocate("product", self._size(part))
                    self.finish()
                    self._multiply([matrix], factor, [total], None)
                    return self._keep("product", self._size(part), total)
                case ApplyToVector(function=function) if function in REDUCTIONS:
                    return self._reduce(part)
                case Features():
                    return self._take_features(part)
                case ApplyToVector():
                    return self._apply_to_vector(part, label if part is expression else "")
                case Concat(parts=parts):
                    return self._concatenate(parts, label if part is expression else "")
                case Attend():
                    return self._ask(part, label if part is expression else "")
                case Part(operand=operand, index=index):
                    value, size = self._value(operand), self._size(part)
                    whole = self._vector(value, "whole")
                    self.finish()
                    offset = times(index, self._count(size)) if index else ""
                    offset = " + ".join(filter(None, (whole.offset, offset)))
                    part_of = Vector(whole.pointer, self._count(size), offset=offset)
                    return self._keep("part", size, part_of)
                case _:
                    return None

        return rewrite(expression, change)

    def _ask(self, expression: Attend, label: str) -> Name:
        """Add the lines of the context of a query."""
        asking, prefix = self.asking, self.writer.prefix
        assert asking is not None, "lowering gives what a cell asks a memory"
        query = self._vector(self._value(expression.query), "asked")
        self.finish()
        pointer = query.text
        if asking.product:
            pointer, kernel = self._of_memory("query"), ["attention_kernel"]
            kernel += ["attention_kernel_scale"] if asking.product == "product_int8" else []
            self.lines.append(f"memset({pointer}, 0, memory->size * sizeof(float));")
            self.lines.append(
                f"{prefix}_{asking.product}({', '.join(kernel)}, {pointer}, {query.text}, "
                f"{query.size}, memory->size, {pointer});"
            )
        hidden = self._of_memory("hidden") if asking.additive else ""
        context = self._allocate(label or "context", expression.size)
        arguments = asking.arguments(pointer, context.text, hidden)
        self.lines.append(f"{prefix}_{asking.function}({arguments});")
        return self._keep("context", expression.size, context)

    def _of_memory(self, name: str) -> str:
        """Return a vector of the size of a key, for which memory is taken once."""
        assert self.layer.attention, "lowering gives what a cell asks a memory"
        line = f"float *const {name} = "
        if not any(known.startswith(line) for known in self.memory_lines):
            self.memory_lines.append(f"{line}{self.place};")
            self.place = f"{name} + memory->size"
            self.floats += self.layer.attention.size
        return name

    def _reduce(self, expression: ApplyToVector) -> Name:
        """Add the lines of a number that is computed from all elements of a vector."""
        function = expression.function
        vector = self._vector(self._value(expression.operand), "reduced")
        self.finish()
        name, element, count = self._name(function), vector.element, vector.size
        if function == "max":
            self.kernels.add("maximum")
            value = f"{self.writer.prefix}_maximum({name}, {element})"
            self.lines.append(f"float {name} = {vector.first};")
            self.lines += loop("u", count, [f"{name} = {value};"])
        else:
            text = f"{element} * {element}" if function == "norm" else str(element)
            self.lines.append(f"float {name} = 0.0f;")
            self.lines += loop("u", count, [f"{name} += {text};"])
        if function == "mean":
            total = number(float(count)) if count.isdigit() else f"(float){count}"
            self.lines.append(f"{name} /= {total};")
        if function == "norm":
            self.kernels.add("sqrtf")
            self.lines.append(f"{name} = sqrtf({name} + {number(NORM_EPSILON)});")
        return self._keep_number(name)

    def _keep_number(self, text: str) -> Name:
        """Return a name for a number that has none in the equations."""
        name = f"number {text}"
        self.shapes[name], self.writer.scalars[name] = (), text
        return Name(name, "line")

    def _take_features(self, part: Features) -> Name:
        """Return some features of a vector, or a copy of one of them."""
        size = self._size(part)
        whole = Vector("x", self._count("features"))
        if not part.once:
            whole = self._vector(self._value(part.operand), "whole")
        self.finish()
        start = f"{whole.size} - {-part.start}" if part.start < 0 else str(part.start or "")
        offset = " + ".join(filter(None, (whole.offset, start)))
        if size:
            features = Vector(whole.pointer, self._count(size), offset=offset)
            return self._keep("part", size, features)
        name = self._name("feature")
        # A state may have another value when the number is read.
        self.lines.append(f"const float {name} = {whole.pointer}[{offset or 0}];")
        return self._keep_number(name)

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
            self.assign(Vector(whole.pointer, count, offset=offset), value)
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
            value = self._value(value)
            scalar = self._name(name)
            self.lines.append(f"const float {scalar} = {writer.write(value)};")
            writer.scalars[name] = scalar
            return
        function = ""
        if isinstance(value, Apply) and (value.function in FUNCTIONS):
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


def _zeros(states: list[Vector]) -> Iterator[str]:
    """Yield the lines that make states zeros, which are one behind the other."""
    for size, group in itertools.groupby(states, key=lambda state: state.size):
        first, *others = group
        count = times(1 + len(others), size)
        yield f"memset({first.text}, 0, {count} * sizeof(float));"


def _words(lines: Iterable[str]) -> set[str]:
    return set(re.findall(r"\w+", "\n".join(lines)))


def _label(names: tuple[str, ...]) -> str:
    """Return what arrays that are one are called: as they all begin."""
    labels = {name.partition("_")[0] for name in names}
    return labels.pop() if len(names) > 1 == len(labels) else names[0]
