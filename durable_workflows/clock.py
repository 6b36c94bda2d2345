"""
The one source of time in this process.

Due times, leases and windows are judged by the database's clock (``models.dialects``); this one serves what a database
clock cannot: how long something took here, and SQLite, whose clock is the process's own. ``travel`` in
``durable_workflows.testing`` moves it by an offset.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

_offset = timedelta(0)


def now() -> datetime:
    """The present, aware, in UTC, moved by the offset of a time travel."""
    return datetime.now(UTC) + _offset


def real_now() -> datetime:
    """The present as the operating system has it, which no time travel moves; SQLite's leases are judged by it."""
    return datetime.now(UTC)


def offset() -> timedelta:
    """How far tests have moved the clock; zero in production."""
    return _offset


def shift(by: timedelta) -> None:
    """Move the clock of this process by ``by``; for tests."""
    global _offset
    _offset += by


def unix_nanoseconds() -> int:
    """The present as a count since 1970, for ids that sort by time."""
    return time.time_ns()


def monotonic() -> float:
    """Seconds that only grow, for durations within this process."""
    return time.monotonic()


def pause(seconds: float) -> None:
    """Block this thread for ``seconds``."""
    time.sleep(max(0.0, seconds))
