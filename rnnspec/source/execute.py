"""Text -> module: generated source is executed as an ordinary module that tools can look into."""

from __future__ import annotations

import hashlib
import importlib.util
import linecache
import sys
from importlib.abc import InspectLoader
from importlib.machinery import ModuleSpec
from threading import RLock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType

_ONE_AT_A_TIME = RLock()
"""Held from the lookup of a module to the end of its execution: until then it is not whole."""


class GeneratedLoader(InspectLoader):
    """Loads one generated module from its text; ``inspect``, pickling and tracebacks work on it."""

    def __init__(self, text: str) -> None:
        self.text = text

    def get_source(self, fullname: str) -> str:  # noqa: ARG002 - a loader for one module
        """Return the text the module was made from."""
        return self.text


def execute(text: str, name: str) -> ModuleType:
    """Return the module made from ``text``; the same text gives the same module.

    Args:
        text: Python source that ``render`` returned.
        name: the network's name; with the text's digest it names the module.
    """
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    fullname = f"rnnspec_generated_{name}_{digest}"
    with _ONE_AT_A_TIME:
        return sys.modules.get(fullname) or _executed(text, fullname, f"<rnnspec {name} {digest}>")


def _executed(text: str, fullname: str, filename: str) -> ModuleType:
    spec = ModuleSpec(fullname, GeneratedLoader(text), origin=filename)
    module = importlib.util.module_from_spec(spec)
    module.__file__ = filename
    linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
    sys.modules[fullname] = module
    try:
        exec(compile(text, filename, "exec"), module.__dict__)  # noqa: S102 - our own source
    except BaseException:
        del sys.modules[fullname]
        raise
    return module
