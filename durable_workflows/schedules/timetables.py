"""
The ticks of a schedule within its dates, and when each of them is due.

Jitter puts the start off, not the tick: the run's id and its scheduled time stay those of the tick. By how much follows
from the schedule's name and the tick alone, so all workers agree. It is never as much as the distance to the next tick,
so what is due comes in the order of the ticks, however large the jitter.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from durable_workflows.schedules.cron import CronSchedule
from durable_workflows.schedules.intervals import IntervalSchedule

_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timetable:
    """
    What ``ticks`` names from ``starts_at`` to ``ends_at``, both included.

    :param name: the schedule's, by which the jitter of one differs from that of another.
    :param jitter: by how much at most a start is put off.
    """

    name: str
    ticks: CronSchedule | IntervalSchedule
    jitter: timedelta = timedelta(0)
    starts_at: datetime | None = None
    ends_at: datetime | None = None

    def first_after(self, moment: datetime) -> datetime | None:
        """The first tick strictly after ``moment``; None if there is none any more."""
        if self.starts_at is not None and moment < self.starts_at:
            moment = self.starts_at - _MICROSECOND
        if self.ends_at is not None and moment >= self.ends_at:
            return None
        tick = self.ticks.next_after(moment)
        return None if self.ends_at is not None and tick > self.ends_at else tick

    def between(self, after: datetime, before: datetime) -> Iterator[datetime]:
        """Lazily, in order, the ticks strictly between the two."""
        tick = self.first_after(after)
        while tick is not None and tick < before:
            yield tick
            tick = self.first_after(tick)

    def due(self, tick: datetime) -> datetime:
        """When the run of this tick is to start."""
        if not self.jitter:
            return tick
        most = min(self.jitter, self.ticks.next_after(tick) - tick)
        return tick + (most // _MICROSECOND * self._share(tick) >> 32) * _MICROSECOND

    def _share(self, tick: datetime) -> int:
        """Of 2**32: a number that nothing but name and tick decides."""
        digest = hashlib.sha256(f"{self.name}\0{tick.isoformat()}".encode()).digest()
        return int.from_bytes(digest[:4], "big")

    def come_since(self, pending: datetime, now: datetime) -> Iterator[datetime]:
        """Lazily, in order: ``pending``, whose time has come, and the later ticks that are due by ``now``."""
        tick: datetime | None = pending
        while tick is not None and (tick == pending or self.due(tick) <= now):
            yield tick
            tick = self.first_after(tick)

    def latest_come(self, pending: datetime, now: datetime) -> datetime:
        """The last of these."""
        until = now if self.ends_at is None else min(now, self.ends_at)
        tick = self.ticks.latest_at_or_before(until)
        if self.due(tick) > now:
            tick = self.ticks.latest_at_or_before(tick - _MICROSECOND)
        return max(tick, pending)
