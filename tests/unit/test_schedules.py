"""Cron expressions to ticks: what they accept, and what they do when the clocks change."""

from __future__ import annotations

import pickle
from bisect import bisect_right
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pytest
from croniter import CroniterBadDateError, croniter
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from durable_workflows.exceptions import InvalidUse
from durable_workflows.schedules import CronSchedule

MICROSECOND = timedelta(microseconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def local(schedule: CronSchedule, since: str, until: str) -> list[str]:
    """Ticks as the wall clock with its offset shows them, between two such readings."""
    zone = ZoneInfo(schedule.timezone)
    ticks = schedule.iterate(datetime.fromisoformat(since), datetime.fromisoformat(until))
    return [tick.astimezone(zone).strftime("%d %H:%M%z") for tick in ticks]


# -- The plain cases. ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "moment", "expected"),
    [
        ("*/15 * * * *", "2025-05-07 10:03:20", "2025-05-07 10:15"),
        ("*/15 * * * *", "2025-05-07 10:15", "2025-05-07 10:30"),
        ("*/15 * * * *", "2025-05-07 10:14:59.999999", "2025-05-07 10:15"),
        ("*/15 * * * *", "2025-05-07 10:15:00.000001", "2025-05-07 10:30"),
        ("0 9 * * MON-FRI", "2025-05-09 09:00", "2025-05-12 09:00"),
        ("0 9 * * mon-fri", "2025-05-09 09:00", "2025-05-12 09:00"),
        ("0 0 * * 7", "2025-05-07", "2025-05-11"),
        ("0 22-2 * * *", "2025-05-07 22:00", "2025-05-07 23:00"),
        ("0 0 13 * FRI", "2025-05-07", "2025-05-09"),  # either day field
        ("0 0 29 2 *", "2024-02-29", "2028-02-29"),
        ("0 0 29 2 *", "2096-02-29", "2104-02-29"),  # 2100 is not a leap year
        ("0 0 * 2 MON#5", "2072-02-29", "2112-02-29"),
        ("0 0 L * *", "2024-02-01", "2024-02-29"),
        ("0 0 15W * *", "2025-02-28", "2025-03-14"),
        ("0 0 * * MON#2", "2025-05-01", "2025-05-12"),
        ("0 0 * * L5", "2025-05-01", "2025-05-30"),
        ("0 0 ? * ?", "2025-05-01", "2025-05-02"),
        ("59/15 * * * *", "2025-05-01", "2025-05-01 00:59"),
        ("\t0   0 * * *\n", "2025-05-01", "2025-05-02"),
        ("0 0 1 1 *", "2999-06-01", "3000-01-01"),
        ("@hourly", "2025-05-07 10:00", "2025-05-07 11:00"),
        ("@daily", "2025-05-07 10:00", "2025-05-08"),
        ("@Midnight", "2025-05-07 10:00", "2025-05-08"),
        ("@weekly", "2025-05-07 10:00", "2025-05-11"),
        ("@monthly", "2025-05-07 10:00", "2025-06-01"),
        ("@yearly", "2025-05-07 10:00", "2026-01-01"),
        ("@annually", "2025-05-07 10:00", "2026-01-01"),
    ],
)
def test_the_next_tick(expression: str, moment: str, expected: str) -> None:
    assert CronSchedule(expression).next_after(utc(moment)) == utc(expected)


@pytest.mark.parametrize(
    ("expression", "moment", "expected"),
    [
        ("*/30 * * * * *", "2025-05-07 10:00:00", "2025-05-07 10:00:30"),
        ("15 * * * * *", "2025-05-07 10:00:20", "2025-05-07 10:01:15"),
        ("0 30 9 * * *", "2025-05-07 09:00:00", "2025-05-07 09:30:00"),  # 09:30:00, not a second 9 of 00:30
        ("10 20 4 1 6 *", "2025-05-07", "2025-06-01 04:20:10"),
    ],
)
def test_of_six_fields_the_first_is_the_second(expression: str, moment: str, expected: str) -> None:
    assert CronSchedule(expression).next_after(utc(moment)) == utc(expected)


@pytest.mark.parametrize(
    ("expression", "moment", "latest", "interval"),
    [
        ("0 * * * *", "2025-05-07 10:59:59.999999", "2025-05-07 10:00", HOUR),
        ("0 * * * *", "2025-05-07 11:00", "2025-05-07 11:00", HOUR),
        ("0 * * * *", "2025-05-07 11:00:00.000001", "2025-05-07 11:00", HOUR),
        ("*/10 * * * * *", "2025-05-07 11:00:09.5", "2025-05-07 11:00", timedelta(seconds=10)),
        ("0 0 31 * *", "2025-03-30", "2025-01-31", timedelta(days=59)),
        ("0 0 1 3 *", "2024-02-29", "2023-03-01", timedelta(days=366)),
    ],
)
def test_the_tick_behind_and_the_distance_to_the_next(expression: str, moment: str, latest: str, interval: timedelta) -> None:
    schedule = CronSchedule(expression)
    assert schedule.latest_at_or_before(utc(moment)) == utc(latest)
    assert schedule.interval_at(utc(moment)) == interval


def test_iterate_leaves_its_start_out_and_takes_its_end_in() -> None:
    ticks = CronSchedule("0 * * * *").iterate(utc("2025-05-07 10:00"), utc("2025-05-07 13:00"))
    assert list(ticks) == [utc("2025-05-07 11:00"), utc("2025-05-07 12:00"), utc("2025-05-07 13:00")]


def test_iterate_is_lazy_and_may_be_empty() -> None:
    schedule = CronSchedule("* * * * * *")
    centuries = schedule.iterate(utc("2025-01-01"), utc("2525-01-01"))
    assert list(islice(centuries, 2)) == [utc("2025-01-01 00:00:01"), utc("2025-01-01 00:00:02")]
    assert list(schedule.iterate(utc("2025-01-01"), utc("2024-01-01"))) == []


def test_moments_in_any_zone_are_one_moment_and_answers_are_in_utc() -> None:
    schedule = CronSchedule("0 9 * * *", "Asia/Kolkata")
    moment = utc("2025-05-07 03:00")
    for zone in ("UTC", "Asia/Kolkata", "America/New_York"):
        tick = schedule.next_after(moment.astimezone(ZoneInfo(zone)))
        assert tick == utc("2025-05-07 03:30")
        assert tick.tzinfo is UTC


def test_a_schedule_is_a_value() -> None:
    schedule = CronSchedule("0 9 * * *", "Asia/Kolkata")
    assert schedule == CronSchedule("0 9 * * *", timezone="Asia/Kolkata")
    assert schedule != CronSchedule("0 9 * * *")
    assert len({schedule, CronSchedule("0 9 * * *", "Asia/Kolkata")}) == 1
    assert pickle.loads(pickle.dumps(schedule)) == schedule
    assert repr(schedule) == "CronSchedule(expression='0 9 * * *', timezone='Asia/Kolkata')"


def test_threads_share_a_schedule(monkeypatch: pytest.MonkeyPatch) -> None:
    """croniter keeps its position in itself, so another thread's question may fall between a question and its answer."""
    schedule = CronSchedule("*/7 1-5 * * *", "Europe/Berlin")
    set_current = croniter.set_current
    questions = [utc("2030-01-01")]

    def interrupted(self: croniter[float], *args: object, **kwargs: object) -> float:
        position = set_current(self, *args, **kwargs)  # type: ignore[arg-type]
        if questions:
            schedule.next_after(questions.pop())
        return position

    monkeypatch.setattr(croniter, "set_current", interrupted)
    assert schedule.next_after(utc("2025-05-07")) == utc("2025-05-07 00:07")
    assert not questions


# -- When the clocks change: by hand. --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "expression", "since", "until", "expected"),
    [
        # 9 March 2025: 02:00 EST is 03:00 EDT. A skipped time fires once, just after the gap.
        ("America/New_York", "30 2 * * *", "2025-03-08T12:00-05:00", "2025-03-10T12:00-04:00",
         ["09 03:00-0400", "10 02:30-0400"]),
        ("America/New_York", "0 0,30 2 * * *", "2025-03-08T12:00-05:00", "2025-03-09T12:00-04:00", ["09 03:00-0400"]),
        ("America/New_York", "0,30 2,3 * * *", "2025-03-08T12:00-05:00", "2025-03-09T12:00-04:00",
         ["09 03:00-0400", "09 03:30-0400"]),
        ("America/New_York", "30 1,3 * * *", "2025-03-08T12:00-05:00", "2025-03-09T12:00-04:00",
         ["09 01:30-0500", "09 03:30-0400"]),
        ("America/New_York", "30 * * * *", "2025-03-09T00:00-05:00", "2025-03-09T04:00-04:00",
         ["09 00:30-0500", "09 01:30-0500", "09 03:30-0400"]),
        ("America/New_York", "*/20 * * * *", "2025-03-09T01:20-05:00", "2025-03-09T03:20-04:00",
         ["09 01:40-0500", "09 03:00-0400", "09 03:20-0400"]),
        ("America/New_York", "*/30 2 * * *", "2025-03-08T12:00-05:00", "2025-03-10T02:00-04:00", ["10 02:00-0400"]),
        # 2 November 2025: 02:00 EDT is 01:00 EST. A repeated time fires once, in the first pass.
        ("America/New_York", "30 1 * * *", "2025-11-01T12:00-04:00", "2025-11-03T12:00-05:00",
         ["02 01:30-0400", "03 01:30-0500"]),
        ("America/New_York", "15,45 0-2 * * *", "2025-11-02T00:00-04:00", "2025-11-02T12:00-05:00",
         ["02 00:15-0400", "02 00:45-0400", "02 01:15-0400", "02 01:45-0400", "02 02:15-0500", "02 02:45-0500"]),
        ("America/New_York", "0 * * * *", "2025-11-02T00:00-04:00", "2025-11-02T03:00-05:00",
         ["02 01:00-0400", "02 01:00-0500", "02 02:00-0500", "02 03:00-0500"]),
        ("America/New_York", "0 0-23 * * *", "2025-11-02T00:00-04:00", "2025-11-02T02:00-05:00",
         ["02 01:00-0400", "02 01:00-0500", "02 02:00-0500"]),
        ("America/New_York", "@hourly", "2025-11-02T00:00-04:00", "2025-11-02T02:00-05:00",
         ["02 01:00-0400", "02 01:00-0500", "02 02:00-0500"]),
        ("America/New_York", "*/30 * * * *", "2025-11-02T00:30-04:00", "2025-11-02T02:00-05:00",
         ["02 01:00-0400", "02 01:30-0400", "02 01:00-0500", "02 01:30-0500", "02 02:00-0500"]),
        ("America/New_York", "*/30 1 * * *", "2025-11-01T12:00-04:00", "2025-11-02T12:00-05:00",
         ["02 01:00-0400", "02 01:30-0400", "02 01:00-0500", "02 01:30-0500"]),
        ("America/New_York", "0 */30 1 * * *", "2025-11-01T12:00-04:00", "2025-11-02T12:00-05:00",
         ["02 01:00-0400", "02 01:30-0400", "02 01:00-0500", "02 01:30-0500"]),
        ("America/New_York", "*/30 30 1 * * *", "2025-11-01T12:00-04:00", "2025-11-02T12:00-05:00",
         ["02 01:30-0400", "02 01:30-0400", "02 01:30-0500", "02 01:30-0500"]),
        # Cron calls a step of the hour running, too: it follows the clock on the wall, whatever the distance.
        ("Europe/Berlin", "0 */2 * * *", "2025-10-26T00:00+02:00", "2025-10-26T04:00+01:00",
         ["26 02:00+0200", "26 02:00+0100", "26 04:00+0100"]),
        ("Europe/Berlin", "0 */2 * * *", "2025-03-30T00:00+01:00", "2025-03-30T06:00+02:00",
         ["30 04:00+0200", "30 06:00+0200"]),
        # A star that stands for a single value is a fixed time in disguise.
        ("Europe/Berlin", "*/60 2 * * *", "2025-10-26T00:00+02:00", "2025-10-26T12:00+01:00", ["26 02:00+0200"]),
        ("Europe/Berlin", "*/60 2 * * *", "2025-03-30T00:00+01:00", "2025-03-30T12:00+02:00", ["30 03:00+0200"]),
        ("Europe/Berlin", "30 2 * * *", "2025-10-26T00:00+02:00", "2025-10-27T03:00+01:00",
         ["26 02:30+0200", "27 02:30+0100"]),
        ("Europe/Berlin", "30 2 * * SUN", "2025-03-29T00:00+01:00", "2025-04-06T12:00+02:00",
         ["30 03:00+0200", "06 02:30+0200"]),
        # Half an hour: 5 October 2025, 02:00 is 02:30; 6 April 2025, 02:00 is 01:30.
        ("Australia/Lord_Howe", "15 2 * * *", "2025-10-04T12:00+10:30", "2025-10-05T12:00+11:00", ["05 02:30+1100"]),
        ("Australia/Lord_Howe", "0,45 2 * * *", "2025-10-04T12:00+10:30", "2025-10-05T12:00+11:00",
         ["05 02:30+1100", "05 02:45+1100"]),
        ("Australia/Lord_Howe", "*/15 * * * *", "2025-10-05T01:30+10:30", "2025-10-05T02:45+11:00",
         ["05 01:45+1030", "05 02:30+1100", "05 02:45+1100"]),
        ("Australia/Lord_Howe", "45 1 * * *", "2025-04-05T12:00+11:00", "2025-04-06T12:00+10:30", ["06 01:45+1100"]),
        ("Australia/Lord_Howe", "*/15 * * * *", "2025-04-06T01:30+11:00", "2025-04-06T02:00+10:30",
         ["06 01:45+1100", "06 01:30+1030", "06 01:45+1030", "06 02:00+1030"]),
        # The day that Samoa left out: the clock went from the end of 29 December to 31 December 2011.
        ("Pacific/Apia", "0 12 * * *", "2011-12-29T00:00-10:00", "2011-12-31T23:00+14:00",
         ["29 12:00-1000", "31 00:00+1400", "31 12:00+1400"]),
        ("Pacific/Apia", "0 0 30 * *", "2011-12-01T00:00-10:00", "2012-01-30T00:00+14:00",
         ["31 00:00+1400", "30 00:00+1400"]),
        ("Pacific/Apia", "0 */8 * * *", "2011-12-29T08:00-10:00", "2011-12-31T08:00+14:00",
         ["29 16:00-1000", "31 00:00+1400", "31 08:00+1400"]),
        # Midnight itself: 4 November 2018 begins at 01:00; 18 February 2018 begins a second time at 23:00 of the 17th.
        ("America/Sao_Paulo", "@daily", "2018-11-03T12:00-03:00", "2018-11-05T12:00-02:00",
         ["04 01:00-0200", "05 00:00-0200"]),
        ("America/Sao_Paulo", "30 23 * * *", "2018-02-17T12:00-02:00", "2018-02-18T12:00-03:00", ["17 23:30-0200"]),
        ("America/Sao_Paulo", "@daily", "2018-02-17T12:00-02:00", "2018-02-19T12:00-03:00",
         ["18 00:00-0300", "19 00:00-0300"]),
        ("America/Sao_Paulo", "*/30 * * * *", "2018-02-17T23:00-02:00", "2018-02-18T00:00-03:00",
         ["17 23:30-0200", "17 23:00-0300", "17 23:30-0300", "18 00:00-0300"]),
        # Morocco's winter time is for Ramadan: back on 23 February, forward on 6 April 2025.
        ("Africa/Casablanca", "30 2 * * *", "2025-02-22T12:00+01:00", "2025-02-24T12:00+00:00",
         ["23 02:30+0100", "24 02:30+0000"]),
        ("Africa/Casablanca", "30 2 * * *", "2025-04-05T12:00+00:00", "2025-04-07T12:00+01:00",
         ["06 03:00+0100", "07 02:30+0100"]),
        ("Africa/Casablanca", "30 * * * *", "2025-02-23T02:00+01:00", "2025-02-23T03:00+00:00",
         ["23 02:30+0100", "23 02:30+0000"]),
        # Two hours at once, in the Antarctic: 01:00 UTC is 01:00 before and 03:00 after; and back.
        ("Antarctica/Troll", "30 1,2 * * *", "2025-03-29T12:00+00:00", "2025-03-30T12:00+02:00", ["30 03:00+0200"]),
        ("Antarctica/Troll", "30 1,2 * * *", "2025-10-25T12:00+02:00", "2025-10-26T12:00+00:00",
         ["26 01:30+0200", "26 02:30+0200"]),
        ("Antarctica/Troll", "30 * * * *", "2025-10-26T01:00+02:00", "2025-10-26T03:00+00:00",
         ["26 01:30+0200", "26 02:30+0200", "26 01:30+0000", "26 02:30+0000"]),
        # Midnight: Cairo's 25 April 2025 begins at 01:00, its 30 October ends twice.
        ("Africa/Cairo", "@daily", "2025-04-24T12:00+02:00", "2025-04-26T12:00+03:00", ["25 01:00+0300", "26 00:00+0300"]),
        ("Africa/Cairo", "30 23 * * *", "2025-10-30T12:00+03:00", "2025-10-31T12:00+02:00", ["30 23:30+0300"]),
        ("Africa/Cairo", "@hourly", "2025-10-30T22:30+03:00", "2025-10-31T00:00+02:00",
         ["30 23:00+0300", "30 23:00+0200", "31 00:00+0200"]),
        # No change at all.
        ("Asia/Kolkata", "30 2 * * *", "2025-03-29T00:00+05:30", "2025-03-31T00:00+05:30",
         ["29 02:30+0530", "30 02:30+0530"]),
        ("UTC", "30 2 * * *", "2025-03-29T00:00+00:00", "2025-03-31T00:00+00:00", ["29 02:30+0000", "30 02:30+0000"]),
    ],
)  # fmt: skip
def test_when_the_clocks_change(zone: str, expression: str, since: str, until: str, expected: list[str]) -> None:
    assert local(CronSchedule(expression, zone), since, until) == expected


def test_a_change_is_found_to_the_second() -> None:
    """Liberia was 44:30 behind Greenwich until 7 January 1972, which began at 00:44:30."""
    schedule = CronSchedule("10 0 0 * * *", "Africa/Monrovia")
    days = schedule.iterate(utc("1972-01-06"), utc("1972-01-09"))
    assert list(days) == [utc("1972-01-06 00:44:40"), utc("1972-01-07 00:44:30"), utc("1972-01-08 00:00:10")]


# -- When the clocks change: against a simulated cron. ---------------------------------------------------------------

CHANGES = {
    "America/New_York": ["2025-03-09 07:00", "2025-11-02 06:00"],
    "Europe/Berlin": ["2025-03-30 01:00", "2025-10-26 01:00"],
    "Australia/Lord_Howe": ["2025-10-04 15:30", "2025-04-05 15:00"],
    "Asia/Kolkata": ["2025-03-30 01:00"],
    "Pacific/Apia": ["2011-12-30 10:00", "2011-09-24 14:00", "2012-03-31 14:00"],
    "America/Sao_Paulo": ["2018-11-04 03:00", "2018-02-18 02:00"],
    "Africa/Casablanca": ["2025-02-23 02:00", "2025-04-06 02:00"],
    "UTC": ["2025-03-30 01:00"],
    # Two hours, three quarters of one, midnight itself in both directions, and the seasons of the south.
    "Antarctica/Troll": ["2025-03-30 01:00", "2025-10-26 01:00"],
    "Pacific/Chatham": ["2025-04-05 14:00", "2025-09-27 14:00"],
    "Europe/London": ["2025-03-30 01:00", "2025-10-26 01:00"],
    "Africa/Cairo": ["2025-04-24 22:00", "2025-10-30 21:00"],
    "America/Havana": ["2025-03-09 05:00", "2025-11-02 05:00"],
    "Asia/Beirut": ["2025-03-29 22:00", "2025-10-25 21:00"],
    "America/Santiago": ["2025-04-06 03:00", "2025-09-07 04:00"],
}
MINUTES = ["*", "*/15", "*/7", "0", "30", "59", "5,35", "0-29", "10-50/20", "*/60", "0-59"]
HOURS = ["*", "*/2", "*/3", "0", "1", "2", "3", "23", "1,2", "0-3", "22,23,0", "*/24", "0-23"]


def simulate(expression: str, zone: ZoneInfo, change: datetime, reach: timedelta) -> list[datetime]:
    """
    The ticks that cron finds by waking up each minute, within ``reach`` of a change.

    This is cronie's main loop with its virtual clock, which stands while the wall clock is behind it. Wildcard jobs run by
    the wall clock, fixed-time jobs by the virtual one. (Its cases by the size of the jump are left out.)
    """
    minutes, hours = (values(text, top) for text, top in zip(expression.split(), (60, 24), strict=False))
    texts = expression.split()[:2]
    wild = any(
        ("*" in text and len(v) > 1) or len(v) == top for text, v, top in zip(texts, (minutes, hours), (60, 24), strict=True)
    )
    moment = change - reach
    virtual = moment.astimezone(zone).replace(tzinfo=None)
    ticks = []
    while moment < change + reach:
        moment += MINUTE
        wall = moment.astimezone(zone).replace(tzinfo=None)
        due = [wall] if wild else [virtual + n * MINUTE for n in range(1, (wall - virtual) // MINUTE + 1)]
        if any(reading.minute in minutes and reading.hour in hours for reading in due):
            ticks.append(moment)
        virtual = max(virtual, wall)
    return ticks


def values(text: str, top: int) -> set[int]:
    found: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        first, _, last = ("0", "", str(top - 1)) if span == "*" else span.partition("-")
        found.update(range(int(first), int(last or first) + 1, int(step or 1)))
    return found


@settings(deadline=None, max_examples=60)
@given(
    change=st.sampled_from([(zone, utc(moment)) for zone, moments in CHANGES.items() for moment in moments]),
    minute=st.sampled_from(MINUTES),
    hour=st.sampled_from(HOURS),
    distance=st.timedeltas(timedelta(hours=-30), timedelta(hours=30)),
)
def test_ticks_are_those_of_a_simulated_cron(change: tuple[str, datetime], minute: str, hour: str, distance: timedelta) -> None:
    zone, at = change
    schedule = CronSchedule(f"{minute} {hour} * * *", zone)
    expected = simulate(schedule.expression, ZoneInfo(zone), at, timedelta(hours=60))
    start, end = at + distance, at + distance + timedelta(hours=25)
    behind = bisect_right(expected, start)
    assert list(schedule.iterate(start, end)) == expected[behind : bisect_right(expected, end)]
    assert schedule.latest_at_or_before(start) == expected[behind - 1]


@pytest.mark.parametrize("expression", ["*/10 * * * *", "25 1 * * *", "0,20 1,2 * * *", "0 */2 * * *", "*/20 2 * * *"])
@pytest.mark.parametrize("zone", CHANGES)
def test_both_directions_agree_around_a_change(zone: str, expression: str) -> None:
    schedule = CronSchedule(expression, zone)
    for at in map(utc, CHANGES[zone]):
        ticks = simulate(expression, ZoneInfo(zone), at, timedelta(hours=60))
        for moment in (at + n * MINUTE - early for n in range(-90, 91, 5) for early in (timedelta(0), MICROSECOND)):
            behind = bisect_right(ticks, moment)
            assert schedule.next_after(moment) == ticks[behind]
            assert schedule.latest_at_or_before(moment) == ticks[behind - 1]


# -- Laws. -----------------------------------------------------------------------------------------------------------


def field(low: int, high: int, *special: str) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    span = st.tuples(number, number).filter(lambda pair: pair[0] < pair[1]).map(lambda pair: f"{pair[0]}-{pair[1]}")
    step = st.tuples(st.just("*") | span, st.integers(1, high)).map(lambda pair: f"{pair[0]}/{pair[1]}")
    several = st.lists(number.map(str) | span, min_size=1, max_size=3).map(",".join)
    return st.one_of(st.just("*"), step, several, *map(st.just, special))


EXPRESSIONS = st.tuples(
    st.just("") | field(0, 59),
    field(0, 59),
    field(0, 23),
    field(1, 28, "L", "15W", "31W"),
    field(1, 12, "JAN", "MAR-OCT"),
    st.just("*") | field(0, 6, "MON#1", "L5", "SUN,TUE"),
).map(lambda fields: " ".join(fields).strip())


def schedule_or_reject(expression: str, zone: str) -> CronSchedule:
    try:
        return CronSchedule(expression, zone)
    except InvalidUse as error:
        if "never fires" not in str(error):
            raise
        reject()


@settings(deadline=None, max_examples=150)
@given(
    expression=EXPRESSIONS,
    zone=st.sampled_from(list(CHANGES)),
    moment=st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),
)
def test_next_and_latest_are_neighbours(expression: str, zone: str, moment: datetime) -> None:
    schedule = schedule_or_reject(expression, zone)
    following = schedule.next_after(moment)
    latest = schedule.latest_at_or_before(moment)
    assert latest <= moment < following
    assert schedule.next_after(latest) == following
    assert schedule.next_after(following - MICROSECOND) == following
    assert schedule.latest_at_or_before(following) == following
    assert schedule.latest_at_or_before(following - MICROSECOND) == latest
    assert schedule.interval_at(moment) == following - latest > timedelta(0)
    assert following.microsecond == 0


@settings(deadline=None, max_examples=50)
@given(
    expression=EXPRESSIONS,
    zone=st.sampled_from(list(CHANGES)),
    moment=st.datetimes(datetime(2000, 1, 1), datetime(2050, 1, 1), timezones=st.just(UTC)),
)
def test_iteration_joins_without_seam(expression: str, zone: str, moment: datetime) -> None:
    schedule = schedule_or_reject(expression, zone)
    ticks = list(islice(schedule.iterate(moment, moment + timedelta(days=20_000)), 30))
    assert all(one < other for one, other in pairwise(ticks))
    assert all(schedule.next_after(one) == other for one, other in pairwise(ticks))
    middle = moment + (ticks[-1] - moment) / 2
    assert [*schedule.iterate(moment, middle), *schedule.iterate(middle, ticks[-1])] == ticks


# -- What is refused. ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("", "has 0 fields"),
        ("* * * *", "has 4 fields"),
        ("* * * * * * *", "has 7 fields"),
        ("@reboot", "alias '@reboot' is unknown.*@daily"),
        ("60 * * * *", "minute field '60'.*60 is not within 0-59"),
        ("60 * * * * *", "second field '60'.*60 is not within 0-59"),
        ("0 24 * * *", "hour field '24'.*24 is not within 0-23"),
        ("0 0 0 * *", "day of month field '0'.*0 is not within 1-31"),
        ("0 0 32W * *", "day of month field '32W'.*32 is not within 1-31"),
        ("0 0 * 13 *", "month field '13'.*13 is not within 1-12"),
        ("0 0 * FOO *", "month field 'FOO'.*cannot be read.*JAN-DEC"),
        ("0 0 * * 8", "day of week field '8'.*8 is not within 0-7"),
        ("0 0 * * MON#6", "day of week field 'MON#6'"),
        ("0 0 * * MON#2,TUE", "day of week field 'MON#2,TUE'"),
        ("0 0 1-100000000 * *", "day of month field.*100000000 is not within 1-31"),
        ("0 0 * * 0-99999999999999999999", "day of week field.*is not within 0-7"),
        ("*/0 * * * *", "minute field.*a step must be at least 1"),
        ("*/x * * * *", "minute field.*cannot be read"),
        ("1,,2 * * * *", "minute field.*cannot be read"),
        ("-5 * * * *", "minute field.*cannot be read"),
        ("1.5 * * * *", "minute field.*cannot be read"),
        ("0 9-9 * * *", "hour field.*write 9 or \\*"),
        ("0 0 * Jan-JAN *", "month field.*write Jan or \\*"),
        ("R * * * *", "minute field.*chance"),
        ("0 h(1-5) * * *", "hour field.*chance"),
        ("0 0 30 2 *", "'0 0 30 2 \\*' in UTC never fires"),
        ("0 0 31 4,6,9,11 *", "never fires"),
        ("0 0 30 2 MON#5", "never fires"),
        ("0 9 * * *\x00", "day of week field"),
        ("0 9 * * MÖN", "plain ASCII"),
        ("\u0660 9 * * *", "plain ASCII"),
        ("0\u00a09 * * *", "plain ASCII"),
        ("0," * 5_000 + "0 9 * * *", "at most 1000 characters"),
    ],
)
def test_a_bad_expression_is_refused_with_its_field_and_an_example(expression: str, words: str) -> None:
    with pytest.raises(InvalidUse, match=words) as caught:
        CronSchedule(expression)
    assert "for example '0 9 * * MON-FRI'" in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("value", [None, 5, b"* * * * *", ["* * * * *"], timedelta(hours=1)])
def test_what_is_not_text_is_refused(value: object) -> None:
    with pytest.raises(InvalidUse, match="str such as '0 9"):
        CronSchedule(value)  # type: ignore[arg-type]
    with pytest.raises(InvalidUse, match="str such as 'Europe/Berlin'"):
        CronSchedule("* * * * *", value)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "zone",
    ["", "Mars/Olympus", "../../etc/passwd", "/etc/localtime", "America", "UTC+2", "localtime", "right/UTC", "x" * 5_000],
)
def test_an_unknown_zone_is_refused(zone: str) -> None:
    with pytest.raises(InvalidUse, match=r"time zone .* is unknown\. Use an IANA name, for example"):
        CronSchedule("* * * * *", zone)


def test_a_misspelt_zone_is_told_its_name() -> None:
    with pytest.raises(InvalidUse, match="'Europe/Berlin'"):
        CronSchedule("* * * * *", "europe/berlin")


def test_a_machine_without_zones_knows_utc_and_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_zone(key: str) -> ZoneInfo:
        raise ZoneInfoNotFoundError(key)

    monkeypatch.setattr("durable_workflows.schedules.cron.ZoneInfo", no_zone)
    monkeypatch.setattr("durable_workflows.schedules.cron.available_timezones", set)
    with pytest.raises(InvalidUse, match="Install the package tzdata"):
        CronSchedule("11 22 3 4 *", "Europe/Berlin")
    assert CronSchedule("11 22 3 4 *").next_after(utc("2025-01-01")) == utc("2025-04-03 22:11")


@pytest.mark.parametrize("moment", [datetime(2025, 1, 1), "2025-01-01", None])
def test_a_moment_without_zone_is_refused(moment: object) -> None:
    schedule = CronSchedule("* * * * *")
    for ask in (schedule.next_after, schedule.latest_at_or_before, schedule.interval_at):
        with pytest.raises(InvalidUse, match=r"aware datetime.*make_aware"):
            ask(moment)  # type: ignore[arg-type]
    for bounds in ((moment, utc("2025-01-01")), (utc("2025-01-01"), moment)):
        with pytest.raises(InvalidUse, match="aware datetime"):
            schedule.iterate(*bounds)  # type: ignore[arg-type]


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Apia", "America/New_York"])
def test_the_calendar_ends(zone: str) -> None:
    schedule = CronSchedule("0 12 1 6 *", zone)
    with pytest.raises(InvalidUse, match="years after 9999"):
        schedule.next_after(utc("9999-12-31 23:59:59.999999"))
    with pytest.raises(InvalidUse, match="years before 0001"):
        schedule.latest_at_or_before(utc("0001-01-01"))


def test_a_running_pattern_that_only_names_skipped_times_never_fires() -> None:
    assert CronSchedule("30 2 * 3 SUN#2", "America/New_York").next_after(utc("2025-01-01")) == utc("2025-03-09 07:00")
    with pytest.raises(InvalidUse, match="never fires") as caught:
        CronSchedule("*/10 2 * 3 SUN#2", "America/New_York")
    assert isinstance(caught.value.__cause__, CroniterBadDateError)  # given up after 50 years, not in the year 9999
