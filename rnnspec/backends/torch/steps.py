"""The methods of the step form: ``initial_states``, and ``forward`` with the states of a chunk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnnspec.backends.expressions import (
    Assign,
    Binary,
    Call,
    Entries,
    Expression,
    Function,
    If,
    Index,
    Items,
    Name,
    Return,
    Statement,
    Target,
)
from rnnspec.backends.running import running
from rnnspec.backends.torch.forward import as_floats, computed, is_real, masked
from rnnspec.backends.torch.plan import plan_of, stack_of
from rnnspec.backends.torch.slots import module
from rnnspec.ir import nodes
from rnnspec.ir.steps import State, states_of

if TYPE_CHECKING:
    from collections.abc import Iterator

_X = Name("x")
_STATES = "dict[str, torch.Tensor]"
_STEPS = Index(Name("x.shape"), 1)
# A scripted function takes no module, and TorchScript compiles only the branch that it can reach.
_IS_CHUNK = Binary(Call(Name("torch.jit.is_scripting")), "or", Binary(_STEPS, ">", 1))


def step_methods(network: nodes.Network) -> Iterator[Function]:
    """Yield the methods of a network in step form beside ``__init__``."""
    yield _initial_states(network)
    yield _forward(network)


def described_states(network: nodes.Network) -> Iterator[str]:
    """Yield docstring lines about the states and their shapes."""
    yield "States, by name, zeros before the first chunk:"
    for state, shape in _shaped(network):
        yield f"    {state.name}: ({', '.join(map(str, shape))})"


def _shaped(network: nodes.Network) -> Iterator[tuple[State, tuple[int | str, ...]]]:
    """Yield the states of each module in their shapes, those of stock layers as PyTorch's."""
    for layer in network.layers:
        stack = stack_of(layer)
        for state in states_of(layer):
            if stack is None:
                yield state, ("batch", state.size)
            elif stack.index == 0:
                yield state, (stack.size, "batch", state.size)


def _initial_states(network: nodes.Network) -> Function:
    # Tokens are integers, so the weights tell the dtype of the states.
    first = network.layers[0]
    like = f"self.{first.name}.weight" if isinstance(first, nodes.Embedding) else "x"
    zeros = Name(f"{like}.new_zeros")
    made = tuple(
        (state.name, Call(zeros, tuple(Name(n) if isinstance(n, str) else n for n in shape)))
        for state, shape in _shaped(network)
    )
    return Function(
        "initial_states",
        "self, x: torch.Tensor",
        _STATES,
        ("Return the states before the first chunk ``x``, which are zeros.",),
        (Assign("batch", Index(Name("x.shape"), 0)), Return(Entries(made))),
    )


def _forward(network: nodes.Network) -> Function:
    names = [state.name for state, _ in _shaped(network)]
    zeros = Call(Name("self.initial_states"), (_X,))
    absent = Binary(Name("states"), "is", None)
    of = "outputs of the chunk" if len(network.output) > 1 else "output for the steps so far"
    body: list[Statement] = [
        *as_floats(network.input),
        If(((absent, (Assign("states", zeros),)),)),
        *(Assign(name, Index(Name("states"), name)) for name in names),
        *masked(network, is_real(network.input)),
        *_computed(network),
        Assign("states", Entries(tuple((name, Name(name)) for name in names))),
        Return(Items((_X, Name("states")), fixed=True)),
    ]
    return Function(
        "forward",
        f"self, x: torch.Tensor, states: {_STATES} | None = None",
        f"tuple[torch.Tensor, {_STATES}]",
        (f"Return the {of}, and the states for the next chunk.",),
        tuple(body),
    )


def _computed(network: nodes.Network) -> Iterator[Statement]:
    starts = {layer.start for layer in network.layers if isinstance(layer, nodes.Residual)}
    for layer in network.layers:
        match layer:
            case nodes.Recurrent():
                if layer.name in starts:
                    yield Assign("skip", _X)
                yield from _recurrent(layer)
            case nodes.Pooling(statistic="mean" | "max"):
                yield from running(layer, _X, [Name(state.name) for state in states_of(layer)])
            case _:
                yield from computed(network, [layer])


def _recurrent(layer: nodes.Recurrent) -> Iterator[Statement]:
    stack = stack_of(layer)
    assert stack is not None, "in step form, every recurrent layer is marked"
    if not stack.is_top:
        return
    h, c = (f"{stack.name}_{kind}" for kind in ("h", "c"))
    state: Target = h
    given: Expression = Name(h)
    if isinstance(layer.cell, nodes.LSTM):
        state, given = (h, c), Items((Name(h), Name(c)), fixed=True)
    mask = (Name("mask"),) if layer.masked else ()
    target: Target = ("x" if layer.return_sequences else "_", state)
    inner = Name(f"self.{module(layer)}")
    whole = Assign(target, Call(inner, (_X, *mask, given)))
    if plan_of(layer).has_single_step:
        single = Assign(target, Call(Name("single_step"), (inner, _X, given)))
        # PyTorch documents is_scripting, and does not declare that torch.jit exports it.
        yield If(((_IS_CHUNK, (whole,)),), (single,), "attr-defined")
    else:
        yield whole
    if not layer.return_sequences:
        yield Assign("x", Index(Name(h), -1))
