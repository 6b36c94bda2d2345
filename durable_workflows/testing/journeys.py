"""Moving the time, for this process's clock and for the rows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import Self

from durable_workflows import clock
from durable_workflows.exceptions import InvalidUse
from durable_workflows.models import rehearsal
from durable_workflows.models.transactions import in_write_transaction


@dataclass(frozen=True, slots=True)
class Journey:
    """
    A journey that was made; as a context manager it puts the clock back at the end of the block, but no row.

    :param by: how far it went.
    """

    by: timedelta

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        clock.shift(-self.by)


def travel(by: timedelta | float | None = None, /, **span: float) -> Journey:
    """
    Move the time on: sleeps, timeouts, deadlines and ticks of schedules come that much nearer, for every process.

    What is due then is run by ``drain`` or a worker. Leases stay, so no worker is taken for dead; of a wait that holds
    its thread at this moment (a direct call's, or a parked one's) nothing changes.

    :param by: a timedelta, or seconds.
    :param span: the same in words, as ``timedelta`` takes them: ``travel(days=30, hours=2)``.
    :raises InvalidUse: if it does not lead into the future.
    """
    distance = (by if isinstance(by, timedelta) else timedelta(seconds=by or 0)) + timedelta(**span)
    if distance <= timedelta(0):
        raise InvalidUse(f"travel() leads into the future only, not {distance}: what has happened stays.")
    in_write_transaction(rehearsal.bring_forward, distance)
    clock.shift(distance)
    return Journey(distance)
