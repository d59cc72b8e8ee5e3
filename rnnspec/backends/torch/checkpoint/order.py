"""The order in which modules are used: a state dict has that of definition, or of the alphabet."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, assert_never

from rnnspec.backends.torch.checkpoint.modules import Matrix, Module, Norm, Stack

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rnnspec.backends.imported import Account

_MOST_MODULES = 40
_MOST_TRIES = 10_000


def ordered(modules: Sequence[Module], account: Account) -> list[Module]:
    """Return the modules in an order in which each takes what the one before it gives.

    The order of the file is kept if it is one, and if no order is. What could be in another order
    is recorded as inferred.
    """
    if len(modules) > _MOST_MODULES:
        return list(modules)
    found = list(islice(_Search(modules).orders(), 2))
    if len(found) == 2:
        names = [module.name for module in found[0]]
        account.infer(f"the order of the modules by their place in the file: {', '.join(names)}")
    return found[0] if found else list(modules)


class _Search:
    """A search for orders by trying each module that fits, the first of the file first."""

    def __init__(self, modules: Sequence[Module]) -> None:
        self.modules = modules
        self.tries = 0

    def orders(self) -> Iterator[list[Module]]:
        """Yield every order, until there were too many tries."""
        yield from self._from([], list(self.modules))

    def _from(self, taken: list[Module], rest: list[Module]) -> Iterator[list[Module]]:
        if not rest:
            yield taken
        for index, module in enumerate(rest):
            self.tries += 1
            if self.tries > _MOST_TRIES:
                return
            if _fits(taken, module):
                yield from self._from([*taken, module], rest[:index] + rest[index + 1 :])


def _fits(taken: list[Module], module: Module) -> bool:
    before = taken[-1] if taken else None
    match module:
        case Stack():
            dense = isinstance(before, Matrix) and len(taken) > 1
            return not dense and (before is None or _width(taken) == module.features)
        case Norm():
            return isinstance(before, Stack) and _width(taken) == module.weight.shape[0]
        case Matrix() if before is None:  # an embedding
            return module.bias is None
        case Matrix():
            embedded = len(taken) == 1 and isinstance(before, Matrix)
            return not embedded and _width(taken) == module.weight.shape[1]
        case _:
            assert_never(module)


def _width(taken: list[Module]) -> int:
    """Return the number of features that the last module gives."""
    match taken[-1]:
        case Stack() as stack:
            return stack.units * len(stack.layers[0])
        case Norm(weight=weight):
            return weight.shape[0]
        case Matrix(weight=weight):
            return weight.shape[1 if len(taken) == 1 else 0]
