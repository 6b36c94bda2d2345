"""What is done with schedules at run time, as a workflow, a step and the world outside carry it out."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

from django.db.backends.base.base import BaseDatabaseWrapper

from durable_workflows.engine import ticks
from durable_workflows.engine.operations import Effect, database
from durable_workflows.exceptions import DurableError, InvalidUse, PayloadCorrupted, ScheduleConflict
from durable_workflows.models import planning, reading
from durable_workflows.models.schedules import Schedule
from durable_workflows.models.steps import Kind
from durable_workflows.recurrence import ScheduleInput
from durable_workflows.serializers import dumps, loads
from durable_workflows.status import ScheduleStatus

if TYPE_CHECKING:
    from durable_workflows.engine.execution import Execution

BACKFILL_AT_ONCE = 10_000
READING = ("get", "list")


def perform(execution: Execution, verb: str, arguments: Mapping[str, Any]) -> Any:
    """One of the verbs, called in a workflow: a recorded step."""
    name = f"durable.{verb}_schedule{'s' if verb in ('apply', 'list') else ''}"
    operation = execution.operation(name, Kind.MANAGE)
    if operation.recorded:
        return operation.answer()
    deed = Deed(verb, arguments)
    try:
        execution.persistently(lambda: deed.look_ahead(database()))
    except DurableError as error:
        operation.fail(error)
    return operation.commit(lambda connection: Effect(output=dumps(deed(connection), what=f"result of {name}")))


class Deed:
    """
    One call of one verb. It may be carried out again, after a lock error or a lost reply, and is the same then: the moment
    at which it happens, of which ids are made, is asked for once.
    """

    def __init__(self, verb: str, arguments: Mapping[str, Any]) -> None:
        self.reads = verb in READING
        self._act = getattr(self, f"_{verb}")
        self._arguments = arguments
        self._happens: datetime | None = None
        self._begun = 0
        self._missed: tuple[ScheduleInput, list[datetime]] | None = None

    def __call__(self, connection: BaseDatabaseWrapper) -> Any:
        self._begun += 1
        return self._act(connection, **self._arguments)

    def look_ahead(self, connection: BaseDatabaseWrapper) -> None:
        """What takes long, and needs no lock, before the transaction: thousands of ticks take a second."""
        if self._act == self._backfill and (row := planning.rows(connection).filter(pk=self._arguments["name"]).first()):
            self._missed = self._ticks(planning.value_of(row), row, **self._arguments)

    def _now(self, connection: BaseDatabaseWrapper) -> datetime:
        self._happens = self._happens or reading.database_now(connection)
        return self._happens

    def _create(self, connection: BaseDatabaseWrapper, plan: ScheduleInput) -> None:
        now = self._now(connection)
        try:
            planning.create(connection, plan, now)
        except ScheduleConflict:
            if self._begun == 1 or not planning.holds(connection, plan, now):
                raise

    def _apply(self, connection: BaseDatabaseWrapper, plans: list[ScheduleInput]) -> None:
        planning.apply(connection, plans, self._now(connection))

    def _get(self, connection: BaseDatabaseWrapper, name: str) -> ScheduleStatus | None:
        row = planning.rows(connection).filter(pk=name).first()
        return None if row is None else status_of(row)

    def _list(self, connection: BaseDatabaseWrapper, **filters: Any) -> list[ScheduleStatus]:
        return [status_of(row) for row in planning.listed(connection, **filters)]

    def _pause(self, connection: BaseDatabaseWrapper, name: str) -> None:
        planning.pause(connection, name)

    def _resume(self, connection: BaseDatabaseWrapper, name: str) -> None:
        planning.resume(connection, name, self._now(connection))

    def _delete(self, connection: BaseDatabaseWrapper, name: str) -> None:
        if self._begun == 1 or planning.rows(connection).filter(pk=name).exists():
            planning.delete(connection, name)

    def _trigger(self, connection: BaseDatabaseWrapper, name: str) -> str:
        now, row = self._now(connection), planning.touched(connection, name)
        run = ticks.run_of(row, ticks.trigger_id(name, now), now, now)
        ticks.start(connection, [run])
        return run.id

    def _backfill(self, connection: BaseDatabaseWrapper, name: str, start: datetime, end: datetime) -> list[str]:
        row = planning.touched(connection, name)
        plan = planning.value_of(row)
        known = self._missed if self._missed and self._missed[0] == plan else self._ticks(plan, row, name, start, end)
        runs = ticks.tick_runs(row, known[1], self._now(connection))
        ticks.start(connection, runs)
        return [run.id for run in runs]

    def _ticks(
        self, plan: ScheduleInput, row: Schedule, name: str, start: datetime, end: datetime
    ) -> tuple[ScheduleInput, list[datetime]]:
        found = list(islice(plan.timetable(row.created_at).between(start, end), BACKFILL_AT_ONCE + 1))
        if len(found) > BACKFILL_AT_ONCE:
            raise InvalidUse(
                f"Schedule {name!r} has more than {BACKFILL_AT_ONCE:,} ticks between {start.isoformat()} and"
                f" {end.isoformat()}. Backfill a shorter time at once."
            )
        return plan, found


def status_of(row: Schedule) -> ScheduleStatus:
    """The row, decoded; a context that cannot be read here does not keep anybody from seeing the rest."""
    context, note = None, row.note
    try:
        context = None if row.context is None else loads(row.context, what=f"context of schedule {row.name!r}")
    except PayloadCorrupted as error:
        note = note or str(error)
    return ScheduleStatus(
        name=row.name, workflow_name=row.workflow_name, status=row.state, cron=row.cron,
        interval_seconds=row.interval_seconds, timezone=row.timezone, context=context, catch_up=row.catch_up,
        overlap=row.overlap, jitter_seconds=row.jitter_seconds, starts_at=row.starts_at, ends_at=row.ends_at, queue=row.queue,
        in_code=row.in_code, next_fire_at=row.next_fire_at, last_fire_at=row.last_fire_at, skipped=row.skipped, note=note,
        created_at=row.created_at, updated_at=row.updated_at,
    )  # fmt: skip
