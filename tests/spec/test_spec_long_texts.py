"""Messages stay short, however long a text is."""

from __future__ import annotations

from cases import cases
from fuzz.of_growth import FRAMES, PIECES, PLACES, answer, around, places, with_text

from rnnspec.spec import models


def test_every_field_is_met() -> None:
    paths = {path for path, _, _ in places(models.Spec)}
    assert {"name", "description", "embedding.weights", "rnn.type", "rnn.steps"} <= paths
    assert {"initializers.kernel.normal", "head.hidden.units", "expect.parameters"} <= paths
    assert {"inputs.embedding.dim", "rnn.of", "rnn.initial_state", "rnn.pooling"} <= paths
    assert len(PLACES) > 30
    put = dict(PLACES.values())["heads.hidden.name"]
    layer = {"type": "normalize", "name": "x"}
    assert put("x") == {"heads": {"one": {"hidden": [layer]}}}


@cases("piece", PIECES)
def test_a_long_text_in_any_field(piece: str) -> None:
    for _, put in PLACES.values():
        answer(with_text(put, piece, 1))


@cases("piece", PIECES)
def test_a_long_text_anywhere_else(piece: str) -> None:
    for frame in FRAMES:
        answer(around(frame, piece, 1))
