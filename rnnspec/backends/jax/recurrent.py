"""The source of classes that run a recurrent layer as a scan over the steps."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, assert_never

from rnnspec.backends.docstrings import ATTENDS, RETURNS, recurrent_docstring
from rnnspec.backends.jax.cells import ACTIVATIONS, attention_class, make_initializer
from rnnspec.ir.cells import activations, gates, has_recurrent_bias, states_of_equations
from rnnspec.ir.equations import Line
from rnnspec.ir.nodes import LSTM
from rnnspec.ir.schedule import (
    JoinedProduct,
    JoinedSum,
    gates_of,
    most_common_function,
    packed_schedule,
)
from rnnspec.ir.text import cell_name
from rnnspec.source.code import Code, code, docstring, lines, listed
from rnnspec.source.expressions import ExpressionWriter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rnnspec.backends.jax.cells import CellClass
    from rnnspec.ir.forms import Form
    from rnnspec.ir.nodes import Recurrent
    from rnnspec.ir.schedule import Schedule

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


def recurrent_class(class_: CellClass, form: Form) -> Code:
    """Return the source of a class that runs a standard cell as a scan over the steps."""
    layer = class_.first
    summary = _SUMMARIES[cell_name(layer.standard_cell)]
    return code(
        """
        class {}(nnx.Module):
            {}

            {}

            {}
        """,
        class_.name,
        docstring([summary, "", ATTENDS])
        if layer.attention
        else recurrent_docstring(summary, layer, drops_input=_drops_input(class_)),
        _init(class_, form),
        _call(class_),
    )


def _drops_input(class_: CellClass) -> bool:
    return "dropout" in class_.options


def _is_dropped(class_: CellClass) -> bool:
    """True if in training each gate has its own masks, on the state and a dropped input."""
    return class_.first.recurrent_dropout > 0


def _init(class_: CellClass, form: Form) -> Code:
    options = [code("{}: {}", option, _TYPES[option]) for option in class_.options]
    if class_.turns:
        options.append(code("reverse: bool = False"))
    options += modules_of_attention(class_)
    if form == "training":
        options.append(code("rngs: nnx.Rngs"))
    attributes = {
        # Of the initial state, of masks, and of the split of a kernel.
        "units": class_.sequences != "with_state"
        or _is_dropped(class_)
        or len(packed_schedule(class_.first.standard_cell, bias=class_.first.bias).products) > 1,
        "activation": "activation" in class_.options,
        "recurrent_activation": "recurrent_activation" in class_.options,
        "return_sequences": "return_sequences" in class_.options,
        "reverse": class_.turns,
        **dict.fromkeys(attributes_of_attention(class_), True),
    }
    dropouts = Code()
    if _is_dropped(class_):
        dropouts = lines(
            code("self.dropout = nnx.Dropout(dropout, rngs=rngs)")
            if _drops_input(class_)
            else Code(),
            code("self.recurrent_dropout = nnx.Dropout(recurrent_dropout, rngs=rngs)"),
        )
    elif _drops_input(class_):
        dropouts = code("self.dropout = nnx.Dropout(dropout, broadcast_dims=(1,), rngs=rngs)")
    return code(
        """
        def __init__({arguments}) -> None:
            {attributes}
            {dropouts}
            {arrays}
        """,
        arguments=listed(
            "self",
            code("features: int"),
            code("units: int"),
            code("*") if options else Code(),
            *options,
        ),
        attributes=lines(
            code("self.{} = {}", name, name) for name, used in attributes.items() if used
        ),
        dropouts=dropouts,
        arrays=_drawn_arrays(class_) if form == "training" else _zero_arrays(class_.first),
    )


def _drawn_arrays(class_: CellClass) -> Code:
    """Return the statements that draw the arrays, by initializers that all layers may share."""
    layer = class_.first
    initializers = {
        "kernel_init": layer.kernel_initializer,
        "recurrent_init": layer.recurrent_initializer,
        **({"bias_init": layer.bias_initializer} if layer.bias else {}),
    }
    shared = [
        code("{} = {}", option, make_initializer(initializer))
        for option, initializer in initializers.items()
        if option not in class_.options
    ]
    bias = code("bias")
    if isinstance(layer.standard_cell, LSTM):
        forget_bias = code("{!r}", layer.standard_cell.forget_bias)
        bias = code(
            "bias.at[units : 2 * units].set({})",
            "forget_bias" if "forget_bias" in class_.options else forget_bias,
        )
    biases = [
        code(
            """
            bias = bias_init(rngs.params(), ({},), jnp.float32)
            self.{} = nnx.Param({})
            """,
            _columns(layer),
            name,
            bias,
        )
        for name in _biases(layer)
    ]
    return code(
        """
        {shared}
        kernel = kernel_init(rngs.params(), (features, {columns}), jnp.float32)
        self.kernel = nnx.Param(kernel)
        kernel = recurrent_init(rngs.params(), (units, {columns}), jnp.float32)
        self.recurrent_kernel = nnx.Param(kernel)
        {biases}
        """,
        shared=lines(shared),
        columns=_columns(layer),
        biases=lines(biases),
    )


def _zero_arrays(layer: Recurrent) -> Code:
    """Return the statements that make the arrays, which are to be loaded."""
    return code(
        """
        self.kernel = nnx.Param(jnp.zeros((features, {columns}), jnp.float32))
        self.recurrent_kernel = nnx.Param(jnp.zeros((units, {columns}), jnp.float32))
        {biases}
        """,
        columns=_columns(layer),
        biases=lines(
            code("self.{} = nnx.Param(jnp.zeros({}, jnp.float32))", name, _columns(layer))
            for name in _biases(layer)
        ),
    )


def _columns(layer: Recurrent) -> Code:
    count = len(gates(layer.standard_cell))
    return code("units") if count == 1 else code("{!r} * units", count)


def _biases(layer: Recurrent) -> tuple[str, ...]:
    if not layer.bias:
        return ()
    return ("bias", "recurrent_bias") if has_recurrent_bias(layer.standard_cell) else ("bias",)


def _call(class_: CellClass) -> Code:
    layer, cell = class_.first, _Cell.of(class_)
    drops_here = _drops_input(class_) and not _is_dropped(class_)
    # A single product with the inputs of all steps, before the scan, is slower on a CPU: compiled
    # by XLA, training takes 1.3 times as long, inference 2.5 times.
    return code(
        """
        {signature}:
            {docstring}
            {drop}
            x = x.swapaxes(0, 1)
            kernel, recurrent_kernel = self.kernel[...], self.recurrent_kernel[...]
            {masks}
            {bias}
            {before}

            {step}

            {zeros}
            {scan}
        """,
        signature=write_signature(class_),
        docstring=describe_result(class_),
        drop=code("x = self.dropout(x)") if drops_here else Code(),
        masks=_masks(class_) if _is_dropped(class_) else Code(),
        bias=code("bias = self.bias[...]") if layer.bias else Code(),
        before=cell.before(),
        step=write_step(class_, ["x"], cell.statements()),
        zeros=Code() if class_.sequences == "with_state" else _zeros(layer),
        scan=write_scan(class_, ["x"], [code("zeros")] * len(layer.states)),
    )


_ARRAY = code("jax.Array")


def _zeros(layer: Recurrent) -> Code:
    dtype = listed("x", "memory" if layer.attention else "", "kernel")
    return code("zeros = jnp.zeros((x.shape[1], self.units), jnp.result_type({}))", dtype)


def state_variables(class_: CellClass) -> list[str]:
    """Return the name of the variable of each state."""
    return [class_.variables.get(name, name) for name in states_of_equations(class_.first)]


def _arrays_type(names: Sequence[str]) -> Code:
    """Return the type of an array, or of several in a tuple."""
    return _ARRAY if len(names) == 1 else code("tuple[{}]", listed(*[_ARRAY] * len(names)))


def state_type(class_: CellClass) -> tuple[str, Code]:
    """Return the name and the type of the state."""
    names = state_variables(class_)
    return names[0] if len(names) == 1 else "state", _arrays_type(names)


def modules_of_attention(class_: CellClass) -> list[Code]:
    """Return the parameters for the modules with which a layer attends to a memory."""
    if (attention := class_.first.attention) is None:
        return []
    query = [code("query: nnx.Linear")] if attention.projects else []
    return [*query, code("attention: {}", attention_class(class_.first))]


def attributes_of_attention(class_: CellClass) -> list[str]:
    """Return the attributes with these modules, which have the names of the parameters."""
    return [text.partition(":")[0] for text in modules_of_attention(class_)]


def write_signature(class_: CellClass) -> Code:
    """Return the line that begins the method of a class of recurrent layers."""
    layer = class_.first
    arguments = [code("x: jax.Array"), code("mask: jax.Array") if layer.masked else Code()]
    returned = _ARRAY
    if class_.sequences == "with_state":
        state, type_ = state_type(class_)
        arguments.append(code("{}: {}", state, type_))
        contexts = _ARRAY if class_.gives_contexts else Code()
        returned = code("tuple[{}]", listed(_ARRAY, contexts, type_))
    if layer.attention:
        arguments += [code("keys: jax.Array"), code("memory: jax.Array")]
        arguments += [code("memory_mask: jax.Array")] if layer.attention.masked else []
    return code("def __call__({}) -> {}", listed("self", *arguments), returned)


def describe_result(class_: CellClass) -> Code:
    """Return the docstring of the method of a class of recurrent layers."""
    return RETURNS["with_contexts" if class_.gives_contexts else class_.sequences]


def _attend(class_: CellClass) -> Code:
    """Return the function that a step with attention calls, empty for a class without."""
    if (attention := class_.first.attention) is None:
        return Code()
    # A GRU trains in 0.6 of the time (256 units, 20 steps that attend to 20, a batch of 64). Not of
    # the module: JAX keeps a trace for each function, and with it the arrays of the first call.
    recomputed = code(
        """
        # Computed again for gradients: the sums of queries and keys are much to store.
        @jax.checkpoint
        """
    )
    queries = code("queries" if attention.projects else "h[:, None]")
    return code(
        """
        {recomputed}
        def attend(h: jax.Array) -> jax.Array:
            {projected}
            return self.attention({arguments})[:, 0]
        """,
        recomputed=recomputed if class_.recomputes else Code(),
        projected=code("queries = self.query(h)[:, None]") if attention.projects else Code(),
        arguments=listed(queries, "keys", "memory", "memory_mask" if attention.masked else ""),
    )


def _masks(class_: CellClass) -> Code:
    count = len(gates(class_.first.standard_cell))
    if _drops_input(class_):
        return code(
            """
            _, batch, features = x.shape
            input_masks = gate_masks(self.dropout, kernel, {count!r}, batch, features)
            masks = gate_masks(self.recurrent_dropout, kernel, {count!r}, batch, self.units)
            """,
            count=count,
        )
    return code(
        "masks = gate_masks(self.recurrent_dropout, kernel, {!r}, x.shape[1], self.units)", count
    )


def write_step(class_: CellClass, inputs: Sequence[str], body: Code) -> Code:
    """Return the function that the scan calls for each step, behind the one that attends."""
    state, type_ = state_type(class_)
    states = state_variables(class_)
    inputs = [*inputs, *(["real"] if class_.first.masked else [])]
    one_input, one_state = len(inputs) == 1, len(states) == 1
    output, output_type = code("{}", states[0]), _ARRAY
    if class_.gives_contexts:
        output, output_type = code("({}, context)", states[0]), _arrays_type((states[0], "context"))
    if class_.sequences == "none":
        output, output_type = code("None"), code("None")
    attend, joined = _attend(class_), Code()
    if attend:
        joined = code(
            """
            context = attend({})
            x = jnp.concatenate([x, context], axis=-1)
            """,
            states[0],
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
        unpack_state=Code() if one_state else code("{} = state", listed(*states)),
        unpack_inputs=Code() if one_input else code("{} = inputs", listed(*inputs)),
        joined=joined,
        body=body,
        new_state=states[0] if one_state else code("({})", listed(*states)),
        output=output,
    )
    return code("{}\n\n{}", attend, step) if attend else step


def write_scan(class_: CellClass, given: Sequence[str], zeros: Sequence[Code]) -> Code:
    """Return the scan over the steps of what is given, and what the method returns.

    ``zeros`` are the first states, for those that are not given.
    """
    inputs, transposed = code("{}", given[0]), Code()
    if class_.first.masked or len(given) > 1:
        mask = code("jnp.expand_dims(mask.T, -1)") if class_.first.masked else Code()
        inputs, transposed = code("inputs"), code("inputs = {}", listed(*map(code, given), mask))
    reverse = code("reverse=self.reverse") if class_.turns else Code()
    if class_.sequences == "with_state":
        state = state_type(class_)[0]
        results = ["outputs", *(["contexts"] if class_.gives_contexts else [])]
        return code(
            """
            {transposed}
            {state}, {results} = jax.lax.scan({arguments})
            return {swapped}, {state}
            """,
            transposed=transposed,
            state=state,
            results=code("({})" if len(results) > 1 else "{}", listed(*results)),
            swapped=listed(*(code("{}.swapaxes(0, 1)", name) for name in results)),
            arguments=listed("step", state, inputs, reverse),
        )
    output, *others = state_variables(class_)
    start, last = zeros[0], code("{}", output)
    if others:
        start = code("({})", listed(*zeros))
        last = code("({})", listed(output, *["_"] * len(others)))
    scan = code("jax.lax.scan({})", listed("step", start, inputs, reverse))
    match class_.sequences:
        case "all":
            result = code(
                """
                _, outputs = {}
                return outputs.swapaxes(0, 1)
                """,
                scan,
            )
        case "none":
            result = code(
                """
                {}, _ = {}
                return {}
                """,
                last,
                scan,
                output,
            )
        case _:
            result = code(
                """
                {}, outputs = {}
                return outputs.swapaxes(0, 1) if self.return_sequences else {}
                """,
                last,
                scan,
                output,
            )
    return lines(transposed, result)


@dataclass(slots=True)
class _Cell:
    """A writer of the statements of a cell, from its equations."""

    class_: CellClass
    plan: Schedule
    writer: ExpressionWriter

    @classmethod
    def of(cls, class_: CellClass) -> _Cell:
        """Return the writer of the cell of a class."""
        cell = class_.first.standard_cell
        functions = {
            key: f"self.{key}" if key in class_.options else ACTIVATIONS[activation]
            for key, activation in activations(cell).items()
        }
        plan = packed_schedule(cell, bias=class_.first.bias)
        return cls(class_, plan, ExpressionWriter(functions))

    def before(self) -> Code:
        """Return statements that run once: the bias of the product, or the parts of the kernel."""
        parts = [gates_of(product) for product in self.plan.products]
        if len(parts) == 1:
            is_biased = "recurrent_bias" in _biases(self.class_.first)
            return code("recurrent_bias = self.recurrent_bias[...]") if is_biased else Code()
        kernels = [f"kernel_{part}" for part in parts]
        split = _split(code("recurrent_kernel"), kernels, [len(part) for part in parts])
        if not _is_dropped(self.class_):
            return split
        ends = [0, *accumulate(len(part) for part in parts)]
        slices = (f"masks[{a or ''}:{b if b < ends[-1] else ''}]" for a, b in pairwise(ends))
        masks = code(
            "{} = ({}) if masks is None else ({})",
            listed(*(f"masks_{part}" for part in parts)),
            listed(*(["None"] * len(parts))),
            listed(*map(code, slices)),
        )
        return lines(split, masks)

    def statements(self) -> Code:
        """Return the step, in which the names of states get their new values."""
        statements = [] if self.is_whole else [self._input()]
        for statement in (*self.plan.before, *self.plan.step):
            match statement:
                case JoinedProduct():
                    # It is written with its sum.
                    pass
                case JoinedSum():
                    statements.append(self._add(statement))
                case Line(name=name):
                    if name not in self.writer.lines:
                        new = self.writer.write(statement.value)
                        if name in self.plan.states:
                            new = _new_state(self.class_, name, new)
                        statements.append(code("{} = {}", name, new))
                case _:
                    assert_never(statement)
        return lines(statements)

    @property
    def is_whole(self) -> bool:
        """True if one product of the state is added to that of the input."""
        return len(self.plan.products) == 1 and not self.is_apart

    @property
    def is_apart(self) -> bool:
        """True if gates take the product of the input and that of the state apart."""
        return any(isinstance(part, JoinedSum) for part in self.plan.before)

    def _input(self) -> Code:
        """Return the product of the input, in the parts that products with the state go with."""
        parts = list[str]()
        for product in self.plan.products:
            parts += gates_of(product) if self.is_apart else [gates_of(product)]
        text = _input_product(self.class_)
        return code(
            """
            gates = {}
            {}
            """,
            code("{} + bias", text) if self.class_.first.bias else text,
            _split(code("gates"), [f"x_{part}" for part in parts], [len(part) for part in parts]),
        )

    def _add(self, total: JoinedSum) -> Code:
        """Return a product with the state, and the gates that it decides."""
        class_, writer = self.class_, self.writer
        *inputs, product = self.plan.products_of(total)
        gates = gates_of(product)
        if product not in self.plan.products:
            # All gates of the input have their names.
            writer.lines |= {
                name: code("x_{}", g) for name, g in zip(total.names, gates, strict=True)
            }
            return Code()
        part = "" if len(self.plan.products) == 1 else f"_{gates}"
        kernel = f"kernel{part}" if part else "recurrent_kernel"
        text = code("{} @ {}", writer.write(product.vector, 3), kernel)
        if _is_dropped(class_):
            vector = writer.write(product.vector)
            text = code("gate_products({}, {}, {})", vector, kernel, f"masks{part}")
        if not inputs:
            text = code("{} + recurrent_bias", text) if product.biases else text
            names = [f"h_{gate}" for gate in gates]
            writer.lines |= zip(total.names, map(code, names), strict=True)
            return lines(code("gates = {}", text), _split(code("gates"), names))
        if len(gates) == 1:
            (name,) = total.names
            writer.lines[name] = code("total") if self.is_whole else code("x_{} + {}", gates, text)
            return self._sum("total", text) if self.is_whole else Code()
        added = code("gates = x_{} + {}", gates, text)
        return self._activate(total, self._sum("gates", text) if self.is_whole else added)

    def _activate(self, total: JoinedSum, added: Code) -> Code:
        """Return a sum that is ``added`` up, split into its parts under their function."""
        writer, applied = self.writer, self.plan.functions_of(total)
        function, count = most_common_function(applied)
        names = [applied[name][0] for name in total.names]
        writer.lines |= zip(total.names, map(code, names), strict=True)
        if count == len(names):
            writer.lines |= zip(names, map(code, names), strict=True)
            return lines(added, _split(writer.activate(function, "gates"), names))
        activated = list[Code]()
        for name, own in applied.values():
            value = writer.activate(own, name)
            # A gate under a function of its own is activated where it is used.
            writer.lines[name] = code("{}", name) if own == function else value
            if own == function and value != name:
                activated.append(code("{} = {}", name, value))
        return lines(added, _split(code("gates"), names), *activated)

    def _sum(self, target: str, product: Code) -> Code:
        """Return the sum of both products and the bias, on two lines if both have masks."""
        inputs = _input_product(self.class_)
        if self.class_.first.bias:
            product = code("{} + bias", product)
        if inputs.startswith("gate_products"):
            added = code("{} += {}", target, product)
            return lines(code("{} = {}", target, inputs), added)
        return code("{} = {} + {}", target, inputs, product)


def _split(value: Code, names: Sequence[str], sizes: Sequence[int] = ()) -> Code:
    """Return the split of an array into parts of so many gates, one each by default."""
    if max(sizes, default=1) == 1:
        return code("{} = jnp.split({}, {!r}, axis=1)", listed(*names), value, len(names))
    ends = listed(*(code("{!r} * self.units", end) for end in accumulate(sizes[:-1])))
    return code("{} = jnp.split({}, [{}], axis=1)", listed(*names), value, ends)


def _new_state(class_: CellClass, state: str, value: Code) -> Code:
    """Return the value of a state after a step; at padding, it stays."""
    return code("jnp.where(real, {}, {})", value, state) if class_.first.masked else value


def _input_product(class_: CellClass) -> Code:
    if _is_dropped(class_) and _drops_input(class_):
        return code("gate_products(x, kernel, input_masks)")
    return code("x @ kernel")
