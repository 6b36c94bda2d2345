"""Workers as rows: registering, beating, stopping, and telling who is dead; judged by the database's clock."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Exists, OuterRef, Q, QuerySet

from durable_workflows.models.dialects import DatabaseNow, StatementTime
from durable_workflows.models.runs import LEASED, WorkflowRun
from durable_workflows.models.workers import Worker


@dataclass(frozen=True, slots=True, kw_only=True)
class Presence:
    """What a worker tells of itself."""

    id: str
    hostname: str
    pid: int
    lease_seconds: float
    direct: bool = False
    queues: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    app_version: str = ""
    threads: int = 1
    sessions: int = 0


def register(connection: BaseDatabaseWrapper, presence: Presence) -> None:
    """Insert the worker's row; its heartbeat begins now."""
    Worker.objects.using(connection.alias).create(
        id=presence.id, hostname=presence.hostname[:255], pid=presence.pid, direct=presence.direct,
        queues=list(presence.queues), names=list(presence.names), app_version=presence.app_version,
        threads=presence.threads, sessions=presence.sessions, lease_seconds=presence.lease_seconds,
        started_at=DatabaseNow(), heartbeat_at=DatabaseNow(),
    )  # fmt: skip


def publish(connection: BaseDatabaseWrapper, presence: Presence) -> None:
    """Tell of names and queues that came to be known after the start."""
    mine = Worker.objects.using(connection.alias).filter(pk=presence.id)
    mine.update(names=list(presence.names), queues=list(presence.queues), sessions=presence.sessions)


def beat(connection: BaseDatabaseWrapper, worker_id: str) -> bool:
    """Renew the lease of all runs of this worker; false if the worker was declared lost, which is final."""
    mine = Worker.objects.using(connection.alias).filter(pk=worker_id, lost_at__isnull=True, stopped_at__isnull=True)
    return bool(mine.update(heartbeat_at=DatabaseNow()))


def ask_to_drain(connection: BaseDatabaseWrapper, worker_ids: Iterable[str]) -> list[str]:
    """
    Have workers claim no more, and end once nothing is executed there; they learn of it with their next heartbeat.

    Those that have ended, that were asked before, or that claim nothing in any case are left as they are.

    :returns: the ids of those that are asked now.
    """
    rows = Worker.objects.using(connection.alias).filter(_PRESENT, direct=False, drain_requested_at__isnull=True)
    if connection.features.has_select_for_update:
        rows = rows.select_for_update()
    asked = list(rows.filter(pk__in=[*worker_ids]).order_by("pk").values_list("pk", flat=True))
    Worker.objects.using(connection.alias).filter(pk__in=asked).update(drain_requested_at=DatabaseNow())
    return asked


def is_to_drain(connection: BaseDatabaseWrapper, worker_id: str) -> bool:
    """Whether somebody has asked a worker to end."""
    return Worker.objects.using(connection.alias).filter(pk=worker_id, drain_requested_at__isnull=False).exists()


def leave(connection: BaseDatabaseWrapper, worker_id: str) -> None:
    """Note that the worker stopped by itself."""
    mine = Worker.objects.using(connection.alias).filter(pk=worker_id, stopped_at__isnull=True)
    mine.update(stopped_at=DatabaseNow())


def held(connection: BaseDatabaseWrapper, worker_id: str) -> dict[str, str]:
    """The runs that the rows say this worker holds, with their lease tokens."""
    runs = WorkflowRun.objects.using(connection.alias).filter(LEASED, worker_id=worker_id)
    return {run_id: token or "" for run_id, token in runs.values_list("pk", "lease_token")}


@dataclass(frozen=True, slots=True)
class Silent:
    """A worker as it was seen when its lease had run out."""

    id: str
    heartbeat_at: datetime
    ended: bool
    stopped: bool  # in order; what it yet holds it could not give back
    sessions: int


def alive(connection: BaseDatabaseWrapper) -> list[Worker]:
    """Workers whose lease has not run out."""
    return [worker for worker in _present(connection) if not _expired(worker)]


def forsaken(connection: BaseDatabaseWrapper) -> list[Silent]:
    """
    Workers whose lease has run out, and those that ended although they hold runs.

    A silent one that holds no run may yet hold locks: it was stopped amid a claim or a batch of its housekeeping, and the
    others would step over those rows for as long as its session lives.
    """
    holders = {worker_id for worker_id in _held(connection).values_list("worker_id", flat=True).distinct() if worker_id}
    workers = Worker.objects.using(connection.alias).annotate(now=DatabaseNow()).filter(Q(pk__in=holders) | _PRESENT)
    return [
        Silent(worker.pk, worker.heartbeat_at, _ended(worker), worker.stopped_at is not None, worker.sessions)
        for worker in workers
        if _ended(worker) or _expired(worker)
    ]


def declare_lost(connection: BaseDatabaseWrapper, silent: Silent) -> bool:
    """
    End a silent worker's right to its runs for good; false if it beat meanwhile.

    Its later heartbeats find ``lost_at`` and are refused, so it can never believe again that it holds a lease.
    """
    seen = Worker.objects.using(connection.alias).filter(pk=silent.id, heartbeat_at=silent.heartbeat_at)
    return silent.ended or bool(seen.filter(lost_at__isnull=True).update(lost_at=DatabaseNow()))


_PRESENT = Q(stopped_at__isnull=True, lost_at__isnull=True)


def _present(connection: BaseDatabaseWrapper) -> Iterable[Any]:
    workers = Worker.objects.using(connection.alias).annotate(now=DatabaseNow())
    return workers.filter(_PRESENT)


def _held(connection: BaseDatabaseWrapper) -> QuerySet[WorkflowRun]:
    return WorkflowRun.objects.using(connection.alias).filter(LEASED)


def _ended(worker: Worker) -> bool:
    return worker.lost_at is not None or worker.stopped_at is not None


def _expired(worker: Any) -> bool:
    return bool(worker.now - worker.heartbeat_at > timedelta(seconds=worker.lease_seconds))


def clear_away(connection: BaseDatabaseWrapper, older_than: timedelta) -> int:
    """Delete rows of workers that ended long ago and hold nothing."""
    holding = WorkflowRun.objects.filter(LEASED, worker_id=OuterRef("pk"))
    before = StatementTime(-older_than.total_seconds())
    ended = (
        Worker.objects.using(connection.alias)
        .filter(heartbeat_at__lt=before)
        .filter(Q(stopped_at__isnull=False) | Q(lost_at__isnull=False))
    )
    old = list(ended.exclude(Exists(holding)).values_list("pk", flat=True)[:500])
    return Worker.objects.using(connection.alias).filter(pk__in=old).delete()[0] if old else 0


def known_names(workers: Iterable[Worker]) -> list[tuple[str, str]]:
    """What these workers can run, as (name, version)."""
    return sorted({(name, worker.app_version) for worker in workers if not worker.direct for name in worker.names or ()})
