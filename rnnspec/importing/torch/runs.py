"""A live module of PyTorch and its network, run on the same inputs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, assert_never

import numpy as np

from rnnspec import pipeline
from rnnspec.backends import get
from rnnspec.comparison.reference import result_shapes, split_outputs
from rnnspec.errors import ModelError, Problem, UsageError, brief, listed
from rnnspec.importing.graph import values as graph_values
from rnnspec.importing.graph.values import Tensor
from rnnspec.importing.torch import graph
from rnnspec.ir import nodes
from rnnspec.slots import as_batch

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rnnspec.importing.assemble import ImportedModel
    from rnnspec.importing.torch.values import Given, Layout
    from rnnspec.slots import Array

_TOLERANCE = 1e-9
"""The largest difference in float64, relative to the largest value or to 1."""
_ROWS = 3


class _ModuleError(Exception):
    """An error that a module raised for its inputs."""


@dataclass(frozen=True, slots=True)
class _Inputs:
    """Inputs of ``forward``, what messages call them, and those of the network, by their names.

    ``lengths`` are the numbers of real steps, None if no step is padding.
    """

    title: str
    values: Mapping[str, Any]
    batch: Mapping[str, Array]
    lengths: Any


def compare_module(
    module: Any, example: Mapping[str, Any], imported: ImportedModel, layout: Layout
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
        runs = _Runs(module, imported, layout)
        several = [_of_example(example, network, layout)] if example else []
        if several:
            runs.compare(several)
        where = "the example and random inputs" if example else "random inputs"
        try:
            dtype = runs.compare(list(_draw(module, network, layout)))
        except UsageError:
            if not example:
                raise
            # Twice, because a module may keep something from one call to the next.
            dtype, where = runs.compare(several * 2), "the example"
    version = get("torch").runtime.version()
    return f"compared with the module in {version}: equal on {where} ({dtype})"


def _with_names(layout: Layout, network: nodes.Network) -> Layout:
    """Return a layout with the names that the inputs have in a network."""
    names = dict(zip(layout.inputs, (each.name for each in network.inputs), strict=True))
    given = {
        argument: replace(
            each, names=tuple(tuple(names[name] for name in part) for part in each.names)
        )
        for argument, each in layout.given.items()
    }
    return replace(
        layout,
        inputs=tuple(names.values()),
        arguments=tuple((argument, name and names[name]) for argument, name in layout.arguments),
        axes={names[name]: axes for name, axes in layout.axes.items()},
        given=given,
    )


class _Runs:
    """The module and its network, each in both dtypes, made when they are first needed."""

    def __init__(self, module: Any, imported: ImportedModel, layout: Layout) -> None:
        self._module = module
        self._imported = imported
        self._layout = layout
        self._networks: dict[str, Any] = {}

    @cached_property
    def _inference(self) -> pipeline.Generated:
        # The form without initial weights, which take longer to draw than the rest to run.
        return pipeline.generate(self._imported.program, get("torch"), "inference")

    def compare(self, several: Sequence[_Inputs]) -> str:
        """Compare the results for several inputs, one after the other on one copy of the module.

        Returns the dtype: float32 only where a module fails in float64 or rounds by itself.
        """
        dtype = "float64"
        try:
            problem = self._difference("float64", several)
        except _ModuleError as failure:
            dtype = "float32"
            try:
                problem = self._difference(dtype, several)
            except _ModuleError:
                title = several[0].title
                advice = "" if title == "the example" else "; give inputs that it takes as example="
                message = f"expected a module that runs on {title}, received an error: {failure}"
                raise UsageError(f"{message}{advice}", "module") from failure.__cause__
        else:
            if problem and self._layout.casts:
                dtype = "float32"
                problem = self._difference(dtype, several)
        if problem:
            raise ModelError((Problem("module", problem, code="E709"),))
        return dtype

    def _difference(self, dtype: str, several: Sequence[_Inputs]) -> str:
        """Return how the results differ, empty if they are equal."""
        copied = self._copy(dtype)
        for place, inputs in enumerate(several):
            difference = self._distance(copied, inputs, dtype)
            if difference and place:
                fresh = self._distance(self._copy(dtype), inputs, dtype)
                if not fresh:
                    return (
                        f"on {inputs.title}, expected the result of a first call, received a "
                        "result that depends on the call before: the module keeps a state"
                    )
            if difference:
                return (
                    f"on {inputs.title}, expected the result of the module, received {difference}"
                )
        return ""

    def _copy(self, dtype: str) -> Any:
        try:
            return graph.runnable(self._module, dtype)
        except UsageError:
            raise
        except Exception as error:  # of its own train, or of a device without float64
            raise _ModuleError(brief(error)) from error

    def _distance(self, module: Any, inputs: _Inputs, dtype: str) -> str:
        try:
            results = graph.outcome(module, inputs.values, dtype)
        except Exception as error:
            raise _ModuleError(brief(error)) from error
        batch = {
            name: array.astype(np.float32)
            if dtype == "float32" and array.dtype.kind == "f"
            else array
            for name, array in inputs.batch.items()
        }
        outputs = self._outputs("float64", batch)
        # What float32 costs the network itself is what it may cost the module.
        rounded = self._outputs("float32", batch) if dtype == "float32" else outputs
        assert len(outputs) == len(self._layout.results), "each output is compared"
        for which, layout in enumerate(self._layout.results):
            lengths = inputs.lengths if layout.padded else None
            if layout.path not in results:
                return f"no tensor as the result {layout.name}"
            result = results[layout.path]
            if layout.rows:
                result = result.take(layout.rows, layout.axes.index("D"))
            if result.ndim == len(layout.axes):
                axes = layout.axes
                if "".join(axes) in ("BTF", "TBF") and len(axes) == 2:
                    # All steps of all sequences as rows.
                    rows, steps = outputs[which].shape[:2]
                    axes = tuple("".join(axes))
                    sizes = [{"B": rows, "T": steps}.get(axis, -1) for axis in axes]
                    result = result.reshape(sizes)
                result = _as_batch(result, axes)
            far = _difference(outputs[which], rounded[which], result, lengths, dtype)
            if far:
                return f"{far} in '{layout.name}'" if layout.name else far
        return ""

    def _outputs(self, dtype: str, arrays: Mapping[str, Array]) -> list[Array]:
        generated = self._inference
        if dtype not in self._networks:
            model = pipeline.instantiate(generated, dtype, drawn=False)
            generated.store.write(model, self._imported.arrays)
            self._networks[dtype] = model
        network = self._imported.program.network
        batch = as_batch(arrays)
        output = generated.backend.runtime.trace(self._networks[dtype], [], batch).output
        parts = split_outputs(network, output, result_shapes(network, batch))
        return [parts[layer.name] for layer in network.results.values()]


def _difference(output: Array, rounded: Array, expected: Array, lengths: Any, dtype: str) -> str:
    """Return how a result differs from that of the module, empty if they are equal.

    ``rounded`` is the result in ``dtype``. ``lengths`` are None if no step of it is padding.
    """
    if lengths is not None:
        output, rounded = (array[:, : expected.shape[1]] for array in (output, rounded))
        if output.shape == expected.shape:  # at padding, the result is unspecified
            is_real = np.arange(expected.shape[1]) < graph.array(lengths)[:, np.newaxis]
            output, rounded, expected = (array[is_real] for array in (output, rounded, expected))
    if output.size != expected.size:
        return f"shape {output.shape} in place of {expected.shape}"
    # The module may have squeezed a last axis of size 1.
    expected = expected.reshape(output.shape)
    scale = float(np.abs(expected).max(initial=1.0, where=np.isfinite(expected)))
    tolerance = _TOLERANCE * scale
    if dtype == "float32":
        cost = float(np.abs(rounded - output).max(initial=0.0, where=np.isfinite(rounded)))
        tolerance = 8 * cost + 16 * float(np.finfo(np.float32).eps) * scale
    unequal = output != expected  # leaves out equal infinities, which have no difference
    far = float(np.abs(output[unequal] - expected[unequal]).max(initial=0.0))
    return "" if far <= tolerance else f"a difference of {far:.3g}"


def _of_example(given: Mapping[str, Any], network: nodes.Network, layout: Layout) -> _Inputs:
    batch, lengths = dict[str, "Array"](), None
    items = {name: given[argument][place] for name, (argument, place) in layout.items.items()}
    example = {**given, **items}
    for argument, states in layout.given.items():
        batch |= _states_of_network(states, _arrays(example, argument))
    for argument, name in layout.arguments:
        if not name:
            lengths = example.get(argument, lengths)
            continue
        (values,) = _arrays(example, argument)
        axes = layout.axes[name]
        if values.ndim != len(axes):
            plain = graph_values.describe(Tensor(0, tuple(sorted(axes, key="BTF".find))))
            raise UsageError(f"expected the shape {plain}, received {values.shape}", "example")
        batch[name] = _as_batch(values, axes)
    by_name = {each.name: each for each in network.inputs}
    for name, values in batch.items():
        if isinstance(by_name[name], nodes.TokenInput | nodes.LabelInput):
            batch[name] = values.astype(np.int64)
        elif isinstance(by_name[name], nodes.NumericInput) and values.ndim == 2:
            # It has one feature, and no axis for it.
            batch[name] = values[..., np.newaxis]
    if layout.counted:
        tokens = [n for n in batch if isinstance(by_name[n], nodes.TokenInput)]
        lengths = np.count_nonzero(batch[tokens[0]], axis=1) if tokens else None
    return _Inputs("the example", given, batch, lengths)


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


def _states_of_network(given: Given, tensors: Sequence[Array]) -> dict[str, Array]:
    """Return first states as the inputs of the network, both directions side by side.

    Raises:
        UsageError: they have other shapes.
    """
    batch = dict[str, "Array"]()
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


def _states_of_module(module: Any, given: Given, batch: Mapping[str, Array]) -> Any:
    """Return first states as the module takes them."""
    tensors = []
    for names in given.names:
        rows = [
            batch[name].reshape(len(batch[name]), given.directions, -1).swapaxes(0, 1)
            for name in names
        ]
        whole = np.concatenate(rows)
        whole = whole.swapaxes(0, 1) if given.swapped else whole
        tensors.append(graph.input_of(module, whole))
    return tuple(tensors) if given.parts else tensors[0]


def _as_batch(values: Array, axes: tuple[str, ...]) -> Array:
    """Return an input of the module as one of the network, with the batch first."""
    kept = [axis for axis in axes if axis]
    squeezed = values.reshape([n for n, axis in zip(values.shape, axes, strict=True) if axis])
    return squeezed.transpose([kept.index(axis) for axis in sorted(kept, key="BTDUF".index)])


def _lay_out(batch: Array, axes: tuple[str, ...]) -> Array:
    """Return an input of the network as the module takes it."""
    kept = [axis for axis in axes if axis]
    usual = sorted(kept, key="BTF".index)
    batch = batch[..., 0] if batch.ndim > len(usual) else batch
    moved = batch.transpose([usual.index(axis) for axis in kept])
    return moved[tuple(slice(None) if axis else np.newaxis for axis in axes)]


def _draw(module: Any, network: nodes.Network, layout: Layout) -> Iterator[_Inputs]:
    """Yield random inputs with different numbers of steps, padded at the end if there are lengths.

    Inputs that need not have as many steps have others, but for those with the same lengths.
    Without lengths no step is padding, so zeros at the start and at the end are steps like others.
    """
    rng, rows = np.random.default_rng(0), layout.batch or _ROWS
    least = nodes.least_steps(network)
    several = dict.fromkeys((max(7, least + 4), max(4, least + 1), least))
    fixed = [each.steps for each in network.inputs if isinstance(each, nodes.SequenceInput)]
    masked = {each.name for each in network.inputs if each.masked}
    first = nodes.equal_steps(network)
    groups = [*dict.fromkeys(first.values())]
    told = {first[name] for name in masked}
    more = {name: 0 if of in told else groups.index(of) for name, of in first.items()}
    for steps in several if None in fixed else fixed[:1]:
        assert steps is not None
        batch = {
            each.name: _values(rng, each, rows, steps + more.get(each.name, 0))
            for each in network.inputs
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
            padded = dict(batch)
            for each in network.inputs:
                if each.name in masked or len(network.inputs) == 1:
                    filler = getattr(each, "mask_value", None) or 0
                    padded[each.name] = padded[each.name].copy()
                    padded[each.name][np.arange(steps) >= order[:, np.newaxis]] = filler
            yield _inputs(module, padded, order, layout)


def _inputs(module: Any, batch: Mapping[str, Array], lengths: Array, layout: Layout) -> _Inputs:
    values = {name: _lay_out(batch[name], axes) for name, axes in layout.axes.items()}
    kinds = {
        name: "tokens" if array.dtype.kind == "i" else "features" for name, array in values.items()
    }
    shapes = [f"{kinds[name]} of shape {array.shape}" for name, array in values.items()]
    title = f"random {listed(shapes)}"
    if layout.has_lengths or layout.counted:
        title += f" with lengths {', '.join(map(str, lengths))}"
    inputs = {
        argument: graph.input_of(module, values[name]) if name else graph.lengths_of(lengths)
        for argument, name in layout.arguments
    }
    for argument, given in layout.given.items():
        inputs[argument] = _states_of_module(module, given, batch)
    for argument in {argument for argument, _ in layout.items.values()}:
        places = {place: name for name, (of, place) in layout.items.items() if of == argument}
        # What forward does not take may be anything.
        inputs[argument] = tuple(
            inputs.pop(places[place]) if place in places else None
            for place in range(max(places) + 1)
        )
    return _Inputs(title, inputs, batch, lengths)


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
