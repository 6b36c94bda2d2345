"""
What becomes of an event. Its id is the run's id, so a second delivery finds the first one's run.

``parcel.sent`` starts a workflow that waits up to thirty days for ``parcel.delivered``, which is another webhook.
"""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from durable_workflows import SetWorkflowID, recv, send, start_workflow, step, workflow
from example_project.hooks.models import HandledEvent, Parcel

DAY = 86400.0


@workflow
def handle_event(event: dict[str, Any]) -> str:
    """
    Handle one event.

    :param event: ``id``, ``type`` and, for parcels, ``parcel``, as the webhook checked them.
    :return: what was done, in words.
    """
    record_event(event)
    parcel = event.get("parcel", "")
    if not parcel or event["type"] not in ("parcel.sent", "parcel.delivered"):
        return "noted"
    # Events may overtake each other: whichever comes first starts the parcel's workflow, the other finds it.
    with SetWorkflowID(tracking_id(parcel)):
        start_workflow(track_parcel, parcel)
    if event["type"] == "parcel.delivered":
        send(tracking_id(parcel), "delivered", topic="parcel")
    return f"told the workflow of parcel {parcel}"


@workflow
def track_parcel(parcel: str) -> str:
    """Wait, for a month if need be, until the carrier reports the parcel; returns what became of it."""
    row = open_parcel(parcel)
    status = recv("parcel", timeout_seconds=30 * DAY, default="lost")
    settle_parcel(row, status)
    return str(status)


def tracking_id(parcel: str) -> str:
    """The id of the workflow that waits for a parcel."""
    return f"parcel-{parcel}"


@step
def record_event(event: dict[str, Any]) -> None:
    """Enter the event in the books."""
    HandledEvent.objects.create(event_id=event["id"], kind=event["type"], parcel=event.get("parcel", ""))


@step
def open_parcel(parcel: str) -> int:
    """Note that it is under way; returns the row's key."""
    return Parcel.objects.create(number=parcel).pk


@step
def settle_parcel(row: int, status: str) -> None:
    """Note what became of it."""
    Parcel.objects.filter(pk=row).update(status=status, settled_at=timezone.now())
