"""The verbs of the core as Python: the expressions and statements of recipes."""

from __future__ import annotations

from abc import ABC
from dataclasses import dataclass, field
from math import isinf
from typing import TYPE_CHECKING, ClassVar, assert_never

from rnnspec.errors import GenerationError
from rnnspec.ir import core
from rnnspec.ir.expand import is_state, running
from rnnspec.ir.forms import states_of
from rnnspec.source.code import Code, assignment, code, docstring, lines, listed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from rnnspec.ir import nodes

SIGNS = {"greater": (">", 0), "add": ("+", 1), "subtract": ("-", 1)} | {
    "multiply": ("*", 2),
    "divide": ("/", 2),
}
"""The operator of each combination, and how strongly it binds."""


@dataclass(frozen=True)
class Verbs(ABC):
    """A framework whose arrays have operators and methods.

    ``variables`` has the names of a recipe that stand for other expressions until they are
    assigned, and those of settings that are attributes. ``array`` is the type of its arrays,
    ``space`` the module of its functions, ``axis`` the keyword for an axis, ``keep`` the argument
    that keeps an axis which is reduced, and ``reductions`` the methods that are not named as the
    verb is.
    """

    array: ClassVar[str]
    space: ClassVar[str]
    axis: ClassVar[str]
    keep: ClassVar[str]
    reductions: ClassVar[Mapping[str, str]] = {}

    variables: dict[str, Code] = field(default_factory=dict, kw_only=True)

    def statements(self, results: Iterable[core.Result]) -> Iterator[Code]:
        """Yield the statements of a recipe."""
        for result in results:
            yield self._comment(result)
            yield from self.assign(result.name, result.value)
            self.variables.pop(result.name, None)

    def _comment(self, result: core.Result) -> Code:
        return code("# {}", Code(result.about)) if result.about else Code()

    def assign(self, name: str, value: core.Expression) -> Iterator[Code]:
        """Yield the statements that give a name to the value of an expression."""
        yield assignment([name], self.write(value))

    def write(  # noqa: PLR0912 - a branch for each verb
        self, value: core.Expression
    ) -> Code:
        """Return an expression."""
        match value:
            case float():
                return self._number(value)
            case core.Name(name):
                return self.variables.get(name) or code("{}", name)
            case core.Combine("maximum" | "minimum" as how, left, right):
                operands = map(self.write, (left, right))
                return code("{}.{}({})", self.space, how, listed(*operands))
            case core.Combine("subtract", 0.0, x):
                return code("-{}", self._operand(x))
            case core.Combine(how, left, right):
                sign, rank = SIGNS[how]
                before, after = self._operand(left, rank), self._operand(right, rank + 1)
                return code("{} {} {}", before, Code(sign), after)
            case core.Param(_, name):
                # In a class of layers, which has its arrays.
                return code("self.{}", name)
            case core.Setting(name, number):
                return self.variables.get(name) or self._number(number)
            case core.EarlierOutput(name):
                # In a class of layers, too, which takes it as an argument.
                return code("{}", name)
            case core.EarlierMask():
                return code("mask")
            case core.Function(how, x):
                return code("{}.{}({})", self.space, how, self.write(x))
            case core.OverFeatures(how, x):
                along = listed(code("{}=-1", self.axis), Code(self.keep))
                return code("{}.{}({})", self._operand(x), self.reductions.get(how, how), along)
            case core.MatMul(x, kernel, transposed):
                end = ".T" if transposed else ""
                factor = self.write(x) if isinstance(x, core.MatMul) else self._operand(x)
                return code("{} @ {}{}", factor, self.write(kernel), Code(end))
            case core.Column(mask):
                return code("{}.expand_dims({}, -1)", self.space, self.write(mask))
            case core.Fill(condition, x, otherwise):
                parts = map(self.write, (condition, x, otherwise))
                return code("{}.where({})", self.space, listed(*parts))
            case core.Reduce(how, x, keep):
                along = listed(code("{}=1", self.axis), Code(self.keep if keep else ""))
                return code("{}.{}({})", self._operand(x), self.reductions.get(how, how), along)
            case core.CountSteps(x):
                return code("{}.shape[1]", self.write(x))
            case core.Join(parts, axis):
                joined, number = listed(*map(self.write, parts)), 1 if axis == "steps" else -1
                return code("{}.concatenate([{}], axis={!r})", self.space, joined, number)
            case core.Slice(x, start, end):
                return code("{}[:, {!r}:{!r}]", self._operand(x), start, end)
            case core.Scores(queries, keys, None):
                one, other = self._operand(queries), self._operand(keys)
                # Names are those of heads, which have an axis before the steps.
                axes = Code("2, 3" if isinstance(keys, core.Name) else "1, 2")
                return code("{} @ {}.swapaxes({})", one, other, axes)
            case core.Mix(weights, x):
                return code("{} @ {}", self._operand(weights), self.write(x))
            case core.SplitHeads(x, number):
                split = "{x}.reshape(*{x}.shape[:2], {}, -1).swapaxes(1, 2)"
                return code(split, self.write(number), x=self._operand(x))
            case core.MergeHeads(x):
                merge = "{x}.swapaxes(1, 2).reshape({x}.shape[0], {x}.shape[2], -1)"
                return code(merge, x=self._operand(x))
            case core.Row(mask, heads):
                return code("{}[:, None{}]", self.write(mask), Code(", None" * heads))
            case core.Seen(scores, real):
                ones = code("{}.ones_like({}, dtype=bool)", self.space, self.write(scores))
                seen = code("{}.tril({})", self.space, ones)
                return code("{} & {}", self.write(real), seen) if real else seen
            case core.Dot(x, vector):
                return code("{} @ {}", self._operand(x), self.write(core.Column(vector)))
            case core.Repeat(core.EarlierOutput() as x, 1):
                return code("{}.expand_dims({}, 1)", self.space, self.write(x))
            case core.Transpose(x):
                return code("{}.swapaxes(1, 2)", self._operand(x))
            case core.Take(x, steps, features):
                return code("{}[:, {}]", self._operand(x), _index(steps, features))
            case (
                core.Memory()
                | core.Embed()
                | core.Scan()
                | core.Scores()
                | core.Conv()
                | core.PoolWindows()
                | core.Apply()
                | core.Drop()
                | core.Norm()
                | core.Length()
                | core.Softmax()
                | core.Pick()
                | core.Flatten()
                | core.Repeat()
                | core.Spread()
            ):
                verb = type(value).__name__
                raise GenerationError(f"the verb {verb} is not supported here in {self.space}")
            case _:
                assert_never(value)

    def _number(self, value: float) -> Code:
        if isinf(value):
            return code("{}{}.inf", Code("-" if value < 0 else ""), self.space)
        return code("{!r}", int(value) if value.is_integer() and abs(value) < 1 << 53 else value)

    def _operand(self, value: core.Expression, binding: int = 3) -> Code:
        """Return an expression, in parentheses if its operator binds less."""
        return code("({})" if self._binding(value) < binding else "{}", self.write(value))

    def _binding(self, value: core.Expression) -> int:
        """Return how strongly the operator of an expression binds, 3 for what has none."""
        match value:
            case core.Combine(how) if how in SIGNS:
                return SIGNS[how][1]
            case core.MatMul():
                return 2
            case _:
                return 3

    def running(self, layers: Iterable[nodes.Pooling]) -> Iterator[Code]:
        """Yield the function of each statistic over the steps of all chunks so far."""
        for layer in {layer.statistic: layer for layer in layers if states_of(layer)}.values():
            yield self._running(layer)

    def _running(self, layer: nodes.Pooling) -> Code:
        return self.pooling(
            f"running_{layer.statistic}",
            running(layer),
            tuple(layer.reduction.states),
            masked=layer.masked,
            about=_about_running(layer),
        )

    def pooling(
        self,
        name: str,
        recipe: Iterable[core.Result],
        states: Sequence[str] = (),
        *,
        masked: bool,
        about: Code,
    ) -> Code:
        """Return the function of a statistic, which returns its states too."""
        *results, result = recipe
        returned = [] if isinstance(result.value, core.Name) else [self.write(result.value)]
        # A state that no other result is computed from has no statement of its own.
        last = results.pop() if returned == [] else None
        returned += [
            self.write(last.value) if last and state == last.name else code("{}", state)
            for state in states
        ]
        parameters = ("x", "mask", *states) if masked else ("x", *states)
        arrays = [code("{}", self.array)] * len(returned)
        return code(
            """
            def {name}({parameters}) -> {arrays}:
                {docstring}
                {body}
                return {returned}
            """,
            name=name,
            parameters=listed(*(code("{}: {}", key, self.array) for key in parameters)),
            arrays=arrays[0] if len(arrays) == 1 else code("tuple[{}]", listed(*arrays)),
            docstring=about,
            body=lines(
                lines(self._comment(result), code("{} = {}", result.name, self.write(result.value)))
                for result in results
            ),
            returned=listed(*returned),
        )


def _about_running(layer: nodes.Pooling) -> Code:
    """Return the docstring of a function that pools over all chunks of a sequence so far."""
    reduction, (*others, last) = layer.reduction, layer.reduction.states.values()
    steps = f"all {'real steps' if layer.masked else 'steps'} so far"
    over = f"{'of' if reduction.noun == 'last' else 'over'} {steps}"
    states = ", and the new count of steps" if reduction.counts else ""
    if not is_state(layer):
        states = f", with the new {' and '.join(filter(None, (', '.join(others), last)))}"
    return docstring([f"Return the {reduction.noun} {over}{states}."])


def _index(steps: int | tuple[int, int], features: tuple[int, int | None]) -> Code:
    """Return the index of some steps and features."""
    if isinstance(steps, int):
        along = code("{!r}", steps)
    else:
        first, stride = steps
        along = Code(f"{first or ''}:{f':{stride}' if stride > 1 else ''}")
    start, end = features
    if features == (0, None):
        return along
    return code("{}, {}", along, Code(f"{start or ''}:{'' if end is None else end}"))
