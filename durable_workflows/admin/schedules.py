"""Schedules: what is started when."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from durable_workflows.admin import display
from durable_workflows.admin.base import ReadOnlyAdmin
from durable_workflows.models import Schedule, ticking


class ScheduleAdmin(ReadOnlyAdmin):
    """Schedules, to look at."""

    list_display = ("name", "active", "workflow", "rule", "next_tick", "last_tick", "runs")
    list_filter = ("paused", "in_code")
    ordering = ("name",)
    search_fields = ("name", "workflow_name")
    exclude = ("context",)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return [*super().get_readonly_fields(request, obj), "declared", "shown_context"]

    @admin.display(description=_("active"), boolean=True, ordering="paused")
    def active(self, schedule: Schedule) -> bool:
        return not schedule.paused and self.declared(schedule) is not False

    @admin.display(description=_("declared in the code"), boolean=True)
    def declared(self, schedule: Schedule) -> bool | None:
        """None for one that no code made; as far as this process's own code tells."""
        return schedule.name in ticking.declared() if schedule.in_code else None

    @admin.display(description=_("workflow"), ordering="workflow_name")
    def workflow(self, schedule: Schedule) -> SafeString:
        return display.name_label(schedule.workflow_name)

    @admin.display(description=_("when"))
    def rule(self, schedule: Schedule) -> SafeString:
        every = gettext("every %(number)g s") % {"number": schedule.interval_seconds or 0}
        return format_html('<code class="dw-cron">{}</code> {}', schedule.cron or every, schedule.timezone)

    @admin.display(description=_("next"), ordering="next_fire_at")
    def next_tick(self, schedule: Schedule) -> SafeString | None:
        return display.timestamp(schedule.next_fire_at)

    @admin.display(description=_("last"), ordering="last_fire_at")
    def last_tick(self, schedule: Schedule) -> SafeString | None:
        return display.timestamp(schedule.last_fire_at)

    @admin.display(description=_("runs"))
    def runs(self, schedule: Schedule) -> SafeString:
        address = reverse("admin:durable_workflows_workflowrun_changelist", current_app=self.admin_site.name)
        query = urlencode({"schedule_name__exact": schedule.name})
        return format_html('<a href="{}?{}">{}</a>', address, query, gettext("all"))

    @admin.display(description=_("context"))
    def shown_context(self, schedule: Schedule) -> SafeString | None:
        if schedule.context is None:
            return None
        shown = display.payload(schedule.context[: display.CLIP], len(schedule.context)) or display.Clipped("")
        return format_html('<pre class="dw-json">{}</pre>', shown.text + ("…" if shown.more else ""))
