"""What an operator does to runs: cancel and resume, each all or nothing."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Case, F, QuerySet, Value, When

from durable_workflows import signals
from durable_workflows.exceptions import WorkflowNotFound
from durable_workflows.models import presence
from durable_workflows.models.dialects import DatabaseNow
from durable_workflows.models.runs import Saga, Stranded, Turn, WorkflowRun
from durable_workflows.models.steps import Kind
from durable_workflows.models.waking import lock, wake
from durable_workflows.states import UNFINISHED, RunState

# Whatever a run was, once it ends without an outcome it holds nothing any more.
RELEASED: dict[str, Any] = {"worker_id": None, "lease_token": None, "deduplication_lock": None, "due_at": None}
LEASED = (RunState.RUNNING, RunState.CANCELLING)
RESUMABLE = sorted((UNFINISHED - {*LEASED}) | {RunState.CANCELLED, RunState.MAX_RECOVERY_ATTEMPTS_EXCEEDED})


def cancel(connection: BaseDatabaseWrapper, run_ids: Sequence[str], *, children: bool = False) -> int:
    """
    Cancel unfinished runs, once their open sagas are undone; the finished stay as they are.

    :param children: also their unfinished children, and theirs.
    :raises WorkflowNotFound: if an id is unknown; nothing is changed then.
    """
    locked = lock(connection, run_ids)
    require(run_ids, locked)
    family = with_children(connection, locked) if children else locked
    return stop(connection, sorted(family), RunState.CANCELLED)


def stop(connection: BaseDatabaseWrapper, run_ids: Sequence[str], status: RunState, note: str | None = None) -> int:
    """
    End runs without an outcome of their own, tell so at commit, and wake whoever awaits them.

    A run that is to be cancelled and has a saga open is left to a worker, who runs its undo steps first; it is then that it
    ends. One that was cancelled before and is still at it goes on with that.

    What they have begun to wait for stays, so that a sleep or a timeout keeps its moment if they are resumed. It wakes
    nobody meanwhile: only runs that are WAITING are woken.
    """
    runs = WorkflowRun.objects.using(connection.alias)
    unfinished = runs.filter(pk__in=run_ids, status__in=UNFINISHED).order_by("pk")
    if connection.features.has_select_for_update:
        # Whoever tells of an end must be the one who brought it about; a plain SELECT may look at an old snapshot.
        unfinished = unfinished.select_for_update()
    found = list(unfinished.values_list("pk", "name", "status", "saga"))
    to_undo = {row for row in found if status == RunState.CANCELLED and row[3] in (Saga.OPEN, Saga.CANCELLED)}
    names = {row[0]: row[1] for row in found if row not in to_undo}
    asked = _have_undone(connection, to_undo, note) if to_undo else 0
    stopped = runs.filter(pk__in=names).update(
        status=status, note=note, completed_at=DatabaseNow(), updated_at=DatabaseNow(), **RELEASED
    )
    for run_id, name in names.items():
        facts: dict[str, Any] = {"run_id": run_id, "name": name, "status": status, "error": None, "note": note}
        signals.at_commit(signals.run_finished, connection.alias, **facts)
    if stopped:
        wake(connection, Kind.RESULT, [*names])
        signals.at_commit(signals.claimable, connection.alias)  # a place in a queue may be free
    return stopped + asked


def _have_undone(connection: BaseDatabaseWrapper, found: Collection[tuple[str, str, str, str]], note: str | None) -> int:
    """
    Cancel locked runs that have a saga open: what is leased learns of it at its next durable call, the others are claimed.

    They have no deadline any more, which would cancel them again and again. They wait for their turn in their queue, and keep
    a place that they have: limits are there for undo steps, too.
    """
    runs = WorkflowRun.objects.using(connection.alias)
    runs.filter(pk__in=[pk for pk, *_ in found]).update(deadline=None, timeout_seconds=None)
    fresh = [(pk, status) for pk, _, status, saga in found if saga == Saga.OPEN]
    asked = {"saga": Saga.CANCELLED, "note": note or _ASKED, "updated_at": DatabaseNow()}
    runs.filter(pk__in=[pk for pk, status in fresh if status in LEASED]).update(status=RunState.CANCELLING, **asked)
    asked |= {"worker_id": None, "lease_token": None}  # a paused one's last record is not waited for
    others = runs.filter(pk__in=[pk for pk, status in fresh if status not in LEASED])
    if others.update(status=RunState.ENQUEUED, turn=Turn.BEGUN, due_at=None, **asked):
        signals.at_commit(signals.claimable, connection.alias)
    return len(fresh)


_ASKED = "It was cancelled."


def resume(
    connection: BaseDatabaseWrapper,
    run_ids: Sequence[str],
    *,
    queue: str | None = None,
    deadline: datetime | None = None,
    turn: Turn = Turn.AHEAD,
) -> int:
    """
    Let unfinished, cancelled or dead runs go on now; running and finished ones stay as they are.

    A paused one whose call is under way goes on where it is, see ``leave_to_workers``, and in the queue where it is.

    A run that was cancelled with a saga open goes on undoing, and when that is done it stays as it is: what its history says
    was undone.

    :param queue: move them to this queue.
    :param deadline: cancel them at this moment; None: their old one is cleared.
    :param turn: what they go before in their queue: of an operator's few even its limits.
    :raises WorkflowNotFound: if an id is unknown; nothing is changed then.
    """
    require(run_ids, lock(connection, run_ids))
    signals.at_commit(signals.claimable, connection.alias)
    afresh: dict[str, Any] = {"deadline": deadline, "timeout_seconds": None, "recovery_attempts": 0, "stalled": 0}
    left = leave_to_workers(connection, run_ids, suspect=False, **afresh)
    moved: dict[str, Any] = {}
    if queue is not None:  # an id and a key are one queue's; the key comes first: MySQL would compare with the new queue
        same_key = Case(When(queue=queue, then=F("partition_key")), default=Value(""))
        moved = {"partition_key": same_key, "queue": queue, "deduplication_lock": None}
    resumable = WorkflowRun.objects.using(connection.alias).filter(pk__in=run_ids, status__in=RESUMABLE)
    resumable = resumable.exclude(status=RunState.CANCELLED, saga=Saga.CANCELLED)
    return left + go_on(resumable, turn=turn, deadline=deadline, **moved)


def leave_to_workers(connection: BaseDatabaseWrapper, run_ids: Sequence[str], **columns: Any) -> int:
    """
    Have locked paused runs go on in the attempt that they were paused in, where its call is still under way.

    The row of such a run has kept worker and token. Were it enqueued, the same call would be made at the same time by
    another worker. One whose worker is not alive any more is left as it is. If the attempt ended meanwhile and could not say
    so, its worker finds a run that it does not know, and hands it back.
    """
    under_way = WorkflowRun.objects.using(connection.alias).filter(pk__in=run_ids, status=RunState.PAUSED)
    alive = [worker.pk for worker in presence.alive(connection)]
    held = under_way.filter(lease_token__isnull=False, worker_id__in=alive)
    return held.update(status=RunState.RUNNING, updated_at=DatabaseNow(), **columns)


def go_on(runs: QuerySet[WorkflowRun], **columns: Any) -> int:
    """Have locked runs that nobody executes go on, with these columns besides; what ended or stopped them is over."""
    return runs.update(**{
        "status": RunState.ENQUEUED, "stranded": Stranded.NO, "suspect": False, "note": None, "holds_slot": False,
        "deadline": None, "timeout_seconds": None, "recovery_attempts": 0, "stalled": 0, "completed_at": None, "due_at": None,
        "worker_id": None, "lease_token": None, "updated_at": DatabaseNow(), **columns,
    })  # fmt: skip


def require(run_ids: Sequence[str], known: set[str]) -> None:
    """Raise ``WorkflowNotFound`` for the first id that is unknown."""
    for run_id in run_ids:
        if run_id not in known:
            raise WorkflowNotFound(run_id)


def with_children(connection: BaseDatabaseWrapper, run_ids: set[str]) -> set[str]:
    """The ids of these runs, of their children, and theirs."""
    family, generation = set(run_ids), set(run_ids)
    while generation:
        born: QuerySet[WorkflowRun, Any] = WorkflowRun.objects.using(connection.alias).filter(parent_id__in=generation)
        generation = set(born.values_list("pk", flat=True)) - family
        family |= generation
    return family


def strand(connection: BaseDatabaseWrapper, run_id: str, token: str, reason: Stranded, note: str) -> bool:
    """Have a run that cannot go on here wait visibly: enqueued, but claimable by nobody until it is resumed."""
    mine = WorkflowRun.objects.using(connection.alias).filter(pk=run_id, status__in=LEASED, lease_token=token)
    return bool(mine.update(status=RunState.ENQUEUED, stranded=reason, note=note, worker_id=None, lease_token=None,
                            updated_at=DatabaseNow()))  # fmt: skip


def hand_back_forgotten(connection: BaseDatabaseWrapper, run_id: str, token: str) -> bool:
    """Make a run claimable again whose own worker has forgotten it; its token is void from now on."""
    held = WorkflowRun.objects.using(connection.alias).filter(pk=run_id, status__in=LEASED, lease_token=token)
    # A heart that waited for a row would not beat meanwhile. Whoever holds it is writing to the run: it is asked again.
    locked = held.select_for_update(skip_locked=True).values_list("pk", flat=True)
    if connection.features.has_select_for_update_skip_locked and not locked:
        return False
    given = held.update(status=RunState.ENQUEUED, worker_id=None, lease_token=None, updated_at=DatabaseNow())
    if given:
        signals.at_commit(signals.claimable, connection.alias)
    return bool(given)
