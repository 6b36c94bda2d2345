"""
A run followed by polling: what is new of it since the last look, as news.

A look is three small queries: the run's row, how many steps and how many failed attempts it has. What is new is fetched only
if there is any.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from django.db.models import QuerySet

from durable_workflows.management.durable.facts import attempt_document_of, document_of, step_document_of
from durable_workflows.models import StepAttempt, StepRun, WorkflowRun
from durable_workflows.models.dialects import alias
from durable_workflows.situation import Situation, situations

EARLIER = 20  # steps that are told of at the first look
BATCH = 500


@dataclass(frozen=True, slots=True)
class News:
    """
    Something that happened to the run.

    :param kind: "missing", "status", "progress", "earlier", "again", "step", "attempt" or "end".
    :param facts: what a script is told, in the words of ``WorkflowStatus`` and ``StepInfo``.
    """

    kind: str
    facts: dict[str, Any]


@dataclass
class Following:
    """
    What has been told of one run so far.

    :param workflow_id: its id; it need not exist yet.
    """

    workflow_id: str
    run: WorkflowRun | None = None
    situation: Situation = field(default_factory=lambda: Situation(""))
    _told: dict[str, Any] = field(default_factory=dict)
    # All keys, not the last one: branches commit side by side, and the smaller key may come later.
    _steps: set[int] = field(default_factory=set)
    _attempts: set[int] = field(default_factory=set)

    @property
    def over(self) -> bool:
        """Whether it has come to an end that was told."""
        return self.run is not None and self.run.is_terminal

    def look(self) -> Iterator[News]:
        """What is new."""
        # The row first: whatever a finished one recorded is there by then.
        found = WorkflowRun.objects.using(alias()).defer("inputs", "output", "error").filter(pk=self.workflow_id).first()
        if found is None:
            if self._is_new("missing", True):
                yield News("missing", {"workflow_id": self.workflow_id})
            return
        first, again = self.run is None, self.run is not None and self.run.generation != found.generation
        self.run = found
        if again:
            self._steps, self._attempts = set(), set()
            yield News("again", {"generation": found.generation})
        yield from self._new_steps(found, first)
        yield from self._new_attempts(found, first)
        yield from self._changes(found)

    def _changes(self, run: WorkflowRun) -> Iterator[News]:
        if run.progress_done is not None or run.progress_text:
            facts = {"done": run.progress_done, "total": run.progress_total, "text": run.progress_text}
            if self._is_new("progress", facts):
                yield News("progress", facts)
        if run.is_terminal:
            yield News("end", document_of(WorkflowRun.objects.using(alias()).get(pk=run.pk)))
            return
        if self._is_new("row", (run.status, run.updated_at, run.due_at, run.stranded)):
            self.situation = situations([run])[run.pk]
        about = {"status": run.status, "situation": self.situation.text, "alarming": self.situation.alarming}
        if self._is_new("status", about):
            yield News("status", {**about, "queue_name": run.queue, "executor_id": run.worker_id, "name": run.name})

    def _is_new(self, what: str, value: Any) -> bool:
        seen, self._told[what] = self._told.get(what), value
        return bool(seen != value)

    def _new_steps(self, run: WorkflowRun, first: bool) -> Iterator[News]:
        rows = StepRun.objects.using(alias()).filter(run=run, generation=run.generation)
        fresh = _unseen(rows, self._steps)
        if first and len(fresh) > EARLIER:
            yield News("earlier", {"steps": len(fresh) - EARLIER})
            fresh = fresh[-EARLIER:]
        for start in range(0, len(fresh), BATCH):
            for step in rows.filter(pk__in=fresh[start : start + BATCH]).order_by("pk"):
                yield News("step", step_document_of(step))

    def _new_attempts(self, run: WorkflowRun, first: bool) -> Iterator[News]:
        """Failed attempts; those from before the first look are left to ``show``."""
        rows = StepAttempt.objects.using(alias()).filter(run=run, generation=run.generation)
        fresh = _unseen(rows, self._attempts)
        for attempt in [] if first else rows.filter(pk__in=fresh[:BATCH]).order_by("pk"):
            yield News("attempt", attempt_document_of(attempt))


def _unseen(rows: QuerySet[Any], seen: set[int]) -> list[int]:
    """The keys of rows that were not seen before; they are from now on."""
    if rows.count() == len(seen):
        return []
    fresh = sorted(set(rows.values_list("pk", flat=True)) - seen)
    seen |= set(fresh)
    return fresh
