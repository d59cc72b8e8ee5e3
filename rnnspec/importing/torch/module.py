"""A live module as a network and its canonical arrays, with an account of everything in it."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from functools import partial
from itertools import groupby
from pathlib import Path
from types import FunctionType
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnspec.backends.slots import is_finite
from rnnspec.backends.torch.slots import attributes
from rnnspec.errors import few
from rnnspec.importing.assemble import assemble
from rnnspec.importing.graph.layer_graph import SourcePlace
from rnnspec.importing.imported import Account, Imported
from rnnspec.importing.taken import LearnedVector, Taken
from rnnspec.importing.torch import graph, loops, states
from rnnspec.importing.torch.arrays import arrays_of
from rnnspec.importing.torch.layers import has_own_forward, is_alone, refuse_hooks
from rnnspec.importing.torch.reader import (
    leaves_of,
    read_operations,
    split_tuples,
    without_arguments,
)
from rnnspec.importing.torch.state_dict import (
    LayerNormModule,
    MatrixModule,
    RecurrentModule,
    StateDictEntry,
    Tied,
    ZooCellModule,
    modules,
)
from rnnspec.importing.torch.table import DRAWS
from rnnspec.importing.torch.values import HOOKS, names_in
from rnnspec.importing.torch.zoo import zoo_layers
from rnnspec.importing.unplaced import CELLS
from rnnspec.ir import nodes

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from rnnspec.backends.slots import Array
    from rnnspec.importing.arrange import Arranged
    from rnnspec.importing.assemble import Assembled
    from rnnspec.importing.graph.layer_graph import GraphLayer
    from rnnspec.importing.torch.scope import ModuleScope
    from rnnspec.importing.torch.state_dict import Module
    from rnnspec.importing.torch.values import ModuleLayout, Op
    from rnnspec.ir.equations import Equations


def read_module(
    module: Any,
    name: str,
    example: Mapping[str, Any] | None = None,
    outputs: Collection[int | str] | None = None,
) -> tuple[Imported, ModuleLayout]:
    """Return a live module as ``name``, and the layout of its inputs and result.

    Args:
        module: the module, which is not changed and not run.
        name: the name of the network.
        example: inputs of ``forward`` by the names of its arguments; without them, they are those
            without a default.
        outputs: the places or keys of the results that are taken, None for the usual ones.

    Raises:
        ModelError: rnnspec does not support something in it.
        UsageError: it cannot be copied.
    """
    account, inputs = Account("module"), list(example) if example else None
    _check_calls(account, module)
    traced = loops.trace(module, example or {}, states.find_given)
    fault = traced.fault
    for tester in traced.testers:
        account.leave(f"the condition on training in {tester}")
    _check_inputs(account, traced.operations, example or {}, whole=fault is None)
    operations = without_arguments(account, traced.operations)
    given = states.find_given(operations, example or {})
    operations, items = split_tuples(operations, example or {}, given)
    leaves = leaves_of(example or {}, items)
    shapes = {name: tuple(getattr(value, "shape", ())) for name, value in leaves.items()}
    given = states.find_given(operations, leaves)
    steps = shapes.keys() - given.keys() if fault is None else set[str]()
    rows = {states.rows_of(leaves.get(name)) for name in given}
    stepwise = traced.is_of_one_step(operations, {name: shapes[name] for name in steps}, rows)
    if stepwise:
        operations = _roll_step(account, traced, operations, leaves, steps)
        given = states.find_given(operations, leaves)
        shapes |= {name: (*shapes[name][:1], 1, *shapes[name][1:]) for name in steps}
    _check_cells(account, operations)
    reader = read_operations(
        account, module, operations, shapes, given, outputs, whole=fault is None,
        fixed=traced.fixed,
    )  # fmt: skip
    _check_calls_of_layers(account, operations)
    if fault is not None:
        # What is known of the operations before it is not what they are.
        account.keep("E701", "E703")
        _name_causes(account, module)
        account.refuse("forward", fault.reason, "E704", fault.place.file, fault.place.span)
    scope = reader.scope
    _account_for(account, scope, module, inputs)
    _check_padding(account, scope)
    account.check()
    first = None if stepwise else (example or {}).get(reader.first)
    arranged = reader.arrange(tuple(getattr(first, "shape", ())))
    account.check()
    assert arranged is not None, "without a problem"
    inputs_at = [*reader.places, *sorted(scope.given, reverse=True)]
    arranged, network_inputs, called, order = states.hand_on(
        arranged,
        [_network_input(account, scope, arranged, at) for at in inputs_at],
    )
    for argument, own in reader.renamed(called, [input_.name for input_ in network_inputs]):
        account.infer(f"the input {argument} is named {own}")
    kinds = {
        step.layer.name: f"nn.{type(scope.modules[step.modules[0]]).__name__}"
        for step in arranged.steps
        if step.modules
    }
    assembled = assemble(
        account,
        name,
        network_inputs,
        [step.layer for step in arranged.steps],
        kinds,
        outputs=arranged.outputs,
    )
    network, by_name = assembled.network, {step.layer.name: step for step in arranged.steps}
    pairs = assembled.pairs(by_name)
    listed = [
        part
        for step, level in _with_arrays(scope, [*_with_learned(assembled, by_name)])
        for part in _modules_of(scope, step, account, level)
    ]
    arrays = arrays_of(network, listed, account, Path("module"))
    for step, node in pairs:
        for key in (f"{node.name}.{array}" for array in ("kernel", "gamma", "beta")):
            if step.turned and key in arrays:
                arrays[key] = np.roll(arrays[key], len(arrays[key]) // 2, axis=0)
    # Without the numbers of a Sequential.
    names = {
        node.name: step.layer.name.replace(".", "_")
        for step, node in pairs
        if step.modules
        and not isinstance(step.layer, nodes.LayerNorm | nodes.AttentionPooling)
        and not step.layer.name.rpartition(".")[2].isdigit()
    }
    layout = reader.layout
    layout = replace(
        layout,
        inputs=tuple(called),
        items=items,
        stepwise=stepwise,
        results=tuple(layout.results[place] for place in order),
    )
    return account.finish(network, arrays, "module of PyTorch", names), layout


def _with_learned(assembled: Assembled, by_name: Mapping[str, GraphLayer]) -> Iterator[GraphLayer]:
    """Yield the steps in the order of the network, those of learned vectors before their layer."""
    for step, node in assembled.pairs(by_name):
        for vector in nodes.learned_of(node):
            yield by_name[assembled.learned[f"{vector.layer}.{vector.param}"]]
        yield step


def _network_input(
    account: Account, scope: ModuleScope, arranged: Arranged, at: int
) -> nodes.Input:
    """Return an input, with the padding that the lengths of packed sequences stand for."""
    setting, name = scope.probes.setting.of(at), scope.inputs[-at]
    masked = scope.has_padding and setting.padded
    features = scope.width(at)
    embeddings = (
        step.layer
        for step in arranged.steps
        if isinstance(step.layer, nodes.Embedding) and (step.layer.source or name) == name
    )
    first = next(embeddings, None)
    if not setting.is_sequence:
        if first is not None:
            return nodes.LabelInput(name=name, vocabulary=first.vocabulary)
        if features is None:
            account.refuse(name, "expected a layer that tells its features; give example=", "E707")
            account.check()
        return nodes.VectorInput(name=name, features=features or 0, state=False)
    steps = setting.size("T") or (None if at else arranged.length)
    if first is not None:
        if masked and scope.counted:
            message = "the module counts the other tokens of a sequence, and takes as many from its"
            account.infer(f"padding is token 0; {message} start")
        elif masked and scope.lengths:
            account.infer("padding is token 0; the module takes lengths")
        elif masked:
            account.infer(
                "padding is token 0, skipped wherever it is; "
                + ("compared" if scope.skips_everywhere else "in the module it is")
                + " at the end only"
            )
        size = first.vocabulary
        return nodes.TokenInput(name=name, steps=steps, vocabulary=size, mask_zero=masked)
    if masked and scope.lengths:
        account.infer("padding has zeros in every feature; the module takes lengths")
    if features is None:
        account.refuse(name, "expected a layer that tells its features; give example=", "E707")
        account.check()
    value = setting.filler if masked else None
    return nodes.NumericInput(name=name, steps=steps, features=features or 0, mask_value=value)


def _with_arrays(
    scope: ModuleScope, steps: Sequence[GraphLayer]
) -> Iterator[tuple[GraphLayer, int | None]]:
    """Yield the layers with arrays, several layers of one module once if they follow each other.

    Otherwise each comes with its level.
    """
    steps = [step for step in steps if step.layer.shares is None]
    # Between the layers of a stack, there may be learned states.
    stacks = [key for key, _ in groupby(s.modules for s in steps if s.modules or s.arrays)]
    levels = dict[tuple[str, ...], list[str]]()
    for step in scope.steps.values():
        if step.layer.shares is None:
            levels.setdefault(step.modules, []).append(step.layer.name)
    used = {step.layer.name for step in steps}
    before: tuple[str, ...] = ()
    for step in steps:
        outside = step.arrays or (isinstance(step.layer, nodes.Dense) and step.layer.tied)
        names = [
            name
            for name in levels[step.modules]
            if name.startswith(step.layer.name.partition("[")[0])
        ]
        if (
            isinstance(step.layer, nodes.Recurrent)
            and step.modules
            and (stacks.count(step.modules) > 1 or not used.issuperset(names))
        ):
            for name in names if step.modules != before else ():
                if name not in used:
                    scope.account.leave(name, reason="not used by forward")
            yield step, names.index(step.layer.name)
        elif outside or (step.modules and step.modules != before):
            yield step, None
        before = step.modules or before


def _modules_of(
    scope: ModuleScope, step: GraphLayer, account: Account, level: int | None
) -> list[Module]:
    """Return the modules with the arrays of a layer, and arrays that PyTorch's may lack."""
    match step.layer:
        case nodes.Dense(tied=str()):
            paths = [f"{path}.bias" for path in step.modules] or list((step.arrays or {}).values())
            bias = scope.tensors.get(paths[0]) if paths else None
            return [Tied(step.layer.name, None if bias is None else _entry(bias))]
        case LearnedVector():
            path, rows = (step.arrays or {})["vector"]
            tensor = scope.tensors[path].reshape(-1, scope.tensors[path].shape[-1])
            vector = _entry(tensor[list(rows)].reshape(-1))
            return [ZooCellModule(path, "nn.Parameter", {"vector": vector})]
        case nodes.Dense() if step.arrays:
            weight, turned = step.arrays["kernel"]
            kernel, biases = scope.tensors[weight], [scope.tensors[b] for b in step.arrays["bias"]]
            kernel = kernel.reshape(1, -1) if kernel.dim() == 1 else kernel
            turned = turned and scope.tensors[weight].dim() > 1
            bias = _entry(sum(biases[1:], biases[0])) if biases else None
            if "rows" in step.arrays:
                rows = slice(*step.arrays["rows"])
                kernel = kernel if len(kernel) == step.layer.units else kernel[rows]
                bias = _entry(biases[0][rows]) if biases else None
            return [MatrixModule(step.layer.name, _entry(kernel.T if turned else kernel), bias)]
        case nodes.Embedding() if step.arrays:
            table = step.arrays["one_hot"]
            entry = StateDictEntry(table.shape, floating=True, read=partial(np.copy, table))
            return [MatrixModule(step.layer.name, entry, None)]
        case nodes.AttentionPooling() if step.arrays:
            vector = scope.tensors[step.arrays["query"]].reshape(1, -1)
            whole = modules(_entries(scope, step), account) if step.modules else []
            return [*whole, MatrixModule(step.arrays["query"], _entry(vector), None)]
        case nodes.Attention():
            score = (step.arrays or {})["score"]
            return [MatrixModule(score, _entry(scope.tensors[score]), None)]
        case nodes.LayerNorm() if step.arrays:
            weight, bias = (
                _entry(scope.tensors[step.arrays[name]]) if name in step.arrays else None
                for name in ("gamma", "beta")
            )
            return [LayerNormModule(step.layer.name, weight, bias)]
        case nodes.LayerNorm():
            (path,), entries = step.modules, _entries(scope, step)
            weight, bias = (entries.get(f"{path}.{name}") for name in ("weight", "bias"))
            return [LayerNormModule(path, weight, bias)]
        case nodes.Recurrent(cell=nodes.EquationCell() as cell):
            first = scope.modules[step.modules[0]]
            names, values = attributes(cell), _parameters(first, cell.equations)
            arrays = {names[name]: entry for name, entry in values.items()}
            return [ZooCellModule(step.modules[0], type(first).__name__, arrays)]
        case _:
            whole = modules(_entries(scope, step), account)
            return [
                replace(module, layers=(module.layers[level],))
                if level is not None and isinstance(module, RecurrentModule)
                else module
                for module in whole
            ]


def _parameters(cell: Any, equations: Equations) -> dict[str, StateDictEntry]:
    """Return the parameters that a cell of torchrecurrent has in the zoo."""
    scalars = {name for name, shape in equations.parameters if shape == ()}
    kind = zoo_layers()[type(cell).__name__.removesuffix("Cell")]
    arrays = {array: graph.array(getattr(cell, array)) for array in kind.arrays}
    parameters = kind.parameters(arrays)
    # A scalar is an array of one number there, and so is a vector of one unit.
    values = {name: v.reshape(()) if name in scalars else v for name, v in parameters.items()}
    return {
        name: StateDictEntry(value.shape, floating=True, read=partial(np.copy, value))
        for name, value in values.items()
    }


def _entries(scope: ModuleScope, step: GraphLayer) -> dict[str, StateDictEntry]:
    """Return the arrays of the modules of a layer by their paths."""
    entries = {
        key: _entry(scope.tensors[key])
        for path in step.modules
        for key in scope.tensors
        if _owner(key) == path
    }
    path = step.modules[0] if step.modules else ""
    match step.layer:
        case nodes.BatchNorm():
            entries.pop(f"{path}.num_batches_tracked", None)
        case _:
            pass
    return entries


def _check_calls(account: Account, module: Any) -> None:
    """Refuse what is called beside the ``forward`` of the module's class, and is not traced.

    Raises:
        ModelError: ``forward`` itself is not called, so that it is pointless to trace it.
    """
    refuse_hooks(account, module)
    if graph.hooks_of_all_modules():
        account.refuse("module", "PyTorch has a hook for all modules, which is not read", "E701")
    if reason := _untraceable(module):
        account.refuse("module", reason, "E704" if is_alone(module) else "E701")
        account.check()
    written = {
        path or "module": type(part).__name__
        for path, part in module.named_modules()
        if _WRITTEN.search(type(part).__doc__ or "")
    }
    kinds = set(written.values())
    if written and not account.problems:
        message = (
            "expected the model of rnnspec.build as it was built, which has its spec, or a "
            "file of it; "
            f"received a part of its source, whose classes are not read ({few(sorted(kinds))}); "
            "rnnspec.read_weights(model, spec) reads its arrays"
        )
        account.refuse(few([*written]), message, "E704")
    if written:
        account.check()


_WRITTEN = re.compile(
    r"The cell \w+, run step by step\.|run step by step, with arrays named|and arrays as in ``nn\."
    r"|skips padded steps; its outputs there|A batch norm of \(batch, features"
)
"""What the docstrings say of classes that rnnspec writes around layers and cells."""


def is_unchanged(module: Any, fresh: Any) -> bool:
    """True if a module differs from a fresh one of the same source in nothing but its numbers.

    An attribute that neither its class nor the fresh one has is the user's, and changes nothing.
    """
    kinds = {type(part) for part in module.modules()}
    replaced = graph.hooks_of_all_modules() or any(map(_has_other_methods, kinds))
    return not replaced and _structure(module, fresh) == _structure(fresh, fresh)


def _structure(module: Any, fresh: Any) -> list[Any]:
    """Return the classes, the settings that a fresh module has, and the arrays of a module."""
    settings, structure = {path: vars(part) for path, part in fresh.named_modules()}, list[Any]()
    for path, part in module.named_modules(remove_duplicate=False):
        own = {
            name: repr(value)
            for name, value in vars(part).items()
            if (name in settings.get(path, ()) or hasattr(type(part), name))
            and not name.startswith("_")
            and name != "training"
        }
        hooks = any(getattr(part, name, None) for name in HOOKS)
        structure.append((path, type(part), own, hooks))
    # Each once, so that one which has become another's lacks its name.
    arrays = (*module.named_parameters(), *module.named_buffers())
    return [*structure, *((name, array.shape) for name, array in arrays)]


def _has_other_methods(kind: type) -> bool:
    """True if functions have been put into the place of methods, but for PyTorch's into its own.

    ``torch.compile`` does so with those that create a module.
    """
    return any(
        isinstance(value, FunctionType)
        and value.__module__.partition(".")[0] != base.__module__.partition(".")[0]
        for base in kind.__mro__
        for value in vars(base).values()
    )


def _untraceable(module: Any) -> str:
    """Return why it is pointless to trace the ``forward`` of a module's class, or nothing."""
    kind = type(module).__name__
    if is_alone(module):
        return (
            f"expected a module with a forward of its own, received nn.{kind}: call it in a module "
            "that returns a part of its result"
        )
    if graph.is_compiled(module):
        return "is compiled by TorchScript, and not read; expected the module of Python"
    if has_own_forward(module):
        return (
            "its forward is set on the object, and is not read; expected that of its class, "
            f"{kind}.forward"
        )
    if not graph.calls_itself(module):
        return "its class has a __call__ of its own, which is not read; expected forward alone"
    return ""


def _name_causes(account: Account, module: Any) -> None:
    """Refuse replaced code, which cannot be traced."""
    for path, part in module.named_modules():
        kind = type(part).__name__
        if has_own_forward(part):
            message = f"its forward is set on the object; expected that of its class, {kind}"
            account.refuse(path, message, "E701")


def _roll_step(
    account: Account,
    traced: loops.Unrolled,
    operations: Sequence[Op],
    leaves: Mapping[str, Any],
    steps: Collection[str],
) -> list[Op]:
    """Return the operations of one step on all of them; what is not read so is refused."""
    account.infer("forward takes one step; the network takes a sequence of them")
    try:
        return loops.roll(operations, traced.example(operations, leaves), (), steps)
    except loops.LoopError as error:
        place = error.op.place
        account.refuse(error.op.where, error.message, "E704", place.file, place.span)
        account.check()
        raise


def _check_inputs(
    account: Account, operations: Sequence[Op], leaves: Mapping[str, Any], *, whole: bool
) -> None:
    """Refuse what no meaning of the arguments makes a network."""
    before = len(account.problems)
    for op in operations:
        if op.kind == "call" and op.target.rpartition(".")[2] in DRAWS:
            message = f"'{op.target}' draws random numbers, in evaluation too; expected torch.zeros"
            message = f"{message}, or an argument of forward"
            account.refuse(op.target, message, "E703", op.place.file, op.place.span)
    for argument, value in leaves.items():
        where = f"the argument '{argument}'"
        if graph.is_packed(value):
            message = "expected a padded tensor and its lengths, which forward packs; received a"
            account.refuse(where, f"{message} PackedSequence", "E704")
        elif graph.is_integer(value) and value.ndim > 2:
            message = f"expected tokens of shape (batch, steps), received {tuple(value.shape)}"
            message = f"{message}; what there are several of at a step is an argument each"
            account.refuse(where, message, "E704")
    inputs = [op for op in operations if op.kind == "input"]
    tokens = {op.name for op in inputs if graph.is_tokens(leaves.get(op.target))}
    for op in operations:
        taken = {*names_in(op.args)}
        if op.target in ("add", "sub", "mul") and taken and taken <= tokens:
            tokens.add(op.name)
            message = "computes tokens from arguments; expected the result as an argument"
            account.refuse(op.target, message, "E704", op.place.file, op.place.span)
    if whole and not account.problems and not any(map(graph.is_recurrent, operations)):
        message = (
            "expected nn.RNN, nn.GRU, nn.LSTM or one of their cells, received a module which calls "
            "none of these: a recurrence by equations of its own is a cell of a spec, and not read"
        )
        results = {name for op in operations[-1:] for name in names_in(op.args)}
        place = next((op.place for op in operations if op.name in results), SourcePlace())
        account.refuse("forward", message, "E704", place.file, place.span)
    if len(account.problems) > before:
        account.check()


def _check_calls_of_layers(account: Account, operations: Sequence[Op]) -> None:
    """Refuse recurrent layers that are called again, in place of what follows from that."""
    calls = dict[str, "list[Op]"]()
    for op in operations:
        if op.layer in CELLS:
            calls.setdefault(op.target, []).append(op)
    for path, (first, *others) in calls.items():
        behind = {first.name}
        for op in operations:
            if behind.intersection(names_in((op.args, tuple(op.kwargs.values())))):
                behind.add(op.name)
        again = next((op for op in others if op.name in behind), None)
        # Calls of other inputs are layers that share their arrays.
        if again is not None and account.problems:
            account.keep("E701", "E703")
            message = f"called {len(calls[path])} times, with the same weights; {graph.ONE_CALL}"
            account.refuse(path, message, "E704", again.place.file, again.place.span)


def _check_cells(account: Account, operations: Sequence[Op]) -> None:
    """Refuse cells, of which only an example tells how they are called."""
    calls = Counter(op.target for op in operations if op.layer in loops.CELLS)
    for op in operations:
        number = calls.pop(op.target, 0) if op.layer in loops.CELLS else 0
        if number:
            message = f"nn.{op.layer} is read with example=, an input of one step"
            if number > 1:
                message = f"called {number} times; expected a loop over all steps of its input"
            account.refuse(op.where, message, "E704", op.place.file, op.place.span)
            account.check()


def _owner(key: str) -> str:
    return key.rpartition(".")[0]


def _entry(tensor: Any) -> StateDictEntry:
    def read() -> Array:
        array: Array = graph.array(tensor)
        return array

    return StateDictEntry(tuple(tensor.shape), bool(tensor.is_floating_point()), read)


def _constant(value: float, size: int) -> StateDictEntry:
    def read() -> Array:
        array: Array = np.full(size, value)
        return array

    return StateDictEntry((size,), floating=True, read=read)


def _account_for(
    account: Account, scope: ModuleScope, module: Any, inputs: Sequence[str] | None
) -> None:
    """Name every array and argument that no layer has, and refuse shared and broken arrays."""
    owners = dict[int, str]()
    outside = {
        path
        for step in scope.steps.values()
        for value in (step.arrays or {}).values()
        for path in (value[:1] if isinstance(value, tuple) else (value,))
        if isinstance(path, str)
    }
    tied = {
        f"{step.modules[0]}.weight"
        for step in scope.steps.values()
        if isinstance(step.layer, nodes.Dense) and step.layer.tied and step.modules
    }
    for key, tensor in scope.tensors.items():
        path, array = _owner(key), key.rpartition(".")[2]
        if path not in scope.modules and key not in outside:
            account.leave(key, reason="not used by forward")
            continue
        if key in tied:
            continue
        if array == "num_batches_tracked":
            account.leave(array, path, reason="it counts batches")
            continue
        other = owners.setdefault(id(tensor), key)
        if other != key:
            message = f"is the same array as {other}; rnnspec does not support shared weights"
            account.refuse(key, f"{message}, but those of an embedding and an output", "E704")
        elif tensor.is_meta:
            message = "expected numbers, received a tensor of the device 'meta', which has none"
            account.refuse(key, message, "E708")
        elif not is_finite(graph.array(tensor)):
            account.refuse(key, "expected finite numbers, received others", "E708")
        embeds = type(scope.modules.get(path)).__name__ == "Embedding"
        if not tensor.requires_grad and not embeds and not array.startswith("running_"):
            account.leave("requires_grad=False", key)
    for name, default in graph.defaults(module, inputs).items():
        account.infer(f"the argument '{name}' of forward has its default, {default!r}")
    if scope.casts_to_integers and not scope.tokens:
        account.refuse("long", "expected an embedding of the integers, received none", "E704")


def _check_padding(account: Account, scope: ModuleScope) -> None:
    """Refuse what differs from the padding that the lengths of packed sequences stand for."""
    op, index = scope.padding or (None, 0)
    if op and not scope.has_padding:
        reason = "PyTorch masks nothing by it, and only keeps that vector from being trained"
        account.leave(f"padding_idx={index}", reason=reason)
    elif op and index != 0:
        message = (
            f"padding_idx: expected 0, the token that a spec masks, received {index}; exchange the "
            f"tokens 0 and {index} in the vocabulary, and these rows of {op.target}.weight"
        )
        account.refuse(op.target, message, "E703", op.place.file, op.place.span)
    # Other inputs may have no padding.
    padded = {
        name
        for step in scope.steps.values()
        if isinstance(step.layer, nodes.Recurrent) and _has_padded_steps(scope, step.sources[0])
        for name in step.modules
    }
    plain = [name for name, packed in scope.packed.items() if not packed and name in padded]
    if plain and any(scope.packed.values()):
        message = "expected packed sequences in every recurrent layer or in none; received others"
        account.refuse(plain[0], message, "E704")
    for at, step in scope.steps.items() if scope.has_padding else ():
        where, place = step.op.where, step.op.place
        if message := _reads_padding(scope, at):
            account.refuse(where, message, "E704", place.file, place.span)
        if isinstance(step.layer, nodes.BatchNorm):
            account.leave("padding in the statistics of a batch", where)


def _reads_padding(scope: ModuleScope, at: int) -> str:
    """Return why the result of a layer depends on padded steps, empty if it does not."""
    step, packs = scope.steps[at], any(scope.packed.values())
    layer = step.layer
    padded = _has_padded_steps(scope, step.sources[0])
    if isinstance(layer, nodes.Windowed) and padded and not scope.masked.get(at):
        way = "pack_padded_sequence" if packs else "masks"
        message = "sees what padded steps hold, which rnnspec leaves out; expected it without"
        return f"{message} {way}"
    if packs or scope.masked.get(at) or not _has_padded_steps(scope, step.sources[0]):
        return ""
    match layer:
        case nodes.Pooling(statistic="last") if scope.masked.get(step.sources[0]):
            return ""
        case nodes.Recurrent(merge=str()):
            return (
                "reads padding before the steps of a sequence, backward; expected "
                "pack_padded_sequence"
            )
        case nodes.Pooling(statistic="last" | "last_step") | nodes.LastSteps() | nodes.Flatten():
            return (
                "takes what stands at padding, which masks leave out elsewhere; a spec has one mask"
            )
        case Taken() if not scope.masked.get(step.sources[0]):
            return (
                "takes what stands at padding, which masks leave out elsewhere; a spec has one mask"
            )
        case nodes.Pooling() | nodes.AttentionPooling():
            return "counts padding, which masks leave out elsewhere; a spec has one mask"
        case _:
            return ""


def _has_padded_steps(scope: ModuleScope, at: int) -> bool:
    """True if the output at a place has padded steps."""
    return scope.is_sequence(at) and not all(real.all() for real in scope.sequences(at).real)
