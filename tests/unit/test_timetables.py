"""Intervals, dates and jitter: the same ticks and due moments for whoever computes them, and whenever."""

from __future__ import annotations

import math
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durable_workflows.exceptions import InvalidUse
from durable_workflows.schedules import CronSchedule, IntervalSchedule, Timetable

ANCHOR = datetime(2025, 5, 7, 10, 0, 0, tzinfo=UTC)
SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)
MOMENTS = st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC))


def hourly(**fields: Any) -> Timetable:
    return Timetable(name="hourly", ticks=CronSchedule("0 * * * *"), **fields)


# -- intervals


@pytest.mark.parametrize(
    ("seconds", "moment", "following", "latest"),
    [
        (90, "2025-05-07T10:00:00", "2025-05-07T10:01:30", "2025-05-07T10:00:00"),
        (90, "2025-05-07T10:01:29.999999", "2025-05-07T10:01:30", "2025-05-07T10:00:00"),
        (90, "2025-05-07T10:01:30", "2025-05-07T10:03:00", "2025-05-07T10:01:30"),
        (90, "2025-05-07T09:59:59", "2025-05-07T10:00:00", "2025-05-07T09:58:30"),
        (1, "2025-05-07T10:00:00.5", "2025-05-07T10:00:01", "2025-05-07T10:00:00"),
        (1.5, "2025-05-07T10:00:02", "2025-05-07T10:00:03", "2025-05-07T10:00:01.5"),
        (86400, "2024-02-28T12:00:00", "2024-02-29T10:00:00", "2024-02-28T10:00:00"),
    ],
)
def test_ticks_of_an_interval(seconds: float, moment: str, following: str, latest: str) -> None:
    schedule = IntervalSchedule(seconds, ANCHOR)
    at = datetime.fromisoformat(moment).replace(tzinfo=UTC)
    assert schedule.next_after(at) == datetime.fromisoformat(following).replace(tzinfo=UTC)
    assert schedule.latest_at_or_before(at) == datetime.fromisoformat(latest).replace(tzinfo=UTC)
    assert schedule.interval_at(at) == timedelta(seconds=seconds)


@given(seconds=st.floats(1, 10**6), moment=MOMENTS)
def test_an_interval_has_the_same_ticks_wherever_it_is_begun_to_count(seconds: float, moment: datetime) -> None:
    schedule = IntervalSchedule(seconds, ANCHOR)
    tick = schedule.next_after(moment)
    assert schedule.latest_at_or_before(moment) <= moment < tick
    assert tick - schedule.latest_at_or_before(moment) == schedule.interval_at(moment)
    assert IntervalSchedule(seconds, tick).next_after(moment) == tick, "any of its ticks is as good an anchor"
    assert schedule.next_after(tick) == IntervalSchedule(seconds, ANCHOR).next_after(tick)


def test_an_interval_goes_on_in_real_time_when_the_clocks_change() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    schedule = IntervalSchedule(3600, datetime(2025, 10, 26, 0, 30, tzinfo=berlin))
    ticks = list(islice(schedule.iterate(schedule.anchor, ANCHOR + timedelta(days=365)), 4))
    shown = [f"{tick.astimezone(berlin):%H:%M%z}" for tick in ticks]
    assert shown == ["01:30+0200", "02:30+0200", "02:30+0100", "03:30+0100"]


@pytest.mark.parametrize(
    "seconds", [0, 0.999, -5, math.nan, math.inf, 10**10, pytest.param(10**5000, id="huge"), True, "60", None, [60]]
)
def test_what_cannot_be_an_interval_is_refused(seconds: Any) -> None:
    with pytest.raises(InvalidUse, match="interval_seconds is a number of seconds, from 1 to 1,000,000,000"):
        IntervalSchedule(seconds, ANCHOR)


def test_an_interval_at_the_end_of_the_calendar() -> None:
    schedule = IntervalSchedule(10**9, ANCHOR)
    with pytest.raises(InvalidUse, match="calendar ends"):
        schedule.next_after(datetime(9999, 12, 31, tzinfo=UTC))
    with pytest.raises(InvalidUse, match="calendar ends"):
        schedule.latest_at_or_before(datetime(1, 1, 1, tzinfo=UTC))
    with pytest.raises(InvalidUse, match="aware datetime"):
        IntervalSchedule(60, datetime(2025, 1, 1))


# -- dates


def test_ticks_from_the_start_to_the_end_both_included() -> None:
    table = hourly(starts_at=ANCHOR, ends_at=ANCHOR + 2 * HOUR)
    ticks = [ANCHOR, ANCHOR + HOUR, ANCHOR + 2 * HOUR]
    assert list(table.between(ANCHOR - 99 * HOUR, ANCHOR + 99 * HOUR)) == ticks
    assert table.first_after(ANCHOR - 99 * HOUR) == ANCHOR
    assert table.first_after(ANCHOR) == ANCHOR + HOUR
    assert table.first_after(ANCHOR + 2 * HOUR) is None
    assert table.first_after(ANCHOR + 99 * HOUR) is None
    assert list(table.between(ANCHOR, ANCHOR + HOUR)) == [], "strictly between"


def test_a_start_and_an_end_between_two_ticks() -> None:
    table = hourly(starts_at=ANCHOR + SECOND, ends_at=ANCHOR + HOUR + SECOND)
    assert list(table.between(ANCHOR - HOUR, ANCHOR + 9 * HOUR)) == [ANCHOR + HOUR]
    assert hourly(starts_at=ANCHOR + SECOND, ends_at=ANCHOR + 2 * SECOND).first_after(ANCHOR - HOUR) is None


def test_an_interval_begins_with_its_start() -> None:
    table = Timetable(name="x", ticks=IntervalSchedule(90, ANCHOR), starts_at=ANCHOR)
    assert list(islice(table.between(ANCHOR - HOUR, ANCHOR + HOUR), 2)) == [ANCHOR, ANCHOR + 90 * SECOND]


# -- what has come


def test_what_has_come_since_a_tick() -> None:
    table = hourly(ends_at=ANCHOR + 3 * HOUR)
    now = ANCHOR + 2 * HOUR + SECOND
    assert list(table.come_since(ANCHOR, now)) == [ANCHOR, ANCHOR + HOUR, ANCHOR + 2 * HOUR]
    assert table.latest_come(ANCHOR, now) == ANCHOR + 2 * HOUR
    late = ANCHOR + 99 * HOUR
    assert list(table.come_since(ANCHOR, late))[-1] == table.latest_come(ANCHOR, late) == ANCHOR + 3 * HOUR


@given(moment=MOMENTS, jitter=st.integers(1, 10**5), lag=st.integers(0, 10**5))
def test_with_jitter_the_last_that_has_come_is_the_last_of_all_that_have(moment: datetime, jitter: int, lag: int) -> None:
    table = hourly(jitter=timedelta(seconds=jitter))
    pending = table.first_after(moment)
    assert pending is not None
    now = table.due(pending) + timedelta(seconds=lag)
    come = list(table.come_since(pending, now))
    assert come[-1] == table.latest_come(pending, now)
    following = table.first_after(come[-1])
    assert following is not None
    assert table.due(come[-1]) <= now < table.due(following)


# -- jitter


@given(moment=MOMENTS, jitter=st.floats(0.001, 10**6), seconds=st.sampled_from([1, 60, 86400]))
def test_jitter_is_less_than_asked_and_keeps_the_order_of_ticks(moment: datetime, jitter: float, seconds: int) -> None:
    table = Timetable(name="x", ticks=IntervalSchedule(seconds, ANCHOR), jitter=timedelta(seconds=jitter))
    ticks = list(islice(table.between(moment, moment + timedelta(days=9)), 5))
    dues = [table.due(tick) for tick in ticks]
    assert all(timedelta(0) <= due - tick < timedelta(seconds=jitter) for tick, due in zip(ticks, dues, strict=True))
    assert all(due < following for due, following in zip(dues, ticks[1:], strict=False))
    assert all(one < other for one, other in pairwise(dues))


def test_jitter_spreads_ticks_and_schedules() -> None:
    minute = timedelta(minutes=1)
    tables = [Timetable(name=name, ticks=CronSchedule("0 * * * *"), jitter=minute) for name in ("one", "other")]
    offsets = [[table.due(tick) - tick for tick in table.between(ANCHOR, ANCHOR + 200 * HOUR)] for table in tables]
    for spread in offsets:
        assert len(set(spread)) == 199
        assert min(spread) < 6 * SECOND
        assert max(spread) > 54 * SECOND
    assert not set(offsets[0]) & set(offsets[1])


def test_another_process_finds_the_same_jitter() -> None:
    """Python's own ``hash()`` of a text would be another one."""
    program = (
        "from datetime import *; from durable_workflows.schedules import *;"
        "t = Timetable(name='\u00fcber', ticks=CronSchedule('0 * * * *'), jitter=timedelta(hours=1));"
        "print(t.due(datetime(2025, 5, 7, 10, tzinfo=UTC)).isoformat())"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    mine = Timetable(name="über", ticks=CronSchedule("0 * * * *"), jitter=HOUR).due(ANCHOR)
    assert ran.stdout.strip() == mine.isoformat()


def test_no_jitter_is_none() -> None:
    assert hourly().due(ANCHOR) == ANCHOR
