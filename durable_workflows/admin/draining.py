"""Draining workers from the admin: the question, the deed with its entries in the log, and the way back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from django.contrib import messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.admin.utils import quote
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext, ngettext

from durable_workflows.admin.base import ModelAdmin
from durable_workflows.models import Worker, presence
from durable_workflows.models.transactions import in_write_transaction

TO_THE_WORKER = "worker"  # where the worker's own page wants to come back to
AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Drain:
    """One request to drain some workers."""

    admin: ModelAdmin
    request: HttpRequest

    def respond(self, queryset: QuerySet[Any]) -> HttpResponse:
        """The question, or, once it is answered, the deed and the way back."""
        chosen = list(queryset[:AT_ONCE])
        drainable = [worker for worker in chosen if is_drainable(worker)]
        if drainable and "confirmed" not in self.request.POST:
            return self._ask(drainable, len(chosen) - len(drainable))
        done = in_write_transaction(self._do, [worker.pk for worker in drainable]) if drainable else []
        self._report(len(done), len(chosen) - len(done))
        return HttpResponseRedirect(self._way_back(chosen))

    def _ask(self, workers: Sequence[Worker], left: int) -> HttpResponse:
        title = ngettext("Drain this worker?", "Drain these %(count)d workers?", len(workers)) % {"count": len(workers)}
        context = {
            **self.admin.admin_site.each_context(self.request),
            "opts": self.admin.opts, "media": self.admin.media, "title": title, "workers": workers,
            "left": left_alone(left) if left else "", "checkbox": ACTION_CHECKBOX_NAME,
            "back": self.request.POST.get("back", ""), "way_back": self._way_back(workers),
        }  # fmt: skip
        self.request.current_app = self.admin.admin_site.name
        return TemplateResponse(self.request, "admin/durable_workflows/worker/drain.html", context)

    def _do(self, connection: BaseDatabaseWrapper, ids: Sequence[str]) -> list[str]:
        """No deed without its entry in the log."""
        asked = presence.ask_to_drain(connection, ids)
        LogEntry.objects.log_actions(
            user_id=cast(Any, self.request.user.pk),  # nobody anonymous gets this far
            queryset=Worker.objects.filter(pk__in=asked).only("pk"),
            action_flag=CHANGE,
            change_message="Asked to claim no more, and to end.",
        )
        return asked

    def _report(self, done: int, left: int) -> None:
        if done:
            text = ngettext(
                "%(count)d worker is asked to end, and hears of it with its next heartbeat.",
                "%(count)d workers are asked to end, and hear of it with their next heartbeats.",
                done,
            )
            self.admin.message_user(self.request, text % {"count": done}, messages.SUCCESS)
        if left:
            self.admin.message_user(self.request, left_alone(left), messages.WARNING)
        if not done and not left:
            self.admin.message_user(self.request, gettext("The selected workers are gone."), messages.WARNING)

    def _way_back(self, workers: Sequence[Worker]) -> str:
        site = self.admin.admin_site.name
        if self.request.POST.get("back") == TO_THE_WORKER and len(workers) == 1:
            return reverse("admin:durable_workflows_worker_change", args=[quote(workers[0].pk)], current_app=site)
        return reverse("admin:durable_workflows_worker_changelist", current_app=site)


def is_drainable(worker: Worker) -> bool:
    """Whether it may be asked: it claims runs, has not ended, and was not asked before."""
    ended = worker.stopped_at is not None or worker.lost_at is not None
    return not (worker.direct or ended or worker.drain_requested_at is not None)


def left_alone(count: int) -> str:
    """Why some are not asked."""
    text = ngettext(
        "%(count)d worker is left alone: it has ended, was asked before, or serves direct calls only.",
        "%(count)d workers are left alone: they have ended, were asked before, or serve direct calls only.",
        count,
    )
    return text % {"count": count}
