"""The home page and the outbox."""

from __future__ import annotations

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from example_project import mailbox, runs
from example_project.sections import SECTIONS


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """The six parts, each with a sentence and a count."""
    return render(request, "home.html", tally())


@require_safe
def counts(request: HttpRequest) -> HttpResponse:
    """The part of the home page that changes, for the script that keeps it fresh."""
    return render(request, "_counts.html", tally())


def tally() -> dict[str, object]:
    """What the home page counts."""
    return {"tiles": [(section, section.count()) for section in SECTIONS], "states": runs.states()}


@require_safe
def outbox(request: HttpRequest) -> HttpResponse:
    """The mails that were written to files: they carry working links, so only in development."""
    if not settings.DEBUG:
        raise Http404
    return render(request, "outbox.html", {"mails": mailbox.newest()})
