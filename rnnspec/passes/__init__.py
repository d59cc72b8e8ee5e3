"""Passes: a plain tuple of Network -> Network, run in order after lowering."""

from __future__ import annotations

from collections.abc import Callable

from rnnspec.ir.nodes import Network
from rnnspec.ir.verify import verify

PASSES: tuple[Callable[[Network], Network], ...] = (verify,)


def run(network: Network) -> Network:
    """Return the network after every pass."""
    for step in PASSES:
        network = step(network)
    return network
