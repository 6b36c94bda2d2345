"""The workflows of ``conversation``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.models import Count

from durable_workflows import recv, send, set_event, workflow
from durable_workflows.engine.services import PlainServices, persistently
from durable_workflows.models import Event, Message


@workflow
def hears(number: int) -> list[Any]:
    return [recv() for _ in range(number)]


@workflow
def sends(workflow_id: str, number: int) -> int:
    for each in range(number):
        send(workflow_id, ["workflow", each])
    return number


@workflow
def publishes(number: int) -> int:
    for each in range(number):
        set_event("number", each)
    return number


def left_in_the_rows(publishers: Sequence[str]) -> dict[str, Any]:
    """What the rows say in the end."""
    return persistently(lambda: _left(publishers), PlainServices())


def _left(publishers: Sequence[str]) -> dict[str, Any]:
    values = [list(Event.objects.filter(run_id=run).order_by("id").values_list("value", flat=True)) for run in publishers]
    return {
        "events": values,
        "messages": Message.objects.count(),
        "unheard": Message.objects.filter(consumed_at=None).count(),
        "places": Message.objects.values("run_id", "consumed_position").annotate(n=Count("pk")).filter(n__gt=1).count(),
    }
