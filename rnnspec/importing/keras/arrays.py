"""The arrays in files of Keras: which layer has them, and their canonical form."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from glob import escape
from itertools import chain
from typing import TYPE_CHECKING, Any, assert_never

import numpy as np
from numpy.typing import NDArray

from rnnspec.backends.keras.attention import rnn_class
from rnnspec.backends.keras.cells import is_by_equation
from rnnspec.backends.keras.layers import parts_of
from rnnspec.backends.slots import is_finite
from rnnspec.errors import few
from rnnspec.importing.imported import Account, Became, Imported
from rnnspec.importing.keras.hdf5.file import StoredArray
from rnnspec.ir import nodes
from rnnspec.ir.cells import gates, has_recurrent_bias
from rnnspec.ir.initializers import Constant
from rnnspec.ir.params import directions, params
from rnnspec.ir.text import formula_class

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rnnspec.importing.keras.hdf5.file import Hdf5
    from rnnspec.importing.keras.hdf5.objects import Group
    from rnnspec.ir.params import Param


_MOST = 10

Array = NDArray[Any]
Plan = tuple[str, Callable[[], Array]]
"""The canonical name of an array, and its reading."""
MatchArrays = Callable[["Account", "Sequence[Foreign]", "Sequence[Foreign]"], "LayerArrays"]
"""Match arrays to layers: all in order, and those that have arrays."""


class LayerArrays:
    """The arrays of a file or a live model, in the group of each layer."""

    def __init__(self, stored: Mapping[str, Sequence[StoredArray]]) -> None:
        self.stored = stored

    def of(self, layer: Foreign) -> Sequence[StoredArray]:
        """Return the arrays of a layer in Keras's order."""
        return self.stored.get(layer.name, [])

    def others(self, used: set[str]) -> Sequence[str]:
        """Return the names of all arrays that are not in ``used``."""
        return [name for names in self.groups().values() for name in names if name not in used]

    def groups(self) -> Mapping[str, Sequence[str]]:
        """Return the names of the arrays in each group, in the order of the file."""
        return {name: [array.name for array in group] for name, group in self.stored.items()}


def stored_of(source: LayerArrays, layer: Foreign) -> Sequence[StoredArray]:
    """Return the arrays of a layer, which may be a part of those of a layer in the file."""
    if layer.part is None:
        return source.of(layer)
    name, first, after = layer.part
    return source.of(replace(layer, name=name))[first:after]


@dataclass(frozen=True, slots=True)
class Foreign:
    """One layer of a configuration.

    ``custom`` names the class if it is not one of Keras's own. An ``operation`` is a function of
    ``keras.ops`` or an operator; its class may have the name of a layer's, but it drops the mask.
    ``inputs`` are the names of the layers whose outputs it takes, with the numbers of these in
    ``outputs`` (all 0 if it is empty): a recurrent layer returns its states behind the first. The
    last ``states`` of them are the first states of a recurrent layer. ``mask`` is the value of
    padding of ``mask_input`` that the graph says its mask is made from, and ``constants`` are the
    arguments that no layer returns. ``used`` are the numbers of its outputs that are used.
    ``within`` are the models around the layer, the outermost first, each with its class; their
    names stand before that of the layer. ``position`` is that in the file: of those models, and in
    the innermost. ``part`` is set if its arrays are some of those of a layer: its name, the first
    array, and the first that is not one of them. ``tied`` is the name of the embedding that this
    call of it projects back to its tokens with, and ``shared`` that of the one whose vectors this
    other call of it has. It is ``causal`` if a call of an attention says so.
    """

    kind: str
    name: str
    config: Mapping[str, Any]
    custom: str = ""
    operation: bool = False
    inputs: tuple[str, ...] = ()
    mask: float | None = None
    mask_input: str = ""
    constants: tuple[Any, ...] = ()
    outputs: tuple[int, ...] = ()
    states: int = 0
    used: tuple[int, ...] = (0,)
    within: tuple[tuple[str, str], ...] = ()
    position: tuple[int, ...] = ()
    part: tuple[str, int, int] | None = None
    tied: str = ""
    shared: str = ""
    causal: bool = False

    @property
    def tensors(self) -> tuple[tuple[str, int], ...]:
        """The layers whose outputs it takes, with the numbers of these."""
        return tuple(zip(self.inputs, self.outputs or (0,) * len(self.inputs), strict=True))

    @property
    def own_name(self) -> str:
        """The name without those of the models around it."""
        return self.name[sum(len(name) + 1 for _, name in self.within) :]

    def inside(self, model: Foreign) -> Foreign:
        """Return the layer as one of a model that is itself a layer."""
        return replace(
            self,
            name=f"{model.name}.{self.name}",
            inputs=tuple(f"{model.name}.{name}" for name in self.inputs),
            within=((model.kind, model.name), *self.within),
            position=(*model.position, *self.position),
            tied=f"{model.name}.{self.tied}" if self.tied else "",
            shared=f"{model.name}.{self.shared}" if self.shared else "",
        )


@dataclass(slots=True)
class Placed:
    """A node with the layer of the file whose arrays it has, but for those that it ``lacks``.

    Behind them are those of ``others``. The last one is added to the bias of ``biased``, if that is
    another one.
    """

    node: nodes.Layer
    layer: Foreign
    lacks: tuple[str, ...] = ()
    others: tuple[Foreign, ...] = ()
    biased: Placed | None = None

    @property
    def number(self) -> int:
        """The number of arrays that Keras has for it."""
        if isinstance(self.node, nodes.Recurrent) and not is_by_equation(self.node):
            own = (3 if self.node.bias else 2) * len(directions(self.node))
            return own + len(_asking(self.node)) + len(self.node.learned)
        return len(params(self.node)) - len(self.lacks) + (self.biased is not None)


@dataclass(frozen=True, slots=True)
class Version:
    """The version of Keras that wrote a file; ``major`` is 2 if the file does not say."""

    text: str
    major: int
    minor: int

    @classmethod
    def of(cls, text: object) -> Version:
        """Return the version in a text such as ``2.2.4-tf``."""
        match = re.match(r"(\d{1,4})\.(\d{1,4})", text) if isinstance(text, str) else None
        if match is None:
            return cls("", 2, 0)
        return cls(str(text)[:40], int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"Keras {self.text}" if self.text else "Keras 2"


def arrays_of(  # noqa: PLR0913, PLR0917 - what is known of a file
    account: Account,
    form: str,
    version: Version,
    known: nodes.Network,
    match: MatchArrays,
    order: Sequence[str] = (),
) -> Imported:
    """Return the arrays of a known network, whose source has the layers in an ``order``, if known.

    Raises:
        ModelError: they are not those of its layers.
    """
    tied = {layer.tied for layer in known.layers if isinstance(layer, nodes.Dense)}
    placed = [
        Placed(
            node,
            Foreign("ReversibleEmbedding" if node.name in tied else _kind(node), node.name, {}),
            # The hidden layer of an attention is one of its own, and so is a learned state.
            others=(
                *(
                    Foreign("Dense", name, {})
                    for role, name in parts_of(node).items()
                    if role == "query"
                ),
                *(Foreign("Dense", vector.name, {}) for vector in nodes.learned_of(node)),
            ),
        )
        for node in known.layers
    ]
    position = {name: at for at, name in enumerate(order)}
    # What has no array is no layer of a class that Keras numbers here: a second call of an
    # embedding, as a tied output without a bias is too, or an attention without layers of its own.
    layers = [
        layer for entry in placed if params(entry.node) for layer in (entry.layer, *entry.others)
    ]
    layers.sort(key=lambda layer: position.get(layer.name, -1))
    stored = match(account, layers, layers)
    _check_number(account, layers, stored)
    if not order and isinstance(stored, Numbered):
        _check_order(account, known, [entry for entry in placed if params(entry.node)])
    account.check()
    arrays = canonical(account, placed, stored)
    account.check()
    for entry in placed:
        if params(entry.node):
            account.became.append(Became(entry.layer.name, entry.layer.kind, entry.node.name))
    account.infer("activations, masks and dropout are those of the spec: the file has arrays only")
    account.differ("the file has arrays only")
    return account.finish(
        known, arrays, f"{form} of {version if version.text else 'Keras'}", opener="keras"
    )


def _check_number(account: Account, layers: Sequence[Foreign], source: LayerArrays) -> None:
    """Refuse arrays of another number of layers, which would be as many reasons."""
    ignored = account.take_ignored(source.others(set()))
    groups = [key for key, names in source.groups().items() if set(names) - ignored.keys()]
    if len(groups) != len(layers):
        names = few([layer.name for layer in layers])
        message = (
            f"expected the arrays of {len(layers)} layers ({names}), "
            f"received those of {len(groups)}: {few(groups) or 'none'}"
        )
        more = len(groups) > len(layers)
        way_out = account.way_out(["LAYER/*"]) if more else account.reminder()
        account.refuse("model", message + way_out, "E706" if more else "E705")


def _check_order(account: Account, network: nodes.Network, placed: Sequence[Placed]) -> None:
    """Refuse equal layers beside each other, whose numbers only the architecture tells."""
    before = dict[str, set[str]]()
    for name, sources in nodes.sources(network).items():
        before[name] = set(sources).union(*(before.get(source, ()) for source in sources))
    seen = dict[object, list[str]]()
    for entry in placed:
        # The query of an attention is a layer of its own, the last one; so are learned states.
        own = sorted(params(entry.node), key=lambda param: param.name.startswith("initial."))
        name, shapes = entry.node.name, [param.shape for param in own]
        first = shapes[: len(shapes) - len(entry.others)]
        layers = [first, *([shape] for shape in shapes[len(first) :])]
        for layer, arrays in zip((entry.layer, *entry.others), layers, strict=True):
            alike = seen.setdefault((layer.kind, tuple(arrays)), [])
            beside = [other for other in alike if other not in before[name] and other != name]
            if beside:
                message = (
                    f"the file numbers the layers of class {layer.kind}, and nothing in it tells "
                    f"{beside[0]} from {name}, which is beside it; save the whole model, "
                    "model.save('NAME.keras')"
                )
                account.refuse("model", message, "E704")
                return
            alike.append(name)


def _kind(node: nodes.Layer) -> str:
    """Return the class of Keras for a node."""
    match node:
        case nodes.Recurrent(attention=nodes.StepAttention()):
            return rnn_class(node)
        case nodes.Recurrent(merge=None, cell=nodes.EquationCell()):
            return "SharingRNN"
        case nodes.Recurrent(merge=None):
            return type(node.standard_cell).__name__
        case nodes.Recurrent():
            return "Bidirectional"
        case nodes.LayerNorm():
            return "LayerNormalization"
        case nodes.BatchNorm():
            return "BatchNormalization"
        case nodes.Conv():
            return "Conv1D"
        case nodes.AttentionPooling() | nodes.Attention():
            return "Dense"
        case nodes.LearnedFormula():
            return formula_class(node)
        case nodes.ComposedNode():
            return "EinsumDense"
        case _:
            return type(node).__name__


def _is_tied(node: nodes.Layer) -> bool:
    return isinstance(node, nodes.Dense) and node.tied is not None


def canonical(account: Account, placed: Sequence[Placed], source: LayerArrays) -> dict[str, Array]:
    """Return the canonical arrays of a network by name.

    What is missing, left over or of another shape is refused in the account; the result is then
    empty.
    """
    ignored = account.take_ignored(source.others(set()))
    plans, used = list[tuple[str, Callable[[], Array]]](), set(ignored)
    for entry in placed:
        if not params(entry.node):
            continue
        every = [
            array
            # What lacks all has no layer of its own in the file.
            for layer in ((entry.layer, *entry.others) if entry.number else ())
            for array in stored_of(source, layer)
            # A layer that is a bias alone has a kernel without elements.
            if 0 not in array.shape or not _is_tied(entry.node)
        ]
        if _is_tied(entry.node):
            used |= {array.name for array in source.of(entry.layer) if 0 in array.shape}
        stored = [array for array in every if array.name not in ignored]
        used |= {array.name for array in stored}
        gone = [array.name for array in every if array.name in ignored]
        if gone and len(stored) < entry.number:
            message = f"needs {few(gone)}, which --ignore leaves out"
            account.refuse(entry.layer.name, message, "E705")
        else:
            plans += _layer(account, entry, stored)
    for name in list(source.others(used))[:_MOST]:
        message = f"an array of no layer is left over{account.way_out([escape(name)])}"
        account.refuse(name, message, "E706")
    if account.problems:
        return {}
    arrays = dict[str, Array]()
    for name, read in plans:
        arrays[name] = arrays[name] + read() if name in arrays else read()
    for name, array in arrays.items():
        if not is_finite(array):
            account.refuse(name, "expected finite numbers, received others", "E708")
    return arrays


def _layer(account: Account, placed: Placed, stored: Sequence[StoredArray]) -> Iterator[Plan]:
    """Yield the canonical name and the reading of each array of a layer."""
    node, name = placed.node, placed.layer.name
    number = placed.number
    if len(stored) < number:
        received = ", ".join(array.name for array in stored) or "none"
        account.refuse(name, f"expected {number} arrays, received {received}", "E705")
        return
    for array in stored[number : number + _MOST]:
        message = f"expected {number} arrays, received {array.name} as well"
        account.refuse(name, message + account.way_out([escape(array.name)]), "E706")
    if len(stored) > number:
        return
    number -= len(nodes.learned_of(node))
    yield from _learned_states(account, node, stored[number:])
    yield from _own_arrays(account, placed, stored[:number])


def _learned_states(
    account: Account, node: nodes.Layer, stored: Sequence[StoredArray]
) -> Iterator[Plan]:
    for vector, array in zip(nodes.learned_of(node), stored, strict=True):
        # The kernel of a dense layer that reads a one.
        if _fits(account, vector.name, array, ((1, vector.size),)):
            yield f"{node.name}.{vector.param}", partial(_read_row, array)


def _read_row(array: StoredArray) -> Array:
    row: Array = array.read()[0]
    return row


def _own_arrays(account: Account, placed: Placed, stored: Sequence[StoredArray]) -> Iterator[Plan]:
    """Yield the name and the reading of each array of a layer but those of its first states."""
    node, name = placed.node, placed.layer.name
    if not isinstance(node, nodes.Recurrent) or is_by_equation(node):
        left = iter(stored)
        for param in params(node)[len(nodes.learned_of(node)) :]:
            if param.name in placed.lacks:
                # Keras computes without it what this value of it gives.
                yield f"{node.name}.{param.name}", partial(_constant, param)
            elif _fits(account, name, array := next(left), _stored_shapes(node, param)):
                yield f"{node.name}.{param.name}", partial(_read, node, param, array)
        if placed.biased is not None and _fits(
            account, name, array := next(left), ((params(placed.biased.node)[-1].shape),)
        ):
            yield f"{placed.biased.node.name}.bias", array.read
        return
    asking = _asking(node)
    number = len(stored) - len(asking)
    stored, others = stored[:number], stored[number:]
    each_way = len(stored) // len(directions(node))
    for at, prefix in enumerate(directions(node)):
        arrays = stored[at * each_way : (at + 1) * each_way]
        yield from _direction(account, placed, f"{node.name}.{prefix}", arrays)
    for param, array in zip(asking, others, strict=True):
        if _fits(account, name, array, (param.shape,)):
            yield f"{node.name}.{param.name}", array.read


def _asking(node: nodes.Recurrent) -> list[Param]:
    """Return the arrays with which a recurrent layer attends to another, behind those of a cell."""
    return [param for param in params(node) if param.name.startswith("attention.")]


def _stored_shapes(node: nodes.Layer, param: Param) -> tuple[tuple[int, ...], ...]:
    """Return the shapes in which Keras keeps an array: a matrix of a cell is (in, out)."""
    if isinstance(node, nodes.Attention):
        # The scale of AdditiveAttention, or the kernel of a dense layer in rnnspec's own source.
        return (param.shape[:1], param.shape)
    return (param.shape[::-1] if _is_turned(node, param) else param.shape,)


def _is_turned(node: nodes.Layer, param: Param) -> bool:
    """True if Keras keeps the transpose of an array."""
    has_equations = is_by_equation(node) or isinstance(node, nodes.LearnedFormula)
    return has_equations and not param.name.startswith("attention.")


def _read(node: nodes.Layer, param: Param, array: StoredArray) -> Array:
    if isinstance(node, nodes.Attention):
        return array.read().reshape(-1, 1)
    return array.read().T.copy() if _is_turned(node, param) else array.read()


def _constant(param: Param) -> Array:
    match param.name:
        case "kernel":
            return np.eye(*param.shape, dtype=np.float32)
        case "score":
            return np.ones(param.shape, dtype=np.float32)
        case "bias":
            return np.zeros(param.shape, dtype=np.float32)
        case _:
            assert isinstance(param.initializer, Constant), "those of norms"
    return np.full(param.shape, param.initializer.value, dtype=np.float32)


def _direction(
    account: Account, placed: Placed, prefix: str, stored: Sequence[StoredArray]
) -> Iterator[Plan]:
    node = placed.node
    assert isinstance(node, nodes.Recurrent)
    number, units = len(gates(node.standard_cell)), node.units
    wide = number * units
    biases = _bias_shapes(node.standard_cell, wide)
    shapes = [((node.features, wide),), ((units, wide),), *([biases] if node.bias else [])]
    name = placed.layer.name
    fit = [_fits(account, name, *pair) for pair in zip(stored, shapes, strict=True)]
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
    if not node.bias:
        return
    bias = stored[2].read
    if has_recurrent_bias(node.standard_cell):
        yield f"{prefix}bias", lambda: bias().reshape(2, wide)[0]
        yield f"{prefix}recurrent_bias", lambda: bias().reshape(2, wide)[1]
    else:
        # cuDNN has two biases, which only their sum matters of.
        yield f"{prefix}bias", lambda: bias().reshape(2, wide).sum(axis=0) if fused else bias()


def _bias_shapes(cell: nodes.StandardCell, wide: int) -> tuple[tuple[int, ...], ...]:
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
    account: Account, layer: str, stored: StoredArray, expected: tuple[tuple[int, ...], ...]
) -> bool:
    if stored.shape in expected:
        return True
    shapes = " or ".join(map(str, expected))
    message = f"{stored.name}: expected the shape {shapes}, received {stored.shape}"
    if (
        len(stored.shape) == 2
        and stored.shape[0] == 2
        and len(expected) == 1
        and len(expected[0]) == 1
    ):
        message += ", which a GRU with 'reset_after' true has"
    account.refuse(layer, message, "E707")
    return False


def _kernel(kernel: Array, number: int) -> Array:
    """Return the input kernel of cuDNN in Keras's layout: each gate is kept in another order."""
    # Source: _convert_rnn_weights in tf_keras/src/saving/legacy/hdf5_format.py.
    parts: list[Any] = np.split(kernel, number, axis=1)
    return np.hstack([part.T.reshape(part.shape, order="F") for part in parts])


def _recurrent_kernel(kernel: Array, number: int) -> Array:
    """Return the recurrent kernel of cuDNN in Keras's layout: each gate is transposed."""
    return np.hstack([part.T for part in np.split(kernel, number, axis=1)])


_RANDOM = re.compile(r"seed_generator|random_seed")
_ELSEWHERE = {
    "optimizer": "the state of the optimizer",
    "optimizer_weights": "the state of the optimizer",
    "metrics": "metrics",
    "_metrics": "metrics",
    "loss": "the state of the loss",
}


class Named(LayerArrays):
    """Groups by the names of layers, with ``layer_names`` and ``weight_names`` (``.h5``)."""

    def __init__(
        self, file: Hdf5, group: Group, account: Account, layers: Sequence[Foreign]
    ) -> None:
        stored = dict[str, list[StoredArray]]()
        for name in file.names(group, "layer_names"):
            inner = file.group(group, name)
            if inner is None:
                raise file.wrong(f"{name}: expected the group of this layer, received none")
            if arrays := _arrays_at(file, inner, account):
                stored[name] = arrays
        super().__init__(stored)
        self._names = self._match_groups(account, layers)

    def _match_groups(self, account: Account, layers: Sequence[Foreign]) -> dict[str, str]:
        """Return the group of each layer: by name, or else in order, as Keras does it."""
        names, groups = list(dict.fromkeys(map(_group, layers))), list(self.stored)
        if set(names) == set(groups) or not names:
            return {name: name for name in groups}
        pairs = dict(zip(names, groups, strict=False))
        if len(names) == len(groups):
            renamed = ", ".join(f"{one} from {two}" for one, two in pairs.items() if one != two)
            account.infer(f"arrays matched in order, as names differ: {renamed}")
            return pairs
        return {name: name for name in names if name in self.stored}

    def of(self, layer: Foreign) -> Sequence[StoredArray]:
        """Return the arrays of a layer."""
        arrays = self.stored.get(self._names.get(_group(layer), ""), [])
        if not layer.within:
            return arrays
        # Those of all layers of a model are in one group.
        return [array for array in arrays if layer.own_name in array.name.split("/")]


def _arrays_at(file: Hdf5, group: Group, account: Account) -> list[StoredArray]:
    arrays = []
    for name in file.names(group, "weight_names"):
        dataset = file.inside(group, name)
        if dataset is None:
            raise file.wrong(f"{name}: expected an array, received none")
        if _RANDOM.search(name):
            account.leave("the state of random numbers")
        else:
            arrays.append(file.array(dataset, name))
    return arrays


def _group(layer: Foreign) -> str:
    return layer.within[0][1] if layer.within else layer.name


class Numbered(LayerArrays):
    """Groups by class and number, with arrays by number below ``vars`` (``.keras``)."""

    def __init__(self, file: Hdf5, account: Account, layers: Sequence[Foreign]) -> None:
        stored = dict[str, list[StoredArray]]()
        self._paths: dict[str, str] = {}
        root = "_layer_checkpoint_dependencies"
        root = root if file.inside(file.root, "layers") is None else "layers"
        for path, dataset in file.arrays(file.root, ""):
            top = path.partition("/")[0]
            if _RANDOM.search(path):
                account.leave("the state of random numbers")
            elif top in _ELSEWHERE:
                account.leave(_ELSEWHERE[top])
            else:
                stored.setdefault(path.rpartition("/")[0], []).append(file.array(dataset, path))
        super().__init__(stored)
        numbers, models = Counter[str](), dict[tuple[tuple[str, str], ...], str]()
        for layer in layers:
            start = root
            for at, (kind, _) in enumerate(layer.within, 1):
                if layer.within[:at] not in models:
                    models[layer.within[:at]] = f"{_folder(numbers, start, kind)}/{root}"
                start = models[layer.within[:at]]
            self._paths[layer.name] = _folder(numbers, start, layer.kind)

    def of(self, layer: Foreign) -> Sequence[StoredArray]:
        """Return the arrays of a layer."""
        folders = [f"{self._paths[layer.name]}/{part}vars" for part in _parts(layer)]
        return [
            array
            for folder in folders
            for array in sorted(self.stored.get(folder, []), key=lambda array: _place(array.name))
        ]

    def groups(self) -> dict[str, list[str]]:
        """Return the names of the arrays in the folder of each layer, in the order of the file."""
        groups = dict[str, list[str]]()
        for array in chain.from_iterable(self.stored.values()):
            groups.setdefault("/".join(array.name.split("/")[:2]), []).append(array.name)
        return groups


def _folder(numbers: Counter[str], start: str, kind: str) -> str:
    """Return the folder of the next layer of a class below ``start``."""
    path = f"{start}/{snake(kind)}"
    numbers[path] += 1
    return path if numbers[path] == 1 else f"{path}_{numbers[path] - 1}"


def _place(path: str) -> tuple[int, str]:
    last = path.rpartition("/")[2]
    return (int(last) if last.isascii() and last.isdigit() and len(last) < 6 else 0, path)


def _parts(layer: Foreign) -> tuple[str, ...]:
    """Return the folders of a layer's arrays."""
    match layer.kind:
        case "Bidirectional":
            return ("forward_layer/cell/", "backward_layer/cell/")
        case "SimpleRNN" | "LSTM" | "GRU" | "SharingRNN":
            return ("cell/",)
        case "AttentionRNN" | "SharingAttentionRNN":
            # Those of the cell, and of the class around it.
            return ("cell/cell/", "cell/")
        case "RNN":
            return cell_folders(layer)
        case "TimeDistributed":
            return ("layer/",)
        case _:
            return ("",)


def snake(kind: str) -> str:
    """Return the name that Keras makes up for a layer of a class."""
    text = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", kind))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", text).lower()


def cell_folders(layer: Foreign) -> tuple[str, ...]:
    """Return the folders of the cells of an RNN below that of the layer, in their order."""
    match layer.config:
        case {"cell": {"class_name": "StackedRNNCells", "config": {"cells": [*cells]}}}:
            kinds = [snake(str(cell["class_name"])) for cell in cells]
            before = [kinds[:at].count(kind) for at, kind in enumerate(kinds)]
            names = zip(kinds, before, strict=True)
            return tuple(f"cell/cells/{k}{f'_{n}' if n else ''}/" for k, n in names)
        case _:
            return ("cell/",)
