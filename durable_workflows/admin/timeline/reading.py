"""What a timeline is drawn from: the rows of a run's history, of a long one its two ends and a summary of what is between."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import BooleanField, Count, ExpressionWrapper, F, Max, Min, Q, QuerySet, Value

from durable_workflows.models import StepAttempt, StepRun, Wait, WorkflowRun
from durable_workflows.states import RunState

WHOLE, ENDS = 60, 20  # steps of a history that is shown whole, and of each end of a longer one
NESTED = 30, 12  # the same of a child
BUCKETS = 100  # parts of the summary of what is between
SUMMED_UP = 100_000  # steps that are summed up at most: each is read
ATTEMPTS, WAITS, CHILDREN = 400, 20, 40

Place = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Bucket:
    """Some steps between the two ends, in one."""

    first: int
    last: int
    number: int
    failed: int
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """
    What is recorded of one run.

    :param head: its first steps, or all; :param tail: the last ones of many.
    :param total: how many steps there are, as far as they are counted; :param between: those between, summed up.
    :param attempts: the failed attempts by their place.
    :param children: the runs that it started, by id.
    """

    run: WorkflowRun
    head: Sequence[StepRun]
    tail: Sequence[StepRun] = ()
    total: int = 0
    between: Sequence[Bucket] = ()
    attempts: dict[Place, list[StepAttempt]] = field(default_factory=dict)
    waits: Sequence[Wait] = ()
    children: dict[str, WorkflowRun] = field(default_factory=dict)

    @property
    def left_out(self) -> int:
        """How many steps are between the two ends."""
        return self.total - len(self.head) - len(self.tail)


def read(run: WorkflowRun, limits: tuple[int, int] | None = None) -> Rows:
    """
    The rows of one run, by a number of queries that does not depend on it.

    :param limits: how many steps are shown at most, and of each end if there are more.
    """
    whole, ends = limits or (WHOLE, ENDS)
    steps = _of(StepRun, run).order_by("branch", "position")
    light: QuerySet[Any] = steps.defer("output", "error").annotate(failed=_HAS_ERROR)
    head, total = list(light[: whole + 1]), 0
    tail: Sequence[StepRun] = ()
    between: Sequence[Bucket] = ()
    if len(head) > whole:
        head, tail = head[:ends], list(reversed(light.reverse()[:ends]))
        total = steps[:SUMMED_UP].count()
        between = _summed_up(steps, head[-1], tail[0], total)
    return Rows(
        run=run, head=head, tail=tail, total=total or len(head), between=between,
        attempts=_attempts(run, head, tail), waits=_waits(run), children=_children(run, [*head, *tail]),
    )  # fmt: skip


_HAS_ERROR = ExpressionWrapper(Q(error__isnull=False), output_field=BooleanField())


def _of(model: type[Any], run: WorkflowRun) -> QuerySet[Any]:
    rows: QuerySet[Any] = model._default_manager.filter(run=run, generation=run.generation)
    return rows


def _summed_up(steps: QuerySet[StepRun], last: StepRun, first: StepRun, total: int) -> Sequence[Bucket]:
    """Of a history in branches, or of too many steps, nothing: no index would help, and there is no order to draw."""
    if last.branch != first.branch or total >= SUMMED_UP:
        return ()
    between = steps.filter(branch=last.branch, position__gt=last.position, position__lt=first.position)
    size = max(1, (first.position - last.position) // BUCKETS)
    offset = F("position") - Value(last.position + 1)
    parts = between.order_by().annotate(part=offset - offset % Value(size)).values("part").order_by("part")
    found = parts.annotate(
        a=Min("position"), b=Max("position"), n=Count("pk"), failed=Count("error"), s=Min("started_at"), e=Max("completed_at")
    )
    return [Bucket(row["a"], row["b"], row["n"], row["failed"], row["s"], row["e"]) for row in found]


def _attempts(run: WorkflowRun, head: Sequence[StepRun], tail: Sequence[StepRun]) -> dict[Place, list[StepAttempt]]:
    rows = _of(StepAttempt, run).order_by("branch", "position", "attempt").defer("error")
    if tail:
        rows = rows.filter(_until(head[-1]) | _since(tail[0]))
    found = defaultdict(list)
    for attempt in rows[:ATTEMPTS]:
        found[attempt.branch, attempt.position].append(attempt)
    return dict(found)


def _until(step: StepRun) -> Q:
    return Q(branch__lt=step.branch) | Q(branch=step.branch, position__lte=step.position)


def _since(step: StepRun) -> Q:
    return Q(branch__gt=step.branch) | Q(branch=step.branch, position__gte=step.position)


def _waits(run: WorkflowRun) -> list[Wait]:
    waiting = run.status in (RunState.WAITING, RunState.PAUSED)
    return list(_of(Wait, run).order_by("pk")[:WAITS]) if waiting else []


def _children(run: WorkflowRun, steps: Sequence[StepRun]) -> dict[str, WorkflowRun]:
    """Those that the steps name, and some of the others, such as those that were started many at once."""
    named = [step.child_id for step in steps if step.child_id]
    columns = ("pk", "name", "status", "parent", "generation", "created_at", "started_at", "claimed_at", "completed_at",
               "updated_at", "forked_from")  # fmt: skip
    runs = WorkflowRun.objects.only(*columns)
    found = {child.pk: child for child in runs.filter(pk__in=named)} if named else {}
    others = runs.filter(parent=run).exclude(pk__in=named).order_by("created_at", "pk")[:CHILDREN]
    return found | {child.pk: child for child in others}
