"""Run the command in this process."""

from __future__ import annotations

from cli.conftest import Ran, _own_folder, _signals, run, spec

__all__ = ["Ran", "_own_folder", "_signals", "run", "spec"]
