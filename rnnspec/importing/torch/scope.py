"""The values in a traced ``forward``, and the layers so far."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from rnnspec.ir import nodes

if TYPE_CHECKING:
    from rnnspec.backends.imported import Account
    from rnnspec.errors import Span
    from rnnspec.words import Merge, Statistic


NO_STATES = (
    "a spec has no input for states, which start at zeros; give the argument the default None"
)
"""What to do about initial states that are an argument."""
Form = Literal["steps", "vector", "one step", "squeezed", "rows"]
"""Tokens or features at all steps, one vector, a vector with an axis for a single step, a result
without its last axis of size 1, or the features of all steps of all sequences, one below another.
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

    @property
    def where(self) -> str:
        """What errors call it."""
        return self.target if self.kind in ("module", "array", "call") else self.name


@dataclass(frozen=True, slots=True)
class Tensor:
    """The output of a layer, the one at ``at`` in the graph; 0 is the input.

    ``axes`` has a character for each axis: that of the axis of the input that it comes from, 0, 1
    or 2, or ``-`` for an axis of size 1. ``padded`` is true if it has steps of padding, which a
    packed sequence left. ``backward_first`` is true if the features of the backward direction come
    before those of the forward one, which the graph has the other way round. ``pad`` is how often
    the next window sees ``pad_value`` before and after the steps, and ``surplus`` is the number of
    steps at the end that a causal convolution does not have.
    """

    at: int
    form: Form
    axes: str
    padded: bool = False
    backward_first: bool = False
    pad: tuple[int, int] = (0, 0)
    pad_value: float = 0.0
    surplus: int = 0


@dataclass(frozen=True, slots=True)
class Half:
    """The features of one direction of a bidirectional layer, the forward one if ``index`` is 0.

    ``step`` is 0 for those of the first step, -1 for those of the last, and None for all steps.
    """

    sequence: Tensor
    index: int
    step: int | None = None


@dataclass(frozen=True, slots=True)
class Halves:
    """The features of both directions along an axis of their own, before that of the features."""

    sequence: Tensor


@dataclass(frozen=True, slots=True)
class Weights:
    """The weights of an attention: a softmax over the steps of the scores at ``at``."""

    at: int
    axes: str


@dataclass(frozen=True, slots=True)
class Weighted:
    """The steps of a sequence multiplied by weights."""

    weights: Weights
    steps: Tensor


@dataclass(frozen=True, slots=True)
class ModuleArray:
    """An array of the module that is outside of a layer, or that a function takes of one."""

    path: str
    turned: bool = False


@dataclass(frozen=True, slots=True)
class Packed:
    """A packed sequence."""

    steps: Tensor


@dataclass(frozen=True, slots=True)
class States:
    """The final states of a recurrent module, (layers x directions, batch, units).

    ``module`` is its path, and ``at`` its top layer in the graph. ``swapped`` is true if the batch
    comes first.
    """

    module: str
    at: int
    number: int
    directions: int
    axes: str
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


Value = (
    Tensor
    | Packed
    | States
    | State
    | Several
    | Half
    | Halves
    | Weights
    | Weighted
    | ModuleArray
    | Lengths
    | Zeros
    | Size
    | Unknown
)


@dataclass(frozen=True, slots=True)
class Result:
    """A result of a module: its name, empty if it is the only one, and how it differs.

    ``order`` are the axes that make it batch first, then the steps, then the features; a last axis
    of size 1 may be missing. It is ``padded`` if it has steps of padding.
    """

    name: str
    order: tuple[int, ...]
    padded: bool


@dataclass(frozen=True, slots=True)
class Layout:
    """How the input and the results of a module differ from those of its network.

    ``order`` are the axes of the input of the network that make the input of the module. ``inputs``
    is the number of inputs of ``forward``, the lengths of packed sequences among them: the one at
    ``lengths``, 0 if there are none. They must be ``decreasing`` unless the module packs with
    ``enforce_sorted=False``. ``batch`` is the only batch size that the module takes, 0 if it takes
    any. ``casts`` is true if ``forward`` names a dtype.
    """

    order: tuple[int, ...]
    results: tuple[Result, ...]
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
    "rows": "the steps of all sequences as one batch; expected view(batch, steps, features)",
}
_NAMES = {
    "Several": "a tuple: nn.RNN, nn.GRU and nn.LSTM return their output and their states",
    "Packed": "a packed sequence",
    "Zeros": "zeros",
    "Size": "a number",
    "States": "all final states",
    "Unknown": "an unknown value",
    "Half": "the features of one direction",
    "Halves": "the features of both directions, each by itself",
    "Weights": "the weights of an attention",
    "Weighted": "steps multiplied by weights; expected their sum over the steps",
    "ModuleArray": "an array of the module outside of a layer",
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


_SIZE_ONE = "-"
_ROLES = ("batch", "steps", "features")


@dataclass(slots=True)
class Step:
    """A layer without a place, and where its input comes from.

    ``sources`` are places in the graph, and ``op`` is the operation that made it. ``modules`` are
    the paths of the modules that have its arrays. ``turned`` is true if it takes the features of
    the backward direction first. ``arrays`` are the paths of arrays outside of modules by their
    names in PyTorch's layer.
    """

    layer: nodes.Layer
    sources: tuple[int, ...]
    op: Op
    modules: tuple[str, ...] = ()
    turned: bool = False
    arrays: dict[str, str] | None = None


class Scope:
    """The layers so far, as a graph, and where they come from.

    ``steps`` has the layers by their places, which begin at 1. ``modules`` are those with arrays,
    by their paths. ``packed`` says of each recurrent module whether it was given a packed sequence.
    ``arrays`` has all arrays of the module by their paths. ``padding`` is an embedding with its
    ``padding_idx``. ``flattened`` has the sizes of flattened sequences by their places. The others
    are those of ``Layout``, ``lengths`` by its name.
    """

    def __init__(self, account: Account, arrays: dict[str, Any], *, tokens: bool) -> None:
        self.account = account
        self.arrays = arrays
        self.tokens = tokens
        self.op: Op | None = None
        self.steps: dict[int, Step] = {}
        self.modules: dict[str, Any] = {}
        self.packed: dict[str, bool] = {}
        self.flattened: dict[int, int] = {}
        self.casts_to_integers = False
        self.casts = False
        self.lengths = ""
        self.decreasing = False
        self.batch = 0
        self.padding: tuple[Op, int] | None = None
        self._roles: dict[str, str] = {"2": "features"} if tokens else {}
        self._widths: dict[int, int | None] = {0: None}
        self._final: dict[str, int] = {}

    # Axes

    def role(self, axis: str) -> str:
        """Return what an axis is, empty as long as no layer has told it."""
        return _SIZE_ONE if axis == _SIZE_ONE else self._roles.get(axis, "")

    def roles(self, value: Tensor) -> tuple[str, ...]:
        """Return what the axes of a value are."""
        return tuple(map(self.role, value.axes))

    def lay_out(self, value: Tensor, *expected: str, where: str) -> None:
        """Note what the axes of a value are to a layer; an empty text is any axis.

        Raises:
            RefusedError: an earlier layer has it otherwise.
        """
        known, agrees = dict(self._roles), len(expected) == len(value.axes)
        for axis, role in zip(value.axes, expected, strict=False):
            agrees &= not role or known.setdefault(axis, role) == role
        others = set("012") - known.keys()
        if agrees and len(others) == 1:
            known[others.pop()] = (set(_ROLES) - set(known.values())).pop()
        if not agrees or len(set(known.values())) < len(known):
            axes, received = (
                ", ".join(each or "any" for each in roles)
                for roles in (expected, self.roles(value))
            )
            raise RefusedError(f"{where}: expected ({axes}), received ({received})")
        self._roles = known

    def axis(self, value: Tensor, role: str) -> int:
        """Return the number of an axis of a value.

        Raises:
            RefusedError: no layer has told which it is, or there is none.
        """
        roles = self.roles(value)
        if role in roles:
            return roles.index(role)
        if "" in roles:
            raise RefusedError("expected a recurrent layer before it, received none")
        raise RefusedError(f"expected a tensor with {role}, received {describe(value)}")

    @property
    def order(self) -> tuple[int, ...]:
        """The axes of a batch of the network that make the input of the module."""
        return tuple(_ROLES.index(self._roles[axis]) for axis in ("01" if self.tokens else "012"))

    # Layers

    def add(self, layer: nodes.Layer, *sources: Tensor | int, modules: tuple[str, ...] = ()) -> int:
        """Add a layer, and return its place."""
        assert self.op is not None, "layers are made by operations"
        places = tuple(each.at if isinstance(each, Tensor) else each for each in sources)
        at = len(self.steps) + 1
        names = {step.layer.name for step in self.steps.values()}
        name = layer.name if layer.name not in names else f"{layer.name} {at}"
        self.steps[at] = Step(replace(layer, name=name), places, self.op, modules)
        self._widths[at] = self._width_of(at)
        return at

    def result(self, value: Tensor, at: int, **changes: Any) -> Tensor:
        """Return the output of a layer in the layout of ``value``."""
        return replace(value, at=at, **{"backward_first": False, **changes})

    def merge(self, at: int, merge: Merge) -> None:
        """Combine the directions of a recurrent layer in another way than side by side.

        Raises:
            RefusedError: the directions are used in yet another way.
        """
        users = [user for user, step in self.steps.items() if at in step.sources]
        finals = [user for user in users if _is_final(self.steps[user].layer)]
        layer = self.steps[at].layer
        assert isinstance(layer, nodes.Recurrent), "it has directions"
        if layer.merge not in ("concat", merge) or users != finals:
            raise RefusedError("combines the directions that are used otherwise, too")
        self.steps[at].layer = replace(layer, merge=merge)
        for changed in (at, *finals):
            self._widths[changed] = layer.units

    def average(self, at: int) -> bool:
        """Have the sum of both directions divided by 2, and return whether it is one."""
        final = at and _is_final(self.steps[at].layer)
        place = self.steps[at].sources[0] if final else at
        layer = self.steps[place].layer if place else None
        if not isinstance(layer, nodes.Recurrent) or layer.merge != "sum":
            return False
        users = [user for user, step in self.steps.items() if place in step.sources]
        if users != ([at] if final else []):
            return False
        self.steps[place].layer = replace(layer, merge="ave")
        return True

    def is_same(self, one: str, other: str) -> bool:
        """Return whether two paths lead to the same array of the module."""
        return one == other or self.arrays.get(one, 0) is self.arrays.get(other, 1)

    def width(self, at: int) -> int | None:
        """Return the number of features at a place, None if it is not known yet."""
        return self._widths[at]

    def _width_of(self, at: int) -> int | None:
        if not at:
            return None
        step = self.steps[at]
        match step.layer:
            case nodes.Embedding(dim=size) | nodes.Dense(units=size) | nodes.Conv(filters=size):
                return size
            case nodes.Recurrent(units=units, merge=merge):
                return 2 * units if merge == "concat" else units
            case nodes.Flatten():
                return self.flattened.get(at)
            case nodes.Concat():
                sizes = [self._widths[source] for source in step.sources]
                return None if None in sizes else sum(size or 0 for size in sizes)
            case _:
                return self._widths[step.sources[0]]

    def fit(self, value: Tensor, features: int) -> None:
        """Check the number of features of a value, or note it.

        Raises:
            RefusedError: it has another number.
        """
        at = value.at
        if self._widths[at] is None:
            while at and not isinstance(self.steps[at].layer, nodes.Flatten | nodes.Concat):
                at = self.steps[at].sources[0]
            if at and isinstance(self.steps[at].layer, nodes.Concat):
                raise RefusedError("expected known numbers of features, received a join of others")
            if at:
                self.flattened[at] = features
            self._widths[at] = features
            for later, width in self._widths.items():
                if width is None:
                    self._widths[later] = self._width_of(later)
        if self._widths[value.at] != features:
            message = f"expected {features} features, received {self._widths[value.at]}"
            raise RefusedError(message, "E707")

    def whole(self, value: State | States) -> Tensor:
        """Return final states as one vector.

        Raises:
            RefusedError: they are those of a lower layer, of one direction of two, or cell states.
        """
        states = value.states if isinstance(value, State) else value
        if states.is_cell:
            raise RefusedError("uses the cell state c; the language passes on the hidden state h")
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
        return self.final(states)

    def final(self, states: States) -> Tensor:
        """Return the final state of a recurrent layer."""
        if states.module not in self._final:
            self._final[states.module] = self.add(pooling("last"), states.at)
        return Tensor(self._final[states.module], "vector", states.axes)

    def tensor(self, value: Any, *, either_order: bool = False, with_pad: bool = False) -> Tensor:
        """Return a value as a tensor.

        Args:
            value: the value.
            either_order: whether the backward direction may come before the forward one.
            with_pad: whether it may have zeros before and after its steps.

        Raises:
            RefusedError: it is something else.
        """
        if isinstance(value, State):
            value = self.whole(value)
        if isinstance(value, ModuleArray):
            message = "expected layers of PyTorch alone, received an array of the module outside"
            raise RefusedError(f"{message} of a layer", "E701")
        if not isinstance(value, Tensor):
            raise RefusedError(f"expected a tensor, received {describe(value)}")
        if value.backward_first and not either_order:
            raise RefusedError(
                "uses h[-1] before h[-2], which the spec has only in front of nn.Linear; expected "
                "torch.cat((h[-2], h[-1]), dim=1)"
            )
        if value.surplus:
            message = f"takes {value.surplus} steps more than the language has; expected padding="
            raise RefusedError(f"{message}'same', or a causal convolution cut by [..., :-PADDING]")
        if any(value.pad) and not with_pad:
            raise RefusedError("expected a convolution or a pool behind steps that are added")
        return value

    def sequence(self, value: Any, **words: bool) -> Tensor:
        """Return a value as a sequence.

        Raises:
            RefusedError: it is something else.
        """
        tensor = self.tensor(value, **words)
        if tensor.form != "steps":
            raise RefusedError(f"expected a sequence, received {describe(tensor)}")
        return tensor


def _is_final(layer: nodes.Layer) -> bool:
    return isinstance(layer, nodes.Pooling) and layer.statistic == "last"


def pooling(statistic: Statistic) -> nodes.Pooling:
    """Return a pooling without a place."""
    return nodes.Pooling(name=statistic, input=(), statistic=statistic, masked=False)
