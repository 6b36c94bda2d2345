"""
What is recorded of a run, read for its page.

Payloads may be megabytes, and a history may have thousands of steps: the database clips the ones, and gives the two ends
of the other. The number of queries is the same for every run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Model, QuerySet
from django.db.models.functions import Left, Length

from durable_workflows.admin import display
from durable_workflows.admin.display import CLIP, Clipped
from durable_workflows.models import Event, Message, StepAttempt, StepRun, StreamEntry, Wait, WorkflowRun
from durable_workflows.serializers import error_summary
from durable_workflows.situation import sentence
from durable_workflows.states import RunState

SHOWN = 200  # rows of a table
ERROR_CLIP = 64_000  # characters of a stored error that are read: room for its traceback
MESSAGE_CLIP = 1_000

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Section:
    """The rows of a table; of a long one its first and its last, with a gap before ``gap_at``."""

    rows: Sequence[Row]
    total: int
    gap_at: int | None = None

    @property
    def left_out(self) -> int:
        """How many rows are in the gap."""
        return self.total - len(self.rows)


@dataclass(frozen=True, slots=True)
class Failure:
    """A recorded exception in its parts."""

    type: str
    message: Clipped
    traceback: Clipped | None = None


def heads(*columns: str) -> dict[str, Any]:
    """Annotations: of each payload column its beginning and its length, so that the rest stays in the database."""
    limits = {column: ERROR_CLIP if column == "error" else CLIP for column in columns}
    return {f"{column}_head": Left(column, limit) for column, limit in limits.items()} | {
        f"{column}_length": Length(column) for column in columns
    }


def payloads(run: WorkflowRun) -> Row:
    """The run's own inputs, output, error and attributes."""
    rows = WorkflowRun.objects.filter(pk=run.pk).values("note", "attributes", **heads("inputs", "output", "error"))
    return shown(dict(rows.first() or {}), "inputs", "output")


def steps(run: WorkflowRun) -> Section:
    """What it has done, in the order of its body."""
    rows = _current(StepRun, run).order_by("branch", "position")
    columns = ("branch", "position", "name", "kind", "child_id", "attempts", "started_at", "completed_at")
    return section(rows.values(*columns, **heads("output", "error")), _step)


def _step(row: Row) -> Row:
    row["took"] = display.duration(row["completed_at"] - row["started_at"])
    row["kind"] = dict(StepRun._meta.get_field("kind").flatchoices).get(row["kind"], row["kind"])
    return shown(row, "output")


def attempts(run: WorkflowRun) -> Section:
    """The attempts of its steps that failed."""
    rows = _current(StepAttempt, run).order_by("pk")
    columns = ("branch", "position", "name", "attempt", "started_at", "ended_at", "retry_at")
    return section(rows.values(*columns, **heads("error")), _attempt)


def _attempt(row: Row) -> Row:
    row["took"] = display.duration(row["ended_at"] - row["started_at"])
    return shown(row)


def waits(run: WorkflowRun) -> Section:
    """What it waits for. The rows outlive the wake-up, until the replay has come to them: then nothing is waited for."""
    waiting = _current(Wait, run) if run.status in (RunState.WAITING, RunState.PAUSED) else Wait.objects.none()
    return section(waiting.order_by("pk"), _wait)


def _wait(wait: Wait) -> Row:
    kept = ("branch", "position", "source_id", "created_at", "due_at")
    return shown({**{name: getattr(wait, name) for name in kept}, "text": sentence(wait)})


def messages(run: WorkflowRun) -> Section:
    """What was sent to it."""
    columns = ("topic", "sender_id", "idempotency_key", "created_at", "consumed_at", "consumed_branch", "consumed_position")
    rows = Message.objects.filter(run=run).order_by("pk")
    return section(rows.values(*columns, **heads("payload")), lambda row: shown(row, "payload"))


def events(run: WorkflowRun) -> Section:
    """What it published."""
    rows = Event.objects.filter(run=run).order_by("pk")
    return section(rows.values("key", "branch", "position", "created_at", **heads("value")), lambda row: shown(row, "value"))


def streams(run: WorkflowRun) -> Section:
    """What it wrote to its streams."""
    rows = StreamEntry.objects.filter(run=run).order_by("key", "offset")
    return section(rows.values("key", "offset", "closes", "created_at", **heads("value")), lambda row: shown(row, "value"))


def relatives(run: WorkflowRun, relation: str) -> Section:
    """The runs whose ``relation`` ("parent" or "forked_from") it is."""
    rows = WorkflowRun.objects.filter(**{relation: run}).order_by("created_at", "pk")
    return section(rows.values("id", "name", "status", "created_at", "started_at", "completed_at"), _relative)


def _relative(row: Row) -> Row:
    row["pill"] = display.pill(row["status"])
    row["took"] = display.elapsed(row["started_at"], row["completed_at"])
    return shown(row)


def _current(model: type[Model], run: WorkflowRun) -> QuerySet[Any]:
    return model._default_manager.filter(run=run, generation=run.generation)


def section(rows: QuerySet[Any, Any], present: Callable[[Any], Row]) -> Section:
    """The rows if they are few, else the two ends of them, each made presentable."""
    first = list(rows[: SHOWN + 1])
    if len(first) <= SHOWN:
        return Section([present(row) for row in first], len(first))
    half = SHOWN // 2
    ends = [*first[:half], *reversed(rows.reverse()[:half])]
    return Section([present(row) for row in ends], rows.count(), half)


def shown(row: Row, *columns: str) -> Row:
    """The row with its clipped payloads, its error in parts, its moments as elements, its name as a label."""
    for column in columns:
        row[column] = display.payload(row.get(f"{column}_head"), row.get(f"{column}_length"))
    row["failure"] = failure(row.get("error_head"), row.get("error_length"))
    row["label"] = display.name_label(row.get("name", ""))
    row["place"] = place(row)
    return {name: display.timestamp(value) if isinstance(value, datetime) else value for name, value in row.items()}


def place(row: Row) -> str:
    """Where in the history: the position, after its branch if it is not the body's; of a stream's value its offset."""
    if "offset" in row:
        return str(row["offset"])
    branch, position = (row.get(name, row.get(f"consumed_{name}")) for name in ("branch", "position"))
    if position is None:
        return ""
    return f"{branch} / {position}" if branch else str(position)


def failure(text: str | None, length: int | None) -> Failure | None:
    """A stored error in its parts; the beginning of the text itself if it is too long to be read."""
    if text is None:
        return None
    if (length or 0) > len(text):
        return Failure("", Clipped(text[:MESSAGE_CLIP], (length or 0) - MESSAGE_CLIP))
    kind, message, traceback = error_summary(text)
    return Failure(kind, display.clip(message, MESSAGE_CLIP), display.clip_front(traceback) if traceback else None)
