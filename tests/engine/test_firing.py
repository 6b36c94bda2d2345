"""What becomes of ticks: those that were missed, those that overlap, those put off by jitter, the first and the last."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connections

from durable_workflows import (
    apply_schedules,
    cancel_workflow,
    create_schedule,
    get_schedule,
    pause_schedule,
    registry,
    resume_schedule,
    scheduled,
    send,
    trigger_schedule,
    workflow,
)
from durable_workflows.models import Schedule, WorkflowRun, planning
from durable_workflows.models.transactions import in_write_transaction
from durable_workflows.states import RunState
from durable_workflows.testing import drain, durable_worker, travel
from durable_workflows.worker import housekeeping, scheduling
from durable_workflows.worker.shift import Options, Shift
from tests.engine.isolation import DATABASE, at_each_level
from tests.engine.ticking import now, put_tick, run_ids, ticked, ticks_and_waits

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("committing", "unparked")]

NAME = "feed"
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
YEARLY = "0 0 1 1 *"
FAR = {"interval_seconds": 10**6}  # no tick of its own comes in the way


@pytest.fixture(autouse=True)
def no_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """The code of this process declares no schedules."""
    monkeypatch.setattr(registry, "_schedules", {})


def row(name: str = NAME) -> Schedule:
    return Schedule.objects.get(pk=name)


def ticks_of(name: str = NAME) -> list[datetime]:
    return [datetime.fromisoformat(run_id.removeprefix(f"sched-{name}-")) for run_id in run_ids(name)]


def every(seconds: float, *, behind: int, into: float = 1.0, **fields: Any) -> list[datetime]:
    """A schedule that was not looked at for so many ticks, the last of them ``into`` seconds ago; returns those ticks."""
    anchor = now().replace(microsecond=0) - timedelta(seconds=into) - behind * timedelta(seconds=seconds)
    create_schedule(NAME, fields.pop("workflow", ticked), interval_seconds=seconds, starts_at=anchor, **fields)
    ticks = [anchor + number * timedelta(seconds=seconds) for number in range(1, behind + 1)]
    Schedule.objects.filter(pk=NAME).update(
        **planning.next_times(planning.timetable_of(row()), ticks[0]),
    )
    return ticks


# -- catch_up


@pytest.mark.parametrize(
    ("catch_up", "seconds", "into", "fired"),
    [
        ("all", 3600, 1800, slice(None)),
        ("last", 3600, 1800, slice(-1, None)),
        ("skip", 3600, 1800, slice(0, 0)),  # half an hour late
        ("skip", 3600, 30, slice(-1, None)),  # within a minute
        ("skip", 3600, 90, slice(0, 0)),
        ("skip", 40, 10, slice(-1, None)),  # within its interval
        ("all", 40, 10, slice(None)),
    ],
)
def test_after_a_downtime(catch_up: Any, seconds: int, into: float, fired: slice) -> None:
    ticks = every(seconds, behind=4, into=into, catch_up=catch_up)
    assert scheduling.fire_due() == len(ticks[fired])
    assert ticks_of() == ticks[fired]
    assert row().next_fire_at == ticks[-1] + timedelta(seconds=seconds)
    assert row().last_fire_at == (ticks[-1] if ticks[fired] else None)
    assert scheduling.fire_due() == 0


def test_a_tick_within_a_minute_is_on_time_however_often_it_comes() -> None:
    """A second's schedule is allowed a second."""
    every(1, behind=50, into=0.0, catch_up="skip")
    assert scheduling.fire_due() == 1
    assert row().skipped == 0


def test_a_long_downtime_is_made_up_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduling, "TICKS_AT_ONCE", 7)
    ticks = every(60, behind=20, catch_up="all")
    assert [scheduling.fire_due() for _ in range(4)] == [7, 7, 6, 0]
    assert ticks_of() == ticks


def test_a_run_is_called_with_its_tick_and_the_context() -> None:
    (tick,) = every(3600, behind=1, context={"when": datetime(2025, 1, 1), "what": (1, 2)}, queue="mail")
    drain(queues=["mail"])
    run = WorkflowRun.objects.get()
    assert run.status == RunState.SUCCESS
    assert (run.id, run.queue, run.schedule_name) == (f"sched-{NAME}-{tick.isoformat()}", "mail", NAME)


def test_time_travel_moves_dates_and_anchors_along() -> None:
    create_schedule(NAME, ticked, interval_seconds=3600, catch_up="all", ends_at=now() + timedelta(hours=3, minutes=30))
    travel(hours=2, minutes=5)
    assert drain() == 2
    travel(days=1)
    assert drain() == 1
    assert (row().next_fire_at, row().state) == (None, "FINISHED")


# -- overlap


def test_ticks_are_passed_over_while_an_earlier_run_is_unfinished() -> None:
    every(3600, behind=1, workflow=ticks_and_waits, overlap="skip", catch_up="all")
    drain()
    (first,) = run_ids(NAME)
    for skipped in (1, 2):
        put_tick(NAME, timedelta(0))
        assert scheduling.fire_due() == 0
        assert (run_ids(NAME), row().skipped) == ([first], skipped)
        following = row().next_fire_at
        assert following is not None
        assert following > now()
    status = get_schedule(NAME)
    assert status is not None
    assert status.skipped == 2
    send(first, None, topic="go on")
    drain()
    put_tick(NAME, timedelta(0))
    assert scheduling.fire_due() == 1
    assert row().skipped == 2


@pytest.mark.parametrize("end", ["cancelled", "failed", "deleted"])
def test_a_run_that_ended_in_any_way_is_in_nobodys_way(end: str) -> None:
    every(3600, behind=1, workflow=ticks_and_waits, overlap="skip")
    drain()
    (first,) = run_ids(NAME)
    cancel_workflow(first)
    if end == "failed":
        WorkflowRun.objects.update(status=RunState.ERROR)
    if end == "deleted":
        WorkflowRun.objects.all().delete()
    put_tick(NAME, timedelta(seconds=30))
    assert scheduling.fire_due() == 1


def test_a_triggered_run_is_an_earlier_run_too() -> None:
    create_schedule(NAME, ticks_and_waits, overlap="skip", **FAR)
    trigger_schedule(NAME)
    put_tick(NAME, timedelta(seconds=5))
    assert (scheduling.fire_due(), row().skipped) == (0, 1)


def test_of_several_missed_ticks_that_may_not_overlap_the_first_runs() -> None:
    ticks = every(60, behind=5, overlap="skip", catch_up="all")
    assert scheduling.fire_due() == 1
    assert (ticks_of(), row().skipped, row().last_fire_at) == (ticks[:1], 4, ticks[0])


def test_runs_of_another_schedule_are_in_nobodys_way() -> None:
    create_schedule("feed#2", ticks_and_waits, **FAR)
    trigger_schedule("feed#2")
    every(3600, behind=1, overlap="skip")
    assert scheduling.fire_due() == 1


def test_a_decorated_schedule_may_skip_too() -> None:
    @scheduled("0 4 * * *", overlap="skip", catch_up="last")
    @workflow(name="tests.waits_decorated")
    def waits(scheduled_time: datetime, actual_time: datetime) -> None:
        ticks_and_waits(scheduled_time, None)

    scheduling.declare()
    for skipped in (0, 1):
        put_tick("tests.waits_decorated", MINUTE)
        drain()
        assert row("tests.waits_decorated").skipped == skipped
    assert len(run_ids("tests.waits_decorated")) == 1


# -- jitter


def test_jitter_puts_the_start_off_and_not_the_tick() -> None:
    (tick,) = every(3600, behind=1, into=1800, jitter_seconds=3500, catch_up="last")
    due = row().next_fire_at
    assert (row().next_tick_at, due) == (tick, planning.timetable_of(row()).due(tick))
    assert due is not None
    assert tick < due < tick + HOUR
    for shift, fired in ((timedelta(seconds=30), 0), (timedelta(seconds=-1), 1)):
        Schedule.objects.update(next_fire_at=now() + shift)
        assert scheduling.fire_due() == fired
    assert ticks_of() == [tick]
    assert row().next_tick_at == tick + HOUR
    drain()
    assert tick.isoformat() in str(WorkflowRun.objects.get().output)


def test_another_jitter_puts_the_same_tick_off_in_another_way() -> None:
    create_schedule(NAME, ticked, "0 * * * *")
    tick = row().next_fire_at
    plan = {"name": NAME, "workflow": ticked, "cron": "0 * * * *"}
    apply_schedules([{**plan, "jitter_seconds": 600}])
    assert row().next_tick_at == tick
    assert row().next_fire_at == planning.timetable_of(row()).due(row().tick)
    apply_schedules([plan])
    assert (row().next_tick_at, row().next_fire_at) == (None, tick)


def test_how_late_a_tick_is_counts_from_when_it_was_due() -> None:
    """Half an hour after its tick, by jitter, is on time."""
    every(3600, behind=1, into=1800, jitter_seconds=3500, catch_up="skip")
    Schedule.objects.update(next_fire_at=now() - timedelta(seconds=5))
    assert scheduling.fire_due() == 1


# -- dates


def test_after_its_end_a_schedule_is_finished() -> None:
    ticks = every(3600, behind=2, catch_up="all", ends_at=now() - timedelta(seconds=1800))
    assert scheduling.fire_due() == 1
    assert (ticks_of(), row().next_fire_at, row().state) == (ticks[:1], None, "FINISHED")
    assert scheduling.fire_due() == 0
    resume_schedule(NAME)
    pause_schedule(NAME)
    resume_schedule(NAME)
    assert row().state == "FINISHED"


def test_before_its_start_a_schedule_has_no_tick_and_then_has() -> None:
    begin = now().replace(microsecond=0) + 10 * HOUR
    create_schedule(NAME, ticked, interval_seconds=60, starts_at=begin)
    assert row().next_fire_at == begin
    travel(hours=9)
    assert drain() == 0
    travel(hours=1, seconds=1)
    assert drain() >= 1


def test_another_end_lets_a_finished_schedule_go_on() -> None:
    create_schedule(NAME, ticked, "0 * * * *", ends_at=now() - HOUR)
    assert row().state == "FINISHED"
    apply_schedules([{"name": NAME, "workflow": ticked, "cron": "0 * * * *"}])
    assert row().state == "ACTIVE"


# -- rows that somebody edited by hand

NONSENSE: dict[str, Any] = {
    "cron": "nonsense", "timezone": "Mars/Olympus", "catch_up": "perhaps", "overlap": "?", "interval_seconds": -3.0,
    "jitter_seconds": -1.0, "queue": " ", "workflow_name": " ", "context": "{not json",
}  # fmt: skip


@pytest.mark.parametrize("column", NONSENSE)
def test_a_row_edited_to_nonsense_is_paused_and_stops_no_other(column: str, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("before", NAME, "after"):
        create_schedule(name, ticked, YEARLY, catch_up="last")
        put_tick(name, HOUR)
    Schedule.objects.filter(pk=NAME).update(**{column: NONSENSE[column]}, next_fire_at=now() - HOUR)
    assert scheduling.fire_due() == 2
    assert (row().paused, run_ids(NAME)) == (True, [])
    assert row().note
    assert f"Schedule {NAME} is paused" in caplog.text
    assert scheduling.fire_due() == 0, "it is not met again each second"
    assert (len(run_ids("before")), len(run_ids("after"))) == (1, 1)
    apply_schedules([{"name": NAME, "workflow": ticked, "cron": YEARLY, "catch_up": "last"}])
    assert (row().state, row().note) == ("ACTIVE", None), "applied again it is mended"


def test_what_somebody_paused_is_not_resumed_by_a_deploy() -> None:
    def declare(cron: str) -> None:
        @scheduled(cron)
        @workflow(name="tests.deployed")
        def deployed(scheduled_time: datetime, actual_time: datetime) -> None:
            pass

        scheduling.declare()

    declare("0 4 * * *")
    pause_schedule("tests.deployed")
    declare("0 5 * * *")
    assert (row("tests.deployed").paused, row("tests.deployed").cron) == (True, "0 5 * * *")


def test_a_row_that_is_mended_meanwhile_is_not_paused() -> None:
    """It was found to be nonsense, and mended before that could be written."""
    create_schedule(NAME, ticked, "0 * * * *")
    scheduling._pause(NAME, ValueError("what it was"))
    assert (row().paused, row().note) == (False, None)


# -- very many at once


def test_what_is_due_at_the_same_time_shares_a_transaction(django_assert_max_num_queries: Any) -> None:
    """At midnight there may be thousands."""
    apply_schedules([{"name": f"s{n}", "workflow": ticked, "cron": YEARLY, "catch_up": "last"} for n in range(150)])
    Schedule.objects.update(next_fire_at=now() - timedelta(seconds=30))
    with django_assert_max_num_queries(110):  # what is due, its rows, a step on for each, their runs, and the transaction
        assert scheduling.fire_due() == 100
    assert [scheduling.fire_due(), scheduling.fire_due()] == [50, 0]
    assert WorkflowRun.objects.values("schedule_name").distinct().count() == 150


# -- who comes at the same time


@contextmanager
def another_holds_the_row() -> Iterator[None]:
    """Another session has a transaction open in which it has changed the schedule."""
    held, done = threading.Event(), threading.Event()

    def pause_at_leisure(connection: Any) -> None:
        pause_schedule(NAME)
        held.set()
        done.wait(30)

    def hold() -> None:
        in_write_transaction(pause_at_leisure)  # again, where the isolation level has it refused
        connections.close_all()

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(30)
    try:
        yield
    finally:
        done.set()
        holder.join(30)


@pytest.mark.skipif(DATABASE == "sqlite", reason="its writers wait for each other")
@at_each_level
def test_a_tick_whose_row_is_held_keeps_no_worker_waiting(level: str) -> None:
    create_schedule("other", ticked, YEARLY, catch_up="last")
    every(3600, behind=1)
    put_tick("other", HOUR)
    with another_holds_the_row():
        assert scheduling.fire_due() == 1, "the other one"
        duties = housekeeping.Housekeeping("me", lambda: ("default",), Shift(Options(threads=1), lambda: None).claiming)
        assert duties.loop.tick() >= housekeeping.FRUITLESS, "nor does it spin"
    assert (scheduling.fire_due(), run_ids(NAME)) == (0, []), "it was paused before its tick was fired"


# -- an idle worker


@pytest.mark.parametrize("how", ["created", "resumed", "triggered", "applied"])
@pytest.mark.usefixtures("slow_polls")
def test_an_idle_worker_fires_what_is_due_by_a_hint_alone(how: str) -> None:
    """Its own look at the rows would come an hour later."""
    if how in ("resumed", "triggered"):
        create_schedule(NAME, ticked, **FAR if how == "triggered" else {"interval_seconds": 1})
        pause_schedule(NAME)
    with durable_worker(threads=1):
        is_idle()
        if how == "created":
            create_schedule(NAME, ticked, interval_seconds=1)
        elif how == "applied":
            apply_schedules([{"name": NAME, "workflow": ticked, "interval_seconds": 1}])
        elif how == "resumed":
            resume_schedule(NAME)
        else:
            trigger_schedule(NAME)
        has_run(NAME)


@pytest.fixture
def slow_polls(settings: Any) -> None:
    settings.DURABLE_WORKFLOWS = {"POLL_SECONDS": 3600.0, "LISTEN": False}


def is_idle() -> None:
    """The housekeeper has had its first look, and found nothing."""
    ticked.start(now(), None).get_result(timeout=30)
    threading.Event().wait(0.3)


def has_run(name: str) -> None:
    for _ in range(600):
        if WorkflowRun.objects.filter(schedule_name=name, status=RunState.SUCCESS).exists():
            return
        threading.Event().wait(0.05)
    pytest.fail(f"no run in 30 s; {list(Schedule.objects.values())}")
