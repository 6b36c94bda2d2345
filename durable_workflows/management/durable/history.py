"""What is recorded of one run, as documents, section by section."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db.models import Model, QuerySet

from durable_workflows.management.durable import facts
from durable_workflows.models import Event, Message, StepAttempt, StepRun, StreamEntry, Wait, WorkflowRun
from durable_workflows.models.dialects import alias
from durable_workflows.states import RunState

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Section:
    """Documents, the last of them if there are too many, and how many are left out before them."""

    documents: list[Document]
    left_out: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """
    All sections of a run.

    :param most: rows of a section that are read; None: all.
    """

    run: WorkflowRun
    most: int | None = None

    def steps(self) -> Section:
        """What it has done."""
        return self._section(self._current(StepRun), ("branch", "position"), facts.step_document_of)

    def attempts(self) -> Section:
        """The attempts of steps that failed."""
        return self._section(self._current(StepAttempt), ("pk",), facts.attempt_document_of)

    def waits(self) -> Section:
        """What it waits for. The rows outlive the wake-up, until the replay has come to them: then nothing is waited for."""
        waiting = self.run.status in (RunState.WAITING, RunState.PAUSED)
        rows = self._current(Wait)
        return self._section(rows if waiting else rows.none(), ("pk",), facts.wait_document_of)

    def messages(self) -> Section:
        """What was sent to it."""
        return self._section(self._all(Message), ("pk",), facts.message_document_of)

    def events(self) -> Section:
        """What it published."""
        return self._section(self._all(Event), ("pk",), facts.event_document_of)

    def streams(self) -> Section:
        """What it wrote to its streams."""
        return self._section(self._all(StreamEntry), ("key", "offset"), facts.entry_document_of)

    def children(self) -> Section:
        """The runs that it started."""
        return self._relatives("parent")

    def forks(self) -> Section:
        """The runs that were forked from it."""
        return self._relatives("forked_from")

    def _relatives(self, relation: str) -> Section:
        rows = WorkflowRun.objects.using(alias()).filter(**{relation: self.run}).only("id", "name", "status")
        return self._section(
            rows, ("created_at", "pk"), lambda row: {"workflow_id": row.pk, "name": row.name, "status": row.status}
        )

    def _all(self, model: type[Model]) -> QuerySet[Any]:
        return model._default_manager.using(alias()).filter(run=self.run)

    def _current(self, model: type[Model]) -> QuerySet[Any]:
        return self._all(model).filter(generation=self.run.generation)

    def _section(self, rows: QuerySet[Any], order: tuple[str, ...], document: Callable[[Any], Document]) -> Section:
        ordered = rows.order_by(*order)
        if self.most is None:
            return Section([document(row) for row in ordered])
        last = list(ordered.reverse()[: self.most + 1])[::-1]
        if len(last) <= self.most:
            return Section([document(row) for row in last])
        return Section([document(row) for row in last[1:]], rows.count() - self.most)


SECTIONS: dict[str, Callable[[History], Section]] = {
    "steps": History.steps,
    "attempts": History.attempts,
    "waits": History.waits,
    "messages": History.messages,
    "events": History.events,
    "streams": History.streams,
    "children": History.children,
    "forks": History.forks,
}
