"""Compile the modules that an answer loads; run in Pyodide, by ``compile.mjs``.

The browser then starts in half the time. All other modules stay source, which is smaller. The
archives are stored, not compressed: as a whole they compress better.
"""

from __future__ import annotations

import json
import py_compile
import re
import sys
import tempfile
import zipfile
from pathlib import Path

import rnnspec_playground as playground

EPOCH = (1980, 1, 1, 0, 0, 0)
# What a page has no use for: debuggers, processes, servers, settings files, foreign code pages, and
# the parts of Python that are in C as well.
LEFT_OUT = re.compile(
    r"(_pyrepl|ctypes|http|multiprocessing|sqlite3|unittest|wsgiref|xml|xmlrpc)/"
    r"|(_pydatetime|_pyio|_pyrepl|bdb|cmd|compileall|configparser|doctest|ftplib|imaplib|mailbox"
    r"|modulefinder|optparse|pdb|pickletools|plistlib|poplib|profile|pstats|pydoc|smtplib"
    r"|socketserver|statistics|tarfile|trace|wave)\.py"
    r"|(asyncio/(proactor|windows)_.*|concurrent/futures/process|logging/(config|handlers))\.py"
    r"|encodings/(?!(__init__|aliases|ascii|cp437|cp1252|idna|latin_1|punycode|utf_.*"
    r"|(raw_)?unicode_escape)\.)"
)


def used(specs: list[str]) -> set[str | None]:
    """Return the files of the modules that answers to specs load."""
    for text in specs:
        assert playground.answer(text)["state"] == "valid"
        playground.complete(text, 1, 1)
        playground.describe(text, 1, 1)
    return {getattr(module, "__file__", None) for module in list(sys.modules.values())}


def compiled(name: str, source: bytes) -> bytes:
    """Return the bytecode of a module, which is loaded without a look at its source."""
    # Docstrings and assertions of other packages are left out.
    level = 0 if name.startswith("rnnspec/") else 2
    with tempfile.TemporaryDirectory() as folder:
        written, made = Path(folder, "module.py"), Path(folder, "module.pyc")
        written.write_bytes(source)
        mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
        py_compile.compile(
            str(written), str(made), name, doraise=True, optimize=level, invalidation_mode=mode
        )
        return made.read_bytes()


def rewrite(source: str, target: str, needed: set[str]) -> None:
    """Write an archive again, with the needed modules compiled."""
    with zipfile.ZipFile(source) as given, zipfile.ZipFile(target, "w") as made:
        for name in sorted(given.namelist()):
            if name.endswith("/") or LEFT_OUT.match(name):
                continue
            content = given.read(name)
            if name in needed:
                made.writestr(zipfile.ZipInfo(f"{name}c", EPOCH), compiled(name, content))
            else:
                made.writestr(zipfile.ZipInfo(name, EPOCH), content)


def run(specs: str, folder: str) -> None:
    """Write the archives in /in to /out; ``folder`` has the packages, ``specs`` is JSON."""
    files = [file for file in used(json.loads(specs)) if file]
    library = next(path for path in sys.path if path.endswith(".zip"))
    Path("/out").mkdir()
    for name, home in (("packages", folder), ("library", library)):
        needed = {file.removeprefix(f"{home}/") for file in files if file.endswith(".py")}
        rewrite(f"/in/{name}", f"/out/{name}", needed)
