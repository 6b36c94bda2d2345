"""
The heartbeat: one row's update per process and interval keeps the lease of all its runs.

A worker that could not renew stops starting steps before others may take its runs: the lease counts from before the
statement was sent. A worker that was declared lost never gets its lease back.

Nor does the row of direct calls once its lease has run out: the calls have stopped by then and wait for what others make
of their runs, which nobody would take from a row that beats. It is left, and the next direct call registers another.
"""

from __future__ import annotations

from collections.abc import Callable

from durable_workflows import clock, signals
from durable_workflows.conf import config
from durable_workflows.models import presence, steering
from durable_workflows.models.presence import Presence
from durable_workflows.models.transactions import in_autocommit, in_write_transaction
from durable_workflows.worker.loops import Loop

MARGIN = 0.1  # of the lease: what a step's first statements may take


class Heart:
    """
    Registers a worker's row and keeps it beating.

    :param memory: the runs that this process knows it is executing.
    :param on_lost: is called once the worker was declared lost.
    :param on_drain: is called once somebody has asked the worker to end, with each beat.
    """

    def __init__(
        self,
        worker: Presence,
        *,
        memory: Callable[[], set[str]],
        on_lost: Callable[[], None] = lambda: None,
        on_drain: Callable[[], None] = lambda: None,
        prepare: Callable[[], None] | None = None,
    ) -> None:
        self.worker = worker
        self.lost = False
        self._memory = memory
        self._on_lost = on_lost
        self._on_drain = on_drain
        self._unknown: set[str] = set()
        self._until = 0.0
        self.loop = Loop("heart", self._tick, prepare=prepare)

    def start(self) -> None:
        """Register and begin to beat; returns once the row is there."""
        began = clock.monotonic()
        in_autocommit(presence.register, self.worker)
        self._renewed(began)
        self.loop.start()

    def stop(self) -> None:
        """Stop beating, and say so in the row."""
        self.loop.stop()
        in_autocommit(presence.leave, self.worker.id)

    def retire(self) -> None:
        """Give the lease up for good; the heart's own thread says so in the row, as soon as the database hears it."""
        self.lost = True
        self.loop.wake()

    def holds_lease(self) -> bool:
        """Whether it is safe to start a step: others cannot have taken the run yet."""
        return not self.lost and clock.monotonic() < self._until

    def _tick(self) -> float:
        if self.worker.direct and not self.holds_lease():
            return self._leave()
        began = clock.monotonic()
        if not in_autocommit(presence.beat, self.worker.id):
            self.lost = True
            self.loop.stop()
            self._on_lost()
            return 0.0
        self._renewed(began)
        self._return_forgotten()
        if not self.worker.direct and in_autocommit(presence.is_to_drain, self.worker.id):
            self._on_drain()
        return config().heartbeat_seconds

    def _leave(self) -> float:
        self.lost = True
        in_autocommit(presence.leave, self.worker.id)
        self.loop.stop()
        return 0.0

    def _renewed(self, began: float) -> None:
        self._until = began + self.worker.lease_seconds * (1 - MARGIN)

    def _return_forgotten(self) -> None:
        """
        Hand back runs that are ours by their rows and not by our memory: a claim whose reply was lost, a dead thread.

        Twice in a row, since a claim's rows are committed before its reply is read.
        """
        held = in_autocommit(presence.held, self.worker.id)
        forgotten = set(held) - self._memory()
        again, self._unknown = forgotten & self._unknown, forgotten
        for run_id in again - self._memory():
            in_write_transaction(steering.hand_back_forgotten, run_id, held[run_id])
        if again:
            signals.send(signals.housekeeping, what="handed back runs without an owner", count=len(again))
