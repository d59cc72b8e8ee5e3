"""The calls of recurrent layers, with the states that they begin with and end in."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from rnnspec.backends.torch.classes import cell_classes
from rnnspec.backends.torch.plan import direction_key, plan_of, stack_of
from rnnspec.backends.torch.slots import called, module
from rnnspec.ir import nodes
from rnnspec.ir.forms import held_values, states, states_of
from rnnspec.ir.params import directions
from rnnspec.source.code import Code, code, listed
from rnnspec.source.walk import Walk

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rnnspec.backends.torch.classes import CellClass


class RecurrentCalls(Walk):
    """The part of the walk that runs recurrent layers.

    Stock layers have states as (layers x directions, batch, units), and so have the variables of
    states and the generated classes, but for cells by equations.
    """

    def run(self, layer: nodes.Recurrent) -> Iterator[Code]:
        """Yield the statements of a layer that is one module, part of one, or two modules."""
        plan, stack, dropped = plan_of(layer), stack_of(layer), Code()
        if layer.dropout and not plan.drops_input:
            rate = layer.dropout
            dropped = code("variational_dropout({}, {!r}, self.training)", self.x, rate)
        if not plan.is_split and dropped:
            yield self.give(dropped)
        if stack and not stack.is_top:
            return
        yield from self.need((*self._first_vectors(layer), *self._attended(layer)))
        if plan.is_split:
            yield from self._run_both_ways(layer, dropped)
            return
        flip, (zeros, first) = ".flip(1)" if layer.backward else "", self._first_state(layer)
        yield zeros
        # Not the outputs at the last step, where the backward direction has seen only that step.
        # Source: https://github.com/pytorch/pytorch/issues/3587.
        targets, state = self._result("x", layer)
        arguments = listed(
            code(f"{{}}{flip}", self.x),
            code(f"{{}}{flip}", self.mask) if layer.masked else "",
            first,
            *self._memory(layer),
        )
        yield self.give(code("self.{}({})", called(layer), arguments), *targets)
        if flip and (contexts := self.contexts(layer)):
            yield code("{contexts} = {contexts}.flip(1)", contexts=contexts)
        if layer.return_sequences or not plan.returns_pair:
            if flip and self.gives_outputs(layer):
                yield self.give(code("{}.flip(1)", self.x))
            if layer.merge is not None and layer.merge != "concat":
                yield code("ahead, back = {}.chunk(2, dim=-1)", self.x)
                yield self.give(self.merge(code("ahead"), code("back"), layer.merge))
        elif self.gives_states_alone(layer):
            pass
        elif layer.merge is None:
            is_flat = isinstance(layer.cell, nodes.EquationCell)
            yield self.give(code("{}" if is_flat else "{}[-1]", state))
        else:
            # A stack returns the states of all its layers; the last two are those of the top layer.
            ahead, back = (code("{}[{!r}]", state, at) for at in ((-2, -1) if stack else (0, 1)))
            yield self.give(self.merge(ahead, back, layer.merge))

    def _run_both_ways(self, layer: nodes.Recurrent, dropped: Code) -> Iterator[Code]:
        """Yield the statements of two modules; the second gets the steps in reverse order."""
        assert layer.merge is not None
        inputs = {"ahead": self.x, "back": self.x}
        if dropped:
            # Drawn twice, because each direction has its own mask, as in Keras.
            for name in inputs:
                yield code("{} = {}", name, dropped)
                inputs[name] = code("{}", name)
        results = {}
        for at, (name, key) in enumerate(zip(inputs, directions(layer), strict=True)):
            flip = ".flip(1)" if name == "back" else ""
            targets, results[name] = self._result(name, layer)
            zeros, first = self._first_state(layer, at)
            yield zeros if at == 0 else Code()
            yield code(
                "{} = self.{}[{!r}]({})",
                listed(*targets),
                called(layer),
                direction_key(key),
                listed(
                    code(f"{{}}{flip}", inputs[name]),
                    code(f"{{}}{flip}", self.mask) if layer.masked else "",
                    first,
                ),
            )
        join = "{} = torch.cat([{}, {}], dim=-1)"
        for kind in self._read_states(layer):
            ends = (code("{}", f"{name}_{kind}") for name in inputs)
            is_flat = isinstance(layer.cell, nodes.EquationCell)
            text = join if is_flat else "{} = torch.cat([{}, {}])"
            yield code(text, self._state_variable(layer, kind), *ends)
        if layer.return_sequences:
            ahead, back = code("ahead"), code("back.flip(1)")
        elif plan_of(layer).returns_pair and not isinstance(layer.cell, nodes.EquationCell):
            ahead, back = (code("{}[-1]", state) for state in results.values())
        else:
            ahead, back = results.values()
        yield self.give(self.merge(ahead, back, layer.merge))

    def _result(self, name: str, layer: nodes.Recurrent) -> tuple[tuple[Code, ...], Code]:
        """Return the targets of a call, and the variable in them of the final state that is ``x``.

        ``name`` is that of the direction.
        """
        if not plan_of(layer).returns_pair:
            return (code("{}", name),), code("{}", name)
        output, *others = (kind for kind, _ in layer.states)
        others = [] if plan_of(layer).is_wrapped and not plan_of(layer).packs else others
        read, last = self._read_states(layer), "state" if name == "x" else name
        targets = dict.fromkeys((output, *others), code("_"))
        for kind in read:
            of_direction = code("{}", f"{name}_{kind}")
            targets[kind] = self._state_variable(layer, kind) if name == "x" else of_direction
        is_read = not layer.return_sequences and not self.gives_states_alone(layer)
        if is_read and output not in read:
            targets[output] = code("{}", last)
        is_used = layer.return_sequences if name != "x" else self.gives_outputs(layer)
        first = code("{}", name if is_used else "_"), self._contexts_target(layer)
        if isinstance(layer.cell, nodes.EquationCell):
            return (*first, *targets.values()), targets[output]
        if set(targets.values()) == {"_"}:
            return (*first, code("_")), targets[output]
        pair = code("({})", listed(*targets.values())) if others else targets[output]
        # The final states of an LSTM are the pair (h, c).
        return (*first, pair), targets[output]

    @cached_property
    def cell_classes(self) -> dict[str, CellClass]:
        """The generated classes by name."""
        return cell_classes(self.network)

    def _contexts_target(self, layer: nodes.Recurrent) -> Code:
        """Return the target of the contexts of a layer, empty if its class returns none."""
        class_ = self.cell_classes.get(plan_of(layer).class_)
        if class_ is None or not class_.gives_contexts:
            return Code()
        return self.contexts(layer) or code("_")

    def _attended(self, layer: nodes.Recurrent) -> tuple[str, ...]:
        """Return the names of what a layer attends to."""
        return (layer.attention.over, layer.attention.keys) if layer.attention else ()

    def _memory(self, layer: nodes.Recurrent) -> tuple[Code, ...]:
        """Return the arguments for what a layer attends to."""
        return self.memory(layer.attention) if layer.attention else ()

    def _read_states(self, layer: nodes.Recurrent) -> list[str]:
        """Return the kinds of states that other layers take of a module."""
        read = self._read_of_modules.get(module(layer), set())
        return [kind for kind, _ in layer.states if kind in read]

    @cached_property
    def _read_of_modules(self) -> dict[str, set[str]]:
        """The kinds of states that other layers take of each module."""
        read = dict[str, set[str]]()
        for port in self.network.ports.values():
            read.setdefault(module(self._by_name[port.layer]), set()).add(port.state)
        for layer in self.network.layers:
            if isinstance(layer, nodes.Recurrent):
                for kind in layer.first_states:
                    read.setdefault(self._passes_on(layer, kind), set()).add(kind)
        return read

    def _state_variable(self, layer: nodes.Layer, kind: str) -> Code:
        return code("{}", self.variables_of[f"{module(layer)}.{kind}"])

    def final_state(self, layer: str, name: str) -> Code:
        """Return a state after the last step, both directions side by side."""
        recurrent = self._by_name[layer]
        assert isinstance(recurrent, nodes.Recurrent)
        states, stack = self._state_variable(recurrent, name), stack_of(recurrent)
        if isinstance(recurrent.cell, nodes.EquationCell):
            return states
        at = stack.index if stack else 0
        if recurrent.merge is None:
            return code("{}[{!r}]", states, -1 if stack is None or stack.is_top else at)
        ways = (code("{}[{!r}]", states, 2 * at + way) for way in range(2))
        return code("torch.cat([{}], dim=-1)", listed(*ways))

    def _modules_layers(self, layer: nodes.Recurrent) -> list[nodes.Recurrent]:
        """Return the layers of the module of a layer."""
        return self._layers_of_modules[module(layer)]

    @cached_property
    def _layers_of_modules(self) -> dict[str, list[nodes.Recurrent]]:
        """The layers of each module."""
        layers = dict[str, list[nodes.Recurrent]]()
        for layer in self.network.layers:
            if isinstance(layer, nodes.Recurrent):
                layers.setdefault(module(layer), []).append(layer)
        return layers

    def _passes_on(self, layer: nodes.Recurrent, kind: str) -> str:
        """Return the module whose states another one begins with as they are, if there is one."""
        key = module(layer), kind
        if key not in self._passed_on:
            self._passed_on[key] = self._find_passed_on(layer, kind)
        return self._passed_on[key]

    @cached_property
    def _passed_on(self) -> dict[tuple[str, str], str]:
        return {}

    def _find_passed_on(self, layer: nodes.Recurrent, kind: str) -> str:
        sources, layers = list[nodes.Recurrent](), self._modules_layers(layer)
        for part in layers:
            vector = part.first_states.get(kind, "")
            port = self.network.ports.get(vector)
            source = self._by_name.get(port.layer if port else vector)
            if not isinstance(source, nodes.Recurrent):
                return ""
            if (port.state if port else source.states[0][0]) != kind:
                return ""
            sources.append(source)
        first = sources[0]
        is_flat = any(isinstance(side.cell, nodes.EquationCell) for side in (layer, first))
        is_flat = is_flat or not plan_of(first).returns_pair
        if is_flat or first.merge not in {layer.merge, "concat"} or first.ways != layer.ways:
            return ""
        names = [source.name for source in sources]
        whole = [part.name for part in self._modules_layers(first)]
        return module(first) if names == whole else ""

    def gives_states_alone(self, layer: nodes.Layer) -> bool:
        """True if other modules begin with the final state of a layer, and nothing else takes it.

        Those have it as it is, in the variable of the states.
        """
        if not isinstance(layer, nodes.Recurrent) or layer.return_sequences:
            return False
        held = (state.layer for state in held_values(self.network) if self.form == "step")
        if layer.name in {*self._results, *held}:
            return False
        for other in self.network.layers:
            if layer.name in self._sources[other.name]:
                if not isinstance(other, nodes.Recurrent):
                    return False
                kinds = [kind for kind, of in other.first_states.items() if of == layer.name]
                if not all(self._passes_on(other, kind) for kind in kinds):
                    return False
        return True

    def _first_vectors(self, layer: nodes.Recurrent) -> list[str]:
        """Return the names of the vectors that a module begins with, but for those passed on."""
        return [
            vector
            for part in self._modules_layers(layer)
            for kind, vector in part.first_states.items()
            if not self._passes_on(layer, kind)
        ]

    def _first_state(self, layer: nodes.Recurrent, way: int | None = None) -> tuple[Code, Code]:
        """Return the first states of a module, or of one of two, empty if it takes none.

        Before them is a statement that makes zeros, if there are several.
        """
        plan, layers = plan_of(layer), self._modules_layers(layer)
        begins = any(part.first_states for part in layers)
        takes_all = plan.has_states and (plan.is_wrapped or not plan.is_fused)
        if not (begins or takes_all):
            return Code(), Code()
        statement = Code()
        states = [self._first_of_kind(layer, kind, size, way) for kind, size in layer.states]
        if not begins and len(states) > 1 and len(set(states)) == 1:
            statement, states = code("zeros = {}", states[0]), [code("zeros")] * len(states)
        if isinstance(layer.cell, nodes.EquationCell) or len(states) == 1:
            return statement, listed(*states)
        return statement, code("({})", listed(*states))

    def _first_of_kind(self, layer: nodes.Recurrent, kind: str, size: int, way: int | None) -> Code:
        """Return the first value of a state of a module, or of one of two."""
        is_flat = isinstance(layer.cell, nodes.EquationCell)
        layers = self._modules_layers(layer)
        vectors = [part.first_states.get(kind) for part in layers]
        if passed := self._passes_on(layer, kind):
            ends = Code("" if way is None else "[1:]" if way else "[:1]")
            return code("{}{}", self.variables_of[f"{passed}.{kind}"], ends)
        if not any(vectors):
            if other := next(
                (name for name, _ in layer.states if self._passes_on(layer, name)), ""
            ):
                # The two states of an LSTM have one shape.
                return code("torch.zeros_like({})", self._first_of_kind(layer, other, size, way))
            others = self._first_vectors(layer)
            like = self.output(others[0]) if others else self.x
            count = len(layers) * (1 if way is not None else layer.ways)
            rows = [] if is_flat else [code("{!r}", count)]
            shape = listed(*rows, code("{}.shape[0]", like), code("{!r}", size))
            return code("{}.new_zeros({})", like, shape)
        whole = next(self.output(vector) for vector in vectors if vector)
        parts = list[Code]()
        for vector in vectors:
            value = self.output(vector) if vector else code("torch.zeros_like({})", whole)
            if layer.merge is None:
                parts.append(value)
            elif way is not None:
                if len(vectors) == 1 and plan_of(layer).is_fused and not plan_of(layer).is_wrapped:
                    # A stock layer takes only states that are contiguous.
                    half = "{}[None, :, {!r}:]" if way else "{}[None, :, :{!r}]"
                    return code(f"{half}.contiguous()", value, size)
                parts.append(code("{}[:, {!r}:]" if way else "{}[:, :{!r}]", value, size))
            else:
                parts += [code("{}[:, :{!r}]", value, size), code("{}[:, {!r}:]", value, size)]
        if len(parts) > 1:
            return code("torch.stack([{}])", listed(*parts))
        return parts[0] if is_flat else code("{}.unsqueeze(0)", parts[0])

    def first_values(self) -> Iterator[tuple[str, Code]]:
        """Yield the name of each state that does not begin as zeros, and its first value."""
        for state in held_values(self.network):
            is_mask = state.kind == "mask"
            yield state.name, (self.mask_of if is_mask else self.output)(state.layer)
        for layer in self._streamed_modules():
            for kind, size in layer.states:
                if any(part.first_states.get(kind) for part in self._modules_layers(layer)):
                    first = self._first_of_kind(layer, kind, size, None)
                    yield f"{module(layer)}_{kind}", first

    def first_needs(self) -> Iterator[str]:
        """Yield the names of what the states before the first chunk are made of."""
        yield from (state.layer for state in held_values(self.network))
        for layer in self._streamed_modules():
            yield from self._first_vectors(layer)

    def _streamed_modules(self) -> list[nodes.Recurrent]:
        return [
            layer
            for layer in self.network.layers
            if isinstance(layer, nodes.Recurrent)
            and plan_of(layer).form == "step"
            and layer is self._modules_layers(layer)[0]
        ]

    def run_chunk(self, layer: nodes.Recurrent) -> Iterator[Code]:
        """Yield the call of a module with its states, which is that of its top layer."""
        stack = stack_of(layer)
        if isinstance(layer.cell, nodes.EquationCell):
            states = [state.name for state in states_of(layer)]
            first = "x" if layer.return_sequences else "_"
            memory = self._memory(layer)
            arguments = listed(self.x, self.mask if layer.masked else "", *states, *memory)
            run = code("self.{}({})", called(layer), arguments)
            yield self.give(run, first, self._contexts_target(layer), *states)
            if not layer.return_sequences:
                yield self.give(code("{}", states[0]))
            return
        assert stack is not None, "in step form, every recurrent layer is in a stack"
        if not stack.is_top:
            return
        states = [f"{stack.name}_{kind}" for kind, _ in layer.states]
        state = code("({})" if len(states) > 1 else "{}", listed(*states))
        first = "x" if layer.return_sequences else "_"
        targets = first, self._contexts_target(layer), state
        if plan_of(layer).has_single_step:
            yield from self.move()
        mask = self.mask if layer.masked else ""
        arguments = listed(self.x, mask, state, *self._memory(layer))
        run = self.give(code("self.{}({})", called(layer), arguments), *targets)
        if plan_of(layer).has_single_step:
            # A scripted function takes no module, and TorchScript compiles only the branch that it
            # can reach. PyTorch documents is_scripting, and does not declare that it is exported.
            yield code(
                """
                # TorchScript has no functions of modules, so there one step is a chunk too.
                if torch.jit.is_scripting() or x.shape[1] > 1:  # type: ignore[attr-defined]
                    {run}
                else:
                    {result} = single_step(self.{name}, x, {state})
                """,
                run=run,
                result=listed(*targets),
                name=called(layer),
                state=state,
            )
        else:
            yield run
        if not layer.return_sequences:
            yield self.give(code("{}[-1]", states[0]))

    def state_shapes(self, *, first: bool = False) -> Iterator[tuple[str, Code]]:
        """Yield the name and shape of each state, those of stock layers as PyTorch has them."""
        for state in states(self.network):
            layer = self._by_name.get(state.layer)
            stack = stack_of(layer) if layer and state.kind not in ("value", "mask") else None
            if stack is None:
                yield state.name, self.state_sizes(state, first=first)
            elif stack.index == 0:
                yield state.name, code("{!r}, batch, {!r}", stack.size, state.size)

    def zeros(self, shape: Code) -> Code:
        """Return a state of zeros."""
        # Tokens are integers, so the weights tell the dtype of the states.
        floats = (nodes.NumericInput, nodes.VectorInput)
        named = (
            network_input.name
            for network_input in self.scope.inputs
            if isinstance(network_input, floats)
        )
        if source := next(named, None):
            return code("{}.new_zeros({})", self.output(source), shape)
        embeddings = (layer for layer in self.network.layers if isinstance(layer, nodes.Embedding))
        first = next(embedding for embedding in embeddings if embedding.shares is None)
        return code("self.{}.weight.new_zeros({})", self.attribute(first.name), shape)
