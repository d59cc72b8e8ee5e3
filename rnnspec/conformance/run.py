"""Run the cases of a suite in tools, each in a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread
from typing import IO, Any, Literal, Self

import numpy as np

from rnnspec.conformance.results import Cell, Results, ToolRun
from rnnspec.conformance.tools import Tool
from rnnspec.errors import BackendError, UsageError, brief, listed

ADAPTERS = Path(__file__).with_name("adapters")

_START_SECONDS = 300.0
"""The time that a tool may take to be imported."""


@dataclass(frozen=True, slots=True)
class Case:
    """The folder of a case, and its ``case.json``."""

    folder: Path
    data: dict[str, Any]

    @property
    def name(self) -> str:
        """The name, which is that of the folder."""
        return self.folder.name

    def truths(self) -> list[list[np.ndarray[Any, Any]]]:
        """Return the outputs of the reference for each call."""
        return _read_outputs(self.folder)


def read_suite(folder: Path) -> list[Case]:
    """Return the cases of a suite, in its order."""
    try:
        names = json.loads((folder / "suite.json").read_text("utf-8"))["cases"]
        return [
            Case(folder / name, json.loads((folder / name / "case.json").read_text("utf-8")))
            for name in names
        ]
    except OSError as error:
        raise UsageError(f"not a suite: {error}", str(folder)) from error


@dataclass(frozen=True, slots=True)
class Limits:
    """What a tool may use for each case."""

    seconds: float = 60.0
    bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """A tool, and how it is started."""

    tool: Tool
    python: str = sys.executable
    adapter: Path | None = None


def run_suite(
    cases: Sequence[Case],
    columns: Sequence[Column],
    limits: Limits = Limits(),
    done: Callable[[str], None] = lambda _: None,
) -> Results:
    """Return the result of each case in each tool.

    Raises:
        BackendError: a tool is not installed, or cannot be started.
    """
    runs: list[ToolRun] = []
    cells: dict[str, dict[str, Cell]] = {case.name: {} for case in cases}
    for column in columns:
        with _Server(column, limits) as server:
            # Started before any case, so that what is missing is an error of all.
            version = server.version()
            name = column.tool.name
            runs.append(
                ToolRun(
                    name,
                    column.tool.title,
                    version["version"],
                    datetime.now(UTC).date().isoformat(),
                    version["system"],
                )
            )
            for case in cases:
                cells[case.name][name] = _run_case(server, case)
                done(f"{name}: {case.name}")
    return Results(tuple(runs), cells)


@dataclass(frozen=True, slots=True)
class _Outcome:
    """How far a process came with a case; ``message`` is empty if all calls were done."""

    state: Literal["done", "refused", "crashed"]
    where: str = ""
    message: str = ""


def _run_case(server: _Server, case: Case) -> Cell:
    if server.column.tool.format not in case.data["models"]:
        reason = case.data.get("refused", {}).get(server.column.tool.format, "")
        return Cell("absent", message=reason)
    with tempfile.TemporaryDirectory() as folder:
        outcome = server.run(case.folder, Path(folder))
        outputs = _read_outputs(Path(folder))
    cell = _compare(case, outputs)
    if cell.state == "wrong":
        if not outcome.message:
            return cell
        parts = [cell.message, f"{outcome.state} in {outcome.where}: {outcome.message}"]
        message = "; ".join(filter(None, parts))
        return Cell("wrong", cell.difference, cell.where, cell.fault, message)
    if outcome.state == "done":
        return cell
    return Cell(outcome.state, where=outcome.where, message=outcome.message)


def _read_outputs(folder: Path) -> list[list[np.ndarray[Any, Any]]]:
    """Return the outputs of each call that a folder has."""
    calls: list[list[np.ndarray[Any, Any]]] = []
    while (call := folder / f"test_data_set_{len(calls)}").is_dir():
        outputs: list[np.ndarray[Any, Any]] = []
        while (path := call / f"output_{len(outputs)}.npy").exists():
            try:
                outputs.append(np.load(path))
            except (OSError, ValueError, EOFError):
                return calls  # the process died while it wrote it
        calls.append(outputs)
    return calls


def _compare(case: Case, outputs: list[list[np.ndarray[Any, Any]]]) -> Cell:
    """Compare the calls that were done with the reference, then with the known faults."""
    tolerance, largest = case.data["tolerance"], 0.0
    cell: Cell | None = None
    for number, (truth, result) in enumerate(zip(case.truths(), outputs, strict=False), 1):
        difference, message = _distance(truth, result)
        if message or difference is None or not difference <= tolerance:
            where = cell.where if cell else f"call {number}"
            cell = Cell("wrong", None, where, message=cell.message if cell else message)
        if difference is not None:
            largest = max(largest, difference)
    if cell is None:
        return Cell("equal", largest)
    fault = next(
        (
            fault["name"]
            for fault in case.data["faults"]
            if all(
                not message and difference is not None and difference <= tolerance
                for difference, message in map(
                    _distance, _read_outputs(case.folder / fault["folder"]), outputs
                )
            )
        ),
        "",
    )
    return Cell("wrong", None if cell.message else largest, cell.where, fault, cell.message)


def _distance(
    truth: list[np.ndarray[Any, Any]], result: list[np.ndarray[Any, Any]]
) -> tuple[float | None, str]:
    """Return the largest difference of the outputs of a call, and why there is none."""
    if len(truth) != len(result):
        return None, f"expected {len(truth)} outputs, received {len(result)}"
    largest = 0.0
    for expected, received in zip(truth, result, strict=True):
        if expected.shape != received.shape:
            return None, f"expected the shape {expected.shape}, received {received.shape}"
        if not np.isfinite(received).all():
            return None, "outputs are not finite"
        if expected.size:
            largest = max(largest, float(np.abs(expected - received.astype(np.float64)).max()))
    return largest, ""


@dataclass(slots=True)
class _Server:
    """The process of a tool, started again after it has died."""

    column: Column
    limits: Limits
    _process: subprocess.Popen[str] | None = None
    _replies: queue.Queue[str] = field(default_factory=queue.Queue)
    _errors: IO[bytes] | None = None
    _folder: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    _work: str = ""

    def __enter__(self) -> Self:
        # Some tools write files to the current folder.
        self._work = self._folder.enter_context(tempfile.TemporaryDirectory())
        return self

    def __exit__(self, *_: object) -> None:
        self._kill()
        self._folder.close()

    def version(self) -> dict[str, str]:
        """Start the process, and return what it says of its tool.

        Raises:
            BackendError: the tool is not installed, or its process dies.
        """
        tool = self.column.tool
        reply = self._start()
        if "missing" in reply:
            packages = " ".join(tool.packages)
            raise BackendError(
                f"{tool.title} is not installed ({brief(reply['missing'])}); "
                f"{self.column.python} -m pip install {packages}"
            )
        if "version" not in reply:
            raise BackendError(
                f"{tool.title} cannot be started: {brief(listed([*reply.values()]))}"
            )
        return reply

    def run(self, case: Path, outputs: Path) -> _Outcome:
        """Run all calls of a case, and write what they return to ``outputs``."""
        if self._process is None:
            reply = self._start()
            if "version" not in reply:
                return _Outcome("crashed", "start", " ".join(reply.values()))
        where = "load"
        self._send(case=str(case.absolute()), outputs=str(outputs), seconds=self.limits.seconds)
        for reply in self._read(self.limits.seconds):
            match reply:
                case {"begins": stage}:
                    where = stage
                case {"done": _}:
                    return _Outcome("done")
                case {"refused": message}:
                    return _Outcome("refused", where, message)
                case _:
                    return _Outcome("crashed", where, " ".join(reply.values()))
        raise AssertionError

    def _start(self) -> dict[str, str]:
        tool = self.column.tool
        adapter = self.column.adapter or ADAPTERS / f"{tool.adapter}.py"
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed when it is killed
        self._replies = queue.Queue()
        try:
            self._process = subprocess.Popen(  # noqa: S603 - no shell
                [self.column.python, str(ADAPTERS / "serve.py"), str(adapter), tool.name],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                text=True,
                encoding="utf-8",
                errors="replace",
                cwd=self._work,
                env={**os.environ, **tool.environment},
                start_new_session=True,
            )
        except OSError as error:
            raise UsageError(f"cannot be started: {error.strerror}", self.column.python) from error
        Thread(target=_pass_on, args=(self._process.stdout, self._replies), daemon=True).start()
        self._send(version=True)
        return next(self._read(_START_SECONDS))

    def _send(self, **request: object) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        # A process that has died is noticed when its reply is read.
        with contextlib.suppress(OSError):
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()

    def _read(self, seconds: float) -> Iterator[dict[str, str]]:
        """Yield replies; the last one is ``crashed`` if the process dies or takes too long."""
        assert self._process is not None
        end = time.monotonic() + seconds
        while True:
            # Once the process has ended, nothing more is written, but replies may still be queued.
            ended = self._process.poll() is not None
            try:
                yield json.loads(self._replies.get(timeout=0.2))
            except queue.Empty:
                if ended:
                    yield {"crashed": self._last_words()}
                    return
                if time.monotonic() > end:
                    self._kill()
                    yield {"crashed": f"not done after {seconds:g} seconds"}
                    return

    def _last_words(self) -> str:
        """Return how the process has ended, with the last line that it printed."""
        assert self._process is not None
        assert self._errors is not None
        code = self._process.wait()
        self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(0, self._errors.tell() - 10_000))
        lines = self._errors.read().decode("utf-8", "replace").strip().splitlines()
        self._kill()
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return ": ".join([how, *lines[-1:]])

    def _kill(self) -> None:
        """End the process and its children."""
        if (process := self._process) is None:
            return
        self._process = None
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if hasattr(os, "killpg"):
                os.killpg(process.pid, signal.SIGKILL)
        process.kill()
        process.wait()
        for stream in (process.stdin, self._errors):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()


def _pass_on(lines: IO[str], replies: queue.Queue[str]) -> None:
    with lines:
        for line in lines:
            replies.put(line)


if __name__ == "__main__":
    from rnnspec.conformance.tools import TOOLS

    suite, *names = sys.argv[1:]
    results = run_suite(
        read_suite(Path(suite)), [Column(TOOLS[name]) for name in names], done=print
    )
    print(json.dumps(results.as_dict(), indent=2))
