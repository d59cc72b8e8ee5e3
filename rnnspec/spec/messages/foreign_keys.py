"""Keys of Keras and PyTorch, with their equivalent in the language or the reason for none.

The names are in ``foreign.toml``.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnnspec.errors import listed
from rnnspec.spec import models

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def squeeze(name: str) -> str:
    """Return ``name`` in lower case, without hyphens, underscores and spaces."""
    lower = name.lower()
    # Names that start with two underscores are Python's own.
    return lower if lower.startswith("__") else re.sub("[-_ ]", "", lower)


def by_name(table: Mapping[str, str]) -> dict[str, str]:
    """Return the meaning of each foreign name, from a table of the names of each meaning."""
    return {squeeze(name): meaning for meaning, names in table.items() for name in names.split()}


@cache
def tables() -> dict[str, Any]:
    """Return the tables of foreign names. They are read when a name is met that is unknown."""
    return tomllib.loads(Path(__file__).with_name("foreign.toml").read_text(encoding="utf-8"))


def reason_for(name: str) -> str:
    """Return a reason by its name, if it has one."""
    named: dict[str, str] = tables()["reasons"]
    return named.get(name, name)


def reasons_by_name(table: Mapping[str, str]) -> dict[str, str]:
    """Return the reason for each foreign name, from a table of the names for each reason."""
    return {name: reason_for(reason) for name, reason in by_name(table).items()}


@dataclass(frozen=True, slots=True)
class _Keys:
    """The tables of keys, by foreign name; those of one part are by part first.

    ``places`` has the keys of the language in any section, ``only_there`` those in one part.
    ``values`` has what to write for a key and a name, and a note on what it means.
    """

    reasons: Mapping[str, str]
    reasons_in: Mapping[str, Mapping[str, str]]
    places: Mapping[str, tuple[str, ...]]
    only_there: Mapping[str, Mapping[str, str]]
    values: Mapping[tuple[str, str], tuple[str, str]]


@cache
def _keys() -> _Keys:
    table = tables()["keys"]
    reasons_in = {part: reasons_by_name(_merge(table, part, "in")) for part in table["in"]}
    after = reasons_by_name(table["next"])
    for part in models.KINDS.keys() - set(models.RECURRENT):
        reasons_in[part] = after | reasons_in.get(part, {})
    places = dict[str, dict[str, None]]()
    for place, names in table["places"].items():
        for name in names.split():
            places.setdefault(squeeze(name), {})[place] = None
    there = {part: by_name(names) for part, names in table["there"].items()}
    there |= {part: by_name(_merge(table, part, "layer")) for part in table["layer"]}
    return _Keys(
        reasons=reasons_by_name(table["anywhere"]),
        reasons_in=reasons_in,
        places={name: tuple(found) for name, found in places.items()},
        only_there=there,
        values={
            (key, squeeze(name)): (value["write"], value.get("note", ""))
            for key, value in table["values"].items()
            for name in value["names"].split()
        },
    )


def _merge(table: Mapping[str, Any], part: str, kind: str) -> dict[str, str]:
    """Return the table of a part, after the one that it is ``like``, if it names one."""
    own = dict(table[kind][part])
    if "like" not in own:
        return own
    base: Any = table
    for key in own.pop("like").split("."):
        base = base[key]
    return {**base, **own}


def key_beside(key: str, part: str, present: Iterable[str]) -> str | None:
    """Return the reason for a foreign key beside keys of the language, or None."""
    if part not in ("attention", "step_attention"):
        return None
    if "over" in present and _keys().only_there[part].get(squeeze(key)) == "over":
        if part == "attention":
            return "the steps of 'over' are the keys, and the values unless 'values' names others"
        return "the steps of 'over' are the keys and the values; others are not supported"
    return None


def key_for(key: str, section: str, part: str, allowed: tuple[str, ...]) -> tuple[str, str] | None:
    """Return a hint for the foreign ``key`` and its equivalent among ``allowed``, or None.

    The equivalent is empty if there is none or if it belongs to another section. ``section`` is the
    section that contains ``key``, empty for the document itself, and ``part`` the mapping in it: a
    type of layer, ``hidden``, ``layer_norm``, ``step_attention``, ``attention_pooling`` or
    ``form``, or the section again.
    """
    name, keys = squeeze(key), _keys()
    if reason := keys.reasons_in.get(part, {}).get(name):
        return reason, ""
    places, note = keys.places.get(name, ()), tables()["keys"]["notes"].get(name, "")
    # First the names that are valid in this section only.
    parts = (part, section)
    names = [keys.only_there.get(here, {}).get(name, "") for here in parts]
    for place in places:
        home, _, own = place.partition(".")
        names += [own] if home in parts else []
    if equivalent := next((own for own in names if own in allowed), None):
        if instead := keys.values.get((equivalent, name)):
            return f"use '{equivalent}: {instead[0]}'{instead[1]}", equivalent
        return f"use {equivalent!r}{note}", equivalent
    if reason := keys.reasons.get(name):
        return reason, ""
    elsewhere = [place.removeprefix(".") for place in places]
    if len(elsewhere) == 1:
        own = elsewhere[0].rpartition(".")[2]
        if instead := keys.values.get((own, name)):
            return f"use {elsewhere[0]}: {instead[0]}{instead[1]}", ""
    return (f"use {listed(elsewhere, 'or')}{note}", "") if elsewhere else None


def is_answered(key: str, section: str, part: str, allowed: tuple[str, ...]) -> bool:
    """True if the foreign ``key`` has an equivalent in ``part``, or a reason of its own."""
    known = key_for(key, section, part, allowed)
    return bool(known and known[1]) or squeeze(key) in _keys().reasons_in.get(part, ())


def form_for(key: str, forms: Iterable[str]) -> str | None:
    """Return the one of ``forms`` that the foreign argument ``key`` belongs to, or None."""
    name, names = squeeze(key), tables()["keys"]["forms"]
    return next((form for form in forms if name in map(squeeze, names[form].split())), None)
