"""The calls that compute a layer, and the functions that they call.

A function is shared by all layers of the same kind, which pass their arrays and sizes. The text
of each is in the templates.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import chain, count
from typing import TYPE_CHECKING, assert_never

from rnnspec.backends.c.arrays import arrays_of_cell
from rnnspec.backends.c.composed import Given, Memory, compose, parameter
from rnnspec.backends.c.equations import AttentionText, CellLines, CellText, name_cell
from rnnspec.backends.c.formulas import FormulaLines, Matrix, Operand, parameter_names
from rnnspec.backends.c.names import activation, number
from rnnspec.backends.c.verbs import Rows, each, moves, product, row, statements, total
from rnnspec.errors import GenerationError
from rnnspec.ir import core, nodes
from rnnspec.ir.cells import states_of_equations
from rnnspec.ir.expand import REAL, SKIP, X, attention_of_step, expand, of_arithmetic
from rnnspec.ir.forms import states_of
from rnnspec.ir.notation import describe
from rnnspec.ir.params import directions, params
from rnnspec.ir.reductions import LOWEST, REDUCTIONS
from rnnspec.ir.text import default_kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rnnspec.backends.c.arrays import Stored
    from rnnspec.ir.forms import Form, State

_ARRAY = "const float *"
_TYPES = {
    **dict.fromkeys(("table", "kernel"), "const {weight} *"),
    **dict.fromkeys(("table_scale", "kernel_scale", "bias"), "const float *"),
    **dict.fromkeys(("gamma", "beta", "moving_mean", "moving_variance"), "const float *"),
    "query": "const float *",
    "memory": "const {prefix}_memory *",
    "attention_kernel": "const {weight} *",
    **dict.fromkeys(("attention_kernel_scale", "score"), "const float *"),
    "scale": "float ",
    "heads": "size_t ",
    "epsilon": "float ",
    "tokens": "const int32_t *",
    "x": "const float *",
    "mask": "const unsigned char *",
    "real": "int ",
    **dict.fromkeys(("steps", "windows", "before", "size", "stride", "dilation"), "size_t "),
    **dict.fromkeys(("features", "inputs", "units", "hidden", "backward", "ahead"), "size_t "),
    "inputs_before": "float *",
    **dict.fromkeys((name for how in REDUCTIONS.values() for name in how.states), "float *"),
    "y": "float *",
    "width": "size_t ",
    "merge": "char ",
    "contexts": "float *",
}
"""The parameters of functions in their order, each with its type."""
_IN_PRODUCTS = ("i", "memset")
"""The names in products of a formula."""
_WORK = {"work": "float *"}

_DEFAULTS = {
    "mask": "NULL",
    **dict.fromkeys(("before", "backward"), "0"),
    "real": "1",
    "merge": "'='",
    "contexts": "NULL",
}
"""What a call passes for a parameter that only other calls need."""

_MEMORY = {
    **dict.fromkeys(("keys", "values"), "const float *const "),
    "mask": "const unsigned char *const ",
    **dict.fromkeys(("steps", "size", "width"), "const size_t "),
}
"""What layers attend to, which is in a structure."""

_MERGES = {"sum": "'+'", "mul": "'*'", "ave": "'/'"}


@dataclass(frozen=True, slots=True)
class Function:
    """A function: the macro that lays it out, and what its text depends on."""

    name: str
    kind: str
    product: str = ""
    target: str = ""
    cell: CellText | None = None
    biases: tuple[str, ...] = ()
    stepped: bool = False
    """True if it takes one step, and has states."""
    parameters: tuple[str, ...] = ()
    about: str = ""
    lines: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    """What it is, its body and the settings among its parameters, if it is from a recipe."""
    weights_of: tuple[str, ...] = ()
    """The parameters that are weights of products, if it is from a formula."""
    attention: AttentionText | None = None
    is_rounded: bool = False
    """True if the weights are int8."""
    has_versions: bool = False
    """True if it is compiled for several processors beside the recurrent layers."""

    def signature(self, prefix: str) -> str:
        """Return the declarations of the parameters."""
        names = {"weight": "int8_t" if self.is_rounded else "float", "prefix": prefix}
        known = dict.fromkeys(self.settings, "float ") | self.types
        known |= dict.fromkeys(self.weights_of, _TYPES["kernel"])
        types = {name: known.get(name, _ARRAY) for name in self.parameters}
        return ", ".join(type_.format(**names) + name for name, type_ in types.items())

    @property
    def types(self) -> dict[str, str]:
        """The types of the parameters that functions have, those of its cell first."""
        own = dict(self.cell.own) if self.cell else {}
        return own | {name: _TYPES[name] for name in _TYPES if name not in own} | self.ends | _WORK

    @property
    def ends(self) -> dict[str, str]:
        """The parameters with the first and the last states, by which only some layers differ."""
        return self.cell.ends if self.cell else {}

    def versions(self, prefix: str) -> str:
        """Return the macro before a function that is compiled for several processors."""
        return f"{prefix.upper()}_VERSIONS " if self.target == "portable" else ""

    def weights(self, name: str) -> str:
        """Return the arguments of a product that are a parameter's weights."""
        return f"{name}, {name}_scale" if self.is_rounded else name


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a function, with its arguments by the names of the parameters."""

    function: str
    arguments: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a layer finds its input and puts its output, as expressions in C."""

    inputs: tuple[str, ...]
    steps: str
    output: str
    windows: str
    before: str = ""
    mask: str = ""
    states: Mapping[str, str] = field(default_factory=dict)
    """The first and the last states of a recurrent layer, and its contexts if they are read, by
    the names of parameters."""
    memory: str = ""
    """What the layer attends to, if it does."""
    counts: tuple[str, ...] = ()
    """The number of steps of each of ``inputs``, if they have others than each other."""
    real: str = ""
    """The condition that the only step is real."""


@dataclass(slots=True)
class Layers:
    """Makes the calls of layers, and collects what they need.

    ``work`` is the number of floats that the layers compute with, ``functions`` are those that they
    share, and ``kernels`` the names of the mathematical functions.
    """

    network: nodes.Network
    arrays: Mapping[tuple[str, str], Stored]
    target: str
    stepped: bool
    whole: bool
    """True if there are functions of whole sequences."""
    work: int = 0
    functions: dict[str, Function] = field(default_factory=dict)
    needed: dict[str, set[str]] = field(default_factory=dict)
    kernels: set[str] = field(default_factory=set)
    widths: set[int] = field(default_factory=set)
    """The widths of the groups of columns that products have."""
    symbols: frozenset[str] = field(init=False)
    """The symbols of the arrays."""

    def __post_init__(self) -> None:
        """Collect the symbols."""
        stored = self.arrays.values()
        self.symbols = frozenset(symbol for array in stored for symbol in array.sizes)

    def lines(self, layer: nodes.Layer, place: Place) -> Iterator[str | Call]:
        """Yield the statements that compute a layer."""
        match layer:
            case nodes.Recurrent():
                for prefix in directions(layer):
                    yield self._recurrent(layer, prefix, place)
            case nodes.Attention():
                yield from self._attend(layer, place)
            case nodes.Join(how=nodes.Formula() as formula):
                yield self._formula(layer, formula, place)
            case nodes.Dropout():
                raise AssertionError(f"{layer.name} is only in training")
            case _:
                yield from self._composed(layer, place)

    def finished(self) -> tuple[Function, ...]:
        """Return the functions, each with the parameters that any call needs."""
        return tuple(
            replace(function, parameters=self._parameters(name))
            for name, function in self.functions.items()
        )

    def statement(self, call: Call) -> str:
        """Return a call as it is written once all calls are known."""
        names = self._parameters(call.function)
        defaults = _DEFAULTS | dict.fromkeys(self.functions[call.function].ends, "NULL")
        arguments = (call.arguments.get(name) or defaults[name] for name in names)
        return f"{self.network.name}_{call.function}({', '.join(arguments)});"

    def _parameters(self, function: str) -> tuple[str, ...]:
        needed, known = self.needed[function], self.functions[function].types
        return (*(name for name in known if name in needed), *sorted(needed - known.keys()))

    def _call(self, function: Function, arguments: Mapping[str, str]) -> Call:
        """Return a call of a function, which gets a number if its name is that of another one."""
        biases = tuple(name for name in arguments if name.endswith("bias"))
        # A parameter of equations may have any name, also one that ends so.
        scales = {stored.scale for stored in self.arrays.values() if stored.rounded}
        is_rounded = not scales.isdisjoint(arguments.values())
        function = replace(function, target=self.target, biases=biases, is_rounded=is_rounded)
        # Beside functions of whole sequences, those of a step say so.
        own = f"{function.name}_step" if function.stepped and self.whole else function.name
        names = chain([own], (f"{own}_{n}" for n in count(2)))
        name = next(
            name
            for name in names
            if f"{self.network.name}_{name}" not in self.symbols
            if self.functions.setdefault(name, named := replace(function, name=name)) == named
        )
        self.needed.setdefault(name, set()).update(arguments)
        return Call(name, arguments)

    def _kind(self, kind: str) -> str:
        """Return the kind of a function that is another one for a step, as it has states."""
        return f"{kind}_step" if self.stepped else kind

    def _needs(self, *kernels: str, floats: int = 0) -> None:
        """Collect what a function needs."""
        self.kernels.update(kernels)
        self.work = max(self.work, floats)

    def _weights(self, layer: nodes.Layer | str, path: str, parameter: str) -> dict[str, str]:
        """Return the arguments that are an array, none if the layer does not have it."""
        name = layer if isinstance(layer, str) else layer.owner
        stored = self.arrays.get((name, path))
        if stored is None:
            return {}
        scale = {f"{parameter}_scale": stored.scale} if stored.rounded else {}
        return {parameter: stored.symbol, **scale}

    def _product(self, stored: Stored) -> str:
        """Return the function of the products with an array, and collect what it needs."""
        product = "product_int8" if stored.rounded else "product"
        self._needs(product)
        self.widths |= {width for part in stored.parts for width in part.widths}
        return product

    def _activation(self, value: nodes.Activation, y: str, rows: str, units: int) -> Iterator[str]:
        """Yield the statements of an activation in place, over each row if it is a softmax."""
        made = activation(value)
        if made.name == "linear":
            return
        self._needs(made.function)
        start = f"{self.network.name}_{made.function}("
        if made.over_features:
            yield from each(rows, [f"{start}{row(y, rows, units)}, {units});"])
        else:
            yield f"{start}{y}, {total(rows, units)}{made.more});"

    def _products(
        self, kernel: core.Param, bias: core.Param | None, x: str, stride: int, to: Rows
    ) -> Iterator[str]:
        """Yield the product of rows, which begin every ``stride`` numbers, and the bias."""
        stored, name = self.arrays[kernel.layer, kernel.name], self.network.name
        product_of = self._product(stored)
        weights = f"{stored.symbol}, {stored.scale}" if stored.rounded else stored.symbol
        start = self.arrays[bias.layer, bias.name].symbol if bias else ""
        sizes = str(stored.parts[0].inputs), str(to.width)
        x = row(x, to.count, stride)
        lines = product(f"{name}_{product_of}({weights}", start, x, sizes, to.row)
        yield from each(to.count, list(lines))

    def _formula(self, layer: nodes.Join, formula: nodes.Formula, place: Place) -> Call:
        """Return the call of the function of a formula."""
        parameters = (name for name, _ in formula.equations.parameters)
        has_arrays = isinstance(layer, nodes.LearnedFormula)
        taken = {*_TYPES, *_IN_PRODUCTS} if has_arrays else _TYPES
        names = parameter_names(parameters, taken, self.network.name)
        arrays: dict[core.Expression, Operand] = {}
        values = dict[str, str]()
        own = (names[name] for name in formula.names)
        inputs = zip(own, layer.of, layer.inputs, place.inputs, strict=True)
        for name, of, shape, pointer in inputs:
            # One that has two names is a single parameter.
            if core.EarlierOutput(of) not in arrays:
                arrays[core.EarlierOutput(of)] = Operand(name, nodes.width(shape), len(shape) > 1)
                values[name] = pointer
        matrices = dict[core.Param, Matrix]()
        for param in params(layer):
            stored, key = self.arrays[layer.name, param.name], core.Param(layer.name, param.name)
            name = names[param.name]
            values[name] = stored.symbol
            if len(param.shape) < 2:
                arrays[key] = Operand(name, param.count, steps=False)
                continue
            weights = f"{name}, {name}_scale" if stored.rounded else name
            values |= {f"{name}_scale": stored.scale} if stored.rounded else {}
            call = f"{self.network.name}_{self._product(stored)}({weights}" if stored.parts else ""
            rows, columns = param.shape
            matrices[key] = Matrix(name, rows, columns, call)
        of_lines = FormulaLines(self.network.name, arrays, matrices, self.stepped)
        lines = of_lines.write(expand(layer, "inference"), nodes.width(layer.output))
        self.kernels |= of_lines.kernels
        self._needs(floats=of_lines.floats)
        values |= {"y": place.output} | ({"work": "work"} if of_lines.floats else {})
        if len(layer.output) > 1 and not self.stepped:
            values["steps"] = place.windows
        about = " ".join(describe(formula.equations, 90))
        products = tuple(matrix.name for matrix in matrices.values() if matrix.call)
        # A kernel may have the name of the layer: ``product``.
        name = f"{layer.name}_layer"
        function = Function(name, "composed", about=about, lines=lines, weights_of=products)
        return self._call(function, values)

    def _composed(self, layer: nodes.Layer, place: Place) -> Iterator[str | Call]:
        """Yield the statements of a layer by its recipe."""
        after = "1" if self.stepped or len(layer.output) == 1 else place.windows
        to = Rows(place.output, after, nodes.width(layer.output))
        form: Form = "step" if self.stepped else "inference"
        *before, last = of_arithmetic(expand(layer, form))
        function: nodes.Activation = "linear"
        value = last.value
        if isinstance(value, core.Apply):
            function, value = value.function, value.x
        total, bias = _split_bias(value)
        match total:
            case _ if not before and moves(value):
                yield from statements(value, self._operands(layer, place), to)
            case core.MatMul(_, kernel, False) if not before:
                x, stride = place.inputs[0], nodes.width(layer.input)
                yield from self._products(kernel, bias, x, stride, to)
            case core.Conv():
                yield from self._conv(total, bias, before, place, to)
            case _:
                yield self._by_recipe(layer, place, (*before, replace(last, value=value)))
        yield from self._activation(function, to.pointer, to.count, to.width)

    def _by_recipe(
        self, layer: nodes.Layer, place: Place, results: tuple[core.Result, ...]
    ) -> Call:
        """Return the call of a function that is a recipe."""
        states = _states_of_recipe(layer) if self.stepped else {}
        others = self._shared(layer) if isinstance(layer, nodes.WindowPooling) else frozenset()
        arrays = self._arrays(results)
        memory = _memory(layer, states)
        given = Given(memory, bool(states), arrays, shared=others)
        composed = compose(results, self.network.name, given)
        settings = _settings(results)
        values = self._values(layer, place, memory) | {"ahead": str(composed.ahead)}
        values |= {name: f"state->{state.name}" for name, state in states.items()}
        for stored in arrays.values():
            if stored.parts:
                values["hidden"] = str(stored.shape[-1])
        values = {name: text for name, text in values.items() if name in composed.parameters}
        self._needs(*composed.kernels, floats=sum(int(values[size]) for size in composed.vectors))
        for array in arrays:
            values |= self._weights(array.layer, array.name, parameter(array))
        masked = not composed.parameters.isdisjoint(("mask", "real"))
        rounded = any(stored.rounded for stored in arrays.values())
        kind = "tied" if isinstance(layer, nodes.Dense) else default_kind(layer)
        kind = f"{'masked_' * masked}{kind}{'_int8' * rounded}"
        about, lines = _about(layer, stepped=bool(states)), composed.lines
        if isinstance(layer, nodes.WindowPooling):
            kind = f"{layer.statistic}_windows"
            about += f" outside the sequence{' and padding' * ('mask' in others)} do not count."
        function = Function(kind, "composed", stepped=bool(states), about=about, lines=lines)
        return self._call(replace(function, settings=tuple(settings)), values | settings)

    def _arrays(self, results: tuple[core.Result, ...]) -> dict[core.Param, Stored]:
        """Return the arrays in a recipe, and collect what products with them need."""
        found = [part for part in core.walk(results) if isinstance(part, core.Param)]
        arrays = {array: self.arrays[array.layer, array.name] for array in found}
        for stored in arrays.values():
            self.widths |= {width for part in stored.parts for width in part.widths}
        return arrays

    def _values(
        self, layer: nodes.Layer, place: Place, memory: Mapping[core.Expression, Memory]
    ) -> dict[str, str]:
        """Return the arguments of a function that is a recipe, but for arrays and states."""
        rows = max(len(layer.input), len(layer.output))
        values = {"steps": "1" if self.stepped or rows == 1 else place.steps, "y": place.output}
        values |= {"units": str(nodes.width(layer.output)), "mask": place.mask, "real": place.real}
        values |= {memory[X].size: str(nodes.width(layer.input))} if memory[X].units else {}
        if isinstance(layer, nodes.WindowPooling):
            values |= self._windows(layer.window, place)
        # States come after all inputs.
        pointers = (held.pointer for held in memory.values())
        return values | dict(zip(pointers, place.inputs, strict=False)) | {"work": "work"}

    def _shared(self, layer: nodes.WindowPooling) -> frozenset[str]:
        """Return the parameters of a pool of windows that not all layers with its function need."""
        alike = [
            pool
            for pool in self.network.layers
            if isinstance(pool, nodes.WindowPooling) and pool.statistic == layer.statistic
        ]
        windows = [pool.window for pool in alike]
        adds = any(w.reach if w.padding == "same" else w.added(1)[0] for w in windows)
        names = {"before": adds, "mask": any(pool.masked for pool in alike)}
        return frozenset(name for name, is_needed in names.items() if is_needed)

    def _operands(self, layer: nodes.Layer, place: Place) -> dict[core.Expression, Rows]:
        """Return the arrays that the names of a recipe stand for."""
        names: tuple[core.Expression, ...] = (X, SKIP)
        shapes: tuple[nodes.Shape, ...] = (layer.input, layer.input)
        if isinstance(layer, nodes.Joined):
            names, shapes = tuple(map(core.EarlierOutput, layer.of)), layer.inputs
        counts = place.counts or (place.steps,) * len(names)
        given = zip(names, place.inputs, shapes, counts, strict=False)
        return {
            name: Rows(
                pointer, "1" if self.stepped or len(shape) == 1 else count, nodes.width(shape)
            )
            for name, pointer, shape, count in given
        }

    def _recurrent(self, layer: nodes.Recurrent, prefix: str, place: Place) -> Call:
        paths = arrays_of_cell(layer)
        arrays = {path: self.arrays[layer.owner, f"{prefix}{path}"] for path in paths}
        lines = CellLines.of(
            layer,
            arrays,
            network=self.network.name,
            stepped=self.stepped,
            ends=_states_of(layer, prefix, place),
        )
        attention, more = layer.attention, self._of_steps(layer, prefix, place)
        own, floats_of_attention = None, 0
        if attention:
            own, arguments, floats_of_attention = self._attention(layer, attention, place)
            more |= arguments
        lines.asking = None if layer.leading else own
        text = lines.write_layer()
        self.kernels |= lines.kernels
        self.widths |= lines.widths
        is_own = isinstance(layer.cell, nodes.EquationCell)
        rounded = any(array.rounded for array in arrays.values())
        name = f"{name_cell(layer.cell)}{'_int8' * (rounded and not is_own)}"
        function = Function(name, self._kind("recurrent"), cell=text, stepped=self.stepped)
        floats = lines.floats
        if layer.leading:
            function = replace(function, name=f"attending_{function.name}", attention=own)
            floats += floats_of_attention
        self._needs(floats=floats)
        return self._call(function, {**lines.arguments, **more})

    def _attention(
        self, layer: nodes.Recurrent, attention: nodes.StepAttention, place: Place
    ) -> tuple[AttentionText, dict[str, str], int]:
        """Return how a recurrent layer attends, its arguments, and the floats that it needs."""
        floats, values = layer.features, {"memory": place.memory}
        values |= {name: place.states[name] for name in ("contexts",) if name in place.states}
        product = ""
        if attention.projects:
            values |= self._weights(layer, "attention.kernel", "attention_kernel")
            product = self._product(self.arrays[layer.owner, "attention.kernel"])
            floats += attention.size
        if attention.additive:
            values |= self._weights(layer, "attention.score", "score")
            floats += attention.size
        asking = attention_of_step(layer, attention, layer.owner)
        own, settings = self._attention_function(asking)
        return replace(own, product=product), values | settings, floats

    def _attend(self, layer: nodes.Attention, place: Place) -> Iterator[str]:
        """Yield the context of each query."""
        rows = "1" if self.stepped or len(layer.input) == 1 else place.steps
        asking = replace(layer, input=layer.input[-1:])
        own, settings = self._attention_function(asking)
        self._needs(floats=nodes.width(asking.input) * own.additive)
        values = {"query": row(place.inputs[0], rows, nodes.width(layer.input))}
        values |= {"y": row(place.output, rows, nodes.width(layer.output)), "work": "work"}
        values |= {"memory": place.memory} | self._weights(layer, "score", "score") | settings
        # What a causal one sees ends with the step of the query.
        values |= {"steps": "1" if rows == "1" else "t + 1"} if layer.causal else {}
        arguments = ", ".join(values[name] for name in own.parameters)
        call = f"{self.network.name}_{own.function}({arguments});"
        zeros = f"memset({values['y']}, 0, {nodes.width(layer.output)} * sizeof(float));"
        # Steps that a causal query does not see, and those of a longer sequence, are features too.
        is_partial = layer.causal or layer.masked
        of_steps = layer.gives != "context" and not layer.is_along_memory
        yield from each(rows, [zeros, call] if is_partial and of_steps else [call])

    def _attention_function(self, layer: nodes.Attention) -> tuple[AttentionText, dict[str, str]]:
        """Return the function of an attention of one query, and its settings."""
        # A function does not know where its memory is from.
        results = tuple(expand(replace(layer, keys="keys", over="values"), "inference"))
        results = tuple(_of_seen_steps(results))
        memory: dict[core.Expression, Memory] = {
            X: Memory("query", steps=False, units=True, size="size"),
            core.EarlierMask("values"): Memory("mask", steps=True, units=False),
            core.EarlierOutput("values"): Memory("values", steps=True, units=True, size="width"),
            core.EarlierOutput("keys"): Memory("keys", steps=True, units=True, size="size"),
        }
        of_steps = layer.gives != "context"
        to = Memory("y", steps=False, units=True, size="width")
        to = Memory("y", steps=True, units=False, size="steps") if of_steps else to
        own = {name: type_ for name, type_ in _MEMORY.items() if name != "steps"}
        given = Given(memory, to=to, members=own if layer.causal else _MEMORY)
        composed = compose(results, self.network.name, given)
        self._needs(*composed.kernels)
        settings = _settings(results)
        function = Function(
            f"{'masked_' * layer.masked}{'causal_' * layer.causal}"
            f"{'multihead_' * (layer.heads > 1)}"
            f"{'additive' if layer.additive else 'dot'}_attention"
            f"{f'_{layer.gives}' * of_steps}",
            "composed",
            about=_about(layer, stepped=False),
            lines=composed.lines,
            settings=tuple(settings),
            has_versions=True,
        )
        names = composed.parameters | settings.keys() | ({"score"} if layer.additive else set())
        name = self._call(function, dict.fromkeys(names, "")).function
        return AttentionText(name, self._parameters(name)), settings

    @property
    def masks(self) -> bool:
        """True if any layer leaves out padding of what it attends to."""
        attentions = map(nodes.attention_of, self.network.layers)
        return any(attention.masked for attention in attentions if attention)

    def _of_steps(self, layer: nodes.Recurrent, prefix: str, place: Place) -> dict[str, str]:
        """Return the arguments of a recurrent layer that are not those of its cell."""
        values = {"x": place.inputs[0], "work": "work"}
        if self.stepped:
            return values | ({"real": place.real} if layer.masked else {})
        backward, size = prefix == "backward.", layer.states[0][1]
        side_by_side = backward and layer.merge == "concat"
        values |= {"steps": place.steps}
        values["y"] = place.output + (f" + {size}" if side_by_side else "")
        values["width"] = str(nodes.width(layer.output) if layer.return_sequences else 0)
        values |= {"mask": place.mask} if layer.masked else {}
        values |= {"backward": "1"} if backward or layer.backward else {}
        if backward and layer.merge is not None and not side_by_side:
            values["merge"] = _MERGES[layer.merge]
        return values

    def _windows(self, window: nodes.Window, place: Place) -> dict[str, str]:
        """Return the arguments that say which steps are in each window."""
        match window.padding:
            case (int(first), _):
                before = str(first or "")
            case "same":
                before = place.before
            case "causal":
                before = str(window.reach or "")
            case "valid":
                before = ""
            case _:
                assert_never(window.padding)
        sizes = {"size": window.size, "stride": window.stride, "dilation": window.dilation}
        values = {"steps": place.steps, "windows": place.windows}
        values |= {"before": before} if before else {}
        values |= {"mask": place.mask} if place.mask else {}
        return values | {name: str(size) for name, size in sizes.items()}

    def _conv(
        self,
        conv: core.Conv,
        bias: core.Param | None,
        before: list[core.Result],
        place: Place,
        to: Rows,
    ) -> Iterator[str | Call]:
        """Yield the statements of a convolution; ``before`` it are its mask and its state."""
        window, stored = conv.window, self.arrays[conv.kernel.layer, conv.kernel.name]
        inputs, masked = stored.parts[0].inputs, bool(before) and before[0].value == REAL
        features = inputs // window.size
        if not window.reach if self.stepped else not masked and _is_inside(window):
            stride = window.stride * features
            yield from self._products(conv.kernel, bias, place.inputs[0], stride, to)
            return
        product = self._product(stored)
        self._needs(floats=inputs)
        values = {"x": place.inputs[0], "y": place.output, "work": "work"}
        values |= {"features": str(features), "units": str(to.width)}
        for array in (conv.kernel, *([bias] if bias else [])):
            values |= self._weights(array.layer, array.name, array.name)
        match [result.value for result in before[masked:]]:
            case []:
                values |= self._windows(window, place)
            case [core.Join((core.Name(state), x), "steps"), core.Take(taken, (start, 1))] if (
                x,
                taken,
                -start,
            ) == (X, X, window.reach):
                values |= {"size": str(window.size), "dilation": str(window.dilation)}
                values |= {"inputs_before": f"state->{state}"}
                values |= {"real": place.real} if masked else {}
            case _:
                raise GenerationError("this recipe of a convolution is not supported in C")
        name = f"conv{product.removeprefix('product')}"
        yield self._call(Function(name, self._kind("conv"), product, stepped=self.stepped), values)


def _split_bias(value: core.Expression) -> tuple[core.Expression, core.Param | None]:
    """Return a product and the bias that is added to it, if it is one with a bias."""
    match value:
        case core.Combine("add", core.MatMul() | core.Conv() as total, core.Param() as bias):
            return total, bias
        case _:
            return value, None


def _is_inside(window: nodes.Window) -> bool:
    """Return whether each window is steps of the sequence, one behind the other."""
    adds = window.padding not in ("valid", (0, 0))
    if adds and (window.reach or not isinstance(window.padding, str)):
        return False
    return window.dilation in (1, window.reach + 1)


def _states_of(layer: nodes.Recurrent, prefix: str, place: Place) -> dict[str, str]:
    """Return the first and last states of a direction; those of both are side by side."""
    sizes = {own: size for own, (_, size) in states_of_equations(layer).items()}
    return {
        name: pointer + (f" + {sizes[name.rpartition('_')[0]]}" if prefix == "backward." else "")
        for name, pointer in place.states.items()
    }


def _states_of_recipe(layer: nodes.Layer) -> dict[str, State]:
    """Return the states of a layer by their names in its recipe."""
    states = states_of(layer)
    if isinstance(layer, nodes.Pooling) and states:
        return dict(zip(layer.reduction.states, states, strict=True))
    return {state.name: state for state in states}


def _memory(layer: nodes.Layer, states: Mapping[str, State]) -> dict[core.Expression, Memory]:
    """Return where a function finds the inputs of a layer, in their order, and its states."""
    memory: dict[core.Expression, Memory] = {X: Memory("x", steps=not states, units=True)}
    match layer:
        case nodes.Embedding():
            memory[X] = Memory("tokens", steps=True, units=False)
        case nodes.Dense():
            memory[X] = Memory("x", steps=True, units=True, size="inputs")
        case nodes.AttentionPooling(query=str(query)):
            memory[core.EarlierOutput(query)] = Memory("query", steps=False, units=True)
        case _:
            pass
    for name, state in states.items():
        memory[core.Name(name)] = Memory(name, steps=False, units=state.kind != "count")
    return memory


def _of_seen_steps(results: tuple[core.Result, ...]) -> Iterator[core.Result]:
    """Yield the recipe of an attention for a function that is given only steps that are seen."""
    condition = None
    for result in results:
        match result.value:
            case core.Seen(_, core.Row() as real):
                yield core.Result(result.name, real)
            case core.Seen():
                condition = core.Name(result.name)
            case core.Fill(core.Name() as seen, x, own) if seen == condition:
                if own == LOWEST:
                    continue
                yield core.Result(result.name, x)
            case core.Transpose(x):
                # It is one query.
                yield core.Result(result.name, x)
            case _:
                yield result


def _settings(results: tuple[core.Result, ...]) -> dict[str, str]:
    """Return the literals of the settings in a recipe."""
    return {
        setting.name: str(setting.value)
        if isinstance(setting.value, int)
        else number(setting.value)
        for setting in core.settings(results)
    }


def _about(layer: nodes.Layer, *, stepped: bool) -> str:
    """Return what the function of a recipe computes."""
    match layer:
        case nodes.Pooling(reduction=reduction):
            steps = f"steps{' so far' * stepped}{' that are not padding' * layer.masked}"
            return f"The {reduction.noun} of the {steps}."
        case nodes.WindowPooling(statistic=statistic):
            return f"The {'maximum' if statistic == 'max' else 'average'} of each window; steps"
        case nodes.Embedding():
            return "y[t] = table[tokens[t]]."
        case nodes.Dense():
            return "The product of each row of x with each row of a table."
        case nodes.BatchNorm():
            return "A batch norm by moving averages."
        case nodes.LayerNorm():
            return "A layer norm of each row."
        case nodes.Attention():
            sums = activation(layer.activation).name if layer.activation != "linear" else ""
            scores = f"score . {sums}(query + key)" if layer.additive else "query . key"
            scaled = ", times a scale" * (layer.scale != 1.0)
            steps = f"values{' so far' * layer.causal}{', but of padding' * layer.masked}"
            if layer.gives != "context":
                given = "scores" if layer.gives == "scores" else "softmax of scores"
                return f"The {given} of the {steps}, {scores}{scaled}, and zeros elsewhere."
            parts = ", in each head" * (layer.heads > 1)
            return f"The mean of the {steps}, weighted by the softmax of {scores}{scaled}{parts}."
        case nodes.AttentionPooling():
            steps = f"steps{' that are not padding' * layer.masked}"
            return (
                f"The mean of the {steps}, weighted by the softmax of their products with a query."
            )
        case _:
            return layer.about


def window_count(window: nodes.Window, steps: str) -> str:
    """Return the number of windows over a number of steps, in C."""
    more = window.stride - 1 - window.anchor
    total = f"{steps} {'-' if more < 0 else '+'} {abs(more)}" if more else steps
    if window.stride == 1:
        return total
    return f"({total}) / {window.stride}" if more else f"{steps} / {window.stride}"


def steps_before(window: nodes.Window, steps: str, windows: str) -> str:
    """Return the number of steps that are added before a sequence, half of all, in C."""
    if window.stride == 1:
        return str(window.reach // 2)
    end = f"({windows} - 1) * {window.stride} + {window.reach + 1}"
    return f"{end} > {steps} ? ({end} - {steps}) / 2 : 0"
