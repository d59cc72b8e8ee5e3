"""Types of the values in a spec, with their bounds."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, Field, ValidationInfo, WithJsonSchema
from pydantic_core import PydanticCustomError

from rnnspec.errors.wording import received
from rnnspec.spec.names import (
    NAME_PATTERN,
    check_input_name,
    check_layer_name,
    check_network_name,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema

    from rnnspec.words import ReservedNames

MAX_SIZE = 2**31 - 1
"""The largest size of an axis: a 32-bit index can address it on every backend."""


class Absent:
    """Marker for ``X | None``: None means that the key is absent, and null is rejected."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        schema = handler(source)
        return schema["schema"] if schema["type"] == "nullable" else schema


def _check_exact(value: float) -> float:
    # Keras rounds the value to float32 even in a float64 model, where no input would equal it.
    # Rounds to float32 without NumPy, which is slow to import.
    (nearest,) = struct.unpack("f", struct.pack("f", value))
    if nearest != value:
        message = (
            "expected a number that is exact in float32, because padding is compared for equality, "
            "such as {nearest}; received {received}"
        )
        values = {"nearest": repr(nearest), "received": received(value)}
        raise PydanticCustomError("inexact", message, values)
    return value


Size = Annotated[int, Field(ge=1, le=MAX_SIZE)]
Count = Annotated[int, Field(ge=0, le=MAX_SIZE)]
Rate = Annotated[float, Field(ge=0.0, lt=1.0)]
# Far below 3.4e38, the largest float32.
Finite = Annotated[float, Field(allow_inf_nan=False, ge=-1e30, le=1e30)]
Epsilon = Annotated[float, Field(allow_inf_nan=False, ge=1e-12, le=1.0)]
Share = Annotated[float, Field(allow_inf_nan=False, ge=0.0, lt=1.0)]
Positive = Annotated[float, Field(allow_inf_nan=False, gt=0.0, le=1e30)]
Repeat = Annotated[int, Field(ge=1, le=2_000)]


@dataclass(frozen=True, slots=True)
class ValidationContext:
    """What a validation knows: names that backends use, and the settings of each cell."""

    taken: tuple[ReservedNames, ...]
    settings: Mapping[str, frozenset[str]]


def _check_input_name(name: str, info: ValidationInfo) -> str:
    return check_input_name(name, info.context.taken if info.context else ())


def _check_network_name(name: str, info: ValidationInfo) -> str:
    return check_network_name(name, info.context.taken if info.context else ())


_NameSchema = WithJsonSchema({"type": "string", "pattern": f"^{NAME_PATTERN}$"})
LayerName = Annotated[str, AfterValidator(check_layer_name), _NameSchema]
InputName = Annotated[str, AfterValidator(_check_input_name), _NameSchema]
NetworkName = Annotated[str, AfterValidator(_check_network_name), _NameSchema]
OptionalSize = Annotated[Size | None, Absent()]
OptionalName = Annotated[LayerName | None, Absent()]
OptionalCount = Annotated[Annotated[int, Field(ge=0)] | None, Absent()]
MaskValue = Annotated[Finite, AfterValidator(_check_exact)]
# Paths appear in messages and in comments of generated source, which a line break would end.
FilePath = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f-\x9f]+$")]
OptionalPath = Annotated[FilePath | None, Absent()]
