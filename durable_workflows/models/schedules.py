"""The row of a schedule: when its next tick is due."""

from __future__ import annotations

from datetime import datetime

from django.db import models
from django.db.models import Q

from durable_workflows.models.fields import ExactCharField
from durable_workflows.models.indexes import PartialIndex

ACTIVE, PAUSED, FINISHED = "ACTIVE", "PAUSED", "FINISHED"


class Schedule(models.Model):
    """A workflow to be started at each tick; a tick's run id is derived from name and time, so it starts once."""

    name = ExactCharField(primary_key=True, max_length=255)
    workflow_name = ExactCharField(max_length=255)
    cron = models.CharField(max_length=1000, null=True, blank=True)
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
    # Nothing reads or writes it yet: what code declares is changed in code.
    overrides = models.JSONField(null=True, blank=True)
    paused = models.BooleanField(db_default=False)
    note = models.TextField(null=True, blank=True, help_text="Why it paused itself.")
    next_fire_at = models.DateTimeField(null=True, blank=True)
    next_tick_at = models.DateTimeField(null=True, blank=True, help_text="The tick itself, where jitter puts its start off.")
    last_fire_at = models.DateTimeField(null=True, blank=True)
    skipped = models.BigIntegerField(db_default=0, help_text="Ticks passed over because an earlier run was unfinished.")
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

    @property
    def tick(self) -> datetime:
        """The tick that is to be fired next, without its jitter; asked of one that has any."""
        found = self.next_tick_at or self.next_fire_at
        assert found is not None
        return found

    @property
    def state(self) -> str:
        """How it stands, in the words of ``ScheduleStatus``."""
        return PAUSED if self.paused else ACTIVE if self.next_fire_at is not None else FINISHED
