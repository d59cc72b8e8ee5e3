"""A loop over the steps, or a ``forward`` of one step, as layers of all steps.

``forward`` is traced for a number of steps, so that each operation in its loop is there once for
each of them. Here, all of these become one operation on a sequence, (batch, steps, ...), and a cell
becomes the recurrent layer with its arrays.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from rnnspec.importing.torch import graph
from rnnspec.importing.torch.values import Op, Ref, names_in

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from rnnspec.importing.torch.graph import Example

CELLS = {"RNNCell": nn.RNN, "GRUCell": nn.GRU, "LSTMCell": nn.LSTM}
"""The layers that run the cells of PyTorch over all steps."""
_ALL = slice(None)
_BY_STEP = (
    "Linear", "Embedding", "LayerNorm", "Dropout", "Identity", "ReLU", "Tanh", "Sigmoid",
    "Softsign", "SiLU", "SELU", "Hardsigmoid", "ELU", "Softplus", "LeakyReLU", "ReLU6", "Hardtanh",
)  # fmt: skip
"""Modules that compute each step by itself, whatever axes are before the last one."""
_BY_NUMBER = (
    "add", "sub", "mul", "truediv", "div", "iadd", "isub", "imul", "neg", "abs", "pow", "exp",
    "log", "sqrt", "relu", "tanh", "sigmoid", "elu", "selu", "silu", "softplus", "softsign",
    "hardsigmoid", "leaky_relu", "relu6", "relu_", "hardtanh", "clamp", "clip", "dropout",
    "contiguous", "detach", "clone", "alias", "float", "double", "long", "to", "type", "cpu",
    "cuda", "type_as", "requires_grad_",
)  # fmt: skip
"""Functions of each number by itself."""
_OF_FEATURES = (
    "softmax", "log_softmax", "cat", "concat", "concatenate", "chunk", "split", "norm", "normalize",
    "argmax",
)  # fmt: skip
"""Functions along an axis, which must be that of the features."""
_VIEWS = ("view", "reshape", "flatten", "squeeze", "unsqueeze", "getitem", "select")
OWN_OUTPUT = (
    "takes its own output of the step before as its input: generation is a loop around the step "
    "form of a network, whose input is given; attention before each step is the key 'attention' of "
    "a spec"
)


class LoopError(Exception):
    """Why a loop is not that of layers, with the operation that tells it."""

    def __init__(self, op: Op, message: str) -> None:
        super().__init__(message)
        self.op = op
        self.message = message


class NoLoopError(Exception):
    """There is no loop over the steps of an input."""


@dataclass(frozen=True, slots=True)
class _Step:
    """A value at one step of the sequence that the operation of a name makes.

    ``axis`` is where it has an axis of size 1 for the steps, as ``split`` leaves one. ``state`` is
    the place of a state of the cell of that name.
    """

    name: str
    at: int
    axis: int | None = None
    state: int | None = None


@dataclass(frozen=True, slots=True)
class _Shape:
    """The shape of a step, with as many axes."""

    step: _Step
    rank: int


@dataclass(frozen=True, slots=True)
class _Call:
    """What a layer that is called for one step after the other returns at one of them."""

    name: str
    at: int


@dataclass(slots=True)
class _Run:
    """The operations that take one step after the other of a sequence."""

    size: int
    step: int
    taken: list[int] = field(default_factory=list)

    @property
    def next(self) -> int:
        """The step that comes next."""
        return self.taken[-1] + self.step

    @property
    def is_whole(self) -> bool:
        """True if it has all steps."""
        return len(self.taken) == self.size


def whole_layer(cell: Any) -> Any:
    """Return a layer without numbers that has the settings of a cell."""
    kind = CELLS[type(cell).__name__]
    more = {"nonlinearity": cell.nonlinearity} if kind is nn.RNN else {}
    size = (cell.input_size, cell.hidden_size)
    return kind(*size, bias=bool(cell.bias), batch_first=True, device="meta", **more)


def roll(
    operations: Sequence[Op], example: Example, counts: Collection[int], inputs: Collection[str]
) -> list[Op]:
    """Return operations on sequences in place of those that are there once for each step.

    Args:
        operations: what ``forward`` does.
        example: what each operation gives for an example.
        counts: the numbers of steps in it.
        inputs: the arguments that are one step of a sequence, if ``forward`` is of one step.

    Raises:
        LoopError: they are not the same at each step.
    """
    return _Roller(operations, example, counts, inputs).roll()


class _Roller:
    def __init__(
        self,
        operations: Sequence[Op],
        example: Example,
        counts: Collection[int],
        inputs: Collection[str],
    ) -> None:
        self._operations = operations
        self._example = example
        self._inputs = inputs
        self._values = dict[str, Any]()
        self._result = list[Op]()
        self._members = dict[str, int]()
        """How many steps each sequence has so far."""
        self._first = dict[str, Op]()
        """The operation at the first step of each sequence."""
        self._sequences = dict[Any, str]()
        self._seen = Counter[Any]()
        self._cells = dict[str, str]()
        self._sizes = dict[str, int]()
        self._runs = self._find_runs(counts)

    # Which operations take a step

    def _find_runs(self, counts: Collection[int]) -> dict[str, tuple[_Run, int, bool, int]]:
        """Return the run of each operation that takes a step, its axis, and whether that stays.

        The last one is the place of the operation in the run.
        """
        runs, several = dict[Any, list[_Run]](), dict[str, tuple[_Run, int, bool, int]]()
        for op in self._operations:
            taken = self._step_of(op)
            if taken is None:
                continue
            source, axis, place, size, keeps = taken
            if size not in counts:
                continue
            own = runs.setdefault((source, axis, keeps), [])
            fitting = [run for run in own if not run.is_whole and run.next == place]
            if fitting:
                run = fitting[0]
                # The one that was served last comes last.
                own.remove(run)
                own.append(run)
            elif place in (0, size - 1):
                run = _Run(size, 1 if not place else -1)
                own.append(run)
            else:
                continue
            run.taken.append(place)
            several[op.name] = (run, axis, keeps, len(run.taken) - 1)
        return {name: run for name, run in several.items() if run[0].is_whole}

    def _step_of(self, op: Op) -> tuple[str, int, int, int, bool] | None:
        """Return the tensor of which an operation takes a step, with the axis, place and size."""
        source = op.args[0] if op.args else None
        if not isinstance(source, Ref) or op.target not in ("getitem", "select"):
            return None
        if op.target == "select":
            index: Any = (_ALL,) * self._number(op.args[1]) + (self._number(op.args[2]),)
        else:
            index = op.args[1]
        by_name = {operation.name: operation for operation in self._operations}
        several = by_name.get(source.name)
        if several is not None and several.target in ("unbind", "split", "chunk"):
            base = several.args[0]
            if not isinstance(base, Ref) or not isinstance(index, int):
                return None
            keeps = several.target != "unbind"
            named = several.kwargs.get("dim", 0)
            dim = (
                several.args[1 if not keeps else 2]
                if len(several.args) > 2 - (not keeps)
                else named
            )
            shape = self._example.shapes[base.name]
            size = shape[dim] if dim in (0, 1) and shape else 0
            if keeps and len(self._example.items.get(several.name, ())) != size:
                return None
            return base.name, dim, index % size if size else 0, size, keeps
        known = self._example.shapes.get(source.name)
        parts = [*index] if isinstance(index, tuple) else [index]
        parts = [self._number(part) for part in parts if part is not ...]
        chosen = [at for at, part in enumerate(parts) if part != _ALL]
        if known is None or len(chosen) != 1 or chosen[0] > 1 or len(known) <= chosen[0]:
            return None
        (axis,) = chosen
        size = known[axis]
        match parts[axis]:
            case int(place) if -size <= place < size:
                return source.name, axis, place % size, size, False
            case slice(start=int(start), stop=int(stop), step=None) if stop == start + 1:
                return source.name, axis, start, size, True
            case _:
                return None

    def _number(self, value: Any) -> Any:
        """Return a size as the number that it is in the example."""
        if isinstance(value, slice):
            return slice(*map(self._number, (value.start, value.stop, value.step)))
        return self._example.numbers.get(value.name, value) if isinstance(value, Ref) else value

    # Operations

    def roll(self) -> list[Op]:
        """Return the operations on sequences."""
        if not self._runs and not self._inputs:
            own = [op for op in self._operations if op.layer in CELLS and self._depends(op)]
            if own:
                raise LoopError(own[0], OWN_OUTPUT)
            raise NoLoopError
        for op in self._operations:
            try:
                self._values[op.name] = self._roll(op)
            except LoopError:
                raise
            except Exception:  # noqa: BLE001 - PyTorch takes more than is foreseen here
                # Not the error, which is about our own code.
                raise LoopError(op, "has arguments that are not read in a loop") from None
        for name, first in self._first.items():
            if self._members[name] != self._sizes[name]:
                raise LoopError(first, "is not the same at each step of the loop")
        used, kept = set[str](), list[Op]()
        for op in reversed(self._result):
            if op.name in used or op.overwrites or op.kind in ("output", "input"):
                used |= {*names_in((op.args, tuple(op.kwargs.values())))}
                kept.append(op)
        return kept[::-1]

    def _emit(self, op: Op, name: str, target: str, *args: Any) -> Ref:
        """Add a call, at the place of an operation."""
        name = f"{op.name}_{name}"
        if not any(one.name == name for one in self._result):
            call = replace(
                op, name=name, kind="call", target=target, module=None, layer="", args=args,
                kwargs={}, overwrites=False,
            )  # fmt: skip
            self._result.append(call)
        return Ref(name)

    def _roll(self, op: Op) -> Any:
        if op.kind == "input" and op.target in self._inputs:
            self._result.append(op)
            return self._sequence_of(op, op.name, 1)
        if op.name in self._runs:
            return self._take(op)
        args, kwargs = self._resolve(op.args), self._resolve(op.kwargs)
        steps = [*_steps((args, kwargs))]
        sizes = self._sizes_of(op, args)
        if sizes is not None:
            return sizes
        called = self._call(op, args, kwargs)
        if called is not None:
            return called
        gathered = self._gather(op, args, kwargs) or self._stack_of_states(op, args)
        if gathered is not None:
            return gathered
        if steps and isinstance(op.module, nn.RNNBase):
            return self._outside(op, args, kwargs)
        last = all(step.at == self._sizes[step.name] - 1 for step in steps)
        if not steps or op.kind == "output":
            return self._outside(op, args, kwargs)
        if steps[0].state != -1 and len({step.at for step in steps}) == 1:
            shifted = self._shift(op, args, kwargs, last=last)
            if shifted is not None:
                return shifted
        if op.target == "getitem" and isinstance(args[0], _Step) and steps[0].state == -1:
            return replace(args[0], state=args[1])
        if last:
            return self._outside(op, args, kwargs)
        raise LoopError(
            op, "takes what was made at the step before, by equations of its own; expected nn.RNN, "
            "nn.GRU or nn.LSTM, or a cell by equations in a spec",
        )  # fmt: skip

    def _sizes_of(self, op: Op, args: tuple[Any, ...]) -> Any:
        """Return the shape of a step, or one of its sizes, or None."""
        rank = len(self._example.shapes.get(_name_of(op.args[0]), ())) if op.args else 0
        match op.target, args:
            case ("getattr", (_Step() as step, "shape")) | ("size", (_Step() as step,)):
                return _Shape(step, rank)
            case "size", (_Step() as step, int(at)) if rank:
                return self._size(op, _Shape(step, rank), at % rank)
            case "getitem", (_Shape() as shape, int(at)):
                return self._size(op, shape, at % shape.rank)
            case _ if any(isinstance(value, _Shape) for value in args):
                message = "takes the whole shape of a step; expected x.size(0) or x.size(-1)"
                raise LoopError(op, message)
            case _:
                return None

    def _size(self, op: Op, shape: _Shape, at: int) -> Any:
        """Return the number of sequences or of features, or 1 of the axis of the steps."""
        if at == shape.step.axis:
            return 1
        if at not in (0, shape.rank - 1):
            raise LoopError(op, "takes a size that is none of sequences and none of features")
        whole = Ref(self._steps_of(op, shape.step))
        return self._emit(op, "of", "size", whole, 0 if at < shape.rank - 1 else -1)

    def _resolve(self, value: Any) -> Any:
        match value:
            case tuple():
                return tuple(map(self._resolve, value))
            case dict():
                return {key: self._resolve(item) for key, item in value.items()}
            case slice():
                return slice(*map(self._resolve, (value.start, value.stop, value.step)))
            case Ref(name=name):
                return self._values.get(name, value)
            case _:
                return value

    def _sequence_of(self, op: Op, name: str, size: int) -> _Step:
        """Return the first step of the sequence that an operation of a name makes."""
        self._members[name], self._sizes[name] = 1, size
        self._first[name] = op
        return _Step(name, 0)

    def _take(self, op: Op) -> _Step:
        """Return the step that an operation takes of a sequence."""
        run, axis, keeps, place = self._runs[op.name]
        if place:
            first = self._sequences[id(run)]
            self._members[first] = place + 1
            return _Step(first, place, axis if keeps and self._keeps(op) else None)
        source = op.args[0]
        by_name = {operation.name: operation for operation in self._operations}
        if by_name[source.name].target in ("unbind", "split", "chunk"):
            source = by_name[source.name].args[0]
        sequence = self._resolve(source)
        sequence = self._as_outside(op, sequence)
        if axis == 0:
            sequence = self._emit(op, "batch_first", "transpose", sequence, 0, 1)
        if run.step < 0:
            sequence = self._emit(op, "flipped", "flip", sequence, (1,))
        if keeps and not self._keeps(op):
            sequence = self._emit(op, "features", "unsqueeze", sequence, -1)
        if not isinstance(sequence, Ref):
            raise LoopError(op, "expected the steps of a sequence")
        self._sequences[id(run)] = sequence.name
        self._sizes.setdefault(sequence.name, run.size)
        self._members.setdefault(sequence.name, 1)
        return _Step(sequence.name, 0, axis if keeps and self._keeps(op) else None)

    def _keeps(self, op: Op) -> bool:
        """True if an axis that stays is that of the steps: one of numbers is that of features."""
        return len(self._example.shapes[op.name]) > 2 or op.name not in self._example.floats

    def _call_cell(self, op: Op, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        x, *rest = (*args, *(kwargs[k] for k in ("input",) if k in kwargs))
        hx = kwargs.get("hx", rest[0] if rest else None)
        name = self._cells.get(op.target)
        at = 0 if name is None else self._members[name]
        if not isinstance(x, _Step) or (name is not None and at == self._sizes[name]):
            own = self._depends(op)
            raise LoopError(
                op, OWN_OUTPUT if own else "expected the steps of a sequence, one a call"
            )
        if x.at != at or (x.state is not None and self._cells.get(op.target) == x.name):
            raise LoopError(op, OWN_OUTPUT if self._depends(op) else "skips steps of its input")
        if len(self._example.shapes[op.args[0].name if op.args else op.kwargs["input"].name]) != 2:
            raise LoopError(op, "expected one step of each sequence, (batch, features)")
        is_lstm = op.layer == "LSTMCell"
        if name is None:
            first = self._first_states(op, hx)
            module = whole_layer(op.module)
            layer = type(module).__name__
            self._result.append(
                replace(
                    op, module=module, layer=layer, args=(Ref(self._steps_of(op, x)), first),
                    kwargs={},
                )
            )  # fmt: skip
            self._emit(op, "steps", "getitem", Ref(op.name), 0)
            self._cells[op.target] = name = op.name
            self._sequence_of(op, name, self._sizes[x.name])
        else:
            before = _Step(name, at - 1, state=-1 if is_lstm else 0)
            parts = (replace(before, state=0), replace(before, state=1))
            if hx != before and not (is_lstm and hx == parts):
                message = "begins a step with another state than that of the step before"
                raise LoopError(op, OWN_OUTPUT if self._depends(op) else message)
            self._members[name] += 1
        return _Step(name, at, state=-1 if is_lstm else 0)

    def _call(self, op: Op, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return what a cell or a layer gives for a step, or a part of that, or None."""
        if op.layer in CELLS:
            return self._call_cell(op, args, kwargs)
        if isinstance(op.module, nn.RNNBase) and isinstance(args[0], _Step) and not self._inputs:
            return self._call_layer(op, args, kwargs)
        return self._part_of_call(op, args)

    def _call_layer(self, op: Op, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Call:
        """Return what a layer gives for a step, which it begins with the states before."""
        x, *rest = args
        hx, module = kwargs.get("hx", rest[0] if rest else None), op.module
        name, axis = self._cells.get(op.target), int(module.batch_first)
        at = 0 if name is None else self._members[name]
        if x.axis != axis or x.at != at or module.bidirectional:
            own = self._depends(op)
            raise LoopError(
                op, OWN_OUTPUT if own else "expected one step a call, one after the other, forward"
            )
        if name is None:
            steps = Ref(self._steps_of(op, x))
            whole = steps if axis else self._emit(op, "steps_first", "transpose", steps, 0, 1)
            states = () if hx is None else (self._as_outside(op, hx),)
            self._result.append(replace(op, args=(whole, *states), kwargs={}))
            every = self._emit(op, "every", "getitem", Ref(op.name), 0)
            turned = ("alias", every) if axis else ("transpose", every, 0, 1)
            self._emit(op, "steps", *turned)
            self._cells[op.target] = name = op.name
            self._sequence_of(op, name, self._sizes[x.name])
            self._sequence_of(op, f"{name}_steps", self._sizes[x.name])
            return _Call(name, at)
        before = _Step(name, at - 1, state=-1 if op.layer == "LSTM" else 0)
        if hx not in (before, (replace(before, state=0), replace(before, state=1))):
            message = "begins a step with another state than that of the step before"
            raise LoopError(op, OWN_OUTPUT if self._depends(op) else message)
        self._members[name] += 1
        self._members[f"{name}_steps"] += 1
        return _Call(name, at)

    def _part_of_call(self, op: Op, args: tuple[Any, ...]) -> Any:
        """Return the output or the states of a call of a layer, or the output that a state is."""
        match op.target, args:
            case "getitem", (_Call(name, at), 0):
                return _Step(f"{name}_steps", at, int(self._first[name].module.batch_first))
            case "getitem", (_Call(name, at), 1):
                return _Step(name, at, state=-1 if self._first[name].layer == "LSTM" else 0)
            case ("getitem", (_Step(name=name, at=at, state=0), int(index))) | (
                "squeeze",
                (_Step(name=name, at=at, state=0), int(index)),
            ) if self._first[name].layer not in CELLS:
                layers = self._first[name].module.num_layers
                top = index in (-1, layers - 1) if op.target == "getitem" else not index
                return _Step(f"{name}_steps", at) if top and (index or layers == 1) else None
            case _:
                return None

    def _depends(self, op: Op) -> bool:
        """True if the input of a cell follows from its output before."""
        by_name = {operation.name: operation for operation in self._operations}
        waiting = [*names_in(op.args[:1] or op.kwargs.get("input"))]
        seen = set[str]()
        while waiting:
            name = waiting.pop()
            if name in seen:
                continue
            seen.add(name)
            one = by_name[name]
            if one.target == op.target and one.kind == op.kind:
                return True
            waiting += names_in((one.args, tuple(one.kwargs.values())))
        return False

    def _first_states(self, op: Op, hx: Any) -> Any:
        """Return first states: vectors, or those of the last step of another loop."""
        if isinstance(hx, Ref) and op.layer == "LSTMCell":
            return tuple(self._emit(op, f"item_{at}", "getitem", hx, at) for at in (0, 1))
        return self._as_outside(op, hx)

    def _steps_of(self, op: Op, step: _Step) -> str:
        """Return the name of the sequence that a value is a step of."""
        if step.state is None:
            return step.name
        if step.state == 1:
            raise LoopError(op, "takes the state of a cell at each step, not its output")
        return f"{step.name}_steps"

    def _as_outside(self, op: Op, value: Any) -> Any:
        """Return a value behind the loop: a step is the last one."""
        match value:
            case tuple():
                return tuple(self._as_outside(op, one) for one in value)
            case dict():
                return {key: self._as_outside(op, one) for key, one in value.items()}
            case slice():
                return value
            case _Step(name=name, at=at, state=state, axis=axis):
                if at != self._sizes[name] - 1:
                    raise LoopError(op, "takes one of the steps of a loop, which is not the last")
                if axis is not None and self._sizes[name] == 1:
                    whole = Ref(self._steps_of(op, value))
                    if axis == 0:
                        return self._emit(op, f"{whole.name}_first", "transpose", whole, 0, 1)
                    return whole
                if state is not None:
                    return self._final(op, value, whole=op.kind == "output")
                if self._inputs:
                    return Ref(name)
                last = self._emit(op, f"last_{name}", "getitem", Ref(name), (_ALL, -1))
                if axis is not None:
                    return self._emit(op, f"last_{name}_{axis}", "unsqueeze", last, axis)
                return last
            case _:
                return value

    def _final(self, op: Op, step: _Step, *, whole: bool) -> Any:
        """Return the last state of a cell, with an axis of layers if it is wanted ``whole``."""
        cell = self._first[step.name]
        every = self._emit(cell, "states", "getitem", Ref(cell.name), 1)
        whole = whole or cell.layer not in CELLS
        if not cell.layer.startswith("LSTM"):
            several = [every]
        else:
            several = [self._emit(cell, f"state_{i}", "getitem", every, i) for i in (0, 1)]
        if not whole:
            several = [self._emit(op, f"of_{one.name}", "getitem", one, 0) for one in several]
        return tuple(several) if step.state == -1 else several[step.state or 0]

    def _outside(self, op: Op, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Add an operation outside of the loop."""
        if op.kind == "output" and self._inputs:
            args = tuple(self._as_result(op, one) for one in args)
        if op.target == "getitem" and isinstance(args[0], tuple):
            return args[0][args[1]]
        self._result.append(
            replace(
                op, args=self._as_outside(op, args), kwargs=self._as_outside(op, kwargs)
            )
        )  # fmt: skip
        size = self._whole_axis(op)
        if size is not None:
            # In a forward of one step, what a layer gives for a sequence is one step.
            name = op.name
            if not size:
                name = self._emit(op, "batch_first", "transpose", Ref(op.name), 0, 1).name
            return replace(self._sequence_of(op, name, 1), axis=size)
        return Ref(op.name)

    def _stack_of_states(self, op: Op, args: tuple[Any, ...]) -> Any:
        """Return the states of several cells, one after the other."""
        if op.target != "stack" or not args or not isinstance(args[0], tuple):
            return None
        if not all(isinstance(one, _Step) and one.state is not None for one in args[0]):
            return None
        if any(self._first[one.name].layer not in CELLS for one in args[0]):
            return None
        dim = op.kwargs.get("dim", args[1] if len(args) > 1 else 0)
        if dim != 0 or any(one.at != self._sizes[one.name] - 1 for one in args[0]):
            return None
        finals = tuple(self._final(op, one, whole=True) for one in args[0])
        self._result.append(replace(op, target="cat", args=(finals, 0), kwargs={}))
        return Ref(op.name)

    def _whole_axis(self, op: Op) -> int | None:
        """Return the axis of the steps of what a recurrent layer gives in a forward of one step."""
        source = op.args[0] if op.args else None
        if not self._inputs or op.target != "getitem" or not isinstance(source, Ref):
            return None
        by_name = {operation.name: operation for operation in self._operations}
        layer = by_name[source.name]
        if not isinstance(layer.module, nn.RNNBase) or op.args[1] != 0:
            return None
        return 1 if layer.module.batch_first else 0

    def _as_result(self, op: Op, value: Any) -> Any:
        """Return a result of one step as the sequence of all steps, and states as they are."""
        match value:
            case tuple():
                return tuple(self._as_result(op, one) for one in value)
            case dict():
                return {key: self._as_result(op, one) for key, one in value.items()}
            case _Step(state=None):
                return Ref(value.name)
            case _:
                return value

    def _gather(self, op: Op, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return the sequence of steps that ``stack`` or ``cat`` puts one after the other."""
        several = args[0] if args else kwargs.get("tensors")
        if op.target not in ("stack", "cat", "concat") or not isinstance(several, tuple):
            return None
        first = several[0] if several else None
        if not isinstance(first, _Step) or len(several) != self._sizes[first.name]:
            return None
        size = len(several)
        places = [one.at if isinstance(one, _Step) else -1 for one in several]
        alike = {replace(one, at=0) if isinstance(one, _Step) else None for one in several}
        if len(alike) != 1 or places not in ([*range(size)], [*range(size)][::-1]) or size == 1:
            return None
        rank = len(self._example.shapes[op.name])
        dim = self._number(kwargs.get("dim", args[1] if len(args) > 1 else 0)) % rank
        sequence = Ref(self._steps_of(op, first))
        if places[0]:
            sequence = self._emit(op, "flipped", "flip", sequence, (1,))
        if op.target == "stack" or first.axis == dim:
            if dim > 1:
                raise LoopError(op, f"dim: expected 0 or 1, the axis of the steps, received {dim}")
            if dim == 0:
                return self._emit(op, "steps_first", "transpose", sequence, 0, 1)
            return self._emit(op, "all", "alias", sequence)
        if first.axis is None and dim == 1:
            # One step behind the other.
            return self._emit(op, "flat", "flatten", sequence, 1)
        raise LoopError(op, f"dim: expected the axis of the steps, received {dim}")

    def _shift(self, op: Op, args: tuple[Any, ...], kwargs: dict[str, Any], *, last: bool) -> Any:
        """Return what an operation on one step gives, or None if it is one behind the loop.

        Raises:
            LoopError: it is not read on all steps.
        """
        steps = [*_steps((args, kwargs))]
        at, size, axis = steps[0].at, self._sizes[steps[0].name], steps[0].axis
        moved = self._view(op, args, kwargs)
        if moved is not None:
            return moved
        own = replace(op, args=self._signed(args), kwargs=self._signed(kwargs))
        signature = (own.kind, own.target, repr(own.args), repr(own.kwargs))
        count = self._seen[signature, at]
        self._seen[signature, at] += 1
        key = (*signature, count)
        name = self._sequences.get(key)
        if at and name is None:
            if last:
                self._seen[signature, at] -= 1
                return None
            raise LoopError(op, "is not the same at each step of the loop")
        if name is not None:
            if self._members[name] != at:
                raise LoopError(op, "is not the same at each step of the loop")
            self._members[name] += 1
            return _Step(name, at, axis)
        shifted = self._on_all_steps(op, args, kwargs)
        self._result.append(shifted)
        self._sequences[key] = op.name
        return replace(self._sequence_of(op, op.name, size), axis=axis)

    def _signed(self, value: Any) -> Any:
        """Return arguments in which each step is that of its sequence."""
        match value:
            case tuple():
                return tuple(map(self._signed, value))
            case dict():
                return {key: self._signed(one) for key, one in value.items()}
            case _Step():
                return replace(value, at=0)
            case _:
                return value

    def _view(self, op: Op, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return a step with another axis of size 1, or as it is, or None."""
        x = args[0] if args else None
        after = self._example.shapes.get(op.name)
        exchanged = (op.target in ("transpose", "swapaxes") and args[1:] in ((0, 1), (1, 0))) or (
            op.target == "permute" and args[1:] in ((1, 0, 2), ((1, 0, 2),))
        )
        if exchanged and isinstance(x, _Step) and x.axis is not None:
            return replace(x, axis=1 - x.axis)
        if op.target not in _VIEWS or kwargs or not isinstance(x, _Step) or after is None:
            return None
        before = self._example.shapes.get(_name_of(op.args[0]))
        if before is None or (op.target in ("getitem", "select") and len(after) >= len(before)):
            return None
        if after == before and op.target != "getitem":
            return x
        if x.axis is not None:
            plain = (*before[: x.axis], *before[x.axis + 1 :])
            return replace(x, axis=None) if after == plain and before[x.axis] == 1 else None
        is_vector = len(before) > 1 or _name_of(op.args[0]) not in self._example.floats
        for axis in (0, 1):
            if after == (*before[:axis], 1, *before[axis:]) and is_vector:
                return replace(x, axis=axis)
        return None

    def _on_all_steps(self, op: Op, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Op:
        """Return an operation on one step as one on all of them.

        Raises:
            LoopError: it is not read so.
        """
        of = "forward of one step" if self._inputs else "loop over the steps"
        refused = LoopError(
            op, f"in a {of}, expected layers of each step by itself, received an operation that "
            "is read of whole sequences alone",
        )  # fmt: skip
        whole = self._on_sequences(op, args)
        named = self._on_sequences(op, kwargs)
        step = next(_steps((args, kwargs)))
        rank = len(self._example.shapes.get(_name_of(op.args[0]), ())) if op.args else 0
        if op.kind == "module":
            if op.layer in ("Softmax", "LogSoftmax") and op.module.dim in (-1, rank - 1):
                name = "softmax" if op.layer == "Softmax" else "log_softmax"
                call = replace(op, kind="call", target=name, module=None, layer="")
                return replace(call, args=(*whole, -1), kwargs={})
            if op.layer not in _BY_STEP:
                raise refused
            return replace(op, args=whole, kwargs=named)
        if op.target in _BY_NUMBER:
            return replace(op, args=whole, kwargs=named)
        if op.target in _OF_FEATURES:
            if isinstance(args[0], tuple):
                rank = len(self._example.shapes[op.name])
            place = {"softmax": 1, "log_softmax": 1, "cat": 1, "concat": 1, "concatenate": 1,
                     "argmax": 1, "norm": 2, "normalize": 2}.get(op.target, 2)  # fmt: skip
            dim = kwargs.get("dim", whole[place] if len(whole) > place else None)
            if dim not in (-1, rank - 1):
                raise refused
            positional = list(whole)
            if len(whole) > place:
                positional[place] = -1
                return replace(op, args=tuple(positional), kwargs=named)
            return replace(op, args=whole, kwargs={**named, "dim": -1})
        if op.target in ("unsqueeze", "squeeze") and step.axis is None and len(whole) == 2:
            dim = whole[1] if whole[1] < 0 else whole[1] + 1
            if whole[1] != 0 and (op.target == "squeeze" or rank == 1):
                return replace(op, args=(whole[0], dim))
        if op.target == "getitem" and isinstance(whole[1], tuple) and whole[1][:1] == (_ALL,):
            return replace(op, args=(whole[0], (_ALL, *whole[1])))
        if op.target == "getitem" and op.args[0].name in self._example.items:
            return replace(op, args=whole)
        raise refused

    def _on_sequences(self, op: Op, value: Any) -> Any:
        """Return arguments with sequences in place of steps, and vectors at each step."""
        match value:
            case tuple():
                return tuple(self._on_sequences(op, one) for one in value)
            case dict():
                return {key: self._on_sequences(op, one) for key, one in value.items()}
            case _Step():
                return Ref(self._steps_of(op, value))
            case Ref(name=name) if len(self._example.shapes.get(name, ())) == 2:
                steps = next(_steps((self._resolve(op.args), self._resolve(op.kwargs))))
                copies = self._emit(op, f"steps_of_{name}", "unsqueeze", value, 1)
                sequence = Ref(self._steps_of(op, steps))
                count = self._emit(op, "count", "size", sequence, 1)
                return self._emit(op, f"copies_of_{name}", "expand", copies, -1, count, -1)
            case _:
                return value


def _name_of(value: Any) -> str:
    return value.name if isinstance(value, Ref) else ""


def _steps(value: Any) -> Iterator[_Step]:
    """Yield the steps in arguments."""
    match value:
        case _Step():
            yield value
        case tuple():
            for one in value:
                yield from _steps(one)
        case dict():
            yield from _steps(tuple(value.values()))
        case _:
            pass


@dataclass(frozen=True, slots=True)
class Unrolled:
    """The operations of a ``forward``, without a loop, and why it cannot be traced, if so.

    ``testers`` are the functions that do something else in training. With ``fixed``, it is one for
    sequences with as many steps as the example.
    """

    operations: list[Op]
    testers: list[str]
    fault: graph.TraceError | None
    traced: graph.Traced | None
    fixed: bool = False

    def example(self, operations: Sequence[Op], leaves: Mapping[str, Any]) -> Example:
        """Return what operations give for an example, of which ``leaves`` are the arguments."""
        assert self.traced is not None, "without a fault"
        example = self.traced.example()
        values = {op.name: leaves[op.target] for op in operations if op.target in leaves}
        tensors = {name: x for name, x in values.items() if isinstance(x, torch.Tensor)}
        return replace(
            example,
            shapes={**example.shapes, **{name: tuple(x.shape) for name, x in tensors.items()}},
            floats={*example.floats, *(n for n, x in tensors.items() if x.is_floating_point())},
        )

    def is_of_one_step(
        self, operations: Sequence[Op], shapes: Mapping[str, tuple[int, ...]], rows: Collection[int]
    ) -> bool:
        """True if the inputs, of which these are the shapes, are one step of sequences.

        The only input of one axis is a sequence without a batch, unless it has an item for each of
        the ``rows`` of first states. Vectors for each of these are a step if layers take them as
        sequences of one.
        """
        if not shapes:
            return False
        cells = any(op.layer in CELLS for op in operations)
        longest = max(shapes.values(), key=len)
        if len(shapes) == len(longest) == 1 and not cells and longest[0] not in rows:
            return False
        if len(longest) < (3 if cells else 2):
            return True
        layers = [op for op in operations if isinstance(op.module, nn.RNNBase)]
        vectors = all(len(shape) == 2 and shape[0] in rows for shape in shapes.values())
        if not vectors or self.traced is None or not layers:
            return False
        of = self.traced.example().shapes
        taken = [of.get(_name_of(op.args[0]), (0, 0))[int(op.module.batch_first)] for op in layers]
        return set(taken) == {1}


def trace(
    module: nn.Module,
    example: Mapping[str, Any],
    find_given: Callable[[Sequence[Op], Mapping[str, Any]], Collection[str]],
) -> Unrolled:
    """Return the operations of ``forward``; a loop over the steps is that of all steps.

    Whether it is that of a layer is seen from examples of two lengths.

    Args:
        module: the module.
        example: the arguments that are inputs; a loop is not read without one.
        find_given: returns those that are first states, which have no steps.

    Raises:
        UsageError: the module cannot be copied.
    """
    try:
        traced = graph.operations(module, example)
        rolled = _roll_fixed(traced, example)
        if rolled is not None:
            return Unrolled(rolled, traced.testers, None, None, fixed=True)
        return Unrolled(traced.operations, traced.testers, None, traced)
    except graph.TraceError as error:
        if not example or not error.counts:
            return Unrolled(error.before, [], error, None)
        first, fault = None, error
    try:
        given = find_given(graph.operations(module, example, unrolled=True).operations, example)
    except graph.TraceError:
        given = ()
    for axis, of_numbers in ((1, False), (0, False), (1, True)):
        shorter = {
            name: value if name in given else _cut(value, axis, of_numbers=of_numbers)
            for name, value in example.items()
        }
        cut = {name for name, value in shorter.items() if value is not example[name]}
        if not cut:
            continue
        try:
            several = [
                _trace_loop(module, one, {one[name].shape[axis] for name in cut})
                for one in (example, shorter)
            ]
        except (graph.TraceError, NoLoopError):
            continue
        except LoopError as error:
            message = f"a loop over the steps: '{error.op.where}' {error.message}"
            first = first or graph.TraceError(message, error.op.place, [])
            continue
        (operations, testers), (other, _) = several
        different = _difference(operations, other)
        if different is None:
            return Unrolled(operations, testers, None, None)
        message = f"a loop: '{different.where}' is not the same for other numbers of steps"
        first = first or graph.TraceError(message, different.place, [])
    return Unrolled(fault.before, [], first or fault, None)


def _roll_fixed(traced: graph.Traced, example: Mapping[str, Any]) -> list[Op] | None:
    """Return the operations of a loop over a fixed number of steps on all of these, or None."""
    calls = Counter(op.target for op in traced.operations if graph.is_recurrent(op))
    if not example or max(calls.values(), default=0) < 2:
        return None
    shapes = [tuple(x.shape) for x in example.values() if isinstance(x, torch.Tensor)]
    for axis in (1, 0):
        counts = {shape[axis] for shape in shapes if len(shape) > 1}
        try:
            return roll(traced.operations, traced.example(), counts, ())
        except (LoopError, NoLoopError):
            continue
    return None


def _trace_loop(
    module: nn.Module, example: Mapping[str, Any], counts: Collection[int]
) -> tuple[list[Op], list[str]]:
    traced = graph.operations(module, example, unrolled=True)
    return roll(traced.operations, traced.example(), counts, ()), traced.testers


def _cut(value: Any, axis: int, *, of_numbers: bool) -> Any:
    """Return an example of a sequence with fewer steps, or what is none as it is."""
    if not isinstance(value, torch.Tensor):
        return value
    rank = value.dim() + (not value.is_floating_point())
    if rank != 3 - of_numbers or value.dim() <= axis or value.shape[axis] < 3:
        return value
    return value.narrow(axis, 0, value.shape[axis] - 1)


def _difference(one: Sequence[Op], other: Sequence[Op]) -> Op | None:
    """Return the first operation that differs, but for the names."""
    names = {b.name: a.name for a, b in zip(one, other, strict=False)}

    def plain(value: Any) -> Any:
        match value:
            case Ref(name=name):
                return Ref(names.get(name, name))
            case tuple():
                return tuple(map(plain, value))
            case dict():
                return {key: plain(item) for key, item in value.items()}
            case slice():
                return slice(*map(plain, (value.start, value.stop, value.step)))
            case _:
                return value

    for a, b in zip(one, other, strict=False):
        alike = (a.kind, a.target) == (b.kind, b.target)
        if not alike or repr((a.args, a.kwargs)) != repr((plain(b.args), plain(b.kwargs))):
            return a
    return None if len(one) == len(other) else one[-1]
