"""
Due ticks become runs: once each, whoever fires them.

A schedule is fired by whoever locks its row; the others pass it by. Moving it on is a compare-and-set on its next tick, in
one transaction with the runs, whose ids are derived from the tick: two workers at the same tick cannot both win, and if
they could, the second would find the id taken. Whether an earlier run is unfinished is asked in that transaction too.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from django.db import DatabaseError, DataError, InterfaceError
from django.db.backends.base.base import BaseDatabaseWrapper

from durable_workflows import registry, signals
from durable_workflows.engine import ticks as engine_ticks
from durable_workflows.models import dialects, planning, reading, ticking
from durable_workflows.models.transactions import in_autocommit, in_write_transaction
from durable_workflows.schedules import Timetable

LATE = timedelta(seconds=60)  # with catch_up="skip", a tick later than this, or than its interval, is gone
TICKS_AT_ONCE = 500


def declare() -> None:
    """Write the schedules that code declares to their rows."""
    now = reading.database_now(dialects.connection())
    in_write_transaction(ticking.declare, registry.schedules(), now)


def fire_due() -> int:
    """
    Start the runs of all ticks that are due; returns how many were started.

    A schedule whose own row cannot work is paused, so that it is not met again each second.

    :raises Exception: the first error of the database's, once all schedules had their turn: the tick it met is still due.
    """
    fired, errors = 0, []
    for name in in_autocommit(ticking.due):
        try:
            fired += in_write_transaction(_fire, name)
        except (DatabaseError, InterfaceError) as error:
            if isinstance(error, DataError):
                _pause(name, error)
            else:
                errors.append(error)
        except Exception as error:  # noqa: BLE001  # all else is about what the row says
            _pause(name, error)
    if errors:
        raise errors[0]
    return fired


def _pause(name: str, error: Exception) -> None:
    if in_autocommit(ticking.pause, name, f"{type(error).__name__}: {error}"):
        signals.send(signals.schedule_paused, schedule=name, error=error)


def _fire(connection: BaseDatabaseWrapper, name: str) -> int:
    row = ticking.take(connection, name)
    if row is None:
        return 0
    timetable = planning.timetable_of(row)
    come = _come(timetable, row)
    wanted = _wanted(timetable, row, come)
    started = _allowed(connection, row, wanted)
    times = planning.next_times(timetable, timetable.first_after(come[-1]))
    fired, skipped = (started[-1] if started else None), len(wanted) - len(started)
    if not ticking.advance(connection, row, times, fired=fired, skipped=skipped):
        return 0
    engine_ticks.start(connection, engine_ticks.tick_runs(row, started, row.now))
    return len(started)


def _come(timetable: Timetable, row: Any) -> list[datetime]:
    """All ticks that have come and were not looked at; only the last ones of a long downtime when only they matter."""
    if row.catch_up == "all":
        return list(islice(timetable.come_since(row.tick, row.now), TICKS_AT_ONCE))
    return [timetable.latest_come(row.tick, row.now)]


def _wanted(timetable: Timetable, row: Any, come: Sequence[datetime]) -> list[datetime]:
    """Those to be started, by ``catch_up`` and by the dates."""
    within = [tick for tick in come if timetable.ends_at is None or tick <= timetable.ends_at]
    if row.catch_up != "skip":
        return within
    due = {tick: row.next_fire_at if tick == row.tick else timetable.due(tick) for tick in within}
    return [tick for tick in within if row.now - due[tick] <= min(timetable.ticks.interval_at(tick), LATE)]


def _allowed(connection: BaseDatabaseWrapper, row: Any, wanted: Sequence[datetime]) -> Sequence[datetime]:
    """Those that ``overlap`` lets start: with "skip" one, if none is unfinished, since that one then is."""
    if row.overlap != "skip" or not wanted:
        return wanted
    return [] if ticking.is_busy(connection, row.name) else wanted[:1]
