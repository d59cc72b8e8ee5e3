"""What is written of each layer in the class of a network, in PyTorch or JAX."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, assert_never

from rnnspec.ir import core, nodes
from rnnspec.ir.expand import FIELDS, MASK, X, expand, is_state, merged
from rnnspec.ir.forms import states_of, streamed
from rnnspec.source.code import Code, assignment, code, lines, listed
from rnnspec.source.composed import ComposedLayers
from rnnspec.source.values import LOCALS, MethodScope, variables
from rnnspec.words import POOLING_FUNCTIONS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from rnnspec.ir.fields import Fields
    from rnnspec.ir.forms import Form
    from rnnspec.words import Merge, ReservedNames


_IDIOMS = (
    nodes.Embedding
    | nodes.Recurrent
    | nodes.Conv
    | nodes.WindowPooling
    | nodes.Pooling
    | nodes.AttentionPooling
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
class LayerWriter(ComposedLayers):
    """The writer of layers, which a backend derives from.

    ``reserved_names`` are those of the backend, and ``softmax`` is the function of this name. In
    ``checked_forms``, source that does not compute chunks serves a loss too, with each output
    before its activation if one of the ``losses`` takes it. ``scope`` is the method
    that is written.

    In a layer, ``self.x`` is the variable of its input, and then ``x``, which has what was computed
    so far. ``self.mask`` is that of the mask of its input.
    """

    reserved_names: ClassVar[ReservedNames]
    softmax: ClassVar[str]
    checked_forms: ClassVar[tuple[Form, ...]]
    losses: ClassVar[Mapping[nodes.Activation, str]]

    scope: MethodScope = field(default_factory=MethodScope, init=False, compare=False)

    @property
    def x(self) -> Code:
        """The variable of the input of a layer, or of what was computed of it so far."""
        return self.write(X)

    @property
    def mask(self) -> Code:
        """The variable of the mask of the input of a layer."""
        return self.write(MASK)

    def give(self, value: Code, *names: Code | str) -> Code:
        """Return the statement of a value, by default of ``x``, which has it from there on."""
        if not names or "x" in names:
            self.variables.pop("x", None)
        return assignment(names or ("x",), value)

    def move(self) -> Iterator[Code]:
        """Yield the statement by which the input of a layer is in ``x``, if it is not."""
        if self.x != "x":
            yield self.give(self.x)

    @cached_property
    def _sources(self) -> dict[str, tuple[str, ...]]:
        return nodes.sources(self.network)

    @cached_property
    def _by_name(self) -> dict[str, nodes.Layer]:
        return {layer.name: layer for layer in self.network.layers}

    @cached_property
    def flows(self) -> bool:
        """True if values flow on in ``x``, from an input without a name."""
        return self.network.takes_one_array

    @cached_property
    def variables_of(self) -> dict[str, str]:
        """The variable of each input and layer by its name, and of states as ``layer.state``."""
        return variables(
            self.network, self.form, self.reserved_names.in_source, "_out" if self.flows else ""
        )

    @cached_property
    def _taken(self) -> frozenset[str]:
        """The variables that live longer than a layer, and the functions of the source."""
        masks = (f"{name}_mask" for name in self.network.shapes)
        return LOCALS.union(
            self.reserved_names.in_source, POOLING_FUNCTIONS, self.variables_of.values(), masks
        )

    @cached_property
    def streamed(self) -> frozenset[str]:
        """The input that comes in chunks, and the layers that depend on it."""
        return streamed(self.network)

    def form_of(self, layer: nodes.Layer) -> Form:
        """Return the form of a layer: in step form, one computed before the chunks is as always."""
        is_early = self.form == "step" and layer.name not in self.streamed
        return "inference" if is_early else self.form

    def _make_composed(self, layer: nodes.Composed | nodes.Learned) -> Code:
        return code("self.{} = {}", self.attribute(layer.name), self.make_composed(layer))

    def _make(self, layer: nodes.Layer) -> Code:
        """Return the statements that create the module of a layer, none if another one has it."""
        if layer.shares:
            return Code()
        match layer:
            case nodes.ComposedNode():
                return self._make_composed(layer)
            case nodes.Embedding():
                return self.embedding(layer)
            case nodes.Dropout():
                return self.dropout(layer)
            case nodes.LayerNorm():
                return self.layer_norm(layer)
            case nodes.Conv():
                return self.conv(layer)
            case nodes.WindowPooling():
                return self.window_pooling(layer)
            case nodes.BatchNorm():
                return self.batch_norm(layer)
            case nodes.AttentionPooling():
                return self.attention(layer)
            case nodes.Recurrent():
                return lines(map(self._make_composed, layer.learned), self.recurrent(layer))
            case nodes.Dense():
                return self.dense(layer)
            case _:
                return Code()

    def compute(  # noqa: PLR0912 - a branch for each kind of layer
        self, layer: nodes.Layer
    ) -> Iterator[Code]:
        """Yield the statements that compute a layer."""
        if isinstance(layer, nodes.Composed):
            yield from self._run_composed(layer)
            return
        if not isinstance(layer, _IDIOMS):
            results = expand(layer, self.form_of(layer))
            # What a user names has variables that hide no other.
            named = isinstance(layer, nodes.Joined)
            yield from self.statements(core.rename(results, self._taken) if named else results)
            return
        match layer:
            case nodes.Embedding():
                yield self.call(layer.owner)
            case nodes.Dropout():
                if self.dropout(layer):
                    yield self.call(layer.name)
            case nodes.LayerNorm():
                yield self.call(layer.owner)
            case nodes.Conv():
                yield from self.run_conv(layer)
                yield from self.activated(layer)
            case nodes.WindowPooling():
                yield from self.run_window_pooling(layer)
            case nodes.BatchNorm():
                yield from self.run_batch_norm(layer)
            case nodes.Activate():
                yield from self.activated(layer)
            case nodes.AttentionPooling():
                yield from self.run_attention(layer)
            case nodes.Recurrent():
                is_chunk = self.form_of(layer) == "step"
                yield from self.run_chunk(layer) if is_chunk else self.run(layer)
            case nodes.Dense():
                yield from self.project(layer)
                yield from self.activated(layer)
            case nodes.Pooling():
                yield from self._pool(layer)
            case _:
                assert_never(layer)

    def attribute(self, name: str) -> str:
        """Return the attribute of the class that has the module of a layer."""
        return self.reserved_names.attribute(name)

    def call(self, module: str, *arguments: Code | str) -> Code:
        """Return the statement that calls the module of a layer with the input of a layer."""
        return self.give(code("self.{}({})", self.attribute(module), listed(self.x, *arguments)))

    def _run_composed(self, layer: nodes.Composed) -> Iterator[Code]:
        """Yield the statement that calls a layer."""
        match layer:
            case nodes.InstanceNorm():
                yield self.call(layer.owner, self.mask if layer.masked else "")
            case nodes.Attention():
                is_vector = len(layer.input) == 1
                queries = code("{}[:, None]" if is_vector else "{}", self.x)
                yield from self.need((layer.over, layer.keys))
                keys, values, mask = self.memory(layer)
                values = values if layer.gives == "context" else Code()
                call = code(
                    "self.{}({})",
                    self.attribute(layer.owner),
                    listed(queries, keys, values, mask),
                )
                of_one = "{}.swapaxes(1, 2)" if layer.is_along_memory else "{}[:, 0]"
                yield self.give(code(of_one if is_vector else "{}", call))
            case nodes.LearnedFormula():
                yield from self.need(layer.of)
                inputs = listed(*map(self.output, layer.of))
                yield self.give(code("self.{}({})", self.attribute(layer.name), inputs))
            case _:
                assert_never(layer)

    def project(self, layer: nodes.Dense) -> Iterator[Code]:
        """Yield the statement that computes a dense layer without its activation."""
        yield self.give(self.project_tied(layer)) if layer.tied else self.call(layer.owner)

    def activated(self, layer: nodes.Conv | nodes.Activate | nodes.Dense) -> Iterator[Code]:
        """Yield the statement that applies the activation of a layer, none if it is linear."""
        if layer.activation != "linear":
            value = self.activate(layer.activation, self.x)
            if layer in self._logits.values():
                value = code("{} if logits else {}", self.x, value)
            yield self.give(value)

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
            case core.EarlierOutput(layer) if layer in self.scope.values:
                return self.output(layer)
            case core.Apply("softmax", x) if x != core.Name("x"):
                return code("{}({}, {}=-1)", self.softmax, self.write(x), self.axis)
            case core.Apply(function, x):
                return self.activate(function, self.write(x))
            case core.Softmax(x):
                return code("{}({}, {}=1)", self.softmax, self.write(x), self.axis)
            case _:
                return super().write(value)

    def _pool(self, layer: nodes.Pooling) -> Iterator[Code]:
        names = [state.name for state in states_of(layer)]
        if self.form_of(layer) == "step" and names:
            arguments = listed(self.x, self.mask if layer.masked else "", *names)
            pooled = code("running_{}({})", layer.statistic, arguments)
            if is_state(layer):
                yield self.give(pooled, *names)
                yield self.give(code("{}", names[0]))
            else:
                yield self.give(pooled, "x", *names)
            return
        if layer.masked:
            yield code("# A sequence of padding alone gives zeros.")
        yield from self.pool(layer)

    def pool(self, layer: nodes.Pooling) -> Iterator[Code]:
        """Yield the statements of a statistic over all steps."""
        return self.statements(expand(layer, self.form_of(layer)))

    def gives_outputs(self, layer: nodes.Recurrent) -> bool:
        """True if the outputs of a recurrent layer at all steps are used, not its states alone."""
        return layer.return_sequences and layer.name in self._used

    @cached_property
    def _used(self) -> frozenset[str]:
        """The inputs and layers whose outputs are taken by layers, or are results."""
        taken = (name for names in self._sources.values() for name in names)
        return frozenset(taken).union(layer.name for layer in self.network.results.values())

    def gives_states_alone(self, layer: nodes.Layer) -> bool:  # noqa: ARG002
        """True if no variable is needed for the output of a layer, but for those of its states."""
        return False

    def need(self, names: Iterable[str]) -> Iterator[Code]:
        """Yield the statements of states that are used for the first time."""
        for name in names:
            value = self._value_aside(name) if name not in self.scope.values else Code()
            if value:
                variable = code("{}", self.variables_of[name])
                if not value.isidentifier():
                    yield code("{} = {}", variable, value)
                self.scope.values[name] = value if value.isidentifier() else variable

    def _value_aside(self, name: str) -> Code:
        """Return the value of a port or of a learned state, empty if the name is of neither."""
        if port := self.network.ports.get(name):
            # A layer has assigned its contexts itself.
            variable = code("{}", self.variables_of[name])
            return self.final_state(port.layer, port.state) if port.state else variable
        if name in self.network.learned:
            return code("self.{}({})", self.attribute(name), self.scope.like)
        return Code()

    def contexts(self, layer: nodes.Recurrent) -> Code:
        """Return the variable of the contexts of a layer, empty if no layer takes them."""
        name = next(nodes.contexts_of(self.network, layer), "")
        return code("{}", self.variables_of[name]) if name else Code()

    def memory(self, attention: nodes.Attention | nodes.StepAttention) -> tuple[Code, ...]:
        """Return the keys, the values and the mask, if there is one, of what is attended to."""
        mask = self.mask_of(attention.over) if attention.masked else Code()
        return self.output(attention.keys), self.output(attention.over), mask

    def output(self, layer: str) -> Code:
        """Return the variable with the output of an earlier layer, or with an input."""
        return self.scope.values[layer]

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

    def convert_input(self, source: nodes.Input, x: Code) -> Code:  # noqa: ARG002
        """Return the statement that gives an input, in ``x``, the dtype that layers take."""
        return Code()

    @abstractmethod
    def mask_of(self, name: str) -> Code:
        """Return the variable of the mask of an input, or of the output of a layer."""

    @abstractmethod
    def final_state(self, layer: str, name: str) -> Code:
        """Return a state after the last step, both directions side by side."""

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
    def attention(self, layer: nodes.AttentionPooling) -> Code:
        """Return the statements that create what scores the steps."""

    @abstractmethod
    def run_attention(self, layer: nodes.AttentionPooling) -> Iterator[Code]:
        """Yield the statements that reduce the steps to their weighted mean."""

    @abstractmethod
    def project_tied(self, layer: nodes.Dense) -> Code:
        """Return the input projected by the transpose of an embedding, plus the bias."""

    @abstractmethod
    def activate(self, activation: nodes.Activation, value: Code) -> Code:
        """Return a variable after an activation, which is not linear."""

    def state_dtype(self, x: Code) -> Code:  # noqa: ARG002
        """Return the statement of the dtype of the states, if ``zeros`` needs it; ``x`` has one."""
        return Code()

    @abstractmethod
    def zeros(self, shape: Code) -> Code:
        """Return a state of zeros, given the sizes of its axes."""
