"""``python limits.py FILE...``: import each file, and print its time, memory and error as JSON.

Each file is imported in a process of its own, which begins with everything imported.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from pathlib import Path

from rnnspec.errors import RnnspecError
from rnnspec.importing.run import import_file

LIMIT = 2**30


def main() -> None:
    # The first file is one that is accepted, which imports everything.
    first, *others = map(Path, sys.argv[1:])
    import_file(first)
    for path in others:
        before = (
            int(Path("/proc/self/statm").read_text("utf-8").split()[1]) * resource.getpagesize()
        )
        reader, writer = os.pipe()
        child = os.fork()
        if not child:
            resource.setrlimit(resource.RLIMIT_DATA, (data() + LIMIT,) * 2)
            os.write(writer, json.dumps(read(path)).encode())
            os._exit(0)
        os.close(writer)
        with os.fdopen(reader, "rb") as stream:
            answer = stream.read() or b'["", "the process ended"]'
        _, _, usage = os.wait4(child, 0)
        seconds = usage.ru_utime + usage.ru_stime
        print(json.dumps([*json.loads(answer), seconds, usage.ru_maxrss * 1024 - before]))


def read(path: Path) -> tuple[str, str]:
    """Return the error of a file and its type, or how it was compared."""
    try:
        return "", str(import_file(path).compared)
    except RnnspecError as error:
        return type(error).__name__, str(error)[:3000]


def data() -> int:
    """Return how many bytes of data this process has."""
    status = Path("/proc/self/status").read_text("utf-8")
    return int(status.split("VmData:")[1].split()[0]) * 1024


main()
