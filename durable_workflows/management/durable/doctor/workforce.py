"""Workers: whether there are any, whether they beat, and whether runs hang on those that are gone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.db.models import Q

from durable_workflows.management.durable.doctor.finding import ERROR, WARNING, Finding, listed, runs_of
from durable_workflows.models import Schedule, WorkflowRun, presence
from durable_workflows.models.dialects import alias, connection
from durable_workflows.models.figures import present_workers
from durable_workflows.models.runs import CLAIMABLE, LEASED, TIMED
from durable_workflows.words import duration

MOST = 1_000


def examine() -> Iterator[Finding]:
    """Who is missing, and what hangs on them."""
    alive = presence.alive(connection())
    if not any(not worker.direct for worker in alive):
        yield _nobody()
    yield from _silent()
    yield from _ownerless([worker.pk for worker in alive])


def _nobody() -> Finding:
    runs = WorkflowRun.objects.using(alias())
    wanted = runs.filter(CLAIMABLE).exists() or runs.filter(TIMED).exists() or runs.filter(LEASED).exists()
    fires = Schedule.objects.using(alias()).filter(paused=False, next_fire_at__isnull=False).exists()
    waiting = "Runs wait for one." if wanted else "Schedules fire nothing." if fires else "Nothing waits for one yet."
    return Finding(
        id="no-worker", level=ERROR if wanted or fires else WARNING,
        what="No worker is alive.",
        why=f"Nothing is executed, woken, fired or recovered. {waiting}",
        cure="manage.py durable_worker",
    )  # fmt: skip


def _silent() -> Iterator[Finding]:
    workers: list[Any] = present_workers(connection(), MOST)
    late = [each for each in workers if each.now - each.heartbeat_at > timedelta(seconds=each.lease_seconds)]
    if late:
        longest = max(each.now - each.heartbeat_at for each in late)
        yield Finding(
            id="silent-workers", level=WARNING,
            what=f"Workers fell silent without a word: {listed([each.pk for each in late])}.",
            why=f"The longest has not beaten for {duration(longest)}; its lease is over. A live worker takes its runs over.",
            cure="See whether they were killed, or cannot reach the database. If there is no other: manage.py durable_worker",
        )  # fmt: skip


def _ownerless(alive: list[str]) -> Iterator[Finding]:
    """Runs that are leased to nobody who lives."""
    gone = WorkflowRun.objects.using(alias()).filter(LEASED).filter(~Q(worker_id__in=alive) | Q(worker_id=None))
    if number := gone.order_by().values("pk")[: MOST + 1].count():
        yield Finding(
            id="runs-without-owner", level=ERROR,
            what=f"{runs_of(number, MOST).capitalize()} are held by workers that are gone.",
            why="They stand still until a live worker takes them over, some seconds after the lease has run out.",
            cure="If this stays so, no worker is alive, or its log says what is wrong: manage.py durable_worker",
        )  # fmt: skip
