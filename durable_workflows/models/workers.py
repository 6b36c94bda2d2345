"""The row of a worker: its heartbeat is the lease of all its runs."""

from __future__ import annotations

from django.db import models

from durable_workflows.models.fields import ExactCharField


class Worker(models.Model):
    """
    A process that executes runs: a ``durable_worker``, or a web process with direct calls under way.

    Its id is new at each start, so that a restarted process is never taken for the one that died. Once ``lost_at`` is
    set, its heartbeats are refused for good.
    """

    id = ExactCharField(primary_key=True, max_length=64)
    hostname = models.CharField(max_length=255, blank=True)
    pid = models.BigIntegerField()
    direct = models.BooleanField(db_default=False, help_text="Serves direct calls only, claims nothing.")
    queues = models.JSONField(null=True, blank=True)
    names = models.JSONField(null=True, blank=True, help_text="The workflows and steps it can run.")
    app_version = ExactCharField(max_length=128, db_default="", blank=True)
    threads = models.IntegerField(db_default=1)
    sessions = models.IntegerField(db_default=0, help_text="Named locks its connections hold, on MySQL and MariaDB.")
    lease_seconds = models.FloatField()
    started_at = models.DateTimeField()
    heartbeat_at = models.DateTimeField()
    drain_requested_at = models.DateTimeField(null=True, blank=True, help_text="Since when it is asked to end.")
    stopped_at = models.DateTimeField(null=True, blank=True)
    lost_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        permissions = [("drain_worker", "Can drain workers")]
        indexes = [models.Index(fields=["heartbeat_at"], name="durable_worker_heartbeat")]

    def __str__(self) -> str:
        return str(self.id)
