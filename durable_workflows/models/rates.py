"""
The rolling window of a rate-limited queue, by the database's clock.

Each claim that starts something notes when, and how many; all that lies within the period before now counts. The note is
written after the claim, so it is not older than the leases that it stands for, and they never leave the window before it.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from functools import cached_property

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Min, Sum

from durable_workflows.limits import Limits, Rate
from durable_workflows.models.dialects import DatabaseNow, StatementTime
from durable_workflows.models.queues import QueueStart

KEPT_SECONDS = 60.0  # at least, so that a period that is made longer finds something


class Window:
    """What is left of a queue's limiter, and of its partitions', during one claim under the queue's lock."""

    def __init__(self, connection: BaseDatabaseWrapper, queue: str, limits: Limits) -> None:
        self.queue = queue
        self.whole, self.part = limits.limiter, limits.partition_limiter
        self._starts = QueueStart.objects.using(connection.alias).filter(queue=queue)
        counted, oldest = self._counted(self.whole) if self.whole else (Counter[str](), {})
        self._all, self._oldest = counted.total(), min(oldest.values(), default=None)
        self._by_partition, self._oldest_by_partition = self._counted(self.part) if self.part else (Counter[str](), {})
        self._new = Counter[str]()

    def _counted(self, rate: Rate) -> tuple[Counter[str], dict[str, datetime]]:
        """How many were started in each partition, and when the first of them."""
        recent = self._starts.filter(at__gt=StatementTime(-rate.period)).values("partition_key")
        rows = recent.annotate(total=Sum("number"), oldest=Min("at")).values_list("partition_key", "total", "oldest")
        found = {partition: (total, oldest) for partition, total, oldest in rows}
        return Counter({key: total for key, (total, _) in found.items()}), {key: at for key, (_, at) in found.items()}

    def left(self, partition: str) -> int | None:
        """How many runs of a partition may be started now; None: any number."""
        left = [rate.limit - taken for rate, taken in self._rates(partition) if rate is not None]
        return max(0, min(left)) if left else None

    def _rates(self, partition: str) -> list[tuple[Rate | None, int]]:
        return [(self.whole, self._all), (self.part, self._by_partition[partition])]

    def starting(self, partition: str, number: int) -> None:
        """So many runs of a partition are being started."""
        if number:
            self._all += number
            self._by_partition[partition] += number
            self._new[partition] += number

    def seconds_until_more(self, partition: str) -> float | None:
        """When the oldest start leaves the window that is full."""
        oldest = (self._oldest, self._oldest_by_partition.get(partition))
        waits = [
            self._seconds_left(rate, first)
            for (rate, taken), first in zip(self._rates(partition), oldest, strict=True)
            if rate is not None and taken >= rate.limit
        ]
        return max(waits, default=None)

    def _seconds_left(self, rate: Rate, oldest: datetime | None) -> float:
        if oldest is None or self._now is None:  # this very claim filled it
            return rate.period
        return max(0.0, rate.period - (self._now - oldest).total_seconds())

    @cached_property
    def _now(self) -> datetime | None:
        return self._starts.annotate(now=DatabaseNow()).values_list("now", flat=True).first()

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
