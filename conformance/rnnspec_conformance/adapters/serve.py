"""Run the cases of a suite in one tool: ``python serve.py ADAPTER.py TOOL [BYTES]``.

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

import contextlib
import faulthandler
import importlib
import json
import os
import platform
import queue
import signal
import sys
import threading
import time
import traceback
import types
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

_FOLDER = Path(__file__).resolve().parent
_LONGEST_MESSAGE = 2000
_PR_SET_CHILD_SUBREAPER = 36
_POLL_SECONDS = 0.2
_END_SECONDS = 5.0


def main(adapter_path: str, tool: str, memory: str = "") -> None:
    """Answer requests until standard input ends, with a limit of memory if there is one."""
    if memory:
        import resource

        # Not the address space, of which runtimes with a compiler reserve far more than they use.
        resource.setrlimit(resource.RLIMIT_DATA, (int(memory), int(memory)))
    if sys.platform == "linux" and Path("/proc/self/stat").exists():
        _supervise()
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


def _supervise() -> None:
    """Go on in a child, and end everything that it has started when it ends or is to end.

    A process that leaves the group and the session of its parent, as daemons do, is still a
    descendant: where it loses its parent, it is handed to the nearest ancestor that has asked for
    that, which is this process. See PR_SET_CHILD_SUBREAPER in prctl(2).
    """
    try:
        import ctypes

        if ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
            return
    except (ImportError, AttributeError):
        return
    rnnspec = os.getppid()
    # Blocked before there is a child, so that neither signal is missed.
    signals = {signal.SIGCHLD, signal.SIGTERM}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    worker = os.fork()
    if not worker:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return
    ended, status = 0, 0
    # The parent is another one after rnnspec has been killed.
    while not ended and os.getppid() == rnnspec:
        arrived = signal.sigtimedwait(signals, _POLL_SECONDS)
        if arrived is not None and arrived.si_signo == signal.SIGTERM:
            break
        ended, status = os.waitpid(worker, os.WNOHANG)
    _end_descendants()
    code = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
    if code < 0:
        import resource

        # As the worker did, but without a second core file.
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


def _end_descendants() -> None:
    """Kill all descendants, until none is left or those that are may not be killed."""
    end = time.monotonic() + _END_SECONDS
    while time.monotonic() < end:
        parents = {}
        for path in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):  # it has ended
                # The name of the program, in parentheses, can contain anything.
                _, parent = path.read_text("utf-8", "replace").rpartition(")")[2].split()[:2]
                parents[int(path.parent.name)] = int(parent)
        ours = {os.getpid()}
        while more := {child for child, parent in parents.items() if parent in ours} - ours:
            ours |= more
        for descendant in ours - {os.getpid()}:
            with contextlib.suppress(OSError):
                os.kill(descendant, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(0.001)


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
            if array.dtype.kind not in "biufc":  # such as bfloat16
                array = array.astype(np.float64)
            np.save(target / f"output_{index}.npy", array)
        tell("returned")


def _number(name: str) -> int:
    return int(name.rpartition("_")[2])


if __name__ == "__main__":
    main(*sys.argv[1:])
