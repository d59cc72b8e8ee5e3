"""The arrays of a Keras file as canonical arrays: shapes checked, layouts of cuDNN undone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from glob import escape
from typing import TYPE_CHECKING, Any, Protocol, assert_never

import numpy as np
from numpy.typing import NDArray

from rnnspec.errors import few
from rnnspec.ir import nodes
from rnnspec.ir.params import directions, gates, has_recurrent_bias, params
from rnnspec.slots import is_finite

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rnnspec.backends.imported import Account
    from rnnspec.backends.keras.foreign.architecture.chain import Placed
    from rnnspec.backends.keras.foreign.architecture.records import Foreign

_MOST = 10

Array = NDArray[Any]
Plan = tuple[str, Callable[[], Array]]
"""The canonical name of an array, and its reading."""


@dataclass(frozen=True, slots=True)
class Stored:
    """An array in a file: its name there, and its shape; ``read`` returns it."""

    name: str
    shape: tuple[int, ...]
    read: Callable[[], Array]


class Source(Protocol):
    """The arrays of a file by layer."""

    def of(self, layer: Foreign) -> Sequence[Stored]:
        """Return the arrays of a layer in Keras's order."""

    def others(self, used: set[str]) -> Sequence[str]:
        """Return the names of all arrays that are not in ``used``."""

    def groups(self) -> Mapping[str, Sequence[str]]:
        """Return the names of the arrays of each layer in the file, used or not."""


def canonical(account: Account, placed: Sequence[Placed], source: Source) -> dict[str, Array]:
    """Return the canonical arrays of a network by name.

    What is missing, left over or of another shape is refused in the account; the result is then
    empty.
    """
    ignored = account.ignored(source.others(set()))
    plans, used = list[tuple[str, Callable[[], Array]]](), set(ignored)
    for each in placed:
        if not params(each.node):
            continue
        stored = [array for array in source.of(each.layer) if array.name not in ignored]
        used |= {array.name for array in stored}
        gone = [array.name for array in source.of(each.layer) if array.name in ignored]
        if gone and len(stored) < _number(each.node):
            message = f"needs {few(gone)}, which --ignore leaves out"
            account.refuse(each.layer.name, message, "E705")
        else:
            plans += _layer(account, each, stored)
    for name in list(source.others(used))[:_MOST]:
        message = f"an array of no layer is left over{account.way_out([escape(name)])}"
        account.refuse(name, message, "E706")
    if account.problems:
        return {}
    arrays = {name: read() for name, read in plans}
    for name, array in arrays.items():
        if not is_finite(array):
            account.refuse(name, "expected finite numbers, received others", "E708")
    return arrays


def _layer(account: Account, placed: Placed, stored: Sequence[Stored]) -> Iterator[Plan]:
    """Yield the canonical name and the reading of each array of a layer."""
    node, name = placed.node, placed.layer.name
    number = _number(node)
    if len(stored) < number:
        received = ", ".join(each.name for each in stored) or "none"
        account.refuse(name, f"expected {number} arrays, received {received}", "E705")
        return
    for each in stored[number : number + _MOST]:
        message = f"expected {number} arrays, received {each.name} as well"
        account.refuse(name, message + account.way_out([escape(each.name)]), "E706")
    if len(stored) > number:
        return
    if not isinstance(node, nodes.Recurrent):
        for param, each in zip(params(node), stored, strict=True):
            if _fits(account, name, each, (param.shape,)):
                yield f"{node.name}.{param.name}", each.read
        return
    each_way = len(stored) // len(directions(node))
    for at, prefix in enumerate(directions(node)):
        own = stored[at * each_way : (at + 1) * each_way]
        yield from _direction(account, placed, f"{node.name}.{prefix}", own)


def _number(node: nodes.Layer) -> int:
    """Return how many arrays Keras has for a layer."""
    if isinstance(node, nodes.Recurrent):
        return (3 if node.bias else 2) * len(directions(node))
    return len(params(node))


def _direction(
    account: Account, placed: Placed, prefix: str, stored: Sequence[Stored]
) -> Iterator[Plan]:
    node = placed.node
    assert isinstance(node, nodes.Recurrent)
    number, units = len(gates(node.cell)), node.units
    wide = number * units
    biases = _bias_shapes(node.cell, wide)
    wanted = [((node.features, wide),), ((units, wide),), *([biases] if node.bias else [])]
    name = placed.layer.name
    fit = [_fits(account, name, *pair) for pair in zip(stored, wanted, strict=True)]
    if not all(fit):
        return
    fused = node.bias and len(biases) > 1 and stored[2].shape == biases[1]
    if fused:
        account.infer("arrays in the layout of cuDNN, from the size of the bias", name)
    kernel, recurrent = stored[0].read, stored[1].read
    yield f"{prefix}kernel", lambda: _kernel(kernel(), number) if fused else kernel()
    yield (
        f"{prefix}recurrent_kernel",
        lambda: _recurrent_kernel(recurrent(), number) if fused else recurrent(),
    )
    if node.bias:
        yield from _biases(node.cell, prefix, stored[2].read, wide)


def _bias_shapes(cell: nodes.Cell, wide: int) -> tuple[tuple[int, ...], ...]:
    """Return the shape of the bias in Keras, and that of cuDNN's if it can be taken over."""
    match cell:
        case nodes.SimpleRNN():
            return ((wide,),)
        case nodes.LSTM():
            return ((wide,), (2 * wide,))
        case nodes.GRU(reset_after=True):
            return ((2, wide), (2 * wide,))
        case nodes.GRU():
            return ((wide,),)
        case _:
            assert_never(cell)


def _fits(
    account: Account, layer: str, stored: Stored, wanted: tuple[tuple[int, ...], ...]
) -> bool:
    if stored.shape in wanted:
        return True
    shapes = " or ".join(map(str, wanted))
    message = f"{stored.name}: expected the shape {shapes}, received {stored.shape}"
    if len(stored.shape) == 2 and stored.shape[0] == 2 and len(wanted) == 1 and len(wanted[0]) == 1:
        message += ", which a GRU with 'reset_after' true has"
    account.refuse(layer, message, "E707")
    return False


def _biases(cell: nodes.Cell, prefix: str, read: Callable[[], Array], wide: int) -> Iterator[Plan]:
    if has_recurrent_bias(cell):
        yield f"{prefix}bias", lambda: read().reshape(2, wide)[0]
        yield f"{prefix}recurrent_bias", lambda: read().reshape(2, wide)[1]
    else:
        # cuDNN has two biases, which only their sum matters of.
        yield f"{prefix}bias", lambda: _summed(read(), wide)


def _summed(bias: Array, wide: int) -> Array:
    return bias if bias.shape == (wide,) else bias.reshape(2, wide).sum(axis=0)


def _kernel(kernel: Array, number: int) -> Array:
    """Return the input kernel of cuDNN in Keras's layout: each gate is kept in another order."""
    # Source: _convert_rnn_weights in tf_keras/src/saving/legacy/hdf5_format.py.
    parts: list[Any] = np.split(kernel, number, axis=1)
    return np.hstack([part.T.reshape(part.shape, order="F") for part in parts])


def _recurrent_kernel(kernel: Array, number: int) -> Array:
    """Return the recurrent kernel of cuDNN in Keras's layout: each gate is transposed."""
    return np.hstack([part.T for part in np.split(kernel, number, axis=1)])
