"""A chain of layers longer than Python's recursion limit: built, run, saved and loaded."""

from __future__ import annotations

import inspect
import re
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from offered import import_later

from rnnspec.backends import get
from rnnspec.backends.keras.emit import SHALLOW

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

keras = import_later("keras")

LAYERS = SHALLOW + 1
FRAMES = 200
"""Frames that Keras and TensorFlow need for themselves; fewer than the network has layers."""


def spec_of(layers: int) -> str:
    return f"""\
version: 1
name: deep
input: {{length: 1, features: 1}}
rnn: {{type: simple, units: 1, layers: {layers}}}
"""


@contextmanager
def little_room() -> Iterator[None]:
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack(0)) + FRAMES)
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)


def test_a_chain_deeper_than_the_recursion_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from rnnspec.cli.app import app

    monkeypatch.chdir(tmp_path)
    (tmp_path / "deep.yaml").write_text(spec_of(LAYERS), encoding="utf-8")
    # The import of TensorFlow needs more frames than the network.
    get("keras").runtime.version()
    with little_room():
        limit = sys.getrecursionlimit()
        app(
            ["build", "deep.yaml", "--backend", "keras", "--seed", "1", "-o", "deep.keras"],
            standalone_mode=False,
        )
        assert sys.getrecursionlimit() == limit
        shown = capsys.readouterr().out
        loaded = executed(shown.split("To load it, without rnnspec:\n")[1])
        seen = traced(loaded)
    assert np.isfinite(seen).all()
    assert loaded.count_params() == 3 * LAYERS
    assert re.search(rf"Total parameters: {3 * LAYERS:,}\n", shown)


def executed(lines: str) -> Any:
    names: dict[str, Any] = {}
    exec("\n".join(line.strip() for line in lines.splitlines()), names)
    return names["model"]


def traced(model: Any) -> Any:
    """Return the result of a pass as in parity, but without a graph, which takes minutes."""
    tensorflow = pytest.importorskip("tensorflow")
    tensorflow.config.run_functions_eagerly(True)
    try:
        return get("keras").runtime.trace(model, ["simple_rnn_2"], np.ones((1, 1, 1))).output
    finally:
        tensorflow.config.run_functions_eagerly(False)
