"""The meeting of processes that run JAX, which would abort without a sentence."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

LONGEST_WAIT = 45
"""Seconds that a process waits for the others, before it takes them for dead."""


def join(given: Any) -> None:
    """Make the devices of this process, and meet the other processes, if there are any."""
    import jax

    jax.config.update("jax_num_cpu_devices", given.devices)
    if given.processes < 2:
        return
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    if said := _problem(given.meet, given.rank):
        raise SystemExit(said)
    jax.distributed.initialize(
        given.meet, given.processes, given.rank, heartbeat_timeout_seconds=LONGEST_WAIT
    )


@contextmanager
def one_sentence() -> Iterator[None]:
    """End with a sentence if another process is gone."""
    try:
        yield
    except RuntimeError as error:
        if not any(name in str(error) for name in ("Gloo", "NCCL")):
            raise
        print(f"another process is gone: {str(error).splitlines()[0]}", file=sys.stderr, flush=True)
        # At a usual exit, JAX would wait for the other process, and then abort.
        os._exit(1)


def _problem(address: str, rank: int) -> str:
    """Return why processes cannot meet at ``address``, HOST:PORT, or an empty string.

    The first process listens there; the others wait for it.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        return f"expected an address HOST:PORT, received {address!r}"
    if rank == 0:
        return "" if _is_free(int(port)) else f"the port {port} is in use: choose another"
    end = time.monotonic() + LONGEST_WAIT
    while time.monotonic() < end:
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
        except OSError:
            time.sleep(0.2)
        else:
            return ""
    return f"no process answers at {address} after {LONGEST_WAIT} s: is the one of rank 0 running?"


def _is_free(port: int) -> bool:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("", port))
        except OSError:
            return False
    return True
