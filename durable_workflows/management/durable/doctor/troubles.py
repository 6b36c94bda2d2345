"""Runs that wait for a person: stranded, under suspicion, given up; and finished ones that nobody ever clears away."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from shlex import quote

from durable_workflows.conf import config
from durable_workflows.management.durable.doctor.finding import ERROR, INFO, WARNING, Finding, listed, runs_of
from durable_workflows.models import Stranded, WorkflowRun
from durable_workflows.models.dialects import alias, connection
from durable_workflows.models.figures import SAMPLE, dead
from durable_workflows.models.reading import database_now
from durable_workflows.models.runs import UNCLAIMABLE
from durable_workflows.retention import ENDS

OLD = timedelta(days=90)


def examine() -> Iterator[Finding]:
    """All of that."""
    set_aside = WorkflowRun.objects.using(alias()).filter(UNCLAIMABLE).order_by("stranded", "name")
    found = list(set_aside.values_list("stranded", "name", "suspect")[: SAMPLE + 1])
    for reason in (Stranded.NAME, Stranded.HISTORY, Stranded.PAYLOAD):
        if names := Counter(name for stranded, name, _ in found if stranded == reason):
            yield _stranded(reason, names)
    if suspects := sum(suspect and not stranded for stranded, _, suspect in found):
        yield _suspects(suspects)
    yield from _dead()
    yield from _kept_for_ever()


STRANDED = {
    Stranded.NAME: (
        "unknown-workflows", "that no live worker knows",
        "Their code was renamed or removed, or the workers run another version.",
        "Start a worker whose code has them; or: manage.py durable cancel --all --stuck --name {name}",
    ),
    Stranded.HISTORY: (
        "changed-workflows", "whose code no longer fits their history",
        "Going on would do other steps than those that were recorded.",
        "Deploy code that fits, or guard the change by its version, then: manage.py durable resume --all --stuck --name {name}",
    ),
    Stranded.PAYLOAD: (
        "unreadable-payloads", "whose stored data cannot be read",
        "A type is not registered any more, or a row they refer to is gone.",
        "manage.py durable list --stuck tells why. Mend it, then: manage.py durable resume --all --stuck --name {name}",
    ),
}  # fmt: skip


def _stranded(reason: Stranded, names: Counter[str]) -> Finding:
    key, what, why, cure = STRANDED[reason]
    told = listed([f"{name} ({number:,})" for name, number in names.most_common()])
    return Finding(
        id=key, level=ERROR,
        what=f"{runs_of(names.total(), SAMPLE).capitalize()} {what}: {told}.",
        why=f"They wait until somebody acts. {why}",
        cure=cure.format(name=quote(names.most_common(1)[0][0])),
    )  # fmt: skip


def _suspects(number: int) -> Finding:
    return Finding(
        id="suspects", level=WARNING,
        what=f"{runs_of(number, SAMPLE).capitalize()} may have killed their workers.",
        why="Their workers died twice without a step being recorded. They are executed alone now, one at a time.",
        cure="Find out what they do to their process: memory, a crash in native code. The log of a worker has each loss.",
    )  # fmt: skip


def _dead() -> Iterator[Finding]:
    if number := dead(connection()).number:
        yield Finding(
            id="dead-letters", level=WARNING,
            what=f"{runs_of(number, SAMPLE).capitalize()} were given up: their workers died too often.",
            why="They stay as they are until somebody acts.",
            cure="manage.py durable list --status dead; then: manage.py durable resume RUN, or cancel, or delete",
        )  # fmt: skip


def _kept_for_ever() -> Iterator[Finding]:
    """Not told where a retention is set: what is kept then is kept on purpose."""
    if any(config().retention.values()):
        return
    before = database_now(connection()) - OLD
    old = WorkflowRun.objects.using(alias()).filter(status__in=ENDS, completed_at__lt=before)
    if number := old.order_by().values("pk")[: SAMPLE + 1].count():
        yield Finding(
            id="no-retention", level=INFO,
            what=f"{runs_of(number, SAMPLE).capitalize()} ended more than {OLD.days} days ago and are kept for ever.",
            why="The tables grow with all that was ever done, and so do backups.",
            cure="Set DURABLE_WORKFLOWS['RETENTION'], such as {'SUCCESS': 30}; or: manage.py durable prune --older-than 90d",
        )  # fmt: skip
