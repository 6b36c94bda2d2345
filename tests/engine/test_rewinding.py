"""The same run goes back to a step, and does it again with all that followed."""

from __future__ import annotations

from typing import Any

import pytest
from django.db.models import QuerySet

from durable_workflows import (
    AwaitedWorkflowCancelled,
    InvalidUse,
    SetWorkflowTimeout,
    WorkflowNotFound,
    cancel_workflow,
    continue_as_new,
    current,
    get_all_events,
    read_stream,
    recv,
    rewind_workflow,
    rewind_workflows,
    saga,
    send,
    set_event,
    sleep,
    start_workflow,
    step,
    workflow,
    write_stream,
)
from durable_workflows.models import StepAttempt, StepRun, Stranded, Wait, WorkflowRun
from durable_workflows.models.runs import Turn
from durable_workflows.states import TRANSITIONS, RunState
from durable_workflows.testing import drain, lose, travel
from tests.engine.deeds import did, do, undo
from tests.engine.journeys import RESULT, STEPS, finish, story, straight

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("unparked")]
REWOUND: list[str] = []


@pytest.fixture(autouse=True)
def none_rewound() -> None:
    REWOUND.clear()


def test_to_every_step_it_ends_as_a_straight_run() -> None:
    run_id = straight()
    told, deeds = story(run_id), did(run_id)
    for number, start in enumerate([*range(1, STEPS + 3), 1], 1):
        handle = rewind_workflow(run_id, start)
        run = handle.run
        assert (run.status, run.output, run.completed_at, run.turn) == (RunState.ENQUEUED, None, None, Turn.BEGUN)
        assert len(story(run_id)["steps"]) == min(start, STEPS + 1) - 1
        finish()  # without another message: those that it received since are there again
        assert handle.get_result() == RESULT, start
        assert story(run_id) == told, start
        assert handle.run.generation == number
    lose(run_id)  # a replay is answered by what is kept
    drain()
    assert story(run_id) == told
    assert did(run_id)[-len(deeds) :] == deeds
    for model in (StepRun, StepAttempt, Wait):
        rows: QuerySet[Any] = QuerySet(model)
        assert not rows.filter(run_id=run_id).exclude(generation=handle.run.generation).exists()


def test_what_it_told_is_as_it_was_before_that_step() -> None:
    run_id = straight()
    rewind_workflow(run_id, 14)
    assert get_all_events(run_id) == {"at": "awake"}
    assert [*zip(range(2), read_stream(run_id, "out"), strict=False)] == [(0, 1), (1, "hello")]
    assert story(run_id)["streams"][0][:2] == ("aloud", 0)
    rewind_workflow(run_id, 9)
    assert get_all_events(run_id) == {"at": "begun"}
    assert [entry[:2] for entry in story(run_id)["streams"]] == [("out", 0)]
    rewind_workflow(run_id, 1)
    assert story(run_id) | {"leased": None} == {
        "status": "ENQUEUED", "output": None, "error": None, "steps": [], "attempts": [], "streams": [], "events": [],
        "received": [], "waits": 0, "leased": None,
    }  # fmt: skip


@workflow
def waits() -> Any:
    do("before")
    sleep(3600)
    do("slept")
    return recv("go")


def test_a_waiting_run_begins_to_wait_anew() -> None:
    handle = waits.start()
    drain()
    travel(3000)
    rewind_workflow(handle.workflow_id, 2)
    assert not Wait.objects.exists()
    drain()
    travel(3000)
    drain()
    assert did(handle.workflow_id) == ["before"]
    travel(601)
    drain()
    assert did(handle.workflow_id) == ["before", "slept"]
    rewind_workflow(handle.workflow_id, 99)  # beyond what is recorded: the last thing is kept, and it waits on
    send(handle.workflow_id, "now", "go")
    drain()
    assert handle.get_result() == "now"
    assert did(handle.workflow_id) == ["before", "slept"]


def test_whatever_it_was_its_columns_say_that_it_goes_on() -> None:
    with SetWorkflowTimeout(60):
        handle = waits.start()
    drain()
    WorkflowRun.objects.filter(pk=handle.workflow_id).update(
        status=RunState.MAX_RECOVERY_ATTEMPTS_EXCEEDED, stranded=Stranded.HISTORY, suspect=True, stalled=7, recovery_attempts=7,
        note="given up", holds_slot=True, fan_in=3, progress_mark=9, error="{}",
    )  # fmt: skip
    run = rewind_workflow(handle.workflow_id, 2).run
    assert (run.status, run.stranded, run.suspect, run.stalled, run.recovery_attempts) == ("ENQUEUED", "", False, 0, 0)
    assert (run.note, run.holds_slot, run.fan_in, run.progress_mark, run.error) == (None, False, 0, 1, None)
    assert (run.deadline, run.timeout_seconds) == (None, None)


@workflow
def books() -> str:
    with saga() as trip:
        trip.undo(undo, do("flight"))
        recv("go")
        trip.undo(undo, do("hotel"))
    do("after")
    return "booked"


def test_a_run_that_was_cancelled_and_undone_goes_on_from_before_that() -> None:
    handle = books.start()
    drain()
    cancel_workflow(handle.workflow_id)
    with pytest.raises(InvalidUse, match="still running"):
        rewind_workflow(handle.workflow_id)
    drain()
    assert did(handle.workflow_id) == ["flight", "undo flight"]
    assert rewind_workflow(handle.workflow_id, 99).run.saga == "open"
    assert [row[1:3] for row in story(handle.workflow_id)["steps"]] == [(1, do.durable.name)]
    rewind_workflow(handle.workflow_id)
    assert handle.run.saga == ""
    send(handle.workflow_id, None, "go")
    drain()
    assert handle.get_result() == "booked"
    assert did(handle.workflow_id)[2:] == ["flight", "hotel", "after"]


@pytest.mark.parametrize(("start", "undone"), [(1, []), (2, ["undo flight"]), (4, ["undo hotel", "undo flight"]), (5, [])])
def test_what_is_kept_of_a_saga_is_undone_though_it_is_cancelled_before_it_goes_on(start: int, undone: list[str]) -> None:
    handle = books.start()
    send(handle.workflow_id, None, "go")
    drain()
    done = did(handle.workflow_id)
    rewind_workflow(handle.workflow_id, start)
    cancel_workflow(handle.workflow_id)
    drain()
    assert handle.run.status == RunState.CANCELLED
    assert did(handle.workflow_id)[len(done) :] == undone  # a saga counts as open until something comes after it


def test_a_run_that_never_had_a_saga_is_cancelled_at_once() -> None:
    handle = waits.start()
    drain()
    rewind_workflow(handle.workflow_id, 2)
    cancel_workflow(handle.workflow_id)
    assert handle.run.status == RunState.CANCELLED
    with pytest.raises(AwaitedWorkflowCancelled):
        handle.get_result()


@workflow
def turns(turn: int = 0) -> Any:
    set_event("turn", turn)
    write_stream("turns", turn)
    recv("page")
    if turn < 1:
        continue_as_new(turn + 1)
    do("last turn")
    return recv("page")


def test_what_former_turns_have_left_stays() -> None:
    handle = turns.start()
    for key in ("a", "b", "c"):
        send(handle.workflow_id, key, "page", idempotency_key=key)
    drain()
    assert handle.get_result() == "c"
    told = story(handle.workflow_id)
    rewind_workflow(handle.workflow_id, 1)
    kept = story(handle.workflow_id)
    assert [entry[:2] for entry in kept["streams"]] == [("turns", 0)]
    assert [message[1] for message in kept["received"]] == ['"a"']
    drain()
    assert handle.get_result() == "c"
    assert story(handle.workflow_id) == told
    assert did(handle.workflow_id) == ["last turn", "last turn"]


@workflow
def goes_back() -> int:
    do("again")
    if len(REWOUND) < 2:
        REWOUND.append("")
        now = current()
        assert now is not None
        rewind_workflow(now.workflow_id)
    do("at last")
    return len(REWOUND)


def test_a_run_may_go_back_by_itself() -> None:
    handle = goes_back.start()
    drain()
    assert handle.get_result() == 2
    assert did(handle.workflow_id) == ["again", "again", "again", "at last"]


@step
def goes_back_in_a_step(run_id: str) -> None:
    rewind_workflow(run_id)


@workflow
def goes_back_wrongly() -> None:
    now = current()
    assert now is not None
    goes_back_in_a_step(now.workflow_id)


def test_a_step_cannot_take_its_own_run_away_from_itself() -> None:
    handle = goes_back_wrongly.start()
    drain()
    with pytest.raises(InvalidUse, match=r"Call rewind_workflow\(\) in the workflow's body"):
        handle.get_result()


@workflow
def rewinds(run_ids: list[str]) -> list[str]:
    return [handle.workflow_id for handle in rewind_workflows(run_ids, 2)]


def test_in_a_workflow_it_is_recorded() -> None:
    others = [waits.start().workflow_id for _ in range(2)]
    drain()
    handle = rewinds.start(others)
    drain()
    lose(handle.workflow_id)
    drain()
    assert handle.get_result() == others
    assert {WorkflowRun.objects.get(pk=other).generation for other in others} == {1}
    assert [row[2:5] for row in story(handle.workflow_id)["steps"]] == [("durable.rewind_workflow", "manage", "2")]


def test_a_step_that_is_the_whole_run() -> None:
    handle = start_workflow(do, "alone")
    drain()
    rewind_workflow(handle.workflow_id, 5)
    drain()
    assert handle.get_result() == "alone"
    assert did(handle.workflow_id) == ["alone", "alone"]


@pytest.mark.parametrize("bad", [0, -1, True, 1.0, "1", None])
def test_what_is_no_step_changes_nothing(bad: Any) -> None:
    handle = waits.start()
    drain()
    with pytest.raises(InvalidUse, match="position"):
        rewind_workflow(handle.workflow_id, bad)
    assert handle.run.generation == 0


def test_all_or_nothing() -> None:
    handle = waits.start()
    drain()
    for bad, error in ((["nobody"], WorkflowNotFound), (["\0"], InvalidUse), ([""], InvalidUse), ([5], InvalidUse)):
        with pytest.raises(error):
            rewind_workflows([handle.workflow_id, *bad])  # type: ignore[list-item]  # on purpose
    with pytest.raises(InvalidUse, match="list"):
        rewind_workflows(handle.workflow_id)
    assert handle.run.generation == 0
    assert rewind_workflows([]) == []
    assert rewind_workflow(handle.workflow_id, 10**30).run.generation == 1


def test_the_table_of_transitions_has_it() -> None:
    states = set(RunState) - {RunState.CANCELLING, RunState.ENQUEUED}
    assert all(RunState.ENQUEUED in TRANSITIONS[state] for state in states)
