"""
What an attempt is given by whoever runs it: the engine itself knows no threads, no polling and no leases.

A worker and, for direct calls, ``worker.local`` inject their own; ``PlainServices`` does for a single thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, TypeVar

from django.db import DatabaseError, InterfaceError

from durable_workflows import clock
from durable_workflows.exceptions import ControlFlow
from durable_workflows.models import checkpoints, dialects, outcomes
from durable_workflows.models.checkpoints import Checkpoint
from durable_workflows.models.claims import Claim
from durable_workflows.models.outcomes import Ending
from durable_workflows.models.transactions import in_autocommit, is_lost_connection, is_out_of_room

T = TypeVar("T")

LONGEST_PAUSE = 1.0
PATIENCE = 30.0  # seconds that a client, who holds no lease, waits for a lost database


class HandedBack(ControlFlow):
    """The worker stops: the run is given back uncharged, to go on elsewhere at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conclusion:
    """
    The end of an attempt whose outcome is known, as somebody else may carry it out.

    :param announce: tells of the outcome once it is committed.
    :param conclude: writes it singly, for as long as the lease is held, and announces it.
    """

    claim: Claim
    ending: Ending
    announce: Callable[[], None]
    conclude: Callable[[], object]


class Services(Protocol):
    """
    Writing, waiting and the lease, as the runner of an attempt provides them.

    ``inline`` names the runs that are being executed in their callers' threads, direct calls and called children: their
    rows say that this process holds them, and its heartbeat would hand back what nobody here remembers.
    """

    inline: set[str]

    def record(self, checkpoint: Checkpoint) -> bool:
        """Write a free-standing checkpoint; false when fenced off. Raises ``AlreadyRecorded``."""

    def end(self, ending: Ending) -> bool:
        """Write a run's outcome; false when it is no longer this attempt's."""

    def leave(self, conclusion: Conclusion) -> bool:
        """Have an outcome, for which nobody waits in this thread, written soon; false: it is the caller's to conclude."""

    def may_park(self) -> bool:
        """Whether a wait may keep its thread for a moment."""

    def park(self, keys: Sequence[str], seconds: float) -> None:
        """Block until something happens to one of these runs here, or the time is over."""

    def holds_lease(self) -> bool:
        """Whether the lease is still safe to act on."""

    def stopping(self) -> bool:
        """Whether the run is to be handed back at its next durable call, because its worker stops."""

    def ring(self, run_id: str) -> None:
        """Tell the waiters of this process that something happened to a run."""

    def aside(self, work: Callable[[], T]) -> T:
        """Do ``work`` on another connection to the runs, so that it commits before the caller's transaction does."""


class PlainServices:
    """One statement a write, on the caller's own connection."""

    def __init__(self) -> None:
        self.inline: set[str] = set()

    def record(self, checkpoint: Checkpoint) -> bool:
        return in_autocommit(checkpoints.record, checkpoint)

    def end(self, ending: Ending) -> bool:
        return in_autocommit(outcomes.end, ending)

    def leave(self, conclusion: Conclusion) -> bool:
        return False

    def may_park(self) -> bool:
        return True

    def park(self, keys: Sequence[str], seconds: float) -> None:
        clock.pause(seconds)

    def holds_lease(self) -> bool:
        return True

    def stopping(self) -> bool:
        return False

    def ring(self, run_id: str) -> None:
        pass

    def aside(self, work: Callable[[], T]) -> T:
        return work()  # there is no other: it joins


@contextmanager
def remembered(services: Services, run_id: str) -> Iterator[None]:
    """Have it known, during the block, that a run is being executed in its caller's thread."""
    services.inline.add(run_id)
    try:
        yield
    finally:
        services.inline.discard(run_id)


def persistently(work: Callable[[], T], services: Services, lost: Callable[[], ControlFlow] | None = None) -> T:
    """
    Do ``work`` again while the database is away or has no room: an attempt for as long as its lease is held, anybody else
    for a while.

    ``work`` must be safe to repeat after a lost COMMIT reply, as all fenced statements are. An attempt's body never meets
    the engine's own trouble with the database, which it would take for a failure of its business.

    :param lost: makes the exception for a lease that ran out meanwhile; None: there is no lease.
    """
    began, pause = clock.monotonic(), 0.02
    while True:
        try:
            return work()
        except (DatabaseError, InterfaceError) as error:
            connection, lost_it = dialects.connection(), is_lost_connection(error)
            if connection.in_atomic_block or not (lost_it or is_out_of_room(error)):
                raise
            if lost_it:
                connection.close()
            if lost is None and clock.monotonic() - began > PATIENCE:
                raise
            if lost is not None and not services.holds_lease():
                raise lost() from error
            clock.pause(pause)
            pause = min(pause * 2, LONGEST_PAUSE)
