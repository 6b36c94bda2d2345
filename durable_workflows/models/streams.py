"""A value that a run wrote to a stream."""

from __future__ import annotations

from django.db import models

from durable_workflows.models.fields import ExactCharField
from durable_workflows.models.steps import Position


class StreamEntry(Position):
    """One value of a stream, in the order of ``offset``; ``closes`` marks the end."""

    key = ExactCharField(max_length=255)
    offset = models.BigIntegerField()
    value = models.TextField(null=True, blank=True)
    closes = models.BooleanField(db_default=False)
    attempt = models.IntegerField(db_default=1, help_text="Which attempt of the step wrote it.")
    created_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "stream entries"
        constraints = [models.UniqueConstraint(fields=["run", "key", "offset"], name="durable_stream_offset")]

    def __str__(self) -> str:
        return f"{self.key}[{self.offset}] of {self.run_id}"
