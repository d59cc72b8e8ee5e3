"""A guess at a network from a state dict: a chain of its modules in the order of the file."""

from __future__ import annotations

import re
from dataclasses import replace
from glob import escape
from typing import TYPE_CHECKING, assert_never

import numpy as np

from rnnspec.errors import few
from rnnspec.importing.assemble import assemble
from rnnspec.importing.imported import Account
from rnnspec.importing.torch.arrays import class_of, parts
from rnnspec.importing.torch.state_dict import (
    BatchNormModule,
    Convolution,
    LayerNormModule,
    MatrixModule,
    Module,
    RecurrentModule,
    Tied,
    ZooCellModule,
)
from rnnspec.importing.unplaced import CELLS, dense, embedding, recurrent
from rnnspec.ir import nodes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rnnspec.words import Activation

_EPSILON = 1e-5
"""PyTorch's default epsilon of a layer norm, which a state dict does not contain."""


def draft(
    name: str, listed: Sequence[Module], account: Account, *, ordered: bool
) -> tuple[nodes.Network, list[Module]]:
    """Return a network with these modules in their order, and the modules in that order.

    Raises:
        ModelError: the modules are in an order, or have sizes, that rnnspec cannot express, or a
            state dict does not tell what is needed of them.
    """
    for module in listed:
        if reason := _lacking(module):
            way_out = account.way_out([f"{escape(module.name)}.*"])
            message = f"{reason}; write the spec, and name it with --spec{way_out}"
            account.refuse(module.name, message, "E705")
    account.check()
    modules = list(listed) if ordered else _in_order(listed, account)
    if not any(isinstance(module, RecurrentModule) for module in modules):
        message = f"expected a recurrent layer, received none{account.reminder()}"
        account.refuse("the model", message, "E701")
    account.check()
    chain = _Chain(modules, account)
    network_input = chain.open()
    while chain.rest:
        chain.take(chain.rest.pop(0))
    account.check()
    kinds = {where: class_of(module) for where, module, _ in parts(modules)}
    return assemble(account, name, (network_input,), chain.layers, kinds).network, modules


def _lacking(module: Module) -> str:
    """Return what a state dict does not tell of a module, empty if the rest can be guessed."""
    match module:
        case Convolution(weight=weight):
            return (
                f"weight {weight.shape}: of a convolution, a state dict tells neither stride, "
                "padding and activation nor the pools behind it"
            )
        case RecurrentModule(kind=kind, takes_a_step=True):
            return f"nn.{kind} takes a step, and a state dict does not tell the loop around it"
        case _:
            return ""


def _in_order(modules: Sequence[Module], account: Account) -> list[Module]:
    """Return the modules of a file that sorts their names: an embedding, recurrent ones, others.

    A module that may as well be in front of the recurrent ones is refused.
    """
    recurrent = [module for module in modules if isinstance(module, RecurrentModule)]
    width = recurrent[0].features if recurrent else None
    ranks = dict[str, int]()
    for module in modules:
        match module:
            case RecurrentModule():
                ranks[module.name] = 1
            case MatrixModule(bias=None) if module.weight.shape[1] == width:
                ranks[module.name] = 0
            case _:
                ranks[module.name] = 2
    listed = sorted(modules, key=lambda module: ranks[module.name])
    several = list(ranks.values()).count(0) > 1
    for module in listed:
        first = (
            isinstance(module, MatrixModule | LayerNormModule | BatchNormModule)
            and module.features == width
        )
        if (ranks[module.name] == 2 and first) or (several and not ranks[module.name]):
            message = (
                f"may be before {recurrent[0].name} or behind it, and the file sorts the names of "
                "modules; write the spec, and name it with --spec"
            )
            account.refuse(module.name, message, "E707")
    if len(listed) > 1:
        names = few([module.name for module in listed])
        account.infer(f"the order of the modules, whose names the file sorts: {names}")
    return listed


class _Chain:
    """The layers so far, the shape of their output, and the modules that are left."""

    def __init__(self, modules: Sequence[Module], account: Account) -> None:
        self.rest = list(modules)
        self.account = account
        self.layers: list[nodes.Layer] = []
        self.shape: nodes.Shape = ()
        self.table: MatrixModule | None = None

    def open(self) -> nodes.Input:
        """Return the input, after an embedding if the first matrix is one."""
        before = self.rest[0]
        if not (isinstance(before, MatrixModule) and before.bias is None):
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
            case RecurrentModule():
                self._stack(module)
            case LayerNormModule() | BatchNormModule():
                self._norm(module)
            case MatrixModule():
                self._dense(module)
            case Convolution() | Tied() | ZooCellModule():
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

    def _stack(self, stack: RecurrentModule) -> None:
        if not self._fits(stack, stack.features):
            return
        self.account.guess("rnn", "no dropout; it acts in training only")
        if stack.gates == 1:
            self.account.guess("rnn", "tanh; nn.RNN may have nonlinearity='relu'")
        last = not any(isinstance(module, RecurrentModule) for module in self.rest)
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

    def _norm(self, norm: LayerNormModule | BatchNormModule) -> None:
        if not self._fits(norm, norm.features):
            return
        scale, offset = norm.weight is not None, norm.bias is not None
        self.account.guess(self._section, f"epsilon {_EPSILON:g}, PyTorch's default")
        if isinstance(norm, LayerNormModule):
            node = nodes.LayerNorm(
                name=norm.name, input=(), epsilon=_EPSILON, scale=scale, offset=offset
            )
            self.add(node)
        else:
            self.account.guess(self._section, "momentum 0.9, PyTorch's 0.1 of the new value")
            layer = nodes.BatchNorm(
                name=norm.name,
                input=(),
                epsilon=_EPSILON,
                momentum=0.9,
                masked=False,
                scale=scale,
                offset=offset,
            )
            self.add(layer)
        before = self.layers[-2] if len(self.layers) > 1 else None
        if isinstance(before, nodes.Dense) and self._is_hidden(norm):
            self.account.guess(self._section, f"{norm.name}: relu behind it, none before it")
            self.add(nodes.Activate(name=f"relu of {norm.name}", input=(), activation="relu"))

    @property
    def _section(self) -> str:
        """The section of the spec that the next layer is in."""
        return "rnn" if any(isinstance(module, RecurrentModule) for module in self.rest) else "head"

    def _is_hidden(self, module: Module) -> bool:
        """True if layers with activations come behind a module."""
        if self.rest and _is_next(module.name, self.rest[0].name):
            # In a Sequential an activation would have the number between them.
            return False
        return any(isinstance(module, MatrixModule | RecurrentModule) for module in self.rest)

    def _dense(self, matrix: MatrixModule) -> None:
        if not self._fits(matrix, matrix.weight.shape[1]):
            return
        hidden, following = self._is_hidden(matrix), self.rest[:1]
        tied = self._find_embedding(matrix)
        if following and isinstance(following[0], LayerNormModule | BatchNormModule):
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

    def _find_embedding(self, matrix: MatrixModule) -> str | None:
        """Return the name of the embedding whose weight is that of an output layer, or None."""
        table = self.table
        if self.rest or table is None or matrix.weight.shape != table.weight.shape:
            return None
        if not np.array_equal(matrix.weight.read(), table.weight.read()):
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
        case RecurrentModule():
            return module.features
        case MatrixModule() | Convolution():
            return module.weight.shape[1]
        case LayerNormModule() | BatchNormModule():
            return module.features
        case Tied() | ZooCellModule():
            raise AssertionError("a state dict does not tell these")
        case _:
            assert_never(module)


def _is_next(name: str, following: str) -> bool:
    """True if two modules have numbers in a row in one container."""
    one, two = name.rpartition("."), following.rpartition(".")
    numbers = [int(last) for *_, last in (one, two) if re.fullmatch("[0-9]{1,9}", last)]
    return one[0] == two[0] and len(numbers) == 2 and numbers[1] == numbers[0] + 1
