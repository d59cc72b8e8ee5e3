"""State dicts: their arrays, the modules that have them, and the order of these."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from glob import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnspec.comparison.batch import read_batch
from rnnspec.errors import UsageError, brief, few
from rnnspec.files.arrays import HeaderError, read_names, safetensors_file
from rnnspec.files.model import SPEC_KEY
from rnnspec.files.regular import opened
from rnnspec.importing.keras.hdf5.file import Hdf5
from rnnspec.importing.torch.archive import TensorError, archive, tensor_of
from rnnspec.importing.torch.pickled import Made

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path
    from typing import BinaryIO

    from rnnspec.backends.slots import Array
    from rnnspec.importing.imported import Account
    from rnnspec.importing.torch.archive import Archive, StoredTensor


_RECURRENT = re.compile(r"(.*\.)?weight_[ih]h(_l[0-9]+)?(_reverse)?")
_OF_MODULE = re.compile(rf"(.*\.)?weight|{_RECURRENT.pattern}")
_DEEPEST = 4
WANTED = "expected a state dict with a recurrent layer (weight_ih_l0, weight_hh_l0, ...)"
STATE_DICT = "state dict of PyTorch"
_USUAL = ("state_dict", "model_state_dict", "model_state", "model", "module", "net", "network")
"""Keys that usually hold the state dict, the likeliest first."""


@dataclass(frozen=True, slots=True)
class StateDictEntry:
    """An array of a state dict; ``read`` returns it, bfloat16 as float32.

    ``size`` is the number of bytes of its elements in a file, and ``memory`` is equal for arrays
    that share their elements, if the file tells.
    """

    shape: tuple[int, ...]
    floating: bool
    read: Callable[[], Array]
    size: int = 0
    memory: object = None


@dataclass(frozen=True, slots=True)
class StateDict:
    """The state dict of a model, and the names of what was saved beside it.

    ``others`` are the names in the state dict that have no tensor. ``size`` is that of the file.
    ``ordered`` is false if the file sorts the names, so that they are not in their own order.
    ``form`` says what the file has.
    """

    entries: Mapping[str, StateDictEntry]
    size: int
    key: str = ""
    beside: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    ordered: bool = True
    form: str = STATE_DICT


@contextmanager
def state(path: Path, *, named: bool = True) -> Iterator[StateDict]:
    """Yield the arrays in a file of ``torch.save``, of safetensors, of NumPy or of HDF5, by name.

    They are those of a state dict with a recurrent layer of PyTorch if they shall be ``named``.

    Raises:
        BackendError: a package that reads the file is not installed.
        UsageError: the file cannot be read, or has no state dict, or several.
    """
    match path.suffix.lower():
        case ".npz":
            yield _of_numpy(path)
        case ".h5" | ".hdf5":
            with opened(path) as (stream, size):
                yield _of_hdf5(Hdf5(path, stream, size, size), size)
        case ".safetensors":
            with opened(path) as (stream, size):
                yield _of_safetensors(path, stream, size, named=named)
        case _:
            with archive(path) as saved:
                try:
                    yield _find_state(saved, named=named)
                except TensorError as error:
                    raise UsageError(str(error), str(path)) from None


def _of_safetensors(path: Path, stream: BinaryIO, size: int, *, named: bool) -> StateDict:
    try:
        stored = safetensors_file(stream, size)[0]
    except HeaderError as error:
        raise UsageError(str(error), str(path)) from None
    if named and not _has_names(stored):
        raise UsageError(f"{WANTED}, received {few(list(stored)) or 'no arrays'}", str(path))
    entries = {
        name: StateDictEntry(
            header.shape,
            header.dtype.kind == "f" or header.type == "BF16",
            partial(header.view, stream),
            math.prod(header.shape) * header.dtype.itemsize,
        )
        for name, header in stored.items()
    }
    form = STATE_DICT if any(map(_OF_MODULE.fullmatch, stored)) else "arrays of safetensors"
    return StateDict(entries, size, ordered=False, form=form)


def _of_numpy(path: Path) -> StateDict:
    arrays = read_batch(path)
    if not isinstance(arrays, dict):
        raise UsageError("expected a .npz file with arrays by name, received one array", str(path))
    entries = {
        name: StateDictEntry(
            array.shape, array.dtype.kind == "f", partial(np.asarray, array), array.nbytes
        )
        for name, array in arrays.items()
    }
    # They are read, and the memory for them was there.
    size = sum(array.nbytes for array in arrays.values())
    return StateDict(entries, size, ordered=False, form="arrays of NumPy")


def _of_hdf5(file: Hdf5, size: int) -> StateDict:
    entries = dict[str, StateDictEntry]()
    for name, item in file.arrays(file.root, ""):
        try:
            stored = file.array(item, name)
        except UsageError:  # of integers, such as the number of steps
            entries[name] = StateDictEntry((), floating=False, read=partial(np.zeros, ()))
        else:
            entries[name] = StateDictEntry(stored.shape, floating=True, read=stored.read)
    return StateDict(entries, size, ordered=False, form="arrays of HDF5")


def is_state_dict(path: Path) -> bool:
    """True if a file of safetensors has names of modules, and no spec as rnnspec's own have."""
    try:
        names, metadata = read_names(path)
    except UsageError:
        return False
    return SPEC_KEY not in metadata and any(map(_OF_MODULE.fullmatch, names))


def _has_names(arrays: Iterable[str]) -> bool:
    """True if arrays have the names of a recurrent layer, with any prefix."""
    return any(map(_RECURRENT.fullmatch, arrays))


def _find_state(saved: Archive, *, named: bool) -> StateDict:
    if isinstance(saved.content, Made):
        message = (
            f"received an object of class {brief(saved.content.name)}, expected a state dict; "
            "save it with torch.save(model.state_dict(), PATH)"
        )
        raise TensorError(message)
    candidates = dict(_candidates(saved.content, (), set(), _has_names))
    if not candidates and not named:
        candidates = dict(_candidates(saved.content, (), set(), _has_tensors))
    match saved.content:
        case _ if candidates:
            pass
        case [first, *_] as tensors if isinstance(tensors, list) and tensor_of(first) is not None:
            raise TensorError(f"{WANTED}, received a list of tensors without names")
        case dict() as other if other:
            raise TensorError(f"{WANTED}, received {few(list(other))}")
        case other:
            raise TensorError(f"{WANTED}, received {type(other).__name__}")
    usual = [path for path in ((), *((name,) for name in _USUAL)) if path in candidates]
    titles = {path: ".".join(map(brief, path)) for path in candidates}
    if len(candidates) > 1 and not usual:
        raise TensorError(f"expected one state dict, received {few(sorted(titles.values()))}")
    path = next(iter(usual or candidates))
    entries = dict(_entries(saved, candidates[path]))
    beside = [name for name in saved.content if name != path[0]] if path else []
    others = [name for name in candidates[path] if name not in entries]
    return StateDict(entries, len(saved.file), titles[path], tuple(beside), tuple(others))


def _has_tensors(mapping: Mapping[str, Any]) -> bool:
    return any(isinstance(value, Made) and "_rebuild" in value.name for value in mapping.values())


def _candidates(
    content: Any,
    path: tuple[str, ...],
    seen: set[int],
    has_arrays: Callable[[dict[str, Any]], bool],
) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Yield the mappings that have arrays of recurrent layers, by the keys that lead to them."""
    # A mapping under many keys of many mappings would take forever.
    if not isinstance(content, dict) or id(content) in seen:
        return
    seen.add(id(content))
    if has_arrays(content):
        yield path, content
    elif len(path) < _DEEPEST:
        # The keys are not joined here: one of them can be as long as the file.
        for name, inner in content.items():
            yield from _candidates(inner, (*path, name), seen, has_arrays)


def _entries(saved: Archive, mapping: Mapping[str, Any]) -> Iterator[tuple[str, StateDictEntry]]:
    for name, value in mapping.items():
        try:
            tensor = tensor_of(value)
        except TensorError as error:
            raise TensorError(f"{brief(name)}: {error}") from None
        if tensor is not None:
            read = partial(_read_tensor, saved, name, tensor)
            memory = (tensor.key, tensor.offset, tensor.stride)
            yield name, StateDictEntry(tensor.shape, tensor.floating, read, tensor.size, memory)


def _read_tensor(saved: Archive, name: str, tensor: StoredTensor) -> Array:
    try:
        return tensor.array(saved.storage(tensor.key))
    except TensorError as error:
        raise TensorError(f"{brief(name)}: {error}") from None


# As PyTorch writes them: without leading zeros, which would name a layer twice. Those of a cell,
# which takes one step, have no number.
IN_STACK = re.compile(r"((?:weight|bias)_(?:ih|hh|hr))(?:_l(0|[1-9][0-9]{0,4})(_reverse)?)?")
DIRECTIONS = ("", "_reverse")


@dataclass(frozen=True, slots=True)
class RecurrentModule:
    """``nn.RNN``, ``nn.LSTM`` or ``nn.GRU``: for each layer and direction its arrays by name.

    A module for a cell by equations has others. ``takes_a_step`` if it is an ``nn.LSTMCell``,
    ``nn.GRUCell`` or ``nn.RNNCell``.
    """

    name: str
    layers: tuple[tuple[Mapping[str, StateDictEntry], ...], ...]
    takes_a_step: bool = False

    @property
    def bidirectional(self) -> bool:
        """True if it runs in both directions."""
        return len(self.layers[0]) == 2

    @property
    def units(self) -> int:
        """The number of units of each layer and direction."""
        return self.layers[0][0]["weight_hh"].shape[1]

    @property
    def features(self) -> int:
        """The number of features of the input."""
        return self.layers[0][0]["weight_ih"].shape[1]

    @property
    def gates(self) -> int:
        """The number of gates: 4 of an LSTM, 3 of a GRU, 1 of a simple layer."""
        return self.layers[0][0]["weight_hh"].shape[0] // self.units

    @property
    def kind(self) -> str:
        """Its class."""
        if "weight_hh" not in self.layers[0][0]:
            return "Module"
        kind = {1: "RNN", 3: "GRU", 4: "LSTM"}[self.gates]
        return f"{kind}Cell" if self.takes_a_step else kind

    @property
    def bias(self) -> bool:
        """True if it has biases."""
        return "bias_ih" in self.layers[0][0]


@dataclass(frozen=True, slots=True)
class MatrixModule:
    """``nn.Linear``, or ``nn.Embedding`` if it has no bias and stands first: (out, in)."""

    name: str
    weight: StateDictEntry
    bias: StateDictEntry | None

    @property
    def features(self) -> int:
        """The number of rows of its weight."""
        return self.weight.shape[0]


@dataclass(frozen=True, slots=True)
class LayerNormModule:
    """``nn.LayerNorm`` over the last axis, with a weight, a bias, or both."""

    name: str
    weight: StateDictEntry | None
    bias: StateDictEntry | None

    @property
    def features(self) -> int:
        """The number of features."""
        own = self.weight or self.bias
        assert own is not None, "one without arrays is in no state dict"
        return own.shape[0]


@dataclass(frozen=True, slots=True)
class Convolution:
    """``nn.Conv1d``: (out, in, step)."""

    name: str
    weight: StateDictEntry
    bias: StateDictEntry | None


@dataclass(frozen=True, slots=True)
class BatchNormModule:
    """``nn.BatchNorm1d`` with its running statistics."""

    name: str
    weight: StateDictEntry | None
    bias: StateDictEntry | None
    running_mean: StateDictEntry
    running_var: StateDictEntry

    @property
    def features(self) -> int:
        """The number of features."""
        return self.running_mean.shape[0]


@dataclass(frozen=True, slots=True)
class Tied:
    """``nn.Linear`` with the weight of an embedding, and what is its own."""

    name: str
    bias: StateDictEntry | None


@dataclass(frozen=True, slots=True)
class ZooCellModule:
    """A cell of torchrecurrent, with the parameters of the cell of the zoo that it is."""

    name: str
    kind: str
    parameters: Mapping[str, StateDictEntry]


Module = (
    RecurrentModule
    | MatrixModule
    | LayerNormModule
    | Convolution
    | BatchNormModule
    | Tied
    | ZooCellModule
)


def modules(
    entries: Mapping[str, StateDictEntry], account: Account, ignored: Iterable[str] = ()
) -> list[Module]:
    """Return the modules in the order of a state dict, which is that of their definition.

    A module is refused in ``account`` if its arrays have other names or shapes, or if some of them
    are among those that the user leaves out.
    """
    grouped = dict[str, dict[str, "StateDictEntry"]]()
    for name, entry in entries.items():
        module, _, array = name.rpartition(".")
        grouped.setdefault(module, {})[array] = entry
    gone = dict[str, list[str]]()
    for name in ignored:
        module, _, array = name.rpartition(".")
        gone.setdefault(module, []).append(array)
    result = list[Module]()
    for name, arrays in grouped.items():
        # Without its bias, a module would come in as another one. The arrays of a recurrent layer
        # are known by their names, those of others are not.
        needed = gone.get(name, [])
        if all(map(IN_STACK.fullmatch, arrays)):
            needed = [array for array in needed if IN_STACK.fullmatch(array)]
        elif "weight" not in arrays:
            needed = []
        if needed:
            message = (
                f"needs {few(needed)}, which --ignore leaves out; "
                "leave out all of its arrays or none"
            )
            account.refuse(name or "the model", message, "E705")
        elif (module_ := _module(name, arrays, account)) is not None:
            result.append(module_)
    return result


_SCALING = {"weight": 1, "bias": 1}
"""The axes of the arrays that a norm may have."""


def _module(name: str, arrays: Mapping[str, StateDictEntry], account: Account) -> Module | None:
    names = arrays.keys()
    if all(map(IN_STACK.fullmatch, names)):
        return _stack(name, arrays, account)
    dims = {key: len(entry.shape) for key, entry in arrays.items()}
    match dims:
        case {"weight": 2, **rest} if rest in ({}, {"bias": 1}):
            return MatrixModule(name, arrays["weight"], arrays.get("bias"))
        case {"weight": 1, **rest} if rest in ({}, {"bias": 1}):
            return LayerNormModule(name, arrays["weight"], arrays.get("bias"))
        case {"weight": 3, **rest} if rest in ({}, {"bias": 1}):
            return Convolution(name, arrays["weight"], arrays.get("bias"))
        case {"running_mean": 1, "running_var": 1, **rest} if rest.items() <= _SCALING.items():
            own = arrays.get("weight"), arrays.get("bias")
            return BatchNormModule(name, *own, arrays["running_mean"], arrays["running_var"])
        case _:
            shapes = ", ".join(f"{key} {entry.shape}" for key, entry in arrays.items())
            odd = [key for key in arrays if not IN_STACK.fullmatch(key)]
            patterns = [escape(f"{name}.{key}" if name else key) for key in odd]
            if name and len(odd) == len(arrays):
                patterns = [f"{escape(name)}.*"]
            message = (
                "expected the arrays of nn.RNN, nn.LSTM, nn.GRU, nn.Embedding, nn.Linear, "
                "nn.Conv1d, nn.BatchNorm1d or nn.LayerNorm, received "
                f"{shapes}{account.way_out(patterns)}"
            )
            account.refuse(name or "the model", message, "E701")
            return None


def _stack(
    name: str, arrays: Mapping[str, StateDictEntry], account: Account
) -> RecurrentModule | None:
    layer_arrays = dict[tuple[int, int], dict[str, "StateDictEntry"]]()
    numbered = set[bool]()
    for key, entry in arrays.items():
        match = IN_STACK.fullmatch(key)
        assert match is not None, "_module checked the names"
        numbered.add(match[2] is not None)
        place = int(match[2] or 0), DIRECTIONS.index(match[3] or "")
        layer_arrays.setdefault(place, {})[match[1]] = entry
    if len(numbered) > 1:
        message = f"expected the arrays of a layer or of a cell, received {few(list(arrays))}"
        account.refuse(name or "the model", message, "E701")
        return None
    both = any(direction for _, direction in layer_arrays)
    number = max(layer for layer, _ in layer_arrays) + 1
    if len(layer_arrays) != number * (1 + both):
        account.refuse(name, "expected every layer in each direction, received a part", "E705")
        return None
    layers = tuple(tuple(layer_arrays[i, j] for j in range(1 + both)) for i in range(number))
    stack = RecurrentModule(name, layers, takes_a_step=False in numbered)
    problems = list(_problems(stack))
    for message, code in problems:
        account.refuse(name, message, code)
    return None if problems else stack


def _problems(stack: RecurrentModule) -> Iterator[tuple[str, str]]:
    """Yield each fault of the arrays of a stack, with its code."""
    first = stack.layers[0][0]
    if any("weight_hr" in arrays for layer in stack.layers for arrays in layer):
        yield "proj_size: rnnspec does not support a projection of the state", "E703"
        return
    if missing := [key for key in ("weight_ih", "weight_hh") if key not in first]:
        ending = "" if stack.takes_a_step else "_l0"
        yield f"expected {missing[0]}{ending}, which is missing", "E705"
        return
    if "bias_hh" not in first and "bias_ih" in first:
        message = (
            "expected bias_hh beside bias_ih; a module of rnnspec's own source has one bias: name "
            "its spec with --spec"
        )
        yield message, "E705"
        return
    shape, input_shape = first["weight_hh"].shape, first["weight_ih"].shape
    if len(shape) != 2 or not shape[1] or shape[0] not in (shape[1], 3 * shape[1], 4 * shape[1]):
        yield f"weight_hh_l0: expected (gates x units, units), received {shape}", "E707"
        return
    if len(input_shape) != 2:
        yield f"weight_ih_l0: expected (gates x units, features), received {input_shape}", "E707"
        return
    width = stack.units * len(stack.layers[0])
    for index, layer in enumerate(stack.layers):
        features = stack.features if index == 0 else width
        expected = shapes_of(stack.gates, stack.units, features, bias=stack.bias)
        for suffix, arrays in zip(DIRECTIONS, layer, strict=False):
            received = {key: entry.shape for key, entry in arrays.items()}
            for key in sorted(expected.keys() | received.keys()):
                if expected.get(key) != received.get(key):
                    shapes = [
                        f"shape {several[key]}" if key in several else "no such array"
                        for several in (expected, received)
                    ]
                    ending = "" if stack.takes_a_step else f"_l{index}{suffix}"
                    yield f"{key}{ending}: expected {shapes[0]}, received {shapes[1]}", "E707"


def shapes_of(gates: int, units: int, features: int, *, bias: bool) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the arrays of a recurrent layer in one direction, by name."""
    rows = gates * units
    shapes: dict[str, tuple[int, ...]] = {
        "weight_ih": (rows, features),
        "weight_hh": (rows, units),
    }
    return {**shapes, "bias_ih": (rows,), "bias_hh": (rows,)} if bias else shapes
