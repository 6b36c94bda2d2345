"""
A run is cancelled at every statement of its attempt, and at every statement of its undoing.

Whatever was done in an open saga is undone, once, newest first; nothing is done after that; and whoever awaits the run is
woken, no sooner than it is CANCELLED.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from durable_workflows import (
    AwaitedWorkflowCancelled,
    cancel_workflow,
    continue_as_new,
    durable_each,
    get_result,
    recv,
    saga,
    step,
    workflow,
)
from durable_workflows.ids import new_token
from durable_workflows.models import StepRun, WorkflowRun, claims
from durable_workflows.models.claims import Claimer, Pick
from durable_workflows.models.transactions import in_autocommit
from durable_workflows.states import RunState
from durable_workflows.testing import drain
from tests.engine.born import execute, leased
from tests.engine.deeds import did, do, undo
from tests.engine.interleaving import Explored, Scenario, explore
from tests.engine.isolation import DATABASE, interleaved_levels

OVERLAP = DATABASE != "sqlite"  # whose writers take turns, so that most schedules are the same one

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.usefixtures("committing", "unparked"),
    interleaved_levels,
    pytest.mark.sampled(2),
]


@step
def compute(what: str) -> str:
    """Touches no table, so that its record is a statement by itself."""
    return what


@workflow
def books() -> None:
    with saga() as block:
        block.undo(undo, do("flight"))
        compute("price")
        block.undo(undo, do("hotel"))
        recv("never")


@workflow
def awaits(run_id: str) -> str:
    try:
        return str(get_result(run_id))
    except AwaitedWorkflowCancelled:
        return "cancelled"


@workflow
def turns(turn: int = 0) -> None:
    do(f"turn {turn}")
    if turn < 1:
        continue_as_new(turn + 1)
    recv("never")


@workflow
def packs() -> None:
    do("pack")
    compute("weight")


@workflow
def books_with_a_loop_and_a_child() -> None:
    with saga() as block:
        block.undo(undo, do("flight"))
        for number in durable_each(range(3), batch=2):
            do(f"row {number}")
        packs()
        block.undo(undo, do("hotel"))


@workflow
def goes_through() -> None:
    for number in durable_each(range(3), batch=2):
        do(str(number))


def assert_undone(run_id: str) -> None:
    done = did(run_id)
    forward = [what for what in done if not what.startswith("undo")]
    assert done == [*forward, *(f"undo {what}" for what in reversed(forward))], done
    run = WorkflowRun.objects.get(pk=run_id)
    assert (run.status, run.lease_token) == (RunState.CANCELLED, None)


def try_all(make: Callable[[], Scenario], *, deep: bool = False) -> Explored:
    explored = explore(make, deep=deep)
    assert explored.schedules > 4
    return explored


def test_whatever_was_done_is_undone(level: str) -> None:
    seen = set()

    def make() -> Scenario:
        run = leased(books)

        def check() -> None:
            drain()
            assert_undone(run.id)
            seen.add(len(did(run.id)))

        return Scenario(waiter=lambda: execute(run), waker=lambda: cancel_workflow(run.id), check=check)

    try_all(make, deep=DATABASE != "sqlite")  # whose writers take turns, so that there is little to interleave
    assert seen == {0, 2, 4} or not OVERLAP


def test_loops_and_called_children_in_a_saga_are_cancelled_between_their_records(level: str) -> None:
    seen = set()

    def make() -> Scenario:
        run = leased(books_with_a_loop_and_a_child)

        def check() -> None:
            drain()
            row = WorkflowRun.objects.get(pk=run.id)
            done = did(run.id)
            undone = [what for what in done if what.startswith("undo")]
            booked = [what for what in done if what in ("flight", "hotel")]
            if row.status == RunState.SUCCESS:
                assert not undone
            else:
                assert row.status == RunState.CANCELLED
                assert undone == [f"undo {what}" for what in reversed(booked)]
                assert done[len(done) - len(undone) :] == undone
            rows = [what for what in done if what.startswith("row")]
            assert rows in ([], ["row 0", "row 1"], ["row 0", "row 1", "row 2"])
            seen.add((row.status, *done))

        return Scenario(waiter=lambda: execute(run), waker=lambda: cancel_workflow(run.id), check=check)

    try_all(make)
    assert len(seen) >= 5 or not OVERLAP


def test_whoever_awaits_it_is_woken_once_it_is_undone(level: str) -> None:
    """The waiter falls asleep while the worker undoes, and ends, what it waits for."""

    def make() -> Scenario:
        run = leased(books)
        execute(run)
        cancel_workflow(run.id)
        claimer = Claimer(worker_id="another", names=(books.durable.name,))
        [to_undo] = in_autocommit(lambda db: claims.claim(db, claimer, Pick(queue="default", limit=1), new_token()))
        waiter = leased(awaits, run.id)

        def check() -> None:
            assert_undone(run.id)
            drain()
            assert WorkflowRun.objects.get(pk=waiter.id).output == '"cancelled"'

        return Scenario(waiter=lambda: execute(waiter), waker=lambda: execute(to_undo), check=check)

    try_all(make)


def test_cancelling_twice_at_once_undoes_once(level: str) -> None:
    def make() -> Scenario:
        run = leased(books)
        execute(run)

        def check() -> None:
            drain()
            assert_undone(run.id)
            assert len(did(run.id)) == 4

        return Scenario(waiter=lambda: cancel_workflow(run.id), waker=lambda: cancel_workflow(run.id), check=check)

    try_all(make)


def test_a_run_that_begins_anew_is_cancelled_in_one_turn_or_the_next(level: str) -> None:
    generations = set()

    def make() -> Scenario:
        run = leased(turns)

        def check() -> None:
            row = WorkflowRun.objects.get(pk=run.id)
            assert (row.status, row.lease_token) == (RunState.CANCELLED, None)
            steps = StepRun.objects.filter(run_id=run.id)
            assert set(steps.values_list("generation", flat=True)) <= {row.generation}
            assert did(run.id) in ([], ["turn 0"], ["turn 0", "turn 1"])
            generations.add(row.generation)
            drain()
            assert WorkflowRun.objects.get(pk=run.id).status == RunState.CANCELLED

        return Scenario(waiter=lambda: execute(run), waker=lambda: cancel_workflow(run.id), check=check)

    try_all(make)
    assert generations == {0, 1} or not OVERLAP


def test_a_loop_is_cancelled_between_batches(level: str) -> None:
    seen: set[tuple[Any, ...]] = set()

    def make() -> Scenario:
        run = leased(goes_through)

        def check() -> None:
            assert did(run.id) in ([], ["0", "1"], ["0", "1", "2"])
            assert WorkflowRun.objects.get(pk=run.id).status in (RunState.CANCELLED, RunState.SUCCESS)
            seen.add(tuple(did(run.id)))

        return Scenario(waiter=lambda: execute(run), waker=lambda: cancel_workflow(run.id), check=check)

    try_all(make)
    assert len(seen) == 3 or not OVERLAP
