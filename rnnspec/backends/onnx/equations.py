"""The equations of a cell as nodes: once, for all steps before a ``Scan``, and in its body.

A matrix is stored transposed, (in, out), so that it is the right factor of a product. Those of a
standard cell are side by side in the canonical arrays. The name of a value begins with a word, and
ends as the equations have it: ``Now_c`` is the new value of c in a step, ``Old_c`` the one before.
No other value of a graph begins with one of these words, so the names in a spec may be any.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeGuard, assert_never, cast

from rnnspec.backends.onnx.graph import Builder, OnnxGraph, OnnxNode, OnnxValue
from rnnspec.backends.onnx.slots import after, parameter_path, path_of
from rnnspec.ir.cells import applied_equations, place, states_of_equations
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
    Features,
    Line,
    Name,
    Number,
    Part,
    Product,
    Transpose,
    evaluate_size,
    interpolation,
    operands,
    walk,
)
from rnnspec.ir.forms import states_of
from rnnspec.ir.nodes import EquationCell, width
from rnnspec.ir.schedule import (
    JoinedProduct,
    JoinedSum,
    names_in,
    packed_arrays,
    schedule,
    targets,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rnnspec.backends.onnx.attention import StepContext
    from rnnspec.ir.equations import Expression, Size
    from rnnspec.ir.nodes import Recurrent
    from rnnspec.ir.schedule import ProductSlice, Statement
    from rnnspec.words import CellActivation

_OPERATORS = {
    "+": ("Add", "Sum"),
    "-": ("Sub", "Difference"),
    "*": ("Mul", "Product"),
    "/": ("Div", "Quotient"),
    "minimum": ("Min", "Minimum"),
    "maximum": ("Max", "Maximum"),
}
"""The operator of an operation, and the word that begins the name of its result."""
_COMPARISONS = {"<": "Less", "<=": "LessOrEqual", ">": "Greater", ">=": "GreaterOrEqual"}
_FUNCTIONS = {"exp": "Exp", "log": "Log", "sqrt": "Sqrt", "abs": "Abs"}
"""The operators of functions that are no activations."""


class EquationSteps:
    """The steps of one direction of a layer over ``x``, (steps, batch, features).

    What is computed before the loop is added at once. ``sequences`` are the values that the loop
    takes of it, each with its name in the body and its size. The names of arrays begin with
    ``owner``, those of other values with ``prefix``.
    """

    def __init__(self, into: Builder, layer: Recurrent, prefix: str, owner: str, x: str) -> None:
        self.layer, cell = layer, layer.cell
        self.equations = applied_equations(layer)
        self.states = [(name, size) for name, (_, size) in states_of_equations(layer).items()]
        self.known_sizes = {"units": layer.units, "features": layer.features}
        arrays: dict[Expression, str] = {}
        # The parameters that are side by side in each array.
        self.packed = dict[str, tuple[str, ...]]()
        if isinstance(cell, EquationCell):
            self.known_sizes |= cell.sizes
            for name, _ in self.equations.parameters:
                arrays[Name(name, "parameter")] = f"{owner}{parameter_path(name)}"
        else:
            for members in packed_arrays(cell):
                own, _ = place(members[0])
                self.packed[f"{owner}{path_of(own)}"] = members
        attends, packed = layer.leading is not None, tuple(self.packed.values())
        self.plan = schedule(self.equations, attends=attends, mixes=True, packed=packed)
        self.constants = {line.name: line.value for line in self.plan.constants}
        self.once = {name for statement in self.plan.once for name in targets(statement)}
        # In step form, states are named after the layer, too.
        names = {name for state in states_of(layer) for name in (state.name, after(state.name))}
        self.before = _Values(self, into, prefix, "All", x, names)
        self.before.known |= {**arrays, Name(INPUT, "input"): x}
        # What is packed stays one sequence, as importers read it, and is split in the loop. Other
        # cells take several: a node of each step costs more (MGU, one sequence: 1.2 of the time).
        before = self.plan.before if self.packed else ()
        self.splits = [part for part in before if self._only_splits(part)]
        in_loop = {part for part in (*self.splits, *self.plan.step) if isinstance(part, JoinedSum)}
        taken = {part for total in in_loop for part in total.slices}
        self.whole = {
            part.name
            for part in before
            if isinstance(part, JoinedProduct) and taken.issuperset(self.plan.slices_of(part.name))
        }
        if self.plan.once:
            self.before.add_once(self.plan.once)
        for statement in self.plan.before:
            if statement not in self.splits:
                self.before.add(statement)
        self.sequences: list[tuple[str, str, int]] = []
        # What follows from parameters is computed inside, where runtimes fold it as well: OpenVINO
        # refuses a body that takes values of other nodes from outside.
        body = Builder(constants=into.constants)
        self.step = _Values(self, body, "", "Now", f"Old_{self.states[0][0]}")
        self.step.known |= arrays
        split = {name: part.slices[0].product for part in self.splits for name in part.names}
        for name in dict.fromkeys(split.get(name, name) for name in self.plan.inputs):
            self._take(name, [part for part in self.plan.slices_of(name) if part in taken])
        for name in self.plan.repeated:
            first = len(self.sequences)
            self._take(name, [part for part in self.plan.slices_of(name) if part in taken])
            # Not from outside, as what follows from parameters.
            self.sequences[first:] = [
                (self.before.repeat(value), inside, size)
                for value, inside, size in self.sequences[first:]
            ]

    def _only_splits(self, part: Statement) -> TypeGuard[JoinedSum]:
        """True if a statement only splits a product of the input into what steps take."""
        return (
            isinstance(part, JoinedSum)
            and len(part.slices) == 1 < len(part.names)
            and set(part.names) <= set(self.plan.inputs)
            and not any(set(part.names) & set(names_in(other)) for other in self.plan.before)
        )

    def size(self, *sizes: Size) -> int:
        """Return the sum of sizes as a number."""
        return sum(evaluate_size(size, self.known_sizes) for size in sizes)

    def size_of(self, vector: Expression) -> int:
        """Return the size of a vector, 1 if it is a scalar."""
        match vector:
            case Name(name=name) if name in self.plan.sizes:
                return self.size(self.plan.sizes[name])
            case Product(matrix=matrix):
                return self._rows(matrix)
            case Concat(parts=parts):
                return sum(map(self.size_of, parts))
            case Part(operand=operand, count=count):
                return self.size_of(operand) // count
            case Features(operand=operand):
                return len(vector.range_of(self.size_of(operand)))
            case ApplyToVector(function=function) if function in REDUCTIONS:
                return 1
            case Attend(size=size):
                return self.size(size)
            case _:
                return max(map(self.size_of, operands(vector)), default=1)

    def _rows(self, matrix: Expression) -> int:
        shapes = {**dict(self.equations.parameters), **dict(self.equations.shapes)}
        match matrix:
            case Transpose(matrix=Name(name=name)):
                return self.size(shapes[name][1])
            case Name(name=name):
                return self.size(*shapes[name][:1])
            case _:
                return max(map(self._rows, operands(matrix)), default=0)

    def is_constant(self, value: Expression) -> bool:
        """True if a value follows from parameters only, so that it has no batch."""
        names = (part for part in walk(value) if isinstance(part, Name))
        return all(name.kind == "parameter" or name.name in self.constants for name in names)

    def _take(self, name: str, taken: Sequence[ProductSlice]) -> None:
        """Let the loop take a value of all steps, or the slices of it that it needs."""
        if name in self.whole:
            value, sizes = self.before.known[Name(name, "line")], self.before.parts[name]
            inside = self.step.name("Now", name)
            self.step.parts[name] = sizes
            self.step.split_product(name, inside)
            self.sequences.append((value, inside, self.size(*sizes)))
            return
        for part in taken:
            inside = self.step.name("Now" if len(taken) == 1 else "Part", name)
            self.step.slices[part] = inside
            sizes = self.before.parts[name][part.start : part.stop]
            self.sequences.append((self.before.slices[part], inside, self.size(*sizes)))
        if taken:
            return
        key = Name(name, "input" if name == INPUT else "line")
        inside = self.step.known[key] = self.step.name("Now", name)
        # With attention, the context stands behind what the loop takes.
        size = (
            width(self.layer.input) if name == INPUT else self.size(self.plan.sizes.get(name, "1"))
        )
        self.sequences.append((self.before.known[key], inside, size))

    def body(self, *, masked: bool, with_output: bool, context: StepContext | None) -> OnnxGraph:
        """Return the body, which takes the states and a step of each sequence."""
        into, step = self.step.into, self.step
        step.context = context
        if context and self.layer.leading:
            x = Name(INPUT, "input")
            parts = step.known[x], context.add(into, f"Old_{self.states[0][0]}")
            step.known[x] = into.add("Attending_x", "Concat", *parts, axis=-1)
        for name, _ in self.states:
            step.known[Name(name, "state")] = f"Old_{name}"
        for statement in (*self.splits, *self.plan.step):
            step.add(statement)
        results = [self._new_state(name) for name, _ in self.states]
        if masked:
            results = [
                into.add(f"Held_{name}", "Where", "Real_Now", new, f"Old_{name}")
                for (name, _), new in zip(self.states, results, strict=True)
            ]
        sizes = [size for _, size in self.states]
        inputs = [_vector(f"Old_{name}", size) for name, size in self.states]
        inputs += [_vector(inside, size) for _, inside, size in self.sequences]
        inputs += [OnnxValue("bool", ("?", 1), "Real_Now")] if masked else []
        outputs = [_vector(name, size) for name, size in zip(results, sizes, strict=True)]
        if with_output:
            outputs.append(_vector(into.add("Output", "Identity", results[0]), sizes[0]))
        if context and context.is_read:
            outputs.append(context.output)
        return OnnxGraph("Step", tuple(inputs), tuple(outputs), into.finish())

    def _new_state(self, name: str) -> str:
        """Return the new value of a state, which is that of a node of its own."""
        value, result = self.step.known[Name(name, "line")], f"Now_{name}"
        return value if value == result else self.step.into.add(result, "Identity", value)


def _vector(name: str, size: int) -> OnnxValue:
    return OnnxValue("float", ("?", size), name)


@dataclass(slots=True)
class _Values:
    """The values of one part of a graph, each expression once.

    The names of lines begin with ``word``, and all names with ``prefix``. ``like`` is a vector of
    each sequence. ``known`` has the names of values, and ``slices`` those of the parts of joined
    products, whose sizes are in ``parts``. A product that is ``waiting`` is one node with the sum
    that it is a term of. ``runs`` are the parts of an array with some of the parameters in it.
    ``first`` is the input of the first step, if something is the same at each, and ``context`` what
    a step asks, if it does.
    """

    steps: EquationSteps
    into: Builder
    prefix: str
    word: str
    like: str
    names: set[str] = field(default_factory=set)
    known: dict[Expression, str] = field(default_factory=dict)
    slices: dict[ProductSlice, str] = field(default_factory=dict)
    parts: dict[str, tuple[Size, ...]] = field(default_factory=dict)
    waiting: dict[ProductSlice, tuple[str, str, str]] = field(default_factory=dict)
    runs: dict[tuple[str, ...], str] = field(default_factory=dict)
    about: str = ""
    first: str = ""
    context: StepContext | None = None

    def name(self, word: str, about: str) -> str:
        """Return a name that no other value has."""
        name, number = f"{self.prefix}{word}_{about}", 1
        while name in self.names:
            number += 1
            name = f"{self.prefix}{word}_{about}_{number}"
        self.names.add(name)
        return name

    def add(self, statement: Statement) -> None:
        """Add the nodes of a statement."""
        match statement:
            case Line(name=name, value=value):
                self.about = name
                if name in self.steps.equations.states and self.steps.is_constant(value):
                    result = self._spread(value)
                else:
                    result = self.write(value, self.word)
                self.known[Name(name, "line")] = result
            case JoinedProduct():
                self.about = statement.name
                self._add_product(statement)
            case JoinedSum():
                self.about = statement.names[0]
                self._add_sum(statement)
            case _:
                assert_never(statement)

    def add_once(self, statements: Sequence[Statement]) -> None:
        """Add the nodes of what is the same at each step, (batch, size)."""
        word, like = self.word, self.like
        number = self.into.integers("Axis_0", 0)
        whole = self.into.add(f"{self.prefix}First_Step", "Gather", like, number, axis=0)
        self.word = "Once"
        self.like = self.first = self.into.add(f"{self.prefix}First", "Squeeze", whole, number)
        for statement in statements:
            self.add(statement)
        self.word, self.like = word, like

    def repeat(self, value: str) -> str:
        """Return a value that is known once at each step."""
        steps = self.into.add(self.name("Steps", "once"), "Shape", self.like, start=0, end=1)
        ones = self.into.integers("Ones_2", 1, 1)
        shape = self.into.add(self.name("Shape", "once"), "Concat", steps, ones, axis=0)
        return self.into.add(self.name("Each", "once"), "Expand", value, shape)

    def _add_product(self, product: JoinedProduct) -> None:
        steps, name = self.steps, product.name
        vector = self.write(product.vector)
        matrix = self._join(product.matrices, "Matrix", name)
        sizes = self.parts[name] = product.sizes
        slices = steps.plan.slices_of(name)
        biases = [
            steps.size(size) if bias is None else bias
            for bias, size in zip(product.biases, sizes[: len(product.biases)], strict=True)
        ]
        if self.word == "Now" and len(slices) == 1:
            bias = self._join(biases, "Bias", name) if biases else ""
            self.waiting[slices[0]] = vector, matrix, bias
            return
        word = "Times" if biases else self.word
        value = self.into.add(self.name(word, name), "MatMul", vector, matrix)
        if biases:
            bias = self._join(biases, "Bias", name)
            value = self.into.add(self.name(self.word, name), "Add", value, bias)
        if self.word == "All" and name in steps.whole:
            self.known[Name(name, "line")] = value
        else:
            self.split_product(name, value)

    def split_product(self, name: str, value: str) -> None:
        """Split the value of a joined product into its slices."""
        steps, sizes = self.steps, self.parts[name]
        slices = steps.plan.slices_of(name)
        widths = [steps.size(*sizes[part.start : part.stop]) for part in slices]
        names = [self.name("Part", name) for _ in slices] if len(slices) > 1 else [value]
        self._split(value, names, widths)
        self.slices |= zip(slices, names, strict=True)

    def _join(self, parts: Sequence[Expression | int], word: str, about: str) -> str:
        """Return matrices or biases beside each other; a number is that of zeros."""
        if packed := self._packed(parts, word):
            return packed
        values = [
            self._fill(0.0, part) if isinstance(part, int) else self.write(part) for part in parts
        ]
        if len(values) == 1:
            return values[0]
        return self.into.add(self.name(word, about), "Concat", *values, axis=-1)

    def _packed(self, parts: Sequence[Expression | int], word: str) -> str:
        """Return the array, or the part of one, that has parameters; empty if none has them."""
        names = tuple(part.name for part in parts if isinstance(part, Name))
        for array, members in self.steps.packed.items():
            if names == members:
                return array
            if set(names) <= set(members) and names not in self.runs:
                runs = {
                    tuple(part.name for part in parts if isinstance(part, Name)): product
                    for product in self.steps.plan.products
                    for parts in (product.matrices, product.biases)
                }
                runs = {run: part for run, part in runs.items() if run and set(run) <= set(members)}
                ordered = sorted(runs, key=lambda run: members.index(run[0]))
                values = [self.name(word, runs[run].name) for run in ordered]
                self._split(array, values, [len(run) * self.steps.layer.units for run in ordered])
                self.runs |= zip(ordered, values, strict=True)
        return self.runs.get(names, "")

    def _fill(self, number: float, size: int) -> str:
        """Return a vector of equal numbers."""
        shape = self.into.integers(f"Units_{size}", size)
        value = self.into.number("Number", number)
        return self.into.add(self.name("Filled", str(size)), "Expand", value, shape)

    def _add_sum(self, total: JoinedSum) -> None:
        into, count = self.into, len(total.names)
        ready = [self.slices[part] for part in total.slices if part in self.slices]
        products = [self.waiting[part] for part in total.slices if part in self.waiting]
        function = self._function_of_all(total.names) if count > 1 else ""
        word = "Sums" if count > 1 else self.word
        value, *ready = ready or [""]
        for other in ready:
            value = into.add(self.name(word, self.about), "Add", value, other)
        for vector, matrix, bias in products:
            term, rest = (value, bias) if value else (bias, "")
            operator, terms = ("Gemm", (term,)) if term else ("MatMul", ())
            value = into.add(self.name(word, self.about), operator, vector, matrix, *terms)
            if rest:
                value = into.add(self.name(word, self.about), "Add", value, rest)
        results = [Name(name, "line") for name in total.names]
        if count == 1:
            self.known[results[0]] = value
            return
        if function:
            value = self._apply(function, value, self.about)
        word = function.title() or self.word
        names = [self.name(word, name) for name in total.names]
        self._split(value, names, [self.steps.size(size) for size in total.sizes])
        keys = (Apply(function, result) if function else result for result in results)
        self.known |= zip(keys, names, strict=True)

    def _function_of_all(self, names: Sequence[str]) -> str:
        """Return the function that is all that is taken of some values, empty if there is none."""
        plan, values = self.steps.plan, {Name(name, "line") for name in names}
        functions = set[str]()
        for statement in plan.statements:
            if isinstance(statement, JoinedSum):
                continue
            whole = statement.value if isinstance(statement, Line) else statement.vector
            # As if each whole were the operand of something.
            for part in walk(Concat((whole,))):
                if values & set(operands(part)):
                    functions.add(part.function if isinstance(part, Apply) else "")
        return functions.pop() if len(functions) == 1 else ""

    def _split(self, value: str, names: Sequence[str], sizes: Sequence[int]) -> None:
        if len(names) == 1:
            return
        inputs, options = [value], {"axis": -1}
        if len(set(sizes)) == 1:
            options["num_outputs"] = len(names)
        else:
            about = f"Sizes_{'_'.join(map(str, sizes))}"
            inputs.append(self.into.integers(about, *sizes))
        self.into.node(OnnxNode(tuple(names), "Split", tuple(inputs), tuple(options.items())))

    def write(self, expression: Expression, word: str = "") -> str:
        """Add the nodes of an expression, unless they are there, and return its value.

        ``word`` begins the name of the last one.
        """
        if expression not in self.known:
            self.known[expression] = self._add(expression, word)
        return self.known[expression]

    def _add(  # noqa: PLR0912 - a branch for each kind of expression
        self, expression: Expression, word: str
    ) -> str:
        into, write = self.into, self.write

        def new(default: str) -> str:
            return self.name(word or default, self.about)

        match expression:
            case Number(value=number):
                return into.number("Number", number)
            case Transpose(matrix=matrix):
                return into.add(new("Transposed"), "Transpose", write(matrix), perm=(1, 0))
            case Apply(function="linear", operand=operand):
                return write(operand, word)
            case Apply(function=function, operand=operand):
                return self._apply(function, write(operand), self.about, word)
            case Elementwise(operator="-", left=Number(value=0.0), right=right):
                return into.add(new("Negative"), "Neg", write(right))
            case Elementwise(operator=operation, left=left, right=right):
                if idiom := self._idiom(expression, word):
                    return idiom
                sides = write(left), write(right)
                operator, default = _OPERATORS[operation]
                return into.add(new(default), operator, *sides)
            case Product(matrix=matrix, vector=vector):
                return into.add(new("Times"), "MatMul", write(vector), write(matrix))
            case Choose(comparison=comparison):
                one, other, chosen, otherwise = map(write, operands(expression))
                compare = _COMPARISONS[comparison]
                condition = into.add(self.name("Compared", self.about), compare, one, other)
                return into.add(new("Chosen"), "Where", condition, chosen, otherwise)
            case ApplyToVector(function="softmax", operand=operand):
                return into.add(new("Softmax"), "Softmax", write(operand), axis=-1)
            case ApplyToVector(function="standardize"):
                return self._standardize(expression, word)
            case ApplyToVector(function="norm", operand=operand):
                squares = self.name("Squares", self.about)
                total = into.add(
                    squares, "ReduceSumSquare", write(operand), self._last_axis(), keepdims=1
                )
                sides = total, into.number("Number", NORM_EPSILON)
                total = into.add(self.name("Sum", self.about), "Add", *sides)
                return into.add(new("Norm"), "Sqrt", total)
            case ApplyToVector(function=function, operand=operand):
                operator = f"Reduce{function.capitalize()}"
                sides = write(operand), self._last_axis()
                return into.add(new(function.capitalize()), operator, *sides, keepdims=1)
            case Features(operand=operand):
                places = expression.range_of(self.steps.size_of(operand))
                ends = (into.integers(f"Feature_{at}", at) for at in (places.start, places.stop))
                whole = self.first if expression.once else write(operand)
                inputs = (whole, *ends, self._last_axis())
                return into.add(new("Features"), "Slice", *inputs)
            case Concat(parts=parts):
                values = [self._write_spread(part, expression) for part in parts]
                return into.add(new("Concat"), "Concat", *values, axis=-1)
            case Part(operand=operand, index=index, count=count):
                return self._part(operand, index, count)
            case Attend(query=query):
                assert self.context is not None, "lowering gives what a cell asks a memory"
                asked, name = write(query), self.name("Context", self.about)
                return self.context.add(into, asked, name, self.name("Query", self.about))
            case Name(name=name):
                # A constant, when it is first needed.
                about, self.about = self.about, name
                value = write(self.steps.constants[name], "Once")
                self.about = about
                return value
            case _:
                assert_never(expression)

    def _apply(self, function: str, x: str, about: str, word: str = "") -> str:
        name = self.name(word or function.title(), about)
        if function in _FUNCTIONS:
            return self.into.add(name, _FUNCTIONS[function], x)
        if function == "silu":
            sigmoid = self.into.add(self.name("Sigmoid", about), "Sigmoid", x)
            return self.into.add(name, "Mul", x, sigmoid)
        return self.into.activate(name, x, cast("CellActivation", function))

    def _idiom(self, expression: Elementwise, word: str) -> str:
        """Add fewer nodes than the operations of an expression, if there are such."""
        into, write = self.into, self.write
        swapped = Elementwise(expression.operator, expression.right, expression.left)
        if mixed := interpolation(expression):
            # n + z (h - n): one product instead of two.
            start, end, by = map(write, mixed)
            away = into.add(self.name("Difference", self.about), "Sub", end, start)
            far = into.add(self.name("Product", self.about), "Mul", by, away)
            return into.add(self.name(word or "Sum", self.about), "Add", start, far)
        for one in (expression, swapped):
            match one:
                case Elementwise("*", ApplyToVector("standardize") as vector, Name() as scale) if (
                    self._is_vector(scale)
                ):
                    return self._standardize(vector, word, scale)
                case Elementwise(
                    "+",
                    Elementwise("*", ApplyToVector("standardize") as vector, scale),
                    Name() as b,
                ) | Elementwise(
                    "+",
                    Elementwise("*", scale, ApplyToVector("standardize") as vector),
                    Name() as b,
                ) if self._is_vector(scale) and self._is_vector(b):
                    return self._standardize(vector, word, scale, b)
                case _:
                    pass
        return ""

    def _is_vector(self, expression: Expression) -> bool:
        """True if an expression is a parameter, and a vector."""
        match expression:
            case Name(name=name, kind="parameter"):
                return name in self.steps.plan.sizes
            case _:
                return False

    def _last_axis(self) -> str:
        return self.into.integers("Axis_last", -1)

    def _standardize(self, vector: ApplyToVector, word: str, *arrays: Expression) -> str:
        x = self.write(vector.operand)
        values = [*map(self.write, arrays)] or [self._fill(1.0, self.steps.size_of(vector))]
        name = self.name(word or "Standard", self.about)
        return self.into.add(name, "LayerNormalization", x, *values, epsilon=vector.epsilon)

    def _write_spread(self, part: Expression, whole: Concat) -> str:
        """Return the value of a part of a vector, with as many axes as the others."""
        is_alone = self.steps.is_constant(part) and not self.steps.is_constant(whole)
        is_once = isinstance(part, Name) and part.name in self.steps.once
        if is_once and self.word == "All":
            return self.repeat(self.write(part))
        return self._spread(part) if is_alone else self.write(part)

    def _spread(self, vector: Expression) -> str:
        """Return a vector of parameters once for each sequence, and for each step of it."""
        value, size = self.write(vector), self.steps.size_of(vector)
        batch = self.into.add(self.name("Batch", self.about), "Shape", self.like, start=0, end=-1)
        units = self.into.integers(f"Units_{size}", size)
        shape = self.into.add(self.name("Shape", self.about), "Concat", batch, units, axis=0)
        return self.into.add(self.name("Spread", self.about), "Expand", value, shape)

    def _part(self, operand: Expression, index: int, count: int) -> str:
        """Return a part of a vector, and remember the others."""
        whole = self.write(operand)
        names = [self.name("Part", self.about) for _ in range(count)]
        self._split(whole, names, [1] * count)
        self.known |= {Part(operand, at, count): name for at, name in enumerate(names)}
        return names[index]
