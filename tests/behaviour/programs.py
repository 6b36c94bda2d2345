"""The workflows of these tests."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import durable_workflows as durable
from tests.app.models import Ledger


def written(step: str) -> int:
    """How often a step's effect is in the database."""
    return Ledger.objects.filter(step=step).count()


@durable.step
def write(note: str) -> str:
    Ledger.objects.create(run_id="", step="write", note=note)
    return note


@durable.step
def unstorable() -> Any:
    Ledger.objects.create(run_id="", step="unstorable")
    return object()


@durable.step
def undecided() -> float:
    return float("nan")


@durable.workflow
def greet(name: str) -> str:
    return write(f"hello {name}")


@durable.workflow
def returns_unstorable_step() -> Any:
    return unstorable()


@durable.workflow
def returns_nan() -> float:
    return undecided()


@durable.workflow
def returns_object() -> Any:
    write("before")
    return object()


@durable.workflow
def naps(seconds: Any) -> None:
    durable.sleep(seconds)


@durable.workflow
def naps_until(moment: Any) -> None:
    durable.sleep_until(moment)


@durable.workflow
def writes_to(workflow_id: str) -> None:
    durable.send(workflow_id, "hello")


@durable.workflow
def awaits(workflow_id: str) -> Any:
    return durable.get_result(workflow_id)


@durable.workflow
def listens(timeout: Any) -> Any:
    return durable.recv("topic", timeout_seconds=timeout, default="nothing")


@durable.workflow
def writes_then_listens() -> Any:
    write("first")
    heard = durable.recv("topic")
    return write(heard)


@durable.workflow
def names(target: str, self: str) -> str:
    return f"{target} {self}"


@durable.step
def start_two() -> list[str]:
    return [greet.start(name).workflow_id for name in ("first", "second")]


@durable.workflow
def starts_two_in_a_step() -> list[str]:
    return start_two()


@durable.workflow
def plans_badly() -> str:
    durable.create_schedule("good", greet, "0 * * * *")
    try:
        durable.create_schedule("good", greet, "1 * * * *")
    except durable.ScheduleConflict as error:
        said = str(error).split(" Take another name")[0]
    try:
        durable.create_schedule("bad", greet, "nonsense")
    except durable.InvalidUse:
        pass
    try:
        durable.backfill_schedule("good", datetime(1990, 1, 1), datetime(2025, 1, 1))
    except durable.InvalidUse:
        return said
    return "not refused"
