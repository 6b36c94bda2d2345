"""
What an attempt writes about its sagas: that one is open, that it has begun to undo, that it is done and cancelled.

Each is one fenced UPDATE of the run's row. That a saga is open is written before the first call in its block takes effect,
so that whoever cancels the run from then on leaves it to a worker to undo; see ``models.steering``.
"""

from __future__ import annotations

from django.db.backends.base.base import BaseDatabaseWrapper

from durable_workflows import signals
from durable_workflows.models import dialects
from durable_workflows.models.claims import Claim
from durable_workflows.models.dialects import DatabaseNow
from durable_workflows.models.runs import Saga, WorkflowRun
from durable_workflows.models.steering import LEASED, RELEASED
from durable_workflows.models.steps import Kind
from durable_workflows.models.waking import wake
from durable_workflows.states import RunState

RUNS = WorkflowRun._meta.db_table


def tell(connection: BaseDatabaseWrapper, claim: Claim, saga: Saga) -> bool:
    """Note whether a saga is open; false if the run is no longer this attempt's, or was cancelled."""
    sql = f"UPDATE {RUNS} SET saga = %s WHERE id = %s AND status = 'RUNNING' AND lease_token = %s"
    return bool(dialects.run(connection, sql, [saga.value, claim.id, claim.token]).rowcount)


def begin(connection: BaseDatabaseWrapper, claim: Claim) -> bool:
    """Have a claimed run do nothing but undo, since it was cancelled; false if it is no longer this attempt's."""
    mine = WorkflowRun.objects.using(connection.alias).filter(pk=claim.id, status__in=LEASED, lease_token=claim.token)
    return bool(mine.update(status=RunState.CANCELLING, saga=Saga.CANCELLED, updated_at=DatabaseNow()))


def end(connection: BaseDatabaseWrapper, claim: Claim, *, undone: bool, failures: str) -> bool:
    """
    End a run whose undo steps have run, and wake whoever awaits it, in the open transaction.

    :param undone: whether its history says that it was cancelled; it cannot be resumed then.
    :param failures: what to add to its note.
    """
    mine = WorkflowRun.objects.using(connection.alias).filter(pk=claim.id, lease_token=claim.token)
    note = mine.filter(status=RunState.CANCELLING).values_list("note", flat=True).first()
    told = " ".join(filter(None, [note, failures])) or None
    ended = mine.filter(status=RunState.CANCELLING).update(
        status=RunState.CANCELLED, saga=Saga.CANCELLED if undone else Saga.CLOSED, note=told,
        completed_at=DatabaseNow(), updated_at=DatabaseNow(), **RELEASED,
    )  # fmt: skip
    if ended:
        wake(connection, Kind.RESULT, [claim.id])
        facts = {"run_id": claim.id, "name": claim.name, "status": RunState.CANCELLED, "error": None, "note": told}
        signals.at_commit(signals.run_finished, connection.alias, **facts)
    return bool(ended)
