"""The functions that compute a layer by its recipe, which layers of the same kind share."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any, assert_never

from rnnspec.backends.c.names import Activation, activation, indented, loop, number
from rnnspec.backends.c.verbs import bytes_of, copied, product, unknown
from rnnspec.ir import core
from rnnspec.ir.expand import MASK, X
from rnnspec.ir.reductions import LOWEST
from rnnspec.source.verbs import SIGNS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from rnnspec.backends.c.arrays import Stored


def parameter(array: core.Param) -> str:
    """Return the parameter with an array."""
    return "table" if array.name == "embeddings" else array.name


@dataclass(frozen=True, slots=True)
class Composed:
    """The body of a function by a recipe, and what it needs.

    ``parameters`` are the names that it reads, ``vectors`` are the sizes of the vectors that it has
    in ``work``, ``kernels`` are functions of every source, and ``ahead`` is where the features of a
    backward direction begin.
    """

    lines: tuple[str, ...]
    parameters: frozenset[str]
    vectors: tuple[str, ...]
    kernels: frozenset[str]
    ahead: int


@dataclass(frozen=True, slots=True)
class Memory:
    """Where numbers are: for each step, for each unit, for both, or one number.

    ``size`` is how many units there are, and ``stride`` how far it is to the next step, if further.
    """

    pointer: str
    steps: bool
    units: bool
    step: str = "t"
    size: str = "units"
    stride: str = ""

    @property
    def row(self) -> str:
        """The numbers at the step."""
        return f"{self.pointer}{f' + {self.step} * {self.stride or self.size}' * self.steps}"

    @property
    def element(self) -> str:
        """The number at the step and at unit ``u``."""
        if not self.units:
            return f"{self.pointer}[{self.step}]" if self.steps else f"*{self.pointer}"
        return f"{self.pointer}[{f'{self.step} * {self.stride or self.size} + ' * self.steps}u]"


@dataclass(frozen=True, slots=True)
class Given:
    """What a function is given beside its recipe.

    ``memory`` says where inputs and states are, and ``to`` where the output goes. ``members`` are
    parameters that are in a structure ``memory``, with their types. With ``states``, the function
    takes one step, which is ``real`` or padding. Products with ``arrays`` that are stored as
    matrices have ``hidden`` columns. ``shared`` are parameters that other layers need, which share
    the function.
    """

    memory: Mapping[core.Expression, Memory]
    states: bool = False
    arrays: Mapping[core.Param, Stored] = field(default_factory=dict)
    to: Memory = Memory("y", steps=True, units=True)
    members: Mapping[str, str] = field(default_factory=dict)
    shared: frozenset[str] = frozenset()


def compose(results: tuple[core.Result, ...], prefix: str, given: Given) -> Composed:
    """Return the function that computes the output, and takes arrays by their names."""
    writer = _Writer(prefix, given, given.states, memory=dict(given.memory))
    writer.parameters |= {given.to.size, *given.shared}
    read = {X, *(part for part in core.walk(results) if not isinstance(part, core.Name))}
    writer.parameters |= {held.pointer for value, held in given.memory.items() if value in read}
    if given.states:
        results = tuple(replace(result, value=_of_one_step(result.value)) for result in results)
    masks = {result.name: result.value for result in results if _is_mask(result.value)}
    results = tuple(
        replace(result, value=core.inline(result.value, masks))
        for result in results
        if result.name not in masks
    )
    writer.counts = any(
        isinstance(part, core.Reduce) and _is_mask(part.x) for part in core.walk(results)
    )
    for result in results:
        writer.add(result)
    members = [name for name in given.members if name in writer.parameters]
    declared = [f"{given.members[name]}{name} = memory->{name};" for name in members]
    declared += writer.declared
    return Composed(
        (*declared, *[""][: len(declared)], *writer.lines),
        frozenset(writer.parameters.difference(members).union(["memory"][: len(members)])),
        tuple(writer.vectors),
        frozenset(writer.kernels),
        writer.ahead,
    )


_EACH_STEP = "for (size_t t = 0; t < steps; ++t) {"


@dataclass(slots=True)
class _Writer:
    """The lines so far, and what the names of a recipe stand for.

    Statistics of each unit have memory, and those over the units a variable in the loop over the
    steps, of which ``scalars`` has the names; other results are written where they are read, from
    ``values``. ``rows`` are declarations of what is computed once in each step; ``in_loop`` is true
    if the last lines are a loop over the steps. ``counts`` is true if the number of real steps is
    asked for, until a loop counts them.
    """

    prefix: str
    given: Given
    stepped: bool
    lines: list[str] = field(default_factory=list)
    declared: list[str] = field(default_factory=list)
    memory: dict[core.Expression, Memory] = field(default_factory=dict)
    values: dict[str, core.Expression] = field(default_factory=dict)
    scalars: dict[core.Expression, str] = field(default_factory=dict)
    in_loop: bool = False
    rows: list[str] = field(default_factory=list)
    counts: bool = False
    parameters: set[str] = field(default_factory=lambda: {"y"})
    kernels: set[str] = field(default_factory=set)
    vectors: list[str] = field(default_factory=list)
    sums: int = 0
    ahead: int = 0

    def add(self, result: core.Result) -> None:
        """Add the lines of a result."""
        value, name = core.inline(result.value, self.values), core.Name(result.name)
        if isinstance(value, core.SplitHeads):
            self.values[result.name] = value
            return
        steps, units = self._axes(value)
        if name == X:
            to = replace(self.given.to, steps=steps)
        elif name in self.memory:
            to = self.memory[name]
            self.parameters.add(to.pointer)
        elif units and not (steps or self.stepped):
            to = self._vector(result.name)
        elif any(isinstance(part, core.OverFeatures) for part in core.walk(value)):
            self._declare(result, value)
            return
        else:
            self.values[result.name] = value
            return
        lines = self._assign(to, value)
        if self.counts and any("real_steps" in line for line in lines):
            lines = [*self._each_step(self._count()), *lines]
        self._append(lines)
        self.memory[name] = to
        # What is computed from the value before is not computed from this one.
        self.values = {
            key: held for key, held in self.values.items() if name not in core.walk(held)
        }

    def _declare(self, result: core.Result, value: core.Expression) -> None:
        """Add the lines of a number at each step."""
        line = f"const float {result.name} = {self._write(value)};"
        rows, self.rows = self.rows, []
        about = [f"/* {result.about} */"] if result.about else []
        self._append(self._each_step([*about, *rows, line]))
        self.scalars[core.Name(result.name)] = result.name

    def _append(self, lines: list[str]) -> None:
        """Add lines; what is computed at each step goes on in the loop before it."""
        is_loop = lines[0] == _EACH_STEP and lines.index("}") == len(lines) - 1
        if is_loop and self.in_loop:
            self.lines[-1:] = lines[1:]
            return
        self.scalars, self.in_loop = {}, is_loop
        self.lines += lines

    def _vector(self, name: str, size: str = "units") -> Memory:
        """Declare memory of a number for each unit."""
        before = Counter(self.vectors).items()
        at = (f"{count} * {other}" if count > 1 else other for other, count in before)
        self.declared.append(f"float *const {name} = {' + '.join(['work', *at])};")
        self.parameters |= {"work", size}
        self.vectors.append(size)
        return Memory(name, steps=False, units=True, size=size)

    def _axes(self, value: core.Expression) -> tuple[bool, bool]:
        """Return whether a value has numbers for each step, and for each unit."""
        match value:
            case _ if value in self.memory:
                return self.memory[value].steps, self.memory[value].units
            case core.Name() if value in self.scalars:
                return True, False
            case core.Name():
                return value == MASK and not self.stepped, False
            case core.Param():
                return False, True
            case core.Reduce(_, x) | core.Pick(_, x) | core.Take(x, int()):
                return False, self._axes(x)[1]
            case core.Length(x) | core.OverFeatures(_, x) | core.Dot(x):
                return self._axes(x)[0], False
            case core.MatMul(x, kernel, transposed):
                return self._axes(x)[0], transposed or bool(self.given.arrays[kernel].parts)
            case core.Embed(x):
                return self._axes(x)[0], True
            case core.Scores():
                return True, False
            case core.CountSteps():
                return False, False
            case _:
                axes = [self._axes(part) for part in _operands(value)]
                return any(steps for steps, _ in axes), any(units for _, units in axes)

    def _assign(  # noqa: PLR0912 - a branch for each way that numbers come
        self, to: Memory, value: core.Expression
    ) -> list[str]:
        """Return the lines that put a value into memory."""
        match value:
            case core.Fill(condition, x, own) if self._stays(to, own, condition):
                lines = self._assign(to, _given(x, condition))
                return _when(self._condition(condition), lines)
            case core.Fill(condition, own, x) if self._stays(to, own, condition):
                return _when(_negated(self._condition(condition)), self._assign(to, x))
            case core.Combine("add", own, core.Fill(condition, x, 0.0)) if self._stays(
                to, own, condition
            ):
                lines = self._assign(to, core.Combine("add", own, x))
                return _when(self._condition(condition), lines)
            case core.Reduce("sum", core.Combine("multiply", weights, x)) if softmax := _softmax(
                weights
            ):
                return self._mean_by_softmax(to, *softmax, x)
            case core.Mix(weights, x) | core.Take(core.Mix(weights, x), 0) if softmax := _softmax(
                weights
            ):
                return self._mean_by_softmax(to, *softmax, x)
            case _ if to.steps and not to.units and (softmax := _softmax(value)):
                return self._weights(to, *softmax)
            case core.MergeHeads(x) | core.Take(core.MergeHeads(x), 0):
                return self._each_head(to, x)
            case core.Reduce(how, x) if all(self._axes(x)):
                return self._reduce(to, how, x)
            case core.Combine(how, first, core.Reduce(_, x) as second) if all(self._axes(x)):
                # A second statistic is in memory of its own.
                own = core.Name(f"of_{second.how}")
                self.memory[own] = memory = self._vector(own.name)
                first_lines = self._assign(memory, second)
                return [*first_lines, *self._assign(to, core.Combine(how, first, own))]
            case core.Combine(how, core.Reduce(_, x) as first, second) if all(self._axes(x)):
                return [*self._assign(to, first), *self._each(to, SIGNS[how][0], second)]
            case core.Combine(how, own, second) if how in SIGNS and self.memory.get(own) == to:
                return self._each(to, SIGNS[how][0], second)
            case core.PoolWindows():
                return self._pool(to, value)
            case core.Embed(x, table):
                return self._embed(to, x, table)
            case core.Join(parts):
                return [line for part in parts for line in self._copy(to, part)]
            case core.Pick() | core.Take():
                return self._copy(to, value)
            case 0.0 if to.units and not to.steps:
                return [f"memset({to.pointer}, 0, {bytes_of(to.size)});"]
            case core.Name() if to.units and not to.steps:
                return [copied(to.pointer, self.memory[value].pointer, "units")]
            case _:
                return self._each(to, "", value)

    def _stays(self, to: Memory, value: core.Expression, condition: core.Expression) -> bool:
        """Return whether memory has a value already, and one condition is that of all of it."""
        return self.memory.get(value) == to and not any(self._axes(condition))

    def _each(self, to: Memory, sign: str, value: core.Expression) -> list[str]:
        """Return the lines that compute each number by itself, with a sign from what it was."""
        lines = [f"{to.element} {sign}= {self._write(value)};"]
        rows, self.rows = self.rows, []
        lines = list(loop("u", "units", lines)) if to.units else lines
        return self._each_step([*rows, *[""][: len(rows)], *lines]) if to.steps else lines

    def _each_step(self, lines: list[str], first: int = 0) -> list[str]:
        """Return a loop over the steps."""
        self.parameters.add("steps")
        head = _EACH_STEP.replace("t = 0", f"t = {first}")
        return [head, *indented(lines), "}"]

    def _count(self, *, real: bool = False) -> list[str]:
        """Return the line that counts a real step, unless there is one."""
        if not self.counts:
            return []
        self.counts = False
        self.declared.insert(0, "size_t real_steps = 0;")
        return ["++real_steps;" if real else f"real_steps += {self._condition(MASK)};"]

    def _reduce(self, to: Memory, how: str, x: core.Expression) -> list[str]:
        """Return the lines of a statistic over the steps."""
        filler: float | None = None
        condition = ""
        match x:
            case core.Fill(core.Column(core.Name()) as mask, inner, float() as value):
                x, filler, condition = inner, value, self._condition(mask)
            case _:
                pass
        own, first = core.Name(""), 0
        self.memory[own] = to
        match how:
            case "max" | "min":
                greater = core.Combine("greater", *((x, own) if how == "max" else (own, x)))
                step = self._each(to, "", core.Fill(greater, x, own))
                # Without a filler, it begins with the first step.
                start = self._assign(to, core.Take(x, 0) if filler is None else filler)
                first = int(filler is None)
            case _:
                step, start = self._each(to, "+", x), self._assign(to, 0.0)
        del self.memory[own]
        if condition:
            step = _when(condition, [*step, *self._count(real=True)])
        mean = self._each(to, "/", core.CountSteps(x)) if how == "mean" else []
        return [*start, *self._each_step(step, first), *mean]

    def _mean_by_softmax(
        self,
        to: Memory,
        scores: core.Expression,
        condition: core.Expression | None,
        x: core.Expression,
    ) -> list[str]:
        """Return the lines of the sum of steps weighted by the softmax of their scores, in one go.

        The sums are of exponentials of scores less the highest so far, so none overflows. A higher
        one makes those before it smaller.
        """
        self.kernels.add("exp")
        score, rows = self._write(scores), self.rows
        self.rows = []
        mean = f"kept * {to.element} + weight * {self._write(x, 2)}"
        step = [
            *rows,
            f"const float own = {score};",
            "const int is_higher = total <= 0.0f || own > highest;",
            "const float less = is_higher ? highest - own : own - highest;",
            f"const float power = total > 0.0f ? {self.prefix}_exp(less) : 0.0f;",
            "const float kept = is_higher ? power : 1.0f, weight = is_higher ? 1.0f : power;",
            "",
            *loop("u", to.size, [f"{to.element} = {mean};"]),
            "total = kept * total + weight;",
            "highest = is_higher ? own : highest;",
        ]
        divided = list(loop("u", to.size, [f"{to.element} /= total;"]))
        if condition is not None:
            step = _when(self._condition(condition), step)
            divided = _when("total > 0.0f", divided)
        self.declared.append("float highest = 0.0f, total = 0.0f;")
        return [*self._assign(to, 0.0), *self._each_step(step), *divided]

    def _weights(
        self, to: Memory, scores: core.Expression, condition: core.Expression | None
    ) -> list[str]:
        """Return the lines of the softmax of the score of each step."""
        self.kernels.add("exp")
        score, rows = self._write(scores), self.rows
        self.rows = []
        own = to.element
        step = [
            *rows,
            f"{own} = {score};",
            f"highest = seen == 0 || {own} > highest ? {own} : highest;",
            "++seen;",
        ]
        powers = [f"{own} = {self.prefix}_exp({own} - highest);", f"total += {own};"]
        shares = [f"{own} /= total;"]
        if condition is not None:
            real = self._condition(condition)
            step, powers, shares = (_when(real, lines) for lines in (step, powers, shares))
            step = [f"{own} = 0.0f;", *step]
        self.declared.append("float highest = 0.0f, total = 0.0f;")
        self.declared.append("size_t seen = 0;")
        loops = (self._each_step(lines) for lines in (step, powers, shares))
        return [line for lines in loops for line in lines]

    def _each_head(self, to: Memory, value: core.Expression) -> list[str]:
        """Return the lines that compute each head, which has its part of each row."""
        split = dict.fromkeys(
            part for part in core.walk(value) if isinstance(part, core.SplitHeads)
        )
        whole = {part: self.memory[_unrepeated(part.x)] for part in split}
        own = {part: _of_head(memory) for part, memory in whole.items()}
        sizes = dict.fromkeys(memory.size for memory in (*whole.values(), to))
        self.parameters |= {"heads", *sizes}
        declared = self.declared
        self.declared, self.memory = [], self.memory | own
        lines = self._assign(_of_head(to), value)
        self.parameters -= {memory.size for memory in own.values()}
        places = {memory.pointer: memory.size for memory in (*whole.values(), to)}
        pointers = [
            f"float *const head_{pointer} = {pointer} + head * head_{size};"
            for pointer, size in places.items()
        ]
        reads = [f"const {line}" for line in pointers[:-1]]
        body = [*reads, pointers[-1], *self.declared, "", *lines]
        parts = [f"const size_t head_{size} = {size} / heads;" for size in sizes]
        self.declared = [*declared, *parts]
        return list(loop("head", "heads", body))

    def _row(self, value: core.Expression) -> str:
        """Return the numbers of a value at step ``t``, after lines that compute them if need be."""
        match value:
            case _ if value in self.memory:
                memory = self.memory[value]
                self.parameters.add(memory.size)
                return memory.row
            case core.Repeat(x):
                return self._row(x)
            case core.Param():
                return parameter(value)
            case core.Apply(function, x):
                row, made = self._row(x), activation(function)
                if x in self.memory:
                    to = self._vector("projected", self.memory[x].size)
                    self.rows.append(copied(to.pointer, row, to.size))
                    row = to.pointer
                if made.name != "linear":
                    self.kernels.add(made.function)
                    call = f"{self.prefix}_{made.function}({row}, {self._size(x)}{made.more});"
                    self.rows.append(call)
                return row
            case core.Combine("add", core.MatMul() as total, core.Param() as bias):
                return self._product(total, parameter(bias))
            case core.MatMul():
                return self._product(value, "")
            case _:
                raise unknown(value)

    def _product(self, total: core.MatMul, bias: str) -> str:
        """Return the numbers of a product with a matrix."""
        to, suffix = self._vector("projected", "hidden"), self._suffix(total.kernel)
        name, sizes = parameter(total.kernel), (self._size(total.x), to.size)
        weights = f"{name}, {name}_scale" if suffix else name
        x = self._row(total.x)
        self.kernels.add(f"product{suffix}")
        call = f"{self.prefix}_product{suffix}({weights}"
        self.rows += product(call, bias, x, sizes, to.pointer)
        return to.pointer

    def _suffix(self, array: core.Param) -> str:
        """Return how the functions end that take an array."""
        return "_int8" if self.given.arrays[array].rounded else ""

    def _size(self, value: core.Expression) -> str:
        """Return how many numbers a value has at a step."""
        match value:
            case _ if value in self.memory:
                return self.memory[value].size
            case core.MatMul():
                return "hidden"
            case core.Apply(_, x) | core.Combine("add", x, core.Param()):
                return self._size(x)
            case _:
                raise unknown(value)

    def _mean_of_features(self, x: core.Expression) -> str:
        """Return the mean of the features of a step, after the lines of their sum."""
        self.sums += 1
        name = f"sum_{self.sums}"
        lines = loop("u", "units", [f"{name} += {self._write(x)};"])
        self.rows += [f"float {name} = 0.0f;", "", *lines]
        return f"{name} / (float)units"

    def _dot(self, one: str, other: str, size: str) -> str:
        """Return the product of two vectors."""
        self.kernels.add("dot")
        return f"{self.prefix}_dot({one}, {other}, {size})"

    def _added(self, query: core.Expression, key: core.Expression, function: Activation) -> str:
        """Return an activation of query + key, after the lines that compute it."""
        to = self._vector("hidden", self._size(key))
        total = f"{to.element} = {self._write(query)} + {self._write(key)};"
        self.rows += loop("u", to.size, [total])
        if function.name != "linear":
            self.kernels.add(function.function)
            call = f"{self.prefix}_{function.function}({to.pointer}, {to.size}{function.more});"
            self.rows.append(call)
        return to.pointer

    def _product_with_table(self, x: core.Expression, table: core.Param) -> str:
        """Return the product of the numbers of a step with row ``u`` of a table."""
        name, suffix, size = parameter(table), self._suffix(table), self._size(x)
        self.kernels.add(f"dot{suffix}")
        self.parameters.add(size)
        total = f"{self.prefix}_dot{suffix}({self._row(x)}, {name} + u * {size}, {size})"
        return f"{name}_scale[u] * {total} * {self.prefix.upper()}_MORE" if suffix else total

    def _embed(self, to: Memory, x: core.Expression, table: core.Param) -> list[str]:
        """Return the lines that copy rows of a table."""
        name, index = parameter(table), self._write(x)
        at = f"(size_t){index} * {to.size}"
        if not self._suffix(table):
            return self._each_step([copied(to.row, f"{name} + {at}", to.size)])
        number_of = f"{name}_scale[{index}] * (float){name}[{at} + u]"
        return self._each_step(list(loop("u", to.size, [f"{to.element} = {number_of};"])))

    def _pool(self, to: Memory, pool: core.PoolWindows) -> list[str]:
        """Return the lines of a statistic over the real steps ``at`` of each window."""
        self.parameters |= {"windows", "size", "stride", "steps"}
        before = " - before" if "before" in self.parameters else ""
        real = " && (!mask || mask[at])" if "mask" in self.parameters else ""
        row, x = replace(to, steps=False), self.memory[pool.x]
        self.memory[pool.x] = replace(x, step="at")
        match pool.how:
            case "max":
                largest = f"count == 0 || value > {row.element} ? value : {row.element}"
                value = f"const float value = {self._write(pool.x)};"
                lines = loop("u", "units", [value, "", f"{row.element} = {largest};"])
                mean = list[str]()
            case "mean":
                lines = iter(self._each(row, "+", pool.x))
                divided = f"{row.element} /= (float)(count > 0 ? count : 1);"
                mean = list(loop("u", "units", [divided]))
            case _:
                assert_never(pool.how)
        self.memory[pool.x] = x
        at = f"const size_t at = t * stride + k{before};"
        counted = _when(f"at < steps{real}", [*lines, "++count;"])
        body = ["size_t count = 0;", "", *self._assign(row, 0.0)]
        body += [*loop("k", "size", [at, "", *counted]), *mean]
        head = f"for (size_t t = 0; t < windows; ++t, {to.pointer} += units) {{"
        return [head, *indented(body), "}"]

    def _copy(self, to: Memory, value: core.Expression) -> list[str]:
        """Return the lines that copy features of a step."""
        lines, row = list[str](), "0"
        features: tuple[int, int | None] = (0, None)
        match value:
            case core.Pick(row, x, mask):
                self.parameters.add("steps")
                backwards = row == "last"
                self.declared.append(f"size_t {row} = {'steps - 1' if backwards else '0'};")
                left = "last > 0" if backwards else "first + 1 < steps"
                real = self._condition(mask).replace("[t]", f"[{row}]")
                step = f"    {'--' if backwards else '++'}{row};"
                lines = [f"while ({left} && !{real}) {{", step, "}"]
                features = x.features if isinstance(x, core.Take) else features
            case core.Take(_, step, features):
                row = "(steps - 1)" if step else "0"
            case _:
                raise unknown(value)
        start, end = features
        self.ahead = start or end or 0
        at, size = (" + ahead", "units - ahead") if start else ("", "ahead" if end else "units")
        self.parameters |= {"ahead"} if self.ahead else set()
        x_row = f" + {row} * units" if row != "0" else ""
        return [*lines, copied(f"{to.pointer}{at}", f"x{x_row}{at}", size)]

    def _condition(self, value: core.Expression) -> str:
        """Return a condition at step ``t``."""
        match value:
            case core.Name() if value == MASK:
                self.parameters.add("real" if self.stepped else "mask")
                return "real" if self.stepped else "mask[t]"
            case core.Column(mask) | core.Row(mask):
                return self._condition(mask)
            case core.Reduce("any", x) if _is_mask(x):
                return "real_steps > 0"
            case _:
                return self._write(value)

    def _write(  # noqa: PLR0912 - a branch for each verb
        self, value: core.Expression, binding: int = 0
    ) -> str:
        """Return an expression at step ``t``, in parentheses if its operator binds less."""
        match value:
            case float():
                return number(value)
            case core.Setting(name):
                return name
            case core.Repeat(x):
                return self._write(x, binding)
            case _ if value in self.memory:
                self.parameters |= {self.memory[value].pointer} if self.stepped else set()
                return self.memory[value].element
            case core.Param():
                return f"{parameter(value)}[u]"
            case core.Name() if value in self.scalars:
                return self.scalars[value]
            case core.OverFeatures("mean", x):
                return self._mean_of_features(x)
            case core.Function("sqrt", x):
                self.kernels.add("sqrtf")
                return f"sqrtf({self._write(x)})"
            case core.Combine(("maximum" | "minimum") as how, left, right):
                self.kernels.add(how)
                return f"{self.prefix}_{how}({self._write(left)}, {self._write(right)})"
            case core.Combine(how, left, right):
                sign, rank = SIGNS[how]
                text = f"{self._write(left, rank)} {sign} {self._write(right, rank + 1)}"
                return f"({text})" if rank < binding else text
            case core.Fill(condition, x, otherwise):
                parts = self._condition(condition), self._write(x), self._write(otherwise)
                text = f"{parts[0]} ? {parts[1]} : {parts[2]}"
                return f"({text})" if binding else text
            case core.Reduce("sum", x) if _is_mask(x):
                return "(float)real_steps"
            case core.CountSteps():
                self.parameters.add("steps")
                return "(float)steps"
            case core.Length(x) if x in self.memory:
                self.kernels.add("sqrtf")
                row = self._row(x)
                length = self._dot(row, row, self._size(x))
                self.rows.append(f"const float length = sqrtf({length});")
                return "length"
            case core.MatMul(x, table, True):
                return self._product_with_table(x, table)
            case core.Dot(x, vector) | core.MatMul(x, vector):
                return self._dot(self._row(x), self._row(vector), self._size(x))
            case core.Scores(query, key, None):
                return self._dot(self._row(query), self._row(key), self._size(key))
            case core.Scores(query, key, core.Param() as vector, function):
                added = self._added(query, key, activation(function))
                return self._dot(parameter(vector), added, self._size(key))
            case _ if _is_mask(value):
                return f"(float){self._condition(value)}"
            case _:
                raise unknown(value)


def _of_head(memory: Memory) -> Memory:
    """Return where the part of a head is."""
    pointer, size = f"head_{memory.pointer}", f"head_{memory.size}"
    return replace(memory, pointer=pointer, size=size, stride=memory.size)


def _unrepeated(value: core.Expression) -> core.Expression:
    return value.x if isinstance(value, core.Repeat) else value


def _when(condition: str, lines: list[str]) -> list[str]:
    return [f"if ({condition}) {{", *indented(lines), "}"]


def _negated(condition: str) -> str:
    return condition.replace("> 0", "== 0") if " > 0" in condition else f"!{condition}"


def _is_mask(value: core.Expression) -> bool:
    return value in (MASK, core.Column(MASK))


def _softmax(
    weights: core.Expression,
) -> tuple[core.Expression, core.Expression | None] | None:
    """Return the scores of which weights are the softmax, and which steps alone have a weight."""
    match weights:
        case core.Softmax(scores) | core.Apply("softmax", scores):
            return scores, None
        case core.Fill(condition, core.Softmax(filled) | core.Apply("softmax", filled), 0.0):
            match filled:
                case core.Fill(asked, scores, lowest) if (asked, lowest) == (condition, LOWEST):
                    return scores, condition
            return None
        case _:
            return None


def _operands(value: Any) -> Iterator[core.Expression]:
    """Yield what an expression is made of."""
    if is_dataclass(value) and isinstance(value, core.Verb):
        for part in (getattr(value, named.name) for named in fields(value)):
            yield from (
                one
                for one in (part if isinstance(part, tuple) else (part,))
                if isinstance(one, core.Verb)
            )


def _changed(value: Any, change: Callable[[Any], Any]) -> Any:
    """Return an expression with its parts changed, and then itself."""
    match value:
        case tuple():
            return tuple(_changed(part, change) for part in value)
        case _ if isinstance(value, core.Verb) and is_dataclass(value):
            names = [part.name for part in fields(value)]
            parts = {name: _changed(getattr(value, name), change) for name in names}
            return change(replace(value, **parts))
        case _:
            return value


def _of_one_step(value: core.Expression) -> Any:
    """Return an expression for one step, where the step is all statistics of it."""

    def change(part: core.Expression) -> core.Expression:
        match part:
            case core.Reduce(_, x) | core.Pick(_, x) | core.Column(x):
                return x
            case core.CountSteps():
                return 1.0
            case _:
                return part

    return _changed(value, change)


def _given(value: core.Expression, condition: core.Expression) -> Any:
    """Return an expression where a condition is known to be true."""

    def change(part: core.Expression) -> core.Expression:
        match part:
            case core.Fill(asked, x, _) if asked == condition:
                return x
            case _:
                return part

    return _changed(value, change)
