"""The body of the function that calls those of the layers, and the memory that they share."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from rnnspec.backends.c.layers import Call, Place, each, steps_before, window_count
from rnnspec.backends.c.names import loop, number, pointers
from rnnspec.ir import nodes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rnnspec.backends.c.layers import Layers


@dataclass(frozen=True, slots=True)
class Seen:
    """The input of a layer, where a comment stands in the function.

    ``sizes`` are expressions in C.
    """

    layer: str
    comment: str
    pointer: str
    sizes: tuple[str, ...]


class Body:
    """The body of the function that calls those of the layers, and the memory that they share."""

    def __init__(
        self,
        network: nodes.Network,
        names: Mapping[str, str],
        layers: Layers,
    ) -> None:
        self.network, self.names, self.shared = network, names, layers
        self.stepped, self.most = layers.stepped, layers.most
        self.layers = {layer.name: layer for layer in network.layers}
        self.sources = nodes.sources(network)
        self.outputs = pointers(network)
        # Of several heads with the output of one layer, the first is where it is computed.
        self.results = {layer.name: name for name, layer in reversed(self.outputs.items())}
        self.pointers = {nodes.INPUT: "x", **self.results}
        self.steps = {nodes.INPUT: "steps"}
        self.expressions: dict[str, str] = {}
        self.masks: dict[int, str] = {}
        self.mask_windows: dict[int, nodes.Window] = {}
        self.mask_numbers = self._mask_numbers()
        self.seen: list[Seen] = []
        self.floats = 0
        self.places = self._places()

    def _mask_numbers(self) -> dict[str, int]:
        """Return the number of the mask of each output with padding, 0 for that of the input."""
        numbers, known = {nodes.INPUT: 0}, dict[tuple[int, nodes.Window], int]()
        padded = nodes.windows_of_padding(self.network)
        for layer in self.network.layers:
            if layer.name not in padded:
                continue
            number = numbers[self.sources[layer.name][0]]
            if isinstance(layer, nodes.Conv | nodes.WindowPooling) and not layer.window.keeps_steps:
                number = known.setdefault((number, layer.window), len(known) + 1)
                self.mask_windows[number] = layer.window
            numbers[layer.name] = number
        return numbers

    def _size(self, shape: nodes.Shape) -> int:
        """Return the most floats of a shape."""
        if self.stepped and len(shape) > 1:
            return prod(size or 1 for size in shape[1:])
        return prod(self.most if size is None else size for size in shape)

    def _last_uses(self) -> dict[str, int]:
        """Return the place in the order of the layer that is the last to read an output."""
        last: dict[str, int] = {}
        for index, layer in enumerate(self.network.layers):
            read = [*self.sources[layer.name]]
            if isinstance(layer, nodes.Residual):
                read.append(self.sources[layer.start][0])
            for name in read:
                last[self._owner(name)] = index
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
        for index, layer in enumerate(self.network.layers):
            if layer.name in self.results or self._owner(layer.name) != layer.name:
                continue
            if self._is_state(layer):
                continue
            size, at = self._size(layer.output), 0
            live = [each for each in live if each[2] >= index]
            for begin, end, _ in sorted(live):
                if at + size <= begin:
                    break
                at = max(at, end)
            places[layer.name] = at
            live.append((at, at + size, last.get(layer.name, index)))
            self.floats = max(self.floats, at + size)
        return places

    def lines(self) -> list[str]:
        """Return the lines of the function, after which ``floats`` has all of its memory."""
        self.work = self.floats
        calls = list(self._calls())
        self.floats += self.shared.work
        masks = [self._memory_of_mask(mask) for mask in self.masks.values()]
        start = [*self._checks(), "", *self._memory(), *masks]
        if not self.stepped:
            # gcc splits a function behind early returns, unless what it declares is used above
            # them: faster in step form, slower for whole sequences, as it then has all layers in
            # line.
            start = [*self._memory(), *masks, "", *self._checks()]
        statement = self.shared.statement
        statements = [statement(call) if isinstance(call, Call) else call for call in calls]
        return [*start, *_without_unused(statements)]

    def _memory(self) -> Iterator[str]:
        """Yield the declarations of what the layers compute with."""
        if self.stepped and self.floats:
            yield f"float workspace[{self.floats}];"
        for name, place in self.places.items():
            at = f" + {place}" if place else ""
            yield f"float *const {self.names[name]}_out = workspace{at};"
        if self.shared.work:
            at = f" + {self.work}" if self.work else ""
            yield f"float *const work = workspace{at};"

    def _memory_of_mask(self, mask: str) -> str:
        place = self.floats
        self.floats += -(-self.most // 4)
        return f"unsigned char *const {mask} = (unsigned char *)(workspace + {place});"

    def _checks(self) -> Iterator[str]:
        upper = self.network.name.upper()
        if not self.stepped:
            yield f"if (steps < {upper}_MIN_STEPS || steps > {upper}_MAX_STEPS) {{"
            yield f"    return {upper}_BAD_LENGTH;"
            yield "}"
        if isinstance(self.network.input, nodes.TokenInput):
            check = f"if (x[t] < 0 || x[t] >= {upper}_VOCABULARY) {{"
            lines = [check, f"    return {upper}_BAD_TOKEN;", "}"]
            if self.stepped:
                lines[0] = check.replace("[t]", "[0]")
            yield from each("1" if self.stepped else "steps", lines)

    def _calls(self) -> Iterator[str | Call]:
        """Yield the statements of all layers, each with what it takes and gives above it."""
        if self.stepped and any(getattr(layer, "masked", False) for layer in self.network.layers):
            yield from self._real()
        for layer in self.network.layers:
            yield from self._layer(layer)
        for pointer, layer in self.outputs.items():
            first = self.results[layer.name]
            if pointer != first:
                rows = f"{self.steps[layer.name]} * " if len(layer.output) > 1 else ""
                size = f"{rows}{nodes.width(layer.output)} * sizeof(float)"
                yield f"memcpy({pointer}, {first}, {size});"

    def _real(self) -> Iterator[str]:
        match self.network.input:
            case nodes.TokenInput():
                yield "const int real = x[0] != 0;"
            case nodes.NumericInput(features=features, mask_value=float() as value):
                yield "int real = 0;"
                yield ""
                lines = [f"real = real || x[i] != {number(value)};"]
                yield from loop("i", str(features), lines)
            case _:
                return

    def _layer(self, layer: nodes.Layer) -> Iterator[str | Call]:
        first, *others = self.sources[layer.name]
        steps, name = self.steps.get(first, "1"), self.names[layer.name]
        self.steps[layer.name] = after = self._steps_after(layer, steps)
        window: nodes.Window | None = getattr(layer, "window", None)
        before = ""
        expression = self.expressions.get(first, steps if steps.isdigit() else "((steps))")
        if window and after == f"{name}_steps":
            expression = f"({window_count(window, expression)})"
            yield f"const size_t {after} = {window_count(window, steps)};"
        if after.endswith("_steps"):
            self.expressions[layer.name] = expression
        if window and window.padding == "same" and window.reach and not self.stepped:
            before = steps_before(window, steps, after)
            if not before.isdigit():
                yield f"const size_t {name}_before = {before};"
                before = f"{name}_before"
        mask = ""
        if not self.stepped and _skips_padding(layer):
            yield from self._mask(first)
            mask = self.masks[self._mask_number(first)]
        if isinstance(layer, nodes.Residual):
            others = [self.sources[layer.start][0]]
        inputs = tuple(map(self._pointer, (first, *others)))
        yield from self._shapes(layer, inputs[0], steps, after)
        output = self.results.get(layer.name, "")
        state = ""
        if self.stepped and isinstance(layer, nodes.Recurrent):
            state = f"state->{layer.name}_{layer.states[0][0]}"
            self.pointers.setdefault(layer.name, state)
        elif isinstance(layer, nodes.Flatten):
            self.pointers.setdefault(layer.name, inputs[0])
        else:
            output = self._pointer(layer.name)
        yield from self.shared.lines(layer, Place(inputs, steps, output, after, before, mask))
        if state and output:
            yield f"memcpy({output}, {state}, {nodes.width(layer.output)} * sizeof(float));"

    def _shapes(self, layer: nodes.Layer, x: str, steps: str, after: str) -> Iterator[str]:
        """Yield the comment above the statements of a layer."""
        taken = ("steps",) if isinstance(layer, nodes.Embedding) else _dims(layer.input, steps)
        if isinstance(layer, nodes.Flatten):
            taken = _dims(layer.input, str(layer.input[0]))
        shapes = [taken, _dims(layer.output, after)]
        if self.stepped:
            shapes = [shape[1:] if shape[0] == "steps" and shape[1:] else shape for shape in shapes]
        text = " -> ".join(f"({', '.join(shape)})" for shape in shapes)
        comment = f"/* {layer.name}: {text} */"
        self.seen.append(Seen(layer.name, comment, x, taken))
        yield comment

    def _is_state(self, layer: nodes.Layer) -> bool:
        """Return whether the output of a layer is in the structure of states."""
        return self.stepped and isinstance(layer, nodes.Recurrent)

    def _pointer(self, name: str) -> str:
        return self.pointers.get(name) or f"{self.names[name]}_out"

    def _steps_after(self, layer: nodes.Layer, steps: str) -> str:
        match layer:
            case nodes.Conv(window=window) | nodes.WindowPooling(window=window):
                keeps = window.keeps_steps or self.stepped
                return steps if keeps else f"{self.names[layer.name]}_steps"
            case nodes.Repeat(steps=count) | nodes.LastSteps(count=count):
                return str(count)
            case _:
                return steps

    def _mask_number(self, name: str) -> int:
        return self.mask_numbers.get(name, 0)

    def _mask(self, name: str) -> Iterator[str]:
        """Yield the lines that make the mask of the output of a layer, unless it is made."""
        key, steps = self._mask_number(name), self.steps[name]
        if key in self.masks:
            return
        if key:
            before = self._before(name)
            yield from self._mask(before)
            mask, old = f"mask_{len(self.masks)}", self.masks[self._mask_number(before)]
            window = self.mask_windows[key]
            at = f"t * {window.stride}" if window.stride > 1 else "t"
            at = f"{window.anchor} + {at}" if window.anchor else at
            lines = [f"{mask}[t] = {old}[{at}];"]
        else:
            mask = "mask"
            yield "/* Steps that are not padding. */"
            match self.network.input:
                case nodes.NumericInput(features=features, mask_value=float() as value):
                    differs = f"{mask}[t] |= x[t * {features} + i] != {number(value)};"
                    lines = [f"{mask}[t] = 0;", *loop("i", str(features), [differs])]
                case _:
                    lines = [f"{mask}[t] = x[t] != 0;"]
        yield from loop("t", steps, lines)
        self.masks[key] = mask

    def _before(self, name: str) -> str:
        """Return the output whose mask has one window less than that of a layer."""
        number = self._mask_number(name)
        while self._mask_number(name) == number:
            name = self.sources[name][0]
        return name


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
        case _:
            return getattr(layer, "masked", False)
