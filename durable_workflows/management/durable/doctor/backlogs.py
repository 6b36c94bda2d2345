"""Queues in which runs wait for nobody, and what the clock should have woken."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from shlex import quote

from durable_workflows.management.durable import queueing
from durable_workflows.management.durable.doctor.finding import ERROR, WARNING, Finding
from durable_workflows.management.durable.queueing import QueueFigures
from durable_workflows.models import WorkflowRun, presence
from durable_workflows.models.dialects import alias, connection
from durable_workflows.models.reading import database_now
from durable_workflows.models.runs import LIMITED, TIMED
from durable_workflows.words import duration

LATE = timedelta(minutes=1)  # housekeeping comes round in seconds


def examine() -> Iterator[Finding]:
    """Queue by queue, and what is overdue."""
    served = {str(queue) for worker in presence.alive(connection()) if not worker.direct for queue in worker.queues or ()}
    for queue in queueing.figures():
        yield from _queue(queue, served)
    yield from _overdue()


def _queue(queue: QueueFigures, served: set[str]) -> Iterator[Finding]:
    waiting = queueing.in_digits(queue.depth.waiting)
    if queue.rules.problem:
        yield Finding(
            id="unreadable-queue", level=ERROR,
            what=f"What holds for the queue {queue.name} cannot be read: {queue.rules.problem}",
            why="It is as if it were paused: nothing of it is started.",
            cure="Save it with limits that fit, on its page in the admin.",
        )  # fmt: skip
    elif not queue.depth.waiting.number:
        return
    elif queue.rules.paused:
        yield Finding(
            id="paused-queue", level=WARNING,
            what=f"The queue {queue.name} is paused, and {waiting} runs wait in it.",
            why="They wait until somebody resumes it.",
            cure=f"manage.py durable queues resume {quote(queue.name)}",
        )  # fmt: skip
    elif served and queue.name not in served:  # that there is no worker at all is another finding
        yield Finding(
            id="unserved-queue", level=ERROR,
            what=f"No worker serves the queue {queue.name}, and {waiting} runs wait in it.",
            why="A worker serves the queues that its code declares, less what --queues and --exclude-queues leave out.",
            cure=f"manage.py durable_worker --queues {quote(queue.name)}",
        )  # fmt: skip


def _overdue() -> Iterator[Finding]:
    now, runs = database_now(connection()), WorkflowRun.objects.using(alias())
    due = runs.filter(TIMED, due_at__lt=now - LATE).order_by("due_at").values_list("due_at", flat=True).first()
    ended = runs.filter(LIMITED, deadline__lt=now - LATE).order_by("deadline").values_list("deadline", flat=True).first()
    moments = [moment for moment in (due, ended) if moment is not None]
    if moments:
        yield Finding(
            id="overdue-runs", level=ERROR,
            what=f"Runs should have been woken or ended {duration(now - min(moments))} ago.",
            why="Sleeps, delays, retries and deadlines are kept by the workers' housekeeping, within a second or so.",
            cure="If a worker is alive, its log says what keeps it from doing so. Else: manage.py durable_worker",
        )  # fmt: skip
