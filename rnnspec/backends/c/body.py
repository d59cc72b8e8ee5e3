"""The body of the function that calls those of the layers, and the memory that they share."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Literal

from rnnspec.backends.c.layers import Call, Place, steps_before, window_count
from rnnspec.backends.c.names import input_symbols, loop, number, pointers
from rnnspec.backends.c.steps import delays, held_memories, step_counts
from rnnspec.backends.c.verbs import copied, each, total
from rnnspec.ir import nodes
from rnnspec.ir.cells import states_of_equations
from rnnspec.ir.forms import held_values, streamed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rnnspec.backends.c.layers import Layers
    from rnnspec.backends.c.steps import SharedLength


@dataclass(frozen=True, slots=True)
class Seen:
    """The input of a layer, where a comment stands in the function.

    ``sizes`` are expressions in C.
    """

    layer: str
    comment: str
    pointer: str
    sizes: tuple[str, ...]


BLOCK = 16
"""The steps of a chunk that go through a layer before they go through the next."""


def is_by_layer(network: nodes.Network) -> bool:
    """True if the layers that take chunks can take several steps each, one layer after another.

    They must have no state but those of recurrent layers, and look at no padding.
    """
    streams = streamed(network)
    if held_values(network) or streams & network.ports.keys() or any(delays(network).values()):
        return False
    for layer in network.layers:
        if layer.name not in streams:
            continue
        match layer:
            case nodes.Recurrent(attention=None, masked=False):
                pass
            case nodes.Pooling(statistic="last" | "last_step", masked=False):
                pass
            case _ if layer.acts_on != "steps" and not getattr(layer, "masked", False):
                pass
            case _:
                return False
    return any(isinstance(layer, nodes.Recurrent) for layer in network.layers)


class Body:
    """The body of a function that calls those of the layers, and the memory that they share.

    In step form, the part ``begin`` computes what does not depend on the input that comes in
    chunks, and ``step`` everything else; ``block`` does that for a few steps, layer by layer.
    ``run`` computes all layers.
    """

    def __init__(
        self,
        network: nodes.Network,
        names: Mapping[str, str],
        layers: Layers,
        lengths: Sequence[SharedLength],
        part: Literal["run", "begin", "step", "block"] = "run",
    ) -> None:
        self.network, self.names, self.shared, self.part = network, names, layers, part
        self.stepped, self.upper = layers.stepped, network.name.upper()
        self.layers = {layer.name: layer for layer in network.layers}
        self.sources = nodes.sources(network)
        self.streams = streams = frozenset[str]() if part == "run" else streamed(network)
        self.in_chunks = in_chunks = part in ("step", "block")
        self.inputs = {
            network_input.name: network_input
            for network_input in network.inputs
            if (network_input.name in streams) == in_chunks
        }
        self.delays = delays(network) if part == "step" else {}
        self.computed = sorted(
            (layer for layer in network.layers if (layer.name in streams) == in_chunks),
            key=lambda layer: self.delays.get(layer.name, 0),
        )
        self.outputs = {} if part == "begin" else pointers(network)
        # Of several heads with the output of one layer, the first is where it is computed.
        self.results = {layer.name: name for name, layer in reversed(self.outputs.items())}
        self.symbols = input_symbols(network)
        self.pointers = self._pointers()
        is_whole = not in_chunks
        self.lengths = [
            length for length in lengths if is_whole and length.inputs[0] in self.inputs
        ]
        self.length_of = {name: length for length in self.lengths for name in length.inputs}
        self.counts = step_counts(network)
        self.steps = {name: length.symbol for name, length in self.length_of.items()}
        self.held = held_memories(network) if part != "run" else {}
        if in_chunks:
            self.steps |= dict.fromkeys(network.streams, "steps")
            self.steps |= {
                name: f"state->{field}" if field else str(self.counts[name])
                for name, field in self.held.items()
            }
        self.expressions: dict[str, str] = {}
        self.masks: dict[frozenset[nodes.Origin], str] = {}
        origins = nodes.masks(network)
        self.mask_keys = {name: frozenset(origin) for name, origin in origins.items()}
        # The first output with a mask says how it is made.
        self.mask_makers = {key: name for name, key in reversed(self.mask_keys.items())}
        self.seen: list[Seen] = []
        self.floats = 0
        self.places = self._places()

    def _pointers(self) -> dict[str, str]:
        """Return where the inputs are, and the layers that nothing is computed for."""
        pointers = {
            name: "&" * isinstance(network_input, nodes.LabelInput) + self.symbols[name]
            for name, network_input in self.inputs.items()
        }
        held = held_values(self.network) if self.part != "run" else ()
        values = {s.layer: s for s in held if s.kind == "value"}
        if self.part == "step":
            pointers |= {name: f"state->{state.name}" for name, state in values.items()}
        for vector in self.network.learned.values():
            pointers[vector.name] = self.shared.arrays[vector.layer, vector.param].symbol
        ports = (port for layer in self.computed for port in self.network.ports_of(layer.name))
        for value in (*self.computed, *ports):
            if isinstance(value, nodes.Port) and value.state and self.part == "step":
                pointers[value.name] = f"state->{value.layer}_{value.state}"
            elif self.stepped and isinstance(value, nodes.Recurrent):
                pointers[value.name] = f"state->{value.name}_{value.states[0][0]}"
            elif value.name in self.results:
                pointers[value.name] = self.results[value.name]
            elif value.name in values and len(value.output) > 1:
                # A memory is computed where it stays.
                pointers[value.name] = f"state->{values[value.name].name}"
        return pointers

    def _stores(self) -> Iterator[tuple[str, str, str]]:
        """Yield the states that are not zeros at first, with the value of each and its size."""
        for state in held_values(self.network):
            if state.kind == "value":
                rows = self.steps[state.layer] if len(state.shape) > 1 else "1"
                yield f"state->{state.name}", state.layer, total(rows, state.size)
        for layer in self.network.layers:
            if isinstance(layer, nodes.Recurrent) and layer.name in self.streams:
                sizes = dict(layer.states)
                for name, vector in layer.first_states.items():
                    yield f"state->{layer.name}_{name}", vector, str(sizes[name])

    def _store(self) -> Iterator[str]:
        """Yield the statements after which the state has what is known before the first chunk."""
        for place, name, size in self._stores():
            if place != (pointer := self._pointer(name)):
                yield copied(place, pointer, size)
        fields = {field: self.steps[name] for name, field in self.held.items() if field}
        yield from (f"state->{field} = {steps};" for field, steps in fields.items())
        for state in held_values(self.network):
            if state.kind == "mask":
                yield from self._mask(state.layer)
                mask = self.masks[self.mask_keys[state.layer]]
                yield f"memcpy(state->{state.name}, {mask}, {self.steps[state.layer]});"

    def _most(self, name: str) -> int:
        """Return the largest number of steps of an input or a layer, if it may have any."""
        count = self.counts.get(name, 1)
        if isinstance(count, int):
            return count
        name, first, every = count
        if name not in self.length_of:
            return 1
        most = self.length_of[name].most
        # There may be more windows than steps.
        return max(most, -(-(most - first) // every))

    def _size(self, value: nodes.Layer | nodes.Port) -> int:
        """Return the most floats of a value."""
        shape = value.output
        if (self.stepped or self.part == "block") and len(shape) > 1:
            return (1 if self.stepped else BLOCK) * prod(size or 1 for size in shape[1:])
        return prod(self._most(value.name) if size is None else size for size in shape)

    def _reads(self, layer: nodes.Layer) -> tuple[str, ...]:
        """Return what a layer reads, of which the number of steps is no part."""
        first, *others = self.sources[layer.name]
        match layer:
            case nodes.Residual():
                return (first, self.sources[layer.start][0])
            case nodes.Repeat():
                return (first,)
            case nodes.Recurrent(begins_as=states) if self.in_chunks:
                # Its first states are there since the beginning.
                return (first, *others[len(states) :])
            case _:
                return (first, *others)

    def _last_uses(self) -> dict[str, int]:
        """Return the place in the order of the layer that is the last to read an output."""
        last: dict[str, int] = {}
        for index, layer in enumerate(self.computed):
            for name in self._reads(layer):
                last[self._owner(name)] = index
        if self.part == "begin":
            stored = [state.layer for state in held_values(self.network)]
            begun = [layer for layer in self.network.layers if layer.name in self.streams]
            for layer in begun:
                if isinstance(layer, nodes.Recurrent):
                    stored += layer.begins_as.values()
            last |= {self._owner(name): len(self.computed) for name in stored}
        return last

    def _owner(self, name: str) -> str:
        """Return the layer in whose memory an output is: a flattened one stays where it was."""
        while isinstance(self.layers.get(name), nodes.Flatten) and name not in self.results:
            name = self.sources[name][0]
        return name

    def _places(self) -> dict[str, int]:
        """Return where in the workspace the output of each layer is, and count its floats."""
        last, places = self._last_uses(), dict[str, int]()
        live: list[tuple[int, int, int]] = []
        for index, layer in enumerate(self.computed):
            live = [node for node in live if node[2] >= index]
            for placed in self._placed_with(layer):
                if placed.name in self.pointers or self._owner(placed.name) != placed.name:
                    continue
                size, at = self._size(placed), 0
                for begin, end, _ in sorted(live):
                    if at + size <= begin:
                        break
                    at = max(at, end)
                places[placed.name] = at
                live.append((at, at + size, last.get(placed.name, index)))
                self.floats = max(self.floats, at + size)
        return places

    def _placed_with(self, layer: nodes.Layer) -> Iterator[nodes.Layer | nodes.Port]:
        """Yield what the statements of a layer compute."""
        yield layer
        # The states of a chunk have their place.
        ports = self.network.ports_of(layer.name)
        yield from (port for port in ports if not (port.state and self.in_chunks))

    def lines(self) -> list[str]:
        """Return the lines of the function, after which ``floats`` has all of its memory."""
        self.work = self.floats
        calls = list(self._calls())
        # What is like a masked sequence is masked, but need not ask whether the step is real.
        asked = {
            call.arguments["real"]
            for call in calls
            if isinstance(call, Call) and "real" in call.arguments
        }
        calls = [*self._are_real({name for names in asked for name in names.split(" && ")}), *calls]
        self.floats += self.shared.work
        masks = [self._memory_of_mask(key, mask) for key, mask in self.masks.items()]
        start = [*self._checks(), "", *self._memory(), *masks]
        if self.part == "block":
            # The caller has checked everything, but gcc may warn of what no step would write.
            start = [*self._memory(), "", "if (steps == 0) {", "    return;", "}"]
        elif not self.stepped:
            # gcc splits a function behind early returns, unless what it declares is used above
            # them: faster in step form, slower for whole sequences, as it then has all layers in
            # line.
            start = [*self._memory(), *masks, "", *self._checks()]
        statement = self.shared.statement
        statements = [statement(call) if isinstance(call, Call) else call for call in calls]
        return [*start, *_without_unused(statements)]

    def _memory(self) -> Iterator[str]:
        """Yield the declarations of what the layers compute with."""
        if (self.stepped or self.part == "block") and self.floats:
            yield f"float workspace[{self.floats}];"
        for name, place in self.places.items():
            at = f" + {place}" if place else ""
            yield f"float *const {self.names[name]}_out = workspace{at};"
        if self.shared.work:
            at = f" + {self.work}" if self.work else ""
            yield f"float *const work = workspace{at};"

    def _memory_of_mask(self, key: frozenset[nodes.Origin], mask: str) -> str:
        place = self.floats
        self.floats += -(-self._most(self.mask_makers[key]) // 4)
        return f"unsigned char *const {mask} = (unsigned char *)(workspace + {place});"

    def _checks(self) -> Iterator[str]:
        for length in self.lengths:
            limits = f"{self.upper}_{length.prefix}M"
            steps = length.symbol
            yield f"if ({steps} < {limits}IN_STEPS || {steps} > {limits}AX_STEPS) {{"
            yield f"    return {self.upper}_BAD_LENGTH;"
            yield "}"
        for each_input in self.inputs.values():
            if isinstance(each_input, nodes.TokenInput | nodes.LabelInput):
                yield from self._check_tokens(each_input)

    def _check_tokens(self, tokens: nodes.TokenInput | nodes.LabelInput) -> Iterator[str]:
        prefix = self.network.prefix(tokens.name, "_").upper()
        token, rows = self.symbols[tokens.name], "1"
        if isinstance(tokens, nodes.TokenInput):
            rows = "1" if self.part == "step" else self.steps[tokens.name]
            token += "[0]" if self.part == "step" else "[t]"
        check = f"if ({token} < 0 || {token} >= {self.upper}_{prefix}VOCABULARY) {{"
        yield from each(rows, [check, f"    return {self.upper}_BAD_TOKEN;", "}"])

    def _calls(self) -> Iterator[str | Call]:
        """Yield the statements of all layers, each with what it takes and gives above it."""
        if self.part == "begin":
            yield "memset(state, 0, sizeof(*state));"
        delay = 0
        for layer in self.computed:
            while (later := self.delays.get(layer.name, 0)) > delay:
                yield from self._copies(delay)
                delay = min(other for other in self.delays.values() if other > delay)
                yield from self._wait(delay)
            assert later == delay
            yield from self._layer(layer)
        yield from self._copies(delay)
        if self.part == "begin":
            yield from self._store()

    def _wait(self, delay: int) -> Iterator[str]:
        """Yield the statements of a step after which a window is not yet full."""
        yield f"if (state->steps < {number(delay)}) {{"
        for layer in self.computed:
            source = self.sources[layer.name][0]
            if isinstance(layer, nodes.Conv) and (
                self.delays[source] < delay <= self.delays[layer.name]
            ):
                kept, size = f"state->{layer.name}_inputs", layer.features
                before = (layer.window.reach - 1) * size
                if before:
                    yield f"    memmove({kept}, {kept} + {size}, {before} * sizeof(float));"
                    kept += f" + {before}"
                yield f"    {copied(kept, self._pointer(source), str(size))}"
        yield "    state->steps += 1.0f;"
        yield f"    return {self.upper}_NO_OUTPUT;"
        yield "}"

    def _copies(self, delay: int) -> Iterator[str]:
        """Yield the statements of the outputs that are somewhere else too."""
        for pointer, layer in self.outputs.items():
            place = self._pointer(layer.name)
            if pointer != place and self.delays.get(layer.name, 0) == delay:
                sequence = len(layer.output) > 1 and not self.stepped
                rows = f"{self.steps[layer.name]} * " if sequence else ""
                size = f"{rows}{nodes.width(layer.output)} * sizeof(float)"
                yield f"memcpy({pointer}, {place}, {size});"

    def _real(self, name: str) -> str:
        """Return the condition that a step of a value is real, of variables of inputs."""
        masked = {origin for origin, _, _ in self.mask_keys.get(name, ())}
        several = sum(stream in self.mask_keys for stream in self.network.streams) > 1
        return " && ".join(
            f"{self.symbols[stream]}_mask" if several else "real"
            for stream in self.network.streams
            if stream in masked
        )

    def _are_real(self, asked: set[str]) -> Iterator[str]:
        """Yield the declarations of the variables that tell whether a step is real."""
        for source in self.inputs.values():
            real, x = self._real(source.name), self.symbols[source.name]
            if not real or real not in asked:
                continue
            match source:
                case nodes.NumericInput(features=features, mask_value=float() as value):
                    yield f"int {real} = 0;"
                    yield ""
                    lines = [f"{real} = {real} || {x}[i] != {number(value)};"]
                    yield from loop("i", str(features), lines)
                case _:
                    yield f"const int {real} = {x}[0] != 0;"

    def _layer(self, layer: nodes.Layer) -> Iterator[str | Call]:
        first = self._first(layer)
        steps, name = self.steps.get(first, "1"), self.names[layer.name]
        if len(layer.input) == 0:
            steps = "1"
        self.steps[layer.name] = after = self._steps_after(layer, steps)
        window: nodes.Window | None = getattr(layer, "window", None)
        before = ""
        counted = (isinstance(layer, nodes.Repeat) and layer.like) or first
        expression = self.expressions.get(counted, steps if steps.isdigit() else f"(({steps}))")
        if window and after == f"{name}_steps":
            expression = f"({window_count(window, expression)})"
            yield f"const size_t {after} = {window_count(window, steps)};"
        counts: tuple[str, ...] = ()
        if isinstance(layer, nodes.Append):
            lengths = [shape[0] if len(shape) > 1 else 1 for shape in layer.inputs]
            counts = tuple(steps if known is None else str(known) for known in lengths)
            if after == f"{name}_steps":
                others = sum(known for known in lengths if known is not None)
                expression = f"({expression} + {others})"
                yield f"const size_t {after} = {steps} + {others};"
        if after == f"{name}_steps" or (
            counted in self.expressions and after == self.steps[counted]
        ):
            self.expressions[layer.name] = expression
        for contexts in nodes.contexts_of(self.network, layer):
            self.steps[contexts] = after
            if layer.name in self.expressions:
                self.expressions[contexts] = self.expressions[layer.name]
        if window and window.padding == "same" and window.reach and not self.stepped:
            before = steps_before(window, steps, after)
            if not before.isdigit():
                yield f"const size_t {name}_before = {before};"
                before = f"{name}_before"
        mask = ""
        if not self.stepped and _skips_padding(layer):
            yield from self._mask(first)
            mask = self.masks[self.mask_keys[first]]
        inputs = tuple(map(self._pointer, self._reads(layer)))
        yield from self._shapes(layer, inputs[0], counts[0] if counts else steps, after)
        yield from self._attended(layer)
        output = self._pointer(layer.name)
        if isinstance(layer, nodes.Flatten):
            output = self.results.get(layer.name, "")
            self.pointers.setdefault(layer.name, inputs[0])
        place = Place(
            inputs,
            steps,
            output,
            after,
            before,
            mask,
            self._states_of(layer),
            f"&{name}_memory",
            counts,
            self._real(first),
        )
        yield from self.shared.lines(layer, place)

    def _attended(self, layer: nodes.Layer) -> Iterator[str]:
        """Yield the declaration of what a layer attends to."""
        attention = nodes.attention_of(layer)
        if attention is None:
            return
        over, keys = attention.over, attention.keys
        shapes = {name: self._shape(name) for name in (keys, over)}
        parts = [self._pointer(keys), self._pointer(over)]
        if self.shared.masks:
            mask = "NULL"
            if attention.masked and over in self.held and self.part == "step":
                mask = f"state->{over}_mask"
            elif attention.masked:
                yield from self._mask(over)
                mask = self.masks[self.mask_keys[over]]
            parts.append(mask)
        parts.append(self.steps[over])
        parts += [str(nodes.width(shapes[name])) for name in (keys, over)]
        start = f"const {self.network.name}_memory {self.names[layer.name]}_memory"
        yield f"{start} = {{{', '.join(parts)}}};"

    def _shape(self, name: str) -> nodes.Shape:
        """Return the shape of an input or of the output of a layer."""
        return self.network.shapes[name]

    def _first(self, layer: nodes.Layer) -> str:
        """Return what has the steps of a layer, of all that it reads."""
        first = self.sources[layer.name][0]
        if nodes.attention_of(layer):
            (first,) = nodes.paced_by(layer, self.sources[layer.name])
            return first
        if isinstance(layer, nodes.Append):
            # Of one that may be any number, the others have known numbers.
            pairs = zip(layer.of, layer.inputs, strict=True)
            return next((name for name, shape in pairs if shape[0] is None), first)
        return next((name for name in self._reads(layer) if name in self.counts), first)

    def _states_of(self, layer: nodes.Layer) -> dict[str, str]:
        """Return where the states and contexts of a recurrent layer are, by parameters."""
        if not isinstance(layer, nodes.Recurrent):
            return {}
        names, states = dict[str, str](), states_of_equations(layer)
        if self.part == "block":
            return {
                f"{own}_{end}": f"state->{layer.name}_{state}"
                for own, (state, _) in states.items()
                for end in ("first", "last")
            }
        if not self.stepped:
            first = layer.first_states
            names = {f"{own}_first": first[s] for own, (s, _) in states.items() if s in first}
            finals = {port.state: port.name for port in self.network.ports_of(layer.name)}
            for own, (state, _) in states.items():
                if state in finals:
                    names[f"{own}_last"] = finals[state]
        for contexts in nodes.contexts_of(self.network, layer):
            names["contexts"] = contexts
        return {parameter: self._pointer(name) for parameter, name in names.items()}

    def _shapes(self, layer: nodes.Layer, x: str, steps: str, after: str) -> Iterator[str]:
        """Yield the comment above the statements of a layer."""
        taken = (steps,) if isinstance(layer, nodes.Embedding) else _dims(layer.input, steps)
        if isinstance(layer, nodes.Flatten):
            taken = _dims(layer.input, str(layer.input[0]))
        shapes = [taken, _dims(layer.output, after)]
        if self.stepped:
            shapes = [shape[1:] if shape[0] == "steps" and shape[1:] else shape for shape in shapes]
        text = " -> ".join(f"({', '.join(shape)})" for shape in shapes)
        comment = f"/* {layer.name}: {text} */"
        self.seen.append(Seen(layer.name, comment, x, taken))
        yield comment

    def _pointer(self, name: str) -> str:
        return self.pointers.get(name) or f"{self.names[name]}_out"

    def _steps_after(self, layer: nodes.Layer, steps: str) -> str:
        match layer:
            case nodes.Conv(window=window) | nodes.WindowPooling(window=window):
                keeps = window.keeps_steps or self.stepped
                return steps if keeps else f"{self.names[layer.name]}_steps"
            case nodes.Repeat(like=str(name)):
                return self.steps[name]
            case nodes.Repeat(steps=count) | nodes.LastSteps(count=count):
                return str(count)
            case nodes.Transpose():
                return str(layer.output[0])
            case nodes.Append():
                fixed = layer.output[0]
                return f"{self.names[layer.name]}_steps" if fixed is None else str(fixed)
            case _:
                return steps

    def _mask(self, name: str) -> Iterator[str]:
        """Yield the lines that make a mask, and those that it follows from, unless they exist."""
        waiting, needed = [name], set[str]()
        while waiting:
            key = self.mask_keys[waiting.pop()]
            maker = self.mask_makers[key]
            if key not in self.masks and maker not in needed:
                needed.add(maker)
                waiting.extend(self._masks_before(maker))
        for maker in self.mask_keys if needed else ():
            if maker in needed:
                yield from self._make_mask(maker)

    def _masks_before(self, name: str) -> list[str]:
        """Return the inputs and layers from whose masks that of a layer follows."""
        if name in self.inputs:
            return []
        layer, names = self.layers[name], self.sources[name]
        read = nodes.paced_by(layer, names)
        return [source for source in read if source in self.mask_keys]

    def _make_mask(self, maker: str) -> Iterator[str]:
        before = {self.mask_keys[name]: None for name in self._masks_before(maker)}
        old = [self.masks[key] for key in before]
        named = not self.network.takes_one_array
        layer = self.layers.get(maker)
        if layer is None:
            yield f"/* Steps {f'of {maker} ' if named else ''}that are not padding. */"
            mask = f"{self.symbols[maker]}_mask" if named else "mask"
            lines = list(self._compare_with_padding(maker, mask))
        else:
            mask = f"{self.names[maker]}_mask" if named else f"mask_{len(self.masks)}"
            at = "t"
            if isinstance(layer, nodes.Windowed):
                window = layer.window
                at = f"t * {window.stride}" if window.stride > 1 else "t"
                at = f"{window.anchor} + {at}" if window.anchor else at
            lines = [f"{mask}[t] = {' && '.join(f'{one}[{at}]' for one in old)};"]
        yield from loop("t", self.steps[maker], lines)
        self.masks[self.mask_keys[maker]] = mask

    def _compare_with_padding(self, name: str, mask: str) -> Iterator[str]:
        """Yield the lines that tell the real steps of an input."""
        x = self.symbols[name]
        match self.inputs[name]:
            case nodes.NumericInput(features=features, mask_value=float() as value):
                differs = f"{mask}[t] |= {x}[t * {features} + i] != {number(value)};"
                yield f"{mask}[t] = 0;"
                yield from loop("i", str(features), [differs])
            case _:
                yield f"{mask}[t] = {x}[t] != 0;"


def _without_unused(lines: list[str]) -> list[str]:
    """Return lines without the numbers of steps that only the comment of an output mentions."""
    read = " ".join(line for line in lines if not line.startswith("/*"))
    names = Counter(re.findall(r"\w+_steps\b", read))
    declared = re.compile(r"const size_t (\w+_steps) = ")
    return [line for line in lines if not (match := declared.match(line)) or names[match[1]] > 1]


def _dims(shape: nodes.Shape, steps: str) -> tuple[str, ...]:
    """Return a shape as it is when the function runs."""
    sizes = tuple(map(str, shape))
    return (steps, *sizes[1:]) if len(shape) > 1 else sizes


def _skips_padding(layer: nodes.Layer) -> bool:
    """Return whether a layer looks at the mask; a normalization needs it in training only."""
    match layer:
        case nodes.Embedding() | nodes.BatchNorm() | nodes.Pooling(statistic="last_step"):
            return False
        case nodes.Attention():
            # What it looks at is the mask of its memory.
            return False
        case _:
            return getattr(layer, "masked", False)
