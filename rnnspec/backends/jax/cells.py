"""The generated class of each recurrent layer, and the initializers of all layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, assert_never

from rnnspec.errors import Refusal
from rnnspec.ir import initializers
from rnnspec.ir.branches import guard_branches
from rnnspec.ir.cells import ARRAYS, equations, gates, place
from rnnspec.ir.forms import streamed
from rnnspec.ir.nodes import (
    LSTM,
    AttentionPooling,
    Conv,
    Dense,
    EquationCell,
    Network,
    Recurrent,
    SimpleRNN,
)
from rnnspec.ir.params import named_params
from rnnspec.ir.schedule import JoinedProduct, packed_schedule, schedule
from rnnspec.ir.text import cell_name, composed_class
from rnnspec.source.code import Code, code
from rnnspec.source.composed import attention_layer
from rnnspec.source.expressions import local_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rnnspec.ir.equations import Size
    from rnnspec.ir.forms import Form
    from rnnspec.ir.schedule import Schedule
    from rnnspec.source.code import Literal
    from rnnspec.words import Activation

ACTIVATIONS: dict[Activation, str] = {
    "tanh": "jnp.tanh",
    "sigmoid": "jax.nn.sigmoid",
    "relu": "jax.nn.relu",
    "hard_sigmoid": "hard_sigmoid",
    "legacy_hard_sigmoid": "legacy_hard_sigmoid",
    "linear": "",
    "softsign": "jax.nn.soft_sign",
    "softplus": "jax.nn.softplus",
    "elu": "jax.nn.elu",
    "selu": "jax.nn.selu",
    "silu": "jax.nn.silu",
    "exponential": "jnp.exp",
    "softmax": "jax.nn.softmax",
    "log_softmax": "jax.nn.log_softmax",
}
"""The function of each activation, empty for the identity."""

_FLAT = frozenset({"maximum", "minimum"})
"""The functions whose gradient is a product in JAX."""
LOCALS = frozenset(
    """
    dropout eval gate_masks gate_products hard_sigmoid inputs iter_children iter_modules jax jnp
    joined legacy_hard_sigmoid mask nnx outputs perturb real recurrent_dropout return_sequences
    reverse self set_attributes softplus sow standardized state step train units zeros
    """.split()  # noqa: SIM905 - names side by side are easier to check
)
"""Names in a class for a cell by equations, and of every module of Flax."""


_OF_ATTENTION = frozenset(
    {"attend", "attention", "context", "contexts", "keys", "memory", "memory_mask"}
)


def plan_of(layer: Recurrent) -> Schedule:
    """Return the schedule of a layer's cell, a standard one with its parameters packed."""
    if isinstance(layer.cell, EquationCell):
        return schedule(guard_branches(layer.cell.equations, _FLAT))
    return packed_schedule(layer.cell, bias=layer.bias)


def mask_refusals(network: Network) -> Iterator[Refusal]:
    """Yield a refusal of masks on a state that goes into parts of several sizes at once."""
    for layer in network.layers:
        if not isinstance(layer, Recurrent) or not layer.recurrent_dropout:
            continue
        if any(len(set(product.sizes)) > 1 for product in plan_of(layer).products):
            reason = "one vector is multiplied by matrices of several sizes, each with its own mask"
            yield Refusal(layer.name, "recurrent_dropout", reason)


def variables(layer: Recurrent) -> dict[str, str]:
    """Return the variable or attribute for each name of the equations of a layer's cell."""
    if not isinstance(cell := layer.cell, EquationCell):
        return {}
    plan = plan_of(layer)
    reserved = {*_OF_ATTENTION, "query"} if layer.attention else set[str]()
    reserved |= {f"{word}_{state}" for word in ("zeros", "new") for state in cell.equations.states}
    for statement in plan.statements:
        if isinstance(statement, JoinedProduct):
            label = statement.label
            reserved |= {f"{label}_kernel", f"{label}_bias", f"{label}_masks"}
            numbers = range(1, len(statement.matrices) + 1)
            reserved |= {f"{statement.name}_part_{number}" for number in numbers}
    reserved |= {f"init_{number + 1}" for number in range(len(cell.equations.parameters))}
    return local_names(cell.equations, LOCALS | reserved)


def class_name(layer: Recurrent) -> str:
    """Return the name of the generated class that runs a layer."""
    masked = "Masked" if layer.masked else ""
    unbiased = "" if layer.bias else "Unbiased"
    dropped = "RecurrentDropout" if layer.recurrent_dropout else ""
    own = f"{masked}{unbiased}{dropped}{cell_name(layer.cell)}"
    if layer.attention is None:
        return f"{own}Layer"
    attention = attention_class(layer)
    if layer.attention.projects:
        attention = attention.replace("Dot", "General")
    return f"{own}With{attention}"


def attention_class(layer: Recurrent) -> str:
    """Return the name of the class that scores and mixes the steps of a layer's memory."""
    module = attention_layer(layer)
    assert module is not None
    return composed_class(module)


def direction_path(direction: str) -> str:
    """Return the path to the module of a direction, empty if a layer has only one."""
    return f"{direction.removesuffix('.')}_layer." if direction else ""


@dataclass(frozen=True, slots=True)
class Array:
    """An array of a cell in the class that runs it: its attribute, and what it is drawn by.

    ``drawn_by`` is the variable of the initializer, which arrays may share.
    """

    attribute: str
    shape: tuple[Size, ...]
    initializer: Code
    drawn_by: str


def arrays(layer: Recurrent) -> Iterator[Array]:
    """Yield the arrays of a layer's cell: the canonical ones, or one for each parameter."""
    cell = layer.cell
    parameters = equations(cell, bias=layer.bias).parameters
    if isinstance(cell, EquationCell):
        sources, attributes = dict(cell.initializers), variables(layer)
        names = dict[Code, str]()
        for name, shape in parameters:
            initializer = make_initializer(sources[name], rows_first=len(shape) == 2)
            drawn_by = names.setdefault(initializer, f"init_{len(names) + 1}")
            yield Array(attributes[name], shape, initializer, drawn_by)
        return
    packed, count = {place(name)[0]: shape[1:] for name, shape in parameters}, len(gates(cell))
    columns = f"{count} * units" if count > 1 else "units"
    initializers_of = {
        "kernel": layer.kernel_initializer,
        "recurrent_kernel": layer.recurrent_initializer,
        "bias": layer.bias_initializer,
        "recurrent_bias": layer.bias_initializer,
    }
    for array in ARRAYS.values():
        if array in packed:
            initializer = make_initializer(initializers_of[array])
            yield Array(array, (*packed[array], columns), initializer, _INITIALIZERS[array])


@dataclass(frozen=True, slots=True)
class CellClass:
    """A class for some layers. A setting that all of them share is part of it.

    ``options`` are the other settings, its arguments beside the sizes. ``sequences`` tells whether
    ``all``, ``some`` or ``none`` of the layers return their whole sequence; if one of them is given
    its first state or its last one is used, all of them return it ``with_state``. So do they if
    ``gives_contexts``: another layer takes the contexts of one. In training, a class with additive
    attention ``recomputes`` what the scores are made of. ``turns`` tells whether one has a backward
    direction.
    ``variables`` are the names of a cell's equations in the source, where these are others.
    """

    name: str
    layers: tuple[Recurrent, ...]
    options: tuple[str, ...]
    sequences: str
    gives_contexts: bool
    recomputes: bool
    turns: bool
    variables: Mapping[str, str]

    @property
    def first(self) -> Recurrent:
        """The first of the layers."""
        return self.layers[0]

    def arguments(self, layer: Recurrent) -> dict[str, Code | Literal]:
        """Return the arguments that make one of the layers."""
        return {key: _settings(layer)[key] for key in self.options}


def cell_classes(network: Network, form: Form) -> dict[str, CellClass]:
    """Return the generated classes of a network by name."""
    by_class: dict[str, list[Recurrent]] = {}
    ports = network.ports.values()
    stateful, asked = ({p.layer for p in ports}, {p.layer for p in ports if not p.state})
    stateful |= streamed(network) if form == "step" else set()
    for layer in network.layers:
        if isinstance(layer, Recurrent):
            by_class.setdefault(class_name(layer), []).append(layer)
    classes = {}
    for name, layers in sorted(by_class.items()):
        returns = {layer.return_sequences for layer in layers}
        sequences = "some" if len(returns) > 1 else "all" if returns == {True} else "none"
        if any(layer.name in stateful or layer.first_states for layer in layers):
            sequences = "with_state"
        attention = layers[0].attention
        classes[name] = CellClass(
            name=name,
            layers=tuple(layers),
            options=tuple(_options(layers, form, sequences)),
            sequences=sequences,
            gives_contexts=any(layer.name in asked for layer in layers),
            recomputes=form == "training" and attention is not None and attention.additive,
            turns=any(layer.merge is not None or layer.backward for layer in layers),
            variables=variables(layers[0]),
        )
    return classes


_INITIALIZERS = {
    "kernel": "kernel_init",
    "recurrent_kernel": "recurrent_init",
    "bias": "bias_init",
    "recurrent_bias": "bias_init",
}
"""The setting that draws each canonical array."""
_INITIAL = (*_INITIALIZERS.values(), "forget_bias")
_RATES = ("dropout", "recurrent_dropout")


def _options(layers: Sequence[Recurrent], form: Form, sequences: str) -> Iterator[str]:
    """Yield the settings that are arguments of the class."""
    unused = {*(() if form == "training" else _INITIAL)}
    unused |= {"return_sequences"} if sequences == "with_state" else set()
    settings = [_settings(layer) for layer in layers]
    for key in settings[0]:
        values = [setting[key] for setting in settings]
        differs = any(value != values[0] for value in values)
        if key not in unused and (differs or (key in _RATES and any(values))):
            yield key


def _settings(layer: Recurrent) -> dict[str, Code | Literal]:
    """Return the settings that layers of a class may differ in, in the order of arguments."""
    cell = layer.cell
    if isinstance(cell, EquationCell):
        keys = ("dropout", "recurrent_dropout", "return_sequences")
        return {key: getattr(layer, key) for key in keys}
    functions = {"activation": cell.activation}
    if not isinstance(cell, SimpleRNN):
        functions["recurrent_activation"] = cell.recurrent_activation
    settings: dict[str, Code | Literal] = {
        **{key: code("{}", ACTIVATIONS[functions[key]] or "jax.nn.identity") for key in functions},
        "dropout": layer.dropout,
        "recurrent_dropout": layer.recurrent_dropout,
        "return_sequences": layer.return_sequences,
        "kernel_init": make_initializer(layer.kernel_initializer),
        "recurrent_init": make_initializer(layer.recurrent_initializer),
    }
    if layer.bias:
        settings["bias_init"] = make_initializer(layer.bias_initializer)
        if isinstance(cell, LSTM):
            settings["forget_bias"] = cell.forget_bias
    return settings


def make_initializer(source: initializers.Initializer, *, rows_first: bool = False) -> Code:
    """Return the initializer as an expression, also of a matrix (outputs, inputs)."""
    # Flax reads the fans from the last two axes, times the steps of a convolution, as Keras does.
    axes = code("in_axis=1, out_axis=0") if rows_first else Code()
    match source:
        case initializers.GlorotUniform():
            return code("nnx.initializers.glorot_uniform()")
        case initializers.HeUniform():
            return code("nnx.initializers.he_uniform({})", axes)
        case initializers.LecunUniform():
            return code("nnx.initializers.lecun_uniform({})", axes)
        case initializers.Orthogonal():
            return code("nnx.initializers.orthogonal()")
        case initializers.Uniform(limit):
            return code("symmetric_uniform({!r})", limit)
        case initializers.Normal(stddev):
            return code("nnx.initializers.normal({!r})", stddev)
        case initializers.Constant(0.0):
            return code("nnx.initializers.zeros")
        case initializers.Constant(1.0):
            return code("nnx.initializers.ones")
        case initializers.Constant(value):
            return code("nnx.initializers.constant({!r})", value)
        case _:
            assert_never(source)


def draws_bias(layer: AttentionPooling | Conv | Dense) -> bool:
    """True if the initial bias is other than the zeros of a module of Flax."""
    return layer.bias_initializer != initializers.Constant(0.0)


def draws_uniformly(network: Network) -> bool:
    """True if an array is drawn from U(-limit, limit)."""
    return any(
        isinstance(param.initializer, initializers.Uniform) for _, _, param in named_params(network)
    )
