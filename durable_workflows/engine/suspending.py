"""Giving a run's thread and lease back, once its body is unwound."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db.backends.base.base import BaseDatabaseWrapper

from durable_workflows import signals
from durable_workflows.engine.services import persistently
from durable_workflows.exceptions import LeaseLost
from durable_workflows.models import claims, correspondence, reading, streaming, waking
from durable_workflows.models.steps import Kind
from durable_workflows.models.transactions import in_autocommit, in_write_transaction
from durable_workflows.models.waking import WaitFor

if TYPE_CHECKING:
    from durable_workflows.engine.execution import Execution


ENDING = (Kind.RESULT, Kind.FIRST, Kind.STREAM)  # waits that are over when their source has ended


def suspend(execution: Execution) -> None:
    """Make the run WAITING, unless what it waits for has come meanwhile: then it is handed back to go on at once."""

    def sleep_unless_answered(connection: BaseDatabaseWrapper) -> bool:
        _lock_sources(connection, execution.waiting_for)
        answered = [wait for wait in execution.waiting_for if wait.decisive and _answered(connection, wait)]
        if any(not wait.debounce for wait in answered):
            return False
        waking.suspend(connection, claim, execution.waiting_for, fan_in=execution.fan_in, begun=begun,
                       undoing=execution.undoing)  # fmt: skip
        for wait in answered:  # the wake-up is put off all the same
            waking.wake(connection, wait.kind, [wait.source_id or ""], wait.key)
        return True

    claim, services, begun = execution.claim, execution.services, _begun(execution)
    try:
        # Not by the execution's own means: it is stopped, and answers everything by saying so again.
        asleep = persistently(lambda: in_write_transaction(sleep_unless_answered), services, lambda: LeaseLost(claim.id))
        if not asleep:
            persistently(lambda: in_autocommit(claims.hand_back, [claim]), services)
    except LeaseLost:
        if services.holds_lease():  # it may have been cancelled meanwhile, with a saga open: it is to undo now
            persistently(lambda: in_autocommit(claims.hand_back, [claim]), services)
        return
    if asleep:
        signals.send(signals.run_suspended, run_id=claim.id, name=claim.name)


def _begun(execution: Execution) -> waking.Begun:
    """What an earlier attempt has begun to wait for at this place; the attempt knows it, since it asked how much is left."""
    first = execution.waiting_for[0]
    waiting = execution.waits.get((first.branch, first.position))
    return waiting.begun if waiting else frozenset()


def _lock_sources(connection: BaseDatabaseWrapper, waits: list[WaitFor]) -> None:
    """Sources before the waiter, several in the order of their ids, and runs before streams; see ``models.waking``."""
    ending = {wait.source_id for wait in waits if wait.kind in ENDING}
    for source_id in sorted({wait.source_id for wait in waits if wait.source_id}):
        (waking.await_results_of if source_id in ending else waking.lock)(connection, [source_id])
    streaming.lock_streams(connection, [(wait.source_id or "", wait.key) for wait in waits if wait.kind == Kind.STREAM])


def _answered(connection: BaseDatabaseWrapper, wait: WaitFor) -> bool:
    if wait.source_id is None:
        return False
    if wait.kind == Kind.RECV:
        return correspondence.oldest(connection, wait.source_id, wait.key) is not None
    if wait.kind == Kind.GET_EVENT:
        return correspondence.latest(connection, wait.source_id, wait.key) is not None
    if wait.kind == Kind.STREAM:
        return streaming.is_answered(connection, wait.source_id, wait.key, wait.from_offset)
    outcome = reading.outcomes(connection, [wait.source_id]).get(wait.source_id)
    return outcome is not None and outcome.final
