"""The source of classes that run a recurrent layer as a scan over the steps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rnnspec.backends.docstrings import RETURNS, recurrent_docstring
from rnnspec.backends.jax.cells import ACTIVATIONS, make_initializer
from rnnspec.ir.cells import gates
from rnnspec.ir.nodes import LSTM
from rnnspec.ir.text import cell_name
from rnnspec.source.code import Code, code, lines, listed

if TYPE_CHECKING:
    from rnnspec.backends.jax.cells import CellClass
    from rnnspec.ir.forms import Form
    from rnnspec.ir.nodes import Recurrent

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
    """Return the source of a class that runs a recurrent layer as a scan over the steps."""
    layer = class_.first
    summary = _SUMMARIES[cell_name(layer.cell)]
    return code(
        """
        class {}(nnx.Module):
            {}

            {}

            {}
        """,
        class_.name,
        recurrent_docstring(summary, layer, drops_input=_drops_input(class_)),
        _init(class_, form),
        _call(class_),
    )


def _drops_input(class_: CellClass) -> bool:
    return "dropout" in class_.options


def _is_dropped(class_: CellClass) -> bool:
    """Return true if in training each gate has its own masks, on the state and a dropped input."""
    return class_.first.recurrent_dropout > 0


def _init(class_: CellClass, form: Form) -> Code:
    options = [code("{}: {}", option, _TYPES[option]) for option in class_.options]
    if class_.turns:
        options.append(code("reverse: bool = False"))
    if form == "training":
        options.append(code("rngs: nnx.Rngs"))
    kept = {
        # Of the initial state, and of the split of a kernel.
        "units": class_.sequences != "with_state"
        or cell_name(class_.first.cell) == "ResetFirstGRU",
        "activation": "activation" in class_.options,
        "recurrent_activation": "recurrent_activation" in class_.options,
        "return_sequences": "return_sequences" in class_.options,
        "reverse": class_.turns,
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
            {kept}
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
        kept=lines(code("self.{} = {}", name, name) for name, is_kept in kept.items() if is_kept),
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
    if isinstance(layer.cell, LSTM):
        forget_bias = code("{!r}", layer.cell.forget_bias)
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
    count = len(gates(layer.cell))
    return code("units") if count == 1 else code("{!r} * units", count)


def _biases(layer: Recurrent) -> tuple[str, ...]:
    if not layer.bias:
        return ()
    return ("bias", "recurrent_bias") if cell_name(layer.cell) == "GRU" else ("bias",)


def _call(class_: CellClass) -> Code:
    layer, cell = class_.first, _CELLS[cell_name(class_.first.cell)](class_)
    arguments = [code("x: jax.Array"), code("mask: jax.Array") if layer.masked else Code()]
    returned = _ARRAY
    if class_.sequences == "with_state":
        state, type_ = _state(class_)
        arguments.append(code("{}: {}", state, type_))
        returned = code("tuple[jax.Array, {}]", type_)
    drops_here = _drops_input(class_) and not _is_dropped(class_)
    # A single product with the inputs of all steps, before the scan, is slower on a CPU: compiled
    # by XLA, training takes 1.3 times as long, inference 2.5 times.
    return code(
        """
        def __call__({arguments}) -> {returned}:
            {docstring}
            {drop}
            x = x.swapaxes(0, 1)
            kernel, recurrent_kernel = self.kernel[...], self.recurrent_kernel[...]
            {masks}
            {bias}
            {before}

            {step}

            {scan}
        """,
        arguments=listed("self", *arguments),
        returned=returned,
        docstring=RETURNS[class_.sequences],
        drop=code("x = self.dropout(x)") if drops_here else Code(),
        masks=_masks(class_) if _is_dropped(class_) else Code(),
        bias=code("bias = self.bias[...]") if layer.bias else Code(),
        before=cell.before,
        step=_step(class_, cell.step),
        scan=_scan(class_),
    )


_ARRAY = code("jax.Array")
_PAIR = code("tuple[jax.Array, jax.Array]")


def _state(class_: CellClass) -> tuple[str, Code]:
    """Return the name and the type of the state."""
    return ("state", _PAIR) if isinstance(class_.first.cell, LSTM) else ("h", _ARRAY)


def _masks(class_: CellClass) -> Code:
    count = len(gates(class_.first.cell))
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


def _step(class_: CellClass, body: Code) -> Code:
    """Return the function that the scan calls for each step."""
    state, type_ = _state(class_)
    is_lstm, masked = isinstance(class_.first.cell, LSTM), class_.first.masked
    return code(
        """
        def step({state}: {type}, {inputs}) -> tuple[{type}, {output_type}]:
            {unpack_state}
            {unpack_inputs}
            {body}
            return {new_state}, {output}
        """,
        state=state,
        type=type_,
        inputs=code("inputs: {}", _PAIR) if masked else code("x: jax.Array"),
        output_type="None" if class_.sequences == "none" else _ARRAY,
        unpack_state=code("h, c = state") if is_lstm else Code(),
        unpack_inputs=code("x, real = inputs") if masked else Code(),
        body=body,
        new_state=code("(h, c)") if is_lstm else "h",
        output="None" if class_.sequences == "none" else "h",
    )


def _scan(class_: CellClass) -> Code:
    inputs, transposed = "x", Code()
    if class_.first.masked:
        inputs, transposed = "inputs", code("inputs = x, jnp.expand_dims(mask.T, -1)")
    if class_.sequences == "with_state":
        return code(
            """
            {transposed}
            {state}, outputs = jax.lax.scan(step, {state}, {inputs})
            return outputs.swapaxes(0, 1), {state}
            """,
            transposed=transposed,
            state=_state(class_)[0],
            inputs=inputs,
        )
    start, last = code("zeros"), code("h")
    if isinstance(class_.first.cell, LSTM):
        start, last = code("(zeros, zeros)"), code("(h, _)")
    reverse = code("reverse=self.reverse") if class_.turns else Code()
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
                return h
                """,
                last,
                scan,
            )
        case _:
            result = code(
                """
                {}, outputs = {}
                return outputs.swapaxes(0, 1) if self.return_sequences else h
                """,
                last,
                scan,
            )
    return code(
        """
        zeros = jnp.zeros((x.shape[1], self.units), jnp.result_type(x, kernel))
        {}
        {}
        """,
        transposed,
        result,
    )


@dataclass(frozen=True, slots=True)
class _Cell:
    """The equations of a cell: what is computed once before the scan, and the new state."""

    step: Code
    before: Code = field(default_factory=Code)


def _rnn(class_: CellClass) -> _Cell:
    step = code(
        """
        {}
        h = {}
        """,
        _sum(class_, "total"),
        _new_state(class_, "h", _activate(class_, "activation", "total")),
    )
    return _Cell(step)


def _lstm(class_: CellClass) -> _Cell:
    activated = {gate: _activate(class_, "recurrent_activation", gate) for gate in ("i", "f", "o")}
    step = code(
        """
        {gates}
        i, f, g, o = jnp.split(gates, 4, axis=1)
        {activated}
        c = {c}
        h = {h}
        """,
        gates=_sum(class_, "gates"),
        activated=lines(
            code("{} = {}", gate, value) for gate, value in activated.items() if value != gate
        ),
        c=_new_state(class_, "c", code("f * c + i * {}", _activate(class_, "activation", "g"))),
        h=_new_state(class_, "h", code("o * {}", _activate(class_, "activation", "c"))),
    )
    return _Cell(step)


def _gru(class_: CellClass) -> _Cell:
    inputs = _input_product(class_)
    product = _product(class_, "h", "recurrent_kernel", "masks")
    if class_.first.bias:
        inputs, product = code("{} + bias", inputs), code("{} + recurrent_bias", product)
    step = code(
        """
        gates = {inputs}
        x_z, x_r, x_n = jnp.split(gates, 3, axis=1)
        gates = {product}
        h_z, h_r, h_n = jnp.split(gates, 3, axis=1)
        z = {z}
        r = {r}
        n = {n}
        h = {h}
        """,
        inputs=inputs,
        product=product,
        z=_activate(class_, "recurrent_activation", code("x_z + h_z")),
        r=_activate(class_, "recurrent_activation", code("x_r + h_r")),
        n=_activate(class_, "activation", code("x_n + r * h_n")),
        h=_new_state(class_, "h", code("z * h + (1 - z) * n")),
    )
    bias = code("recurrent_bias = self.recurrent_bias[...]") if class_.first.bias else Code()
    return _Cell(step, before=bias)


def _reset_first_gru(class_: CellClass) -> _Cell:
    inputs = _input_product(class_)
    split = code("kernel_zr, kernel_n = jnp.split(recurrent_kernel, [2 * self.units], axis=1)")
    # The product with a mask is a call, so its argument needs no parentheses.
    reset = code("r * h" if _is_dropped(class_) else "(r * h)")
    masks = code("masks_zr, masks_n = (None, None) if masks is None else (masks[:2], masks[2:])")
    candidate = code("x_n + {}", _product(class_, reset, "kernel_n", "masks_n"))
    step = code(
        """
        gates = {inputs}
        x_zr, x_n = jnp.split(gates, [2 * self.units], axis=1)
        gates = x_zr + {product}
        z, r = jnp.split({activated}, 2, axis=1)
        n = {n}
        h = {h}
        """,
        inputs=code("{} + bias", inputs) if class_.first.bias else inputs,
        product=_product(class_, "h", "kernel_zr", "masks_zr"),
        activated=_activate(class_, "recurrent_activation", "gates"),
        n=_activate(class_, "activation", candidate),
        h=_new_state(class_, "h", code("z * h + (1 - z) * n")),
    )
    return _Cell(step, before=lines(split, masks if _is_dropped(class_) else Code()))


_CELLS = {"RNN": _rnn, "LSTM": _lstm, "GRU": _gru, "ResetFirstGRU": _reset_first_gru}


def _activate(class_: CellClass, key: str, value: Code | str) -> Code:
    """Return a value after an activation; the linear one has no function."""
    if key in class_.options:
        return code("self.{}({})", key, value)
    function = ACTIVATIONS[getattr(class_.first.cell, key)]
    return code("{}({})", function, value) if function else code("{}", value)


def _new_state(class_: CellClass, state: str, value: Code) -> Code:
    """Return the value of a state after a step; at padding, it stays."""
    return code("jnp.where(real, {}, {})", value, state) if class_.first.masked else value


def _product(class_: CellClass, state: Code | str, kernel: str, masks: str) -> Code:
    """Return the product of the state with a kernel; each gate may have its own mask."""
    if _is_dropped(class_):
        return code("gate_products({}, {}, {})", state, kernel, masks)
    return code("{} @ {}", state, kernel)


def _input_product(class_: CellClass) -> Code:
    if _is_dropped(class_) and _drops_input(class_):
        return code("gate_products(x, kernel, input_masks)")
    return code("x @ kernel")


def _sum(class_: CellClass, target: str) -> Code:
    """Return the sum of both products and the bias, on two lines if both have masks."""
    inputs, product = _input_product(class_), _product(class_, "h", "recurrent_kernel", "masks")
    if class_.first.bias:
        product = code("{} + bias", product)
    if _is_dropped(class_) and _drops_input(class_):
        return code(
            """
            {target} = {inputs}
            {target} += {product}
            """,
            target=target,
            inputs=inputs,
            product=product,
        )
    return code("{} = {} + {}", target, inputs, product)
