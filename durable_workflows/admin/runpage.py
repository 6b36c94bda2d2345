"""The page of one run: the page itself, what of it is fetched again while it is open, and the whole of a clipped value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.contrib.admin.utils import quote, unquote
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.cache import get_conditional_response
from django.utils.timezone import get_current_timezone_name
from django.utils.translation import get_language, gettext

from durable_workflows.admin import display, exporting, live, page, whole
from durable_workflows.admin.base import LIVE, ReadOnlyAdmin
from durable_workflows.admin.history import History, place_of
from durable_workflows.admin.sight import Sight, may_see_payloads
from durable_workflows.admin.stepmenu import RUN_ACTIONS, STEP_ACTIONS, Item, Menu, StepAction, menu
from durable_workflows.admin.timeline import MOST_OPEN, Where
from durable_workflows.admin.verb import Verb
from durable_workflows.admin.verbs import VERBS
from durable_workflows.closely import situation
from durable_workflows.models import WorkflowRun
from durable_workflows.redaction import secret_positions
from durable_workflows.situation import Situation

TEMPLATES = "admin/durable_workflows/workflowrun"


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """Somebody looks at a run: what both the page and its stamp depend on."""

    request: HttpRequest
    run: WorkflowRun
    opened: Sequence[WorkflowRun]
    situation: Situation
    payloads: bool
    verbs: Sequence[Verb]
    links: Sequence[Item]
    may_export: bool


class RunPages(ReadOnlyAdmin):
    """Nothing can be posted to these pages; all ask for the permission to view runs."""

    class Media:
        css = {"all": ["durable_workflows/run.css"]}
        js = [LIVE]

    def get_urls(self) -> list[URLPattern]:
        """Before Django's own, the last of which takes any address."""
        views = [
            path("<path:object_id>/live/", self.admin_site.admin_view(self.live_view), name=f"{self._prefix}_live"),
            path(
                "<path:object_id>/value/<str:of>/<int:row>/<str:column>/",
                self.admin_site.admin_view(self.value_view),
                name=f"{self._prefix}_value",
            ),
        ]
        return [*views, *super().get_urls()]

    @property
    def _prefix(self) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}"

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The run's page."""
        run = self._seen(request, object_id)
        if run is None:
            return self._not_there(request, unquote(object_id))
        visit = self._visit(request, run)
        context = {
            **self.admin_site.each_context(request),
            "media": self.media,
            "preserved_filters": self.get_preserved_filters(request),
            "live_url": f"{self._address('live', run.pk)}?{request.GET.urlencode()}".rstrip("?"),
            "etag": self._etag(visit),  # before the rows are read: what comes meanwhile is fetched the next time
            **self._body(visit),
            **(extra_context or {}),
        }
        request.current_app = self.admin_site.name
        return TemplateResponse(request, f"{TEMPLATES}/change_form.html", context)

    def live_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """What the page shows by now; 304 if that is what the visitor has."""
        run = self._seen(request, object_id)
        if run is None:
            raise Http404
        visit = self._visit(request, run)
        etag = self._etag(visit)
        if unchanged := get_conditional_response(request, etag=etag):
            unchanged.headers["ETag"] = etag
            return unchanged
        request.current_app = self.admin_site.name
        return TemplateResponse(request, f"{TEMPLATES}/includes/body.html", self._body(visit), headers={"ETag": etag})

    def value_view(self, request: HttpRequest, object_id: str, of: str, row: int, column: str) -> HttpResponse:
        """The whole of a value."""
        run = self._seen(request, object_id)
        if not may_see_payloads(request):
            raise PermissionDenied
        if run is None:
            raise Http404
        return whole.response(run, of, row, column)

    # What they share.

    def _seen(self, request: HttpRequest, object_id: str) -> WorkflowRun | None:
        run: WorkflowRun | None = self.get_object(request, unquote(object_id))
        if request.method not in ("GET", "HEAD") or not self.has_view_permission(request, run):
            raise PermissionDenied
        return run

    def _visit(self, request: HttpRequest, run: WorkflowRun) -> Visit:
        return Visit(
            request=request, run=run, opened=self._opened(request), situation=situation(run),
            payloads=may_see_payloads(request), verbs=self._verbs(request, run), links=self._links(request, run),
            may_export=exporting.may_export(request),
        )  # fmt: skip

    def _opened(self, request: HttpRequest) -> list[WorkflowRun]:
        """The runs whose lanes the visitor wants to see in the timeline."""
        ids = [run_id for run_id in request.GET.getlist("open") if "\0" not in run_id][:MOST_OPEN]
        runs = self.get_queryset(request).filter(pk__in=ids) if ids else []
        return [run for run in runs if self.has_view_permission(request, run)]

    def _verbs(self, request: HttpRequest, run: WorkflowRun) -> list[Verb]:
        return [verb for verb in VERBS if run.status in verb.applies_to and self._may(request, verb)]

    def _links(self, request: HttpRequest, run: WorkflowRun) -> list[Item]:
        fitting = [each for each in RUN_ACTIONS if run.status in each.applies_to and self._may(request, each)]
        return [Item(each.label, self._address(each.view, run.pk)) for each in fitting]

    def _etag(self, visit: Visit) -> str:
        request = visit.request
        seen_by = [
            request.user.pk, visit.payloads, [verb.action for verb in visit.verbs], [link.url for link in visit.links],
            visit.may_export, visit.situation,
            get_language(), get_current_timezone_name(), request.GET.urlencode(),
        ]  # fmt: skip
        return live.etag(visit.run, [child.pk for child in visit.opened], seen_by)

    def _body(self, visit: Visit) -> dict[str, Any]:
        run, after = visit.run, visit.request.GET.get("step_after", "")
        values = f"{self._address('live', run.pk).removesuffix('live/')}value/"
        sight = Sight(payloads=visit.payloads, whole=values, positions=secret_positions(run.name))
        where = Where(page_of=lambda run_id: self._address("change", run_id), after=after)
        return {
            "title": display.split_name(run.name)[0],
            "opts": self.opts,
            "verbs": visit.verbs,
            "links": visit.links,
            "may_export": visit.may_export,
            "situation": visit.situation,
            **page.of(History(run, sight, place_of(after), self._menu(visit)), visit.opened, where),
        }

    def _menu(self, visit: Visit) -> Menu:
        run = visit.run
        fitting = [action for action in STEP_ACTIONS if run.status in action.applies_to and self._may(visit.request, action)]
        return menu(fitting, lambda view: self._address(view, run.pk))

    def _may(self, request: HttpRequest, verb: Verb | StepAction) -> bool:
        return bool(request.user.has_perm(f"durable_workflows.{verb.permission}_workflowrun"))

    def _address(self, view: str, run_id: str) -> str:
        return reverse(f"admin:{self._prefix}_{view}", args=[quote(run_id)], current_app=self.admin_site.name)

    def _not_there(self, request: HttpRequest, workflow_id: str) -> HttpResponse:
        text = gettext("There is no workflow run with the id “%(id)s”. Perhaps it was deleted.")
        self.message_user(request, text % {"id": workflow_id}, messages.WARNING)
        return HttpResponseRedirect(self._list())

    def _list(self) -> str:
        return reverse(f"admin:{self._prefix}_changelist", current_app=self.admin_site.name)
