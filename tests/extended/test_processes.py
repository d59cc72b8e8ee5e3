"""Work shared among processes: results in order, errors as they are, and deaths that are named."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rnnspec.errors import BackendError, GenerationError, UsageError
from rnnspec.machine import processes
from rnnspec.machine.processes import Work, map_in_order, single_threaded

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals")


class UnsendableError(Exception):
    def __init__(self, one: str, other: str) -> None:
        super().__init__(one + other)


def answered(item: tuple[int, str]) -> tuple[int, int]:
    """Do what an item says, and return its number and the process."""
    number, what = item
    match what:
        case "die once":
            if not Path("died").exists():
                Path("died").touch()
                os.kill(os.getpid(), signal.SIGKILL)
        case "die":
            os.kill(os.getpid(), signal.SIGKILL)
        case "exit":
            os._exit(7)
        case "sleep":
            time.sleep(60)
        case "usage":
            raise UsageError("wrong", "item")
        case "unsendable":
            raise UnsendableError("can", "not")
        case _:
            pass
    return number, os.getpid()


def told(item: tuple[int, str]) -> str:
    return f"item {item[0]}"


def ready() -> None:
    Path(f"prepared-{os.getpid()}").touch()


def broken() -> None:
    raise BackendError("no framework")


def ended(result: tuple[int, int]) -> bool:
    return result[0] >= 3


@pytest.fixture(autouse=True)
def _no_child_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    yield
    # A thread of the pool may be waiting for the same process, and has to forget it too.
    end = time.monotonic() + 30
    while multiprocessing.active_children() and time.monotonic() < end:
        time.sleep(0.01)
    assert multiprocessing.active_children() == []


def test_results_are_in_order_and_processes_are_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "MOST", 2)
    items = [(n, "") for n in range(9)]
    done: list[str] = []
    results = Work(answered, ready, told).share(items, 2, done.append)
    assert [number for number, _ in results] == list(range(9))
    assert sorted(done) == [told(item) for item in items]
    used = {process for _, process in results}
    assert 3 <= len(used) <= 6
    assert {f"prepared-{process}" for process in used} <= {path.name for path in Path().iterdir()}


def test_a_process_that_dies_once_costs_nothing() -> None:
    items = [(0, ""), (1, "die once"), (2, ""), (3, "")]
    results = Work(answered, ready, told).share(items, 2)
    assert [number for number, _ in results] == [0, 1, 2, 3]


def test_nothing_after_the_end_is_returned() -> None:
    items = [(n, "") for n in range(6)]
    results = Work(answered, ready, told, ended).share(items, 2)
    assert [number for number, _ in results] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("what", "kind", "message"),
    [
        ("die", BackendError, "rnnspec: error: the process that compared item 2 was ended by SIGK"),
        ("exit", BackendError, "that compared item 2 was ended with the exit code 7; the memory"),
        ("usage", UsageError, "item: error: wrong"),
        ("unsendable", GenerationError, "UnsendableError: cannot"),
    ],
)
def test_an_item_that_fails(what: str, kind: type[Exception], message: str) -> None:
    items = [(0, ""), (1, "sleep" if kind is not BackendError else ""), (2, what), (3, "")]
    began = time.monotonic()
    with pytest.raises(kind) as caught:
        Work(answered, ready, told).share(items, 2)
    assert time.monotonic() - began < 30
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_preparation_that_fails() -> None:
    with pytest.raises(BackendError, match="no framework"):
        Work(answered, broken, told).share([(0, ""), (1, "")], 2)


def test_a_map_is_in_order_and_raises_what_a_call_raises() -> None:
    items = [(n, "") for n in range(5)]
    assert [number for number, _ in map_in_order(answered, items, 2)] == list(range(5))
    with pytest.raises(UsageError, match="wrong"):
        map_in_order(answered, [*items, (5, "usage")], 2)


def test_the_limits_of_the_user_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.delenv("NPROC", raising=False)
    before = dict(os.environ)
    with single_threaded():
        assert os.environ["OMP_NUM_THREADS"] == "3"
        assert os.environ["NPROC"] == "1"
    assert dict(os.environ) == before
