"""The pages of questions: GET shows one, POST answers it, in one transaction with the entries of the log."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, cast

from django.contrib import messages
from django.contrib.admin.models import LogEntry
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.backends.base.base import BaseDatabaseWrapper
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from durable_workflows.admin.forkform import ForkForm, RewindForm
from durable_workflows.admin.question import AboutRun, Answer, Question, SentBefore
from durable_workflows.admin.runpage import TEMPLATES, RunPages
from durable_workflows.admin.sendform import SendForm
from durable_workflows.admin.sight import may_see_payloads
from durable_workflows.admin.startform import StartForm, startable
from durable_workflows.exceptions import DurableError
from durable_workflows.models import WorkflowRun
from durable_workflows.models.transactions import in_write_transaction

ABOUT_RUNS: Sequence[type[AboutRun]] = (ForkForm, RewindForm, SendForm)
METHODS = ("GET", "HEAD", "POST")


class QuestionPages(RunPages):
    """Forks, rewinds, messages and starts; each asks for its own permission beside that to view runs."""

    def get_urls(self) -> list[URLPattern]:
        views = [
            path(f"<path:object_id>/{asked.view}/", self._guarded(partial(self.ask_view, asked=asked)),
                 name=f"{self._prefix}_{asked.view}")
            for asked in ABOUT_RUNS
        ]  # fmt: skip
        start = path("start/", self._guarded(self.start_view), name=f"{self._prefix}_start")
        return [start, *views, *super().get_urls()]

    def _guarded(self, view: Any) -> Any:
        return self.admin_site.admin_view(view)

    def ask_view(self, request: HttpRequest, object_id: str, asked: type[AboutRun]) -> HttpResponse:
        """A question about a run."""
        run: WorkflowRun | None = self.get_object(request, unquote(object_id))
        self._refuse_others(request, asked, run)
        if run is None:
            return self._not_there(request, unquote(object_id))
        data = request.POST if request.method == "POST" else None
        form = asked(data, run=run, payloads=may_see_payloads(request), asked=request.GET.dict())
        return self._ask(request, form, run)

    def start_view(self, request: HttpRequest) -> HttpResponse:
        """Which workflow, and then with what."""
        self._refuse_others(request, StartForm, None)
        workflows = startable()
        chosen = workflows.get(request.GET.get("workflow", ""))
        if chosen is None:
            return self._page(request, "start", title=StartForm.title, workflows=sorted(workflows), way_back=self._list())
        data = request.POST if request.method == "POST" else None
        return self._ask(request, StartForm(data, workflow=chosen, user=request.user))

    def _refuse_others(self, request: HttpRequest, asked: type[Question], run: WorkflowRun | None) -> None:
        may = request.user.has_perm(f"durable_workflows.{asked.permission}_workflowrun")
        if not (may and self.has_view_permission(request, run)):
            raise PermissionDenied

    def _ask(self, request: HttpRequest, form: Question, run: WorkflowRun | None = None) -> HttpResponse:
        if request.method not in METHODS:
            return HttpResponseNotAllowed(METHODS)
        if request.method == "POST" and form.is_valid():
            try:
                return self._answered(request, in_write_transaction(_carry_out, form, request.user.pk))
            except DurableError as error:
                form.add_error(None, str(error))
                if isinstance(error, SentBefore):
                    form.renew()
        back = self._address("change", run.pk) if run else self._list()
        return self._page(request, "question", title=form.title, form=form, run=run, way_back=back)

    def _answered(self, request: HttpRequest, answer: Answer) -> HttpResponse:
        self.message_user(request, answer.text, messages.WARNING if answer.already else messages.SUCCESS)
        return HttpResponseRedirect(self._address("change", answer.run_id))

    def _page(self, request: HttpRequest, template: str, **context: Any) -> HttpResponse:
        request.current_app = self.admin_site.name
        shared = {**self.admin_site.each_context(request), "opts": self.opts, "media": self.media}
        return TemplateResponse(request, f"{TEMPLATES}/{template}.html", {**shared, **context})

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """The list, with a way to start a workflow for whoever may."""
        may = request.user.has_perm("durable_workflows.start_workflowrun")
        start = reverse(f"admin:{self._prefix}_start", current_app=self.admin_site.name) if may else ""
        return super().changelist_view(request, {"start_url": start, **(extra_context or {})})


def _carry_out(connection: BaseDatabaseWrapper, form: Question, user_id: Any) -> Answer:
    """No deed without its entries in the log."""
    answer = form.answer()
    runs = WorkflowRun.objects.using(connection.alias).filter(pk__in=answer.logged).only("pk", "name", "status")
    for run in runs:
        flag, text = answer.logged[run.pk]
        LogEntry.objects.log_actions(user_id=user_id, queryset=cast(Any, [run]), action_flag=flag, change_message=text)
    return answer
