"""
What is recorded of a run, read for its page.

Payloads may be megabytes, and a history may have thousands of steps: the database clips the ones, and gives a page of the
steps, and of the other rows the two ends. The number of queries is the same for every run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Model, Q, QuerySet

from durable_workflows.admin import display
from durable_workflows.admin.sight import Row, Sight
from durable_workflows.admin.stepmenu import Menu, no_menu
from durable_workflows.models import Event, Kind, Message, StepAttempt, StepRun, StreamEntry, Wait, WorkflowRun
from durable_workflows.situation import sentence
from durable_workflows.states import RunState

SHOWN = 200  # rows of a table
PAGE = 100  # steps of one page of them
COUNTED = 1_000_000  # rows that are counted at most

Place = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Section:
    """
    The rows of a table; of a long one its first and its last, with a gap before ``gap_at``.

    :param before: of one page of rows, whether there are earlier ones; :param next: after which place the next page begins.
    :param first_url: the addresses of those pages.
    """

    rows: Sequence[Row]
    total: int
    gap_at: int | None = None
    before: bool = False
    next: str = ""
    first_url: str = ""
    next_url: str = ""

    @property
    def left_out(self) -> int:
        """How many rows are in the gap."""
        return self.total - len(self.rows)


@dataclass(frozen=True, slots=True)
class History:
    """
    All that is recorded of a run, as far as the visitor may see it.

    :param after: the place in its history after which the page of steps begins; None: at its beginning.
    :param menu: what can be done from a step on.
    """

    run: WorkflowRun
    sight: Sight
    after: Place | None = None
    menu: Menu = no_menu

    def payloads(self) -> Row:
        """The run's own inputs, output, error and attributes."""
        rows = WorkflowRun.objects.filter(pk=self.run.pk)
        row = dict(rows.values("note", "attributes", **self.sight.heads("inputs", "output", "error")).first() or {})
        row["note"] = self.sight.text(str(row.get("note") or ""))
        return self._shown(row, "run", "inputs", "output")

    def steps(self) -> Section:
        """One page of what it has done, in the order of its body."""
        rows = self.current(StepRun).order_by("branch", "position")
        columns = ("pk", "branch", "position", "name", "kind", "child_id", "attempts", "started_at", "completed_at")
        page = beyond(rows, self.after).values(*columns, **self.sight.heads("output", "error"))
        found = list(page[: PAGE + 1])
        more = place_text(found[PAGE - 1]) if len(found) > PAGE else ""
        total = len(found) if not (more or self.after) else rows[:COUNTED].count()
        return Section([self._step(row) for row in found[:PAGE]], total, before=self.after is not None, next=more)

    def _step(self, row: Row) -> Row:
        row["took"] = display.duration(row["completed_at"] - row["started_at"])
        row["undoes"] = row["kind"] == Kind.UNDO
        row["kind"] = dict(StepRun._meta.get_field("kind").flatchoices).get(row["kind"], row["kind"])
        row["menu"] = self.menu(row)
        return self._shown(row, "step", "output")

    def attempts(self) -> Section:
        """The attempts of its steps that failed."""
        rows = self.current(StepAttempt).order_by("pk")
        columns = ("pk", "branch", "position", "name", "attempt", "started_at", "ended_at", "retry_at")
        return section(rows.values(*columns, **self.sight.heads("error")), self._attempt)

    def _attempt(self, row: Row) -> Row:
        row["took"] = display.duration(row["ended_at"] - row["started_at"])
        return self._shown(row, "attempt")

    def waits(self) -> Section:
        """What it waits for. The rows outlive the wake-up, until the replay has come to them: then nothing is waited for."""
        waits = self.current(Wait).order_by("pk")
        return section(waits if self.run.status in (RunState.WAITING, RunState.PAUSED) else waits.none(), self._wait)

    def _wait(self, wait: Wait) -> Row:
        kept = ("branch", "position", "source_id", "created_at", "due_at")
        return self._shown({**{name: getattr(wait, name) for name in kept}, "text": sentence(wait)})

    def messages(self) -> Section:
        """What was sent to it."""
        columns = ("topic", "sender_id", "idempotency_key", "created_at", "consumed_at", "consumed_branch", "consumed_position")
        rows = Message.objects.filter(run=self.run).order_by("pk").values("pk", *columns, **self.sight.heads("payload"))
        return section(rows, lambda row: self._shown(row, "message", "payload", key=row["topic"]))

    def events(self) -> Section:
        """What it published."""
        events = Event.objects.filter(run=self.run).order_by("pk")
        rows = events.values("pk", "key", "branch", "position", "created_at", **self.sight.heads("value"))
        return section(rows, lambda row: self._shown(row, "event", "value", key=row["key"]))

    def streams(self) -> Section:
        """What it wrote to its streams."""
        entries = StreamEntry.objects.filter(run=self.run).order_by("key", "offset")
        rows = entries.values("pk", "key", "offset", "closes", "created_at", **self.sight.heads("value"))
        return section(rows, lambda row: self._shown(row, "stream", "value", key=row["key"]))

    def relatives(self, relation: str) -> Section:
        """The runs whose ``relation`` ("parent" or "forked_from") it is."""
        rows = WorkflowRun.objects.filter(**{relation: self.run}).order_by("created_at", "pk")
        return section(rows.values("id", "name", "status", "created_at", "started_at", "completed_at"), relative)

    def current(self, model: type[Model]) -> QuerySet[Any]:
        """The rows of its present generation."""
        return model._default_manager.filter(run=self.run, generation=self.run.generation)

    def _shown(self, row: Row, of: str = "", *columns: str, key: str = "") -> Row:
        """The row with its clipped payloads, its error in parts, its moments as elements, its name as a label."""
        for column in columns:
            row[column] = self.sight.payload(row, column, of, key)
        row["failure"] = self.sight.failure(row, of)
        return dressed(row)


def relative(row: Row) -> Row:
    """A run's row as a line of a table."""
    row["pill"] = display.pill(row["status"])
    row["took"] = display.elapsed(row["started_at"], row["completed_at"])
    return dressed(row)


def dressed(row: Row) -> Row:
    """The row with its moments as elements, its name as a label, and its place."""
    row["label"] = display.name_label(row.get("name", ""))
    row["place"] = place(row)
    return {name: display.timestamp(value) if isinstance(value, datetime) else value for name, value in row.items()}


def section(rows: QuerySet[Any, Any], present: Callable[[Any], Row]) -> Section:
    """The rows if they are few, else the two ends of them, each made presentable."""
    first = list(rows[: SHOWN + 1])
    if len(first) <= SHOWN:
        return Section([present(row) for row in first], len(first))
    half = SHOWN // 2
    ends = [*first[:half], *reversed(rows.reverse()[:half])]
    return Section([present(row) for row in ends], rows[:COUNTED].count(), half)


def place(row: Row) -> str:
    """Where in the history: the position, after its branch if it is not the body's; of a stream's value its offset."""
    if "offset" in row:
        return str(row["offset"])
    branch, position = (row.get(name, row.get(f"consumed_{name}")) for name in ("branch", "position"))
    if position is None:
        return ""
    return f"{branch} / {position}" if branch else str(position)


def place_text(row: Row) -> str:
    """A place as it stands in an address."""
    return f"{row['branch']}:{row['position']}"


def place_of(text: str) -> Place | None:
    """The inverse; None for what is no place."""
    branch, colon, position = text.rpartition(":")
    return (branch, int(position)) if colon and position.isdecimal() and len(position) < 10 and "\0" not in branch else None


def beyond(steps: QuerySet[Any], after: Place | None) -> QuerySet[Any]:
    """The steps after a place, in the order of the index that they are read by."""
    if after is None:
        return steps
    branch, position = after
    return steps.filter(Q(branch__gt=branch) | Q(position__gt=position), branch__gte=branch)
