"""The core: the verbs in which ``expand`` says what each layer computes.

An expression is made of arrays (batch, steps, features) or (batch, features), and of masks
(batch, steps), which are true at real steps. Arithmetic broadcasts, and takes true for 1.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from rnnspec.ir.nodes import Activation, Recurrent, Window

Arithmetic = Literal["add", "subtract", "multiply", "divide", "maximum", "minimum", "greater"]


def _arithmetic(how: Arithmetic) -> Callable[[Any, Expression], Combine]:
    return lambda left, right: Combine(how, left, right)


class Verb:
    """The base of all verbs: arithmetic, element by element."""

    __slots__ = ()
    __add__, __sub__ = _arithmetic("add"), _arithmetic("subtract")
    __mul__, __truediv__ = _arithmetic("multiply"), _arithmetic("divide")
    __gt__ = _arithmetic("greater")


@dataclass(frozen=True, slots=True)
class Name(Verb):
    """``x``, ``mask``, ``skip``, a state, or a result of the recipe."""

    name: str


@dataclass(frozen=True, slots=True)
class EarlierOutput(Verb):
    """The output of an earlier layer, or the input of the network."""

    layer: str


@dataclass(frozen=True, slots=True)
class EarlierMask(Verb):
    """The mask of the output of an earlier layer, or of an input."""

    layer: str


@dataclass(frozen=True, slots=True)
class Param(Verb):
    """A canonical array of a layer."""

    layer: str
    name: str


@dataclass(frozen=True, slots=True)
class Setting(Verb):
    """A number among the fields of a layer, which a class of such layers takes as an argument."""

    name: str
    value: float | int


@dataclass(frozen=True, slots=True)
class Function(Verb):
    """A function of each element that is no activation."""

    how: Literal["sqrt", "log", "abs"]
    x: Expression


@dataclass(frozen=True, slots=True)
class Combine(Verb):
    """Two arrays, element by element."""

    how: Arithmetic
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Embed(Verb):
    """table[x]: (batch, steps) -> (batch, steps, features)."""

    x: Expression
    table: Param


@dataclass(frozen=True, slots=True)
class Memory(Verb):
    """What a layer attends to: a key and a value for each step, and which steps are real."""

    keys: Expression
    values: Expression
    mask: Expression | None


@dataclass(frozen=True, slots=True)
class Scan(Verb):
    """A state after each step, (batch, steps, units), of a layer in one ``direction``.

    ``kind`` is the name of the state. The first states are ``states``, or zeros. A state stays as
    it is where ``mask`` is false. The backward direction begins at the last step, and so does the
    only one of a layer that is ``backward``. A layer with attention has a ``memory``.
    """

    layer: Recurrent
    direction: str
    kind: str
    x: Expression
    mask: Expression | None
    states: tuple[Expression, ...] = ()
    memory: Memory | None = None


@dataclass(frozen=True, slots=True)
class MatMul(Verb):
    """x @ kernel over the features; ``transposed``: x @ kernel.T."""

    x: Expression
    kernel: Param
    transposed: bool = False


@dataclass(frozen=True, slots=True)
class Dot(Verb):
    """The product of each step with a vector: (batch, steps, features) -> (batch, steps, 1)."""

    x: Expression
    vector: Expression


@dataclass(frozen=True, slots=True)
class SplitHeads(Verb):
    """(batch, steps, number x size) -> (batch, number, steps, size)."""

    x: Expression
    number: Setting


@dataclass(frozen=True, slots=True)
class MergeHeads(Verb):
    """(batch, number, steps, size) -> (batch, steps, number x size)."""

    x: Expression


@dataclass(frozen=True, slots=True)
class Scores(Verb):
    """The score of each query and each key, in each head if there are some.

    (batch, queries, size) and (batch, steps, size) -> (batch, queries, steps): the products, or
    with a vector v, (size, 1), v . activation(query + key).
    """

    queries: Expression
    keys: Expression
    vector: Param | None
    activation: Activation = "tanh"


@dataclass(frozen=True, slots=True)
class Mix(Verb):
    """The sum of the steps of x, weighted for each query, in each head if there are some.

    (batch, queries, steps) and (batch, steps, features) -> (batch, queries, features).
    """

    weights: Expression
    x: Expression


@dataclass(frozen=True, slots=True)
class Conv(Verb):
    """The cross-correlation over the steps: (batch, steps, in) -> (batch, windows, out)."""

    x: Expression
    kernel: Param
    window: Window


@dataclass(frozen=True, slots=True)
class PoolWindows(Verb):
    """A statistic in each window: (batch, steps, features) -> (batch, windows, features).

    The steps that a window adds are left out, or zeros like any other if ``adds``. So are those
    where a ``mask`` is false; a window without any step is zeros.
    """

    how: Literal["mean", "max"]
    x: Expression
    window: Window
    adds: bool = False
    mask: Expression | None = None


@dataclass(frozen=True, slots=True)
class Apply(Verb):
    """An activation of each element, or over the features."""

    function: Activation
    x: Expression


@dataclass(frozen=True, slots=True)
class Drop(Verb):
    """Elements zeroed at a rate and the rest scaled; ``shared``: alike in all steps."""

    x: Expression
    rate: float
    shared: bool


@dataclass(frozen=True, slots=True)
class Norm(Verb):
    """gamma (x - mean) / sqrt(variance + epsilon) + beta.

    Mean and variance are given, or are those ``over`` the features, or over the batch and its steps
    where ``mask`` is true. Without a ``scale``, gamma is 1, and without an ``offset`` beta is 0.
    """

    x: Expression
    layer: str
    epsilon: float
    over: Literal["given", "features", "batch"]
    scale: bool = True
    offset: bool = True
    mask: Expression | None = None


@dataclass(frozen=True, slots=True)
class Column(Verb):
    """A mask as (batch, steps, 1)."""

    mask: Expression


@dataclass(frozen=True, slots=True)
class Row(Verb):
    """A mask as (batch, 1, steps), or for heads as (batch, 1, 1, steps)."""

    mask: Expression
    heads: bool = False


@dataclass(frozen=True, slots=True)
class Seen(Verb):
    """Where a query may see a step, (..., queries, steps): none behind its own, of equally many.

    It has the shape of ``scores``. ``real`` is a ``Row`` of the steps that may be seen at all.
    """

    scores: Expression
    real: Row | None


@dataclass(frozen=True, slots=True)
class Fill(Verb):
    """x where a condition is true, and ``otherwise`` elsewhere."""

    condition: Expression
    x: Expression
    otherwise: Expression


@dataclass(frozen=True, slots=True)
class Reduce(Verb):
    """A statistic over the steps, which are left out, or one step if ``keep``."""

    how: Literal["sum", "mean", "max", "min", "any"]
    x: Expression
    keep: bool = False


@dataclass(frozen=True, slots=True)
class CountSteps(Verb):
    """The number of steps of x."""

    x: Expression


@dataclass(frozen=True, slots=True)
class Length(Verb):
    """The Euclidean norm over the features, (..., 1)."""

    x: Expression


@dataclass(frozen=True, slots=True)
class OverFeatures(Verb):
    """A statistic over the features, (..., 1)."""

    how: Literal["sum", "mean", "max"]
    x: Expression


@dataclass(frozen=True, slots=True)
class Softmax(Verb):
    """exp(x) / sum(exp(x)), over the steps."""

    x: Expression


@dataclass(frozen=True, slots=True)
class Join(Verb):
    """Arrays side by side, along the features or the steps."""

    parts: tuple[Expression, ...]
    axis: Literal["features", "steps"] = "features"


@dataclass(frozen=True, slots=True)
class Take(Verb):
    """One step, or every n-th from a first one on; of each, the features from one to another.

    A mask has no features.
    """

    x: Expression
    steps: int | tuple[int, int]
    features: tuple[int, int | None] = (0, None)


@dataclass(frozen=True, slots=True)
class Slice(Verb):
    """The features of a vector from one to another: (batch, features) -> (batch, end - start)."""

    x: Expression
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Pick(Verb):
    """The first or last step at which ``mask`` is true; any step if it is so at none."""

    end: Literal["first", "last"]
    x: Expression
    mask: Expression


@dataclass(frozen=True, slots=True)
class Flatten(Verb):
    """(batch, steps, features) -> (batch, steps x features)."""

    x: Expression


@dataclass(frozen=True, slots=True)
class Repeat(Verb):
    """(batch, features) -> (batch, steps, features)."""

    x: Expression
    steps: int | CountSteps


@dataclass(frozen=True, slots=True)
class Spread(Verb):
    """A vector of parameters for each sequence of x: (features,) -> (batch, features)."""

    vector: Param
    x: Expression


@dataclass(frozen=True, slots=True)
class Transpose(Verb):
    """(batch, steps, features) -> (batch, features, steps)."""

    x: Expression


# A new verb goes here; mypy then reports every writer that does not handle it.
Expression = (
    float
    | Name
    | EarlierOutput
    | EarlierMask
    | Param
    | Setting
    | Function
    | Combine
    | Embed
    | Memory
    | Scan
    | MatMul
    | Dot
    | SplitHeads
    | MergeHeads
    | Scores
    | Mix
    | Conv
    | PoolWindows
    | Apply
    | Drop
    | Norm
    | Column
    | Row
    | Seen
    | Fill
    | Reduce
    | CountSteps
    | Length
    | OverFeatures
    | Softmax
    | Join
    | Take
    | Slice
    | Pick
    | Flatten
    | Repeat
    | Spread
    | Transpose
)


@dataclass(frozen=True, slots=True)
class Result:
    """A named result of a recipe, and why it is not what a reader would expect."""

    name: str
    value: Expression
    about: str = ""


def walk(value: Any) -> Iterator[Any]:
    """Yield the verbs in an expression or in results, each before those that it is made of."""
    match value:
        case Result() | Verb() if is_dataclass(value):
            if isinstance(value, Verb):
                yield value
            for part in fields(value):
                yield from walk(getattr(value, part.name))
        case Iterable() if not isinstance(value, str):
            for part in value:
                yield from walk(part)
        case _:
            pass


def names(value: Any) -> Iterator[Name | EarlierOutput]:
    """Yield the names in an expression."""
    return (part for part in walk(value) if isinstance(part, Name | EarlierOutput))


def rename(results: Iterable[Result], taken: Collection[str]) -> Iterator[Result]:
    """Yield results, of which none but ``x`` has a name that is taken."""
    named: dict[str, Expression] = {}
    for result in results:
        name = result.name
        while name != "x" and name in taken:
            name += "_part"
        yield replace(result, name=name, value=inline(result.value, named))
        if name != result.name:
            named[result.name] = Name(name)


def settings(value: Any) -> Iterator[Setting]:
    """Yield the settings in the expressions of results."""
    return (part for part in walk(value) if isinstance(part, Setting))


def inline(value: Any, results: Mapping[str, Expression]) -> Any:
    """Return an expression with the values of results in place of their names."""
    return rewrite(value, lambda x: results.get(x.name) if isinstance(x, Name) else None)


def rewrite(value: Any, change: Callable[[Any], Any]) -> Any:
    """Return an expression with what ``change`` makes of its parts, where that is not None."""
    if (changed := change(value)) is not None:
        return changed
    match value:
        case tuple():
            return tuple(rewrite(part, change) for part in value)
        case _ if isinstance(value, Verb) and is_dataclass(value):
            names = (part.name for part in fields(value))
            return replace(value, **{name: rewrite(getattr(value, name), change) for name in names})
        case _:
            return value
