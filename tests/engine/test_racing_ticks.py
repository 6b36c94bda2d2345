"""Eight workers at the same ticks: each tick has one run, under the id that anyone would have given it."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from durable_workflows import create_schedule, registry
from durable_workflows.models import Schedule, WorkflowRun
from tests.engine.elsewhere import in_threads
from tests.engine.isolation import at_each_level
from tests.engine.racing import fire_until_nothing_is_due, wait_until
from tests.engine.ticking import now
from tests.processes import Processes

WORKERS = 8


@pytest.fixture(autouse=True)
def no_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """The code of this process declares no schedules."""
    monkeypatch.setattr(registry, "_schedules", {})


def due(schedules: int, ticks: int) -> set[str]:
    """Paused schedules with so many ticks behind them each, which have come to their end; returns the ids of the runs."""
    last = now().replace(microsecond=0) - timedelta(seconds=5)
    first = last - timedelta(seconds=ticks - 1)
    for number in range(schedules):
        create_schedule(f"s{number}", "tests.nobody_runs_it", interval_seconds=1, catch_up="all", starts_at=first, ends_at=last)
    Schedule.objects.update(next_fire_at=first, paused=True)
    moments = [(first + timedelta(seconds=number)).isoformat() for number in range(ticks)]
    return {f"sched-s{number}-{moment}" for number in range(schedules) for moment in moments}


def assert_each_once(expected: set[str]) -> None:
    started = list(WorkflowRun.objects.values_list("id", flat=True))
    assert len(started) == len(expected)
    assert set(started) == expected


@pytest.mark.django_db
@at_each_level
def test_threads_that_fire_the_same_ticks_start_each_once(level: str) -> None:
    expected = due(schedules=6, ticks=75)
    Schedule.objects.update(paused=False)
    fired = in_threads([fire_until_nothing_is_due] * WORKERS)
    assert_each_once(expected)
    assert sum(fired) == len(expected), "nobody takes another's run for its own"


@pytest.mark.django_db
@at_each_level
def test_ticks_that_may_not_overlap_start_one_run_however_many_fire_them(level: str) -> None:
    """Nobody executes it, so it stays unfinished."""
    expected = due(schedules=4, ticks=50)
    Schedule.objects.update(paused=False, overlap="skip")
    fired = in_threads([fire_until_nothing_is_due] * WORKERS)
    assert sum(fired) == 4
    assert set(WorkflowRun.objects.values_list("id", flat=True)) < expected
    assert sorted(WorkflowRun.objects.values_list("schedule_name", flat=True)) == ["s0", "s1", "s2", "s3"]
    assert set(Schedule.objects.values_list("skipped", flat=True)) == {49}


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("schedules", "ticks"), [(100, 100), (1, 10_000)])
def test_processes_that_fire_ten_thousand_ticks_start_each_once(processes: Processes, schedules: int, ticks: int) -> None:
    expected = due(schedules, ticks)
    racers = [processes.start("-m", "tests.engine.racing") for _ in range(WORKERS)]
    for racer in racers:
        processes.expect(racer, "ready")
    Schedule.objects.update(paused=False)
    for racer in racers:
        assert racer.wait(540) == 0, processes.output(racer)
    assert_each_once(expected)
    fired = [int(re.findall(r"fired (\d+)\.", processes.output(racer))[0]) for racer in racers]
    assert sum(fired) == len(expected)
    print(f"fired by each of {WORKERS} processes: {fired}")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_processes_that_are_killed_while_they_fire_leave_no_tick_out(processes: Processes) -> None:
    expected = due(schedules=40, ticks=100)
    racers = [processes.start("-m", "tests.engine.racing") for _ in range(WORKERS)]
    for racer in racers:
        processes.expect(racer, "ready")
    Schedule.objects.update(paused=False)
    for number, racer in enumerate(racers[:4]):
        wait_until(lambda number=number: WorkflowRun.objects.count() > 300 * (number + 1))
        processes.kill(racer)
    for racer in racers[4:]:
        assert racer.wait(540) == 0, processes.output(racer)
    assert_each_once(expected)
