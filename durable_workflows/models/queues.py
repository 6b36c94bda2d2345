"""The row of a queue: what code declared, and what an operator overrode."""

from __future__ import annotations

from django.db import models

from durable_workflows.models.fields import ExactCharField


class QueueState(models.Model):
    """Code writes the declared limits at worker start, an operator the others; an override wins."""

    name = ExactCharField(primary_key=True, max_length=128)
    paused = models.BooleanField(default=False, db_default=False)
    declared = models.JSONField(null=True, blank=True, help_text="The limits as code declares them.")
    overrides = models.JSONField(null=True, blank=True, help_text="The limits as an operator set them.")
    revision = models.IntegerField(default=1, db_default=1, help_text="Counts the changes, so that workers notice them.")
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        verbose_name = "queue"

    def __str__(self) -> str:
        return str(self.name)


class QueueStart(models.Model):
    """
    Runs of a rate-limited queue that were started with one claim; it counts until the window has rolled past it.

    Not a column of the runs: those may be deleted while their start still counts.
    """

    queue = ExactCharField(max_length=128)
    partition_key = ExactCharField(max_length=255, blank=True, db_default="")
    at = models.DateTimeField()
    number = models.IntegerField()

    class Meta:
        indexes = [models.Index(fields=["queue", "at"], name="durable_start_window")]

    def __str__(self) -> str:
        return f"{self.number} of {self.queue}"
