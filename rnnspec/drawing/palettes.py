"""The colours of a picture, by theme: the fill and the stroke of each role."""

from __future__ import annotations

from collections.abc import Mapping

from rnnspec.drawing.options import Theme
from rnnspec.drawing.scene import Role

_COLOUR: dict[Role, tuple[str, str]] = {
    "ink": ("#1f2933", "#1f2933"),
    "grey": ("#66727f", "#66727f"),
    "rule": ("#d5dbe1", "#d5dbe1"),
    "plain": ("#ffffff", "#4a5763"),
    "embedding": ("#fbefd5", "#8a5d10"),
    "forward": ("#dceafa", "#2a67a8"),
    "backward": ("#d9f0e6", "#26785a"),
    "head": ("#ebe1f6", "#6a459c"),
    "padding": ("#ffffff", "#9aa5b1"),
    "dropout": ("#c2470c", "#c2470c"),
}
_PRINT: dict[Role, tuple[str, str]] = {
    "ink": ("#000000", "#000000"),
    "grey": ("#555555", "#555555"),
    "rule": ("#bbbbbb", "#bbbbbb"),
    "plain": ("#ffffff", "#333333"),
    "embedding": ("#f7f7f7", "#222222"),
    "forward": ("#ebebeb", "#111111"),
    "backward": ("#d4d4d4", "#111111"),
    "head": ("#ffffff", "#111111"),
    "padding": ("#ffffff", "#8c8c8c"),
    "dropout": ("#444444", "#444444"),
}

PALETTES: dict[Theme, Mapping[Role, tuple[str, str]]] = {"colour": _COLOUR, "print": _PRINT}
