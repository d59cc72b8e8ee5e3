"""State dicts in files, as a network and its canonical arrays."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from glob import escape
from typing import TYPE_CHECKING, assert_never

import numpy as np

from rnnspec.backends.imported import Account, Became, Imported
from rnnspec.errors import UsageError, few
from rnnspec.files.arrays import HeaderError
from rnnspec.importing.assemble import assemble
from rnnspec.importing.torch.archive import FREE, MOST_TIMES, TensorError
from rnnspec.importing.torch.state_dict import (
    Attention,
    BatchNorm,
    Convolution,
    Entry,
    Matrix,
    Module,
    Norm,
    Stack,
    Tied,
    modules,
    order_modules,
    shapes_of,
    state,
)
from rnnspec.ir import nodes
from rnnspec.ir.initializers import Constant, GlorotUniform, Orthogonal, Uniform
from rnnspec.ir.params import gates, params
from rnnspec.ir.text import type_name
from rnnspec.slots import Slot, is_finite, packed, unpack

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from rnnspec.importing.torch.state_dict import State
    from rnnspec.ir.nodes import Layer
    from rnnspec.ir.params import Param
    from rnnspec.slots import Array
    from rnnspec.words import Activation, Merge


CELLS: dict[str, nodes.Cell] = {
    "RNN": nodes.SimpleRNN(activation="tanh"),
    # PyTorch's GRU applies the reset gate after the product, which has a bias of its own.
    "GRU": nodes.GRU(activation="tanh", recurrent_activation="sigmoid", reset_after=True),
    "LSTM": nodes.LSTM(activation="tanh", recurrent_activation="sigmoid", forget_bias=1.0),
}
"""The cells of PyTorch's recurrent modules by their class."""
_EPSILON = 1e-5
"""PyTorch's default epsilon of a layer norm, which a state dict does not contain."""


def embedding(name: str, vocabulary: int, dim: int, *, trainable: bool) -> nodes.Embedding:
    """Return an embedding without a place."""
    return nodes.Embedding(
        name=name,
        input=(),
        vocabulary=vocabulary,
        dim=dim,
        masked=False,
        trainable=trainable,
        initializer=Uniform(0.05),
        pretrained=None,
    )


def recurrent(  # noqa: PLR0913 - the settings of a layer
    name: str,
    cell: nodes.Cell,
    units: int,
    *,
    merge: Merge | None,
    bias: bool,
    return_sequences: bool,
) -> nodes.Recurrent:
    """Return a recurrent layer without a place and without dropout of its own."""
    return nodes.Recurrent(
        name=name,
        input=(),
        cell=cell,
        units=units,
        merge=merge,
        bias=bias,
        dropout=0.0,
        recurrent_dropout=0.0,
        masked=False,
        return_sequences=return_sequences,
        kernel_initializer=GlorotUniform(),
        recurrent_initializer=Orthogonal(),
        bias_initializer=Constant(0.0),
    )


def dense(name: str, units: int, *, activation: Activation, bias: bool) -> nodes.Dense:
    """Return a dense layer without a place."""
    return nodes.Dense(
        name=name,
        input=(),
        units=units,
        activation=activation,
        bias=bias,
        kernel_initializer=GlorotUniform(),
        bias_initializer=Constant(0.0),
    )


def conv(name: str, filters: int, window: nodes.Window, *, bias: bool) -> nodes.Conv:
    """Return a convolution without a place and without an activation."""
    return nodes.Conv(
        name=name,
        input=(),
        filters=filters,
        window=window,
        activation="linear",
        bias=bias,
        masked=False,
        kernel_initializer=GlorotUniform(),
        bias_initializer=Constant(0.0),
    )


def draft(name: str, modules: Sequence[Module], account: Account) -> nodes.Network:
    """Return a network with the modules in their order.

    Raises:
        ModelError: the modules are in an order, or have sizes, that the language cannot express.
    """
    chain = _Chain(modules, account)
    first = next((each for each in modules if isinstance(each, Stack)), None)
    if first is None:
        message = f"expected a recurrent layer, received none{account.reminder()}"
        account.refuse("the model", message, "E701")
        account.check()
        raise AssertionError("check raises")
    network_input = chain.open()
    while chain.rest:
        chain.take(chain.rest.pop(0))
    account.check()
    kinds = {where: _class(module) for where, module, _ in parts(modules)}
    return assemble(account, name, network_input, chain.layers, kinds)


class _Chain:
    """The layers so far, the shape of their output, and the modules that are left."""

    def __init__(self, modules: Sequence[Module], account: Account) -> None:
        self.rest = list(modules)
        self.account = account
        self.layers: list[nodes.Layer] = []
        self.shape: nodes.Shape = ()
        self.table: Matrix | None = None

    def open(self) -> nodes.Input:
        """Return the input, after an embedding if the first matrix is one."""
        before = self.rest[0]
        if not (isinstance(before, Matrix) and before.bias is None):
            features = _inputs(before)
            self.shape = (None, features)
            return nodes.NumericInput(steps=None, features=features, mask_value=None)
        self.rest.pop(0)
        vocabulary, dim = before.weight.shape
        tokens = nodes.TokenInput(steps=None, vocabulary=vocabulary, mask_zero=False)
        self.shape = tokens.shape
        self.account.guess("embedding", "no padding: a state dict has no padding_idx")
        self.add(embedding(before.name, vocabulary, dim, trainable=True))
        self.table = before
        return tokens

    def add(self, layer: nodes.Layer) -> None:
        """Append a layer."""
        self.layers.append(layer)
        self.shape = replace(layer, input=self.shape).output

    def take(self, module: Module) -> None:
        """Append the layers of a module."""
        match module:
            case Stack():
                self._stack(module)
            case Norm() | BatchNorm():
                self._norm(module)
            case Matrix():
                self._dense(module)
            case Convolution() | Attention() | Tied():
                raise AssertionError("refused, or never read, without a spec")
            case _:
                assert_never(module)

    def _fits(self, module: Module, received: int) -> bool:
        width = self.shape[-1] if self.shape else None
        if width == received:
            return True
        message = (
            f"expected {width} inputs, as the module before it gives, received {received}; "
            "write the spec, and name it with --spec"
        )
        self.account.refuse(module.name, message, "E707")
        return False

    def _stack(self, stack: Stack) -> None:
        if not self._fits(stack, stack.features):
            return
        self.account.guess("rnn", "no dropout; it acts in training only")
        if stack.gates == 1:
            self.account.guess("rnn", "tanh; nn.RNN may have nonlinearity='relu'")
        last = not any(isinstance(each, Stack) for each in self.rest)
        for index in range(len(stack.layers)):
            final = last and index + 1 == len(stack.layers)
            layer = recurrent(
                f"{stack.name}[{index}]",
                CELLS[stack.kind],
                stack.units,
                merge="concat" if stack.bidirectional else None,
                bias=stack.bias,
                return_sequences=not final,
            )
            self.add(layer)
        if not last:
            return
        guess = "the last state is used; 'none' uses every step, 'mean' and 'max' all of them"
        self.account.guess("head", guess)
        if stack.bidirectional:
            guess = (
                "torch.cat((h[-2], h[-1]), 1); for output[:, -1] write 'pooling: last_step', where "
                "the backward direction has read one step only"
            )
            self.account.guess("head", guess)

    def _norm(self, norm: Norm | BatchNorm) -> None:
        if not self._fits(norm, norm.weight.shape[0]):
            return
        self.account.guess(self._section, f"epsilon {_EPSILON:g}, PyTorch's default")
        if isinstance(norm, Norm):
            self.add(nodes.LayerNorm(name=norm.name, input=(), epsilon=_EPSILON))
        else:
            self.account.guess(self._section, "momentum 0.9, PyTorch's 0.1 of the new value")
            layer = nodes.BatchNorm(
                name=norm.name, input=(), epsilon=_EPSILON, momentum=0.9, masked=False
            )
            self.add(layer)
        if isinstance(self.layers[-2], nodes.Dense) and self._is_hidden(norm):
            self.account.guess(self._section, f"{norm.name}: relu behind it, none before it")
            self.add(nodes.Activate(name=f"relu of {norm.name}", input=(), activation="relu"))

    @property
    def _section(self) -> str:
        """The section of the spec that the next layer is in."""
        return "rnn" if any(isinstance(each, Stack) for each in self.rest) else "head"

    def _is_hidden(self, module: Module) -> bool:
        """Return whether layers with activations come behind a module."""
        if self.rest and _is_next(module.name, self.rest[0].name):
            # In a Sequential an activation would have the number between them.
            return False
        return any(isinstance(each, Matrix | Stack) for each in self.rest)

    def _dense(self, matrix: Matrix) -> None:
        if not self._fits(matrix, matrix.weight.shape[1]):
            return
        hidden, following = self._is_hidden(matrix), self.rest[:1]
        tied = self._tied(matrix)
        if following and isinstance(following[0], Norm | BatchNorm):
            hidden = False
            guess = f"no activation before {following[0].name}"
        elif following and _is_next(matrix.name, following[0].name):
            guess = f"no activation: {following[0].name} has the next number in one container"
        else:
            guess = "relu" if hidden else "no activation at the end"
        self.account.guess(self._section, f"{matrix.name}: {guess}")
        units, bias = matrix.weight.shape[0], matrix.bias is not None
        activation: Activation = "relu" if hidden else "linear"
        layer = dense(matrix.name, units, activation=activation, bias=bias)
        self.add(replace(layer, tied=tied))

    def _tied(self, matrix: Matrix) -> str | None:
        """Return the name of the embedding whose weight is that of an output layer, or None."""
        table = self.table
        if self.rest or table is None or not _is_equal(matrix.weight, table.weight):
            return None
        memories = {matrix.weight.memory, table.weight.memory}
        names = (table.name.rpartition(".")[2], matrix.name.rpartition(".")[2])
        if (len(memories) == 1 and None not in memories) or names == ("encoder", "decoder"):
            self.account.infer(f"tied to {table.name}, whose array it has", matrix.name)
            return table.name
        message = (
            f"its weight equals that of {table.name}, and nothing tells whether they are tied; "
            "write the spec with 'tied: true' or without it, and name it with --spec"
        )
        self.account.refuse(matrix.name, message, "E704")
        return None


def _inputs(module: Module) -> int:
    """Return the number of features that a module takes."""
    match module:
        case Stack():
            return module.features
        case Matrix() | Convolution():
            return module.weight.shape[1]
        case Norm() | BatchNorm():
            return module.weight.shape[0]
        case Attention() | Tied():
            raise AssertionError("a state dict does not tell these")
        case _:
            assert_never(module)


def _is_next(name: str, following: str) -> bool:
    """Return whether two modules have numbers in a row in one container."""
    one, two = name.rpartition("."), following.rpartition(".")
    numbers = [int(last) for *_, last in (one, two) if re.fullmatch("[0-9]{1,9}", last)]
    return one[0] == two[0] and len(numbers) == 2 and numbers[1] == numbers[0] + 1


_GATES = {"h": "h", "ifco": "ifco", "zrn": "rzn"}
"""PyTorch's order of the gates for each canonical one; PyTorch writes g for c."""


def parts(modules: Sequence[Module]) -> Iterator[tuple[str, Module, Mapping[str, Entry]]]:
    """Yield what corresponds to a layer of a network: its name, its module, and its arrays.

    The arrays of a layer of a stack have the names ``weight_ih``, ``forward.weight_ih`` and so on.
    """
    for module in modules:
        match module:
            case Stack():
                for index, directions in enumerate(module.layers):
                    prefixes = ("",) if len(directions) == 1 else ("forward.", "backward.")
                    arrays = {
                        prefix + own: entry
                        for prefix, direction in zip(prefixes, directions, strict=True)
                        for own, entry in direction.items()
                    }
                    yield f"{module.name}[{index}]", module, arrays
            case Matrix() | Convolution() | Norm() | BatchNorm() | Tied():
                own = {each.name: getattr(module, each.name) for each in fields(module)}
                yield (
                    module.name,
                    module,
                    {
                        key: entry
                        for key, entry in own.items()
                        if key != "name" and entry is not None
                    },
                )
            case Attention(name, hidden, query):
                own = dict(next(parts([hidden]))[2]) if hidden else {}
                yield name, module, {**own, "query": query.weight}
            case _:
                assert_never(module)


def canonical(layer: Layer, module: Module, arrays: Mapping[str, Entry]) -> dict[str, Array]:
    """Return the canonical arrays of a layer, whose shapes have been compared."""
    return {f"{layer.name}.{each.name}": _array(each, module, arrays) for each in params(layer)}


def _array(param: Param, module: Module, arrays: Mapping[str, Entry]) -> Array:
    match module:
        case Stack():
            return _recurrent(param, arrays)
        case Convolution() if param.name == "kernel":
            return arrays["weight"].read().transpose(2, 1, 0)
        case Attention() if param.name == "query":
            return arrays["query"].read().T
        case Matrix() | Attention() if param.name == "kernel":
            return arrays["weight"].read().T
        case _:
            return arrays[_NAMES.get(param.name, "weight")].read()


_NAMES = {
    "bias": "bias", "beta": "bias", "moving_mean": "running_mean",
    "moving_variance": "running_var",
}  # fmt: skip
"""The names of PyTorch for canonical arrays; that of all others is ``weight``."""


def _recurrent(param: Param, arrays: Mapping[str, Entry]) -> Array:
    prefix, _, own = param.name.rpartition(".")
    start, gates = f"{prefix}." if prefix else "", _GATES[param.gates]

    def read(name: str, axes: str) -> Array:
        return unpack(
            param,
            Slot(param=param.name, path=name, axes=axes, gates=gates),
            arrays[start + name].read(),
        )

    match own:
        case "kernel":
            return read("weight_ih", "(gate out) in")
        case "recurrent_kernel":
            return read("weight_hh", "(gate out) in")
        case "recurrent_bias":
            return read("bias_hh", "(gate out)")
        case _ if param.gates == gates:
            # In a simple layer and an LSTM the two biases act as their sum. In float64, so that
            # the sum is rounded once.
            with np.errstate(invalid="ignore"):  # what is not finite is refused later
                return read("bias_ih", "(gate out)").astype("f8") + read("bias_hh", "(gate out)")
        case _:  # a GRU: the reset gate multiplies the second bias
            return read("bias_ih", "(gate out)")


Part = tuple[str, Module, "Mapping[str, Entry]"]


_MOST_ARRAYS = 5_000


def read(
    path: Path, name: str, known: nodes.Network | None = None, ignore: Sequence[str] = ()
) -> Imported:
    """Return the model whose state dict is in a file.

    Args:
        path: the file.
        name: the name of the network.
        known: the network of the spec that describes the model; without it, one is guessed.
        ignore: patterns of the arrays that are left out.

    Raises:
        ModelError: the language cannot express the model, or ``known`` is another one.
        UsageError: the file cannot be read, or has none of the arrays of a pattern.
    """
    account = Account(str(path), ignore)
    with state(path) as found:
        ignored = account.take_ignored(list(found.entries))
        weights = {
            key: entry
            for key, entry in found.entries.items()
            if entry.floating and key not in ignored
        }
        _leave(found, ignored, account)
        _check_sizes(weights, found.size, path)
        gone = [key for key in ignored if found.entries[key].floating]
        ties = known is not None and any(
            isinstance(layer, nodes.Dense) and layer.tied for layer in known.layers
        )
        listed = modules(weights, account, gone, ties=ties)
        for module in listed if known is None else ():
            if isinstance(module, Convolution):
                message = (
                    f"weight {module.weight.shape}: of a convolution, a state dict tells neither "
                    "stride, padding and activation nor the pools behind it; write the spec, and "
                    f"name it with --spec{account.way_out([f'{escape(module.name)}.*'])}"
                )
                account.refuse(module.name, message, "E705")
        account.check()
        listed = order_modules(listed, account)
        network = known or draft(name, listed, account)
        arrays = arrays_of(network, listed, account, path)
    form = f"state dict of PyTorch{f', under {found.key}' if found.key else ''}"
    return account.finish(network, arrays, form)


def _check_sizes(weights: Mapping[str, Entry], size: int, path: Path) -> None:
    """Raise UsageError if the arrays of a file are out of proportion to it."""
    total, most = sum(entry.size for entry in weights.values()), MOST_TIMES * size + FREE
    if total > most:
        message = (
            f"expected tensors of at most {most:,} bytes in a file of {size:,}, received {total:,}"
        )
        raise UsageError(message, str(path))
    if len(weights) > _MOST_ARRAYS:
        message = f"expected at most {_MOST_ARRAYS:,} arrays, received {len(weights):,}"
        raise UsageError(message, str(path))


def _leave(found: State, ignored: Collection[str], account: Account) -> None:
    for key in found.beside:
        account.leave(key, reason="saved beside the state dict")
    for key in found.others:
        account.leave(key, reason="not a tensor")
    for key, entry in found.entries.items():
        if not entry.floating and key not in ignored:
            account.leave(key, reason="a buffer of integers")


def arrays_of(
    network: nodes.Network, listed: list[Module], account: Account, path: Path
) -> dict[str, Array]:
    """Return the canonical arrays of a network, from the modules with arrays in their order.

    Raises:
        ModelError: they are not those of its layers, or not finite.
        UsageError: one cannot be read.
    """
    layers = [
        layer
        for layer in network.layers
        if params(layer) or (isinstance(layer, nodes.Dense) and layer.tied)
    ]
    found = _merge(layers, list(parts(listed)), account)
    if len(layers) != len(found):
        message = (
            f"expected the arrays of {len(layers)} layers ({few([each.name for each in layers])}), "
            f"received those of {len(found)}: {few([each[0] for each in found])}"
        )
        more = len(found) > len(layers)
        way_out = account.way_out(["MODULE.*"]) if more else account.reminder()
        account.refuse("the model", message + way_out, "E706" if more else "E705")
        account.check()
    pairs = list(zip(layers, found, strict=True))
    for layer, part in pairs:
        _compare(layer, part, account)
    account.check()
    arrays = dict[str, "Array"]()
    try:
        for layer, (where, module, own) in pairs:
            for key, array in canonical(layer, module, own).items():
                arrays[key] = packed(array)
            became = Became(where, _class(module), f"{layer.name} ({type_name(layer)})")
            account.became.append(became)
    except (TensorError, HeaderError) as error:
        raise UsageError(str(error), str(path)) from None
    for name, array in arrays.items():
        if not is_finite(array):
            account.refuse(name, "expected finite numbers, received others", "E708")
    account.check()
    return arrays


def _merge(layers: Sequence[Layer], found: list[Part], account: Account) -> list[Part]:
    """Put together the modules of one layer, and leave out the weight that a layer shares."""
    merged, rest, tables = list[Part](), list(found), dict[str, Entry]()
    for layer in layers:
        if not rest:
            break
        where, module, arrays = rest.pop(0)
        following = rest[0][1] if rest else None
        match layer:
            case nodes.Embedding() if isinstance(module, Matrix):
                tables[layer.name] = module.weight
            case nodes.Attention() if isinstance(module, Matrix):
                hidden, query = None, module
                if layer.units is not None and isinstance(following, Matrix):
                    hidden, query = module, following
                    rest.pop(0)
                if query.bias is not None:
                    reason = "a softmax is the same without it"
                    account.leave(f"{query.name}.bias", reason=reason)
                arrays = {"query": query.weight}
                if hidden is not None:
                    arrays = dict(next(parts([hidden]))[2]) | arrays
                module = Attention(where, hidden, query)
            case nodes.Dense(tied=str() as tied) if isinstance(module, Matrix):
                if not _is_equal(module.weight, tables.get(tied)):
                    message = f"expected the weight of {tied}, to which {layer.name} is tied"
                    account.refuse(where, f"{message}, received another", "E707")
                arrays = {"bias": module.bias} if module.bias else {}
                module = Tied(where, module.bias)
            case _:
                pass
        merged.append((where, module, arrays))
    return merged + rest


def _is_equal(one: Entry, other: Entry | None) -> bool:
    """Return whether two arrays are equal."""
    return other is not None and (
        one.shape == other.shape and np.array_equal(one.read(), other.read())
    )


def _compare(layer: nodes.Layer, part: Part, account: Account) -> None:
    """Refuse a module that is not the layer of the network at its place."""
    where, _, own = part
    cell = layer.cell if isinstance(layer, nodes.Recurrent) else None
    if isinstance(cell, nodes.GRU) and not cell.reset_after:
        message = f"{layer.name} has 'reset_after: false', and nn.GRU resets after the product"
        account.refuse(where, message, "E703")
    wanted, received = _expected_shapes(layer), {name: entry.shape for name, entry in own.items()}
    if wanted != received:
        message = (
            f"expected {layer.name} with {_list_shapes(wanted)}, received {_list_shapes(received)}"
        )
        account.refuse(where, message, "E707")


def _expected_shapes(layer: nodes.Layer) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the arrays that PyTorch has for a layer."""
    match layer:
        case nodes.Embedding():
            return {"weight": (layer.vocabulary, layer.dim)}
        case nodes.Dense():
            bias = {"bias": (layer.units,)} if layer.bias else {}
            weight = {} if layer.tied else {"weight": (layer.units, layer.features)}
            return {**weight, **bias}
        case nodes.Conv():
            bias = {"bias": (layer.filters,)} if layer.bias else {}
            return {"weight": (layer.filters, layer.features, layer.window.size), **bias}
        case nodes.Attention(units=None):
            return {"query": (1, layer.features)}
        case nodes.Attention(units=int(units)):
            return {"weight": (units, layer.features), "bias": (units,), "query": (1, units)}
        case nodes.LayerNorm() | nodes.BatchNorm():
            moving = isinstance(layer, nodes.BatchNorm)
            own = ("weight", "bias", *(("running_mean", "running_var") if moving else ()))
            return {name: (nodes.width(layer.input),) for name in own}
        case nodes.Recurrent():
            number = len(gates(layer.cell))
            shapes = shapes_of(number, layer.units, layer.features, bias=layer.bias)
            prefixes = ("",) if layer.merge is None else ("forward.", "backward.")
            return {prefix + own: shape for prefix in prefixes for own, shape in shapes.items()}
        case _:
            return {}


def _list_shapes(shapes: Mapping[str, tuple[int, ...]]) -> str:
    return ", ".join(f"{own} {shape}" for own, shape in shapes.items())


def _class(module: Module) -> str:
    match module:
        case Stack():
            return f"nn.{module.kind}"
        case Matrix(bias=None):
            return "nn.Embedding or nn.Linear without bias"
        case Matrix():
            return "nn.Linear"
        case Norm():
            return "nn.LayerNorm"
        case Convolution():
            return "nn.Conv1d"
        case BatchNorm():
            return "nn.BatchNorm1d"
        case Attention():
            return "nn.Linear and a softmax"
        case Tied():
            return "nn.Linear with the weight of nn.Embedding"
        case _:
            assert_never(module)
