"""
Streams as statements: appending, closing, reading.

Offsets are dense and unique: each writer locks the stream's row, looks at the last entry in a new statement, and appends
the next. The lock is that of a wait, too (``models.waking``): a reader locks the stream, sees that there is nothing, and
leaves its ``Wait``; the writer locks it, appends, and finds the ``Wait``. It is not the run's row, since a value of a step
is written by another transaction beside the step's own, which may hold that one: they would wait for each other, and no
database could tell. A reader also waits for the run's end, and locks that row as well, before the stream's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Exists, Q

from durable_workflows.exceptions import InvalidUse, WorkflowNotFound
from durable_workflows.models import dialects, reading
from durable_workflows.models.dialects import DatabaseNow
from durable_workflows.models.runs import WorkflowRun
from durable_workflows.models.steps import Kind
from durable_workflows.models.streams import Stream, StreamEntry
from durable_workflows.models.waking import lock, wake, wake_free
from durable_workflows.states import TERMINAL

BATCH = 100
LOCK_SECONDS = 10
STREAMS = Stream._meta.db_table


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """
    A value on its way to its stream.

    :param value: its payload; None closes the stream.
    :param token: its name, by which it is found again after a lost reply.
    """

    run_id: str
    generation: int
    place: tuple[str, int]
    key: str
    value: str | None = None
    attempt: int = 1
    token: str | None = None


def append(connection: BaseDatabaseWrapper, entry: Entry) -> None:
    """
    Append a value in a transaction that is the writer's own, and wake who waits for it.

    :raises InvalidUse: if the stream is closed.
    """
    lock(connection, [entry.run_id])  # as its readers do, before the stream: the fence may want that row later
    _lock(connection, entry.run_id, entry.key)
    wake(connection, Kind.STREAM, [entry.run_id], entry.key, offset=_append(connection, entry))


def close(connection: BaseDatabaseWrapper, entry: Entry) -> None:
    """Close a stream and wake all who wait for it; one that is closed stays as it is."""
    lock(connection, [entry.run_id])
    _lock(connection, entry.run_id, entry.key)
    last = _last(connection, entry.run_id, entry.key)
    if last is None or not last[1]:
        _insert(connection, entry, offset=0 if last is None else last[0] + 1)
        wake(connection, Kind.STREAM, [entry.run_id], entry.key)


def append_beside(
    connection: BaseDatabaseWrapper, entry: Entry, lease: str, again: bool, *, undoing: bool = False
) -> tuple[bool, bool]:
    """
    Append a value of a step in a transaction beside the step's own, which it must not wait for.

    :param lease: the token of the attempt, which must still hold the run.
    :param again: whether it was tried before, and may be there although no reply said so.
    :returns: whether the value is written, and whether all who wait for it could be woken; see ``waking.wake_free``.
    :raises InvalidUse: if the stream is closed.
    """
    _lock(connection, entry.run_id, entry.key, LOCK_SECONDS)  # before any SELECT, whose snapshot would be older
    if again and _is_written(connection, entry):
        return True, False
    if not (reading.may_undo if undoing else reading.holds)(connection, entry.run_id, lease):
        return False, True
    return True, wake_free(connection, Kind.STREAM, entry.run_id, entry.key, offset=_append(connection, entry))


def _append(connection: BaseDatabaseWrapper, entry: Entry) -> int:
    """Write a value to a stream that is locked, and return its offset."""
    last = _last(connection, entry.run_id, entry.key)
    if last is not None and last[1]:
        raise InvalidUse(f"The stream {entry.key!r} of run {entry.run_id!r} is closed. Write to a stream of another key.")
    offset = 0 if last is None else last[0] + 1
    _insert(connection, entry, offset)
    return offset


def wake_readers(connection: BaseDatabaseWrapper, run_id: str, key: str) -> None:
    """Wake who waits for a value that is there."""
    if last := _last(connection, run_id, key):
        wake(connection, Kind.STREAM, [run_id], key, offset=last[0])


def _is_written(connection: BaseDatabaseWrapper, entry: Entry) -> bool:
    """Whether a value is there whose transaction got no reply, by its token."""
    written = StreamEntry.objects.using(connection.alias).filter(run_id=entry.run_id, key=entry.key)
    return written.filter(token=entry.token).exists()


def _lock(connection: BaseDatabaseWrapper, run_id: str, key: str, seconds: int | None = None) -> None:
    """
    Lock the stream's row until the transaction ends; made if there is none.

    :param seconds: how long this transaction is to wait for a lock, where it can be told; see ``sessions.wait_no_longer``.
    """
    patience = ""
    if seconds and connection.vendor == "postgresql":
        patience = f" FROM (SELECT set_config('lock_timeout', '{seconds}s', true)) patience"
    where = f"run_id = %s AND {connection.ops.quote_name('key')} = %s"
    sql = f"UPDATE {STREAMS} SET created_at = created_at{patience} WHERE {where}"
    if not dialects.run(connection, sql, [run_id, key]).rowcount:
        made = Stream(run_id=run_id, key=key, created_at=DatabaseNow())
        Stream.objects.using(connection.alias).bulk_create([made], ignore_conflicts=True)
        dialects.run(connection, sql, [run_id, key])


def lock_streams(connection: BaseDatabaseWrapper, streams: Sequence[tuple[str, str]]) -> None:
    """Lock streams, given by run and key, for a reader that is about to wait; the runs' rows are locked already."""
    for run_id, key in sorted(streams):
        _lock(connection, run_id, key)


def _last(connection: BaseDatabaseWrapper, run_id: str, key: str) -> tuple[int, bool] | None:
    """Offset of the last entry, and whether it closes the stream."""
    entries = StreamEntry.objects.using(connection.alias).filter(run_id=run_id, key=key).order_by("-offset")
    if connection.vendor == "mysql":  # a plain SELECT may look at a snapshot that is older than the lock
        entries = entries.select_for_update()
    return entries.values_list("offset", "closes").first()


def _insert(connection: BaseDatabaseWrapper, entry: Entry, offset: int) -> None:
    branch, position = entry.place
    StreamEntry.objects.using(connection.alias).create(
        run_id=entry.run_id, generation=entry.generation, branch=branch, position=position, key=entry.key, offset=offset,
        value=entry.value, closes=entry.value is None, attempt=entry.attempt, token=entry.token, created_at=DatabaseNow(),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Batch:
    """
    Some values of a stream.

    :param values: their payloads, in order.
    :param over: whether no more will follow them.
    """

    values: Sequence[str]
    over: bool


def read(connection: BaseDatabaseWrapper, run_id: str, key: str, offset: int) -> Batch:
    """
    Up to ``BATCH`` values of a stream from an offset on.

    :raises WorkflowNotFound: if there are none, and there is no such run.
    """
    batch = _read(connection, run_id, key, offset)
    if batch.values or batch.over or not _is_over(connection, run_id, key):
        return batch
    # Over, but since when? What was written before is there now.
    batch = _read(connection, run_id, key, offset)
    return batch if batch.values else Batch((), True)


def _read(connection: BaseDatabaseWrapper, run_id: str, key: str, offset: int) -> Batch:
    entries = StreamEntry.objects.using(connection.alias).filter(run_id=run_id, key=key, offset__gte=offset)
    found = list(entries.order_by("offset").values_list("value", "closes")[:BATCH])
    return Batch([value or "null" for value, closes in found if not closes], bool(found) and found[-1][1])


def _is_over(connection: BaseDatabaseWrapper, run_id: str, key: str) -> bool:
    closed = StreamEntry.objects.filter(run_id=run_id, key=key, closes=True)
    runs = WorkflowRun.objects.using(connection.alias).filter(pk=run_id)
    found = runs.annotate(closed=Exists(closed)).values_list("status", "closed").first()
    if found is None:
        raise WorkflowNotFound(run_id)
    return found[0] in TERMINAL or found[1]


def is_answered(connection: BaseDatabaseWrapper, run_id: str, key: str, offset: int) -> bool:
    """Whether a reader of a value has nothing to wait for: it is there, or will never be. The reader holds the locks."""
    entries = StreamEntry.objects.using(connection.alias).filter(run_id=run_id, key=key)
    if entries.filter(Q(offset__gte=offset) | Q(closes=True)).exists():
        return True
    return not WorkflowRun.objects.using(connection.alias).filter(pk=run_id).exclude(status__in=TERMINAL).exists()
