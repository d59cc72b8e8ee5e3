"""The classes of Keras's layers for formulas, which are written from their recipes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rnnspec.backends.keras.cells import ATTRIBUTES
from rnnspec.backends.keras.initial import make_initializer
from rnnspec.backends.keras.layers import layer_name
from rnnspec.backends.keras.parts import KerasVerbs
from rnnspec.ir import core, nodes
from rnnspec.ir.expand import expand
from rnnspec.ir.notation import describe
from rnnspec.ir.params import params
from rnnspec.ir.text import formula_class
from rnnspec.source.code import Code, code, define_class, function, listed
from rnnspec.source.code import call as make_call
from rnnspec.source.expressions import local_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rnnspec.ir.forms import Form
    from rnnspec.source.code import Literal

_WIDTH = 80
"""The most characters of an equation in a line."""
_RESERVED = frozenset({"inputs", "keras", "legacy_hard_sigmoid", "mask", "repeat_like", "self"})
"""Names in a class for a formula."""


def formulas(network: nodes.Network) -> Iterator[tuple[nodes.Join, nodes.Formula]]:
    """Yield the layers that are formulas."""
    for layer in network.layers:
        if isinstance(layer, nodes.Join) and isinstance(layer.how, nodes.Formula):
            yield layer, layer.how


def names_in_class(layer: nodes.Join) -> dict[str, str]:
    """Return the variable or attribute for each name of the equations of a formula."""
    assert isinstance(layer.how, nodes.Formula)
    own = ATTRIBUTES if isinstance(layer, nodes.LearnedFormula) else frozenset[str]()
    return local_names(layer.how.equations, _RESERVED | own)


def make_formula(layer: nodes.Join) -> Code:
    """Return the call that makes the layer of a formula."""
    return code("{}(name={!r})", formula_class(layer), layer_name(layer))


def write_formula(
    network: nodes.Network, layer: nodes.Join, formula: nodes.Formula, form: Form
) -> Code:
    """Return the class of a formula."""
    names = names_in_class(layer)
    by_layer = dict[str, Code]()
    for of, name in zip(layer.of, formula.names, strict=True):
        # One that has two names is a single input.
        by_layer.setdefault(of, code("{}", names[name]))
    inputs, verbs = list(by_layer.values()), _FormulaVerbs(by_layer, names)
    *results, last = core.rename(expand(layer, form), {*_RESERVED, *inputs})
    init = function(
        code("__init__(self, **kwargs: object) -> None"),
        code("super().__init__(**kwargs)"),
        code("# The model computes masks itself."),
        code("self.supports_masking = True"),
    )
    mask = function(
        code("compute_mask(self, inputs: object, mask: object = None) -> None"),
        describes=["Pass no mask on, as the model computes masks itself."],
    )
    call = function(
        code("call(self, inputs: list[keras.KerasTensor]) -> keras.KerasTensor"),
        code("{} = inputs", listed(*inputs) if len(inputs) > 1 else code("({},)", *inputs)),
        verbs.statements(results),
        code("return {}", verbs.write(last.value)),
    )
    build = _build(layer, names, form) if isinstance(layer, nodes.LearnedFormula) else Code()
    methods = filter(None, (init, build, mask, call))
    about = describe(formula.equations, _WIDTH)
    return code(
        """
        @keras.saving.register_keras_serializable(package={!r})
        {}
        """,
        network.name,
        define_class(formula_class(layer), "keras.layers.Layer", about, *methods),
    )


def _build(layer: nodes.LearnedFormula, names: Mapping[str, str], form: Form) -> Code:
    """Return the method that creates the arrays of a formula."""
    weights = list[Code]()
    for param in params(layer):
        shape = param.shape[::-1]
        options: dict[str, Code | Literal] = {"shape": code("{!r}", shape)}
        if form == "training":
            options["initializer"] = make_initializer(param.initializer)
        weight = make_call("self.add_weight", _defaults=None, **options, name=param.name)
        weights.append(code("self.{} = {}", names[param.name], weight))
    return function(code("build(self, input_shape: object) -> None"), *weights)


@dataclass(frozen=True)
class _FormulaVerbs(KerasVerbs):
    """The functions of Keras in a method of a layer.

    ``inputs`` are by the layers before it, and ``names`` has the attributes of arrays.
    """

    inputs: Mapping[str, Code]
    names: Mapping[str, str]

    def write(self, value: core.Expression) -> Code:
        """Return an expression."""
        match value:
            case core.EarlierOutput(name):
                return self.inputs[name]
            case core.Repeat(x, core.CountSteps(steps)):
                return code("repeat_like({}, {})", self.write(x), self.write(steps))
            case core.Param(_, name):
                return code("self.{}", self.names[name])
            case core.MatMul(x, kernel, transposed):
                # A matrix is stored as (in, out).
                matrix = code("{}" if transposed else "keras.ops.transpose({})", self.write(kernel))
                return code("keras.ops.matmul({})", listed(self.write(x), matrix))
            case core.Apply("exponential", x):
                return code("keras.ops.exp({})", self.write(x))
            case core.Apply("legacy_hard_sigmoid", x):
                return code("keras.ops.clip(0.2 * {} + 0.5, 0, 1)", self._operand(x))
            case core.Apply("softmax" | "log_softmax" as how, x):
                return code("keras.ops.{}({}, axis=-1)", how, self.write(x))
            case core.Apply(function, x):
                return code("keras.ops.{}({})", function, self.write(x))
            case core.OverFeatures(how, x):
                return code("keras.ops.{}({}, axis=-1, keepdims=True)", how, self.write(x))
            case core.Combine("maximum" | "minimum" as how, left, right):
                return code("keras.ops.{}({}, {})", how, self._tensor(left), self._tensor(right))
            case core.Fill(condition, x, otherwise):
                parts = self.write(condition), self._tensor(x), self._tensor(otherwise)
                return code("keras.ops.where({})", listed(*parts))
            case _:
                return super().write(value)

    def _tensor(self, value: core.Expression) -> Code:
        """Return an expression, as a tensor if it is a number, which functions would round."""
        text = self.write(value)
        if not isinstance(value, float):
            return text
        return code("keras.ops.convert_to_tensor({}, self.compute_dtype)", text)
