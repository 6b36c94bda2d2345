"""
Forking: another run with a copy of the first one's history, up to a step, which goes on from there by itself.

The first run's row is locked meanwhile, so that its history is not cut or deleted; it may go on to record steps, which
come behind those that are copied. A fork that is repeated because the reply to its COMMIT was lost is found by its id.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Q

from durable_workflows import signals
from durable_workflows.exceptions import InvalidUse
from durable_workflows.models import histories
from durable_workflows.models.dialects import DatabaseNow
from durable_workflows.models.rewinding import saga_of
from durable_workflows.models.runs import WorkflowRun
from durable_workflows.models.steering import require
from durable_workflows.models.steps import Kind, StepRun
from durable_workflows.models.waking import lock
from durable_workflows.serializers import dumps, loads

# What a fork has of the run it is made from. Not its deadline, priority and deduplication id, nor its parent and schedule.
TAKEN_OVER = (
    "name", "queue", "partition_key", "app_version", "inputs", "attributes", "user", "class_name", "config_name",
    "max_recovery_attempts",
)  # fmt: skip
IDS = (Kind.START, Kind.FIRST, Kind.SELECT)  # whose outputs may hold ids of runs


@dataclass(frozen=True, slots=True, kw_only=True)
class Fork:
    """
    How runs are to be forked.

    :param new_ids: those of the forks, one for each run.
    :param start_step: the first step that a fork does itself.
    :param edit: makes the stored arguments of a workflow, given its name and those of the first run; None: they are the same.
    :param queue: where the forks queue; None: where the first run does.
    :param app_version: only workers of this version execute them; None: those of the first run's.
    :param children: ids of children that stand in what is copied, and those that are to stand there instead.
    """

    new_ids: Sequence[str]
    start_step: int
    edit: Callable[[str, str | None], str] | None = None
    queue: str | None = None
    app_version: str | None = None
    children: Mapping[str, str] = field(default_factory=dict)


def fork(connection: BaseDatabaseWrapper, run_ids: Sequence[str], how: Fork) -> list[str]:
    """
    Fork runs, in the open transaction; returns the forks' ids.

    :raises WorkflowNotFound: if an id, of a run or of a replacing child, is unknown.
    :raises InvalidUse: if the id of a fork belongs to another run.
    """
    require(run_ids, lock(connection, run_ids))
    require([*how.children.values()], _known(connection, [*how.children.values()]))
    rows = histories.present(connection, WorkflowRun.objects.using(connection.alias).filter(pk__in=run_ids).order_by("pk"))
    sources = {run.pk: run for run in rows}
    for run_id, new_id in zip(run_ids, how.new_ids, strict=True):
        if not _is_made(connection, run_id, new_id):
            _make(connection, sources[run_id], new_id, how)
    WorkflowRun.objects.using(connection.alias).filter(pk__in=run_ids).update(was_forked_from=True)
    signals.at_commit(signals.claimable, connection.alias)
    return list(how.new_ids)


def _known(connection: BaseDatabaseWrapper, run_ids: Sequence[str]) -> set[str]:
    return set(WorkflowRun.objects.using(connection.alias).filter(pk__in=run_ids).values_list("pk", flat=True))


def _is_made(connection: BaseDatabaseWrapper, run_id: str, new_id: str) -> bool:
    """Whether there is this fork already. Raises ``InvalidUse`` if there is another run under its id."""
    there = histories.present(connection, WorkflowRun.objects.using(connection.alias).filter(pk=new_id))
    found = there.values_list("forked_from_id", flat=True)[:1]
    if not found:
        return False
    if found[0] != run_id:
        raise InvalidUse(f"The id {new_id!r} belongs to a run that is no fork of {run_id!r}. Use another id.")
    return True


def _make(connection: BaseDatabaseWrapper, source: WorkflowRun, new_id: str, how: Fork) -> None:
    cut = histories.cut_before(connection, source, how.start_step)
    columns = {name: getattr(source, name) for name in TAKEN_OVER} | _changes(source, how)
    now = DatabaseNow()
    row = WorkflowRun(
        pk=new_id, forked_from_id=source.pk, saga=saga_of(source, cut), progress_mark=cut.before - 1,
        created_at=now, updated_at=now, queued_at=now, **columns,
    )  # fmt: skip
    WorkflowRun.objects.using(connection.alias).bulk_create([row], ignore_conflicts=True)
    _is_made(connection, source.pk, new_id)  # by this, and not by somebody else at the same moment
    histories.copy(connection, cut, new_id)
    if how.children:
        _replace_children(connection, new_id, how.children)


def _changes(source: WorkflowRun, how: Fork) -> dict[str, Any]:
    changed: dict[str, Any] = {}
    if how.edit is not None:
        changed["inputs"] = how.edit(source.name, source.inputs)
    if how.queue is not None and how.queue != source.queue:
        changed |= {"queue": how.queue, "partition_key": ""}  # a key is one queue's
    if how.app_version is not None:
        changed["app_version"] = how.app_version
    return changed


def _replace_children(connection: BaseDatabaseWrapper, run_id: str, children: Mapping[str, str]) -> None:
    """Have a copied history tell of other children: in what it was answered with, too, which a replay goes by."""
    steps = StepRun.objects.using(connection.alias).filter(run_id=run_id)
    named = steps.filter(Q(child_id__isnull=False) | Q(kind__in=IDS)).only("kind", "child_id", "output")
    changed = [step for step in named.iterator(500) if _replaces(step, children)]
    StepRun.objects.using(connection.alias).bulk_update(changed, ["child_id", "output"], batch_size=500)


def _replaces(step: StepRun, children: Mapping[str, str]) -> bool:
    before = (step.child_id, step.output)
    if step.kind in IDS and step.output is not None and (step.child_id is None or step.child_id in children):
        step.output = _replaced(step.output, children)
    step.child_id = children.get(step.child_id or "", step.child_id)
    return (step.child_id, step.output) != before


def _replaced(output: str, children: Mapping[str, str]) -> str:
    match loads(output, what="ids of children"):
        case str(run_id):
            return dumps(children.get(run_id, run_id), what="id of a child")
        case list(run_ids):
            return dumps([children.get(run_id, run_id) for run_id in run_ids], what="ids of children")
        case {"kind": "handle", "key": run_id} as chosen:
            return dumps({**chosen, "key": children.get(run_id, run_id)}, what="choice of a run")
    return output
