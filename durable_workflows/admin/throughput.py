"""What ended within an hour, a day or a week: how many, how, and how long it took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from typing import TYPE_CHECKING, Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from durable_workflows.admin import charts, display
from durable_workflows.admin.charts import Bars
from durable_workflows.models import figures
from durable_workflows.models.figures import MOST_ENDED, Times
from durable_workflows.models.tallies import HOUR, SETTLED, hour_of, tallied
from durable_workflows.states import RunState

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

S = RunState
KINDS = {"success": _("succeeded"), "cancelled": _("cancelled"), "error": _("failed or given up")}
OF_KIND = {S.SUCCESS: 0, S.CANCELLED: 1, S.ERROR: 2, S.MAX_RECOVERY_ATTEMPTS_EXCEEDED: 2}
PERCENTS = (50, 95, 99)


@dataclass(frozen=True, slots=True)
class Range:
    """
    How far back is looked.

    :param step: what a bar stands for.
    :param format: of a bar's label.
    """

    key: str
    label: _StrPromise
    span: timedelta
    step: timedelta
    format: str

    @property
    def hourly(self) -> bool:
        return self.step >= timedelta(hours=1)

    def begin(self, now: datetime) -> datetime:
        """Where its first bar begins; whole steps since 1970."""
        seconds = self.step.total_seconds()
        first = (now - self.span).timestamp() // seconds * seconds
        return datetime.fromtimestamp(first, now.tzinfo)


RANGES = {
    found.key: found
    for found in (
        Range("hour", _("last hour"), timedelta(hours=1), timedelta(minutes=1), "%H:%M"),
        Range("day", _("last day"), timedelta(days=1), timedelta(hours=1), "%H:%M"),
        Range("week", _("last week"), timedelta(days=7), timedelta(hours=6), "%a %d %H:%M"),
    )
}


@dataclass(frozen=True, slots=True)
class Count:
    """
    How many runs ended, by the beginning of a minute or hour, and outcome.

    :param whole: the beginnings of those minutes or hours of which all were counted.
    """

    numbers: Mapping[tuple[datetime, str], int]
    whole: AbstractSet[datetime]


def count(connection: BaseDatabaseWrapper, chosen: Range, now: datetime) -> Count:
    """An hour is counted now; of longer ranges the hours that are over were counted by workers."""
    first = chosen.begin(now)
    known = tallied(connection, first) if chosen.hourly else {}
    open_since = hour_of(now - SETTLED) if chosen.hourly else first
    if chosen.hourly and not any(hour == open_since - HOUR for hour, _ in known):
        open_since -= HOUR  # it is over, and nobody has counted it yet
    ended = figures.ended(connection, open_since, hourly=chosen.hourly)
    unit = HOUR if chosen.hourly else chosen.step
    units = [open_since + place * unit for place in range(ceil((now - open_since) / unit))]
    whole = {begin for begin in units if begin >= ended.reach} | {hour for hour, _ in known}
    return Count({**ended.buckets, **known}, whole)


def chart(counted: Count, chosen: Range, now: datetime) -> Bars:
    """What ended, one bar a step."""
    first = chosen.begin(now)
    columns = [[0, 0, 0] for _ in range(int((now - first) / chosen.step) + 1)]
    for (begin, status), number in counted.numbers.items():
        place = int((begin - first) / chosen.step)
        columns[min(max(place, 0), len(columns) - 1)][OF_KIND[RunState(status)]] += number
    starts = [first + place * chosen.step for place in range(len(columns))]
    bars = [(*_column(begin, chosen, numbers), _is_whole(begin, chosen, counted, now))
            for begin, numbers in zip(starts, columns, strict=True)]  # fmt: skip
    return charts.stacked(KINDS, bars)


def _is_whole(begin: datetime, chosen: Range, counted: Count, now: datetime) -> bool:
    unit = min(chosen.step, HOUR)
    units = (begin + place * unit for place in range(int(chosen.step / unit)))
    return all(each in counted.whole for each in units if each < now)


def _column(begin: datetime, chosen: Range, numbers: Sequence[int]) -> tuple[str, str, Sequence[int]]:
    words = [f"{number:,} {word}" for number, word in zip(numbers, KINDS.values(), strict=True) if number]
    label = display.local(begin).strftime(chosen.format)
    return label, f"{display.minute(begin)}: {', '.join(words) or gettext('nothing ended')}", numbers


def note(chart: Bars, chosen: Range) -> str:
    """Why some of it is not there; "" if all is."""
    if all(bar.whole for bar in chart.bars):
        return ""
    if chosen.hourly:
        return gettext("Shaded: not counted, or not all of it. Workers count each hour once it is over, a day at a time.")
    return gettext("Shaded: not all of it. The newest %(number)s runs of each outcome are counted.") % {
        "number": f"{MOST_ENDED:,}"
    }


def totals(counted: Count) -> dict[str, int]:
    """How many ended in each way, of those that were counted."""
    found = dict.fromkeys(KINDS, 0)
    for (_begin, status), number in counted.numbers.items():
        found[[*KINDS][OF_KIND[RunState(status)]]] += number
    return found


@dataclass(frozen=True, slots=True)
class Latency:
    """How long something took, of which share of the runs."""

    label: Any
    values: Sequence[tuple[int, str, str]]  # percent, duration, the length of its bar


def latencies(times: Times) -> list[Latency]:
    """Of waiting and of running."""
    return [_latency(_("Until it began"), times.waits), _latency(_("From there to its end"), times.runs)]


def _latency(label: Any, ascending: Sequence[float]) -> Latency:
    found = [(percent, charts.percentile(ascending, percent)) for percent in PERCENTS]
    longest = max(value for _, value in found)
    return Latency(label, [(percent, display.duration(timedelta(seconds=v)), charts.share(v, longest)) for percent, v in found])
