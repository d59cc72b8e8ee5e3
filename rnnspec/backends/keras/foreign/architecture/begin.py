"""The input of a Keras model: tokens behind an embedding, or numbers, perhaps with a mask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rnnspec.backends.imported import Account, Became
from rnnspec.backends.keras.foreign.architecture import pieces
from rnnspec.ir import nodes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from rnnspec.backends.keras.foreign.architecture.pieces import Piece
    from rnnspec.backends.keras.foreign.architecture.records import Foreign

    Features = Callable[[Foreign], int | None] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """The input, the value of its padding, and the pieces behind it.

    ``before`` is the last layer of the file that is part of the input; ``same`` has the layers that
    change nothing, each with the layer before it. ``certain`` is false if the input was refused, so
    that its shape is a guess.
    """

    input: nodes.Input
    padding: float | None
    rest: Sequence[Piece]
    before: str
    same: Mapping[str, str]
    certain: bool


def begin(account: Account, found: Sequence[Piece], features: Features) -> Begun | None:
    """Return the input of a model, or None if nothing is behind it.

    What does not fit is refused in the account. ``features`` tells the number that goes into a
    layer, by its arrays; without it they are not looked at.
    """
    given, same = found[0], _identities(found)
    rest = list(_placed(found))
    shape = given.shape if isinstance(given, pieces.Input) else None
    shape = shape or pieces.stated(given.layer)
    before = given.layer.name if isinstance(given, pieces.Input) else ""
    if not rest:
        account.refuse(given.layer.name, "expected layers behind the input, received none", "E704")
        return None
    if isinstance(rest[0], pieces.Embedding):
        tokens, certain = _tokens(account, rest[0], shape)
        padding = 0.0 if rest[0].masked else None
        return Begun(
            input=tokens, padding=padding, rest=rest, before=before, same=same, certain=certain
        )
    padding = None
    if isinstance(masking := rest[0], pieces.Masking):
        padding, rest, before = masking.value, rest[1:], masking.layer.name
        account.became.append(Became(before, masking.layer.kind, "input.mask_value"))
    numbers = _numbers(account, rest, shape, features)
    # Before a layer that was refused the input may be anything.
    known = shape is not None or features is not None
    if numbers is None and known and not (rest and isinstance(rest[0], pieces.Lacking)):
        received = "no shape" if shape is None else f"the shape {(None, *shape)}"
        message = f"expected an input of shape (batch, steps, features), received {received}"
        account.refuse(given.layer.name, message, "E704")
    steps, width = numbers or (None, 1)
    network_input = nodes.NumericInput(steps=steps, features=width, mask_value=padding)
    return Begun(
        input=network_input,
        padding=padding,
        rest=rest,
        before=before,
        same=same,
        certain=numbers is not None,
    )


def _placed(found: Sequence[Piece]) -> Iterator[Piece]:
    """Yield the pieces that have a place: they do something, if only to the mask."""
    masked = False
    for each in found:
        if isinstance(each, pieces.Identity) and not (masked and each.drops):
            continue
        masked |= isinstance(each, pieces.Masking | pieces.Embedding)
        if not isinstance(each, pieces.Input):
            yield each


def _identities(found: Sequence[Piece]) -> dict[str, str]:
    same, before = dict[str, str](), ""
    for each in found:
        if isinstance(each, pieces.Identity):
            same[each.layer.name] = before
        else:
            before = each.layer.name
    return same


def _tokens(
    account: Account, piece: pieces.Embedding, shape: nodes.Shape | None
) -> tuple[nodes.TokenInput, bool]:
    fits = shape is None or len(shape) == 1
    if not fits:
        message = f"expected tokens of shape (batch, steps), received {(None, *(shape or ()))}"
        account.refuse(piece.layer.name, message, "E704")
    steps = shape[0] if shape is not None and fits else piece.steps
    tokens = nodes.TokenInput(steps=steps, vocabulary=piece.vocabulary, mask_zero=piece.masked)
    return tokens, fits


def _numbers(
    account: Account, rest: Sequence[Piece], shape: nodes.Shape | None, features: Features
) -> tuple[int | None, int] | None:
    """Return the steps and the features of the input, from its shape or from the first kernel."""
    match shape:
        case (steps, int(width)):
            return steps, width
        case None | (_, None):
            recurrent = next((each for each in rest if isinstance(each, pieces.Recurrent)), None)
            if recurrent is None or features is None:
                return None
            found = features(recurrent.layer)
            if found is None:
                return None
            account.infer(f"input.features {found}, from its kernel", recurrent.layer.name)
            return (shape[0] if shape else None), found
        case _:
            return None
