"""Pauses of a workflow's body, which end at the same moment in whichever attempt."""

from __future__ import annotations

from datetime import MAXYEAR, datetime
from typing import TYPE_CHECKING

from durable_workflows.engine.awaiting import UNDER
from durable_workflows.engine.operations import Effect, database
from durable_workflows.exceptions import InvalidUse
from durable_workflows.models import reading
from durable_workflows.models.steps import Kind
from durable_workflows.models.waking import WaitFor
from durable_workflows.options import TOO_LONG, shown

if TYPE_CHECKING:
    from durable_workflows.engine.execution import Execution


def sleep(execution: Execution, seconds: float) -> None:
    """Pause until ``seconds`` after the first attempt came here."""
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 <= seconds < TOO_LONG:
        raise InvalidUse(f"sleep() takes a number of seconds that is not negative, and {UNDER}, not {shown(seconds)}.")
    _sleep(execution, "durable.sleep", seconds=float(seconds))


def sleep_until(execution: Execution, moment: datetime) -> None:
    """Pause until a moment."""
    if not isinstance(moment, datetime) or moment.tzinfo is None:
        raise InvalidUse(f"sleep_until() takes an aware datetime, not {moment!r}. Give it a time zone.")
    if moment.year >= MAXYEAR:  # not every database, nor every time zone, can tell it
        raise InvalidUse(f"sleep_until() takes a moment before the year {MAXYEAR}, not {moment!r}. recv() waits for ever.")
    _sleep(execution, "durable.sleep_until", until=moment)


def _sleep(execution: Execution, name: str, *, seconds: float | None = None, until: datetime | None = None) -> None:
    operation = execution.operation(name, Kind.SLEEP)
    if operation.recorded:
        operation.answer()
        return
    if until is not None and operation.place not in execution.waits:
        now = execution.persistently(lambda: reading.database_now(database()))
        seconds = (until - now).total_seconds()
    wait = WaitFor(kind=Kind.SLEEP, seconds=None if until else seconds, until=until, **operation.here)
    if seconds is None or seconds > 0 or operation.place in execution.waits:
        operation.wait([wait], lambda: False, timeout=seconds)
    operation.record(Effect())
