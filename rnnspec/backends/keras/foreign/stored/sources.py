"""The arrays of each layer in the two layouts that Keras has in HDF5."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from rnnspec.backends.keras.foreign.architecture.records import snake
from rnnspec.backends.keras.foreign.stored.arrays import Stored

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rnnspec.backends.imported import Account
    from rnnspec.backends.keras.foreign.architecture.records import Foreign
    from rnnspec.backends.keras.foreign.stored.hdf5 import Hdf5
    from rnnspec.backends.keras.foreign.stored.objects import Group

_RANDOM = re.compile(r"seed_generator|random_seed")
_ELSEWHERE = {
    "optimizer": "the state of the optimizer",
    "optimizer_weights": "the state of the optimizer",
    "metrics": "metrics",
    "_metrics": "metrics",
    "loss": "the state of the loss",
}


class Named:
    """Groups by the names of layers, with ``layer_names`` and ``weight_names`` (``.h5``)."""

    def __init__(
        self, file: Hdf5, group: Group, account: Account, layers: Sequence[Foreign]
    ) -> None:
        self._file = file
        self._found: dict[str, list[Stored]] = {}
        for name in file.names(group, "layer_names"):
            inner = file.group(group, name)
            if inner is None:
                raise file.wrong(f"{name}: expected the group of this layer, received none")
            if names := file.names(inner, "weight_names"):
                self._found[name] = self._stored(inner, names, account)
        self._found = {name: arrays for name, arrays in self._found.items() if arrays}
        self._names = self._matched(account, layers)

    def _stored(self, group: Group, names: list[str], account: Account) -> list[Stored]:
        kept = []
        for name in names:
            found = self._file.inside(group, name)
            if found is None:
                raise self._file.wrong(f"{name}: expected an array, received none")
            if _RANDOM.search(name):
                account.leave("the state of random numbers")
            else:
                kept.append(self._file.stored(found, name))
        return kept

    def _matched(self, account: Account, layers: Sequence[Foreign]) -> dict[str, str]:
        """Return the group of each layer: by name, or else in order, as Keras does it."""
        names, groups = list(dict.fromkeys(map(_group, layers))), list(self._found)
        if set(names) == set(groups) or not names:
            return {name: name for name in groups}
        pairs = dict(zip(names, groups, strict=False))
        if len(names) == len(groups):
            renamed = ", ".join(f"{one} from {two}" for one, two in pairs.items() if one != two)
            account.infer(f"arrays matched in order, as names differ: {renamed}")
            return pairs
        return {name: name for name in names if name in self._found}

    def groups(self) -> dict[str, list[str]]:
        """Return the names of the arrays in each group, in the order of the file."""
        return {name: [each.name for each in arrays] for name, arrays in self._found.items()}

    def of(self, layer: Foreign) -> Sequence[Stored]:
        """Return the arrays of a layer."""
        found = self._found.get(self._names.get(_group(layer), ""), [])
        if not layer.within:
            return found
        # Those of all layers of a model are in one group.
        return [each for each in found if layer.own_name in each.name.split("/")]

    def others(self, used: set[str]) -> Sequence[str]:
        """Return the names of all arrays that are not in ``used``."""
        return [
            each.name for arrays in self._found.values() for each in arrays if each.name not in used
        ]


def _group(layer: Foreign) -> str:
    return layer.within[0][1] if layer.within else layer.name


class Numbered:
    """Groups by class and number, with arrays by number below ``vars`` (``.keras``)."""

    def __init__(self, file: Hdf5, account: Account, layers: Sequence[Foreign]) -> None:
        self._all: dict[str, Stored] = {}
        self._paths: dict[str, str] = {}
        root = "_layer_checkpoint_dependencies"
        root = root if file.inside(file.root, "layers") is None else "layers"
        for path, found in file.arrays(file.root, ""):
            top = path.partition("/")[0]
            if _RANDOM.search(path):
                account.leave("the state of random numbers")
            elif top in _ELSEWHERE:
                account.leave(_ELSEWHERE[top])
            else:
                self._all[path] = file.stored(found, path)
        self._folders: dict[str, list[str]] = {}
        for path in self._all:
            self._folders.setdefault(path.rpartition("/")[0], []).append(path)
        numbers, models = Counter[str](), dict[tuple[tuple[str, str], ...], str]()
        for each in layers:
            start = root
            for at, (kind, _) in enumerate(each.within, 1):
                if each.within[:at] not in models:
                    models[each.within[:at]] = f"{_folder(numbers, start, kind)}/{root}"
                start = models[each.within[:at]]
            self._paths[each.name] = _folder(numbers, start, each.kind)

    def of(self, layer: Foreign) -> Sequence[Stored]:
        """Return the arrays of a layer."""
        found = list[Stored]()
        for part in _parts(layer):
            own = self._folders.get(f"{self._paths[layer.name]}/{part}vars", [])
            found += [self._all[path] for path in sorted(own, key=_number)]
        return found

    def others(self, used: set[str]) -> Sequence[str]:
        """Return the names of all arrays that are not in ``used``."""
        return [name for name in self._all if name not in used]

    def groups(self) -> dict[str, list[str]]:
        """Return the names of the arrays in the folder of each layer, in the order of the file."""
        found = dict[str, list[str]]()
        for path in self._all:
            found.setdefault("/".join(path.split("/")[:2]), []).append(path)
        return found


def _folder(numbers: Counter[str], start: str, kind: str) -> str:
    """Return the folder of the next layer of a class below ``start``."""
    path = f"{start}/{snake(kind)}"
    numbers[path] += 1
    return path if numbers[path] == 1 else f"{path}_{numbers[path] - 1}"


def _number(path: str) -> tuple[int, str]:
    last = path.rpartition("/")[2]
    return (int(last) if last.isascii() and last.isdigit() and len(last) < 6 else 0, path)


def _parts(layer: Foreign) -> tuple[str, ...]:
    """Return the folders of a layer's arrays."""
    match layer.kind:
        case "Bidirectional":
            return ("forward_layer/cell/", "backward_layer/cell/")
        case "SimpleRNN" | "LSTM" | "GRU":
            return ("cell/",)
        case "TimeDistributed":
            return ("layer/",)
        case _:
            return ("",)
