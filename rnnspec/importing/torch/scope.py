"""The layers so far of a traced ``forward``, and the modules that have their arrays."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnspec.importing.graph.formulas import Affine, LayerNormalization, layer_of, recognise
from rnnspec.importing.graph.layer_graph import RefusedError
from rnnspec.importing.graph.scope import Scope
from rnnspec.importing.graph.values import NAMES_OF_AXES, CarriedStates, Known, RestartError, Tensor
from rnnspec.importing.torch.values import (
    ARRAY_OUTSIDE,
    ModuleArray,
    Op,
    describe,
)
from rnnspec.importing.unplaced import dense
from rnnspec.ir import nodes

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from rnnspec.backends.slots import Array
    from rnnspec.importing.graph.formulas import FeatureFunction, Piece
    from rnnspec.importing.graph.layer_graph import GraphLayer, ScoreFunction
    from rnnspec.importing.graph.probes import Probes
    from rnnspec.importing.graph.values import Probed
    from rnnspec.importing.imported import Account


class ModuleScope(Scope):
    """The layers so far, and where they come from.

    ``tensors`` are all arrays of the module by their paths, ``bare`` the paths of those that are in
    no layer, and ``modules`` those of its modules with arrays that are layers.
    ``packed`` says of each recurrent module whether it was given a
    packed sequence. ``padding`` is an embedding with its ``padding_idx``. ``masks`` is true if
    padded steps are left out by masks. Others are those of ``Layout``, ``lengths`` by its name.
    ``learned`` has the places of vectors that are learned, by their array and its rows.
    ``given`` are the places of inputs that are first states of layers.
    ``stand_ins`` are numbers in place of those of arrays in functions of features, by their paths.
    """

    cut_steps = "padding='same', or a causal convolution cut by [..., :-PADDING]"
    other_scores = (
        "expected scores that are made of the steps that are summed by nn.Linear, an activation "
        "and nn.Linear(UNITS, 1), or by nn.Linear(FEATURES, 1) alone, received others"
    )

    both_directions = "torch.cat((h[-2], h[-1]), dim=1)"
    backward_may_be_first = True

    def __init__(
        self,
        account: Account,
        probes: Probes,
        tensors: dict[str, Any],
        bare: Collection[str] = (),
        inputs: Sequence[str] = (nodes.INPUT,),
    ) -> None:
        super().__init__(account, probes, inputs)
        self.tensors = tensors
        self.bare = bare
        self.modules: dict[str, Any] = {}
        self.packed: dict[str, bool] = {}
        self.casts_to_integers = False
        self.casts = False
        self.lengths = ""
        self.counted = False
        self.decreasing = False
        self.batch = 0
        self.padding: tuple[Op, int] | None = None
        self.masks = False
        self.stand_ins: dict[str, Array] = {}
        self.learned: dict[tuple[str, tuple[int, ...]], int] = {}
        self.given: set[int] = set()

    @property
    def tokens(self) -> bool:
        """True if the input is tokens."""
        return self.probes.setting.tokens

    # Axes

    def lay_out(self, value: Tensor, *expected: str, where: str) -> None:
        """Check what lies along the axes of a value; an empty text is any axis.

        Raises:
            RefusedError: something else does.
        """
        names = [NAMES_OF_AXES.get(axis, axis and "-") or "-" for axis in value.axes]
        alike = [not b or a == b for a, b in zip(names, expected, strict=False)]
        if len(names) != len(expected) or not all(alike):
            self.misplaced = True
            stated = ", ".join(name or "any" for name in expected)
            raise RefusedError(f"{where}: expected ({stated}), received ({', '.join(names)})")

    def fit_features(self, at: int, features: int) -> None:
        """Check the number of features at a place, or note it.

        Raises:
            RefusedError: it has another number.
            RestartError: it is that of the input, which nothing has told before.
        """
        unknown = [place for place, width in self._widths.items() if place <= 0 and width is None]
        super().fit_features(at, features)
        for place in unknown:
            setting, width = self.probes.setting.of(place), self._widths[place]
            letter = "U" if "U" in setting.order else "F"
            if setting.tokens or width is None or setting.size(letter) is not None:
                continue
            sizes = list(setting.sizes)
            sizes[setting.order.index(letter)] = width
            raise RestartError(place, sizes=tuple(sizes))

    def with_batch(self, value: Tensor) -> Tensor:
        """Return the only sequence of a module with the axis of its batch, if it has one."""
        if "BT" not in value.axes or value.axes.count("") != 1:
            return value
        if not self.probes.setting.is_single:
            return value
        own = {"": "B", "BT": "T"}
        return replace(value, axes=tuple(own.get(axis, axis) for axis in value.axes))

    # Padding

    def note_lengths(self, name: str) -> None:
        """Note which argument has the lengths of sequences, empty if they are counted.

        Raises:
            RefusedError: it is another one than before, or they were counted.
        """
        if (self.counted and name) or (self.lengths and not name):
            message = "expected all lengths from an argument, or all counted, received both"
            raise RefusedError(f"{message}; a spec has one mask")
        if self.lengths and name != self.lengths:
            raise RefusedError(
                f"expected the lengths of the first packing, '{self.lengths}', received "
                f"'{name}'; a spec has one mask"
            )
        self.lengths = name

    @property
    def has_padding(self) -> bool:
        """True if padded steps are left out: by packed sequences, by masks, or by indices."""
        return self.masks or any(self._masked_recurrent)

    @property
    def skips_everywhere(self) -> bool:
        """True if each recurrent layer takes a mask, which need not be of padding at the end."""
        return self.masks and all(self._masked_recurrent)

    @property
    def _masked_recurrent(self) -> list[bool]:
        steps = self.steps.items()
        return [
            self.masked.get(at, False) for at, s in steps if isinstance(s.layer, nodes.Recurrent)
        ]

    def is_padded(self, at: int) -> bool:
        """True if a place has steps of padding, which a packed sequence left."""
        waiting, seen = [at], set[int]()
        while waiting:
            now = waiting.pop()
            if now <= 0 or now in seen or not self.is_sequence(now):
                continue
            seen.add(now)
            step = self.steps[now]
            if isinstance(step.layer, nodes.Recurrent) and self.packed.get(step.modules[0]):
                return True
            if not isinstance(step.layer, nodes.Repeat):
                waiting += step.sources
        return False

    def shape_of(self, array: ModuleArray) -> tuple[int, ...]:
        """Return the shape of an array of the module."""
        shape = array.shape or tuple(self.tensors[array.path].shape)
        return shape[::-1] if array.turned else shape

    def is_given(self, at: int) -> bool:
        """True if the input at a place is a first state of a layer."""
        return at in self.given

    def is_same(self, one: str, other: str) -> bool:
        """True if two paths lead to the same array of the module."""
        return one == other or self.tensors.get(one, 0) is self.tensors.get(other, 1)

    # What a value is

    def first_step(self, at: int) -> int:
        """Return the place of the first step of a sequence."""
        return self._pool(at, "first_step")

    def final(self, at: int, part: str = "") -> int:
        """Return the place of a final state of a layer, its output if no ``part`` is named.

        Raises:
            RefusedError: a cell by equation has it beside its output.
        """
        layer = self.steps[at].layer
        if (
            part
            and isinstance(layer, nodes.Recurrent)
            and isinstance(layer.cell, nodes.EquationCell)
        ):
            raise RefusedError("expected the output of the top layer, received another state")
        return super().final(at, part)

    def check_unpadded(self, at: int, statistic: str) -> None:
        """Check that a pooling does not count the zeros that a packed sequence has at padding.

        Raises:
            RefusedError: it does.
        """
        step = self.steps[at]
        is_pooling = isinstance(step.layer, nodes.Pooling)
        if is_pooling and not self.masked.get(at) and self.is_padded(step.sources[0]):
            raise RefusedError(
                f"the {statistic} counts the zeros that pad_packed_sequence puts at padding; "
                f"'pooling: {statistic}' leaves padding out"
            )

    def is_turned(self, value: Tensor) -> bool:
        """True if a sequence has its last step first."""
        if value.steps is None or value.axis("T") < 0:
            return False
        turned = self.turned_steps(value.at)
        return all(map(np.array_equal, value.steps, turned))

    def turned_steps(self, at: int) -> Probed:
        """Return the step at each position of a sequence with its last step first."""
        counts = zip(self.probes.rows, self.sequences(at).steps, strict=True)
        return tuple(np.broadcast_to(np.arange(n)[::-1], (rows, n)) for rows, n in counts)

    def settle(self, value: Any, *, padded: bool = False, in_any_row: bool = False) -> Tensor:
        """Return a value as the output of a layer; see ``Scope.settle``."""
        if isinstance(value, Tensor):
            value = self.operand(value)
        return super().settle(value, padded=padded, in_any_row=in_any_row)

    def operand(self, value: Any, *, either_order: bool = False) -> Tensor:
        """Return a value as a tensor, perhaps with a function of its features.

        Raises:
            RefusedError: it is something else, or its features are in another order.
        """
        if isinstance(value, CarriedStates):
            both = "torch.cat((h[-2], h[-1]), dim=1)" if value.sizes[0] == 2 else "h[-1]"
            message = f"takes all {sum(value.sizes)} final states; expected those of one layer"
            raise RefusedError(f"{message}, such as {both}")
        if isinstance(value, ModuleArray):
            raise RefusedError(ARRAY_OUTSIDE, "E701")
        if not isinstance(value, Tensor):
            raise RefusedError(f"expected a tensor, received {describe(value)}")
        if value.backward_first and not either_order:
            raise RefusedError(
                "uses h[-1] before h[-2], which the spec has only in front of nn.Linear; expected "
                "torch.cat((h[-2], h[-1]), dim=1)"
            )
        return value

    def as_tensor(self, value: Any) -> Tensor:
        """Return a value as a tensor that may differ from the output of its layer.

        Raises:
            RefusedError: it is something else.
        """
        tensor = self.operand(value, either_order=True)
        if tensor.role != "plain":
            raise RefusedError(f"expected a tensor, received {describe(value)}")
        return tensor

    def layer_output(
        self, value: Any, *, either_order: bool = False, padded: bool = False
    ) -> Tensor:
        """Return a value as the output of a layer, whose features it has, in some order of axes.

        Args:
            value: the value.
            either_order: whether the backward direction may come before the forward one.
            padded: whether it may have more steps, for a window.

        Raises:
            RefusedError: it is something else.
        """
        tensor = self.operand(value, either_order=either_order)
        plain = self.settle(replace(tensor, backward_first=False), padded=padded)
        return self.in_place(replace(plain, backward_first=tensor.backward_first))

    def sequence(self, value: Any, axes: str = "", **words: bool) -> Tensor:
        """Return a value as a sequence.

        Raises:
            RefusedError: it is something else.
        """
        del axes
        tensor = self.as_steps(self.with_features(self.layer_output(value, **words)))
        if tensor.axis("T") < 0 or len(tensor.axes) != 3:
            raise RefusedError(f"expected a sequence, received {describe(tensor)}")
        return tensor

    def result(self, value: Tensor, at: int, **changes: Any) -> Tensor:
        """Return the output of a layer in the layout of ``value``."""
        return replace(Tensor(at, value.axes), **changes)

    # Functions of the features

    def features(self, value: Tensor) -> int:
        """Return the number of features of a value, that of the probes as long as it is unknown."""
        if self.width(value.at) is None and (at := self._input_of_features(value.at)) is not None:
            width: int = self.probes.of(at).batches[0].shape[-1]
            return width
        return super().features(value)

    def _input_of_features(self, at: int) -> int | None:
        """Return the place of the input of numbers that has the features at a place, or None."""
        while at > 0 and not isinstance(self.steps[at].layer, nodes.Flatten):
            at = self.steps[at].sources[0]
        return at if at <= 0 and not self.probes.of(at).setting.tokens else None

    def stand_in(self, value: Tensor, path: str) -> Known | None:
        """Return numbers in place of those of an array of the module along the features, or None.

        What a function is must not depend on what the array holds.
        """
        shape = tuple(self.tensors[path].shape)
        if len(shape) != 1 or not value.axes or value.axes[-1] != "F":
            return None
        if self.width(value.at) is None and self._input_of_features(value.at) is not None:
            self.fit_features(value.at, shape[0])
        if self.features(value) != shape[0]:
            return None
        if path not in self.stand_ins:
            rng = np.random.default_rng(len(self.stand_ins))
            self.stand_ins[path] = rng.uniform(0.5, 2.0, shape)
        return Known((self.stand_ins[path],) * len(self.probes.rows), path)

    def place_formula(self, at: int, formula: FeatureFunction, width: int) -> int:
        """Add the layers that a function of the features is, and return the place of the last.

        Raises:
            RefusedError: it is no layer; the first operation of it is named.
        """
        refused = formula.refused
        paths = {id(array): path for path, array in self.stand_ins.items()}
        used = {paths[id(part)] for part in formula.constants if id(part) in paths}
        before, self.op = self.op, formula.origin
        try:
            placed = [
                paths[id(array)]
                for _, piece in recognise(formula, width)
                if isinstance(piece, LayerNormalization)
                for array in (piece.gamma, piece.beta)
                if id(array) in paths
            ]
            # An array of the module is one of a layer, or else its numbers decide what it is.
            if refused and (formula.is_single or used != set(placed) or len(placed) > len(used)):
                raise refused
            return super().place_formula(at, formula, width)
        except RefusedError:
            if not used and (place := self.extend_equation(at, formula)) is not None:
                return place
            if refused is None:
                raise
            raise refused from None
        finally:
            self.op = before

    def add_piece(self, at: int, piece: Piece) -> int:
        """Add what a function of the features is, and return its place.

        Raises:
            RefusedError: it is no layer of a module.
        """
        match piece:
            case Affine():
                raise RefusedError("expected a layer, received a scale or an offset of features")
            case LayerNormalization(gamma=gamma, beta=beta):
                return self._add_norm(at, piece, gamma, beta)
            case _:
                return self.add(layer_of(piece), at)

    def _add_norm(self, at: int, piece: LayerNormalization, gamma: Array, beta: Array) -> int:
        paths = {id(array): path for path, array in self.stand_ins.items()}
        arrays = dict[str, Any]()
        for key, array, plain in (("gamma", gamma, 1.0), ("beta", beta, 0.0)):
            if id(array) in paths:
                arrays[key] = paths[id(array)]
            elif not np.allclose(array, plain, rtol=0, atol=1e-6):
                raise RefusedError("expected a norm, received one with numbers of its own")
        self.fit_features(at, len(gamma))
        layer = nodes.LayerNorm(
            name="layer_norm",
            input=(),
            epsilon=piece.epsilon,
            scale="gamma" in arrays,
            offset="beta" in arrays,
        )
        return self.add(layer, at, arrays=arrays, modules=())

    # Layers

    def cut_dense(self, value: Tensor, sizes: tuple[int, ...]) -> tuple[Tensor, ...] | None:
        """Return parts of the features of a dense layer, as dense layers; None if it is another."""
        step = self.steps.get(value.at)
        layer = step.layer if step else None
        if step is None or not isinstance(layer, nodes.Dense) or value.formula or not step.modules:
            return None
        if layer.tied or step.turned or layer.units != sum(sizes) or value.axes[-1] != "F":
            return None
        parts, start, (path,) = list[Tensor](), 0, step.modules
        for place, size in enumerate(sizes):
            part = dense(f"{path}_{place}", size, activation="linear", bias=layer.bias)
            arrays: Any = {
                "kernel": (f"{path}.weight", False),
                "bias": (f"{path}.bias",) if layer.bias else (),
                "rows": (start, start + size),
            }
            at = self.add(part, step.sources[0], arrays=arrays, modules=())
            parts.append(Tensor(at, value.axes))
            start += size
        return tuple(parts)

    def add_attention(self, scores: ScoreFunction, start: int) -> int:
        """Add the attention with some scores over the steps at a place, and return its place."""
        (_, *others), hidden = scores.query.sources, scores.hidden
        queries = () if others else scores.query.modules
        if isinstance(scores.query.layer, nodes.Dense) and scores.query.layer.bias and queries:
            reason = "a softmax is the same without it"
            self.account.leave(f"{queries[0]}.bias", reason=reason)
        kernel = (scores.query.arrays or {}).get("kernel")
        arrays: Any = {"query": kernel[0]} if kernel else None
        if arrays and (others or (hidden and not hidden.modules)):
            raise RefusedError(self.other_scores)
        if hidden is None:
            return self.add(scores.attention(None), start, *others, modules=queries, arrays=arrays)
        units = self.width(scores.query.sources[0])
        modules = (hidden.modules[0], *queries)
        return self.add(scores.attention(units), start, *others, modules=modules, arrays=arrays)

    def project(
        self,
        step: GraphLayer,
        source: int,
        *,
        turned: bool = False,
        with_bias_of: Sequence[GraphLayer] | None = None,
    ) -> int:
        """Add a projection of an attention with the kernel of a dense layer, and return its place.

        See ``Scope.project``.
        """
        (path,), steps = step.modules, () if with_bias_of is None else (step, *with_bias_of)
        if step.turned:
            raise RefusedError(
                "takes h[-1] before h[-2]; expected torch.cat((h[-2], h[-1]), dim=1)"
            )
        biases = tuple(f"{own}.bias" for one in steps for own in one.modules)
        biases = tuple(bias for bias in biases if bias in self.tensors)
        weight = f"{path}.weight"
        units = self.tensors[weight].shape[1 if turned else 0]
        layer = dense("projection", units, activation="linear", bias=bool(biases))
        arrays = {"kernel": (weight, turned), "bias": biases}
        return self.add(layer, source, arrays=arrays, modules=())  # type: ignore[arg-type]

    def add_additive(
        self, layer: nodes.Attention, sources: tuple[int, ...], score: GraphLayer
    ) -> int:
        """Add an attention with an additive score, whose vector is the kernel of a dense layer."""
        arrays: Any = {"score": f"{score.modules[0]}.weight"}
        return self.add(layer, *sources, arrays=arrays, modules=())

    def _flatten(self, tensor: Tensor) -> Tensor:
        if self.is_padded(tensor.at):
            raise RefusedError("expected sequences of equal length, received padding")
        return super()._flatten(tensor)

    def flatten(self, value: Tensor, size: int) -> Tensor:
        """Return the features of all steps in one vector of a size.

        Raises:
            RefusedError: they have another size.
        """
        flat = self._flatten(replace(self.layer_output(value), axes=("B", "TF")))
        self.fit_features(flat.at, size)
        return flat
