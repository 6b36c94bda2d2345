"""Every so many seconds of real time, counted from an anchor: the same ticks for whoever computes them, and whenever."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import takewhile

from durable_workflows.exceptions import InvalidUse
from durable_workflows.schedules.cron import aware_utc

SHORTEST, LONGEST = 1.0, 10.0**9  # seconds; workers look once a second, and a longer one is over after thirty years


@dataclass(frozen=True, slots=True)
class IntervalSchedule:
    """
    Ticks at ``anchor``, and at each whole number of intervals before and after it. Zones and their changes mean nothing here.

    :param seconds: the interval, from 1 up to 10**9.
    :param anchor: an aware datetime.
    :raises InvalidUse: if the interval is no such number, or the anchor is naive.
    """

    seconds: float
    anchor: datetime

    def __post_init__(self) -> None:
        if isinstance(self.seconds, bool) or not isinstance(self.seconds, (int, float)) or not self._fits():
            raise InvalidUse(
                f"interval_seconds is a number of seconds, from {SHORTEST:g} to {LONGEST:,.0f}, not"
                f" {shown_number(self.seconds)}."
            )
        object.__setattr__(self, "anchor", aware_utc(self.anchor))

    def _fits(self) -> bool:
        return SHORTEST <= self.seconds <= LONGEST

    def next_after(self, moment: datetime) -> datetime:
        """The first tick strictly after ``moment``, in UTC. Raises ``InvalidUse`` if it is naive, or the calendar ends."""
        return self._tick((aware_utc(moment) - self.anchor) // self._interval + 1)

    def latest_at_or_before(self, moment: datetime) -> datetime:
        """The last tick that is not after ``moment``, in UTC. Raises ``InvalidUse`` as ``next_after`` does."""
        return self._tick((aware_utc(moment) - self.anchor) // self._interval)

    def interval_at(self, moment: datetime) -> timedelta:
        """How far the ticks around ``moment`` are apart."""
        return self._interval

    def iterate(self, after: datetime, until: datetime) -> Iterator[datetime]:
        """Lazily, in order, the ticks strictly after ``after`` and not after ``until``."""
        end = aware_utc(until)
        return takewhile(lambda tick: tick <= end, self._all_after(aware_utc(after)))

    def _all_after(self, moment: datetime) -> Iterator[datetime]:
        while True:
            moment = self.next_after(moment)
            yield moment

    @property
    def _interval(self) -> timedelta:
        return timedelta(seconds=self.seconds)  # to the microsecond, so that its multiples are exact

    def _tick(self, number: int) -> datetime:
        try:
            return (self.anchor + number * self._interval).astimezone(UTC)
        except OverflowError as error:
            raise InvalidUse(f"A schedule of every {self.seconds:g} seconds has no tick there: the calendar ends.") from error


def shown_number(value: object) -> str:
    """What was given instead, for a message; Python refuses to write out an int of more than 4300 digits."""
    return "one so large" if isinstance(value, int) and abs(value) > LONGEST else f"{value!r:.80}"
