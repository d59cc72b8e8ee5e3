"""Arrays in C source: the layout of each, which the comment above it states.

A product goes through its weights in the order in which they are stored: blocks of units, in each
block the inputs, for each input the gates, and for each gate the units of the block. The last block
is filled up with zeros. Whoever fills in the numbers reads the layout from the comment.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from rnnspec.backends.c.names import array_symbol, layer_names
from rnnspec.ir.cells import compile_step
from rnnspec.ir.equations import Name, Product, walk
from rnnspec.ir.nodes import (
    AttentionPooling,
    Conv,
    Dense,
    EquationCell,
    Layer,
    Network,
    Recurrent,
    StepAttention,
)
from rnnspec.ir.params import Param, directions, params
from rnnspec.ir.schedule import JoinedProduct, JoinedSum, schedule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from rnnspec.ir.equations import Equations
    from rnnspec.ir.schedule import Schedule
    from rnnspec.slots import Array

    Dims = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Stored:
    """A canonical array of a layer as C source stores it, or several as one.

    ``parts`` are the dimensions of its parts, one after the other: (blocks, inputs, gates, block)
    of a kernel, (gates, units) of a bias that is filled up to whole blocks, and none of an array
    that is stored as it is. If it is ``rounded``, it is stored as int8, each number a multiple of
    the scale of its gate and unit, or of its row in a table. Parameters of equations may be joined:
    those at the paths ``beside`` the first have the same shape, and are like its gates.
    """

    symbol: str
    layer: str
    path: str
    shape: Dims
    trainable: bool = True
    parts: tuple[Dims, ...] = ()
    rounded: bool = False
    transposed: bool = False
    """True if the canonical array has the units on its first axis."""
    beside: tuple[str, ...] = ()

    @property
    def places(self) -> tuple[tuple[str, str], ...]:
        """The layer and the path of each canonical array."""
        return tuple((self.layer, path) for path in (self.path, *self.beside))

    @property
    def size(self) -> int:
        """The number of elements that are stored."""
        return sum(map(prod, self.parts)) if self.parts else prod(self.shape)

    @property
    def comment(self) -> str:
        """What the comment above the array says."""
        shape = ", ".join(map(str, self.shape))
        frozen = "" if self.trainable else ", not trainable"
        layout = " then ".join("".join(f"[{size}]" for size in dims) for dims in self.parts)
        unit = "gate and unit" if self.parts else "row"
        scaled = f", times the scale of its {unit}" if self.rounded else ""
        paths = ", ".join((self.path, *self.beside))
        return f"{self.layer}.{paths} ({shape}){frozen}{layout and f', as {layout}'}{scaled}"

    @property
    def number(self) -> str:
        """The type of an element in C."""
        return "int8_t" if self.rounded else "float"

    @property
    def bytes(self) -> int:
        """The bytes that it takes, with its scales."""
        return self.size + 4 * self.scales if self.rounded else 4 * self.size

    @property
    def scale(self) -> str:
        """The symbol of the scales of an array that is rounded."""
        return f"{self.symbol}_scale"

    @property
    def sizes(self) -> dict[str, int]:
        """The number of elements by symbol: of the array, and of its scales if it has any."""
        return {self.symbol: self.size} | ({self.scale: self.scales} if self.rounded else {})

    @property
    def scales(self) -> int:
        """The number of scales, 0 if it is not rounded."""
        if not self.rounded:
            return 0
        return sum(_gates(dims) * _padded(dims) for dims in self.parts) or self.shape[0]

    def stored(self, arrays: Mapping[tuple[str, str], Array]) -> dict[str, Array]:
        """Return what is stored of canonical arrays, by symbol."""
        import numpy as np

        own = [arrays[place] for place in self.places]
        own = [array.T for array in own] if self.transposed and self.parts else own
        packed = self.pack(own[0] if len(own) == 1 else np.concatenate(own, axis=-1))
        if not self.rounded:
            return {self.symbol: packed}
        largest = self._of_scales(np.abs(packed), lambda part: part.max(axis=1))
        scale = (np.concatenate(largest) / _LARGEST_INT8).astype(np.float32)
        each = self._of_each(np.where(scale > 0.0, scale, np.float32(1.0)))
        return {self.symbol: np.rint(packed / each).astype(np.int8), self.scale: scale}

    def restored(self, stored: Mapping[str, Array]) -> dict[tuple[str, str], Array]:
        """Return the canonical arrays of what is stored."""
        import numpy as np

        packed = stored[self.symbol]
        if self.rounded:
            packed = packed * self._of_each(stored[self.scale])
        arrays = np.split(self.unpack(packed), len(self.places), axis=-1)
        turned = (array.T for array in arrays) if self.transposed and self.parts else arrays
        shaped = (array.reshape(self.shape) for array in turned)
        return dict(zip(self.places, shaped, strict=True))

    def _of_scales(self, packed: Array, reduce: Callable[[Array], Array]) -> list[Array]:
        """Return what is reduced from all numbers with the same scale, in the order of scales."""
        if not self.parts:
            return [reduce(packed.reshape(self.shape))]
        reduced, first = [], 0
        for dims in self.parts:
            part = packed[first : first + prod(dims)].reshape(dims)
            first += prod(dims)
            # (blocks, gates, block) in the order of gates and units.
            reduced.append(reduce(part).transpose(1, 0, 2).reshape(-1))
        return reduced

    def _of_each(self, scale: Array) -> Array:
        """Return the scale of each number as it is stored."""
        import numpy as np

        if not self.parts:
            return np.repeat(scale, self.shape[1])
        spread, first = [], 0
        for blocks, inputs, gates, block in self.parts:
            part = scale[first : first + gates * blocks * block].reshape(gates, blocks, block)
            first += gates * blocks * block
            whole = np.broadcast_to(
                part.transpose(1, 0, 2)[:, np.newaxis], (blocks, inputs, gates, block)
            )
            spread.append(whole.reshape(-1))
        return np.concatenate(spread)

    def pack(self, array: Array) -> Array:
        """Return numbers as they are stored, as one axis."""
        import numpy as np

        if not self.parts:
            return array.reshape(-1)
        columns, first, packed = array.reshape(self._inputs, self._all_gates, -1), 0, []
        for dims in self.parts:
            gates = _gates(dims)
            part = columns[:, first : first + gates]
            first += gates
            missing = _padded(dims) - part.shape[2]
            part = np.pad(part, ((0, 0), (0, 0), (0, missing)))
            if len(dims) > 2:
                blocks, _, _, block = dims
                part = part.reshape(*part.shape[:2], blocks, block).transpose(2, 0, 1, 3)
            packed.append(part.reshape(-1))
        return np.concatenate(packed)

    def unpack(self, stored: Array) -> Array:
        """Return the numbers of what is stored, (inputs, gates x units)."""
        import numpy as np

        if not self.parts:
            return stored
        first, columns = 0, []
        numbers = prod(self.shape) * len(self.places)
        units = numbers // (self._inputs * self._all_gates)
        for dims in self.parts:
            part = stored[first : first + prod(dims)].reshape(dims)
            first += prod(dims)
            if len(dims) > 2:
                part = part.transpose(1, 2, 0, 3)
            columns.append(part.reshape(-1, _gates(dims), _padded(dims))[..., :units])
        return np.concatenate(columns, axis=1).reshape(self._inputs, -1)

    @property
    def _inputs(self) -> int:
        return self.parts[0][1] if len(self.parts[0]) > 2 else 1

    @property
    def _all_gates(self) -> int:
        return sum(map(_gates, self.parts))


def _gates(dims: Dims) -> int:
    return dims[-2]


def _padded(dims: Dims) -> int:
    return dims[-1] if len(dims) == 2 else dims[0] * dims[3]


_LARGEST_INT8 = 127.0
_MOST_GATES = 4
"""No product is of more gates."""
_FEW_UNITS = 4
"""Fewer units would be mostly zeros that fill up a block."""


def block_of(units: int, target: str) -> int:
    """Return the number of units of a block, which a compiler puts side by side in registers."""
    # A Cortex-M has 32 registers for floats: sixteen sums fit beside weights and an input. Blocks
    # that are filled up with zeros would take flash.
    if target == "cortex-m":
        return next(block for block in (4, 2, 1) if units % block == 0)
    if units < _FEW_UNITS:
        return 1
    # Two registers for each gate: of 128 bits, or of 256.
    return 16 if units % 16 == 0 and target == "avx2" else 8


def stored_arrays(network: Network, target: str, *, rounded: bool = False) -> Iterator[Stored]:
    """Yield the arrays of a network as they are stored for a target, kernels and tables rounded."""
    names = layer_names(network)
    for layer in network.layers:
        joined = _joined(layer)
        for param in params(layer):
            paths = joined.get(param.name, (param.name,))
            if param.name != paths[0]:
                continue
            parts = _parts(layer, param, target, len(paths))
            yield Stored(
                array_symbol(f"{network.name}_", names[layer.name], param),
                layer.name,
                param.name,
                param.shape,
                param.trainable,
                parts,
                rounded=rounded and takes_int8(layer, param, target),
                transposed=param.axes == "out in",
                beside=paths[1:],
            )


def takes_int8(layer: Layer, param: Param, target: str = "portable") -> bool:
    """Return whether an array can be rounded: it is a table, or only products read it."""
    parts = _parts(layer, param, target, 1)
    return param.name == "embeddings" or (len(parts) > 0 and len(parts[0]) > 2)


def _joined(layer: Layer) -> dict[str, tuple[str, ...]]:
    """Return the paths of the arrays that are stored as one, by each of them."""
    if not (isinstance(layer, Recurrent) and isinstance(layer.cell, EquationCell)):
        return {}
    return {
        f"{prefix}{name}": tuple(f"{prefix}{other}" for other in names)
        for prefix in directions(layer)
        for names in join_parameters(layer.cell.equations)
        for name in names
    }


def place_sums(plan: Schedule) -> dict[tuple[str, int], tuple[str, int]]:
    """Return the sum that each part of a joined product is added to, and the place of its memory.

    Sums at places behind each other have theirs side by side.
    """
    statements = (*plan.before, *plan.step)
    names = {
        (part.product, part.start + number): name
        for total in statements
        if isinstance(total, JoinedSum)
        for part in total.slices
        for number, name in enumerate(total.names)
    }
    places = dict[str, int]()
    for product in statements:
        if isinstance(product, JoinedProduct):
            first = max(places.values(), default=-2) + 2
            own = [names[product.name, number] for number in range(len(product.matrices))]
            new = (name for name in own if name not in places)
            places |= {name: first + number for number, name in enumerate(new)}
    return {part: (name, places[name]) for part, name in names.items()}


def join_parameters(equations: Equations) -> Iterator[tuple[str, ...]]:
    """Yield parameters that are like gates: the matrices of a product, and the biases of these.

    Each is used nowhere else, and what they are added to is side by side.
    """
    plan, shapes = schedule(equations, shares=False), dict(equations.parameters)
    uses = Counter(
        part.name
        for line in equations.lines
        for part in walk(line.value)
        if isinstance(part, Name) and part.kind == "parameter"
    )
    places = place_sums(plan)
    for product in (*plan.before, *plan.step):
        if not isinstance(product, JoinedProduct):
            continue
        for parts in (product.matrices, product.biases):
            group, last = list[str](), -1
            for number, part in enumerate(parts):
                is_own = isinstance(part, Name) and uses[part.name] == 1
                name = part.name if isinstance(part, Name) else ""
                _, place = places[product.name, number]
                is_next = is_own and place == last + 1 and len(group) < _MOST_GATES
                if not (group and is_next and shapes[name] == shapes[group[0]]):
                    yield tuple(group)
                    group = []
                group += [name] if is_own else []
                last = place
            yield tuple(group)


def _parts(layer: Layer, param: Param, target: str, gates: int) -> tuple[Dims, ...]:
    match layer:
        case Recurrent(attention=StepAttention()) if param.name.startswith("attention."):
            gates, units = 1, param.shape[1]
        case Recurrent(cell=EquationCell() as cell):
            return _parts_of_parameter(cell, param, target, gates)
        case Recurrent(units=units):
            gates = len(param.gates)
        case Dense(units=units) | Conv(filters=units) | AttentionPooling(units=int(units)):
            gates = 1
        case _:
            return ()
    name = param.name.rpartition(".")[2]
    if name in ("query", "score"):
        return ()
    block = block_of(units, target)
    blocks = -(-units // block)
    if name.endswith("bias"):
        return ((gates, blocks * block),)
    inputs = prod(param.shape) // (gates * units)
    if name == "recurrent_kernel" and isinstance(layer, Recurrent):
        products = compile_step(layer.standard_cell, bias=True).products
        return tuple((blocks, inputs, len(product.gates), block) for product in products)
    return ((blocks, inputs, gates, block),)


def _parts_of_parameter(
    cell: EquationCell, param: Param, target: str, gates: int
) -> tuple[Dims, ...]:
    """Return the parts of parameters in equations: whole blocks if only products read them."""
    if not param.shape:
        return ()
    block = block_of(param.shape[0], target)
    blocks = -(-param.shape[0] // block)
    if len(param.shape) == 1:
        return ((gates, blocks * block),)
    name = param.name.rpartition(".")[2]
    parts = [part for line in cell.equations.lines for part in walk(line.value)]
    factors = [part.matrix for part in parts if isinstance(part, Product)]
    uses = [part for part in parts if isinstance(part, Name) and part.name == name]
    # Anything else, such as a transpose, takes a matrix as it is.
    is_factor = len(uses) == sum(factor in uses for factor in factors)
    return ((blocks, param.shape[1], gates, block),) if is_factor else ()
