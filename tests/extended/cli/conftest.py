"""The fixtures of the other tests of the command."""

from cli.conftest import Ran, _own_folder, _signals, entries, python, run, spec

__all__ = ["Ran", "_own_folder", "_signals", "entries", "python", "run", "spec"]
