"""Moments, spans and names as people read them, on a page or in a terminal."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.utils import timezone
from django.utils.translation import gettext as _

from durable_workflows import clock
from durable_workflows.conf import uses_time_zones


def moment(value: datetime | None) -> str:
    """A moment in the project's time zone, to the second, in the one notation that nobody misreads."""
    return "" if value is None else f"{local(value):%Y-%m-%d %H:%M:%S}"


def local(value: datetime) -> datetime:
    """In the project's time zone; as it is in a project without time zones."""
    return value.astimezone(timezone.get_current_timezone()) if timezone.is_aware(value) else value


def minute(value: datetime | None) -> str:
    """The same to the minute, for sentences."""
    return moment(value)[:-3]


def elapsed(start: datetime | None, end: datetime | None) -> str:
    """From ``start`` to ``end``, or until now if it has not ended; "" if it has not begun."""
    if start is None:
        return ""
    return duration(end - start) if end else _("%(time)s so far") % {"time": duration(present() - start)}


def present() -> datetime:
    """The present, naive in a project without time zones, as its rows are."""
    return clock.now() if uses_time_zones() else timezone.make_naive(clock.now())


def duration(span: timedelta) -> str:
    """A span in its two largest units."""
    seconds = max(0.0, span.total_seconds())
    if seconds < 1:
        return _("%(number)d ms") % {"number": round(seconds * 1000)}
    if seconds < 60:
        return _("%(number).1f s") % {"number": seconds}
    minutes, hours, days = int(seconds // 60), int(seconds // 3600), int(seconds // 86_400)
    if not hours:
        return _("%(minutes)d min %(seconds)d s") % {"minutes": minutes, "seconds": seconds % 60}
    if not days:
        return _("%(hours)d h %(minutes)d min") % {"hours": hours, "minutes": minutes % 60}
    return _("%(days)d d %(hours)d h") % {"days": days, "hours": hours % 24}


def about(span: timedelta) -> str:
    """A span in its largest unit."""
    seconds = max(0, int(span.total_seconds()))
    for unit, words in ((86_400, _("%(number)d d")), (3600, _("%(number)d h")), (60, _("%(number)d min"))):
        if seconds >= unit:
            return words % {"number": seconds // unit}
    return _("%(number)d s") % {"number": seconds}


def number(value: int, more: bool = False) -> str:
    """A number for people; with a plus sign if there are more than were counted."""
    return f"{value:,}+" if more else f"{value:,}"


def split_name(name: str) -> tuple[str, str]:
    """A qualified name as (the last part, what it is in)."""
    within, __, last = name.rpartition(".")
    return (last, within) if last else (name, "")


def short_id(workflow_id: str) -> str:
    """An id for a sentence; its end, because ids made in one moment begin alike."""
    return workflow_id if len(workflow_id) <= 20 else f"{workflow_id[:8]}…{workflow_id[-8:]}"
