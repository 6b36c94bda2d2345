"""The streams of a run, and the values it wrote to them."""

from __future__ import annotations

from django.db import models

from durable_workflows.models.fields import ExactCharField
from durable_workflows.models.runs import WorkflowRun
from durable_workflows.models.steps import Position


class Stream(models.Model):
    """
    What writers and waiting readers of a stream lock; all that is known of the stream say its entries.

    The run's own row will not do: a step may have locked it in its transaction, beside which its values are written.
    """

    run = models.ForeignKey(WorkflowRun, models.DO_NOTHING, related_name="streams", db_constraint=False, db_index=False)
    key = ExactCharField(max_length=255)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "key"], name="durable_stream_once")]

    def __str__(self) -> str:
        return f"stream {self.key} of {self.run_id}"


class StreamEntry(Position):
    """One value of a stream, in the order of ``offset``; ``closes`` marks the end."""

    key = ExactCharField(max_length=255)
    offset = models.BigIntegerField()
    value = models.TextField(null=True, blank=True)
    closes = models.BooleanField(db_default=False)
    attempt = models.IntegerField(db_default=1, help_text="Which attempt of the step wrote it.")
    # The writer's name for it, by which it finds what it has written when the reply to its COMMIT was lost.
    token = ExactCharField(max_length=32, null=True, blank=True)
    created_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "stream entries"
        constraints = [models.UniqueConstraint(fields=["run", "key", "offset"], name="durable_stream_offset")]

    def __str__(self) -> str:
        return f"{self.key}[{self.offset}] of {self.run_id}"
