"""A real worker in this process: its threads, its heart and its loops, on connections of their own."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django.db import connections

from durable_workflows.conf import config
from durable_workflows.exceptions import InvalidUse
from durable_workflows.models import dialects
from durable_workflows.worker import Options, Supervisor
from durable_workflows.worker.local import LOCAL


class InProcessWorker:
    """A worker that was started by ``durable_worker``."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._keeper = threading.Thread(target=self._keep, name="durable-keeper", daemon=True)
        self._stopped = False

    @property
    def worker_id(self) -> str:
        """The id of its row."""
        return self._supervisor.shift.presence.id

    def start(self) -> None:
        """Register, and begin to work."""
        self._supervisor.start()
        self._keeper.start()

    def stop(self, grace: float | None = None) -> int:
        """
        Claim no more, let what is being executed come to its next durable call, and hand the rest back at once.

        :param grace: seconds to wait for that; None: the setting ``SHUTDOWN_GRACE_SECONDS``.
        :returns: how many runs were taken from a thread that was still executing them; 0 when stopped before.
        """
        if self._stopped:
            self._keeper.join()
            return 0
        self._stopped = True
        self._supervisor.request_stop()
        self._keeper.join()
        handed_back = self._supervisor.stop(config().shutdown_grace_seconds if grace is None else grace)
        LOCAL.aside.close()  # its connections would be in the way when the test database is dropped
        return handed_back

    def _keep(self) -> None:
        try:
            self._supervisor.keep()
            if self._supervisor.drained and not self._stopped:
                self._stopped = True
                self._supervisor.finish()
                self._supervisor.stop(config().shutdown_grace_seconds)
        finally:
            connections.close_all()


@contextmanager
def durable_worker(threads: int = 4, queues: Sequence[str] = ()) -> Iterator[InProcessWorker]:
    """
    Have a worker run in this process while the block lasts; it serves what is declared after its start, too.

    :param threads: runs at once.
    :param queues: the queues to serve; empty: all that this process declares.
    :returns: the worker, whose ``stop(grace=...)`` ends it before the block does.
    :raises InvalidUse: inside a transaction, a ``TestCase``'s too, of which the worker's own connections see nothing; and on
        an SQLite database in memory, whose connections do not wait for one another.
    """
    connection: Any = dialects.connection()
    if connection.vendor == "sqlite" and connection.is_in_memory_db():
        raise InvalidUse(
            "durable_worker() was started on an SQLite database in memory. Its connections do not wait for one another, so"
            " statements of yours and of the worker's threads would fail with 'table is locked' now and then. Have the tests"
            f" use a file: DATABASES[{connection.alias!r}]['TEST'] = {{'NAME': BASE_DIR / 'test.sqlite3'}}; or use drain(),"
            " which works in this thread."
        )
    if connection.in_atomic_block:
        raise InvalidUse(
            "durable_worker() was started inside a transaction, of which its threads would see nothing. Use a"
            " TransactionTestCase (pytest: django_db(transaction=True)), or drain(), which works in this thread."
        )
    worker = InProcessWorker(Supervisor(Options(threads=threads, queues=tuple(queues))))
    worker.start()
    try:
        yield worker
    finally:
        worker.stop()
