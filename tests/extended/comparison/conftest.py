"""The fixtures of the other tests of comparison."""

from comparison.conftest import _one_thread

__all__ = ["_one_thread"]
