"""The source of classes that run a cell of a spec's own equations as a scan over the steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from rnnspec.backends.docstrings import ATTENDS
from rnnspec.backends.jax.cells import ACTIVATIONS, FLAT, make_initializer
from rnnspec.backends.jax.recurrent import (
    attributes_of_attention,
    describe_result,
    modules_of_attention,
    write_scan,
    write_signature,
    write_step,
)
from rnnspec.errors import Refusal
from rnnspec.ir.branches import guard_branches
from rnnspec.ir.equations import (
    ApplyToVector,
    Concat,
    Line,
    Name,
    walk,
)
from rnnspec.ir.nodes import EquationCell, Recurrent, cell_expressions
from rnnspec.ir.notation import describe
from rnnspec.ir.schedule import JoinedProduct, JoinedSum, schedule
from rnnspec.source.code import Code, code, docstring, function, lines, listed
from rnnspec.source.expressions import Calls, ExpressionWriter

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from rnnspec.backends.jax.cells import CellClass
    from rnnspec.ir.equations import Expression, Shape, Size
    from rnnspec.ir.forms import Form
    from rnnspec.ir.nodes import Network
    from rnnspec.ir.schedule import Slice, Statement

_FUNCTIONS: Mapping[str, str] = {
    **{str(name): function for name, function in ACTIVATIONS.items()},
    "exp": "jnp.exp",
    "log": "jnp.log",
    "sqrt": "jnp.sqrt",
    "abs": "jnp.abs",
}
_CALLS = Calls(
    bound="jnp.{}({}, {})",
    transpose="{}.T",
    choose="jnp.where({}, {}, {})",
    softmax="jax.nn.softmax({})",
    standardize="standardized({}, {!r})",
    concat="joined({})",
    part="jnp.split({}, {!r}, axis=-1)[{!r}]",
)
_TYPES = {
    "dropout": code("float"),
    "recurrent_dropout": code("float"),
    "return_sequences": code("bool"),
}
_STANDARDIZED = code('''
    def standardized(x: jax.Array, epsilon: float) -> jax.Array:
        """Return vectors with a mean of 0, and a variance of 1 but for epsilon."""
        centred = x - x.mean(axis=-1, keepdims=True)
        variance = (centred * centred).mean(axis=-1, keepdims=True)
        return centred / jnp.sqrt(variance + epsilon)
''')
_JOINED = code('''
    def joined(*vectors: jax.Array) -> jax.Array:
        """Return vectors one after the other; one that has no batch goes with each sequence."""
        shape = jnp.broadcast_shapes(*(vector.shape[:-1] for vector in vectors))
        whole = [jnp.broadcast_to(v, (*shape, v.shape[-1])) for v in vectors]
        return jnp.concatenate(whole, axis=-1)
''')


def functions_of_cells(network: Network) -> Iterator[Code]:
    """Yield the functions that the cells of a network need."""
    expressions = list(cell_expressions(network))
    if any(isinstance(part, ApplyToVector) and part.epsilon for part in expressions):
        yield _STANDARDIZED
    if any(isinstance(part, Concat) for part in expressions):
        yield _JOINED


def mask_refusals(network: Network) -> Iterator[Refusal]:
    """Yield a refusal of masks on a state that goes into parts of several sizes at once."""
    for layer in network.layers:
        if not (isinstance(layer, Recurrent) and isinstance(layer.cell, EquationCell)):
            continue
        steps = schedule(guard_branches(layer.cell.equations, FLAT)).step
        joined = (s for s in steps if isinstance(s, JoinedProduct))
        if layer.recurrent_dropout and any(len(set(product.sizes)) > 1 for product in joined):
            reason = "one vector is multiplied by matrices of several sizes, each with its own mask"
            yield Refusal(layer.name, "recurrent_dropout", reason)


class EquationClass:
    """The writer of the class of a cell."""

    def __init__(self, class_: CellClass, form: Form) -> None:
        self.class_, self.form, self.layer = class_, form, class_.first
        assert isinstance(self.layer.cell, EquationCell)
        self.cell = self.layer.cell
        self.parameters = self.cell.equations.parameters
        self.schedule = schedule(guard_branches(self.cell.equations, FLAT))
        statements = (*self.schedule.before, *self.schedule.step)
        self.products = {s.name: s for s in statements if isinstance(s, JoinedProduct)}
        variables = {name: code("{}", text) for name, text in class_.variables.items()}
        self.writer = ExpressionWriter(_FUNCTIONS, variables, _CALLS)
        self.parts: dict[Slice, Code] = {}
        if self.layer.masked:
            states = self.cell.equations.states
            self.writer.new_states |= {s: f"new_{self._variable(s)}" for s in states}

    def write(self) -> Code:
        """Return the class."""
        call = self._call()
        about = [ATTENDS, ""] if self.layer.attention else []
        equations = describe(self.cell.equations, 80)
        return code(
            """
            class {}(nnx.Module):
                {}

                {}

                {}
            """,
            self.class_.name,
            docstring([f"The cell {self.cell.name}.", "", *about, *equations]),
            self._init([name for name in ("features", "units") if f"self.{name}" in call]),
            call,
        )

    @property
    def _drops_input(self) -> bool:
        return "dropout" in self.class_.options

    @property
    def _drops_states(self) -> bool:
        return self.layer.recurrent_dropout > 0

    def _variable(self, name: str) -> str:
        return self.class_.variables.get(name, name)

    def _init(self, sizes: Sequence[str]) -> Code:
        options = [code("{}: {}", option, _TYPES[option]) for option in self.class_.options]
        if self.class_.turns:
            options.append(code("reverse: bool = False"))
        options += modules_of_attention(self.class_)
        if self.form == "training":
            options.append(code("rngs: nnx.Rngs"))
        attributes = [*sizes]
        if "return_sequences" in self.class_.options:
            attributes.append("return_sequences")
        if self.class_.turns:
            attributes.append("reverse")
        attributes += attributes_of_attention(self.class_)
        dropout = code("self.dropout = nnx.Dropout(dropout, broadcast_dims=(1,), rngs=rngs)")
        recurrent = code("self.recurrent_dropout = nnx.Dropout(recurrent_dropout, rngs=rngs)")
        body = lines(
            lines(code("self.{} = {}", name, name) for name in attributes),
            dropout if self._drops_input else Code(),
            recurrent if self._drops_states else Code(),
            lines(self._arrays()),
        )
        arguments = listed(
            "self",
            code("features: int"),
            code("units: int"),
            code("*") if options else Code(),
            *options,
        )
        return function(code("__init__({}) -> None", arguments), body or code("super().__init__()"))

    def _arrays(self) -> Iterator[Code]:
        shared = dict[Code, str]()
        for name, shape in self.parameters:
            sizes = [self._size(size, "") for size in shape]
            text = code("({},)", sizes[0]) if len(sizes) == 1 else code("({})", listed(*sizes))
            value = code("jnp.zeros({}, jnp.float32)", text)
            if self.form == "training":
                initializer = self._initializer(name, shape)
                if initializer not in shared:
                    shared[initializer] = f"init_{len(shared) + 1}"
                    yield code("{} = {}", shared[initializer], initializer)
                value = code("{}(rngs.params(), {}, jnp.float32)", shared[initializer], text)
            yield code("self.{} = nnx.Param({})", self._variable(name), value)

    def _initializer(self, name: str, shape: Shape) -> Code:
        return make_initializer(dict(self.cell.initializers)[name], rows_first=len(shape) == 2)

    def _size(self, size: Size, owner: str = "self.", number: int = 1) -> Code:
        """Return a size, or a number of times that, in the sizes that are attributes."""
        known = {name: str(value) for name, value in self.cell.sizes}
        terms = list[Code]()
        for term in size.split(" + "):
            *factor, name = term.split(" * ")
            text = known.get(name) or (name if name.isdigit() else f"{owner}{name}")
            terms.append(code(f"{' * '.join(factor)} * {{}}" if factor else "{}", Code(text)))
        total = Code(" + ".join(terms))
        if number == 1:
            return total
        return code("{!r} * ({})" if len(terms) > 1 else "{!r} * {}", number, total)

    def _sum(self, sizes: Sequence[Size]) -> Code:
        """Return the sum of sizes."""
        numbers = {size: sizes.count(size) for size in sizes}
        return Code(" + ".join(self._size(size, number=n) for size, n in numbers.items()))

    def _call(self) -> Code:
        before, step = self.schedule.before, self.schedule.step
        inputs = [self._variable(name) for name in self.schedule.inputs]
        # Beside a product with a state, one with the inputs of all steps before the scan is slower
        # on a CPU: in inference, a peephole LSTM takes 2.1 times as long (batch 32, 100 steps, 64
        # units). A linear recurrence, which has none, takes 0.44 times as long with it (512 steps,
        # batch 8), and twice as long in training with an associative scan.
        # The input of a cell with attention has a context, which is known in the step.
        if self.layer.attention or any(isinstance(each, JoinedProduct) for each in step):
            before, step, inputs = (), (*before, *step), ["x"]
        return code(
            """
            {signature}:
                {docstring}
                {drop}
                x = x.swapaxes(0, 1)
                {parameters}
                {constants}
                {kernels}
                {before}

                {step}

                {zeros}
                {scan}
            """,
            signature=write_signature(self.class_),
            docstring=describe_result(self.class_),
            drop=code("x = self.dropout(x)") if self._drops_input else Code(),
            parameters=lines(self._parameters()),
            constants=lines(self._statements(self.schedule.constants)),
            kernels=lines(map(self._kernels, self.products.values())),
            before=lines(self._statements(before)),
            step=write_step(
                self.class_, inputs, lines(*self._statements(step), *self._kept_states())
            ),
            zeros=Code() if self.class_.sequences == "with_state" else lines(self._zeros()),
            scan=write_scan(
                self.class_,
                inputs,
                [code("zeros_{}", self._variable(name)) for name, _ in self.layer.states],
            ),
        )

    def _parameters(self) -> Iterator[Code]:
        """Yield variables for the parameters that are no matrix or bias of a joined product."""
        statements = (*self.schedule.constants, *self.schedule.before, *self.schedule.step)
        used = dict[str, None]()
        for statement in statements:
            used |= dict.fromkeys(_parameters_apart(statement))
        for name in used:
            yield code("{n} = self.{n}[...]", n=self._variable(name))

    def _array(self, expression: Expression) -> Code:
        """Return a matrix or a bias of a joined product."""
        match expression:
            case Name(name=name, kind="parameter"):
                return code("self.{}[...]", self._variable(name))
            case _:
                return self.writer.write(expression)

    def _zeros(self) -> Iterator[Code]:
        memory = code("memory") if self.layer.attention else Code()
        arrays = [code("self.{}[...]", self._variable(name)) for name, _ in self.parameters]
        like = listed("x", memory, *arrays[:1])
        yield code("dtype = jnp.result_type({})", like)
        shapes = dict(self.cell.equations.shapes)
        for name, _ in self.layer.states:
            size = self._size(shapes[name][0])
            yield code("zeros_{} = jnp.zeros((x.shape[1], {}), dtype)", self._variable(name), size)

    def _transposed(self, product: JoinedProduct) -> Code:
        """Return the matrices one beside the other, (size of the vector, all sizes)."""
        parts = [self._array(matrix) for matrix in product.matrices]
        if len(parts) > 1:
            return code("jnp.concatenate([{}]).T", listed(*parts))
        return code("{}.T" if isinstance(product.matrices[0], Name) else "({}).T", parts[0])

    def _kernels(self, product: JoinedProduct) -> Code:
        """Return the statements of the kernel of a product, and of its bias or masks."""
        label = product.label
        statements = [code("{}_kernel = {}", label, self._transposed(product))]
        if product.biases:
            first = next(bias for bias in product.biases if bias is not None)
            like = code("{}" if isinstance(first, Name) else "({})", self._array(first))
            parts = [
                code("jnp.zeros({}, {}.dtype)", self._size(size), like)
                if bias is None
                else self._array(bias)
                for bias, size in zip(product.biases, product.sizes, strict=True)
            ]
            several = code("jnp.concatenate([{}])", listed(*parts))
            bias = parts[0] if len(parts) == 1 else several
            statements.append(code("{}_bias = {}", label, bias))
        if self._drops(product):
            sizes = code("{!r}, x.shape[1], len({}_kernel)", len(product.matrices), label)
            masks = code("gate_masks(self.recurrent_dropout, {}_kernel, {})", label, sizes)
            statements.append(code("{}_masks = {}", label, masks))
        return lines(statements)

    def _drops(self, product: JoinedProduct) -> bool:
        """True if in training the vector of a product has masks, because it is or has a state."""
        return self._drops_states and product in self.schedule.step

    def _statements(self, statements: Sequence[Statement]) -> Iterator[Code]:
        for statement in statements:
            match statement:
                case JoinedProduct(name=name):
                    yield code("{} = {}", name, self._product(statement))
                    yield self._split_product(statement)
                case JoinedSum():
                    yield self._add(statement)
                case Line(name=name, value=value):
                    target = self.writer.new_states.get(name) or self._variable(name)
                    text = self.writer.write(value)
                    if name in self.cell.equations.states and not self._has_batch(value):
                        text = code("jnp.broadcast_to({}, {}.shape)", text, self._variable(name))
                    yield code("{} = {}", target, text)
                case _:
                    assert_never(statement)

    def _has_batch(self, value: Expression) -> bool:
        """True if a value is of each sequence, which one of parameters alone is not."""
        constants = {line.name for line in self.schedule.constants}
        names = (part for part in walk(value) if isinstance(part, Name))
        return any(part.kind != "parameter" and part.name not in constants for part in names)

    def _kept_states(self) -> Iterator[Code]:
        """Yield the statements that leave states as they are at padding.

        They are at the end of a step: a step of padding that saw one state move and another stay
        could divide by zero, and its gradient would not be a number.
        """
        for state, new in self.writer.new_states.items():
            yield code("{s} = jnp.where(real, {}, {s})", new, s=self._variable(state))

    def _product(self, product: JoinedProduct) -> Code:
        label = product.label
        if self._drops(product):
            vector = self.writer.write(product.vector)
            return code("gate_products({}, {n}_kernel, {n}_masks)", vector, n=label)
        text = code("{} @ {}_kernel", self.writer.write(product.vector, 3), label)
        return code("{} + {}_bias", text, label) if product.biases else text

    def _split_product(self, product: JoinedProduct) -> Code:
        """Return the statement that splits a product into the parts that sums take, if any does."""
        parts = self.schedule.slices_of(product.name)
        if len(parts) < 2:
            self.parts |= {part: code("{}", product.name) for part in parts}
            return Code()
        # The gradient of a slice would be as large as the product: an MGU takes 1.8 times as long
        # with slices in training (a batch of one sequence, 100 steps, 64 units).
        names = [code("{}_part_{!r}", product.name, n + 1) for n in range(len(parts))]
        self.parts |= zip(parts, names, strict=True)
        sizes = [self._sum(product.sizes[part.start : part.stop]) for part in parts]
        ends = [self._sum(product.sizes[: part.stop]) for part in parts[:-1]]
        return self._split(names, code("{}", product.name), sizes, ends)

    def _add(self, statement: JoinedSum) -> Code:
        names = [code("{}", self._variable(name)) for name in statement.names]
        ends = [self._sum(statement.sizes[:end]) for end in range(1, len(names))]
        total = Code(" + ".join(self.parts[part] for part in statement.slices))
        return self._split(names, total, statement.sizes, ends)

    def _split(
        self, names: Sequence[Code], value: Code, sizes: Sequence[str], ends: Sequence[Code]
    ) -> Code:
        """Return the statement that gives names to the parts of a value."""
        if len(names) == 1:
            return code("{} = {}", names[0], value)
        equal = len(set(sizes)) == 1
        where = code("{!r}", len(names)) if equal else code("[{}]", listed(*ends))
        return code("{} = jnp.split({}, {}, axis=-1)", listed(*names), value, where)


def _parameters_apart(statement: Statement) -> Iterator[str]:
    match statement:
        case JoinedSum():
            return
        case Line(value=value):
            parts: Iterable[Expression] = [value]
        case JoinedProduct():
            arrays = (*statement.matrices, *statement.biases)
            made = [part for part in arrays if part is not None and not isinstance(part, Name)]
            parts = [statement.vector, *made]
    for whole in parts:
        for part in walk(whole):
            if isinstance(part, Name) and part.kind == "parameter":
                yield part.name
