"""
Histories are cut and copied: what ``rewinding`` and ``forking`` have in common.

A history is cut before a position of the body. What was recorded there and later is not kept, nor are the branches that
were created there; nor is what was begun and not recorded: an attempt of a step, a wait, the values that an unfinished step
has written to a stream. Where a run was cancelled its history ends: what follows are undo steps, which a body that goes
on would not find its way through. Whoever cuts holds the lock of the run's row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from django.db import OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import CharField, Expression, F, Model, Q, QuerySet, Value

from durable_workflows.models.dialects import DatabaseNow
from durable_workflows.models.events import Event
from durable_workflows.models.messages import Message
from durable_workflows.models.runs import WorkflowRun
from durable_workflows.models.steps import Kind, Position, StepAttempt, StepRun
from durable_workflows.models.streaming import lock_streams
from durable_workflows.models.streams import Stream, StreamEntry
from durable_workflows.models.waits import Wait

M = TypeVar("M", bound=Model)
CANCELLED, REWOUND = "durable.cancelled", "durable.rewound"
# Rows by place that belong to one generation, and those that stay when a run begins anew.
OF_ONE: tuple[type[Position], ...] = (StepRun, StepAttempt)
OF_ALL: tuple[type[Position], ...] = (Event, StreamEntry)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """
    A place at which a history is cut.

    :param before: the first position of the body that is not kept.
    """

    run_id: str
    generation: int
    before: int

    def keeps_some(self) -> bool:
        return self.before > 1


END = 2**31  # behind every position


def cut_before(connection: BaseDatabaseWrapper, run: WorkflowRun, step: int) -> Cut:
    """Where to cut a run's history so that it goes on with this step, or as late as there is something recorded."""
    cancelled = _body(connection, run.pk, run.generation).filter(kind=Kind.MANAGE, name=CANCELLED)
    mark = cancelled.values_list("position", flat=True).first()
    before = min(step, last(connection, run.pk, run.generation) + 1, step if mark is None else mark)
    return Cut(run_id=run.pk, generation=run.generation, before=before)


def last(connection: BaseDatabaseWrapper, run_id: str, generation: int) -> int:
    """The last recorded position of the body; 0: none is."""
    positions = _body(connection, run_id, generation).order_by("-position").values_list("position", flat=True)
    return positions.first() or 0


def _body(connection: BaseDatabaseWrapper, run_id: str, generation: int) -> QuerySet[StepRun]:
    steps = StepRun.objects.using(connection.alias).filter(run_id=run_id, generation=generation, branch="")
    return present(connection, steps.exclude(kind=Kind.MANAGE, name=REWOUND))


def present(connection: BaseDatabaseWrapper, rows: QuerySet[M]) -> QuerySet[M]:
    """Rows as they are committed by now: a plain SELECT of MySQL may look at a snapshot that is older than the lock."""
    return rows.select_for_update() if connection.vendor == "mysql" else rows


def _kept(rows: QuerySet[Any], cut: Cut, names: tuple[str, str] = ("branch", "position")) -> Q:
    """The condition of what is kept of these rows. A branch is named after the positions that created it: ``2.0``."""
    branch, position = names
    branches = rows.exclude(**{branch: ""}).values_list(branch, flat=True).order_by(branch).distinct()
    kept = [name for name in branches if name and int(name.partition(".")[0]) < cut.before]
    # Position 0 is that of a step which is the whole run.
    of_body = {branch: "", f"{position}__gte": 1, f"{position}__lt": cut.before}
    return Q(**of_body) | Q(**{f"{branch}__in": kept})


# -- one and the same run


def close(connection: BaseDatabaseWrapper, run: WorkflowRun) -> int:
    """
    Take the place where the owner of a run may be about to write, so that it cannot.

    Its fence is a plain look at the run, which a transaction that is under way may have behind it. That one is waited for,
    since nobody can insert the same place before it has ended: either it is recorded, or it will be refused here, and
    what it wrote besides is rolled back, a message that it took and whatever else.

    :returns: the key of the row that must stay.
    """
    if connection.vendor == "mysql":  # which will lock all messages: before the step, as ``recv`` does, so that none fails
        list(present(connection, Message.objects.using(connection.alias).filter(run_id=run.pk)).values_list("pk", flat=True))
    for _ in range(ENOUGH):
        position = last(connection, run.pk, run.generation) + 1
        place: dict[str, Any] = {"run_id": run.pk, "generation": run.generation, "branch": "", "position": position}
        mark = StepRun(**place, name=REWOUND, kind=Kind.MANAGE, started_at=DatabaseNow(), completed_at=DatabaseNow())
        StepRun.objects.using(connection.alias).bulk_create([mark], ignore_conflicts=True)
        marks = present(connection, StepRun.objects.using(connection.alias).filter(**place, kind=Kind.MANAGE, name=REWOUND))
        if (found := marks.values_list("pk", flat=True).first()) is not None:
            return found
    raise OperationalError(f"Run {run.pk!r} went on faster than it could be rewound. Try again, or cancel it before.")


ENOUGH = 100  # steps that its owner recorded each time before


def go_back(connection: BaseDatabaseWrapper, cut: Cut, closed: int | None = None) -> None:
    """
    Have a history that is cut be that of the run's next generation, and delete the rest.

    Messages that were received by what is cut are there again.

    :param closed: the key of the row that ``close`` has made.
    """
    _forget_waits(connection, cut)
    for model in OF_ONE:
        rows: QuerySet[Any] = QuerySet(model, using=connection.alias).filter(run_id=cut.run_id)
        _move(present(connection, rows.filter(generation=cut.generation)), cut)
        former = rows.filter(generation__lte=cut.generation)
        (former.exclude(pk=closed) if model is StepRun and closed is not None else former).delete()
    keys = Stream.objects.using(connection.alias).filter(run_id=cut.run_id).values_list("key", flat=True)
    lock_streams(connection, [(cut.run_id, key) for key in keys])
    for model in OF_ALL:
        rows = QuerySet(model, using=connection.alias).filter(run_id=cut.run_id, generation=cut.generation)
        _move(present(connection, rows), cut)
        rows.delete()
    _give_back_messages(connection, cut)


def _move(rows: QuerySet[Any], cut: Cut) -> None:
    rows.filter(_kept(rows, cut)).update(generation=cut.generation + 1)


def _forget_waits(connection: BaseDatabaseWrapper, cut: Cut) -> None:
    Wait.objects.using(connection.alias).filter(run_id=cut.run_id, generation__lte=cut.generation).delete()


def _give_back_messages(connection: BaseDatabaseWrapper, cut: Cut) -> None:
    received = _received(connection, cut)
    received.exclude(_kept(received, cut, CONSUMED)).update(consumed_at=None, consumed_branch=None, consumed_position=None)


def _received(connection: BaseDatabaseWrapper, cut: Cut) -> QuerySet[Message]:
    """What the history of this generation has received; what a former one has is not at a place of this one."""
    messages = Message.objects.using(connection.alias).filter(run_id=cut.run_id, consumed_position__isnull=False)
    return present(connection, messages)


CONSUMED = ("consumed_branch", "consumed_position")

# -- another run


def copy(connection: BaseDatabaseWrapper, cut: Cut, run_id: str) -> None:
    """
    Copy a history as far as it is kept to another run, whose first generation it becomes.

    Messages that were received belong to it; those that were not stay with the run to which they were sent.
    """
    # What stayed from former generations is former in the copy, too, and is not cut when that is rewound.
    instead = {"run_id": Value(run_id, CharField()), "generation": F("generation") - cut.generation}
    for model in (*OF_ONE, *OF_ALL):
        rows: QuerySet[Any] = QuerySet(model, using=connection.alias).filter(run_id=cut.run_id)
        mine = rows.filter(generation=cut.generation)
        kept = Q(generation=cut.generation) & _kept(present(connection, mine), cut)
        _copy(connection, rows.filter(kept | Q(generation__lt=cut.generation) if model in OF_ALL else kept), instead)
    received = _received(connection, cut)
    taken = Message.objects.using(connection.alias).filter(consumed_position__isnull=False, run_id=cut.run_id)
    _copy(connection, taken.filter(_kept(received, cut, CONSUMED)), {"run_id": instead["run_id"]})


def _copy(connection: BaseDatabaseWrapper, rows: QuerySet[Any], instead: Mapping[str, Expression]) -> None:
    """``INSERT ... SELECT`` in the order of their keys: the latest of several is the one with the highest."""
    columns = [field.attname for field in rows.model._meta.concrete_fields if not field.primary_key]
    told = {f"new_{name}": value for name, value in instead.items()}
    chosen = rows.order_by("pk").annotate(**told).values_list(*(f"new_{n}" if n in instead else n for n in columns))
    sql, params = chosen.query.get_compiler(connection=connection).as_sql()
    into = ", ".join(connection.ops.quote_name(name) for name in columns)
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO {connection.ops.quote_name(rows.model._meta.db_table)} ({into}) {sql}", params)
