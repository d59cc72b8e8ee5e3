"""The recipe of each layer: what it computes in the verbs of the core, in each form.

Only here is it said what padding does to a layer, and how a statistic goes on from chunk to chunk.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial, reduce
from math import inf
from typing import TYPE_CHECKING, assert_never

from rnnspec.ir import nodes
from rnnspec.ir.core import (
    Apply,
    Column,
    Combine,
    Conv,
    CountSteps,
    Dot,
    Drop,
    EarlierMask,
    EarlierOutput,
    Embed,
    Expression,
    Fill,
    Flatten,
    Function,
    Join,
    Length,
    MatMul,
    Memory,
    MergeHeads,
    Mix,
    Name,
    Norm,
    OverFeatures,
    Param,
    Pick,
    PoolWindows,
    Reduce,
    Repeat,
    Result,
    Row,
    Scan,
    Scores,
    Seen,
    Setting,
    Slice,
    Softmax,
    SplitHeads,
    Spread,
    Take,
    Transpose,
)
from rnnspec.ir.fields import ATTENTION, SCALING, Fields
from rnnspec.ir.forms import states_of
from rnnspec.ir.formulas import expand_formula
from rnnspec.ir.params import directions
from rnnspec.ir.reductions import LOWEST

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rnnspec.ir.forms import Form
    from rnnspec.words import JoinHow, Merge

FIELDS = Fields(
    "Node.source Node.shares Recurrent.attention StepAttention.asked_as StepAttention.asks "
    "Recurrent.backward Recurrent.initial Recurrent.state_names Pooling.backward "
    "AttentionPooling.bias AttentionPooling.query Repeat.like Dropout.variational Dense.tied "
    f"{SCALING} {ATTENTION}"
)
"""The fields that the recipes are written from; what a layer takes is decided before it."""
X, MASK, SKIP = Name("x"), Name("mask"), Name("skip")
REAL = Fill(Column(MASK), X, 0.0)
"""x, with zeros for padding."""
NO_WEIGHT = "Padding has no weight, so a sequence of padding alone gives zeros."
NO_SCORE = "The scores of padding are zeros."
SEES = "A query sees the steps up to its own."
SEES_NO_REAL = "A query sees the real steps up to its own; one that sees none gets zeros."
_MOST_OPERANDS = 64
"""The most operands of one sum or product; more of them are a sum of sums."""


def expand(  # noqa: PLR0912 - a branch for each kind of layer
    layer: nodes.Layer | nodes.Learned, form: Form
) -> Iterator[Result]:
    """Yield the results of a layer in order; ``x`` is its input before, and its output at the end.

    In step form, the states of the layer are results too, under their own names, but for those of a
    statistic, which are named by its ``Reduction``.
    """
    match layer:
        case nodes.Embedding():
            yield Result("x", Embed(X, Param(layer.owner, "embeddings")))
        case nodes.Recurrent():
            yield from _recurrent(layer, form)
        case nodes.Learned():
            # As the module that holds the array computes it.
            yield Result("x", Spread(Param(layer.name, "vector"), X))
        case nodes.Repeat():
            like = layer.like and CountSteps(EarlierOutput(layer.like))
            yield Result("x", Repeat(X, like or layer.steps or 0))
        case nodes.Conv():
            yield from _conv(layer, form)
        case nodes.WindowPooling():
            yield Result("x", _pool_windows(layer))
        case nodes.BatchNorm() | nodes.LayerNorm():
            yield Result("x", _norm(layer, form))
        case nodes.InstanceNorm():
            yield from _instance_norm(layer)
        case nodes.Activate():
            yield Result("x", Apply(layer.activation, X))
        case nodes.Residual():
            yield Result("x", X + SKIP)
        case nodes.Joined():
            yield from _join(layer, form)
        case nodes.Attention():
            yield from _attend(layer)
        case nodes.Transpose():
            yield Result("x", Transpose(X))
        case nodes.Dropout():
            yield Result("x", Drop(X, layer.rate, layer.variational))
        case nodes.Pooling():
            yield from running(layer) if form == "step" and states_of(layer) else pool(layer)
        case nodes.AttentionPooling():
            yield from _attention_pooling(layer)
        case nodes.Flatten():
            yield Result("x", Flatten(X))
        case nodes.LastSteps():
            yield Result("x", Take(X, (-layer.count, 1)))
        case nodes.Dense():
            yield from _dense(layer)
        case nodes.Normalize():
            yield Result("x", X / Combine("maximum", Length(X), 1e-12))
        case _:
            assert_never(layer)


def _join(layer: nodes.Join | nodes.Append, form: Form) -> Iterator[Result]:
    """Yield the results of a join of the outputs of layers."""
    if isinstance(layer, nodes.Append):
        outputs = zip(map(EarlierOutput, layer.of), layer.inputs, strict=True)
        parts = (one if len(shape) > 1 else Repeat(one, 1) for one, shape in outputs)
        yield Result("x", Join(tuple(parts), "steps"))
        return
    match layer.how:
        case nodes.Formula() as formula:
            yield from expand_formula(layer, formula, form)
        case how:
            yield Result("x", _join_parts(layer, how))


def _join_parts(layer: nodes.Join, how: JoinHow) -> Expression:
    parts: list[Expression] = [EarlierOutput(name) for name in layer.of]
    sequence = next((i for i, shape in enumerate(layer.inputs) if len(shape) > 1), None)
    if sequence is not None:
        # An array of one step is the same at each step in arithmetic.
        steps = CountSteps(parts[sequence]) if how == "concat" else 1
        parts = [
            part if len(shape) > 1 else Repeat(part, steps)
            for part, shape in zip(parts, layer.inputs, strict=True)
        ]
    match how:
        case "concat":
            return Join(tuple(parts))
        case "add" | "multiply":
            # Writers, and Python's own compiler, recurse into operands.
            while len(parts) > _MOST_OPERANDS:
                starts = range(0, len(parts), _MOST_OPERANDS)
                groups = (parts[at : at + _MOST_OPERANDS] for at in starts)
                parts = [reduce(partial(Combine, how), group) for group in groups]
            return reduce(partial(Combine, how), parts)
        case _:
            assert_never(how)


def window_mask(window: nodes.Window) -> Take | None:
    """Return the mask of windows, None if it stays as it is."""
    return None if window.keeps_steps else Take(MASK, (window.anchor, window.stride))


def pool(layer: nodes.Pooling) -> Iterator[Result]:
    """Yield the results of a statistic over all steps; it is zeros if none of them is real."""
    real = REAL if layer.masked else X
    match layer.statistic:
        case "mean" if layer.masked:
            steps = Combine("maximum", Reduce("sum", MASK, keep=True), 1.0)
            yield Result("steps", steps)
            yield Result("x", Reduce("sum", real) / Name("steps"))
        case "mean" | "sum":
            yield Result("x", Reduce(layer.statistic, real))
        case ("max" | "min") as how if layer.masked:
            yield Result("x", Reduce(how, Fill(Column(MASK), X, layer.reduction.filler)))
            yield Result("x", Fill(Reduce("any", MASK, keep=True), X, 0.0))
        case ("max" | "min") as how:
            yield Result("x", Reduce(how, X))
        case "last":
            yield from _pool_last(layer)
        case "first_step":
            yield Result("x", Take(X, 0))
        case "last_step":
            yield Result("x", Take(X, -1))
        case _:
            assert_never(layer.statistic)


def _pool_last(layer: nodes.Pooling) -> Iterator[Result]:
    ahead = nodes.width(layer.input) - layer.backward
    if not ahead:
        yield Result("x", Pick("first", X, MASK) if layer.masked else Take(X, 0))
        if layer.masked:
            yield Result("x", Fill(Reduce("any", MASK, keep=True), X, 0.0))
        return
    last: Expression = Take(X, -1, (0, ahead if layer.backward else None))
    first: Expression = Take(X, 0, (ahead, None))
    if layer.masked:
        last = Pick("last", Take(X, (0, 1), (0, ahead)) if layer.backward else X, MASK)
        first = Pick("first", Take(X, (0, 1), (ahead, None)), MASK)
    yield Result("x", Join((last, first)) if layer.backward else last)
    if layer.masked:
        yield Result("x", Fill(Reduce("any", MASK, keep=True), X, 0.0))


def running(layer: nodes.Pooling) -> Iterator[Result]:
    """Yield the results of a statistic over the steps of all chunks so far."""
    reduction, total, count = layer.reduction, Name("total"), Name("count")
    chunk: Expression = CountSteps(X)
    steps: Expression = X
    if layer.masked and layer.statistic != "last":
        real: Expression = Column(MASK)
        if reduction.counts:
            yield Result("real", real)
            real = Name("real")
        chunk = Reduce("sum", real)
        steps = Fill(real, X, reduction.filler)
    match layer.statistic:
        case "sum":
            yield Result("total", total + Reduce("sum", steps))
            yield Result("x", total)
        case "mean":
            yield Result("total", total + Reduce("sum", steps))
            yield Result("count", count + chunk)
            # Without a mask, there is a step.
            yield Result("x", total / (Combine("maximum", count, 1.0) if layer.masked else count))
        case ("max" | "min") as how:
            state, *_ = reduction.states
            kept, found, step = Name(state), Name("found"), "real step" if layer.masked else "step"
            about = f"Before the first {step}, the zeros are no {reduction.noun}."
            so_far = Fill(count > 0.0, Combine(reduction.joins, kept, found), found)
            yield Result("found", Reduce(how, steps))
            if layer.masked:
                yield Result("found", so_far, about)
                yield Result(state, Fill(Reduce("any", real), found, kept))
            else:
                yield Result(state, so_far, about)
            yield Result("count", count + chunk)
            yield Result("x", kept)
        case "last":
            latest = Name("latest")
            picked = Fill(Reduce("any", MASK, keep=True), Pick("last", X, MASK), latest)
            yield Result("latest", picked)
            yield Result("x", latest)
        case "first_step" | "last_step":
            raise AssertionError("it has no states")
        case _:
            assert_never(layer.statistic)


def is_state(layer: nodes.Pooling) -> bool:
    """True if the statistic over the steps of all chunks so far is its first state."""
    *_, output = running(layer)
    return output.value == Name(next(iter(layer.reduction.states)))


def _norm(layer: nodes.BatchNorm | nodes.LayerNorm, form: Form) -> Norm:
    norm = Norm(X, layer.owner, layer.epsilon, "features", layer.scale, layer.offset)
    match layer:
        case nodes.LayerNorm():
            return norm
        case nodes.BatchNorm() if form == "training":
            return replace(norm, over="batch", mask=MASK if layer.masked else None)
        case nodes.BatchNorm():
            return replace(norm, over="given")
        case _:
            assert_never(layer)


def _instance_norm(layer: nodes.InstanceNorm) -> Iterator[Result]:
    """Yield the results of a norm over the real steps."""
    mean: Expression = Reduce("mean", X, keep=True)
    variance: Expression = Reduce("mean", X * X, keep=True)
    if layer.masked:
        real, steps = Name("real"), Name("steps")
        yield Result("real", Column(MASK))
        yield Result("steps", Combine("maximum", Reduce("sum", real, keep=True), 1.0))
        mean = Reduce("sum", Fill(real, X, 0.0), keep=True) / steps
        variance = Reduce("sum", Name("square"), keep=True) / steps
    yield Result("mean", mean)
    yield Result("x", X - Name("mean"))
    if layer.masked:
        yield Result("square", Fill(Name("real"), X * X, 0.0))
    yield Result("variance", variance)
    squared = Name("variance") + Setting("epsilon", layer.epsilon)
    yield Result("deviation", Function("sqrt", squared))
    yield Result("x", X / Name("deviation"))
    scaled = X * Param(layer.owner, "gamma") if layer.scale else X
    if layer.scale or layer.offset:
        yield Result("x", scaled + Param(layer.owner, "beta") if layer.offset else scaled)


def _attend(layer: nodes.Attention) -> Iterator[Result]:
    """Yield the results of an attention, in which padding has no weight."""
    is_vector = len(layer.input) == 1
    vector = Param(layer.owner, "score") if layer.additive else None
    queries: Expression = Repeat(X, 1) if is_vector else X
    keys: Expression = EarlierOutput(layer.keys)
    values: Expression = EarlierOutput(layer.over)
    if layer.heads > 1:
        heads = Setting("heads", layer.heads)
        for name, parts in (("queries", queries), ("keys", keys), ("values", values)):
            yield Result(name, SplitHeads(parts, heads))
        queries, keys, values = Name("queries"), Name("keys"), Name("values")
    scores = Scores(queries, keys, vector, layer.activation)
    scaled = scores * Setting("scale", layer.scale)
    yield Result("scores", scores if layer.scale == 1.0 else scaled)
    weights: Expression = Apply("softmax", Name("scores"))
    real = Row(EarlierMask(layer.over), layer.heads > 1) if layer.masked else None
    if layer.causal:
        yield Result("seen", Seen(Name("scores"), real), SEES_NO_REAL if real else SEES)
    elif real:
        yield Result("real", real, NO_SCORE if layer.gives == "scores" else NO_WEIGHT)
    seen = Name("seen" if layer.causal else "real") if layer.causal or real else None
    if seen and layer.gives != "scores":
        yield Result("scores", Fill(seen, Name("scores"), LOWEST))
        # A query without padding sees its own step.
        weights = Fill(seen, weights, 0.0) if real else weights
    given = Name("scores")
    match layer.gives:
        case "context":
            yield Result("weights", weights)
            context: Expression = Mix(Name("weights"), values)
            if layer.heads > 1:
                yield Result("context", context)
                context = MergeHeads(Name("context"))
            yield Result("x", Take(context, 0) if is_vector else context)
            return
        case "weights":
            yield Result("weights", weights)
            given = Name("weights")
        case "scores":
            if seen:
                yield Result("scores", Fill(seen, Name("scores"), 0.0))
        case _:
            assert_never(layer.gives)
    yield Result("x", Transpose(given) if is_vector else given)


def attention_of_step(
    layer: nodes.Recurrent, attention: nodes.StepAttention, name: str
) -> nodes.Attention:
    """Return the layer called ``name`` that gives the context of a step for one query."""
    return nodes.Attention(
        name=name,
        input=(attention.size,),
        over=attention.over,
        keys=attention.keys,
        memory=(None, attention.width),
        additive=attention.additive,
        scale=attention.scale,
        masked=attention.masked,
        kernel_initializer=layer.kernel_initializer,
    )


def _attention_pooling(layer: nodes.AttentionPooling) -> Iterator[Result]:
    """Yield the results of an attention, in which padding has no weight."""
    hidden: Expression = X
    if layer.units is not None:
        hidden = MatMul(X, Param(layer.owner, "kernel"))
        hidden = hidden + Param(layer.owner, "bias") if layer.bias else hidden
    if layer.activation != "linear" or layer.units is not None:
        hidden = Apply(layer.activation, hidden)
    query = EarlierOutput(layer.query) if layer.query else None
    learned = MatMul(hidden, Param(layer.owner, "query"))
    yield Result("scores", Dot(hidden, query) if query else learned)
    scores, real = Name("scores"), Name("real")
    weights: Expression = Softmax(scores)
    if layer.masked:
        yield Result("real", Column(MASK), NO_WEIGHT)
        yield Result("scores", Fill(real, scores, LOWEST))
        weights = Fill(real, weights, 0.0)
    yield Result("weights", weights)
    yield Result("x", Reduce("sum", Name("weights") * X))


def _recurrent(layer: nodes.Recurrent, form: Form) -> Iterator[Result]:
    mask = MASK if layer.masked else None
    memory = _memory(layer.attention) if layer.attention else None
    if form == "step":
        states = states_of(layer)
        before = tuple(Name(state.name) for state in states)
        for state in states:
            scan = Scan(layer, "", state.kind, X, mask, before, memory)
            yield Result(f"{state.name}_steps", scan)
        for state in states:
            yield Result(state.name, Take(Name(f"{state.name}_steps"), -1))
        name = states[0].name
        yield Result("x", Name(f"{name}_steps" if layer.return_sequences else name))
        return
    output = layer.states[0][0]
    ahead, back = (
        Scan(layer, way, output, X, mask, first_states(layer, number), memory)
        for number, way in enumerate((*directions(layer), "")[:2])
    )
    # A state stays as it is at padding, so the last one is at an end.
    last, first = (ahead, back) if layer.return_sequences else (Take(ahead, -1), Take(back, 0))
    alone = Take(ahead, 0) if layer.backward and not layer.return_sequences else last
    yield Result("x", merged(last, first, layer.merge) if layer.merge else alone)


def _memory(attention: nodes.StepAttention) -> Memory:
    mask = EarlierMask(attention.over) if attention.masked else None
    return Memory(EarlierOutput(attention.keys), EarlierOutput(attention.over), mask)


def first_states(layer: nodes.Recurrent, direction: int) -> tuple[Expression, ...]:
    """Return the first value of each state of a direction, none if all are zeros."""
    arrays = {
        vector.state: Spread(Param(vector.layer, vector.param), X) for vector in layer.learned
    }
    if not layer.first_states:
        return ()

    def first(name: str, size: int) -> Expression:
        vector = layer.first_states.get(name)
        if vector is None:
            return 0.0
        whole = arrays.get(name) or EarlierOutput(vector)
        start = direction * size
        return whole if layer.merge is None else Slice(whole, start, start + size)

    return tuple(first(name, size) for name, size in layer.states)


def merged(ahead: Expression, back: Expression, merge: Merge) -> Expression:
    """Return the outputs of both directions in one."""
    match merge:
        case "concat":
            return Join((ahead, back))
        case "sum":
            return Combine("add", ahead, back)
        case "mul":
            return Combine("multiply", ahead, back)
        case "ave":
            return Combine("add", ahead, back) / 2.0
        case _:
            assert_never(merge)


def _conv(layer: nodes.Conv, form: Form) -> Iterator[Result]:
    window, states = layer.window, states_of(layer) if form == "step" else ()
    if layer.masked:
        yield Result("x", REAL)
    for state in states:
        yield Result("x", Join((Name(state.name), X), "steps"))
        yield Result(state.name, Take(X, (-window.reach, 1)))
        # The steps before the chunk are there already.
        window = replace(window, padding="valid")
    yield from _activated(layer, Conv(X, Param(layer.owner, "kernel"), window))


def _pool_windows(layer: nodes.WindowPooling) -> PoolWindows:
    mask = MASK if layer.masked else None
    match layer.statistic:
        case "max":
            return PoolWindows("max", X, layer.window, mask=mask)
        case "average":
            return PoolWindows("mean", X, layer.window, mask=mask)
        case _:
            assert_never(layer.statistic)


def of_all_steps(results: Iterable[Result]) -> Iterator[Result]:
    """Yield results whose windows have all steps, as where no pool of windows takes a mask."""
    for result in results:
        match result.value:
            case PoolWindows(_, x, mask=mask) as pool if mask is not None:
                yield from _pool_all_steps(replace(pool, mask=None), x, Column(mask))
            case _:
                yield result


def _pool_all_steps(pool: PoolWindows, x: Expression, real: Column) -> Iterator[Result]:
    """Yield the results of a pool of real steps; a window of padding alone gives zeros."""
    if pool.how == "max":
        yield Result("x", Fill(real, x, -inf))
        yield Result("x", pool)
        yield Result("x", Fill(-inf < X, X, 0.0), "A window of padding alone gives zeros.")
        return
    yield Result("real", real)
    yield Result("x", Fill(Name("real"), x, 0.0))
    yield Result("x", replace(pool, x=X, adds=True))
    about = "The mean of the real steps is that of all, divided by the share of real ones."
    yield Result("share", replace(pool, x=Name("real"), adds=True), about)
    least = Combine("divide", 1.0, float(pool.window.size))
    yield Result("x", X / Combine("maximum", Name("share"), least))


def of_arithmetic(results: Iterable[Result]) -> Iterator[Result]:
    """Yield results in which norms are arithmetic, as where no function computes one."""
    for result in results:
        match result.value:
            case Norm(mask=None) as norm:
                yield from _compute_norm(norm)
            case _:
                yield result


def _compute_norm(norm: Norm) -> Iterator[Result]:
    """Yield the results of a norm."""
    x, layer, epsilon = norm.x, norm.layer, Setting("epsilon", norm.epsilon)
    gamma, beta = Param(layer, "gamma"), Param(layer, "beta")
    match norm.over:
        case "given":
            deviation = Function("sqrt", Param(layer, "moving_variance") + epsilon)
            yield Result("scale", Combine("divide", gamma if norm.scale else 1.0, deviation))
            centered = Combine("subtract", x, Param(layer, "moving_mean"))
            scaled = centered * Name("scale")
            yield Result("x", scaled + beta if norm.offset else scaled)
        case "features":
            rounded = Name("rounded")
            yield Result("rounded", OverFeatures("mean", x))
            error = OverFeatures("mean", Combine("subtract", x, rounded))
            about = "Equal features must be their mean: a small epsilon makes much of an error."
            yield Result("mean", rounded + error, about)
            yield Result("x", Combine("subtract", x, Name("mean")))
            variance = OverFeatures("mean", X * X)
            yield Result("deviation", Function("sqrt", variance + epsilon))
            scaled = (gamma * X if norm.scale else X) / Name("deviation")
            yield Result("x", scaled + beta if norm.offset else scaled)
        case "batch":
            raise AssertionError("it is only in training")
        case _:
            assert_never(norm.over)


def _dense(layer: nodes.Dense) -> Iterator[Result]:
    if layer.tied:
        kernel = Param(layer.tied, "embeddings")
        yield from _activated(layer, MatMul(X, kernel, transposed=True))
    else:
        yield from _activated(layer, MatMul(X, Param(layer.owner, "kernel")))


def _activated(layer: nodes.Conv | nodes.Dense, total: Conv | MatMul) -> Iterator[Result]:
    biased = total + Param(layer.owner, "bias") if layer.bias else total
    yield Result("x", biased if layer.activation == "linear" else Apply(layer.activation, biased))
