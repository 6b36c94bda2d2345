"""Schedules that do not fire, or whose runs fail."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from shlex import quote

from durable_workflows.management.durable.doctor.finding import ERROR, WARNING, Finding
from durable_workflows.models import Schedule, WorkflowRun, presence
from durable_workflows.models.dialects import alias, connection
from durable_workflows.models.figures import FAILED
from durable_workflows.models.reading import database_now
from durable_workflows.words import duration

LATE = timedelta(minutes=1)
MOST = 200  # schedules that are looked at


def examine() -> Iterator[Finding]:
    """Schedule by schedule."""
    now = database_now(connection())
    known = {name for name, _ in presence.known_names(presence.alive(connection()))}
    for schedule in Schedule.objects.using(alias()).order_by("next_fire_at", "name")[:MOST]:
        yield from _stopped(schedule)
        yield from _overdue(schedule, now, known)
        yield from _failing(schedule)


def _stopped(schedule: Schedule) -> Iterator[Finding]:
    if schedule.paused and schedule.note:
        yield Finding(
            id="stopped-schedule", level=ERROR,
            what=f"The schedule {schedule.name} has paused itself: {schedule.note}",
            why="It fires nothing until that is mended.",
            cure=f"Mend it, then: manage.py durable schedules resume {quote(schedule.name)}",
        )  # fmt: skip


def _overdue(schedule: Schedule, now: datetime, known: set[str]) -> Iterator[Finding]:
    due = schedule.next_fire_at
    if schedule.paused or due is None or now - due <= LATE or not known:  # that there is no worker is another finding
        return
    if schedule.in_code and schedule.workflow_name not in known:
        why = "Code declared it, and no live worker has that code any more; only one that has fires it."
        cure = f"Start a worker that has it; or: manage.py durable schedules delete {quote(schedule.name)}"
    else:
        why = "Ticks are fired by the workers' housekeeping, within a second or so."
        cure = "The log of a worker says what keeps it from doing so."
    yield Finding(
        id="overdue-schedule", level=ERROR,
        what=f"The schedule {schedule.name} should have fired {duration(now - due)} ago.", why=why, cure=cure,
    )  # fmt: skip


def _failing(schedule: Schedule) -> Iterator[Finding]:
    ended = WorkflowRun.objects.using(alias()).filter(schedule_name=schedule.name, completed_at__isnull=False)
    last = ended.order_by("-completed_at").values_list("pk", "status").first()
    if last is not None and last[1] in FAILED:
        yield Finding(
            id="failing-schedule", level=WARNING,
            what=f"The last run of the schedule {schedule.name} failed.",
            why="What it is there for was not done, and may not be done the next time either.",
            cure=f"manage.py durable show {quote(last[0])}; then: manage.py durable retry {quote(last[0])}",
        )  # fmt: skip
