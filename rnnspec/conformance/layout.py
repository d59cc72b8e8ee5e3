"""A suite as it is read: cases with their calls, their usual faults and their models.

Reading one needs NumPy only. The files are described in ``texts/README.md``, which each suite has.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnspec.errors import UsageError, brief

if TYPE_CHECKING:
    from rnnspec.slots import Array

VERSION = 1
"""The version of the layout of a suite."""
INDEX = "suite.json"
"""The file with the names of the cases."""
CASE = "case.json"
"""The file of a case in its folder."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a model: its inputs, and its outputs in float64, each in the order of the case.

    Inputs are int64 tokens or float32.
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


def read(folder: Path) -> tuple[Case, ...]:
    """Return the cases of a suite, in its order.

    Raises:
        UsageError: a file of it is missing, cannot be read, or has other contents.
    """
    index = read_json(folder / INDEX)
    if index.get("version") != VERSION:
        received = brief(index.get("version"))
        message = f"expected a suite of version {VERSION}, received {received}"
        raise UsageError(message, str(folder / INDEX))
    try:
        names = [_file_name(name) for name in index["cases"]]
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"not the index of a suite ({brief(error)})", str(folder)) from None
    return tuple(_read_case(folder / name) for name in names)


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a file of JSON.

    Raises:
        UsageError: the file cannot be read, or is something else.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(_reason(error, "not JSON"), str(path)) from None
    if not isinstance(data, dict):
        raise UsageError("expected an object of JSON", str(path))
    return data


def _reason(error: Exception, otherwise: str) -> str:
    reason = getattr(error, "strerror", None)
    return f"cannot be read: {reason.lower() if reason else otherwise}"


def _file_name(name: object) -> str:
    """Return a name of a file or folder inside another, or raise ValueError."""
    if not isinstance(name, str) or Path(name).name != name:
        raise ValueError(f"not the name of a file: {brief(name)}")
    return name


def _read_case(folder: Path) -> Case:
    path = folder / CASE
    data = read_json(path)
    try:
        inputs, outputs = tuple(map(str, data["inputs"])), tuple(map(str, data["outputs"]))
        count = int(data["calls"])
        calls = tuple(
            Call(
                _read_arrays(data_set(folder, at), "input", len(inputs)),
                _read_arrays(data_set(folder, at), "output", len(outputs)),
            )
            for at in range(count)
        )
        faults = tuple(
            Fault(
                str(fault["name"]),
                tuple(
                    _read_arrays(
                        data_set(folder / _file_name(fault["folder"]), at), "output", len(outputs)
                    )
                    for at in range(count)
                ),
            )
            for fault in data["faults"]
        )
        return Case(
            name=str(data["name"]),
            fact=str(data["fact"]),
            consequence=str(data["consequence"]),
            tolerance=float(data["tolerance"]),
            inputs=inputs,
            outputs=outputs,
            calls=calls,
            faults=faults,
            models={str(form): _file_name(model) for form, model in data["models"].items()},
            refused={str(form): str(reason) for form, reason in data["refused"].items()},
            folder=folder,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(f"not a case of a suite ({brief(error)})", str(path)) from None


def data_set(folder: Path, call: int) -> Path:
    """Return the folder of one call, as ONNX's backend tests name it."""
    return folder / f"test_data_set_{call}"


def _read_arrays(folder: Path, kind: str, count: int) -> tuple[Array, ...]:
    return tuple(_read_array(folder / f"{kind}_{at}.npy") for at in range(count))


def _read_array(path: Path) -> Array:
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UsageError(_reason(error, "not an array of NumPy"), str(path)) from None
    if not isinstance(array, np.ndarray):
        raise UsageError("expected one array, received an archive", str(path))
    return array
