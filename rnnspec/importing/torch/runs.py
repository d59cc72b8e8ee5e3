"""A live module of PyTorch and its network, run on the same inputs."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, assert_never

import numpy as np

from rnnspec.backends import get
from rnnspec.backends.slots import by_name
from rnnspec.comparison.reference import join_outputs, result_shapes
from rnnspec.errors import ModelError, Problem, UsageError, brief, listed
from rnnspec.importing.graph import values as graph_values
from rnnspec.importing.graph.values import Tensor
from rnnspec.importing.original import Compared, Original, Trial, compare
from rnnspec.importing.torch import graph
from rnnspec.importing.torch.reader import item_of
from rnnspec.ir import nodes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from rnnspec.backends.slots import Array
    from rnnspec.importing.assemble import ImportedModel
    from rnnspec.importing.torch.values import GivenStates, ModuleLayout, ResultLayout

_ROWS = 3
_EXAMPLE = "the example"


class _ModuleError(Exception):
    """An error that a module raised for its inputs."""


def compare_module(
    module: Any, example: Mapping[str, Any], imported: ImportedModel, layout: ModuleLayout
) -> str:
    """Check that a network has the results of its module, on an example and on random inputs.

    Returns a sentence on what was compared.

    Random ones that a module refuses are passed over if there is an example. The module is not
    changed, and neither are PyTorch's random numbers.

    Args:
        module: the module.
        example: the inputs of its ``forward``, empty if there are none.
        imported: the network and its arrays.
        layout: how the inputs and the result of the module differ from those of the network.

    Raises:
        ModelError: a result differs.
        UsageError: the module fails on the example, or there is none and it fails on random inputs.
    """
    with graph.keep_randomness(module):
        network = imported.program.network
        layout = _with_names(layout, network)
        several = [_of_example(module, example, network, layout)] if example else []
        if several:
            _compare(module, imported, layout, several)
        where = f"{several[0].title} and random inputs" if several else "random inputs"
        try:
            compared = _compare(module, imported, layout, list(_draw(module, network, layout)))
        except UsageError:
            if not example:
                raise
            # Twice, because a module may keep something from one call to the next.
            compared = _compare(module, imported, layout, several * 2)
            where = several[0].title
    return str(replace(compared, outcome=f"equal on {where} ({compared.outcome})"))


def _compare(
    module: Any, imported: ImportedModel, layout: ModuleLayout, several: Sequence[Trial]
) -> Compared:
    """Compare the results for several inputs, one after the other on one copy of the module.

    The outcome is the dtype: float32 only where a module fails in float64 or rounds by itself.
    """

    def run(dtype: str, trials: Sequence[Trial]) -> Compared:
        original = _Original.of(module, dtype, imported.program.network, layout, trials)
        compared = compare(original, imported.program, imported.arrays)
        return replace(compared, outcome=dtype)

    def run_all(dtype: str) -> Compared:
        try:
            return run(dtype, several)
        except ModelError as error:
            (problem,) = error.problems
            trial = next(one for one in several if problem.message.startswith(f"on {one.title}, "))
            try:
                run(dtype, [trial])
            except ModelError:
                raise error from None
            message = (
                f"on {trial.title}, expected the result of a first call, received a result that "
                "depends on the call before: the module keeps a state; let forward begin with "
                "zeros, or take its states and return them"
            )
            raise ModelError((replace(problem, message=message),)) from None

    try:
        return run_all("float64")
    except ModelError:
        if not layout.casts:
            raise
    except _ModuleError:
        pass
    try:
        return run_all("float32")
    except _ModuleError as error:
        title = several[0].title
        advice = "" if title.startswith(_EXAMPLE) else "; give inputs that it takes as example="
        message = f"expected a module that runs on {title}, received an error: {error}"
        raise UsageError(f"{message}{advice}", "module") from error.__cause__


@dataclass(frozen=True, slots=True, kw_only=True)
class _Original(Original):
    """A copy of a module, with several inputs of it and what its results are."""

    several: Sequence[Trial]
    names: Mapping[str, str]

    @classmethod
    def of(
        cls,
        module: Any,
        dtype: str,
        network: nodes.Network,
        layout: ModuleLayout,
        several: Sequence[Trial],
    ) -> _Original:
        """Return a copy of a module in a dtype, which gives the output of a network."""
        try:
            copied = graph.runnable(module, dtype)
        except UsageError:
            raise
        except Exception as error:  # of its own train, or of a device without float64
            raise _ModuleError(brief(error)) from error
        torch = get("torch")
        assert len(network.results) == len(layout.results), "each output is compared"
        layers = [layer.name for layer in network.results.values()]
        return cls(
            source="module",
            what="the module",
            framework=torch.runtime.version(),
            output=partial(_output, copied, dtype, network, layout),
            dtype=dtype,
            function_error=torch.function_error,
            several=several,
            names=dict(zip(layers, (result.name for result in layout.results), strict=True)),
        )

    def draw(self, network: nodes.Network) -> Iterator[Trial]:  # noqa: ARG002 - they are its own
        """Yield the inputs."""
        yield from self.several

    def failed(self, trial: Trial, error: Exception) -> str:  # noqa: ARG002 - the caller knows it
        """Raise an error of the module."""
        raise error

    def difference(self, trial: Trial, layer: str, far: float, _: float) -> str:
        """Return how a result differs from that of the module."""
        return _differs(trial, f"a difference of {far:.3g}", self.names[layer])


def _differs(trial: Trial, what: str, name: str) -> str:
    place = f" in '{name}'" if name else ""
    return f"on {trial.title}, expected the result of the module, received {what}{place}"


def _output(
    module: Any, dtype: str, network: nodes.Network, layout: ModuleLayout, trial: Trial
) -> Array:
    """Return the results of a module as the output of its network.

    Raises:
        ModelError: one is missing, or has another shape.
        _ModuleError: the module fails.
    """
    try:
        results = (
            _run_steps(module, dtype, network, layout, by_name(trial.batch))
            if layout.stepwise
            else graph.outcome(module, trial.inputs, dtype)
        )
    except Exception as error:
        raise _ModuleError(brief(error)) from error
    rows, outputs = len(next(iter(by_name(trial.batch).values()))), dict[str, "Array"]()
    for (name, sample), of in zip(result_shapes(network, trial.batch), layout.results, strict=True):
        shape, problem = (rows, *sample), ""
        if of.path not in results:
            problem = _differs(trial, f"no tensor as the result {of.name}", "")
        else:
            result = _laid_out(results[of.path], of, shape)
            if of.padded and trial.lengths is not None and result.ndim > 1:
                # At padding, the result is unspecified, and it may have no steps there.
                missing = max(0, shape[1] - result.shape[1])
                result = np.pad(result, [(0, 0), (0, missing), *[(0, 0)] * (result.ndim - 2)])
            if result.size != math.prod(shape):
                problem = _differs(trial, f"shape {result.shape} in place of {shape}", of.name)
            else:
                # The module may have squeezed a last axis of size 1.
                outputs[name] = result.reshape(shape)
        if problem:
            raise ModelError((Problem("module", problem, code="E709"),))
    return join_outputs(network, outputs)


def _laid_out(result: Array, layout: ResultLayout, shape: tuple[int, ...] = ()) -> Array:
    """Return a result with the batch first."""
    if layout.rows and result.ndim == 2:
        result = result[np.newaxis]
    if layout.rows:
        result = result.take(layout.rows, layout.axes.index("D"))
    if result.ndim != len(layout.axes):
        return result
    axes = layout.axes
    if "".join(axes) in ("BTF", "TBF") and len(axes) == 2:
        # All steps of all sequences as rows.
        axes = tuple("".join(axes))
        result = result.reshape([{"B": shape[0], "T": shape[1]}.get(axis, -1) for axis in axes])
    return _as_batch(result, axes)


def _with_names(layout: ModuleLayout, network: nodes.Network) -> ModuleLayout:
    """Return a layout with the names that the inputs have in a network."""
    names = dict(
        zip(layout.inputs, (network_input.name for network_input in network.inputs), strict=True)
    )
    given = {
        argument: replace(
            inside, names=tuple(tuple(names[name] for name in part) for part in inside.names)
        )
        for argument, inside in layout.given.items()
    }
    return replace(
        layout,
        inputs=tuple(names.values()),
        arguments=tuple((argument, name and names[name]) for argument, name in layout.arguments),
        axes={names[name]: axes for name, axes in layout.axes.items()},
        given=given,
    )


def _of_example(
    module: Any, given: Mapping[str, Any], network: nodes.Network, layout: ModuleLayout
) -> Trial:
    batch, lengths = dict[str, "Array"](), None
    items = {name: item_of(given[argument], at) for name, (argument, at) in layout.items.items()}
    example = {**given, **items}
    for argument, states in layout.given.items():
        batch |= _states_of_network(states, _arrays(example, argument))
    for argument, name in layout.arguments:
        if not name:
            lengths = example.get(argument, lengths)
            continue
        (values,) = _arrays(example, argument)
        axes = layout.axes[name]
        if layout.stepwise and values.ndim == len(axes) - 1:
            values = np.expand_dims(values, axes.index("T"))
        if values.ndim != len(axes):
            plain = graph_values.describe(Tensor(0, tuple(sorted(axes, key="BTF".find))))
            raise UsageError(f"expected the shape {plain}, received {values.shape}", "example")
        batch[name] = _as_batch(values, axes)
    by_name = {network_input.name: network_input for network_input in network.inputs}
    for name, values in batch.items():
        if isinstance(by_name[name], nodes.TokenInput | nodes.LabelInput):
            batch[name] = values.astype(np.int64)
        elif isinstance(by_name[name], nodes.NumericInput) and values.ndim == 2:
            # It has one feature, and no axis for it.
            batch[name] = values[..., np.newaxis]
    if layout.counted:
        tokens = [n for n in batch if isinstance(by_name[n], nodes.TokenInput)]
        lengths = np.count_nonzero(batch[tokens[0]], axis=1) if tokens else None
    elif lengths is not None:
        return _within_lengths(module, Trial(batch, given, _EXAMPLE, lengths), network, layout)
    return Trial(batch, given, _EXAMPLE, lengths)


def _within_lengths(
    module: Any, trial: Trial, network: nodes.Network, layout: ModuleLayout
) -> Trial:
    """Return an example with lengths whose padding is what the network takes as padding.

    The module reads no padding, whatever it holds, and may have token 0 among the real ones.
    """
    batch, inputs, title = dict(by_name(trial.batch)), trial.inputs, trial.title
    marked, lengths = [one for one in network.inputs if one.masked], graph.array(trial.lengths)
    for one in marked:
        values = batch[one.name]
        if isinstance(one, nodes.TokenInput) and not values[_real(values, lengths)].all():
            title = f"{_EXAMPLE}, with token 1 in place of 0, which is padding,"
            batch[one.name] = np.where(values, values, 1)
    if title != trial.title:
        several = {
            argument: graph.input_of(module, _lay_out(batch[name], layout.axes[name]))
            for argument, name in layout.arguments
            if name and argument in inputs
        }
        inputs = {**inputs, **several}
    return Trial(_with_padding(batch, marked, lengths), inputs, title, trial.lengths)


def _real(values: Array, lengths: Array) -> Array:
    """Return which steps of sequences are within the lengths."""
    real: Array = np.arange(values.shape[1]) < lengths[:, np.newaxis]
    return real


def _with_padding(
    batch: Mapping[str, Array], inputs: Iterable[nodes.Input], lengths: Array
) -> dict[str, Array]:
    """Return a batch whose steps behind the lengths are padding in some of the inputs."""
    padded = dict(batch)
    for one in inputs:
        values = padded[one.name] = padded[one.name].copy()
        values[~_real(values, lengths)] = getattr(one, "mask_value", None) or 0
    return padded


def _arrays(example: Mapping[str, Any], argument: str) -> list[Array]:
    """Return the arrays of an argument, which may be a tuple.

    Raises:
        UsageError: it has others.
    """
    value = example.get(argument)
    try:
        several = value if isinstance(value, list | tuple) else (value,)
        return [graph.array(one) for one in several]
    except Exception as error:
        message = f"expected tensors, received an error: {brief(error)}"
        raise UsageError(message, "example") from error


def _states_of_network(given: GivenStates, tensors: Sequence[Array]) -> dict[str, Array]:
    """Return first states as the inputs of the network, both directions side by side.

    Raises:
        UsageError: they have other shapes.
    """
    batch = dict[str, "Array"]()
    if given.flat:
        tensors = [tensor[np.newaxis] for tensor in tensors]
    if given.swapped and all(tensor.ndim == 3 for tensor in tensors):
        tensors = [tensor.swapaxes(0, 1) for tensor in tensors]
    first = f"batch, {given.rows}" if given.swapped else f"{given.rows}, batch"
    expected = f"({first}, {given.units})"
    fits = all(a.ndim == 3 and a.shape[::2] == (given.rows, given.units) for a in tensors)
    if len(tensors) != len(given.names) or not fits:
        shapes = listed([str(array.shape) for array in tensors])
        raise UsageError(f"expected first states of shape {expected}, received {shapes}", "example")
    for names, tensor in zip(given.names, tensors, strict=True):
        for name, rows in zip(names, np.split(tensor, given.levels), strict=True):
            batch[name] = rows.swapaxes(0, 1).reshape(tensor.shape[1], -1)
    return batch


def _states_of_module(module: Any, given: GivenStates, batch: Mapping[str, Array]) -> Any:
    """Return first states as the module takes them."""
    tensors = []
    for names in given.names:
        rows = [
            batch[name].reshape(len(batch[name]), given.directions, -1).swapaxes(0, 1)
            for name in names
        ]
        whole = np.concatenate(rows)
        whole = whole[0] if given.flat else whole.swapaxes(0, 1) if given.swapped else whole
        tensors.append(graph.input_of(module, whole))
    return tuple(tensors) if given.parts else tensors[0]


def _as_batch(values: Array, axes: tuple[str, ...]) -> Array:
    """Return an input of the module as one of the network, with the batch first."""
    kept = [axis for axis in axes if axis]
    squeezed = values.reshape([n for n, axis in zip(values.shape, axes, strict=True) if axis])
    batch = squeezed.transpose([kept.index(axis) for axis in sorted(kept, key="BTDUF".index)])
    return batch if "B" in axes else batch[np.newaxis]


def _lay_out(batch: Array, axes: tuple[str, ...]) -> Array:
    """Return an input of the network as the module takes it."""
    kept = [axis for axis in axes if axis]
    usual = sorted(kept, key="BTF".index)
    batch = batch if "B" in axes else batch[0]
    batch = batch[..., 0] if batch.ndim > len(usual) else batch
    moved = batch.transpose([usual.index(axis) for axis in kept])
    return moved[tuple(slice(None) if axis else np.newaxis for axis in axes)]


def _draw(module: Any, network: nodes.Network, layout: ModuleLayout) -> Iterator[Trial]:
    """Yield random inputs with different numbers of steps, padded at the end if there are lengths.

    Inputs that need not have as many steps have others, but for those with the same lengths.
    Without lengths no step is padding, so zeros at the start and at the end are steps like others.
    """
    rng, rows = np.random.default_rng(0), layout.batch or _ROWS
    least = nodes.least_steps(network)
    several = dict.fromkeys((max(7, least + 4), max(4, least + 1), least))
    fixed = [
        network_input.steps
        for network_input in network.inputs
        if isinstance(network_input, nodes.SequenceInput)
    ]
    masked = {network_input.name for network_input in network.inputs if network_input.masked}
    first = nodes.equal_steps(network)
    groups = [*dict.fromkeys(first.values())]
    told = {first[name] for name in masked}
    more = {name: 0 if of in told else groups.index(of) for name, of in first.items()}
    passed = {
        f"{network_input.name}_next"
        for network_input in network.inputs
        if isinstance(network_input, nodes.VectorInput)
    }
    if layout.stepwise and not passed <= network.results.keys():
        # A state that the module does not return is that of the first step only.
        several = {1: None}
    for steps in several if None in fixed else fixed[:1]:
        assert steps is not None
        batch = {
            network_input.name: _values(
                rng, network_input, rows, steps + more.get(network_input.name, 0)
            )
            for network_input in network.inputs
        }
        lengths = np.linspace(steps, 1, rows).round().astype(np.int64)
        if not (layout.has_lengths or layout.counted):
            for name in first if rows > 1 else ():
                batch[name][0, steps // 2 + 1 :] = 0
                batch[name][1, : steps // 2] = 0
            yield _inputs(module, batch, lengths, layout)
            continue
        orders = (lengths,) if layout.decreasing else (lengths, np.roll(lengths, 1))
        for order in orders:
            alone = len(network.inputs) == 1
            marked = [one for one in network.inputs if one.masked or alone]
            yield _inputs(module, _with_padding(batch, marked, order), order, layout)


def _inputs(module: Any, batch: Mapping[str, Array], lengths: Array, layout: ModuleLayout) -> Trial:
    values = {name: _lay_out(batch[name], axes) for name, axes in layout.axes.items()}
    kinds = {
        name: "tokens" if array.dtype.kind == "i" else "features" for name, array in values.items()
    }
    shapes = [f"{kinds[name]} of shape {array.shape}" for name, array in values.items()]
    title = f"random {listed(shapes)}"
    if layout.has_lengths or layout.counted:
        title += f" with lengths {', '.join(map(str, lengths))}"
    inputs = {} if layout.stepwise else _arguments(module, batch, lengths, layout)
    return Trial(batch, inputs, title, lengths)


def _arguments(
    module: Any, batch: Mapping[str, Array], lengths: Array | None, layout: ModuleLayout
) -> dict[str, Any]:
    """Return the inputs of a network as the arguments of its module."""
    inputs = {
        argument: graph.input_of(module, _lay_out(batch[name], layout.axes[name]))
        if name
        else None
        if lengths is None
        else graph.lengths_of(lengths)
        for argument, name in layout.arguments
    }
    for argument, given in layout.given.items():
        inputs[argument] = _states_of_module(module, given, batch)
    for argument in {argument for argument, _ in layout.items.values()}:
        paths = {path: name for name, (of, path) in layout.items.items() if of == argument}
        inputs[argument] = _tuple_of({path: inputs.pop(name) for path, name in paths.items()})
    return inputs


def _tuple_of(items: Mapping[tuple[int, ...], Any]) -> Any:
    """Return nested tuples of items by the places that lead to them."""
    if () in items:
        return items[()]
    several = dict[int, dict[tuple[int, ...], Any]]()
    for (place, *rest), item in items.items():
        several.setdefault(place, {})[tuple(rest)] = item
    # What forward does not take may be anything.
    return tuple(
        _tuple_of(several[place]) if place in several else None for place in range(max(several) + 1)
    )


def _run_steps(
    module: Any,
    dtype: str,
    network: nodes.Network,
    layout: ModuleLayout,
    batch: Mapping[str, Array],
) -> dict[tuple[int | str, ...], Array]:
    """Return the results of a module of one step for a sequence, each state that of the last."""
    layout = replace(
        layout,
        axes={n: tuple(axis for axis in axes if axis != "T") for n, axes in layout.axes.items()},
    )
    sequences = {
        network_input.name
        for network_input in network.inputs
        if isinstance(network_input, nodes.SequenceInput)
    }
    states = {name: array for name, array in batch.items() if name not in sequences}
    rows, count, *_ = batch[next(iter(sequences))].shape
    outcomes = list[dict[tuple[int | str, ...], "Array"]]()
    for step in range(count):
        now = {name: batch[name][:, step] for name in sequences}
        arguments = _arguments(module, {**now, **states}, None, layout)
        results = graph.outcome(module, arguments, dtype)
        outcomes.append(results)
        for of, name in zip(layout.results, network.results, strict=True):
            if of.rows and of.path in results:
                state = _laid_out(results[of.path], of)
                states[name.removesuffix("_next")] = state.reshape(rows, -1)
    last = outcomes[-1]
    for of in layout.results:
        if not of.rows and of.path in last:
            last[of.path] = np.stack([one[of.path].reshape(rows, -1) for one in outcomes], 1)
    return last


def _values(rng: np.random.Generator, network_input: nodes.Input, rows: int, steps: int) -> Array:
    values: Array
    match network_input:
        case nodes.TokenInput(vocabulary=vocabulary, mask_zero=masks, steps=own):
            size = (rows, own or steps)
            values = rng.integers(min(int(masks), vocabulary - 1), vocabulary, size)
        case nodes.LabelInput(vocabulary=vocabulary):
            values = rng.integers(0, vocabulary, rows)
        case nodes.NumericInput(features=features, steps=own):
            values = rng.standard_normal((rows, own or steps, features))
        case nodes.VectorInput(features=features):
            values = rng.standard_normal((rows, features))
        case _:
            assert_never(network_input)
    return values
