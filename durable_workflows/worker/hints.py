"""
Hints between processes: that there may be something to claim. Losing one costs at most a poll interval.

PostgreSQL: LISTEN/NOTIFY. A NOTIFY takes a lock of the whole server until its commit, so it is never part of a hot
transaction: a thread sends it afterwards, one for all that happened meanwhile. A listening connection only reads, and
would not notice that its peer is gone, so it asks something now and then. SQLite: the file's change, looked at with
``stat``, which asks the database nothing.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

from django.db import connections

from durable_workflows import clock
from durable_workflows.conf import config
from durable_workflows.models import dialects
from durable_workflows.worker.loops import Loop

try:
    import psycopg
except ImportError:  # needed where PostgreSQL is
    psycopg = None  # type: ignore[assignment]  # never reached without it

CHANNEL = "durable_workflows"
LISTEN_SECONDS = 15.0
GATHERING_SECONDS = 0.005  # the first hint goes out at once; what follows it so soon shares the next
WATCH_SECONDS = 0.01
IDLE_SECONDS = 2.0


class Hinter:
    """Sends hints to other processes, from a thread that lives while there are any to send."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wanted = threading.Event()
        self._thread: threading.Thread | None = None
        self._closed = False

    def hint(self) -> None:
        """Have the other processes' workers look; returns at once."""
        if not _notifies():
            return
        self._wanted.set()
        with self._lock:
            if self._thread is None:
                self._closed = False
                self._thread = threading.Thread(target=self._serve, name="durable-hinter", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """End the thread and its connection."""
        with self._lock:
            thread, self._closed = self._thread, True
        self._wanted.set()
        if thread is not None:
            thread.join(5)

    def _serve(self) -> None:
        try:
            while self._wanted.wait(IDLE_SECONDS) and not self._closed:
                self._wanted.clear()
                self._send()
                clock.pause(GATHERING_SECONDS)
        finally:
            connections.close_all()
            with self._lock:
                self._thread = None
            if self._wanted.is_set() and not self._closed:
                self.hint()

    def _send(self) -> None:
        connection = dialects.connection()
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_notify(%s, '')", [CHANNEL])
        except Exception:  # noqa: BLE001  # a hint that is lost is found by polling; the next one connects anew
            connection.close()


def _notifies() -> bool:
    return config().listen and dialects.connection().vendor == "postgresql"


def listener(heard: Callable[[], None]) -> Loop | None:
    """The loop that listens for hints, where the vendor has any."""
    connection = dialects.connection()
    if connection.vendor == "postgresql" and config().listen:
        listening = _Listener(heard)
        return Loop("listener", listening.tick, finish=listening.close)
    if connection.vendor == "sqlite" and not _in_memory(connection):
        return Loop("watcher", _Watcher(heard, str(connection.settings_dict["NAME"])).tick)
    return None


def _in_memory(connection: Any) -> bool:
    return bool(connection.is_in_memory_db())


class _Listener:
    def __init__(self, heard: Callable[[], None]) -> None:
        self.heard = heard
        self.raw: Any = None

    def tick(self) -> float:
        try:
            self._listen()
        except psycopg.Error:
            self.close()
            raise
        return 0.0

    def _listen(self) -> None:
        if self.raw is None:
            params = dialects.connection().get_connection_params()
            self.raw = psycopg.connect(**{**params, "autocommit": True})
            self.raw.execute(f"LISTEN {CHANNEL}")
            self.heard()
            return  # a stop that came before would not be heard
        self.raw.execute("SELECT 1")
        for _ in self.raw.notifies(timeout=LISTEN_SECONDS, stop_after=1):
            self.heard()

    def close(self) -> None:
        raw, self.raw = self.raw, None
        if raw is not None:
            raw.close()


def come_through(patience: float) -> bool:
    """
    Whether a hint that is sent on this thread's connection is heard, within so many seconds, by a session that listens.

    On PostgreSQL, and outside of a transaction, which would send it only at its end.
    """
    raw: Any = psycopg.connect(**{**dialects.connection().get_connection_params(), "autocommit": True})
    try:
        raw.execute(f"LISTEN {CHANNEL}")
        with dialects.connection().cursor() as cursor:
            cursor.execute("SELECT pg_notify(%s, '')", [CHANNEL])
        return any(True for _ in raw.notifies(timeout=patience, stop_after=1))
    finally:
        raw.close()


class _Watcher:
    def __init__(self, heard: Callable[[], None], path: str) -> None:
        self.heard = heard
        self.paths = (path, f"{path}-wal")
        self.seen: Any = None

    def tick(self) -> float:
        now = [_stamp(path) for path in self.paths]
        if now != self.seen:
            self.seen = now
            self.heard()
        return WATCH_SECONDS


def _stamp(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_mtime_ns, found.st_size
