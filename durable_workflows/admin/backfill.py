"""The question that an action "backfill" asks: from when to when."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from durable_workflows.admin.base import ModelAdmin
from durable_workflows.models import Schedule

FORMAT = "%Y-%m-%dT%H:%M"  # in which browsers send such an input, seconds left out if they are 0


class Moment(forms.DateTimeField):
    """A moment in the project's time zone."""

    widget = forms.DateTimeInput(attrs={"type": "datetime-local", "step": "1"}, format=FORMAT)
    input_formats = [f"{FORMAT}:%S", FORMAT]


class BackfillForm(forms.Form):
    """Which ticks: those strictly between the two moments."""

    start = Moment(label=_("After"))
    end = Moment(label=_("Before"))


def ask(admin: ModelAdmin, request: HttpRequest, chosen: Sequence[Schedule], form: BackfillForm) -> HttpResponse:
    """The page with the question."""
    context = {
        **admin.admin_site.each_context(request),
        "opts": admin.opts, "media": admin.media, "title": gettext("Backfill"), "form": form, "chosen": chosen,
        "checkbox": ACTION_CHECKBOX_NAME, "back": request.POST.get("back", ""),
    }  # fmt: skip
    request.current_app = admin.admin_site.name
    return TemplateResponse(request, "admin/durable_workflows/schedule/backfill.html", context)


def answered(request: HttpRequest) -> BackfillForm:
    """The form as it was sent; of the first request an empty one."""
    given: Any = request.POST if "confirmed" in request.POST else None
    return BackfillForm(given)
