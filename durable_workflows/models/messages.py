"""A message to a run."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from durable_workflows.models.fields import ExactCharField
from durable_workflows.models.indexes import PartialIndex
from durable_workflows.models.runs import WorkflowRun


class Message(models.Model):
    """Sent once, received once by the run's ``recv``; kept afterwards, for the eye and for forks."""

    run = models.ForeignKey(WorkflowRun, models.DO_NOTHING, related_name="messages", db_constraint=False, db_index=False)
    topic = ExactCharField(max_length=255, db_default="", blank=True)
    payload = models.TextField()
    idempotency_key = ExactCharField(max_length=255, null=True, blank=True)
    sender_id = ExactCharField(max_length=255, null=True, blank=True)
    created_at = models.DateTimeField()
    consumed_at = models.DateTimeField(null=True, blank=True)
    consumed_branch = ExactCharField(max_length=128, null=True, blank=True)
    consumed_position = models.IntegerField(null=True, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "idempotency_key"], name="durable_message_once")]
        indexes = [
            PartialIndex(
                name="durable_message_inbox", fields=["run", "topic", "id"],
                where=Q(consumed_at__isnull=True), lead=["consumed_at"],
            ),
        ]  # fmt: skip

    def __str__(self) -> str:
        return f"message {self.pk} to {self.run_id}"
