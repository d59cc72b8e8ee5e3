"""The layers of a traced module in the order that the language has."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from rnnspec.backends.torch.traced.values import RefusedError, Tensor
from rnnspec.ir import nodes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rnnspec.words import Statistic

_ONE_USE = (
    "the language has a chain: the output of a layer goes to the next layer alone, or is added as "
    "a residual"
)


class Chain:
    """The layers so far. ``version`` changes with every change of the output."""

    def __init__(self) -> None:
        self.input: nodes.Input | None = None
        self.layers: list[nodes.Layer] = []
        self.version = 0
        self.packed: dict[str, bool] = {}
        self._numbers: Counter[str] = Counter()
        self._lengths = {0: 0}

    @property
    def shape(self) -> nodes.Shape:
        """The shape of the output."""
        assert self.input is not None, "opened by the first layer"
        return self.layers[-1].output if self.layers else self.input.shape

    @property
    def has_padding(self) -> bool:
        """True if the output has steps of padding, which a packed sequence left."""
        after = self._after(nodes.Repeat)
        return any(self.packed.get(each.name) for each in self.layers[after:])

    def name(self, kind: str) -> str:
        """Return the name that lowering gives to the next layer of a kind."""
        self._numbers[kind] += 1
        return f"{kind}_{self._numbers[kind]}"

    def add(self, layer: nodes.Layer) -> None:
        """Append a layer."""
        self.layers.append(layer)
        self._changed()

    def insert(self, at: int, layer: nodes.Layer) -> None:
        """Insert a layer, and adapt the shapes of those behind it."""
        self.layers.insert(at, layer)
        self._rechain(at)

    def change(self, at: int, layer: nodes.Layer) -> None:
        """Replace a layer, and adapt the shapes of those behind it."""
        self.layers[at] = layer
        self._rechain(at)

    def _rechain(self, at: int) -> None:
        shape = self.layers[at].output
        for index in range(at + 1, len(self.layers)):
            self.layers[index] = replace(self.layers[index], input=shape)
            shape = self.layers[index].output
        self._changed()

    def _changed(self) -> None:
        self.version += 1
        self._lengths[self.version] = len(self.layers)

    def take(self, value: Tensor) -> None:
        """Check that a value is the output of the last layer.

        Raises:
            RefusedError: layers, or another use of its states, come after it.
        """
        if value.version != self.version:
            raise RefusedError(f"uses the output of an earlier layer again; {_ONE_USE}")

    def _after(self, *kinds: type[nodes.Layer]) -> int:
        """Return the place behind the last layer of some kinds, 0 without one."""
        found = [i for i, layer in enumerate(self.layers) if isinstance(layer, kinds)]
        return found[-1] + 1 if found else 0

    @property
    def block(self) -> int:
        """The place behind the last recurrent layer with its layer norm and residual."""
        at = self._after(nodes.Recurrent)
        if not at:
            raise RefusedError("expected a recurrent layer before it, received none")
        return max(at, self._after(nodes.LayerNorm, nodes.Residual))

    def end(self) -> None:
        """Have the last recurrent layer pass on its final state alone.

        Raises:
            RefusedError: it is followed by a residual, or by a reduction.
        """
        at = self._after(nodes.Recurrent) - 1
        layer = self.layers[at]
        assert isinstance(layer, nodes.Recurrent), "block has been asked"
        self.change(at, replace(layer, return_sequences=False))

    def last_step(self) -> None:
        """Select the last step: the final state of one direction, or a pooling.

        Raises:
            RefusedError: there is no recurrent layer.
        """
        at = self.block
        recurrent = self.layers[self._after(nodes.Recurrent) - 1]
        assert isinstance(recurrent, nodes.Recurrent), "block has been asked"
        if recurrent.merge is None and not isinstance(self.layers[at - 1], nodes.Residual):
            self.end()
            return
        self.insert(at, self._pooling("last_step", self.layers[at - 1].output))

    def pool(self, statistic: Statistic) -> None:
        """Reduce the steps to a statistic.

        Raises:
            RefusedError: a dense layer comes between.
        """
        if self.block != len(self.layers):
            before = self.layers[-1].name
            raise RefusedError(f"expected it directly behind a recurrent layer, received {before}")
        self.add(self._pooling(statistic, self.shape))

    def _pooling(self, statistic: Statistic, shape: nodes.Shape) -> nodes.Pooling:
        name = self.name(f"{statistic}_pooling")
        return nodes.Pooling(name=name, input=shape, statistic=statistic, masked=False)

    def norm(self, epsilon: float) -> str:
        """Normalize the output of the last recurrent layer, before or after its last step.

        Returns the name of the layer norm.

        Raises:
            RefusedError: something else comes between.
        """
        at = self._after(nodes.Recurrent)
        rest = self.layers[at:]
        selected = [isinstance(e, nodes.Pooling) and e.statistic == "last_step" for e in rest]
        if not at or not all(selected):
            before = self.layers[-1].name if self.layers else "the input"
            raise RefusedError(f"expected it directly behind a recurrent layer, received {before}")
        name, shape = self.name("layer_normalization"), self.layers[at - 1].output
        self.insert(at, nodes.LayerNorm(name=name, input=shape, epsilon=epsilon))
        return name

    def residual(self, start: Tensor) -> None:
        """Add an earlier value: the input of the last recurrent layer.

        Raises:
            RefusedError: it is another value, or of another size.
        """
        at = self._lengths.get(start.version, len(self.layers))
        block = self.layers[at:]
        recurrent = [each for each in block if isinstance(each, nodes.Recurrent)]
        inside = all(
            isinstance(e, nodes.Dropout | nodes.Recurrent | nodes.LayerNorm) for e in block
        )
        if len(recurrent) != 1 or not inside:
            raise RefusedError(
                "expected the sum of the output of one recurrent layer and its input"
            )
        if block[0].input != self.shape:
            sizes = f"{block[0].input[-1]} and {self.shape[-1]} features"
            raise RefusedError(f"expected an input and an output of equal size, received {sizes}")
        self.add(nodes.Residual(name=self.name("add"), input=self.shape, start=block[0].name))

    def finish(self, name: str, map_input: Callable[[nodes.Input], nodes.Input]) -> nodes.Network:
        """Return the network, with the padding of packed sequences."""
        assert self.input is not None, "the reader refuses an empty chain"
        masked = any(self.packed.values())
        given = map_input(self.input) if masked else self.input
        layers = _masked(self.layers) if masked else self.layers
        return nodes.Network(name=name, description="", input=given, layers=tuple(layers))


def _masked(layers: Sequence[nodes.Layer]) -> list[nodes.Layer]:
    """Return layers as they are with padding, which ends at a repeat."""
    found = list[nodes.Layer]()
    for layer in layers:
        if isinstance(layer, nodes.Repeat):
            return [*found, *layers[len(found) :]]
        if isinstance(layer, nodes.Embedding | nodes.Recurrent):
            layer = replace(layer, masked=True)  # noqa: PLW2901
        found.append(layer)
    return found
