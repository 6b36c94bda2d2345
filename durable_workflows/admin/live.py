"""
Whether a run's page is still true: a stamp that is another one after each change that the page would show.

It is asked every few seconds by each page that is open, so it counts rows and reads none: one query beside that for the run
itself, and for one that has not ended those that tell its situation.

Who changes a payload in its place must touch the run's ``updated_at``, as all do that change the run.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from hashlib import blake2b
from typing import Any

from django.db.models import CharField, Count, F, Max, QuerySet, Sum, Value

from durable_workflows.admin import display
from durable_workflows.models import Event, Message, StepAttempt, StepRun, StreamEntry, Wait, WorkflowRun
from durable_workflows.states import TERMINAL

GROWTH = 1.02  # by so much time must have grown for the picture to be drawn anew
SHORTEST = 2.0  # seconds in which nothing moves by the clock alone


def etag(run: WorkflowRun, opened: Sequence[str], seen_by: Sequence[object]) -> str:
    """
    The stamp of a run's page, as an entity tag.

    :param opened: the runs whose lanes are shown in its timeline.
    :param seen_by: what else the page depends on: who looks at it, and how.
    """
    facts = [*_columns(run), *_counts([run.pk, *opened]), *seen_by]
    if run.status not in TERMINAL:
        facts.append(_age(run, display.present()))
    return f'"{blake2b(repr(facts).encode("utf-8", "backslashreplace"), digest_size=16).hexdigest()}"'


def _columns(run: WorkflowRun) -> list[tuple[str, object]]:
    """What was read of its row: no payload, and whatever the queryset adds."""
    return sorted((name, value) for name, value in vars(run).items() if not name.startswith("_"))


def _counts(run_ids: Sequence[str]) -> list[tuple[Any, ...]]:
    """What is recorded of the runs, and how their children and forks stand."""
    parts = [
        _part("steps", StepRun.objects.filter(run_id__in=run_ids), Max("generation")),
        _part("attempts", StepAttempt.objects.filter(run_id__in=run_ids), Max("attempt")),
        _part("waits", Wait.objects.filter(run_id__in=run_ids), Max("pk")),
        _part("messages", Message.objects.filter(run_id__in=run_ids), Count("consumed_at")),
        _part("events", Event.objects.filter(run_id__in=run_ids), Max("pk")),
        _part("streams", StreamEntry.objects.filter(run_id__in=run_ids), Max("offset")),
        _part("child", WorkflowRun.objects.filter(parent_id__in=run_ids), Sum("attempt"), by=F("status")),
        _part("fork", WorkflowRun.objects.filter(forked_from_id=run_ids[0]), Sum("attempt"), by=F("status")),
        _part("parent", WorkflowRun.objects.filter(children__pk=run_ids[0]), Sum("attempt"), by=F("status")),
    ]
    return sorted(parts[0].union(*parts[1:], all=True))


def _part(label: str, rows: QuerySet[Any], last: Any, by: Any = None) -> QuerySet[Any, Any]:
    """One line for each group of rows; of none, none. A group is told by what it is of, and perhaps by a column."""
    text = CharField()
    rows = rows.order_by().annotate(of=Value(label, output_field=text), how=by or Value("", output_field=text))
    grouped: QuerySet[Any, Any] = rows.values("of", "how").annotate(number=Count("pk"), last=last)
    return grouped.values_list("of", "how", "number", "last")


def _age(run: WorkflowRun, now: datetime) -> int:
    """The present, as coarsely as the page shows it: a run of three days looks the same an hour later."""
    seconds = (now - run.created_at).total_seconds()
    return 0 if seconds < SHORTEST else int(math.log(seconds / SHORTEST, GROWTH))
