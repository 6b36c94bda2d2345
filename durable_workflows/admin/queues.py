"""Queues: what code declared, and what an operator overrides, while workers work."""

from __future__ import annotations

from typing import Any, cast
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.admin.utils import quote, unquote
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from durable_workflows.admin import display, wording
from durable_workflows.admin.queue_figures import QueueFigures
from durable_workflows.admin.queueform import LIMITS, OF_PARTITIONS, QueueForm
from durable_workflows.models import QueueState, desk, rules
from durable_workflows.models.dialects import connection
from durable_workflows.models.transactions import in_write_transaction
from durable_workflows.queues import Queue
from durable_workflows.states import RunState


class QueueAdmin(QueueFigures):
    """Queues; whoever may change them pauses them and overrides their limits."""

    form = QueueForm
    list_display = ("name", "state", "limits", "enqueued", "executed", "updated")
    ordering = ("name",)
    search_fields = ("name",)
    list_filter = ("paused",)
    actions = ("pause_queues", "resume_queues")

    # The list's columns, and what the page shows.

    @admin.display(description=_("state"), ordering="paused")
    def state(self, queue: QueueState) -> SafeString:
        kind, label = self._state(queue)
        return format_html('<span class="dw-pill dw-{}">{}</span>', kind, label)

    def _state(self, queue: QueueState) -> tuple[str, str]:
        if rules.rules_for(queue).problem:
            return "error", gettext("unreadable")
        return ("paused", gettext("paused")) if queue.paused else ("success", gettext("open"))

    @admin.display(description=_("limits"))
    def limits(self, queue: QueueState) -> SafeString | str:
        return wording.in_force(queue)

    @admin.display(description=_("declared in the code"))
    def declares(self, queue: QueueState) -> SafeString | str:
        return wording.declared(queue)

    @admin.display(description=_("problem"))
    def problem(self, queue: QueueState) -> SafeString:
        text = rules.rules_for(queue).problem
        return format_html('<span class="dw-alarm">{} {}</span>', text, gettext("Until this is mended, its runs wait."))

    @admin.display(description=_("updated"), ordering="updated_at")
    def updated(self, queue: QueueState) -> SafeString | None:
        return display.timestamp(queue.updated_at)

    @admin.display(description=_("runs"))
    def runs(self, queue: QueueState) -> SafeString:
        address = reverse("admin:durable_workflows_workflowrun_changelist", current_app=self.admin_site.name)
        states = [(RunState.ENQUEUED.value, gettext("enqueued")), (RunState.RUNNING.value, gettext("running"))]
        of_queue = {"queue": queue.name}
        links = [(address, urlencode({**of_queue, "status__exact": status}), label) for status, label in states]
        links.append((address, urlencode(of_queue), gettext("all")))
        return format_html('<span class="dw-runs">{}</span>', display.links(links))

    # The page of one queue.

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        told = ["state", "enqueued", "executed", "partitions", "limits", "declares", "problem", "runs", "updated"]
        return [*told, *(["name"] if obj else [])]

    def get_fieldsets(self, request: HttpRequest, obj: QueueState | None = None) -> Any:
        problem = ["problem"] if obj and self._state(obj)[0] == "error" else []
        goes_on = ["enqueued", "executed", *(["partitions"] if obj and self.has_partitions(obj) else []), "runs"]
        if obj is not None and not self.has_change_permission(request, obj):
            holds = [*problem, "declares", *([] if problem else ["limits"])]
            return [(None, {"fields": ["name", "state", *holds, *goes_on, "updated"]})]
        shown = [*problem, *(["forget_declared"] if problem and not self._is_declared_well(obj) else []), "declares", *goes_on]
        return [
            (None, {"fields": ["name", "paused", *(shown if obj else []), "revision"]}),
            (_("Limits"), {"fields": LIMITS}),
            (_("Limits of each partition"), {"fields": OF_PARTITIONS}),
        ]

    def _is_declared_well(self, queue: QueueState | None) -> bool:
        return queue is None or not rules.rules_of(queue.paused, queue.declared, None, 0).problem

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        """What is posted is looked at, saved and logged in one transaction."""
        view = super().changeform_view
        if request.method != "POST":
            return view(request, object_id, form_url, extra_context)
        return in_write_transaction(lambda _connection: view(request, object_id, form_url, extra_context))

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """The row; locked if it is to be changed, so that nobody declares or overrides something else meanwhile."""
        queue = super().get_object(request, object_id, from_field)
        if queue is None or request.method != "POST":
            return queue
        return QueueState.objects.using(connection().alias).select_for_update().filter(pk=queue.pk).first()

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        columns = {"paused": form.cleaned_data["paused"], "overrides": form.cleaned_data["overrides"]}
        if not change:
            desk.add(connection(), obj.pk, **columns)
        else:
            forgotten = {"declared": None} if form.cleaned_data.get("forget_declared") else {}
            rules.change(connection(), [obj.pk], **columns, **forgotten)

    def construct_change_message(self, request: HttpRequest, form: Any, formsets: Any, add: bool = False) -> Any:
        return form.changes() or super().construct_change_message(request, form, formsets, add)

    # Deleting.

    def get_actions(self, request: HttpRequest, action_location: Any = None) -> Any:
        # Since Django 6.1 an action has a place, and who overrides this without the parameter is warned.
        place = {} if action_location is None else {"action_location": action_location}
        actions = super().get_actions(request, **place)
        actions.pop("delete_selected", None)  # one at a time, each with a look at whether it is still needed
        return actions

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None) -> Any:
        """Refuses for a queue that somebody needs, and says who."""
        view = super().delete_view
        if (refusal := self._refused(request, unquote(object_id))) is not None:
            return refusal
        if request.method != "POST":
            return view(request, object_id, extra_context)
        return in_write_transaction(lambda _connection: view(request, object_id, extra_context))

    def _refused(self, request: HttpRequest, name: str) -> HttpResponse | None:
        if "\0" in name or not self.has_delete_permission(request) or not (reason := why_kept(name)):
            return None
        self.message_user(request, reason, messages.ERROR)
        page = "admin:durable_workflows_queuestate_change"
        return HttpResponseRedirect(reverse(page, args=[quote(name)], current_app=self.admin_site.name))

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        desk.remove(connection(), obj.pk)

    # The actions.

    @admin.action(description=_("Pause selected %(verbose_name_plural)s"), permissions=["change"])
    def pause_queues(self, request: HttpRequest, queryset: QuerySet[QueueState]) -> None:
        done = self._turn_over(request, queryset, paused=True)
        text = ngettext("%(count)d queue was paused.", "%(count)d queues were paused.", done)
        self.message_user(request, text % {"count": done}, messages.SUCCESS if done else messages.WARNING)

    @admin.action(description=_("Resume selected %(verbose_name_plural)s"), permissions=["change"])
    def resume_queues(self, request: HttpRequest, queryset: QuerySet[QueueState]) -> None:
        done = self._turn_over(request, queryset, paused=False)
        text = ngettext("%(count)d queue was resumed.", "%(count)d queues were resumed.", done)
        self.message_user(request, text % {"count": done}, messages.SUCCESS if done else messages.WARNING)

    def _turn_over(self, request: HttpRequest, queryset: QuerySet[QueueState], *, paused: bool) -> int:
        names = list(queryset.values_list("pk", flat=True))

        def deed_and_log(connection: BaseDatabaseWrapper) -> list[str]:
            changed = desk.turn_over(connection, names, paused=paused)
            LogEntry.objects.log_actions(
                user_id=cast(Any, request.user.pk),  # nobody anonymous gets this far
                queryset=QueueState.objects.filter(pk__in=changed).only("pk"),
                action_flag=CHANGE,
                change_message="paused" if paused else "resumed",
            )
            return changed

        return len(in_write_transaction(deed_and_log))


def why_kept(name: str) -> str:
    """Why the row of a queue is not deleted: "" if nobody needs it."""
    if name in Queue.declared or name == "default":
        return gettext("The queue stays: code declares it. Pause it, if nothing is to be started.")
    if desk.is_served(connection(), name):
        return gettext("The queue stays: a worker serves it.")
    if desk.has_unfinished_runs(connection(), name):
        return gettext("The queue stays: it has runs that have not ended.")
    return ""
