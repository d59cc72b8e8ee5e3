"""The step of a cell in C, from its equations.

The numbers of a step are vectors in memory: those of the gates side by side, then those of
products apart. A function of a whole vector is applied in place, to all neighbours that have it at
once: small loops that a compiler can keep in registers. The rest goes through all vectors in one
loop.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, assert_never

from rnnspec.backends.c.names import Activation, activation, loop, number
from rnnspec.ir.cells import activations
from rnnspec.ir.equations import (
    Apply,
    Elementwise,
    Expression,
    Line,
    Name,
    Number,
    interpolation,
    walk,
)
from rnnspec.ir.nodes import GRU, LSTM, SimpleRNN
from rnnspec.ir.schedule import JoinedProduct, JoinedSum, gates_of, packed_schedule
from rnnspec.source.code import Code
from rnnspec.source.expressions import ExpressionWriter

if TYPE_CHECKING:
    from rnnspec.ir.nodes import StandardCell
    from rnnspec.ir.schedule import Schedule, Statement


@dataclass(frozen=True, slots=True)
class Vector:
    """A vector of numbers: one of several that are side by side behind a pointer.

    ``size`` is the number of elements as it is called in C. ``offset`` is that of a part of another
    vector.
    """

    pointer: str
    place: int = 0
    size: str = "units"
    offset: str = ""

    @property
    def text(self) -> str:
        """The pointer to its first number."""
        offset = self._offset(self.place)
        return f"{self.pointer} + {offset}" if offset else self.pointer

    def element(self, before: int = 0) -> Code:
        """Return its element ``u``, or that of the vector some places before it."""
        offset = self._offset(self.place - before)
        return Code(f"{self.pointer}[{offset} + u]" if offset else f"{self.pointer}[u]")

    def _offset(self, place: int) -> str:
        return times(place, self.size) if place else self.offset


def times(count: int, size: str = "units") -> str:
    """Return a number of sizes in C."""
    return size if count == 1 else f"{count} * {size}"


_LINEAR = Activation("linear")


@dataclass(frozen=True, slots=True)
class CellText:
    """A step of a cell: its lines, and those of a function apart, in which nothing overlaps.

    ``states`` are all of them, ``scratch`` is the number of vectors behind ``r`` beside those of
    the gates. ``alias`` declares a pointer to the vectors of one gate. ``functions`` are the
    activations that the lines call.
    """

    title: str
    gates: int
    states: tuple[str, ...]
    scratch: int
    lines: tuple[str, ...]
    apart: tuple[str, ...]
    alias: str
    functions: frozenset[str]

    @property
    def memory(self) -> dict[str, int]:
        """The pointers of a whole sequence, and how many vectors there are before each."""
        names = [*self.states, *(["r"] if self.scratch else []), "chunk"]
        places = [*range(len(self.states) + 1), len(self.states) + self.scratch]
        return dict(zip(names, [*places[: len(names) - 1], places[-1]], strict=True))


@dataclass(slots=True)
class Elements(ExpressionWriter):
    """Expressions of the elements ``u``, of vectors some places before those that are named."""

    prefix: str = ""
    activations: dict[str, Activation] = field(default_factory=dict)
    vectors: dict[str, Vector] = field(default_factory=dict)
    before: int = 0
    called: set[str] = field(default_factory=set)

    def find(self, name: Name) -> Vector:
        """Return the vector that has the value of a name."""
        return self.vectors[name.name]

    def vectors_in(self, expression: Expression) -> set[Vector]:
        """Return the vectors that have the values in an expression."""
        return {self.find(part) for part in walk(expression) if isinstance(part, Name)}

    def write_number(self, value: float) -> Code:
        """Return the literal of a number."""
        return Code(number(value))

    def write_name(self, name: Name, binding: int) -> Code:  # noqa: ARG002 - it never needs parentheses
        """Return the element of a vector."""
        return self.find(name).element(self.before)

    def activate(self, function: str, value: Code | str) -> Code:
        """Return the call of a function of one number."""
        own = self.activations[function]
        self.called.add(own.name)
        return Code(f"{self.prefix}_{own.name}({value}{own.more})")

    def idiom(self, expression: Elementwise) -> Code | None:
        """Return a product and a sum in one."""
        if mixed := interpolation(expression):
            start, end, share = mixed
            return self._madd(share, Elementwise("-", end, start), start)
        match expression:
            case Elementwise("+", Elementwise("*", one, other), added) | Elementwise(
                "+", added, Elementwise("*", one, other)
            ):
                return self._madd(one, other, added)
            case Elementwise("-", added, Elementwise("*", one, other)):
                return self._madd(negative(one), other, added)
            case _:
                return None

    def _madd(self, *parts: Expression) -> Code:
        self.called.add("madd")
        return Code(f"{self.prefix.upper()}_MADD({', '.join(map(self.write, parts))})")


@dataclass(slots=True)
class Run:
    """Neighbouring vectors that one loop assigns, one function changes, or both.

    If it is ``repeated``, the only statement is that of all of them.
    """

    function: str
    bound: str
    statements: list[str]
    targets: list[Vector]
    repeated: bool = False

    @property
    def count(self) -> int:
        """The number of vectors."""
        return len(self.targets)

    def add(self, target: Vector, *, repeated: bool = False) -> None:
        """Add a vector, to which the same statement applies if it is ``repeated``."""
        self.targets.append(target)
        self.repeated = repeated


@dataclass(slots=True, kw_only=True)
class Lines:
    """The lines of a step so far; ``waiting`` are the statements of a loop up to ``bound``.

    ``sums`` are the names of sums of products.
    """

    writer: Elements
    sums: set[str] = field(default_factory=set)
    lines: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    bound: str = ""
    run: Run | None = None

    def assign(self, target: Vector, value: Expression | None, function: str = "") -> None:
        """Assign a value to a vector, and apply a function to it in place.

        If the value is None, it is there already.
        """
        run, writer = self.run, self.writer
        bound = target.size
        text = "" if value is None else _assignment(target, writer.write(value))
        if run and self.is_next(run, target) and (run.function, run.bound) == (function, bound):
            writer.before = run.count
            shifted = _assignment(target, writer.write(value), run.count) if value else ""
            writer.before = 0
            if [shifted] == run.statements and run.repeated == (run.count > 1):
                run.add(target, repeated=True)
                return
            reads = writer.vectors_in(value) if value else set()
            if function and not run.repeated and not reads & set(run.targets):
                run.statements += [text] if text else []
                run.add(target)
                return
        self._close()
        self.run = Run(function, bound, [text] if text else [], [target])

    def is_next(self, run: Run, target: Vector) -> bool:
        """Return whether a vector is behind those of a run."""
        return target == replace(run.targets[0], place=run.targets[0].place + run.count)

    def _close(self) -> None:
        run, self.run = self.run, None
        if run is None:
            return
        count = times(run.count, run.bound)
        if run.statements:
            bound = count if run.repeated else run.bound
            if self.bound != bound:
                self._end_loop()
            self.bound = bound
            self.waiting += run.statements
        own = self.writer.activations.get(run.function, _LINEAR)
        if own.name != "linear":
            self._end_loop()
            self.writer.called.add(own.function)
            call = f"{self.writer.prefix}_{own.function}"
            self.lines.append(f"{call}({run.targets[0].text}, {count}{own.more});")

    def _end_loop(self) -> None:
        if self.waiting:
            self.lines += loop("u", self.bound, self.waiting)
        self.waiting = []

    def finish(self) -> None:
        """Add the lines of what is left."""
        self._close()
        self._end_loop()


def negative(value: Expression) -> Expression:
    """Return a value with the other sign."""
    if isinstance(value, Number):
        return Number(-value.value)
    return Elementwise("-", Number(0.0), value)


def _assignment(target: Vector, value: str, before: int = 0) -> str:
    element = target.element(before)
    if value.startswith(f"{element} + "):
        return f"{element} += {value.removeprefix(f'{element} + ')};"
    return f"{element} = {value};"


@dataclass(slots=True, kw_only=True)
class _Steps(Lines):
    """The lines of a step of a standard cell."""

    plan: Schedule
    gates: str
    """The gates in the order of the arrays."""
    product: str
    biased: bool
    """True if the recurrent product has a bias of its own."""
    apart: list[str] = field(default_factory=list)
    scratch: int = 0

    def add(self, statement: Statement) -> None:
        """Add the lines of a statement."""
        match statement:
            case JoinedProduct():
                # It is written with its sum, and that of the input before all steps.
                pass
            case JoinedSum():
                self._add_sum(statement)
            case Line(name=name):
                if name not in self.writer.vectors or name in self.plan.states:
                    self._add_line(statement)
            case _:
                assert_never(statement)

    def _add_sum(self, total: JoinedSum) -> None:
        """Place the sums, which are behind ``z`` if the input is in them, and multiply the state.

        The functions of whole gates are applied in place, in the order of the gates.
        """
        self.sums.update(total.names)
        products = self.plan.products_of(total)
        of_state = [product for product in products if product in self.plan.products]
        pointer = "z" if len(of_state) < len(products) else "r"
        for place, name in enumerate(total.names, total.slices[0].start):
            is_candidate = pointer == "z" and self.gates[place] == "n"
            self.writer.vectors[name] = Vector("n") if is_candidate else Vector(pointer, place)
        for product in of_state:
            self._multiply(product, self.writer.vectors[total.names[0]], joined=pointer == "z")
        for name, (line, function) in self.plan.functions_of(total).items():
            self._add_line(Line(line, Apply(function, Name(name, "line"))))

    def _multiply(self, product: JoinedProduct, total: Vector, *, joined: bool) -> None:
        if isinstance(product.vector, Name):
            x = self.writer.find(product.vector).text
        else:
            x, self.scratch = "r", 1
            self.assign(Vector("r"), product.vector)
        self.finish()
        count, before = len(product.matrices), self.gates.index(gates_of(product)[0])
        weights, columns, rounded = ["recurrent"], times(count), self.product.endswith("_int8")
        if rounded:
            weights.append("recurrent_scale")
        if before:
            self.lines.append("/* The weights of the candidate are behind those of the gates. */")
            places = (f"{times(before)} * units", times(before))
            weights = [f"{name} + {place}" for name, place in zip(weights, places, strict=False)]
        start = total.text
        if not joined:
            self.scratch = count
            start = "recurrent_bias" if self.biased else start
            if not self.biased:
                self.lines.append(f"memset({start}, 0, {columns} * sizeof(float));")
        arguments = f"{', '.join(weights)}, {start}, {x}, units, {columns}, {total.text}"
        self.lines.append(f"{self.writer.prefix}_{self.product}({arguments});")
        if not joined:
            # What follows is a function apart, so that compilers know that nothing overlaps:
            # layers may be so small that a check costs.
            self.apart, self.lines = self.lines, self.apart

    def _add_line(self, line: Line) -> None:
        state = self.writer.vectors[line.name] if line.name in self.plan.states else None
        function, operand = "", line.value
        if isinstance(operand, Apply) and (not state or self._is_sum(operand.operand)):
            function, operand = operand.function, operand.operand
        if self._is_sum(operand) and isinstance(operand, Name):
            target = self.writer.find(operand)
            self.assign(target, None, function)
        elif state:
            self.assign(state, operand)
            return
        else:
            parts = (part for part in walk(operand) if isinstance(part, Name))
            target = next(self.writer.find(part) for part in parts if self._is_sum(part))
            self.assign(target, operand, function)
        if state:
            self.finish()
            self.lines.append(f"memcpy({state.text}, {target.text}, units * sizeof(float));")
        else:
            self.writer.vectors[line.name] = target

    def _is_sum(self, expression: Expression) -> bool:
        return isinstance(expression, Name) and expression.name in self.sums


def cell_text(
    cell: StandardCell, prefix: str, product: str, order: str, *, biased: bool
) -> CellText:
    """Return the text of a step, whose products are computed by the function ``product``.

    ``order`` is that of the gates. ``biased`` is true if the recurrent product has a bias of its
    own.
    """
    plan = packed_schedule(cell, bias=True, order=order)
    functions = {key: activation(value) for key, value in activations(cell).items()}
    texts = {key: "" if own.name == "linear" else own.name for key, own in functions.items()}
    writer = Elements(texts, prefix=prefix, activations=functions)
    writer.vectors = {state: Vector(state) for state in plan.states}
    alias = ""
    if "n" in order:
        alias = f"float *const n = {Vector('z', order.index('n')).text};"
    steps = _Steps(writer=writer, plan=plan, gates=order, product=product, biased=biased)
    for statement in (*plan.before, *plan.step):
        steps.add(statement)
    steps.finish()
    lines, apart = steps.lines, steps.apart
    if apart:
        lines, apart = apart, lines
    return CellText(
        title=_TITLES[name_cell(cell)],
        gates=len(order),
        states=plan.states,
        scratch=steps.scratch,
        lines=tuple(lines),
        apart=tuple(apart),
        alias=alias,
        functions=frozenset(writer.called),
    )


_TITLES = {
    "simple": "a simple recurrent layer",
    "lstm": "an LSTM",
    "gru": "a GRU that resets after the product",
    "gru_reset_first": "a GRU that resets before the product",
}


def name_cell(cell: StandardCell) -> str:
    """Return what the function of a cell is called."""
    match cell:
        case SimpleRNN():
            return "simple"
        case LSTM():
            return "lstm"
        case GRU(reset_after=reset_after):
            return "gru" if reset_after else "gru_reset_first"
        case _:
            assert_never(cell)
