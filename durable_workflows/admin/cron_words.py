"""
A cron expression in words; of one that uses more than these can say, nothing is said rather than something inexact.

Read are numbers, names, lists, ranges, ``*`` and ``*/n`` in five fields, or six with the second first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from django.utils.dates import MONTHS, WEEKDAYS
from django.utils.translation import gettext as _

ALIASES = {
    "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
}  # fmt: skip
DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
MONTHS_OF_YEAR = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
DAY_NAMES = {name: number for number, name in enumerate(DAYS)}
MONTH_NAMES = {name: number for number, name in enumerate(MONTHS_OF_YEAR, start=1)}
MOST_TIMES = 6  # that are told one by one


class Unsaid(ValueError):
    """There are no words for it here."""


@dataclass(frozen=True)
class Field:
    """
    One field, read.

    :param text: as it is written.
    :param first: the smallest value that it can have; ``last`` the greatest.
    """

    text: str
    first: int
    last: int
    names: dict[str, int] | None = None

    @property
    def is_any(self) -> bool:
        return self.text in ("*", "?")

    @cached_property
    def step(self) -> int:
        """The n of ``*/n``, where it goes into the whole; else 0."""
        star, _slash, given = self.text.partition("/")
        n = int(given) if star == "*" and given.isascii() and given.isdecimal() else 0
        return n if n > 1 and (self.last - self.first + 1) % n == 0 else 0

    @cached_property
    def values(self) -> list[int]:
        """All that it names, in order."""
        return sorted({value for part in self.text.split(",") for value in self._part(part)})

    def _part(self, part: str) -> Sequence[int]:
        span, slash, given = part.partition("/")
        step = self._number(given) if slash else 1
        low, dash, high = span.partition("-")
        if span == "*":
            start, end = self.first, self.last
        else:
            start = self._number(low)
            end = self._number(high) if dash else (self.last if slash else start)
        if step < 1 or not self.first <= start <= end <= self.last or (dash and start == end):
            raise Unsaid(part)  # a span of one value is to croniter the whole round
        return range(start, end + 1, step)

    def _number(self, text: str) -> int:
        found = (self.names or {}).get(text.upper())
        if found is None and not (text.isascii() and text.isdecimal()):
            raise Unsaid(text)
        return int(text) if found is None else found


def words(expression: str) -> str:
    """What an expression says, such as "at 09:00, on Monday to Friday"; "" if there are no words for it here."""
    parts = ALIASES.get(expression.strip().lower(), expression).split()
    if len(parts) == 6 and parts[0] == "0":
        parts = parts[1:]
    if len(parts) != 5:
        return ""
    minute, hour, day, month, weekday = parts
    try:
        times = _times(Field(minute, 0, 59), Field(hour, 0, 23))
        days = _days(Field(day, 1, 31), Field(weekday, 0, 7, DAY_NAMES))
        months = _months(Field(month, 1, 12, MONTH_NAMES))
    except Unsaid:
        return ""
    daily = "" if days or hour == "*" or "/" in hour else _("every day")
    return ", ".join(filter(None, [times, daily, days, months]))


def _times(minute: Field, hour: Field) -> str:
    if hour.is_any or hour.step:
        return _within_hours(minute, hour)
    hours, minutes = hour.values, [] if minute.is_any else minute.values
    if minutes and len(hours) * len(minutes) <= MOST_TIMES:
        return _("at %(times)s") % {"times": _listed([f"{h:02}:{m:02}" for h in hours for m in minutes])}
    if hours != list(range(hours[0], hours[-1] + 1)):
        raise Unsaid(hour.text)
    span = {"first": f"{hours[0]:02}:00", "last": f"{hours[-1]:02}:59", "minutes": _minutes(minute)}
    return _("%(minutes)s from %(first)s to %(last)s") % span


def _within_hours(minute: Field, hour: Field) -> str:
    if hour.is_any:
        return _minutes(minute)
    if minute.is_any or minute.step or len(minute.values) != 1:
        raise Unsaid(minute.text)
    return _("every %(hours)d hours, at minute %(minute)d") % {"hours": hour.step, "minute": minute.values[0]}


def _minutes(minute: Field) -> str:
    if minute.is_any:
        return _("every minute")
    if minute.step:
        return _("every %(number)d minutes") % {"number": minute.step}
    if minute.values == [0]:
        return _("every hour")
    return _("every hour at minute %(minutes)s") % {"minutes": _listed([str(value) for value in minute.values])}


def _days(day: Field, weekday: Field) -> str:
    if day.is_any and weekday.is_any:
        return ""
    if "*" in day.text + weekday.text and not (day.is_any or weekday.is_any):
        raise Unsaid(day.text)  # such as */2: whether both must fit depends on who reads it
    parts = []
    if not day.is_any:
        parts.append(_("on day %(days)s of the month") % {"days": _spans(day.values, {n: str(n) for n in range(1, 32)})})
    if not weekday.is_any:
        # Python's weeks begin on Monday, cron's on Sunday, which is 0 and 7.
        numbers = sorted({(value - 1) % 7 for value in weekday.values})
        parts.append(_("on %(days)s") % {"days": _spans(numbers, WEEKDAYS)})
    return _(" and ").join(parts)


def _months(month: Field) -> str:
    return "" if month.is_any else _("in %(months)s") % {"months": _spans(month.values, MONTHS)}


def _spans(numbers: Sequence[int], names: object) -> str:
    """Numbers by their names, three or more in a row as a span."""
    said: dict[int, object] = dict(names)  # type: ignore[call-overload]  # Django's own are lazy translations
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    span = _("%(first)s to %(last)s")
    parts = [
        part
        for run in runs
        for part in ([span % {"first": said[run[0]], "last": said[run[-1]]}] if len(run) > 2 else [str(said[n]) for n in run])
    ]
    return _listed(parts)


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else _("%(some)s and %(last)s") % {"some": ", ".join(parts[:-1]), "last": parts[-1]}
