"""Runs: the list of them, and what can be done to them; the page of one is in ``runpage``."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.db.models.functions import Left
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from durable_workflows.admin import columns, display, exporting
from durable_workflows.admin.actions import Deed
from durable_workflows.admin.asking import QuestionPages
from durable_workflows.admin.belonging import (
    NameFilter,
    OriginFilter,
    QueueFilter,
    ScheduleFilter,
    VersionFilter,
    WorkerFilter,
)
from durable_workflows.admin.filters import RetryingFilter, StatusFilter, StuckFilter, WaitingLongerFilter
from durable_workflows.admin.runlist import RunList
from durable_workflows.admin.search import Search
from durable_workflows.admin.sight import may_see_payloads
from durable_workflows.admin.timespan import TimeFilter
from durable_workflows.admin.verb import Verb
from durable_workflows.admin.verbs import VERBS
from durable_workflows.models import WorkflowRun

HEAVY = ("inputs", "output", "error", "attributes", "note")


def _action(verb: Verb) -> Any:
    """A verb as Django's admin wants it."""

    def act(modeladmin: WorkflowRunAdmin, request: HttpRequest, queryset: QuerySet[WorkflowRun]) -> HttpResponse:
        return Deed.of(modeladmin, request, verb, modeladmin.listed(request).look).respond()

    act.__name__ = verb.action
    return admin.action(act, description=verb.choice)


@admin.action(description=exporting.DESCRIPTION)
def export_runs(modeladmin: WorkflowRunAdmin, request: HttpRequest, queryset: QuerySet[WorkflowRun]) -> HttpResponse | None:
    return exporting.export(modeladmin, request, queryset)


class WorkflowRunAdmin(QuestionPages):
    """
    Workflow runs, newest first.

    Sorting by anything but the time of creation would sort a table that may hold millions; how they are read, and how
    far, is told in ``looking``.
    """

    list_display = ("state", "workflow", "run_id", "now", "its_queue", "attempts", "created", "took")
    list_display_links = ("workflow",)
    list_filter = (
        StatusFilter, StuckFilter, RetryingFilter, WaitingLongerFilter, TimeFilter, NameFilter, QueueFilter,
        ScheduleFilter, WorkerFilter, VersionFilter, OriginFilter,
    )  # fmt: skip
    sortable_by = ("created",)
    ordering = ("-created_at",)
    search_fields = ("pk",)
    search_help_text = _(
        "An id or its beginning; or an attribute, such as tenant=acme, or user:alice, or several of these at once."
    )
    actions = (*(_action(verb) for verb in VERBS), export_runs)

    def get_queryset(self, request: HttpRequest) -> QuerySet[WorkflowRun]:
        runs: QuerySet[WorkflowRun] = super().get_queryset(request)
        runs = runs.defer(*HEAVY)
        # A note may quote what an exception says.
        return runs.annotate(note_head=Left("note", 200)) if may_see_payloads(request) else runs

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return RunList

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        found = super().get_changelist_instance(request)
        cast(Any, request).durable_list = found
        return found

    def listed(self, request: HttpRequest) -> RunList:
        """The list that this request is about, as it was read for it."""
        return cast(RunList, cast(Any, request).durable_list)

    def get_search_results(self, request: HttpRequest, queryset: QuerySet[Any], search_term: str) -> tuple[QuerySet[Any], bool]:
        search = Search.read(search_term)
        return (queryset.none() if search.refusal(may_see_payloads(request)) else search.filter(queryset)), False

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
        return columns.now(run)

    @admin.display(description=_("queue"))
    def its_queue(self, run: WorkflowRun) -> SafeString:
        return columns.labelled(_("queue"), run.queue)

    @admin.display(description=_("attempts"))
    def attempts(self, run: WorkflowRun) -> SafeString:
        return columns.labelled(_("attempts"), run.recovery_attempts + run.tries)

    @admin.display(description=_("created"), ordering="created_at")
    def created(self, run: WorkflowRun) -> SafeString:
        return columns.labelled(_("created"), columns.age(run))

    @admin.display(description=_("duration"), empty_value="")
    def took(self, run: WorkflowRun) -> SafeString | str:
        took = display.elapsed(run.started_at, run.completed_at)
        return columns.labelled(_("duration"), took) if took else ""

    # The actions.

    def get_actions(self, request: HttpRequest, action_location: Any = None) -> Any:
        """Those that the user may take. Django tells since 6.1 where they are to be shown."""
        where = {} if action_location is None else {"action_location": action_location}
        found = super().get_actions(request, **where)
        forbidden = {verb.action for verb in VERBS if not verb.allowed_to(request)}
        forbidden |= set() if exporting.may_export(request) else {exporting.ACTION}
        return {name: action for name, action in found.items() if name not in forbidden}
