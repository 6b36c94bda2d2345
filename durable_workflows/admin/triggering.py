"""The question that an action "trigger" asks, and its answer: a run for each question, however often it is answered."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext

from durable_workflows.admin.base import ModelAdmin
from durable_workflows.engine import ticks
from durable_workflows.models import Schedule, WorkflowRun, dialects, planning, reading


def ask(admin: ModelAdmin, request: HttpRequest, chosen: Sequence[Schedule]) -> HttpResponse:
    """The page with the question; the moment at which it is asked is what an answer is known by."""
    context = {
        **admin.admin_site.each_context(request),
        "opts": admin.opts, "media": admin.media, "title": gettext("Trigger"), "chosen": chosen,
        "checkbox": ACTION_CHECKBOX_NAME, "back": request.POST.get("back", ""),
        "token": reading.database_now(dialects.connection()).isoformat(),
    }  # fmt: skip
    request.current_app = admin.admin_site.name
    return TemplateResponse(request, "admin/durable_workflows/schedule/trigger.html", context)


def asked_at(request: HttpRequest) -> datetime | None:
    """When the question was asked that is answered; None if none is."""
    try:
        return datetime.fromisoformat(request.POST.get("confirmed", ""))
    except ValueError:
        return None


def trigger(name: str, asked: datetime) -> bool:
    """
    Start a run in the open transaction, as ``trigger_schedule`` does; False if this question has one already.

    :raises ScheduleNotFound: if there is no such schedule.
    """
    connection = dialects.connection()
    row, run_id = planning.touched(connection, name), ticks.trigger_id(name, asked)
    if WorkflowRun.objects.using(connection.alias).filter(pk=run_id).exists():
        return False
    now = reading.database_now(connection)
    ticks.start(connection, [ticks.run_of(row, run_id, now, now)])
    return True
