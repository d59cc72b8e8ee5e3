"""The functions above ``build_model`` that a network needs, each once."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from math import inf
from typing import TYPE_CHECKING

from rnnspec.backends.docstrings import LEGACY_HARD_SIGMOID
from rnnspec.backends.keras.attention import parts_of_attention
from rnnspec.backends.keras.cells import parts_of_cells
from rnnspec.backends.keras.layers import (
    layer_of_verb,
    make_activation,
    make_scaling,
    operands,
)
from rnnspec.ir import core, nodes
from rnnspec.ir.expand import MASK, X, pool
from rnnspec.ir.forms import streamed
from rnnspec.ir.reductions import LOWEST
from rnnspec.source.code import Code, call, code, docstring, lines, listed
from rnnspec.source.verbs import Verbs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from rnnspec.ir.forms import Form
    from rnnspec.source.code import Literal


def parts(network: nodes.Network, form: Form, model: Code) -> Iterator[Code]:
    """Yield the parts of the source that the text of a model needs, those that others use first."""
    yield from dict.fromkeys(_called(model, {**_FUNCTIONS, **dict(_poolings(network))}))
    yield from parts_of_cells(network, form)
    yield from parts_of_attention(network)


def _called(text: Code, functions: Mapping[str, Code]) -> Iterator[Code]:
    """Yield the functions that a text calls, behind those that they call themselves."""
    for name in dict.fromkeys(re.findall(r"(?<![\w.])(\w+)\(", text)):
        # The text of a function has its own name.
        others = {other: function for other, function in functions.items() if other != name}
        if name in functions:
            yield from _called(functions[name], others)
            yield functions[name]


def _poolings(network: nodes.Network) -> Iterator[tuple[str, Code]]:
    """Yield the functions of statistics by their names."""
    verbs, in_chunks = KerasVerbs(), streamed(network)
    for layer in network.layers:
        if not (isinstance(layer, nodes.Pooling) and layer.reduction.counts):
            continue
        if layer.name in in_chunks:
            yield f"running_{layer.statistic}", lines(verbs.running([layer]))
        if layer.masked:
            about = f"Return the {layer.reduction.noun} over the real steps, (batch, features); "
            about, name = (
                docstring([f"{about}zeros if there are none."]),
                f"masked_{layer.statistic}",
            )
            yield name, verbs.pooling(name, pool(layer), masked=True, about=about)


_SET_FORGET_BIAS = code('''
    def set_forget_bias(lstm: keras.layers.LSTM, value: float) -> None:
        """Set the forget gate's part of a new bias; the gates are in the order i, f, c, o."""
        bias = keras.ops.convert_to_numpy(lstm.cell.bias).copy()
        bias[lstm.units : 2 * lstm.units] = value
        lstm.cell.bias.assign(bias)
''')
_LEGACY_HARD_SIGMOID = code(
    """
    def legacy_hard_sigmoid() -> keras.layers.Layer:
        {}
        # In an array the factor stays float64; TensorFlow rounds a number to float32.
        scaling = keras.layers.Rescaling(np.array([1.2]), name="scaling")
        hard_sigmoid = keras.layers.Activation("hard_sigmoid", name="hard_sigmoid")
        return keras.layers.Pipeline([scaling, hard_sigmoid], name="legacy_hard_sigmoid")
    """,
    docstring(
        [LEGACY_HARD_SIGMOID, "", "It is hard_sigmoid(1.2 x), of layers that Keras can load."]
    ),
)
_L2_NORMALIZED = code('''
    def l2_normalized(x: keras.KerasTensor) -> keras.KerasTensor:
        """Return x / max(norm, 1e-12), (batch, features).

        Compiled by XLA, keras.layers.UnitNormalization has the gradient NaN at zeros.
        """
        square = keras.ops.sum(keras.ops.square(x), axis=-1, keepdims=True)
        return x / keras.ops.sqrt(keras.ops.maximum(square, 1e-24))
''')
_FILL_PADDING = code('''
    def fill_padding(
        x: keras.KerasTensor, mask: keras.KerasTensor, value: float
    ) -> keras.KerasTensor:
        """Return x, (batch, steps, features), with another value at padded steps."""
        return keras.ops.where(keras.ops.expand_dims(mask, -1), x, value)
''')
_MASKED_LAST = code('''
    def masked_last(x: keras.KerasTensor, mask: keras.KerasTensor) -> keras.KerasTensor:
        """Return the last real step, (batch, features); zeros if there is none."""
        count = keras.ops.cumsum(keras.ops.cast(mask, "int32"), axis=1)
        last = keras.ops.logical_and(mask, keras.ops.equal(count, count[:, -1:]))
        return keras.ops.sum(keras.ops.where(keras.ops.expand_dims(last, -1), x, 0), axis=1)
''')
_MASKED_FIRST = code('''
    def masked_first(x: keras.KerasTensor, mask: keras.KerasTensor) -> keras.KerasTensor:
        """Return the first real step, (batch, features); zeros if there is none."""
        count = keras.ops.cumsum(keras.ops.cast(mask, "int32"), axis=1)
        first = keras.ops.logical_and(mask, keras.ops.equal(count, 1))
        return keras.ops.sum(keras.ops.where(keras.ops.expand_dims(first, -1), x, 0), axis=1)
''')
_REPEAT_LIKE = code('''
    def repeat_like(
        vector: keras.KerasTensor, sequence: keras.KerasTensor
    ) -> keras.KerasTensor:
        """Return the vector at each step of a sequence, (batch, steps, features)."""
        ones = keras.ops.ones_like(sequence[:, :, 0], dtype=vector.dtype)
        return keras.ops.einsum("bf,bt->btf", vector, ones)
''')
_SAME_STEPS = code('''
    def same_steps(x: keras.KerasTensor, other: keras.KerasTensor) -> keras.KerasTensor:
        """Return x; if it has another number of steps than the other, there is an error."""
        # No features are added. An array of a single step would be repeated in arithmetic.
        return keras.ops.concatenate([x, other[:, :, :0]], axis=-1)
''')
_RUNNING_SUM = code('''
    def running_sum(total: keras.KerasTensor, x: keras.KerasTensor) -> keras.KerasTensor:
        """Return (batch, size) plus the sum of (batch, steps, size) over the steps."""
        # As one more step, because Keras names an addition as it names its layer Add.
        first = keras.ops.expand_dims(total, 1)
        return keras.ops.sum(keras.ops.concatenate([first, x], axis=1), axis=1)
''')
_FUNCTIONS = {
    "set_forget_bias": _SET_FORGET_BIAS,
    "legacy_hard_sigmoid": _LEGACY_HARD_SIGMOID,
    "l2_normalized": _L2_NORMALIZED,
    "fill_padding": _FILL_PADDING,
    "masked_last": _MASKED_LAST,
    "masked_first": _MASKED_FIRST,
    "repeat_like": _REPEAT_LIKE,
    "same_steps": _SAME_STEPS,
    "running_sum": _RUNNING_SUM,
}
"""The functions that do not depend on a network, by their names."""


class KerasVerbs(Verbs):
    """The functions of Keras, in which a state goes on by ``running_sum``."""

    array = "keras.KerasTensor"
    space = "keras.ops"
    axis = "axis"
    keep = "keepdims=True"

    def write(self, value: core.Expression) -> Code:
        """Return an expression."""
        match value:
            case core.Combine("add", state, core.Reduce("sum", core.Name("real"))):
                return code("running_sum({}, keras.ops.cast(real, x.dtype))", self.write(state))
            case core.Combine("add", state, core.Reduce("sum", x)):
                return code("running_sum({}, {})", self.write(state), self.write(x))
            case core.Combine("add", x, core.Setting(_, number)):
                # Not a sum, for the same reason.
                return self.write(core.Combine("subtract", x, -number))
            case core.Combine("add", state, core.CountSteps()):
                steps = code("keras.ops.ones_like(x[:, :, :1])")
                return code("running_sum({}, {})", self.write(state), steps)
            case core.Pick(end, x, core.Name("mask") as mask):
                return code("masked_{}({}, {})", end, self.write(x), self.write(mask))
            case core.Combine("divide", x, core.Combine("maximum", core.Length(vector), 1e-12)) if (
                x == vector
            ):
                return code("l2_normalized({})", self.write(x))
            case core.Length(x):
                square = code("keras.ops.square({})", self.write(x))
                return code("keras.ops.sqrt(keras.ops.sum({}, axis=-1, keepdims=True))", square)
            case core.Row(mask, heads=False) | core.Repeat(mask, 1):
                return code("keras.ops.expand_dims({}, 1)", self.write(mask))
            case core.Seen(scores, real):
                ones = code('keras.ops.ones_like({}, dtype="bool")', self.write(scores))
                seen = code("keras.ops.tril({})", ones)
                both = code("keras.ops.logical_and({})", listed(seen, self.write(real or 0.0)))
                return both if real else seen
            case core.Reduce(how, x, keep):
                along = listed(self.write(x), code("axis=1"), Code(self.keep if keep else ""))
                return code("keras.ops.{}({})", how, along)
            case _:
                return super().write(value)


@dataclass(frozen=True, kw_only=True)
class RecipeVerbs(KerasVerbs):
    """The functions above the model, and layers of Keras: what computes a layer by its recipe.

    ``names`` are those of the layers of Keras, in order, and ``layers`` has those with an array.
    ``earlier`` returns the output of an earlier layer or an input, some of which are ``tokens``,
    and ``memory_mask`` is the mask of what an attention attends to. ``shapes`` are those of x and
    of earlier outputs, by their names.
    """

    names: Iterator[str]
    layers: Mapping[core.Param, Code]
    earlier: Callable[[str], Code]
    tokens: frozenset[str]
    memory_mask: Code
    shapes: Mapping[str, nodes.Shape]

    def statements(self, results: Iterable[core.Result]) -> Iterator[Code]:
        """Yield the statements of a recipe."""
        masks, before = dict[str, core.Expression](), core.Result("", 0.0)
        for result in results:
            # The function that fills padding takes the mask itself, and a step that is picked is
            # zeros already if none is real.
            is_split = isinstance(result.value, core.SplitHeads) or result.name == "context"
            if is_split or isinstance(result.value, core.Column):
                masks[result.name] = core.inline(result.value, masks)
            elif not (result.value == _UNLESS_EMPTY and _picks(before.value)):
                inlined = replace(result, value=core.inline(result.value, masks))
                yield from super().statements([inlined])
            before = result

    def assign(self, name: str, value: core.Expression) -> Iterator[Code]:
        """Yield the statements of a value; a layer has one of its own."""
        match value:
            case core.Fill(mask, core.Softmax() | core.Apply() as weights, number):
                yield from super().assign(name, weights)
                value = core.Fill(mask, core.Name(name), number)
            case core.PoolWindows(
                "max", window=nodes.Window(padding=(_, _) as padding, reach=reach)
            ) if max(padding) > reach:
                # A window may have only steps that it adds.
                yield from super().assign(name, value)
                value = core.Fill(-inf < core.Name(name), core.Name(name), 0.0)
            case core.PoolWindows("mean", x, nodes.Window(padding=(_, _)) as window, adds=False):
                # A layer of Keras would count the steps that it is given more.
                whole = replace(value, adds=True)
                self.variables["pooled"] = self.write(whole)
                self.variables["ones"] = code("keras.ops.ones_like({}[:, :, :1])", self.write(x))
                yield from super().assign("share", replace(whole, x=core.Name("ones")))
                least = core.Combine("divide", 1.0, float(window.size))
                value = core.Name("pooled") / core.Combine("maximum", core.Name("share"), least)
            case core.Reduce("mean", x, keep=True):
                # Not keras.ops.mean: a head may have its name.
                ones = code("keras.ops.ones_like({}[:, :, :1])", self.write(X))
                yield code("steps = keras.ops.sum({}, axis=1, keepdims=True)", ones)
                value = core.Reduce("sum", x, keep=True) / core.Name("steps")
            case core.MatMul(core.Apply() as hidden) | core.Dot(core.Apply() as hidden):
                yield from super().assign(name, hidden)
                value = replace(value, x=core.Name(name))
            case core.Scores(queries, keys, core.Param() as vector, activation):
                parts = listed(
                    code("keras.ops.expand_dims({}, 2)", self.write(queries)),
                    code("keras.ops.expand_dims({}, 1)", self.write(keys)),
                )
                yield code("{} = {}", name, self._layer("Add", code("[{}]", parts)))
                if activation != "linear":
                    activate = make_activation(activation, self._name())
                    yield code("{} = {}({})", name, activate, name)
                yield code("{} = {}({})", name, self.layers[vector], name)
                yield code("{} = {}[:, :, :, 0]", name, name)
                return
            case _:
                pass
        yield from super().assign(name, value)

    def write(  # noqa: PLR0912 - a branch for each verb
        self, value: core.Expression
    ) -> Code:
        """Return an expression."""
        match value:
            case core.EarlierOutput(name):
                return self.earlier(name)
            case core.EarlierMask():
                return self.memory_mask
            case (
                core.Apply(_, core.MatMul(x, kernel))
                | core.Apply(_, core.Combine("add", core.MatMul(x, kernel)))
                | core.MatMul(x, kernel)
            ) if kernel in self.layers:
                return code("{}({})", self.layers[kernel], self.write(x))
            case core.Apply("legacy_hard_sigmoid" as activation, x):
                return code("{}({})", make_activation(activation, self._name()), self.write(x))
            case core.Dot(x, vector):
                product = code(
                    'keras.ops.einsum("btf,bf->bt", {})', listed(*map(self.write, (x, vector)))
                )
                return code("keras.ops.expand_dims({}, -1)", product)
            case core.Join((core.EarlierOutput() | core.Repeat(), *_) as joined, axis):
                parts = code("[{}]", listed(*map(self.write, joined)))
                return self._layer("Concatenate", parts, axis=1 if axis == "steps" else None)
            case core.PoolWindows(how, x, nodes.Window(padding=(_, _) as padding) as window):
                # A layer that adds steps would warn that it drops the mask.
                filler = code("constant_values={}", self.write(-inf)) if how == "max" else Code()
                added = code("((0, 0), {!r}, (0, 0))", padding)
                steps = code("keras.ops.pad({})", listed(self._steps(x), added, filler))
                whole = replace(
                    value, x=core.Name("steps"), window=replace(window, padding="valid")
                )
                return code("{}({})", layer_of_verb(whole, self._name()), steps)
            case core.PoolWindows(_, x):
                return code("{}({})", layer_of_verb(value, self._name()), self._steps(x))
            case core.Fill(core.Column(mask), x, number):
                return code("fill_padding({})", listed(*map(self.write, (x, mask, number))))
            case core.Combine(
                "add", core.Combine("multiply", x, core.Param() as scale), core.Param()
            ):
                return code("{}({})", self.layers[scale], self.write(x))
            case core.Combine("multiply", x, core.Param() as scale):
                return code("{}({})", self.layers[scale], self.write(x))
            case core.Combine("multiply", core.Scores() as scores, core.Setting(_, scale)):
                size = max(round(scale**-2), 1)
                is_root = size**-0.5 == scale
                divisor = code("{!r}**0.5", size) if is_root else code("{!r}", 1 / scale)
                return code("{} / {}", self.write(scores), divisor)
            case core.Combine("multiply", x, float(number) | core.Setting(_, number)) | (
                core.Combine("multiply", float(number) | core.Setting(_, number), x)
            ):
                return code("{}({})", make_scaling(number, self._name()), self.write(x))
            case core.Combine("add", x, float(number) | core.Setting(_, number)) | core.Combine(
                "add", float(number) | core.Setting(_, number), x
            ):
                return super().write(core.Combine("subtract", x, -number))
            case core.Combine("multiply", core.Name() as x, factor) if x == factor:
                return code("keras.ops.square({})", self.write(x))
            case core.Combine("add" | "multiply" as how) if not _is_state(value):
                # Layers with names: Keras names its operations as it names these.
                parts = listed(*map(self.write, operands(value)))
                return self._layer("Add" if how == "add" else "Multiply", code("[{}]", parts))
            case core.Softmax(x):
                return self._layer("Softmax", self.write(x), axis=1)
            case core.Apply("softmax", core.Name("scores") as x):
                return self._layer("Softmax", self.write(x))
            case core.Reduce("sum", core.Combine("multiply", core.Name("weights"), x)):
                return code('keras.ops.einsum("bti,btf->bf", weights, {})', self.write(x))
            case core.SplitHeads(x, core.Setting(_, number)):
                # Not a Reshape, which would warn that it drops the mask.
                parts = code("keras.ops.split({}, {!r}, axis=-1)", self.write(x), number)
                return code("keras.ops.stack({}, axis=1)", parts)
            case core.Scores(core.SplitHeads() as queries, keys):
                parts = listed(self.write(queries), self.write(keys))
                return code('keras.ops.einsum("bhqf,bhmf->bhqm", {})', parts)
            case core.MergeHeads(core.Mix(weights, core.SplitHeads() as x)):
                return self._merge_heads(weights, x)
            case core.Scores(queries, keys):
                parts = listed(self.write(queries), self.write(keys))
                return code('keras.ops.einsum("bqf,bmf->bqm", {})', parts)
            case core.Mix(weights, x):
                parts = listed(self.write(weights), self.write(x))
                return code('keras.ops.einsum("bqm,bmf->bqf", {})', parts)
            case core.Repeat(x, core.CountSteps(steps)):
                like = self.write(steps)
                if isinstance(steps, core.EarlierOutput) and steps.layer in self.tokens:
                    like = code("keras.ops.expand_dims({}, -1)", like)
                return code("repeat_like({}, {})", self.write(x), like)
            case (
                core.Apply()
                | core.Flatten()
                | core.Drop()
                | core.Transpose()
                | core.Repeat(_, int())
            ) if value != core.Repeat(value.x, 1):
                made = layer_of_verb(value, self._name())
                return code("{}({})", made, self.write(value.x))
            case _:
                return super().write(value)

    def _steps(self, x: core.Expression) -> Code:
        """Return what windows pool, numbers for what is true at real steps."""
        steps = self.write(x)
        return code("keras.ops.cast({}, x.dtype)", steps) if isinstance(x, core.Column) else steps

    def _merge_heads(self, weights: core.Expression, x: core.SplitHeads) -> Code:
        """Return the contexts of all heads side by side."""
        parts = listed(self.write(weights), self.write(x))
        contexts = code('keras.ops.einsum("bhqm,bhmf->bqhf", {})', parts)
        shape = (-1, self._width(x.x))
        return code("{}({})", call("keras.layers.Reshape", shape, name=self._name()), contexts)

    def _width(self, x: core.Expression) -> int:
        """Return the number of features of a value that the layer takes."""
        match x:
            case core.Repeat(one):
                return self._width(one)
            case core.Name(name) | core.EarlierOutput(name):
                return nodes.width(self.shapes[name])
            case _:
                raise AssertionError("it is computed by the layer")

    def _number(self, value: float) -> Code:
        # A file of Keras is JSON, which has no infinity.
        return super()._number(LOWEST if value == -inf else value)

    def _layer(self, type_: str, x: Code, *arguments: Literal, axis: int | None = None) -> Code:
        """Return a call of the next layer of Keras."""
        unset, class_ = {"axis": None}, f"keras.layers.{type_}"
        made = call(class_, *arguments, _defaults=unset, axis=axis, name=self._name())
        return code("{}({})", made, x)

    def _name(self) -> str:
        name = next(self.names, "")
        assert name, "a layer of Keras without a name"
        return name


_UNLESS_EMPTY = core.Fill(core.Reduce("any", MASK, keep=True), X, 0.0)


def _picks(value: core.Expression) -> bool:
    """True if it is real steps, or what such steps have side by side."""
    parts = value.parts if isinstance(value, core.Join) else (value,)
    return all(isinstance(part, core.Pick) for part in parts)


def _is_state(value: core.Combine) -> bool:
    """True if it is a state after more steps, which a function sums."""
    match value:
        case core.Combine("add", core.Name(name), core.Reduce("sum") | core.CountSteps()):
            return name != X.name
        case _:
            return False
