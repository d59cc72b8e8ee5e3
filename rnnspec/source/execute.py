"""Execute generated source as an ordinary module, which tools can inspect."""

from __future__ import annotations

import hashlib
import importlib.util
import linecache
import sys
from importlib.abc import InspectLoader
from importlib.machinery import ModuleSpec
from threading import RLock
from types import ModuleType

_ONE_AT_A_TIME = RLock()
"""Held until a module is executed, because it is in ``sys.modules`` before it is complete."""


class GeneratedLoader(InspectLoader):
    """The loader of one generated module; ``inspect``, pickle and tracebacks need it."""

    def __init__(self, text: str) -> None:
        self.text = text

    def get_source(self, fullname: str) -> str:  # noqa: ARG002 - a loader for one module
        """Return the source text of the module."""
        return self.text


def execute(text: str, name: str, ending: str = ".py") -> ModuleType:
    """Return the module with the source ``text``; the same text gives the same module.

    Text in another language than Python is not executed: the module holds it as ``TEXT``.

    Args:
        text: source, as returned by ``render``.
        name: the name of the network, which becomes part of the name of the module.
        ending: the ending of a file of such source.
    """
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    fullname = f"rnnspec_generated_{name}_{digest}"
    if ending != ".py":
        module = ModuleType(fullname)
        module.__dict__["TEXT"] = text
        return module
    with _ONE_AT_A_TIME:
        return sys.modules.get(fullname) or _load(text, fullname, f"<rnnspec {name} {digest}>")


def _load(text: str, fullname: str, filename: str) -> ModuleType:
    spec = ModuleSpec(fullname, GeneratedLoader(text), origin=filename)
    module = importlib.util.module_from_spec(spec)
    module.__file__ = filename
    # With None as its mtime, linecache never looks for the file on disk.
    linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
    sys.modules[fullname] = module
    try:
        exec(compile(text, filename, "exec"), module.__dict__)  # noqa: S102 - our own source
    except BaseException:
        del sys.modules[fullname]
        raise
    return module
