"""Which schedules a worker fires: its own, and those that no code made."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import DatabaseError, InterfaceError, connection

from durable_workflows import InvalidUse, clock, registry, scheduled, workflow
from durable_workflows.models import Schedule, Worker, WorkflowRun, sweeps
from durable_workflows.models.dialects import DatabaseNow
from durable_workflows.testing import drain, travel
from durable_workflows.worker import scheduling
from tests.engine.elsewhere import in_thread
from tests.engine.isolation import DATABASE, at_each_level
from tests.engine.test_lost_sessions import end_session
from tests.processes import Processes

DAILY, HOURLY = "30 4 * * *", "0 * * * *"


@pytest.fixture(autouse=True)
def declared(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The schedules of the code of this process: none, to begin with."""
    schedules: dict[str, Any] = {}
    monkeypatch.setattr(registry, "_schedules", schedules)
    return schedules


def declare_workflow() -> Any:
    def ticking(scheduled_time: datetime, actual_time: datetime) -> str:
        return scheduled_time.isoformat()

    return workflow(name="tests.ticking")(ticking)


def a_day_later() -> int:
    """How many runs the ticks of a day have started."""
    before = WorkflowRun.objects.count()
    travel(days=1)
    scheduling.fire_due()
    return WorkflowRun.objects.count() - before


def pulse_of_ticks() -> datetime | None:
    return sweeps.pulse(connection, ["default"]).next_tick


@pytest.mark.django_db
@pytest.mark.usefixtures("unparked")
def test_a_schedule_fires_no_more_where_it_is_not_declared(declared: dict[str, Any]) -> None:
    scheduled(DAILY, catch_up="last")(declare_workflow())
    scheduling.declare()
    assert a_day_later() == 1
    code = dict(declared)
    declared.clear()  # a worker with newer code: it has the workflow, and not its schedule
    travel(days=1)
    assert pulse_of_ticks() is None, "it would be told without end of a tick that it does not fire"
    assert a_day_later() == 0
    declared |= code  # one with the old code is still there, or the decorator has come back
    assert pulse_of_ticks() is not None
    assert scheduling.fire_due() == 1


@pytest.mark.django_db
@pytest.mark.usefixtures("unparked")
def test_a_schedule_that_no_code_made_is_everybodys() -> None:
    declare_workflow()
    Schedule.objects.create(
        name="by hand", workflow_name="tests.ticking", cron=DAILY, catch_up="last", next_fire_at=DatabaseNow(),
        created_at=DatabaseNow(), updated_at=DatabaseNow(),
    )  # fmt: skip
    assert pulse_of_ticks() is not None
    assert a_day_later() == 1


@pytest.mark.django_db(transaction=True)
def test_a_worker_process_passes_over_what_its_code_does_not_declare(processes: Processes) -> None:
    due = clock.now() - timedelta(minutes=1)
    for name, in_code, late in (("removed", True, 20), ("by hand", False, 10)):
        Schedule.objects.create(
            name=name, workflow_name="tests.behaviour.programs.unknown", cron=HOURLY, catch_up="last", in_code=in_code,
            next_fire_at=due - timedelta(minutes=late), created_at=DatabaseNow(), updated_at=DatabaseNow(),
        )  # fmt: skip
    worker = processes.worker("--threads", "1", env={"PYTHONFAULTHANDLER": "1"})
    last_look = time.monotonic() + 60
    while not WorkflowRun.objects.filter(schedule_name="by hand").exists():
        if time.monotonic() > last_look:
            worker.send_signal(signal.SIGABRT)  # has it say where its threads are
            pytest.fail(f"Nothing was started; the rows: {list(Schedule.objects.values())}, {list(Worker.objects.values())}")
        time.sleep(0.05)
    assert Worker.objects.filter(direct=False).exists()
    assert not WorkflowRun.objects.filter(schedule_name="removed").exists()


@pytest.mark.django_db
@pytest.mark.skipif(DATABASE == "sqlite", reason="it has one writer, who looks and inserts without another between")
@at_each_level
def test_two_workers_that_start_at_once_declare_a_schedule_once(level: str, declared: dict[str, Any]) -> None:
    scheduled(DAILY)(declare_workflow())
    before: list[str] = []

    def let_another_come_first(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.startswith("INSERT") and not before:
            before.append(sql)
            in_thread(scheduling.declare)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(let_another_come_first):
        scheduling.declare()
    assert len(before) == 1
    assert Schedule.objects.count() == 1


# -- what goes wrong


@contextmanager
def the_database_fails_at_the_first_tick() -> Iterator[list[str]]:
    """End the session under the statement that moves a schedule on; on SQLite, which has none, have it refuse the write."""
    failed: list[str] = []

    def fail(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if failed or not sql.startswith("UPDATE") or "next_fire_at" not in sql:
            return execute(sql, params, many, context)
        failed.append(sql)
        if DATABASE != "sqlite":
            end_session()
            return execute(sql, params, many, context)
        context["cursor"].execute("PRAGMA query_only = 1")
        try:
            return execute(sql, params, many, context)
        finally:
            context["cursor"].execute("PRAGMA query_only = 0")

    with connection.execute_wrapper(fail):
        yield failed


@pytest.mark.django_db
@pytest.mark.usefixtures("committing", "unparked")
def test_a_tick_that_met_a_failing_database_is_still_due() -> None:
    scheduled(DAILY, catch_up="all")(declare_workflow())
    scheduling.declare()
    travel(days=1)
    with the_database_fails_at_the_first_tick() as failed, pytest.raises((DatabaseError, InterfaceError)):
        scheduling.fire_due()
    connection.close_if_unusable_or_obsolete()
    assert len(failed) == 1
    assert not Schedule.objects.get().paused
    assert scheduling.fire_due() == 1


@pytest.mark.django_db
@pytest.mark.usefixtures("unparked")
def test_a_row_that_cannot_be_fired_is_paused_until_code_declares_another_cron(caplog: pytest.LogCaptureFixture) -> None:
    scheduled(DAILY, catch_up="last")(declare_workflow())
    scheduling.declare()
    Schedule.objects.update(cron="nonsense", next_fire_at=DatabaseNow(-1))
    assert scheduling.fire_due() == 0
    assert Schedule.objects.get().paused
    assert "Schedule tests.ticking is paused" in caplog.text
    scheduling.declare()
    assert not Schedule.objects.get().paused
    assert a_day_later() == 1


# -- several for one workflow


@pytest.mark.django_db
@pytest.mark.usefixtures("unparked")
def test_a_workflow_has_a_schedule_for_each_decorator() -> None:
    function = scheduled(DAILY, catch_up="last")(declare_workflow())
    scheduled(HOURLY, catch_up="last", queue="others")(function)
    scheduling.declare()
    rows = dict(Schedule.objects.values_list("name", "cron"))
    assert rows == {"tests.ticking": DAILY, "tests.ticking#2": HOURLY}
    Schedule.objects.update(next_fire_at=datetime.fromisoformat("2024-01-01T04:30:00Z"))
    drain()
    runs = WorkflowRun.objects.values_list("schedule_name", "queue")
    assert sorted(runs) == [("tests.ticking", "default"), ("tests.ticking#2", "others")]


def test_declared_again_a_workflow_has_the_schedules_it_has_now(declared: dict[str, Any]) -> None:
    scheduled(HOURLY)(scheduled(DAILY)(declare_workflow()))
    scheduled(HOURLY)(declare_workflow())
    assert [(name, known.cron.expression) for name, known in declared.items()] == [("tests.ticking", HOURLY)]
    declare_workflow()
    assert declared == {}


def test_the_same_schedule_twice_is_one_and_with_other_options_an_error(declared: dict[str, Any]) -> None:
    function = scheduled(DAILY)(declare_workflow())
    scheduled(DAILY)(function)
    with pytest.raises(InvalidUse, match="scheduled twice"):
        scheduled(DAILY, catch_up="all")(function)
    scheduled(DAILY, timezone="Europe/Berlin")(function)
    assert sorted(declared) == ["tests.ticking", "tests.ticking#2"]


def test_a_name_that_would_be_too_long_is_refused() -> None:
    function = workflow(name="x" * 255)(declare_workflow().durable.func)
    with pytest.raises(InvalidUse, match="at most 255"):
        scheduled(HOURLY)(scheduled(DAILY)(function))
