"""Shapes of what equations name, inferred from where the names stand; sizes are symbols."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from functools import reduce
from typing import TYPE_CHECKING, assert_never

from rnnspec.ir.equations import (
    INPUT,
    REDUCTIONS,
    Apply,
    ApplyToVector,
    Attend,
    Choose,
    Concat,
    Elementwise,
    EquationError,
    EquationErrors,
    Features,
    Name,
    Number,
    Part,
    Product,
    Transpose,
    divide_size,
    operands,
    walk,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from rnnspec.ir.equations import Expression, Line, Path, Shape, Size

NAMED_SIZES = ("units", "features")
"""The sizes of each layer: of its states, and of the vectors that it reads."""

Terms = dict[str, int]
"""A sum of sizes: how often each name is in it, and the number under the empty name."""

_LARGEST = 2**31 - 1


def read_size(text: str | int, names: Collection[str]) -> Terms:
    """Return the terms of a size such as ``2 * units + features``.

    Raises:
        ValueError: it is no sum of ``names``, or of multiples of them, and numbers; the message
            says what was expected.
    """
    if isinstance(text, str) and len(text) > 100:
        raise ValueError("expected at most 100 characters")
    try:
        tree = ast.parse(str(text), mode="eval").body
        return _read_terms(tree, names)
    except (SyntaxError, MemoryError, RecursionError):
        message = f"expected a size, such as {' or '.join(NAMED_SIZES)} + 1"
        raise ValueError(message) from None


def _read_terms(tree: ast.expr, names: Collection[str]) -> Terms:
    match tree:
        case ast.Constant(value=int(value)) if not isinstance(value, bool) and value > 0:
            if value > _LARGEST:
                raise ValueError(f"expected a size of at most {_LARGEST:,}")
            return {"": value}
        case ast.Name(id=name) if name in names:
            return {name: 1}
        case ast.Name(id=name):
            raise ValueError(f"unknown size {name}")
        case ast.BinOp(op=ast.Add(), left=left, right=right):
            return add_terms([_read_terms(left, names), _read_terms(right, names)])
        case ast.BinOp(op=ast.Mult(), left=left, right=right):
            one, other = _read_terms(left, names), _read_terms(right, names)
            if one.keys() != {""}:
                one, other = other, one
            if one.keys() != {""}:
                raise ValueError("expected a number times a size")
            return {name: times * one[""] for name, times in other.items()}
        case _:
            raise ValueError("expected numbers above 0, names of sizes, + and *")


def add_terms(sizes: Iterable[Terms], sign: int = 1) -> Terms:
    """Return the first of several sizes plus the others, or minus them if ``sign`` is -1."""
    first, *others = sizes
    total = dict(first)
    for size in others:
        for name, times in size.items():
            total[name] = total.get(name, 0) + sign * times
    return {name: times for name, times in total.items() if times}


def size_text(terms: Terms) -> Size:
    """Return a size in its only text: units, features, other names, and the number last."""
    ranks = {name: rank for rank, name in enumerate(NAMED_SIZES)}
    names = sorted(terms, key=lambda name: (not name, ranks.get(name, len(ranks)), name))
    texts = {name: f"{terms[name]} * {name}" if terms[name] > 1 else name for name in names}
    return " + ".join(texts[name] if name else str(terms[name]) for name in names)


def _terms(size: Size) -> Terms:
    terms = Terms()
    for term in size.split(" + "):
        *factor, name = term.split(" * ")
        number = name.isdigit()
        terms["" if number else name] = int(name) if number else int(factor[0] if factor else 1)
    return terms


def size_names(size: Size) -> set[str]:
    """Return the names in a size."""
    return _terms(size).keys() - {""}


Partial = tuple["Size | None", ...]
"""A shape with None for the sizes that nothing has decided yet."""


def infer_shapes(
    lines: Sequence[Line],
    paths: Mapping[str, Path],
    shapes: Mapping[str, Shape],
) -> tuple[tuple[tuple[str, Shape], ...], tuple[tuple[str, Shape], ...]]:
    """Return the shape of each parameter, in the order in which they stand, and of each line.

    Args:
        lines: the lines, each name once.
        paths: the place of each line, for errors.
        shapes: those of inputs and states, and of lines and parameters if they are declared.

    Raises:
        EquationError: two shapes do not fit, or a shape does not follow.
    """
    inference = _Inference(lines, paths, dict(shapes))
    inference.settle()
    inference.errors.check()
    for line in lines:
        for part in walk(line.value):
            # By default, a query has as many elements as a step of the memory.
            if isinstance(part, Attend) and inference.infer(part.query) in (None, (None,)):
                inference.line = line
                inference.expect(part.query, (part.size,))
                inference.settle()
    for line in lines:
        for part in walk(line.value):
            # By default, a product has as many elements as the states.
            if isinstance(part, Product) and inference.infer(part) == (None,):
                inference.line = line
                inference.expect(part, ("units",))
                inference.settle()
    inference.check_decided()
    inference.errors.check()
    parameters: dict[str, Shape] = {}
    for line in lines:
        for part in walk(line.value):
            if isinstance(part, Name) and part.kind == "parameter":
                parameters[part.name] = _whole(inference.shapes[part.name] or ())
    of_lines = [(line.name, _whole(inference.shapes[line.name] or ())) for line in lines]
    return tuple(parameters.items()), tuple(of_lines)


def _other_factor(line: Line, matrix: Name) -> str:
    """Return a hint if a matrix multiplies a parameter, which may be meant for a state."""
    for part in walk(line.value):
        match part:
            case Product(matrix=Name(name=matrix.name), vector=Name(name=name, kind="parameter")):
                return f", or a state or {INPUT} for {name}, which is a parameter too"
            case _:
                pass
    return ""


def _whole(shape: Partial) -> Shape:
    return tuple(size for size in shape if size is not None)


@dataclass
class _Inference:
    """The shapes of names so far; a state has one, before and after the step."""

    lines: Sequence[Line]
    paths: Mapping[str, Path]
    shapes: dict[str, Partial]
    changed: set[str] = field(default_factory=set)
    errors: EquationErrors = field(default_factory=EquationErrors)
    refused: set[int] = field(default_factory=set)
    """The lines with an error, which decide nothing about others."""
    told: list[tuple[str, Partial | None]] = field(default_factory=list)
    """The names that the line has decided something about, with their shapes before it."""

    def __post_init__(self) -> None:
        self.line = self.lines[0]
        self.users = dict[str, list[int]]()
        for number, line in enumerate(self.lines):
            names = {part.name for part in walk(line.value) if isinstance(part, Name)}
            for name in names | {line.name}:
                self.users.setdefault(name, []).append(number)
        self.changed = set(self.users)

    def settle(self) -> None:
        """Infer the lines, again for each name that one of them has decided."""
        while self.changed:
            numbers = {number for name in self.changed for number in self.users.get(name, ())}
            self.changed.clear()
            for number in sorted(numbers - self.refused):
                self.told.clear()
                try:
                    self.infer_line(self.lines[number])
                except EquationError as error:
                    self.errors.add(error)
                    self.refused.add(number)
                    for name, shape in reversed(self.told):
                        self._restore(name, shape)

    def _restore(self, name: str, shape: Partial | None) -> None:
        if shape is None:
            del self.shapes[name]
        else:
            self.shapes[name] = shape

    def infer_line(self, line: Line) -> None:
        self.line = line
        shape = self.infer(line.value)
        declared = self.shapes.get(line.name)
        if declared is not None:
            if shape == () != declared:
                raise self._misfit(line.value, declared, shape)
            self.expect(line.value, declared)
            shape = _merge(declared, shape)
        if shape is not None:
            if len(shape) > 1:
                message = f"expected a vector or a scalar, received {_text(shape)}"
                raise self._error(line.value, message)
            self._tell(line.name, shape)

    def check_decided(self) -> None:
        """Check that all shapes follow; of those that depend on each other, tell one."""
        undecided = set[str]()
        for line in self.lines:
            names = [part for part in walk(line.value) if isinstance(part, Name)]
            known = undecided.isdisjoint(part.name for part in names)
            for part in names:
                if part.kind == "parameter" and not self._is_decided(part.name) and known:
                    message = (
                        f"the shape of {part.name} does not follow from the equations; "
                        f"write it under 'parameters'{_other_factor(line, part)}"
                    )
                    self.errors.add(EquationError(self.paths[line.name], part.column, message))
                    known = False
            if not self._is_decided(line.name) and known:
                message = (
                    f"the size of {line.name} does not follow from the equations; "
                    "write it under 'sizes'"
                )
                path = self.paths[line.name]
                self.errors.add(EquationError(path, line.value.column, message))
            undecided |= {
                name
                for name in (line.name, *(part.name for part in names))
                if not self._is_decided(name)
            }

    def _is_decided(self, name: str) -> bool:
        shape = self.shapes.get(name)
        return shape is not None and None not in shape

    def _tell(self, name: str, shape: Partial) -> None:
        if self.shapes.get(name) != shape:
            self.told.append((name, self.shapes.get(name)))
            self.shapes[name] = shape
            self.changed.add(name)

    def infer(  # noqa: PLR0912 - a branch for each kind of expression
        self, expression: Expression
    ) -> Partial | None:
        """Return the shape of a value as far as it is decided, or None."""
        match expression:
            case Number():
                return ()
            case Name(name=name):
                return self.shapes.get(name)
            case Apply(operand=operand):
                return self.infer(operand)
            case ApplyToVector(operand=operand, groups=groups):
                if groups > 1:
                    self._infer_parts(operand, groups)
                shape = self._infer_vector(operand)
                return () if expression.function in REDUCTIONS else shape
            case Features():
                return self._infer_features(expression)
            case Transpose(matrix=matrix):
                known = self.infer(matrix)
                if known is not None and len(known) != 2:
                    raise self._misfit(matrix, (None, None), known)
                return known and known[::-1]
            case Elementwise() | Choose():
                return self._join(expression)
            case Product(matrix=matrix, vector=vector):
                size = self._infer_vector(vector)
                expected = (None, *(size or (None,)))
                if (known := self.infer(matrix)) == ():
                    raise self._misfit(matrix, expected, known)
                if (rows_and_columns := _merge(known, expected)) != known:
                    self.expect(matrix, expected)
                rows, columns = rows_and_columns or (None, None)
                if size is None or size[0] != columns:
                    self.expect(vector, (columns,))
                return (rows,)
            case Concat(parts=parts):
                sizes = [(self._infer_vector(part) or (None,))[0] for part in parts]
                if None in sizes:
                    return (None,)
                return (size_text(add_terms([_terms(size) for size in sizes if size])),)
            case Part(operand=operand, count=count):
                return self._infer_parts(operand, count)
            case Attend(query=query, size=size_of_memory):
                self._infer_vector(query)
                return (size_of_memory,)
            case _:
                assert_never(expression)

    def _infer_parts(self, operand: Expression, count: int) -> Partial:
        """Return the shape of one of several equal parts of a vector."""
        whole = (self._infer_vector(operand) or (None,))[0]
        if whole is None:
            return (None,)
        try:
            return (divide_size(whole, count),)
        except ValueError:
            message = f"expected a vector of {count} equal parts, received {_text((whole,))}"
            raise self._error(operand, message) from None

    def _infer_features(self, part: Features) -> Partial:
        """Return the shape of features of a vector: none for a single one."""
        is_number = isinstance(part.places, int)
        whole = (self._infer_vector(part.operand) or (None,))[0]
        if whole is None:
            return () if is_number else (None,)
        try:
            size = part.size_of(whole)
        except ValueError:
            message = (
                f"expected both places from the beginning or both from the end, received "
                f"[{part.text}] of {_text((whole,))}"
            )
            raise self._error(part, message) from None
        if size is None:
            message = f"expected a vector that has [{part.text}], received {_text((whole,))}"
            raise self._error(part, message)
        return () if is_number else (size,)

    def _infer_vector(self, expression: Expression) -> Partial | None:
        """Return the shape of a value that must be a vector."""
        shape = self.infer(expression)
        if shape is not None and len(shape) != 1:
            raise self._misfit(expression, (None,), shape)
        return shape

    def _join(self, expression: Elementwise | Choose) -> Partial | None:
        """Return the shape of operands beside each other, which is decided for all of them."""
        shapes = [self.infer(operand) for operand in operands(expression)]
        if all(shape == () for shape in shapes):
            return ()

        def merge(one: Partial, other: Partial) -> Partial:
            merged = _merge(one, other)
            if merged is None:
                message = f"expected two equal shapes, received {_text(one)} and {_text(other)}"
                raise self._error(expression, message + self._product_hint(one, other))
            return merged

        # Beside a scalar, nothing decides the shape of another value.
        if not (known := [shape for shape in shapes if shape]):
            return None
        joined = reduce(merge, known)
        for operand, shape in zip(operands(expression), shapes, strict=True):
            # Otherwise each level would be inferred twice as often as the one above it.
            if shape not in (joined, ()):
                self.expect(operand, joined)
        return joined

    def expect(  # noqa: PLR0912 - a branch for each kind of expression
        self, expression: Expression, shape: Partial
    ) -> None:
        """Decide what is undecided of the shape of a value; a scalar goes with every shape."""
        known = self.infer(expression)
        if known == ():
            return
        merged = _merge(known, shape)
        if merged is None:
            raise self._misfit(expression, shape, known)
        if merged == known:
            return
        match expression:
            case Name(name=name):
                self._tell(name, merged)
            case Apply() | ApplyToVector() | Elementwise() | Choose():
                for operand in operands(expression):
                    self.expect(operand, merged)
            case Transpose(matrix=matrix):
                self.expect(matrix, merged[::-1])
            case Product(matrix=matrix):
                self.expect(matrix, (*merged, None))
            case Part(operand=operand, count=count):
                if merged[0] is not None:
                    whole = {name: count * times for name, times in _terms(merged[0]).items()}
                    self.expect(operand, (size_text(whole),))
            case Concat(parts=parts):
                self._expect_parts(expression, parts, merged)
            case Number() | Features() | Attend():
                pass
            case _:
                assert_never(expression)

    def _expect_parts(
        self, expression: Expression, parts: Sequence[Expression], shape: Partial
    ) -> None:
        """Decide the size of the only part of a vector that has none."""
        sizes = [self.infer(part) for part in parts]
        undecided = [i for i, size in enumerate(sizes) if size is None or size == (None,)]
        if shape[0] is None or len(undecided) != 1:
            for part in parts:
                self.expect(part, (None,))
            return
        known = [_terms(size[0]) for size in sizes if size and size[0] is not None]
        rest = add_terms([_terms(shape[0]), *known], -1)
        if not rest or min(rest.values()) < 0:
            received = f"parts of {' and '.join(size_text(size) for size in known)}, and another"
            raise self._error(expression, f"expected {_text(shape)}, received {received}")
        self.expect(parts[undecided[0]], (size_text(rest),))

    def _error(self, expression: Expression, message: str) -> EquationError:
        return EquationError(self.paths[self.line.name], expression.column, message)

    def _misfit(
        self, expression: Expression, expected: Partial, received: Partial | None
    ) -> EquationError:
        message = f"expected {_text(expected)}, received {_text(received or ())}"
        hint = self._product_hint(expected, received or ())
        return self._error(expression, message + hint)

    def _product_hint(self, one: Partial, other: Partial) -> str:
        """Return a hint at @ if * stands between a parameter and a vector of another size."""
        if len(one) != 1 or len(other) != 1:
            return ""
        own = self.shapes.get(self.line.name) or ("units",)
        for part in walk(self.line.value):
            match part:
                case Elementwise("*", Name(kind="parameter") as matrix, vector) | Elementwise(
                    "*", vector, Name(kind="parameter") as matrix
                ) if isinstance(vector, Name) and vector.kind != "parameter":
                    if self.infer(vector) not in (own, None, ()):
                        return (
                            f"; * is by element: write {matrix.name} @ {vector.name} for a matrix "
                            "times a vector"
                        )
                case _:
                    pass
        return ""


def _merge(one: Partial | None, other: Partial | None) -> Partial | None:
    """Return what two shapes of one value decide together, or None if they differ."""
    if one is None or other is None:
        return one if other is None else other
    if len(one) != len(other):
        return None
    pairs = list(zip(one, other, strict=True))
    if any(a != b for a, b in pairs if a is not None and b is not None):
        return None
    return tuple(b if a is None else a for a, b in pairs)


def _text(shape: Partial) -> str:
    match shape:
        case ():
            return "a scalar"
        case (None,):
            return "a vector"
        case (size,):
            return f"a vector of {size}"
        case (None, None):
            return "a matrix"
        case _:
            return f"a matrix of {' x '.join(size or 'n' for size in shape)}"
