"""This process: what Django's system checks say of it, and whether what the commands like to have is there."""

from __future__ import annotations

from collections.abc import Iterator

from django.core import checks

from durable_workflows.management.durable import screen
from durable_workflows.management.durable.doctor.finding import ERROR, INFO, WARNING, Finding
from durable_workflows.models.dialects import alias

TAG = "durable_workflows"


def examine() -> Iterator[Finding]:
    """The checks of this package, those of the database included, and the extra ``cli``."""
    for message in checks.run_checks(tags=[TAG], databases=[alias()]):
        if not message.is_silenced():
            yield _as_finding(message)
    if not screen.there:
        yield Finding(
            id="no-rich", level=INFO,
            what="rich is not installed.",
            why="Tables and live views are plain text without it.",
            cure="pip install 'durable_workflows[cli]'",
        )  # fmt: skip


def _as_finding(message: checks.CheckMessage) -> Finding:
    """A check's message says what is wrong in its first sentence, and why that matters in the others; its hint is the cure."""
    what, _, why = message.msg.partition(". ")
    level = ERROR if message.level >= checks.ERROR else WARNING if message.level >= checks.WARNING else INFO
    subject = f" ({message.obj})" if message.obj else ""
    return Finding(
        id=message.id or "check", level=level, what=f"{what.rstrip('.')}.{subject}", why=why, cure=message.hint or ""
    )  # fmt: skip
