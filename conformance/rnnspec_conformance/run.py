"""Run the cases of a suite in tools, each in a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Lock, Thread
from typing import IO, TYPE_CHECKING, Any, Literal, Self

import numpy as np

from rnnspec.errors import BackendError, UsageError, brief, listed
from rnnspec_conformance.layout import Case, read_array
from rnnspec_conformance.records import RecordError, printable_lines, to_record
from rnnspec_conformance.results import Cell, Facts, Results, ToolRun
from rnnspec_conformance.tools import Tool

if TYPE_CHECKING:
    from rnnspec.backends.slots import Array

_ADAPTERS = Path(__file__).with_name("adapters")
_START_SECONDS = 300.0
"""The time that a tool may take to be imported."""
_POLL_SECONDS = 0.05
_END_SECONDS = 10.0
"""The time that a process may take to end its descendants."""
_PLACEHOLDERS = ("{model}", "{inputs}", "{outputs}")


@dataclass(frozen=True, slots=True)
class Launch:
    """A tool, and how its process is started.

    ``argument`` is what the adapter is told; ``python`` the interpreter that runs it; ``seconds``
    the limit for each case, and ``memory`` that of the process, in bytes.
    """

    tool: Tool
    argument: str
    python: str = sys.executable
    seconds: float = 60.0
    memory: int | None = None
    folder: Path | None = None
    """The current folder of the process; by default an empty one, for tools that write files."""

    def __post_init__(self) -> None:
        if self.memory is not None and sys.platform != "linux":
            raise UsageError("--memory-limit works on Linux only")


def launch_command(command: str, name: str, format: str) -> Launch:  # noqa: A002 - as the option
    """Return how a command is started, which runs once per data set and without a shell.

    Raises:
        UsageError: the program does not exist, or a placeholder is missing or unknown.
    """
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise UsageError(f"--command: {str(error).lower()}: {command}") from None
    used = re.findall(r"\{\w*\}", " ".join(words))
    for placeholder in used:
        if placeholder not in _PLACEHOLDERS:
            expected = listed(_PLACEHOLDERS)
            raise UsageError(f"--command: unknown placeholder {placeholder}; expected {expected}")
    if missing := [placeholder for placeholder in _PLACEHOLDERS if placeholder not in used]:
        raise UsageError(
            f"--command: expected {listed(_PLACEHOLDERS)}; {listed(missing)} "
            f"{'is' if len(missing) == 1 else 'are'} missing"
        )
    program = shutil.which(words[0])
    if program is None:
        raise UsageError(f"--command: no program {words[0]!r} was found")
    name = name or Path(program).stem
    tool = Tool(name, name, "other", "command", format, ())
    # Relative paths in a command mean files in the folder of the user.
    words = [os.path.abspath(program), *words[1:]]  # noqa: PTH100 - resolve() follows links
    return Launch(tool, json.dumps({"words": words, "format": format}), folder=Path.cwd())


class InterruptedRun(KeyboardInterrupt):
    """A run that was interrupted, with the results that it has."""

    def __init__(self, results: Results) -> None:
        super().__init__()
        self.results = results


def run_suite(
    cases: Sequence[Case],
    launches: Sequence[Launch],
    done: Callable[[str], None] = lambda _: None,
    jobs: int = 1,
) -> Results:
    """Return the result of each case in each tool, which sees a copy of the case.

    ``jobs`` tools run at the same time.

    Raises:
        BackendError: a tool is not installed, or cannot be started.
        SpecError: the spec of a case is invalid.
        UsageError: a case has other files than one may have; nothing is run.
        InterruptedRun: Ctrl-C, after the first case.
    """
    with tempfile.TemporaryDirectory() as folder:
        run = _Run(cases, _copy_cases(cases, launches, Path(folder)), done)
        if len(launches) > 1:
            # Nobody wants to learn after an hour that the last tool is missing.
            run.all(run.look_for, launches, jobs)
        try:
            run.all(run.run_tool, launches, jobs)
        except KeyboardInterrupt:
            results = run.results(launches)
            if not results.tools:
                raise
            raise InterruptedRun(results) from None
    return run.results(launches)


class _Run:
    """The tools and cells of a run so far. Each tool has a thread, which ends at ``stop``."""

    def __init__(
        self, cases: Sequence[Case], copies: Mapping[str, Path], done: Callable[[str], None]
    ) -> None:
        self._tools: dict[str, ToolRun] = {}
        self._cells: dict[tuple[str, str], Cell] = {}
        self._cases, self._copies, self._done = cases, copies, done
        self._stop, self._lock = Event(), Lock()

    def all(
        self, function: Callable[[Launch], None], launches: Sequence[Launch], jobs: int
    ) -> None:
        """Call a function with each launch, and end all processes if one call fails."""
        with ThreadPoolExecutor(jobs) as pool:
            running = {pool.submit(function, launch) for launch in launches}
            try:
                while running:
                    # With a limit, because Ctrl-C does not end a wait on Windows.
                    done, running = wait(running, _POLL_SECONDS, FIRST_EXCEPTION)
                    for future in done:
                        future.result()
            except BaseException:
                self._stop.set()
                pool.shutdown(cancel_futures=True)
                raise

    def look_for(self, launch: Launch) -> None:
        """Start a tool, which raises an error if it is not installed."""
        self._announce(f"looking for {launch.tool.title}")
        with _Process(launch, self._stop) as process:
            process.describe()

    def run_tool(self, launch: Launch) -> None:
        """Run all cases in a tool."""
        name, title = launch.tool.name, launch.tool.title
        self._announce(f"starting {title}")
        with _Process(launch, self._stop) as process:
            self._tools[name] = process.describe()
            for case in self._cases:
                self._announce(f"{case.name} in {title}")
                copy = self._copies[launch.tool.format] / case.name
                self._cells[case.name, name] = _run_case(process, case, copy)

    def results(self, launches: Sequence[Launch]) -> Results:
        """Return the results so far, in the order of the launches."""
        began = {tool for _, tool in self._cells}
        names = [launch.tool.name for launch in launches if launch.tool.name in began]
        tools = {name: self._tools[name] for name in names}
        facts = {
            case.name: Facts(case.fact, case.consequence, case.tolerance) for case in self._cases
        }
        cells = {
            case: {tool: self._cells[case, tool] for tool in tools if (case, tool) in self._cells}
            for case in facts
        }
        return Results(tools, facts, cells)

    def _announce(self, what: str) -> None:
        with self._lock:
            self._done(what)


class _StoppedError(Exception):
    """The run has been stopped."""


def _copy_cases(cases: Sequence[Case], launches: Sequence[Launch], folder: Path) -> dict[str, Path]:
    """Write what the tools get, and return its folder for each format."""
    # Imported here: templates take time, which a wrong command line does not need.
    from rnnspec_conformance.copies import copy_case

    copies = {launch.tool.format: folder / launch.tool.format for launch in launches}
    for form, parent in copies.items():
        parent.mkdir()
        for case in cases:
            if form in case.models:
                copy_case(case, form, parent)
    return copies


@dataclass(frozen=True, slots=True)
class _Outcome:
    """How far a process came with a case: how many calls have returned, and what happened then."""

    state: Literal["done", "refused", "crashed"]
    calls: int
    message: str = ""
    loaded: bool = True

    @property
    def where(self) -> str:
        """The place at which it stopped."""
        return f"call {self.calls + 1}" if self.loaded else "load"


def _run_case(process: _Process, case: Case, copy: Path) -> Cell:
    form = process.launch.tool.format
    if form not in case.models:
        return Cell("absent", message=case.refused.get(form, ""))
    with tempfile.TemporaryDirectory() as folder:
        outcome = process.run(copy, Path(folder))
        names = [f"test_data_set_{number}" for number in range(outcome.calls)]
        try:
            calls = [_read_outputs(Path(folder, name)) for name in names]
        except UsageError as error:
            return Cell("refused", where="outputs", message=error.message)
    cell = _compare(case, calls)
    if outcome.state == "done":
        return cell
    message = _without_chance(outcome.message)
    if cell.state == "equal":
        return Cell(outcome.state, where=outcome.where, message=message)
    later = f"{outcome.state} in {outcome.where}: {message}"
    message = "; ".join(filter(None, (cell.message, later)))
    return Cell("wrong", cell.difference, cell.where, cell.fault, message)


def _without_chance(message: str) -> str:
    """Return a message without addresses and folders, so that each run gives the same one."""

    def shorten(path: re.Match[str]) -> str:
        # Names in graphs look like paths, too.
        return "" if Path(path[1]).is_dir() else path[0]

    message = re.sub(r"(?<![\w./-])(/[^\s/:'\"]+)/(?:[^\s/:'\"]+/)*", shorten, message)
    return re.sub(r"0x[0-9a-f]{6,}", "0x...", message)


def _read_outputs(folder: Path) -> list[Array]:
    count = len(list(folder.iterdir()))
    return [read_array(folder / f"output_{number}.npy", folder) for number in range(count)]


def _compare(case: Case, calls: Sequence[Sequence[Array]]) -> Cell:
    """Compare the calls that were made with the reference, then with the known faults."""
    truth = [call.outputs for call in case.calls]
    distances = [_distance(*pair) for pair in zip(truth, calls, strict=False)]
    wrong = [number for number, one in enumerate(distances, 1) if not one.within(case.tolerance)]
    largest = max((one.difference for one in distances if not one.message), default=0.0)
    if not wrong:
        return Cell("equal", largest)
    fault = next((fault.name for fault in case.faults if _matches(fault.outputs, calls, case)), "")
    message = next((one.message for one in distances if one.message), "")
    return Cell("wrong", None if message else largest, f"call {wrong[0]}", fault, message)


def _matches(
    outputs: Sequence[Sequence[Array]], calls: Sequence[Sequence[Array]], case: Case
) -> bool:
    pairs = zip(outputs, calls, strict=False)
    return all(_distance(*pair).within(case.tolerance) for pair in pairs)


@dataclass(frozen=True, slots=True)
class _Distance:
    """The largest difference of the outputs of a call, or why there is none."""

    difference: float
    message: str = ""

    def within(self, tolerance: float) -> bool:
        return not self.message and self.difference <= tolerance


def _distance(truth: Sequence[Array], outputs: Sequence[Array]) -> _Distance:
    if len(truth) != len(outputs):
        return _Distance(0, f"expected {len(truth)} outputs, received {len(outputs)}")
    largest = 0.0
    for expected, received in zip(truth, outputs, strict=True):
        if expected.shape != received.shape:
            message = f"expected the shape {expected.shape}, received {received.shape}"
            return _Distance(0, message)
        if np.iscomplexobj(received):
            return _Distance(0, f"expected real numbers, received {received.dtype}")
        if not np.isfinite(received).all():
            return _Distance(0, "outputs are not finite")
        differences = np.abs(expected - received.astype(np.float64))
        largest = max(largest, float(differences.max(initial=0.0)))
    return _Distance(largest)


@dataclass(slots=True)
class _Process:
    """The process of a tool, which serves all cases and is started again after it has died."""

    launch: Launch
    stop: Event
    _popen: subprocess.Popen[str] | None = None
    _replies: queue.Queue[str] = field(default_factory=queue.Queue)
    _errors: IO[bytes] | None = None
    _stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    _folder: str | Path = ""

    def __enter__(self) -> Self:
        self._folder = self.launch.folder or self._stack.enter_context(
            tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._kill()
        self._stack.close()

    def describe(self) -> ToolRun:
        """Start the process, and return what it says of its tool.

        Raises:
            BackendError: the tool is not installed, or its process dies.
        """
        tool, reply = self.launch.tool, self._start()
        if "missing" in reply:
            pip = f"{shlex.quote(self.launch.python)} -m pip install {' '.join(tool.packages)}"
            install = tool.install or pip
            raise BackendError(f"{tool.title}: {brief(reply['missing'])}; to install it: {install}")
        if "version" not in reply:
            raise BackendError(f"{tool.title} does not start: {brief(_message(reply))}")
        version, date = reply["version"], datetime.now(UTC).date().isoformat()
        return ToolRun(tool.name, tool.title, version, date, reply["system"])

    def run(self, case: Path, outputs: Path) -> _Outcome:
        """Run all calls of a case, and write what they return to ``outputs``."""
        if self._popen is None and "version" not in (reply := self._start()):
            return _Outcome("crashed", 0, _message(reply), loaded=False)
        seconds, returned = self.launch.seconds, -1
        self._send(case=str(case.absolute()), outputs=str(outputs), seconds=seconds)
        for reply in self._read(seconds):
            match reply:
                case {"loaded": _} | {"returned": _}:
                    returned += 1
                case {"done": _}:
                    return _Outcome("done", returned)
                case {"refused": message}:
                    return _Outcome("refused", max(returned, 0), message, loaded=returned >= 0)
                case _:
                    message = _message(reply)
                    return _Outcome("crashed", max(returned, 0), message, loaded=returned >= 0)
        raise AssertionError

    def _start(self) -> Mapping[str, Any]:
        """Start the process, and return its first reply, about its tool."""
        launch = self.launch
        adapter = _ADAPTERS / f"{launch.tool.adapter}.py"
        memory = "" if launch.memory is None else str(launch.memory)
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed when the process is killed
        try:
            self._popen = subprocess.Popen(  # noqa: S603 - no shell
                [launch.python, str(_ADAPTERS / "serve.py"), str(adapter), launch.argument, memory],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                encoding="utf-8",
                errors="replace",
                cwd=self._folder,
                env={**os.environ, **launch.tool.environment},
                start_new_session=True,
            )
        except OSError as error:
            self._errors.close()
            reason = (error.strerror or str(error)).lower()
            raise UsageError(f"cannot be started: {reason}", launch.python) from None
        self._replies = queue.Queue()
        Thread(target=_pass_on, args=(self._popen.stdout, self._replies), daemon=True).start()
        self._send(version=True)
        return next(self._read(_START_SECONDS))

    def _send(self, **request: object) -> None:
        assert self._popen is not None
        assert self._popen.stdin is not None
        # A process that has died is noticed when its reply is read.
        with contextlib.suppress(OSError):
            self._popen.stdin.write(json.dumps(request) + "\n")
            self._popen.stdin.flush()

    def _read(self, seconds: float) -> Iterator[Mapping[str, Any]]:
        """Yield replies; the last one is ``crashed`` if the process dies or takes too long."""
        assert self._popen is not None
        end = time.monotonic() + seconds
        while True:
            if self.stop.is_set():
                raise _StoppedError
            # Asked first: what a process wrote before it ended is read below.
            ended = self._popen.poll() is not None
            try:
                yield _read_reply(self._replies.get(timeout=_POLL_SECONDS))
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
        assert self._popen is not None
        assert self._errors is not None
        code = self._popen.wait()
        self._errors.seek(max(0, self._errors.seek(0, os.SEEK_END) - 10_000))
        lines = self._errors.read().decode("utf-8", "replace").strip().splitlines()
        self._kill()
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return printable_lines(": ".join([how, *lines[-1:]]))

    def _kill(self) -> None:
        """End the process and its descendants."""
        if (popen := self._popen) is None:
            return
        self._popen = None
        try:
            # On Linux, it ends its descendants first, those in other sessions too.
            popen.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                popen.wait(_END_SECONDS)
        finally:
            if hasattr(os, "killpg"):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(popen.pid, signal.SIGKILL)
            popen.kill()
            popen.wait()
        # Its standard output is closed by the thread that reads it.
        for stream in (popen.stdin, self._errors):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()


def _read_reply(line: str) -> Mapping[str, Any]:
    """Return a reply; if a tool has written into the protocol, that counts as a crash."""
    try:
        reply: Mapping[str, Any] = to_record(json.loads(line), Mapping[str, str | bool])
    except (RecordError, ValueError, RecursionError) as error:
        return {"crashed": f"not a reply: {brief(error)}"}
    return reply


def _message(reply: Mapping[str, Any]) -> str:
    return " ".join(map(str, reply.values()))


def _pass_on(lines: IO[str], replies: queue.Queue[str]) -> None:
    with lines:
        for line in lines:
            replies.put(line)
