"""The order of the modules of a state dict: that of a spec, or that of the file."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from rnnspec.errors import few
from rnnspec.importing.torch.arrays import Piece, Shapes, parts, pieces
from rnnspec.importing.torch.state_dict import (
    BatchNorm,
    Entry,
    Matrix,
    Module,
    Norm,
    RecurrentModule,
    Tied,
)
from rnnspec.ir import nodes
from rnnspec.ir.text import default_kind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rnnspec.importing.imported import Account

_MOST_TRIES = 10_000


def order_by_spec(
    modules: Sequence[Module], network: nodes.Network, account: Account
) -> list[Module]:
    """Return the modules in the order of the layers of a network that have their shapes.

    Of modules with equal shapes a layer takes the one whose name it was given in the spec, or else
    the first of the file, which is recorded as inferred. Modules that fit no layer come in the
    places that are left, in the order of the file, so that the error is about these.
    """
    places = pieces(network)
    candidates = [_Candidate(module) for module in modules]
    _reserve(places, candidates)
    several = list(islice(_assignments(places, candidates), 2))
    if not several:
        for candidate in candidates:
            candidate.reserved = ""
        several = list(islice(_assignments(places, candidates), 2))
    if not several:
        return _closest(places, candidates)
    free = [candidate for candidate in several[0] if not candidate.reserved]
    numbers = Counter(candidate.shapes for candidate in free)
    alike = [c.module.name for c in free if numbers[c.shapes] > 1 or len(several) > 1]
    if len(alike) > 1:
        account.infer(
            "modules whose shapes fit several layers, by their place in the file: "
            f"{few(alike)}; a layer with the name of its module decides"
        )
    return [candidate.module for candidate in several[0]]


class _Candidate:
    """A module, the shapes of the arrays of each layer that it has, and the name of its layer.

    ``reserved`` is empty if no layer has the name of the module.
    """

    def __init__(self, module: Module) -> None:
        self.module = module
        self.layers = [_shapes(arrays) for _, _, arrays in parts([module])]
        self.shapes = tuple(tuple(sorted(shapes.items())) for shapes in self.layers)
        self.reserved = ""

    def fits(self, places: Sequence[Piece], at: int) -> bool:
        """True if the module has the arrays of the places from one on."""
        covered = places[at : at + len(self.layers)]
        return (
            len(covered) == len(self.layers)
            and self.reserved in ("", covered[0].name)
            and all(place.fits(shapes) for place, shapes in zip(covered, self.layers, strict=True))
        )

    def is_named_by(self, place: Piece) -> bool:
        """True if a place has the name of the module, or the end of that."""
        # ``layers`` numbers the copies of a layer.
        name = place.name.removesuffix("_1") if len(self.layers) > 1 else place.name
        return f".{self.module.name}".replace(".", "_").endswith(f"_{name}")


def _reserve(places: Sequence[Piece], candidates: Sequence[_Candidate]) -> None:
    """Keep each module whose name a layer was given for that layer."""
    for at, place in enumerate(places):
        if re.fullmatch(rf"{default_kind(place.layer)}_[0-9]+", place.name):
            continue
        named = [
            candidate
            for candidate in candidates
            if candidate.is_named_by(place) and candidate.fits(places, at)
        ]
        if len(named) == 1:
            named[0].reserved = place.name


def _shapes(arrays: Mapping[str, Entry]) -> Shapes:
    return {name: entry.shape for name, entry in arrays.items()}


def _assignments(
    places: Sequence[Piece], candidates: Sequence[_Candidate]
) -> Iterator[list[_Candidate]]:
    """Yield ways to give each place a module, until there were too many tries.

    Modules that are alike are exchanged in none of them.
    """
    tries = _MOST_TRIES + len(candidates)
    stack: list[tuple[int, list[_Candidate], Sequence[_Candidate]]] = [(0, [], candidates)]
    while stack and tries:
        tries -= 1
        at, chosen, rest = stack.pop()
        if at == len(places) and not rest:
            yield chosen
        if at < len(places) and not places[at].paths:
            # A layer that has nothing of its own needs no module.
            stack.append((at + 1, [*chosen, _Candidate(Tied(places[at].layer.name, None))], rest))
        first = dict[object, _Candidate]()
        for candidate in rest:
            first.setdefault((candidate.shapes, candidate.reserved), candidate)
        # The last one is tried first.
        for candidate in reversed(first.values()):
            if candidate.fits(places, at):
                others = [other for other in rest if other is not candidate]
                stack.append((at + len(candidate.layers), [*chosen, candidate], others))


def _closest(places: Sequence[Piece], candidates: Sequence[_Candidate]) -> list[Module]:
    """Return the modules with those that fit at their places, and the others in between."""
    order, rest, at = list[_Candidate | None](), list(candidates), 0
    while at < len(places):
        shapes = places[at].shapes
        several = [candidate for candidate in rest if candidate.fits(places, at)]
        fitting = min(several, key=lambda candidate: candidate.layers[0] != shapes, default=None)
        order.append(fitting)
        at += 1 if fitting is None else len(fitting.layers)
        if fitting is not None:
            rest.remove(fitting)
    result = list[Module]()
    for candidate in order:
        if candidate is not None:
            result.append(candidate.module)
        elif rest:
            result.append(rest.pop(0).module)
    return [*result, *(candidate.module for candidate in rest)]


def order_by_file(modules: Sequence[Module], account: Account, *, ordered: bool) -> list[Module]:
    """Return the modules in the order of a file, which is that of their definition.

    A file that is not ``ordered`` sorts their names: then an embedding comes first and a recurrent
    layer before dense ones and norms, and a module that may as well be in front of it is refused.
    """
    if ordered:
        return list(modules)
    recurrent = [module for module in modules if isinstance(module, RecurrentModule)]
    ranks = {module.name: _rank(module, recurrent) for module in modules}
    listed = sorted(modules, key=lambda module: ranks[module.name])
    embeddings = [module for module in listed if not ranks[module.name]]
    for module in listed:
        unclear = ranks[module.name] > 1 and recurrent and _gives(module, recurrent[0].features)
        if unclear or (len(embeddings) > 1 and module in embeddings):
            message = (
                f"may be before {recurrent[0].name} or behind it, and the file sorts the names of "
                "modules; write the spec, and name it with --spec"
            )
            account.refuse(module.name, message, "E707")
    if len(listed) > 1:
        names = few([module.name for module in listed])
        account.infer(f"the order of the modules, whose names the file sorts: {names}")
    return listed


def _rank(module: Module, recurrent: Sequence[RecurrentModule]) -> int:
    """Return the place of the kind of a module among others: embedding, recurrent, the rest."""
    match module:
        case RecurrentModule():
            return 1
        case Matrix(bias=None) if recurrent and module.weight.shape[1] == recurrent[0].features:
            return 0
        case _:
            return 2


def _gives(module: Module, features: int) -> bool:
    """True if a recurrent layer of some features can be behind a module."""
    return isinstance(module, Matrix | Norm | BatchNorm) and module.weight.shape[0] == features
