"""Workers: who is alive, and who fell silent."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, cast

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from durable_workflows.admin import display
from durable_workflows.admin.base import ReadOnlyAdmin
from durable_workflows.models import Worker
from durable_workflows.models.dialects import DatabaseNow


class WorkerAdmin(ReadOnlyAdmin):
    """Workers, to look at. Their heartbeats are judged by the database's clock, as their leases are."""

    list_display = ("worker", "state", "process", "threads", "serves", "app_version", "started", "heartbeat")
    list_filter = ("direct",)
    ordering = ("-started_at",)
    search_fields = ("id", "hostname")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Worker]:
        workers: QuerySet[Worker] = super().get_queryset(request)
        return workers.annotate(database_now=DatabaseNow())

    @admin.display(description=_("worker"))
    def worker(self, worker: Worker) -> SafeString:
        return display.id_label(worker.pk)

    @admin.display(description=_("state"))
    def state(self, worker: Worker) -> SafeString:
        kind, label = self._state(worker)
        return format_html('<span class="dw-pill dw-{}">{}</span>', kind, label)

    def _state(self, worker: Worker) -> tuple[str, str]:
        if worker.lost_at:
            return "error", gettext("lost")
        if worker.stopped_at:
            return "cancelled", gettext("stopped")
        silent = cast(Any, worker).database_now - worker.heartbeat_at
        if silent > timedelta(seconds=worker.lease_seconds):
            return "waiting", gettext("silent")
        return "success", gettext("alive")

    @admin.display(description=_("process"))
    def process(self, worker: Worker) -> str:
        return f"{worker.hostname}:{worker.pid}"

    @admin.display(description=_("serves"))
    def serves(self, worker: Worker) -> str:
        if worker.direct:
            return gettext("direct calls only")
        return ", ".join(map(str, worker.queues)) if worker.queues else gettext("all queues")

    @admin.display(description=_("started"), ordering="started_at")
    def started(self, worker: Worker) -> SafeString | None:
        return display.timestamp(worker.started_at)

    @admin.display(description=_("heartbeat"), ordering="heartbeat_at")
    def heartbeat(self, worker: Worker) -> SafeString:
        silent = cast(Any, worker).database_now - worker.heartbeat_at
        return format_html(
            '<span title="{}">{}</span>',
            display.moment(worker.heartbeat_at), gettext("%(time)s ago") % {"time": display.duration(silent)},
        )  # fmt: skip
