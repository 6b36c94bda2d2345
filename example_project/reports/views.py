"""The reports' page, with the handles of its schedule: pause, resume, run now, make up for what was missed."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib import messages
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from durable_workflows import (
    ScheduleNotFound,
    backfill_schedule,
    get_schedule,
    pause_schedule,
    resume_schedule,
    trigger_schedule,
)
from example_project.reports.forms import BackfillForm
from example_project.reports.models import HourlyReport
from example_project.reports.workflows import run_hourly

SCHEDULE: str = run_hourly.durable.name  # a decorated workflow's schedule is named like it


def index(request: HttpRequest) -> HttpResponse:
    """The latest reports; a POST runs the job now, as the schedule would."""
    if request.method == "POST":
        try:
            trigger_schedule(SCHEDULE)
        except ScheduleNotFound:  # no worker has written it yet
            now = timezone.now()
            run_hourly.start(now, now)
        messages.success(request, "The job was started; its report is about the last sixty minutes.")
        return redirect("reports:index")
    return page(request, BackfillForm())


@require_POST
def pause(request: HttpRequest) -> HttpResponse:
    """Fire no more ticks."""
    return steer(request, pause_schedule, "The schedule is paused: no reports until it is resumed.")


@require_POST
def resume(request: HttpRequest) -> HttpResponse:
    """Go on with the next tick."""
    return steer(request, resume_schedule, "The schedule goes on with the next hour.")


def steer(request: HttpRequest, verb: Callable[[str], None], done: str) -> HttpResponse:
    """Do something to the schedule, and say so."""
    try:
        verb(SCHEDULE)
        messages.success(request, done)
    except ScheduleNotFound:
        messages.warning(request, "There is no schedule yet: the first worker writes it.")
    return redirect("reports:index")


@require_POST
def backfill(request: HttpRequest) -> HttpResponse:
    """Run the ticks of the last hours; those that were run keep their run."""
    form = BackfillForm(request.POST)
    if not form.is_valid():
        return page(request, form)
    now = timezone.now()

    def make_up(name: str) -> None:
        count = len(backfill_schedule(name, now - form.span, now))
        messages.info(request, f"{count} hours looked at.")

    return steer(request, make_up, "Hours without a report get theirs now, the others are left as they are.")


def page(request: HttpRequest, form: BackfillForm) -> HttpResponse:
    """The whole page."""
    return render(request, "reports/index.html", {**facts(), "form": form})


@require_safe
def listing(request: HttpRequest) -> HttpResponse:
    """The part of the page that changes."""
    return render(request, "reports/_list.html", facts())


def facts() -> dict[str, object]:
    """The schedule, the reports, and how many ticks have more than one: none, unless the scheduler is broken."""
    doubled = HourlyReport.objects.values("hour").annotate(rows=Count("pk")).filter(rows__gt=1).order_by()
    return {"schedule": get_schedule(SCHEDULE), "reports": HourlyReport.objects.all()[:24], "doubled": doubled.count()}
