"""A network for a state dict that comes without a spec: what it does not say is guessed.

A state dict has names and shapes. It says nothing of activations, dropout, padding, pooling, or
the order in which the modules are used; the order of definition is taken.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rnnspec.backends.torch.checkpoint import layers
from rnnspec.backends.torch.checkpoint.modules import Matrix, Module, Norm, Stack
from rnnspec.ir import nodes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rnnspec.backends.imported import Account

_EPSILON = 1e-5
"""PyTorch's default epsilon of a layer norm, which a state dict does not contain."""


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
    network_input = chain.open(first)
    while chain.rest:
        chain.take(chain.rest.pop(0))
    account.check()
    return nodes.Network(name=name, description="", input=network_input, layers=tuple(chain.layers))


class _Chain:
    """The layers so far, and the modules that are left."""

    def __init__(self, modules: Sequence[Module], account: Account) -> None:
        self.rest = list(modules)
        self.account = account
        self.layers: list[nodes.Layer] = []
        self.shape: nodes.Shape = ()
        self._numbers: dict[str, int] = {}

    def open(self, first: Stack) -> nodes.Input:
        """Return the input, after an embedding if a matrix before the first stack is one."""
        before = self.rest[0]
        if not (isinstance(before, Matrix) and before.bias is None and self.rest[1:2] == [first]):
            self.shape = (None, first.features)
            return nodes.NumericInput(steps=None, features=first.features, mask_value=None)
        self.rest.pop(0)
        vocabulary, dim = before.weight.shape
        given = nodes.TokenInput(steps=None, vocabulary=vocabulary, mask_zero=False)
        self.account.guess("embedding", "no padding: a state dict has no padding_idx")
        self.add(
            layers.embedding(self.name("embedding"), given.shape, vocabulary, dim, trainable=True)
        )
        return given

    def add(self, layer: nodes.Layer) -> None:
        """Append a layer."""
        self.layers.append(layer)
        self.shape = layer.output

    def name(self, kind: str) -> str:
        """Return the name that lowering gives to the next layer of a kind."""
        self._numbers[kind] = self._numbers.get(kind, 0) + 1
        return f"{kind}_{self._numbers[kind]}"

    def take(self, module: Module) -> None:
        """Append the layers of a module."""
        match module:
            case Stack():
                self._stack(module)
            case Norm():
                self._norm(module)
            case Matrix():
                self._dense(module)

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
        if any(isinstance(each, nodes.Dense) for each in self.layers):
            message = "expected dense layers after the recurrent ones, received one before"
            self.account.refuse(stack.name, message, "E704")
            return
        if not self._fits(stack, stack.features):
            return
        self.account.guess("rnn", "no dropout; it acts in training only")
        if stack.gates == 1:
            self.account.guess("rnn", "tanh; nn.RNN may have nonlinearity='relu'")
        last = not any(isinstance(each, Stack) for each in self.rest)
        for index in range(len(stack.layers)):
            final = last and index + 1 == len(stack.layers)
            self.add(self._recurrent(stack, return_sequences=not final))
        if last:
            self._guess_end(stack)

    def _guess_end(self, stack: Stack) -> None:
        guess = "the last state is used; 'none' uses every step, 'mean' and 'max' all of them"
        self.account.guess("head", guess)
        if stack.bidirectional:
            guess = (
                "torch.cat((h[-2], h[-1]), 1); for output[:, -1] write 'pooling: last_step', where "
                "the backward direction has read one step only"
            )
            self.account.guess("head", guess)

    def _recurrent(self, stack: Stack, *, return_sequences: bool) -> nodes.Recurrent:
        kind, cell = _cell(stack)
        return layers.recurrent(
            self.name("bidirectional" if stack.bidirectional else kind),
            self.shape,
            cell,
            stack.units,
            merge="concat" if stack.bidirectional else None,
            bias=stack.bias,
            return_sequences=return_sequences,
        )

    def _norm(self, norm: Norm) -> None:
        if not isinstance(self.layers[-1] if self.layers else None, nodes.Recurrent):
            message = "expected a layer norm after a recurrent layer, received it elsewhere"
            self.account.refuse(norm.name, message, "E704")
        elif self._fits(norm, norm.weight.shape[0]):
            self.account.guess("rnn", f"epsilon {_EPSILON:g}, PyTorch's default")
            name = self.name("layer_normalization")
            self.add(nodes.LayerNorm(name=name, input=self.shape, epsilon=_EPSILON))

    def _dense(self, matrix: Matrix) -> None:
        if not self.layers or isinstance(self.layers[-1], nodes.Embedding):
            message = "expected a recurrent layer first, received a dense one"
            self.account.refuse(matrix.name, message, "E704")
            return
        if not self._fits(matrix, matrix.weight.shape[1]):
            return
        hidden, following = any(isinstance(each, Matrix) for each in self.rest), self.rest[:1]
        if following and _adjacent(matrix.name, following[0].name):
            # In a Sequential an activation would have the number between them.
            hidden = False
            guess = f"no activation: {following[0].name} has the next number in one container"
        else:
            guess = "relu" if hidden else "no activation at the end"
        self.account.guess("head", f"{matrix.name}: {guess}")
        self.add(
            layers.dense(
                self.name("dense"),
                self.shape,
                matrix.weight.shape[0],
                activation="relu" if hidden else "linear",
                bias=matrix.bias is not None,
            )
        )


def _adjacent(name: str, following: str) -> bool:
    """Return whether two modules have numbers in a row in one container."""
    one, two = name.rpartition("."), following.rpartition(".")
    numbers = [int(last) for *_, last in (one, two) if re.fullmatch("[0-9]{1,9}", last)]
    return one[0] == two[0] and len(numbers) == 2 and numbers[1] == numbers[0] + 1


def _cell(stack: Stack) -> tuple[str, nodes.Cell]:
    kind = {1: "simple_rnn", 3: "gru"}.get(stack.gates, "lstm")
    return kind, layers.CELLS[kind]
