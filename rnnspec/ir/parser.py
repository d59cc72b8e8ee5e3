"""The notation of cells: their lines, read from text, with what they name.

A line is ``name: expression``. ``@`` is the product of a matrix and a vector, the other operators
are by element. A name that no line assigns, and that is no state, is a parameter, whose shape
follows from where it stands. Nothing is evaluated.
"""

from __future__ import annotations

import ast
import keyword
import re
import warnings
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, TypeGuard

from rnnspec.errors import listed
from rnnspec.errors.wording import nearest, quoted
from rnnspec.ir.equations import (
    INPUT,
    Apply,
    ApplyToVector,
    Attend,
    Choose,
    Concat,
    Elementwise,
    EquationError,
    EquationErrors,
    Equations,
    Features,
    Line,
    Name,
    Number,
    Part,
    Product,
    Transpose,
    walk,
)
from rnnspec.ir.foreign_notation import (
    Names,
    letter_hint,
    state_of,
    text_slip,
    time_hint,
    tree_hint,
)
from rnnspec.ir.nodes import LAYER_NORM_EPSILON
from rnnspec.ir.notation import (
    FUNCTIONS,
    OTHER_FUNCTIONS,
    RESERVED,
    Block,
    Notation,
    Reading,
    WrittenLine,
)
from rnnspec.ir.shapes import NAMED_SIZES, infer_shapes

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from rnnspec.ir.equations import Comparison, Expression, Operator, Path, Shape

MAX_LINES = 256
MAX_DEPTH = 32
MAX_LENGTH = 1000
"""The most lines with repetitions written out, nested operations of one, and characters of one."""
MAX_NUMBER = 3e38
_SHOWN = 30

_OPERATORS: dict[type[ast.operator], Operator] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
}
_COMPARISONS: dict[type[ast.cmpop], Comparison] = {
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
}


def parse(
    text: str,
    states: Sequence[str],
    functions: Sequence[str] = FUNCTIONS,
    shapes: Mapping[str, Shape] | None = None,
) -> Equations:
    """Return the equations of a text.

    Args:
        text: the lines, ``name: expression``.
        states: the names of the states, vectors of size ``units``; the first is the output.
        functions: the names of the functions of each element.
        shapes: those of parameters that do not follow.

    Raises:
        EquationError: a line is no equation, a name is wrong, or two shapes do not fit.
    """
    rows = []
    for line in text.splitlines():
        name, _, expression = line.strip().partition(":")
        start = len(name) + 2 + len(expression) - len(expression.lstrip())
        if name:
            rows.append(WrittenLine(name.strip(), expression.strip(), (name.strip(),), start))
    notation = Notation(
        states=tuple(states),
        blocks=(Block(tuple(rows), ()),),
        parameters=shapes or {},
        functions=tuple(functions),
    )
    return read_cell(notation).equations


OUTPUT = "output"
"""The state of a cell whose output is an expression."""


def read_cell(notation: Notation, errors: EquationErrors | None = None) -> Reading:
    """Return the equations of a cell.

    ``errors`` are those of what the notation was made from. Shapes are inferred if there are none.

    Raises:
        EquationError: as ``parse``, with all others that are no consequence of it.
    """
    errors = errors or EquationErrors()
    if notation.output is not None:
        if OUTPUT in notation.states:
            message = "expected no state 'output' beside the key 'output'"
            errors.add(EquationError(("states", notation.states.index(OUTPUT)), 0, message))
            errors.check()
        end = Block((notation.output,), ())
        states = (OUTPUT, *notation.states)
        notation = replace(notation, states=states, blocks=(*notation.blocks, end))
    reader = _EquationReader(notation, errors)
    lines = reader.read()
    sizes = dict.fromkeys(notation.states, "units") | dict(notation.sizes)
    if notation.output is not None and OUTPUT not in notation.sizes:
        # No expression has its value before the step, so that of its own decides.
        del sizes[OUTPUT]
    # A state or a line that a block assigns several times has one size.
    written = reader.names_of_lines | dict(zip(sizes, sizes, strict=True))
    shapes: dict[str, Shape] = dict(notation.inputs)
    shapes |= {name: (sizes[line],) for name, line in written.items() if line in sizes}
    shapes |= {
        name: notation.parameters[parameter]
        for name, parameter in reader.parameters.items()
        if parameter in notation.parameters
    }
    parameters, of_lines = infer_shapes(lines, reader.paths, shapes)
    norms = {name: initial for name, (_, initial) in reader.norms.items()}
    return Reading(
        Equations(notation.states, tuple(lines), parameters, of_lines), reader.parameters, norms
    )


class _TooDeepError(EquationError):
    """An expression is too deep, of which one error is told."""


_NO_MATRICES = (Product, ApplyToVector, Concat, Part, Features, Choose, Attend)
_OF_OTHER_FUNCTIONS = (
    ast.Constant,
    ast.List,
    ast.Tuple,
    ast.Compare,
    ast.Starred,
    ast.GeneratorExp,
)


class _EquationReader:
    """The names that lines have assigned so far, and those that any line assigns.

    ``names_of_lines`` has the name as written of each line, and ``paths`` the place of its text.
    """

    def __init__(self, notation: Notation, errors: EquationErrors) -> None:
        self.notation = notation
        self.errors = errors
        self.rows = [row for block in notation.blocks for row in block.rows]
        self.targets = {row.name for row in self.rows}
        calls = {name: _call(name) for name in (*notation.functions, *OTHER_FUNCTIONS)}
        self.names = Names(notation.states, self.targets, calls)
        self.current = dict[str, str]()
        self.parameters = dict[str, str]()
        self.names_of_lines = dict[str, str]()
        self.paths: dict[str, Path] = {}
        self.settings = set[str]()
        """The settings that the lines use."""
        self.norms: dict[str, tuple[Path, float]] = {}
        self.written = set[str]()
        self.block = Block((), ())
        self.row, self.repetition, self.norms_of_row = WrittenLine("", "", ()), 1, 0

    def read(self) -> list[Line]:
        """Return all lines with repetitions written out, without those that nothing uses."""
        self._check_rows()
        trees: dict[Path, ast.expr] = {}
        for row in self.rows:
            with self.errors.collected():
                trees[row.path] = self._parse(row)
        times = Counter(
            row.name for block in self.notation.blocks for row in block.rows * (block.repeat or 1)
        )
        seen, lines = Counter[str](), list[Line]()
        for block in self.notation.blocks:
            self.block = block
            for self.repetition in range(1, (block.repeat or 1) + 1):
                for row in block.rows:
                    self.row, self.norms_of_row = row, 0
                    seen[row.name] += 1
                    last = seen[row.name] == times[row.name]
                    name = row.name if last else f"{row.name}_{seen[row.name]}"
                    with self.errors.collected():
                        if row.path in trees:
                            lines.append(Line(name, self._read(trees[row.path], 1)))
                    # After an error too, which is that of no other line.
                    self.current[row.name] = name
                    self.names_of_lines[name], self.paths[name] = row.name, row.path
        self.errors.check()
        self._check_queries(lines)
        self._check_names(lines)
        self.errors.check()
        lines = self._without_unused(lines)
        self._check_declared()
        self.errors.check()
        return lines

    def _check_rows(self) -> None:
        notation = self.notation
        total = sum(len(block.rows) * (block.repeat or 1) for block in notation.blocks)
        if total > MAX_LINES:
            row = self.rows[min(MAX_LINES, len(self.rows) - 1)]
            what = "lines" if total == len(self.rows) else "lines with all repetitions"
            message = f"expected at most {MAX_LINES} {what}, received {total}"
            self._add(row.path, message, key=True)
            self.errors.check()
        for name in notation.inputs:
            if name == INPUT:
                continue
            self._check_name(name, ("inputs", name), key=True)
            if name in self.targets:
                path = next(row.path for row in self.rows if row.name == name)
                self._add(path, f"expected another name: {name} is an input", key=True)
        self._check_memory()
        for index, name in enumerate(notation.states):
            self._check_name(name, ("states", index))
            if name in notation.states[:index]:
                self._add(("states", index), f"the state {name} is there twice")
        for name in notation.settings:
            self._check_name(name, ("settings", name), key=True)
            if name in self.targets or name in notation.states or name in notation.inputs:
                what = "a state" if name in notation.states else "a line"
                what = "an input" if name in notation.inputs else what
                message = f"{name} is {what} too; choose another name"
                self._add(("settings", name), message, key=True)
        assigned = set[str]()
        for block in notation.blocks:
            for row in block.rows:
                if row.name not in notation.states:
                    self._check_name(row.name, row.path, key=True)
                if row.name in assigned and block.repeat is None:
                    self._add(row.path, f"{row.name} is assigned twice", key=True)
                assigned.add(row.name)

    def _check_memory(self) -> None:
        """Check the name of the memory, which nothing else has."""
        notation = self.notation
        for index, name in enumerate(notation.memory):
            self._check_name(name, ("memory", index))
            for what, others in (
                ("an input", notation.inputs),
                ("a state", notation.states),
                ("a line", self.targets),
                ("a setting", notation.settings),
            ):
                if name in others:
                    message = f"expected another name: {name} is {what} too"
                    self._add(("memory", index), message)
                    break

    def _add(self, path: Path, message: str, *, key: bool = False) -> None:
        self.errors.add(EquationError(path, 0, message, key=key))

    def _check_name(self, name: str, path: Path, *, key: bool = False) -> None:
        if (message := self._flaw(name)) is not None:
            self._add(path, message, key=key)

    def _flaw(self, name: str) -> str | None:
        """Return why a state, line, parameter or setting cannot have this name, or None."""
        if len(name) > 64 or not re.fullmatch("[A-Za-z][A-Za-z0-9_]*", name):
            message = (
                "expected a name of at most 64 letters a-z, A-Z, digits and underscores that "
                f"starts with a letter, received {quoted(name)}"
            )
            stem = re.match("[A-Za-z]+", name)
            meant = stem is not None and stem[0] in self.notation.states
            return f"{message}; did you mean {stem[0]}?" if stem and meant else message
        if name in RESERVED or name in self.notation.functions:
            return f"expected another name: {name} has a meaning in expressions"
        if keyword.iskeyword(name):
            return f"expected another name: {name} is a Python keyword"
        return None

    def _parse(self, row: WrittenLine) -> ast.expr:
        self.row = row
        if len(row.text) > MAX_LENGTH:
            message = f"expected at most {MAX_LENGTH} characters, received {len(row.text)}"
            raise self._error(MAX_LENGTH, message)
        for offset, character in enumerate(row.text):
            if not (character.isascii() and (character.isprintable() or character == "\n")):
                message = f"expected printable ASCII, received {character!r}"
                raise self._error(offset, message + letter_hint(character))
            # It would end what Python reads.
            if character == "#":
                raise self._error(offset, f"expected an expression, received {character!r}")
        text = row.text.replace("\n", " ")
        try:
            with warnings.catch_warnings():
                # Python warns of what is refused below: 1or 2.
                warnings.simplefilter("ignore")
                tree = ast.parse(text, mode="eval").body
        except (SyntaxError, MemoryError, RecursionError) as error:
            offset = (getattr(error, "offset", 1) or len(text) + 1) - 1
            place, message = text_slip(text, self.names) or (offset, "expected an expression")
            raise self._error(place, message) from None
        if "^" in text and (slip := text_slip(text, self.names)):
            raise self._error(*slip)
        return tree

    def _column(self, tree: ast.expr) -> int:
        return self.row.start + tree.col_offset

    def _error(self, offset: int, message: str) -> EquationError:
        return EquationError(self.row.path, self.row.start + offset, message)

    def _refuse(self, tree: ast.expr, message: str) -> EquationError:
        return EquationError(self.row.path, self._column(tree), message)

    def _read(self, tree: ast.expr, depth: int) -> Expression:
        """Return the expression of a tree, or after an error, a name in its place."""
        if depth > MAX_DEPTH:
            message = f"expected at most {MAX_DEPTH} operations inside each other"
            raise _TooDeepError(self.row.path, self._column(tree), message)
        try:
            return self._read_expression(tree, depth)
        except _TooDeepError:
            raise
        except EquationError as error:
            # A name goes anywhere, so that other errors of the expression are told, too.
            self.errors.add(error)
            return Name("", "parameter", self._column(tree))

    def _read_expression(  # noqa: PLR0912 - a branch for each kind of expression
        self, tree: ast.expr, depth: int
    ) -> Expression:
        column = self._column(tree)
        match tree:
            case ast.Constant(value=float() | int() as value) if not isinstance(value, bool):
                if not -MAX_NUMBER <= value <= MAX_NUMBER:
                    raise self._refuse(tree, "expected a number that a float32 can hold")
                return Number(float(value), column)
            case ast.Name():
                return self._read_name(tree)
            case ast.Attribute(attr="T", value=matrix):
                name_of_matrix = self._read(matrix, depth + 1)
                if not isinstance(name_of_matrix, Name) or name_of_matrix.kind != "parameter":
                    raise self._refuse(tree, "expected a parameter, a matrix, before .T")
                return Transpose(name_of_matrix, column)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                value_of_operand = self._read(operand, depth + 1)
                if isinstance(value_of_operand, Number):
                    return Number(-value_of_operand.value, column)
                return Elementwise("-", Number(0.0, column), value_of_operand, column)
            case ast.BinOp(op=ast.MatMult(), left=left, right=right):
                return self._read_product(tree, left, right, depth)
            case ast.BinOp(op=op, left=left, right=right) if type(op) in _OPERATORS:
                sides = self._read(left, depth + 1), self._read(right, depth + 1)
                if isinstance(op, ast.Div) and _constant(sides[1]) == 0.0:
                    raise self._refuse(right, "expected another divisor than 0")
                return Elementwise(_OPERATORS[type(op)], *sides, column)
            case ast.Call(func=ast.Name(id=function), args=arguments, keywords=[]):
                return self._read_call(tree, function, arguments, depth)
            case ast.Subscript(value=vector) if (places := self._places(tree.slice)) is not None:
                return Features(self._read(vector, depth + 1), places, column=column)
            case ast.Compare():
                message = "expected a comparison only in where(a > b, c, d), of two values"
                raise self._refuse(tree, message)
            case _:
                if isinstance(tree, ast.Call):
                    self._read_arguments(tree.args, depth)
                message = "expected a number, a name, + - * / @, .T or a function"
                raise self._refuse(tree, tree_hint(tree, self.names) or message)

    def _read_product(
        self, tree: ast.expr, left: ast.expr, right: ast.expr, depth: int
    ) -> Expression:
        if isinstance(left, ast.BinOp) and isinstance(left.op, ast.MatMult):
            raise self._refuse(left, self._chain_hint(left, right))
        matrix = self._read(left, depth + 1)
        if any(
            (isinstance(part, Name) and part.kind != "parameter") or isinstance(part, _NO_MATRICES)
            for part in walk(matrix)
        ):
            message = "expected a parameter, a matrix, before @"
            if isinstance(left, ast.Name) and isinstance(right, ast.Name):
                vector = left.id in self.names.vectors and right.id in self.names.vectors
                meant = f"{left.id} * {right.id}" if vector else f"{right.id} @ {left.id}"
                message = f"{message}, received the vector {left.id}; write {meant}"
            raise self._refuse(left, message)
        for part in walk(matrix):
            if isinstance(part, Elementwise) and part.operator in "*/":
                self._check_factors(part)
        return Product(matrix, self._read(right, depth + 1), self._column(tree))

    def _chain_hint(self, left: ast.BinOp, right: ast.expr) -> str:
        """Return what to write for a product before @."""
        names = {part.id for part in ast.walk(left.right) if isinstance(part, ast.Name)}
        if names.isdisjoint(self.names.vectors):
            return "expected a matrix and a vector around @; write W @ (W @ x) for W @ W @ x"
        vector, other = ast.unparse(left), ast.unparse(right)
        if len(vector) + len(other) > _SHOWN:
            vector, other = "W @ x", "x"
        return (
            f"expected a matrix before @, received the vector {vector}; write ({vector}) * {other} "
            "for a product by element"
        )

    def _check_factors(self, product: Elementwise) -> None:
        """Refuse a product before @ of parameters that could be matrices or vectors."""
        sides = (product.left, product.right)
        # An error has no name.
        names = [[p for p in walk(side) if isinstance(p, Name) and p.name] for side in sides]
        unknown = [n for n in (*names[0], *names[1]) if n.name not in self.notation.parameters]
        if names[0] and names[1] and len(unknown) > 1:
            name = unknown[0].name
            message = (
                f"{name} could be a matrix or not: write {name} * (W @ x) for the product with a "
                "vector, or its shape under 'parameters'"
            )
            raise EquationError(self.row.path, product.column, message)

    def _read_call(  # noqa: PLR0912 - a branch for each function
        self, tree: ast.Call, function: str, arguments: Sequence[ast.expr], depth: int
    ) -> Expression:
        column = self._column(tree)
        match function, arguments:
            case _, [operand] if function in self.notation.functions:
                return Apply(function, self._read(operand, depth + 1), column)
            case "minimum" | "maximum", [left, right]:
                sides = self._read(left, depth + 1), self._read(right, depth + 1)
                return Elementwise(function, *sides, column)
            case "where", [ast.Compare(left=left, ops=[op], comparators=[right]), *results] if (
                len(results) == 2 and type(op) in _COMPARISONS
            ):
                one, other, chosen, otherwise = (
                    self._read(part, depth + 1) for part in (left, right, *results)
                )
                return Choose(_COMPARISONS[type(op)], one, other, chosen, otherwise, column)
            case "softmax", [vector]:
                return ApplyToVector("softmax", self._read(vector, depth + 1), column=column)
            case "softmax", [vector, number] if (
                groups := self._integer(number)
            ) and 1 <= groups <= MAX_LINES:
                operand_of_softmax = self._read(vector, depth + 1)
                return ApplyToVector("softmax", operand_of_softmax, 0.0, groups, column)
            case "sum" | "mean" | "max" | "norm", [vector]:
                return ApplyToVector(function, self._read(vector, depth + 1), column=column)
            case "dot", [left, right]:
                sides = self._read(left, depth + 1), self._read(right, depth + 1)
                return ApplyToVector("sum", Elementwise("*", *sides, column), column=column)
            case "standardize" | "layer_norm", [vector, *rest] if len(rest) < 2:
                epsilon = self._read_epsilon(rest[0]) if rest else LAYER_NORM_EPSILON
                operand_of_norm = self._read(vector, depth + 1)
                standard = ApplyToVector("standardize", operand_of_norm, epsilon, column=column)
                return standard if function == "standardize" else self._scale(standard)
            case "attend", [query, memory]:
                return self._attend(tree, query, memory, depth)
            case "concat", [_, _, *_]:
                return Concat(tuple(self._read(part, depth + 1) for part in arguments), column)
            case "split", [vector, index, count]:
                part, parts = (
                    _constant(self._read(number, depth + 1)) for number in (index, count)
                )
                if part and parts and part % 1 == parts % 1 == 0 and 1 <= part <= parts:
                    operand_of_part = self._read(vector, depth + 1)
                    return Part(operand_of_part, int(part) - 1, int(parts), column)
            case _:
                pass
        if function not in self.names.functions:
            self._read_arguments(arguments, depth)
        hint = tree_hint(tree, self.names) or f"expected {_call(function)}"
        raise self._refuse(tree, hint)

    def _attend(self, tree: ast.expr, query: ast.expr, memory: ast.expr, depth: int) -> Expression:
        asked, known = self._read(query, depth + 1), self.notation.memory
        if isinstance(memory, ast.Name) and memory.id in known:
            return Attend(asked, memory.id, known[memory.id], self._column(tree))
        if not self.notation.states:
            message = "a formula has no memory: the layer 'attention' attends to another sequence"
            raise self._refuse(tree, message)
        if not known:
            name = memory.id if isinstance(memory, ast.Name) else "m"
            message = f"the cell has no memory: write its name under 'memory', as in [{name}]"
            raise self._refuse(memory, message)
        received = ast.unparse(memory)
        received = received if len(received) <= _SHOWN else "an expression"
        message = f"expected the memory, {listed(list(known), 'or')}, received {received}"
        raise self._refuse(memory, message)

    def _places(self, tree: ast.expr) -> int | tuple[int, int | None] | None:
        """Return the places between brackets, or None if they are none."""
        if not isinstance(tree, ast.Slice):
            return self._integer(tree)
        start = self._integer(tree.lower) if tree.lower else 0
        stop = self._integer(tree.upper) if tree.upper else None
        if tree.step or start is None or (tree.upper and stop is None):
            return None
        return start, stop

    def _integer(self, tree: ast.expr) -> int | None:
        """Return an integer, which may be a setting, or None."""
        match tree:
            case ast.Constant(value=int(value)) if not isinstance(value, bool):
                return value
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                positive = self._integer(operand)
                return None if positive is None else -positive
            case ast.Name(id=name) if isinstance(self.notation.settings.get(name), int):
                self.settings.add(name)
                return int(self.notation.settings[name])
            case _:
                return None

    def _read_arguments(self, arguments: Sequence[ast.expr], depth: int) -> None:
        """Find the errors in the arguments of what is no function, unless they are of its own."""
        if not any(isinstance(part, _OF_OTHER_FUNCTIONS) for part in arguments):
            for part in arguments:
                self._read(part, depth + 1)

    def _read_epsilon(self, tree: ast.expr) -> float:
        epsilon = _constant(self._read(tree, 1))
        if epsilon is None or not 1e-12 <= epsilon <= 1:
            raise self._refuse(tree, "expected an epsilon, a number from 1e-12 to 1")
        return epsilon

    def _scale(self, standard: ApplyToVector) -> Expression:
        """Return a layer norm: a standardized vector with parameters of its own."""
        self.norms_of_row += 1
        suffix = f"_{self.norms_of_row}" if self.norms_of_row > 1 else ""
        gamma, beta = (f"{self.row.name}_{name}{suffix}" for name in ("gamma", "beta"))
        for name, initial in ((gamma, 1.0), (beta, 0.0)):
            if self.norms.setdefault(name, (self.row.path, initial))[0] != self.row.path:
                message = f"another line has a layer_norm with the parameter {name}"
                raise EquationError(self.row.path, standard.column, message)
        gain, shift = (self._parameter(name, standard.column) for name in (gamma, beta))
        scaled = Elementwise("*", gain, standard, standard.column)
        return Elementwise("+", scaled, shift, standard.column)

    def _read_name(self, tree: ast.Name) -> Expression:
        name, column = tree.id, self._column(tree)
        if name in self.notation.functions or name in OTHER_FUNCTIONS.keys() & RESERVED:
            raise self._refuse(tree, f"{name} is a function: expected {_call(name)}")
        if name in NAMED_SIZES:
            raise self._refuse(tree, f"{name} is a size, which has no place in an expression")
        if name in self.notation.inputs:
            return Name(name, "input", column)
        if name in self.notation.memory:
            raise self._refuse(tree, f"{name} is a memory: expected attend(q, {name})")
        if name in self.notation.settings:
            self.settings.add(name)
            return Number(float(self.notation.settings[name]), column)
        if name == OUTPUT and self.notation.output is not None:
            raise self._refuse(tree, "the output can stand in no expression")
        if name in self.current:
            return Name(self.current[name], "line", column)
        if name in self.notation.states:
            return Name(name, "state", column)
        if name in self.targets:
            raise self._refuse(tree, f"{name} is used before it is assigned")
        if (message := self._flaw(name)) is not None:
            raise self._refuse(tree, message)
        declared = {*self.notation.parameters, *self.notation.initialized}
        if name not in declared and (hint := time_hint(name, self.names)):
            message = f"{hint} (a parameter {name} needs its shape under 'parameters')"
            raise self._refuse(tree, message)
        self.written.add(name)
        return self._parameter(name, column)

    def _parameter(self, name: str, column: int) -> Name:
        """Return a parameter: that of this repetition, if each has its own."""
        if name in self.block.own:
            own = f"{name}_{self.repetition}"
        elif any(name in block.own for block in self.notation.blocks):
            message = (
                f"{name} is a parameter of each repetition of a block, and this line is outside it"
            )
            raise EquationError(self.row.path, column, message)
        else:
            own = name
        if self.parameters.setdefault(own, name) != name:
            message = f"another parameter is named {own}, as a repetition of {name} is"
            raise EquationError(self.row.path, column, message)
        return Name(own, "parameter", column)

    def _check_queries(self, lines: Sequence[Line]) -> None:
        """Check that each query changes from step to step."""
        moving = set[str]()
        for line in lines:
            for part in filter(_is_attend, walk(line.value)):
                if not _moves(part.query, moving):
                    message = "expected a query with the input or a state in it"
                    path = self.paths[line.name]
                    self.errors.add(EquationError(path, part.query.column, message))
            if _moves(line.value, moving):
                moving.add(line.name)

    def _check_names(self, lines: Sequence[Line]) -> None:
        """Check the names that repetition and layer norms add, and that each state is assigned."""
        notation = self.notation
        taken = {*notation.states, *self.targets, *notation.settings}
        for name, written in self.names_of_lines.items():
            if name != written and (name in taken or name in self.parameters):
                message = f"expected another name than {name}, the value of {written} in a block"
                self._add(self.paths[name], message, key=True)
        for name, written in self.parameters.items():
            if name != written and (name in taken or name in self.names_of_lines):
                block = next(block for block in notation.blocks if written in block.own)
                message = f"expected another name than {name}, a repetition of {written}"
                self._add(block.path, message)
        for name, (path, _) in self.norms.items():
            if name in taken or name in self.written:
                self._add(path, f"expected another name than {name}, a parameter of layer_norm")
        assigned = {line.name for line in lines}
        for index, state in enumerate(notation.states):
            if state not in assigned:
                near = next((name for name in self.targets if state_of(name, [state])), None)
                hint = f"; rename the line {near} to {state}" if near else ""
                self._add(("states", index), f"the state {state} is never assigned{hint}")
        for block in notation.blocks:
            for name in block.own:
                if name not in self.parameters.values():
                    message = f"no line of the block has a parameter {name}"
                    self._add((*block.path, "own"), message)

    def _without_unused(self, lines: Sequence[Line]) -> list[Line]:
        """Return the lines that the states need; every row must have one."""
        ends = self.notation.states or (lines[-1].name,)
        needed, kept = set(ends), list[Line]()
        used = set[str]()
        for line in reversed(lines):
            names = {part.name for part in walk(line.value) if isinstance(part, Name)}
            if line.name in needed:
                needed |= names
                kept.append(line)
            used |= names
        rows = {self.paths[line.name] for line in kept}
        unused = [row for row in self.rows if row.path not in rows]
        for row in unused:
            # A line that only an unused line uses is a consequence.
            if row.name not in used:
                self._add(row.path, f"{row.name} is never used", key=True)
        for block in self.notation.blocks:
            copies = range(1, (block.repeat or 1) + 1)
            for name, number in ((name, number) for name in block.own for number in copies):
                if f"{name}_{number}" not in needed and not unused:
                    message = (
                        f"{name}_{number} is never used: a later repetition assigns again what is "
                        f"made of it; use that in the block, or take {name} out of 'own'"
                    )
                    self._add((*block.path, "own"), message)
        asked = {part.memory for line in kept for part in walk(line.value) if _is_attend(part)}
        for index, name in enumerate(() if unused else self.notation.memory):
            if name not in asked:
                message = f"the memory {name} is never used: expected attend(q, {name})"
                self._add(("memory", index), message)
        for name in () if unused else self.notation.inputs:
            if name in needed:
                continue
            message = f"the input {name} is never used"
            other = next((name for name in _INPUTS if name in self.parameters), None)
            hint = f"; write {name} for {other}" if other and name == INPUT else ""
            self._add(self.rows[0].path, message + hint, key=True)
        return kept[::-1]

    def _check_declared(self) -> None:
        """Check that what is said beside the lines is about a name of theirs."""
        for name in self.notation.settings:
            if name not in self.settings | self.notation.sized:
                self._add(("settings", name), f"the setting {name} is never used", key=True)
        parameters = set(self.parameters.values())
        for section, names, known, what in (
            ("sizes", self.notation.sizes, {*self.notation.states, *self.targets}, "state or line"),
            ("parameters", self.notation.parameters, parameters, "parameter"),
            ("initialize", self.notation.initialized, parameters, "parameter"),
        ):
            for name in names:
                if name not in known:
                    near = nearest(name, sorted(known))
                    hint = f"; did you mean {near}?" if near else ""
                    message = f"the equations have no {what} {quoted(name)}{hint}"
                    self._add((section, name), message, key=True)


_INPUTS = ("X", "input", "inputs", "input_", "inp", "xs", "x_in", "I")
"""Names by which a parameter was probably meant to be the input."""


def _moves(expression: Expression, moving: Collection[str]) -> bool:
    """True if a value has the input in it, or a state, or a line that is ``moving``."""
    names = (part for part in walk(expression) if isinstance(part, Name))
    return any(name.kind in ("input", "state") or name.name in moving for name in names)


def _is_attend(expression: Expression) -> TypeGuard[Attend]:
    return isinstance(expression, Attend)


def _call(function: str) -> str:
    return OTHER_FUNCTIONS.get(function, f"{function}(value)")


def _constant(expression: Expression) -> float | None:
    """Return the value of an expression of numbers, or None."""
    match expression:
        case Number(value=value):
            return value
        case Elementwise(operator="+" | "-" | "*" as operator, left=left, right=right):
            one, other = _constant(left), _constant(right)
            if one is None or other is None:
                return None
            return {"+": one + other, "-": one - other, "*": one * other}[operator]
        case _:
            return None
