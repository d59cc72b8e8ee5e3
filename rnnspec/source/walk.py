"""The class of a network in PyTorch or JAX, written in one walk over its layers.

``Walk`` decides what the class does and in which order. A backend derives from it and writes what
each step is in its framework. In every method of the generated class, ``x`` is the input of the
next layer, ``mask`` is true at real steps, and ``skip`` is the input of the next residual.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, assert_never

from rnnspec.ir import nodes
from rnnspec.ir.forms import states, states_of
from rnnspec.source.code import Code, code, function, lines, listed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from rnnspec.ir.forms import Form
    from rnnspec.words import Activation, Merge


@dataclass(frozen=True)
class Walk(ABC):
    """A walk over the layers of a network, which writes the methods of its class.

    ``array`` is the type of arrays, ``axis`` the keyword for an axis, and ``method`` the method
    that computes. In ``checked_forms``, the method refuses a batch of another shape, and unless it
    computes chunks, the class serves a loss too: with a mask, and with the output before the
    activation if one of the ``losses`` takes it. ``about_logits`` then describes the method, with a
    hole for the loss.
    """

    network: nodes.Network
    form: Form

    array: ClassVar[str]
    axis: ClassVar[str]
    method: ClassVar[str]
    checked_forms: ClassVar[tuple[Form, ...]]
    losses: ClassVar[Mapping[Activation, str]]
    about_logits: ClassVar[str]

    def functions(self) -> tuple[Code, ...]:
        """Return the methods of the class."""
        modules = lines(self._write(layer)[0] for layer in self.network.layers)
        compute = self._chunk_methods if self.form == "step" else self._batch_methods
        return (*self.create(modules), *compute())

    def state_shapes(self) -> Iterator[tuple[str, Code]]:
        """Yield the name of each state in step form, and the sizes of its axes."""
        for state in states(self.network):
            yield state.name, code("batch, {!r}", state.size)

    def describe_states(self) -> Iterator[str]:
        """Yield docstring lines about the states, none if the form has none."""
        if self.form == "step":
            yield "States, by name, zeros before the first chunk:"
            for name, shape in self.state_shapes():
                yield f"    {name}: ({shape})"

    def _write(self, layer: nodes.Layer) -> tuple[Code, Code]:
        """Return the statements that create the module of a layer, and those that compute it."""
        call = code("x = self.{}(x)", layer.name)
        match layer:
            case nodes.Embedding():
                return self.embedding(layer), call
            case nodes.Dropout():
                module = self.dropout(layer)
                return module, call if module else Code()
            case nodes.LayerNorm():
                return self.layer_norm(layer), call
            case nodes.Recurrent():
                run = self.run_chunk if self.form == "step" else self.run
                return self.recurrent(layer), lines(run(layer))
            case nodes.Dense(activation="linear"):
                return self.dense(layer), call
            case nodes.Dense():
                activate = code("x = {}", self.activate(layer.activation))
                return self.dense(layer), lines(call, activate)
            case nodes.Repeat():
                return Code(), code("x = {}", self.repeat(layer))
            case nodes.Normalize():
                return Code(), code("x = {}", self.normalize())
            case nodes.Residual():
                return Code(), code("x = x + skip")
            case nodes.Pooling():
                return Code(), self._pool(layer)
            case _:
                assert_never(layer)

    def _pool(self, layer: nodes.Pooling) -> Code:
        names = [state.name for state in states_of(layer)]
        arguments = listed("x", "mask" if layer.masked else "", *names)
        so_far = code("running_{}({})", layer.statistic, arguments)
        match layer.statistic:
            case "last_step":
                return code("x = x[:, -1]")
            case "mean" if self.form == "step":
                return code("{} = {}", listed("x", *names), so_far)
            case "max" if self.form == "step":
                # The maximum is a state itself.
                return lines(code("{} = {}", listed(*names), so_far), code("x = {}", names[0]))
            case "mean":
                pool = self.pool_mean(masked=layer.masked)
            case "max":
                pool = self.pool_max(masked=layer.masked)
            case _:
                assert_never(layer.statistic)
        about = code("# A sequence of padding alone gives zeros.")
        return lines(about if layer.masked else Code(), pool)

    def _compute(self, layers: Iterable[nodes.Layer]) -> Iterator[Code]:
        """Yield the statements that compute some of the layers."""
        starts = {layer.start for layer in self.network.layers if isinstance(layer, nodes.Residual)}
        for layer in layers:
            if layer.name in starts:
                yield code("skip = x")
            yield self._write(layer)[1]

    def _batch_methods(self) -> Iterator[Code]:
        """Yield ``mask`` if a loss needs it, and the method that computes a batch."""
        if self._has_mask_method:
            yield function(
                code("mask(x: {array}) -> {array}", array=self.array),
                code("return {}", self._is_real()),
                describes=[
                    "Return True at real steps, (batch, steps), to leave padding out of a loss."
                ],
                decorators=[code("staticmethod")],
            )
        *before, last = self.network.layers
        match last:
            case nodes.Dense(activation=activation) if (
                self.form in self.checked_forms and activation in self.losses
            ):
                option = code(", *, logits: bool = False")
                description = self.about_logits.format(self.losses[activation])
                body = lines(
                    self._prepare(Code()),
                    self._compute(before),
                    code("x = self.{}(x)", last.name),
                    code("return x if logits else {}", self.activate(activation)),
                )
            case _:
                option, description = Code(), "Return the output for a batch."
                body = self.finish(lines(self._prepare(Code()), self._compute(self.network.layers)))
        yield function(
            code("{}(self, x: {array}{}) -> {array}", self.method, option, array=self.array),
            body,
            describes=[description],
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
    def _has_mask_method(self) -> bool:
        return self.network.pads and self.form in self.checked_forms and self.form != "step"

    def _prepare(self, states: Code) -> Code:
        """Return the statements before the first layer."""
        check = self._check_batch() if self.form in self.checked_forms else Code()
        mask = fill = Code()
        if self.network.input.masked:
            is_real = code("self.mask(x)") if self._has_mask_method else self._is_real()
            mask = code("mask = {}", is_real)
            if isinstance(self.network.input, nodes.NumericInput):
                # As in Masking of Keras: the padding value must not enter a product.
                fill = code("x = {}", self.where_real(0))
        return lines(check, self.convert_input(), states, mask, fill)

    def _check_batch(self) -> Code:
        # Stock layers accept any number of steps, and their errors about other shapes say little.
        shape = self.network.input.shape
        steps, *rest = shape
        expected = ", ".join(map(str, ("batch", "steps > 0" if steps is None else steps, *rest)))
        wrong = code("x.shape[1:] != {!r}", shape)
        if steps is None:
            width = [code("x.shape[2] != {!r}", size) for size in rest]
            tests = [code("x.ndim != {!r}", 1 + len(shape)), *width, code("x.shape[1] == 0")]
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
        match merge:
            case "concat":
                return self.concatenate(ahead, back)
            case "sum":
                return code("{} + {}", ahead, back)
            case "mul":
                return code("{} * {}", ahead, back)
            case "ave":
                return code("({} + {}) / 2", ahead, back)
            case _:
                assert_never(merge)

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
    def where_real(self, otherwise: float) -> Code:
        """Return ``x`` with another value at padded steps."""

    @abstractmethod
    def run(self, layer: nodes.Recurrent) -> Iterator[Code]:
        """Yield the statements that run a recurrent layer over whole sequences."""

    @abstractmethod
    def run_chunk(self, layer: nodes.Recurrent) -> Iterator[Code]:
        """Yield the statements that run a recurrent layer over a chunk, and assign its states."""

    @abstractmethod
    def repeat(self, layer: nodes.Repeat) -> Code:
        """Return ``x`` repeated as a sequence."""

    @abstractmethod
    def normalize(self) -> Code:
        """Return ``x`` divided by its Euclidean norm."""

    @abstractmethod
    def pool_mean(self, *, masked: bool) -> Code:
        """Return the statements that compute the mean over the steps."""

    @abstractmethod
    def pool_max(self, *, masked: bool) -> Code:
        """Return the statements that compute the maximum over the steps."""

    @abstractmethod
    def activate(self, activation: Activation) -> Code:
        """Return ``x`` after an activation, which is not linear."""

    @abstractmethod
    def concatenate(self, ahead: Code, back: Code) -> Code:
        """Return two arrays joined along the features."""

    def state_dtype(self) -> Code:
        """Return the statement that assigns the dtype of the states, if ``zeros`` needs it."""
        return Code()

    @abstractmethod
    def zeros(self, shape: Code) -> Code:
        """Return a state of zeros, given the sizes of its axes."""

    def finish(self, body: Code) -> Code:
        """Return the body of the method with its ``return``."""
        return lines(body, code("return x"))


def _entries(entries: Mapping[str, Code]) -> Code:
    items = (code("{!r}: {}", key, value) for key, value in entries.items())
    return code("{{{}}}", listed(*items))
