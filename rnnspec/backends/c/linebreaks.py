"""Long lines of C, broken as clang-format breaks them in the style of LLVM.

The places to break a statement are chosen by the smallest sum of penalties, as clang-format does:
https://clang.llvm.org/docs/ClangFormatStyleOptions.html. The numbers are its own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

COLUMNS = 100
"""The length of a line."""

_INDENT = 4
_MOST_TOKENS = 120
"""Longer statements are not searched: they are filled line by line."""
_HEAD = 6
"""The tokens of a statement, up to the first arguments, before which its first break may be."""
_OF_EXCESS = 1_000_000
_OF_FIRST = 15
"""The first break between two brackets, or in one operation."""
_OF_LEVEL = 20
"""A break, for each bracket around it and one more."""
_OF_RETURN_TYPE = 60
"""A return type on a line of its own."""
_TOKEN = re.compile(r" ?(?:[([{](?=\S)|[)\]},;]|[^\s()\[\]{},;]+|\S)")
_PRECEDENCES = {
    **dict.fromkeys(("=", "+=", "-=", "*=", "/=", "|="), 2),
    **dict.fromkeys(("?", ":"), 3),
    **dict(zip(("||", "&&", "|", "^", "&"), range(4, 9), strict=True)),
    **dict.fromkeys(("==", "!="), 9),
    **dict.fromkeys(("<", ">", "<=", ">="), 10),
    **dict.fromkeys(("<<", ">>"), 12),
    **dict.fromkeys(("+", "-"), 13),
    **dict.fromkeys(("*", "/", "%"), 14),
}
_ASSIGNMENT, _CONDITIONAL, _COMPARISONS = 2, 3, (9, 10)
_FUNCTION = re.compile(r"(?:(?:static|inline|const) )*\w+ \**\w+\((?:const |\w+ \**\w)")
_MACRO = re.compile(r"(#define \w+(?:\([\w, ]*\))?) ([^\d\s].*)$")
_OPENING, _CLOSING = ("(", "[", "{"), (")", "]", "}")
_COMMENT = re.compile(r"^/\* .*(?:\n   \S.*)* \*/$", re.MULTILINE)
_BLANK = re.compile(r"(?<=\{)\n{2,}|\n{2,}(?= *\})")
_SHORT = re.compile(r"^(\w.*\) \{)\n    (.*;)\n\}$", re.MULTILINE)
_TRAILING = re.compile(r"^(.*\S) +(/\* .* \*/)$")


_OFF, _ON = "/* clang-format off */", "/* clang-format on */"


def break_lines(text: str) -> str:
    """Return source of which no line is too long if there is a place to break it."""
    text = _BLANK.sub("\n", re.sub(r"\n{3,}", "\n\n", text))
    # The comments of arrays are read again, so they stay on one line.
    before, off, rest = text.partition(_OFF)
    arrays, on, after = rest.partition(_ON)
    text = _COMMENT.sub(_refilled, before) + off + arrays + on + _COMMENT.sub(_refilled, after)
    lines, statement, inside, is_off = list[str](), "", False, False
    for line in text.split("\n"):
        is_off = (is_off and line != _ON) or line == _OFF
        is_text = inside or line.lstrip().startswith("/*")
        inside = is_text and not line.endswith("*/")
        if is_off or is_text:
            lines.append(line)
        elif line.startswith("#"):
            lines += _broken_macro(line)
        else:
            statement = f"{statement} {line.strip()}" if statement else line
            if statement.count("(") == statement.count(")"):
                lines += [statement] if len(statement) <= COLUMNS else _without_comment(statement)
                statement = ""
    joined = _SHORT.sub(_on_one_line, "\n".join(lines))
    return "\n".join(_aligned(joined.split("\n")))


def _without_comment(statement: str) -> list[str]:
    """Return the lines of a statement that is too long, with the comment at its end below it."""
    match = _TRAILING.match(statement)
    code = match[1] if match else statement
    margin = " " * (len(code) - len(code.lstrip(" ")))
    lines = [code] if len(code) <= COLUMNS else _broken(code)
    return [*lines, margin + match[2]] if match else lines


def _refilled(match: re.Match[str]) -> str:
    """Return a comment of which what is too long is at the beginning of the next line."""
    # The end of a comment stays with the word before it.
    lines = match[0].replace(" */", "\0*/").split("\n")
    filled, words = list[str](), list[str]()
    while lines or words:
        words += lines.pop(0).split() if lines else []
        start, size = "   " if filled else "", len(words)
        while size > 1 and len(start + " ".join(words[:size])) > COLUMNS:
            size -= 1
        filled.append(start + " ".join(words[:size]))
        words = words[size:]
    return "\n".join(filled).replace("\0", " ")


def _broken_macro(line: str) -> list[str]:
    match = _MACRO.match(line) if len(line) > COLUMNS else None
    return [f"{match[1]:<{COLUMNS - 1}}\\", " " * _INDENT + match[2]] if match else [line]


def _on_one_line(match: re.Match[str]) -> str:
    line = f"{match[1]} {match[2]} }}"
    return line if len(line) <= COLUMNS and "if (" not in line else match[0]


def _aligned(lines: list[str]) -> list[str]:
    """Align the comments at the ends of consecutive lines."""
    aligned, block = list[str](), list[tuple[str, str]]()
    least, most = 0, COLUMNS

    def finish() -> None:
        aligned.extend(f"{code:<{least}} {comment}" for code, comment in block)
        block.clear()

    for line in lines:
        match = _TRAILING.match(line)
        code, comment = match.groups() if match else (line, "")
        first, last = len(code), COLUMNS - 1 - len(comment)
        if not match or first > most or last < least:
            finish()
            least, most = first, last
        least, most = max(least, first), min(most, last)
        if match:
            block.append((code, comment))
        else:
            least, most = 0, COLUMNS
            aligned.append(line)
    finish()
    return aligned


@dataclass(frozen=True, slots=True)
class _Token:
    """A token, with the space before it.

    ``opened`` are the precedences of the operations that begin with it, the outermost first, and
    ``closed`` is the number of those that end with it. ``penalty`` is None if no line may begin
    with it.
    """

    text: str
    opened: tuple[int, ...] = ()
    closed: int = 0
    penalty: int | None = None


@dataclass(frozen=True, slots=True, order=True)
class _Level:
    """What is between two brackets, or one operation: the column of its lines after the first."""

    indent: int
    last: int
    broken: bool = False
    must: bool = False


_State = tuple[int, int, int, int, tuple[_Level, ...], tuple[tuple[int, int], ...]]
"""Penalty, order, index of the next token, column, levels, and the breaks: (index, column)."""


def _broken(statement: str) -> list[str]:
    """Return the lines of a statement with the smallest sum of penalties."""
    margin = len(statement) - len(statement.lstrip(" "))
    tokens = _tokens(statement.strip())
    # The name of a function begins a line as far to the left as its return type.
    hanging = margin if _FUNCTION.match(statement) else margin + _INDENT
    levels: tuple[_Level, ...] = (_Level(hanging, margin),)
    if len(tokens) > _MOST_TOKENS:
        return _filled(tokens, levels, margin)
    order = count()
    queue: list[_State] = [(0, next(order), 0, margin, levels, ())]
    seen = set[tuple[int, int, tuple[_Level, ...]]]()
    while True:
        penalty, _, index, column, levels, breaks = heappop(queue)
        if index == len(tokens):
            return _laid_out(tokens, breaks, margin)
        if (index, column, levels) in seen:
            continue
        seen.add((index, column, levels))
        token, before = tokens[index], tokens[index - 1] if index else None
        must = levels[-1].must and before is not None and _separates(before, token)
        if token.penalty is not None:
            more = token.penalty + (0 if levels[-1].broken else _OF_FIRST)
            start, end, new = _place_below(token, before, levels)
            more += penalty + _excess(end)
            heappush(queue, (more, next(order), index + 1, end, new, (*breaks, (index, start))))
        if not must or token.penalty is None:
            end, new = _place(token, before, column, token.text, levels, on_new_line=False)
            more = penalty + _excess(end)
            heappush(queue, (more, next(order), index + 1, end, new, breaks))


def _filled(tokens: list[_Token], levels: tuple[_Level, ...], margin: int) -> list[str]:
    """Return the lines of a long statement in time in proportion to its length.

    A line ends where the next piece does not fit, which is best for all but the first break.
    """
    piece, pieces = 0, list[int]()
    for token in reversed(tokens):
        piece += len(token.text)
        pieces.append(piece)
        piece = piece if token.penalty is None else 0
    pieces.reverse()

    def fill(first: int) -> tuple[int, tuple[tuple[int, int], ...]]:
        """Return the penalty and the breaks, of which one is before the token at ``first``."""
        penalty, column, stack, breaks = 0, margin, levels, list[tuple[int, int]]()
        for index, token in enumerate(tokens):
            before = tokens[index - 1] if index else None
            must = stack[-1].must and before is not None and _separates(before, token)
            full = column + pieces[index] > COLUMNS and index > first
            if token.penalty is not None and (must or full or index == first):
                penalty += token.penalty + (0 if stack[-1].broken else _OF_FIRST)
                start, column, stack = _place_below(token, before, stack)
                breaks.append((index, start))
            else:
                column, stack = _place(token, before, column, token.text, stack, on_new_line=False)
            penalty += _excess(column)
        return penalty, tuple(breaks)

    heads = [index for index in range(_HEAD) if tokens[index].penalty is not None]
    _, breaks = min(map(fill, (-1, *heads)), key=lambda filled: filled[0])
    return _laid_out(tokens, breaks, margin)


def _place_below(
    token: _Token, before: _Token | None, levels: tuple[_Level, ...]
) -> tuple[int, int, tuple[_Level, ...]]:
    """Return where a token begins on a line of its own, the column after it, and the levels."""
    after = tuple(replace(level, must=True) for level in levels[:-1])
    inner = replace(levels[-1], broken=True, last=levels[-1].indent)
    end, new = _place(
        token, before, inner.indent, token.text.strip(), (*after, inner), on_new_line=True
    )
    return inner.indent, end, new


def _excess(column: int) -> int:
    return max(column - COLUMNS, 0) * _OF_EXCESS


def _separates(before: _Token, token: _Token) -> bool:
    text = before.text.strip()
    # A comparison after what is broken may stay on its line.
    operator = _PRECEDENCES.get(text) not in (None, *_COMPARISONS)
    return text in (",", ";") or operator or token.text.strip() in ("?", ":")


def _place(  # noqa: PLR0913 - a token, and where it is placed
    token: _Token,
    before: _Token | None,
    column: int,
    text: str,
    levels: tuple[_Level, ...],
    *,
    on_new_line: bool,
) -> tuple[int, tuple[_Level, ...]]:
    """Return the column after a token, and the levels."""
    stack = list(levels)
    start = column + len(text) - len(text.lstrip())
    previous = before.text.strip() if before else ""
    if previous in ("(", "{") and not on_new_line:
        stack[-1] = replace(stack[-1], indent=column, last=column)
    elif previous == "," or (
        _PRECEDENCES.get(previous, _ASSIGNMENT) != _ASSIGNMENT and not on_new_line
    ):
        stack[-1] = replace(stack[-1], last=start)
    aligned = previous in ("(", "{", ";", "return") or _PRECEDENCES.get(previous) == _ASSIGNMENT
    for precedence in token.opened:
        indent = max(start, stack[-1].last)
        if precedence <= _ASSIGNMENT:
            indent = stack[-1].indent
        elif precedence == _CONDITIONAL or not aligned:
            indent += _INDENT
        aligned = True
        stack.append(_Level(indent, stack[-1].last))
    column += len(text)
    bracket = text.strip()
    if bracket in _OPENING:
        last = stack[-1].last
        stack.append(_Level(last + _INDENT, last))
    elif bracket in _CLOSING and len(stack) > 1:
        stack.pop()
    for _ in range(token.closed):
        stack.pop()
    return column, tuple(stack)


def _laid_out(tokens: list[_Token], breaks: tuple[tuple[int, int], ...], margin: int) -> list[str]:
    starts, lines = dict(breaks), [" " * margin]
    for index, token in enumerate(tokens):
        if index in starts:
            lines.append(" " * starts[index] + token.text.strip())
        else:
            lines[-1] += token.text
    return lines


def _tokens(statement: str) -> list[_Token]:
    """Return the tokens of a statement, with the operations that they begin and end."""
    texts = [match[0] for match in _TOKEN.finditer(statement)]
    opened, closed = _operations([text.strip() for text in texts])
    declares = bool(_FUNCTION.match(statement))
    tokens, brackets = list[_Token](), list[str]()
    for index, text in enumerate(texts):
        before = texts[index - 1].strip() if index else ""
        strength = _OF_LEVEL * (1 + len(brackets))
        own = _penalty(texts, index, before, brackets, declares=declares)
        if declares and not brackets and texts[index + 1 : index + 2] == ["("]:
            own = _OF_RETURN_TYPE
        penalty = None if own is None or "[" in brackets else own + strength
        tokens.append(_Token(text, tuple(opened[index]), closed[index], penalty))
        if text.strip() in _OPENING:
            brackets.append(text.strip())
        elif text.strip() in _CLOSING and brackets:
            brackets.pop()
    return tokens


def _penalty(
    texts: list[str], index: int, before: str, brackets: list[str], *, declares: bool
) -> int | None:
    """Return the penalty of a line that begins with a token, without that of its level."""
    text = texts[index].strip()
    if before == "(" and text != ")":
        caller = texts[index - 2].strip() if index > 1 else ""
        if caller in ("if", "for", "while"):
            return 1000
        return 100 if declares and len(brackets) == 1 else 19
    if not texts[index].startswith(" ") or text == "{":
        return None
    if before in (",", ";"):
        return 1 if before == "," else 0
    if text in ("?", ":"):
        return _CONDITIONAL
    if before in _PRECEDENCES and before not in ("?", ":"):
        return _PRECEDENCES[before]
    return None


def _operations(texts: list[str]) -> tuple[list[list[int]], list[int]]:
    """Return the precedences of the operations that begin with each token, and how many end."""
    opened: list[list[int]] = [[] for _ in texts]
    closed = [0] * len(texts)

    def mark(first: int, last: int) -> None:
        """Mark an operation and, in turn, the operands that are operations too."""
        depth, operators = 0, list[tuple[int, int]]()
        for index in range(first, last):
            depth += (texts[index] in _OPENING) - (texts[index] in _CLOSING)
            if not depth and texts[index] in _PRECEDENCES and first < index:
                operators.append((_PRECEDENCES[texts[index]], index))
        if not operators:
            return
        lowest = min(precedence for precedence, _ in operators)
        opened[first].append(lowest)
        closed[last - 1] += 1
        places = [index for precedence, index in operators if precedence == lowest]
        for begin, end in zip([first, *(at + 1 for at in places)], [*places, last], strict=True):
            mark(begin, end)

    for first, last in _expressions(texts):
        mark(first + (texts[first : first + 1] == ["return"]), last)
    return opened, closed


def _expressions(texts: list[str]) -> Iterator[tuple[int, int]]:
    """Yield where what is between brackets and commas begins and ends."""
    starts = [0]
    for index, text in enumerate([*texts, ";"]):
        if text in _OPENING:
            starts.append(index + 1)
        elif text in (*_CLOSING, ",", ";"):
            yield starts[-1], index
            if text not in _CLOSING:
                starts[-1] = index + 1
            elif len(starts) > 1:
                starts.pop()
