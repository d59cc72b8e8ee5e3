"""Spec to network: every default resolved, every layer named, every shape known."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, assert_never

from rnnspec.cells import (
    declared_cell,
    default_initializers,
    equation_cell,
    read_initializer,
    roles,
    standard_cell,
)
from rnnspec.errors import Problem, SpecError, listed
from rnnspec.ir import nodes
from rnnspec.ir.cells import Recognition
from rnnspec.ir.equations import EquationError, evaluate_size
from rnnspec.ir.params import MAX_AXIS, params, too_large, too_large_shape
from rnnspec.ir.shapes import size_names
from rnnspec.ir.text import default_kind
from rnnspec.spec import models
from rnnspec.spec.names import MAX_NAME_LENGTH
from rnnspec.spec.yaml.document import in_file_order
from rnnspec.wording import quoted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rnnspec.cells import Role
    from rnnspec.ir.initializers import Initializer
    from rnnspec.words import Statistic

Path = tuple[str | int, ...]
"""The keys and indices that lead to a value of the spec."""


Steps = tuple[nodes.Window | int, ...]
"""What has changed the steps of the input on the way to a layer: windows, or a repeat by place."""


@dataclass(frozen=True, slots=True)
class _LayerOutput:
    """The shape of the output of a layer, and what its steps are."""

    shape: nodes.Shape
    steps: Steps


class _Chain:
    """The layers so far, the problems, and the name counters, shape and mask for the next layer."""

    def __init__(self, spec: models.Spec, network_input: nodes.Input) -> None:
        self.spec = spec
        self.input = network_input
        self.layers: list[nodes.Layer] = []
        self.problems: list[Problem] = []
        self.shape: nodes.Shape = network_input.shape
        self.masked = network_input.masked
        self.steps: Steps = ()
        self.last = nodes.INPUT
        self.outputs: dict[str, _LayerOutput] = {}
        self.place: Path = ()
        self.places: dict[str, Path] = {}
        # A block is named for its recurrent layer, and gives the output of its last one.
        self.blocks: dict[str, str] = {}
        if spec.embedding is None:
            self.outputs[nodes.INPUT] = _LayerOutput(self.shape, self.steps)
        self.defaults = default_initializers(spec)
        self._numbers: Counter[str] = Counter()
        # A graph has its outputs beside its layers.
        self._names: set[str] = set(spec.heads or ())
        self._large: set[Path] = set()

    def refuse(self, path: Path, message: str, *, code: str, key: bool = False) -> None:
        """Record a problem with the value at ``path``, or with its key."""
        problem = self.spec.document.problem(path, message, code=code, key=key)
        # Copies made by 'layers' share a path.
        if problem not in self.problems:
            self.problems.append(problem)

    def name(self, kind: str, path: Path, declared: str | None = None) -> str:
        """Return the name of the next layer of a kind: as declared, or the kind and its number."""
        # Layers with a declared name count too, so naming one does not rename those after it.
        self._numbers[kind] += 1
        name = declared or f"{kind}_{self._numbers[kind]}"
        if name in self._names:
            self.refuse(path, f"another layer is already named '{name}'", code="E415")
        self._names.add(name)
        return name

    def branch(self, layer: nodes.Layer) -> None:
        """Let the next layer take the output of an earlier one."""
        self.shape, self.last = layer.output, layer.name

    def add(self, layer: nodes.Layer, path: Path | None = None) -> None:
        """Append a layer; ``path`` leads to the size that it is reported at if it is too large."""
        if self.layers and self.last != self.layers[-1].name and not isinstance(layer, nodes.Join):
            layer = replace(layer, source=self.last)
        self.last = layer.name
        self.layers.append(layer)
        self.places[layer.name] = self.place
        self.shape = layer.output
        self.outputs[layer.name] = _LayerOutput(self.shape, self.steps)
        # Copies made by 'layers' share a path, and are reported once.
        if path is not None and path not in self._large and (message := too_large(layer)):
            self._large.add(path)
            self.refuse(path, message, code="E417")


def lower(spec: models.Spec) -> nodes.Network:
    """Return the network that ``spec`` describes.

    Raises:
        SpecError: as ``lower_with_places``.
    """
    return lower_with_places(spec)[0]


def lower_with_places(spec: models.Spec) -> tuple[nodes.Network, Mapping[str, Path]]:
    """Return a network, and the path of the layer of the spec, or head, behind each of its layers.

    Raises:
        SpecError: two layers have the same name, a name is too long, a residual adds unequal
            sizes, or an array is too large to address.
    """
    chain = _Chain(spec, _input(spec))
    _check_cells(chain)
    if message := too_large_shape("one input sequence", chain.shape):
        chain.refuse(("input", "length"), message, code="E417")
    if spec.embedding is not None:
        chain.place = ("embedding",)
        _embedding(chain, spec.embedding)
    for index, layer in enumerate(spec.rnn):
        chain.place = ("rnn", index)
        _rnn(chain, index, layer)
    # A join of nothing that exists is no layer.
    if not chain.layers:
        raise SpecError(in_file_order(tuple(chain.problems)))
    trunk, masked, outputs = chain.layers[-1], chain.masked, list[tuple[str, str]]()
    for path, head in spec.all_heads:
        chain.branch(trunk)
        chain.masked = masked
        _head(chain, path, head, trunk)
        outputs.append((str(path[-1]), chain.last))
    network = nodes.Network(
        name=spec.name,
        description=spec.description,
        inputs=(chain.input,),
        layers=tuple(chain.layers),
        outputs=tuple(outputs) if spec.heads else (),
    )
    # An unknown name in a join may have been meant for the layer that is not used.
    if not chain.problems:
        _check_used(chain, network)
        _check_initializers(chain, network)
    if chain.problems:
        raise SpecError(in_file_order(tuple(chain.problems)))
    return network, chain.places


def array_places(spec: models.Spec) -> Mapping[str, Mapping[str, tuple[str, str]]]:
    """Return the parameters of each layer with a cell of the spec that is one of the language.

    By name, each has its canonical array and the gate whose part, transposed, it is.
    """
    if not spec.cells:
        return {}
    chain, (network, places) = _Chain(spec, _input(spec)), lower_with_places(spec)
    by_layer: dict[str, Mapping[str, tuple[str, str]]] = {}
    for layer in network.layers:
        section, *rest = places[layer.name]
        declared = spec.rnn[int(rest[0])] if section == "rnn" else None
        if isinstance(declared, models.CellLayer) and isinstance(layer, nodes.Recurrent):
            cell = _equation_cell(chain, places[layer.name], declared)
            known = standard_cell(cell, chain.defaults)
            by_layer |= {layer.name: known.places} if isinstance(known, Recognition) else {}
    return by_layer


def _check_cells(chain: _Chain) -> None:
    """Check each cell, with the defaults of its settings.

    Raises:
        SpecError: the equations of a cell are wrong.
    """
    for name, declared in (chain.spec.cells or {}).items():
        cell = declared_cell(declared)
        try:
            equation_cell(name, cell, cell.settings, chain.defaults)
        except EquationError as error:
            code = _CODES.get(str(error.path[0]), "E429")
            problem = chain.spec.document.problem(
                ("cells", name, *error.path),
                error.message,
                code=code,
                key=error.key,
                column=error.column,
            )
            chain.problems.append(problem)
    if chain.problems:
        raise SpecError(in_file_order(tuple(chain.problems)))


_CODES = {"settings": "E431", "sizes": "E432", "parameters": "E432", "initialize": "E432"}
"""The codes of what is wrong in the sections of a cell, but its equations."""


def _check_used(chain: _Chain, network: nodes.Network) -> None:
    """Check that a join names the layer before it, or that another one does."""
    used = {name for names in nodes.sources(network).values() for name in names}
    joins = [i for i, layer in enumerate(chain.spec.rnn) if isinstance(layer, models.Concat)]
    for layer, after in pairwise(network.layers):
        if layer.name not in used and isinstance(after, nodes.Join) and joins:
            message = f"the output of '{layer.name}' is not used: name it in 'of'"
            names = [chain.spec.rnn[index].name for index in joins]
            index = joins[names.index(after.name)] if after.name in names else joins[0]
            chain.refuse(("rnn", index, "of"), message, code="E425")


def _check_initializers(chain: _Chain, network: nodes.Network) -> None:
    """Check that an array begins with each initializer that is written."""
    used = {role for layer in network.layers for role in _roles(layer, chain.defaults)}
    for role in chain.defaults:
        if chain.spec.initializers.writes(role) and role not in used:
            why = "no layer has a bias" if role == "bias" else "no array begins with it"
            message = f"'{role}' has no effect: {why}"
            chain.refuse(("initializers", role), message, code="E414", key=True)


def _roles(layer: nodes.Layer, defaults: Mapping[Role, Initializer]) -> set[str]:
    """Return the keys of ``initializers`` with which arrays of a layer begin."""
    if isinstance(layer, nodes.Recurrent) and isinstance(layer.cell, nodes.EquationCell):
        roles_of = roles(layer.cell.equations)
        drawn = ((roles_of[name], value) for name, value in layer.cell.initializers)
        return {role for role, value in drawn if value is defaults[role]}
    names = {param.name.rpartition(".")[2] for param in params(layer)}
    return {role for role, arrays in _ARRAYS.items() if names & arrays}


_ARRAYS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "kernel": frozenset({"kernel", "query"}),
        "recurrent": frozenset({"recurrent_kernel"}),
        "bias": frozenset({"bias"}),
    }
)
"""The arrays that begin with each key of ``initializers``, but those of equations."""


def _input(spec: models.Spec) -> nodes.Input:
    steps = spec.input.length
    if spec.embedding is not None:
        return nodes.TokenInput(
            steps=steps,
            vocabulary=spec.embedding.vocabulary,
            mask_zero=spec.embedding.mask_zero,
        )
    assert spec.input.features is not None, "spec.rules requires it without an embedding"
    value = spec.input.mask_value
    # 'mask_value: 0' is an integer in the spec.
    return nodes.NumericInput(
        steps=steps,
        features=spec.input.features,
        mask_value=None if value is None else float(value),
    )


def _embedding(chain: _Chain, embedding: models.Embedding) -> None:
    # spec.rules requires both keys or neither.
    pretrained = None
    if embedding.weights is not None and embedding.words is not None:
        pretrained = nodes.Pretrained(weights=embedding.weights, words=embedding.words)
    chain.add(
        nodes.Embedding(
            name=chain.name("embedding", ("embedding", "name"), embedding.name),
            input=chain.shape,
            vocabulary=embedding.vocabulary,
            dim=embedding.dim,
            masked=embedding.mask_zero,
            trainable=embedding.trainable,
            initializer=read_initializer(chain.spec.initializers.embedding),
            pretrained=pretrained,
        ),
        ("embedding", "dim"),
    )


def _rnn(chain: _Chain, index: int, layer: models.AnyLayer) -> None:
    match layer:
        case models.RepeatVector():
            # Every step of a repeat is real, even if the sequence before it was padded.
            chain.masked, chain.steps = False, (index,)
            _add_keys(chain, ("rnn", index), nodes.Repeat, layer, size="steps")
        case models.SimpleRNN() | models.LSTM() | models.GRU() | models.CellLayer():
            _copies(chain, index, layer)
        case models.Conv() | models.MaxPool() | models.AveragePool():
            _windowed(chain, ("rnn", index), layer)
        case models.Concat():
            _concat(chain, ("rnn", index), layer)
        case _:
            _add_declared(chain, ("rnn", index), layer)


def _copies(chain: _Chain, index: int, layer: models.RecurrentLayer) -> None:
    # Only the last copy can be the one whose final state is used.
    for number, declared in enumerate(_names_of_copies(chain, index, layer), start=1):
        gives_state = number == layer.layers and chain.spec.gives_state(index)
        _block(chain, index, layer, declared, return_sequences=not gives_state)


def _names_of_copies(chain: _Chain, index: int, layer: models.RecurrentLayer) -> list[str | None]:
    """Return the given name of each copy of a layer, or None."""
    if not layer.name or layer.layers == 1:
        return [layer.name] * layer.layers
    if len(f"{layer.name}_{layer.layers}") > MAX_NAME_LENGTH:
        message = (
            f"expected at most {MAX_NAME_LENGTH} characters including the suffixes _1 to "
            f"_{layer.layers}"
        )
        chain.refuse(("rnn", index, "name"), message, code="E416")
    return [f"{layer.name}_{number}" for number in range(1, layer.layers + 1)]


def _block(
    chain: _Chain,
    index: int,
    layer: models.RecurrentLayer,
    declared: str | None,
    *,
    return_sequences: bool,
) -> None:
    """Add a recurrent layer with its dropout, layer norm and residual."""
    path, first = ("rnn", index), len(chain.layers)
    # A residual starts before the dropout: it adds the input as it was.
    if layer.dropout and not layer.variational:
        _dropout(chain, layer.dropout, (*path, "dropout"))
    cell, bias = _cell(chain, path, layer)
    name = chain.name(_kind(layer, cell), (*path, "name"), declared)
    recurrent = nodes.Recurrent(
        name=name,
        input=chain.shape,
        cell=cell,
        units=layer.units,
        merge=layer.merge if layer.bidirectional else None,
        bias=bias,
        # Otherwise it is a layer of its own.
        dropout=float(layer.dropout) if layer.variational else 0.0,
        recurrent_dropout=float(layer.recurrent_dropout),
        masked=chain.masked,
        return_sequences=return_sequences,
        kernel_initializer=chain.defaults["kernel"],
        recurrent_initializer=chain.defaults["recurrent"],
        bias_initializer=chain.defaults["bias"],
    )
    chain.add(recurrent, (*path, "units"))
    if layer.layer_norm:
        name = chain.name("layer_normalization", (*path, "layer_norm"))
        norm = layer.layer_norm
        default = nodes.LAYER_NORM_EPSILON
        epsilon = float(norm.epsilon) if isinstance(norm, models.LayerNorm) else default
        chain.add(nodes.LayerNorm(name=name, input=chain.shape, epsilon=epsilon))
    if layer.residual:
        _residual(chain, (*path, "residual"), chain.layers[first])
    chain.blocks[recurrent.name] = chain.layers[-1].name


def _residual(chain: _Chain, path: Path, start: nodes.Layer) -> None:
    """Add the input of ``start``, the first layer of the block, to the output of the block."""
    if chain.shape != start.input:
        received = f"received {start.input[-1]} and {chain.shape[-1]} features"
        message = f"'residual' needs an input and an output of equal size, {received}"
        chain.refuse(path, message, code="E409", key=True)
    # Added even if the sizes differ, so that later problems are found too.
    name = chain.name("add", path)
    chain.add(nodes.Residual(name=name, input=chain.shape, start=start.name))


def _kind(layer: models.RecurrentLayer, cell: nodes.Cell) -> str:
    # The kinds are those of Keras's default names, so that summaries look alike.
    if layer.bidirectional:
        return "bidirectional"
    match cell:
        case nodes.SimpleRNN():
            return "simple_rnn"
        case nodes.EquationCell() | nodes.LSTM() | nodes.GRU():
            return nodes.cell_type(cell)
        case _:
            assert_never(cell)


_CELLS: Mapping[type[models.StandardLayer], type[nodes.StandardCell]] = MappingProxyType(
    {models.SimpleRNN: nodes.SimpleRNN, models.LSTM: nodes.LSTM, models.GRU: nodes.GRU}
)


def _cell(chain: _Chain, path: Path, layer: models.RecurrentLayer) -> tuple[nodes.Cell, bool]:
    """Return a cell, whose fields are keys of the layer or of the initializers, and its bias."""
    if isinstance(layer, models.CellLayer):
        equations = _equation_cell(chain, path, layer)
        known = standard_cell(equations, chain.defaults)
        # What the language has anyway is a layer of that type.
        return (known.cell, known.bias) if isinstance(known, Recognition) else (equations, True)
    cell = _CELLS[type(layer)]
    values = dict[str, Any]()
    for field in fields(cell):
        is_drawn = field.name == "forget_bias"
        forget_bias = float(chain.spec.initializers.forget_bias)
        values[field.name] = forget_bias if is_drawn else getattr(layer, field.name)
    return cell(**values), layer.bias


def _equation_cell(chain: _Chain, path: Path, layer: models.CellLayer) -> nodes.EquationCell:
    """Return a cell of the spec with the settings of a layer."""
    cell = declared_cell((chain.spec.cells or {})[layer.type])
    try:
        read = equation_cell(layer.type, cell, {**cell.settings, **layer.settings}, chain.defaults)
    except EquationError as error:
        at, message = path, f"with these settings, {error}"
        if error.path[0] == "settings":
            at, message = (*path, error.path[-1]), error.message
        chain.refuse(at, message, code="E431")
    else:
        _check_effects(chain, path, layer, read)
        return read
    # As it is with the defaults, so that problems behind it are found too.
    return equation_cell(layer.type, cell, cell.settings, chain.defaults)


def _check_effects(
    chain: _Chain, path: Path, layer: models.CellLayer, cell: nodes.EquationCell
) -> None:
    """Check that keys of a layer act on its cell."""
    equations = cell.equations
    if layer.recurrent_dropout and "recurrent" not in roles(equations).values():
        message = "'recurrent_dropout' has no effect: no matrix multiplies what a state is in"
        chain.refuse((*path, "recurrent_dropout"), message, code="E407", key=True)
    sizes = {size for _, shape in (*equations.parameters, *equations.shapes) for size in shape}
    if any("units" in size_names(size) for size in sizes):
        return
    # Of a cell without them, they are the size of the output, as of any other.
    known = {"features": nodes.width(chain.shape), **dict(cell.sizes)}
    expected = evaluate_size(dict(equations.shapes)[equations.states[0]][0], known)
    if layer.units != expected:
        message = (
            f"no size of '{cell.name}' depends on 'units': expected the size of its output, "
            f"{expected}, received {layer.units}"
        )
        chain.refuse((*path, "units"), message, code="E432")


def _add_declared(chain: _Chain, path: Path, layer: models.AnyLayer) -> None:
    """Add a layer whose fields are its keys."""
    # At a rate of 0, spec.rules has refused the key.
    if (
        isinstance(layer, models.Dropout)
        and layer.variational
        and layer.rate
        and len(chain.shape) < 2
    ):
        message = "'variational' is for the steps of a sequence, but this is a vector"
        chain.refuse((*path, "variational"), message, code="E407", key=True)
    node = next(node for model, node in BY_KEYS.items() if isinstance(layer, model))
    _add_keys(chain, path, node, layer)


BY_KEYS: Mapping[type[models.AnyLayer], type[nodes.Layer]] = MappingProxyType(
    {
        models.RepeatVector: nodes.Repeat,
        models.Dense: nodes.Dense,
        models.BatchNorm: nodes.BatchNorm,
        models.LayerNormLayer: nodes.LayerNorm,
        models.InstanceNorm: nodes.InstanceNorm,
        models.Dropout: nodes.Dropout,
        models.ActivationLayer: nodes.Activate,
    }
)
"""The node of each layer whose fields are its keys, under the same names."""


def _add_keys(
    chain: _Chain,
    path: Path,
    node: type[nodes.Layer],
    declared: models.Model,
    *,
    size: str = "units",
    **others: Any,
) -> None:
    """Add a layer whose fields are keys of ``declared``, or what the network has under the name."""
    drawn = chain.spec.initializers
    values: dict[str, Any] = {
        "input": chain.shape,
        "masked": chain.masked and len(chain.shape) > 1,
        "kernel_initializer": read_initializer(drawn.kernel),
        "bias_initializer": read_initializer(drawn.bias),
        **others,
    }
    for field in fields(node):
        if field.name in type(declared).model_fields and field.name not in others:
            value = getattr(declared, field.name)
            # 'epsilon: 1' is an integer in the spec.
            values[field.name] = float(value) if field.type == "float" else _activation(value)
    own = {field.name: values[field.name] for field in fields(node) if field.name in values}
    layer = node(**own)
    name = chain.name(default_kind(layer), (*path, "name"), layer.name or None)
    chain.add(replace(layer, name=name), (*path, size))


def _activation(declared: Any) -> Any:
    """Return an activation, or any other value as it is."""
    match declared:
        case models.LeakyRelu():
            return nodes.LeakyRelu(slope=float(declared.leaky_relu))
        case models.ClippedRelu():
            return nodes.ClippedRelu(limit=float(declared.clipped_relu))
        case _:
            return declared


def _windowed(
    chain: _Chain, path: Path, layer: models.Conv | models.MaxPool | models.AveragePool
) -> None:
    """Add a layer that reads the steps in windows."""
    node: nodes.Conv | nodes.WindowPooling
    match layer:
        case models.Conv():
            window = nodes.Window(
                size=layer.kernel_size,
                stride=layer.stride,
                dilation=layer.dilation,
                padding=layer.padding,
            )
            node = nodes.Conv(
                name=chain.name("conv", (*path, "name"), layer.name),
                input=chain.shape,
                filters=layer.filters,
                window=window,
                activation=_activation(layer.activation),
                bias=layer.bias,
                masked=chain.masked,
                kernel_initializer=read_initializer(chain.spec.initializers.kernel),
                bias_initializer=read_initializer(chain.spec.initializers.bias),
            )
        case _:
            window = nodes.Window(
                size=layer.size,
                stride=layer.stride or layer.size,
                dilation=1,
                padding=layer.padding,
            )
            node = nodes.WindowPooling(
                name=chain.name(layer.type, (*path, "name"), layer.name),
                input=chain.shape,
                statistic="max" if layer.type == "max_pool" else "average",
                window=window,
                masked=chain.masked,
            )
    steps = chain.shape[0]
    if not window.keeps_steps:
        chain.steps = (*chain.steps, window)
    if window.reach >= MAX_AXIS:
        message = (
            f"too large: a window spans {window.reach + 1:,} steps; the maximum is {MAX_AXIS:,}"
        )
        chain.refuse((*path, "dilation"), message, code="E417")
    elif steps is not None and steps < window.least(1):
        is_only = chain.steps == (window,)
        received = f"'input.length' is {steps}" if is_only else f"its input has {steps}"
        message = f"'{node.name}' needs at least {window.least(1)} steps, {received}"
        key = "kernel_size" if isinstance(layer, models.Conv) else "size"
        chain.refuse((*path, key), message, code="E423")
        # Longer, so that the layers behind it have steps.
        node = replace(node, input=(window.least(1), *chain.shape[1:]))
    chain.add(node, (*path, "filters") if isinstance(layer, models.Conv) else None)


_NAMES_SHOWN = 8


def _concat(chain: _Chain, path: Path, layer: models.Concat) -> None:
    """Add a join of the outputs of earlier layers."""
    names, outputs = list[str](), list[_LayerOutput]()
    for at, name in enumerate(layer.of):
        known = chain.blocks.get(name, name)
        if known in chain.outputs:
            names.append(known)
            outputs.append(chain.outputs[known])
            continue
        names_before = tuple(chain.outputs)
        some = names_before if len(names_before) <= _NAMES_SHOWN else ("...", *names_before[-3:])
        earlier = listed(some, "or")
        message = f"expected a layer before this one, {earlier}; received {quoted(name)}"
        chain.refuse((*path, "of", at), message, code="E425")
    # So the mask after the join is that before it.
    steps = chain.shape[0]
    for at, (name, output) in enumerate(zip(names, outputs, strict=True)):
        if len(output.shape) == 2 and output.steps == chain.steps:
            continue
        message = "expected the steps of the layer before the join"
        if len(output.shape) == 1:
            message = f"{message}; '{name}' gives one vector"
        elif None not in (output.shape[0], steps) and output.shape[0] != steps:
            message = f"{message}, {steps}; '{name}' has {output.shape[0]}"
        else:
            message = f"{message}, and '{name}' has others"
        chain.refuse((*path, "of", at), message, code="E425")
    if not outputs:
        return
    # With the steps that it should have, so that problems behind it are found too.
    inputs = tuple((steps, nodes.width(output.shape)) for output in outputs)
    chain.add(
        nodes.Join(
            how="concat",
            name=chain.name("concat", (*path, "name"), layer.name),
            input=inputs[0],
            of=tuple(names),
            inputs=inputs,
        ),
        (*path, "of"),
    )


def _head(chain: _Chain, path: Path, head: models.Head, trunk: nodes.Layer) -> None:
    chain.place = path
    _pooling(chain, (*path, "pooling"), head, trunk)
    if head.dropout:
        _dropout(chain, head.dropout, (*path, "dropout"))
    for index, hidden in enumerate(head.hidden):
        inner = chain.place = (*path, "hidden", index)
        _add_declared(chain, inner, hidden)
        if isinstance(hidden, models.Hidden) and hidden.dropout:
            _dropout(chain, hidden.dropout, (*inner, "dropout"))
    chain.place = path
    if head.units is not None:
        tied = chain.layers[0] if head.tied else None
        if isinstance(tied, nodes.Embedding):
            _check_tied(chain, (*path, "tied"), head.units, tied)
        _add_keys(chain, path, nodes.Dense, head, tied=tied.name if tied else None)
    if head.normalize == "l2":
        name = chain.name("unit_normalization", (*path, "normalize"))
        chain.add(nodes.Normalize(name=name, input=chain.shape))


def _check_tied(chain: _Chain, path: Path, units: int, embedding: nodes.Embedding) -> None:
    if chain.shape[-1] != embedding.dim:
        message = f"the vectors of the embedding have size {embedding.dim}, expected that of the"
        message = f"{message} input of the output layer, {chain.shape[-1]}"
        chain.refuse(path, message, code="E422", key=True)
    if units != embedding.vocabulary:
        message = f"the vocabulary has {embedding.vocabulary} tokens, expected 'units', {units}"
        chain.refuse(path, message, code="E422", key=True)


def _pooling(chain: _Chain, path: Path, head: models.Head, trunk: nodes.Layer) -> None:
    match head.pooling:
        case "none":
            pass
        # The last recurrent layer returns its final state, unless another head needs its sequence.
        case "last" if len(chain.shape) == 1:
            pass
        case "flatten":
            if chain.masked:
                message = "'flatten' needs sequences of equal length, and these may have padding"
                chain.refuse(path, message, code="E424")
            elif chain.shape[0] is None:
                message = "'flatten' needs a fixed number of steps: set 'input.length'"
                chain.refuse(path, message, code="E424")
            if chain.shape[0] is not None:
                name = chain.name("flatten", path)
                chain.add(nodes.Flatten(name=name, input=chain.shape), path)
        case models.LastSteps(last_steps=count):
            if chain.masked:
                message = "the last steps may be padding, which 'last_steps' does not skip"
                chain.refuse((*path, "last_steps"), message, code="E424")
            steps = chain.shape[0]
            if steps is not None and steps < count:
                message = f"expected at most the {steps} steps of the sequence, received {count}"
                chain.refuse((*path, "last_steps"), message, code="E423")
            name = chain.name("last_steps", path)
            chain.add(nodes.LastSteps(name=name, input=chain.shape, count=count))
        case tuple() as parts:
            joined = list[nodes.Layer]()
            for part in parts:
                chain.branch(trunk)
                chain.add(_pool(chain, path, part, trunk), path)
                joined.append(chain.layers[-1])
            chain.add(
                nodes.Join(
                    how="concat",
                    name=chain.name("concat", path),
                    input=joined[0].output,
                    of=tuple(layer.name for layer in joined),
                    inputs=tuple(layer.output for layer in joined),
                ),
                path,
            )
        case one:
            chain.add(_pool(chain, path, one, trunk), path)


def _pool(
    chain: _Chain, path: Path, pooling: Statistic | models.Attention, trunk: nodes.Layer
) -> nodes.Pooling | nodes.Attention:
    """Return the layer that reduces the steps to one vector."""
    if isinstance(pooling, models.Attention):
        settings = pooling.attention
        return nodes.Attention(
            name=chain.name("attention_pooling", path),
            input=chain.shape,
            units=settings.units,
            activation=_activation(settings.activation),
            masked=chain.masked,
            kernel_initializer=read_initializer(chain.spec.initializers.kernel),
            bias_initializer=read_initializer(chain.spec.initializers.bias),
        )
    backward = trunk.states[0][1] if isinstance(trunk, nodes.Recurrent) and trunk.merge else 0
    return nodes.Pooling(
        name=chain.name(f"{pooling}_pooling", path),
        input=chain.shape,
        statistic=pooling,
        masked=chain.masked and pooling != "last_step",
        backward=backward if pooling == "last" else 0,
    )


def _dropout(chain: _Chain, rate: float, path: Path) -> None:
    chain.add(nodes.Dropout(name=chain.name("dropout", path), input=chain.shape, rate=float(rate)))
