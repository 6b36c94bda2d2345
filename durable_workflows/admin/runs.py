"""Runs: the list, and the page of one."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.db.models.functions import Left
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from durable_workflows.admin import display, page
from durable_workflows.admin.actions import Deed
from durable_workflows.admin.base import ReadOnlyAdmin
from durable_workflows.admin.filters import NameFilter, QueueFilter, StuckFilter, WaitingLongerFilter
from durable_workflows.admin.verbs import CANCEL, RESUME, VERBS, Verb
from durable_workflows.models import WorkflowRun
from durable_workflows.situation import Situation, situations

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


class WorkflowRunAdmin(ReadOnlyAdmin):
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

    def _may(self, request: HttpRequest, verb: Verb) -> bool:
        return bool(request.user.has_perm(f"durable_workflows.{verb.permission}_workflowrun"))

    # The page of one run.

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The run's page; nothing can be posted to it."""
        run = self.get_object(request, unquote(object_id))
        if request.method not in ("GET", "HEAD") or not self.has_view_permission(request, run):
            raise PermissionDenied
        if run is None:
            return self._not_there(request, unquote(object_id))
        context = {
            **self.admin_site.each_context(request),
            "title": display.split_name(run.name)[0],
            "opts": self.opts,
            "media": self.media,
            "preserved_filters": self.get_preserved_filters(request),
            "verbs": [verb for verb in VERBS if run.status in verb.applies_to and self._may(request, verb)],
            **page.of(run),
            **(extra_context or {}),
        }
        request.current_app = self.admin_site.name
        return TemplateResponse(request, "admin/durable_workflows/workflowrun/change_form.html", context)

    def _not_there(self, request: HttpRequest, workflow_id: str) -> HttpResponse:
        text = gettext("There is no workflow run with the id “%(id)s”. Perhaps it was deleted.")
        self.message_user(request, text % {"id": workflow_id}, messages.WARNING)
        return HttpResponseRedirect(reverse("admin:durable_workflows_workflowrun_changelist", current_app=self.admin_site.name))
