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

from django.db import DatabaseError, DataError, InterfaceError, OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper

from durable_workflows import registry, signals
from durable_workflows.engine import ticks
from durable_workflows.models import dialects, planning, reading, ticking
from durable_workflows.models.newruns import NewRun
from durable_workflows.models.transactions import in_autocommit, in_write_transaction, is_lock_error
from durable_workflows.schedules import Timetable

LATE = timedelta(seconds=60)  # with catch_up="skip", a tick later than this, or than its interval, is gone
TICKS_AT_ONCE, FEWEST_TICKS = 500, 5  # of all schedules in a transaction together, and of each at least


def declare() -> None:
    """Write the schedules that code declares to their rows."""
    now = reading.database_now(dialects.connection())
    in_write_transaction(ticking.declare, registry.schedules(), now)


def fire_due() -> int:
    """
    Start the runs of ticks that are due, of up to a hundred schedules; returns how many were started.

    They share a transaction, since at midnight there may be thousands. If one is at fault, each has its own, and a schedule
    whose own row cannot work is paused, so that it is not met again each second.

    :raises Exception: the first error of the database's, once all schedules had their turn: the tick it met is still due.
    """
    names = in_autocommit(ticking.due)
    try:
        return in_write_transaction(_fire, names) if names else 0
    except (OperationalError, InterfaceError) as error:
        if not is_lock_error(error):
            raise
        return _fire_singly(names)
    except Exception:  # noqa: BLE001  # met again below, by the one that it belongs to
        return _fire_singly(names)


def _fire_singly(names: Sequence[str]) -> int:
    fired, errors = 0, []
    for name in names:
        try:
            fired += in_write_transaction(_fire, [name])
        except DataError as error:  # the database cannot hold what the row says
            _pause(name, error)
        except (DatabaseError, InterfaceError) as error:
            errors.append(error)
        except Exception as error:  # noqa: BLE001  # all else is about what the row says
            _pause(name, error)
    if errors:
        raise errors[0]
    return fired


def _pause(name: str, error: Exception) -> None:
    if in_autocommit(ticking.pause, name, f"{type(error).__name__}: {error}"):
        signals.send(signals.schedule_paused, schedule=name, error=error)


def _fire(connection: BaseDatabaseWrapper, names: Sequence[str]) -> int:
    rows = ticking.take(connection, names)
    exclusive = [row.name for row in rows if row.overlap == "skip"]
    busy = ticking.busy(connection, exclusive) if exclusive else set()
    limit = max(FEWEST_TICKS, TICKS_AT_ONCE // max(1, len(rows)))
    runs = [run for row in rows for run in _moved_on(connection, row, limit, row.name in busy)]
    if runs:
        ticks.start(connection, runs)
    return len(runs)


def _moved_on(connection: BaseDatabaseWrapper, row: Any, limit: int, busy: bool) -> list[NewRun]:
    """The runs of the ticks that have come, once the row says what is next."""
    timetable = planning.timetable_of(row)
    come = _come(timetable, row, limit)
    wanted = _wanted(timetable, row, come)
    started = wanted if row.overlap != "skip" else [] if busy else wanted[:1]  # that one is unfinished then
    times = planning.next_times(timetable, timetable.first_after(come[-1]))
    fired, skipped = (started[-1] if started else None), len(wanted) - len(started)
    if not ticking.advance(connection, row, times, fired=fired, skipped=skipped):
        return []
    return ticks.tick_runs(row, started, row.now)


def _come(timetable: Timetable, row: Any, limit: int) -> list[datetime]:
    """All ticks that have come and were not looked at; only the last ones of a long downtime when only they matter."""
    if row.catch_up == "all":
        return list(islice(timetable.come_since(row.tick, row.now), limit))
    return [timetable.latest_come(row.tick, row.now)]


def _wanted(timetable: Timetable, row: Any, come: Sequence[datetime]) -> list[datetime]:
    """Those to be started, by ``catch_up`` and by the dates."""
    within = [tick for tick in come if timetable.ends_at is None or tick <= timetable.ends_at]
    if row.catch_up != "skip":
        return within
    due = {tick: row.next_fire_at if tick == row.tick else timetable.due(tick) for tick in within}
    return [tick for tick in within if row.now - due[tick] <= min(timetable.ticks.interval_at(tick), LATE)]
