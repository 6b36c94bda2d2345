"""Beginning a run anew: the next generation of its history, and what is forgotten of the former ones. See ``rewinding``."""

from __future__ import annotations

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Count, Max, QuerySet

from durable_workflows.models import reading
from durable_workflows.models.claims import Claim
from durable_workflows.models.dialects import DatabaseNow
from durable_workflows.models.events import Event
from durable_workflows.models.messages import Message
from durable_workflows.models.runs import Saga, WorkflowRun
from durable_workflows.models.steps import StepAttempt, StepRun
from durable_workflows.models.waits import Wait
from durable_workflows.states import RunState


def begin(connection: BaseDatabaseWrapper, claim: Claim, inputs: str, *, token: str) -> bool:
    """
    Begin the next generation of a run, in the open transaction, and forget the former ones.

    It goes on under the same worker's lease, with a new token. Its count of lost workers in a row begins anew, since a turn
    that came to its end is progress. Repeating it after a lost reply is safe, and answers true.

    :returns: false if the run is no longer this attempt's.
    """
    mine = WorkflowRun.objects.using(connection.alias).filter(
        pk=claim.id, status=RunState.RUNNING, lease_token=claim.token, generation=claim.generation
    )
    begun = mine.update(
        generation=claim.generation + 1, inputs=inputs, lease_token=token, attempt=1, fan_in=0, saga=Saga.NONE,
        progress_mark=0, stalled=0, suspect=False, retry_step=None, updated_at=DatabaseNow(),
    )  # fmt: skip
    if not begun:
        return reading.holds(connection, claim.id, token)
    _forget(connection, claim)
    return True


def _forget(connection: BaseDatabaseWrapper, claim: Claim) -> None:
    """Delete the recorded steps and waits, and what nobody can ask for any more of messages and events."""
    for model in (StepRun, StepAttempt, Wait):
        rows: QuerySet[StepRun | StepAttempt | Wait] = QuerySet(model, using=connection.alias)
        rows.filter(run_id=claim.id, generation__lte=claim.generation).delete()
    # A message with an idempotency key stays, received or not: it is what makes a second delivery do nothing.
    received = Message.objects.using(connection.alias).filter(run_id=claim.id, consumed_at__isnull=False)
    received.filter(idempotency_key__isnull=True).delete()
    received.update(consumed_branch=None, consumed_position=None)  # a place of the next history is another one
    events = Event.objects.using(connection.alias).filter(run_id=claim.id)
    for key, latest, number in events.values_list("key").annotate(Max("pk"), Count("pk")):
        if number > 1:
            events.filter(key=key, pk__lt=latest).delete()
