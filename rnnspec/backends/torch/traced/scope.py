"""The layers and the modules so far, with the rules that all operations share."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rnnspec.backends.torch.traced.chain import Chain
from rnnspec.backends.torch.traced.values import RefusedError, State, States, Tensor, said
from rnnspec.ir import nodes

if TYPE_CHECKING:
    from rnnspec.backends.imported import Account
    from rnnspec.backends.torch.traced.values import Op


class Scope:
    """The chain of layers, and where they come from.

    ``modules`` are those with arrays, by their paths, in the order of their layers, and ``names``
    the paths by the names of layers. ``time_first`` is true if the module takes the steps before
    the batch, None until a recurrent layer tells. ``padding`` is an embedding with its
    ``padding_idx``. ``backward_first`` are the layers whose arrays have the features of the
    backward direction first. The others are those of ``Layout``, ``lengths`` by its name.
    """

    def __init__(self, account: Account) -> None:
        self.account = account
        self.chain = Chain()
        self.modules: dict[str, Any] = {}
        self.names: dict[str, str] = {}
        self.time_first: bool | None = None
        self.casts_to_integers = False
        self.casts = False
        self.lengths = ""
        self.decreasing = False
        self.batch = 0
        self.padding: tuple[Op, int] | None = None
        self.backward_first = list[str]()

    def is_time_first(self, value: Tensor) -> bool:
        """Return whether the steps of a value come before the batch.

        Raises:
            RefusedError: no recurrent layer has told it.
        """
        if self.time_first is None:
            raise RefusedError("expected a recurrent layer before it, received none")
        return self.time_first != value.turned

    def lay_out(self, value: Tensor, *, batch_first: bool) -> None:
        """Note the layout that a recurrent layer expects of a value.

        Raises:
            RefusedError: an earlier one expected the other.
        """
        wanted = value.turned if batch_first else not value.turned
        if self.time_first is None:
            self.time_first = wanted
        elif self.time_first != wanted:
            order = ("the steps", "the batch") if batch_first else ("the batch", "the steps")
            raise RefusedError(
                f"batch_first={batch_first} and an input with {order[0]} before {order[1]}, as "
                "the layers before it have it: it would run along the batch"
            )

    def leave_drops(self, value: Tensor, where: str) -> None:
        """Name the dropouts of a value that have no place."""
        for rate in value.drops:
            self.account.leave(f"dropout {rate:g} {where}")

    def place_drops(self, value: Tensor, where: str) -> None:
        """Append the first dropout of a value as a layer, and name the others."""
        if value.drops:
            first, *rest = value.drops
            name = self.chain.name("dropout")
            self.chain.add(nodes.Dropout(name=name, input=self.chain.shape, rate=first))
            self.leave_drops(replace(value, drops=tuple(rest)), where)

    def result(self, value: Tensor, **changes: Any) -> Tensor:
        """Return the output of the chain in the layout of ``value``."""
        return replace(value, version=self.chain.version, drops=(), **changes)

    def whole(self, value: State | States) -> Tensor:
        """Return final states as the output of the recurrent layer.

        Raises:
            RefusedError: they are those of a lower layer, of one direction of two, or cell states.
        """
        states = value.states if isinstance(value, State) else value
        if states.is_cell:
            raise RefusedError("uses the cell state c; the language passes on the hidden state h")
        if states.version != self.chain.version:
            raise RefusedError(
                "uses the final state beside the output; the language passes on one of them"
            )
        if states.directions == 2 and isinstance(value, State):
            way = "backward" if value.index % 2 else "forward"
            raise RefusedError(
                f"uses the {way} direction alone; expected torch.cat((h[-2], h[-1]), dim=1)"
            )
        if isinstance(value, State) and value.index != -1:
            raise RefusedError(
                "uses the final state of a lower layer; expected that of the top, h[-1]"
            )
        if isinstance(value, States) and states.number != 1:
            raise RefusedError(
                f"expected one final state, such as h[-1], received all {states.number}"
            )
        return self.final()

    def final(self) -> Tensor:
        """Have the last recurrent layer return its final state, and return that."""
        self.chain.end()
        return Tensor(self.chain.version, "vector")

    def tensor(self, value: Any, *, either_order: bool = False) -> Tensor:
        """Return a value as a tensor that is the output of the chain.

        Args:
            value: the value.
            either_order: whether the backward direction may come before the forward one.

        Raises:
            RefusedError: it is something else.
        """
        if isinstance(value, State):
            value = self.whole(value)
        if not isinstance(value, Tensor):
            raise RefusedError(f"expected a tensor, received {said(value)}")
        self.chain.take(value)
        if value.backward_first and not either_order:
            raise RefusedError(
                "uses h[-1] before h[-2], which the spec has only in front of nn.Linear; expected "
                "torch.cat((h[-2], h[-1]), dim=1)"
            )
        return value
