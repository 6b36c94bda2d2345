"""A failed attempt of a step as a row, so that retries survive a crash."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import IntegrityError
from django.db.backends.base.base import BaseDatabaseWrapper

from durable_workflows.models import dialects
from durable_workflows.models.checkpoints import AlreadyRecorded, Checkpoint, RecordedLast
from durable_workflows.models.dialects import DatabaseNow
from durable_workflows.models.runs import WorkflowRun
from durable_workflows.models.steps import StepAttempt

RUNS = WorkflowRun._meta.db_table


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """
    How an attempt failed.

    :param step: the place and the fence, as a checkpoint has them; its ``error`` is the payload.
    :param retry_in: seconds until the next attempt; None: there is none.
    """

    step: Checkpoint
    generation: int
    attempt: int
    retry_in: float | None


def record_failure(connection: BaseDatabaseWrapper, failure: Failure) -> bool:
    """
    Append the attempt, in the open transaction; false when fenced off.

    An attempt of a step that was under way when its run was paused counts, too. With its last one comes the step's checkpoint.

    :raises AlreadyRecorded: if another owner has recorded an attempt of this number.
    :raises RecordedLast: if it was written, and nothing follows, since the run was paused meanwhile.
    """
    step = failure.step
    passed = _pass(connection, failure)
    if passed is None:
        return False
    try:
        StepAttempt.objects.using(connection.alias).create(
            run_id=step.run_id, generation=failure.generation, branch=step.branch, position=step.position, name=step.name,
            attempt=failure.attempt, error=step.error or "", started_at=DatabaseNow(-step.seconds or -1e-6),
            ended_at=DatabaseNow(), retry_at=None if failure.retry_in is None else DatabaseNow(failure.retry_in),
        )  # fmt: skip
    except IntegrityError as error:
        raise AlreadyRecorded(f"attempt {failure.attempt} of {step.name} is recorded") from error
    if passed == PAUSED and failure.retry_in is not None:
        raise RecordedLast
    return True


def _pass(connection: BaseDatabaseWrapper, failure: Failure) -> str | None:
    """Lock the run's row if it is this attempt's, and tell as what; None: it is not."""
    running = "status IN ('RUNNING', 'CANCELLING')" if failure.step.undoing else "status = 'RUNNING'"
    use_up = _STAYS if failure.retry_in is None else "lease_token = NULL, worker_id = NULL"
    # It may be made to go on between the two, and be found neither running nor paused.
    for status, change in [(running, _STAYS), (PAUSED, use_up), (running, _STAYS)]:
        sql = f"UPDATE {RUNS} SET {change} WHERE id = %s AND {status} AND lease_token = %s"
        if dialects.run(connection, sql, [failure.step.run_id, failure.step.token]).rowcount:
            return status
    return None


PAUSED, _STAYS = "status = 'PAUSED'", "generation = generation"
