"""A failed attempt of a step as a row, so that retries survive a crash."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import IntegrityError
from django.db.backends.base.base import BaseDatabaseWrapper

from durable_workflows.models import dialects
from durable_workflows.models.checkpoints import AlreadyRecorded, Checkpoint
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

    :raises AlreadyRecorded: if another owner has recorded an attempt of this number.
    """
    step = failure.step
    status = "IN ('RUNNING', 'CANCELLING')" if step.undoing else "= 'RUNNING'"
    sql = f"UPDATE {RUNS} SET generation = generation WHERE id = %s AND status {status} AND lease_token = %s"
    if not dialects.run(connection, sql, [step.run_id, step.token]).rowcount:
        return False
    try:
        StepAttempt.objects.using(connection.alias).create(
            run_id=step.run_id, generation=failure.generation, branch=step.branch, position=step.position, name=step.name,
            attempt=failure.attempt, error=step.error or "", started_at=DatabaseNow(-step.seconds or -1e-6),
            ended_at=DatabaseNow(), retry_at=None if failure.retry_in is None else DatabaseNow(failure.retry_in),
        )  # fmt: skip
    except IntegrityError as error:
        raise AlreadyRecorded(f"attempt {failure.attempt} of {step.name} is recorded") from error
    return True
