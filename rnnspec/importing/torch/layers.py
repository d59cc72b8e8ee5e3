"""Modules of PyTorch as layers of the language, with their settings checked."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnspec.errors import listed
from rnnspec.importing.graph import joins, pairs
from rnnspec.importing.graph.layer_graph import RefusedError
from rnnspec.importing.graph.layers import tokens_of
from rnnspec.importing.graph.values import CarriedStates, Known, Pairs, Tensor, Unknown
from rnnspec.importing.graph.windows import convolve, pad_axes
from rnnspec.importing.torch import states
from rnnspec.importing.torch.operators import axis_number
from rnnspec.importing.torch.values import (
    HOOKS,
    NonTensor,
    Packed,
    describe,
    is_size,
)
from rnnspec.importing.torch.zoo import zoo_layer
from rnnspec.importing.unplaced import CELLS, conv, dense, embedding, recurrent
from rnnspec.ir import nodes

if TYPE_CHECKING:
    from rnnspec.importing.graph.values import Probed
    from rnnspec.importing.imported import Account
    from rnnspec.importing.torch.operators import Operators
    from rnnspec.importing.torch.scope import ModuleScope
    from rnnspec.importing.torch.values import Arguments, Op
    from rnnspec.importing.torch.zoo import ZooLayer
    from rnnspec.words import Activation

ACTIVATIONS: dict[str, Activation] = {
    "ReLU": "relu", "Tanh": "tanh", "Sigmoid": "sigmoid", "Softsign": "softsign", "SiLU": "silu",
    "SELU": "selu", "Hardsigmoid": "hard_sigmoid", "ELU": "elu", "Softplus": "softplus",
    "Softmax": "softmax", "LogSoftmax": "log_softmax", "Identity": "linear",
}  # fmt: skip
"""The activations of PyTorch's modules by their class."""


SETTINGS: dict[str, dict[str, object]] = {
    "ELU": {"alpha": 1.0}, "Softplus": {"beta": 1.0, "threshold": 20.0},
    "Embedding": {"max_norm": None},
    "RNN": {"proj_size": 0}, "GRU": {"proj_size": 0}, "LSTM": {"proj_size": 0},
    "Conv1d": {"groups": 1, "padding_mode": "zeros"},
    "MaxPool1d": {"dilation": 1, "return_indices": False},
    "BatchNorm1d": {"track_running_stats": True},
    "AdaptiveMaxPool1d": {"output_size": 1, "return_indices": False},
    "AdaptiveAvgPool1d": {"output_size": 1},
    "ConstantPad1d": {"value": 0},
    "Flatten": {"start_dim": 1, "end_dim": -1},
    "MultiheadAttention": {"bias_k": None, "bias_v": None, "add_zero_attn": False},
}  # fmt: skip
"""The values of settings that the language has."""


_CALLED_AGAIN = "called again, with the same weights; rnnspec does not support that here"


_PLAIN = (
    "Dropout", "Dropout1d", "Dropout2d", "LeakyReLU", "ReLU6", "Hardtanh", "MaxPool1d", "AvgPool1d",
    "AdaptiveMaxPool1d", "AdaptiveAvgPool1d", "ZeroPad1d", "ConstantPad1d", "Flatten",
    *ACTIVATIONS,
)  # fmt: skip
"""Modules without arrays."""


_HEADS = "MultiheadAttention"
_WITH_ARRAYS = ("Embedding", "Linear", "LayerNorm", "Conv1d", "BatchNorm1d", _HEADS, *CELLS)


def call_module(m: Operators, op: Op, arguments: Arguments) -> Any:
    """Return the result of a module; ``arguments`` are None if refused.

    Raises:
        RefusedError: rnnspec does not support the module, a setting of it, or it in this place.
    """
    x = arguments[0][0] if arguments and arguments[0] else None
    if op.layer in CELLS or not isinstance(x, Tensor) or x.rows is None:
        return _call(m, op, arguments)
    # Each sequence by itself, wherever it is in the batch.
    result = _call(m, op, ((replace(x, rows=None),), {}))
    return replace(result, rows=x.rows) if isinstance(result, Tensor) else result


def _call(m: Operators, op: Op, arguments: Arguments) -> Any:
    of_zoo = zoo_layer(op.module)
    kind = type(op.module).__name__ if of_zoo else _check_class(op)
    if arguments is None:
        return Unknown()
    args, kwargs = arguments
    for name in {"input", "inp"} & kwargs.keys():  # the first argument of every layer
        args, kwargs = (kwargs[name], *args), {k: v for k, v in kwargs.items() if k != name}
    if kind not in (*CELLS, _HEADS) and (len(args) != 1 or kwargs):
        raise RefusedError("expected one argument, received others")
    if kind in _PLAIN:
        return _plain(m, op.module, kind, args[0])
    scope = m.scope
    known = (path for path, module in scope.modules.items() if module is op.module)
    owner = next(known, None) if kind != "Embedding" else None
    if owner is not None and kind == "BatchNorm1d":
        raise RefusedError(_CALLED_AGAIN)
    scope.modules.setdefault(owner or op.target, op.module)
    last = len(scope.steps)
    result = _call_with_arrays(m, op, of_zoo, kind, args, kwargs)
    if owner is not None:
        _share(scope, owner, last)
    return result


def _share(scope: ModuleScope, path: str, last: int) -> None:
    """Let the layers of a module that is called again have the arrays of those of its first call.

    The layers of the second call are those behind the ``last`` one.
    """
    steps = [(at, step) for at, step in scope.steps.items() if path in step.modules]
    own = [step.layer for at, step in steps if at <= last and step.layer.shares is None]
    new = [(at, step) for at, step in steps if at > last]
    for (at, step), first in zip(new, own, strict=False):
        if type(step.layer) is not type(first) or step.arrays:
            raise RefusedError(_CALLED_AGAIN)
        scope.steps[at].layer = replace(step.layer, shares=first.name)


def _call_with_arrays(  # noqa: PLR0913, PLR0917 - a call, and what is called
    m: Operators, op: Op, of_zoo: ZooLayer | None, kind: str, args: Any, kwargs: Any
) -> Any:
    """Return the result of a module with arrays."""
    scope = m.scope
    if of_zoo or kind in CELLS:
        run = partial(_zoo, kind=of_zoo) if of_zoo else partial(_recurrent, kind=kind)
        return run(scope, op, *args, **kwargs)
    match kind:
        case "MultiheadAttention":
            return _attend(m, op, *args, **kwargs)
        case "Embedding":
            return _embedding(scope, op, args[0])
        case "Conv1d":
            return _convolution(scope, op, args[0])
        case "BatchNorm1d":
            return _batch_norm(scope, op, scope.layer_output(args[0]))
        case "Linear" if isinstance(args[0], Pairs):
            return _score(scope, op, args[0])
        case "LayerNorm":
            return _layer_norm(scope, op, scope.layer_output(args[0], either_order=True))
        case _:
            return _linear(scope, op, scope.layer_output(args[0], either_order=True))


def _plain(m: Operators, module: Any, kind: str, x: Any) -> Any:
    """Return the result of a module without arrays."""
    match kind:
        case "Dropout" | "Dropout1d" | "Dropout2d":
            return with_dropout(m, x, module.p, by_feature=kind != "Dropout")
        case "LeakyReLU":
            return activate(m, x, nodes.LeakyRelu(slope=float(module.negative_slope)))
        case "ReLU6" | "Hardtanh":
            return activate(m, x, activation_between(module.min_val, module.max_val))
        case "MaxPool1d" | "AvgPool1d":
            settings = {
                key: getattr(module, key)
                for key in ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad")
                if hasattr(module, key)
            }
            return pool_windows(
                m, x, "MaxPool" if kind == "MaxPool1d" else "AveragePool", **settings
            )
        case "AdaptiveMaxPool1d" | "AdaptiveAvgPool1d":
            return pool_all(m, x, "GlobalMaxPool" if "Max" in kind else "GlobalAveragePool")
        case "ZeroPad1d" | "ConstantPad1d":
            return add_steps(m, x, module.padding)
        case "Flatten":
            sizes = m.run("Concat", m.run("Slice", m.run("Shape", x), [0], [1]), [-1], axis=0)
            flat = m.run_on(m.scope.operand(x), "Reshape", sizes)
            return m.scope.layer_output(flat) if any("TF" in axis for axis in flat.axes) else flat
        case _:
            return activate(m, x, ACTIVATIONS[kind], getattr(module, "dim", -1))


def _check_class(op: Op) -> str:
    """Return the class of a module of PyTorch that the language has."""
    module, kind = op.module, op.layer
    if not kind:
        own = type(module).__name__
        message = f"the class {own} is a subclass of a layer, whose own code is not read"
        raise RefusedError(message, "E701")
    if kind not in (*_PLAIN, *_WITH_ARRAYS):
        raise RefusedError(lacking_class(kind), "E701")
    if has_own_forward(module) or not type(module).forward.__module__.startswith(
        "torch.nn.modules"
    ):
        message = f"its forward has been replaced, and is not read; expected that of nn.{kind}"
        raise RefusedError(message, "E701")
    for setting, expected in SETTINGS.get(kind, {}).items():
        received = getattr(module, setting, expected)
        if received not in (expected, (expected,)):
            message = f"{setting}: expected {expected!r}, received {received!r}"
            raise RefusedError(message, "E703")
    return kind


def lacking_class(kind: str) -> str:
    """Return that rnnspec does not support a class of PyTorch, and what to do."""
    return f"rnnspec does not support nn.{kind}; take it out of the module"


def has_own_forward(module: Any) -> bool:
    """True if an object has a ``forward`` of its own in place of that of its class."""
    return "forward" in vars(module)


def refuse_hooks(account: Account, module: Any) -> None:
    """Refuse modules with hooks, which tracing does not see."""
    for path, part in module.named_modules():
        if any(getattr(part, hooks, None) for hooks in HOOKS):
            hooks = [hook for name in HOOKS for hook in getattr(part, name, {}).values()]
            norms = {"WeightNorm", "SpectralNorm"} & {type(hook).__name__ for hook in hooks}
            advice = "; take the norm out by torch.nn.utils.remove_weight_norm" if norms else ""
            account.refuse(path or "module", f"has a hook, whose code is not read{advice}", "E701")


def is_alone(module: Any) -> bool:
    """True if a module is a layer of PyTorch that is in no module."""
    kind = type(module)
    return kind.__module__.startswith("torch.nn.modules") and kind.__name__ != "Sequential"


def with_dropout(m: Operators, x: Any, rate: float, *, by_feature: bool = False) -> Tensor | Pairs:
    """Return a tensor behind a dropout."""
    scope = m.scope
    if isinstance(x, Pairs):
        scope.account.leave(f"dropout {rate:g} in an attention")
        return x
    value = scope.operand(x, either_order=True)
    if not rate:
        return value
    if by_feature and value.axes[:2] != ("B", "F"):
        name = "nn.Dropout1d" if len(value.axes) < 4 else "nn.Dropout2d"
        scope.account.leave(f"{name} of {rate:g}, which drops whole steps here")
        return value
    value = scope.layer_output(value, either_order=True)
    layer = nodes.Dropout(name="dropout", input=(), rate=float(rate), variational=by_feature)
    at = scope.add(layer, value.at)
    return scope.result(value, at, backward_first=value.backward_first)


def _embedding(scope: ModuleScope, op: Op, x: Any) -> Tensor:
    module = op.module
    tokens = tokens_of(scope, x) if isinstance(x, Known) else None
    if tokens is None:
        raise RefusedError("expected an embedding of the input, received one behind other layers")
    if tokens.at in scope.embeddings:
        before = scope.embeddings[tokens.at]
        if scope.steps[before].modules != (op.target,):
            raise RefusedError("expected one embedding of an input, received another one")
        return replace(tokens, at=before, axes=(*tokens.axes, "F"))
    vocabulary, dim = module.num_embeddings, module.embedding_dim
    if module.padding_idx is not None:
        scope.padding = op, module.padding_idx
    trainable = bool(module.weight.requires_grad)
    layer = embedding(op.target, vocabulary, dim, trainable=trainable)
    shared = [
        scope.steps[place].layer.name
        for place in scope.embeddings.values()
        if scope.modules[scope.steps[place].op.where] is module
    ]
    for setting in ("scale_grad_by_freq", "sparse"):
        if getattr(module, setting):
            scope.account.leave(setting, op.target)
    modules: tuple[str, ...] = (op.target,)
    if shared:
        layer, modules = replace(layer, shares=shared[0]), ()
    at = scope.embeddings[tokens.at] = scope.add(layer, tokens.at, modules=modules)
    return replace(tokens, at=at, axes=(*tokens.axes, "F"))


def embed_one_hot(scope: ModuleScope, x: Any, size: int) -> Tensor:
    """Return tokens as vectors with a single 1.

    Raises:
        RefusedError: they are no tokens of an input.
    """
    tokens = tokens_of(scope, x) if isinstance(x, Known) else None
    if tokens is None or tokens.at in scope.embeddings:
        raise RefusedError(f"expected the tokens of an input, received {describe(x)}")
    layer = embedding("one_hot", size, size, trainable=False)
    at = scope.add(layer, tokens.at, arrays={"one_hot": np.eye(size)}, modules=())
    scope.embeddings[tokens.at] = at
    scope.account.infer("one_hot is an embedding that is not trained, with a single 1 in a vector")
    return replace(tokens, at=at, axes=(*tokens.axes, "F"))


def _lay_out_features(scope: ModuleScope, value: Tensor, expected: str = "last") -> None:
    """Check that an axis of a value has the features, by default the last one."""
    if "F" not in value.axes or ("" in value.axes and "T" in value.axes):
        raise RefusedError(f"expected a sequence or a vector, received {describe(value)}")
    # Rows have one axis for the batch and the steps.
    rows = any(len(axis) > 1 for axis in value.axes)
    others = [""] * (len(value.axes) - 1)
    at = 1 if expected == "second" and not rows else len(others)
    scope.lay_out(value, *others[:at], "features", *others[at:], where="features")


def _linear(scope: ModuleScope, op: Op, value: Tensor) -> Tensor:
    module = op.module
    _lay_out_features(scope, value)
    scope.fit_features(value.at, module.in_features)
    layer = dense(op.target, module.out_features, activation="linear", bias=module.bias is not None)
    embeddings = [e.layer for e in scope.steps.values() if isinstance(e.layer, nodes.Embedding)]
    for table in embeddings:
        if scope.is_same(f"{op.target}.weight", f"{table.name}.weight"):
            layer = replace(layer, tied=table.name)
    at = scope.add(layer, value.at, modules=(op.target,))
    if value.backward_first:
        _turn(scope, op, at)
    return scope.result(value, at)


def _score(scope: ModuleScope, op: Op, x: Pairs) -> Pairs:
    """Return one score of each query and step, by a vector."""
    module = op.module
    if x.stage != "hidden" or x.axes[-1] != "F" or module.out_features != 1:
        raise RefusedError(f"rnnspec does not support nn.Linear of {describe(x)}", "E701")
    scope.fit_features(x.one.at, module.in_features)
    layer = dense(op.target, 1, activation="linear", bias=False)
    if module.bias is not None:
        scope.account.leave(f"{op.target}.bias", reason="a softmax is the same without it")
    return pairs.score(x, scope.add(layer, x.one.at, modules=(op.target,)))


def _turn(scope: ModuleScope, op: Op, at: int) -> None:
    """Have the arrays of a layer take the features of the forward direction first."""
    scope.steps[at].turned = True
    scope.account.infer(
        "takes h[-1] before h[-2]; in the spec h[-2] comes first, and its arrays are in that order",
        op.target,
    )


def _attend(  # noqa: PLR0913, PLR0917 - the settings of PyTorch
    m: Operators, op: Op, query: Any, key: Any, value: Any, key_padding_mask: Any = None,
    need_weights: bool = True, attn_mask: Any = None, average_attn_weights: bool = True,
    is_causal: bool = False,
) -> Any:  # fmt: skip
    """Return the output of ``nn.MultiheadAttention``, and its weights, which nothing may take.

    ``is_causal`` only says that ``attn_mask`` is causal.
    """
    del need_weights, average_attn_weights, is_causal
    scope, module = m.scope, op.module
    if module.dropout:
        scope.account.leave(f"dropout {module.dropout:g} in an attention", op.target)
    sequences = dict(zip(("query", "keys", "values"), (query, key, value), strict=True))
    values = {role: scope.sequence(x) for role, x in sequences.items()}
    for one in values.values():
        lay_out_recurrent(scope, one, batch_first=module.batch_first)
    roles = list(values)
    # In the order in which the language has them.
    projected = {
        role: _project(scope, op, values[role], roles.index(role))
        for role in ("keys", "values", "query")
    }
    queries, keys, memory = (projected[role] for role in ("query", "keys", "values"))
    scale = (module.embed_dim // module.num_heads) ** -0.5
    scores = Pairs(queries, keys, ("B", "1", "2"), "scores", scale, heads=module.num_heads)
    if key_padding_mask is not None:
        padding = m.run("Unsqueeze", key_padding_mask, axes=(1,))
        scores = _leave_out(m, padding, scores, "key_padding_mask")
    if attn_mask is not None:
        scores = _leave_out(m, attn_mask, scores, "attn_mask")
    context = m.run("MatMul", m.run("Softmax", scores, axis=2), memory)
    layer = dense(
        f"{op.target}.out_proj", module.embed_dim, activation="linear", bias=_is_biased(module)
    )
    bias = (f"{op.target}.out_proj.bias",) if layer.bias else ()
    arrays: Any = {"kernel": (f"{op.target}.out_proj.weight", False), "bias": bias}
    at = scope.add(layer, context.at, arrays=arrays, modules=())
    return scope.result(values["query"], at), NonTensor("the weights of several heads")


def _is_biased(module: Any) -> bool:
    return module.in_proj_bias is not None


def _project(scope: ModuleScope, op: Op, value: Tensor, number: int) -> Tensor:
    """Return the queries, the keys or the values of ``nn.MultiheadAttention``, by their number."""
    module, size = op.module, op.module.embed_dim
    scope.fit_features(value.at, (size, module.kdim, module.vdim)[number])
    own = module.in_proj_weight is None
    weight = f"{('q', 'k', 'v')[number]}_proj_weight" if own else "in_proj_weight"
    bias = (f"{op.target}.in_proj_bias",) if _is_biased(module) else ()
    arrays: Any = {
        "kernel": (f"{op.target}.{weight}", False),
        "bias": bias,
        "rows": (number * size, (number + 1) * size),
    }
    layer = dense(f"{op.target}[{number}]", size, activation="linear", bias=bool(bias))
    return Tensor(scope.add(layer, value.at, arrays=arrays, modules=()), ("B", "T", "F"))


def _leave_out(m: Operators, left: Any, scores: Pairs, where: str) -> Pairs:
    """Return scores without those where a mask of PyTorch is true, or -inf."""
    if not isinstance(left, Known):
        raise RefusedError(f"{where}: expected padding or later steps, received {describe(left)}")
    if left.samples[0].dtype == bool:
        result: Pairs = m.run("Where", left, float("-inf"), scores)
    else:
        result = m.run("Add", scores, left)
    m.scope.masks |= bool(result.masked)
    return result


def _layer_norm(scope: ModuleScope, op: Op, value: Tensor) -> Tensor:
    module = op.module
    if len(module.normalized_shape) != 1:
        message = f"expected the last axis, received {tuple(module.normalized_shape)}"
        raise RefusedError(f"normalized_shape: {message}", "E703")
    _lay_out_features(scope, value)
    scope.fit_features(value.at, module.normalized_shape[0])
    layer = nodes.LayerNorm(
        name=op.target,
        input=(),
        epsilon=float(module.eps),
        scale=module.weight is not None,
        offset=module.bias is not None,
    )
    modules = (op.target,) if layer.scale or layer.offset else ()
    at = scope.add(layer, value.at, modules=modules)
    if value.backward_first:
        _turn(scope, op, at)
    return scope.result(value, at, backward_first=value.backward_first)


def _batch_norm(scope: ModuleScope, op: Op, value: Tensor) -> Tensor:
    module = op.module
    if module.running_mean is None or module.running_var is None:
        raise RefusedError("track_running_stats: expected True, received False", "E703")
    if module.momentum is None:
        message = (
            "expected a number, received None: rnnspec does not support a mean over all batches"
        )
        raise RefusedError(f"momentum: {message}", "E703")
    # In PyTorch, it is the share of the new value.
    momentum = round(1.0 - float(module.momentum), 12)
    if not 0.0 <= momentum < 1.0:
        message = f"expected more than 0 and at most 1, received {module.momentum}"
        raise RefusedError(f"momentum: {message}", "E703")
    _lay_out_features(scope, value, "second")
    scope.fit_features(value.at, len(module.running_mean))
    scope.account.leave(
        "the unbiased variance that nn.BatchNorm1d stores",
        op.target,
        "the spec stores the biased one of each batch of training; the stored array is the same",
    )
    layer = nodes.BatchNorm(
        name=op.target,
        input=(),
        epsilon=float(module.eps),
        momentum=momentum,
        masked=False,
        scale=module.weight is not None,
        offset=module.bias is not None,
    )
    return scope.result(value, scope.add(layer, value.at, modules=(op.target,)))


def _convolution(scope: ModuleScope, op: Op, x: Any) -> Tensor:
    """Return the output of ``nn.Conv1d``.

    Raises:
        RefusedError: rnnspec does not support its padding.
    """
    module = op.module
    value = scope.sequence(x, padded=True)
    scope.lay_out(value, "batch", "features", "steps", where="a convolution")
    scope.fit_features(value.at, module.in_channels)
    settings = (_single(getattr(module, key)) for key in ("kernel_size", "stride", "dilation"))
    size, stride, dilation = settings
    valid = nodes.Window(size=size, stride=stride, dilation=dilation, padding="valid")
    match module.padding:
        case "valid":
            pads = (0, 0)
        case "same":
            pads = (valid.reach // 2, valid.reach - valid.reach // 2)
        case (int(number),) | int(number):
            pads = (number, number)
        case other:
            raise RefusedError(f"padding: expected zeros, received {other!r}", "E703")
    layer = conv(op.target, module.out_channels, valid, bias=module.bias is not None)
    return convolve(scope, value, layer, pads, modules=(op.target,))


def _single(size: Any) -> int:
    """Return a size of one axis, which PyTorch may keep in a tuple.

    Raises:
        RefusedError: it is not a number.
    """
    number = size[0] if size and isinstance(size, tuple) else size
    if is_size(number):
        message = "expected a number, or the steps of the sequence as the kernel size, received"
        raise RefusedError(f"{message} another size of a tensor", "E703")
    if type(number) is not int:
        raise RefusedError(f"expected a number of steps, received {describe(number)}", "E703")
    return number


def add_steps(m: Operators, x: Any, pad: Any, filler: float = 0.0) -> Tensor:
    """Return a sequence with steps of one number before and after it, for a window."""
    value = m.scope.sequence(x, padded=True)
    numbers = (pad, pad) if isinstance(pad, int) else tuple(pad)
    # From the last axis to the first.
    pairs = zip(numbers[::2], numbers[1::2], strict=False)
    axes = reversed(range(len(value.axes)))
    if all(type(number) is int for number in numbers):
        with suppress(RefusedError):
            return pad_axes(m.scope, value, dict(zip(axes, pairs, strict=False)), filler)
    received = ", ".join(map(describe, numbers))
    raise RefusedError(f"pad: expected zeros before and after the steps, received ({received})")


def pool_windows(  # noqa: PLR0913, PLR0917 - the settings of PyTorch
    m: Operators,
    x: Any,
    op: str,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    *,
    ceil_mode: bool,
    count_include_pad: bool = True,
) -> Tensor:
    """Return the maxima or means of windows over the steps."""
    scope = m.scope
    value = scope.sequence(x, padded=True)
    scope.lay_out(value, "batch", "features", "steps", where="a pool")
    size = kernel_size[0] if kernel_size and isinstance(kernel_size, tuple) else kernel_size
    counts = scope.sequences(value.at).steps
    if isinstance(size, Known) and padding in (0, (0,)) and not any(value.pad):
        arrays = zip(size.arrays, counts, strict=True)
        if all((array == count).all() for array, count in arrays):
            return pool_all(
                m,
                value,
                op.replace("MaxPool", "GlobalMaxPool").replace("AveragePool", "GlobalAveragePool"),
            )
    size = _single(kernel_size)
    step, zeros = _single(stride) if stride else size, _single(padding)
    return m.run_on(
        value,
        op,
        kernel_shape=(size,),
        strides=(step,),
        pads=(zeros, zeros),
        ceil_mode=int(ceil_mode),
        count_include_pad=int(count_include_pad),
    )


def pool_all(m: Operators, x: Any, op: str) -> Tensor:
    """Return a statistic over all steps, which are the last axis and stay as one of size 1."""
    value = m.scope.sequence(x)
    m.scope.lay_out(value, "batch", "features", "steps", where="a pool")
    pooled = m.run_on(value, op)
    m.scope.check_unpadded(pooled.at, "max" if "Max" in op else "mean")
    return pooled


def activation_between(low: Any, high: Any) -> nodes.Activation:
    """Return the activation between two limits.

    Raises:
        RefusedError: it is not supported.
    """
    if high is None and low == 0:
        return "relu"
    if low != 0 or not isinstance(high, int | float) or high <= 0:
        message = f"expected limits 0 and a positive number, received {low} and {high}"
        raise RefusedError(message, "E703")
    return nodes.ClippedRelu(limit=float(high))


def activate(m: Operators, x: Any, activation: nodes.Activation, dim: int | None = -1) -> Any:
    """Return a tensor behind an activation, or weights behind a softmax over the steps.

    Raises:
        RefusedError: it is over another axis.
    """
    scope = m.scope
    if isinstance(x, Pairs):
        match activation:
            case "tanh":
                return m.run("Tanh", x)
            case "softmax":
                return m.run("Softmax", x, axis=axis_number(dim, len(x.axes)))
            case _:
                message = f"rnnspec does not support {activation} of {describe(x)}"
                raise RefusedError(message, "E701")
    value = scope.operand(x, either_order=activation == "linear")
    if activation == "linear":
        return value
    match activation:
        case "softmax" | "log_softmax":
            return _softmax(m, value, activation, dim)
        case _:
            pass
    if activation == "softplus":
        scope.account.leave("the threshold of softplus", reason="changes less than 3e-9")
    value.check_steps(scope.cut_steps)
    return joins.activate(scope, value, activation)


def _softmax(m: Operators, value: Tensor, activation: Activation, dim: Any) -> Tensor:
    rank = len(value.axes)
    if dim is None:
        # What PyTorch takes, with a warning.
        dim = 0 if rank in (1, 3) else 1
    letters = value.axes[dim] if type(dim) is int and -rank <= dim < rank else ""
    if letters == "T" and activation == "softmax":
        if m.scope.features(value) != 1:
            raise RefusedError(
                "expected a softmax over the features, or over the steps of one score for each, "
                "received another"
            )
        weights = m.run_on(value, "Softmax", axis=dim)
        if weights.filler is None and m.scope.is_padded(weights.at):
            raise RefusedError("weighs padding, too; 'pooling: attention' leaves padding out")
        return weights
    if letters != "F":
        raise RefusedError(f"dim: expected -1, the features, received {dim}", "E703")
    return joins.activate(m.scope, m.scope.layer_output(value), activation)


def _recurrent(scope: ModuleScope, op: Op, x: Any, hx: Any = None, *, kind: str) -> Any:
    packed, module = isinstance(x, Packed), op.module
    given = x.steps if isinstance(x, Packed) else scope.operand(x)
    if scope.probes.setting.is_single and given.axes == ("BT", "F"):
        return _of_single(scope, op, given, hx, kind=kind)
    given = scope.with_batch(given)
    rows = given.rows if packed else None
    if rows is not None and hx is not None:
        raise RefusedError("expected states of zeros beside sequences that are sorted")
    turned = not packed and scope.is_turned(given)
    value = scope.sequence(
        replace(given, rows=None if packed else given.rows, steps=None if turned else given.steps)
    )
    if turned and module.bidirectional:
        raise RefusedError("expected the steps in their order, received the last one first")
    _check_mode(module, kind)
    if not packed:
        lay_out_recurrent(scope, value, batch_first=module.batch_first)
    scope.fit_features(value.at, module.input_size)
    scope.packed[op.target] = packed
    levels = _add_levels(scope, op.target, module, kind, value.at, hx, (op.target,))
    for at in levels:
        scope.masked[at] = packed
        if turned:
            _turn_back(scope, at)
    steps = scope.turned_steps(levels[-1]) if turned else None
    filler = 0.0 if packed else None
    result = scope.result(value, levels[-1], filler=filler, rows=rows, steps=steps)
    hidden = _final_states(levels, "", rows, two=module.bidirectional)
    every = Packed(result) if packed else result
    if kind == "LSTM":
        return (every, (hidden, _final_states(levels, "c", rows, two=module.bidirectional)))
    return (every, hidden)


def _of_single(scope: ModuleScope, op: Op, x: Tensor, hx: Any, *, kind: str) -> Any:
    """Return the output of a recurrent module for one sequence without a batch."""
    axes = ("B", "T", "F") if op.module.batch_first else ("T", "B", "F")
    steps, _ = _recurrent(scope, op, replace(x, axes=axes), hx, kind=kind)
    return (replace(steps, axes=x.axes), NonTensor("the states of a sequence without a batch"))


def _final_states(
    levels: tuple[int, ...], part: str, rows: Probed | None, *, two: bool
) -> Tensor | CarriedStates:
    """Return the final states of layers, (layers x directions, batch, units)."""
    axes = ("D", "B", "U") if two else ("", "B", "F")
    tensors = [
        # The output of the top layer is its state.
        Tensor(at, axes, is_final=True, part=part if at == levels[-1] else part or "h", rows=rows)
        for at in levels
    ]
    if len(tensors) == 1:
        return tensors[0]
    return CarriedStates(tuple(tensors), (1 + two,) * len(tensors), 0)


def _turn_back(scope: ModuleScope, at: int) -> None:
    """Let a layer of one direction begin at the last step."""
    layer = scope.steps[at].layer
    if isinstance(layer, nodes.Recurrent):
        scope.steps[at].layer = replace(layer, backward=True)


def _add_levels(  # noqa: PLR0913, PLR0917 - what the layers of a module are
    scope: ModuleScope,
    name: str,
    module: Any,
    kind: str,
    at: int,
    hx: Any,
    paths: tuple[str, ...],
) -> tuple[int, ...]:
    """Add the layers of a recurrent module; return their places."""
    directions = 1 + module.bidirectional
    number = module.num_layers * directions
    cell = _cell(module, kind)
    first = states.first_vectors(
        scope, hx, len(recurrent("", cell, 1, merge=None, bias=True, return_sequences=True).states),
        number, directions, module.hidden_size,
    )  # fmt: skip
    levels = list[int]()
    for index in range(module.num_layers):
        if index and module.dropout:
            rate = float(module.dropout)
            at = scope.add(nodes.Dropout(name="dropout", input=(), rate=rate), at)
        layer = recurrent(
            name if module.num_layers == 1 else f"{name}[{index}]",
            cell,
            module.hidden_size,
            merge="concat" if module.bidirectional else None,
            bias=bool(module.bias),
            return_sequences=True,
        )
        at = states.add_recurrent(scope, layer, at, [part[index] for part in first], paths)
        levels.append(at)
    return tuple(levels)


def _zoo(scope: ModuleScope, op: Op, inp: Any, state: Any = None, *, kind: ZooLayer) -> Any:
    """Return the output and the final states of a layer of torchrecurrent."""
    value, module = scope.sequence(inp), op.module
    states.check_zeros(scope, state)
    lay_out_recurrent(scope, value, batch_first=module.batch_first)
    scope.fit_features(value.at, module.input_size)
    at, features, levels = value.at, module.input_size, list[int]()
    for index, cell in enumerate(module.cells):
        if message := kind.difference(module, cell):
            raise RefusedError(message, "E703")
        if index and module.dropout:
            rate = float(module.dropout)
            at = scope.add(nodes.Dropout(name="dropout", input=(), rate=rate), at)
        path = f"{op.target}.cells.{index}"
        scope.modules[path], scope.packed[path] = cell, False
        equations = kind.equations(cell, features, module.hidden_size)
        layer = recurrent(
            op.target if module.num_layers == 1 else f"{op.target}[{index}]",
            equations,
            module.hidden_size,
            merge=None,
            bias=True,
            return_sequences=True,
        )
        at, features = scope.add(layer, at, modules=(path,)), module.hidden_size
        levels.append(at)
    hidden = _final_states(tuple(levels), "", None, two=False)
    cells = _final_states(tuple(levels), "c", None, two=False)
    first = cells if equations.equations.states[0] == "output" else hidden
    return (scope.result(value, at), (first, cells) if cell.uses_double_state() else first)


def lay_out_recurrent(scope: ModuleScope, value: Tensor, *, batch_first: bool) -> None:
    """Check the layout that a recurrent layer expects of a value.

    Raises:
        RefusedError: it has another.
    """
    axes = ("batch", "steps") if batch_first else ("steps", "batch")
    scope.lay_out(value, *axes, "features", where=f"batch_first={batch_first}")


def _cell(module: Any, kind: str) -> nodes.Cell:
    """Return the cell of a recurrent module."""
    cell = CELLS[kind]
    if isinstance(cell, nodes.SimpleRNN):
        return nodes.SimpleRNN(activation=module.mode.removeprefix("RNN_").lower())
    return cell


def _check_mode(module: Any, kind: str) -> None:
    """Check that a recurrent module computes what its class says.

    Raises:
        RefusedError: it computes something else.
    """
    modes = ("RNN_TANH", "RNN_RELU") if kind == "RNN" else (kind,)
    if module.mode not in modes:
        message = f"mode: expected {listed(modes, 'or')}, received {module.mode}"
        raise RefusedError(f"{message}, set after construction", "E703")
