"""A file of another tool in ONNX Runtime, on batches of the network that it became."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnspec.backends.onnx.contents import load

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from rnnspec.backends.onnx.contents import Contents
    from rnnspec.backends.slots import Array, Batch
    from rnnspec.importing.graph.graph import Info
    from rnnspec.importing.graph.probes import ProbeSetting


@dataclass(frozen=True, slots=True)
class OutputLayout:
    """An output, and the letter of the network's output that each of its axes is.

    An axis of size 1 may have none, and F may be missing, or be two, D and U.
    """

    name: str
    axes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FileLayout:
    """How the inputs and the outputs of a file differ from those of its network.

    ``inputs`` are those of the network, a sequence first. ``lengths`` is an input of lengths, None
    if there is none.
    """

    inputs: tuple[tuple[Info, ProbeSetting], ...]
    lengths: Info | None
    results: tuple[OutputLayout, ...]

    def feed(self, batch: Mapping[str, Array]) -> dict[str, Array]:
        """Return the inputs for a batch of the network by the names of the file."""
        inputs = {
            info.name: np.ascontiguousarray(setting.lay_out(batch[info.name]), _dtype(info))
            for info, setting in self.inputs
        }
        if self.lengths is not None:
            first, setting = self.inputs[0]
            real = batch[first.name] != setting.filler
            counts = (real if setting.tokens else real.any(2)).sum(1)
            inputs[self.lengths.name] = counts.astype(_dtype(self.lengths))
        return inputs

    def join(self, outputs: list[Array]) -> Array:
        """Return the outputs as one of the network: several as (batch, all of their numbers)."""
        laid_out = []
        for result, output in zip(self.results, outputs, strict=True):
            letters = [letter for letter in "BTDUF" if letter in result.axes]
            single = [i for i, axis in enumerate(result.axes) if not axis]
            order = [result.axes.index(letter) for letter in letters]
            array = np.squeeze(output.transpose([*order, *single]), (*range(-len(single), 0),))
            if "D" in letters:
                array = array.reshape(*array.shape[:-2], -1)
            # A last axis of size 1 may be missing.
            laid_out.append(array if {"F", "U"} & {*letters} else array[..., None])
        if len(laid_out) == 1:
            return laid_out[0]
        return np.concatenate([array.reshape(len(array), -1) for array in laid_out], axis=1)


def _dtype(info: Info) -> str:
    return info.dtype if info.dtype.startswith(("int", "float", "uint")) else "float32"


def open_file(path: Path, layout: FileLayout) -> Callable[[Batch], Array]:
    """Return a function from a batch of a network to the output of its file."""
    from rnnspec.backends.onnx.session import open_limited

    session: Any = open_limited(_live_model(path))
    names = [result.name for result in layout.results]
    first, setting = layout.inputs[0]
    rows = setting.size("B")

    def run(batch: Batch) -> Array:
        arrays = {first.name: batch} if isinstance(batch, np.ndarray) else dict(batch)
        if rows is None:
            return layout.join(session.run(names, layout.feed(arrays)))
        # As many sequences as the file takes, the last ones once more.
        outputs, count = [], len(arrays[first.name])
        for start in range(0, count, rows):
            indices = np.arange(start, start + rows).clip(max=count - 1)
            full = {name: array[indices] for name, array in arrays.items()}
            result = layout.join(session.run(names, layout.feed(full)))
            outputs.append(result[: count - start])
        return np.concatenate(outputs)

    return run


def _live_model(path: Path) -> bytes:
    """Return the model in a file that was read, for a runtime.

    It has no nodes that no output needs, because a runtime computes them too, whatever they take.
    All of its numbers are in it: the runtime opens no file.
    """
    contents = load(path)
    proto = contents.proto
    for body in (proto.graph, *proto.functions):
        needed = _keep_live(body, contents)
        if body is proto.graph:
            inputs = [value for value in body.input if value.name in needed]
            del body.input[:]
            body.input.extend(inputs)
    data: bytes = proto.SerializeToString()
    return data


def _keep_live(body: Any, contents: Contents) -> set[str]:
    """Remove nodes that no output of a graph or a function needs; return the names it takes."""
    makers = {name: node for node in body.node for name in node.output if name}
    is_graph = hasattr(body, "initializer")
    waiting = [output.name for output in body.output] if is_graph else list(body.output)
    live, needed = set[int](), set(waiting)
    while waiting:
        node = makers.get(waiting.pop())
        if node is None or id(node) in live:
            continue
        live.add(id(node))
        inputs = set(node.input)
        for attribute in node.attribute:
            # A field that is not there would be made by changing what is in it.
            graphs = [attribute.g] if attribute.HasField("g") else attribute.graphs
            for graph in graphs:
                inputs |= _keep_live(graph, contents)
            tensors = [attribute.t] if attribute.HasField("t") else attribute.tensors
            for tensor in tensors:
                contents.fill(tensor)
        waiting.extend(inputs - needed)
        needed |= inputs
    for at in reversed(range(len(body.node))):
        if id(body.node[at]) not in live:
            del body.node[at]
    if is_graph:
        # One by one: a list of what is left would be a copy of all numbers.
        for at in reversed(range(len(body.initializer))):
            if body.initializer[at].name in needed:
                contents.fill(body.initializer[at])
            else:
                del body.initializer[at]
    return needed
