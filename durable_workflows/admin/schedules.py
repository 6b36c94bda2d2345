"""Schedules: to look at, to make, change, pause, resume, trigger, backfill and delete."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.admin.utils import quote
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from durable_workflows import registry, scheduling
from durable_workflows.admin import backfill, display, triggering
from durable_workflows.admin.cron_words import words
from durable_workflows.admin.schedule_figures import ScheduleFigures
from durable_workflows.admin.schedule_form import CHANGED_MEANWHILE, DECLARED, ScheduleForm, is_editable, revision_of
from durable_workflows.admin.sight import may_see_payloads, may_see_runs
from durable_workflows.exceptions import DurableError, InvalidUse
from durable_workflows.models import Schedule, dialects, planning, reading, ticking
from durable_workflows.models.transactions import in_write_transaction, write_transaction

TOLD = ("in_words", "fires", "last_runs", "runs", "declared", "last_tick", "skipped", "note", "created_at", "updated_at")
TO_THE_SCHEDULE = "schedule"  # where the schedule's own page wants to come back to


class ScheduleAdmin(ScheduleFigures):
    """Schedules; what code declares is only paused, resumed and triggered here."""

    form = ScheduleForm
    list_display = ("name", "active", "workflow", "rule", "next_tick", "last_tick", "skipped", "runs")
    list_filter = ("paused", "in_code")
    ordering = ("name",)
    search_fields = ("name", "workflow_name")
    actions = ("pause_schedules", "resume_schedules", "trigger_schedules", "backfill_schedules")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None:
            return [*DECLARED, "context", "paused"]
        hidden = set() if may_see_payloads(request) else {"context", "shown_context", "note"}
        hidden |= set() if may_see_runs(request) else {"last_runs"}
        hidden |= set() if self.has_change_permission(request, obj) else {"revision"}
        context = "context" if self._may_edit_context(obj) else "shown_context"
        return [name for name in (*DECLARED, context, "paused", "revision", *TOLD) if name not in hidden]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None:
            return ()
        may_edit = may_see_payloads(request) and self._may_edit_context(obj)
        declared, context = (DECLARED if obj.in_code else ()), (() if may_edit else ("context",))
        return ["name", *declared, *context, "shown_context", *TOLD]

    def _may_edit_context(self, schedule: Schedule) -> bool:
        return is_editable(schedule.context) and not schedule.in_code

    # What is shown.

    @admin.display(description=_("active"), boolean=True, ordering="paused")
    def active(self, schedule: Schedule) -> bool:
        return not schedule.paused and self.declared(schedule) is not False

    @admin.display(description=_("declared in the code"), boolean=True)
    def declared(self, schedule: Schedule) -> bool | None:
        """None for one that no code made; as far as this process's own code tells."""
        return schedule.name in ticking.declared() if schedule.in_code else None

    @admin.display(description=_("workflow"), ordering="workflow_name")
    def workflow(self, schedule: Schedule) -> SafeString:
        return display.name_label(schedule.workflow_name)

    @admin.display(description=_("when"))
    def rule(self, schedule: Schedule) -> SafeString:
        every = gettext("every %(number)g s") % {"number": schedule.interval_seconds or 0}
        told = words(schedule.cron) if schedule.cron else ""
        return format_html('<code class="dw-cron" title="{}">{}</code> {}', told, schedule.cron or every, schedule.timezone)

    @admin.display(description=_("next"), ordering="next_fire_at")
    def next_tick(self, schedule: Schedule) -> SafeString | None:
        return display.timestamp(schedule.next_fire_at)

    @admin.display(description=_("last"), ordering="last_fire_at")
    def last_tick(self, schedule: Schedule) -> SafeString | None:
        return display.timestamp(schedule.last_fire_at)

    @admin.display(description=_("runs"))
    def runs(self, schedule: Schedule) -> SafeString:
        address = reverse("admin:durable_workflows_workflowrun_changelist", current_app=self.admin_site.name)
        query = urlencode({"schedule_name__exact": schedule.name})
        return format_html('<a href="{}?{}">{}</a>', address, query, gettext("all"))

    @admin.display(description=_("context"))
    def shown_context(self, schedule: Schedule) -> SafeString | None:
        if schedule.context is None:
            return None
        shown = display.payload(schedule.context[: display.CLIP], len(schedule.context)) or display.Clipped("")
        return format_html('<pre class="dw-json">{}</pre>', shown.text + ("…" if shown.more else ""))

    # What is written: by the statements of the public functions, in one transaction with the log.

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> Any:
        shown = {"verbs": self._verbs(request), **(extra_context or {})}
        return self._written(request, lambda: super(ScheduleAdmin, self).changeform_view(request, object_id, form_url, shown))

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> Any:
        return self._written(request, lambda: super(ScheduleAdmin, self).delete_view(request, object_id, extra_context))

    def _written(self, request: HttpRequest, view: Callable[[], HttpResponse]) -> HttpResponse:
        """On SQLite a transaction that reads before it writes must be begun as one that writes."""
        if request.method != "POST":
            return view()
        try:
            with write_transaction(dialects.connection()):
                return view()
        except DurableError as error:  # such as a name that somebody else took a moment ago
            self.message_user(request, str(error), messages.ERROR)
            return HttpResponseRedirect(request.get_full_path())

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        connection = dialects.connection()
        now = reading.database_now(connection)
        stored = {"context": form.cleaned_data["context"]} if "context" in form.cleaned_data else {}
        if form.plan is not None:
            self._warn_of_unknown(request, form.plan.workflow_name)
        if not change:
            planning.create(connection, form.plan, now, **stored, paused=obj.paused)
            return
        row = planning.locked(connection, obj.name)
        if revision_of(row) != form.cleaned_data["revision"]:
            raise InvalidUse(str(CHANGED_MEANWHILE))
        if form.plan is not None:
            planning.amend(connection, row, form.plan, now, **(stored or {"context": row.context}))
        # One that had paused itself goes on when it is mended, unless it is to stay paused.
        if "paused" in form.changed_data or (obj.paused and row.note is not None):
            (scheduling.pause_schedule if obj.paused else scheduling.resume_schedule)(obj.name)

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        scheduling.delete_schedule(obj.name)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        names = list(queryset.values_list("pk", flat=True))

        def delete_all(connection: BaseDatabaseWrapper) -> None:
            for name in names:
                planning.delete(connection, name)

        in_write_transaction(delete_all)

    def _warn_of_unknown(self, request: HttpRequest, name: str) -> None:
        if name not in registry.names():
            text = gettext("This process knows no workflow named “%(name)s”. Its runs wait until a worker does.")
            self.message_user(request, text % {"name": name}, messages.WARNING)

    # The actions.

    @admin.action(description=_("Pause selected %(verbose_name_plural)s"), permissions=["change"])
    def pause_schedules(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        return self._do(request, queryset, scheduling.pause_schedule, "Paused.")

    @admin.action(description=_("Resume selected %(verbose_name_plural)s"), permissions=["change"])
    def resume_schedules(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        return self._do(request, queryset, scheduling.resume_schedule, "Resumed.")

    @admin.action(description=_("Trigger selected %(verbose_name_plural)s now…"), permissions=["trigger"])
    def trigger_schedules(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        asked = triggering.asked_at(request)
        if asked is None:
            return triggering.ask(self, request, list(queryset))
        return self._do(request, queryset, lambda name: triggering.trigger(name, asked), "Triggered.")

    @admin.action(description=_("Backfill selected %(verbose_name_plural)s…"), permissions=["trigger"])
    def backfill_schedules(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        form = backfill.answered(request)
        if not form.is_valid():
            return backfill.ask(self, request, list(queryset), form)
        span = form.cleaned_data["start"], form.cleaned_data["end"]
        logged = "Backfilled from {} to {}.".format(*(moment.isoformat() for moment in span))
        return self._do(request, queryset, lambda name: scheduling.backfill_schedule(name, *span), logged)

    def has_trigger_permission(self, request: HttpRequest) -> bool:
        """Whether the user may start a run of a schedule."""
        return bool(request.user.has_perm("durable_workflows.start_workflowrun"))

    def _verbs(self, request: HttpRequest) -> Sequence[tuple[str, Any, bool | None]]:
        """Action, button, and whether it is for paused schedules, for the others, or for all."""
        may_change, may_trigger = self.has_change_permission(request), self.has_trigger_permission(request)
        change = [("pause_schedules", _("Pause"), False), ("resume_schedules", _("Resume"), True)] if may_change else []
        trigger = [("trigger_schedules", _("Trigger now…"), None), ("backfill_schedules", _("Backfill…"), None)]
        return [*change, *(trigger if may_trigger else ())]

    def _do(
        self, request: HttpRequest, queryset: QuerySet[Any], act: Callable[[str], object], logged: str
    ) -> HttpResponse | None:
        """All of them, each with its entry in the log, or none; an act that says False was done before."""
        chosen = list(queryset)

        def deed_and_log(_connection: BaseDatabaseWrapper) -> int:
            done = [schedule for schedule in chosen if act(schedule.name) is not False]
            if done:
                LogEntry.objects.log_actions(
                    user_id=cast(Any, request.user.pk), queryset=cast(Any, done), action_flag=CHANGE, change_message=logged
                )
            return len(done)

        try:
            self._tell(request, in_write_transaction(deed_and_log), len(chosen), logged)
        except DurableError as error:
            self.message_user(request, str(error), messages.ERROR)
        return self._way_back(request, chosen)

    def _tell(self, request: HttpRequest, done: int, asked: int, verb: str) -> None:
        if done:
            text = ngettext("%(count)d schedule: %(verb)s", "%(count)d schedules: %(verb)s", done)
            self.message_user(request, text % {"count": done, "verb": verb}, messages.SUCCESS)
        if before := asked - done:
            text = ngettext("%(count)d schedule: that was done already.", "%(count)d schedules: that was done already.", before)
            self.message_user(request, text % {"count": before}, messages.WARNING)

    def _way_back(self, request: HttpRequest, chosen: Sequence[Schedule]) -> HttpResponse | None:
        if request.POST.get("back") != TO_THE_SCHEDULE or len(chosen) != 1:
            return None
        site, name = self.admin_site.name, quote(chosen[0].name)
        return HttpResponseRedirect(reverse("admin:durable_workflows_schedule_change", args=[name], current_app=site))
