"""The row of a queue: what code declared, and what an operator overrode."""

from __future__ import annotations

from django.db import models

from durable_workflows.models.fields import ExactCharField


class QueueState(models.Model):
    """Code writes the declared columns at worker start, an operator the others; an override wins."""

    name = ExactCharField(primary_key=True, max_length=128)
    paused = models.BooleanField(db_default=False)
    declared = models.JSONField(null=True, blank=True, help_text="The limits as code declares them.")
    overrides = models.JSONField(null=True, blank=True, help_text="The limits as an operator set them.")
    waiting = models.CharField(max_length=8, db_default="release")
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        verbose_name = "queue"

    def __str__(self) -> str:
        return str(self.name)
