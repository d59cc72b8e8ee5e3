"""The source of classes that run a recurrent layer as a scan over the steps.

A standard cell has its parameters packed in the canonical arrays, a cell of a spec's own equations
has an array for each.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, assert_never

from rnnspec.backends.docstrings import ASKS, ATTENDS, RETURNS, recurrent_docstring
from rnnspec.backends.jax.cells import ACTIVATIONS, arrays, attention_class, plan_of
from rnnspec.ir.cells import activations, equations, gates
from rnnspec.ir.equations import Line, Name, walk
from rnnspec.ir.nodes import LSTM, EquationCell
from rnnspec.ir.notation import describe
from rnnspec.ir.schedule import JoinedProduct, JoinedSum, gates_of, most_common_function
from rnnspec.ir.text import cell_name
from rnnspec.source.code import Code, code, docstring, function, lines, listed
from rnnspec.source.expressions import Calls, ExpressionWriter

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from rnnspec.backends.jax.cells import CellClass
    from rnnspec.ir.equations import Expression, Size
    from rnnspec.ir.forms import Form
    from rnnspec.ir.schedule import ProductSlice, Statement

_SUMMARIES = {
    "RNN": "A simple recurrent layer.",
    "LSTM": "An LSTM; its gates are in the order input, forget, candidate, output.",
    "GRU": "A GRU; its gates are in the order update, reset, candidate.",
    "ResetFirstGRU": "A GRU with the reset gate before the product: update, reset, candidate.",
}
_TYPES = {
    "activation": code("Callable[[jax.Array], jax.Array]"),
    "recurrent_activation": code("Callable[[jax.Array], jax.Array]"),
    "dropout": code("float"),
    "recurrent_dropout": code("float"),
    "return_sequences": code("bool"),
    "kernel_init": code("nnx.Initializer"),
    "recurrent_init": code("nnx.Initializer"),
    "bias_init": code("nnx.Initializer"),
    "forget_bias": code("float"),
}
_KEPT = ("activation", "recurrent_activation", "return_sequences", "reverse")
"""The arguments that a class keeps as they are, if its method uses them."""
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
    reduce="jnp.{}({}, axis=-1, keepdims=True)",
    norm="jnp.sqrt(jnp.sum(jnp.square({}), axis=-1, keepdims=True) + {!r})",
    attend="attend({})",
    once="x[0, :, {}]",
)
_ARRAY = code("jax.Array")


def recurrent_class(class_: CellClass, form: Form) -> Code:
    """Return the source of a class that runs a cell as a scan over the steps."""
    writer = _Scan(class_, form)
    call = writer.call()
    return code(
        """
        class {}(nnx.Module):
            {}

            {}

            {}
        """,
        class_.name,
        _describe(class_),
        writer.init([name for name in ("features", "units", *_KEPT) if f"self.{name}" in call]),
        call,
    )


def _describe(class_: CellClass) -> Code:
    """Return the docstring of a class."""
    layer, cell = class_.first, class_.first.cell
    if isinstance(cell, EquationCell):
        about = [ATTENDS, ""] if layer.leading else []
        if layer.attention and not layer.leading:
            about = [ASKS.format(layer.attention.asked_as), ""]
        return docstring([f"The cell {cell.name}.", "", *about, *describe(cell.equations, 80)])
    summary = _SUMMARIES[cell_name(cell)]
    if layer.attention:
        return docstring([summary, "", ATTENDS])
    return recurrent_docstring(summary, layer, drops_input="dropout" in class_.options)


class _Scan:
    """The writer of a class: what precedes the scan, and a step.

    ``gates`` are those of packed parameters, empty for a cell by equations. ``pieces`` are the
    values of the slices of joined products, but for the ``biases`` that are added last.
    """

    def __init__(self, class_: CellClass, form: Form) -> None:
        self.class_, self.form, self.layer = class_, form, class_.first
        cell, functions = self.layer.cell, dict(_FUNCTIONS)
        self.equations = equations(cell, bias=self.layer.bias)
        self.sizes = {}
        self.gates = ""
        if isinstance(cell, EquationCell):
            self.sizes = {name: str(value) for name, value in cell.sizes}
        else:
            self.gates = gates(cell)
            functions |= {
                key: f"self.{key}" if key in class_.options else ACTIVATIONS[activation]
                for key, activation in activations(cell).items()
            }
        self.plan = plan_of(self.layer)
        self.before, self.step = self.plan.before, self.plan.step
        self.inputs = [self._variable(name) for name in self.plan.inputs]
        # Beside a product with a state, one with the inputs of all steps before the scan is slower
        # on a CPU: in inference, a peephole LSTM takes 2.1 times as long (batch 32, 100 steps, 64
        # units). A linear recurrence, which has none, takes 0.44 times as long with it (512 steps,
        # batch 8), and twice as long in training with an associative scan.
        # The input of a cell with attention has a context, which is known in the step.
        if self.layer.leading or self.plan.products:
            self.before, self.step, self.inputs = (), (*self.before, *self.step), ["x"]
        statements = self.plan.statements
        self.products = [s for s in statements if isinstance(s, JoinedProduct)]
        self.states = [self._variable(name) for name in self.equations.states]
        variables = {name: code("{}", text) for name, text in class_.variables.items()}
        self.writer = ExpressionWriter(functions, variables, _CALLS)
        if self.layer.masked and not self.gates:
            names = zip(self.equations.states, self.states, strict=True)
            self.writer.new_states |= {state: f"new_{name}" for state, name in names}
        self.pieces: dict[ProductSlice, Code] = {}
        self.biases: dict[ProductSlice, Code] = {}
        self.activated: set[str] = set()

    @property
    def _drops_input(self) -> bool:
        return "dropout" in self.class_.options

    @property
    def _drops_by_gate(self) -> bool:
        """True if in training each gate has its own masks, on the state and a dropped input."""
        return bool(self.gates) and self.layer.recurrent_dropout > 0

    def _drops(self, product: JoinedProduct) -> bool:
        """True if in training the vector of a product has masks of its own."""
        if product in self.plan.step:
            return self.layer.recurrent_dropout > 0
        return self._drops_by_gate and self._drops_input

    def _variable(self, name: str) -> str:
        return self.class_.variables.get(name, name)

    def init(self, kept: Sequence[str]) -> Code:
        """Return ``__init__``, which keeps some arguments and makes the arrays."""
        options = [code("{}: {}", option, _TYPES[option]) for option in self.class_.options]
        if self.class_.turns:
            options.append(code("reverse: bool = False"))
        options += [code("{}: {}", *module) for module in self._modules.items()]
        if self.form == "training":
            options.append(code("rngs: nnx.Rngs"))
        one_mask = Code() if self._drops_by_gate else code("broadcast_dims=(1,)")
        body = lines(
            lines(code("self.{} = {}", name, name) for name in (*kept, *self._modules)),
            code("self.dropout = nnx.Dropout({})", listed("dropout", one_mask, code("rngs=rngs")))
            if self._drops_input
            else Code(),
            code("self.recurrent_dropout = nnx.Dropout(recurrent_dropout, rngs=rngs)")
            if self.layer.recurrent_dropout
            else Code(),
            lines(self._draw() if self.form == "training" else self._load()),
        )
        arguments = listed(
            "self",
            code("features: int"),
            code("units: int"),
            code("*") if options else Code(),
            *options,
        )
        return function(code("__init__({}) -> None", arguments), body or code("super().__init__()"))

    @property
    def _modules(self) -> dict[str, Code]:
        """The type of each module with which a layer attends to a memory, by its attribute."""
        if (attention := self.layer.attention) is None:
            return {}
        query = {"query": code("nnx.Linear")} if attention.projects else {}
        return {**query, "attention": code("{}", attention_class(self.layer))}

    def _draw(self) -> Iterator[Code]:
        """Yield the statements that draw the arrays, by initializers that all layers may share."""
        own = list(arrays(self.layer))
        initializers = {array.drawn_by: array.initializer for array in own}
        for name, initializer in initializers.items():
            if name not in self.class_.options:
                yield code("{} = {}", name, initializer)
        for array in own:
            sizes = [self._size(size, "") for size in array.shape]
            shape = code("({},)" if len(sizes) == 1 else "({})", listed(*sizes))
            value = code("{}(rngs.params(), {}, jnp.float32)", array.drawn_by, shape)
            if self.gates:
                variable = array.attribute.removeprefix("recurrent_")
                yield code("{} = {}", variable, value)
                value = code("{}", variable)
                if isinstance(self.layer.cell, LSTM) and variable == "bias":
                    forget_bias = code("{!r}", self.layer.cell.forget_bias)
                    if "forget_bias" in self.class_.options:
                        forget_bias = code("forget_bias")
                    value = code("bias.at[units : 2 * units].set({})", forget_bias)
            yield code("self.{} = nnx.Param({})", array.attribute, value)

    def _load(self) -> Iterator[Code]:
        """Yield the statements that make the arrays, which are to be loaded."""
        for array in arrays(self.layer):
            shape = listed(*(self._size(size, "") for size in array.shape))
            shape = shape if len(array.shape) == 1 else code("({})", shape)
            yield code("self.{} = nnx.Param(jnp.zeros({}, jnp.float32))", array.attribute, shape)

    def _size(self, size: Size, owner: str = "self.", number: int = 1) -> Code:
        """Return a size, or a number of times that, in the sizes that are attributes."""
        terms = list[Code]()
        for term in size.split(" + "):
            *factor, name = term.split(" * ")
            text = self.sizes.get(name) or (name if name.isdigit() else f"{owner}{name}")
            terms.append(code(f"{' * '.join(factor)} * {{}}" if factor else "{}", Code(text)))
        total = Code(" + ".join(terms))
        if number == 1:
            return total
        return code("{!r} * ({})" if len(terms) > 1 else "{!r} * {}", number, total)

    def _sum(self, sizes: Iterable[Size]) -> Code:
        """Return the sum of sizes."""
        every = list(sizes)
        numbers = {size: every.count(size) for size in every}
        return Code(" + ".join(self._size(size, number=n) for size, n in numbers.items()))

    def call(self) -> Code:
        """Return the method."""
        has_state = self.class_.sequences == "with_state"
        drops = self._drops_input and not self._drops_by_gate
        zeros, first = self._zeros()
        return code(
            """
            {signature}:
                {docstring}
                {drop}
                x = x.swapaxes(0, 1)
                {parameters}
                {constants}
                {arrays}
                {once}
                {before}

                {step}

                {zeros}
                {scan}
            """,
            signature=self._signature(),
            docstring=RETURNS[
                "with_contexts" if self.class_.gives_contexts else self.class_.sequences
            ],
            drop=code("x = self.dropout(x)") if drops else Code(),
            parameters=lines(self._parameters()),
            constants=lines(self._statements(self.plan.constants)),
            arrays=lines(self._arrays()),
            once=lines(self._statements(self.plan.once)),
            before=lines(self._statements(self.before)),
            step=self._step(),
            zeros=Code() if has_state else zeros,
            scan=self._scan(first),
        )

    @property
    def _state(self) -> tuple[str, Code]:
        """The name and the type of the state."""
        return self.states[0] if len(self.states) == 1 else "state", _arrays_type(self.states)

    def _signature(self) -> Code:
        """Return the line that begins the method."""
        arguments = ["x", "mask"] if self.layer.masked else ["x"]
        types, returned = dict.fromkeys(arguments, _ARRAY), _ARRAY
        if self.class_.sequences == "with_state":
            state, type_ = self._state
            types[state] = type_
            contexts = _ARRAY if self.class_.gives_contexts else Code()
            returned = code("tuple[{}]", listed(_ARRAY, contexts, type_))
        if attention := self.layer.attention:
            types |= {"keys": _ARRAY, "memory": _ARRAY}
            types |= {"memory_mask": _ARRAY} if attention.masked else {}
        typed = listed(*(code("{}: {}", *argument) for argument in types.items()))
        return code("def __call__(self, {}) -> {}", typed, returned)

    def _parameters(self) -> Iterator[Code]:
        """Yield variables for the parameters that are no matrix or bias of a joined product."""
        statements = (*self.plan.constants, *self.plan.statements)
        used = dict[str, None]()
        for statement in statements:
            used |= dict.fromkeys(_parameters_apart(statement))
        for name in used:
            yield code("{n} = self.{n}[...]", n=self._variable(name))

    def _arrays(self) -> Iterator[Code]:
        """Yield the statements of the kernel of each product, and of its bias or masks."""
        if self.gates:
            yield code("kernel, recurrent_kernel = self.kernel[...], self.recurrent_kernel[...]")
            if len(self.plan.products) > 1:
                names = [self._kernel(product) for product in self.plan.products]
                sizes = [product.sizes for product in self.plan.products]
                yield self._split(names, code("recurrent_kernel"), sizes)
        for product in self.products:
            kernel = self._kernel(product)
            if not self.gates:
                yield code("{} = {}", kernel, self._transposed(product))
            if product.biases:
                yield code("{} = {}", self._bias(product), self._biases_of(product))
            if self._drops(product):
                dropout = "recurrent_dropout" if product in self.plan.step else "dropout"
                count = code("{!r}, x.shape[1]", len(product.matrices))
                masks = code("gate_masks(self.{}, {}, {})", dropout, kernel, count)
                yield code("{} = {}", self._masks(product), masks)

    def _kernel(self, product: JoinedProduct) -> Code:
        """Return the variable with the matrices of a product."""
        if not self.gates:
            return code("{}_kernel", product.label)
        if product not in self.plan.step:
            return code("kernel")
        is_whole = len(product.matrices) == len(self.gates)
        return code("{}", "recurrent_kernel" if is_whole else f"kernel_{gates_of(product)}")

    def _bias(self, product: JoinedProduct) -> Code:
        """Return the variable with the biases of a product."""
        if not self.gates:
            return code("{}_bias", product.label)
        return code("{}", "recurrent_bias" if product in self.plan.step else "bias")

    def _masks(self, product: JoinedProduct) -> Code:
        """Return the variable with the masks on the vector of a product."""
        return Code(self._kernel(product).replace("kernel", "masks"))

    def _transposed(self, product: JoinedProduct) -> Code:
        """Return the matrices one beside the other, (size of the vector, all sizes)."""
        parts = [self._array(matrix) for matrix in product.matrices]
        if len(parts) > 1:
            return code("jnp.concatenate([{}]).T", listed(*parts))
        return code("{}.T" if isinstance(product.matrices[0], Name) else "({}).T", parts[0])

    def _biases_of(self, product: JoinedProduct) -> Code:
        """Return the biases of a product one after the other, zeros where a part has none."""
        if self.gates:
            return code("self.{}[...]", self._bias(product))
        first = next(bias for bias in product.biases if bias is not None)
        like = code("{}" if isinstance(first, Name) else "({})", self._array(first))
        parts = [
            code("jnp.zeros({}, {}.dtype)", self._size(size), like)
            if bias is None
            else self._array(bias)
            for bias, size in zip(product.biases, product.sizes, strict=True)
        ]
        return parts[0] if len(parts) == 1 else code("jnp.concatenate([{}])", listed(*parts))

    def _array(self, expression: Expression) -> Code:
        """Return a matrix or a bias of a joined product."""
        match expression:
            case Name(name=name, kind="parameter"):
                return code("self.{}[...]", self._variable(name))
            case _:
                return self.writer.write(expression)

    def _zeros(self) -> tuple[Code, list[Code]]:
        """Return the statements of the first states, if none are given, and their names."""
        own = [code("self.{}[...]", array.attribute) for array in arrays(self.layer)]
        if self.gates:
            own = [code("kernel")]
        dtype = listed("x", "memory" if self.layer.attention else "", *own[:1])
        shapes = dict(self.equations.shapes)
        sizes = [self._size(shapes[name][0]) for name in self.equations.states]
        if len(set(sizes)) == 1:
            text = "zeros = jnp.zeros((x.shape[1], {}), jnp.result_type({}))"
            return code(text, sizes[0], dtype), [code("zeros")] * len(sizes)
        names = [code("zeros_{}", name) for name in self.states]
        zeros = (
            code("{} = jnp.zeros((x.shape[1], {}), dtype)", name, size)
            for name, size in zip(names, sizes, strict=True)
        )
        return lines(code("dtype = jnp.result_type({})", dtype), *zeros), names

    def _step(self) -> Code:
        """Return the function that the scan calls for each step, behind the one that attends."""
        state, type_ = self._state
        inputs = [*self.inputs, *(["real"] if self.layer.masked else [])]
        one_input, one_state = len(inputs) == 1, len(self.states) == 1
        output, output_type = code("{}", self.states[0]), _ARRAY
        if self.class_.gives_contexts:
            output = code("({}, context)", self.states[0])
            output_type = _arrays_type((self.states[0], "context"))
        if self.class_.sequences == "none":
            output, output_type = code("None"), code("None")
        attend, joined = self._attend(), Code()
        if self.layer.leading:
            joined = code(
                """
                context = attend({})
                x = jnp.concatenate([x, context], axis=-1)
                """,
                self.states[0],
            )
        step = code(
            """
            def step({state}: {type}, {inputs}) -> tuple[{type}, {output_type}]:
                {unpack_state}
                {unpack_inputs}
                {joined}
                {body}
                return {new_state}, {output}
            """,
            state=state,
            type=type_,
            inputs=code("{}: {}", inputs[0] if one_input else "inputs", _arrays_type(inputs)),
            output_type=output_type,
            unpack_state=Code() if one_state else code("{} = state", listed(*self.states)),
            unpack_inputs=Code() if one_input else code("{} = inputs", listed(*inputs)),
            joined=joined,
            body=lines(self._statements(self.step), self._kept_states()),
            new_state=self.states[0] if one_state else code("({})", listed(*self.states)),
            output=output,
        )
        return code("{}\n\n{}", attend, step) if attend else step

    def _attend(self) -> Code:
        """Return the function that a step with attention calls, empty for a class without."""
        if (attention := self.layer.attention) is None:
            return Code()
        # A GRU trains in 0.6 of the time (256 units, 20 steps that attend to 20, a batch of 64).
        # Not of the module: JAX keeps a trace for each function, and with it the arrays of the
        # first call.
        recomputed = code(
            """
            # Computed again for gradients: the sums of queries and keys are much to store.
            @jax.checkpoint
            """
        )
        # What is asked in the equations may be anything.
        asked = code("q" if attention.asked_as else "h")
        queries = code("queries") if attention.projects else code("{}[:, None]", asked)
        return code(
            """
            {recomputed}
            def attend({asked}: jax.Array) -> jax.Array:
                {projected}
                return self.attention({arguments})[:, 0]
            """,
            recomputed=recomputed if self.class_.recomputes else Code(),
            asked=asked,
            projected=code("queries = self.query({})[:, None]", asked)
            if attention.projects
            else Code(),
            arguments=listed(queries, "keys", "memory", "memory_mask" if attention.masked else ""),
        )

    def _scan(self, zeros: Sequence[Code]) -> Code:
        """Return the scan over the steps, and what the method returns.

        ``zeros`` are the first states, for those that are not given.
        """
        inputs, joined = code("{}", self.inputs[0]), Code()
        if self.layer.masked or len(self.inputs) > 1:
            mask = code("jnp.expand_dims(mask.T, -1)") if self.layer.masked else Code()
            inputs, joined = code("inputs"), code("inputs = {}", listed(*self.inputs, mask))
        reverse = code("reverse=self.reverse") if self.class_.turns else Code()
        output, *others = self.states
        swapped, sequences = code("outputs.swapaxes(0, 1)"), self.class_.sequences
        start = (
            self._state[0]
            if sequences == "with_state"
            else code("({})" if others else "{}", listed(*zeros))
        )
        last = code("({})" if others else "{}", listed(output, *["_"] * len(others)))
        match sequences:
            case "with_state":
                outputs, last = code("outputs"), code("{}", self._state[0])
                if self.class_.gives_contexts:
                    outputs = code("(outputs, contexts)")
                    swapped = listed(swapped, code("contexts.swapaxes(0, 1)"))
                result = listed(swapped, last)
            case "all":
                outputs, last, result = code("outputs"), code("_"), swapped
            case "none":
                outputs, result = code("_"), code("{}", output)
            case _:
                outputs = code("outputs")
                result = code("{} if self.return_sequences else {}", swapped, output)
        return code(
            """
            {joined}
            {last}, {outputs} = jax.lax.scan({arguments})
            return {result}
            """,
            joined=joined,
            last=last,
            outputs=outputs,
            arguments=listed("step", start, inputs, reverse),
            result=result,
        )

    def _statements(self, statements: Sequence[Statement]) -> Iterator[Code]:
        for statement in statements:
            match statement:
                case JoinedProduct():
                    yield from self._multiply(statement)
                case JoinedSum():
                    yield from self._add(statement)
                case Line(name=name) if name in self.activated:
                    pass
                case Line():
                    yield self._assign(statement)
                case _:
                    assert_never(statement)

    def _assign(self, line: Line) -> Code:
        name, text = self._variable(line.name), self.writer.write(line.value)
        if line.name not in self.equations.states:
            return code("{} = {}", name, text)
        if not self._has_batch(line.value):
            text = code("jnp.broadcast_to({}, {}.shape)", text, name)
        if self.gates and self.layer.masked:
            # At padding, the state stays.
            text = code("jnp.where(real, {}, {})", text, name)
        return code("{} = {}", self.writer.new_states.get(line.name, name), text)

    def _has_batch(self, value: Expression) -> bool:
        """True if a value is of each sequence, which one of parameters alone is not."""
        constants = {line.name for line in self.plan.constants}
        names = (part for part in walk(value) if isinstance(part, Name))
        return any(part.kind != "parameter" and part.name not in constants for part in names)

    def _kept_states(self) -> Iterator[Code]:
        """Yield the statements that leave states as they are at padding.

        They are at the end of a step: a step of padding that saw one state move and another stay
        could divide by zero, and its gradient would not be a number.
        """
        for state, new in self.writer.new_states.items():
            yield code("{s} = jnp.where(real, {}, {s})", new, s=self._variable(state))

    def _multiply(self, product: JoinedProduct) -> Iterator[Code]:
        """Yield a product, split into the parts that sums take, unless it stands in its sum."""
        kernel, slices = self._kernel(product), self.plan.slices_of(product.name)
        if self._drops(product):
            vector = self.writer.write(product.vector)
            text = code("gate_products({}, {}, {})", vector, kernel, self._masks(product))
        else:
            text = code("{} @ {}", self.writer.write(product.vector, 3), kernel)
        bias = self._bias(product) if product.biases else Code()
        if self.gates and len(slices) == 1:
            self.pieces[slices[0]], self.biases[slices[0]] = text, bias
            return
        target = code("{}", "gates" if self.gates else product.name)
        yield code("{} = {}", target, code("{} + {}", text, bias) if bias else text)
        if len(slices) < 2:
            self.pieces |= dict.fromkeys(slices, target)
            return
        # The gradient of a slice would be as large as the product: an MGU takes 1.8 times as long
        # with slices in training (a batch of one sequence, 100 steps, 64 units).
        names = [code("{}_part_{!r}", target, number) for number in range(1, len(slices) + 1)]
        if self.gates:
            order = gates_of(product)
            names = [code("x_{}", order[part.start : part.stop]) for part in slices]
        self.pieces |= zip(slices, names, strict=True)
        yield self._split(names, target, [product.sizes[s.start : s.stop] for s in slices])

    def _add(self, total: JoinedSum) -> Iterator[Code]:
        """Yield a sum of products, split into its parts."""
        biases = (self.biases.get(part, Code()) for part in total.slices)
        terms = [*(self.pieces[part] for part in total.slices), *filter(None, biases)]
        value, sizes = Code(" + ".join(terms)), [(size,) for size in total.sizes]
        if not self.gates:
            names = [code("{}", self._variable(name)) for name in total.names]
            yield self._split(names, value, sizes)
        elif len(total.names) == 1:
            self.writer.lines[total.names[0]] = value
        else:
            yield code("gates = {}", value)
            yield from self._activate(total)

    def _activate(self, total: JoinedSum) -> Iterator[Code]:
        """Yield the split of a sum into its gates, under the function that most of them have."""
        writer, applied = self.writer, self.plan.functions_of(total)
        function, count = most_common_function(applied)
        product = self.plan.products_of(total)[-1]
        names = [
            applied[name][0] if name in applied else f"{product.label}_{gate}"
            for name, gate in zip(total.names, gates_of(product), strict=True)
        ]
        writer.lines |= zip(total.names, map(code, names), strict=True)
        together = bool(applied) and count == len(names)
        value = writer.activate(function, "gates") if together else code("gates")
        yield self._split(list(map(code, names)), value, [(size,) for size in total.sizes])
        for name, own in applied.values():
            text = code("{}", name) if together else writer.activate(own, name)
            self.activated.add(name)
            if own != function:
                # A gate under a function of its own is activated where it is used.
                writer.lines[name] = text
            elif text != name:
                yield code("{} = {}", name, text)

    def _split(self, names: Sequence[Code], value: Code, sizes: Sequence[Sequence[Size]]) -> Code:
        """Return the statement that gives names to the parts of a value, which have these sizes."""
        if len(names) == 1:
            return code("{} = {}", names[0], value)
        where = code("{!r}", len(names))
        if len(set(map(self._sum, sizes))) > 1:
            ends = (self._sum(chain(*sizes[:end])) for end in range(1, len(sizes)))
            where = code("[{}]", listed(*ends))
        axis = code("{!r}", 1 if self.gates else -1)
        return code("{} = jnp.split({}, {}, axis={})", listed(*names), value, where, axis)


def _arrays_type(names: Sequence[str]) -> Code:
    """Return the type of an array, or of several in a tuple."""
    return _ARRAY if len(names) == 1 else code("tuple[{}]", listed(*[_ARRAY] * len(names)))


def _parameters_apart(statement: Statement) -> Iterator[str]:
    match statement:
        case JoinedSum():
            return
        case Line(value=value):
            parts: Iterable[Expression] = [value]
        case JoinedProduct():
            joined = (*statement.matrices, *statement.biases)
            made = [part for part in joined if part is not None and not isinstance(part, Name)]
            parts = [statement.vector, *made]
    for whole in parts:
        for part in walk(whole):
            if isinstance(part, Name) and part.kind == "parameter":
                yield part.name
