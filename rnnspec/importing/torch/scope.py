"""The values in a traced ``forward``, and the layers so far."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from rnnspec.ir import nodes

if TYPE_CHECKING:
    from rnnspec.backends.imported import Account
    from rnnspec.errors import Span
    from rnnspec.words import Statistic


NO_STATES = (
    "a spec has no input for states, which start at zeros; give the argument the default None"
)
"""What to do about initial states that are an argument."""
Form = Literal["steps", "vector", "one step", "squeezed"]
"""Tokens or features at all steps, one vector, a vector with an axis for a single step, or a result
without its last axis of size 1.
"""


HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
"""Attributes of a module with functions that are called before or after it."""


@dataclass(frozen=True, slots=True)
class Place:
    """A piece of a source file, empty if the source is not at hand."""

    file: str = ""
    span: Span | None = None


@dataclass(frozen=True, slots=True)
class Ref:
    """The result of an earlier operation."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Op:
    """One operation of ``forward``, of a kind: input, module, array, call or output.

    ``target`` is the path of the module or array, or the name of the function or method, whose
    first argument is the tensor it belongs to. ``module`` is the module, or a tensor that
    ``forward`` makes of plain numbers. ``layer`` is the class of the module if it is one of
    ``torch.nn``. ``overwrites`` is true if the operation changes a tensor in place that is used
    again under an older name. ``modes`` are those that ``forward`` switches on for the operation:
    autocast, no_grad.
    """

    name: str
    kind: str
    target: str
    module: Any
    layer: str
    overwrites: bool
    modes: frozenset[str]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    place: Place


@dataclass(frozen=True, slots=True)
class Tensor:
    """The output of the layers so far.

    ``version`` is that of the chain when it was made. ``turned`` is true if the steps and the batch
    have changed places an odd number of times since the input. ``drops`` are rates of dropouts that
    have no place in the chain yet. ``backward_first`` is true if the features of the backward
    direction come before those of the forward one, which the chain has the other way round.
    """

    version: int
    form: Form
    turned: bool = False
    drops: tuple[float, ...] = ()
    backward_first: bool = False


@dataclass(frozen=True, slots=True)
class Packed:
    """A packed sequence."""

    steps: Tensor


@dataclass(frozen=True, slots=True)
class States:
    """The final states of a recurrent module, (layers x directions, batch, units).

    ``module`` is its path. ``swapped`` is true if the batch comes first.
    """

    module: str
    version: int
    number: int
    directions: int
    is_cell: bool = False
    swapped: bool = False


@dataclass(frozen=True, slots=True)
class State:
    """One of the final states; ``index`` counts from the end, -1 for the last."""

    states: States
    index: int

    def __str__(self) -> str:
        return f"{'c' if self.states.is_cell else 'h'}[{self.index}]"


@dataclass(frozen=True, slots=True)
class Several:
    """A tuple of values."""

    items: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Lengths:
    """The number of real steps of each sequence: an input, or of ``pad_packed_sequence``.

    ``argument`` is the name of the input.
    """

    argument: str = ""


@dataclass(frozen=True, slots=True)
class Zeros:
    """A tensor of zeros, for a batch of a fixed size if ``batch`` is not 0."""

    batch: int = 0


@dataclass(frozen=True, slots=True)
class Size:
    """A size, a device, a dtype: something beside the values of tensors."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """The result of an operation that was refused."""


Value = Tensor | Packed | States | State | Several | Lengths | Zeros | Size | Unknown


@dataclass(frozen=True, slots=True)
class Layout:
    """How the input and the result of a module differ from those of its network.

    ``time_first`` and ``gives_time_first`` are true if the steps come before the batch, ``padded``
    if the result has steps of padding. ``inputs`` is the number of inputs of ``forward``, the
    lengths of packed sequences among them: the one at ``lengths``, 0 if there are none. They must
    be ``decreasing`` unless the module packs with ``enforce_sorted=False``. ``batch`` is the only
    batch size that the module takes, 0 if it takes any. ``casts`` is true if ``forward`` names a
    dtype.
    """

    time_first: bool
    gives_time_first: bool
    padded: bool
    inputs: int
    lengths: int
    decreasing: bool
    batch: int
    casts: bool


Given = tuple[tuple[Any, ...], dict[str, Any]] | None
"""The arguments of a call, None if the operations that give them were refused."""


class RefusedError(Exception):
    """The reason why an operation cannot be taken over, with its code."""

    def __init__(self, message: str, code: str = "E704") -> None:
        super().__init__(message)
        self.message = message
        self.code = code


_FORMS = {
    "vector": "a vector",
    "one step": "a sequence of one step",
    "squeezed": "a result without its last axis",
}
_NAMES = {
    "Several": "a tuple: nn.RNN, nn.GRU and nn.LSTM return their output and their states",
    "Packed": "a packed sequence",
    "Zeros": "zeros",
    "Size": "a number",
    "States": "all final states",
    "Unknown": "an unknown value",
}


def describe(value: Any) -> str:
    """Return what a value is, for messages."""
    match value:
        case Lengths(argument=name) if name:
            return f"the argument '{name}' of forward"
        case Lengths():
            return "lengths"
        case State():
            return f"{value}"
        case States(is_cell=True):
            return "all cell states"
        case Tensor(form="steps"):
            return "a sequence"
        case Tensor(form=form):
            return _FORMS[form]
        case None | bool() | int() | float() | str():
            return f"{value!r}"
        case _:
            kind = type(value).__name__
            return _NAMES.get(kind, f"a {kind}")


_ONE_USE = (
    "the language has a chain: the output of a layer goes to the next layer alone, or is added as "
    "a residual"
)


class Chain:
    """The layers so far, without a place, and the shape of their output.

    Layers have the names of their modules. ``version`` changes with every change of the output.
    ``packed`` says of each recurrent module whether it was given a packed sequence, and
    ``has_padding`` whether the output has steps of padding, which a packed sequence left.
    """

    def __init__(self) -> None:
        self.input: nodes.Input | None = None
        self.layers: list[nodes.Layer] = []
        self.shape: nodes.Shape = ()
        self.version = 0
        self.packed: dict[str, bool] = {}
        self.has_padding = False
        self._before: dict[int, tuple[int, nodes.Shape]] = {}

    def open(self, network_input: nodes.Input) -> None:
        """Begin with an input."""
        self.input, self.shape = network_input, network_input.shape
        self._before[self.version] = 0, self.shape

    def add(self, layer: nodes.Layer) -> None:
        """Append a layer."""
        self.layers.append(layer)
        self._change_to(replace(layer, input=self.shape).output)

    def change(self, layer: nodes.Layer, shape: nodes.Shape | None = None) -> None:
        """Replace the last layer, whose output has another shape if one is given."""
        self.layers[-1] = layer
        self._change_to(self.shape if shape is None else shape)

    def _change_to(self, shape: nodes.Shape) -> None:
        self.version += 1
        self.shape = shape
        self._before[self.version] = len(self.layers), shape

    def take(self, value: Tensor) -> None:
        """Check that a value is the output of the last layer.

        Raises:
            RefusedError: layers, or another use of its states, come after it.
        """
        if value.version != self.version:
            raise RefusedError(f"uses the output of an earlier layer again; {_ONE_USE}")

    def _after(self, *kinds: type[nodes.Layer]) -> int:
        """Return the place behind the last layer of some kinds, 0 without one."""
        places = [at for at, layer in enumerate(self.layers) if isinstance(layer, kinds)]
        return places[-1] + 1 if places else 0

    @property
    def block(self) -> int:
        """The place behind the last recurrent layer with its layer norm and residual."""
        at = self._after(nodes.Recurrent)
        if not at:
            raise RefusedError("expected a recurrent layer before it, received none")
        return max(at, self._after(nodes.LayerNorm, nodes.Residual))

    def end(self) -> None:
        """Have the last recurrent layer pass on its final state alone."""
        at = self._after(nodes.Recurrent) - 1
        layer = self.layers[at]
        assert isinstance(layer, nodes.Recurrent), "block has been asked"
        self.layers[at] = replace(layer, return_sequences=False)
        self._change_to(self.shape[-1:])

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
        self.layers.insert(at, _pooling("last_step"))
        self._change_to(self.shape[-1:])

    def pool(self, statistic: Statistic) -> None:
        """Reduce the steps to a statistic.

        Raises:
            RefusedError: a dense layer comes between.
        """
        if self.block != len(self.layers):
            before = self.layers[-1].name
            raise RefusedError(f"expected it directly behind a recurrent layer, received {before}")
        self.add(_pooling(statistic))

    def norm(self, name: str, epsilon: float) -> None:
        """Normalize the output of the last recurrent layer, before or after its last step.

        Raises:
            RefusedError: something else comes between.
        """
        at = self._after(nodes.Recurrent)
        rest = self.layers[at:]
        selected = [isinstance(e, nodes.Pooling) and e.statistic == "last_step" for e in rest]
        if not at or not all(selected):
            before = self.layers[-1].name if self.layers else "the input"
            raise RefusedError(f"expected it directly behind a recurrent layer, received {before}")
        self.layers.insert(at, nodes.LayerNorm(name=name, input=(), epsilon=epsilon))
        self._change_to(self.shape)

    def residual(self, start: Tensor) -> None:
        """Add an earlier value: the input of the last recurrent layer.

        Raises:
            RefusedError: it is another value, or of another size.
        """
        at, shape = self._before.get(start.version, (len(self.layers), ()))
        block = self.layers[at:]
        recurrent = [layer for layer in block if isinstance(layer, nodes.Recurrent)]
        inside = all(
            isinstance(e, nodes.Dropout | nodes.Recurrent | nodes.LayerNorm) for e in block
        )
        if len(recurrent) != 1 or not inside:
            raise RefusedError(
                "expected the sum of the output of one recurrent layer and its input"
            )
        if shape != self.shape:
            sizes = f"{shape[-1]} and {self.shape[-1]} features"
            raise RefusedError(f"expected an input and an output of equal size, received {sizes}")
        self.add(nodes.Residual(name="add", input=(), start=block[0].name))


def _pooling(statistic: Statistic) -> nodes.Pooling:
    return nodes.Pooling(name=statistic, input=(), statistic=statistic, masked=False)


class Scope:
    """The chain of layers, and where they come from.

    ``modules`` are those with arrays, by their paths, in the order of their layers. ``time_first``
    is true if the module takes the steps before the batch, None until a recurrent layer tells.
    ``padding`` is an embedding with its ``padding_idx``. ``backward_first`` are the paths of those
    whose arrays have the features of the backward direction first. The others are those of
    ``Layout``, ``lengths`` by its name.
    """

    def __init__(self, account: Account) -> None:
        self.account = account
        self.chain = Chain()
        self.modules: dict[str, Any] = {}
        self.time_first: bool | None = None
        self.casts_to_integers = False
        self.casts = False
        self.lengths = ""
        self.decreasing = False
        self.batch = 0
        self.padding: tuple[Op, int] | None = None
        self.backward_first = list[str]()

    def is_time_first(self, value: Tensor) -> bool:
        """Return whether the steps of a value come before the batch.

        Raises:
            RefusedError: no recurrent layer has told it.
        """
        if self.time_first is None:
            raise RefusedError("expected a recurrent layer before it, received none")
        return self.time_first != value.turned

    def lay_out(self, value: Tensor, *, batch_first: bool) -> None:
        """Note the layout that a recurrent layer expects of a value.

        Raises:
            RefusedError: an earlier one expected the other.
        """
        wanted = value.turned if batch_first else not value.turned
        if self.time_first is None:
            self.time_first = wanted
        elif self.time_first != wanted:
            order = ("the steps", "the batch") if batch_first else ("the batch", "the steps")
            raise RefusedError(
                f"batch_first={batch_first} and an input with {order[0]} before {order[1]}, as "
                "the layers before it have it: it would run along the batch"
            )

    def leave_drops(self, value: Tensor, where: str) -> None:
        """Name the dropouts of a value that have no place."""
        for rate in value.drops:
            self.account.leave(f"dropout {rate:g} {where}")

    def place_drops(self, value: Tensor, where: str) -> None:
        """Append the first dropout of a value as a layer, and name the others."""
        if value.drops:
            first, *rest = value.drops
            self.chain.add(nodes.Dropout(name="dropout", input=(), rate=first))
            self.leave_drops(replace(value, drops=tuple(rest)), where)

    def result(self, value: Tensor, **changes: Any) -> Tensor:
        """Return the output of the chain in the layout of ``value``."""
        return replace(value, version=self.chain.version, drops=(), **changes)

    def whole(self, value: State | States) -> Tensor:
        """Return final states as the output of the recurrent layer.

        Raises:
            RefusedError: they are those of a lower layer, of one direction of two, or cell states.
        """
        states = value.states if isinstance(value, State) else value
        if states.is_cell:
            raise RefusedError("uses the cell state c; the language passes on the hidden state h")
        if states.version != self.chain.version:
            raise RefusedError(
                "uses the final state beside the output; the language passes on one of them"
            )
        if states.directions == 2 and isinstance(value, State):
            way = "backward" if value.index % 2 else "forward"
            raise RefusedError(
                f"uses the {way} direction alone; expected torch.cat((h[-2], h[-1]), dim=1)"
            )
        if isinstance(value, State) and value.index != -1:
            raise RefusedError(
                "uses the final state of a lower layer; expected that of the top, h[-1]"
            )
        if isinstance(value, States) and states.number != 1:
            raise RefusedError(
                f"expected one final state, such as h[-1], received all {states.number}"
            )
        return self.final()

    def final(self) -> Tensor:
        """Have the last recurrent layer return its final state, and return that."""
        self.chain.end()
        return Tensor(self.chain.version, "vector")

    def tensor(self, value: Any, *, either_order: bool = False) -> Tensor:
        """Return a value as a tensor that is the output of the chain.

        Args:
            value: the value.
            either_order: whether the backward direction may come before the forward one.

        Raises:
            RefusedError: it is something else.
        """
        if isinstance(value, State):
            value = self.whole(value)
        if not isinstance(value, Tensor):
            raise RefusedError(f"expected a tensor, received {describe(value)}")
        self.chain.take(value)
        if value.backward_first and not either_order:
            raise RefusedError(
                "uses h[-1] before h[-2], which the spec has only in front of nn.Linear; expected "
                "torch.cat((h[-2], h[-1]), dim=1)"
            )
        return value
