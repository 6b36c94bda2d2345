"""The threads that execute runs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue

from django.db import connections, reset_queries
from django.db.backends.base.base import BaseDatabaseWrapper

from durable_workflows import conf
from durable_workflows.models import dialects, leftovers
from durable_workflows.models.claims import Claim

ENDING_SECONDS = 5.0


class Pool:
    """
    A fixed number of threads, each with its own database connection that it keeps.

    :param work: executes one claim; it must not raise.
    :param prepare: is called in each thread before its first claim.
    :param following: is called with each claim that was executed, in its thread, and may return another one to go on with,
        about which it has told ``go_on``; else the thread is free, and the claimer decides.
    :param finished: is called with the claim after which a thread became free.
    """

    def __init__(
        self,
        size: int,
        work: Callable[[Claim], None],
        prepare: Callable[[], None],
        following: Callable[[Claim], Claim | None] = lambda claim: None,
        finished: Callable[[Claim], None] = lambda claim: None,
    ) -> None:
        self.size = size
        self._work = work
        self._prepare = prepare
        self._following = following
        self._finished = finished
        self._queue: SimpleQueue[Claim | None] = SimpleQueue()
        self._changed = threading.Condition()
        self._wanted = size  # as many free ones as somebody waits for; waking him for fewer costs each run a switch
        # By id and token: a run that was cancelled and resumed may be claimed again while its first thread is still at it.
        self._running: dict[tuple[str, str], Claim] = {}
        self._mine = threading.local()
        self._threads = [threading.Thread(target=self._serve, name=f"durable-{number}", daemon=True) for number in range(size)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    @property
    def free(self) -> int:
        """How many claims could start at once."""
        return self.size - len(self._running)

    def running(self) -> dict[str, Claim]:
        """The claims that are being executed, by run id; of two of one run the later."""
        with self._changed:
            return {claim.id: claim for claim in self._running.values()}

    def mine(self) -> Claim:
        """What this thread of the pool executes, as it was submitted; a run that begins anew has another claim by its end."""
        claim: Claim = self._mine.claim
        return claim

    def submit(self, claims: list[Claim]) -> None:
        """Execute claims, no more than were ``free``."""
        with self._changed:
            self._running |= {_key(claim): claim for claim in claims}
        for claim in claims:
            self._queue.put(claim)

    def go_on(self, done: Claim, following: Claim) -> None:
        """The thread of the one executes the other from now on."""
        with self._changed:
            self._running.pop(_key(done), None)
            self._running[_key(following)] = following

    def wait_for(self, free: int, seconds: float) -> int:
        """Block until so many claims could start, or the time is over; returns how many could."""
        with self._changed:
            self._wanted = free
            self._changed.wait_for(lambda: self.free >= free, seconds)
            return self.free

    def stop(self) -> None:
        """Have each thread end after what it executes; returns when they have, if nothing is executed."""
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads if self.free == self.size else ():
            thread.join(ENDING_SECONDS)

    def _serve(self) -> None:
        self._prepare()
        try:
            while (claim := self._queue.get()) is not None:
                following: Claim | None = claim
                while following is not None:
                    following = self._execute(following)
        finally:
            connections.close_all()

    def _execute(self, claim: Claim) -> Claim | None:
        following, self._mine.claim = None, claim
        try:
            self._work(claim)
            self._tidy()
            following = self._following(claim)
        finally:
            self._done(claim)
        if following is None:
            self._finished(claim)
        return following

    def _done(self, claim: Claim) -> None:
        with self._changed:
            self._running.pop(_key(claim), None)
            if self.free >= self._wanted:
                self._changed.notify_all()

    def _tidy(self) -> None:
        """Other databases as at a request's end; the runs' own connection is kept while it works."""
        if conf.debug():
            reset_queries()
        kept = dialects.connection()
        opened = connections.all(initialized_only=True) if len(connections.settings) > 1 else [kept]
        for connection in opened:
            try:
                _tidy(connection, keep=connection is kept)
            except Exception:  # noqa: BLE001  # a thread is not lost to the trouble of a connection, which is
                connection.connection = None


def _key(claim: Claim) -> tuple[str, str]:
    return claim.id, claim.token


def _tidy(connection: BaseDatabaseWrapper, keep: bool) -> None:
    if leftovers.is_open(connection):
        leftovers.roll_back(connection)
    elif not keep:
        connection.close_if_unusable_or_obsolete()
    elif connection.errors_occurred and not _usable(connection):
        connection.close()
    connection.errors_occurred = False


def _usable(connection: BaseDatabaseWrapper) -> bool:
    return connection.connection is not None and connection.is_usable()  # which may not be asked of one that is closed
