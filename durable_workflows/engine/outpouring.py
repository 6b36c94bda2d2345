"""
What a step writes to a stream, before it is done.

Inside the step's transaction nobody would see a value until the commit. So it is written by a transaction beside it, on
another connection, at once. Where there is no other connection that could, the value joins the step's transaction: on
SQLite, which has one writer, and in a ``TestCase``, whose rows nobody else sees.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from durable_workflows.engine.operations import Operation, database
from durable_workflows.engine.services import persistently
from durable_workflows.exceptions import InvalidUse, LeaseLost, StreamTimeout
from durable_workflows.ids import new_token
from durable_workflows.models import streaming
from durable_workflows.models.streaming import Entry
from durable_workflows.models.transactions import in_write_transaction, on_commit
from durable_workflows.serializers import loads


def write(operation: Operation, key: str, payload: str) -> None:
    """Append a value to a stream of a step's run."""
    claim, loose = operation.execution.claim, operation.loose
    if key in loose.closing:
        raise InvalidUse(f"The stream {key!r} of run {claim.id!r} is closed. Write before you close it.")
    entry = Entry(
        run_id=claim.id, generation=claim.generation, place=operation.place, key=key, value=payload, attempt=loose.attempt,
        token=new_token(),
    )  # fmt: skip
    alone = not (database().vendor == "sqlite" and database().in_atomic_block)
    if alone and operation.execution.others_see_it():
        _write_beside(operation, entry)
        return
    in_write_transaction(streaming.append, entry)
    on_commit(lambda: operation.execution.services.ring(claim.id), using=database().alias)


def _write_beside(operation: Operation, entry: Entry) -> None:
    execution, loose = operation.execution, operation.loose
    append = _Append(entry, execution.claim.token, execution.undoing)

    def work() -> tuple[bool, bool]:
        return persistently(lambda: in_write_transaction(append), execution.services, lambda: LeaseLost(execution.claim.id))

    try:
        written, woken = execution.services.aside(work) if database().in_atomic_block else work()
    except LeaseLost as lost:
        execution.stop(lost)
    if not written:
        execution.refused()
    loose.beside = True
    execution.services.ring(entry.run_id)
    if not woken:
        loose.unwoken.add(entry.key)


class _Append:
    """A transaction that can be repeated when its COMMIT got no reply: then it looks first whether it was carried out."""

    def __init__(self, entry: Entry, lease: str, undoing: bool) -> None:
        self.entry = entry
        self.lease = lease
        self.undoing = undoing
        self.tried = False

    def __call__(self, connection: BaseDatabaseWrapper) -> tuple[bool, bool]:
        again, self.tried = self.tried, True
        return streaming.append_beside(connection, self.entry, self.lease, again, undoing=self.undoing)


def there_now(source: tuple[str, str], offset: int) -> Iterator[Any]:
    """The values that a stream has by now."""
    run_id, key = source
    while True:
        batch = streaming.read(database(), run_id, key, offset)
        for payload in batch.values:
            yield loads(payload, what=f"value {offset} of stream {key!r} of {run_id!r}")
            offset += 1
        if batch.over:
            return
        if not batch.values:
            raise StreamTimeout(run_id, key, offset, 0.0)
