"""The row of a wait: what a suspended run waits for."""

from __future__ import annotations

from django.db import models

from durable_workflows.models.fields import ExactCharField
from durable_workflows.models.steps import Kind, Position


class Wait(Position):
    """
    One thing a suspended run waits for. It outlives the wake-up and goes with the checkpoint of its position, so that a
    replay knows since when it waits, and until when.

    :param source: the run whose row is locked by waiter and waker: one's own for ``recv``, else the awaited one.
    :param from_offset: of a stream: the first value that is waited for.
    :param debounce: seconds by which a wake-up is put off, so that joining many children does not replay for each.
    """

    kind = models.CharField(max_length=16, choices=Kind.choices)
    source_id = ExactCharField(max_length=255, null=True, blank=True)
    key = ExactCharField(max_length=255, db_default="", blank=True)
    from_offset = models.BigIntegerField(db_default=0)
    due_at = models.DateTimeField(null=True, blank=True)
    debounce = models.FloatField(db_default=0.0)
    created_at = models.DateTimeField()

    class Meta:
        verbose_name = "wait"
        indexes = [
            models.Index(fields=["kind", "source_id", "key"], name="durable_wait_source"),
            models.Index(fields=["run"], name="durable_wait_run"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.source_id or ''} {self.key}".strip()
