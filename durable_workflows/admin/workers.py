"""Workers: who is alive, what each executes, and who fell silent. One that is not wanted any more is drained."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, cast

from django.contrib import admin
from django.contrib.admin.utils import quote
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from durable_workflows.admin import display
from durable_workflows.admin.base import ReadOnlyAdmin
from durable_workflows.admin.draining import Drain
from durable_workflows.admin.sight import may_see_runs
from durable_workflows.models import Worker
from durable_workflows.models.crew import Executed, executed_by
from durable_workflows.models.dialects import DatabaseNow, connection

SHOWN, ON_PAGE = 2, 100  # runs of a worker


class WorkerList(ChangeList):
    """The list knows what each of its workers executes."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        workers = list(cast("QuerySet[Worker]", self.result_list))
        found, _all = executed_by(connection(), [worker.pk for worker in workers])
        for worker in workers:
            cast(Any, worker).executed = found[worker.pk]
        self.result_list = cast(Any, workers)


class WorkerAdmin(ReadOnlyAdmin):
    """Workers, to look at and to drain. Their heartbeats are judged by the database's clock, as their leases are."""

    list_display = ("worker", "state", "heartbeat", "executes", "process", "serves", "app_version", "started")
    list_filter = ("direct",)
    ordering = ("-started_at",)
    search_fields = ("id", "hostname")
    fields = (
        "worker", "state", "all_executed", "process", "threads", "serves", "app_version", "known", "started", "heartbeat",
        "lease_seconds", "drain_requested", "stopped", "lost",
    )  # fmt: skip
    readonly_fields = (*fields, "number_executed")
    actions = ("drain_workers",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Worker]:
        workers: QuerySet[Worker] = super().get_queryset(request)
        return workers.annotate(database_now=DatabaseNow())

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return WorkerList

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        return _numbers_for_the_blind(request, super().get_list_display(request))

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return _numbers_for_the_blind(request, super().get_fields(request, obj))

    # What is shown.

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
        if self._silence(worker) > timedelta(seconds=worker.lease_seconds):
            return "waiting", gettext("silent")
        if worker.drain_requested_at:
            return "running", gettext("draining")
        return "success", gettext("alive")

    def _silence(self, worker: Any) -> timedelta:
        return cast(timedelta, worker.database_now - worker.heartbeat_at)

    @admin.display(description=_("runs now"))
    def executes(self, worker: Worker) -> SafeString | str:
        """How many, and those that it has been at for the longest."""
        runs: Sequence[Executed] = cast(Any, worker).executed
        return render_to_string(
            "admin/durable_workflows/worker/executes.html",
            {
                "number": len(runs), "threads": None if worker.direct else worker.threads,
                "runs": [self._told(run) for run in runs[:SHOWN]], "more": max(0, len(runs) - SHOWN),
            },
        )  # fmt: skip

    @admin.display(description=_("runs now"))
    def number_executed(self, worker: Worker) -> int:
        """For those who may not see runs."""
        known: Sequence[Executed] | None = getattr(worker, "executed", None)  # of a list
        return len(executed_by(connection(), [worker.pk])[0][worker.pk] if known is None else known)

    @admin.display(description=_("runs now"))
    def all_executed(self, worker: Worker) -> SafeString | str:
        found, _all = executed_by(connection(), [worker.pk])
        runs = found[worker.pk]
        if not runs:
            return "–"
        context = {"runs": [self._told(run) for run in runs[:ON_PAGE]], "more": max(0, len(runs) - ON_PAGE)}
        return render_to_string("admin/durable_workflows/worker/executed.html", context)

    def _told(self, run: Executed) -> dict[str, Any]:
        page = "admin:durable_workflows_workflowrun_change"
        return {
            "address": reverse(page, args=[quote(run.id)], current_app=self.admin_site.name), "id": run.id,
            "name": display.split_name(run.name)[0], "label": display.name_label(run.name), "pill": display.pill(run.status),
            "queue": run.queue, "for": display.duration(display.present() - run.claimed_at) if run.claimed_at else "",
        }  # fmt: skip

    @admin.display(description=_("process"))
    def process(self, worker: Worker) -> SafeString:
        return format_html("{}:{}", display.breakable(worker.hostname), worker.pid)

    @admin.display(description=_("serves"))
    def serves(self, worker: Worker) -> str:
        if worker.direct:
            return gettext("direct calls only")
        return ", ".join(map(str, worker.queues)) if worker.queues else gettext("all queues")

    @admin.display(description=_("knows"))
    def known(self, worker: Worker) -> str:
        return ", ".join(map(str, worker.names or ())) or "–"

    @admin.display(description=_("started"), ordering="started_at")
    def started(self, worker: Worker) -> SafeString | None:
        return display.timestamp(worker.started_at)

    @admin.display(description=_("asked to end"))
    def drain_requested(self, worker: Worker) -> SafeString | str:
        return display.timestamp(worker.drain_requested_at) or "–"

    @admin.display(description=_("stopped"))
    def stopped(self, worker: Worker) -> SafeString | str:
        return display.timestamp(worker.stopped_at) or "–"

    @admin.display(description=_("declared lost"))
    def lost(self, worker: Worker) -> SafeString | str:
        return display.timestamp(worker.lost_at) or "–"

    @admin.display(description=_("heartbeat"), ordering="heartbeat_at")
    def heartbeat(self, worker: Worker) -> SafeString:
        return format_html(
            '<span title="{}">{}</span>',
            display.moment(worker.heartbeat_at), gettext("%(time)s ago") % {"time": display.duration(self._silence(worker))},
        )  # fmt: skip

    # Draining.

    @admin.action(description=_("Drain selected %(verbose_name_plural)s…"), permissions=["drain"])
    def drain_workers(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse:
        return Drain(self, request).respond(queryset)

    def has_drain_permission(self, request: HttpRequest) -> bool:
        """Whether the user may ask workers to end."""
        return bool(request.user.has_perm("durable_workflows.drain_worker"))

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The worker's page, with a button for whoever may drain it."""
        shown = {"may_drain": self.has_drain_permission(request), **(extra_context or {})}
        return super().change_view(request, object_id, form_url, shown)


def _numbers_for_the_blind(request: HttpRequest, columns: Sequence[Any]) -> list[Any]:
    """Who may not see runs is told how many there are, and not which."""
    if may_see_runs(request):
        return [*columns]
    return ["number_executed" if column in ("executes", "all_executed") else column for column in columns]
