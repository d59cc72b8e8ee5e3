"""Values of plain (unquoted) scalars: the core schema of YAML 1.2, decimal and finite."""

from __future__ import annotations

import re

from rnnspec.wording import quoted

Scalar = str | int | float | bool | None

# As many as the largest 64-bit integer has.
_MAX_DIGITS = 19
_WORDS: dict[str, bool | None] = {
    "": None,
    "~": None,
    **dict.fromkeys(("null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
# YAML 1.2.2, section 10.3.2, as one pattern, whose matching group is the type.
_NUMBER = re.compile(
    r"(?P<int>[-+]?[0-9]+)"
    r"|(?P<float>[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?)"
    r"|(?P<based>0o[0-7]+|0x[0-9a-fA-F]+)"
    r"|(?P<infinite>[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))"
)


class BadScalarError(ValueError):
    """A scalar that is valid in YAML but not in the language."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def resolve(text: str) -> Scalar:
    """Return the value of the plain scalar ``text``.

    Raises:
        BadScalarError: the number is octal, hexadecimal, infinite, too long, or starts with zero.
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
            raise BadScalarError("E211", _decimal(text))
        case _:
            raise BadScalarError("E212", f"expected a finite number, received {quoted(text)}")


def _integer(text: str) -> int:
    digits = text.lstrip("+-")
    if len(digits) > 1 and digits.startswith("0"):
        raise BadScalarError("E210", _without_zeros(text, digits))
    # Checked before int(), which raises its own error for more than 4300 digits.
    if len(digits) > _MAX_DIGITS:
        message = (
            f"expected an integer of at most {_MAX_DIGITS} digits, received one of "
            f"{len(digits)} digits"
        )
        raise BadScalarError("E213", message)
    return int(text)


def _float(text: str) -> float:
    value = float(text)
    # float() turns large numbers into infinity and small ones into zero, without an error.
    mantissa = re.split("[eE]", text)[0]
    if value in (float("inf"), float("-inf")) or (value == 0.0 and mantissa.strip("+-0.")):
        message = f"expected a number that fits in 64 bits, received {quoted(text)}"
        raise BadScalarError("E213", message)
    return value


def _without_zeros(text: str, digits: str) -> str:
    message = f"expected a number without leading zeros, received {quoted(text)}"
    # int() raises an error for more than 4300 digits.
    if len(digits) > _MAX_DIGITS:
        return message
    decimal = int(text)
    octal = decimal if set(digits) & {"8", "9"} else int(text, 8)
    if decimal == octal:
        return f"{message} (write {decimal})"
    return f"{message} (YAML 1.2 reads {decimal}, YAML 1.1 reads {octal}; write the one you mean)"


def _decimal(text: str) -> str:
    message = f"expected a decimal number, received {quoted(text)}"
    return f"{message} (write {int(text, 0)})" if len(text) <= _MAX_DIGITS else message
