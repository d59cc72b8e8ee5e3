"""A suite as it is read: cases with their calls, their usual faults and their models.

Reading one needs NumPy only. The files are described in ``texts/README.md``, which each suite has.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rnnspec.errors import UsageError, brief
from rnnspec.files.arrays import HeaderError, npy_array
from rnnspec.files.regular import opened
from rnnspec_conformance.records import read_record

if TYPE_CHECKING:
    from rnnspec.backends.slots import Array

VERSION = 1
"""The version of the layout of a suite."""
INDEX = "suite.json"
"""The file with the names of the cases."""
CASE = "case.json"
"""The file of a case in its folder."""
_LARGEST = 2**26
"""The most bytes of a file of a case."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a model: its inputs, and its outputs in float64, each in the order of the case.

    Inputs are int64 tokens, float32, or a mask as bool.
    """

    inputs: tuple[Array, ...]
    outputs: tuple[Array, ...]


@dataclass(frozen=True, slots=True)
class Fault:
    """A usual fault, and the outputs that a tool with it gives in each call."""

    name: str
    outputs: tuple[tuple[Array, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One fact about recurrent networks, with models and calls that show whether a tool knows it.

    ``fact`` says what is right, and ``consequence`` what a user meets if a tool has it wrong.
    ``tolerance`` is the largest absolute difference of an output that counts as equal. The calls
    are made in order, on one loaded model. ``models`` has the path of the model in each format,
    relative to ``folder``, and ``refused`` the reasons of the formats that cannot state it.
    """

    name: str
    fact: str
    consequence: str
    tolerance: float
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    calls: tuple[Call, ...]
    faults: tuple[Fault, ...]
    models: Mapping[str, str]
    refused: Mapping[str, str]
    folder: Path

    def model(self, form: str) -> Path | None:
        """Return the path of the model in a format, or None if there is none."""
        return self.folder / self.models[form] if form in self.models else None


@dataclass(frozen=True, slots=True)
class Index:
    """The contents of ``suite.json``."""

    version: int
    cases: tuple[str, ...]
    rnnspec: str = ""

    def __post_init__(self) -> None:
        if not self.cases:
            raise ValueError("cases: expected at least one case")
        for name in self.cases:
            _check_name("cases", name)
        if doubled := {name for name in self.cases if self.cases.count(name) > 1}:
            raise ValueError(f"cases: expected each case once: {brief(min(doubled))}")


@dataclass(frozen=True, slots=True)
class FaultRecord:
    """A fault in ``case.json``: its name, and the folder of its outputs."""

    name: str
    folder: str

    def __post_init__(self) -> None:
        _check_name("folder", self.folder)


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseRecord:
    """The contents of ``case.json``; see ``Case``. ``calls`` is their number."""

    name: str
    fact: str
    consequence: str
    tolerance: float
    calls: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    models: Mapping[str, str]
    refused: Mapping[str, str]
    faults: tuple[FaultRecord, ...]

    def __post_init__(self) -> None:
        if self.tolerance <= 0:
            raise ValueError(f"tolerance: expected a number above 0, received {self.tolerance}")
        for key, number in (
            ("calls", self.calls),
            ("inputs", len(self.inputs)),
            ("outputs", len(self.outputs)),
        ):
            if number < 1:
                raise ValueError(f"{key}: expected at least one")
        for model in self.models.values():
            _check_name("models", model)


def read(folder: Path) -> tuple[Case, ...]:
    """Return the cases of a suite, in its order.

    Raises:
        UsageError: a file of it is missing, cannot be read, or has other contents.
    """
    return tuple(_read_case(folder / name) for name in read_index(folder).cases)


def read_index(folder: Path) -> Index:
    """Return the index of a suite.

    Raises:
        UsageError: it is missing, cannot be read, or has other contents.
    """
    return read_record(folder / INDEX, Index, ("version", VERSION), "the index of a suite")


def _check_name(key: str, name: str) -> None:
    """Raise ValueError unless a name is that of a file or folder inside another."""
    if not re.fullmatch(r"[\w-][\w.-]*", name, re.ASCII):
        raise ValueError(f"{key}: not the name of a file: {brief(repr(name))}")


def _read_case(folder: Path) -> Case:
    if folder.is_symlink():
        raise UsageError("expected a folder, received a link", str(folder))
    path = folder / CASE
    record = read_record(path, CaseRecord, what="a case of a suite")
    if record.name != folder.name:
        message = f"not a case of a suite: name: expected that of its folder, {folder.name!r}"
        raise UsageError(f"{message}, received {brief(repr(record.name))}", str(path))
    numbers, outputs = range(record.calls), len(record.outputs)

    def read_arrays(place: Path, kind: str, count: int) -> tuple[Array, ...]:
        return tuple(read_array(place / f"{kind}_{at}.npy", folder) for at in range(count))

    return Case(
        name=record.name,
        fact=record.fact,
        consequence=record.consequence,
        tolerance=record.tolerance,
        inputs=record.inputs,
        outputs=record.outputs,
        calls=tuple(
            Call(
                read_arrays(data_set(folder, call), "input", len(record.inputs)),
                read_arrays(data_set(folder, call), "output", outputs),
            )
            for call in numbers
        ),
        faults=tuple(
            Fault(
                fault.name,
                tuple(
                    read_arrays(data_set(folder / fault.folder, call), "output", outputs)
                    for call in numbers
                ),
            )
            for fault in record.faults
        ),
        models=record.models,
        refused=record.refused,
        folder=folder,
    )


def data_set(folder: Path, call: int) -> Path:
    """Return the folder of one call, as ONNX's backend tests name it."""
    return folder / f"test_data_set_{call}"


def read_array(path: Path, inside: Path) -> Array:
    """Return the array of numbers in a file, which must be in the folder ``inside``.

    Raises:
        UsageError: the file cannot be read, is too large, or contains something else.
    """
    with opened(path, inside) as (stream, size):
        check_size(path, size)
        try:
            return np.array(npy_array(stream, size).map(stream))
        except HeaderError as error:
            raise UsageError(str(error), str(path)) from None


def check_size(path: Path, size: int) -> None:
    """Raise UsageError if a file of a case is larger than any that is small.

    A suite whose arrays need more is not one of small cases, and each tool gets a copy.
    """
    if size > _LARGEST:
        raise UsageError(f"expected at most {_LARGEST:,} bytes, received {size:,}", str(path))
