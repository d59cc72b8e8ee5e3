"""How PyTorch says each recurrent layer: one plan a layer, made once for a form of source.

The list of layers stays as it is: names, shapes and canonical arrays do not change. Each recurrent
layer becomes a ``PlannedLayer``. A run of equal ones is a stack, which one multi-layer module
computes; except for training, a layer alone is a stack too.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, fields, replace
from itertools import chain, count
from typing import TYPE_CHECKING, Any, assert_never

from rnnspec.backends.torch.backend import TORCH
from rnnspec.ir.fields import Fields
from rnnspec.ir.forms import streamed
from rnnspec.ir.nodes import (
    GRU,
    LSTM,
    Dropout,
    EquationCell,
    Layer,
    Network,
    Recurrent,
    Residual,
    SimpleRNN,
    called_again,
    sources,
)
from rnnspec.ir.text import cell_name, class_name, composed_class
from rnnspec.source.composed import attention_layer
from rnnspec.source.values import kept_values

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rnnspec.ir.equations import Equations
    from rnnspec.ir.forms import Form


FUSED = Fields("Node.source Node.shares Recurrent.backward Recurrent.initial Recurrent.state_names")
"""The fields that a stock layer of PyTorch stands for."""
STACKED = Fields("Node.source Recurrent.initial Recurrent.state_names")
"""Those that a layer in a multi-layer module stands for, or a dropout between two of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """The place of a layer in a multi-layer module with ``dropout`` between its layers.

    ``index`` counts from 0 at the bottom, ``size`` is the number of layers, and ``name`` is the
    name of the module, which is that of its bottom layer.
    """

    name: str
    index: int
    size: int
    dropout: float

    @property
    def is_top(self) -> bool:
        """True if the output of the layer is the output of the module."""
        return self.index == self.size - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How a recurrent layer is computed in a form of source.

    ``is_fused``: a stock layer of PyTorch does, in one kernel over all steps. ``is_wrapped``: it is
    inside a module that handles padding. ``is_split``: each direction is a module of its own,
    because with dropout each needs its own mask, and with padding its own order of steps.
    ``has_states``: a generated class takes the states before the first step, and returns those
    after the last one. ``returns_pair``: the module returns outputs and states, as stock layers do;
    other generated classes return only the one that is needed. ``packs``: a module that handles
    padding packs its sequences, because the cell state after them is needed; one that does not
    returns no cell state. ``drops_input``: the class drops its input itself, with a mask for each
    gate. ``has_single_step``: a chunk of one step is computed
    by cells. ``class_`` runs the cell, ``wrapper`` handles the padding of a stock layer.
    """

    form: Form
    is_fused: bool
    is_wrapped: bool
    is_split: bool
    has_states: bool
    returns_pair: bool
    packs: bool
    has_redundant_bias: bool
    drops_input: bool
    has_single_step: bool
    class_: str
    wrapper: str
    stack: Stack | None

    @classmethod
    def of(
        cls, layer: Recurrent, form: Form, stack: Stack | None = None, *, is_read: bool = False
    ) -> Plan:
        """Return the plan of a layer, which is the only place where these are decided.

        ``is_read`` is true if another layer takes one of its last states.
        """
        fused, stepped = not stepwise_reason(layer), form == "step"
        is_lstm = isinstance(layer.cell, LSTM)
        # PyTorch has a second bias in every cell because cuDNN has. A GRU's reset gate stands
        # between the two, so it needs both. Source: https://github.com/pytorch/pytorch/issues/750.
        redundant = fused and layer.bias and not isinstance(layer.cell, GRU)
        apart = layer.dropout > 0 or layer.masked or not fused
        has_states = stepped or is_read or bool(layer.first_states) or layer.attention is not None
        return cls(
            form=form,
            is_fused=fused,
            is_wrapped=fused and layer.masked,
            is_split=layer.merge is not None and apart,
            has_states=has_states,
            returns_pair=has_states or (fused and not layer.masked),
            packs=stepped,
            has_redundant_bias=redundant,
            drops_input=layer.recurrent_dropout > 0 and not isinstance(layer.cell, EquationCell),
            # On a CPU, PyTorch computes nn.LSTM by oneDNN, which takes twice as long for one step.
            has_single_step=stepped and is_lstm and fused and not layer.masked,
            class_=_class(layer, fused=fused, single=redundant and form == "training"),
            wrapper="MaskedLSTM" if has_states and is_lstm else "Masked",
            stack=stack,
        )

    @property
    def with_states(self) -> Plan:
        """The plan of a layer whose class has states, because another layer of it needs them."""
        is_lstm = self.class_.endswith("LSTM")
        wrapper = "MaskedLSTM" if is_lstm and self.is_fused else "Masked"
        return replace(self, has_states=True, returns_pair=True, wrapper=wrapper)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedLayer(Recurrent):
    """A recurrent layer with its plan."""

    plan: Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class StackedDropout(Dropout):
    """A dropout that a multi-layer module applies itself, between two of its layers."""


def plan_of(layer: Recurrent) -> Plan:
    """Return the plan of a layer; one of a network that is not arranged is alone, for training."""
    return layer.plan if isinstance(layer, PlannedLayer) else Plan.of(layer, "training")


def stack_of(layer: Layer) -> Stack | None:
    """Return the place of a layer in a multi-layer module, or None if it is a module itself."""
    return layer.plan.stack if isinstance(layer, PlannedLayer) else None


def plan_layers(network: Network, form: Form) -> Network:
    """Return a lowered network whose recurrent layers have their plans."""
    layers, name_class = list(network.layers), _ClassNames(network)
    in_chunks, finals = streamed(network), [port for port in network.ports.values() if port.state]
    owners = {layer.name: layer.owner for layer in layers}
    read = {owners[port.layer] for port in finals}
    begin = {layer.owner for layer in layers if isinstance(layer, Recurrent) and layer.first_states}
    for run in _runs(network, _drawn_alike if form == "training" else _alike):
        size = sum(isinstance(layers[index], Recurrent) for index in run)
        rates = [
            layer.rate for layer in (layers[index] for index in run) if isinstance(layer, Dropout)
        ]
        place = 0
        for index in run if size else ():
            layer = layers[index]
            # Not asdict, which would turn the cell and the initializers into dicts too.
            base = Recurrent if isinstance(layer, Recurrent) else Dropout
            values: dict[str, Any] = {key.name: getattr(layer, key.name) for key in fields(base)}
            if isinstance(layer, Recurrent):
                name, dropout = network.layers[run[0]].name, max(rates, default=0.0)
                stack = Stack(name=name, index=place, size=size, dropout=dropout)
                is_stack = size > 1 or form != "training"
                early = form == "step" and layer.name not in in_chunks
                own: Form = "inference" if early else form
                is_read = layer.owner in read | begin
                if isinstance(layer.cell, EquationCell):
                    plan = name_class(Plan.of(layer, own, is_read=is_read), layer.cell)
                else:
                    plan = Plan.of(layer, own, stack if is_stack else None, is_read=is_read)
                layers[index] = PlannedLayer(**values, plan=plan)
                place += 1
            else:
                layers[index] = StackedDropout(**values)
    # Outputs tell neither a cell state nor what a lower layer of a module ends in.
    lower = {
        layer.name
        for layer in layers
        if isinstance(layer, PlannedLayer) and layer.plan.stack and not layer.plan.stack.is_top
    }
    outputs = {layer.name: layer.states[0][0] for layer in layers if isinstance(layer, Recurrent)}
    sources_of_c = {port.layer for port in finals if port.state != outputs[port.layer]}
    packed = sources_of_c | ({port.layer for port in finals} & lower)
    return replace(network, layers=tuple(_alike_in_class(layers, packed)))


def _alike_in_class(layers: list[Layer], packed: Collection[str]) -> Iterator[Layer]:
    """Yield the layers, all of a generated class with states if one of them has states.

    Of the ``packed`` ones, another layer takes a state that the outputs do not tell.
    """

    def class_of(layer: Layer) -> str:
        plan = layer.plan if isinstance(layer, PlannedLayer) else None
        return "" if plan is None else "Masked" if plan.is_wrapped else plan.class_

    with_states = {
        class_of(layer)
        for layer in layers
        if isinstance(layer, PlannedLayer) and layer.plan.has_states
    }
    packs = any(
        layer.plan.packs or layer.name in packed
        for layer in layers
        if isinstance(layer, PlannedLayer) and layer.plan.is_wrapped
    )
    for layer in layers:
        if isinstance(layer, PlannedLayer) and class_of(layer) in with_states:
            is_bare = layer.plan.is_fused and not layer.plan.is_wrapped
            plan = replace(layer.plan.with_states, packs=packs)
            yield layer if is_bare else replace(layer, plan=plan)
        else:
            yield layer


class _ClassNames:
    """The names of the classes for cells by equations, one for layers with equal equations."""

    def __init__(self, network: Network) -> None:
        self.taken = {name.replace("_", "") for name in TORCH.reserved_names.in_source}
        self.taken.add(class_name(network).lower())
        self.names: dict[tuple[str, Equations], str] = {}

    def __call__(self, plan: Plan, cell: EquationCell) -> Plan:
        """Return a plan with a class that is no other's."""
        key = plan.class_, cell.equations
        if key not in self.names:
            numbered = (f"{plan.class_}Layer{number}" for number in count(2))
            names = chain((plan.class_, f"{plan.class_}Layer"), numbered)
            self.names[key] = next(name for name in names if name.lower() not in self.taken)
            self.taken.add(self.names[key].lower())
        return replace(plan, class_=self.names[key])


def stepwise_reason(layer: Recurrent) -> str:
    """Return the key that no fused layer can honour, empty if a fused layer can honour all."""
    for field in FUSED.missing(layer):
        return field
    if layer.recurrent_dropout:
        return "recurrent_dropout"
    match layer.cell:
        case EquationCell():
            return "type"
        # The fused layer runs over padding too, where an unbounded state can overflow.
        case SimpleRNN(activation="relu") if layer.masked:
            return "activation"
        case SimpleRNN(activation=activation):
            return "" if activation in ("tanh", "relu") else "activation"
        case LSTM(activation=activation, recurrent_activation=recurrent):
            return _unlike_stock(activation, recurrent)
        case GRU(reset_after=False):
            return "reset_after: false"
        case GRU(activation=activation, recurrent_activation=recurrent):
            return _unlike_stock(activation, recurrent)
        case _:
            assert_never(layer.cell)


def _unlike_stock(activation: str, recurrent_activation: str) -> str:
    if activation != "tanh":
        return "activation"
    return "" if recurrent_activation == "sigmoid" else "recurrent_activation"


def _class(layer: Recurrent, *, fused: bool, single: bool) -> str:
    """Return the class that runs the cell of a layer: a stock class or a generated one."""
    name = cell_name(layer.cell)
    if fused:
        return f"SingleBias{name}" if single else f"nn.{name}"
    masked = "Masked" if layer.masked else ""
    unbiased = "" if layer.bias else "Unbiased"
    attention = attention_layer(layer)
    if layer.attention and attention:
        kind = composed_class(attention)
        kind = kind.replace("Dot", "General") if layer.attention.projects else kind
        return f"{masked}{unbiased}{name}With{kind}"
    own = isinstance(layer.cell, EquationCell)
    loop = "RecurrentDropout" if layer.recurrent_dropout else "" if own else "Stepwise"
    return f"{masked}{unbiased}{loop}{name}"


def module_path(layer: Recurrent, direction: str) -> tuple[str, str]:
    """Return the path to the module of a direction (``forward.`` or empty), and a name suffix."""
    plan = plan_of(layer)
    masked = "layer." if plan.is_wrapped else ""
    if plan.is_split:
        return f"{direction_key(direction)}.{masked}", ""
    return masked, "_reverse" if direction == "backward." else ""


def direction_key(direction: str) -> str:
    """Return the key of the module of a direction, where there are two modules."""
    # As in Keras. ``forward`` alone is an attribute of every module, which ModuleDict refuses.
    return f"{direction.removesuffix('.')}_layer"


Alike = Callable[[Recurrent, Recurrent], bool]


def _runs(network: Network, alike: Alike) -> Iterator[list[int]]:
    """Yield the indexes of each run from bottom to top, including the dropout between layers.

    A layer that no other one continues is a run of its own.
    """
    layers, taken = network.layers, sources(network)
    before = (network.inputs[0].name, *(layer.name for layer in layers))
    # Outside of a module, the inputs and outputs of its inner layers are not accessible.
    starts = {layer.start for layer in layers if isinstance(layer, Residual)}
    starts |= {
        layer.name
        for layer, previous in zip(layers, before, strict=False)
        if taken[layer.name][0] != previous
    }
    results = {name for _, name in network.outputs if name != network.last}
    kept = kept_values(network, layers, results)

    def is_inside(run: Collection[str], layer: Layer) -> bool:
        """True if the first states of a layer follow from layers of a run."""
        waiting, known = [*getattr(layer, "begins_as", {}).values()], set[str]()
        while waiting:
            name = waiting.pop()
            if name in run:
                return True
            if name not in known:
                known.add(name)
                port = network.ports.get(name)
                waiting += [port.layer] if port else taken.get(name, ())
        return False

    again = called_again(network)

    def fit(upper: Recurrent, lower: Recurrent) -> bool:
        for layer in (upper, lower):
            # A module is called with what its own layers take.
            if stepwise_reason(layer) or any(STACKED.missing(layer)) or layer.name in again:
                return False
        return alike(upper, lower) and _continues(upper, lower)

    start = 0
    while start < len(layers):
        run = [start]
        while following := _following(layers, run, fit, starts, kept):
            if is_inside({layers[index].name for index in run}, layers[following[-1]]):
                break
            run += following
        yield run
        start = run[-1] + 1


def _following(
    layers: tuple[Layer, ...],
    run: list[int],
    fit: Alike,
    starts: Collection[str],
    used_later: Collection[str],
) -> list[int]:
    """Return the indexes of the next layer of a run and the dropout before it, empty at its end.

    At ``starts``, a layer takes something else than the output before it, or a residual begins.
    """
    # The second entry of a run shows whether there is dropout between its layers. ``upper`` comes
    # first in the spec, and ``lower`` takes its output.
    last, between = run[-1], layers[run[1]] if len(run) > 1 else None
    upper = layers[last]
    dropout = layers[last + 1] if last + 1 < len(layers) else None
    # A module draws the elements of each step anew.
    dropped = isinstance(dropout, Dropout) and not any(STACKED.missing(dropout))
    following = [last + 1, last + 2] if dropped else [last + 1]
    if following[-1] >= len(layers):
        return []
    lower = layers[following[-1]]
    if not isinstance(upper, Recurrent) or not isinstance(lower, Recurrent):
        return []
    if not fit(upper, lower):
        return []
    inner = [layers[index] for index in (last, *following[:-1])]
    is_used_later = any(layer.name in used_later for layer in inner)
    added = any(layers[index].name in starts for index in following)
    if is_used_later or added:
        return []
    # A module has one dropout rate for all the places between its layers.
    if between is not None and _rate(between) != _rate(layers[following[0]]):
        return []
    return following


def _rate(layer: Layer) -> float:
    return layer.rate if isinstance(layer, Dropout) else 0.0


_OWN = ("name", "input", "source", "return_sequences", "dropout", "initial")
"""Fields that may differ in a module: ``_continues`` checks what PyTorch can honour of them."""
_INITIAL = ("kernel_initializer", "recurrent_initializer", "bias_initializer", "cell")
"""Fields with initial weights, of which a cell has only the forget bias."""


def _alike(upper: Recurrent, lower: Recurrent) -> bool:
    """True if the two layers have the same settings, except for their initial weights."""
    cells = [
        replace(layer.standard_cell, forget_bias=0.0)
        if isinstance(layer.standard_cell, LSTM)
        else layer.standard_cell
        for layer in (upper, lower)
    ]
    return cells[0] == cells[1] and _equal_but(_OWN + _INITIAL, upper, lower)


def _drawn_alike(upper: Recurrent, lower: Recurrent) -> bool:
    """True if the two layers have the same settings, and initial weights drawn alike."""
    return _equal_but(_OWN, upper, lower)


def _equal_but(names: tuple[str, ...], upper: Recurrent, lower: Recurrent) -> bool:
    """True if every other field is equal, those of the future included."""
    return replace(lower, **{name: getattr(upper, name) for name in names}) == upper


def _continues(upper: Recurrent, lower: Recurrent) -> bool:
    """True if ``lower`` can be one more layer in the module of ``upper``, if it is alike."""
    # A fused stack has no per-sequence dropout between its layers, and with padding each direction
    # has its own order.
    plain = lower.dropout == 0.0 and (upper.merge is None or upper.dropout == 0.0)
    # Inside a module, the next layer gets both directions concatenated.
    joined = upper.merge is None or (upper.merge == "concat" and not upper.masked)
    return plain and joined and upper.return_sequences
