"""How a verb of ``verbs`` goes: the chosen runs, a question, the deed, the log and the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from django.contrib import messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.admin.utils import quote
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext, ngettext

from durable_workflows.admin import display
from durable_workflows.admin.base import ModelAdmin
from durable_workflows.admin.verbs import Verb
from durable_workflows.exceptions import DurableError
from durable_workflows.models import WorkflowRun
from durable_workflows.models.runs import Saga
from durable_workflows.models.transactions import in_write_transaction

# The confirmation sends each id back, and Django takes no more than 1000 fields of a form (DATA_UPLOAD_MAX_NUMBER_FIELDS).
AT_ONCE = 500
LISTED = 20
TO_THE_RUN = "run"  # where the run's own page wants to come back to


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """One request to do something to some runs."""

    admin: ModelAdmin
    request: HttpRequest
    verb: Verb

    def respond(self, queryset: QuerySet[Any]) -> HttpResponse:
        """The question, or, once it is answered, the deed and the way back."""
        chosen = list(queryset.only("pk", "name", "status")[: AT_ONCE + 1])
        runs = [run for run in chosen[:AT_ONCE] if run.status in self.verb.applies_to]
        left = len(chosen[:AT_ONCE]) - len(runs)
        if len(chosen) > AT_ONCE:
            self._say_that_it_is_too_many()
        if runs and "confirmed" not in self.request.POST:
            return self._ask(runs, left)
        if not chosen:
            self.admin.message_user(self.request, gettext("The selected runs are gone."), messages.WARNING)
        done = self._do([run.pk for run in runs]) if runs else []
        if done is not None:
            self._report(len(done), left + len(runs) - len(done))
        return HttpResponseRedirect(self._way_back([run.pk for run in chosen]))

    def _ask(self, runs: Sequence[WorkflowRun], left: int) -> HttpResponse:
        count = {"count": len(runs)}
        listed = [{"run": run, "pill": display.pill(run.status)} for run in runs[:LISTED]]
        context = {
            **self.admin.admin_site.each_context(self.request),
            "opts": self.admin.opts, "media": self.admin.media, "verb": self.verb, "title": self.verb.question % count,
            "listed": listed, "unlisted": len(runs) - len(listed), "ids": [run.pk for run in runs],
            "left_alone_note": self.verb.left_alone % {"count": left} if left else "", "checkbox": ACTION_CHECKBOX_NAME,
            "back": self._back(), "way_back": self._way_back([run.pk for run in runs]),
        }  # fmt: skip
        self.request.current_app = self.admin.admin_site.name
        return TemplateResponse(self.request, "admin/durable_workflows/workflowrun/confirm.html", context)

    def _do(self, ids: Sequence[str]) -> list[str] | None:
        """The ids of the runs that it was done to; None if it failed. No deed without its log entry."""
        with_option = bool(self.verb.option) and "option" in self.request.POST

        def deed_and_log(_connection: BaseDatabaseWrapper) -> list[str]:
            self.verb.call(ids, with_option)
            done = self._got_hold_of(ids)
            self._log(done, with_option)
            return done

        try:
            return in_write_transaction(deed_and_log)
        except DurableError as error:
            self.admin.message_user(self.request, str(error), messages.ERROR)
            return None

    def _got_hold_of(self, ids: Sequence[str]) -> list[str]:
        """A run may have come to its end between the question and the deed."""
        if not self.verb.arrives_in:
            return list(ids)
        # One that waited with a saga open is enqueued, to be undone.
        arrived = Q(status__in=self.verb.arrives_in) | Q(saga=Saga.CANCELLED)
        return list(WorkflowRun.objects.filter(arrived, pk__in=ids).values_list("pk", flat=True))

    def _log(self, ids: Sequence[str], with_option: bool) -> None:
        LogEntry.objects.log_actions(
            user_id=cast(Any, self.request.user.pk),  # nobody anonymous gets this far
            queryset=WorkflowRun.objects.filter(pk__in=ids).only("pk", "name"),
            action_flag=CHANGE,
            change_message=self.verb.logged_with_option if with_option else self.verb.logged,
        )

    def _report(self, done: int, left: int) -> None:
        if done:
            self.admin.message_user(self.request, self.verb.done % {"count": done}, messages.SUCCESS)
        if left:
            self.admin.message_user(self.request, self.verb.left_alone % {"count": left}, messages.WARNING)

    def _say_that_it_is_too_many(self) -> None:
        text = ngettext(
            "Only the first %(count)d of the selected runs is taken at once.",
            "Only the first %(count)d of the selected runs are taken at once.",
            AT_ONCE,
        )
        self.admin.message_user(self.request, text % {"count": AT_ONCE}, messages.WARNING)

    def _back(self) -> str:
        return self.request.POST.get("back") or f"?{self.request.GET.urlencode()}"

    def _way_back(self, ids: Sequence[str]) -> str:
        """To the run's page, or to the list as it was filtered; never to an address that the form could choose."""
        site = self.admin.admin_site.name
        if self._back() == TO_THE_RUN and len(ids) == 1:
            return reverse("admin:durable_workflows_workflowrun_change", args=[quote(ids[0])], current_app=site)
        filters = self._back() if self._back().startswith("?") else ""
        return reverse("admin:durable_workflows_workflowrun_changelist", current_app=site) + filters.rstrip("?")
