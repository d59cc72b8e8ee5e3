"""Whoever does what a message says meets no new error at the same key.

The messages of every fault are followed as a reader would: a rule turns the words of an advice
into a change of the data. A message that advises something and matches no rule fails the test.
"""
# ruff: noqa: ARG005 - all rules take the same arguments

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Callable
from typing import Any

import yaml
from cases import cases
from spec.test_spec_faults import CASES

import rnnspec
from rnnspec.errors import Problem, SpecError
from rnnspec.ir.equations import EquationError
from rnnspec.ir.parser import parse
from rnnspec.spec import models
from rnnspec.spec.yaml.document import read

Steps = tuple[str | int, ...]
Rule = Callable[[Any, Steps, re.Match[str]], Steps | None]

_ADVICE = re.compile(r"\b(use|write|omit|did you mean|remove|keep one|set|name it|belongs)\b")
# Advice about characters or the syntax of YAML is about the text, and any other name is free.
_ABOUT_TEXT = re.compile(r"E1|E20|E312")
# What a spec promises or lacks in other keys, and whether a number is in range.
_ELSEWHERE = {"E308", "E407", "E409", "E410", "E413", "E424", "E425", "E501", "E502"}
# What a reader writes for a key of which a message says only that it is needed.
_NEEDED = {
    "dropout": 0.5,
    "units": 8,
    "weights": "vectors.txt",
    "words": "words.txt",
}


def _parse(text: str) -> Any:
    # PyYAML reads YAML 1.1, where 1e-05 is a string.
    return yaml.safe_load(re.sub(r"(?<=\d)e-", ".0e-", text))


def _text(quoted: str) -> str:
    """Return the text that a message shows in quotes."""
    return str(ast.literal_eval(f"'{quoted}'"))


def _at(data: Any, path: Steps) -> Any:
    for step in path:
        data = data[step]
    return data


def _put(data: Any, path: Steps, value: Any) -> Steps:
    _at(data, path[:-1])[path[-1]] = value
    return path


def _delete(data: Any, path: Steps) -> Steps:
    del _at(data, path[:-1])[path[-1]]
    return path


def _rename(data: Any, path: Steps, old: str, new: str) -> Steps:
    mapping = _at(data, path)
    value = mapping.pop(_text(old))
    # If both are there, the reader keeps the one that is known.
    mapping.setdefault(new, value)
    return (*path, new)


def _replace_pair(data: Any, path: Steps, old: str, pair: str) -> Steps:
    _at(data, path).pop(old)
    ((new, value),) = _parse(f"{{{pair}}}").items()
    return _put(data, (*path, new), value)


def _place_after(data: Any, path: Steps, layer: str) -> Steps:
    if isinstance(data["rnn"], dict) and path == ("rnn",):
        data["rnn"], path = [data["rnn"]], ("rnn", 0)
    layers, index = _at(data, path[:-1]), int(path[-1])
    layers.insert(index + 1, _parse(layer))
    return (*path[:-1], index + 1)


def _set_type(data: Any, path: Steps, message: str) -> Steps:
    for pair in re.findall(r"'(\w+: [^']+)'", message):
        _at(data, path[:-1]).update(_parse(f"{{{pair}}}"))
    return path


def _move_to_head(data: Any, path: Steps, pooling: str) -> Steps:
    head = {**data.get("head", {}), "pooling": _parse(pooling)}
    if len(path) > len(("rnn", "type")):
        _delete(data, path[:-1])
    # At least one recurrent layer is left.
    data["rnn"] = data["rnn"] if isinstance(data["rnn"], list) else []
    data["rnn"] = data["rnn"] or [{"type": "gru", "units": 4}]
    return _put(data, ("head",), head)


def _take_states(data: Any, message: str) -> None:
    """Let joins take the states that a message names, in place of sequences."""
    states = {name: f"{name}.state" for name in re.findall(r"'(\w+)\.state'", message)}
    for layer in data["rnn"]:
        if layer["type"] in ("concat", "add", "multiply"):
            layer["of"] = [states.get(name, name) for name in layer["of"]]


def _set_lengths(data: Any) -> None:
    for declared in [data["input"]] if "input" in data else data["inputs"].values():
        if declared.get("per") != "sequence":
            declared["length"] = 6


def _choose_pooling(data: Any, path: Steps, name: str) -> Steps:
    return _put(data, path if "pooling" in path else (*path, "pooling"), name)


def _check_places(text: str) -> None:
    """Check that the keys exist to which a message refers: sections, or keys of one."""
    for place in re.findall(r"\b[a-z]+\.[a-z_]+|(?<= in )[a-z]+$", text):
        section, _, key = place.partition(".")
        kinds = models.KINDS.values() if section == "rnn" else [models.SECTIONS[section]]
        assert not key or any(key in model.model_fields for model in kinds), place


def _check_expression(text: str) -> None:
    """Check that what a message tells to write in an equation is an expression of the language."""
    text = text.replace("...", "x").replace("(value)", "(x)").replace("split(v, i, n)", "x")
    message = ""
    try:
        parse(f"h: h + W_of_x @ x + {text}", ["h"])
    except EquationError as error:
        message = error.message
    # A matrix, or a vector of another size, is one.
    assert not message or re.search("shape|a vector|a matrix|could be", message), text


def _check_layer(text: str) -> None:
    """Check that a layer in a message is one."""
    layer = _parse(text)
    models.KINDS[layer["type"]].model_validate(layer)


_KEY = r"^unknown key '(.*?)'; (?:.*; )?"
_TYPE = r"^unknown type '.*'; "
_RENAME = r"^unknown key '(.*?)'; (?:did you mean|use) '(\w+)'(?!.* and '| and )"
# In the order in which they are tried. A rule that leaves the data as they are returns None.
_RULES: dict[str, Rule] = {
    _RENAME: lambda d, p, m: _rename(d, p, m[1], m[2]),
    _KEY + r".*: write 'type: (\w+)' with 'cells: ({.*})'": lambda d, p, m: (
        _delete(d, (*p, m[1])),
        _put(d, ("cells",), _parse(m[3])),
        _put(d, (*p, "type"), m[2]),
    )[2],
    _KEY + r".*'(bidirectional: true|\w+: \S+)'": lambda d, p, m: _replace_pair(d, p, m[1], m[2]),
    _KEY + r"write ({.*}) as the next layer": lambda d, p, m: (
        _delete(d, (*p, m[1])),
        _place_after(d, p, m[2]),
    )[1],
    _KEY + r"write 'type: (\w+)' as a key": lambda d, p, m: _put(
        d, p, {"type": m[2]} | _at(d, (*p, m[1]))
    ),
    _KEY + r"write ({.*})$": lambda d, p, m: _put(d, p, _parse(m[2])),
    _KEY + r".*({type: .*?})": lambda d, p, m: _check_layer(m[2]),
    _KEY + r"(.*)": lambda d, p, m: _check_places(m[2]),
    _TYPE + r"(?:use|write) 'pooling: (.*)' in head": lambda d, p, m: _move_to_head(d, p, m[1]),
    r"^missing key 'over', .*write 'pooling: (.*)' in head": lambda d, p, m: _move_to_head(
        d, (*p, "type"), m[1]
    ),
    _TYPE + r"write 'type: (\w+)' with 'cells: ({.*})'": lambda d, p, m: (
        _put(d, ("cells",), _parse(m[2])),
        _put(d, p, m[1]),
    )[1],
    _TYPE + r"write 'type: \w+' with ": lambda d, p, m: _set_type(d, p, m.string),
    _TYPE + r"write ({type: .*})": lambda d, p, m: _put(d, p[:-1], _parse(m[1])),
    _TYPE + r"(.*({type: .*?}).*|write '(stride|padding)|write the type|write a list|the only)": (
        lambda d, p, m: None
    ),
    r"^unknown .*; (?:did you mean|use) '(\w+)'": lambda d, p, m: _put(d, p, m[1]),
    r"^unknown .*; use ({.*})": lambda d, p, m: _put(d, p, _parse(m[1])),
    r"the key '(.*)' \((?:use|did you mean) '(\w+)'": lambda d, p, m: _rename(d, p, m[1], m[2]),
    r"^unknown function '(\w+)'; did you mean (\w+)": lambda d, p, m: _put(
        d, p, _at(d, p).replace(m[1], m[2])
    ),
    r"^the equations have no .* '(\w+)'; did you mean (\w+)": lambda d, p, m: _rename(
        d, p, m[1], m[2]
    ),
    r"is never used: a later repetition assigns again": lambda d, p, m: None,
    r"^no layer has the type '(\w+)'": lambda d, p, m: _delete(d, (*p, m[1])),
    r"write \w+ [@*] \(W @ x\) for": lambda d, p, m: None,
    r"\(write 'n\d+'": lambda d, p, m: _put(d, p, "n1"),
    r"write '\w+\.state'.* in the 'of' of": lambda d, p, m: _take_states(d, m.string),
    r"; write '(\w+)\.state' and '(\w+)\.state' for": lambda d, p, m: _take_states(d, m.string),
    r"\(for one, write 'embedding: (\w+)' in the input '(\w+)'\)": lambda d, p, m: _put(
        d, ("inputs", m[2], "embedding"), m[1]
    ),
    r"write 'bidirectional: true'": lambda d, p, m: _put(
        _delete(d, p) and d, (*p[:-1], "bidirectional"), True
    ),
    r"; remove the layer to": lambda d, p, m: _delete(d, p[:-1]),
    r": write 'type: (\w+)', without a cell": lambda d, p, m: (
        _delete(d, ("cells",)),
        _put(d, ("rnn", "type"), m[1]),
    )[1],
    r": write '(\w+\.state)' for its final state": lambda d, p, m: _put(d, p, m[1]),
    r"\(write it without the list\)$": lambda d, p, m: _put(d, p, _at(d, p)[0]),
    r"\(write a layer for each\)$": lambda d, p, m: None,
    r"\(write (.*)\)$": lambda d, p, m: _put(d, p, _parse(m[1])),
    r"reads (-?\d+), .*; write the one you mean": lambda d, p, m: _put(d, p, _parse(m[1])),
    r"; write (-?[\d.]+|\[.*\])$": lambda d, p, m: _put(d, p, _parse(m[1])),
    r"\(did you mean ([\d.]+)\?\)": lambda d, p, m: _put(d, p, _parse(m[1])),
    r"\(quote it: '(.*)'\)": lambda d, p, m: _put(d, p, m[1]),
    r"\(remove the quotes\)": lambda d, p, m: _put(d, p, _parse(_at(d, p))),
    r"\(omit the key": lambda d, p, m: _delete(d, p),
    r"\(for no activation, write '(\w+)'\)": lambda d, p, m: _put(d, p, m[1]),
    r"^'(\w+)' .*; (?:remove|keep) one of them": lambda d, p, m: _delete(d, (*p, m[1])),
    r"for tokens, use .*mask_zero": lambda d, p, m: _delete(d, (*p, "mask_value")),
    r"without 'bidirectional: true'": lambda d, p, m: _put(d, (*p, "bidirectional"), True),
    r"(?:has no effect without|needs) '(\w+)'": lambda d, p, m: _put(d, (*p, m[1]), _NEEDED[m[1]]),
    r"; use another pooling: (\w+)": lambda d, p, m: _choose_pooling(d, p, m[1]),
    r"; write it once, without the list": lambda d, p, m: _put(d, p[:-1], _at(d, p)),
    r"; remove it$": lambda d, p, m: _delete(d, p),
    r"set the length of the input": lambda d, p, m: _set_lengths(d),
    r"no layer reads the input '(\w+)'": lambda d, p, m: _delete(d, (*p, m[1])),
    r"no layer reads the output of": lambda d, p, m: _delete(d, p),
    r"; did you mean '(\w+)'\?$": lambda d, p, m: _put(d, p, m[1]),
    r"write it under '(parameters|sizes)'|write parentheses|write @ or \*|write [-*]": (
        lambda d, p, m: None
    ),
    r"; did you mean (\w+)\?$|; write (\w+) for \w+$": lambda d, p, m: None,
    r"\bwrite (.+?)(?: for .*|, (?:which|the|a|or|with) .*)?$": lambda d, p, m: _check_expression(
        m[1]
    ),
}


def _problems(text: str | bytes) -> tuple[Problem, ...]:
    try:
        rnnspec.loads(text)
    except SpecError as error:
        return error.problems
    return ()


def _path(problem: Problem) -> Steps:
    steps = re.findall(r"\[\d+\]|[^\[\].]+", problem.where)
    return tuple(int(step[1:-1]) if step.startswith("[") else step for step in steps)


def _follow(data: Any, problem: Problem) -> Steps | None:
    """Change ``data`` as the message says, and return the path of what is new."""
    if "<<" in problem.where:
        return None
    for pattern, rule in _RULES.items():
        if match := re.search(pattern, problem.message):
            return rule(data, _path(problem), match)
    raise AssertionError(f"no rule for {problem.message!r}")


def _is_about(problem: Problem, path: Steps) -> bool:
    where, key = _path(problem), rf"'{path[-1]}\b"
    return where[: len(path)] == path or (
        where == path[:-1] and re.search(key, problem.message) is not None
    )


ADVISING = {
    name: case
    for name, case in CASES.items()
    if any(_ADVICE.search(line) and not _ABOUT_TEXT.match(line[-5:-1]) for line in case[1])
}


@cases(("text", "expected"), ADVISING)
def test_advice_leads_to_no_other_error_at_the_key(text: str | bytes, expected: list[str]) -> None:
    before = _problems(text)
    advised = [p for p in before if _ADVICE.search(p.message) and not _ABOUT_TEXT.match(p.code)]
    data = copy.deepcopy(read(text, "s").data)
    # Names first, as other messages have the right ones, then from the end, as paths have numbers.
    renamed = [p for p in advised if re.search(_RENAME, p.message)]
    others = [p for p in reversed(advised) if p not in renamed]
    new = [path for problem in (*renamed, *others) if (path := _follow(data, problem))]
    said = {problem.message for problem in before}
    after = [
        problem
        for problem in _problems(yaml.safe_dump(data))
        if problem.message not in said and problem.code not in _ELSEWHERE
    ]
    assert [str(p) for p in after if any(_is_about(p, path) for path in new)] == []


@cases(
    ("text", "expected"),
    {name: case for name, case in CASES.items() if "use another pooling" in str(case[1])},
)
def test_each_pooling_that_a_message_names_fits(text: str | bytes, expected: list[str]) -> None:
    before = _problems(text)
    said = {problem.message for problem in before}
    for problem in before:
        names = re.search("use another pooling: (.*)", problem.message)
        for name in re.findall(r"\w+", names[1].replace(" or ", " ")) if names else ():
            data = copy.deepcopy(read(text, "s").data)
            _choose_pooling(data, _path(problem), name)
            after = [other.message for other in _problems(yaml.safe_dump(data))]
            assert problem.message not in after, name
            assert {*after} <= said, name
