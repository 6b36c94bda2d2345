"""A value that a run published under a key."""

from __future__ import annotations

from django.db import models

from durable_workflows.models.fields import ExactCharField
from durable_workflows.models.steps import Position


class Event(Position):
    """Append-only: the latest row of a key is its value, the earlier ones its history by step."""

    key = ExactCharField(max_length=255)
    value = models.TextField()
    created_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["run", "key", "id"], name="durable_event_key")]

    def __str__(self) -> str:
        return f"event {self.key} of {self.run_id}"
