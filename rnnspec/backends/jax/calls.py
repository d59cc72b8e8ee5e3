"""The calls of recurrent layers, with the states that they begin with and end in."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from rnnspec.backends.jax.cells import cell_classes, class_name, direction_path
from rnnspec.backends.jax.slots import slots
from rnnspec.ir import nodes
from rnnspec.ir.forms import states_of
from rnnspec.ir.params import directions
from rnnspec.source.code import Code, code, listed
from rnnspec.source.walk import Walk

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rnnspec.backends.jax.cells import CellClass


class RecurrentCalls(Walk):
    """The part of the walk that runs recurrent layers."""

    @cached_property
    def cell_classes(self) -> dict[str, CellClass]:
        """The generated classes by name."""
        return cell_classes(self.network, self.form)

    def run(self, layer: nodes.Recurrent) -> Iterator[Code]:
        """Yield the call of a layer, or of both of its directions."""
        learned = (vector.name for vector in layer.learned)
        yield from self.need((*learned, *self._sources[layer.name][1:]))
        kinds = [kind for kind, _ in layer.states]
        read, parts = self.read_states(layer), dict[str, list[Code]]()
        has_state = self.cell_classes[class_name(layer)].sequences == "with_state"
        memory = self._memory_of(layer)
        for way, direction in enumerate(directions(layer)):
            path = direction_path(direction).removesuffix(".")
            name = code("{}", "x" if layer.merge is None else ("ahead", "back")[way])
            result, state = [name], Code()
            if has_state:
                targets = dict.fromkeys(kinds, code("_"))
                for kind in read:
                    own = self.variables_of[f"{layer.name}.{kind}"]
                    targets[kind] = code("{}", own if name == "x" else f"{name}_{kind}")
                    parts.setdefault(own, []).append(targets[kind])
                is_used = layer.return_sequences if layer.merge else self.gives_outputs(layer)
                first = name if is_used else code("_")
                if not layer.return_sequences:
                    first = code("_")
                    targets[kinds[0]] = targets[kinds[0]] if kinds[0] in read else name
                many = code("({})" if len(kinds) > 1 else "{}", listed(*targets.values()))
                many = code("_") if set(targets.values()) == {"_"} else many
                result = [first, self._contexts_of(layer), many]
                # A state that is the output is among the others, in ``x``.
                result = result if first == name else [listed(*result)]
                zeros, state = self._first_state(layer, way)
                yield zeros
                if not layer.return_sequences and kinds[0] in read and layer.merge is not None:
                    parts.setdefault("", []).append(targets[kinds[0]])
            module = self.attribute(layer.owner)
            module = code("{}.{}", module, path) if path else code("{}", module)
            # The module reads in the direction of the layer that has its arrays.
            flip = "[:, ::-1]" if layer.name in nodes.turned(self.network) else ""
            mask = code(f"{{}}{flip}", self.mask) if layer.masked else ""
            arguments = listed(code(f"{{}}{flip}", self.x), mask, state, *memory)
            yield self.give(code("self.{}({})", module, arguments), *result)
            if flip and self.gives_outputs(layer):
                yield self.give(code(f"{{}}{flip}", name), name)
            if flip and (contexts := self._contexts_of(layer)) and contexts != "_":
                yield code(f"{{}} = {{}}{flip}", contexts, contexts)
            if has_state and not layer.return_sequences and kinds[0] in read:
                yield self.give(targets[kinds[0]], name)
        if layer.merge is not None:
            parts.pop("", None)
            for own, (ahead, back) in parts.items():
                yield code("{} = jnp.concatenate([{}, {}], axis=-1)", own, ahead, back)
            yield self.give(self.merge(code("ahead"), code("back"), layer.merge))

    def _first_state(self, layer: nodes.Recurrent, way: int) -> tuple[Code, Code]:
        """Return the first states of a direction, behind a statement that makes zeros of them."""
        values, statement = list[Code](), Code()
        memory = self.output(layer.attention.over) if layer.attention else Code()
        own = [
            code("self.{}.{}.dtype", self.attribute(layer.owner), Code(slot.path))
            for slot in slots(nodes.with_arrays(layer))
            if slot.module is None
        ]
        dtype = code("jnp.result_type({})", listed(self.x, memory, *own[:1]))
        for kind, size in layer.states:
            if vector := layer.first_states.get(kind):
                whole = self.output(vector)
                half = "{}[:, {!r}:]" if way else "{}[:, :{!r}]"
                values.append(whole if layer.merge is None else code(half, whole, size))
            else:
                values.append(code("jnp.zeros(({}.shape[0], {!r}), {})", self.x, size, dtype))
        # A vector that several states begin with has another half for the other direction.
        if not layer.first_states and len(values) > 1 and len(set(values)) == 1:
            statement = Code() if way else code("zeros = {}", values[0])
            values = [code("zeros")] * len(values)
        return statement, code("({})" if len(values) > 1 else "{}", listed(*values))

    def read_states(self, layer: nodes.Recurrent) -> list[str]:
        """Return the kinds of states that other layers take of a layer."""
        read = {port.state for port in self.network.ports_of(layer.name)}
        return [kind for kind, _ in layer.states if kind in read]

    def final_state(self, layer: str, name: str) -> Code:
        """Return a state after the last step, both directions side by side."""
        return code("{}", self.variables_of[f"{layer}.{name}"])

    def _memory_of(self, layer: nodes.Recurrent) -> tuple[Code, ...]:
        """Return the arguments for what a layer attends to."""
        return self.memory(layer.attention) if layer.attention else ()

    def _contexts_of(self, layer: nodes.Recurrent) -> Code:
        """Return the target of the contexts of a layer, empty if its class returns none."""
        if not self.cell_classes[class_name(layer)].gives_contexts:
            return Code()
        return self.contexts(layer) or code("_")

    def run_chunk(self, layer: nodes.Recurrent) -> Iterator[Code]:
        """Yield the call of a layer with its states."""
        names = [state.name for state in states_of(layer)]
        state = listed(*names)
        if len(names) > 1:
            state = code("({})", state)
        first, mask = "x" if layer.return_sequences else "_", self.mask if layer.masked else ""
        arguments = listed(self.x, mask, state, *self._memory_of(layer))
        run = code("self.{}({})", self.attribute(layer.owner), arguments)
        yield self.give(run, first, self._contexts_of(layer), state)
        if not layer.return_sequences:
            yield self.give(code("{}", names[0]))
