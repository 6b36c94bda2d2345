"""
Small pieces of work on other connections than the caller's, so that they commit before its transaction does.

Up to four threads, each with a connection, begun when there is something to do; one that has had nothing to do for a
moment ends, and its connection with it. A session gives up on a lock after a while: whoever waits for this work holds a
transaction.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar, cast

from django.db import connections

from durable_workflows.models import dialects, sessions, streaming

T = TypeVar("T")
THREADS = 4
IDLE_SECONDS = 2.0
ENDING_SECONDS = 5.0


class _Job(Generic[T]):
    """A piece of work, whose sessions it belongs to, and the gate at which its caller waits."""

    def __init__(self, work: Callable[[], T]) -> None:
        self.work = work
        self.owner = sessions.owner()
        self.done = threading.Event()
        self.value: T | None = None
        self.error: BaseException | None = None

    def do(self) -> None:
        try:
            self.value = self.work()
        except BaseException as error:  # noqa: BLE001  # raised by the caller whose work it is
            self.error = error
        self.done.set()


class Aside:
    """The threads of one process that do such work."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._crew = _Crew()

    def do(self, work: Callable[[], T]) -> T:
        """Do ``work`` in a thread with a connection of its own; returns or raises what it does."""
        job = _Job(work)
        with self._lock:
            self._crew.take(job)
        job.done.wait()
        if job.error is not None:
            raise job.error
        return cast(T, job.value)

    def close(self) -> None:
        """End the threads, and their connections, after what they were given; others begin when they are needed."""
        with self._lock:
            crew, self._crew = self._crew, _Crew()
        crew.end()


class _Crew:
    """Some threads that share a queue."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._jobs: SimpleQueue[_Job[Any] | None] = SimpleQueue()
        self._threads: set[threading.Thread] = set()
        self._free = 0

    def take(self, job: _Job[Any]) -> None:
        with self._lock:
            self._jobs.put(job)
            if self._free < self._jobs.qsize() and len(self._threads) < THREADS:
                thread = threading.Thread(target=self._serve, name="durable-aside", daemon=True)
                self._threads.add(thread)
                thread.start()

    def end(self) -> None:
        with self._lock:
            threads = list(self._threads)
        for _ in threads:
            self._jobs.put(None)
        for thread in threads:
            thread.join(ENDING_SECONDS)

    def _serve(self) -> None:
        session = _Session()
        try:
            while (job := self._next()) is not None:
                session.serve(job)
        finally:
            connections.close_all()

    def _next(self) -> _Job[Any] | None:
        with self._lock:
            self._free += 1
        try:
            job, idle = self._jobs.get(timeout=IDLE_SECONDS), False
        except Empty:
            job, idle = None, True
        with self._lock:
            self._free -= 1
            if idle and not self._jobs.empty():  # it came in this very moment
                job = self._jobs.get()
            if job is None:
                self._threads.discard(threading.current_thread())
        return job


class _Session:
    """What a thread's connection is, as far as it was prepared."""

    def __init__(self) -> None:
        self._raw: Any = None

    def serve(self, job: _Job[Any]) -> None:
        try:
            self._prepare(job)
        except Exception:  # noqa: BLE001  # the work meets the same, and knows what to do about it
            dialects.connection().close()
        job.do()

    def _prepare(self, job: _Job[Any]) -> None:
        connection = dialects.connection()
        if job.owner is not None and job.owner != sessions.owner():
            connection.close()
            sessions.belong_to(*job.owner)
        connection.ensure_connection()
        if connection.connection is not self._raw:
            sessions.wait_no_longer(connection, streaming.LOCK_SECONDS)
            self._raw = connection.connection
