"""The page of a run as values for its template."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from durable_workflows.admin import display, history
from durable_workflows.models import StepRun, WorkflowRun
from durable_workflows.situation import situations


@dataclass(frozen=True, slots=True)
class Fact:
    """A line of the summary; ``run_id`` links to another run, ``query`` to a filtered list."""

    label: str
    value: Any
    run_id: str = ""
    query: str = ""


def of(run: WorkflowRun) -> dict[str, Any]:
    """All that the page of ``run`` shows."""
    stored = history.payloads(run)
    return {
        "run": run,
        "pill": display.pill(run.status),
        "situation": situations([run])[run.pk],
        "progress": progress(run),
        "facts": [fact for fact in facts(run) if fact.value not in (None, "", False)],
        "stored": stored,
        "attributes": _json(stored.get("attributes")),
        "steps": history.steps(run),
        "attempts": history.attempts(run),
        "waits": history.waits(run),
        "messages_received": history.messages(run),
        "events": history.events(run),
        "streams": history.streams(run),
        "children": history.relatives(run, "parent"),
        "forks": history.relatives(run, "forked_from"),
        "earlier": StepRun.objects.filter(run=run, generation__lt=run.generation).count() if run.generation else 0,
    }


def _json(value: Any) -> display.Clipped | None:
    return display.clip(json.dumps(value, indent=2, ensure_ascii=False)) if value else None


def progress(run: WorkflowRun) -> tuple[int, int] | None:
    """(done, total), if the run says so."""
    return (run.progress_done, run.progress_total) if run.progress_done is not None and run.progress_total else None


def facts(run: WorkflowRun) -> Iterator[Fact]:
    """The summary; lines without a value are left out by the caller."""
    yield from _times(run)
    yield from _place(run)
    yield from _execution(run)
    yield from _origin(run)


def _times(run: WorkflowRun) -> Iterator[Fact]:
    yield Fact(_("Created"), display.timestamp(run.created_at))
    yield Fact(_("Started"), display.timestamp(run.started_at))
    yield Fact(_("Last claimed"), display.timestamp(run.claimed_at))
    yield Fact(_("Completed"), display.timestamp(run.completed_at))
    yield Fact(_("Duration"), display.elapsed(run.started_at, run.completed_at))
    if run.status not in ("SUCCESS", "ERROR"):
        yield Fact(_("Due"), display.timestamp(run.due_at))
    yield Fact(_("Deadline"), display.timestamp(run.deadline))
    yield Fact(_("Timeout"), run.timeout_seconds and _("%(number)g s") % {"number": run.timeout_seconds})


def _place(run: WorkflowRun) -> Iterator[Fact]:
    yield Fact(_("Queue"), run.queue)
    yield Fact(_("Priority"), run.priority)
    yield Fact(_("Partition"), run.partition_key)
    yield Fact(_("Deduplication id"), run.deduplication_id)
    yield Fact(_("App version"), run.app_version)


def _execution(run: WorkflowRun) -> Iterator[Fact]:
    yield Fact(_("Worker"), run.worker_id)
    yield Fact(_("Started or recovered"), _times_in_words(run.recovery_attempts))
    yield Fact(_("Lost without progress"), _times_in_words(run.stalled))
    yield Fact(_("Failed and tried again"), _times_in_words(run.tries))
    yield Fact(_("Claimed"), _times_in_words(run.attempt))
    yield Fact(_("Generation"), run.generation)
    yield Fact(_("Runs alone"), _("yes, it may have killed a worker") if run.suspect else "")


def _times_in_words(number: int) -> str:
    return _("%(number)d×") % {"number": number} if number else ""


def _origin(run: WorkflowRun) -> Iterator[Fact]:
    yield Fact(_("Started by run"), run.parent_id, run_id=run.parent_id or "")
    yield Fact(_("Forked from"), run.forked_from_id, run_id=run.forked_from_id or "")
    yield Fact(_("Schedule"), run.schedule_name)
    yield Fact(_("User"), run.user)
    yield Fact(_("Class"), run.class_name)
    yield Fact(_("Instance"), run.config_name)
