"""Equations as papers and frameworks write them, and what to write in a spec instead."""

from __future__ import annotations

import ast
import keyword
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rnnspec.errors.wording import nearest, quoted
from rnnspec.ir.equations import INPUT

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

Slip = tuple[int, str]
"""Where something foreign begins in the text of an expression, and what to write instead."""


@dataclass(frozen=True, slots=True)
class Names:
    """The names that an expression can have, beside parameters.

    ``functions`` has each function with how it is called.
    """

    states: tuple[str, ...]
    lines: Collection[str]
    functions: Mapping[str, str]

    @property
    def vectors(self) -> set[str]:
        """The names whose values are known not to be matrices."""
        return {INPUT, *self.states, *self.lines}


# What to write for each function of a framework. Names are compared without underscores.
_INSTEAD = {
    "sigmoid(v)": "expit logistic logistic_function sig sigm sigma sigmoid_fn",
    "silu(v)": "swish",
    "linear(v)": "identity",
    "maximum(a, b)": "fmax",
    "minimum(a, b)": "amin fmin min",
    "minimum(maximum(v, a), b)": "clamp clip clip_by_value hardtanh hard_tanh",
    "minimum(relu(v), 6)": "relu6",
    "where(v > 0, v, 0.01 * v)": "leaky_relu lrelu",
    "where(v > 0, 1, 0)": "heaviside step",
    "where(v > 0, 1, where(v < 0, -1, 0))": "sgn sign",
    "where(a > b, c, d)": "cond if_else iif ifelse select",
    "v * v": "square",
    "v * v, or exp(p * log(v)) for another power": "float_power pow power",
    "1 / v": "inv reciprocal",
    "1 / sqrt(v)": "rsqrt",
    "log(1 + v)": "log1p",
    "exp(v) - 1": "expm1",
    "log(sigmoid(v))": "log_sigmoid logsigmoid",
    "log(softmax(v))": "log_softmax",
    "-v": "neg negative",
    "a + b": "add plus",
    "a - b": "minus sub subtract",
    "a * b": "elementwise hadamard mul multiply prod times",
    "a / b": "div divide true_divide",
    "W @ v, a matrix times a vector": "dense einsum matmul matvec mm mv",
    "W.T": "permute t transpose",
    "concat(a, b)": "append cat concatenate hstack join stack vstack",
    "split(v, i, n)": "chunk unstack",
    "v[0:3]": "gather narrow slice take",
    "sum(v)": "reduce_sum",
    "mean(v)": "average reduce_mean",
    "max(v)": "amax reduce_max",
    "dot(a, b)": "inner",
    "v / norm(v)": "l2_normalize normalize",
}
_REASONS = {
    "dropout is a key of the layer, 'dropout' or 'recurrent_dropout'": "dropout",
    "the functions of a whole vector are sum, mean, max, norm, softmax and standardize": (
        "argmax cumsum var"
    ),
    "a number goes with every vector": "full ones ones_like zeros zeros_like",
}


def _squeeze(name: str) -> str:
    return name.lower().replace("_", "")


_MEANT = {
    _squeeze(name): f"write {meant}" for meant, names in _INSTEAD.items() for name in names.split()
} | {_squeeze(name): reason for reason, names in _REASONS.items() for name in names.split()}


# Functions that the language lacks, some with a name like one that it has.
_LACKING = frozenset(
    "celu cos cosh erf gelu glu mish prelu rrelu sin sinh softshrink".split()  # noqa: SIM905
)


def function_hint(name: str, names: Names) -> str:
    """Return what to write instead of an unknown function."""
    # A function of the language by the name of its class in a framework, such as LayerNorm.
    own = {_squeeze(function): call for function, call in names.functions.items()}
    bare = _squeeze(name.rpartition(".")[2])
    if bare in own:
        return f"write {own[bare]}"
    if bare in _MEANT:
        return _MEANT[bare]
    near = None if bare in _LACKING else nearest(name, names.functions)
    return f"did you mean {near}?" if near else f"expected one of {', '.join(names.functions)}"


_BEFORE = "prev|previous|old|last|before|prior"
_NOW = "t|now|cur|current|new|next"
_PAST = rf"t?_?(?:m|minus)_?1|t_1|(?:t_)?(?:{_BEFORE})"


def _indexed(stem: str) -> str:
    """Return the pattern of a name with a time index."""
    return (
        rf"{re.escape(stem)}_?(?P<past>{_PAST})|{re.escape(stem)}_?(?:{_NOW})|"
        rf"(?P<first>{_BEFORE})_?{re.escape(stem)}|(?:{_NOW})_{re.escape(stem)}"
    )


def _stems(names: Iterable[str]) -> dict[str, str]:
    """Return each name by itself, and by the letters before a time index of its own."""
    stems = {name: name for name in names}
    for name in tuple(stems):
        stem = re.sub(rf"_(?:{_NOW})$", "", name)
        stems.setdefault(stem, name)
    return stems


def state_of(name: str, states: Iterable[str]) -> str | None:
    """Return the state of which a name is the value at some time, as in h_t and h_prev, or None."""
    return next(
        (state for stem, state in _stems(states).items() if re.fullmatch(_indexed(stem), name)),
        None,
    )


def time_hint(name: str, names: Names) -> str | None:
    """Return what to write for a name with a time index, as in x_t and h_prev, or None."""
    for stem, meant in _stems((INPUT, *names.states)).items():
        if match := re.fullmatch(_indexed(stem), name):
            past = bool(match["past"] or match["first"])
            return f"unknown name {name}: {_without_time(meant, past=past)}"
    return None


def _without_time(name: str, *, past: bool) -> str:
    if name == INPUT and past:
        return f"{INPUT} is the input of this step; a state can keep it for the next one"
    if name == INPUT:
        return f"write {INPUT}, the input of the step"
    return f"write {name}, which is the state before the step until a line assigns the new one"


_TOKEN = re.compile(
    r"(?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?)|(?P<name>[A-Za-z_]\w*)|"
    r"(?P<operator>\*\*|//|==|!=|<=|>=|:=|\.\*|\./|[-+*/@%<>^=&|~,.!?:;])|(?P<other>[^\s])",
    re.ASCII,
)
_CLOSING = {")": "(", "]": "[", "}": "{"}
_SIGNS = "+-~"
# Words that Python puts between two values or before one; the tree of the expression tells of them.
_WORDS = frozenset({"if", "else", "and", "or", "not", "in", "is"})
_LETTERS = {
    "α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "epsilon", "η": "eta",
    "θ": "theta", "λ": "lam", "μ": "mu", "ρ": "rho", "τ": "tau", "φ": "phi", "ω": "omega",
    "σ": "sigmoid(v)", "⊙": "*", "∘": "*", "×": "*", "∗": "*", "·": "@ or *", "⋅": "@ or *",
    "−": "-", "–": "-", "ᵀ": ".T", "⊤": ".T", "√": "sqrt(v)", "²": "h * h for its square",
    "≤": "<=", "≥": ">=", "÷": "/", "⊕": "+", "⊗": "*", "ₜ": "no time index",
}  # fmt: skip


def letter_hint(letter: str) -> str:
    """Return what to write for a character that is not printable ASCII, or nothing."""
    return f"; write {_LETTERS[letter]}" if letter in _LETTERS else ""


def text_slip(  # noqa: PLR0912 - a branch for each thing
    text: str, names: Names
) -> Slip | None:
    """Return the first thing in a text that no expression has, or None if all of it could be.

    It is for texts that Python cannot parse, and for the operator ``^``, which binds less there
    than a power in a formula.
    """
    opened: list[tuple[str, int]] = []
    # A value has been read, so that an operator can follow, and no other value.
    before: re.Match[str] | None = None
    for token in _TOKEN.finditer(text):
        at, word = token.start(), token[0]
        value_before = before is not None and _ends_value(before)
        if slip := _foreign_sign(text, token, before, names):
            return slip
        if word in "([":
            if before is not None and before.lastgroup == "number":
                return at, f"expected an operator before '(': write {before[0]} * (...)"
            opened.append((word, at))
        elif word in ")]":
            if not opened:
                return at, f"unexpected {word!r}: no {_CLOSING[word]!r} is open"
            sign, start = opened.pop()
            if sign != _CLOSING[word]:
                closing = ")" if sign == "(" else "]"
                message = f"expected {closing!r} for the {sign!r} in column {start + 1}"
                return at, f"{message} of the expression, received {word!r}"
            if before is not None and not value_before and before[0] not in "([,":
                return at, f"expected a value after {before[0]!r}, received {word!r}"
        elif token.lastgroup == "operator":
            follows = word in _SIGNS or value_before
            if not follows and word not in ".,":
                return at, _without_value(before, word)
        elif value_before and before is not None and word not in _WORDS:
            return at, _side_by_side(before, token, names)
        before = token
    if opened:
        sign, start = opened[-1]
        return start, f"this {sign!r} is never closed: a {'])'[sign == '(']!r} is missing"
    if before is None:
        return 0, "expected an expression, received none"
    if not _ends_value(before):
        return before.start(), f"expected a value after {before[0]!r}"
    if place := re.search(r"\bif\b", text):
        return place.start(), "unexpected 'if' without 'else': write where(a > b, c, d)"
    return None


def _ends_value(token: re.Match[str]) -> bool:
    is_name = token.lastgroup == "name" and token[0] not in _WORDS
    return is_name or token.lastgroup == "number" or token[0] in ")]}'"


def _without_value(before: re.Match[str] | None, word: str) -> str:
    place = f"after {before[0]!r}" if before is not None else f"before {word!r}"
    return f"expected a value {place}" + (f", received {word!r}" if before is not None else "")


def _foreign_sign(
    text: str, token: re.Match[str], before: re.Match[str] | None, names: Names
) -> Slip | None:
    """Return what to write for a sign or a word that no expression has, or None."""
    at, word = token.start(), token[0]
    joined = before is not None and before.end() == at
    name = before[0] if before is not None and joined and before.lastgroup == "name" else ""
    match word:
        case "^":
            base = before[0] if before is not None and before.lastgroup == "name" else "v"
            return at, f"unexpected '^': {_power_hint(base, text[token.end() :].strip())}"
        case "{":
            inside = text[token.end() :].partition("}")[0]
            return at - len(name), _index_hint(name, inside, names)
        case "'" if name:
            transposed = f"write {name}.T for a transpose"
            letters = "a name has letters, digits and underscores"
            return at, f'unexpected "\'": {letters if name in names.vectors else transposed}'
        case "$":
            return at, "unexpected '$': an expression is as in W @ x + b, without LaTeX"
        case "\\":
            command = re.match("[A-Za-z]+", text[token.end() :])
            hint = function_hint(command[0], names) if command else "expected a value"
            return at, f"unexpected '\\', as in LaTeX: {hint}"
        case ".*" | "./":
            return at, f"unexpected {word!r}: write {word[1]}, which is by element"
        case "=" | ":=":
            return at, f"unexpected {word!r}: the name that a line assigns stands before its ':'"
        case _ if word in _SIGN_HINTS:
            return at, f"unexpected {word!r}: {_SIGN_HINTS[word]}"
        case _ if keyword.iskeyword(word) and word not in _WORDS:
            return at, f"{word} is a Python keyword, which no name can be"
        case _:
            return None


_SIGN_HINTS = {
    ";": "arguments are separated by ',', and each value has a line",
    "?": "write where(a > b, c, d) for a condition",
    "|": "write abs(v) for an absolute value",
    **dict.fromkeys("!:`\"'&}", "expected a value or one of + - * / @"),
}


def _index_hint(name: str, inside: str, names: Names) -> str:
    """Return what to write for an index in braces: W_{f}, h_{t-1}."""
    stem = name.rstrip("_")
    if not stem:
        return "unexpected '{': write parentheses"
    if hint := index_hint(stem, inside, names):
        return f"unexpected index {{{inside}}}: {hint}"
    joined = re.sub(r"\W", "", inside)
    return f"unexpected '{{': write {stem}_{joined}"


def index_hint(name: str, inside: str, names: Names) -> str | None:
    """Return what to write for a name with an index in brackets: h(t-1), x[t]. None: no time."""
    meant = _stems((INPUT, *names.states)).get(name)
    index = inside.replace(" ", "")
    if meant is None or not re.search(r"(?<![A-Za-z])[tnk](?![A-Za-z])", index):
        return None
    return _without_time(meant, past="-" in index)


def _side_by_side(before: re.Match[str], token: re.Match[str], names: Names) -> str:
    """Return the message for two values without an operator between them."""
    left, right = before[0], token[0]
    if left in names.functions:
        return f"expected {names.functions[left]}: {left} is a function"
    if right in names.functions:
        right = f"{right}(...)"
    if before.lastgroup == "number":
        return f"expected an operator between {left} and {right}: write {left} * {right}"
    if left in names.vectors or before.lastgroup != "name":
        shown = left if before.lastgroup == "name" else "(...)"
        return f"expected an operator before {right}: write {shown} * {right} for a product"
    return (
        f"expected an operator between {left} and {right}: write {left} @ {right} for a matrix "
        f"times a vector, {left} * {right} by element"
    )


def _power_hint(base: str, exponent: str) -> str:
    if re.match(r"\(?T\b", exponent) or re.match(r"\{?(T|top|intercal)\b", exponent):
        return f"write {base}.T for a transpose"
    number = re.match(r"[({]?(-?[0-9.]+)", exponent)
    return f"a power is not supported; write {_product(base, number[1] if number else 'p')}"


def _product(base: str, exponent: str) -> str:
    match exponent:
        case "2":
            return f"{base} * {base}"
        case "3":
            return f"{base} * {base} * {base}"
        case "0.5":
            return f"sqrt({base})"
        case "-1":
            return f"1 / {base}"
        case _:
            return f"exp({exponent} * log({base})) for positive values"


_COMPARISONS = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">="}
_UNSUPPORTED = {
    ast.FloorDiv: "//",
    ast.Mod: "%",
    ast.BitAnd: "&",
    ast.BitOr: "|",
    ast.LShift: "<<",
    ast.RShift: ">>",
}
_SHOWN = 24


def _shown(tree: ast.expr, otherwise: str) -> str:
    """Return the text of a part of an expression, or another if it is long."""
    text = ast.unparse(tree)
    return text if len(text) <= _SHOWN else otherwise


_NO_INDEX = "expected features by their numbers, as in v[0:3], v[2] and v[-1]"


def tree_hint(  # noqa: PLR0912 - a case for each kind of expression
    tree: ast.expr, names: Names
) -> str | None:
    """Return what to write for an expression of Python that is none of a cell, or None."""
    match tree:
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            factor = left.id if isinstance(left, ast.Name) else "v"
            hint = f"a power is not supported; write {_product(factor, ast.unparse(right))}"
            named = "" if isinstance(left, ast.Name) else f", with a line v: {_shown(left, '...')}"
            return hint + named
        case ast.BinOp(op=op) if type(op) in _UNSUPPORTED:
            return f"expected one of + - * / @, received {_UNSUPPORTED[type(op)]}"
        case ast.IfExp(test=test, body=body, orelse=other):
            parts = [_shown(test, "a > b"), _shown(body, "c"), _shown(other, "d")]
            parts[0] = parts[0] if _is_condition(test) else "a > b"
            return f"unexpected 'if': write where({', '.join(parts)})"
        case ast.List(elts=parts) | ast.Tuple(elts=parts):
            return f"expected one value, received {len(parts)}: write {_concat(parts)}"
        case ast.Set() | ast.Dict():
            return "unexpected '{': write parentheses"
        case ast.Subscript(value=ast.Name(id=name), slice=index):
            if name in names.functions:
                return f"expected {names.functions[name]}, with parentheses"
            inside = ast.unparse(index)
            if time := index_hint(name, inside, names):
                return f"unexpected index [{inside}]: {time}"
            if name.endswith("_"):
                joined = re.sub(r"\W", "", inside)
                return f"unexpected '[': write {name}{joined}"
            return _NO_INDEX
        case ast.Subscript():
            return _NO_INDEX
        case ast.Call():
            return _call_hint(tree, names)
        case ast.Attribute(attr=attribute, value=value):
            shown = _shown(value, "v")
            if attribute in ("t", "mT", "H", "mH"):
                return f"write {shown}.T for a transpose"
            return f"expected no attribute but .T, received .{attribute}"
        case ast.BoolOp() | ast.UnaryOp(op=ast.Not()):
            return f"expected a condition only in where: {_CONDITIONS}"
        case ast.UnaryOp(op=ast.UAdd()):
            return "unexpected sign +: a sum has a value before it"
        case ast.UnaryOp(op=ast.Invert()):
            return "unexpected sign ~: write 1 - v for the rest of a gate"
        case ast.Constant(value=bool() as value):
            return f"expected a number, received {value}"
        case ast.Constant(value=str()):
            return "expected a number or a name, received a string"
        case _:
            return None


def _is_condition(tree: ast.expr) -> bool:
    return (
        isinstance(tree, ast.Compare) and len(tree.ops) == 1 and type(tree.ops[0]) in _COMPARISONS
    )


def _call_hint(call: ast.Call, names: Names) -> str | None:
    match call.func:
        case ast.Name(id=name):
            inside = ast.unparse(call.args[0]) if len(call.args) == 1 else ""
            if hint := index_hint(name, inside, names):
                return f"unexpected index ({inside}): {hint}"
            if name in names.functions:
                return _argument_hint(name, call, names)
            argument = _shown(call.args[0], "v") if call.args else "v"
            if name in names.vectors:
                return f"{name} is no function: write {name} * {argument} for a product by element"
            # The name of a matrix, as in W(x) and U_f(h): a capital letter, or a single one.
            if re.fullmatch(r"[A-Z]\w{0,3}|[A-Za-z](_\w+)?", name):
                times = f"{name} @ {argument}"
                return f"{name} is no function: write {times} for a matrix times a vector"
            return _unknown(name, call, names)
        case ast.Attribute(attr=attribute, value=value):
            if _is_module(value, names):
                return _unknown(ast.unparse(call.func), call, names)
            # A method: W.t(), h.sum(), W.matmul(x).
            shown = _shown(value, "v")
            hint = function_hint(attribute, names)
            if attribute in ("t", "transpose", "permute"):
                return f"write {shown}.T for a transpose"
            return f"expected no method, received .{attribute}; {hint}"
        case ast.Call(func=ast.Attribute(value=value) as function) if _is_module(value, names):
            return _unknown(ast.unparse(function), call, names)
        case ast.Constant(value=int() | float() as number):
            return f"expected an operator before '(': write {number} * (...)"
        case _:
            return "expected an operator before '(': write * for a product by element"


def _is_module(tree: ast.expr, names: Names) -> bool:
    """True for the path of a module, such as torch.nn.functional, tf and F."""
    path = ast.unparse(tree).split(".")
    return path[0] in _MODULES and path[0] not in names.vectors


_MODULES = frozenset(
    {
        *("F", "K", "T", "ad", "haiku", "hk", "jax", "jnp", "keras", "layers", "lax", "linen"),
        *("math", "mx", "nd", "nn", "nnx", "np", "numpy", "ops", "paddle", "tensorflow", "tf"),
        *("theano", "th", "torch", "tt", "xp"),
    }
)


def _concat(parts: Sequence[ast.expr]) -> str:
    return f"concat({', '.join(_shown(part, '...') for part in parts)})"


def _argument_hint(name: str, call: ast.Call, names: Names) -> str | None:
    """Return what to write for arguments that a function does not take."""
    expected = f"expected {names.functions[name]}"
    match call.args:
        case [ast.List(elts=parts) | ast.Tuple(elts=parts)] if name == "concat":
            return f"expected vectors, received a list: write {_concat(parts)}"
        case [ast.BoolOp() | ast.UnaryOp(op=ast.Not()), *_] if name == "where":
            return f"{expected}, received several conditions: {_CONDITIONS}"
        case [ast.Compare(ops=[_, _, *_]), *_] if name == "where":
            return f"{expected}, received several conditions: {_CONDITIONS}"
        case [ast.Compare(ops=[ast.Eq() | ast.NotEq()]) as test, *_] if name == "where":
            return f"{expected}, with one of < <= > >=, received {_shown(test, 'another')}"
        case [test, *_] if name == "where" and not _is_condition(test):
            return f"{expected}, received {_shown(test, 'another value')} for the comparison"
        case _ if call.keywords:
            keyword_of_call = call.keywords[0]
            argument = f"{keyword_of_call.arg or '**'}={_shown(keyword_of_call.value, '...')}"
            return f"{expected}, received the argument {argument}"
        case _:
            return None


_CONDITIONS = "write where(a > b, where(c > d, e, f), f)"


def _unknown(name: str, call: ast.Call, names: Names) -> str:
    """Return the message for a call of a function that the language lacks, or has without path."""
    module, _, own = name.rpartition(".")
    if module and own in names.functions:
        hint = f"write {names.functions[own]}"
        if own == "concat":
            hint = f"write {_joined(call)}"
        return f"expected a function without a module, received {quoted(name)}: {hint}"
    hint = function_hint(name, names)
    if hint == _MEANT["cat"]:
        hint = f"write {_joined(call)}"
    return f"unknown function {quoted(name)}; {hint}"


def _joined(call: ast.Call) -> str:
    match call.args:
        case [ast.List(elts=parts) | ast.Tuple(elts=parts), *_]:
            return _concat(parts)
        case _:
            return "concat(a, b)"
