"""What a run has done: one row per recorded step, and one per failed attempt of a step."""

from __future__ import annotations

from django.db import models

from durable_workflows.models.fields import ExactCharField
from durable_workflows.models.runs import WorkflowRun


class Kind(models.TextChoices):
    """What a recorded position of a history was."""

    STEP = "step", "step"
    UNDO = "undo", "undo step"  # of a saga; a replay answers it as any step
    START = "start", "start of a child"
    RESULT = "result", "result of a run"
    SLEEP = "sleep", "sleep"
    RECV = "recv", "message"
    SEND = "send", "send"
    SET_EVENT = "set_event", "event set"
    GET_EVENT = "get_event", "event read"
    FIRST = "first", "first of several"
    SELECT = "select", "first of several kinds"
    WRITE_STREAM = "write_stream", "stream written"
    STREAM = "stream", "stream read"
    MANAGE = "manage", "management"
    RETRY = "retry", "pause before a retry"


class Position(models.Model):
    """A place in a run's history; `branch` is "" for the body. The run is referred to without constraint or index."""

    run = models.ForeignKey(WorkflowRun, models.DO_NOTHING, related_name="%(class)ss", db_constraint=False, db_index=False)
    generation = models.IntegerField(db_default=0)
    branch = ExactCharField(max_length=128, db_default="", blank=True)
    position = models.IntegerField()

    class Meta:
        abstract = True


class StepRun(Position):
    """One recorded outcome; the unique constraint is what makes a step happen once."""

    name = ExactCharField(max_length=255)
    kind = models.CharField(max_length=16, choices=Kind.choices, db_default=Kind.STEP)
    output = models.TextField(null=True, blank=True)
    error = models.TextField(null=True, blank=True)
    child_id = ExactCharField(max_length=255, null=True, blank=True)
    attempts = models.IntegerField(db_default=1)
    started_at = models.DateTimeField()
    completed_at = models.DateTimeField()

    class Meta:
        verbose_name = "step"
        constraints = [models.UniqueConstraint(fields=["run", "generation", "branch", "position"], name="durable_step_once")]

    def __str__(self) -> str:
        return f"{self.position}. {self.name}"


class StepAttempt(Position):
    """A failed attempt of a step; retries survive a crash by it. A step that works at once writes none."""

    name = ExactCharField(max_length=255)
    attempt = models.IntegerField()
    error = models.TextField()
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField()
    retry_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "failed step attempt"
        constraints = [
            models.UniqueConstraint(fields=["run", "generation", "branch", "position", "attempt"], name="durable_attempt_once")
        ]

    def __str__(self) -> str:
        return f"{self.position}. {self.name}, attempt {self.attempt}"
