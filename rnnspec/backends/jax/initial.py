"""Initializers in the words of ``nnx.initializers``."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from rnnspec.backends.expressions import Call, Expression, Name
from rnnspec.ir import initializers
from rnnspec.ir.params import named_params

if TYPE_CHECKING:
    from rnnspec.ir.nodes import Network


def initializer(source: initializers.Initializer) -> Expression:
    """Return the initializer as an expression."""
    name, arguments = _words(source)
    return Name(name) if arguments is None else Call(Name(name), arguments)


def initializer_text(source: initializers.Initializer) -> str:
    """Return the initializer as text, for the templates of classes."""
    name, arguments = _words(source)
    return name if arguments is None else f"{name}({', '.join(map(repr, arguments))})"


def draws_uniformly(network: Network) -> bool:
    """Return whether an array is drawn from U(-limit, limit)."""
    drawn = (param.initializer for _, _, param in named_params(network))
    return any(isinstance(each, initializers.Uniform) for each in drawn)


def _words(source: initializers.Initializer) -> tuple[str, tuple[float, ...] | None]:
    """Return the name of a function and its arguments, None if it is the initializer itself."""
    # Flax reads the fan in from axis 0 and the fan out from axis 1, as canonical arrays have them.
    match source:
        case initializers.GlorotUniform():
            return "nnx.initializers.glorot_uniform", ()
        case initializers.HeUniform():
            return "nnx.initializers.he_uniform", ()
        case initializers.LecunUniform():
            return "nnx.initializers.lecun_uniform", ()
        case initializers.Orthogonal():
            return "nnx.initializers.orthogonal", ()
        case initializers.Uniform(limit):
            return "symmetric_uniform", (limit,)
        case initializers.Normal(stddev):
            return "nnx.initializers.normal", (stddev,)
        case initializers.Constant(0.0):
            return "nnx.initializers.zeros", None
        case initializers.Constant(1.0):
            return "nnx.initializers.ones", None
        case initializers.Constant(value):
            return "nnx.initializers.constant", (value,)
        case _:
            assert_never(source)
