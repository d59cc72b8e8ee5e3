"""A file of another tool in ONNX Runtime, on batches of the network that it became."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnspec.backends.onnx.contents import load

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from rnnspec.backends.onnx.contents import Contents
    from rnnspec.importing.graph.graph import Info
    from rnnspec.importing.graph.probes import Setting
    from rnnspec.slots import Array


@dataclass(frozen=True, slots=True)
class Result:
    """An output, and the letter of the network's output that each of its axes is.

    An axis of size 1 may have none, and F may be missing.
    """

    name: str
    axes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Layout:
    """How the inputs and the outputs of a file differ from those of its network.

    ``lengths`` is an input of lengths, None if there is none. ``filler`` is what padded steps hold.
    """

    setting: Setting
    first: Info
    lengths: Info | None
    results: tuple[Result, ...]

    def feed(self, batch: Array) -> dict[str, Array]:
        """Return the inputs for a batch of the network."""
        laid_out = self.setting.lay_out(batch)
        inputs = {self.first.name: np.ascontiguousarray(laid_out, _dtype(self.first))}
        if self.lengths is not None:
            real = batch != self.setting.filler
            counts = (real if self.setting.tokens else real.any(2)).sum(1)
            inputs[self.lengths.name] = counts.astype(_dtype(self.lengths))
        return inputs

    def join(self, outputs: list[Array]) -> Array:
        """Return the outputs as one of the network: several as (batch, all of their numbers)."""
        laid_out = []
        for result, output in zip(self.results, outputs, strict=True):
            letters = [letter for letter in "BTF" if letter in result.axes]
            single = [i for i, axis in enumerate(result.axes) if not axis]
            order = [result.axes.index(letter) for letter in letters]
            array = np.squeeze(output.transpose([*order, *single]), (*range(-len(single), 0),))
            # A last axis of size 1 may be missing.
            laid_out.append(array if "F" in letters else array[..., None])
        if len(laid_out) == 1:
            return laid_out[0]
        return np.concatenate([each.reshape(len(each), -1) for each in laid_out], axis=1)


def _dtype(info: Info) -> str:
    return info.dtype if info.dtype.startswith(("int", "float", "uint")) else "float32"


def open_file(path: Path, layout: Layout) -> Callable[[Array], Array]:
    """Return what computes the output of a file for a batch of its network."""
    from rnnspec.backends.onnx.session import open_limited

    session: Any = open_limited(_live_model(path))
    names = [result.name for result in layout.results]
    rows = layout.setting.size("B")

    def run(batch: Array) -> Array:
        if rows is None:
            return layout.join(session.run(names, layout.feed(batch)))
        # As many sequences as the file takes, the last ones once more.
        outputs = []
        for start in range(0, len(batch), rows):
            part = batch[start : start + rows]
            full = np.concatenate([part, np.repeat(part[-1:], rows - len(part), axis=0)])
            outputs.append(layout.join(session.run(names, layout.feed(full)))[: len(part)])
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
            inputs = [each for each in body.input if each.name in needed]
            del body.input[:]
            body.input.extend(inputs)
    data: bytes = proto.SerializeToString()
    return data


def _keep_live(body: Any, contents: Contents) -> set[str]:
    """Remove nodes that no output of a graph or a function needs; return the names it takes."""
    makers = {name: node for node in body.node for name in node.output if name}
    is_graph = hasattr(body, "initializer")
    waiting = [each.name for each in body.output] if is_graph else list(body.output)
    live, needed = set[int](), set(waiting)
    while waiting:
        node = makers.get(waiting.pop())
        if node is None or id(node) in live:
            continue
        live.add(id(node))
        taken = set(node.input)
        for attribute in node.attribute:
            # A field that is not there would be made by changing what is in it.
            graphs = [attribute.g] if attribute.HasField("g") else attribute.graphs
            for graph in graphs:
                taken |= _keep_live(graph, contents)
            tensors = [attribute.t] if attribute.HasField("t") else attribute.tensors
            for tensor in tensors:
                contents.fill(tensor)
        waiting.extend(taken - needed)
        needed |= taken
    kept = [node for node in body.node if id(node) in live]
    del body.node[:]
    body.node.extend(kept)
    if is_graph:
        arrays = [tensor for tensor in body.initializer if tensor.name in needed]
        for tensor in arrays:
            contents.fill(tensor)
        del body.initializer[:]
        body.initializer.extend(arrays)
    return needed
