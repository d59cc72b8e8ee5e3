"""The class of a network in PyTorch or JAX, written in one walk over its layers.

``Walk`` decides what the class does and in which order. A backend derives from it and writes what
each step is in its framework. In every method of the generated class, ``x`` is the input of the
next layer, ``mask`` is true at real steps, and ``skip`` is the input of the next residual.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, assert_never

from rnnspec.ir import core, nodes, text
from rnnspec.ir.expand import FIELDS, REAL, expand, merged, window_mask
from rnnspec.ir.forms import states, states_of
from rnnspec.source.code import Code, Module, code, define_class, function, lines, listed
from rnnspec.source.composed import ComposedLayers

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from rnnspec.ir.fields import Fields
    from rnnspec.ir.forms import Form
    from rnnspec.words import Merge


_IDIOMS = (
    nodes.Embedding
    | nodes.Recurrent
    | nodes.Conv
    | nodes.WindowPooling
    | nodes.Pooling
    | nodes.Attention
    | nodes.Dense
    | nodes.BatchNorm
    | nodes.LayerNorm
    | nodes.Activate
    | nodes.Dropout
)
"""Layers that a backend writes itself. The recipe of any other is its source."""


def walked_fields(node: nodes.Layer | nodes.Network, form: Fields) -> Fields:
    """Return the fields of what a walk writes: those of the recipe, or of the form of a backend."""
    return form if isinstance(node, _IDIOMS | nodes.Network) else FIELDS


@dataclass(frozen=True)
class Walk(ComposedLayers):
    """A walk over the layers of a network, which writes the methods of its class.

    ``imports`` are the lines that import the framework, and ``softmax`` is the function of this
    name. In ``checked_forms``, the class refuses a batch of another shape, and unless it computes
    chunks, it serves a loss too: with a mask, and with each output before its activation if one of
    the ``losses`` takes it. ``about_logits`` then describes the method of one output, with a hole
    for the loss.
    """

    imports: ClassVar[tuple[str, ...]]
    softmax: ClassVar[str]
    checked_forms: ClassVar[tuple[Form, ...]]
    losses: ClassVar[Mapping[nodes.Activation, str]]
    about_logits: ClassVar[str]

    def write_module(
        self, summary: str, *notes: str, parts: Iterable[Code], imports: Iterable[str]
    ) -> Module:
        """Return the source: what its class needs, and the class itself, behind more imports."""
        modules = lines(self._write(layer)[0] for layer in self.network.layers)
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
                *parts,
                *self.layer_classes,
                *self._running_parts,
                define_class(entry, self.module, describes, *methods),
            ),
        )

    def state_shapes(self) -> Iterator[tuple[str, Code]]:
        """Yield the name of each state in step form, and the sizes of its axes."""
        for state in states(self.network):
            sizes = (code("{!r}", size) for size in state.shape)
            yield state.name, listed("batch", *sizes)

    def _describe_states(self) -> Iterator[str]:
        """Yield docstring lines about the states, none if the form has none."""
        if self.form == "step":
            yield "States, by name, zeros before the first chunk:"
            for name, shape in self.state_shapes():
                yield f"    {name}: ({shape})"

    def _write(  # noqa: PLR0912 - a branch for each kind of layer
        self, layer: nodes.Layer
    ) -> tuple[Code, Code]:
        """Return the statements that create the module of a layer, and those that compute it."""
        if isinstance(layer, nodes.Composed):
            return self.make_composed(layer), self.run_composed(layer)
        if not isinstance(layer, _IDIOMS):
            return Code(), lines(self.statements(expand(layer, self.form)))
        call = code("x = self.{}(x)", layer.name)
        match layer:
            case nodes.Embedding():
                return self.embedding(layer), call
            case nodes.Dropout():
                module = self.dropout(layer)
                return module, call if module else Code()
            case nodes.LayerNorm():
                return self.layer_norm(layer), call
            case nodes.Conv():
                run_conv = lines(self.run_conv(layer))
                return self.conv(layer), lines(run_conv, self.activated(layer))
            case nodes.WindowPooling():
                return self.window_pooling(layer), lines(self.run_window_pooling(layer))
            case nodes.BatchNorm():
                return self.batch_norm(layer), lines(self.run_batch_norm(layer))
            case nodes.Activate():
                return Code(), self.activated(layer)
            case nodes.Attention():
                return self.attention(layer), lines(self.run_attention(layer))
            case nodes.Recurrent():
                run = self.run_chunk if self.form == "step" else self.run
                return self.recurrent(layer), lines(run(layer))
            case nodes.Dense():
                return self.dense(layer), lines(self._project(layer), self.activated(layer))
            case nodes.Pooling():
                return Code(), lines(self._pool(layer))
            case _:
                assert_never(layer)

    def _project(self, layer: nodes.Dense) -> Code:
        """Return the statement that computes a dense layer without its activation."""
        if layer.tied:
            return code("x = {}", self.project_tied(layer))
        return code("x = self.{}(x)", layer.name)

    def activated(self, layer: nodes.Conv | nodes.Activate | nodes.Dense) -> Code:
        """Return the statement that applies the activation of a layer, empty if it is linear."""
        if layer.activation == "linear":
            return Code()
        otherwise = code("x if logits else ") if layer in self._logits.values() else Code()
        return code("x = {}{}", otherwise, self.activate(layer.activation))

    @cached_property
    def _logits(self) -> dict[str, nodes.Dense]:
        """The layers from which a loss takes what enters the activation, by output."""
        if self.form not in self.checked_forms or self.form == "step":
            return {}
        # A layer that takes the output of another needs it after the activation.
        used = {name for names in nodes.sources(self.network).values() for name in names}
        return {
            name: layer
            for name, layer in self.network.results.items()
            if isinstance(layer, nodes.Dense)
            and layer.activation in self.losses
            and layer.name not in used
        }

    def write(self, value: core.Expression) -> Code:
        """Return an expression, also of what layers before have computed."""
        match value:
            case core.EarlierOutput(layer):
                return self.output(layer)
            case core.Softmax(x):
                return code("{}({}, {}=1)", self.softmax, self.write(x), self.axis)
            case _:
                return super().write(value)

    def _pool(self, layer: nodes.Pooling) -> Iterator[Code]:
        names = [state.name for state in states_of(layer)]
        if self.form == "step" and names:
            # But for the mean, the statistic is a state itself.
            results = listed("x" if layer.statistic == "mean" else "", *names)
            arguments = listed("x", "mask" if layer.masked else "", *names)
            yield code("{} = running_{}({})", results, layer.statistic, arguments)
            if layer.statistic != "mean":
                yield code("x = {}", names[0])
            return
        if layer.masked:
            yield code("# A sequence of padding alone gives zeros.")
        yield from self.pool(layer)

    def pool(self, layer: nodes.Pooling) -> Iterator[Code]:
        """Yield the statements of a statistic over all steps."""
        return self.statements(expand(layer, self.form))

    @property
    def _running_parts(self) -> tuple[Code, ...]:
        """The functions of statistics over all chunks so far, which the class calls."""
        pools = [layer for layer in self.network.layers if isinstance(layer, nodes.Pooling)]
        return tuple(self.running(pools)) if self.form == "step" else ()

    def _compute(self, layers: Iterable[nodes.Layer]) -> Iterator[Code]:
        """Yield the statements that compute some of the layers."""
        starts = {layer.start for layer in self.network.layers if isinstance(layer, nodes.Residual)}
        for layer in layers:
            if layer.source is not None:
                yield code("x = {}", self.output(layer.source))
            if layer.name in starts:
                yield code("skip = x")
            yield self._write(layer)[1]
            if layer.name in self._reused:
                yield code("{} = x", self.output(layer.name))
            if isinstance(layer, nodes.Conv | nodes.WindowPooling) and self._masks_after(layer):
                yield from self._window_mask(layer.window)

    @cached_property
    def _reused(self) -> frozenset[str]:
        """The layers whose output is used again, and so has a variable of its own."""
        return nodes.kept_outputs(self.network)

    def output(self, layer: str) -> Code:
        """Return the variable with the output of an earlier layer."""
        return code("{}_out", code("{}", layer)) if layer in self._reused else code("x")

    def _masks_after(self, layer: nodes.Layer) -> bool:
        """True if a layer behind one uses the mask."""
        behind = self.network.layers[self.network.layers.index(layer) + 1 :]
        return any(getattr(other, "masked", False) for other in behind)

    def _window_mask(self, window: nodes.Window) -> Iterator[Code]:
        """Yield the statement that makes the mask that of windows, none if it stays."""
        if (mask := window_mask(window)) is not None:
            yield from self.assign("mask", mask)

    def _batch_methods(self) -> Iterator[Code]:
        """Yield ``mask`` if a loss needs it, and the method that computes a batch."""
        if self._has_mask_method:
            yield function(
                code("mask(x: {array}) -> {array}", array=self.array),
                self._output_mask(),
                describes=[
                    "Return True at real steps, (batch, steps), to leave padding out of a loss."
                ],
                decorators=[code("staticmethod")],
            )
        outputs, logits = self.network.outputs, self._logits
        if logits and not outputs:
            *before, _ = self.network.layers
            (last,) = logits.values()
            describes = [self.about_logits.format(self.losses[last.activation])]
            body = lines(
                self._prepare(Code()),
                self._compute(before),
                self._project(last),
                code("return x if logits else {}", self.activate(last.activation)),
            )
        else:
            what = "outputs for a batch by name" if outputs else "output for a batch"
            describes = [f"Return the {what}."]
            if logits:
                describes += ["", "With ``logits``, these outputs are what their losses take:"]
                losses = ((name, self.losses[layer.activation]) for name, layer in logits.items())
                describes += [f"    {name}: ``{loss}``" for name, loss in losses]
            body = self.finish(lines(self._prepare(Code()), self._compute(self.network.layers)))
        option = code(", *, logits: bool = False") if logits else Code()
        result = "dict[str, {array}]" if outputs else "{array}"
        yield function(
            code(
                f"{{}}(self, x: {{array}}{{}}) -> {result}", self.method, option, array=self.array
            ),
            body,
            describes=describes,
        )

    def _chunk_methods(self) -> Iterator[Code]:
        """Yield the methods of the step form: the first states, and a chunk's output."""
        shapes = dict(self.state_shapes())
        yield function(
            code("initial_states(self, x: {array}) -> dict[str, {array}]", array=self.array),
            code("batch = x.shape[0]"),
            self.state_dtype(),
            code("return {}", _entries({name: self.zeros(shapes[name]) for name in shapes})),
            describes=["Return the states before the first chunk ``x``, which are zeros."],
        )
        many = len(self.network.output) > 1
        outputs = "outputs of the chunk" if many else "output for the steps so far"
        yield function(
            code(
                "{}(self, x: {array}, states: dict[str, {array}] | None = None)"
                " -> tuple[{array}, dict[str, {array}]]",
                self.method,
                array=self.array,
            ),
            self._prepare(
                code(
                    """
                    if states is None:
                        states = self.initial_states(x)
                    {}
                    """,
                    lines(code("{} = states[{!r}]", name, name) for name in shapes),
                )
            ),
            self._compute(self.network.layers),
            code("states = {}", _entries({name: code("{}", name) for name in shapes})),
            code("return x, states"),
            describes=[f"Return the {outputs}, and the states for the next chunk."],
        )

    @property
    def _last_windows(self) -> tuple[nodes.Window, ...]:
        """The windows that the mask of the result has gone through, but those that keep it."""
        after = nodes.windows_of_padding(self.network)
        padded = (
            after[layer.name] for layer in self.network.results.values() if layer.name in after
        )
        return tuple(window for window in next(padded, ()) if not window.keeps_steps)

    def _output_mask(self) -> Iterator[Code]:
        """Yield the body of ``mask``."""
        if not self._last_windows:
            yield code("return {}", self._is_real())
            return
        yield code("mask = {}", self._is_real())
        for window in self._last_windows:
            yield from self._window_mask(window)
        yield code("return mask")

    @property
    def _has_mask_method(self) -> bool:
        return self.network.pads and self.form in self.checked_forms and self.form != "step"

    def _prepare(self, states: Code) -> Code:
        """Return the statements before the first layer."""
        check = self._check_batch() if self.form in self.checked_forms else Code()
        mask = fill = Code()
        if self.network.input.masked:
            same = self._has_mask_method and not self._last_windows
            is_real = code("self.mask(x)") if same else self._is_real()
            mask = code("mask = {}", is_real)
            if isinstance(self.network.input, nodes.NumericInput):
                # As in Masking of Keras: the padding value must not enter a product.
                fill = code("x = {}", self.write(REAL))
        keep = code("{} = x", self.output(nodes.INPUT)) if nodes.INPUT in self._reused else Code()
        return lines(check, self.convert_input(), states, mask, fill, keep)

    def _check_batch(self) -> Code:
        # Stock layers accept any number of steps, and their errors about other shapes say little.
        shape = self.network.input.shape
        steps, *rest = shape
        least = nodes.least_steps(self.network)
        any_steps = "steps > 0" if least == 1 else f"steps >= {least}"
        expected = ", ".join(map(str, ("batch", any_steps if steps is None else steps, *rest)))
        wrong = code("x.shape[1:] != {!r}", shape)
        if steps is None:
            width = [code("x.shape[2] != {!r}", size) for size in rest]
            few = code("x.shape[1] == 0") if least == 1 else code("x.shape[1] < {!r}", least)
            tests = [code("x.ndim != {!r}", 1 + len(shape)), *width, few]
            wrong = Code(" or ".join(tests))
        return code(
            """
            if {}:
                raise ValueError(f"expected ({}), received {{x.shape}}")
            """,
            wrong,
            Code(expected),
        )

    def _is_real(self) -> Code:
        """Return the mask of the batch, (batch, steps)."""
        match self.network.input:
            case nodes.TokenInput():
                return code("x != 0")
            case nodes.NumericInput(mask_value=value):
                return code("(x != {!r}).any({}=-1)", value, self.axis)
            case _:
                assert_never(self.network.input)

    def merge(self, ahead: Code, back: Code, merge: Merge) -> Code:
        """Return the outputs of both directions in one."""
        both = replace(self, variables={"ahead": ahead, "back": back})
        return both.write(merged(core.Name("ahead"), core.Name("back"), merge))

    # What a backend writes: the modules first, then what computes them.

    @abstractmethod
    def create(self, modules: Code) -> Iterator[Code]:
        """Yield the methods that create the modules, and draw the initial weights."""

    @abstractmethod
    def embedding(self, layer: nodes.Embedding) -> Code:
        """Return the statements that create the module of an embedding."""

    @abstractmethod
    def dropout(self, layer: nodes.Dropout) -> Code:
        """Return the statement that creates a dropout, empty if another module applies it."""

    @abstractmethod
    def layer_norm(self, layer: nodes.LayerNorm) -> Code:
        """Return the statement that creates a layer normalization."""

    @abstractmethod
    def dense(self, layer: nodes.Dense) -> Code:
        """Return the statement that creates a dense layer, without its activation."""

    @abstractmethod
    def recurrent(self, layer: nodes.Recurrent) -> Code:
        """Return the statement that creates a recurrent layer, empty if another module has it."""

    def convert_input(self) -> Code:
        """Return the statement that gives ``x`` the dtype that layers take."""
        return Code()

    @abstractmethod
    def run(self, layer: nodes.Recurrent) -> Iterator[Code]:
        """Yield the statements that run a recurrent layer over whole sequences."""

    @abstractmethod
    def run_chunk(self, layer: nodes.Recurrent) -> Iterator[Code]:
        """Yield the statements that run a recurrent layer over a chunk, and assign its states."""

    @abstractmethod
    def conv(self, layer: nodes.Conv) -> Code:
        """Return the statement that creates a convolution, without its activation."""

    @abstractmethod
    def run_conv(self, layer: nodes.Conv) -> Iterator[Code]:
        """Yield the statements that run a convolution, with its states in step form."""

    def window_pooling(self, layer: nodes.WindowPooling) -> Code:  # noqa: ARG002
        """Return the statement that creates a pooling of windows, if it is a module."""
        return Code()

    @abstractmethod
    def run_window_pooling(self, layer: nodes.WindowPooling) -> Iterator[Code]:
        """Yield the statements that pool windows."""

    @abstractmethod
    def batch_norm(self, layer: nodes.BatchNorm) -> Code:
        """Return the statement that creates a batch normalization."""

    @abstractmethod
    def run_batch_norm(self, layer: nodes.BatchNorm) -> Iterator[Code]:
        """Yield the statements that run a batch normalization."""

    @abstractmethod
    def attention(self, layer: nodes.Attention) -> Code:
        """Return the statements that create what scores the steps."""

    @abstractmethod
    def run_attention(self, layer: nodes.Attention) -> Iterator[Code]:
        """Yield the statements that reduce the steps to their weighted mean."""

    @abstractmethod
    def project_tied(self, layer: nodes.Dense) -> Code:
        """Return ``x`` projected by the transpose of an embedding, plus the bias of the layer."""

    @abstractmethod
    def activate(self, activation: nodes.Activation) -> Code:
        """Return ``x`` after an activation, which is not linear."""

    def state_dtype(self) -> Code:
        """Return the statement that assigns the dtype of the states, if ``zeros`` needs it."""
        return Code()

    @abstractmethod
    def zeros(self, shape: Code) -> Code:
        """Return a state of zeros, given the sizes of its axes."""

    def finish(self, body: Code) -> Code:
        """Return the body of the method with its ``return``."""
        outputs = {name: self.output(layer) for name, layer in self.network.outputs}
        return lines(body, code("return {}", _entries(outputs) if outputs else code("x")))


def _entries(entries: Mapping[str, Code]) -> Code:
    items = (code("{!r}: {}", key, value) for key, value in entries.items())
    return code("{{{}}}", listed(*items))
