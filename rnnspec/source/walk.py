"""The class of a network in PyTorch or JAX, written in one walk over its layers.

``Walk`` decides what the class does and in which order, and tells each layer the variables of its
input and mask. A backend derives from it and writes what each step is in its framework. An input
without a name is in ``x``, and so is the output of each layer then; a value that is used later is
copied to a variable of its own. Inputs with names are in variables with these, and a layer assigns
a value that is used later to its own variable. ``skip`` is the input of the next residual.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, TypeVar, assert_never

from rnnspec.ir import nodes, text
from rnnspec.ir.expand import REAL, window_mask
from rnnspec.ir.forms import held_values, states
from rnnspec.source.code import (
    Code,
    Module,
    OutputStatement,
    code,
    define_class,
    function,
    lines,
    listed,
)
from rnnspec.source.layers import LayerWriter
from rnnspec.source.values import Masks, kept_values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from rnnspec.ir.forms import State

_Layer = TypeVar("_Layer", bound=nodes.Layer)


@dataclass(frozen=True)
class Walk(LayerWriter):
    """A walk over the layers of a network, which writes the methods of its class.

    ``imports`` are the lines that import the framework. In the ``checked_forms``, the class refuses
    a batch of another shape. ``about_logits`` describes the method of one output before its
    activation, with a hole for the loss that takes it.
    """

    imports: ClassVar[tuple[str, ...]]
    about_logits: ClassVar[str]

    def write_module(
        self, summary: str, *notes: str, parts: Iterable[Code], imports: Iterable[str]
    ) -> Module:
        """Return the source: what its class needs, and the class itself, behind more imports."""
        modules = lines(self._make(layer) for layer in self.network.layers)
        compute = self._chunk_methods if self.form == "step" else self._batch_methods
        own_imports = tuple(imports)
        describes = (
            summary,
            "",
            *text.signature(self.network, chunks=self.form == "step"),
            *self._describe_states(),
            *notes,
        )
        entry, methods = text.class_name(self.network), (*self.create(modules), *compute())
        return Module(
            title=text.title(self.network),
            comment=text.comment(self.network),
            entry=entry,
            imports=(*own_imports, *([""] if own_imports else []), *self.imports),
            parts=(
                *self.attention_classes,
                *parts,
                *self.layer_classes,
                *self._running_parts,
                define_class(entry, self.module, describes, *methods),
            ),
        )

    def state_shapes(self, *, first: bool = False) -> Iterator[tuple[str, Code]]:
        """Yield the name of each state in step form, and the sizes of its axes.

        If ``first`` is true, they are those before the first chunk.
        """
        for state in states(self.network):
            yield state.name, self.state_sizes(state, first=first)

    def state_sizes(self, state: State, *, first: bool) -> Code:
        """Return the sizes of the axes of a state."""
        shape = state.first_shape if first else state.shape
        sizes = (code("steps") if size is None else code("{!r}", size) for size in shape)
        return listed("batch", *sizes)

    def _describe_states(self) -> Iterator[str]:
        """Yield docstring lines about the states, none if the form has none."""
        if self.form == "step":
            first = "" if self._first_values else ", zeros before the first chunk"
            yield f"States, by name{first}:"
            for name, shape in self.state_shapes():
                yield f"    {name}: ({shape})"

    @property
    def _running_parts(self) -> tuple[Code, ...]:
        """The functions of statistics over all chunks so far, which the class calls."""
        pools = [layer for layer in self.network.layers if isinstance(layer, nodes.Pooling)]
        return tuple(self.running(layer for layer in pools if self.form_of(layer) == "step"))

    @cached_property
    def _parameters(self) -> dict[str, Code]:
        """The parameter for each input."""
        parameter = str if self.flows else self.reserved_names.parameter
        arguments = self.network.arguments("x")
        return {name: code("{}", parameter(argument)) for name, argument in arguments.items()}

    @cached_property
    def _starts(self) -> frozenset[str]:
        """The layers before which a residual starts."""
        residuals = (layer for layer in self.network.layers if isinstance(layer, nodes.Residual))
        return frozenset(residual.start for residual in residuals)

    @cached_property
    def _masks(self) -> Masks:
        return Masks(self.network, self.variables_of.values())

    def _begin(
        self, inputs: Sequence[nodes.Input], layers: Iterable[nodes.Layer], results: Iterable[str]
    ) -> None:
        """Begin a method of some inputs and layers, after which some values are used."""
        scope = self.scope
        scope.inputs, scope.current, scope.masks = inputs, self.network.inputs[0].name, {}
        scope.kept = kept_values(self.network, layers, results)
        own = {
            network_input.name: code("{}", self.variables_of[network_input.name])
            for network_input in inputs
        }
        scope.entries = dict.fromkeys(own, code("x")) if self.flows else own
        scope.values = scope.entries | {name: own[name] for name in own if name in scope.kept}
        scope.like = scope.entries[inputs[0].name]

    def _compute(self, layers: Iterable[nodes.Layer]) -> Iterator[Code]:
        """Yield the statements that compute some of the layers."""
        for layer in layers:
            yield from self._place(layer, self.compute)

    def _place(self, layer: _Layer, write: Callable[[_Layer], Iterable[Code]]) -> Iterator[Code]:
        """Yield the statements of a layer, which is told the variables of its input and mask."""
        scope, (main, *_) = self.scope, self._sources[layer.name]
        yield from self.need(layer.of if isinstance(layer, nodes.Joined) else (main,))
        is_here = isinstance(layer, nodes.Joined) or (self.flows and main == scope.current)
        source = code("x") if is_here else self.output(main)
        if self.flows and source != "x":
            yield code("x = {}", source)
            source = code("x")
        if layer.name in self._starts:
            yield code("skip = {}", source)
        self.variables.update(x=source, mask=self.mask_of(main))
        statements = [statement for statement in write(layer) if statement]
        self.variables.clear()
        variable, is_kept = code("{}", self.variables_of[layer.name]), layer.name in scope.kept
        if is_kept and (self.flows or not self.gives_states_alone(layer)):
            last = statements.pop() if statements else OutputStatement(source)
            if self.flows or not isinstance(last, OutputStatement):
                statements += [last, code("{} = x", variable)]
            else:
                statements.append(last.into(variable))
        yield from statements
        is_same = not statements and not self.flows
        scope.values[layer.name] = variable if is_kept else source if is_same else code("x")
        scope.current = layer.name
        if self._masks.is_one:
            if isinstance(layer, nodes.Windowed) and self._masks_after(layer):
                yield from self._window_mask(layer.window)
        elif name := self._masks.after(layer):
            yield code("{} = {}", name, self._masks.write(layer.name))

    def _unequal_sizes(self) -> Iterator[Code]:
        """Yield the checks that inputs have equally many sequences, and steps if these are joined.

        One of them would be the same for all, or at each step, in arithmetic.
        """
        one, *others = (self.output(network_input.name) for network_input in self.scope.inputs)
        if others:
            check = code(
                """
                if {one}.shape[0] != {other}.shape[0]:
                    sequences = {one}.shape[0], {other}.shape[0]
                    raise ValueError(f"{text}, received {{sequences}}")
                """,
                one=one,
                other=Code("x") if others[1:] else others[0],
                text=Code("expected as many sequences in each input"),
            )
            loop = code("for x in ({}):\n    {}", listed(*others), check)
            yield loop if others[1:] else check
        by_name = {network_input.name: network_input for network_input in self.scope.inputs}
        for name, first in nodes.equal_steps(self.network).items():
            if name == first or name not in by_name or first not in by_name:
                continue
            if None in (by_name[name].shape[0], by_name[first].shape[0]):
                yield code(
                    """
                    if {one}.shape[1] != {other}.shape[1]:
                        steps = {one}.shape[1], {other}.shape[1]
                        raise ValueError(f"{text}, received {{steps}}")
                    """,
                    one=self.output(first),
                    other=self.output(name),
                    text=Code(f"expected as many steps in {first} as in {name}"),
                )

    def _masks_after(self, layer: nodes.Layer) -> bool:
        """True if a layer behind one uses the mask."""
        behind = self.network.layers[self.network.layers.index(layer) + 1 :]
        return any(getattr(other, "masked", False) for other in behind)

    def _window_mask(self, window: nodes.Window) -> Iterator[Code]:
        """Yield the statement that makes the mask that of windows, none if it stays."""
        if (mask := window_mask(window)) is not None:
            yield from self.assign("mask", mask)

    def _signature(self, method: str, option: Code, *, returns: Code) -> Code:
        """Return the line of a method that takes the inputs of the scope, by keyword if named."""
        inputs = [
            code("{}: {}", self._parameters[network_input.name], self.array)
            for network_input in self.scope.inputs
        ]
        positional = inputs if self.flows else []
        keywords = [option] if self.flows else [*inputs, option]
        own = [code("self")] if method != "mask" else []
        star = code("*") if any(keywords) else ""
        return code("{}({}) -> {}", method, listed(*own, *positional, star, *keywords), returns)

    def _batch_methods(self) -> Iterator[Code]:
        """Yield ``mask`` if a loss needs it, and the method that computes a batch."""
        network, array = self.network, code("{}", self.array)
        self._begin(network.inputs, network.layers, self._kept_results)
        if self._has_mask_method:
            purpose = "to leave padding out of a loss"
            purpose += ", by output" if self._has_several_masks else ""
            yield function(
                self._signature(
                    "mask",
                    Code(),
                    returns=code("dict[str, {}]", array) if self._has_several_masks else array,
                ),
                self._output_mask(),
                describes=[f"Return True at real steps, (batch, steps), {purpose}."],
                decorators=[code("staticmethod")],
            )
        outputs, logits = network.outputs, self._logits
        if logits and not outputs:
            *before, _ = network.layers
            (last,) = logits.values()
            describes = [self.about_logits.format(self.losses[last.activation])]
            body = lines(
                self._prepare(Code()),
                self._compute(before),
                self._place(last, self.project),
                code("return x if logits else {}", self.activate(last.activation, code("x"))),
            )
        else:
            what = "outputs for a batch by name" if outputs else "output for a batch"
            describes = [f"Return the {what}."]
            if logits:
                describes += ["", "With ``logits``, these outputs are what their losses take:"]
                losses = ((name, self.losses[layer.activation]) for name, layer in logits.items())
                describes += [f"    {name}: ``{loss}``" for name, loss in losses]
            prepared = self._prepare(Code())
            computed = (*self._compute(network.layers), *self.need(self._results))
            body = lines(prepared, self.finish(computed))
        option = code("logits: bool = False") if logits else Code()
        returns = code("dict[str, {}]", array) if outputs else array
        yield function(
            self._signature(self.method, option, returns=returns), body, describes=describes
        )

    @cached_property
    def _results(self) -> list[str]:
        return [layer.name for layer in self.network.results.values()]

    @cached_property
    def _kept_results(self) -> list[str]:
        """The results that have variables of their own."""
        # The last value is in ``x`` if values flow there.
        last = self.network.last if self.flows else ""
        return [name for name in self._results if name != last] if self.network.outputs else []

    def _chunk_methods(self) -> Iterator[Code]:
        """Yield the methods of the step form: the first states, and a chunk's output."""
        network, array = self.network, code("{}", self.array)
        inputs = {network_input.name: network_input for network_input in network.inputs}
        streams = [inputs.pop(name) for name in network.streams]
        others = [*inputs.values()]
        yield self._first_method(streams[0], others)
        in_chunks = [layer for layer in network.layers if layer.name in self.streamed]
        self._begin(streams, in_chunks, set(self._kept_results).intersection(self.streamed))
        states_type = code("dict[str, {}]", array)
        names = dict(self.state_shapes())
        for state in held_values(network):
            held = self.scope.masks if state.kind == "mask" else self.scope.values
            held[state.layer] = code("{}", state.name)
        chunks = [self._parameters[stream.name] for stream in streams]
        unpack = lines(code("{} = states[{!r}]", name, name) for name in names)
        if not others:
            unpack = code(
                """
                if states is None:
                    states = self.initial_states({})
                {}
                """,
                chunks[0],
                unpack,
            )
        many = len(next(iter(network.results.values())).output) > 1
        about = "outputs of the chunk" if many else "output for the steps so far"
        result = states_type if network.outputs else array
        about = "outputs by name" if network.outputs else about
        prepared = self._prepare(lines(unpack, self._short_chunk(chunks[0])))
        computed = lines(prepared, self._compute(in_chunks), self.need(self._results))
        yield function(
            code(
                "{}(self, {}, states: {}) -> tuple[{}, {}]",
                self.method,
                listed(*(code("{}: {}", chunk, array) for chunk in chunks)),
                states_type if others else code("{} | None = None", states_type),
                result,
                states_type,
            ),
            computed,
            code("states = {}", _entries({name: code("{}", name) for name in names})),
            code("return {}, states", self._value_of_results()),
            describes=[f"Return the {about}, and the states for the next chunk."],
        )

    def _short_chunk(self, chunk: Code) -> Iterator[Code]:
        """Yield the check of the first chunk, if it needs more steps than those after it."""
        by_input = nodes.least_steps_by_input(self.network)
        least = max(by_input[name] for name in self.network.streams)
        short = (state for state in states(self.network) if state.first_shape != state.shape)
        if state := next(short, None):
            yield code(
                """
                if {chunk}.shape[1] < {!r} and {}.shape[1] < {!r}:
                    raise ValueError(f"{}, received {{{chunk}.shape[1]}}")
                """,
                least,
                state.name,
                state.shape[0],
                Code(f"expected at least {least} steps in the first chunk"),
                chunk=chunk,
            )

    def _value_of_results(self) -> Code:
        outputs = {name: self.output(layer.name) for name, layer in self.network.results.items()}
        return _entries(outputs) if self.network.outputs else outputs[""]

    @cached_property
    def _first_values(self) -> dict[str, str]:
        """The layer or input that each state begins as, but for zeros, by the name of the state.

        A mask is that of its layer or input.
        """
        values = {state.name: state.layer for state in held_values(self.network)}
        for layer in self.network.layers:
            if isinstance(layer, nodes.Recurrent) and layer.name in self.streamed:
                values |= {f"{layer.name}_{name}": of for name, of in layer.first_states.items()}
        return values

    def _first_method(self, stream: nodes.Input, others: Sequence[nodes.Input]) -> Code:
        """Return the method that computes the states before the first chunk."""
        early = [layer for layer in self.network.layers if layer.name not in self.streamed]
        inputs, starts = others or [stream], dict.fromkeys(self._first_values.values())
        self._begin(inputs, early, starts)
        like = self.scope.like
        about = "Return the states before the first chunk"
        signature = code(
            "initial_states(self, {}: {a}) -> dict[str, {a}]",
            self._parameters[stream.name],
            a=code("{}", self.array),
        )
        about = f"{about} ``{like}``{'' if starts else ', which are zeros'}."
        if others:
            signature = self._signature("begin", Code(), returns=code("dict[str, {}]", self.array))
            about = "Return the states before the first chunk."
        before = lines(
            self._prepare(Code()) if others else Code(),
            self._compute(early),
            self.need(self.first_needs()),
        )
        values = dict(self.first_values())
        shapes = self.state_shapes(first=True)
        entries = {name: values.get(name) or self.zeros(sizes) for name, sizes in shapes}
        needs_zeros = len(values) < len(entries)
        return function(
            signature,
            before,
            code("batch = {}.shape[0]", like) if needs_zeros else Code(),
            self.state_dtype(like) if needs_zeros else Code(),
            code("return {}", _entries(entries)),
            describes=[about],
        )

    def first_values(self) -> Iterator[tuple[str, Code]]:
        """Yield the name of each state that does not begin as zeros, and its first value."""
        masks = {state.name for state in held_values(self.network) if state.kind == "mask"}
        for state, name in self._first_values.items():
            yield state, self.mask_of(name) if state in masks else self.output(name)

    def mask_of(self, name: str) -> Code:
        """Return the variable of the mask of an input, or of the output of a layer."""
        return self.scope.masks.get(name) or code("{}", self._masks.variable(name))

    def first_needs(self) -> Iterator[str]:
        """Yield the names of what the states before the first chunk are made of."""
        yield from self._first_values.values()

    @property
    def _last_windows(self) -> tuple[nodes.Window, ...]:
        """The windows that the mask of the result has gone through, but those that keep it."""
        name, windows = next(iter(self._padded_results.values())), list[nodes.Window]()
        layers = {layer.name: layer for layer in self.network.layers}
        while name in layers:
            layer = layers[name]
            if isinstance(layer, nodes.Windowed):
                windows.append(layer.window)
            name, *_ = self._sources[name]
        return tuple(window for window in reversed(windows) if not window.keeps_steps)

    @property
    def _padded_results(self) -> dict[str, str]:
        """The layer of each output with padding, by the name of the output."""
        results = {name: layer.name for name, layer in self.network.results.items()}
        return {name: layer for name, layer in results.items() if layer in self._masks.origins}

    @property
    def _has_several_masks(self) -> bool:
        """True if outputs have unlike padding."""
        return len({self._masks.origins[layer] for layer in self._padded_results.values()}) > 1

    def _output_mask(self) -> Iterator[Code]:
        """Yield the body of ``mask``."""
        if not self._has_plain_mask:
            layers = self._padded_results
            used = {name for layer in layers.values() for name, _, _ in self._masks.origins[layer]}
            for network_input in self.network.inputs:
                if network_input.name in used:
                    is_real = self._is_real(network_input, self._parameters[network_input.name])
                    yield code("{} = {}", self._masks.names[(network_input.name, 0, 1),], is_real)
            masks = {name: self._masks.write(layer) for name, layer in layers.items()}
            several = self._has_several_masks
            yield code("return {}", _entries(masks) if several else next(iter(masks.values())))
        elif not self._last_windows:
            yield code("return {}", self._is_real(self.network.input, code("x")))
        else:
            yield code("mask = {}", self._is_real(self.network.input, code("x")))
            for window in self._last_windows:
                yield from self._window_mask(window)
            yield code("return mask")

    @property
    def _has_plain_mask(self) -> bool:
        """True if the method that tells the mask takes ``x`` and returns the only mask."""
        return self.flows and self._masks.is_one and not self._has_several_masks

    @property
    def _has_mask_method(self) -> bool:
        return self.network.pads and self.form in self.checked_forms and self.form != "step"

    def _prepare(self, states: Code) -> Code:
        """Return the statements before the first layer."""
        prepared = list[Code]()
        for network_input in self.scope.inputs:
            x, parameter = (
                self.scope.entries[network_input.name],
                self._parameters[network_input.name],
            )
            prepared.append(code("{} = {}", x, parameter) if x != parameter else Code())
            prepared += self._enter(network_input, x, states if self.flows else Code())
        return lines(prepared, self._unequal_sizes(), Code() if self.flows else states)

    def _enter(self, source: nodes.Input, x: Code, states: Code) -> Iterator[Code]:
        """Yield the statements that check an input, in ``x``, and fill its padding with zeros."""
        if self.form in self.checked_forms:
            yield self._check_batch(source, x)
        yield self.convert_input(source, x)
        yield states
        is_filled = isinstance(source, nodes.NumericInput)
        if source.masked and (is_filled or self.flows or self._masks.uses(source)):
            yield self._mask_of(source, x)
            if is_filled:
                # As in Masking of Keras: the padding value must not enter a product.
                self.variables.update(x=x, mask=code("{}", self._mask_name(source)))
                yield code("{} = {}", x, self.write(REAL))
                self.variables.clear()
        if (value := self.output(source.name)) != x:
            yield code("{} = {}", value, x)

    def _mask_name(self, source: nodes.Input) -> str:
        return "mask" if self._masks.is_one else self._masks.names[(source.name, 0, 1),]

    def _mask_of(self, source: nodes.Input, x: Code) -> Code:
        """Return the statement that makes the mask of an input, in ``x``."""
        if self._has_mask_method and self._has_plain_mask and not self._last_windows:
            return code("mask = self.mask({})", x)
        return code("{} = {}", self._mask_name(source), self._is_real(source, x))

    def _check_batch(self, source: nodes.Input, x: Code) -> Code:
        # Stock layers accept any number of steps, and their errors about other shapes say little.
        shape = source.shape
        wrong, expected = code("{}.shape[1:] != {!r}", x, shape), ["batch", *map(str, shape)]
        if not shape:
            wrong = code("{}.ndim != 1", x)
        if isinstance(source, nodes.SequenceInput) and shape[0] is None:
            rest = shape[1:]
            # A later chunk may be shorter than the first one.
            is_chunk = self.form == "step" and source.name in self.network.streams
            least = 1 if is_chunk else nodes.least_steps_by_input(self.network)[source.name]
            expected[1] = "steps > 0" if least == 1 else f"steps >= {least}"
            width = [code("{}.shape[2] != {!r}", x, size) for size in rest]
            few = "{}.shape[1] == 0" if least == 1 else f"{{}}.shape[1] < {least}"
            tests = [code("{}.ndim != {!r}", x, 1 + len(shape)), *width, code(few, x)]
            wrong = Code(" or ".join(tests))
        name = self.network.prefix(source.name, ": ")
        text = f"{name}expected ({', '.join(expected)}{',' if len(expected) < 2 else ''})"
        return code(
            """
            if {}:
                raise ValueError(f"{}, received {{{}.shape}}")
            """,
            wrong,
            Code(text),
            x,
        )

    def _is_real(self, source: nodes.Input, x: Code) -> Code:
        """Return the mask of a batch in ``x``, (batch, steps)."""
        match source:
            case nodes.TokenInput():
                return code("{} != 0", x)
            case nodes.NumericInput(mask_value=value):
                return code("({} != {!r}).any({}=-1)", x, value, self.axis)
            case nodes.VectorInput() | nodes.LabelInput():
                raise AssertionError("it has no steps")
            case _:
                assert_never(source)

    def finish(self, statements: Sequence[Code]) -> Code:
        """Return the statements of all layers with a ``return`` behind them."""
        return lines(statements, code("return {}", self._value_of_results()))


def _entries(entries: Mapping[str, Code]) -> Code:
    items = (code("{!r}: {}", key, value) for key, value in entries.items())
    return code("{{{}}}", listed(*items))
