"""Long texts: the time grows with the length of the text, not with its square."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, get_args, get_origin

from rnnspec import pipeline
from rnnspec.backends import BACKENDS, refusals
from rnnspec.cli.inputs import is_foreign
from rnnspec.comparison.diff import diff
from rnnspec.errors import SpecError, render_problem
from rnnspec.lint.rules import CODES
from rnnspec.lint.run import lint
from rnnspec.results.summaries import summarize
from rnnspec.spec import models

BASE = {
    "version": 1,
    "name": "net",
    "embedding": {"vocabulary": 9, "dim": 3},
    "rnn": {"type": "lstm", "units": 4},
}
HEAD = "version: 1\nname: net\ninput: {features: 3}\nrnn: {type: lstm, units: 4}\n"
LENGTH = 2**12
GRACE = 0.02
"""The processor time in seconds below which growth is not measured."""

LONGEST_MESSAGE = 1_200
PIECES = [
    "a", "z_", "9", "1,", "1_", "0.", "-", "x-", " ", "a.", "(", "a(", "[", "]", "{", "#", "# ",
    "##", "%% ", "::", "'", "\n", "a\n", "\t", "\u00e9", "w ", "coding", "lstm",
]  # fmt: skip


Put = Callable[[str], dict[str, Any]]


def inner_models(annotation: Any) -> Iterator[type[models.Model]]:
    """Yield the models in the annotation of a field."""
    if isinstance(annotation, type) and issubclass(annotation, models.Model):
        yield annotation
    for part in get_args(annotation):
        yield from inner_models(part)


def holds(kind: type, annotation: Any) -> bool:
    """True if a list or a mapping of names is in the annotation of a field."""
    inside = get_args(annotation)
    return get_origin(annotation) is kind or any(holds(kind, part) for part in inside)


def places(model: type[models.Model]) -> Iterator[tuple[str, str, Put]]:
    """Yield the path of each field, its type, and a function that puts a text there."""
    for name, field in model.model_fields.items():
        yield name, f"{field.annotation} {field.metadata}", partial(tagged, model, name)
        listed, by_name = holds(tuple, field.annotation), name in ("heads", "cells", "inputs")
        for inner in inner_models(field.annotation):
            for path, kind, put in places(inner):
                put_inside = partial(nested, "one", put, listed=False) if by_name else put
                into = partial(nested, name, put_inside, listed=listed and not by_name)
                yield f"{name}.{path}", kind, into


def tagged(model: type[models.Model], name: str, text: str) -> dict[str, Any]:
    """Return a mapping with a text, and with the type if the mapping is a layer."""
    kind = model.model_fields.get("type")
    # The type of a layer with a cell is any other name.
    (tag, *_) = (kind and get_args(kind.annotation)) or ("mine",)
    return {**({"type": tag} if kind else {}), name: text}


def nested(name: str, put: Put, text: str, *, listed: bool) -> dict[str, Any]:
    return {name: [put(text)] if listed else put(text)}


# One field of each type.
PLACES = {kind: (path, put) for path, kind, put in places(models.Spec)}


def answer(text: str) -> None:
    """Run everything that needs no framework on a spec, and assert that messages stay short."""
    try:
        program = pipeline.reads(text)
    except SpecError as error:
        longest = max(len(render_problem(problem)) for problem in error.problems)
        assert longest < LONGEST_MESSAGE
        return
    lint(program, frozenset(CODES))
    summarize(program.network)
    diff(program, program)
    for backend in BACKENDS.values():
        if not refusals(backend, program.network):
            pipeline.generate(program, backend)


def with_text(put: Put, piece: str, times: int) -> str:
    return json.dumps(BASE | put(repeated(piece, LENGTH, times)), ensure_ascii=False)


def repeated(piece: str, length: int, times: int) -> str:
    return piece * (times * length // len(piece))


FRAMES = {
    **dict.fromkeys(
        ["# {}", "# rnnspec: ignore[{}]", "# rnnspec: ignore[{}", "# rnnspec {}"], LENGTH
    ),
    **dict.fromkeys(["x: '{}'", "x: |\n {}", "x: &{} 1", "x: !{} 1"], LENGTH),
    # Invalid YAML is read again by PyYAML's own parser, which is slow.
    **dict.fromkeys(["x: *{}", "{}: 1", "{{{}: 1}}", "[{}", "\n%{}"], LENGTH // 8),
}


def around(frame: str, piece: str, times: int) -> str:
    return HEAD + frame.format(repeated(piece, FRAMES[frame], times))


MANY = {
    "keys": ("", "k{0}: 1\n", 500),
    "keys of Keras": ("", "hidden_size_{0}: 1\n", 500),
    "slips": ("", "x{0}: {{rnn: 1, unit: 2}}\n", 250),
    "lists": ("x:\n", " - [{0}, [a], {{}}]\n", 250),
    "tags": ("x:\n", " - !t{0} a b c d e f g h i j k l m n o p q\n", 500),
    "anchors": ("x:\n", " - &a{0} a\n", 500),
    "commas": ("x: {{a: b, ", "k{0}: 1,000, ", 250),
    "duplicates": ("", "x: {0}\n", 500),
    "tabs": ("x:\n", " - a\tb{0}\n", 500),
    "signs": ("", "# \u202e \x01 {0}\n", 500),
    "comments": ("", "# rnnspec: ignore[L101, L{0}] # ?\n", 250),
    "layers": ("head:\n hidden:\n", "  - {{units: {0}1}}\n", 250),
    "lines": ("description: |\n", "  line {0}\n", 1_000),
}


def with_key(piece: str, times: int) -> str:
    return f"version: 1\n{repeated(piece, LENGTH, times)}: 1"


def many(name: str, times: int) -> str:
    begin, line, number = MANY[name]
    return HEAD + begin + "".join(line.format(i) for i in range(times * number))


def run() -> int:
    """Check the growth for every kind of text, and return their number."""
    texts = dict(_texts())
    for name, make in texts.items():
        check_growth(name, make, answer)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "x.yaml")

        def ask(text: str) -> None:
            path.write_text(text)
            is_foreign(str(path))

        for piece in PIECES:
            check_growth(f"a file of {piece!r}", partial(repeated, piece, LENGTH), ask)
            check_growth(f"a key of {piece!r}", partial(with_key, piece), ask)
    return len(texts) + 2 * len(PIECES)


def _texts() -> Iterator[tuple[str, Callable[[int], str]]]:
    for piece in PIECES:
        for path, put in PLACES.values():
            yield f"{path}: {piece!r}", partial(with_text, put, piece)
        for frame in FRAMES:
            yield f"{frame!r} {piece!r}", partial(around, frame, piece)
    for name in MANY:
        yield name, partial(many, name)


def check_growth(name: str, make: Callable[[int], str], ask: Callable[[str], object]) -> None:
    """Compare the times for texts of 4 and of 16 times the length.

    Quadratic growth would take sixteen times as long; up to eight times is accepted as noise.
    """
    for times in (4, 16):
        long, short = seconds(make(times), ask), 0.0
        for _ in range(3):
            if long < 8 * short + GRACE:
                break
            short = max(short, seconds(make(times // 4), ask))
        else:
            long = min(long, seconds(make(times), ask))
            assert long < 8 * short + GRACE, (
                f"{name}: {short:.3f} s, four times as much {long:.3f} s"
            )


def seconds(text: str, ask: Callable[[str], object]) -> float:
    begun = time.process_time()
    ask(text)
    return time.process_time() - begun
