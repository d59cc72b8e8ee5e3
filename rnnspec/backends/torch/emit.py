"""IR -> PyTorch source: one ``nn.Module``."""

from __future__ import annotations

import re
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING

from rnnspec.backends.contract import Emitter, Stock
from rnnspec.backends.needs import purpose
from rnnspec.backends.torch import channels
from rnnspec.backends.torch.backend import TORCH
from rnnspec.backends.torch.classes import (
    ACTIVATIONS,
    CellClass,
    cell_classes,
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
    stack_of,
    stepwise_reason,
)
from rnnspec.backends.torch.slots import module
from rnnspec.errors import listed as listed_words
from rnnspec.ir import cells, core, nodes, text
from rnnspec.ir.cells import gates
from rnnspec.ir.expand import expand
from rnnspec.ir.fields import Fields, shared_refusals
from rnnspec.ir.forms import held_values, states, states_of
from rnnspec.ir.params import count, counts, directions
from rnnspec.source.code import Code, Module, call, code, function, lines, listed
from rnnspec.source.values import argument_refusals
from rnnspec.source.walk import Walk, walked_fields

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

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
        "nn.Conv1d": {"stride": 1, "padding": 0, "dilation": 1, "bias": True},
        "nn.MaxPool1d": {"stride": None, "padding": 0},
        "nn.AvgPool1d": {"stride": None, "padding": 0, "count_include_pad": True},
    }
)
"""The default arguments of PyTorch's modules; a test compares them with PyTorch."""

_GRAPH = (
    "Network.outputs Network.stream Node.source Embedding.table Pooling.backward Dense.tied"
    " Attention.bias Attention.query"
)
_FIELDS: dict[Form, Fields] = {
    "training": Fields(f"{_GRAPH} Dropout.variational"),
    "inference": Fields(_GRAPH),
    "step": Fields(_GRAPH),
}
"""The fields that the source of each form is written from."""
_CELL_FIELDS = Fields(f"{cells.FIELDS.names} Recurrent.backward Recurrent.initial")
_ARGUMENTS = Fields(
    "Node.name Node.input Node.source Recurrent.units Recurrent.merge Recurrent.dropout"
    " Recurrent.recurrent_dropout Recurrent.return_sequences Recurrent.backward"
    " Recurrent.initial Recurrent.kernel_initializer"
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
    return (
        *shared_refusals([*classes, *tied], _ARGUMENTS),
        *argument_refusals(network, TORCH.reserved_names.in_source),
    )


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
        if isinstance(layer, nodes.Recurrent) and plan_of(layer).has_redundant_bias
    )


class TorchWalk(Walk):
    """The walk that writes PyTorch."""

    imports = ("import torch", "from torch import nn")
    in_source = TORCH.reserved_names.in_source
    array = "torch.Tensor"
    space = "torch"
    axis = "dim"
    keep = "keepdim=True"
    highest = "amax"
    softmax = "torch.softmax"
    method = "forward"
    module = "nn.Module"
    before_arrays = code("super().__init__()")
    checked_forms = ("training",)
    losses = MappingProxyType({"sigmoid": "BCEWithLogitsLoss", "softmax": "CrossEntropyLoss"})
    about_logits = "Return the output, or with ``logits`` what ``{}`` takes."

    def create(self, modules: Code) -> Iterator[Code]:
        """Yield ``__init__``, and for training ``reset_parameters``, which it calls."""
        is_drawn = self.form == "training"
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

    def compute(self, layer: nodes.Layer) -> Code:
        """Return the statements that compute a layer, on the axes that PyTorch has for it."""
        text = super().compute(layer)
        if run := self._runs.get(layer.name):
            return channels.transpose_around(text, first=layer is run[0], last=layer is run[-1])
        return text

    @cached_property
    def _runs(self) -> dict[str, tuple[nodes.Layer, ...]]:
        """The run of each layer that gets (batch, features, steps)."""
        runs = channels.channel_runs(self.network)
        return {layer.name: run for run in runs for layer in run}

    def hold(self, param: Param, *sizes: str) -> Code:
        """Return a parameter, or a buffer if it is not trained."""
        array = code("torch.empty({})", listed(*sizes))
        if param.trainable:
            return code("self.{} = nn.Parameter({})", param.name, array)
        return code("self.register_buffer({!r}, {})", param.name, array)

    def embedding(self, layer: nodes.Embedding) -> Code:
        """Return an embedding without ``padding_idx``: a mask does not change token 0's vector."""
        frozen = code("self.{}.weight.requires_grad_(False)", layer.name)
        return lines(
            code("self.{} = nn.Embedding({!r}, {!r})", layer.name, layer.vocabulary, layer.dim),
            Code() if layer.trainable else frozen,
        )

    def dropout(self, layer: nodes.Dropout) -> Code:
        """Return a dropout, nothing for one between the layers of a module."""
        if isinstance(layer, StackedDropout):
            return Code()
        class_ = "nn.Dropout1d" if layer.variational else "nn.Dropout"
        return code("self.{} = {}({!r})", layer.name, class_, layer.rate)

    def layer_norm(self, layer: nodes.LayerNorm) -> Code:
        """Return a layer normalization with its epsilon."""
        size = nodes.width(layer.input)
        return code("self.{} = nn.LayerNorm({!r}, eps={!r})", layer.name, size, layer.epsilon)

    def dense(self, layer: nodes.Dense) -> Code:
        """Return a linear layer, or what a tied one has beside the embedding."""
        if layer.tied:
            tied = code("self.{} = TiedLinear({!r})", layer.name, layer.units)
            return tied if layer.bias else Code()
        linear = _make("nn.Linear", layer.features, layer.units, bias=layer.bias)
        return code("self.{} = {}", layer.name, linear)

    def project_tied(self, layer: nodes.Dense) -> Code:
        """Return the product with the weight of the embedding, which the module itself has not."""
        # Its second owner would be in the state dict, too.
        if layer.bias:
            return code("self.{}(x, self.{}.weight)", layer.name, layer.tied)
        return code("nn.functional.linear(x, self.{}.weight)", layer.tied)

    def conv(self, layer: nodes.Conv) -> Code:
        """Return a convolution, with padding that is the same at both ends."""
        window, steps = layer.window, layer.input[0]
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
        return code("self.{} = {}", layer.name, module)

    def run_conv(self, layer: nodes.Conv) -> Iterator[Code]:
        """Yield the statements of a convolution, in step form with the inputs before the chunk."""
        window = layer.window
        if layer.masked and not self._is_filled(layer):
            yield code("x = {}", channels.where_real(code("0")))
        if self.form == "step" and window.reach:
            (state,) = states_of(layer)
            yield code(
                """
                x = torch.cat([{state}.transpose(1, 2), x], dim=2)
                {state} = x[:, :, -{!r}:].transpose(1, 2)
                """,
                window.reach,
                state=state.name,
            )
        else:
            yield from channels.pad(window, layer.input[0])
        yield code("x = self.{}(x)", layer.name)

    def _is_filled(self, layer: nodes.Layer) -> bool:
        """True if the padded steps that a layer gets are zeros already."""
        main, *_ = nodes.sources(self.network)[layer.name]
        filled = (each for each in self.network.inputs if isinstance(each, nodes.NumericInput))
        return any(each.name == main for each in filled)

    def window_pooling(self, layer: nodes.WindowPooling) -> Code:
        """Return a pool, with padding that is the same at both ends."""
        window, steps = layer.window, layer.input[0]
        padding = channels.own_padding(window, steps)
        stride = None if window.stride == window.size else window.stride
        if layer.statistic == "max":
            module = _make("nn.MaxPool1d", window.size, stride=stride, padding=padding)
        else:
            # With a mask, the share of real steps has the padding too.
            counts = layer.masked or not padding
            module = _make(
                "nn.AvgPool1d",
                window.size,
                stride=stride,
                padding=padding,
                count_include_pad=counts,
            )
        return code("self.{} = {}", layer.name, module)

    def run_window_pooling(self, layer: nodes.WindowPooling) -> Iterator[Code]:
        """Yield the statements of a pool."""
        pool = channels.pool_max if layer.statistic == "max" else channels.pool_average
        return pool(layer)

    def batch_norm(self, layer: nodes.BatchNorm) -> Code:
        """Return a batch norm: a stock layer, except for training."""
        size = nodes.width(layer.input)
        arguments: dict[str, Literal] = {"eps": layer.epsilon}
        if self.form == "training":
            arguments["momentum"] = layer.momentum
        class_ = "BatchNorm" if self.form == "training" else "nn.BatchNorm1d"
        return code("self.{} = {}", layer.name, _make(class_, size, **arguments))

    def run_batch_norm(self, layer: nodes.BatchNorm) -> Iterator[Code]:
        """Yield the call of a batch norm, which in training takes the mask."""
        takes_mask = layer.masked and self.form == "training"
        yield code("x = self.{}({})", layer.name, listed("x", "mask" if takes_mask else ""))

    def attention(self, layer: nodes.Attention) -> Code:
        """Return the linear layer of the query, of the hidden layer of the steps, or both."""
        modules = dict[str, Code]()
        if layer.units is not None:
            modules["hidden"] = _make("nn.Linear", layer.features, layer.units, bias=layer.bias)
        if layer.query is None:
            modules["query"] = _make("nn.Linear", layer.units or layer.features, 1, bias=False)
        if layer.units is None:
            return lines(code("self.{} = {}", layer.name, query) for query in modules.values())
        entries = listed(*(code("{!r}: {}", name, module) for name, module in modules.items()))
        return code("self.{} = nn.ModuleDict({{{}}})", layer.name, entries)

    def run_attention(self, layer: nodes.Attention) -> Iterator[Code]:
        """Yield the statements that weight the steps, and sum them."""
        hidden = code("x")
        if layer.units is not None:
            yield code("hidden = self.{}[{!r}](x)", layer.name, "hidden")
            hidden = code("hidden")
        if layer.activation != "linear":
            yield code("hidden = {}", _activate(layer.activation, hidden))
            hidden = code("hidden")
        if layer.query:
            yield from self.need((layer.query,))
            yield code("scores = {} @ {}.unsqueeze(-1)", hidden, self.output(layer.query))
        elif layer.units is None:
            yield code("scores = self.{}({})", layer.name, hidden)
        else:
            yield code("scores = self.{}[{!r}]({})", layer.name, "query", hidden)
        _, *results = expand(layer, self.form)
        yield from self.statements(results)

    @cached_property
    def _recurrent_modules(self) -> dict[str, nodes.Recurrent]:
        return {layer.name: layer for layer in recurrent_modules(self.network)}

    @cached_property
    def cell_classes(self) -> dict[str, CellClass]:
        """The generated classes by name."""
        return cell_classes(self.network)

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
        return code("self.{} = {}", layer.name, module)

    def _make_cell(self, layer: nodes.Recurrent) -> Code:
        plan = plan_of(layer)
        arguments: dict[str, Code | Literal] = {}
        if not plan.is_fused:
            arguments = self.cell_classes[plan.class_].arguments(layer)
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

    def convert_input(self, source: nodes.Input) -> Code:
        """Return the conversion of features that are integers, which Keras and JAX take too."""
        if isinstance(source, nodes.TokenInput | nodes.LabelInput):
            return Code()
        # Not the dtype of a weight: type checkers do not know it, and a dynamically quantized
        # module has no weight of this name.
        return code("x = x if x.is_floating_point() else x.float()")

    def run(self, layer: nodes.Recurrent) -> Iterator[Code]:
        """Yield the statements of a layer that is one module, part of one, or two modules."""
        plan, stack, dropped = plan_of(layer), stack_of(layer), Code()
        if layer.dropout and not plan.drops_input:
            dropped = code("variational_dropout(x, {!r}, self.training)", layer.dropout)
        if not plan.is_split and dropped:
            yield code("x = {}", dropped)
        if stack and not stack.is_top:
            return
        yield from self.need(self._first_vectors(layer))
        if plan.is_split:
            yield from self._run_both_ways(layer, dropped)
            return
        flip = ".flip(1)" if layer.backward else ""
        # Not the outputs at the last step, where the backward direction has seen only that step.
        # Source: https://github.com/pytorch/pytorch/issues/3587.
        result, state = self._result("x", layer)
        yield code(
            "{} = self.{}({})",
            result,
            module(layer),
            listed(
                code(f"x{flip}"),
                code(f"mask{flip}") if layer.masked else "",
                self._first_state(layer),
            ),
        )
        if layer.return_sequences or not plan.returns_pair:
            if flip and layer.return_sequences:
                yield code("x = x.flip(1)")
            if layer.merge is not None and layer.merge != "concat":
                yield code("ahead, back = x.chunk(2, dim=-1)")
                yield code("x = {}", self.merge(code("ahead"), code("back"), layer.merge))
        elif layer.merge is None:
            is_flat = isinstance(layer.cell, nodes.EquationCell)
            yield code("x = {}" if is_flat else "x = {}[-1]", state)
        else:
            # A stack returns the states of all its layers; the last two are those of the top layer.
            ahead, back = (code("{}[{!r}]", state, at) for at in ((-2, -1) if stack else (0, 1)))
            yield code("x = {}", self.merge(ahead, back, layer.merge))

    def _run_both_ways(self, layer: nodes.Recurrent, dropped: Code) -> Iterator[Code]:
        """Yield the statements of two modules; the second gets the steps in reverse order."""
        assert layer.merge is not None
        inputs = {"ahead": code("x"), "back": code("x")}
        if dropped:
            # Drawn twice, because each direction has its own mask, as in Keras.
            for name in inputs:
                yield code("{} = {}", name, dropped)
                inputs[name] = code("{}", name)
        results = {}
        for at, (name, key) in enumerate(zip(inputs, directions(layer), strict=True)):
            flip = ".flip(1)" if name == "back" else ""
            result, results[name] = self._result(name, layer)
            yield code(
                "{} = self.{}[{!r}]({})",
                result,
                module(layer),
                direction_key(key),
                listed(
                    code(f"{{}}{flip}", inputs[name]),
                    code(f"mask{flip}") if layer.masked else "",
                    self._first_state(layer, at),
                ),
            )
        join = "{} = torch.cat([{}, {}], dim=-1)"
        for kind in self._read_states(layer):
            ends = (code("{}", f"{name}_{kind}") for name in inputs)
            is_flat = isinstance(layer.cell, nodes.EquationCell)
            text = join if is_flat else "{} = torch.cat([{}, {}])"
            yield code(text, self._state_variable(layer, kind), *ends)
        if layer.return_sequences:
            ahead, back = code("ahead"), code("back.flip(1)")
        elif plan_of(layer).returns_pair and not isinstance(layer.cell, nodes.EquationCell):
            ahead, back = (code("{}[-1]", state) for state in results.values())
        else:
            ahead, back = results.values()
        yield code("x = {}", self.merge(ahead, back, layer.merge))

    def _result(self, name: str, layer: nodes.Recurrent) -> tuple[Code, Code]:
        """Return the target of a call, and the variable in it of the final state that is ``x``.

        ``name`` is that of the direction.
        """
        if not plan_of(layer).returns_pair:
            return code("{}", name), code("{}", name)
        output, *others = (kind for kind, _ in layer.states)
        read, last = self._read_states(layer), "state" if name == "x" else name
        targets = dict.fromkeys((output, *others), code("_"))
        for kind in read:
            of_direction = code("{}", f"{name}_{kind}")
            targets[kind] = self._state_variable(layer, kind) if name == "x" else of_direction
        if not layer.return_sequences and output not in read:
            targets[output] = code("{}", last)
        first = code("{}", name if layer.return_sequences else "_")
        if isinstance(layer.cell, nodes.EquationCell):
            return listed(first, *targets.values()), targets[output]
        if set(targets.values()) == {"_"}:
            return code("{}, _", first), targets[output]
        pair = code("({})", listed(*targets.values())) if others else targets[output]
        # The final states of an LSTM are the pair (h, c).
        return code("{}, {}", first, pair), targets[output]

    def _read_states(self, layer: nodes.Recurrent) -> list[str]:
        """Return the kinds of states that other layers take of a module."""
        read = {
            final.part
            for final in self.network.layers
            if isinstance(final, nodes.FinalState)
            and module(self._by_name[self._sources[final.name][0]]) == module(layer)
        }
        return [kind for kind, _ in layer.states if kind in read]

    @cached_property
    def _by_name(self) -> dict[str, nodes.Layer]:
        return {layer.name: layer for layer in self.network.layers}

    def _state_variable(self, layer: nodes.Layer, kind: str) -> Code:
        return code("{}", self.variables_of[f"{module(layer)}.{kind}"])

    def final_state(self, layer: str, name: str) -> Code:
        """Return a state after the last step, both directions side by side."""
        recurrent = self._by_name[layer]
        assert isinstance(recurrent, nodes.Recurrent)
        states, stack = self._state_variable(recurrent, name), stack_of(recurrent)
        if isinstance(recurrent.cell, nodes.EquationCell):
            return states
        at = stack.index if stack else 0
        if recurrent.merge is None:
            return code("{}[{!r}]", states, -1 if stack is None or stack.is_top else at)
        ways = (code("{}[{!r}]", states, 2 * at + way) for way in range(2))
        return code("torch.cat([{}], dim=-1)", listed(*ways))

    def _modules_layers(self, layer: nodes.Recurrent) -> list[nodes.Recurrent]:
        """Return the layers of the module of a layer."""
        return [
            each
            for each in self.network.layers
            if isinstance(each, nodes.Recurrent) and module(each) == module(layer)
        ]

    def _passed_on(self, layer: nodes.Recurrent, kind: str) -> Code:
        """Return the states of another module if they are those that a module begins with."""
        sources, ways = list[nodes.Layer](), layer.ways
        for each in self._modules_layers(layer):
            final = self._by_name.get(each.first_states.get(kind, ""))
            if not isinstance(final, nodes.FinalState) or final.part != kind:
                return Code()
            sources.append(self._by_name[self._sources[final.name][0]])
        first = sources[0]
        if not isinstance(first, nodes.Recurrent) or first.ways != ways:
            return Code()
        whole = [each.name for each in self._modules_layers(first)]
        is_whole = [source.name for source in sources] == whole
        is_flat = isinstance(layer.cell, nodes.EquationCell)
        if not is_whole or is_flat or isinstance(first.cell, nodes.EquationCell):
            return Code()
        return self._state_variable(first, kind)

    def _first_vectors(self, layer: nodes.Recurrent) -> list[str]:
        """Return the names of the vectors that a module begins with, but for those passed on."""
        return [
            vector
            for each in self._modules_layers(layer)
            for kind, vector in each.first_states.items()
            if not self._passed_on(layer, kind)
        ]

    def _first_state(self, layer: nodes.Recurrent, way: int | None = None) -> Code:
        """Return the first states of a module, or of one of two, empty if it takes none.

        A stock layer has them as (layers x directions, batch, units).
        """
        plan, layers = plan_of(layer), self._modules_layers(layer)
        begins = any(each.first_states for each in layers)
        takes_all = plan.has_states and (plan.is_wrapped or not plan.is_fused)
        if not (begins or takes_all):
            return Code()
        states = [self._first_of_kind(layer, kind, size, way) for kind, size in layer.states]
        if isinstance(layer.cell, nodes.EquationCell):
            return listed(*states)
        return code("({})", listed(*states)) if len(states) > 1 else states[0]

    def _first_of_kind(self, layer: nodes.Recurrent, kind: str, size: int, way: int | None) -> Code:
        """Return the first value of a state of a module, or of one of two."""
        is_flat = isinstance(layer.cell, nodes.EquationCell)
        layers = self._modules_layers(layer)
        vectors = [each.first_states.get(kind) for each in layers]
        if passed := self._passed_on(layer, kind):
            ends = Code("" if way is None else "[1:]" if way else "[:1]")
            return code("{}{}", passed, ends)
        if not any(vectors):
            others = [vector for each in layers for vector in each.first_states.values()]
            like = self.output(others[0]) if others else code("x")
            count = len(layers) * (1 if way is not None else layer.ways)
            rows = [] if is_flat else [code("{!r}", count)]
            shape = listed(*rows, code("{}.shape[0]", like), code("{!r}", size))
            return code("{}.new_zeros({})", like, shape)
        whole = next(self.output(vector) for vector in vectors if vector)
        parts = list[Code]()
        for vector in vectors:
            value = self.output(vector) if vector else code("torch.zeros_like({})", whole)
            if layer.merge is None:
                parts.append(value)
            elif way is not None:
                half = code("{}[:, {!r}:]" if way else "{}[:, :{!r}]", value, size)
                # A stock layer takes only states that are contiguous.
                is_bare = plan_of(layer).is_fused and not plan_of(layer).is_wrapped
                parts.append(code("{}.contiguous()", half) if is_bare else half)
            else:
                parts += [code("{}[:, :{!r}]", value, size), code("{}[:, {!r}:]", value, size)]
        if len(parts) > 1:
            return code("torch.stack([{}])", listed(*parts))
        return parts[0] if is_flat else code("{}.unsqueeze(0)", parts[0])

    def first_values(self) -> Iterator[tuple[str, Code]]:
        """Yield the name of each state that does not begin as zeros, and its first value."""
        for state in held_values(self.network):
            yield state.name, self.output(state.layer)
        for layer in self._streamed_modules():
            for kind, size in layer.states:
                if any(each.first_states.get(kind) for each in self._modules_layers(layer)):
                    first = self._first_of_kind(layer, kind, size, None)
                    yield f"{module(layer)}_{kind}", first

    def first_needs(self) -> Iterator[str]:
        """Yield the names of what the states before the first chunk are made of."""
        yield from (state.layer for state in held_values(self.network))
        for layer in self._streamed_modules():
            yield from self._first_vectors(layer)

    def _streamed_modules(self) -> list[nodes.Recurrent]:
        return [
            layer
            for layer in self.network.layers
            if isinstance(layer, nodes.Recurrent)
            and plan_of(layer).form == "step"
            and layer is self._modules_layers(layer)[0]
        ]

    def run_chunk(self, layer: nodes.Recurrent) -> Iterator[Code]:
        """Yield the call of a module with its states, which is that of its top layer."""
        stack = stack_of(layer)
        if isinstance(layer.cell, nodes.EquationCell):
            states = [state.name for state in states_of(layer)]
            results = listed("x" if layer.return_sequences else "_", *states)
            arguments = listed("x", "mask" if layer.masked else "", *states)
            yield code("{} = self.{}({})", results, layer.name, arguments)
            if not layer.return_sequences:
                yield code("x = {}", states[0])
            return
        assert stack is not None, "in step form, every recurrent layer is in a stack"
        if not stack.is_top:
            return
        h, c = (f"{stack.name}_{kind}" for kind in ("h", "c"))
        state = (
            code("({}, {})", h, c) if isinstance(layer.standard_cell, nodes.LSTM) else code("{}", h)
        )
        result = code("{}, {}", "x" if layer.return_sequences else "_", state)
        arguments = listed("x", "mask" if layer.masked else "", state)
        run = code("{} = self.{}({})", result, stack.name, arguments)
        if plan_of(layer).has_single_step:
            # A scripted function takes no module, and TorchScript compiles only the branch that it
            # can reach. PyTorch documents is_scripting, and does not declare that it is exported.
            yield code(
                """
                # TorchScript has no functions of modules, so there one step is a chunk too.
                if torch.jit.is_scripting() or x.shape[1] > 1:  # type: ignore[attr-defined]
                    {run}
                else:
                    {result} = single_step(self.{name}, x, {state})
                """,
                run=run,
                result=result,
                name=stack.name,
                state=state,
            )
        else:
            yield run
        if not layer.return_sequences:
            yield code("x = {}[-1]", h)

    def write(self, value: core.Expression) -> Code:
        """Return an expression, with the names that PyTorch has."""
        match value:
            case core.Combine(
                "divide", x, core.Combine("maximum", core.Length(vector), float(least))
            ) if x == vector:
                normalize = "nn.functional.normalize({}, dim=-1, eps={!r})"
                return code(normalize, self.write(x), least)
            case core.Combine("maximum", left, float() as right):
                return code("{}.clamp(min={})", self.write(left), self.write(right))
            case core.Column(mask):
                return code("{}.unsqueeze(-1)", self.write(mask))
            case core.Join(parts, axis):
                number = 1 if axis == "steps" else -1
                return code("torch.cat([{}], dim={!r})", listed(*map(self.write, parts)), number)
            case core.Flatten(x):
                return code("torch.flatten({}, 1)", self.write(x))
            case core.Repeat(x, 1):
                return code("{}.unsqueeze(1)", self.write(x))
            case core.Repeat(x, steps):
                count = code("{!r}", steps) if isinstance(steps, int) else self.write(steps)
                return code("{}.unsqueeze(1).expand(-1, {}, -1)", self.write(x), count)
            case core.Spread(vector, x):
                # Not expand: cuDNN takes only states that are contiguous.
                return code("{}.repeat({}.shape[0], 1)", self.write(vector), self.write(x))
            case _:
                return super().write(value)

    def pool(self, layer: nodes.Pooling) -> Iterator[Code]:
        """Yield the statements of a statistic over all steps."""
        if layer.statistic != "last" or not layer.masked:
            yield from super().pool(layer)
            return
        first, steps = Code(), code("x[rows, last]")
        if layer.backward:
            ahead = nodes.width(layer.input) - layer.backward
            first = code("first = mask.int().argmax(dim=1)")
            steps = code(
                "torch.cat([x[rows, last, :{!r}], x[rows, first, {!r}:]], dim=-1)", ahead, ahead
            )
        yield code(
            """
            rows = torch.arange(x.shape[0], device=x.device)
            last = mask.shape[1] - 1 - mask.flip(1).int().argmax(dim=1)
            {}
            x = {}
            x = torch.where(mask.any(dim=1, keepdim=True), x, 0)
            """,
            first,
            steps,
        )

    def activate(self, activation: nodes.Activation) -> Code:
        """Return ``x`` after an activation."""
        return _activate(activation, "x")

    def activated(self, layer: nodes.Conv | nodes.Activate | nodes.Dense) -> Code:
        """Return the statement of an activation, on the axis of the features."""
        if layer.name in self._runs and layer.activation in ("softmax", "log_softmax"):
            return code("x = torch.{}(x, dim=1)", layer.activation)
        return super().activated(layer)

    def state_shapes(self, *, first: bool = False) -> Iterator[tuple[str, Code]]:
        """Yield the name and shape of each state, those of stock layers as PyTorch has them."""
        for state in states(self.network):
            layer = self._by_name.get(state.layer)
            stack = stack_of(layer) if layer and state.kind != "value" else None
            if stack is None:
                yield state.name, self.state_sizes(state, first=first)
            elif stack.index == 0:
                yield state.name, code("{!r}, batch, {!r}", stack.size, state.size)

    def zeros(self, shape: Code) -> Code:
        """Return a state of zeros."""
        # Tokens are integers, so the weights tell the dtype of the states.
        floats = (nodes.NumericInput, nodes.VectorInput)
        named = (each.name for each in self.scope.inputs if isinstance(each, floats))
        if source := next(named, None):
            return code("{}.new_zeros({})", self.output(source), shape)
        embeddings = (each for each in self.network.layers if isinstance(each, nodes.Embedding))
        first = next(each for each in embeddings if each.table is None)
        return code("self.{}.weight.new_zeros({})", first.name, shape)

    def finish(self, body: Code) -> Code:
        """Return the body with its ``return``; for inference, the last value is returned itself."""
        # To a type checker, a module's call is Any, and so are the states that it returns. ``x`` is
        # declared a tensor.
        last = re.search(r"^x = (?!self\.)([\w.]+\(.*\))\Z", body, re.MULTILINE)
        if last and self.form == "inference" and not self.network.outputs:
            return Code(f"{body[: last.start()]}return {last[1]}")
        return super().finish(body)


def _activate(activation: nodes.Activation, value: str) -> Code:
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


def _make(class_: str, *positional: Code | Literal, **arguments: Code | Literal) -> Code:
    defaults = DEFAULTS.get(class_.replace("SingleBias", "nn."))
    return call(class_, *positional, defaults=defaults, **arguments)


EMITTER = Emitter(
    emit=emit,
    fields=source_fields,
    refusals=refusals,
    arrange=plan_layers,
    stepwise=stepwise,
    stock=stock,
)
