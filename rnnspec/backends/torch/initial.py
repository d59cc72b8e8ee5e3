"""The method ``reset_parameters``, which initializes every array as the spec says."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, assert_never

from rnnspec.backends.torch.plan import plan_of
from rnnspec.backends.torch.slots import attribute, slots
from rnnspec.ir import initializers, nodes
from rnnspec.ir.params import named_params, params
from rnnspec.ir.text import composed_class
from rnnspec.source.code import Code, code, function, lines, listed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rnnspec.backends.slots import Slot
    from rnnspec.ir.params import Param


def reset_parameters(network: nodes.Network) -> Code:
    """Return the method with a loop over the modules and a branch for each class."""
    kinds, others = _kinds(network)
    order = ""
    if any(param.gate_values for _, _, param in named_params(network)):
        order = "; LSTM gates are ordered input, forget, cell, output"
    return function(
        code("reset_parameters(self) -> None"),
        _loop(code("self"), kinds),
        (_loop(code("self.{}", attribute(kind.layer)), [kind]) for kind in others),
        describes=[f"Draw the initial weights{order}."],
    )


@dataclass(frozen=True, slots=True)
class _Kind:
    """Layers of one class whose arrays are drawn alike.

    ``layer`` is the first of them, and ``draws`` has the statements that draw each array, by its
    name within a direction; ``partly`` is true if some lack an array that others have.
    """

    class_: str
    layer: nodes.Layer
    draws: Mapping[str, Code] = field(default_factory=dict)
    partly: bool = False

    def with_layer(self, draws: Mapping[str, Code]) -> _Kind | None:
        """Return the kind with one more layer, None if its arrays are drawn differently."""
        common = self.draws.keys() & draws.keys()
        if any(self.draws[name] != draws[name] for name in common):
            return None
        partly = self.partly or self.draws.keys() != draws.keys()
        return _Kind(self.class_, self.layer, {**self.draws, **draws}, partly)


def _kinds(network: nodes.Network) -> tuple[list[_Kind], list[_Kind]]:
    """Return the kind of each class, and one for each layer that is drawn differently."""
    kinds: dict[str, _Kind] = {}
    others: list[_Kind] = []
    modules = [module for layer in network.layers for module in _modules(layer)]
    for class_, layer, draws in modules:
        first = _Kind(class_, layer, draws)
        if kind := kinds.get(class_, first).with_layer(draws):
            kinds[class_] = kind
        else:
            others.append(first)
    return [kind for kind in kinds.values() if kind.draws], others


def _modules(layer: nodes.Layer) -> Iterator[tuple[str, nodes.Layer, dict[str, Code]]]:
    """Yield the class of each module of a layer, and the layer with the draws of its arrays."""
    for vector in nodes.learned_of(layer):
        (param,) = params(vector)
        yield (
            composed_class(vector),
            layer,
            {"vector": _fill(code("module.vector"), param.initializer)},
        )
    draws = _draws(layer)
    linear = ["attention.kernel", "attention.score"]
    if isinstance(layer, nodes.AttentionPooling | nodes.Attention):
        linear = ["query", "score"]
    for name in linear:
        # Each is the kernel of a linear layer.
        if name in draws:
            yield "nn.Linear", layer, {"kernel": draws.pop(name)}
    if draws or isinstance(layer, nodes.LayerNorm):
        yield _class(layer), layer, draws


def _class(layer: nodes.Layer) -> str:
    match layer:
        case nodes.Recurrent():
            return plan_of(layer).class_
        case nodes.Embedding():
            return "nn.Embedding"
        case nodes.Dense(tied=str()):
            return "TiedLinear"
        case nodes.Dense() | nodes.AttentionPooling():
            return "nn.Linear"
        case nodes.Conv():
            return "nn.Conv1d"
        case nodes.BatchNorm():
            return "BatchNorm"
        case nodes.LayerNorm():
            return "nn.LayerNorm"
        case nodes.ComposedNode():
            return composed_class(layer)
        case _:
            raise AssertionError(f"{layer.name} holds no array")


def _draws(layer: nodes.Layer) -> dict[str, Code]:
    """Return the statements that draw each array, by its name within a direction."""
    draws = {}
    for param, slot in zip(params(layer), slots(layer), strict=True):
        if slot.module is not None:
            continue
        name = param.name.removeprefix("forward.").removeprefix("backward.")
        # A loop over a stock module's arrays has a variable for each.
        is_variable = isinstance(layer, nodes.Recurrent) and plan_of(layer).is_fused
        array = name if is_variable else f"module.{slot.path.rpartition('.')[2]}"
        draws[name] = lines(_draw(code("{}", array), param, slot))
    return draws


def _draw(array: Code, param: Param, slot: Slot) -> Iterator[Code]:
    """Yield the statements that draw an array: all of it, then the gates that are constant."""
    yield _fill(array, param.initializer)
    for gate, value in param.gate_values:
        constant = initializers.Constant(value)
        if param.initializer != constant:
            # chunk returns views, so filling one writes into the array.
            index = slot.gates.index(gate)
            yield _fill(code("{}.chunk({!r})[{!r}]", array, len(slot.gates), index), constant)


def _loop(scope: Code, kinds: list[_Kind]) -> Code:
    """Return the loop over the modules, with a branch for the classes that are drawn alike."""
    branches: dict[Code, list[str]] = {}
    for kind in kinds:
        branches.setdefault(_body(kind), []).append(kind.class_)
    # isinstance accepts subclasses too: SingleBiasLSTM derives from nn.LSTM, so its branch has to
    # come first.
    bases = {kind.class_.replace("SingleBias", "nn.") for kind in kinds if "Single" in kind.class_}
    ordered = sorted(branches.items(), key=lambda branch: not bases.isdisjoint(branch[1]))
    return code(
        """
        for module in {}.modules():
            {}
        """,
        scope,
        lines(
            code(
                """
                {} isinstance(module, {}):
                    {}
                """,
                "elif" if index else "if",
                code("({})", listed(*classes)) if len(classes) > 1 else classes[0],
                body,
            )
            for index, (body, classes) in enumerate(ordered)
        ),
    )


def _body(kind: _Kind) -> Code:
    """Return the statements that draw the arrays of ``module``."""
    layer, draws = kind.layer, dict(kind.draws)
    is_module = kind.class_ == _class(layer)
    if not (is_module and isinstance(layer, nodes.Recurrent) and plan_of(layer).is_fused):
        # Without a bias, the attribute is None, which nn.Conv1d declares.
        for name, path in (("bias", "bias"), ("gamma", "weight"), ("beta", "bias")):
            if name in draws and (kind.partly or isinstance(layer, nodes.Conv)):
                draws[name] = code(
                    """
                    if module.{} is not None:
                        {}
                    """,
                    path,
                    draws[name],
                )
        return lines(draws.values())
    variables = list(draws)
    if isinstance(layer.standard_cell, nodes.GRU) and "bias" in draws:
        # A GRU has two biases with the same initializer, or none.
        del draws["recurrent_bias"]
        variables = [name for name in draws if name != "bias"] + ["biases"]
        draws["bias"] = code(
            """
            for bias in biases:
                {}
            """,
            draws["bias"],
        )
    elif kind.class_.startswith("SingleBias"):
        # all_weights also lists the second bias, which is a buffer of zeros here.
        variables.append("_")
    return code(
        """
        for {} in module.all_weights:
            {}
        """,
        listed(*(code("*{}" if name == "biases" else "{}", name) for name in variables)),
        lines(draws.values()),
    )


def _fill(array: Code, initializer: initializers.Initializer) -> Code:
    # PyTorch reads the fan out from axis 0 and the fan in from axis 1. Its kernels are transposed
    # canonical ones, with all gates on one axis, so both fans are those of Keras.
    match initializer:
        case initializers.GlorotUniform():
            return code("nn.init.xavier_uniform_({})", array)
        # The bound is gain * sqrt(3 / fan in), with a gain of sqrt(2) for relu and 1 for linear.
        # Source: https://docs.pytorch.org/docs/stable/nn.init.html.
        case initializers.HeUniform():
            return code('nn.init.kaiming_uniform_({}, nonlinearity="relu")', array)
        case initializers.LecunUniform():
            return code('nn.init.kaiming_uniform_({}, nonlinearity="linear")', array)
        # Over all gates together, as in Keras, not gate by gate.
        case initializers.Orthogonal():
            return code("nn.init.orthogonal_({})", array)
        case initializers.Uniform(limit):
            return code("nn.init.uniform_({}, {!r}, {!r})", array, -limit, limit)
        case initializers.Normal(stddev):
            return code("nn.init.normal_({}, 0.0, {!r})", array, stddev)
        case initializers.Constant(0.0):
            return code("nn.init.zeros_({})", array)
        case initializers.Constant(1.0):
            return code("nn.init.ones_({})", array)
        case initializers.Constant(value):
            return code("nn.init.constant_({}, {!r})", array, value)
        case _:
            assert_never(initializer)
