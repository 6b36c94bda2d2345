"""A worker without threads: what is ready is run here, on this thread's connection."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from django.db.backends.base.base import BaseDatabaseWrapper

from durable_workflows import registry
from durable_workflows.conf import config
from durable_workflows.engine.runner import run_claimed
from durable_workflows.engine.services import PlainServices
from durable_workflows.exceptions import InvalidUse
from durable_workflows.ids import new_token
from durable_workflows.models import claims, dialects, places, slots, sweeps
from durable_workflows.models.claims import Claim, Claimer
from durable_workflows.models.rules import FREE, Rules, read_rules
from durable_workflows.models.taking import Want
from durable_workflows.models.transactions import in_write_transaction, refuse_atomic, repeated
from durable_workflows.worker import Options, scheduling, serving
from durable_workflows.worker.local import LOCAL

T = TypeVar("T")


def drain(*, queues: Sequence[str] = ()) -> int:
    """
    Run everything that is ready, here, until nothing is: enqueued runs, what they start and wake, due sleeps and ticks.

    Runs that wait for a message, a later moment or an operator are left waiting; ``travel`` brings the moment on. It
    works inside a ``TestCase``'s transaction. A run that fails is recorded, and raises nothing here.

    :param queues: serve these only; empty: all that this process declares.
    :returns: how many attempts of runs were executed; one that was suspended and woken counts again.
    :raises InvalidUse: inside ``atomic()``, whose rollback would undo what the runs recorded.
    """
    refuse_atomic(dialects.connection(), "drain() was called", _inside_atomic)
    scheduling.declare()
    serving.declare(Options(queues=tuple(queues)).served())
    executed = 0
    try:
        while claimed := _claim(queues) or _claim_after_sweeping(queues):
            run_claimed(claimed, _HERE)
            executed += 1
    finally:
        LOCAL.aside.close()  # its connections would be in the way when the test database is dropped
    return executed


def _inside_atomic(doing: str) -> InvalidUse:
    return InvalidUse(f"{doing} inside atomic(), whose rollback would undo what the runs record. Call it after the block.")


class _Here(PlainServices):
    """There is one thread, so a wait never keeps it."""

    def may_park(self) -> bool:
        return False

    def aside(self, work: Callable[[], T]) -> T:
        return LOCAL.aside.do(work)


_HERE = _Here()


def _claim_after_sweeping(queues: Sequence[str]) -> Claim | None:
    """Nothing is enqueued: do a worker's other duties, and look again; runs that must run alone come last."""
    for duty in _DUTIES:
        while duty():
            pass
    return _claim(queues) or _claim(queues, suspects=True)


def _claim(queues: Sequence[str], suspects: bool = False) -> Claim | None:
    connection = dialects.connection()
    served = Options(queues=tuple(queues)).served()
    waiting = places.queues_with_suspects(connection, served) if suspects else claims.busy_queues(connection, served)
    known = read_rules(connection) if waiting else {}
    for queue in waiting:
        want = Want(queue=queue, limit=1, suspects=suspects)
        if taken := repeated(lambda: _take(connection, want, known.get(queue, FREE))):  # noqa: B023  # called at once
            return taken[0]
    return None


def _take(connection: BaseDatabaseWrapper, want: Want, rules: Rules) -> list[Claim]:
    me = Claimer(worker_id=f"drain-{new_token()}", names=tuple(registry.names()), app_version=config().app_version)
    return slots.take(connection, me, want, rules, new_token()).claims


_DUTIES: tuple[Callable[[], int], ...] = (
    lambda: in_write_transaction(sweeps.cancel_overdue),
    lambda: in_write_transaction(sweeps.wake_due),
    lambda: in_write_transaction(sweeps.wake_answered, True),
    scheduling.fire_due,
)
