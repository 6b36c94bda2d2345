"""
The heartbeat: one row's update per process and interval keeps the lease of all its runs.

A worker that could not renew stops starting steps before others may take its runs: the lease counts from before the
statement was sent. A worker that was declared lost never gets its lease back.
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

    :param memory: the runs that this process knows it is executing; None: those of direct calls, which it need not know.
    :param on_lost: is called once the worker was declared lost.
    """

    def __init__(
        self,
        worker: Presence,
        *,
        memory: Callable[[], set[str]] | None = None,
        on_lost: Callable[[], None] = lambda: None,
        prepare: Callable[[], None] | None = None,
    ) -> None:
        self.worker = worker
        self.lost = False
        self._memory = memory
        self._on_lost = on_lost
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

    def holds_lease(self) -> bool:
        """Whether it is safe to start a step: others cannot have taken the run yet."""
        return not self.lost and clock.monotonic() < self._until

    def _tick(self) -> float:
        began = clock.monotonic()
        if not in_autocommit(presence.beat, self.worker.id):
            self.lost = True
            self.loop.stop()
            self._on_lost()
            return 0.0
        self._renewed(began)
        if self._memory:
            self._return_forgotten(self._memory)
        return config().heartbeat_seconds

    def _renewed(self, began: float) -> None:
        self._until = began + self.worker.lease_seconds * (1 - MARGIN)

    def _return_forgotten(self, memory: Callable[[], set[str]]) -> None:
        """
        Hand back runs that are ours by their rows and not by our memory: a claim whose reply was lost, a dead thread.

        Twice in a row, since a claim's rows are committed before its reply is read.
        """
        held = in_autocommit(presence.held, self.worker.id)
        forgotten = set(held) - memory()
        again, self._unknown = forgotten & self._unknown, forgotten
        for run_id in again - memory():
            in_write_transaction(steering.hand_back_forgotten, run_id, held[run_id])
        if again:
            signals.send(signals.housekeeping, what="handed back runs without an owner", count=len(again))
