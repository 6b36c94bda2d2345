"""The reports' page."""

from __future__ import annotations

from django.contrib import messages
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_safe

from example_project.reports.models import HourlyReport
from example_project.reports.workflows import run_hourly


def index(request: HttpRequest) -> HttpResponse:
    """The latest reports; a POST runs the job now, as the schedule would."""
    if request.method == "POST":
        now = timezone.now()
        run_hourly.start(now, now)
        messages.success(request, "The job was started; its report is about the last sixty minutes.")
        return redirect("reports:index")
    return render(request, "reports/index.html", facts())


@require_safe
def listing(request: HttpRequest) -> HttpResponse:
    """The part of the page that changes."""
    return render(request, "reports/_list.html", facts())


def facts() -> dict[str, object]:
    """The reports, and how many ticks have more than one: none, unless the scheduler is broken."""
    doubled = HourlyReport.objects.values("hour").annotate(rows=Count("pk")).filter(rows__gt=1).order_by()
    return {"reports": HourlyReport.objects.all()[:24], "doubled": doubled.count()}
