"""The body of the function that calls those of the layers, and the memory that they share."""

from __future__ import annotations

import re
from collections import Counter
from math import prod
from typing import TYPE_CHECKING

from rnnspec.backends.c.names import number, pointers
from rnnspec.ir import nodes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rnnspec.backends.c.layers import Function


class Body:
    """The body of the function that calls those of the layers, and the memory that they share."""

    def __init__(
        self,
        network: nodes.Network,
        names: Mapping[str, str],
        functions: Mapping[str, Sequence[Function]],
        most: int,
        *,
        stepped: bool,
    ) -> None:
        self.network, self.names, self.functions = network, names, functions
        self.stepped = stepped
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
        self.mask_places: dict[str, int] = {}
        self.most = most
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

    def lines(self) -> Iterator[str]:
        """Yield the lines of the function."""
        work = max(
            (function.work for each in self.functions.values() for function in each), default=0
        )
        self.work = self.floats
        self.floats += work
        calls = _without_unused(list(self._calls()))
        # gcc splits a function behind early returns, unless what it declares is used above them:
        # faster in step form, slower for whole sequences, as it then has all layers in line.
        if self.stepped:
            yield from self._checks()
            yield ""
        yield from self._memory(work)
        if not self.stepped:
            yield ""
            yield from self._checks()
        yield from calls
        for pointer, layer in self.outputs.items():
            first = self.results[layer.name]
            if pointer != first:
                rows = f"{self.steps[layer.name]} * " if len(layer.output) > 1 else ""
                size = f"{rows}{nodes.width(layer.output)} * sizeof(float)"
                yield f"memcpy({pointer}, {first}, {size});"

    def _memory(self, work: int) -> Iterator[str]:
        """Yield the declarations of what the layers compute with."""
        if self.stepped and self.floats:
            yield f"float workspace[{self.floats}];"
        for name, place in self.places.items():
            at = f" + {place}" if place else ""
            yield f"float *const {self.names[name]}_out = workspace{at};"
        if work:
            at = f" + {self.work}" if self.work else ""
            yield f"float *const work = workspace{at};"
        for mask, place in self.mask_places.items():
            yield f"unsigned char *const {mask} = (unsigned char *)(workspace + {place});"

    def _checks(self) -> Iterator[str]:
        upper = self.network.name.upper()
        if not self.stepped:
            yield f"if (steps < {upper}_MIN_STEPS || steps > {upper}_MAX_STEPS) {{"
            yield f"    return {upper}_BAD_LENGTH;"
            yield "}"
        if not isinstance(self.network.input, nodes.TokenInput):
            return
        if self.stepped:
            yield f"if (x[0] < 0 || x[0] >= {upper}_VOCABULARY) {{"
            yield f"    return {upper}_BAD_TOKEN;"
            yield "}"
            return
        yield "for (size_t t = 0; t < steps; ++t) {"
        yield f"    if (x[t] < 0 || x[t] >= {upper}_VOCABULARY) {{"
        yield f"        return {upper}_BAD_TOKEN;"
        yield "    }"
        yield "}"

    def _calls(self) -> Iterator[str]:
        if self.stepped and any(getattr(layer, "masked", False) for layer in self.network.layers):
            yield from self._real()
        for layer in self.network.layers:
            yield from self._call(layer)

    def _real(self) -> Iterator[str]:
        match self.network.input:
            case nodes.TokenInput():
                yield "const int real = x[0] != 0;"
            case nodes.NumericInput(features=features, mask_value=float() as value):
                yield "int real = 0;"
                yield ""
                yield f"for (size_t i = 0; i < {features}; ++i) {{"
                yield f"    real = real || x[i] != {number(value)};"
                yield "}"
            case _:
                return

    def _call(self, layer: nodes.Layer) -> Iterator[str]:
        (first, *others) = self.sources[layer.name]
        source, steps = self._pointer(first), self.steps.get(first, "1")
        self.steps[layer.name] = self._steps_after(layer, steps)
        before = self.expressions.get(first, f"(({steps}))")
        if self.steps[layer.name].endswith("_steps"):
            self.expressions[layer.name] = before
        if self.steps[layer.name] == f"{self.names[layer.name]}_steps":
            windows = self.functions[layer.name][0].layer["windows"]
            self.expressions[layer.name] = f"({windows.replace('steps', before)})"
            yield f"const size_t {self.steps[layer.name]} = {windows.replace('steps', steps)};"
        taken = "(steps)" if isinstance(layer, nodes.Embedding) else _dims(layer.input, steps)
        if isinstance(layer, nodes.Flatten):
            taken = _dims(layer.input, str(layer.input[0]))
        shapes = f"{taken} -> {_dims(layer.output, self.steps[layer.name])}"
        if self.stepped:
            shapes = shapes.replace("(steps, ", "(")
        if self._is_state(layer) and layer.name not in self.results:
            self.pointers[layer.name] = f"state->{layer.name}_h"
        mask = ""
        if self._takes_mask(layer):
            if self._mask_number(first) not in self.masks:
                yield from self._mask(first)
            mask = self.masks[self._mask_number(first)]
        yield ""
        yield f"/* {layer.name}: {shapes} */"
        if isinstance(layer, nodes.Flatten):
            yield self._flattened(layer, source)
        if isinstance(layer, nodes.Residual):
            others = [self.sources[layer.start][0]]
        inputs = [source, *map(self._pointer, others)]
        for function in self.functions[layer.name]:
            signature = function.signature
            arguments = [
                *(["state"] if "STATE" in signature else []),
                *(["real"] if "int real" in signature else []),
                *inputs,
                *(["1" if self.stepped else steps] if "size_t steps" in signature else []),
                *([mask] if mask else []),
                *([] if self._is_state(layer) else [self._pointer(layer.name)]),
                *(["work"] if function.work else []),
            ]
            yield f"{self.network.name}_{function.name}({', '.join(arguments)});"
        if self._is_state(layer) and layer.name in self.results:
            size = f"{self._size(layer.output)} * sizeof(float)"
            yield f"memcpy({self.results[layer.name]}, state->{layer.name}_h, {size});"

    def _is_state(self, layer: nodes.Layer) -> bool:
        """Return whether the output of a layer is in the structure of states."""
        return self.stepped and isinstance(layer, nodes.Recurrent)

    def _flattened(self, layer: nodes.Flatten, source: str) -> str:
        """Return the line after which the output of a layer is another name for its input."""
        if layer.name in self.results:
            size = f"{self._size(layer.output)} * sizeof(float)"
            return f"memcpy({self.results[layer.name]}, {source}, {size});"
        self.pointers[layer.name] = f"{self.names[layer.name]}_out"
        return f"const float *const {self.pointers[layer.name]} = {source};"

    def _takes_mask(self, layer: nodes.Layer) -> bool:
        return any("mask" in each.signature for each in self.functions[layer.name])

    def _pointer(self, name: str) -> str:
        return self.pointers.get(name) or f"{self.names[name]}_out"

    def _steps_after(self, layer: nodes.Layer, steps: str) -> str:
        match layer:
            case nodes.Conv(window=window) | nodes.WindowPooling(window=window):
                return (
                    steps
                    if window.keeps_steps or self.stepped
                    else f"{self.names[layer.name]}_steps"
                )
            case nodes.Repeat(steps=count) | nodes.LastSteps(count=count):
                return str(count)
            case _:
                return steps

    def _mask_number(self, name: str) -> int:
        return self.mask_numbers.get(name, 0)

    def _mask(self, name: str) -> Iterator[str]:
        """Yield the lines that make the mask of the output of a layer."""
        key, steps = self._mask_number(name), self.steps[name]
        made = "mask"
        size = -(-self.most // 4)
        if key:
            before = self._before(name)
            if self._mask_number(before) not in self.masks:
                yield from self._mask(before)
            made = f"mask_{len(self.masks)}"
            window, old = self.mask_windows[key], self.masks[self._mask_number(before)]
            at = f"t * {window.stride}" if window.stride > 1 else "t"
            at = f"{window.anchor} + {at}" if window.anchor else at
            yield ""
            yield f"for (size_t t = 0; t < {steps}; ++t) {{"
            yield f"    {made}[t] = {old}[{at}];"
            yield "}"
        else:
            yield ""
            yield "/* Steps that are not padding. */"
            yield f"for (size_t t = 0; t < {steps}; ++t) {{"
            match self.network.input:
                case nodes.TokenInput():
                    yield f"    {made}[t] = x[t] != 0;"
                case nodes.NumericInput(features=features, mask_value=float() as value):
                    yield f"    {made}[t] = 0;"
                    yield f"    for (size_t i = 0; i < {features}; ++i) {{"
                    yield f"        {made}[t] |= x[t * {features} + i] != {number(value)};"
                    yield "    }"
                case _:
                    pass
            yield "}"
        self.masks[key] = made
        self.mask_places[made] = self.floats
        self.floats += size

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


def _dims(shape: nodes.Shape, steps: str) -> str:
    """Return a shape as it is when the function runs."""
    sizes = [str(size) for size in shape]
    if len(shape) > 1:
        sizes[0] = steps
    return f"({', '.join(sizes)})"
