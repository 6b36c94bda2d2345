"""The row of a schedule: when its next tick is due."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from durable_workflows.models.fields import ExactCharField
from durable_workflows.models.indexes import PartialIndex


class Schedule(models.Model):
    """A workflow to be started at each tick; a tick's run id is derived from name and time, so it starts once."""

    name = ExactCharField(primary_key=True, max_length=255)
    workflow_name = ExactCharField(max_length=255)
    cron = models.CharField(max_length=255, null=True, blank=True)
    interval_seconds = models.FloatField(null=True, blank=True)
    timezone = models.CharField(max_length=64, db_default="UTC")
    catch_up = models.CharField(max_length=8, db_default="skip")
    overlap = models.CharField(max_length=8, db_default="allow")
    jitter_seconds = models.FloatField(db_default=0.0)
    starts_at = models.DateTimeField(null=True, blank=True)
    ends_at = models.DateTimeField(null=True, blank=True)
    queue = ExactCharField(max_length=128, null=True, blank=True)
    context = models.TextField(null=True, blank=True)
    passes_context = models.BooleanField(db_default=False, help_text="Called with (time, context), not (time, actual time).")
    in_code = models.BooleanField(db_default=False, help_text="Declared by @scheduled.")
    overrides = models.JSONField(null=True, blank=True)
    paused = models.BooleanField(db_default=False)
    next_fire_at = models.DateTimeField(null=True, blank=True)
    last_fire_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        indexes = [
            PartialIndex(
                name="durable_schedule_due", fields=["next_fire_at"],
                where=Q(paused=False, next_fire_at__isnull=False), lead=["paused"],
            ),
        ]  # fmt: skip

    def __str__(self) -> str:
        return str(self.name)
