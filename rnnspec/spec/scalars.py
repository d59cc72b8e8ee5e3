"""What a plain (unquoted) scalar means: YAML 1.2's core schema, decimal and finite."""

from __future__ import annotations

import re

from rnnspec.spec.wording import quoted

Scalar = str | int | float | bool | None

_MAX_DIGITS = 19
_WORDS: dict[str, bool | None] = {
    "": None,
    "~": None,
    **dict.fromkeys(("null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
# YAML 1.2.2, 10.3.2, in one pattern: the group that matched last names the type.
_NUMBER = re.compile(
    r"(?P<int>[-+]?[0-9]+)"
    r"|(?P<float>[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?)"
    r"|(?P<based>0o[0-7]+|0x[0-9a-fA-F]+)"
    r"|(?P<infinite>[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))"
)


class BadScalarError(ValueError):
    """A plain scalar that YAML reads as something the language does not have."""


def resolve(text: str) -> Scalar:
    """Return the value of the plain scalar ``text``.

    Raises:
        BadScalarError: an octal, hexadecimal, zero-led, infinite or overlong number.
    """
    if text in _WORDS:
        return _WORDS[text]
    match = _NUMBER.fullmatch(text)
    if match is None:
        return text
    match match.lastgroup:
        case "int":
            return _integer(text)
        case "float":
            return _float(text)
        case "based":
            raise BadScalarError(f"expected a decimal number, received {quoted(text)}")
        case _:
            raise BadScalarError(f"expected a finite number, received {quoted(text)}")


def _integer(text: str) -> int:
    digits = text.lstrip("+-")
    if len(digits) > 1 and digits.startswith("0"):
        raise BadScalarError(
            f"expected a number without leading zeros, received {quoted(text)} "
            "(YAML 1.1 and 1.2 read it differently)"
        )
    # Checked before int(), which refuses more than 4300 digits with an error of its own.
    if len(digits) > _MAX_DIGITS:
        raise BadScalarError(
            f"expected a number of at most {_MAX_DIGITS} digits, received one of {len(digits)}"
        )
    return int(text)


def _float(text: str) -> float:
    value = float(text)
    mantissa = re.split("[eE]", text)[0]
    if value in (float("inf"), float("-inf")) or (value == 0.0 and mantissa.strip("+-0.")):
        raise BadScalarError(f"expected a number that fits in 64 bits, received {quoted(text)}")
    return value
