"""What a schedule has done and will do: its rule in words, its next fires in its zone, and how its last runs went."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

from django.contrib import admin
from django.contrib.admin.utils import quote
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from durable_workflows.admin import display
from durable_workflows.admin.base import BaseAdmin
from durable_workflows.admin.cron_words import words
from durable_workflows.exceptions import InvalidUse
from durable_workflows.models import Schedule, WorkflowRun, dialects, planning, reading

FIRES, RUNS = 5, 10


class ScheduleFigures(BaseAdmin):
    """The fields of a schedule's page that say what goes on."""

    @admin.display(description=_("in words"))
    def in_words(self, schedule: Schedule) -> str:
        """An interval and a simple expression; a dash for one that there are no words for."""
        if schedule.cron is None:
            return gettext("every %(number)g s") % {"number": schedule.interval_seconds or 0}
        return words(schedule.cron) or "–"

    @admin.display(description=_("next fires"))
    def fires(self, schedule: Schedule) -> SafeString | str:
        """By the clock of its zone, and if that is another one by the project's."""
        try:
            zone = ZoneInfo(schedule.timezone)
            found = list(islice(self._ticks(schedule), FIRES))
        except (InvalidUse, ValueError, KeyError, OSError) as error:  # a row that was edited to nonsense
            return format_html('<span class="dw-alarm">{}</span>', str(error))
        if not found:
            return gettext("none any more")
        lines = format_html_join("", "<li>{}</li>", ((_told(tick, zone),) for tick in found))
        note = gettext("It is paused: these would be the next ones.") if schedule.paused else ""
        return format_html('<ul class="dw-limits">{}</ul>{}', lines, note)

    def _ticks(self, schedule: Schedule) -> Iterator[datetime]:
        """Those that are to come; of one that waits to be fired, from that one on."""
        timetable = planning.timetable_of(schedule)
        waits = schedule.next_fire_at is not None and not schedule.paused
        tick = schedule.tick if waits else timetable.first_after(reading.database_now(dialects.connection()))
        while tick is not None:
            yield timetable.due(tick)
            tick = timetable.first_after(tick)

    @admin.display(description=_("last runs"))
    def last_runs(self, schedule: Schedule) -> SafeString | str:
        """The unfinished ones, and those that ended last; by the index of a schedule's runs."""
        runs = WorkflowRun.objects.using(dialects.connection().alias).filter(schedule_name=schedule.name)
        columns = ("pk", "status", "created_at", "started_at", "completed_at")
        unfinished = runs.filter(completed_at__isnull=True).only(*columns)[:RUNS]
        ended = runs.filter(completed_at__isnull=False).only(*columns).order_by("-completed_at")[:RUNS]
        rows = [self._told(run) for run in [*unfinished, *ended][:RUNS]]
        return render_to_string("admin/durable_workflows/schedule/runs.html", {"rows": rows}) if rows else gettext("none yet")

    def _told(self, run: WorkflowRun) -> dict[str, Any]:
        page = "admin:durable_workflows_workflowrun_change"
        return {
            "pill": display.pill(run.status), "created": display.timestamp(run.created_at), "id": run.pk,
            "took": display.elapsed(run.started_at, run.completed_at),
            "address": reverse(page, args=[quote(run.pk)], current_app=self.admin_site.name),
        }  # fmt: skip


def _told(moment: datetime, zone: ZoneInfo) -> SafeString:
    there = moment.astimezone(zone)
    text = f"{there:%a} {there:%Y-%m-%d %H:%M:%S} {there:%Z}"
    here = display.local(moment)
    other = "" if here.utcoffset() == there.utcoffset() else gettext("here %(time)s") % {"time": display.moment(moment)}
    return format_html('<time datetime="{}">{}</time> <span class="dw-more">{}</span>', moment.isoformat(), text, other)
