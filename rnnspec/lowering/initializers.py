"""Initializers of a spec as those of the network."""

from __future__ import annotations

from typing import assert_never

from rnnspec.ir import initializers
from rnnspec.spec import models

_NAMED: dict[str, initializers.Initializer] = {
    "glorot_uniform": initializers.GlorotUniform(),
    "he_uniform": initializers.HeUniform(),
    "lecun_uniform": initializers.LecunUniform(),
    "orthogonal": initializers.Orthogonal(),
    "zeros": initializers.Constant(0.0),
    "ones": initializers.Constant(1.0),
}


def initializer(
    given: str | models.Uniform | models.Normal | models.Constant,
) -> initializers.Initializer:
    """Return the initializer that a spec names or describes."""
    match given:
        case str():
            return _NAMED[given]
        case models.Uniform():
            return initializers.Uniform(float(given.uniform))
        case models.Normal():
            return initializers.Normal(float(given.normal))
        case models.Constant():
            return initializers.Constant(float(given.constant))
        case _:
            assert_never(given)
