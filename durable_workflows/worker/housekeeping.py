"""
What every worker does beside executing runs: bounded, idempotent batches, which any number may do at once.

One query a poll interval, the pulse, tells what there is to do, and feeds the claimer too; the duties that no partial
index can announce come round more seldom.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

from durable_workflows import clock, signals
from durable_workflows.conf import config
from durable_workflows.models import dialects, presence, rates, recovery, sessions, sweeps, tallies
from durable_workflows.models.presence import Silent
from durable_workflows.models.sweeps import Pulse
from durable_workflows.models.transactions import in_autocommit, in_write_transaction
from durable_workflows.worker import scheduling
from durable_workflows.worker.claimer import Claiming
from durable_workflows.worker.loops import Loop
from durable_workflows.worker.pruning import Pruning

KEEP_WORKER_ROWS = timedelta(days=1)
SOONEST = 0.005
FRUITLESS = 0.1  # until it is looked again at what was due, and could not be had: another session holds its row


@dataclass
class _Round:
    """A duty that comes round by itself."""

    every: float
    duty: Callable[[], object]
    due: float = field(default_factory=clock.monotonic)

    def tick(self) -> None:
        if clock.monotonic() >= self.due:
            self.duty()
            self.due = clock.monotonic() + self.every * (0.9 + random.random() / 5)


class Housekeeping:
    """The loop of a worker's duties."""

    def __init__(self, worker_id: str, queues: Callable[[], tuple[str, ...]], claiming: Claiming) -> None:
        self.worker_id = worker_id
        self.queues = queues
        self.claiming = claiming
        lease = config().lease_seconds
        self._rounds = [
            _Round(min(lease / 4, 5.0), self._recover),
            _Round(min(lease / 3, 10.0), self._sort_out_unknown),
            _Round(min(lease / 3, 10.0), self._wake_answered),
            _Round(600.0, self._clear_away),
            _Round(60.0, lambda: tallies.count_hours(dialects.connection())),
        ]
        self._pruning = Pruning()
        self._fruitless = False
        self.loop = Loop("housekeeper", self._tick)

    def _tick(self) -> float:
        pulse = sweeps.pulse(dialects.connection(), self.queues())
        self.claiming.serving.read(pulse.queue_stamp)
        self.claiming.suspects = pulse.suspects
        if pulse.queues or pulse.suspects:
            self.claiming.loop.wake()
        self._fruitless = False
        _do_all([*self._due(pulse), *(duty.tick for duty in self._rounds), self._pruning.tick])
        return self._pause(pulse.seconds_until_next())

    def _pause(self, next_due: float | None) -> float:
        poll = config().poll_seconds * (0.8 + random.random() / 5)
        return poll if next_due is None else min(poll, max(next_due, FRUITLESS if self._fruitless else SOONEST))

    def _due(self, pulse: Pulse) -> Iterator[Callable[[], object]]:
        if pulse.due(pulse.next_due):
            yield partial(self._batches, "woke due runs", lambda: in_write_transaction(sweeps.wake_due), wake_claimer=True)
        if pulse.due(pulse.next_deadline):
            yield partial(self._batches, "cancelled overdue runs", lambda: in_write_transaction(sweeps.cancel_overdue))
        if pulse.due(pulse.next_tick):
            yield self._fire_ticks

    def _fire_ticks(self) -> None:
        self._fruitless = not self._batches("started scheduled runs", scheduling.fire_due, wake_claimer=True)

    def _batches(self, what: str, batch: Callable[[], int], *, wake_claimer: bool = False) -> int:
        """Repeat a bounded batch until it finds nothing; returns how many it found."""
        total = 0
        while (count := batch()) and not self.loop.stopped.is_set():
            total += count
            if wake_claimer:
                self.claiming.loop.wake()
        if total:
            signals.send(signals.housekeeping, what=what, count=total)
        return total

    # -- duties that come round

    def _recover(self) -> None:
        for silent in in_autocommit(presence.forsaken):
            if silent.id != self.worker_id and in_autocommit(presence.declare_lost, silent):
                self._take_over(silent)

    def _take_over(self, silent: Silent) -> None:
        connection = dialects.connection()
        sessions.end_sessions(connection, silent.id, silent.sessions)
        sessions.end_direct_sessions(connection, silent.id)
        taken = 0
        while count := in_write_transaction(recovery.take_back, silent.id):
            taken += count
        if taken:
            signals.send(signals.worker_lost, worker_id=silent.id, runs=taken, stopped=silent.stopped)
            self.claiming.loop.wake()

    def _sort_out_unknown(self) -> None:
        self.claiming.claimer()  # publishes what was declared since
        known = presence.known_names(in_autocommit(presence.alive))
        self._batches("set aside runs that no live worker knows", lambda: self._strand(known))
        self._batches(
            "readmitted runs that a live worker knows",
            lambda: in_write_transaction(sweeps.readmit_known, known),
            wake_claimer=True,
        )

    def _strand(self, known: list[tuple[str, str]]) -> int:
        return in_write_transaction(sweeps.strand_unknown, self.queues(), known)

    def _wake_answered(self) -> None:
        self._batches("woke answered runs", lambda: in_write_transaction(sweeps.wake_answered), wake_claimer=True)

    def _clear_away(self) -> None:
        in_autocommit(presence.clear_away, KEEP_WORKER_ROWS)
        in_autocommit(rates.forget_starts)


def _do_all(duties: Iterable[Callable[[], object]]) -> None:
    """One that fails must not keep the others from being done; the first of the errors is raised afterwards."""
    errors = []
    for duty in duties:
        try:
            duty()
        except Exception as error:  # noqa: BLE001  # raised below
            errors.append(error)
    if errors:
        raise errors[0]
