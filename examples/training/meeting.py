"""A look at the address where processes meet; JAX would abort without a sentence."""

from __future__ import annotations

import socket
import time


def problem(address: str, rank: int, patience: float) -> str:
    """Return why processes cannot meet at ``address``, HOST:PORT, or an empty string.

    The first process listens there; the others wait for it, at most ``patience`` seconds.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        return f"expected an address HOST:PORT, received {address!r}"
    if rank == 0:
        return "" if _is_free(int(port)) else f"the port {port} is in use: choose another"
    end = time.monotonic() + patience
    while time.monotonic() < end:
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
        except OSError:
            time.sleep(0.2)
        else:
            return ""
    return f"no process answers at {address} after {patience:g} s: is the one of rank 0 running?"


def _is_free(port: int) -> bool:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("", port))
        except OSError:
            return False
    return True
