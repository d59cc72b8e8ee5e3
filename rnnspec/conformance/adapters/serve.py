"""Run the cases of a suite in one tool: ``python serve.py ADAPTER.py TOOL``.

It needs NumPy and the tool, and not rnnspec, so that it runs in the Python of any environment.
Requests come as lines of JSON on standard input, and replies go to standard output:

    {"version": true}                          {"version": "ONNX Runtime 1.32.0", "system": ...}
                                               {"missing": "No module named 'onnxruntime'"}
    {"case": FOLDER, "outputs": FOLDER,        {"loaded": true}
     "seconds": 60}                            {"returned": true} ... {"done": true}
                                               {"refused": "ValueError: ..."}

An adapter is a module with two functions:

    def version() -> str:
        "Return the name and version of the tool; an ImportError says that it is not installed."

    def load(case: Path, tool: str) -> Callable[[list[np.ndarray]], list[np.ndarray]]:
        "Open the model in the folder of a case; what it returns is called once per data set."

It is imported as part of the package ``adapters``, so that it may import modules beside it
(``from .graphs import open_graph``), and a name such as ``onnxruntime`` means the tool.
"""

from __future__ import annotations

import faulthandler
import importlib
import json
import os
import platform
import queue
import signal
import sys
import threading
import traceback
import types
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

_FOLDER = Path(__file__).resolve().parent
_LONGEST_MESSAGE = 2000


def main(adapter_path: str, tool: str) -> None:
    """Answer requests until standard input ends."""
    requests, replies = _own_streams()
    # Where the adapters would shadow the tools that they are named after.
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != _FOLDER]

    def reply(**answer: object) -> None:
        replies.write(json.dumps(answer) + "\n")
        replies.flush()

    path = Path(adapter_path).absolute()
    package = types.ModuleType("adapters")
    package.__path__ = [str(path.parent)]
    sys.modules["adapters"] = package
    for request in _read_in_thread(requests):
        try:
            adapter = importlib.import_module(f"adapters.{path.stem}")
            if "version" in request:
                reply(version=str(adapter.version()), system=_system())
            else:
                # Its own thread ends the process even if the tool never yields to Python, which
                # matters if the parent has been killed.
                faulthandler.dump_traceback_later(request["seconds"] + 5, exit=True)
                _run_case(adapter, tool, request, lambda event: reply(**{event: True}))
                faulthandler.cancel_dump_traceback_later()
                reply(done=True)
        except Exception as error:
            faulthandler.cancel_dump_traceback_later()
            traceback.print_exc()
            kind = "refused"
            if "version" in request and isinstance(error, ImportError):
                kind = "missing"
            reply(**{kind: f"{type(error).__name__}: {error}"[:_LONGEST_MESSAGE]})


def _system() -> str:
    return f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"


def _own_streams() -> tuple[Any, Any]:
    """Take standard input and output for the protocol.

    What a tool prints, from Python or from C, goes to standard error instead, and its processes
    cannot read the requests.
    """
    requests = os.fdopen(os.dup(0), encoding="utf-8")
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return requests, replies


def _read_in_thread(requests: Any) -> Iterator[dict[str, Any]]:
    """Yield the requests; when they end, also in the middle of a case, end all processes."""
    pending = queue.Queue()  # type: ignore[var-annotated] # not generic before Python 3.9

    def read() -> None:
        for line in requests:
            pending.put(json.loads(line))
        if hasattr(os, "killpg") and os.getpgid(0) == os.getpid():
            os.killpg(0, signal.SIGKILL)
        os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    while True:
        yield pending.get()


def _run_case(
    adapter: Any, tool: str, request: dict[str, Any], tell: Callable[[str], None]
) -> None:
    """Run all calls of a case, and write what each returns to a folder of its own."""
    import numpy as np

    case = Path(request["case"])
    run = adapter.load(case, tool)
    tell("loaded")
    folders = case.glob("test_data_set_*")
    for folder in sorted(folders, key=lambda folder: _number(folder.name)):
        paths = sorted(folder.glob("input_*.npy"), key=lambda path: _number(path.stem))
        inputs = [np.load(path) for path in paths]
        outputs = run(inputs)
        if not isinstance(outputs, (list, tuple)):
            raise TypeError(f"expected a list of outputs, received {type(outputs).__name__}")
        target = Path(request["outputs"], folder.name)
        target.mkdir(parents=True)
        for index, output in enumerate(outputs):
            array = np.asarray(output)
            if array.dtype.kind not in "biuf":  # such as bfloat16
                array = array.astype(np.float64)
            np.save(target / f"output_{index}.npy", array)
        tell("returned")


def _number(name: str) -> int:
    return int(name.rpartition("_")[2])


if __name__ == "__main__":
    main(*sys.argv[1:])
