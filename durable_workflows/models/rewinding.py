"""
Rewinding a run, and trying a failed one again: its history is cut, and what is kept becomes its next generation.

Under the lock of the run's row its lease is void, so whoever held it is refused at every write from then on; ``histories``
says what becomes of one that is under way. The generation is compared and set: a rewind that is repeated because the reply
to its COMMIT was lost finds another one, and leaves the run as it is.

A rewind does things again, and its steps have other idempotency keys. A retry goes on: the step that failed has its old
key, since what it asked for may have happened although it failed. Its own children that failed, and so made it fail, are
tried again, too, where they are: what succeeded in them is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import F

from durable_workflows import signals
from durable_workflows.exceptions import InvalidUse
from durable_workflows.models import histories
from durable_workflows.models.histories import Cut
from durable_workflows.models.runs import Saga, Turn, WorkflowRun
from durable_workflows.models.steering import go_on, require, resume
from durable_workflows.models.steps import Kind, StepRun
from durable_workflows.models.waking import lock
from durable_workflows.serializers import origin_of
from durable_workflows.states import FINISHED, UNFINISHED, RunState

Known = dict[str, int]  # the generations that runs had when they were first looked at
# What a history that is over has left in the run's row.
FORGOTTEN: dict[str, Any] = {
    "worker_id": None, "lease_token": None, "session": None, "output": None, "error": None, "fan_in": 0,
}  # fmt: skip
NO_PROGRESS: dict[str, Any] = {"progress_done": None, "progress_total": None, "progress_text": None}
GIVEN_UP = (RunState.CANCELLED, RunState.MAX_RECOVERY_ATTEMPTS_EXCEEDED)


def rewind(connection: BaseDatabaseWrapper, run_ids: Sequence[str], *, start_step: int, known: Known) -> int:
    """
    Have runs go on with this step, which they do again with all that followed.

    :raises WorkflowNotFound: if an id is unknown; nothing is changed then.
    :raises InvalidUse: if a run is being undone; likewise.
    """
    require(run_ids, lock(connection, run_ids))
    rewound = 0
    for run in _unchanged(connection, run_ids, known):
        if run.saga == Saga.CANCELLED and run.status in UNFINISHED:
            raise InvalidUse(
                f"Run {run.pk!r} was cancelled, and its undo steps are still running: to rewind it now would leave half of what"
                " it did undone. Wait until it is CANCELLED."
            )
        closed = histories.close(connection, run) if _may_be_written(run) else None
        cut = histories.cut_before(connection, run, start_step)
        _begin_again(connection, run, cut, closed, retry_step=None, **NO_PROGRESS)
        rewound += 1
    return rewound


def _may_be_written(run: WorkflowRun) -> bool:
    """
    Whether a transaction of an owner may be under way that is past its fence.

    Not only a leased run's: it may have been paused, cancelled or handed back a moment ago. But an owner that has ended it
    had nothing else under way.
    """
    return run.attempt > 0 and run.status not in FINISHED


def retry(connection: BaseDatabaseWrapper, run_ids: Sequence[str], *, known: Known) -> int:
    """
    Have failed runs go on with the step that failed, and given-up and cancelled ones as ``resume`` does; leave the others.

    :raises WorkflowNotFound: if an id is unknown; nothing is changed then.
    """
    require(run_ids, lock(connection, run_ids))
    runs = _unchanged(connection, run_ids, known)
    given_up = [run.pk for run in runs if run.status in GIVEN_UP]
    tried = resume(connection, given_up, turn=Turn.BEGUN) if given_up else 0
    for run in runs:
        if run.status == RunState.ERROR:
            tried += 1 + _retry_failed(connection, run, known)
    return tried


def _unchanged(connection: BaseDatabaseWrapper, run_ids: Iterable[str], known: Known) -> list[WorkflowRun]:
    """These runs, which are locked, without those whose history was begun anew since they were first looked at."""
    rows = WorkflowRun.objects.using(connection.alias).filter(pk__in=run_ids).order_by("pk")
    return [
        run
        for run in histories.present(connection, rows.defer("inputs", "output", "attributes"))
        if known.setdefault(run.pk, run.generation) == run.generation
    ]


def _retry_failed(connection: BaseDatabaseWrapper, run: WorkflowRun, known: Known) -> int:
    """Cut what led to a run's failure; returns how many of its children are tried again for it."""
    origin = origin_of(run.error or "")
    cut = histories.cut_before(connection, run, histories.END if origin is None else origin.step)
    children = _failed_children(connection, cut)
    # What was undone is done anew: under its old key, a charge that was refunded would be taken for this one.
    same = None if origin is not None and origin.undone else cut.before
    first = run.retry_generation if same is not None and same == run.retry_step else run.generation
    _begin_again(connection, run, cut, None, retry_step=same, retry_generation=first, tries=F("tries") + 1)
    return retry(connection, children, known=known) if children else 0


def _failed_children(connection: BaseDatabaseWrapper, cut: Cut) -> list[str]:
    """Whose failure the step was at which the history is cut, if that was a child's own run."""
    steps = StepRun.objects.using(connection.alias).filter(run_id=cut.run_id, generation=cut.generation, kind=Kind.RESULT)
    failed = steps.filter(branch="", position=cut.before, error__isnull=False).values_list("child_id", flat=True)
    children = WorkflowRun.objects.using(connection.alias).filter(pk__in=list(failed), parent_id=cut.run_id)
    return list(children.values_list("pk", flat=True))


def _begin_again(connection: BaseDatabaseWrapper, run: WorkflowRun, cut: Cut, closed: int | None, **columns: Any) -> None:
    histories.go_back(connection, cut, closed)
    runs = WorkflowRun.objects.using(connection.alias).filter(pk=run.pk, generation=run.generation)
    go_on(
        runs, generation=F("generation") + 1, turn=Turn.BEGUN if run.attempt else Turn.NEW, saga=saga_of(run, cut),
        progress_mark=cut.before - 1, **FORGOTTEN, **columns,
    )  # fmt: skip
    signals.at_commit(signals.claimable, connection.alias)


def saga_of(run: WorkflowRun, cut: Cut) -> Saga:
    """
    How a run stands with its sagas that has this history.

    Where one begins and ends is not recorded. If it had one, and something is kept, that may be what is to be undone: it is
    left to a replay to find out, which the run gets before it is cancelled if one is said to be open.
    """
    return Saga.OPEN if run.saga != Saga.NONE and cut.keeps_some() else Saga.NONE
