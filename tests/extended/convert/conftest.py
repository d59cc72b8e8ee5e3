"""The fixtures of the other tests of conversion."""

from convert.conftest import Ran, _own_folder, _signals, entries, refused, run, spec

__all__ = ["Ran", "_own_folder", "_signals", "entries", "refused", "run", "spec"]
