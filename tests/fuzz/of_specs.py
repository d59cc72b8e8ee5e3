"""Valid specs, random ones and those of the gallery, each with a few faults."""

from __future__ import annotations

import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fuzz.verdict import judge
from rnnspec.spec.write import dump
from rnnspec_random.strategies import sample, specs

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
POOL = 1000
VALUES: list[Any] = [
    None, True, 0, 1, -1, 2**31, 10**25, 0.5, 1.0, -0.0, 1e300, "", "x", "yes", "1e3", "010", [],
    {}, [1], "__import__('os')", '"""', "\n", "{x}", "../secret", "/etc/passwd", "lstm", "é",
    "\u202e", "::error::", "[red]", "conv", "concat", "flatten", "last", {"attention": {}},
    {"last_steps": 2}, {"leaky_relu": 0.1}, ["mean", "max"], ["input", "lstm_1"], "causal",
]  # fmt: skip
KEYS = [
    "units",
    "type",
    "pooling",
    "hidden_size",
    "class",
    "__init__",
    "",
    "<<",
    "é",
    "a b",
    "\u200b",
    "1",
    "~",
    "on",
]
TEXTS = (
    "\t", "\n", "  ", "'", '"', "[", "}", ": ", "- ", "#", "&a ", "*a", "!!python/name:os ", "? "
)  # fmt: skip


def run(number: int, seed: int) -> int:
    """Judge ``number`` mutated specs, and return how many were accepted."""
    rng = random.Random(seed)
    pool = sample(specs(), POOL)
    texts = [path.read_text("utf-8") for path in sorted((ROOT / "specs").glob("*.yaml"))]
    accepted = 0
    for _ in range(number):
        if rng.random() < 0.5:
            text = dump(_broken(rng.choice(pool), rng))
        else:
            text = rng.choice(texts) if rng.random() < 0.3 else dump(rng.choice(pool))
            for _ in range(rng.randint(1, 3)):
                text = _edited(text, rng)
        raw = text.encode("utf-8", "surrogatepass")
        try:
            accepted += judge(raw)
        except BaseException:
            Path("mutated-spec.yaml").write_bytes(raw)
            print("kept as mutated-spec.yaml")
            raise
    return accepted


def _broken(spec: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    """Return a copy with one to three changed values or keys."""
    places = list(_places(spec))
    chosen = rng.sample(places, min(len(places), rng.randint(1, 3)))
    made: dict[str, Any] = _changed(spec, (), {path: rng.randrange(4) for path in chosen}, rng)
    return made


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in items:
        yield (*path, key)
        if isinstance(inner, dict | list | tuple):
            yield from _places(inner, (*path, key))


def _changed(
    value: Any, path: tuple[Any, ...], changes: dict[tuple[Any, ...], int], rng: random.Random
) -> Any:
    if isinstance(value, list | tuple):
        return [_one(item, (*path, i), changes, rng) for i, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    made = {}
    for key, inner in value.items():
        match changes.get((*path, key)):
            case 0:
                continue
            case 1:
                made[rng.choice(KEYS)] = inner
            case _:
                made[key] = _one(inner, (*path, key), changes, rng)
    return made


def _one(
    value: Any, path: tuple[Any, ...], changes: dict[tuple[Any, ...], int], rng: random.Random
) -> Any:
    if changes.get(path, 0) > 1:
        return rng.choice(VALUES)
    return _changed(value, path, changes, rng)


def _edited(text: str, rng: random.Random) -> str:
    at, width = rng.randint(0, len(text)), rng.randint(0, 6)
    return text[:at] + rng.choice(["", *TEXTS, chr(rng.randint(0, 0x3000))]) + text[at + width :]
