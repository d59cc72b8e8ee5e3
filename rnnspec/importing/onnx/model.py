"""An ONNX file of another tool as a network and its canonical arrays."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from functools import partial
from itertools import permutations
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnspec.backends.slots import is_finite, packed
from rnnspec.errors import brief
from rnnspec.importing.arrange import arrange
from rnnspec.importing.assemble import assemble, is_input_name, is_layer_name
from rnnspec.importing.graph.graph import GraphNode, Info
from rnnspec.importing.graph.probes import ProbeSetting
from rnnspec.importing.graph.reader import Budget, read_in_order
from rnnspec.importing.graph.values import NAMES_OF_AXES
from rnnspec.importing.imported import Account, Became, Imported
from rnnspec.importing.onnx.decode import read_graph
from rnnspec.importing.onnx.original import FileLayout, OutputLayout, open_file
from rnnspec.importing.onnx.reader import OPERATORS, OnnxReader
from rnnspec.importing.taken import Taken
from rnnspec.ir import nodes
from rnnspec.ir.params import params
from rnnspec.ir.text import type_name

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from rnnspec.backends.slots import Array
    from rnnspec.importing.arrange import Arranged
    from rnnspec.importing.graph.graph import Graph
    from rnnspec.importing.graph.layer_graph import GraphLayer
    from rnnspec.importing.graph.probes import Probes
    from rnnspec.importing.graph.scope import Scope

_OPERATORS = {op.lower() for op in OPERATORS}
_DEFAULT_NAMES = re.compile(
    r"(node|model|main|sequential|functional|layers?|module|cell|partitionedcall"
    r"|statefulpartitionedcall|transpose|loop)?_*\d*",
    re.IGNORECASE,
)


_BATCH = r"b|n|bs|bsz|batch(es|_?size|_?dim)?"
_STEPS = r"t|time|(time_?)?steps?|seq(uence)?(_?len(gth)?)?|len(gth)?"
"""The usual names of axes."""


def read_file(path: Path, name: str) -> Imported:
    """Return the model in an ONNX file as ``name``.

    Raises:
        BackendError: the package ``onnx`` is not installed.
        ModelError: rnnspec cannot express the model.
        UsageError: the file cannot be read.
    """
    graph = read_graph(path)
    planned = _plan_inputs(graph)
    account, reader = _read(str(path), graph, planned)
    account.check()
    if graph.is_half:
        account.infer("its numbers are rounded to float16 in the file, and not in the spec")
    scope = reader.scope
    steps = scope.probes.setting.size("T")
    arranged = arrange(scope, [(n, value.at) for n, value in _name_results(reader)], steps)
    account.check()
    assert arranged is not None, "without a problem"
    kinds = {step.layer.name: _op(step) for step in arranged.steps}
    assembled = assemble(
        account,
        name,
        _network_inputs(account, reader, arranged, planned),
        [step.layer for step in arranged.steps],
        kinds,
        outputs=arranged.outputs,
    )
    network = assembled.network
    pairs = assembled.pairs({step.layer.name: step for step in arranged.steps})
    vectors = {step.layer.name: (step.arrays or {}).get("vector") for step in arranged.steps}
    arrays = _arrays(
        account, pairs, {path: vectors[name] for path, name in assembled.learned.items()}
    )
    _check_masks(account, reader, pairs)
    least = nodes.least_steps(network)
    open_ended = any(
        isinstance(network_input, nodes.SequenceInput) and network_input.steps is None
        for network_input in network.inputs
    )
    if open_ended and least > 1:
        # A runtime may give a window that is longer than the sequence.
        what = f"what the file returns for fewer than {least} steps"
        account.leave(what, reason="the windows of the spec need as many")
    account.check()
    names = {node.name: label for step, node in pairs if (label := _name_of(step))}
    counts = Counter(names.values())
    unique = {name: label for name, label in names.items() if counts[label] == 1}
    form = f"ONNX file of {graph.writer}"
    imported = account.finish(network, arrays, form, unique, opener="onnx")
    infos = {info.name: info for info in graph.inputs}
    layout = FileLayout(
        tuple((infos[name], scope.probes.setting.of(-place)) for place, name in enumerate(planned)),
        infos.get(reader.lengths),
        tuple(OutputLayout(name, value.axes) for name, value in reader.results),
    )
    return replace(
        imported,
        inputs={name: own for own, name in planned.items()},
        open_file=partial(open_file, path, layout),
        padded_at_end=scope.is_counted or bool(reader.lengths),
        limits=graph.limits,
    )


def _plan_inputs(graph: Graph) -> dict[str, str]:
    """Return the names in the network of its inputs by those in the graph, a sequence first."""
    tables, states = set[str](), set[str]()
    values = {name: {name} for name in (info.name for info in graph.inputs)}
    for node in graph.nodes:
        # What an input is behind operators that only move it.
        moved = [values.get(name, set[str]()) for name in node.inputs]
        if node.op == "Gather" and len(moved) > 1 and node.inputs[0] in graph.arrays:
            tables |= moved[1] if graph.arrays[node.inputs[0]].dtype.kind == "f" else set()
        if node.op in ("LSTM", "GRU", "RNN"):
            states |= set[str]().union(*moved[5:7])
        if node.op in _MOVING and moved:
            values |= dict.fromkeys(node.outputs, moved[0])
    used = {name for node in graph.nodes for name in node.input_names}
    used |= {info.name for info in graph.outputs}
    planned = list[Info]()
    for info in graph.inputs:
        is_label = info.dims is not None and len(info.dims) == 1 and info.name in tables
        few = info.dims is None or len(info.dims) not in (2, 3)
        if info.name in used and (is_label or not few):
            planned.append(info)
    if len(planned) < 2:
        return {info.name: nodes.INPUT for info in graph.inputs[:1]}
    first = next((info for info in planned if _is_sequence(info, states)), planned[0])
    planned.remove(first)
    names = dict[str, str]()
    for at, info in enumerate([first, *planned], 1):
        name = _sanitize(info.name)
        fits = is_input_name(name) and name not in names.values()
        made_up = re.fullmatch(r".*_\d+", name) is not None
        names[info.name] = name if fits and not made_up else f"input_{at}"
    return names


def _is_sequence(info: Info, states: Collection[str]) -> bool:
    """True if an input has steps: it is no state, and no vector of a fixed size."""
    dims = info.dims or ()
    if info.name in states or len(dims) < 2:
        return False
    return len(dims) == 3 or info.dtype.startswith("int") or not isinstance(dims[1], int)


_MOVING = ("Identity", "Cast", "Squeeze", "Unsqueeze", "Reshape", "Transpose", "Slice", "Split")


def _read(source: str, graph: Graph, planned: Mapping[str, str]) -> tuple[Account, OnnxReader]:
    """Return a graph as layers, with the input laid out as the graph takes it."""
    account, name = Account(source), brief(next(iter(planned), ""))
    infos = {info.name: info for info in graph.inputs}
    budget = Budget(source, graph.arrays.values())

    def read(tried: Account, probes: Probes) -> OnnxReader:
        budget.spend(probes.cost)
        reader = OnnxReader(tried, graph, probes, budget, planned)
        reader.read()
        if not reader.results and not tried.problems:
            tried.refuse("the graph", "expected the output of a layer, received none", "E704")
        if not tried.problems:
            for place, own in enumerate(planned):
                _check_names(tried, infos[own], probes.setting.of(-place))
        layers = [step.layer for step in reader.scope.steps.values()]
        if not tried.problems and not any(isinstance(layer, nodes.Recurrent) for layer in layers):
            tried.refuse("the graph", "expected a recurrent layer, received none", "E701")
        return reader

    several = [infos[own] for own in planned]
    for info in several[1:]:
        if 0 in (info.dims or ()):
            account.refuse(brief(info.name), "expected sizes of at least 1, received 0", "E707")
        elif not info.dtype.startswith(("int", "uint", "float", "bfloat")):
            message = f"expected an input of numbers, received {brief(info.dtype)}"
            account.refuse(brief(info.name), message, "E703")
    account.check()
    settings = _settings(source, graph, several[0] if several else None)
    if len(several) > 1:
        settings = _with_others(settings, several[0], several[1:])
    return account, read_in_order(account, name, settings, read)


def _with_others(
    settings: Iterator[ProbeSetting], first: Info, others: Sequence[Info]
) -> Iterator[ProbeSetting]:
    """Yield how the inputs may be laid out: sequences with the same name of their steps are alike.

    The others are only if they are joined.
    """
    for setting in settings:
        clocks: dict[Any, int] = {(first.dims or ())[setting.order.index("T")]: 0}
        plain = replace(setting, padded=False)
        several = [_other_setting(plain, info, clocks) for info in others]
        rows = [setting.size("B"), *(other.size("B") for other in several)]
        fixed = next((size for size in rows if size is not None), None)
        if fixed is not None:
            at = plain.order.index("B")
            plain = replace(plain, sizes=(*plain.sizes[:at], fixed, *plain.sizes[at + 1 :]))
        yield replace(plain, others=tuple(several))


def _other_setting(first: ProbeSetting, info: Info, clocks: dict[Any, int]) -> ProbeSetting:
    """Return how an input behind the first one is laid out: as that is."""
    dims = info.dims or ()
    sizes = tuple(size if isinstance(size, int) else None for size in dims)
    whole = info.dtype.startswith(("int", "uint"))
    batch_first = first.order.index("B") < first.order.index("T")
    match len(dims):
        case 1:
            order = "B"
        case 2 if whole or sizes[1] is None:
            order = "BT" if batch_first else "TB"
        case 2:
            order = "BF"
        case _ if isinstance(dims[0], int) and isinstance(dims[2], int) and dims[0] in (1, 2):
            order = "DBU"
        case _ if len(first.order) == 3:
            order = first.order
        case _:
            order = "BTF" if batch_first else "TBF"
    clock = 0
    if "T" in order:
        name = dims[order.index("T")]
        # Steps without a name are those of no other input.
        clock = clocks.setdefault(info if name is None else name, len(clocks))
    tokens = whole and len(dims) < 3
    return ProbeSetting(order=order, sizes=sizes, tokens=tokens, padded=False, clock=clock)


def _settings(source: str, graph: Graph, first: Info | None) -> Iterator[ProbeSetting]:
    """Yield how the first input may be laid out, the usual ways first.

    Raises:
        ModelError: it is no sequence.
    """
    account = Account(source)
    if first is None or not graph.outputs:
        account.refuse("the graph", "expected an input and an output, received none", "E704")
        account.check()
        raise AssertionError("check raises")
    dims = first.dims
    if dims is None or len(dims) not in (2, 3):
        received = "no shape" if dims is None else f"{len(dims)} axes"
        message = "expected tokens (batch, steps) or features (batch, steps, features), received "
        account.refuse(brief(first.name), message + received, "E707")
    elif 0 in dims:
        account.refuse(brief(first.name), "expected sizes of at least 1, received 0", "E707")
    elif not first.dtype.startswith(("int", "uint", "float", "bfloat")):
        message = f"expected an input of numbers, received {brief(first.dtype)}"
        account.refuse(brief(first.name), message, "E703")
    account.check()
    assert dims is not None, "checked before"
    sizes = tuple(size if isinstance(size, int) else None for size in dims)
    if len(sizes) == 2:
        kinds = [(True, "BT"), (True, "TB")]
        numbers = [(False, "BT"), (False, "TB")]
        kinds = kinds + numbers if first.dtype.startswith("int") else [*numbers, *kinds]
        for tokens, order in kinds:
            yield ProbeSetting(order=order, sizes=sizes, tokens=tokens)
        return
    orders = ["BTF", "TBF", "BFT"]
    orders += [o for o in map("".join, permutations("BTF")) if o not in orders]
    for order in orders:
        # The features of a network have a fixed number.
        if sizes[order.index("F")] is not None:
            yield ProbeSetting(order=order, sizes=sizes, tokens=False)
    if None not in sizes[1:]:
        yield ProbeSetting(order="BTF", sizes=sizes, tokens=False, has_turned_steps=True)
    if all(size is None for size in sizes):
        account.refuse(brief(first.name), "expected a fixed number of features", "E707")
        account.check()


def _check_names(account: Account, info: Info, setting: ProbeSetting) -> None:
    """Refuse an input whose layers run over the axis that the file calls the batch.

    A layer that expects the steps first computes that for (batch, steps, features) too, without an
    error, and takes each batch for a sequence.
    """
    names = dict(zip(setting.order, info.dims or (), strict=False))
    others = {"T": _BATCH, "B": _STEPS}
    if any(re.fullmatch(others[letter], str(names.get(letter)), re.IGNORECASE) for letter in "TB"):
        file_axes = ", ".join(map(str, names.values()))
        order = ", ".join(NAMES_OF_AXES[letter] for letter in setting.order)
        message = f"the file calls its axes ({file_axes}), but its layers take them as ({order})"
        account.refuse(brief(info.name), f"{message}; expected the same of both", "E704")


def _name_results(reader: OnnxReader) -> list[tuple[str, Any]]:
    """Return the results, with names if there are several."""
    if len(reader.results) == 1:
        return [("", reader.results[0][1])]
    names = [_sanitize(name) for name, _ in reader.results]
    # Layers without a name of their own are numbered.
    names = [f"{name}_head" if re.fullmatch(r".*_\d+", name) else name for name in names]
    usable = all(map(is_layer_name, names)) and len(set(names)) == len(names)
    result_names = names if usable else [f"output_{i}" for i in range(len(names))]
    return [(name, value) for name, (_, value) in zip(result_names, reader.results, strict=True)]


def _network_inputs(
    account: Account, reader: OnnxReader, arranged: Arranged, planned: Mapping[str, str]
) -> list[nodes.Input]:
    """Return the inputs, with their lengths if the file fixes them."""
    scope = reader.scope
    masked = _masked_inputs(scope)
    if masked and (scope.is_counted or reader.lengths):
        lengths_remark = f"; the file takes lengths as its input {brief(reader.lengths)}"
        account.infer(
            "padding is skipped wherever it is; in the file it is at the end alone"
            + lengths_remark * bool(reader.lengths)
        )
    embeddings = {
        step.sources[0]: step.layer
        for step in scope.steps.values()
        if isinstance(step.layer, nodes.Embedding)
    }
    inputs = dict[str, nodes.Input]()
    for place, (own, name) in enumerate(planned.items()):
        setting = scope.probes.setting.of(-place)
        where = brief(own) if len(planned) > 1 else ""
        if where and name != own:
            account.infer(f"the input {where} is named {name}")
        embedding = embeddings.get(-place)
        width = scope.width(-place)
        if not setting.is_sequence:
            if embedding is not None:
                inputs[own] = nodes.LabelInput(name=name, vocabulary=embedding.vocabulary)
            elif width is None:
                account.refuse(brief(own), "expected a fixed number of features", "E707")
            else:
                inputs[own] = nodes.VectorInput(name=name, features=width, state=False)
            continue
        fixed = setting.size("T")
        length = fixed if place else arranged.length or fixed
        if fixed is not None:
            what = f"{name}.length" if where else "input.length"
            account.infer(f"{what} {fixed}: the file takes sequences of {fixed} steps alone")
        if not place and (rows := setting.size("B")) is not None:
            account.infer(f"any number of sequences; the file takes {rows} at a time")
        scope.infer_axes("the file takes", setting.order, "BT" if setting.tokens else "BTF", where)
        if embedding is not None:
            inputs[own] = nodes.TokenInput(
                name=name, steps=length, vocabulary=embedding.vocabulary, mask_zero=-place in masked
            )
        elif width is None:
            account.refuse(brief(own), "expected tokens of an embedding, received others", "E704")
        else:
            value = setting.filler if -place in masked else None
            inputs[own] = nodes.NumericInput(
                name=name, steps=length, features=width, mask_value=value
            )
    account.check()
    return [inputs[info] for info in reader.names_in_file if info in inputs]


def _masked_inputs(scope: Scope) -> set[int]:
    """Return the places of the inputs whose padding some layer leaves out."""
    masked = set[int]()
    waiting = [at for at, step in scope.steps.items() for at in _left_out_by(scope, at, step)]
    seen = set(waiting)
    while waiting:
        at = waiting.pop()
        if at <= 0:
            masked.add(at)
            continue
        new = [one for one in _padding_from(scope, at) if one not in seen]
        seen.update(new)
        waiting += new
    return {at for at in masked if scope.probes.setting.of(at).padded}


def _left_out_by(scope: Scope, at: int, step: GraphLayer) -> Iterator[int]:
    """Yield the places of the sequences whose padding a layer leaves out."""
    sources, own = step.sources, 0
    match step.layer:
        case nodes.Attention():
            own = 1
        case nodes.Recurrent(attention=nodes.StepAttention(masked=True), initial=initial):
            yield sources[1 + sum(name is not None for name in initial)]
        case _:
            pass
    # The second direction of a layer takes nothing by itself.
    if scope.masked.get(at) and sources and scope.is_sequence(sources[own]):
        yield sources[own]


def _padding_from(scope: Scope, at: int) -> tuple[int, ...]:
    """Return the places of the sequences whose padding the sequence of a layer has."""
    step = scope.steps[at]
    if step.layer.time_axis == "new":
        return ()
    joins = step.layer.acts_on == "inputs"
    sources = step.sources if joins else step.sources[:1]
    return tuple(source for source in sources if scope.is_sequence(source))


def _padded_places(scope: Scope) -> set[int]:
    """Return the places of the sequences that have padding in the network."""
    padded = _masked_inputs(scope)
    for at in scope.steps:
        if scope.is_sequence(at) and any(one in padded for one in _padding_from(scope, at)):
            padded.add(at)
    return padded


def _arrays(
    account: Account, pairs: Sequence[tuple[GraphLayer, nodes.Layer]], learned: Mapping[str, Any]
) -> dict[str, Array]:
    """Return the canonical arrays of the layers; ``learned`` has the states that they begin as."""
    arrays: dict[str, Array] = {}
    for step, node in pairs:
        stored = dict(step.arrays or {})
        for param in params(node):
            path = f"{node.name}.{param.name}"
            array = learned.get(path, stored.pop(param.name, None))
            if array is None or array.shape != param.shape:
                shape = "none" if array is None else array.shape
                message = f"{param.name}: expected {param.shape}, received {shape}"
                account.refuse(step.op.where, message, "E707")
            elif array.dtype.kind != "f":
                account.refuse(
                    step.op.where, f"{param.name}: expected real numbers, received others", "E707"
                )
            elif not is_finite(array):
                message = f"{param.name}: expected finite numbers, received others"
                account.refuse(step.op.where, message, "E708")
            elif param.positive and (array < 0).any():
                message = f"{param.name}: expected no negative numbers, received some"
                account.refuse(step.op.where, message, "E708")
            else:
                wide = array if array.dtype.itemsize > 2 else array.astype(np.float32)
                arrays[path] = packed(wide)
        became = f"{node.name} ({type_name(node)})"
        if params(node) or isinstance(node, nodes.Dense):
            account.became.append(Became(step.op.where, _op(step), became))
    return arrays


def _check_masks(
    account: Account, reader: OnnxReader, pairs: Sequence[tuple[GraphLayer, nodes.Layer]]
) -> None:
    """Refuse layers that see padding where those of the language leave it out."""
    _check_padding(account, reader)
    masked = {reader.scope.steps[at].op.where: value for at, value in reader.scope.masked.items()}
    at_end = reader.scope.probes.setting.at_end
    for step, node in pairs:
        # Padding at the end does not change what a forward layer has read before.
        if (
            at_end
            and isinstance(node, nodes.Recurrent)
            and node.merge is None
            and not node.backward
        ):
            continue
        # It matters to no other in inference whether it leaves out padding.
        leaves_out = getattr(node, "masked", None)
        if node.acts_on == "steps" and leaves_out is not None:
            seen = masked.get(step.op.where, leaves_out)
            if seen != leaves_out and getattr(node, "statistic", "") not in ("last", "last_step"):
                what = "counts padding" if leaves_out else "leaves out padding"
                other = "leaves it out" if leaves_out else "does not"
                message = f"{what}, where the network of rnnspec {other}"
                account.refuse(step.op.where, message, "E704")


def _check_padding(account: Account, reader: OnnxReader) -> None:
    """Refuse what depends on padded steps, and numbers in place of padding that is none."""
    scope = reader.scope
    padded, reached = _padded_places(scope), set[int]()
    waiting = [value.at for _, value in reader.results]
    while waiting:
        at = waiting.pop()
        if at > 0 and at not in reached:
            waiting += scope.steps[at].sources
        reached.add(at)
    for at, op in scope.filled.items():
        if at not in padded:
            message = "puts a number in place of padding, which no layer leaves out"
            account.refuse(op.where, f"{message}; rnnspec does not support that", "E704")
    for at in sorted(reached):
        step = scope.steps.get(at)
        if step is None or step.sources[0] not in padded:
            continue
        match step.layer:
            case Taken(state=""):
                takes = False
            case nodes.Pooling(statistic="last") | Taken():
                before = step.sources[0]
                takes = isinstance(scope.steps[before].layer, nodes.Recurrent)
                takes &= not scope.masked.get(before)
            case nodes.Pooling(statistic="first_step" | "last_step"):
                takes = True
            case _:
                takes = False
        if takes:
            message = "takes what stands at padding, which other layers leave out"
            account.refuse(step.op.where, f"{message}; rnnspec does not support that", "E704")


def _op(step: GraphLayer) -> str:
    return step.op.op if isinstance(step.op, GraphNode) else ""


def _name_of(step: GraphLayer) -> str:
    """Return the name that a node has for a layer in the model that was exported, or nothing."""
    parts = re.split(r"[/.:]+", step.op.where)
    while parts and (
        _DEFAULT_NAMES.fullmatch(parts[-1]) or re.sub(r"_\d+$", "", parts[-1]).lower() in _OPERATORS
    ):
        parts.pop()
    name = _sanitize(parts[-1]) if len(parts) and " at " not in step.op.where else ""
    generic = re.match(r"(node|onnx)_|.*__\d+$", name)
    # Norms and attentions may be keys of other layers.
    named = step.modules and not isinstance(step.layer, nodes.LayerNorm | nodes.AttentionPooling)
    return name if named and not generic and is_layer_name(name) else ""


def _sanitize(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")[:40]
