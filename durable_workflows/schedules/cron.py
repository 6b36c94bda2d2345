"""
Cron expressions as values: which instants ("ticks") an expression names in a time zone.

No clock and no database: whoever asks brings the moment. croniter says which *readings* of a wall clock an expression
names; this module turns readings into instants. croniter's own handling of zones is not used: it fires a fixed local
time twice when the clocks go back.

What a reading becomes when the clocks change depends on the pattern, by the rule of Vixie cron and its heir cronie
(``cron.c``: the time jumps in ``main()``, ``find_jobs()``; ``entry.c``: ``MIN_STAR``, ``HR_STAR``):

* A **running** pattern has, in its second, minute or hour field, a star that stands for several values (``*``,
  ``*/15``) or every value spelled out (``0-23``). It follows real time: it fires whenever the wall clock shows a
  reading it names, so in both passes of a repeated hour and never for a skipped one. ``*/15 * * * *``,
  ``0 * * * *``, ``0 */2 * * *``, ``*/10 1 * * *``.
* A **fixed** pattern is any other: ``30 1 * * *``, ``0 9,17 * * MON-FRI``, ``@daily``. A repeated reading fires once,
  in the first pass. A skipped one fires once, at the first instant after the gap; ticks that meet there are one.

Cron does so for changes of up to three hours. Here it holds for every change of a zone's offset, so that a day that a
zone left out (Pacific/Apia, 30 December 2011) loses no daily tick.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from difflib import get_close_matches
from functools import lru_cache
from itertools import takewhile
from zoneinfo import ZoneInfo, available_timezones

from croniter import CroniterBadDateError, croniter

from durable_workflows.exceptions import InvalidUse


@dataclass(frozen=True, slots=True)
class CronSchedule:
    """
    A cron expression in a time zone; the module says what happens when the clocks change.

    :param expression: five fields (minute, hour, day of month, month, day of week), six with the second FIRST (as in
        DBOS, which has croniter read them with ``second_at_beginning``), or an alias such as ``@daily``; plain ASCII.
        Fields take lists, ranges, steps, names, and croniter's ``L``, ``15W``, ``MON#2``. If both day fields are
        restricted, a day that fits one of them counts, as in cron.
    :param timezone: the IANA name of the zone in which the expression is read, such as ``"Europe/Berlin"``.
    :raises InvalidUse: if the expression or the zone cannot be read, or if the expression never fires.
    """

    expression: str
    timezone: str = "UTC"

    def __post_init__(self) -> None:
        values: dict[str, object] = {"'0 9 * * MON-FRI'": self.expression, "'Europe/Berlin'": self.timezone}
        for example, value in values.items():
            if not isinstance(value, str):
                raise InvalidUse(f"A schedule's expression and timezone are str such as {example}, not {value!r}.")
        _plan(self.expression, self.timezone)

    def next_after(self, moment: datetime) -> datetime:
        """
        The first tick strictly after ``moment``, in UTC.

        :raises InvalidUse: if ``moment`` is naive, or if no tick follows within 50 years.
        """
        return _plan(self.expression, self.timezone).neighbour(aware_utc(moment), forward=True)

    def latest_at_or_before(self, moment: datetime) -> datetime:
        """
        The last tick that is not after ``moment``, in UTC.

        :raises InvalidUse: if ``moment`` is naive, or if no tick precedes it within 50 years.
        """
        return _plan(self.expression, self.timezone).neighbour(aware_utc(moment), forward=False)

    def interval_at(self, moment: datetime) -> timedelta:
        """How far the tick at or before ``moment`` and the next one after it are apart; always positive."""
        return self.next_after(moment) - self.latest_at_or_before(moment)

    def iterate(self, after: datetime, until: datetime) -> Iterator[datetime]:
        """
        Lazily, in order, the ticks strictly after ``after`` and not after ``until``.

        :raises InvalidUse: if one of the two is naive.
        """
        end = aware_utc(until)
        return takewhile(lambda tick: tick <= end, self._all_after(aware_utc(after)))

    def _all_after(self, moment: datetime) -> Iterator[datetime]:
        while True:
            moment = self.next_after(moment)
            yield moment


def aware_utc(moment: object) -> datetime:
    """``moment`` in UTC. Raises ``InvalidUse`` if it is naive, or no datetime."""
    if not isinstance(moment, datetime) or moment.utcoffset() is None:
        raise InvalidUse(
            f"A schedule needs an aware datetime, not {moment!r}: give it a time zone, for example with"
            " django.utils.timezone.make_aware()."
        )
    return moment.astimezone(UTC)


# From readings to instants. A reading, or wall time, is a naive datetime; an instant is an aware one in UTC.

_SECOND = timedelta(seconds=1)
_YEARS = 50  # where croniter stops looking; the rarest date, 29 February on one weekday, returns within 40


@dataclass(frozen=True, slots=True)
class _Plan:
    """An expression, read, in its zone."""

    expression: str
    cron: croniter[float]
    running: bool
    zone: tzinfo

    def neighbour(self, moment: datetime, *, forward: bool) -> datetime:
        """The first tick after ``moment``, or the last one at or before it."""
        ticks = self._candidates(moment, forward=forward)
        try:
            return min(t for t in ticks if t > moment) if forward else max(t for t in ticks if t <= moment)
        except (ValueError, OverflowError) as error:  # croniter found none, or met the end of the calendar
            raise InvalidUse(
                f"The schedule {self.expression!r} in {self.zone} never fires in the {_YEARS} years"
                f" {'after' if forward else 'before'} {moment.isoformat()}: its fields name no date and time that exist"
                f" then. Mend its day and month fields; {_EXAMPLE}."
            ) from error

    def _candidates(self, moment: datetime, *, forward: bool) -> Iterator[datetime]:
        """
        A few ticks around ``moment``, among them its neighbour.

        Readings and instants run in the same order, so the nearest reading gives the nearest tick, but for a moment
        within a repeated hour: from there the readings at the start and at the end of the repeat may be nearer in time.
        """
        wall = moment.astimezone(self.zone).replace(tzinfo=None)
        edges = [wall.replace(microsecond=0) + _SECOND]
        old, new = self._offsets(wall)
        if old > new:
            change = self._change(wall).replace(tzinfo=None)
            edges += [change + new, change + old]
        for edge in edges:
            yield from self._nearest(edge, forward=forward)

    def _nearest(self, edge: datetime, *, forward: bool) -> list[datetime]:
        """The instants of the first reading at or after ``edge`` that has any, or of the last one before it."""
        wall = self._reading(edge, forward=forward)
        while not (instants := self._instants(wall)):
            if abs(wall.year - edge.year) > _YEARS:
                raise CroniterBadDateError("every reading is skipped")
            old, new = self._offsets(wall)
            gap_edge = self._change(wall).replace(tzinfo=None) + (new if forward else old)
            wall = self._reading(gap_edge, forward=forward)
        return instants

    def _reading(self, edge: datetime, *, forward: bool) -> datetime:
        cron = copy(self.cron)  # it keeps its position in itself, and one plan serves all threads
        if forward:
            return cron.get_next(datetime, start_time=edge - _SECOND)
        return cron.get_prev(datetime, start_time=edge)

    def _instants(self, wall: datetime) -> list[datetime]:
        """When the wall clock shows this reading: once, twice, or, for a running pattern in a gap, never."""
        old, new = self._offsets(wall)
        if old < new:
            return [] if self.running else [self._change(wall)]
        offsets = (old, new) if self.running and old > new else (old,)
        return [(wall - offset).replace(tzinfo=UTC) for offset in offsets]

    def _offsets(self, wall: datetime) -> tuple[timedelta, timedelta]:
        """The zone's offset before and after the change that repeats (old > new) or skips (old < new) this reading."""
        old, new = (self.zone.utcoffset(wall.replace(fold=fold)) for fold in (0, 1))  # PEP 495
        return old or timedelta(0), new or timedelta(0)

    def _change(self, wall: datetime) -> datetime:
        """The instant of the change that repeats or skips this reading; zoneinfo does not tell, so it is searched."""
        old, new = self._offsets(wall)
        early = (wall - max(old, new)).replace(microsecond=0, fold=0, tzinfo=UTC)
        seconds = range(int(abs(old - new) / _SECOND) + 1)

        def changed(second: int) -> bool:
            return (early + second * _SECOND).astimezone(self.zone).utcoffset() != old

        return early + bisect_left(seconds, True, key=changed) * _SECOND


# Reading expressions and zones.

_EXAMPLE = "for example '0 9 * * MON-FRI' (09:00 on weekdays) or '*/30 * * * * *' (every 30 seconds)"
_LONGEST = 1000  # characters; all minutes and all seconds spelled out take 340
_PROBE = datetime(2024, 1, 1, tzinfo=UTC)  # any moment will do: what fires at all fires in the 50 years after it
_HOST_ZONES = ("localtime", "posixrules", "right/")  # another zone on every machine, or one that counts leap seconds
_ALIASES = ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")  # croniter knows them
_FIELDS = (
    ("second", 0, 59, "0-59"),
    ("minute", 0, 59, "0-59"),
    ("hour", 0, 23, "0-23"),
    ("day of month", 1, 31, "1-31, L (the last day), 15W (the weekday nearest to the 15th)"),
    ("month", 1, 12, "1-12, JAN-DEC"),
    ("day of week", 0, 7, "0-7 (0 and 7 are Sunday), SUN-SAT, MON#2 (the second Monday), L5 (the last Friday)"),
)


@lru_cache(maxsize=1024)
def _plan(expression: str, timezone: str) -> _Plan:
    try:
        cron = croniter(_checked(expression), _PROBE, second_at_beginning=True)
    except ValueError as error:
        raise InvalidUse(f"The cron expression {expression!r} cannot be read: {error}; {_EXAMPLE}.") from error
    plan = _Plan(expression, cron, _is_running(cron), _zone(timezone))
    plan.neighbour(_PROBE, forward=True)  # raises if it never fires
    return plan


def _checked(expression: str) -> str:
    if not expression.isascii() or len(expression) > _LONGEST:
        raise InvalidUse(
            f"A cron expression is plain ASCII of at most {_LONGEST} characters, not {expression[:50]!r}; {_EXAMPLE}."
        )
    fields = expression.split()
    if len(fields) == 1 and fields[0].startswith("@"):
        return _checked_alias(fields[0].lower())
    if len(fields) not in (5, 6):
        raise InvalidUse(
            f"The cron expression {expression!r} has {len(fields)} fields. It needs 5 (minute, hour, day of month,"
            f" month, day of week) or 6 (the second first); {_EXAMPLE}."
        )
    for position, text in enumerate(fields, start=len(_FIELDS) - len(fields)):
        _check(expression, position, text)
    return " ".join(fields)


def _checked_alias(alias: str) -> str:
    if alias not in _ALIASES:
        raise InvalidUse(f"The alias {alias!r} is unknown. Use one of {', '.join(_ALIASES)}, or fields; {_EXAMPLE}.")
    return alias


def _check(expression: str, position: int, text: str) -> None:
    name, low, high, allowed = _FIELDS[position]
    if reason := _why_wrong(position, text, range(low, high + 1)):
        raise InvalidUse(
            f"The {name} field {text!r} of the cron expression {expression!r} is wrong: {reason}. It takes {allowed},"
            f" *, and lists, ranges and steps of these; {_EXAMPLE}."
        )


def _why_wrong(position: int, text: str, allowed: range) -> str:
    if re.match(r"[hr]\b", text, re.IGNORECASE):
        return "H and R are left to chance, but every worker must find the same ticks"
    # croniter takes 9-9 for the whole cycle, cron for 9: an hourly job where a daily one was meant.
    if same := re.search(r"(?<!\w)(\w+)-\1(?!\w)", text, re.IGNORECASE):
        return f"the range {same[0]} ends where it begins, write {same[1]} or *"
    if outside := [n for n in re.findall(r"(?<![/#\d])\d+", text) if int(n) not in allowed]:
        return f"{outside[0]} is not within {allowed[0]}-{allowed[-1]}"
    try:
        croniter.expand(" ".join(text if i == position else "*" for i in range(len(_FIELDS))), second_at_beginning=True)
    except ValueError:
        return "a step must be at least 1" if re.search(r"/0+\b", text) else "it cannot be read"
    return ""


def _is_running(cron: croniter[float]) -> bool:
    fields = list(zip(cron.expressions, cron.expanded, strict=True))
    minute_hour_second = fields[:2] + fields[5:]  # croniter moves the second to the end
    return any(values == ["*"] or ("*" in text and len(values) > 1) for text, values in minute_hour_second)


def _zone(name: str) -> tzinfo:
    if name == "UTC":
        return UTC  # needs no time zone database
    try:
        if name.startswith(_HOST_ZONES):
            raise ValueError("depends on the machine")
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise InvalidUse(_unknown_zone(name[:50])) from error


def _unknown_zone(name: str) -> str:
    known = available_timezones().difference(_HOST_ZONES)
    if not known:
        return f"The time zone {name!r} cannot be read: there is no time zone database. Install the package tzdata."
    close = get_close_matches(name, known) or ["Europe/Berlin", "America/New_York"]
    return f"The time zone {name!r} is unknown. Use an IANA name, for example {' or '.join(map(repr, close))}."
