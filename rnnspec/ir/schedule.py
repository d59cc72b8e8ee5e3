"""The order in which code computes the equations of a cell: once, for all steps, or in each step.

It is what a person would do by hand. What depends on no state is computed for all steps before the
loop, with all matrices that multiply the input as one, and so are in the loop the matrices that
multiply the same vector. What depends on parameters only is computed once, and what depends on an
input that is the same at each step, once for each sequence.

Parameters may be *packed*, side by side in one array. Then the parts of a product are in the order
of the array, and so are the lines that they go into; a product in the loop is added up as a whole
or, where one of its parts has another place, each part apart; and a packed bias goes with its
product.
"""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache, reduce
from typing import TYPE_CHECKING, Literal, assert_never, get_args

from rnnspec.ir.cells import ARRAYS, gates, place
from rnnspec.ir.cells import equations as cell_equations
from rnnspec.ir.equations import (
    INPUT,
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
    Shape,
    Size,
    Transpose,
    divide_size,
    interpolation,
    operands,
    rewrite,
    walk,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from rnnspec.ir.equations import Equations, Operator
    from rnnspec.ir.nodes import StandardCell

When = Literal["constant", "once", "before", "step"]
"""When a value is known.

It follows from parameters, from what is the same at each step, from the input, or from a state.
"""
_ORDER: Mapping[When, int] = {when: place for place, when in enumerate(get_args(When))}


@dataclass(frozen=True, slots=True)
class JoinedProduct:
    """Matrices, one above the other, times the same vector, and biases.

    The value is a vector of the parts in order, of these ``sizes``. A matrix, like a bias, is an
    expression of parameters. There are as many biases as matrices, with None for a part that has
    none, or there are none at all.
    """

    name: str
    matrices: tuple[Expression, ...]
    sizes: tuple[Size, ...]
    vector: Expression
    biases: tuple[Expression | None, ...]

    @property
    def label(self) -> str:
        """The beginning of the names of its matrix, bias and masks."""
        return self.name.removesuffix("_product")


@dataclass(frozen=True, slots=True)
class ProductSlice:
    """The parts of a joined product from one on to before another."""

    product: str
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class JoinedSum:
    """The sum of slices of joined products, whose parts are the values of ``names``."""

    names: tuple[str, ...]
    sizes: tuple[Size, ...]
    slices: tuple[ProductSlice, ...]


Statement = JoinedProduct | JoinedSum | Line


@dataclass(frozen=True, slots=True)
class Schedule:
    """The statements of a cell; each name is assigned once.

    ``constants`` are computed once, ``once`` for each sequence, ``before`` for all steps at once,
    and ``step`` in each step. ``inputs`` are the values of ``before`` that a step uses, and the
    input itself if it does; ``repeated`` are those of ``once``.
    ``sizes`` are those of all values that are vectors, joined products included.
    """

    states: tuple[str, ...]
    constants: tuple[Line, ...]
    once: tuple[Statement, ...]
    before: tuple[Statement, ...]
    step: tuple[Statement, ...]
    inputs: tuple[str, ...]
    repeated: tuple[str, ...]
    sizes: Mapping[str, Size]

    @property
    def statements(self) -> tuple[Statement, ...]:
        """All statements but constants."""
        return (*self.once, *self.before, *self.step)

    @property
    def products(self) -> tuple[JoinedProduct, ...]:
        """The joined products in a step."""
        return tuple(part for part in self.step if isinstance(part, JoinedProduct))

    def products_of(self, total: JoinedSum) -> tuple[JoinedProduct, ...]:
        """Return the joined products that a sum has slices of."""
        products = {s.name: s for s in self.statements if isinstance(s, JoinedProduct)}
        return tuple(products[part.product] for part in total.slices)

    def slices_of(self, product: str) -> list[ProductSlice]:
        """Return the slices of a product that sums take, each once."""
        sums = (part for part in self.statements if isinstance(part, JoinedSum))
        slices = {part: None for total in sums for part in total.slices if part.product == product}
        return sorted(slices, key=lambda part: part.start)

    def functions_of(self, total: JoinedSum) -> dict[str, tuple[str, str]]:
        """Return the line that is a function of each sum, if one is, and that function.

        No line that gives a state its new value is among them.
        """
        applied = dict[str, tuple[str, str]]()
        for line in self.statements:
            match line:
                case Line(name=name, value=Apply(function=function, operand=Name(name=operand))):
                    if operand in total.names and name not in self.states:
                        applied[operand] = name, function
                case _:
                    pass
        return {name: applied[name] for name in total.names if name in applied}


def most_common_function(applied: Mapping[str, tuple[str, str]]) -> tuple[str, int]:
    """Return the function that most sums are under, the first of several, and their number."""
    functions = Counter(function for _, function in applied.values())
    return functions.most_common(1)[0] if functions else ("", 0)


@lru_cache
def schedule(
    equations: Equations,
    *,
    shares: bool = True,
    attends: bool = False,
    mixes: bool = False,
    packed: tuple[tuple[str, ...], ...] = (),
) -> Schedule:
    """Return the schedule of equations.

    If it ``shares`` parts, repeated lines have one part of a joined product between them; otherwise
    each part goes into one sum, so that products can be added up in its place. If the layer
    ``attends``, the input has the context in it, and is known in the step. If it ``mixes`` values
    in one operation, 1 - z stays beside z. ``packed`` are the parameters in each array of several,
    in their order.
    """
    places = {name: place for array in packed for place, name in enumerate(array)}
    folded = _fold_numbers(equations)
    return _Scheduler(folded, places, shares=shares, attends=attends, mixes=mixes).run()


@lru_cache
def packed_schedule(cell: StandardCell, *, bias: bool, order: str = "") -> Schedule:
    """Return the schedule of a cell whose gates are side by side in the canonical arrays.

    ``order`` is that of the gates in the arrays, by default the canonical one.
    """
    return schedule(cell_equations(cell, bias=bias), packed=packed_arrays(cell, order))


def packed_arrays(cell: StandardCell, order: str = "") -> tuple[tuple[str, ...], ...]:
    """Return the parameters that are side by side in each canonical array of a cell."""
    return tuple(tuple(f"{letter}_{gate}" for gate in order or gates(cell)) for letter in ARRAYS)


def gates_of(product: JoinedProduct) -> str:
    """Return the gates that a packed product has parts for, in their order."""
    names = (matrix.name for matrix in product.matrices if isinstance(matrix, Name))
    return "".join(place(name)[1] for name in names)


_ARITHMETIC: Mapping[Operator, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "minimum": min,
    "maximum": max,
}


def _fold_numbers(equations: Equations) -> Equations:
    """Return equations in which a number stands for arithmetic of numbers, and 1 is no factor."""
    numbers = dict[str, Number]()

    def change(expression: Expression) -> Expression | None:
        match expression:
            case Name(name=name):
                return numbers.get(name)
            case Elementwise(operator=operator, left=left, right=right):
                one, other = rewrite(left, change), rewrite(right, change)
                if operator in "*/" and other == Number(1.0):
                    return one
                if operator == "*" and one == Number(1.0):
                    return other
                if not (isinstance(one, Number) and isinstance(other, Number)):
                    return replace(expression, left=one, right=other)
                if operator == "/" and other.value == 0.0:
                    return None
                return Number(_ARITHMETIC[operator](one.value, other.value))
            case _:
                return None

    lines = list[Line]()
    for line in equations.lines:
        value = rewrite(line.value, change)
        if isinstance(value, Number):
            numbers[line.name] = value
        else:
            lines.append(replace(line, value=value))
    return replace(equations, lines=tuple(lines))


@dataclass(frozen=True, slots=True)
class _Sum:
    """The products of a sum, and the bias that goes with each, or None."""

    name: str
    size: Size
    products: tuple[Product, ...]
    biases: tuple[Expression | None, ...]

    @property
    def vectors(self) -> tuple[Expression, ...]:
        """The vectors of the products, which are equal for sums that can be one."""
        return tuple(product.vector for product in self.products)


def shape_of(expression: Expression, shapes: Mapping[str, Shape]) -> Shape:
    """Return the shape of a value, given those of all names."""
    match expression:
        case Number():
            return ()
        case Name(name=name):
            return shapes[name]
        case Transpose(matrix=matrix):
            return shapes[matrix.name][::-1]
        case Product(matrix=matrix):
            return shape_of(matrix, shapes)[:1]
        case Concat(parts=parts):
            return (" + ".join(shape_of(part, shapes)[0] for part in parts),)
        case Part(operand=operand, count=count):
            return (divide_size(shape_of(operand, shapes)[0], count),)
        case Features(operand=operand, places=places):
            whole = shape_of(operand, shapes)[0]
            size = None if isinstance(places, int) else expression.size_of(whole)
            return (size,) if size else ()
        case ApplyToVector(function=function) if function in REDUCTIONS:
            return ()
        case Attend(size=size_of_memory):
            return (size_of_memory,)
        case Apply() | ApplyToVector() | Elementwise() | Choose():
            # A scalar goes with all elements of the others.
            return max((shape_of(part, shapes) for part in operands(expression)), key=len)
        case _:
            assert_never(expression)


class _Scheduler:
    """The values so far, when each is known, and the sums of products, which are yet to join.

    ``places`` are those of packed parameters in their arrays, ``apart`` the vectors whose products
    are not added up as a whole.
    """

    def __init__(
        self,
        equations: Equations,
        places: Mapping[str, int],
        *,
        shares: bool,
        attends: bool,
        mixes: bool,
    ) -> None:
        self.equations, self.places = equations, places
        self.shares, self.mixes = shares, mixes
        self.shapes: dict[str, Shape] = {
            INPUT: ("features",),
            **dict(equations.parameters),
            **dict(equations.shapes),
        }
        self.when: dict[str, When] = {INPUT: "step" if attends else "before"}
        self.constants: list[Line] = []
        self.lines: list[Line] = []
        self.sums: dict[str, _Sum] = {}
        # A number behind a name that is there already.
        self.numbers: Counter[str] = Counter(dict.fromkeys(self.shapes, 1))

        self.apart: set[Expression] = set()

    def run(self) -> Schedule:
        for line in self.equations.lines:
            self.when[line.name] = self._when(line.value)
            # A state has its value in the loop, even if it follows from the input alone.
            if line.name in self.equations.states:
                self.when[line.name] = "step"
        if self.places:
            self.apart = self._vectors_apart()
        for line in self._ordered_lines():
            self._add(line)
        statements = list(self._statements())
        once, before, step = (
            tuple(s for s in statements if self._when_of(s) == when)
            for when in ("once", "before", "step")
        )
        used = {name for statement in step for name in names_in(statement)}
        given = [INPUT, *(name for statement in before for name in targets(statement))]
        return Schedule(
            states=self.equations.states,
            constants=tuple(self.constants),
            once=once,
            before=before,
            step=step,
            inputs=tuple(name for name in given if name in used),
            repeated=tuple(name for s in once for name in targets(s) if name in used),
            sizes={name: shape[0] for name, shape in self.shapes.items() if len(shape) == 1},
        )

    def _vectors_apart(self) -> set[Expression]:
        """Return the vectors of a step whose products go into sums with different others."""
        others = dict[Expression, set[tuple[Expression, ...]]]()
        for line in self.equations.lines:
            for terms in _sums_in(line.value):
                vectors = tuple(term.vector for term in terms if isinstance(term, Product))
                for vector in vectors:
                    others.setdefault(vector, set()).add(vectors)
        return {
            vector
            for vector, sums in others.items()
            if len(sums) > 1 and self._when(vector) == "step"
        }

    def _ordered_lines(self) -> Iterator[Line]:
        """Yield lines by their packed parameters, none before another that it needs."""
        waiting, states = list(self.equations.lines), self.equations.states
        while self.places and waiting:
            names = {line.name for line in waiting}
            # A state gets its new value when nothing is left that needs the old one.
            ready = [
                line
                for line in waiting
                if line == waiting[0] or (line.name not in states and not _lines_in(line) & names)
            ]
            yield (first := min(ready, key=lambda line: self._place(line.value)))
            waiting.remove(first)
        yield from waiting

    def _place(self, expression: Expression) -> int:
        """Return the first place of a packed parameter in an expression, or one behind all."""
        names = (part.name for part in walk(expression) if isinstance(part, Name))
        places = (self.places[name] for name in names if name in self.places)
        return min(places, default=len(self.places))

    def _new(self, name: str, shape: Shape, when: When) -> Name:
        """Return a name that is not taken: the same, or with a number."""
        self.numbers[name] += 1
        if self.numbers[name] > 1:
            return self._new(f"{name}_{self.numbers[name]}", shape, when)
        self.shapes[name], self.when[name] = shape, when
        return Name(name, "line")

    def _when(self, expression: Expression) -> When:
        match expression:
            case Features(once=True):
                return "once"
            case Attend() | Name(kind="state"):
                # A memory is asked in the step, even if the query is known before.
                return "step"
            case Name(name=name):
                return self.when.get(name, "constant")
            case Transpose(matrix=matrix):
                return self._when(matrix)
            case _:
                return _latest(map(self._when, operands(expression)))

    def _add(self, line: Line) -> None:
        """Add a line, in which names stand for its sums and for what is known before the loop."""
        value = self._take_out(line.value, line.name, self.when[line.name])
        if self.when[line.name] == "constant":
            self.constants.append(replace(line, value=value))
        else:
            self.lines.append(replace(line, value=value))

    def _take_out(self, expression: Expression, about: str, when: When) -> Expression:
        """Return an expression with a name for each part that is known before ``when``.

        ``about`` is the name of the line, whose value is known then.
        """

        def change(part: Expression) -> Expression | None:
            if isinstance(part, Number | Name | Transpose):
                return None
            earlier = self._when(part)
            mixed = interpolation(part) if self.mixes and earlier == when else None
            if mixed and self._when(mixed[-1]) != when:
                start, end, share = (self._take_out(value, about, when) for value in mixed)
                rest = Elementwise("-", Number(1.0), share)
                kept, new = Elementwise("*", share, end), Elementwise("*", rest, start)
                return Elementwise("+", kept, new)
            if isinstance(part, ApplyToVector) and part.groups > 1 and earlier == when:
                return self._in_groups(part, about, when)
            if earlier == when:
                return self._take_out_sum(part, about) if when != "constant" else None
            if earlier == "constant":
                name = self._new(f"{about}_constant", self._shape(part), "constant")
                self.constants.append(Line(name.name, self._take_out(part, about, "constant")))
                return name
            ending = "x" if earlier == "before" else "once"
            name = self._new(f"{about}_{ending}", self._shape(part), earlier)
            self.lines.append(Line(name.name, self._take_out(part, about, earlier)))
            return name

        return rewrite(expression, change)

    def _in_groups(self, softmax: ApplyToVector, about: str, when: When) -> Expression:
        """Return the softmax of each group, side by side."""
        vector = self._take_out(softmax.operand, about, when)
        if not isinstance(vector, Name):
            name = self._new(f"{about}_groups", self._shape(vector), when)
            (self.constants if when == "constant" else self.lines).append(Line(name.name, vector))
            vector = name
        groups = softmax.groups
        parts = (Part(vector, index, groups) for index in range(groups))
        return Concat(tuple(replace(softmax, operand=part, groups=1) for part in parts))

    def _take_out_sum(self, expression: Expression, about: str) -> Expression | None:
        """Return a sum with one name for all its products, or None if it has none.

        There is a name for each if a product is not added up as a whole.
        """
        vectors = dict[Expression, Product]()
        biases = dict[Expression, Expression]()
        rest = list[tuple[bool, Expression]]()
        last: Expression | None = None
        when = self._when(expression)
        for negative, term in _terms(expression):
            is_first = isinstance(term, Product) and not negative and term.vector not in vectors
            # What is added up in place is gone at the next step.
            is_first = is_first and (self.shares or when == "once" or self._when(term) != "once")
            if isinstance(term, Product) and is_first and self._when(term) != "constant":
                last = term.vector
                vectors[last] = replace(term, vector=self._take_out(last, about, self._when(last)))
            elif last and not negative and isinstance(term, Name) and term.name in self.places:
                biases[last] = term
            else:
                rest.append((negative, term))
        if not vectors:
            return None
        products = tuple(vectors.values())
        size = self._shape(products[0])[0]
        first = next((v for v, product in vectors.items() if self._when(product) != "step"), None)
        if first is not None and first not in biases:
            own = [term for negative, term in rest if not negative and self._is_bias(term, size)]
            rest = [(negative, term) for negative, term in rest if negative or term not in own]
            if own:
                bias = reduce(lambda one, other: Elementwise("+", one, other), own)
                biases[first] = self._take_out(bias, about, "constant")
        whole = tuple(biases.get(vector) for vector in vectors)
        if self.apart.isdisjoint(vectors):
            parts = [(products, whole)]
        else:
            parts = [((product,), (bias,)) for product, bias in zip(products, whole, strict=True)]
        result: Expression = self._add_sum(about, size, *parts[0])
        for part in parts[1:]:
            result = Elementwise("+", result, self._add_sum(about, size, *part))
        for negative, term in self._with_earlier_as_one(rest, when):
            value = self._take_out(term, about, when)
            result = Elementwise("-" if negative else "+", result, value)
        return result

    def _with_earlier_as_one(
        self, terms: list[tuple[bool, Expression]], when: When
    ) -> list[tuple[bool, Expression]]:
        """Return the terms of a sum, with those that are known before it as one, the first."""
        earlier = [term for term in terms if self._when(term[1]) != when]
        later = [term for term in terms if term not in earlier]
        added = [term for negative, term in earlier if not negative]
        if len(earlier) < 2 or not added:
            return terms
        total = reduce(lambda one, other: Elementwise("+", one, other), added)
        for term in (term for negative, term in earlier if negative):
            total = Elementwise("-", total, term)
        return [(False, total), *later]

    def _add_sum(
        self,
        about: str,
        size: Size,
        products: tuple[Product, ...],
        biases: tuple[Expression | None, ...],
    ) -> Name:
        """Return the name of a new sum of products."""
        name = self._new(f"{about}_sum", (size,), _latest(map(self._when, products)))
        self.sums[name.name] = _Sum(name.name, size, products, biases)
        return name

    def _is_bias(self, term: Expression, size: Size) -> bool:
        return self._when(term) == "constant" and self._shape(term) == (size,)

    def _shape(self, expression: Expression) -> Shape:
        return shape_of(expression, self.shapes)

    def _statements(self) -> Iterator[Statement]:
        """Yield the lines, each after the joined products and sums that it needs."""
        groups = dict[tuple[Expression, ...], list[_Sum]]()
        for total in sorted(self.sums.values(), key=lambda total: self._place(total.products[0])):
            groups.setdefault(total.vectors, []).append(total)
        joined, slices = self._join(list(groups.values()))
        group_of = {total.name: totals for totals in groups.values() for total in totals}
        done = set[str]()

        def need(expressions: Sequence[Expression]) -> Iterator[Statement]:
            for expression in expressions:
                for part in walk(expression):
                    if isinstance(part, Name) and part.name in group_of and part.name not in done:
                        yield from give(group_of[part.name])

        def give(totals: list[_Sum]) -> Iterator[Statement]:
            done.update(total.name for total in totals)
            parts = slices[totals[0].name]
            for part in parts:
                if part.product not in done:
                    done.add(part.product)
                    product = joined[part.product]
                    yield from need([product.vector])
                    yield product
            names = tuple(total.name for total in totals)
            yield JoinedSum(names, tuple(total.size for total in totals), parts)

        for line in self.lines:
            yield from need([line.value])
            yield line

    def _join(
        self, groups: Sequence[Sequence[_Sum]]
    ) -> tuple[dict[str, JoinedProduct], dict[str, tuple[ProductSlice, ...]]]:
        """Return the joined products, and the slices that each sum is made of."""
        members = dict[Expression, list[tuple[Expression, Size, Expression | None]]]()
        places = dict[str, list[tuple[Expression, int, int]]]()
        alone = dict[tuple[Expression, Expression, Expression | None], tuple[int, int]]()
        for totals in groups:
            for index, vector in enumerate(totals[0].vectors):
                parts = members.setdefault(vector, [])
                start = len(parts)
                own = [(t.products[index].matrix, t.size, t.biases[index]) for t in totals]
                if len(totals) == 1 and self.shares:
                    # Repeated lines have the same product of the input.
                    matrix, _, bias = own[0]
                    content = vector, matrix, bias
                    if content in alone:
                        places.setdefault(totals[0].name, []).append((vector, *alone[content]))
                        continue
                    alone[content] = start, start + 1
                parts += own
                for total in totals:
                    places.setdefault(total.name, []).append((vector, start, len(parts)))
        products = dict[Expression, JoinedProduct]()
        for vector, parts in members.items():
            matrices, sizes, biases = zip(*parts, strict=True)
            label = vector.name if isinstance(vector, Name) else "vector"
            name = self._new(f"{label}_product", (" + ".join(sizes),), self._when(vector))
            joined_biases = biases if any(biases) else ()
            products[vector] = JoinedProduct(name.name, matrices, sizes, vector, joined_biases)
        slices = {
            total: tuple(ProductSlice(products[vector].name, *span) for vector, *span in spans)
            for total, spans in places.items()
        }
        return {product.name: product for product in products.values()}, slices

    def _when_of(self, statement: Statement) -> When:
        return self.when[targets(statement)[0]]


def _latest(kinds: Iterable[When]) -> When:
    """Return when what is made of some values is known."""
    return max(kinds, key=_ORDER.__getitem__, default="constant")


def _terms(expression: Expression, *, negative: bool = False) -> Iterator[tuple[bool, Expression]]:
    """Yield the terms of a sum, each with true if it is subtracted."""
    match expression:
        case Elementwise(operator="+" | "-" as operator, left=left, right=right):
            yield from _terms(left, negative=negative)
            yield from _terms(right, negative=negative != (operator == "-"))
        case _:
            yield negative, expression


def _sums_in(expression: Expression) -> Iterator[list[Expression]]:
    """Yield the terms of each sum in an expression, or a term by itself."""
    terms = [term for _, term in _terms(expression)]
    yield terms
    for term in terms:
        for operand in operands(term):
            yield from _sums_in(operand)


def _lines_in(line: Line) -> set[str]:
    parts = walk(line.value)
    return {part.name for part in parts if isinstance(part, Name) and part.kind == "line"}


def targets(statement: Statement) -> tuple[str, ...]:
    """Return the names that a statement gives a value."""
    return statement.names if isinstance(statement, JoinedSum) else (statement.name,)


def names_in(statement: Statement) -> Iterator[str]:
    """Yield the names whose values a statement takes, but for states."""
    match statement:
        case JoinedSum(slices=slices):
            yield from (part.product for part in slices)
        case JoinedProduct(vector=value) | Line(value=value):
            yield from (
                part.name for part in walk(value) if isinstance(part, Name) and part.kind != "state"
            )
