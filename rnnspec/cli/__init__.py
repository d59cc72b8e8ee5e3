"""The command line: parses, calls, prints, and sets the exit code."""

from rnnspec.cli.main import main

__all__ = ["main"]
