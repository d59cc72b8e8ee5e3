"""Advice on the recurrent layers: their type, number, dropout, initial weights and speed."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from rnnspec.backends import honouring
from rnnspec.ir.cells import recognize
from rnnspec.ir.equations import is_linear_recurrence
from rnnspec.ir.initializers import Constant
from rnnspec.ir.nodes import (
    Activation,
    Attention,
    ClippedRelu,
    Conv,
    Dense,
    Dropout,
    Embedding,
    EquationCell,
    Join,
    LeakyRelu,
    NumericInput,
    Recurrent,
    Repeat,
    Residual,
    VectorInput,
    cell_type,
    width,
)
from rnnspec.lint.context import Context, Finding, RecurrentEntry
from rnnspec.lowering.cells import default_initializers, standard_cell
from rnnspec.spec.models import CellLayer, SimpleRNN
from rnnspec.spec.yaml.text import Path

# The most time steps that a simple RNN learns well: Bengio et al., 1994.
SHORT = 10
# A factor of 0.9 per time step leaves 0.003 % of the gradient after this many; see page L102.
FAR = 100
# Enough for a second layer to pay off in most cases; see page L104.
MUCH_DATA = 100_000
NARROW = 4
# The most layers that train well without residual connections: Wu et al., 2016, section 3.1.
DEEP = 4

# Some of these are bounded below, none is above.
_UNBOUNDED = ("relu", "softplus", "elu", "selu", "silu", "linear")
_GATES = ("sigmoid", "hard_sigmoid", "legacy_hard_sigmoid")


def plain_cell(context: Context) -> Iterator[Finding]:
    """A simple RNN, although an LSTM or a GRU would remember more."""
    for entry in _simple(context):
        if entry.steps is None or SHORT < entry.steps <= FAR:
            message = "an 'lstm' or 'gru' layer remembers more time steps than a 'simple' layer"
            yield (*entry.path, "type"), message


def too_far_back(context: Context) -> Iterator[Finding]:
    """A simple RNN over more time steps than its gradient survives."""
    for entry in _simple(context):
        if entry.steps is not None and entry.steps > FAR:
            message = (
                f"a 'simple' layer does not learn dependencies over {entry.steps} time steps; use "
                "'lstm' or 'gru'"
            )
            yield (*entry.path, "type"), message


def one_direction(context: Context) -> Iterator[Finding]:
    """One direction, although the whole sequence is read before a result is needed."""
    entries = context.read_whole
    bound = _bound_by_states(context)
    free = [entry for entry in entries if bound.isdisjoint(layer.name for layer in entry.layers)]
    if not free or free[0].steps == 1 or any(entry.declared.bidirectional for entry in entries):
        return
    message = "the whole sequence is read before a result is needed: try 'bidirectional: true'"
    yield (*free[0].path, "type"), message


def _bound_by_states(context: Context) -> set[str]:
    """Return the layers that begin with computed states, and those whose final states these are."""
    bound = set[str]()
    for layer in context.network.layers:
        for name in layer.begins_as.values() if isinstance(layer, Recurrent) else ():
            port = context.network.ports.get(name)
            state = context.layers.get(port.layer if port else name)
            if state is not None:
                bound |= {layer.name, state.name}
    return bound


def one_layer(context: Context) -> Iterator[Finding]:
    """One layer, although the data is enough for two."""
    if context.depth == 1 and (context.examples or 0) >= MUCH_DATA:
        message = f"{context.examples:,} examples are enough for a second layer: try 'layers: 2'"
        yield (*context.recurrences[0].path, "type"), message


def unbounded_state(context: Context) -> Iterator[Finding]:
    """A state that may grow at each time step."""
    for entry in context.entries:
        if isinstance(entry.declared, CellLayer):
            continue
        if entry.declared.activation in _UNBOUNDED:
            message = (
                f"{entry.declared.activation!r} is unbounded, so the state may grow at each time "
                "step until it overflows; 'tanh' is bounded"
            )
            yield (*entry.path, "activation"), message


def odd_gate(context: Context) -> Iterator[Finding]:
    """A gate whose activation leaves the range from 0 to 1."""
    for entry in context.entries:
        if isinstance(entry.declared, SimpleRNN | CellLayer):
            continue
        activation = entry.declared.recurrent_activation
        if activation not in _GATES:
            message = (
                f"the values of a gate should be between 0 and 1, and those of {activation!r} are "
                "not; use 'sigmoid'"
            )
            yield (*entry.path, "recurrent_activation"), message


def _own_cells(context: Context) -> Iterator[tuple[Path, str, EquationCell, Recurrent]]:
    """Yield the path of the first layer of each cell by equations, its name, and both."""
    seen = set[str]()
    for entry in context.entries:
        layer = entry.layers[0]
        if isinstance(layer.cell, EquationCell) and layer.cell.name not in seen:
            seen.add(layer.cell.name)
            yield (*entry.path, "type"), layer.cell.name, layer.cell, layer


def waiting_for_nothing(context: Context) -> Iterator[Finding]:
    """A cell by equations in which no step has to wait for the one before it."""
    for path, name, cell, layer in _own_cells(context):
        if not layer.begins:
            message = (
                f"no equation of {name!r} reads a state: each step is computed by itself, and "
                "nothing of the steps before it is remembered; "
            )
            declared = context.spec.rnn[int(path[1])].of
            source = context.network.called(context.sources[layer.name][0])
            taken = declared if isinstance(declared, dict) else {"x": source}
            of = ", ".join(f"{name}: {other}" for name, other in taken.items())
            keys = [f"of: {{{of}}}"]
            if any("units" in size for _, shape in cell.equations.parameters for size in shape):
                keys.append(f"units: {layer.units}")
            message += f"it is a formula: {{type: formula, {', '.join(keys)}, equations: ...}}"
            yield path, message
        elif layer.attention:
            # It asks with the state.
            continue
        elif recognize(cell.equations) is None and is_linear_recurrence(cell.equations):
            message = (
                f"{name!r} is a linear recurrence: its states are sums, which can be computed for "
                "all steps at once"
            )
            yield path, message


def almost_built_in(context: Context) -> Iterator[Finding]:
    """A cell by equations that would be one of the language, but for its initial values."""
    defaults = default_initializers(context.spec)
    for path, name, cell, _ in _own_cells(context):
        known, reason = recognize(cell.equations), standard_cell(cell, defaults)
        if known is not None and isinstance(reason, str):
            kind = cell_type(known.cell)
            message = f"{name!r} has the equations of {kind!r}, but is not that layer: {reason}"
            yield path, message


def bottleneck(context: Context) -> Iterator[Finding]:
    """A layer much narrower than the layers before and after it."""
    sized = {name: (path, size) for name, path, size in _widths(context)}
    below: dict[str, str] = {}
    for name in sized:
        source = context.sources.get(name, ("",))[0]
        while source in context.sources and source not in sized:
            source = context.sources[source][0]
        below[name] = source
    after: dict[str, int] = {}
    for name, (_, size) in sized.items():
        # A join has what goes around the layer, too.
        if not isinstance(context.layers.get(name), Join | Attention):
            after[below[name]] = min(size, after.get(below[name], size))
    for name, (path, size) in sized.items():
        _, before = sized.get(below[name], ((), 0))
        if path and NARROW * size < min(before, after.get(name, 0)):
            message = (
                f"this layer outputs {size} features, between {before} before it and "
                f"{after[name]} after it: information that does not fit is lost"
            )
            yield path, message


def forgetful_start(context: Context) -> Iterator[Finding]:
    """An LSTM that starts by forgetting."""
    if context.spec.initializers.forget_bias <= 0:
        # The sigmoid of 0 is one half.
        message = (
            "with a forget bias of 0 or less, an 'lstm' starts by forgetting at least half of its "
            "state at each time step, and learns slowly; use 1"
        )
        yield ("initializers", "forget_bias"), message


def deep_stack(context: Context) -> Iterator[Finding]:
    """Many stacked layers without a residual connection."""
    deepest: dict[Path, int] = {}
    for first, depth in _plain_stacks(context):
        deepest[first.path] = max(depth, deepest.get(first.path, 0))
    for path, depth in deepest.items():
        if depth > DEEP:
            message = (
                f"{depth} stacked recurrent layers are hard to train without 'residual: true' on "
                "those of equal input and output size"
            )
            yield (*path, "type"), message


def _plain_stacks(context: Context) -> Iterator[tuple[RecurrentEntry, int]]:
    """Yield the first entry of each stack without a residual, and the number of its layers.

    Neither a repeat nor a join is between two of its entries: a join with an earlier layer is a way
    around the layers between, as a residual is.
    """
    above: dict[str, tuple[RecurrentEntry, int]] = {}
    plain = {entry.layers[0].name: entry for entry in context.recurrences}
    waits = {layer.name for entry in context.recurrences for layer in entry.layers}
    plain = {name: entry for name, entry in plain.items() if not entry.declared.residual}
    for layer in context.network.layers:
        source = context.sources[layer.name][0]
        if layer.name in plain:
            entry = plain[layer.name]
            first, depth = above.get(source, (entry, 0))
            above[entry.layers[-1].name] = first, depth + len(entry.layers)
            yield above[entry.layers[-1].name]
        elif source in above and layer.name not in waits and not isinstance(layer, Repeat | Join):
            above[layer.name] = above[source]


def _simple(context: Context) -> Iterator[RecurrentEntry]:
    return (entry for entry in context.entries if isinstance(entry.declared, SimpleRNN))


def _widths(context: Context) -> Iterator[tuple[str, Path, int]]:
    """Yield the name, the path and the output size of each layer that sets its size, and input.

    The path is that of the size, and empty if it is not a mistake: for an input, for a join, for a
    state passed on by a repeat, which is narrow on purpose, and for the output.
    """
    for network_input in context.network.inputs:
        if isinstance(network_input, NumericInput | VectorInput):
            yield network_input.name, (), network_input.features
    last = {entry.layers[-1].name for entry in context.entries}
    for layer in context.network.layers:
        path = context.places[layer.name]
        match layer:
            case Recurrent() if layer.name in last:
                size = () if context.is_repeated(layer.name) else (*path, "units")
                yield layer.name, size, width(layer.output)
            case Embedding() | Join() | Attention():
                yield layer.name, (), width(layer.output)
            case Conv():
                yield layer.name, (*path, "filters"), layer.filters
            case Dense() if path not in context.heads and not context.is_projection(layer):
                yield layer.name, (*path, "units"), layer.units
            case _:
                pass


# Activations with the value 0 at 0.
_ZERO_AT_ZERO = ("tanh", "relu", "linear", "softsign", "elu", "selu", "silu")

_ZERO = Constant(0.0)


def equal_units(context: Context) -> Iterator[Finding]:
    """Units of a layer that start identical and stay identical."""
    layers = context.network.layers
    if any(isinstance(layer, Residual) for layer in layers):
        # The input that a residual adds may differ from unit to unit.
        return
    path = ("initializers", "kernel")
    following = _following(context)
    for layer in layers:
        after = following.get(layer.name)
        # All kernels have the same initializer, so the next kernel treats identical units
        # identically, as all layers without one do. The units of the output layer have targets
        # of their own, which make them differ.
        if after is None or not isinstance(layer, Recurrent | Dense | Conv):
            continue
        if isinstance(layer, Recurrent):
            # What a cell by equation gives for zeros is not known here.
            if isinstance(layer.cell, EquationCell):
                continue
            activation: Activation = layer.cell.activation
        else:
            activation = layer.activation
        at_zero = activation in _ZERO_AT_ZERO or isinstance(activation, LeakyRelu | ClippedRelu)
        silent = layer.kernel_initializer == _ZERO and at_zero
        if silent and (not layer.bias or layer.bias_initializer == _ZERO):
            message = f"{layer.name} only ever outputs 0 and learns nothing; use random kernels"
            yield path, message
            return
        # Dropout before the next kernel drops each unit on its own, and a tied kernel is drawn as
        # the embedding is.
        differ = isinstance(after, Dropout) or (
            after.dropout > 0
            if isinstance(after, Recurrent)
            else isinstance(after, Dense) and after.tied is not None
        )
        if _starts_identical(layer) and not differ:
            message = (
                f"all units of {layer.name} start identical and stay identical; use random kernels"
            )
            yield path, message
            return


_Weighted = Recurrent | Dense | Conv | Dropout


def _following(context: Context) -> dict[str, _Weighted]:
    """Return the next layer with a kernel or a dropout, if a layer with a kernel follows."""
    following: dict[str, _Weighted] = {}
    precede = set[str]()
    for layer in reversed(context.network.layers):
        for reader in context.readers.get(layer.name, ()):
            if isinstance(reader, _Weighted):
                following[layer.name] = reader
            elif reader.name in following:
                following[layer.name] = following[reader.name]
            has_kernel = isinstance(reader, Recurrent | Dense | Conv)
            precede |= {layer.name} if has_kernel or reader.name in precede else set()
    return {name: after for name, after in following.items() if name in precede}


def _starts_identical(layer: Recurrent | Dense | Conv) -> bool:
    """True if all units of a layer start with the same weights and are treated alike."""
    drawn = [layer.kernel_initializer, *([layer.bias_initializer] if layer.bias else [])]
    if isinstance(layer, Recurrent):
        # Recurrent dropout drops each unit of the state on its own.
        if layer.recurrent_dropout:
            return False
        drawn.append(layer.recurrent_initializer)
    units = layer.filters if isinstance(layer, Conv) else layer.units
    return units > 1 and all(isinstance(source, Constant) for source in drawn)


HIGH = 0.5
LOST = 0.01
"""The largest share of cases in which every value may be dropped."""


def high_dropout(context: Context) -> Iterator[Finding]:
    """Dropout that drops more than it keeps."""
    for path, rate, _ in _dropouts(context):
        if rate > HIGH:
            yield path, f"a rate of {rate:g} drops more than it keeps; 0.2 to 0.5 is usual"


def ignored_by_stock(context: Context) -> Iterator[Finding]:
    """Dropout that a one-layer module of PyTorch would ignore."""
    (first, *_) = context.entries
    if context.depth == 1 and first.declared.dropout and not isinstance(first.declared, CellLayer):
        # nn.LSTM applies 'dropout' to the output of each layer but the last:
        # https://pytorch.org/docs/stable/generated/torch.nn.LSTM.html
        message = (
            "rnnspec applies this to the input of the layer; a one-layer nn.LSTM, nn.GRU or "
            "nn.RNN ignores its 'dropout'"
        )
        yield (*first.path, "dropout"), message


def nothing_left(context: Context) -> Iterator[Finding]:
    """Dropout that sometimes drops every value."""
    for path, rate, size in _dropouts(context):
        share = rate**size
        if share > LOST:
            values = "the only value is" if size == 1 else f"all {size} values are"
            yield path, f"in {share:.0%} of cases {values} dropped, and nothing is left"


def _dropouts(context: Context) -> Iterator[tuple[Path, float, int]]:
    """Yield the path of each rate above 0, the rate, and the fewest values it applies to."""
    sizes: dict[tuple[Path, float], int] = {}
    for layer in context.network.layers:
        rates: list[tuple[Path, float, int]] = []
        if isinstance(layer, Dropout):
            rates = [(context.rate_path(layer), layer.rate, width(layer.input))]
        elif isinstance(layer, Recurrent):
            path, state = context.places[layer.name], layer.recurrent_dropout
            rates = [((*path, "dropout"), layer.dropout, layer.features)]
            rates += [((*path, "recurrent_dropout"), state, layer.units)]
        for path, rate, size in rates:
            # With 'layers', the copies after the first may have a wider or a narrower input.
            sizes[path, rate] = min(size, sizes.get((path, rate), size))
    yield from ((path, rate, size) for (path, rate), size in sizes.items() if rate)


def not_fused(*keys: str) -> Callable[[Context], Iterator[Finding]]:
    """Return a check that finds layers which one of ``keys`` keeps from being fused."""

    def rule(context: Context) -> Iterator[Finding]:
        for backend in honouring(context.network):
            # The key that its fused layers lack, by layer.
            reasons = backend.emitter.stepwise(context.network)
            for entry in context.entries:
                # A reason may include the value of the key, as in "reset_after: false".
                key = reasons.get(entry.layers[0].name, "").partition(":")[0]
                if key in keys:
                    message = (
                        f"{backend.title} has no fused layer for this, so the layer runs step by "
                        "step, which is slower"
                    )
                    yield (*entry.path, key), message

    return rule
