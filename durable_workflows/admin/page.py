"""The page of a run as values for its template."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.utils.translation import gettext as _

from durable_workflows.admin import display
from durable_workflows.admin.history import History, Section
from durable_workflows.admin.lineage import lineage
from durable_workflows.admin.timeline import Where, timeline
from durable_workflows.models import StepRun, WorkflowRun
from durable_workflows.redaction import redacted
from durable_workflows.states import TERMINAL


@dataclass(frozen=True, slots=True)
class Fact:
    """A line of the summary; ``run_id`` links to another run, ``query`` to a filtered list."""

    label: str
    value: Any
    run_id: str = ""
    query: str = ""


def of(history: History, opened: Sequence[WorkflowRun], where: Where) -> dict[str, Any]:
    """
    All that the page of a run shows.

    :param opened: the runs whose lanes are shown in its timeline; :param where: what the timeline's links lead to.
    """
    run, stored, open_ids = history.run, history.payloads(), [child.pk for child in opened]
    steps = _with_addresses(history.steps(), open_ids, where)
    children, forks = history.relatives("parent"), history.relatives("forked_from")
    where = replace(where, steps=frozenset(row["pk"] for row in steps.rows))
    return {
        "run": run,
        "ended": run.status in TERMINAL,
        "pill": display.pill(run.status),
        "progress": progress(run),
        "facts": [fact for fact in facts(run) if fact.value not in (None, "", False)],
        "stored": stored,
        "attributes": _attributes(history, stored.get("attributes")),
        "timeline": timeline(run, opened, where),
        "steps": steps,
        "attempts": history.attempts(),
        "waits": history.waits(),
        "messages_received": history.messages(),
        "events": history.events(),
        "streams": history.streams(),
        "children": children,
        "forks": forks,
        "lineage": lineage(run, children, forks),
        "earlier": StepRun.objects.filter(run=run, generation__lt=run.generation).count() if run.generation else 0,
    }


def _with_addresses(steps: Section, opened: Sequence[str], where: Where) -> Section:
    first_url = where.page(opened, "") + "#steps" if steps.before else ""
    next_url = where.page(opened, steps.next) + "#steps" if steps.next else ""
    return replace(steps, first_url=first_url, next_url=next_url)


def _attributes(history: History, value: Any) -> display.Clipped | None:
    text = json.dumps(value, indent=2, ensure_ascii=False) if value else None
    row = {"attributes_head": text and redacted(text)[: display.CLIP], "attributes_length": text and len(text)}
    return history.sight.payload(row, "attributes", "run")


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
