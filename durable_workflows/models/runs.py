"""The row of a run, and the questions one can ask of many."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db import models
from django.db.models import Q

from durable_workflows.models.deletion import Counts, delete_finished
from durable_workflows.models.fields import ExactCharField
from durable_workflows.models.indexes import Flag, Literal, PartialIndex, PartialUnique
from durable_workflows.models.verbs import act_on
from durable_workflows.states import TERMINAL, UNFINISHED, RunState

S = RunState
Wrap = Callable[[str], Any]


def claimable(value: Wrap) -> Q:
    """What a worker may take."""
    return Q(status=value(S.ENQUEUED), stranded=value(""), suspect=Flag(False))


def ahead(value: Wrap) -> Q:
    """What an operator wants to go on now; never many."""
    return Q(turn=-1, status=value(S.ENQUEUED))


def reserved(value: Wrap) -> Q:
    """What keeps its place in a queue without being leased."""
    states = [value(state) for state in sorted(UNFINISHED - {S.RUNNING, S.CANCELLING})]
    return Q(holds_slot=Flag(True), status__in=states)


def unclaimable(value: Wrap) -> Q:
    """Enqueued, and yet not to be taken with the others."""
    return Q(status=value(S.ENQUEUED)) & (~Q(stranded=value("")) | Q(suspect=Flag(True)))


def timed(value: Wrap) -> Q:
    """What the clock alone makes claimable."""
    return Q(status__in=[value(S.DELAYED), value(S.WAITING)], due_at__isnull=False)


def leased(value: Wrap) -> Q:
    """What a worker holds."""
    return Q(status__in=[value(S.CANCELLING), value(S.RUNNING)])


def limited(value: Wrap) -> Q:
    """What a deadline may end."""
    return Q(status__in=[value(state) for state in sorted(UNFINISHED)], deadline__isnull=False)


def set_apart(value: Wrap) -> Q:
    """What is none of the three states that each run goes through, so that most runs never come into its index."""
    return Q(status__in=[value(state) for state in sorted(frozenset(S) - {S.ENQUEUED, S.RUNNING, S.SUCCESS})])


CLAIMABLE, RESERVED, UNCLAIMABLE, TIMED, LEASED, LIMITED, SET_APART = (
    condition(Literal) for condition in (claimable, reserved, unclaimable, timed, leased, limited, set_apart)
)


class Turn(models.IntegerChoices):
    """What goes before what in a queue."""

    AHEAD = -1, "resumed, ahead of limits"
    BEGUN = 0, "begun"
    NEW = 1, "never started"


class Stranded(models.TextChoices):
    """Why an enqueued run cannot be claimed for now; it waits visibly."""

    NO = "", "no"
    NAME = "name", "no live worker knows its name"
    HISTORY = "history", "its code no longer fits its history"
    PAYLOAD = "payload", "its stored data cannot be read"


class Saga(models.TextChoices):
    """
    Whether a run has undo steps to run before it may be cancelled.

    Cancelling happens in another process than the run, so the row has to tell.
    """

    NONE = "", "none"
    OPEN = "open", "open: cancelling it lets its undo steps run first"
    CLOSED = "closed", "closed: it had one, which is over"
    CANCELLED = "cancelled", "cancelled: nothing but its undo steps runs any more"


class WorkflowRunQuerySet(models.QuerySet["WorkflowRun"]):
    """States as questions, and an operator's verbs, which are those of ``durable_workflows`` for each run."""

    def unfinished(self) -> WorkflowRunQuerySet:
        """Runs that have not come to an end."""
        return self.filter(status__in=UNFINISHED)

    def enqueued(self) -> WorkflowRunQuerySet:
        """Runs that wait for a worker."""
        return self.filter(status=S.ENQUEUED)

    def running(self) -> WorkflowRunQuerySet:
        """Runs that a worker holds."""
        return self.filter(status=S.RUNNING)

    def waiting(self) -> WorkflowRunQuerySet:
        """Suspended runs, which hold no thread."""
        return self.filter(status=S.WAITING)

    def succeeded(self) -> WorkflowRunQuerySet:
        """Runs that returned."""
        return self.filter(status=S.SUCCESS)

    def failed(self) -> WorkflowRunQuerySet:
        """Runs that raised."""
        return self.filter(status=S.ERROR)

    def cancelled(self) -> WorkflowRunQuerySet:
        """Runs that were cancelled, or overdue."""
        return self.filter(status=S.CANCELLED)

    def dead(self) -> WorkflowRunQuerySet:
        """Runs given up after too many recoveries without progress."""
        return self.filter(status=S.MAX_RECOVERY_ATTEMPTS_EXCEEDED)

    def stuck(self) -> WorkflowRunQuerySet:
        """Runs that no live worker can execute until somebody acts."""
        return self.enqueued().exclude(stranded=Stranded.NO)

    def for_queue(self, name: str) -> WorkflowRunQuerySet:
        """Runs of one queue."""
        return self.filter(queue=name)

    def cancel(self, children: bool = False) -> int:
        """Cancel these runs, see ``cancel_workflow``, in chunks of one transaction each; returns how many were changed."""
        return act_on(self, "cancel", {"children": children})

    def resume(self) -> int:
        """Resume these runs, see ``resume_workflow``; likewise."""
        return act_on(self, "resume")

    def retry(self) -> int:
        """Have the failed ones of these runs go on, see ``retry_workflow``; likewise."""
        return act_on(self, "retry")

    def delete(self) -> Counts:
        """Delete finished runs with their histories. Raises ``InvalidUse`` if one has not come to an end."""
        return delete_finished(self)

    for _verb in (cancel, resume, retry, delete):
        _verb.alters_data = True  # type: ignore[union-attr]  # no template may call it
        _verb.queryset_only = True  # type: ignore[union-attr]  # who means all runs says so: all().cancel()
    del _verb


class WorkflowRun(models.Model):
    """One durable execution of a workflow, from its start to its outcome."""

    id = ExactCharField(primary_key=True, max_length=255)
    name = ExactCharField(max_length=255)
    status = models.CharField(max_length=32, choices=RunState.choices, db_default=S.ENQUEUED)
    stranded = models.CharField(max_length=16, choices=Stranded.choices, blank=True, db_default="")
    note = models.TextField(null=True, blank=True, help_text="Why the run waits visibly, or was given up.")

    # Where it queues: by turn, rank and time. What ages ranks alike, and is moved back in time by its priority instead.
    queue = ExactCharField(max_length=128, db_default="default")
    partition_key = ExactCharField(max_length=255, blank=True, db_default="")
    turn = models.SmallIntegerField(choices=Turn.choices, db_default=Turn.NEW)
    priority = models.IntegerField(db_default=0, help_text="As it was asked for; 0 goes first of all.")
    rank = models.IntegerField(db_default=0, help_text="The priority as it counts.")
    queued_at = models.DateTimeField(help_text="Since when it waits for its turn, as it counts.")
    deduplication_id = ExactCharField(max_length=255, null=True, blank=True)
    # The same id while it is held, else NULL: a constraint without a condition does on every vendor.
    deduplication_lock = ExactCharField(max_length=255, null=True, blank=True)
    holds_slot = models.BooleanField(db_default=False, help_text="Keeps its place in the queue while it waits.")
    app_version = ExactCharField(max_length=128, db_default="", blank=True)

    # Who runs it. The token is the fence: every write of an attempt names it.
    worker_id = ExactCharField(max_length=64, null=True, blank=True)
    lease_token = ExactCharField(max_length=32, null=True, blank=True)
    session = models.CharField(max_length=64, null=True, blank=True, help_text="The database session of a direct call.")
    attempt = models.IntegerField(db_default=0, help_text="How often it was claimed, wake-ups included.")
    generation = models.IntegerField(db_default=0, help_text="Bumped by rewind, retry and continue-as-new.")

    # How often its workers were lost.
    recovery_attempts = models.IntegerField(db_default=0, help_text="1 at the first start, one more per lost lease.")
    stalled = models.IntegerField(db_default=0, help_text="Lost leases in a row without progress.")
    progress_mark = models.IntegerField(db_default=0, help_text="The highest recorded position at the last recovery.")
    suspect = models.BooleanField(db_default=False, help_text="May have killed its worker, so it runs alone.")
    max_recovery_attempts = models.IntegerField(null=True, blank=True)
    saga = models.CharField(max_length=16, choices=Saga.choices, db_default="", blank=True)
    tries = models.IntegerField(db_default=0, help_text="How often it failed and was tried again.")
    # A retry does its step again under the idempotency key that it had: what it asked for may have happened all the same.
    retry_step = models.IntegerField(null=True, blank=True, help_text="The step that failed before it was tried again.")
    retry_generation = models.IntegerField(db_default=0, help_text="The generation in which that step was done first.")

    # What it waits for. `awaited` is set under the row's lock by whoever waits for its result.
    due_at = models.DateTimeField(null=True, blank=True, help_text="When it becomes claimable by itself.")
    awaited = models.BooleanField(db_default=False)
    fan_in = models.IntegerField(db_default=0, help_text="Waits in a row for children started before; grows the debounce.")

    timeout_seconds = models.FloatField(null=True, blank=True)
    deadline = models.DateTimeField(null=True, blank=True)

    inputs = models.TextField(null=True, blank=True)
    output = models.TextField(null=True, blank=True)
    error = models.TextField(null=True, blank=True)
    attributes = models.JSONField(null=True, blank=True)
    user = models.CharField(max_length=255, null=True, blank=True)
    class_name = ExactCharField(max_length=255, null=True, blank=True)
    config_name = ExactCharField(max_length=255, null=True, blank=True)

    # References without a database constraint: it would lock the other row, and let two writers deadlock on it.
    parent = models.ForeignKey(
        "self", models.DO_NOTHING, null=True, blank=True, related_name="children", db_constraint=False, db_index=False
    )
    forked_from = models.ForeignKey(
        "self", models.DO_NOTHING, null=True, blank=True, related_name="forks", db_constraint=False, db_index=False
    )
    was_forked_from = models.BooleanField(db_default=False)
    schedule_name = ExactCharField(max_length=255, null=True, blank=True)

    progress_done = models.BigIntegerField(null=True, blank=True)
    progress_total = models.BigIntegerField(null=True, blank=True)
    progress_text = models.CharField(max_length=255, null=True, blank=True)

    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True, blank=True)
    claimed_at = models.DateTimeField(null=True, blank=True)
    completed_at = models.DateTimeField(null=True, blank=True)

    objects = WorkflowRunQuerySet.as_manager()

    class Meta:
        verbose_name = "workflow run"
        permissions = [
            ("cancel_workflowrun", "Can cancel workflow runs"),
            ("resume_workflowrun", "Can resume workflow runs"),
            ("retry_workflowrun", "Can retry workflow runs"),
            ("fork_workflowrun", "Can fork and rewind workflow runs"),
            ("send_workflowrun", "Can send messages to workflow runs"),
            ("start_workflowrun", "Can start workflow runs"),
            ("export_workflowrun", "Can export workflow runs"),
            ("pause_workflowrun", "Can pause workflow runs, and let them go on"),
            ("erase_workflowrun", "Can erase payloads of workflow runs"),
            ("view_payload_workflowrun", "Can view payloads of workflow runs"),
        ]
        constraints = [
            PartialUnique(
                name="durable_run_dedup", fields=["queue", "deduplication_lock"], where=Q(deduplication_lock__isnull=False)
            ),
        ]
        indexes = [
            PartialIndex(
                name="durable_run_claim", fields=["queue", "partition_key", "turn", "rank", "queued_at"],
                where=claimable(str), lead=["status", "stranded", "suspect"],
            ),
            PartialIndex(name="durable_run_ahead", fields=["queue"], where=ahead(str), lead=["turn", "status"]),
            PartialIndex(name="durable_run_reserved", fields=["queue"], where=reserved(str), lead=["holds_slot", "status"]),
            PartialIndex(name="durable_run_due", fields=["due_at"], where=timed(str), lead=["status"]),
            PartialIndex(name="durable_run_lease", fields=["worker_id"], where=leased(str), lead=["status"]),
            PartialIndex(
                name="durable_run_deadline", fields=["deadline"],
                where=limited(str),
            ),
            PartialIndex(
                name="durable_run_unclaimable", fields=["stranded", "name"],
                where=unclaimable(str), lead=["status"],
            ),
            PartialIndex(name="durable_run_parent", fields=["parent"], where=Q(parent__isnull=False)),
            PartialIndex(name="durable_run_fork", fields=["forked_from"], where=Q(forked_from__isnull=False)),
            # An unfinished run has no `completed_at`: those of a schedule are found without a look at its finished ones.
            PartialIndex(
                name="durable_run_ticks", fields=["schedule_name", "completed_at"], where=Q(schedule_name__isnull=False)
            ),
            # What ended, by its outcome: the oldest are pruned, the newest are counted. A run has an entry once it has ended.
            PartialIndex(
                name="durable_run_ended", fields=["status", "completed_at"], where=Q(completed_at__isnull=False)
            ),
            models.Index(fields=["created_at"], name="durable_run_created"),
            # For people who look for some runs among millions; the statements of the engine use neither.
            PartialIndex(name="durable_run_apart", fields=["status", "created_at"], where=set_apart(str)),
            PartialIndex(
                name="durable_run_schedule", fields=["schedule_name", "created_at"], where=Q(schedule_name__isnull=False)
            ),
        ]  # fmt: skip

    def __str__(self) -> str:
        return f"{self.name} {self.id}"

    @property
    def is_terminal(self) -> bool:
        """Whether the run came to an end."""
        return self.status in TERMINAL

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Refused: a run's row is written by the statements of ``models``, each a compare-and-set."""
        raise TypeError("A WorkflowRun is not saved as an object: use start_workflow(), cancel_workflow() and their like.")

    def delete(self, using: str | None = None, keep_parents: bool = False) -> Counts:
        """Delete a finished run with its history. Raises ``InvalidUse`` if it has not come to an end."""
        return delete_finished(WorkflowRun.objects.using(using or self._state.db).filter(pk=self.pk))
