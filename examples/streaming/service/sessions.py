"""Sessions: the states of streams between their chunks, in the memory of one process.

The event loop alone changes the sessions. A chunk runs in a thread, while its session is locked.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from model import Output, RefusedError, States, StepModel


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that clients may use. ``idle`` is in seconds, ``body`` in bytes."""

    sessions: int = 1000
    idle: float = 600.0
    batch: int = 64
    steps: int = 1000
    body: int = 2**22


@dataclass(slots=True)
class Session:
    """A stream of ``batch`` sequences; the holder of ``lock`` may read and replace its states."""

    key: str
    batch: int
    states: States
    used: float
    steps: int = 0
    closed: bool = False
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass(slots=True)
class Sessions:
    """All sessions of a model; ``clock`` returns seconds."""

    model: StepModel
    limits: Limits
    clock: Callable[[], float] = time.monotonic
    _held: dict[str, Session] = field(default_factory=dict)

    def count(self) -> int:
        """Return the number of sessions that have not expired."""
        self._expire()
        return len(self._held)

    def create(self, batch: int) -> Session:
        """Return a new session, before its first chunk.

        Raises:
            RefusedError: the batch is too large, or there are too many sessions.
        """
        if not 1 <= batch <= self.limits.batch:
            raise RefusedError(
                422, f"expected a batch of 1 to {self.limits.batch} sequences, received {batch}"
            )
        self._expire()
        if len(self._held) >= self.limits.sessions:
            raise RefusedError(
                503, f"all {self.limits.sessions} sessions are in use; delete one, or wait"
            )
        made = Session(secrets.token_urlsafe(16), batch, self.model.zeros(batch), self.clock())
        self._held[made.key] = made
        return made

    async def step(self, key: str, values: Any, start: int | None) -> tuple[Output, int]:
        """Return the output of a session for its next chunk, and the number of steps so far.

        Chunks of one session run one after another. A chunk that is refused changes nothing.

        Raises:
            RefusedError: there is no such session, the chunk does not fit it, or ``start`` is not
                the number of steps before the chunk.
        """
        session = self._found(key)
        async with session.lock:
            if session.closed:
                raise _unknown(key)
            if start not in (None, session.steps):
                raise RefusedError(
                    409, f"expected a chunk that starts at {session.steps}, received one at {start}"
                )
            steps, output, session.states = await asyncio.to_thread(self._run, values, session)
            session.steps += steps
            session.used = self.clock()
            return output, session.steps

    def _run(self, values: Any, session: Session) -> tuple[int, Output, States]:
        chunk = self.model.chunk(values, session.batch)
        if (steps := chunk.shape[1]) > (most := self.limits.steps):
            raise RefusedError(
                413, f"expected at most {most} steps in a chunk, received {steps}; send several"
            )
        return steps, *self.model.step(chunk, session.states)

    async def delete(self, key: str) -> None:
        """Remove a session once its current chunk is done.

        Raises:
            RefusedError: there is no such session.
        """
        session = self._found(key)
        async with session.lock:
            if session.closed:
                raise _unknown(key)
            session.closed = True
            del self._held[key]

    def _found(self, key: str) -> Session:
        self._expire()
        if (session := self._held.get(key)) is None:
            raise _unknown(key)
        session.used = self.clock()
        return session

    def _expire(self) -> None:
        """Remove sessions that nobody used for too long."""
        oldest = self.clock() - self.limits.idle
        for key, session in list(self._held.items()):
            if session.used < oldest and not session.lock.locked():
                session.closed = True
                del self._held[key]


def _unknown(key: str) -> RefusedError:
    return RefusedError(
        404, f"there is no session {key}: it was deleted, or idle for too long; create another one"
    )
