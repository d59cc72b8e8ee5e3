"""Values of Keras and PyTorch, with their equivalent in the language or the reason for none.

The names are in ``foreign.toml``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, get_args

from rnnspec.errors import listed
from rnnspec.errors.wording import nearest
from rnnspec.spec.messages.foreign_keys import (
    by_name,
    reason_for,
    reasons_by_name,
    squeeze,
    tables,
)
from rnnspec.spec.zoo import zoo_names, zoo_publication
from rnnspec.words import Statistic

if TYPE_CHECKING:
    from collections.abc import Mapping


def without_module(name: str) -> str:
    """Return ``name`` without its module path and its call: ``LSTM`` for ``nn.LSTM()``."""
    # Not a regular expression: it takes quadratic time on 500,000 letters.
    name = name.strip()
    name = name.partition("(")[0] if name.endswith(")") else name
    path, dot, last = name.rpartition(".")
    parts = (*path.split("."), last)
    return last if dot and all(map(str.isidentifier, parts)) else name


# Such as CuDNNLSTM in Keras 2, LSTMCell in PyTorch, and BasicLSTMCell in TensorFlow 1.
_PLAIN = re.compile(r"(?:basic|cudnn|plain|simple|vanilla)?(?P<cell>lstm|gru|rnn)(?:cell|layer)?")
_BIDIRECTIONAL = re.compile(
    r"(?:bidirectional|bidir|bi|b)(?P<cell>.+)|(?P<first>.+?)(?:bidirectional)"
)
_STACKED = re.compile(r"(?:deep|multilayer|stacked)(?P<cell>.+)")
_VARIANT = re.compile(r".+(?:lstm|gru|rnn)(?:cell|layer)?")


@dataclass(frozen=True, slots=True)
class _ForeignValues:
    """The tables of values, by foreign name, and of kinds of values, by kind first."""

    types: Mapping[str, str]
    reasons: Mapping[str, str]
    parts: Mapping[str, str]
    equivalents: Mapping[str, Mapping[str, str]]
    unknown: Mapping[str, frozenset[str]]
    homes: Mapping[str, Mapping[str, str]]


@cache
def _values() -> _ForeignValues:
    types, values = tables()["types"], tables()["values"]
    return _ForeignValues(
        types=types["cells"] | by_name(types["words"]),
        reasons=reasons_by_name(types["reasons"]),
        parts={
            part: reason_for(group["reason"])
            for group in types["parts"]
            for part in group["parts"].split()
        },
        equivalents={kind: by_name(table) for kind, table in values["words"].items()},
        unknown={
            kind: frozenset(map(squeeze, names.split()))
            for kind, names in values["unknown"].items()
        },
        homes={kind: by_name(table) for kind, table in values["elsewhere"].items()},
    )


def _cells() -> dict[str, str]:
    cells: dict[str, str] = tables()["types"]["cells"]
    return cells


def cell_for(name: str) -> str | None:
    """Return the cell of rnnspec that is meant by a foreign name, or None."""
    bare = squeeze(without_module(name).removesuffix("Cell"))
    own = {squeeze(cell): cell for cell in zoo_names()}
    return own.get(bare) or _values().equivalents["cell"].get(bare) or _published().get(bare)


@cache
def _published() -> dict[str, str]:
    """Return the cell that has each name of its title, such as "light GRU"."""
    cells: dict[str, str] = {}
    for cell in zoo_names():
        for name in zoo_publication(cell).names:
            # Of two cells of one paper, the first is the shorter name: lem, lem_explicit.
            cells.setdefault(squeeze(name), cell)
    return cells


def layer_for(name: str) -> str | None:
    """Return a hint for the foreign type ``name``: an equivalent, a reason for none, or None."""
    bare = _bare(name)
    if (cell := cell_for(name)) and _single_type(bare) is None:
        return f"write 'type: {cell}' with 'cells: {{{cell}: {{from: {cell}}}}}'"
    if equivalent := _single_type(bare):
        return f"use {equivalent!r}{tables()['types']['notes'].get(bare, '')}"
    if reason := _values().reasons.get(bare):
        return reason
    if cell := _type_in_both_directions(bare):
        return f"write 'type: {cell}' with 'bidirectional: true'"
    if cell := _type_in_stack(bare):
        both = "'bidirectional: true' and " if "bi" in bare else ""
        return f"write 'type: {cell}' with {both}'layers: 2', or the number of layers you need"
    for part, reason in _values().parts.items():
        if part in bare:
            return reason
    return reason_for("no_cell") if _VARIANT.fullmatch(bare) else None


def type_for(name: str) -> str | None:
    """Return the type of a single layer of the foreign type ``name``, or None."""
    bare = _bare(name)
    if (single := _single_type(bare)) or bare in _values().reasons:
        return single
    return _type_in_both_directions(bare) or _type_in_stack(bare)


def _bare(name: str) -> str:
    return squeeze(without_module(name))


def _single_type(bare: str) -> str | None:
    match = _PLAIN.fullmatch(bare)
    return _cells()[match["cell"]] if match else _values().types.get(bare.removesuffix("cell"))


def _type_in_both_directions(bare: str) -> str | None:
    match = _BIDIRECTIONAL.fullmatch(bare)
    if match is None:
        return None
    cell = match["cell"] or match["first"]
    exact = _single_type(cell)
    # After a lone 'b', a similar word may be an unrelated one.
    near = nearest(cell, _cells()) if match["cell"] and bare.startswith("bi") else None
    return exact or (_cells()[near] if near else None)


def _type_in_stack(bare: str) -> str | None:
    match = _STACKED.fullmatch(bare)
    return (
        (_single_type(match["cell"]) or _type_in_both_directions(match["cell"])) if match else None
    )


def home_for(what: str, value: str, allowed: tuple[str, ...]) -> str | None:
    """Return where ``value`` is or is not available, if it is not ``allowed`` here, or None."""
    bare = squeeze(without_module(value))
    known = bare in map(squeeze, allowed)
    return None if known else _values().homes.get(_kind(what), {}).get(bare)


def value_for(what: str, value: str, allowed: tuple[str, ...]) -> str | None:
    """Return a hint for the foreign value ``value`` of the key ``what``, or None.

    ``allowed`` contains the values of the language for this key.
    """
    if what == "type":
        if type_for(value) not in (None, *allowed):
            return None
        reason = layer_for(value)
        if "lstm" not in allowed and cell_for(value):
            return None
        # Without a hint what to write instead, the supported types help most.
        if reason is not None and reason.endswith("not supported"):
            is_cell = reason == reason_for("no_cell")
            expected = tuple(dict.fromkeys(_cells().values())) if is_cell else allowed
            return f"{reason}; expected {listed(expected, 'or')}"
        return reason
    kind = _kind(what)
    bare = squeeze(without_module(value))
    own = {squeeze(name): name for name in allowed}
    # A difference only in case or hyphens is left to the search for similar names.
    if bare in own and value.lower().strip().replace("-", "_") not in allowed:
        return f"use {own[bare]!r}"
    equivalent = _values().equivalents.get(kind, {}).get(bare, "")
    if reason := _other_key(kind, bare, equivalent, allowed):
        return reason
    # A list of poolings has no steps.
    if equivalent.startswith("{last_steps") and "none" not in allowed:
        return None
    # A mapping such as {normal: 0.05} is shown without quotes.
    if equivalent.startswith("{") and (
        kind == "initializer" or any("mapping" in other for other in allowed)
    ):
        return f"use {equivalent}"
    if equivalent in allowed:
        return f"use {equivalent!r}"
    # Several poolings in one string, such as 'mean, max' or 'avg_max'.
    if kind == "pooling" and "none" in allowed:
        parts = [part for part in re.split("[^a-z]+", value.lower()) if part]
        names = [_values().equivalents[kind].get(part, part) for part in parts]
        if len(set(names)) > 1 and set(names) <= {*get_args(Statistic)}:
            return f"write [{', '.join(dict.fromkeys(names))}]"
    if bare in _values().unknown.get(kind, ()):
        return f"not supported; expected {listed(allowed, 'or')}"
    return None


def _other_key(kind: str, bare: str, equivalent: str, allowed: tuple[str, ...]) -> str:
    """Return what to write in place of the whole key, or nothing."""
    if kind == "direction" and bare in _BOTH:
        return "write 'bidirectional: true' for both directions"
    # A pool as a layer, unlike one in a list or a head.
    is_layer = "none" not in allowed and "a list of poolings" in allowed
    if kind == "pooling" and is_layer and "none" in (bare, equivalent):
        return "remove the layer to keep the steps"
    return ""


_BOTH = frozenset({"2", "bi", "bidir", "bidirectional", "both", "two"})


def _kind(what: str) -> str:
    return "activation" if what == "recurrent_activation" else what
