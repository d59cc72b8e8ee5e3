"""The statements that connect the layers of a functional model."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import chain, count
from typing import TYPE_CHECKING

from rnnspec.backends.keras.attention import takes_keys
from rnnspec.backends.keras.formulas import make_formula
from rnnspec.backends.keras.layers import (
    checked_parts,
    compare_padding,
    layer_name,
    layers_of_arrays,
    make_activation,
    make_conv,
    make_embedding,
    make_layer,
    make_learned,
    make_masking,
    make_merge,
    make_padding,
    make_recurrent,
    make_reshape,
    make_scaling,
    parts_of,
    project_tied,
    shared_tables,
)
from rnnspec.backends.keras.masks import Masks, has_masking, masks_zero
from rnnspec.backends.keras.parts import RecipeVerbs
from rnnspec.ir import nodes
from rnnspec.ir.expand import expand, is_state, of_all_steps, running
from rnnspec.ir.forms import held_values, states, states_of
from rnnspec.source.code import Code, OutputStatement, assignment, code, listed
from rnnspec.source.values import recipe_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from rnnspec.ir.forms import Form

_VARIABLES = frozenset(
    """
    bias build_begin build_model deviation embedding inputs keras l2_normalized limit mask mean
    model np ones pooled real scores share skip square states steps sys variance weights x zero
    """.split()  # noqa: SIM905 - names side by side are easier to check
)
"""The variables of a function beside those of layers."""
_OTHER_VARIABLE = re.compile(
    "(backward|fill|forward|legacy|masked|repeat|running|same|set)_.*|.*_(mask|out|table)"
)


class FunctionalModel:
    """A functional model: the variables of its inputs and of the layers so far.

    ``x`` is the output of the layer before, and ``skip`` is the input of the next residual. An
    output that is used later has a variable of its own. ``layers`` are those to connect: all of a
    network, or a part of it, to which ``values`` has the inputs.
    """

    def __init__(
        self,
        network: nodes.Network,
        form: Form,
        layers: Sequence[nodes.Layer],
        values: Mapping[str, Code],
    ) -> None:
        self.network, self.form, self.layers = network, form, layers
        self.values = dict(values)
        self.inputs = {e.name: values[e.name] for e in network.inputs if e.name in values}
        self.masks = Masks(network, form, layers, self.inputs)
        self.sources = nodes.sources(network)
        self.by_name = {layer.name: layer for layer in network.layers}
        self.starts = {layer.start for layer in network.layers if isinstance(layer, nodes.Residual)}
        self.checked = checked_parts(network)
        self.tables = shared_tables(network)
        self.again = nodes.called_again(network).union(self.tables)
        self.defined = dict[str, Code]()
        """The variable of each layer that is called more than once, by name."""
        self.definitions = list[Code]()
        """The statements that make such layers, which come before their first call."""
        # A layer of a chain has the variable x; of a graph, a variable with its name if it is read
        # by another one than the next.
        beside = network.ports or network.learned
        self.is_graph = bool(beside) or not network.takes_one_array
        self.kept = set(nodes.kept_outputs(network))
        self.kept.update(network_input.name for network_input in network.named_inputs)
        if self.is_graph:
            for layer, names in zip(network.layers, self.sources.values(), strict=True):
                self.kept.update(names if isinstance(layer, nodes.Joined) else names[1:])
        if len(layers) < len(network.layers):
            self.kept.update(state.layer for state in held_values(network))
        # The names that this function gives to what is no output of a layer, or no input.
        self.taken = _VARIABLES | recipe_names(network.layers, "inference")
        if form == "step":
            self.taken |= recipe_names(network.layers, "step")
            self.taken |= {state.name for state in states(network)}
        self.previous = ""
        self.current = code("inputs")

    def statements(self) -> Iterator[Code]:
        """Yield the statements that compute all layers."""
        inputs = [
            network_input
            for network_input in self.network.inputs
            if network_input.name in self.masks.inputs
        ]
        padded = [
            network_input for network_input in inputs if has_masking(self.network, network_input)
        ]
        for network_input in padded[:1]:
            yield from compare_padding(network_input)
        for network_input in padded:
            yield from self._mask_input(network_input)
        yield from self.masks.before()
        computed = {layer.name for layer in self.layers}
        for layer in self.network.layers:
            if self.form != "step":
                yield from self._learn(layer)
            if layer.name not in computed:
                continue
            statements = [*self._connect(layer), *self.masks.after(layer)]
            yield from self.definitions
            self.definitions.clear()
            yield from self._store(layer.name, statements)

    def value(self, name: str) -> Code:
        """Return the variable with an input or the output of a layer."""
        return self.current if name == self.previous else self.values[name]

    def _mask_input(self, network_input: nodes.Input) -> Iterator[Code]:
        assert isinstance(network_input, nodes.NumericInput)
        name = network_input.name
        prefix = self.network.prefix(name, "_")
        masking = make_masking(network_input.mask_value or 0.0, f"{prefix}masking")
        statement = OutputStatement(code("{}({})", masking, self.values[name]))
        yield from self._store(name, [statement])

    def _store(self, name: str, statements: Iterable[Code]) -> Iterator[Code]:
        """Yield the statements of a layer, with its output in the variable that it is read from."""
        pieces = list(statements)
        self.previous, self.current = name, code("x")
        if name in self.kept:
            variable = self.variable(name)
            if self.is_graph:
                outputs = ((at, e) for at, e in enumerate(pieces) if isinstance(e, OutputStatement))
                *_, (at, output) = outputs
                pieces[at] = output.into(variable)
                self.current = variable
            else:
                pieces.append(code("{} = x", variable))
            self.values[name] = variable
        yield from pieces

    def variable(self, name: str) -> Code:
        """Return the variable of a layer that has one."""
        taken = name in self.taken or _OTHER_VARIABLE.fullmatch(name)
        return code(name if self.is_graph and not taken else f"{name}_out")

    def _learn(self, layer: nodes.Layer) -> Iterator[Code]:
        """Yield the statements of the first states that are arrays of a layer."""
        for vector in nodes.learned_of(layer):
            self.values[vector.name] = variable = self.variable(vector.name)
            one = self.one("ones_like", self.sources[layer.name][0])
            yield code("{} = {}({})", variable, make_learned(vector), one)

    def _connect(self, layer: nodes.Layer) -> Iterator[Code]:
        """Yield the statements that compute a layer."""
        main, *_ = self.sources[layer.name]
        x = self.value(main)
        if layer.name in self.starts:
            yield code("skip = {}", x)
        match layer:
            case nodes.Embedding():
                yield from self._embed(layer, x)
            case nodes.Recurrent():
                run = self._step_recurrent if self.form == "step" else self._recurrent
                yield from run(layer, x)
            case nodes.Conv():
                yield from self._conv(layer, x)
            case nodes.Pooling() if self.form == "step" and states_of(layer):
                yield from self._step_pooling(layer, x)
            case nodes.Pooling(masked=True, reduction=reduction) if reduction.counts:
                mask = self.masks.variable(main)
                yield OutputStatement(code("masked_{}({}, {})", layer.statistic, x, mask))
            case nodes.LastSteps():
                last = code("{}[:, -{!r}:]", x, layer.count)
                # A sequence that is too short has no such shape, and is refused.
                reshape = layer.input[0] is None
                yield OutputStatement(
                    code("{}({})", make_reshape(layer), last) if reshape else last
                )
            case nodes.Dense(tied=str() as tied):
                yield from project_tied(layer, self._table(tied), x)
            case nodes.Activate(activation="legacy_hard_sigmoid"):
                # Not the layer for an activation of a layer: a Pipeline drops the mask.
                yield OutputStatement(code("{}({})", make_scaling(1.2, layer_name(layer)), x))
                hard_sigmoid = make_activation("hard_sigmoid", parts_of(layer)["hard_sigmoid"])
                yield OutputStatement(code("{}(x)", hard_sigmoid))
            case nodes.Join(how=nodes.Formula()):
                parts_of_formula = (self._operand(layer, name) for name in dict.fromkeys(layer.of))
                inputs = listed(*parts_of_formula)
                yield OutputStatement(code("{}([{}])", make_formula(layer), inputs))
            case _ if made := self._once(layer, make_layer(nodes.with_arrays(layer)) or Code()):
                memory = [self.value(name) for name in self.sources[layer.name][1:]]
                taken = [code("[{}]", listed(x, *memory)) if memory else x]
                yield OutputStatement(
                    code("{}({})", made, listed(*taken, self.masks.argument(layer)))
                )
            case _:
                # A layer is what its recipe says, if Keras has none that is the same.
                recipe = of_all_steps(expand(layer, "inference"))
                yield from self._body(layer, x).statements(recipe)

    def _body(self, layer: nodes.Layer, x: Code) -> RecipeVerbs:
        """Return the writer of the recipe of a layer."""
        variables = {"x": x, **(_states_by_name(layer) if self.form == "step" else {})}
        attention, memory_mask, roles = nodes.attention_of(layer), Code(), parts_of(layer)
        if attention and attention.masked:
            memory_mask = self.masks.variable(attention.over)
        elif getattr(layer, "masked", False):
            variables["mask"] = self.masks.variable(self.sources[layer.name][0])
        # What scores and scales by arrays has the name of a layer itself.
        owner = nodes.with_arrays(layer)
        if layer.owner in self.again:
            # One call may have another number of steps than the next one.
            steps = nodes.common_steps(self.network, layer)
            owner = replace(owner, input=(steps, *owner.input[1:]))
        made = layers_of_arrays(owner).items()
        layers = {param: self._once(layer, of_array) for param, of_array in made}
        own = () if layers or isinstance(layer, nodes.ComposedNode) else (layer_name(layer),)
        return RecipeVerbs(
            variables=variables,
            names=iter((*own, *roles.values())),
            layers=layers,
            earlier=lambda name: self._operand(layer, name),
            tokens=frozenset(
                network_input.name
                for network_input in self.network.inputs
                if isinstance(network_input, nodes.TokenInput)
            ),
            memory_mask=memory_mask,
            shapes={**self.network.shapes, "x": layer.input},
        )

    def _operand(self, layer: nodes.Layer, name: str) -> Code:
        """Return what a layer takes by name, with as many steps as what it is combined with."""
        value = self.value(name)
        if not isinstance(layer, nodes.Joined) or name not in self.checked.get(layer.name, ()):
            return value
        inputs = zip(layer.of, layer.inputs, strict=True)
        first = next(name for name, shape in inputs if len(shape) > 1)
        return code("same_steps({}, {})", value, self.value(first))

    def one(self, function: str, name: str) -> Code:
        """Return one number for each sequence, (batch, 1): ``zeros_like`` or ``ones_like``."""
        if name not in self.values and name != self.previous:
            # Only the number of sequences matters.
            name = next(iter(self.inputs))
        inputs = {network_input.name: network_input for network_input in self.network.inputs}
        x, values = self.value(name), {**self.by_name, **self.network.ports, **inputs}
        match values[name]:
            case nodes.TokenInput() | nodes.LabelInput() as tokens:
                at = "0, " if isinstance(tokens, nodes.TokenInput) else ""
                number = code("{}[:, {}None], dtype=keras.config.floatx()", x, Code(at))
            case nodes.VectorInput() | nodes.Node(output=(_,)) | nodes.Port(output=(_,)):
                number = code("{}[:, :1]", x)
            case _:
                number = code("{}[:, 0, :1]", x)
        return code("keras.ops.{}({})", function, number)

    def _embed(self, layer: nodes.Embedding, x: Code) -> Iterator[Code]:
        owner = self.by_name[layer.owner]
        assert isinstance(owner, nodes.Embedding)
        made = self._once(layer, self._make_embedding(owner))
        yield OutputStatement(code("{}({})", made, x))

    def _once(self, layer: nodes.Layer, made: Code) -> Code:
        """Return what makes a layer, or the variable of one that is called more than once."""
        owner = layer.owner
        if owner not in self.again or not made:
            return made
        if owner not in self.defined:
            is_table = isinstance(layer, nodes.Embedding)
            self.defined[owner] = self._table(owner) if is_table else self._name_layer(owner)
            self.definitions.append(code("{} = {}", self.defined[owner], made))
        return self.defined[owner]

    def _name_layer(self, owner: str) -> Code:
        """Return the variable of a layer that is called more than once."""
        taken = {self.variable(name) for name in self.network.shapes}
        names = chain([f"{owner}_layer"], (f"{owner}_layer_{number}" for number in count(2)))
        return code("{}", next(name for name in names if name not in taken))

    def _make_embedding(self, layer: nodes.Embedding) -> Code:
        own = replace(layer, masked=masks_zero(self.network, layer))
        return make_embedding(own, reversible=layer.name in self.tables and self.tables[layer.name])

    def _table(self, name: str) -> Code:
        """Return the variable with an embedding that is called more than once."""
        return code(f"{name}_table" if self.is_graph else "embedding")

    def _recurrent(self, layer: nodes.Recurrent, x: Code) -> Iterator[Code]:
        first, (finals, contexts) = self._first_states(layer), self._ports_of(layer)
        arguments = listed(
            x,
            self._memory(layer),
            self.masks.argument(layer),
            code("initial_state=[{}]", listed(*first)) if first else Code(),
        )
        gives_contexts = self._gives_contexts(layer)
        yield self._explain_padding(layer, gives_contexts=gives_contexts)
        reads_state = self._reads_state(layer)
        output = code("steps" if gives_contexts else "_" if reads_state else "x")
        made = self._make_recurrent(layer)
        if not self._returns_states(layer):
            yield assignment([output], code("{}({})", made, arguments))
        else:
            targets = self._state_variables(layer, finals, needs_output=reads_state)
            yield assignment([output, *targets], code("{}({})", made, arguments))
            yield from self._final_states(layer, finals, targets)
            if reads_state:
                outputs = targets[:: len(layer.states)]
                if layer.merge is not None:
                    yield OutputStatement(code("{}([{}])", make_merge(layer), listed(*outputs)))
                elif outputs[0] != "x":
                    yield OutputStatement(outputs[0])
        if layer.backward and (layer.return_sequences or gives_contexts):
            yield code("# Keras returns the steps in the order in which it reads them.")
            yield assignment([output], code("keras.ops.flip({}, axis=1)", output))
        yield from self._take_contexts(layer, contexts)

    def _called_alike(self, layer: nodes.Recurrent) -> Iterator[nodes.Recurrent]:
        """Yield the layers that are calls of the same one, which returns the same at each."""
        if layer.owner not in self.again:
            yield layer
            return
        for other in self.network.layers:
            if isinstance(other, nodes.Recurrent) and other.owner == layer.owner:
                yield other

    def _gives_contexts(self, layer: nodes.Recurrent) -> bool:
        """True if a layer returns its contexts behind its outputs."""
        return any(self._ports_of(other)[1] for other in self._called_alike(layer))

    def _reads_state(self, layer: nodes.Recurrent) -> bool:
        """True if the output of a layer is its final state, and not what Keras returns."""
        # The output of Keras is zeros if no step is real; the state is then the first one.
        differs = self._gives_contexts(layer) or (bool(layer.first_states) and layer.masked)
        return differs and not layer.return_sequences

    def _returns_states(self, layer: nodes.Recurrent) -> bool:
        """True if a layer returns its final states too."""
        calls = self._called_alike(layer)
        return any(self._ports_of(call)[0] or self._reads_state(call) for call in calls)

    def _make_recurrent(self, layer: nodes.Recurrent) -> Code:
        """Return what makes a recurrent layer, or the variable of one that is called again."""
        owner = nodes.with_arrays(layer)
        assert isinstance(owner, nodes.Recurrent)
        returns_states = self.form == "step" or self._returns_states(layer)
        gives_contexts = self._gives_contexts(layer)
        made = make_recurrent(owner, returns_states=returns_states, returns_context=gives_contexts)
        return self._once(layer, made)

    def _ports_of(self, layer: nodes.Recurrent) -> tuple[list[nodes.Port], list[nodes.Port]]:
        """Return the final states of a recurrent layer that are taken, and its contexts."""
        ports = self.network.ports_of(layer.name)
        return [port for port in ports if port.state], [port for port in ports if not port.state]

    def _memory(self, layer: nodes.Recurrent) -> Code:
        """Return the argument with what a layer attends to, or empty code."""
        attention = layer.attention
        if attention is None:
            return Code()
        memory = [self.value(attention.over)]
        memory += [self.value(attention.keys)] if takes_keys(attention) else []
        memory += [self.masks.variable(attention.over)] if attention.masked else []
        return code("[{}]", listed(*memory))

    @staticmethod
    def _explain_padding(layer: nodes.Recurrent, *, gives_contexts: bool) -> Code:
        """Return a comment about the argument by which the output at padding is zeros."""
        if not (gives_contexts and layer.masked):
            return Code()
        return code("# At padding, Keras on JAX would repeat the state, without a context.")

    def _take_contexts(
        self, layer: nodes.Recurrent, contexts: Sequence[nodes.Port]
    ) -> Iterator[Code]:
        """Yield the statements that part the output from the contexts behind it."""
        if not self._gives_contexts(layer):
            return
        _, size = layer.states[0]
        for port in contexts:
            self.values[port.name] = variable = self.variable(port.name)
            yield code("{} = steps[:, :, {!r}:]", variable, size)
        if layer.return_sequences:
            yield OutputStatement(code("steps[:, :, :{!r}]", size))

    def _state_variables(
        self, layer: nodes.Recurrent, finals: Sequence[nodes.Port], *, needs_output: bool
    ) -> list[Code]:
        """Return the variable of each state that a layer returns, ``_`` for one that is unused."""
        read = {final.state: final.name for final in finals}
        output = layer.states[0][0]
        if layer.merge is None:
            names = {part: self.variable(name) for part, name in read.items()}
            if needs_output:
                names.setdefault(output, code("x"))
            return [names.get(state, code("_")) for state, _ in layer.states]
        used = set(read) | ({output} if needs_output else set())
        return [
            code(f"{way}_{state}" if state in used else "_")
            for way in ("forward", "backward")
            for state, _ in layer.states
        ]

    def _final_states(
        self,
        layer: nodes.Recurrent,
        finals: Sequence[nodes.Port],
        targets: Sequence[Code],
    ) -> Iterator[Code]:
        """Yield the statements of the final states of both directions, side by side."""
        states = [name for name, _ in layer.states]
        for final in finals:
            at = states.index(final.state)
            self.values[final.name] = targets[at]
            if layer.merge is not None:
                both = listed(targets[at], targets[len(states) + at])
                self.values[final.name] = self.variable(final.name)
                joined = code("keras.ops.concatenate([{}], axis=-1)", both)
                yield code("{} = {}", self.values[final.name], joined)

    def _first_states(self, layer: nodes.Recurrent) -> list[Code]:
        """Return the first value of each state of each direction, none if all are zeros."""
        vectors = {state: self.value(name) for state, name in layer.first_states.items()}
        sizes = dict(layer.states)
        return [
            self._first_state(layer, vectors, state, size, way)
            for way in range(layer.ways)
            for state, size in sizes.items()
            if vectors
        ]

    @staticmethod
    def _first_state(
        layer: nodes.Recurrent, vectors: Mapping[str, Code], state: str, size: int, way: int
    ) -> Code:
        if state not in vectors:
            sizes = dict(layer.states)
            same = [vector for name, vector in vectors.items() if sizes[name] == size]
            if same and layer.merge is None:
                return code("keras.ops.zeros_like({})", same[0])
            one = code("keras.ops.zeros_like({}[:, :1])", next(iter(vectors.values())))
            return code("keras.ops.tile({}, (1, {!r}))", one, size)
        if layer.merge is None:
            return vectors[state]
        return code("{}[:, {!r}:]" if way else "{}[:, :{!r}]", vectors[state], size)

    def _step_recurrent(self, layer: nodes.Recurrent, x: Code) -> Iterator[Code]:
        names = [state.name for state in states_of(layer)]
        finals, contexts = self._ports_of(layer)
        gives_contexts = self._gives_contexts(layer)
        yield self._explain_padding(layer, gives_contexts=gives_contexts)
        # Not the output if it is the last one, which is zeros after a chunk of padding alone.
        output = "steps" if gives_contexts else "x" if layer.return_sequences else "_"
        made = self._make_recurrent(layer)
        arguments = listed(
            x,
            self._memory(layer),
            self.masks.argument(layer),
            code("initial_state=[{}]", listed(*_given_states(layer))),
        )
        yield assignment([output, *names], code("{}({})", made, arguments))
        if not layer.return_sequences:
            yield OutputStatement(code("{}", names[0]))
        yield from self._take_contexts(layer, contexts)
        for final in finals:
            self.values[final.name] = code("{}_{}", layer.name, final.state)

    def _conv(self, layer: nodes.Conv, x: Code) -> Iterator[Code]:
        body, *before = self._body(layer, x), *expand(layer, self.form)
        yield from body.statements(before[:-1])
        x = body.variables.get("x") or code("x")
        conv, padding = layer, layer.window.padding
        if states_of(layer) and self.form == "step":
            # The steps before are there already.
            conv = replace(layer, window=replace(layer.window, padding="valid"))
        elif not isinstance(padding, str):
            conv = replace(layer, window=replace(layer.window, padding="valid"))
            yield OutputStatement(code("{}({})", make_padding(layer, padding), x))
            x = code("x")
        owner = nodes.with_arrays(conv)
        assert isinstance(owner, nodes.Conv)
        made = self._once(layer, make_conv(owner))
        yield OutputStatement(code("{}({})", made, x))

    def _step_pooling(self, layer: nodes.Pooling, variable: Code) -> Iterator[Code]:
        names = [state.name for state in states_of(layer)]
        states = _given_states(layer)
        first, *others = running(layer)
        if len(names) == len(others) == 1:
            yield code("{} = {}", names[0], self._body(layer, variable).write(first.value))
            yield OutputStatement(code("{}", names[0]))
            return
        mask = self.masks.variable(self.sources[layer.name][0]) if layer.masked else ""
        pooled = code("running_{}({})", layer.statistic, listed(variable, mask, *states))
        if is_state(layer):
            yield code("{} = {}", listed(*names), pooled)
            yield OutputStatement(code("{}", names[0]))
        else:
            yield OutputStatement(pooled, after=listed(*names))


def _given_states(layer: nodes.Layer) -> list[Code]:
    return [code("states[{!r}]", state.name) for state in states_of(layer)]


def _states_by_name(layer: nodes.Layer) -> dict[str, Code]:
    """Return the first values of the states of a layer by their names in its recipe."""
    states = [state.name for state in states_of(layer)]
    names = layer.reduction.states if isinstance(layer, nodes.Pooling) and states else states
    return dict(zip(names, _given_states(layer), strict=True))
