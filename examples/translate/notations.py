"""Made data: dates in many notations, and in ISO 8601; both as the tokens of characters."""

from __future__ import annotations

import argparse
import string
from datetime import date, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SPEC = Path(__file__).with_name("date_translator.yaml")
PADDING, BEGIN, END = 0, 1, 2
SOURCE = f" {string.digits}{string.ascii_lowercase},./-'"
"""The characters of a source; their tokens begin at 1."""
TARGET = f"{string.digits}-"
"""The characters of a target; their tokens begin at 3."""
LONGEST = 12
"""The most tokens of a target: a date and its end."""

Tokens = NDArray[np.int64]

_NOTATIONS = (
    "{day} {month} {year}",
    "{day} {short} {year}",
    "{day}{th} {month} {year}",
    "{day}{th} of {month}, {year}",
    "{month} {day}, {year}",
    "{month} {day}{th} {year}",
    "{short}. {day}, {year}",
    "{short} {day} '{two}",
    "{weekday}, {day} {month} {year}",
    "{weekday} {month} {day}, {year}",
    "{day}.{number}.{year}",
    "{day:02}.{number:02}.{two}",
    "{year}/{number:02}/{day:02}",
)
"""Notations with one meaning: 3/4/2021 would be a day in March or in April."""


def make(random: np.random.Generator, count: int) -> tuple[list[str], list[str]]:
    """Return dates between 1950 and 2049, each in a random notation, and in ISO 8601."""
    days = random.integers((date(2050, 1, 1) - date(1950, 1, 1)).days, size=count)
    dates = [date(1950, 1, 1) + timedelta(int(number)) for number in days]
    chosen = random.integers(len(_NOTATIONS), size=count)
    return (
        [_write(day, _NOTATIONS[number]) for day, number in zip(dates, chosen, strict=True)],
        [day.isoformat() for day in dates],
    )


def _write(day: date, notation: str) -> str:
    endings = {1: "st", 2: "nd", 3: "rd"}
    return notation.format(
        day=day.day,
        th="th" if day.day in (11, 12, 13) else endings.get(day.day % 10, "th"),
        month=f"{day:%B}".lower(),
        short=f"{day:%b}".lower(),
        number=day.month,
        year=day.year,
        two=f"{day:%y}",
        weekday=f"{day:%A}".lower(),
    )


def read_source(text: str) -> Tokens:
    """Return a text as a batch of one sequence of tokens, (1, steps)."""
    unknown = sorted(set(text.lower()) - set(SOURCE))
    if unknown or not text:
        raise SystemExit(f"{text!r}: expected characters of {SOURCE!r}, received {unknown}")
    return np.array([[1 + SOURCE.index(character) for character in text.lower()]])


def write_target(tokens: list[int]) -> str:
    """Return the text of tokens, as far as the first end."""
    ended = tokens[: tokens.index(END)] if END in tokens else tokens
    return "".join(TARGET[token - 3] if token > END else "?" for token in ended)


def batch(random: np.random.Generator, count: int) -> tuple[Tokens, Tokens, Tokens]:
    """Return sources, what a decoder reads, and what it is to answer: the next character."""
    sources, targets = make(random, count)
    read = [read_source(text)[0] for text in sources]
    padded = np.zeros((count, max(map(len, read))), dtype=np.int64)
    for row, tokens in zip(padded, read, strict=True):
        row[: len(tokens)] = tokens
    whole = np.array(
        [[BEGIN, *(3 + TARGET.index(character) for character in text), END] for text in targets]
    )
    return padded, whole[:, :-1], whole[:, 1:]


def train_options(doc: str) -> argparse.Namespace:
    """Return the options of a script that trains."""
    parser = argparse.ArgumentParser(description=doc.partition("\n")[0])
    parser.add_argument("out", type=Path, help="the file of the trained weights, .safetensors")
    parser.add_argument("--steps", type=int, default=1500, help="batches of 64 dates")
    return parser.parse_args()


def generate_options(doc: str) -> argparse.Namespace:
    """Return the options of a script that translates."""
    parser = argparse.ArgumentParser(description=doc.partition("\n")[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("dates", nargs="+", help="such as '3rd of may, 1999'")
    parser.add_argument("--beam", type=int, default=1, metavar="WIDTH", help="by default greedy")
    parser.add_argument("--temperature", type=float, metavar="T", help="draw each character")
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn")
    return parser.parse_args()
