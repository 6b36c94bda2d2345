"""
Due ticks become runs: once each, whoever fires them.

Moving a schedule on is a compare-and-set on its next tick, in one transaction with the runs, whose ids are derived from
the tick: two workers at the same tick cannot both win, and if they could, the second would find the id taken.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from durable_workflows import registry, signals
from durable_workflows.engine.starting import new_run
from durable_workflows.exceptions import DurableError
from durable_workflows.models import dialects, reading, starts, ticking
from durable_workflows.models.newruns import NewRun
from durable_workflows.models.transactions import in_autocommit, in_write_transaction
from durable_workflows.options import ID_MAX_LENGTH, StartOptions
from durable_workflows.schedules import CronSchedule

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

    :raises Exception: the first of the other errors, once all schedules had their turn: the tick it met is still due.
    """
    fired, errors = 0, []
    for schedule in in_autocommit(ticking.due):
        try:
            fired += in_write_transaction(_fire, schedule)
        except (DurableError, ValueError) as error:
            in_autocommit(ticking.pause, schedule)
            signals.send(signals.schedule_paused, schedule=schedule.name, error=error)
        except Exception as error:  # noqa: BLE001  # a database that was away is no fault of the row's
            errors.append(error)
    if errors:
        raise errors[0]
    return fired


def _fire(connection: BaseDatabaseWrapper, schedule: Any) -> int:
    cron = CronSchedule(schedule.cron, schedule.timezone)
    ticks = _ticks(cron, schedule)
    following = cron.next_after(ticks[-1] if len(ticks) == TICKS_AT_ONCE else schedule.now)
    wanted = _wanted(cron, schedule, ticks)
    if not ticking.advance(connection, schedule, fired=wanted[-1] if wanted else None, following=following):
        return 0
    starts.insert(connection, [_run(schedule, tick) for tick in wanted])
    return len(wanted)


def _ticks(cron: CronSchedule, schedule: Any) -> list[datetime]:
    """All ticks that have come and were not looked at; only the last ones of a long downtime when only they matter."""
    if schedule.catch_up == "all":
        later = cron.iterate(schedule.next_fire_at, schedule.now)
        return [schedule.next_fire_at, *islice(later, TICKS_AT_ONCE - 1)]
    latest = cron.latest_at_or_before(schedule.now)
    return [max(latest, schedule.next_fire_at)]


def _wanted(cron: CronSchedule, schedule: Any, ticks: Sequence[datetime]) -> list[datetime]:
    if schedule.catch_up == "skip":
        return [tick for tick in ticks if schedule.now - tick <= min(cron.interval_at(tick), LATE)]
    return list(ticks)


def _run(schedule: Any, tick: datetime) -> NewRun:
    options = StartOptions(workflow_id=tick_id(schedule.name, tick), queue=schedule.queue)
    run = new_run(schedule.workflow_name, ((tick, schedule.now), {}), options)
    return replace(run, schedule_name=schedule.name)


def tick_id(name: str, tick: datetime) -> str:
    """The id of a tick's run: the same for every worker."""
    full = f"sched-{name}-{tick.isoformat()}"
    if len(full) <= ID_MAX_LENGTH:
        return full
    return f"sched-{hashlib.sha256(name.encode()).hexdigest()}-{tick.isoformat()}"
