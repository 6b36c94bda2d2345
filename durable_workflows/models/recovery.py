"""
Taking back the runs of a dead worker, in bulk.

Every run that was running is charged, since nothing tells which one killed the worker. The charge that counts is in a
row: a run that has recorded a step since the last recovery starts over at nought, so that a run of six months survives
its deploys. A run that made no progress twice is a suspect and runs alone, so that its neighbours are not charged for it
again; past its limit it is given up, with the reason.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import F, Max

from durable_workflows.models.dialects import DatabaseNow
from durable_workflows.models.runs import LEASED, WorkflowRun
from durable_workflows.models.steering import RELEASED, stop
from durable_workflows.models.steps import StepRun
from durable_workflows.states import RunState

BATCH = 1000
SUSPECT_AFTER = 2
LONGEST_DELAY = 300.0  # seconds


@dataclass(frozen=True, slots=True)
class _Fate:
    """What becomes of a run: its new count of losses without progress, and whether that is too many."""

    stalled: int
    limit: int | None

    @property
    def dead(self) -> bool:
        return self.limit is not None and self.stalled > self.limit

    @property
    def suspect(self) -> bool:
        return self.stalled >= min(SUSPECT_AFTER, max(1, self.limit or SUSPECT_AFTER))

    @property
    def delay(self) -> float:
        return 0.0 if self.stalled < SUSPECT_AFTER else min(2.0 ** (self.stalled - SUSPECT_AFTER), LONGEST_DELAY)


def take_back(connection: BaseDatabaseWrapper, worker_id: str) -> int:
    """Take back up to ``BATCH`` runs of a worker that was declared lost or has stopped; the caller repeats until 0."""
    runs = WorkflowRun.objects.using(connection.alias)
    if connection.features.has_select_for_update_skip_locked:
        runs = runs.select_for_update(skip_locked=True)
    held = list(runs.filter(LEASED, worker_id=worker_id).order_by("pk").values_list(*_READ)[:BATCH])
    marks = _progress(connection, [row[0] for row in held])
    for fate, ids in _fates(held, marks).items():
        _carry_out(connection, fate, ids)
    for mark, ids in _by_mark(marks).items():
        WorkflowRun.objects.using(connection.alias).filter(pk__in=ids).update(progress_mark=mark)
    return len(held)


_READ = ("pk", "progress_mark", "stalled", "max_recovery_attempts")


def _progress(connection: BaseDatabaseWrapper, run_ids: list[str]) -> dict[str, int]:
    """The number of the highest position of each run that is recorded in its history as it is now."""
    steps = StepRun.objects.using(connection.alias).filter(run_id__in=run_ids, generation=F("run__generation"))
    counted = dict(steps.values_list("run_id").annotate(top=Max("position")).values_list("run_id", "top"))
    return {run_id: counted.get(run_id, 0) for run_id in run_ids}


def _fates(held: Iterable[tuple[str, int, int, int | None]], marks: dict[str, int]) -> dict[_Fate, list[str]]:
    fates: defaultdict[_Fate, list[str]] = defaultdict(list)
    for run_id, mark, stalled, limit in held:
        progressed = marks[run_id] > mark
        fates[_Fate(1 if progressed else stalled + 1, limit)].append(run_id)
    return dict(fates)


def _by_mark(marks: dict[str, int]) -> dict[int, list[str]]:
    grouped: defaultdict[int, list[str]] = defaultdict(list)
    for run_id, mark in marks.items():
        grouped[mark].append(run_id)
    return dict(grouped)


def _carry_out(connection: BaseDatabaseWrapper, fate: _Fate, run_ids: list[str]) -> None:
    runs = WorkflowRun.objects.using(connection.alias).filter(pk__in=run_ids)
    runs.update(stalled=fate.stalled, recovery_attempts=F("recovery_attempts") + 1, suspect=fate.suspect)
    if fate.dead:
        stop(connection, run_ids, RunState.MAX_RECOVERY_ATTEMPTS_EXCEEDED, _reason(fate))
        return
    status = RunState.DELAYED if fate.delay else RunState.ENQUEUED
    due = DatabaseNow(fate.delay) if fate.delay else None
    kept = {name: value for name, value in RELEASED.items() if name != "deduplication_lock"}
    runs.update(**{**kept, "status": status, "due_at": due, "updated_at": DatabaseNow()})


def _reason(fate: _Fate) -> str:
    return (
        f"Its worker was lost {fate.stalled} times in a row without a step being recorded (the limit is {fate.limit})."
        " Find out what it does to its process, then resume it."
    )
