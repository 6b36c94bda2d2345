"""Runs: the list of them, and what can be done to them; the page of one is in ``runpage``."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.db.models.functions import Left
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from durable_workflows.admin import display
from durable_workflows.admin.actions import Deed
from durable_workflows.admin.filters import NameFilter, QueueFilter, StuckFilter, WaitingLongerFilter
from durable_workflows.admin.runpage import RunPages
from durable_workflows.admin.situation import Situation, situations
from durable_workflows.admin.verbs import CANCEL, RESUME
from durable_workflows.models import WorkflowRun

HEAVY = ("inputs", "output", "error", "attributes", "note")
LAST = chr(0x10FFFF)  # sorts after every character


class RunList(ChangeList):
    """The list knows what each of its runs waits for, by as many queries for one run as for all."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        runs = list(cast("QuerySet[WorkflowRun]", self.result_list))
        found = situations(runs)
        for run in runs:
            cast(Any, run).situation = found[run.pk]
        self.result_list = cast(Any, runs)


class WorkflowRunAdmin(RunPages):
    """
    Workflow runs, newest first.

    Sorting by anything but the time of creation, and searching in payloads, would scan a table that may hold millions.
    """

    list_display = ("state", "workflow", "run_id", "now", "queue", "attempts", "created", "took")
    list_display_links = ("workflow",)
    list_filter = (
        "status", StuckFilter, WaitingLongerFilter, NameFilter, QueueFilter, ("created_at", admin.DateFieldListFilter),
    )  # fmt: skip
    sortable_by = ("created",)
    ordering = ("-created_at",)
    search_fields = ("pk",)
    search_help_text = _("A run's id, or the beginning of one.")
    actions = ("cancel_runs", "resume_runs")

    def get_queryset(self, request: HttpRequest) -> QuerySet[WorkflowRun]:
        runs: QuerySet[WorkflowRun] = super().get_queryset(request)
        return runs.defer(*HEAVY).annotate(note_head=Left("note", 200))

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return RunList

    def get_search_results(self, request: HttpRequest, queryset: QuerySet[Any], search_term: str) -> tuple[QuerySet[Any], bool]:
        """By a range of the primary key: an index serves it, and upper and lower case differ, on every database."""
        if not search_term:
            return queryset, False
        return queryset.filter(pk__gte=search_term, pk__lt=search_term + LAST), False

    # The list's columns.

    @admin.display(description=_("status"))
    def state(self, run: WorkflowRun) -> SafeString:
        return display.pill(run.status)

    @admin.display(description=_("workflow"))
    def workflow(self, run: WorkflowRun) -> SafeString:
        return display.name_label(run.name)

    @admin.display(description=_("id"))
    def run_id(self, run: WorkflowRun) -> SafeString:
        return display.id_label(run.pk)

    @admin.display(description=_("now"))
    def now(self, run: WorkflowRun) -> SafeString:
        situation: Situation = cast(Any, run).situation
        return format_html('<span class="{}">{}</span>', "dw-alarm" if situation.alarming else "dw-now", situation.text)

    @admin.display(description=_("attempts"))
    def attempts(self, run: WorkflowRun) -> int:
        return run.recovery_attempts + run.tries

    @admin.display(description=_("created"), ordering="created_at")
    def created(self, run: WorkflowRun) -> SafeString | None:
        return display.timestamp(run.created_at)

    @admin.display(description=_("duration"), empty_value="")
    def took(self, run: WorkflowRun) -> str:
        return display.elapsed(run.started_at, run.completed_at)

    # The actions.

    @admin.action(description=_("Cancel selected %(verbose_name_plural)s"), permissions=["cancel"])
    def cancel_runs(self, request: HttpRequest, queryset: QuerySet[WorkflowRun]) -> HttpResponse:
        return Deed(admin=self, request=request, verb=CANCEL).respond(queryset)

    @admin.action(description=_("Resume selected %(verbose_name_plural)s"), permissions=["resume"])
    def resume_runs(self, request: HttpRequest, queryset: QuerySet[WorkflowRun]) -> HttpResponse:
        return Deed(admin=self, request=request, verb=RESUME).respond(queryset)

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        """Whether the user may cancel runs."""
        return self._may(request, CANCEL)

    def has_resume_permission(self, request: HttpRequest) -> bool:
        """Whether the user may resume runs."""
        return self._may(request, RESUME)
