"""The layers so far of a graph of another tool, and what their outputs are for the probes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnspec.errors import UsageError
from rnnspec.importing.graph.equations import make_formula, write_equation
from rnnspec.importing.graph.formulas import (
    Affine,
    LayerNormalization,
    evaluate,
    layer_of,
    recognise,
)
from rnnspec.importing.graph.layer_graph import LayerGraph, RefusedError, is_final, pooling
from rnnspec.importing.graph.values import (
    Known,
    RestartError,
    Tensor,
    are_equal,
    describe,
)
from rnnspec.importing.taken import Taken
from rnnspec.importing.unplaced import dense
from rnnspec.ir import nodes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rnnspec.backends.slots import Array
    from rnnspec.importing.graph.formulas import FeatureFunction, Piece
    from rnnspec.importing.graph.layer_graph import GraphLayer, Operation, ScoreFunction
    from rnnspec.importing.graph.probes import Probes
    from rnnspec.importing.graph.values import Probed, Value
    from rnnspec.importing.imported import Account
    from rnnspec.importing.taken import DraftLayer

_MOST_STEPS = 2**14
_MOST_LAYERS = 3_000
"""The most layers, each activation and pooling counted: they are put in order in its square."""
_EPSILON = 1e-3


@dataclass(frozen=True, slots=True)
class ProbedSteps:
    """The steps of an output for each probe, and which of them are real."""

    steps: tuple[int, ...]
    real: Probed = field(repr=False)


class Scope(LayerGraph):
    """The layers so far.

    ``op`` is the node that is read. ``backward`` are the places of recurrent layers that run
    backward alone. ``masked`` says of each recurrent layer, pooling and window whether it leaves
    out padding, and ``zeroed`` are pools that see zeros there. ``is_counted`` is true if a node
    takes the lengths of sequences, so that padding is at the end alone, and ``is_half`` if all
    numbers of the model are rounded to float16. ``filled`` has the node that puts a number in place
    of the padding of an output. It is ``misplaced`` if a layer was refused for the order of the
    axes. ``single_steps`` has the
    node that takes each step by itself, and ``embeddings`` has the place of the embedding of each
    input by that of the input.
    """

    cut_steps = "a convolution whose last steps are cut off"
    """The causal convolution that messages expect."""
    other_scores = (
        "expected scores that one or two dense layers make of the steps that are summed, received "
        "others"
    )
    """The scores of an attention that messages expect."""
    both_directions = "both, side by side"
    """The directions that messages expect."""
    backward_may_be_first = False
    """Whether layers can take the features of the backward direction first."""

    def __init__(
        self, account: Account, probes: Probes, inputs: Sequence[str] = (nodes.INPUT,)
    ) -> None:
        super().__init__(account, inputs)
        self.probes = probes
        self.op: Operation | None = None
        self.backward: set[int] = set()
        self.masked: dict[int, bool] = {}
        self.zeroed: set[int] = set()
        self.is_counted = False
        self.is_half = False
        self.misplaced = False
        self.filled: dict[int, Operation] = {}
        self.single_steps: dict[int, Operation] = {}
        self.embeddings: dict[int, int] = {}
        self._sequences: dict[int, ProbedSteps | None] = {}
        for at in self._widths:
            one = probes.of(at)
            is_sequence = one.setting.is_sequence
            self._sequences[at] = ProbedSteps(one.steps, one.real) if is_sequence else None
            if not one.setting.tokens:
                self._widths[at] = one.setting.size("F")
        self.equations: dict[int, str] = {}
        """The text of each formula by its place, in which what it takes is a, b and so on."""
        self._settled: dict[tuple[int, int], tuple[int, FeatureFunction]] = {}
        self._pooled: dict[tuple[int, str], int] = {}
        self._repeated: dict[tuple[int, int], int] = {}
        self._turned: dict[int, int] = {}
        self._repeated_like: dict[tuple[int, int], int] = {}
        self._used: set[int] = set()
        self._fused: dict[int, int] = {}
        self._replaced: set[int] = set()

    def add_input(self, name: str, features: int) -> int:
        """Add a vector of each sequence that the graph takes as well, and return its place."""
        at = -len(self.inputs)
        self.inputs = (*self.inputs, name)
        self.probes = self.probes.with_vector(features)
        self._widths[at], self._sequences[at] = features, None
        return at

    # Layers

    def add(
        self,
        layer: DraftLayer,
        *sources: int,
        arrays: Mapping[str, Array] | None = None,
        sequences: ProbedSteps | None = None,
        modules: tuple[str, ...] | None = None,
        is_vector: bool = False,
    ) -> int:
        """Add a layer, and return its place.

        Args:
            layer: the layer.
            sources: the places that it takes.
            arrays: its canonical arrays.
            sequences: the steps of its output, if they are others than those of what it takes.
            modules: what has its arrays in the model; by default, the node if there are arrays.
            is_vector: whether it gives a vector, though another layer of the kind need not.

        Raises:
            UsageError: there are too many.
        """
        assert self.op is not None, "nodes make layers"
        if len(self.steps) >= _MOST_LAYERS:
            message = f"expected at most {_MOST_LAYERS:,} layers, received more"
            raise UsageError(message, self.account.source)
        self._used.update(sources)
        if modules is None:
            modules = (self.op.where,) if arrays else ()
        at = self.add_layer(layer, sources, self.op, modules)
        self.steps[at].arrays = arrays
        if is_vector or layer.time_axis == "dropped":
            self._sequences[at] = None
        else:
            self._sequences[at] = sequences or self._sequences[sources[0]]
        return at

    def sequences(self, at: int) -> ProbedSteps:
        """Return the steps of an output for the probes.

        Raises:
            RefusedError: it is a vector.
        """
        sequences = self._sequences[at]
        if sequences is None:
            raise RefusedError("expected a sequence, received one vector of each sequence")
        return sequences

    def has_fixed_steps(self, at: int) -> bool:
        """True if an output has as many steps whatever the length of the input is."""
        if not self.is_sequence(at):
            return True
        while at > 0:
            match self.steps[at].layer:
                case nodes.Repeat(like=str()):
                    at = self.steps[at].sources[1]
                case nodes.Append():
                    return all(map(self.has_fixed_steps, self.steps[at].sources))
                case layer if layer.time_axis == "new":
                    return True
                case _:
                    at = self.steps[at].sources[0]
        return self.probes.of(at).setting.size("T") is not None

    def is_sequence(self, at: int) -> bool:
        """True if an output has steps."""
        return self._sequences[at] is not None

    @staticmethod
    def arrays_of(step: GraphLayer) -> dict[str, Array]:
        """Return the canonical arrays of a layer."""
        return dict(step.arrays or {})

    # Sizes

    def sizes(self, value: Tensor, letter: str) -> tuple[int, ...]:
        """Return the size of what lies along an axis, for each probe."""
        number = len(self.probes.rows)
        match letter:
            case "B":
                return self.probes.rows
            case "T" if value.steps is not None:
                return tuple(steps.shape[1] for steps in value.steps)
            case "T":
                more = sum(value.pad) + value.surplus
                return tuple(steps + more for steps in self.sequences(value.at).steps)
            case "D":
                return (2,) * number
            case "U":
                return (self.features(value) // 2,) * number
            case _:
                return (self.features(value),) * number

    def features(self, value: Tensor) -> int:
        """Return the number of features of a value."""
        width = self.width(value.at) or 1
        layer = self.steps[value.at].layer if value.at > 0 else None
        two = isinstance(layer, nodes.Recurrent) and layer.merge == "concat"
        return width // 2 if value.half is not None and two else width

    def shape(self, value: Tensor) -> list[tuple[int, ...]]:
        """Return the shape of a value for each probe."""
        columns = []
        for axis in value.axes:
            sizes = [self.sizes(value, letter) for letter in axis]
            columns.append([int(np.prod(column)) for column in zip(*sizes, strict=True)])
        number = len(self.probes.rows)
        return [tuple(column[i] if column else 1 for column in columns) for i in range(number)]

    def real(self, value: Tensor, at: int | None = None) -> Probed:
        """Return the real steps of each sequence, in the order that these have in a value."""
        real = self.sequences(value.at if at is None else at).real
        if value.rows is None:
            return real
        return tuple(mask[rows] for mask, rows in zip(real, value.rows, strict=True))

    def infer_axes(self, action: str, axes: Sequence[str], usual: str, where: str = "") -> None:
        """Record the axes of an input or of a result if a spec has others, or another order."""
        if tuple(axes) != tuple(usual):
            model, spec = (describe(Tensor(0, tuple(letters))) for letters in (axes, usual))
            self.account.infer(f"{action} {model}, the spec {spec}", where)

    # What a value is

    def as_tensor(self, value: Value) -> Tensor:
        """Return a value as a tensor that may differ from the output of its layer.

        Raises:
            RefusedError: it is something else.
        """
        match value:
            case Tensor(role="plain"):
                return value
            case Known() if (tensor := self.as_input(value)) is not None:
                return tensor
            case _:
                raise RefusedError(f"expected the output of a layer, received {describe(value)}")

    def as_input(self, value: Known) -> Tensor | None:
        """Return numbers as the input that they are equal to, or None."""
        moved, probes = value.moved_input, self.probes.of(value.at)
        setting, batches = probes.setting, probes.batches
        if setting.tokens or moved is None or not probes.has_numbers:
            return None
        if not setting.is_sequence:
            fits = all(map(np.array_equal, moved, batches))
            return Tensor(value.at, ("B", "F"), numbers=value) if fits else None
        for letters in ("BTF", "TBF", "BFT"):
            order = ["BTF".index(letter) for letter in letters]
            if all(
                np.array_equal(array, batch.transpose(order))
                for array, batch in zip(moved, batches, strict=True)
            ):
                return Tensor(value.at, tuple(letters), numbers=value)
        return None

    def settle(self, value: Value, *, padded: bool = False, in_any_row: bool = False) -> Tensor:
        """Return a value as the output of a layer, whose features it has, in some order of axes.

        Args:
            value: the value.
            padded: whether it may have more steps, for a window.
            in_any_row: whether the sequences may be in another order.

        Raises:
            RefusedError: rnnspec does not support such a layer.
        """
        tensor = self.as_tensor(value)
        self._check_merge(tensor)
        one_step = tensor.steps is not None and tensor.axis("T") < 0
        if tensor.formula is not None and one_step and tensor.half is None:
            # A bias is that of the layer before, which computes it at all steps.
            steps = self.settle(replace(tensor, axes=("B", "T", "F"), steps=None, rows=None))
            tensor = replace(tensor, at=steps.at, formula=None, numbers=None)
        tensor = self._as_pooling(tensor)
        if not in_any_row:
            _check_rows(tensor)
        if tensor.surplus and tensor.at not in self._used:
            tensor = self._keep_surplus(tensor)
        tensor.check_steps(self.cut_steps, with_pad=padded)
        if any("TF" in axis for axis in tensor.axes):
            tensor = self._flatten(tensor)
        if tensor.formula is None:
            self._check_there(tensor.at)
            self._used.add(tensor.at)
            return tensor
        added = self._added_by(tensor, tensor.formula)
        at = self.place_formula(tensor.at, tensor.formula, self.features(tensor))
        if tensor.formula.is_single and at in self.equations and tensor.axes[-1] == "":
            # One number is one feature.
            tensor = replace(tensor, axes=(*tensor.axes[:-1], "F"))
        return replace(tensor, at=at, formula=None, numbers=None, pad_value=added)

    def _added_by(self, tensor: Tensor, formula: FeatureFunction) -> float:
        """Return the number at the steps that were added before a function of the features.

        Raises:
            RefusedError: it makes several numbers of one.
        """
        if not any(tensor.pad):
            return tensor.pad_value
        added = np.full((1, self.features(tensor)), tensor.pad_value)
        with np.errstate(all="ignore"):
            made = np.unique(evaluate(formula, added)[0])
        if made.size != 1 or np.isnan(made[0]):
            raise RefusedError("expected steps behind a function of features, received them before")
        return float(made[0])

    def _check_merge(self, tensor: Tensor) -> None:
        """Check that a value combines the directions of its layer as the layer does now.

        Raises:
            RefusedError: it combines them in another way.
        """
        place = tensor.at
        while place > 0 and is_final(self.steps[place].layer):
            place = self.steps[place].sources[0]
        layer = self.steps[place].layer if place > 0 else None
        if isinstance(layer, nodes.Recurrent) and (layer.merge or "concat") != tensor.merge:
            raise RefusedError("combines the directions that are used otherwise, too")

    def _keep_surplus(self, tensor: Tensor) -> Tensor:
        """Return the output of a convolution with the steps at its end that were not cut off."""
        step, more = self.steps[tensor.at], tensor.surplus
        assert isinstance(step.layer, nodes.Conv), "only convolutions have more steps"
        step.layer = replace(step.layer, window=replace(step.layer.window, padding=(more, more)))
        counts = tuple(steps + more for steps in self.sequences(tensor.at).steps)
        real = tuple(
            np.ones((rows, count), bool)
            for rows, count in zip(self.probes.rows, counts, strict=True)
        )
        self._sequences[tensor.at] = ProbedSteps(counts, real)
        return replace(tensor, surplus=0)

    def place_formula(self, at: int, formula: FeatureFunction, width: int) -> int:
        """Add the layers that a function of the features is, and return the place of the last.

        Raises:
            RefusedError: it is no layer.
        """
        try:
            pieces = recognise(formula, width)
        except RefusedError:
            if (place := self.extend_equation(at, formula)) is None:
                raise
            return place
        for part, piece in pieces:
            key = (at, id(part))
            if key not in self._settled:
                self._check_there(at)
                self._settled[key] = self.add_piece(at, piece), part
            at = self._settled[key][0]
        return at

    def extend_equation(self, at: int, formula: FeatureFunction) -> int | None:
        """Return the place of a function of what layers are combined to, None if it is no equation.

        It is an equation of these layers themselves.
        """
        key = (at, id(formula))
        if key in self._settled:
            return self._settled[key][0]
        if (step := self.steps.get(at)) is None:
            return None
        match step.layer:
            case nodes.Join(how="multiply") if len(step.sources) == 2:
                before = "(a * b)"
            case _:
                before = self.equations.get(at, "")
        if not before or (text := write_equation(formula, before)) is None:
            return None
        widths = dict(zip("abcdefgh", (self.width(e) or 0 for e in step.sources), strict=False))
        layer = nodes.Join(
            name="formula", how=make_formula(text, widths), input=(), of=(), inputs=()
        )
        sequences = self._sequences[at]
        place = self.add(layer, *step.sources, sequences=sequences, is_vector=sequences is None)
        self.equations[place], self._settled[key] = text, (place, formula)
        return place

    def sequence(self, value: Value, axes: str, **words: bool) -> Tensor:
        """Return a value as the output of a layer with the axes in some order.

        Raises:
            RefusedError: it is something else.
        """
        tensor = self.with_features(self.settle(value, **words))
        tensor = self.turned(self.as_steps(tensor), axes)
        if "".join(tensor.axes) != axes or len(tensor.axes) != len(axes):
            expected = describe(Tensor(0, tuple(axes)))
            raise RefusedError(f"expected {expected}, received {describe(tensor)}")
        return tensor

    def turned(self, tensor: Tensor, axes: str) -> Tensor:
        """Return a sequence of fixed length with its steps as features if it has such axes only so.

        Anything else is as it was.
        """
        swapped = tuple({"T": "F", "F": "T"}.get(axis, axis) for axis in tensor.axes)
        if tuple(axes) != swapped or tuple(axes) == tensor.axes or tensor.steps is not None:
            return tensor
        # Another order of the axes of the input may do without.
        if not self.has_fixed_steps(tensor.at) or not (
            tensor.at or self.probes.setting.has_turned_steps
        ):
            return tensor
        (steps, *_), features = self.sequences(tensor.at).steps, self.features(tensor)
        if tensor.at not in self._turned:
            real = tuple(np.ones((rows, features), bool) for rows in self.probes.rows)
            at = self._turned[tensor.at] = self.add(
                nodes.Transpose(name="transpose", input=()),
                tensor.at,
                sequences=ProbedSteps((features,) * len(real), real),
            )
            self._widths[at] = steps
        return Tensor(self._turned[tensor.at], swapped)

    def as_steps(self, tensor: Tensor) -> Tensor:
        """Return a vector with an axis of size 1 as one step; anything else is as it was."""
        if self.is_sequence(tensor.at) or sorted(tensor.axes) != ["", "B", "F"]:
            return tensor
        return self.repeat(tensor, 1, tensor.axes.index(""))

    def repeat(self, tensor: Tensor, count: int, place: int) -> Tensor:
        """Return a vector as a number of equal steps, which the axis at ``place`` has."""
        if (tensor.at, count) not in self._repeated:
            real = tuple(np.ones((rows, count), dtype=bool) for rows in self.probes.rows)
            self._repeated[tensor.at, count] = self.add(
                nodes.Repeat(name="repeat", input=(), steps=count),
                tensor.at,
                sequences=ProbedSteps((count,) * len(real), real),
            )
        axes = tuple("T" if i == place else axis for i, axis in enumerate(tensor.axes))
        return Tensor(self._repeated[tensor.at, count], axes)

    def repeat_like(self, tensor: Tensor, counts: tuple[int, ...], place: int) -> Tensor:
        """Return a vector as equal steps, as many as those of an earlier output.

        Raises:
            RefusedError: no output has as many.
        """
        like = next(
            (at for at, other in self._sequences.items() if other and other.steps == counts), None
        )
        if like is None:
            raise RefusedError(
                "expected a vector repeated as a fixed number of steps, or as the steps of a "
                "sequence; received others"
            )
        if (tensor.at, like) not in self._repeated_like:
            real = tuple(
                np.ones((rows, count), bool)
                for rows, count in zip(self.probes.rows, counts, strict=True)
            )
            self._repeated_like[tensor.at, like] = self.add(
                nodes.Repeat(name="repeat", input=(), steps=None, like=""),
                tensor.at,
                like,
                sequences=ProbedSteps(counts, real),
            )
        axes = tuple("T" if i == place else axis for i, axis in enumerate(tensor.axes))
        return Tensor(self._repeated_like[tensor.at, like], axes)

    def is_repeated(self, at: int) -> bool:
        """True if the output at a place is a repeated vector."""
        return at > 0 and isinstance(self.steps[at].layer, nodes.Repeat)

    def without_repeat(self, tensor: Tensor, of: Sequence[Tensor]) -> Tensor:
        """Return a vector that is repeated beside sequences of as many steps as itself."""
        if not self.is_repeated(tensor.at):
            return tensor
        counts = self.sequences(tensor.at).steps
        others = [self.sequences(one.at).steps for one in of if self.is_sequence(one.at)]
        if any(steps != counts for steps in others):
            return tensor
        axes = tuple(axis.replace("T", "") for axis in tensor.axes)
        return Tensor(self.steps[tensor.at].sources[0], axes)

    def sequences_of_all(self, places: Iterable[int]) -> ProbedSteps | None:
        """Return the steps of sequences that are joined, which are real if all are; None of none.

        Raises:
            RefusedError: they have others.
            RestartError: they may have others, as they follow from inputs that do.
        """
        merged: ProbedSteps | None = None
        before = 0
        for at in places:
            own = self.sequences(at)
            if merged is None:
                merged = own
            elif own.steps != merged.steps:
                inputs = sorted((self._input_of(before), self._input_of(at)))
                clocks = [self.probes.setting.of(place).clock for place in inputs]
                if clocks[0] != clocks[1]:
                    raise RestartError(inputs[0], clock=clocks[1])
                raise RefusedError("expected sequences of as many steps, received others")
            else:
                pairs = zip(merged.real, own.real, strict=True)
                merged = ProbedSteps(own.steps, tuple(a & b for a, b in pairs))
            before = at
        return merged

    def _input_of(self, at: int) -> int:
        """Return the place of the input whose steps an output has."""
        while at > 0:
            step = self.steps[at]
            at = step.sources[-1 if isinstance(step.layer, nodes.Repeat) else 0]
        return at

    def add_last_steps(self, at: int, count: int) -> int:
        """Add the last steps of a sequence at a place, and return their place."""
        real = tuple(mask[:, -count:] for mask in self.sequences(at).real)
        layer = nodes.LastSteps(name="last_steps", input=(), count=count)
        return self.add(layer, at, sequences=ProbedSteps((count,) * len(real), real))

    def in_place(self, tensor: Tensor) -> Tensor:
        """Return a sequence whose real steps are where they are in its layer.

        Raises:
            RefusedError: they are elsewhere.
        """
        if tensor.steps is None or tensor.axis("T") < 0:
            return tensor
        sequences = self.sequences(tensor.at)
        for steps, real in zip(tensor.steps, sequences.real, strict=True):
            if steps.shape != real.shape:
                message = "takes a part of the steps, of which a spec has the last ones alone"
                raise RefusedError(f"{message}, as in [:, -4:]; let the caller take others")
            if not np.array_equal(
                steps[real], np.broadcast_to(np.arange(real.shape[1]), real.shape)[real]
            ):
                raise RefusedError("expected the steps in their order, received another")
        filler = tensor.filler if self.has_all_real(tensor) else None
        return replace(tensor, steps=None, filler=filler)

    def in_step(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Return sequences with the same steps at each position.

        Raises:
            RefusedError: they have others.
        """
        places = [self.places_of_real(tensor) for tensor in tensors]
        first = places[0]
        if first is None or not all(
            other is not None and all(map(np.array_equal, first, other)) for other in places
        ):
            return tuple(map(self.in_place, tensors))
        return tuple(replace(tensor, steps=first, filler=None) for tensor in tensors)

    def places_of_real(self, tensor: Tensor) -> Probed | None:
        """Return the real step at each position of a moved sequence, -1 where there is padding."""
        if tensor.steps is None or tensor.axis("T") < 0:
            return None
        return tuple(
            np.where((steps >= 0) & np.take_along_axis(real, steps.clip(0), 1), steps, -1)
            for steps, real in zip(tensor.steps, self.real(tensor), strict=True)
        )

    def has_all_real(self, tensor: Tensor) -> bool:
        """True if a sequence has each real step once, whatever their order is."""
        places = self.places_of_real(tensor)
        return places is not None and all(
            np.array_equal(np.sort(row[row >= 0]), np.flatnonzero(real))
            for of_probe, reals in zip(places, self.real(tensor), strict=True)
            for row, real in zip(of_probe, reals, strict=True)
        )

    def with_features(self, tensor: Tensor, place: int = -1) -> Tensor:
        """Return a value of one feature with an axis of size 1 as that of the features.

        It is the axis at ``place`` if that has size 1, and otherwise the last one that has.
        """
        if tensor.axis("F") >= 0 or tensor.axis("U") >= 0 or self.features(tensor) != 1:
            return tensor
        ends = [i for i, axis in enumerate(tensor.axes) if not axis]
        if not ends:
            return tensor
        axes = list(tensor.axes)
        axes[place if place in ends else ends[-1]] = "F"
        return replace(tensor, axes=tuple(axes))

    def _as_one_direction(self, tensor: Tensor) -> Tensor:
        """Return the output of a direction that is a layer of its own, without a direction.

        Raises:
            RefusedError: it is one of two.
        """
        if tensor.half is None:
            return tensor
        self._part_directions(tensor.at)
        if self._is_both(tensor.at):
            way = "backward" if tensor.half else "forward"
            raise RefusedError(f"uses the {way} direction alone; expected {self.both_directions}")
        if tensor.at in self.backward:
            step = self.steps[tensor.at]
            assert isinstance(step.layer, nodes.Recurrent), "it has a direction"
            step.layer = replace(step.layer, backward=True)
        return replace(tensor, half=None)

    def _as_pooling(self, tensor: Tensor) -> Tensor:
        """Return a final state, or one step, as what a pooling gives."""
        tensor = self._as_one_direction(tensor)
        if tensor.is_final:
            at = self.final(tensor.at, tensor.part)
            return replace(tensor, at=at, is_final=False, part="", steps=None)
        if tensor.steps is None or tensor.axis("T") >= 0:
            return tensor
        at = tensor.at
        recurrent = self._recurrent_before(at)
        ends_first = recurrent is not None and recurrent[1].backward
        whole = all(mask.all() for mask in self.sequences(at).real)
        if self.is_at(tensor, "first") and (whole or not any(self.masked.values())):
            is_end = ends_first and recurrent is not None and recurrent[0] == at
            pooled = self.final(at) if is_end else self._pool(at, "first_step")
            return replace(tensor, at=pooled, steps=None)
        if self.is_at(tensor, "last"):
            return replace(tensor, at=self._pool(at, "last_step"), steps=None)
        end = "first real" if ends_first else "last real"
        if self.is_at(tensor, end) and not self._is_both(at):
            self._leave_out_padding(at, recurrent)
            return replace(tensor, at=self.final(at), steps=None)
        counts = tuple(mask.sum(1) - 1 for mask in self.real(tensor))
        if not self.probes.setting.at_end and all(
            np.array_equal(steps % mask.shape[1], count % mask.shape[1])
            for steps, count, mask in zip(tensor.steps, counts, self.real(tensor), strict=True)
        ):
            raise RestartError(at_end=True)
        if self.is_at(tensor, end) and self._is_both(at):
            raise RefusedError(
                "takes the last real step of both directions, of which the backward one has read "
                "that step alone; a spec takes the final states of both"
            )
        raise RefusedError("expected the last step of each sequence, received another one")

    def _recurrent_before(self, at: int) -> tuple[int, nodes.Recurrent] | None:
        """Return the recurrent layer that an output is of, each of its steps by itself, or None."""
        while at > 0:
            layer = self.steps[at].layer
            if isinstance(layer, nodes.Recurrent):
                return at, layer
            if not layer.is_pointwise:
                return None
            at = self.steps[at].sources[0]
        return None

    def _leave_out_padding(self, at: int, recurrent: tuple[int, nodes.Recurrent] | None) -> None:
        """Note that an output is taken at the last real step, before which there is no padding.

        Raises:
            RefusedError: there is padding.
            RestartError: there may be; it is read again with padding at the end alone.
        """
        if recurrent is not None and not self.masked.get(recurrent[0]):
            if recurrent[1].backward:
                raise RefusedError("reads padding before the steps of a sequence, backward")
            if not self.probes.setting.at_end:
                raise RestartError(at_end=True)
            # Padding behind a step changes nothing there.
            self.masked[recurrent[0]] = self.is_counted = True
        self.masked[at] = True

    def state_of(self, tensor: Tensor) -> int | None:
        """Return the place of a final state that another layer begins with, None if none does."""
        return self._pooled.get((tensor.at, tensor.part or "h")) if tensor.is_final else None

    def state(self, tensor: Tensor) -> int:
        """Return the place of a final state as one that another layer begins with.

        Raises:
            RefusedError: it is that of one direction, or of the sequences in another order.
        """
        _check_rows(tensor)
        return self.final(self._as_one_direction(tensor).at, tensor.part or "h")

    def final(self, at: int, part: str = "") -> int:
        """Return the place of a final state of a layer, its output if no ``part`` is named."""
        layer = self.steps[at].layer
        if not part and not (isinstance(layer, nodes.Recurrent) and layer.initial):
            return self._pool(at, "last")
        part = part or "h"
        if (at, part) not in self._pooled:
            state = Taken(name=f"final_{part}", input=(), state=part)
            self._pooled[at, part] = self.add(state, at, is_vector=True)
        return self._pooled[at, part]

    def _pool(self, at: int, statistic: Any) -> int:
        if (at, statistic) not in self._pooled:
            self._pooled[at, statistic] = self.add(pooling(statistic), at)
        return self._pooled[at, statistic]

    def keep_last_step(self, tensor: Tensor, results: Sequence[int]) -> Tensor:
        """Return a vector of the last step, if an axis of size 1 is left, as the last 1 of steps.

        Args:
            tensor: the vector.
            results: the places of other results.
        """
        chain = [tensor.at]
        while self.steps[chain[0]].layer.is_pointwise and chain[0] not in results:
            (source,) = self.steps[chain[0]].sources
            users = [at for at, step in self.steps.items() if source in step.sources]
            if not source or len(users) > 1:
                return tensor
            chain.insert(0, source)
        pool = self.steps[chain[0]]
        is_last = isinstance(pool.layer, nodes.Pooling) and pool.layer.statistic == "last_step"
        if not is_last or chain[0] in results or any(self.masked.values()):
            return tensor
        pool.layer = nodes.LastSteps(name=pool.layer.name, input=(), count=1)
        real = tuple(mask[:, -1:] for mask in self.sequences(pool.sources[0]).real)
        self._sequences |= dict.fromkeys(chain, ProbedSteps((1,) * len(real), real))
        return replace(tensor, axes=tuple(axis or "T" for axis in tensor.axes))

    def is_at(self, tensor: Tensor, which: str) -> bool:
        """True if a value has the first or the last step, or the first or last real one."""
        assert tensor.steps is not None, "of one step"
        sequences = self.sequences(tensor.at)
        for steps, real, number in zip(
            tensor.steps, self.real(tensor), sequences.steps, strict=True
        ):
            rows: Array = np.ones(len(real), dtype=bool)
            if which in ("first", "last"):
                places = np.full(len(real), 0 if which == "first" else number - 1)
            else:
                rows = np.asarray(real.any(1))
                first, last = real.argmax(1), number - 1 - real[:, ::-1].argmax(1)
                places = first if which == "first real" else last
            if not np.array_equal(steps[rows], places[rows]):
                return False
        return True

    def _part_directions(self, at: int) -> None:
        """Have the graph read again if one of two layers that were put side by side is used alone.

        Raises:
            RestartError: it is.
        """
        if at in self._fused:
            raise RestartError(apart=True)

    def _is_both(self, at: int) -> bool:
        layer = self.steps[at].layer if at > 0 else None
        return isinstance(layer, nodes.Recurrent) and layer.merge is not None

    def _flatten(self, tensor: Tensor) -> Tensor:
        """Return all steps in one vector."""
        inner = (
            tensor if tensor.formula is None else self.settle(replace(tensor, axes=("B", "T", "F")))
        )
        at, features = inner.at, self.features(inner)
        self.in_place(replace(inner, axes=("B", "T", "F")))
        place = self.add(nodes.Flatten(name="flatten", input=()), at)
        if self.has_fixed_steps(at):
            self.flattened[place] = self.sequences(at).steps[0] * features
            self._widths[place] = self.flattened[place]
        axes = tuple(axis.replace("TF", "F") for axis in tensor.axes)
        return Tensor(place, axes)

    def add_attention(self, scores: ScoreFunction, start: int) -> int:
        """Add the attention with some scores over the steps at a place, and return its place."""
        _, *others = scores.query.sources
        arrays = {} if others else {"query": self.arrays_of(scores.query)["kernel"]}
        if isinstance(scores.query.layer, nodes.Dense) and scores.query.layer.bias:
            self.account.leave("the bias of scores", reason="a softmax is the same without it")
        if scores.hidden is None:
            return self.add(scores.attention(None), start, *others, arrays=arrays)
        hidden_arrays = self.arrays_of(scores.hidden)
        kernel = hidden_arrays["kernel"]
        layer = scores.attention(kernel.shape[1])
        return self.add(layer, start, *others, arrays=arrays | hidden_arrays)

    def add_scores(self, hidden: Tensor, arrays: Mapping[str, Array]) -> int:
        """Add the dense layer that makes scores of queries and steps, and return its place."""
        layer = dense("score", 1, activation="linear", bias=False)
        return self.add(layer, hidden.at, arrays=arrays)

    def project(
        self,
        step: GraphLayer,
        source: int,
        *,
        turned: bool = False,
        with_bias_of: Sequence[GraphLayer] | None = None,
    ) -> int:
        """Add a projection of an attention with the kernel of a dense layer, and return its place.

        Args:
            step: the layer.
            source: the place of what is projected.
            turned: whether the kernel is transposed.
            with_bias_of: other layers whose bias is added to that of the layer; None for no bias.
        """
        arrays = self.arrays_of(step)
        kernel = arrays["kernel"].T if turned else arrays["kernel"]
        steps = () if with_bias_of is None else (step, *with_bias_of)
        biases = [own["bias"] for own in map(self.arrays_of, steps) if "bias" in own]
        projected = {"kernel": kernel} | ({"bias": np.sum(biases, axis=0)} if biases else {})
        layer = dense("projection", kernel.shape[1], activation="linear", bias=bool(biases))
        return self.add(layer, source, arrays=projected)

    def add_additive(
        self, layer: nodes.Attention, sources: tuple[int, ...], score: GraphLayer
    ) -> int:
        """Add an attention with an additive score, whose vector is the kernel of a dense layer."""
        return self.add(layer, *sources, arrays={"score": self.arrays_of(score)["kernel"]})

    # Functions of the features

    def add_piece(self, at: int, piece: Piece) -> int:
        """Add what a function of the features is, and return its place."""
        match piece:
            case Affine(a=a, b=b):
                return self._shift(at, a, b)
            case LayerNormalization(gamma=gamma, beta=beta):
                return self.add(layer_of(piece), at, arrays={"gamma": gamma, "beta": beta})
            case _:
                return self.add(layer_of(piece), at)

    def _shift(self, at: int, a: Array, b: Array) -> int:
        """Add a scale and an offset for each feature: as the bias of a layer, or as a norm."""
        step = self.steps.get(at)
        layer = step.layer if step else None
        if (
            step is not None
            and isinstance(layer, nodes.Dense | nodes.Conv)
            and not layer.bias
            and at not in self._used
            and np.allclose(a, 1.0, rtol=1e-7, atol=0)
        ):
            return self._replace(at, replace(layer, bias=True), self.arrays_of(step) | {"bias": b})
        if (a == 1.0).all() and not b.any():
            return at
        self.account.infer(
            f"a scale and an offset of each feature are a batch norm, with epsilon {_EPSILON:g}, "
            "momentum 0.99, mean 0 and variance 1",
            self.op.where if self.op else "",
        )
        layer = nodes.BatchNorm(
            name="batch_norm", input=(), epsilon=_EPSILON, momentum=0.99, masked=False
        )
        zeros = np.zeros_like(a)
        arrays = {
            "gamma": a,
            "beta": b,
            "moving_mean": zeros,
            "moving_variance": zeros + (1.0 - _EPSILON),
        }
        return self.add(layer, at, arrays=arrays)

    def _replace(self, at: int, layer: nodes.Layer, arrays: Mapping[str, Array]) -> int:
        """Return the place of a layer in place of another one, which nothing may take any more."""
        old = self.steps[at]
        place = self.add(layer, *old.sources, arrays=arrays, modules=old.modules)
        self.steps[place].op, old.sources = old.op, ()
        self._sequences[place], self._widths[place] = self._sequences[at], self._widths[at]
        if at in self.masked:
            self.masked[place] = self.masked.pop(at)
        self._replaced.add(at)
        self._used.add(place)
        return place

    def _check_there(self, at: int) -> None:
        """Check that a layer is not replaced.

        Raises:
            RefusedError: it is.
        """
        if at in self._replaced:
            message = "takes the output of a layer without the bias that is added to it elsewhere"
            raise RefusedError(f"{message}; rnnspec does not support that")

    # Directions

    def fuse(self, one: Tensor, two: Tensor) -> Tensor:
        """Return the features of both directions of a recurrent layer, side by side.

        Raises:
            RefusedError: they are others.
        """
        first, second = one.at, two.at
        if one.is_final and two.is_final and one.part != two.part:
            received = f"{one.part or 'h'} and {two.part or 'h'}"
            raise RefusedError(f"expected the same state of both directions, received {received}")
        if one.axes != two.axes or one.is_final != two.is_final:
            message = f"received {describe(one)} and {describe(two)}"
            raise RefusedError(f"expected the same of both directions, {message}")
        if not are_equal(one.rows, two.rows):
            raise RefusedError("expected the sequences of both directions in one order")
        if one.axis("T") >= 0:
            one, two = self.in_step(one, two)
        if first != second and self._fused.get(second) != first:
            if self.masked.get(first) != self.masked.get(second):
                raise RefusedError("leaves out padding in one of two directions alone")
            self._fuse_layers(first, second)
        whole = replace(one, half=None)
        if one.is_final or one.axis("T") >= 0 or (one.steps is None and two.steps is None):
            return whole
        if one.steps is None or two.steps is None:
            raise RefusedError("expected the final states of both directions, received others")
        # The last step of the one and the first step of the other.
        ends = (("last", "first"), ("last real", "first real"))
        if not any(self.is_at(one, a) and self.is_at(replace(two, at=first), b) for a, b in ends):
            if are_equal(one.steps, two.steps):
                return whole
            raise RefusedError("expected the final states of both directions, received others")
        return replace(whole, is_final=True, steps=None)

    def _fuse_layers(self, first: int, second: int) -> None:
        one, two = self.steps[first], self.steps[second]
        forward, backward = one.layer, two.layer
        assert isinstance(forward, nodes.Recurrent), "it has a direction"
        assert isinstance(backward, nodes.Recurrent), "it has a direction"
        alike = replace(backward, name=forward.name) == forward and one.sources == two.sources
        if not alike or first in self.backward or second not in self.backward:
            message = "expected two directions with the same settings over the same sequence"
            raise RefusedError(f"{message}, received others")
        used = {at for step in self.steps.values() for at in step.sources}
        if self._is_both(first) or used & {first, second}:
            raise RefusedError("uses one direction by itself, too")
        one.layer = replace(forward, merge="concat")
        one.arrays = {f"forward.{key}": array for key, array in self.arrays_of(one).items()} | {
            f"backward.{key}": array for key, array in self.arrays_of(two).items()
        }
        one_way = self._widths[first]
        self._widths[first] = one_way and 2 * one_way
        self._fused[second] = first
        self._fused[first] = first
        two.sources = ()

    def same_directions(self, one: Tensor, two: Tensor) -> bool:
        """True if two values have the forward and the backward direction of a layer."""
        if (one.half, two.half) != (0, 1) or one.formula or two.formula:
            return False
        if self.probes.setting.apart and one.at != two.at:
            return False
        return one.at == two.at or two.at in self.backward


def _check_rows(tensor: Tensor) -> None:
    """Check that a value has the sequences of the batch in their order.

    Raises:
        RefusedError: they are in another one.
    """
    if tensor.rows is not None:
        raise RefusedError("expected the sequences of the batch in their order")


def restart_with(scope: Scope, letter: str, size: int) -> None:
    """Have the graph read again with a size of its input that constants of it fix.

    Raises:
        RestartError: always, unless the size is fixed already.
    """
    setting = scope.probes.setting
    if letter in setting.order and setting.size(letter) is None and size > 0:
        at = setting.order.index(letter)
        raise RestartError(sizes=(*setting.sizes[:at], size, *setting.sizes[at + 1 :]))


def restart_longer(scope: Scope) -> None:
    """Have the graph read again with longer sequences, which its windows need.

    Raises:
        RestartError: always, unless sequences are long or of a fixed length.
    """
    setting = scope.probes.setting
    if setting.size("T") is None and min(scope.probes.steps) < _MOST_STEPS:
        raise RestartError(longer=setting.longer * 4)
