"""The reminders' page: a row and its workflow are written in one transaction."""

from __future__ import annotations

from django.contrib import messages
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from durable_workflows import SetWorkflowID, WorkflowNotFound, cancel_workflow
from example_project import runs
from example_project.reminders.forms import ReminderForm
from example_project.reminders.models import Reminder
from example_project.reminders.workflows import schedule_reminder


class ChangedMyMind(Exception):
    """What the second button raises, to show that a rollback takes the workflow with it."""


def index(request: HttpRequest) -> HttpResponse:
    """The form and the latest reminders; a POST adds one."""
    form = ReminderForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        announce(request, form)
        return redirect("reminders:index")
    return render(request, "reminders/index.html", {"form": form, "reminders": latest()})


def announce(request: HttpRequest, form: ReminderForm) -> None:
    """Add the reminder and say what became of it."""
    try:
        reminder = add(form, fail="fail" in request.POST)
    except ChangedMyMind:
        messages.warning(request, "The view failed after it had started the workflow: no reminder, no workflow.")
    else:
        messages.success(request, f"Reminder {reminder.pk} is waiting. You may switch everything off until it is due.")


@transaction.atomic
def add(form: ReminderForm, *, fail: bool) -> Reminder:
    """Write the reminder and start its workflow: both, or neither."""
    reminder: Reminder = form.save(commit=False)
    reminder.due_at = timezone.now() + form.wait
    reminder.save()
    with SetWorkflowID(reminder.run_id):
        schedule_reminder.start(reminder.pk, reminder.due_at)
    if fail:
        raise ChangedMyMind
    return reminder


@require_safe
def listing(request: HttpRequest) -> HttpResponse:
    """The part of the page that changes."""
    return render(request, "reminders/_list.html", {"reminders": latest()})


@require_POST
def cancel(request: HttpRequest, pk: int) -> HttpResponse:
    """Call a reminder off."""
    try:
        cancel_workflow(get_object_or_404(Reminder, pk=pk).run_id)
    except WorkflowNotFound as error:
        raise Http404(str(error)) from error
    return redirect("reminders:index")


def latest() -> list[tuple[Reminder, runs.Run | None]]:
    """The newest reminders, each with its run."""
    reminders = list(Reminder.objects.all()[:20])
    found = runs.find_many([reminder.run_id for reminder in reminders])
    return [(reminder, found.get(reminder.run_id)) for reminder in reminders]
