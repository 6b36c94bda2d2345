"""Names made here: run ids that sort by time, and random tokens."""

from __future__ import annotations

import os
import socket
import threading

from durable_workflows import clock

TOKEN_LENGTH = 32

_lock = threading.Lock()
_last = 0


def new_run_id() -> str:
    """
    A UUIDv7 (RFC 9562, section 5.7): 48 bits of milliseconds, then 12 bits that count up within one, then chance.

    Ids made by one process sort in the order of their making.
    """
    global _last
    with _lock:
        stamp = max(clock.unix_nanoseconds() * 4096 // 1_000_000, _last + 1)
        _last = stamp
    millis, counter = divmod(stamp, 4096)
    value = (millis & (1 << 48) - 1) << 80 | 7 << 76 | counter << 64 | 2 << 62 | int.from_bytes(os.urandom(8), "big") >> 2
    digits = f"{value:032x}"  # as str(uuid.UUID(int=value)) writes it, at a third of the cost
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def new_token() -> str:
    """A random name for a claim or a worker; made by the client, so that it can be looked up after a lost reply."""
    return os.urandom(16).hex()


def new_worker_id(prefix: str = "") -> str:
    """An id for this process, new at each start: a restarted process is never taken for the one that died."""
    return f"{_beginning(prefix or socket.gethostname())}{new_token()}"


def worker_ids_of(prefix: str) -> tuple[str, int]:
    """With what the ids begin that ``new_worker_id`` makes with this prefix, and how long they are."""
    beginning = _beginning(prefix)
    return beginning, len(beginning) + TOKEN_LENGTH


def _beginning(prefix: str) -> str:
    return f"{prefix[:31]}-"
