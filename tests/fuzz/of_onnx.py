"""ONNX files of other tools, whole ones with a few of their fields or bytes changed."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import onnx
from graphs import GRAPHS
from importing.onnx_graphs import write_own
from small_networks import in_small

from fuzz.breaking import broken_bytes
from rnnspec.errors import ModelError, UsageError
from rnnspec.importing.run import import_file

ROOT = Path(__file__).parents[2]
SECONDS = 5.0
"""Of this process, that one answer may take."""
INTEGERS = (0, 1, -1, 2, 3, 7, 10**6, 10**9, 2**31 - 1, 2**31, 2**63 - 1, -(2**63))
FLOATS = (0.0, 1.0, -1.0, 1e38, float("nan"), float("inf"))
TEXTS = ("", "x", "LSTM", "Loop", "Reshape", "\x1b[2J", "\u202e", "a" * 999, "../w", "forward")


def import_whole(path: Path) -> None:
    """Import a file, and compare it with what ONNX Runtime makes of it."""
    import_file(path, Path("imported.yaml"), force=True)


def run(number: int, seed: int, judge: Callable[[Path], object] = import_whole) -> int:
    """Judge ``number`` broken files in the working folder; return how many were accepted."""
    rng = random.Random(seed)
    texts = whole_texts()
    path, accepted = Path("broken.onnx"), 0
    for _ in range(number):
        whole = whole_model(rng.choice(texts))
        if rng.random() < 0.2:
            path.write_bytes(broken_bytes(whole.SerializeToString(), rng))
        else:
            path.write_bytes(changed(whole, rng).SerializeToString())
        begun, said = time.process_time(), ""
        try:
            judge(path)
            accepted += 1
        except (ModelError, UsageError) as error:
            said = str(error)
        # On a crash or a hang the broken file is left.
        assert all(line.isprintable() for line in said.split("\n"))
        took = time.process_time() - begun
        assert took < SECONDS, f"{took:.2f} s"
        path.unlink()
    return accepted


def whole_texts() -> list[str]:
    """Return the specs of the gallery in small, and of graphs of layers."""
    return [*(in_small(spec) for spec in sorted((ROOT / "specs").glob("*.yaml"))), *GRAPHS]


@cache
def whole_model(text: str) -> Any:
    """Return the graph of a spec as another tool would write it."""
    path = Path("whole.onnx")
    write_own(path, text)
    model = onnx.load(path)
    model.producer_name = "another"
    del model.metadata_props[:]
    return model


def changed(whole: Any, rng: random.Random) -> Any:
    """Return a model with a few fields changed."""
    model = onnx.ModelProto()
    model.CopyFrom(whole)
    for _ in range(rng.randint(1, 3)):
        messages = list(_messages(model))
        _change(rng.choice(messages), messages, rng)
    return model


def _messages(message: Any) -> Iterator[Any]:
    yield message
    for field, value in message.ListFields():
        if field.message_type:
            for inner in value if _repeated(field) else [value]:
                yield from _messages(inner)


def _repeated(field: Any) -> bool:
    return bool(field.is_repeated)


def _change(message: Any, messages: list[Any], rng: random.Random) -> None:
    present = [field for field, _ in message.ListFields()]
    fields = present if present and rng.random() < 0.8 else message.DESCRIPTOR.fields
    field = rng.choice(fields)
    if rng.random() < 0.1:
        message.ClearField(field.name)
    elif field.message_type:
        alike = [each for each in messages if each.DESCRIPTOR is field.message_type]
        inner = getattr(message, field.name)
        if _repeated(field):
            _change_several(inner, rng)
            if alike and rng.random() < 0.5:
                other = type(alike[0])()
                other.CopyFrom(rng.choice(alike))
                inner.append(other)
        elif alike:
            other = type(alike[0])()
            other.CopyFrom(rng.choice(alike))
            inner.CopyFrom(other)
        else:
            inner.SetInParent()
    elif _repeated(field):
        values = getattr(message, field.name)
        _change_several(values, rng)
        if rng.random() < 0.5:
            values.append(_value(field, messages, rng))
    else:
        setattr(message, field.name, _value(field, messages, rng))


def _change_several(values: Any, rng: random.Random) -> None:
    if len(values) and rng.random() < 0.5:
        del values[rng.randrange(len(values))]
    if len(values) > 1 and rng.random() < 0.3:
        values.append(values[0])
        del values[0]


def _value(field: Any, messages: list[Any], rng: random.Random) -> Any:
    match field.cpp_type:
        case field.CPPTYPE_STRING if field.type == field.TYPE_BYTES:
            return rng.choice([b"", b"\xff" * 8, bytes(4), b"forward", rng.randbytes(16)])
        case field.CPPTYPE_STRING:
            # A name that is somewhere else in the file often fits here.
            others = [name for message in messages for name in _names(message)]
            return rng.choice(others if rng.random() < 0.7 and others else TEXTS)
        case field.CPPTYPE_FLOAT | field.CPPTYPE_DOUBLE:
            return rng.choice(FLOATS)
        case field.CPPTYPE_ENUM:
            return rng.choice([value.number for value in field.enum_type.values])
        case field.CPPTYPE_INT32:
            return rng.choice([value for value in INTEGERS if -(2**31) <= value < 2**31])
        case field.CPPTYPE_UINT64:
            return rng.choice([value for value in INTEGERS if value >= 0])
        case _:
            return rng.choice(INTEGERS)


def _names(message: Any) -> Iterator[str]:
    for field, value in message.ListFields():
        if field.cpp_type == field.CPPTYPE_STRING and field.type == field.TYPE_STRING:
            yield from value if _repeated(field) else [value]
