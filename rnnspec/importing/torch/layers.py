"""Modules of PyTorch as layers of the language, with their settings checked."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, get_args

from rnnspec.errors import listed
from rnnspec.importing.torch.files import CELLS, dense, embedding, recurrent
from rnnspec.importing.torch.scope import (
    HOOKS,
    NO_STATES,
    Lengths,
    Packed,
    RefusedError,
    Several,
    States,
    Tensor,
    Unknown,
    Zeros,
    describe,
)
from rnnspec.ir import nodes
from rnnspec.words import Activation

if TYPE_CHECKING:
    from rnnspec.backends.imported import Account
    from rnnspec.importing.torch.scope import Given, Op, Scope, Value


ACTIVATIONS: dict[str, Activation] = {
    "ReLU": "relu", "Tanh": "tanh", "Sigmoid": "sigmoid", "Softsign": "softsign", "SiLU": "silu",
    "SELU": "selu", "Hardsigmoid": "hard_sigmoid", "ELU": "elu", "Softplus": "softplus",
    "Softmax": "softmax", "LogSoftmax": "log_softmax", "Identity": "linear",
}  # fmt: skip
"""The activations of PyTorch's modules by their class."""
_SETTINGS: dict[str, dict[str, object]] = {
    "ELU": {"alpha": 1.0}, "Softplus": {"beta": 1.0, "threshold": 20.0},
    "Embedding": {"max_norm": None}, "LayerNorm": {"elementwise_affine": True},
    "RNN": {"proj_size": 0}, "GRU": {"proj_size": 0}, "LSTM": {"proj_size": 0},
}  # fmt: skip
"""The values of settings that the language has."""


def call_module(scope: Scope, op: Op, given: Given) -> Value:
    """Return the result of a module; ``given`` is None if its arguments were refused.

    Raises:
        RefusedError: the language lacks the module, a setting of it, or it in this place.
    """
    kind = _check_class(op)
    if given is None:
        return Unknown()
    args, kwargs = given
    if "input" in kwargs:  # the first argument of every layer
        args, kwargs = (kwargs["input"], *args), {k: v for k, v in kwargs.items() if k != "input"}
    if kind not in ("RNN", "GRU", "LSTM"):
        if len(args) != 1 or kwargs:
            raise RefusedError("expected one argument, received others")
        orderless = kind in ("Linear", "LayerNorm", "Dropout", "Identity")
        value = scope.tensor(args[0], either_order=orderless)
        if kind == "Dropout":
            return with_dropout(value, op.module.p)
        if kind in ACTIVATIONS:
            return activate(scope, value, ACTIVATIONS[kind], getattr(op.module, "dim", -1))
    if any(op.module is each for each in scope.modules.values()):
        raise RefusedError("called again, with the same weights; the language shares none")
    scope.modules[op.target] = op.module
    match kind:
        case "Embedding":
            return _embedding(scope, op, value)
        case "Linear":
            return _linear(scope, op, value)
        case "LayerNorm":
            return _layer_norm(scope, op, value)
        case _:
            return _recurrent(scope, op, *args, **kwargs)


def _check_class(op: Op) -> str:
    """Return the class of a module of PyTorch that the language has."""
    module, kind = op.module, type(op.module).__name__
    if not op.layer:
        message = f"the class {kind} is a subclass of a layer, whose own code is not read"
        raise RefusedError(message, "E701")
    known = {"Embedding", "Linear", "LayerNorm", "Dropout", *CELLS, *ACTIVATIONS}
    if kind not in known:
        raise RefusedError(lacks(kind), "E701")
    if has_own_forward(module) or not type(module).forward.__module__.startswith(
        "torch.nn.modules"
    ):
        message = f"its forward has been replaced, and is not read; expected that of nn.{kind}"
        raise RefusedError(message, "E701")
    for setting, wanted in _SETTINGS.get(kind, {}).items():
        received = getattr(module, setting, wanted)
        if received != wanted:
            message = f"{setting}: expected {wanted!r}, received {received!r}"
            raise RefusedError(message, "E703")
    return kind


def lacks(kind: str) -> str:
    """Return that the language lacks a class of PyTorch, and what to do."""
    if kind.endswith("Cell"):
        whole = kind.removesuffix("Cell")
        return f"the language lacks nn.{kind}; nn.{whole} has the same arrays and runs all steps"
    return f"the language lacks nn.{kind}; take it out of the module"


def has_own_forward(module: Any) -> bool:
    """Return whether an object has a ``forward`` of its own in place of that of its class."""
    return "forward" in vars(module)


def refuse_hooks(account: Account, module: Any) -> None:
    """Refuse modules with hooks, which tracing does not see."""
    for path, each in module.named_modules():
        if any(getattr(each, hooks, None) for hooks in HOOKS):
            account.refuse(path or "module", "has a hook, whose code is not read", "E701")


def is_alone(module: Any) -> bool:
    """Return whether a module is a layer of PyTorch that is in no module."""
    kind = type(module)
    return kind.__module__.startswith("torch.nn.modules") and kind.__name__ != "Sequential"


def with_dropout(value: Tensor, rate: float) -> Tensor:
    """Return a tensor behind a dropout, which gets its place later."""
    return replace(value, drops=(*value.drops, float(rate))) if rate else value


def _embedding(scope: Scope, op: Op, value: Tensor) -> Tensor:
    chain, module = scope.chain, op.module
    if chain.input is not None or value.drops:
        raise RefusedError("expected an embedding of the input, received one behind other layers")
    vocabulary, dim = module.num_embeddings, module.embedding_dim
    chain.open(nodes.TokenInput(steps=None, vocabulary=vocabulary, mask_zero=False))
    if module.padding_idx is not None:
        scope.padding = op, module.padding_idx
    trainable = bool(module.weight.requires_grad)
    chain.add(embedding(op.target, vocabulary, dim, trainable=trainable))
    for setting in ("scale_grad_by_freq", "sparse"):
        if getattr(module, setting):
            scope.account.leave(setting, op.target)
    return scope.result(value)


def _linear(scope: Scope, op: Op, value: Tensor) -> Tensor:
    chain, module = scope.chain, op.module
    if not any(isinstance(each, nodes.Recurrent) for each in chain.layers):
        raise RefusedError(
            "expected dense layers behind the recurrent ones, received one before them"
        )
    if value.form not in ("steps", "vector"):
        raise RefusedError(f"expected a sequence or a vector, received {describe(value)}")
    _fits(scope, module.in_features)
    scope.place_drops(value, f"before {op.target}")
    bias = module.bias is not None
    chain.add(dense(op.target, module.out_features, activation="linear", bias=bias))
    if value.backward_first:
        _turn(scope, op)
    return scope.result(value, backward_first=False)


def _turn(scope: Scope, op: Op) -> None:
    """Have the arrays of a layer take the features of the forward direction first."""
    scope.backward_first.append(op.target)
    scope.account.infer(
        "takes h[-1] before h[-2]; in the spec h[-2] comes first, and its arrays are in that order",
        op.target,
    )


def _fits(scope: Scope, features: int) -> None:
    if scope.chain.shape[-1] != features:
        message = f"expected {features} features, received {scope.chain.shape[-1]}"
        raise RefusedError(message, "E707")


def _layer_norm(scope: Scope, op: Op, value: Tensor) -> Tensor:
    module = op.module
    if module.bias is None:
        raise RefusedError("bias: expected True, received False", "E703")
    if scope.chain.input is None:
        raise RefusedError("expected it directly behind a recurrent layer, received the input")
    if tuple(module.normalized_shape) != scope.chain.shape[-1:]:
        message = f"expected the last axis, received {tuple(module.normalized_shape)}"
        raise RefusedError(f"normalized_shape: {message}", "E703")
    scope.leave_drops(value, "before a layer norm")
    scope.chain.norm(op.target, float(module.eps))
    if value.backward_first:
        _turn(scope, op)
    return scope.result(value)


def activate(scope: Scope, value: Tensor, activation: Activation, dim: int | None) -> Tensor:
    """Return a tensor behind an activation, which becomes that of the last dense layer.

    Raises:
        RefusedError: there is no linear dense layer before it, or it is over another axis.
    """
    if activation == "linear":
        return value
    assert activation in get_args(Activation), "of the tables"
    last = scope.chain.layers[-1] if scope.chain.layers else None
    if not isinstance(last, nodes.Dense) or last.activation != "linear":
        received = last.name if last else "the input"
        raise RefusedError(
            f"expected nn.Linear before '{activation}', received {received}: the language has "
            "activations inside layers"
        )
    axes = {"steps": 3, "vector": 2}.get(value.form, 0)
    if activation in ("softmax", "log_softmax") and dim not in (-1, axes - 1):
        raise RefusedError(f"dim: expected -1, the features, received {dim}", "E703")
    if activation == "softplus":
        scope.account.leave("the threshold of softplus", reason="changes less than 3e-9")
    if value.drops and activation != "relu":
        scope.leave_drops(value, f"before '{activation}'")
        value = replace(value, drops=())
    scope.chain.change(replace(last, activation=activation))
    return replace(value, version=scope.chain.version)


def _recurrent(scope: Scope, op: Op, given: Any, hx: Any = None) -> Several:
    packed = isinstance(given, Packed)
    value = scope.tensor(given.steps if packed else given)
    _check_states(scope, hx)
    _check_mode(op)
    if value.form != "steps":
        raise RefusedError(f"expected a sequence, received {describe(value)}")
    chain, module = scope.chain, op.module
    if dense_before := [e.name for e in chain.layers if isinstance(e, nodes.Dense)]:
        raise RefusedError(
            f"expected recurrent layers before dense ones, received {dense_before[0]}"
        )
    if not packed:
        scope.lay_out(value, batch_first=module.batch_first)
    if chain.input is None:
        size = module.input_size
        chain.open(nodes.NumericInput(steps=None, features=size, mask_value=None))
    _fits(scope, module.input_size)
    scope.place_drops(value, f"before {op.target}")
    for index in range(module.num_layers):
        if index and module.dropout:
            chain.add(nodes.Dropout(name="dropout", input=(), rate=float(module.dropout)))
        chain.add(_level(op, index))
    chain.packed[op.target] = packed
    chain.has_padding |= packed
    number, directions = module.num_layers * (1 + module.bidirectional), 1 + module.bidirectional
    result = scope.result(value)
    hidden = States(op.target, chain.version, number, directions)
    states = Several((hidden, replace(hidden, is_cell=True)))
    return Several(
        (
            Packed(result) if packed else result,
            states if type(module).__name__ == "LSTM" else hidden,
        )
    )


def _level(op: Op, index: int) -> nodes.Recurrent:
    """Return one layer of a recurrent module."""
    module = op.module
    cell = CELLS[type(module).__name__]
    if isinstance(cell, nodes.SimpleRNN):
        cell = nodes.SimpleRNN(activation=module.mode.removeprefix("RNN_").lower())
    return recurrent(
        op.target if module.num_layers == 1 else f"{op.target}[{index}]",
        cell,
        module.hidden_size,
        merge="concat" if module.bidirectional else None,
        bias=bool(module.bias),
        return_sequences=True,
    )


def _check_states(scope: Scope, states: Any) -> None:
    """Check that initial states are zeros, and note the batch size that they fix.

    Raises:
        RefusedError: they are others.
    """
    match states:
        case None:
            return
        case Zeros(batch=batch):
            scope.batch = scope.batch or batch
        case tuple() | Several():
            for each in states.items if isinstance(states, Several) else states:
                _check_states(scope, each)
        case Lengths(argument=name) if name:
            raise RefusedError(
                f"its initial states are the argument '{name}' of forward; {NO_STATES}"
            )
        case _:
            raise RefusedError("expected initial states of zeros, received others")


def _check_mode(op: Op) -> None:
    """Check that a recurrent module computes what its class says.

    Raises:
        RefusedError: it computes something else.
    """
    modes = ("RNN_TANH", "RNN_RELU") if op.layer == "RNN" else (op.layer,)
    if op.module.mode not in modes:
        message = f"mode: expected {listed(modes, 'or')}, received {op.module.mode}"
        raise RefusedError(f"{message}, set after construction", "E703")
