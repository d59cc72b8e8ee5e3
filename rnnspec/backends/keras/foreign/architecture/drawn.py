"""The initializers of a Keras model, of which the language has one for each role."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rnnspec.backends.imported import Account
from rnnspec.backends.keras.foreign.architecture import pieces
from rnnspec.ir import initializers, nodes
from rnnspec.ir.initializers import Initializer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rnnspec.backends.keras.foreign.architecture.pieces import Piece


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """The initializers of the whole network."""

    kernel: Initializer
    recurrent: Initializer
    bias: Initializer
    forget_bias: float


def drawn_by(account: Account, found: Sequence[Piece]) -> Drawn:
    """Return the one initializer of each role; where layers differ, the default of the language."""
    recurrent = [each for each in found if isinstance(each, pieces.Recurrent)]
    drawn: list[pieces.Recurrent | pieces.Dense] = [
        each for each in found if isinstance(each, pieces.Recurrent | pieces.Dense)
    ]
    forget = {e.cell.forget_bias for e in recurrent if isinstance(e.cell, nodes.LSTM) and e.bias}
    (value,) = forget if len(forget) == 1 else (math.nan,)
    if math.isnan(value) and forget:
        account.leave("the initial forget_bias", reason="layers differ, or the language lacks it")
    biased = [each for each in drawn if each.bias]
    return Drawn(
        kernel=_one(account, "kernel", [e.kernel for e in drawn], initializers.GlorotUniform()),
        recurrent=_one(
            account, "recurrent", [e.recurrent for e in recurrent], initializers.Orthogonal()
        ),
        bias=_one(
            account, "bias", [e.bias_initializer for e in biased], initializers.Constant(0.0)
        ),
        forget_bias=1.0 if math.isnan(value) else value,
    )


def _one(
    account: Account, role: str, given: Sequence[Initializer | None], default: Initializer
) -> Initializer:
    first = next(iter(given), default)
    if first is not None and all(each == first for each in given):
        return first
    account.leave(f"{role} initializers", reason="layers differ, or the language lacks one")
    return default
