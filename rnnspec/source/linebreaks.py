"""Long lines of Python, broken as ``ruff format`` breaks them.

Only lines that are too long change, so code that is written on several lines stays as it is. Lines
are broken at the last brackets of a value, then at earlier ones, or at arithmetic operators.
"""

from __future__ import annotations

import re

LINE_LENGTH = 88
"""The default line length of ``ruff format``."""

_INDENT = "    "
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_KEYWORD = re.compile(r"(?:return|raise|if|elif|while|yield|assert|for [\w, ]+ in) ")
_KEY = re.compile(r'(?:\*{0,2}\w+=|"[^"]*": )(?!=)')
_PAIRS = {")": "(", "]": "[", "}": "{"}
_CHOICE = re.compile(r"(.+)( if .+) else .+")
_WORDS = re.compile(",| (?:if|else|for|in|is|not|and|or) ")
_OPERATORS = tuple(map(re.compile, (" (?:[<>]=?|[!=]=) ", " [+-] ", " [*/@%] ")))
"""The operators before which an expression can be broken, the weakest first."""


def break_lines(text: str) -> str:
    """Return source whose long lines are broken, except in docstrings and comments."""
    broken, inside = list[str](), False
    for line in text.split("\n"):
        is_text = inside or line.lstrip().startswith("#")
        broken += [line] if is_text or len(line) <= LINE_LENGTH else _break_statement(line)
        if inside or not is_text:
            inside ^= line.count('"""') % 2 == 1
    return "\n".join(broken)


def _break_statement(line: str) -> list[str]:
    text = line.lstrip(" ")
    margin = line[: len(line) - len(text)]
    # A comment at the end of a line is for a type checker, and does not count.
    text, gap, pragma = text.partition("  # ")
    if len(margin) + len(text) <= LINE_LENGTH:
        return [line]
    after = ":" if text.endswith(":") else ""
    text = text.removesuffix(":")
    if text.startswith("def "):
        opening, closing = text.index("("), _outside(text).index(")")
        lines = _spread(
            text[opening + 1 : closing],
            margin,
            f"{margin}{text[: opening + 1]}",
            text[closing:] + after,
        )
        if len(lines[-1]) > LINE_LENGTH:
            # What it returns is a tuple.
            start, _, types = lines.pop().partition("[")
            lines += _spread(types.removesuffix("]:"), margin, f"{start}[", "]:")
    elif match := _KEYWORD.match(text):
        lines = _parenthesize(text[match.end() :], margin, margin + match[0], after)
    else:
        target, equals, value = _partition(text, " = ")
        if not equals:
            lines = _break(text, margin, margin, after)
        elif "," in target and len(margin) + len(target + equals) >= LINE_LENGTH:
            *targets, end = _one_per_line(_split(target), margin, f"{margin}(", ")")
            lines = [*targets, *_break(value, margin, end + equals, after)]
        else:
            lines = _parenthesize(value, margin, margin + target + equals, after)
    lines[-1] += gap + pragma
    return lines


def _parenthesize(value: str, margin: str, before: str, after: str) -> list[str]:
    """Break a value, in parentheses if its first line fits only inside them."""
    first, *rest = _split(value)
    if rest and first.endswith("}"):
        # A mapping is broken, whatever comes after it.
        return _break(first, margin, before, f", {', '.join(rest)}{after}")
    if rest and not {"(", "{"} & {*value}:
        # Subscripts are not broken for a tuple around them.
        return _one_per_line([first, *rest], margin, f"{before}(", f"){after}")
    inner = margin + _INDENT
    if match := _CHOICE.fullmatch(_outside(value)):
        (_, yes), (_, condition) = match.span(1), match.span(2)
        whole = [value] if len(inner + value) <= LINE_LENGTH else []
        parts = whole or [value[:yes], value[yes + 1 : condition], value[condition + 1 :]]
        return [f"{before}(", *(inner + part for part in parts), f"{margin}){after}"]
    is_arithmetic = len(_operands(value)) > 1
    breaking = _break_end if is_arithmetic else _break
    lines = breaking(value, margin, before, after)
    inside = _break(value, inner, inner, "")
    # With a single target, parentheses have to help each line, and not the first one only.
    is_single = before.endswith(" = ") and "," not in before
    fits = max(map(len, inside if is_single else inside[:1])) <= LINE_LENGTH
    if len(lines[0]) <= LINE_LENGTH or not (fits or is_arithmetic):
        return lines
    return [f"{before}(", *inside, f"{margin}){after}"]


def _break_end(value: str, margin: str, before: str, after: str) -> list[str]:
    """Break arithmetic at the brackets at its end or start, if it has a single weakest operator."""
    line = before + value + after
    if len(line) <= LINE_LENGTH or len(operands := _operands(value)) > 2:
        return [line]
    (_, first), (sign, rest) = operands
    last = rest
    while len(parts := _operands(last)) > 1:
        last = parts[-1][1]
    # Ruff breaks a subscript only inside parentheses.
    if value.endswith((")", "}")) or last.startswith("["):
        lines = _break(last, margin, before + value.removesuffix(last), after)
        fits = len(lines[0]) <= LINE_LENGTH
        return lines if fits else _break_in_turn(value, margin, before, after)
    if value.startswith("("):
        end, leading = _outside(value).index(")"), first
        while len(parts := _operands(leading)) > 1:
            leading = parts[0][1]
        if leading.endswith(")") and len(leading) > end + 1:
            # The parentheses stay on the first line if the call of a method behind them does.
            place = _outside(leading).rindex("(") + 1
            if len(before) + place <= LINE_LENGTH and leading[place:-1]:
                closing = value[len(leading) - 1 :] + after
                return _spread(leading[place:-1], margin, before + value[:place], closing)
        lines = _spread(value[1:end], margin, f"{before}(", value[end:] + after)
        if len(lines[-1]) > LINE_LENGTH and first.endswith(")") and len(first) > end + 1:
            # So is the call of a method of what the parentheses are around.
            opening = _outside(first).rindex("(")
            call, closing = f"{margin}{first[end : opening + 1]}", f") {sign}{rest}{after}"
            lines[-1:] = _spread(first[opening + 1 : -1], margin, call, closing)
        return lines
    return [line]


def _break_in_turn(value: str, margin: str, before: str, after: str) -> list[str]:
    """Break arithmetic at each bracket behind which the line does not reach the next one."""
    lines, line, rest = list[str](), before, value + after
    for operand in _all_operands(value):
        sign, rest = rest.split(operand, 1)
        bracket = next((at for at, character in enumerate(rest) if character in "([{"), len(rest))
        reach = rest[: bracket + 1]
        *broken, line = _break(operand, margin, line + sign, reach)
        lines, line = lines + broken, line.removesuffix(reach)
    return [*lines, line + after]


def _break(value: str, margin: str, before: str, after: str) -> list[str]:
    line = before + value + after
    if len(line) <= LINE_LENGTH:
        return [line]
    if len(operands := _operands(value)) > 1:
        lines = list[str]()
        for at, (sign, operand) in enumerate(operands, 1):
            end = after if at == len(operands) else ""
            lines += _break(operand, margin, margin + sign if lines else before, end)
        return lines
    if " " in _outside(value):
        return [line]
    if match := re.search(r"(?:\.\w+|\(\))+$", value):
        value, after = value[: match.start()], match[0] + after
    if not value.endswith((")", "]", "}")):
        return [line]
    opening = _outside(value).rindex(_PAIRS[value[-1]])
    head, inside, bracket = value[:opening], value[opening + 1 : -1], value[-1]
    start = before + value[: opening + 1]
    if len(start) > LINE_LENGTH and any(bracket in head for bracket in _PAIRS):
        lines = _break(head, margin, before, value[opening:] + after)
        if len(lines[-1]) <= LINE_LENGTH:
            return lines
        *lines, start = _break(head, margin, before, _PAIRS[bracket])
        return [*lines, *_spread(inside, margin, start, bracket + after)]
    fits = len(margin + _INDENT + inside) <= LINE_LENGTH
    if bracket == "]" and head and (fits or len(_split(inside)) == 1):
        # A comma behind a single index would make it a tuple.
        return [start, margin + _INDENT + inside, margin + bracket + after]
    if bracket == "}" or not (head or " for " in _outside(inside)):
        return _one_per_line(_split(inside), margin, start, bracket + after)
    return _spread(inside, margin, start, bracket + after)


def _spread(inside: str, margin: str, opening: str, closing: str) -> list[str]:
    """Return the items between brackets, on one line if they fit, otherwise one per line."""
    if len(margin + _INDENT + inside) <= LINE_LENGTH:
        return [opening, margin + _INDENT + inside, margin + closing]
    return _one_per_line(_split(inside), margin, opening, closing)


def _one_per_line(items: list[str], margin: str, opening: str, closing: str) -> list[str]:
    # Ruff adds a trailing comma only to more than one argument.
    comma = "," if len(items) > 1 or opening.endswith(("{", "[")) else ""
    inner, lines = margin + _INDENT, [opening]
    for item in items:
        key = match[0] if (match := _KEY.match(item)) else ""
        lines += _break(item.removeprefix(key), inner, inner + key, comma)
    return [*lines, margin + closing]


def _operands(value: str) -> list[tuple[str, str]]:
    """Split an expression at its weakest operators, and return each operand after its operator.

    An expression with a comma, or with a word such as ``if``, is one operand.
    """
    outside = _outside(value)
    if not _WORDS.search(outside):
        for operator in _OPERATORS:
            if signs := list(operator.finditer(outside)):
                starts = [0, *(sign.end() for sign in signs)]
                ends = [*(sign.start() for sign in signs), len(value)]
                operands = [value[start:end] for start, end in zip(starts, ends, strict=True)]
                return list(zip(["", *(sign[0][1:] for sign in signs)], operands, strict=True))
    return [("", value)]


def _all_operands(value: str) -> list[str]:
    """Split an expression at all of its operators that are in no brackets."""
    operands = _operands(value)
    if len(operands) == 1:
        return [value]
    return [part for _, operand in operands for part in _all_operands(operand)]


def _outside(text: str) -> str:
    """Return a text with everything inside brackets and strings replaced, brackets included."""
    masked = _STRING.sub(lambda match: "_" * len(match[0]), text)
    outside, depth = "", 0
    for character in masked:
        depth -= character in ")]}"
        outside += "_" if depth else character
        depth += character in "([{"
    return outside


def _partition(text: str, separator: str) -> tuple[str, str, str]:
    """Partition a text at a separator that is in no brackets and no string."""
    start = _outside(text).find(separator)
    if start < 0:
        return text, "", ""
    return text[:start], separator, text[start + len(separator) :]


def _split(text: str) -> list[str]:
    """Split a text at the commas that are in no brackets and no string."""
    # Not recursively: a network of a thousand layers has as many states in one dict.
    items, outside, start = list[str](), _outside(text), 0
    while (comma := outside.find(", ", start)) >= 0:
        items.append(text[start:comma])
        start = comma + len(", ")
    return [*items, text[start:]]
