"""Queues: what code declared, and what an operator overrode."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from durable_workflows.admin import display
from durable_workflows.admin.base import ReadOnlyAdmin
from durable_workflows.models import QueueState
from durable_workflows.states import RunState


class QueueAdmin(ReadOnlyAdmin):
    """Queues, to look at."""

    list_display = ("name", "active", "limits", "runs", "updated")
    ordering = ("name",)
    search_fields = ("name",)
    list_filter = ("paused",)

    @admin.display(description=_("active"), boolean=True, ordering="paused")
    def active(self, queue: QueueState) -> bool:
        return not queue.paused

    @admin.display(description=_("limits"))
    def limits(self, queue: QueueState) -> str:
        given = {**(queue.declared or {}), **(queue.overrides or {})}
        shown = ", ".join(f"{name} {_in_words(value)}" for name, value in sorted(given.items()) if value not in (None, False))
        count = len(queue.overrides or {})
        note = ngettext("%(count)d overridden", "%(count)d overridden", count) % {"count": count} if count else ""
        return " · ".join(part for part in (shown or gettext("none"), note) if part)

    @admin.display(description=_("updated"), ordering="updated_at")
    def updated(self, queue: QueueState) -> SafeString | None:
        return display.timestamp(queue.updated_at)

    @admin.display(description=_("runs"))
    def runs(self, queue: QueueState) -> SafeString:
        address = reverse("admin:durable_workflows_workflowrun_changelist", current_app=self.admin_site.name)
        waiting = urlencode({"queue": queue.name, "status__exact": RunState.ENQUEUED.value})
        return format_html(
            '<span class="dw-runs"><a href="{}?{}">{}</a> <a href="{}?{}">{}</a></span>',
            address, waiting, gettext("enqueued"), address, urlencode({"queue": queue.name}), gettext("all"),
        )  # fmt: skip


def _in_words(value: Any) -> str:
    """A limiter is a dict: "(limit 50, period 30)"."""
    if not isinstance(value, dict):
        return str(value)
    return f"({', '.join(f'{name} {part}' for name, part in sorted(value.items()))})"
