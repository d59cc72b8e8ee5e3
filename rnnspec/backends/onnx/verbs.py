"""The verbs of the core as nodes of a graph: the recipe of one layer."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, assert_never

from rnnspec.backends.onnx.graph import BOOL, FLOAT
from rnnspec.backends.onnx.sequences import TO_END
from rnnspec.backends.onnx.slots import after, array
from rnnspec.errors import GenerationError
from rnnspec.ir import core, nodes
from rnnspec.ir.core import inline
from rnnspec.ir.expand import MASK, expand, of_all_steps
from rnnspec.ir.forms import states_of
from rnnspec.ir.reductions import HIGHEST, LOWEST

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rnnspec.backends.onnx.graph import Attribute, Builder
    from rnnspec.backends.onnx.sequences import Axes, Padding

_OverSteps = (
    core.Column
    | core.Fill
    | core.Reduce
    | core.CountSteps
    | core.Softmax
    | core.Take
    | core.Pick
    | core.Repeat
)
_HIGHEST = 3.4028234663852886e38
"""The highest number of float32, which is no minimum over real steps; infinity has no literal."""
_NUMBERS = {
    0.0: ("Zero", 0.0),
    1.0: ("Least", 1.0),
    1e-12: ("Least_Norm", 1e-12),
    LOWEST: ("Lowest", -_HIGHEST),
    HIGHEST: ("Highest", _HIGHEST),
    -inf: ("Lowest", -_HIGHEST),
}
_OPERATORS = {
    "add": "Add",
    "subtract": "Sub",
    "multiply": "Mul",
    "divide": "Div",
    "maximum": "Max",
    "minimum": "Min",
    "greater": "Greater",
    "sum": "ReduceSum",
    "mean": "ReduceMean",
    "max": "ReduceMax",
    "min": "ReduceMin",
}
_RESULTS = {
    "steps": ("Steps",),
    **{name: (name.capitalize(),) for name in ("queries", "keys", "values", "context")},
    "scores": ("Score", "Real_Score"),
    "seen": ("Seen",),
    "share": ("Share",),
    "mean": ("Mean",),
    "variance": ("Variance",),
    "deviation": ("Deviation",),
    "found": ("Chunk", "So_Far"),
}
"""How the names of results end, each time that a recipe has one of them."""
_ENDS: dict[type, str] = {
    core.MatMul: "Product",
    core.Apply: "Hidden",
    core.Fill: "Kept",
    core.CountSteps: "Steps",
    core.Length: "Norm",
    core.Softmax: "Weight",
    core.Mix: "Mean",
    core.Join: "Joined",
}
"""How the names of other values end."""


@dataclass(slots=True)
class Recipe:
    """The nodes of one layer, each expression of its recipe once.

    ``axes`` are those of its input, and ``output_axes`` those of its output. ``padding`` is what it
    skips, and ``padding_after`` that of its windows. ``values`` has its input, and what it takes of
    other layers.
    """

    into: Builder
    layer: nodes.Layer
    values: dict[core.Expression, str]
    arrays: Mapping[core.Param, str]
    axes: Axes
    output_axes: Axes
    padding: Padding | None
    padding_after: Padding | None
    stepped: bool
    names: dict[core.Expression, str] = field(default_factory=dict)
    used_names: set[str] = field(default_factory=set)

    def add(self, output: str) -> None:
        """Add all nodes; the last one is named ``output``."""
        layer, results = self.layer, dict[str, core.Expression]()
        states = [state.name for state in states_of(layer)] if self.stepped else []
        own_names: Sequence[str] = states
        if states and isinstance(layer, nodes.Pooling):
            own_names = tuple(layer.reduction.states)
        self.values.update(zip(map(core.Name, own_names), states, strict=True))
        ends = {name: iter(names) for name, names in _RESULTS.items()}
        for result in of_all_steps(expand(layer, "step" if self.stepped else "inference")):
            value = results[result.name] = inline(result.value, results)
            if result.name in ends:
                self.names[value] = next(ends[result.name], "")
        for own, state in zip(own_names, states, strict=True):
            self._put(results[own], after(state))
        self._put(results["x"], output)

    def _put(self, value: core.Expression, output: str) -> None:
        if (name := self._write(value, output)) != output:
            self.into.add(output, "Identity", name)

    def _write(self, value: core.Expression, name: str = "") -> str:
        """Add the nodes of an expression, unless they are there, and return its value."""
        if value not in self.values:
            end = self.names.get(value) or _end(value, stepped=self.stepped)
            # Before its operands are written, which may be of the same kind.
            self.values[value] = self._add(value, self._name(end, name))
        return self.values[value]

    def _name(self, end: str, name: str = "") -> str:
        """Return a name that no other value of the recipe has."""
        name = name or array(self.layer.name, end)
        while name in self.used_names or name in self.values.values():
            name += "_Again"
        self.used_names.add(name)
        return name

    def _add(  # noqa: PLR0912, PLR0915 - a branch for each verb
        self, value: core.Expression, name: str
    ) -> str:
        into, axes, write = self.into, self.axes, self._write
        match value:
            case float():
                name, number = _NUMBERS.get(value, ("", value))
                return into.scalar(name, number) if name else into.number("Number", number)
            case core.Param():
                return self.arrays[value]
            case core.Setting(_, number):
                return write(number)
            case core.Function(how, x):
                return into.add(name, how.capitalize(), write(x))
            case core.OverFeatures(how, x):
                place = self.output_axes.index("f")
                along = (
                    ("Axis_last", -1) if self.output_axes[-1] == "f" else (f"Axis_{place}", place)
                )
                operator = f"Reduce{how.capitalize()}"
                return into.add(name, operator, write(x), into.integers(*along), keepdims=1)
            case core.Slice(x, start, end):
                return self._features(x, start, end, name)
            case core.Combine("divide", 1.0, float(size)):
                return into.scalar(f"Least_{size:.0f}", 1 / size)
            case core.Combine("add", core.Conv() as conv, core.Param() as bias):
                return self._conv(conv, name, bias)
            case core.Combine("add", core.MatMul() as product, core.Param() as bias) if (
                axes == "bf"
            ):
                return self._gemm(product, name, bias)
            case core.Combine(_, _, core.Param()) if self.output_axes == "bfs":
                raise self._error(value)
            case core.Combine(how, left, right):
                operands = write(left), write(right)
                return into.add(name, _OPERATORS[how], *operands)
            case core.Embed(x, table):
                return into.add(name, "Gather", write(table), write(x))
            case core.MatMul() if axes == "bf" and self._is_turned(value):
                return self._gemm(value, name)
            case core.MatMul(x, kernel):
                factors = [write(x), write(kernel)]
                if self._is_turned(value):
                    # The vectors of an embedding are the columns of a tied kernel.
                    own = kernel.layer == self.layer.name
                    about = self._name("Columns") if own else array(self.layer.name, "Kernel")
                    factors[1] = into.add(about, "Transpose", factors[1], perm=(1, 0))
                return into.add(name, "MatMul", *factors)
            case core.Conv():
                return self._conv(value, name)
            case core.PoolWindows():
                return self._pool(value, name)
            case core.Apply(function, x):
                axis = self.output_axes.index("f") - len(self.output_axes)
                total = write(x, "" if x in self.names else array(self.layer.name, "Sum"))
                return into.activate(name, total, function, axis)
            case core.Norm(over="given" | "features"):
                return self._norm(value, name)
            case core.Length(x):
                place = axes.index("f")
                along = ("Axis_last", -1) if axes[-1] == "f" else (f"Axis_{place}", place)
                return into.add(name, "ReduceL2", write(x), into.integers(*along))
            case core.Join(parts, axis):
                last = axes.index("s") if axis == "steps" else axes.index("f") - len(axes)
                return into.add(name, "Concat", *map(write, parts), axis=last)
            case core.Flatten(x):
                return into.add(name, "Flatten", write(x), axis=1)
            case core.SplitHeads() | core.MergeHeads() | core.Row(heads=True) | core.Seen():
                return self._of_queries(value, name)
            case core.Scores():
                return self._scores(value, name)
            case core.Mix(weights, x):
                return into.add(name, "MatMul", write(weights), write(x))
            case core.Dot(x, vector) if axes == "bsf":
                at = into.integers("Axis_last", -1)
                column = into.add(self._name("Column"), "Unsqueeze", write(vector), at)
                return into.add(name, "MatMul", write(x), column)
            case core.Dot(x, vector):
                terms = into.add(self._name("Product"), "Mul", write(x), write(vector))
                return into.add(name, "ReduceSum", terms, into.integers("Axis_last", -1))
            case core.Transpose(x):
                return into.add(name, "Transpose", write(x), perm=(0, 2, 1))
            case (
                core.Name()
                | core.EarlierOutput()
                | core.EarlierMask()
                | core.Memory()
                | core.Row()
                | core.Norm()
                | core.Scan()
                | core.Spread()
                | core.Drop()
            ):
                raise self._error(value)
            case _:
                return self._add_over_steps(value, name)

    def _error(self, value: core.Expression) -> GenerationError:
        verb = type(value).__name__
        return GenerationError(f"{self.layer.name}: the verb {verb} is not supported here in ONNX")

    def _add_over_steps(  # noqa: PLR0912 - a branch for each verb
        self, value: _OverSteps, name: str
    ) -> str:
        into, write, axis = self.into, self._write, self.axes.find("s")
        along, padding = f"Axis_{axis}", self.padding
        match value:
            case core.Column() if padding:
                return padding.is_real(self.axes)
            case core.Fill(core.Combine("greater", highest, limit), x, zero) if (
                highest,
                limit,
            ) == (x, -inf) and self.padding_after:
                # Windows of padding alone are padding, and others that are may be zeros too.
                parts = write(x), write(zero)
                return into.add(name, "Where", self.padding_after.is_real("bfs"), *parts)
            case core.Fill(condition, x, otherwise):
                parts = write(x), write(otherwise)
                return into.add(name, "Where", write(condition), *parts)
            case core.Reduce("sum", core.Column() as real, keep=True):
                return write(core.Reduce("sum", core.Fill(real, 1.0, 0.0), keep=True))
            case core.Reduce("sum", mask) if _is_mask(mask) and padding:
                return padding.count()
            case core.Reduce("any", mask) if _is_mask(mask) and padding:
                return padding.exists()
            case core.Reduce(("sum" | "mean" | "max" | "min") as how, x, keep):
                operands = write(x), into.integers(along, axis)
                return into.add(name, _OPERATORS[how], *operands, keepdims=int(keep))
            case core.CountSteps(x):
                number = into.add(name, "Shape", write(x), start=axis, end=axis + 1)
                return into.add(f"{name}_Float", "Cast", number, to=FLOAT)
            case core.Softmax(x):
                return into.add(name, "Softmax", write(x), axis=axis)
            case core.Take(x, -1, (0, None)):
                return into.add(name, "Gather", write(x), into.scalar("Last", -1), axis=axis)
            case core.Take(x, 0, (0, None)):
                return into.add(name, "Gather", write(x), into.scalar("First", 0), axis=axis)
            case core.Take(x, (-1 | 0) as step, (lower, upper)):
                return self._features(core.Take(x, step), lower, upper, name)
            case core.Take(x, (0, 1), (lower, upper)):
                return self._features(x, lower, upper, name)
            case core.Pick(which, x, _) if padding:
                # (batch, 1): the place of a step in each sequence.
                place_of = into.add(
                    self._name("Place"),
                    "ArgMax",
                    padding.real_in("bs"),
                    axis=1,
                    select_last_index=int(which == "last"),
                )
                return into.add(name, "GatherND", write(x), place_of, batch_dims=1)
            case core.Repeat(x, steps):
                return self._repeat(x, steps, name)
            case core.Take(x, (start, 1), (0, None)) if isinstance(self.layer, nodes.LastSteps):
                # Unlike a Slice, it refuses a sequence that is shorter.
                limits = into.scalar(f"Last_{-start}", start), into.scalar("First", 0)
                places = array(self.layer.name, "Places")
                into.add(places, "Range", *limits, into.scalar("One", 1))
                return into.add(name, "Gather", write(x), places, axis=axis)
            case core.Take(x, (start, 1), (0, None)) if start < 0:
                first, end = into.integers(f"Last_{-start}", start), into.integers("To_End", TO_END)
                return into.add(name, "Slice", write(x), first, end, into.integers(along, axis))
            case _:
                raise self._error(value)

    def _features(self, x: core.Expression, start: int, end: int | None, name: str) -> str:
        """Return the features of an array from one to another."""
        into = self.into
        limits = (
            into.integers(f"From_{start}", start),
            into.integers("To_End", TO_END) if end is None else into.integers(f"To_{end}", end),
        )
        return into.add(name, "Slice", self._write(x), *limits, into.integers("Axis_last", -1))

    def _repeat(self, x: core.Expression, steps: int | core.CountSteps, name: str) -> str:
        """Return a vector at each of some steps; it has a single one if it is spread anyway."""
        into, axis = (
            self.into,
            (self.output_axes if "s" in self.output_axes else self.axes).index("s"),
        )
        at = into.integers(f"Axis_{axis}", axis)
        if steps == 1 and isinstance(self.layer, nodes.Joined | nodes.Attention):
            return into.add(name, "Unsqueeze", self._write(x), at)
        once = into.add(self._name("Once"), "Unsqueeze", self._write(x), at)
        # The axes before that of the steps are left out, as those of one element may be.
        behind = (1,) * (2 - axis)
        known = steps if isinstance(steps, int) else self.layer.output[0]
        if known is not None:
            about = f"Repeat_{known}" if axis == 0 else f"Repeat_{known}_{2 - axis}"
            return into.add(name, "Expand", once, into.integers(about, known, *behind))
        assert isinstance(steps, core.CountSteps)
        if steps not in self.values:
            of, count = self._write(steps.x), self._name("Steps")
            self.values[steps] = into.add(count, "Shape", of, start=axis, end=axis + 1)
        shape = self.values[steps]
        if behind:
            ones = into.integers(f"Ones_{len(behind)}", *behind)
            shape = into.add(self._name("Shape"), "Concat", shape, ones, axis=0)
        return into.add(name, "Expand", once, shape)

    def _pool(self, pool: core.PoolWindows, name: str) -> str:
        # A share has as many steps in each window as the mean that is divided by it, so the steps
        # that a window adds are left out of both.
        steps = self.padding.share() if _is_mask(pool.x) and self.padding else self._write(pool.x)
        operator = "MaxPool" if pool.how == "max" else "AveragePool"
        options: dict[str, Attribute] = {"kernel_shape": (pool.window.size,)}
        return self.into.add(name, operator, steps, **options, **self._window_options(pool.window))

    def _conv(self, conv: core.Conv, name: str, *bias: core.Param) -> str:
        x, into = self._write(conv.x), self.into
        if self.axes == "bsf":
            x = into.add(array(self.layer.name, "Windows"), "Transpose", x, perm=(0, 2, 1))
        arrays = map(self._write, (conv.kernel, *bias))
        return into.add(name, "Conv", x, *arrays, **self._window_options(conv.window))

    def _of_queries(
        self, value: core.SplitHeads | core.MergeHeads | core.Row | core.Seen, name: str
    ) -> str:
        """Return an array with heads as its second axis, or one that had them; or what is seen."""
        into = self.into
        match value:
            case core.SplitHeads(x, core.Setting(_, number)):
                # (batch, steps, heads, size) first: 0 keeps a size.
                shape = into.integers(f"Heads_{number}", 0, 0, int(number), -1)
                parts = into.add(f"{name}_Parts", "Reshape", self._write(x), shape)
                return into.add(name, "Transpose", parts, perm=(0, 2, 1, 3))
            case core.MergeHeads(x):
                whole = self._write(x)
                parts = into.add(self._name("Parts"), "Transpose", whole, perm=(0, 2, 1, 3))
                return into.add(name, "Reshape", parts, into.integers("Merged", 0, 0, -1))
            case core.Row(mask):
                row = self._write(core.Row(mask))
                return into.add(name, "Unsqueeze", row, into.integers("Axis_1", 1))
            case core.Seen(scores, real):
                return self._seen(self._write(scores), real, name)
            case _:
                assert_never(value)

    def _seen(self, scores: str, real: core.Row | None, name: str) -> str:
        """Return where a query may see a step."""
        into = self.into
        shape = into.add(self._name("Scores_Shape"), "Shape", scores)
        is_true = into.add(self._name("True"), "Cast", into.scalar("One", 1), to=BOOL)
        ones = into.add(self._name("All"), "Expand", is_true, shape)
        earlier = name if real is None else self._name("Earlier")
        into.add(earlier, "Trilu", ones, upper=0)
        return earlier if real is None else into.add(name, "And", earlier, self._write(real))

    def _scores(self, scores: core.Scores, name: str) -> str:
        """Return the score of each query and key, (batch, queries, steps)."""
        into, query = self.into, self._write(scores.queries)
        if isinstance(scores.keys, core.SplitHeads):
            split = self._write(scores.keys)
            keys = into.add(self._name("Transposed"), "Transpose", split, perm=(0, 1, 3, 2))
            return into.add(name, "MatMul", query, keys)
        if scores.vector is None:
            keys = self._write(core.Transpose(scores.keys))
            return into.add(name, "MatMul", query, keys)
        # A query beside each key: (batch, queries, steps, size), or without queries if it is one.
        beside = [query, self._write(scores.keys)]
        one_query = isinstance(scores.queries, core.Repeat)
        if not one_query:
            at = into.integers("Axis_2", 2), into.integers("Axis_1", 1)
            for index, about in enumerate(("Queries", "Keys")):
                beside[index] = into.add(self._name(about), "Unsqueeze", beside[index], at[index])
        total = into.add(self._name("Sum"), "Add", *beside)
        hidden = total
        if scores.activation != "linear":
            hidden = into.activate(self._name("Hidden"), total, scores.activation)
        products = into.add(self._name("Product"), "MatMul", hidden, self._write(scores.vector))
        if one_query:
            return into.add(name, "Transpose", products, perm=(0, 2, 1))
        return into.add(name, "Squeeze", products, into.integers("Axis_last", -1))

    def _is_turned(self, product: core.MatMul) -> bool:
        """Return whether a product takes its array transposed; a formula's is (inputs, outputs)."""
        return product.transposed != isinstance(self.layer, nodes.LearnedFormula)

    def _gemm(self, product: core.MatMul, name: str, *bias: core.Param) -> str:
        operands = map(self._write, (product.x, product.kernel, *bias))
        options: dict[str, Attribute] = {"transB": 1} if self._is_turned(product) else {}
        return self.into.add(name, "Gemm", *operands, **options)

    def _norm(self, norm: core.Norm, name: str) -> str:
        into, x, epsilon = self.into, self._write(norm.x), norm.epsilon
        scale, bias, *averages = (array(norm.layer, path) for path in ("Scale", "B", "Mean", "Var"))
        size = nodes.width(self.layer.input)
        # The operators have both in any case.
        scale = scale if norm.scale else self._filled("Unscaled", 1.0, size)
        bias = bias if norm.offset else self._filled("Unshifted", 0.0, size)
        if norm.over == "features":
            return into.add(name, "LayerNormalization", x, scale, bias, epsilon=epsilon)
        arrays = (scale, bias, *averages)
        if self.axes in ("bf", "bfs"):
            return into.add(name, "BatchNormalization", x, *arrays, epsilon=epsilon)
        # The operator takes features as the second axis.
        width = nodes.width(self.layer.input)
        flat = into.integers(f"Rows_{width}", -1, width)
        rows = into.add(array(norm.layer, "Rows"), "Reshape", x, flat)
        normal = array(norm.layer, "Normal")
        rows = into.add(normal, "BatchNormalization", rows, *arrays, epsilon=epsilon)
        return into.add(name, "Reshape", rows, into.add(array(norm.layer, "Shape"), "Shape", x))

    def _filled(self, about: str, number: float, size: int) -> str:
        """Return a vector of one number, which all norms of the size share."""
        into, name = self.into, f"{about}_{size}"
        if not into.has(name):
            of_one = into.scalar("One_Float" if number else "Zero", number)
            into.add(name, "Expand", of_one, into.integers(f"Size_{size}", size))
        return name

    def _window_options(self, window: nodes.Window) -> dict[str, Attribute]:
        """Return the attributes of windows that are not the default."""
        options: dict[str, Attribute] = {}
        steps = self.layer.input[0]
        if window.stride > 1:
            options["strides"] = (window.stride,)
        if window.dilation > 1:
            options["dilations"] = (window.dilation,)
        if depends_on_length(window, steps):
            options["auto_pad"] = "SAME_UPPER"
        elif any(added := window.added(steps or 1)):
            options["pads"] = added
        return options


def depends_on_length(window: nodes.Window, steps: int | None) -> bool:
    """True if the number of steps to add is only known when the graph runs."""
    return steps is None and window.padding == "same" and window.stride > 1 and window.reach > 0


def _is_mask(value: core.Expression) -> bool:
    return value in (MASK, core.Column(MASK))


def _end(value: core.Expression, *, stepped: bool) -> str:
    """Return the end of the name of a value that is no result of a recipe."""
    match value:
        case core.Combine("maximum" | "minimum" as how, core.Name()):
            return "Highest" if how == "maximum" else "Lowest"
        case core.Combine("maximum", _, limit):
            return "Least" if limit == 1.0 else "Limited"
        case core.Combine("greater"):
            return "Begun"
        case core.Apply("softmax", core.Scores() | core.Combine("multiply") | core.Fill()):
            return "Weight"
        case core.Repeat(core.Name(), 1):
            return "Query"
        case core.Combine(how):
            return "Weighted" if how == "multiply" else how.capitalize()
        case core.Reduce() if stepped:
            return "Chunk"
        case core.Reduce(how) | core.PoolWindows(how):
            return {"max": "Highest", "min": "Lowest"}.get(how, "Total")
        case _:
            return _ENDS.get(type(value), type(value).__name__)
