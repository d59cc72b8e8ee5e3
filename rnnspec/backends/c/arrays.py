"""Arrays in C source: the layout of each, which the comment above it states.

A product goes through its weights in the order in which they are stored: groups of columns, in each
group the inputs, and for each input the columns of the group. The columns of all gates are one
row. Whoever fills in the numbers reads the layout from the comment.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from rnnspec.backends.c.names import array_symbol, layer_names
from rnnspec.ir.cells import applied_equations, gates, place
from rnnspec.ir.equations import Name, Product, walk
from rnnspec.ir.nodes import (
    GRU,
    LSTM,
    AttentionPooling,
    Conv,
    Dense,
    EquationCell,
    Formula,
    Layer,
    LearnedFormula,
    Network,
    Recurrent,
    SimpleRNN,
    StepAttention,
)
from rnnspec.ir.params import Param, directions, params
from rnnspec.ir.schedule import JoinedProduct, JoinedSum, packed_arrays, packed_schedule, schedule

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rnnspec.backends.slots import Array
    from rnnspec.ir.equations import Equations
    from rnnspec.ir.schedule import Schedule

    Dims = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Matrix:
    """A matrix of a product: its inputs, and the widths of its groups of columns, in order.

    Each group is stored by itself, as (inputs, width).
    """

    inputs: int
    widths: tuple[int, ...]

    @property
    def columns(self) -> int:
        """The number of columns."""
        return sum(self.widths)

    @property
    def text(self) -> str:
        """What the comment above the array says of its columns."""
        counts = Counter(self.widths).items()
        return ", ".join(
            f"{count} x {width}" if count > 1 else f"{width}" for width, count in counts
        )


@dataclass(frozen=True, slots=True)
class Stored:
    """A canonical array of a layer as C source stores it, or several as one.

    ``parts`` are its matrices, one after the other, and none of an array that no product reads as a
    matrix. If it is ``rounded``, it is stored as int8, each number a multiple of the scale of its
    column, or of its row in a table. ``gates`` are those of its last axis in the order in which
    they are stored, of which ``order`` has the canonical places; there are none if that is the
    canonical order. Parameters of equations may be joined: those at the paths ``beside`` the first
    have the same shape, and are like its gates.
    """

    symbol: str
    layer: str
    path: str
    shape: Dims
    trainable: bool = True
    parts: tuple[Matrix, ...] = ()
    rounded: bool = False
    transposed: bool = False
    """True if the canonical array has the units on its first axis."""
    beside: tuple[str, ...] = ()
    gates: str = ""
    order: tuple[int, ...] = ()

    @property
    def places(self) -> tuple[tuple[str, str], ...]:
        """The layer and the path of each canonical array."""
        return tuple((self.layer, path) for path in (self.path, *self.beside))

    @property
    def size(self) -> int:
        """The number of elements that are stored."""
        return prod(self.shape) * len(self.places)

    @property
    def comment(self) -> str:
        """What the comment above the array says."""
        shape = ", ".join(map(str, self.shape))
        frozen = "" if self.trainable else ", not trainable"
        order = f", gates {' '.join(self.gates)}" if self.gates else ""
        layout = " then ".join(part.text for part in self.parts)
        unit = "column" if self.parts else "row"
        scaled = f", times the scale of its {unit}" if self.rounded else ""
        paths = ", ".join((self.path, *self.beside))
        layout = f", columns in {layout}" if layout else ""
        return f"{self.layer}.{paths} ({shape}){frozen}{order}{layout}{scaled}"

    @property
    def number(self) -> str:
        """The type of an element in C."""
        return "int8_t" if self.rounded else "float"

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
        return sum(part.columns for part in self.parts) or self.shape[0]

    def stored(self, arrays: Mapping[tuple[str, str], Array]) -> dict[str, Array]:
        """Return what is stored of canonical arrays, by symbol."""
        import numpy as np

        own = [arrays[place] for place in self.places]
        own = [array.T for array in own] if self.transposed and self.parts else own
        columns = self._ordered(own[0] if len(own) == 1 else np.concatenate(own, axis=-1))
        if not self.rounded:
            return {self.symbol: self._pack(columns)}
        largest = np.abs(columns).max(axis=0 if self.parts else 1)
        scale = (largest.reshape(-1) / _LARGEST_INT8).astype(np.float32)
        divisor = np.where(scale > 0.0, scale, np.float32(1.0))
        rounded = np.rint(columns / (divisor if self.parts else divisor[:, np.newaxis]))
        return {self.symbol: self._pack(rounded).astype(np.int8), self.scale: scale}

    def restored(self, stored: Mapping[str, Array]) -> dict[tuple[str, str], Array]:
        """Return the canonical arrays of what is stored."""
        import numpy as np

        columns = self._unpack(stored[self.symbol])
        if self.rounded:
            scale = stored[self.scale]
            columns = columns * (scale if self.parts else scale[:, np.newaxis])
        arrays = np.split(self._ordered(columns, back=True), len(self.places), axis=-1)
        turned = (array.T for array in arrays) if self.transposed and self.parts else arrays
        shaped = (array.reshape(self.shape) for array in turned)
        return dict(zip(self.places, shaped, strict=True))

    def _ordered(self, array: Array, *, back: bool = False) -> Array:
        """Return an array of (inputs, columns) with its gates in the order that is stored."""
        import numpy as np

        array = array.reshape(-1, array.shape[-1]) if self.parts else array
        if not self.order:
            return array
        order = np.argsort(self.order) if back else self.order
        by_gate = array.reshape(*array.shape[:-1], len(self.order), -1)
        return by_gate[..., order, :].reshape(array.shape)

    def _pack(self, columns: Array) -> Array:
        """Return numbers as they are stored, as one axis."""
        import numpy as np

        if not self.parts:
            return columns.reshape(-1)
        widths = [width for part in self.parts for width in part.widths]
        groups = np.split(columns, np.cumsum(widths)[:-1], axis=1)
        return np.concatenate([group.reshape(-1) for group in groups])

    def _unpack(self, stored: Array) -> Array:
        """Return the numbers of what is stored, (inputs, columns) of matrices."""
        import numpy as np

        if not self.parts:
            return stored.reshape(*self.shape[:-1], -1) if self.shape else stored
        sizes = [(part.inputs, width) for part in self.parts for width in part.widths]
        groups = np.split(stored, np.cumsum(list(map(prod, sizes)))[:-1])
        turned = (group.reshape(size) for group, size in zip(groups, sizes, strict=True))
        return np.concatenate(list(turned), axis=1)


_LARGEST_INT8 = 127.0
_MOST_GATES = 4
"""No product is of more gates."""


def group_columns(columns: int, target: str) -> tuple[int, ...]:
    """Return the widths of the groups in which the columns of a matrix are stored.

    The sums of a group are in registers while a product goes through its inputs.
    """
    # A Cortex-M has 32 registers for floats: sixteen sums fit beside weights and an input.
    widest, *others = WIDTHS["cortex-m" if target == "cortex-m" else "x86-64"]
    widths, left = [widest] * (columns // widest), columns % widest
    for width in others:
        widths += [width] * (left // width)
        left %= width
    return tuple(widths)


WIDTHS = {"cortex-m": (16, 4, 1), "x86-64": (64, 32, 16, 8, 1)}
"""The widths of groups of columns, the widest first."""


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
            order = gate_order(layer) if param.gates else ""
            order = "" if order == param.gates else order
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
                gates=order,
                order=tuple(map(param.gates.index, order)),
            )


def gate_order(layer: Layer) -> str:
    """Return the gates of a standard cell in the order in which they are stored.

    Those with the same function are side by side, so that one loop computes it.
    """
    match layer:
        case Recurrent(cell=LSTM()):
            return "ifoc"
        case Recurrent(cell=SimpleRNN() | GRU()):
            return gates(layer.standard_cell)
        case _:
            return ""


def takes_int8(layer: Layer, param: Param, target: str = "portable") -> bool:
    """Return whether an array can be rounded: it is a table, or only products read it."""
    parts = _parts(layer, param, target, 1)
    return param.name == "embeddings" or bool(parts)


def _joined(layer: Layer) -> dict[str, tuple[str, ...]]:
    """Return the paths of the arrays that are stored as one, by each of them."""
    if not (isinstance(layer, Recurrent) and isinstance(layer.cell, EquationCell)):
        return {}
    return {
        f"{prefix}{name}": tuple(f"{prefix}{other}" for other in names)
        for prefix in directions(layer)
        for names in _join_parameters(layer.cell.equations)
        for name in names
    }


def arrays_of_cell(layer: Recurrent) -> dict[str, tuple[str, ...]]:
    """Return the parameters in each array of a cell, in their order, by the path of the array."""
    parameters = [name for name, _ in applied_equations(layer).parameters]
    if isinstance(layer.cell, EquationCell):
        joined = _join_parameters(layer.cell.equations)
        groups = {name: names for names in joined for name in names}
        names_of = {name: groups.get(name, (name,)) for name in parameters}
        return {name: names for name, names in names_of.items() if name == names[0]}
    packed = packed_arrays(layer.cell, gate_order(layer))
    return {place(names[0])[0]: names for names in packed if names[0] in parameters}


def place_sums(plan: Schedule) -> dict[tuple[str, int], tuple[str, int]]:
    """Return the sum that each part of a joined product is added to, and the place of its memory.

    Sums at places behind each other have theirs side by side.
    """
    statements = plan.statements
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


def _join_parameters(equations: Equations) -> Iterator[tuple[str, ...]]:
    """Yield parameters that are like gates: the matrices of a product, and the biases of these.

    Each is used nowhere else, and what they are added to is side by side.
    """
    plan, shapes = schedule(equations, shares=False, mixes=True), dict(equations.parameters)
    uses = Counter(
        part.name
        for line in equations.lines
        for part in walk(line.value)
        if isinstance(part, Name) and part.kind == "parameter"
    )
    places = place_sums(plan)
    for product in plan.statements:
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


def _parts(layer: Layer, param: Param, target: str, count: int) -> tuple[Matrix, ...]:
    """Return the matrices in an array, ``count`` that are joined; none if it is read as it is."""
    name, columns = param.name.rpartition(".")[2], tuple[int, ...]()
    match layer:
        case Recurrent(attention=StepAttention()) if param.name.startswith("attention."):
            if name != "kernel":
                return ()
            inputs, columns = param.shape[0], (param.shape[1],)
        case (
            Recurrent(cell=EquationCell(equations=equations))
            | LearnedFormula(how=Formula(equations=equations))
        ):
            if len(param.shape) < 2 or not _is_factor(equations, name):
                return ()
            inputs, columns = param.shape[1], (count * param.shape[0],)
        case Recurrent(units=units) if name == "recurrent_kernel":
            products = packed_schedule(layer.standard_cell, bias=True).products
            inputs, columns = units, tuple(len(product.matrices) * units for product in products)
        case Recurrent() if name == "kernel":
            inputs, columns = param.shape[0], (param.shape[1],)
        case Dense() | Conv() | AttentionPooling() if name == "kernel":
            inputs, columns = prod(param.shape[:-1]), (param.shape[-1],)
        case _:
            return ()
    return tuple(Matrix(inputs, group_columns(number, target)) for number in columns)


def _is_factor(equations: Equations, name: str) -> bool:
    """Return whether only products read a matrix: a transpose, too, takes it as it is."""
    parts = [part for line in equations.lines for part in walk(line.value)]
    factors = [part.matrix for part in parts if isinstance(part, Product)]
    uses = [part for part in parts if isinstance(part, Name) and part.name == name]
    return len(uses) == sum(factor in uses for factor in factors)
