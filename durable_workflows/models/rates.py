"""
The rolling window of a rate-limited queue, by the database's clock.

Each claim that starts something notes when, and how many; all that lies within the period before now counts. The note is
written after the claim, so it is not older than the leases that it stands for, and they never leave the window before it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Min, Sum

from durable_workflows.limits import Limits, Rate
from durable_workflows.models.dialects import DatabaseNow, StatementTime
from durable_workflows.models.queues import QueueStart
from durable_workflows.models.reading import database_now
from durable_workflows.models.rules import read_rules

KEPT_SECONDS = 60.0  # at least, so that a period that is made longer finds something
BATCH = 1000
LEFT_SECONDS = 86400.0  # the same, of a queue that nobody claims from any more


@dataclass(frozen=True, slots=True)
class _Counted:
    """The starts in a window: how many, and when the oldest was."""

    number: int = 0
    oldest: datetime | None = None

    def __add__(self, other: _Counted) -> _Counted:
        moments = [moment for moment in (self.oldest, other.oldest) if moment is not None]
        return _Counted(self.number + other.number, min(moments, default=None))


class Window:
    """What is left of a queue's limiter, and of its partitions', during one claim under the queue's lock."""

    def __init__(self, connection: BaseDatabaseWrapper, queue: str, limits: Limits) -> None:
        self.queue = queue
        self.whole, self.part = limits.limiter, limits.partition_limiter
        self._connection = connection
        self._starts = QueueStart.objects.using(connection.alias).filter(queue=queue)
        self._all = sum(self._counted(self.whole).values(), _Counted()) if self.whole else _Counted()
        self._by_partition = self._counted(self.part) if self.part else {}
        self._new = Counter[str]()

    def _counted(self, rate: Rate) -> dict[str, _Counted]:
        recent = self._starts.filter(at__gt=StatementTime(-rate.period)).order_by().values_list("partition_key")
        rows = recent.annotate(total=Sum("number"), oldest=Min("at")).values_list("partition_key", "total", "oldest")
        return {partition: _Counted(total, oldest) for partition, total, oldest in rows}

    def left(self, partition: str) -> int | None:
        """How many runs of a partition may be started now; None: any number."""
        left = [rate.limit - counted.number for rate, counted in self._windows(partition)]
        return max(0, min(left)) if left else None

    def _windows(self, partition: str) -> Iterator[tuple[Rate, _Counted]]:
        if self.whole is not None:
            yield self.whole, self._all
        if self.part is not None:
            yield self.part, self._by_partition.get(partition, _Counted())

    def starting(self, partition: str, number: int) -> None:
        """So many runs of a partition are being started."""
        if number:
            self._all += _Counted(number)
            self._by_partition[partition] = self._by_partition.get(partition, _Counted()) + _Counted(number)
            self._new[partition] += number

    def seconds_until_more(self, partition: str) -> float:
        """When the oldest start leaves the window that is full."""
        full = [(rate, counted) for rate, counted in self._windows(partition) if counted.number >= rate.limit]
        return max((self._seconds_left(rate, counted.oldest) for rate, counted in full), default=0.0)

    def _seconds_left(self, rate: Rate, oldest: datetime | None) -> float:
        if oldest is None:  # this very claim filled it
            return rate.period
        return max(0.0, rate.period - (self._now - oldest).total_seconds())

    @cached_property
    def _now(self) -> datetime:
        return database_now(self._connection)

    def note_starts(self) -> None:
        """Write down what was started, and forget what no window reaches any more."""
        if not self._new:
            return
        now = DatabaseNow()
        self._starts.bulk_create(
            QueueStart(queue=self.queue, partition_key=partition, at=now, number=number)
            for partition, number in sorted(self._new.items())
        )
        longest = max([KEPT_SECONDS, *(rate.period for rate in (self.whole, self.part) if rate)])
        self._starts.filter(at__lt=StatementTime(-longest)).delete()


def forget_starts(connection: BaseDatabaseWrapper) -> int:
    """Delete old starts of queues whose limiter is gone, or from which nobody claims any more."""
    limits = [its.limits for its in read_rules(connection).values()]
    periods = [rate.period for its in limits for rate in (its.limiter, its.partition_limiter) if rate]
    old = QueueStart.objects.using(connection.alias).filter(at__lt=StatementTime(-max([LEFT_SECONDS, *periods])))
    ids = list(old.values_list("pk", flat=True)[:BATCH])
    return QueueStart.objects.using(connection.alias).filter(pk__in=ids).delete()[0] if ids else 0
