"""IR -> PyTorch source: one ``nn.Module``."""

from __future__ import annotations

import re
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeGuard, assert_never

from rnnspec.backends.contract import Emitter, Stock
from rnnspec.backends.needs import purpose
from rnnspec.backends.torch import channels
from rnnspec.backends.torch.backend import TORCH
from rnnspec.backends.torch.calls import RecurrentCalls
from rnnspec.backends.torch.classes import (
    ACTIVATIONS,
    recurrent_modules,
    sequences,
    wrapped,
)
from rnnspec.backends.torch.initial import reset_parameters
from rnnspec.backends.torch.parts import parts
from rnnspec.backends.torch.plan import (
    FUSED,
    StackedDropout,
    direction_key,
    plan_layers,
    plan_of,
    stepwise_reason,
)
from rnnspec.backends.torch.slots import RESERVED
from rnnspec.errors import listed as listed_words
from rnnspec.ir import cells, core, nodes, text
from rnnspec.ir.cells import gates
from rnnspec.ir.expand import expand
from rnnspec.ir.fields import ATTENTION, SCALING, Fields, shared_refusals
from rnnspec.ir.forms import states_of
from rnnspec.ir.params import count, counts, directions, named_params
from rnnspec.source.code import Code, Module, OutputStatement, call, code, function, lines, listed
from rnnspec.source.composed import attention_layer
from rnnspec.source.layers import walked_fields

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rnnspec.backends.contract import SourceOptions
    from rnnspec.errors import Refusal
    from rnnspec.ir.forms import Form
    from rnnspec.ir.params import Param
    from rnnspec.source.code import Literal

_RECURRENT: Mapping[str, Literal] = {
    "num_layers": 1,
    "bias": True,
    "batch_first": False,
    "dropout": 0.0,
    "bidirectional": False,
}

# The norms are missing on purpose: frameworks differ in epsilon, so it is always written.
DEFAULTS: Mapping[str, Mapping[str, Literal]] = MappingProxyType(
    {
        "nn.RNN": {**_RECURRENT, "nonlinearity": "tanh"},
        "nn.LSTM": _RECURRENT,
        "nn.GRU": _RECURRENT,
        "nn.Linear": {"bias": True},
        "nn.LayerNorm": {"elementwise_affine": True, "bias": True},
        "nn.Conv1d": {"stride": 1, "padding": 0, "dilation": 1, "bias": True},
        "nn.MaxPool1d": {"stride": None, "padding": 0},
        "nn.AvgPool1d": {"stride": None, "padding": 0, "count_include_pad": True},
    }
)
"""The default arguments of PyTorch's modules; a test compares them with PyTorch."""

_CALLED_FUNCTION = re.compile(r"(?!self\.)[\w.]+\(.*\)")

_GRAPH = (
    "Network.outputs Network.result Network.streams Node.source Node.shares Pooling.backward "
    "Dense.tied AttentionPooling.bias AttentionPooling.query "
    f"{SCALING} {ATTENTION}"
)
_FIELDS: dict[Form, Fields] = {
    "training": Fields(f"{_GRAPH} Dropout.variational"),
    "inference": Fields(_GRAPH),
    "step": Fields(_GRAPH),
}
"""The fields that the source of each form is written from."""
_CELL_FIELDS = Fields(
    f"{cells.FIELDS.names} Recurrent.attention StepAttention.asked_as StepAttention.asks "
    "Recurrent.backward Recurrent.initial"
)
_PRODUCT = Fields("Node.source Attention.heads Attention.causal")
"""The fields that ``scaled_dot_product_attention`` stands for."""
_ARGUMENTS = Fields(
    "Node.name Node.input Node.source Recurrent.units Recurrent.merge Recurrent.dropout"
    " Recurrent.recurrent_dropout Recurrent.return_sequences Recurrent.backward Node.shares"
    " Recurrent.state_names"
    " Recurrent.initial StepAttention.over StepAttention.keys StepAttention.width"
    " StepAttention.size StepAttention.scale StepAttention.asks"
    " Recurrent.kernel_initializer"
    " Recurrent.recurrent_initializer Recurrent.bias_initializer SimpleRNN.activation"
    " LSTM.activation LSTM.recurrent_activation LSTM.forget_bias GRU.activation"
    " GRU.recurrent_activation EquationCell.initializers EquationCell.sizes Dense.units"
    " Dense.activation Dense.kernel_initializer Dense.bias_initializer"
)
"""The fields in which layers of a generated class may differ: arguments, and initial weights."""


def source_fields(
    _network: nodes.Network, node: nodes.Layer | nodes.Network, form: Form
) -> tuple[Fields, ...]:
    """Return the tables of the fields that the source of a node is written from."""
    if isinstance(node, nodes.Recurrent) and stepwise_reason(node):
        return (_CELL_FIELDS,)
    return (FUSED if isinstance(node, nodes.Recurrent) else walked_fields(node, _FIELDS[form]),)


def refusals(network: nodes.Network, form: Form) -> tuple[Refusal, ...]:
    """Return each setting that a class of several layers does not take."""
    planned = plan_layers(network, form).layers
    classes = [
        (plan_of(plan).class_, layer)
        for plan, layer in zip(planned, network.layers, strict=True)
        if isinstance(plan, nodes.Recurrent) and stepwise_reason(plan)
    ]
    tied = [("TiedLinear", layer) for layer in nodes.tied_layers(network)]
    return (*shared_refusals([*classes, *tied], _ARGUMENTS),)


def emit(network: nodes.Network, form: Form, _options: SourceOptions) -> Module:
    """Return the source of a network: an ``nn.Module`` named after it."""
    walk = TorchWalk(network, form)
    notes = list[str]()
    if form != "training" and (redundant := stock(network)):
        classes = listed_words(sorted({layer.type for layer in redundant}))
        about = (
            f"The second bias of {classes}, bias_hh, is zero in the weights that rnnspec writes."
        )
        parameters_of = {layer.name: count(layer) for layer in network.layers}
        zeros = sum(layer.parameters - parameters_of[layer.layer] for layer in redundant)
        notes = [about, f"Parameters with it: {counts(network).total + zeros:,}."]
    options = {option for class_ in walk.cell_classes.values() for option in class_.options}
    takes_functions = not options.isdisjoint(("activation", "recurrent_activation"))
    return walk.write_module(
        f"The network {network.name}{purpose(form)}.",
        *notes,
        parts=parts(network, form),
        imports=["from collections.abc import Callable"] if takes_functions else [],
    )


def stepwise(network: nodes.Network) -> dict[str, str]:
    """Return the layers that run step by step, and the key that no fused layer can honour."""
    return {
        layer.name: stepwise_reason(layer)
        for layer in network.layers
        if isinstance(layer, nodes.Recurrent) and not plan_of(layer).is_fused
    }


def stock(network: nodes.Network) -> tuple[Stock, ...]:
    """Return the layers whose stock counterpart has a second bias, with its parameter count."""
    return tuple(
        Stock(
            layer=layer.name,
            type=f"nn.{text.cell_name(layer.standard_cell)}",
            parameters=count(layer)
            + len(gates(layer.standard_cell)) * layer.units * len(directions(layer)),
            adds="a second bias (bias_hh)",
            reason="which is redundant: only the sum of both matters",
        )
        for layer in network.layers
        if isinstance(layer, nodes.Recurrent)
        and plan_of(layer).has_redundant_bias
        and layer.shares is None
    )


class TorchWalk(RecurrentCalls):
    """The walk that writes PyTorch."""

    imports = ("import torch", "from torch import nn")
    reserved_names = TORCH.reserved_names
    array = "torch.Tensor"
    space = "torch"
    axis = "dim"
    keep = "keepdim=True"
    reductions = MappingProxyType({"max": "amax", "min": "amin"})
    softmax = "torch.softmax"
    method = "forward"
    module = "nn.Module"
    not_in_class = RESERVED
    before_arrays = code("super().__init__()")
    checked_forms = ("training",)
    losses = MappingProxyType({"sigmoid": "BCEWithLogitsLoss", "softmax": "CrossEntropyLoss"})
    about_logits = "Return the output, or with ``logits`` what ``{}`` takes."

    def create(self, modules: Code) -> Iterator[Code]:
        """Yield ``__init__``, and for training ``reset_parameters``, which it calls."""
        is_drawn = self.form == "training" and any(named_params(self.network))
        yield function(
            code("__init__(self) -> None"),
            code("super().__init__()"),
            modules,
            code("self.reset_parameters()") if is_drawn else self._evaluate(),
        )
        if is_drawn:
            yield reset_parameters(self.network)

    def _evaluate(self) -> Code:
        """Return the statement that puts stock layers into inference, if they differ in it."""
        if not any(isinstance(layer, nodes.BatchNorm) for layer in self.network.layers):
            return Code()
        return code("""
            # Batch norms use their running statistics, not those of the batch.
            self.eval()
        """)

    def compute(self, layer: nodes.Layer) -> Iterator[Code]:
        """Yield the statements that compute a layer, on the axes that PyTorch has for it."""
        run = self._runs.get(layer.name, ())
        transposed = code("{}.transpose(1, 2)", self.x)
        if len(run) == 1:
            self.variables["x"] = transposed
            match list(super().compute(layer)):
                case [OutputStatement(value=value)] if value.startswith("self."):
                    yield self.give(code("{}.transpose(1, 2)", value))
                    return
                case _:
                    pass
        if layer in run[:1]:
            yield self.give(transposed)
        yield from super().compute(layer)
        if layer in run[-1:]:
            yield self.give(code("{}.transpose(1, 2)", self.x))

    @cached_property
    def _runs(self) -> dict[str, tuple[nodes.Layer, ...]]:
        """The run of each layer that gets (batch, features, steps)."""
        runs = channels.channel_runs(self.network)
        return {layer.name: run for run in runs for layer in run}

    def hold(self, param: Param, *sizes: Code) -> Code:
        """Return a parameter, or a buffer if it is not trained; a vector that scores is linear."""
        if param.axes == "in out":
            return code("self.{} = nn.Linear({}, bias=False)", param.name, listed(*sizes))
        array = code("torch.empty({})", listed(*sizes) if sizes else Code("()"))
        if param.trainable:
            return code("self.{} = nn.Parameter({})", param.name, array)
        return code("self.register_buffer({!r}, {})", param.name, array)

    def embedding(self, layer: nodes.Embedding) -> Code:
        """Return an embedding without ``padding_idx``: a mask does not change token 0's vector."""
        frozen = code("self.{}.weight.requires_grad_(False)", self.attribute(layer.name))
        return lines(
            code(
                "self.{} = nn.Embedding({!r}, {!r})",
                self.attribute(layer.name),
                layer.vocabulary,
                layer.dim,
            ),
            Code() if layer.trainable else frozen,
        )

    def dropout(self, layer: nodes.Dropout) -> Code:
        """Return a dropout, nothing for one between the layers of a module."""
        if isinstance(layer, StackedDropout):
            return Code()
        class_ = "nn.Dropout1d" if layer.variational else "nn.Dropout"
        return code("self.{} = {}({!r})", self.attribute(layer.name), class_, layer.rate)

    def layer_norm(self, layer: nodes.LayerNorm) -> Code:
        """Return a layer normalization with its epsilon."""
        affine = layer.scale or layer.offset
        norm = _make(
            "nn.LayerNorm",
            nodes.width(layer.input),
            eps=layer.epsilon,
            elementwise_affine=affine,
            bias=layer.offset or not affine,
        )
        lacks = ["weight"] if affine and not layer.scale else []
        return lines(
            code("self.{} = {}", self.attribute(layer.name), norm), self._without(layer, lacks)
        )

    def _without(self, layer: nodes.Layer, lacks: Sequence[str]) -> Code:
        """Return the statements that leave out arrays which the class of a norm always has."""
        return lines(
            code("self.{}.register_parameter({!r}, None)", self.attribute(layer.name), name)
            for name in lacks
        )

    def dense(self, layer: nodes.Dense) -> Code:
        """Return a linear layer, or what a tied one has beside the embedding."""
        if layer.tied:
            tied = code("self.{} = TiedLinear({!r})", self.attribute(layer.name), layer.units)
            return tied if layer.bias else Code()
        linear = _make("nn.Linear", layer.features, layer.units, bias=layer.bias)
        return code("self.{} = {}", self.attribute(layer.name), linear)

    def project_tied(self, layer: nodes.Dense) -> Code:
        """Return the product with the weight of the embedding, which the module itself has not."""
        assert layer.tied is not None, "of the caller"
        # Its second owner would be in the state dict, too.
        if layer.bias:
            return code(
                "self.{}({}, self.{}.weight)",
                self.attribute(layer.name),
                self.x,
                self.attribute(layer.tied),
            )
        return code("nn.functional.linear({}, self.{}.weight)", self.x, self.attribute(layer.tied))

    def conv(self, layer: nodes.Conv) -> Code:
        """Return a convolution, with padding that is the same at both ends."""
        window, steps = layer.window, nodes.common_steps(self.network, layer)
        padding: Literal = channels.own_padding(window, steps)
        if padding and window.stride == 1 and window.reach == 2 * padding:
            padding = "same"
        module = _make(
            "nn.Conv1d",
            layer.features,
            layer.filters,
            window.size,
            stride=window.stride,
            padding=padding,
            dilation=window.dilation,
            bias=layer.bias,
        )
        return code("self.{} = {}", self.attribute(layer.name), module)

    def run_conv(self, layer: nodes.Conv) -> Iterator[Code]:
        """Yield the statements of a convolution, in step form with the inputs before the chunk."""
        window = layer.window
        if layer.masked and not self._is_filled(layer):
            yield channels.fill_padding(self, code("0"))
        if self.form_of(layer) == "step" and window.reach:
            (state,) = states_of(layer)
            yield self.give(code("torch.cat([{}.transpose(1, 2), {}], dim=2)", state.name, self.x))
            steps = code("{}[:, :, -{!r}:]", self.x, window.reach)
            yield code("{} = {}.transpose(1, 2)", state.name, steps)
        else:
            yield from channels.pad(self, window, nodes.common_steps(self.network, layer))
        yield self.call(layer.owner)

    def _is_filled(self, layer: nodes.Layer) -> bool:
        """True if the padded steps that a layer gets are zeros already."""
        main, *_ = self._sources[layer.name]
        filled = (
            network_input
            for network_input in self.network.inputs
            if isinstance(network_input, nodes.NumericInput)
        )
        return any(slot.name == main for slot in filled)

    def window_pooling(self, layer: nodes.WindowPooling) -> Code:
        """Return a pool, with padding that is the same at both ends."""
        window, steps = layer.window, layer.input[0]
        padding = channels.own_padding(window, steps)
        stride = None if window.stride == window.size else window.stride
        match layer.statistic:
            case "max":
                module = _make("nn.MaxPool1d", window.size, stride=stride, padding=padding)
            case "average":
                # With a mask, the share of real steps has the padding too.
                counts = layer.masked or not padding
                module = _make(
                    "nn.AvgPool1d",
                    window.size,
                    stride=stride,
                    padding=padding,
                    count_include_pad=counts,
                )
            case _:
                assert_never(layer.statistic)
        return code("self.{} = {}", self.attribute(layer.name), module)

    def run_window_pooling(self, layer: nodes.WindowPooling) -> Iterator[Code]:
        """Yield the statements of a pool."""
        pools = {"max": channels.pool_max, "average": channels.pool_average}
        return pools[layer.statistic](self, layer)

    def batch_norm(self, layer: nodes.BatchNorm) -> Code:
        """Return a batch norm: a stock layer, except for training."""
        size = nodes.width(layer.input)
        arguments: dict[str, Literal] = {"eps": layer.epsilon}
        if self.form == "training":
            arguments["momentum"] = layer.momentum
        class_ = "BatchNorm" if self.form == "training" else "nn.BatchNorm1d"
        made = code("self.{} = {}", self.attribute(layer.name), _make(class_, size, **arguments))
        pairs = (("weight", layer.scale), ("bias", layer.offset))
        return lines(made, self._without(layer, [name for name, has in pairs if not has]))

    def run_batch_norm(self, layer: nodes.BatchNorm) -> Iterator[Code]:
        """Yield the call of a batch norm, which in training takes the mask."""
        takes_mask = layer.masked and self.form == "training"
        yield self.call(layer.owner, self.mask if takes_mask else "")

    def attention(self, layer: nodes.AttentionPooling) -> Code:
        """Return the linear layer of the query, of the hidden layer of the steps, or both."""
        modules = dict[str, Code]()
        if layer.units is not None:
            modules["hidden"] = _make("nn.Linear", layer.features, layer.units, bias=layer.bias)
        if layer.query is None:
            modules["query"] = _make("nn.Linear", layer.units or layer.features, 1, bias=False)
        if layer.units is None:
            return lines(
                code("self.{} = {}", self.attribute(layer.name), query)
                for query in modules.values()
            )
        entries = listed(*(code("{!r}: {}", name, module) for name, module in modules.items()))
        return code("self.{} = nn.ModuleDict({{{}}})", self.attribute(layer.name), entries)

    def run_attention(self, layer: nodes.AttentionPooling) -> Iterator[Code]:
        """Yield the statements that weight the steps, and sum them."""
        hidden = self.x
        if layer.units is not None:
            yield code("hidden = self.{}[{!r}]({})", layer.owner, "hidden", hidden)
            hidden = code("hidden")
        if layer.activation != "linear":
            yield code("hidden = {}", self.activate(layer.activation, hidden))
            hidden = code("hidden")
        if layer.query:
            yield from self.need((layer.query,))
            yield code("scores = {} @ {}.unsqueeze(-1)", hidden, self.output(layer.query))
        elif layer.units is None:
            yield code("scores = self.{}({})", layer.owner, hidden)
        else:
            yield code("scores = self.{}[{!r}]({})", layer.owner, "query", hidden)
        _, *results = expand(layer, self.form_of(layer))
        yield from self.statements(results)

    @cached_property
    def _recurrent_modules(self) -> dict[str, nodes.Recurrent]:
        return {layer.name: layer for layer in recurrent_modules(self.network)}

    @cached_property
    def _wrappers_differ(self) -> bool:
        return sequences(wrapped(self.network)) == "some"

    def recurrent(self, layer: nodes.Recurrent) -> Code:
        """Return the module of a layer; a multi-layer module has the name of its bottom layer."""
        if layer.name not in self._recurrent_modules:
            return Code()
        layer = self._recurrent_modules[layer.name]
        plan, module = plan_of(layer), self._make_cell(layer)
        if plan.is_wrapped:
            sequence = {"return_sequences": layer.return_sequences}
            module = _make(plan.wrapper, module, **(sequence if self._wrappers_differ else {}))
        if plan.is_split:
            module = code(
                "nn.ModuleDict({{{!r}: {module}, {!r}: {module}}})",
                *map(direction_key, directions(layer)),
                module=module,
            )
        return code("self.{} = {}", self.attribute(layer.name), module)

    def _make_cell(self, layer: nodes.Recurrent) -> Code:
        plan = plan_of(layer)
        arguments: dict[str, Code | Literal] = {}
        if not plan.is_fused:
            arguments = self.cell_classes[plan.class_].arguments(layer)
            if (attention := layer.attention) and attention.projects:
                sizes = layer.query_size, attention.size
                arguments["query"] = _make("nn.Linear", *sizes, bias=False)
            if attends := attention_layer(layer):
                arguments["attention"] = self.make_composed(attends)
            return _make(plan.class_, layer.features, layer.units, **arguments)
        if plan.stack:
            arguments = {"num_layers": plan.stack.size, "dropout": plan.stack.dropout}
        if isinstance(layer.standard_cell, nodes.SimpleRNN):
            arguments["nonlinearity"] = layer.standard_cell.activation
        return _make(
            plan.class_,
            layer.features,
            layer.units,
            **arguments,
            bias=layer.bias,
            batch_first=True,
            bidirectional=layer.merge is not None and not plan.is_split,
        )

    def convert_input(self, source: nodes.Input, x: Code) -> Code:
        """Return the conversion of features that are integers, which Keras and JAX take too."""
        if isinstance(source, nodes.TokenInput | nodes.LabelInput):
            return Code()
        # Not the dtype of a weight: type checkers do not know it, and a dynamically quantized
        # module has no weight of this name.
        return code("{x} = {x} if {x}.is_floating_point() else {x}.float()", x=x)

    def write(  # noqa: PLR0912 - a branch for each verb
        self, value: core.Expression
    ) -> Code:
        """Return an expression, with the names that PyTorch has."""
        match value:
            case core.Combine(
                "divide", x, core.Combine("maximum", core.Length(vector), float(least))
            ) if x == vector:
                normalize = "nn.functional.normalize({}, dim=-1, eps={!r})"
                return code(normalize, self.write(x), least)
            case core.Combine("maximum", left, float() as right):
                return code("{}.clamp(min={})", self._operand(left), self.write(right))
            case core.Combine("minimum", left, float() as right):
                return code("{}.clamp(max={})", self._operand(left), self.write(right))
            case core.Combine("add", core.MatMul(x, kernel, True), core.Param() as bias):
                arrays = self.write(kernel), self.write(bias)
                return code("nn.functional.linear({})", listed(self.write(x), *arrays))
            case core.MatMul(x, kernel, True):
                return code("nn.functional.linear({})", listed(*map(self.write, (x, kernel))))
            case core.Column(mask):
                return code("{}.unsqueeze(-1)", self.write(mask))
            case core.Fill(condition, float() as one, float() as other):
                # Two numbers would be of the default dtype.
                array = self.write(next(core.names(condition)))
                first = code("{}.new_full((), {})", array, self._number(one))
                rest = listed(self.write(condition), first, self._number(other))
                return code("torch.where({})", rest)
            case core.Join(parts, axis):
                number = 1 if axis == "steps" else -1
                return code("torch.cat([{}], dim={!r})", listed(*map(self.write, parts)), number)
            case core.Flatten(x):
                return code("torch.flatten({}, 1)", self.write(x))
            case core.Repeat(core.EarlierOutput() as x, 1):
                return code("{}.unsqueeze(1)", self.write(x))
            case core.Repeat(x, steps):
                count = code("{!r}", steps) if isinstance(steps, int) else self.write(steps)
                return code("{}.unsqueeze(1).expand(-1, {}, -1)", self.write(x), count)
            case core.Row(mask, heads=False):
                return code("{}.unsqueeze(1)", self.write(mask))
            case core.Seen(scores, None):
                return code("torch.ones_like({}, dtype=torch.bool).tril()", self.write(scores))
            case core.Seen(_, core.Row(mask, heads) as real):
                sizes = code("-1, {}{}.shape[1], -1", Code("-1, " * heads), self.write(mask))
                return code("{}.expand({}).tril()", self.write(real), sizes)
            case core.SplitHeads(x, number):
                split = "torch.unflatten({}, -1, ({}, -1)).transpose(1, 2)"
                return code(split, self._operand(x), self.write(number))
            case core.MergeHeads(x):
                return code("{}.transpose(1, 2).flatten(2)", self._operand(x))
            case core.Pick("last", x, mask):
                step = code(
                    "{m}.shape[1] - 1 - {m}.flip(1).int().argmax(dim=1)", m=self.write(mask)
                )
                rows = code("torch.arange({x}.shape[0], device={x}.device)", x=self.write(x))
                return code("{}[{}, {}]", self.write(x), rows, step)
            case core.Scores(queries, keys, core.Param(_, name), activation):
                # One vector for each query and each key.
                both = code("{}.unsqueeze(2) + {}.unsqueeze(1)", *map(self.write, (queries, keys)))
                both = both if activation == "linear" else self.activate(activation, both)
                return code("self.{}({}).squeeze(-1)", name, both)
            case core.Spread(vector, x):
                # Not expand: cuDNN takes only states that are contiguous.
                return code("{}.repeat({}.shape[0], 1)", self.write(vector), self.write(x))
            case _:
                return super().write(value)

    def _binding(self, value: core.Expression) -> int:
        match value:
            case core.MatMul(transposed=True) | core.Combine(
                "add", core.MatMul(transposed=True), core.Param()
            ):
                return 3
            case _:
                return super()._binding(value)

    def return_composed(
        self, layer: nodes.Composed | nodes.Learned, results: Sequence[core.Result]
    ) -> Iterator[Code]:
        """Yield the statements that compute a layer, and return its output."""
        if not _is_product_attention(layer):
            yield from super().return_composed(layer, results)
            return
        split = [result for result in results if isinstance(result.value, core.SplitHeads)]
        yield from self.statements(split)
        arguments = [code("queries, keys, values")]
        if layer.masked:
            seen = "seen" if layer.causal else "real"
            yield from self.statements(result for result in results if result.name == seen)
            yield code("# Where no step is real, all are seen, because a softmax of none is NaN.")
            yield code("some = {}.any(dim=-1, keepdim=True)", seen)
            arguments.append(code("{} | ~some", seen))
        elif layer.causal:
            arguments.append(code("is_causal=True"))
        arguments.append(code("scale=1.0" if layer.scale == 1.0 else "scale=self.scale"))
        attend = code("nn.functional.scaled_dot_product_attention({})", listed(*arguments))
        yield code("context = {}", attend)
        context = code("torch.where(some, context, 0)") if layer.masked else code("context")
        yield code("return {}.transpose(1, 2).flatten(2)", context)

    def pool(self, layer: nodes.Pooling) -> Iterator[Code]:
        """Yield the statements of a statistic over all steps."""
        if layer.statistic != "last" or not layer.masked:
            yield from super().pool(layer)
            return
        x, mask = self.x, self.mask
        steps = code("{}[rows, last]", x)
        yield code("rows = torch.arange({x}.shape[0], device={x}.device)", x=x)
        yield code("last = {m}.shape[1] - 1 - {m}.flip(1).int().argmax(dim=1)", m=mask)
        if layer.backward:
            ahead = nodes.width(layer.input) - layer.backward
            yield code("first = {}.int().argmax(dim=1)", mask)
            ends = "torch.cat([{x}[rows, last, :{!r}], {x}[rows, first, {!r}:]], dim=-1)"
            steps = code(ends, ahead, ahead, x=x)
        yield self.give(steps)
        yield self.give(code("torch.where({}.any(dim=1, keepdim=True), {}, 0)", mask, self.x))

    def activate(self, activation: nodes.Activation, value: Code) -> Code:
        """Return a variable after an activation, which is not linear."""
        match activation:
            case nodes.LeakyRelu(slope=slope):
                return code("nn.functional.leaky_relu({}, {!r})", value, slope)
            case nodes.ClippedRelu(limit=limit):
                # Not clamp, whose gradient at 0 is 1.
                return code("nn.functional.hardtanh({}, 0.0, {!r})", value, limit)
            case "exponential":
                return code("torch.exp({})", value)
            case "softmax" | "log_softmax":
                return code("torch.{}({}, dim=-1)", activation, value)
            case "softplus":
                # PyTorch returns x itself above the threshold: at its default, 20, off by 2e-9.
                return code("nn.functional.softplus({}, threshold=40)", value)
            case _:
                return code("{}({})", ACTIVATIONS[activation], value)

    def activated(self, layer: nodes.Conv | nodes.Activate | nodes.Dense) -> Iterator[Code]:
        """Yield the statement of an activation, on the axis of the features."""
        if layer.name in self._runs and layer.activation in ("softmax", "log_softmax"):
            yield self.give(code("torch.{}({}, dim=1)", layer.activation, self.x))
        else:
            yield from super().activated(layer)

    def finish(self, statements: Sequence[Code]) -> Code:
        """Return the body with its ``return``; for inference, the last value is returned itself."""
        # To a type checker, a module's call is Any, and so are the states that it returns. ``x`` is
        # declared a tensor.
        if self.form == "inference" and not self.network.outputs:
            match statements:
                case [*before, OutputStatement(value=value)] if _CALLED_FUNCTION.fullmatch(value):
                    return lines(before, code("return {}", value))
        return super().finish(statements)


def _is_product_attention(layer: nodes.Composed | nodes.Learned) -> TypeGuard[nodes.Attention]:
    """True if a function of PyTorch computes a layer."""
    is_of_heads = isinstance(layer, nodes.Attention) and layer.heads > 1
    return is_of_heads and not any(_PRODUCT.missing(layer))


def _make(class_: str, /, *positional: Code | Literal, **arguments: Code | Literal) -> Code:
    defaults = DEFAULTS.get(class_.replace("SingleBias", "nn."))
    return call(class_, *positional, _defaults=defaults, **arguments)


EMITTER = Emitter(
    emit=emit,
    fields=source_fields,
    refusals=refusals,
    arrange=plan_layers,
    stepwise=stepwise,
    stock=stock,
)
