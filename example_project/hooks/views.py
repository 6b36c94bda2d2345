"""The webhook itself, a page that shows what it received, and a form that sends it something."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.db.models import Count, Max
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from durable_workflows.web.webhooks import TimedSignature, WebhookEvent, webhook
from example_project import runs
from example_project.hooks import sender
from example_project.hooks.events import MAX_BYTES, checked
from example_project.hooks.forms import SenderForm
from example_project.hooks.models import Delivery, HandledEvent, Parcel
from example_project.hooks.workflows import handle_event

SENDER = "hook"
SIGNATURE = TimedSignature(sender.HEADER)


@dataclass(frozen=True, slots=True)
class Received:
    """An event as the page shows it."""

    event_id: str
    deliveries: int
    handled: list[HandledEvent]
    run: runs.Run | None


def secret() -> str:
    """What the sender and we share."""
    found: str = settings.EXAMPLE["WEBHOOK_SECRET"]
    return found


@webhook(handle_event, sender=SENDER, secret=secret, signature=SIGNATURE, max_bytes=MAX_BYTES)
def receive(request: HttpRequest, event: WebhookEvent) -> dict[str, Any]:
    """Note the delivery, in one transaction with the start of the event's workflow, if it has none yet."""
    known = checked(event.data)
    Delivery.objects.create(event_id=event.id)
    return known


def run_id(event_id: str) -> str:
    """The id of the workflow that handles an event."""
    return f"{SENDER}-{event_id}"


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """What was received, and the form that sends a test."""
    return render(request, "hooks/index.html", {"form": SenderForm(), **facts()})


@require_safe
def listing(request: HttpRequest) -> HttpResponse:
    """The part of the page that changes."""
    return render(request, "hooks/_list.html", facts())


@require_POST
def send_event(request: HttpRequest) -> HttpResponse:
    """Send ourselves an event over HTTP; in DEBUG only, since it signs whatever it is asked to."""
    if not settings.DEBUG:
        raise Http404
    form = SenderForm(request.POST)
    if not form.is_valid():
        return render(request, "hooks/index.html", {"form": form, **facts()}, status=400)
    for answer in deliver(request.build_absolute_uri(reverse("hooks:receive")), form.cleaned_data):
        messages.info(request, f"The webhook answered: {answer}")
    return redirect("hooks:index")


def deliver(url: str, data: dict[str, Any]) -> list[str]:
    """Post one event as often as the form says; returns the answers."""
    event = sender.new_event(data["kind"], data["parcel"])
    return [sender.post(url, event, secret(), alteration=data["alteration"]) for _ in range(data["times"])]


def facts() -> dict[str, Any]:
    """The latest events, each with how often it came and how often it was handled, and the parcels waited for."""
    deliveries = Delivery.objects.values("event_id").annotate(times=Count("pk"), newest=Max("pk")).order_by("-newest")[:15]
    ids = [delivery["event_id"] for delivery in deliveries]
    handled: dict[str, list[HandledEvent]] = {event_id: [] for event_id in ids}
    for event in HandledEvent.objects.filter(event_id__in=ids):
        handled.setdefault(event.event_id, []).append(event)
    found = runs.find_many([run_id(event_id) for event_id in ids])
    rows = [Received(d["event_id"], d["times"], handled[d["event_id"]], found.get(run_id(d["event_id"]))) for d in deliveries]
    return {"events": rows, "parcels": Parcel.objects.all()[:10]}
