"""What undoes the steps of a block: when it fails, when the run is cancelled or overdue in it, and when it must not."""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import Context
from typing import Any

import pytest
from django.db import connection
from pytest_django import Settings

from durable_workflows import (
    AwaitedWorkflowCancelled,
    InvalidUse,
    NotInWorkflow,
    SetWorkflowTimeout,
    cancel_workflow,
    continue_as_new,
    current,
    get_result,
    read_stream,
    recv,
    resume_workflow,
    saga,
    send,
    sleep,
    step,
    workflow,
    write_stream,
)
from durable_workflows.longruns import Saga
from durable_workflows.models import StepRun, Wait, WorkflowRun
from durable_workflows.states import RunState
from durable_workflows.testing import drain, lose, travel
from tests.app.models import Ledger

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("unparked")]


class Refused(Exception):
    """What goes wrong with the order."""


@step
def do(what: str) -> str:
    Ledger.objects.create(run_id="", step=what)
    return what


@step
def undo(what: str, why: str = "") -> None:
    Ledger.objects.create(run_id="", step=f"undo {what}{why}")


@step(atomic=False)
def refuse() -> None:
    raise Refused("no")


@step(max_attempts=3, interval_seconds=60)
def undo_at_last(what: str) -> None:
    now = current()
    assert now is not None
    if now.attempt < 3:
        raise ConnectionError("try again")
    undo(what)


@step(max_attempts=2, interval_seconds=60)
def cannot_undo(what: str) -> None:
    raise ConnectionError(f"{what} stays")


def both(block: Saga) -> None:
    block.undo(undo, do("pay"))
    block.undo(undo, do("ship"), why=" again")


UNDONE = ["pay", "ship", "undo ship again", "undo pay"]


def done() -> list[str]:
    return list(Ledger.objects.order_by("pk").values_list("step", flat=True))


def recorded(run_id: str) -> Sequence[str]:
    names = StepRun.objects.filter(run_id=run_id).order_by("position").values_list("name", flat=True)
    return [name.rpartition(".")[2] for name in names]


def forget_after(position: int) -> None:
    """Remove what steps behind this position of the history have written; the one at the third has written nothing."""
    for row in Ledger.objects.order_by("pk")[min(position, 2) + max(position - 3, 0) :]:
        row.delete()


@workflow
def fails(how: str) -> str:
    with saga() as block:
        both(block)
        if how == "step":
            refuse()
        if how == "body":
            raise Refused("no")
        if how == "exit":
            raise SystemExit("no")
    return "done"


@pytest.mark.parametrize("how", ["step", "body", "exit"])
def test_a_block_that_fails_is_undone_newest_first_and_its_exception_goes_on(how: str) -> None:
    handle = fails.start(how)
    drain()
    assert done() == UNDONE
    assert handle.run.status == "ERROR"
    if how != "exit":
        with pytest.raises(Refused, match="no"):
            handle.get_result()
    assert recorded(handle.workflow_id) == ["do", "do", *(["refuse"] if how == "step" else []), "undo", "undo"]


def test_a_block_that_comes_to_its_end_is_not_undone() -> None:
    handle = fails.start("")
    drain()
    assert handle.get_result() == "done"
    assert done() == ["pay", "ship"]


@workflow
def fails_and_goes_on() -> Any:
    try:
        with saga() as block:
            both(block)
            refuse()
    except Refused as error:
        do("after")
        return [*error.__notes__] if hasattr(error, "__notes__") else str(error)


def test_the_body_may_go_on_after_a_block_that_was_undone_and_a_replay_undoes_nothing_again() -> None:
    handle = fails_and_goes_on.start()
    drain()
    assert handle.get_result() == "no"
    assert handle.run.saga == "closed"
    lose(handle.workflow_id)
    drain()
    assert handle.get_result() == "no"
    assert done() == [*UNDONE, "after"]


@pytest.mark.parametrize("kept", range(6))
def test_a_replay_goes_on_between_any_two_undo_steps(kept: int) -> None:
    handle = fails.start("step")
    drain()
    StepRun.objects.filter(run_id=handle.workflow_id, position__gt=kept).delete()
    forget_after(kept)
    lose(handle.workflow_id)
    drain()
    assert done() == UNDONE
    assert handle.run.status == "ERROR"


@workflow
def nested() -> None:
    with saga() as outer:
        outer.undo(undo, do("hotel"))
        with saga() as inner:
            inner.undo(undo, do("flight"))
        with saga() as inner:
            inner.undo(undo, do("car"))
            recv("go")
            refuse()


@pytest.mark.parametrize("by", ["failure", "cancel"])
def test_nested_blocks_are_undone_from_the_inside_and_those_that_ended_well_are_not(by: str) -> None:
    handle = nested.start()
    drain()
    if by == "cancel":
        handle.cancel()
    else:
        send(handle.workflow_id, None, "go")
    drain()
    assert done() == ["hotel", "flight", "car", "undo car", "undo hotel"]


@workflow
def stubborn() -> None:
    with saga() as block:
        block.undo(undo, do("pay"))
        block.undo(cannot_undo, do("ship"))
        block.undo(undo_at_last, do("tell"))
        refuse()


def test_undo_steps_are_tried_again_and_one_that_fails_for_good_stops_no_other() -> None:
    handle = stubborn.start()
    for _ in range(6):
        drain()
        travel(120)
    assert done() == ["pay", "ship", "tell", "undo tell", "undo pay"]
    with pytest.raises(Refused) as caught:
        handle.get_result()
    [note] = caught.value.__notes__
    assert "cannot_undo" in note
    assert "ship stays" in note


@step
def leaves_the_process(what: str) -> None:
    raise SystemExit(what)


@workflow
def undone_by_an_exit() -> None:
    with saga() as block:
        block.undo(undo, do("pay"))
        block.undo(leaves_the_process, do("ship"))
        refuse()


def test_an_undo_step_that_would_end_the_worker_stops_no_other_either() -> None:
    handle = undone_by_an_exit.start()
    drain()
    assert done() == ["pay", "ship", "undo pay"]
    with pytest.raises(Refused):
        handle.get_result()


def test_what_could_not_be_undone_of_a_cancelled_run_stands_in_its_note() -> None:
    handle = cancelled_in_the_middle.start()
    drain()
    handle.cancel()
    for _ in range(6):
        drain()
        travel(120)
    assert handle.run.status == "CANCELLED"
    assert done() == ["pay", "ship", "undo pay"]
    assert "It was cancelled." in (handle.run.note or "")
    assert "ship stays" in (handle.run.note or "")


@workflow
def cancelled_in_the_middle() -> None:
    with saga() as block:
        block.undo(undo, do("pay"))
        block.undo(cannot_undo, do("ship"))
        recv("never")


@workflow
def waits() -> Any:
    with saga() as block:
        both(block)
        told = recv("go")
        do("late")
    sleep(1000)
    return told


def test_a_suspension_is_no_failure() -> None:
    handle = waits.start()
    drain()
    assert handle.run.status == "WAITING"
    assert handle.run.saga == "open"
    send(handle.workflow_id, "on", "go")
    drain()
    assert handle.run.saga == "closed"  # a cancellation ends it at once from here on
    travel(1001)
    drain()
    assert handle.get_result() == "on"
    assert done() == ["pay", "ship", "late"]


def test_a_waiting_run_that_is_cancelled_is_undone_by_a_worker_and_does_nothing_new_before() -> None:
    handle = waits.start()
    drain()
    handle.cancel()
    assert (handle.run.status, handle.run.saga) == ("ENQUEUED", "cancelled")
    send(handle.workflow_id, "on", "go")  # what the body would have gone on with
    drain()
    assert done() == UNDONE
    assert handle.run.status == "CANCELLED"
    assert recorded(handle.workflow_id) == ["do", "do", "cancelled", "undo", "undo"]
    assert not Wait.objects.filter(run_id=handle.workflow_id).exists()
    with pytest.raises(AwaitedWorkflowCancelled):
        handle.get_result()


def test_cancelling_it_again_changes_nothing() -> None:
    handle = waits.start()
    drain()
    for _ in range(2):
        handle.cancel()
        before = WorkflowRun.objects.filter(pk=handle.workflow_id).values().get()
        handle.cancel()
        assert WorkflowRun.objects.filter(pk=handle.workflow_id).values().get() == before
        drain()
    assert done() == UNDONE


@pytest.mark.parametrize("kept", [2, 3, 4, 5])
def test_a_cancelled_run_is_replayed_between_any_two_undo_steps(kept: int) -> None:
    """As if its worker had died: its row says that it is being undone, and its history how far that has come."""
    handle = waits.start()
    drain()
    handle.cancel()
    drain()
    StepRun.objects.filter(run_id=handle.workflow_id, position__gt=kept).delete()
    forget_after(kept)
    lose(handle.workflow_id)
    assert handle.run.saga == "cancelled"
    drain()
    assert done() == UNDONE
    assert handle.run.status == "CANCELLED"


@step(atomic=False)
def cancel_now(run_id: str) -> None:
    """What somebody else does meanwhile."""
    cancel_workflow(run_id)


@workflow
def cancelled_while_running(swallow: bool) -> str:
    now = current()
    assert now is not None
    with saga() as block:
        both(block)
        try:
            cancel_now(now.workflow_id)
        except BaseException:
            if not swallow:
                raise
        try:
            do("never")
        finally:
            pass
    do("nor this")
    return "done"


@pytest.mark.parametrize("swallow", [True, False])
def test_a_running_run_that_is_cancelled_is_undone_at_once_whatever_the_body_makes_of_it(swallow: bool) -> None:
    handle = cancelled_while_running.start(swallow)
    assert drain() == 1
    assert done() == UNDONE
    assert handle.run.status == "CANCELLED"
    assert handle.run.lease_token is None


def test_a_direct_call_that_is_cancelled_is_undone_and_says_so() -> None:
    with pytest.raises(AwaitedWorkflowCancelled):
        cancelled_while_running(False)
    assert done() == UNDONE


@workflow
def cancelled_while_it_undoes() -> None:
    now = current()
    assert now is not None
    with saga() as block:
        block.undo(undo, do("pay"))
        block.undo(cancel_now, now.workflow_id)
        block.undo(undo, do("ship"))
        refuse()


def test_a_run_that_is_cancelled_while_it_undoes_a_failure_goes_on_with_that() -> None:
    handle = cancelled_while_it_undoes.start()
    drain()
    assert done() == ["pay", "ship", "undo ship", "undo pay"]
    assert handle.run.status == "CANCELLED"


@workflow
def cancelled_in_a_pause() -> None:
    with saga() as block:
        block.undo(undo, do("pay"))
        block.undo(undo_at_last, do("ship"))
        recv("never")


def test_an_undo_step_of_a_cancelled_run_may_wait_for_its_next_attempt() -> None:
    handle = cancelled_in_a_pause.start()
    drain()
    handle.cancel()
    drain()
    assert (handle.run.status, handle.run.saga) == ("WAITING", "cancelled")
    handle.cancel()
    assert handle.run.status == "WAITING"
    for _ in range(3):
        travel(200)
        drain()
    assert done() == ["pay", "ship", "undo ship", "undo pay"]
    assert handle.run.status == "CANCELLED"


def test_an_overdue_run_is_undone_and_has_no_deadline_any_more() -> None:
    with SetWorkflowTimeout(60):
        handle = waits.start()
    drain()
    travel(61)
    drain()
    assert done() == UNDONE
    run = handle.run
    assert (run.status, run.note, run.deadline) == ("CANCELLED", "Its deadline passed.", None)
    assert drain() == 0


@workflow
def parent(child: bool) -> str:
    with saga() as block:
        block.undo(undo, do("order"))
        try:
            waits() if child else fails("step")
        except (Refused, AwaitedWorkflowCancelled) as error:
            return type(error).__name__
    return "done"


def test_a_called_child_undoes_its_own() -> None:
    handle = parent.start(False)
    drain()
    assert handle.get_result() == "Refused"
    assert done() == ["order", *UNDONE]


def test_a_called_child_that_is_cancelled_wakes_its_parent_once_it_is_undone() -> None:
    handle = parent.start(True)
    drain()
    [child] = WorkflowRun.objects.filter(parent=handle.workflow_id)
    cancel_workflow(child.pk)
    drain()
    assert handle.get_result() == "AwaitedWorkflowCancelled"
    assert done() == ["order", *UNDONE]


def test_a_family_that_is_cancelled_undoes_both() -> None:
    handle = parent.start(True)
    drain()
    cancel_workflow(handle.workflow_id, cancel_children=True)
    drain()
    assert sorted(done()) == sorted(["order", *UNDONE, "undo order"])
    assert set(WorkflowRun.objects.values_list("status", flat=True)) == {"CANCELLED"}


@workflow
def awaits(run_id: str) -> str:
    try:
        return str(get_result(run_id))
    except AwaitedWorkflowCancelled:
        return "cancelled"


def test_whoever_awaits_a_cancelled_run_is_woken_when_it_is_undone_and_not_before() -> None:
    handle = waits.start()
    waiter = awaits.start(handle.workflow_id)
    drain()
    handle.cancel()
    assert waiter.run.status == "WAITING"
    drain()
    assert waiter.get_result() == "cancelled"


def test_a_run_that_was_undone_is_not_resumed() -> None:
    handle = waits.start()
    drain()
    handle.cancel()
    resume_workflow(handle.workflow_id)
    assert handle.run.saga == "cancelled"  # and goes on undoing
    drain()
    resume_workflow(handle.workflow_id)
    drain()
    assert handle.run.status == "CANCELLED"
    assert done() == UNDONE


@workflow
def nothing_to_undo() -> str:
    with saga() as block:
        recv("go")
        block.undo(undo, do("pay"))
    return "done"


def test_a_run_that_was_cancelled_before_there_was_something_to_undo_can_be_resumed() -> None:
    handle = nothing_to_undo.start()
    drain()
    handle.cancel()
    drain()
    assert (handle.run.status, handle.run.saga) == ("CANCELLED", "closed")
    send(handle.workflow_id, None, "go")
    resume_workflow(handle.workflow_id)
    drain()
    assert handle.get_result() == "done"


@workflow
def registers(where: str) -> None:
    with saga() as block:
        both(block)
        if where == "no step":
            block.undo(len, "x")
        if where == "continue":
            continue_as_new(where)
    if where == "after":
        block.undo(undo, "late")


@pytest.mark.parametrize("where", ["no step", "continue"])
def test_what_a_saga_refuses_is_an_error_that_undoes_it(where: str) -> None:
    handle = registers.start(where)
    drain()
    with pytest.raises(InvalidUse):
        handle.get_result()
    assert done() == UNDONE


def test_nothing_is_registered_after_the_block() -> None:
    handle = registers.start("after")
    drain()
    with pytest.raises(InvalidUse, match="outside of its saga"):
        handle.get_result()


def test_nothing_is_registered_in_a_step() -> None:
    @workflow(name="tests.sagas.in_a_step")
    def in_a_step() -> None:
        with saga() as block:
            both(block)

            @step(name="tests.sagas.registering")
            def registering() -> None:
                block.undo(undo, "in a step")

            registering()

    handle = in_a_step.start()
    drain()
    with pytest.raises(InvalidUse, match="or in a step"):
        handle.get_result()
    assert done() == UNDONE


@step
def opens_one() -> None:
    with saga():
        pass


@workflow
def opens_one_in_a_step() -> None:
    opens_one()


def test_a_saga_belongs_in_a_body() -> None:
    with pytest.raises(NotInWorkflow):
        saga()
    handle = opens_one_in_a_step.start()
    drain()
    with pytest.raises(NotInWorkflow, match="inside the step"):
        handle.get_result()


def test_a_run_without_a_saga_pays_nothing_and_one_with_a_saga_one_statement(statements: Any, settings: Settings) -> None:
    settings.DURABLE_WORKFLOWS |= {"PREPARED_STATEMENTS": False}  # which Django's cursors do not see
    statements(two_steps)  # the first one declares schedules, too
    plain, with_one = statements(two_steps), statements(two_steps_in_a_saga)
    assert not [sql for sql in plain if "SET saga" in sql]
    assert len([sql for sql in with_one if "SET saga" in sql]) == 1
    assert len(with_one) == len(plain) + 1


@workflow
def two_steps() -> None:
    do("one")
    do("two")


@workflow
def two_steps_in_a_saga() -> None:
    with saga() as block:
        block.undo(undo, do("one"))
        block.undo(undo, do("two"))


@pytest.fixture
def statements() -> Any:
    """The statements that the attempt of a workflow sends."""

    def of(target: Any) -> list[str]:
        sent: list[str] = []

        def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
            sent.append(sql)
            return execute(sql, params, many, context)

        target.start()
        with connection.execute_wrapper(note):
            drain()
        return sent

    return of


@workflow
def ends_with_a_saga(then: str) -> str:
    now = current()
    assert now is not None
    with saga() as block:
        both(block)
        block.undo(undo_at_last, do("tell"))
    cancel_from_another_thread(now.workflow_id)
    if then == "call":
        do("never")
    if then == "saga":
        with saga() as block:
            block.undo(undo, "never")
            do("never")
    if then == "raise":
        raise Refused("too late")
    if then == "continue":
        continue_as_new("")
    return "done"


def cancel_from_another_thread(run_id: str) -> None:
    """What somebody else does at this moment, past the execution that this thread is in."""
    Context().run(cancel_workflow, run_id)


@pytest.mark.parametrize("then", ["return", "call", "raise", "continue"])
def test_a_run_that_was_cancelled_when_nothing_came_after_its_saga_is_undone(then: str) -> None:
    """Its row says that the saga is open until something comes after it; a replay finds the same end of the block."""
    handle = ends_with_a_saga.start(then)
    drain()
    assert (handle.run.status, handle.run.saga) == ("WAITING", "cancelled")  # for the next attempt of an undo step
    for _ in range(3):
        travel(61)
        drain()
    assert done() == ["pay", "ship", "tell", "undo tell", "undo ship again", "undo pay"]
    assert handle.run.status == "CANCELLED"
    assert recorded(handle.workflow_id) == ["do", "do", "do", "cancelled", "undo_at_last", "undo", "undo"]
    lose(handle.workflow_id)
    drain()
    assert handle.run.status == "CANCELLED"
    assert len(done()) == 6


def test_it_is_not_undone_once_another_one_was_begun() -> None:
    handle = ends_with_a_saga.start("saga")
    drain()
    assert done() == ["pay", "ship", "tell", "undo never"]
    assert handle.run.status == "CANCELLED"


def test_a_direct_call_whose_outcome_is_refused_is_undone() -> None:
    with pytest.raises(AwaitedWorkflowCancelled):
        ends_with_a_quick_saga()
    assert done() == UNDONE


@workflow
def ends_with_a_quick_saga() -> str:
    now = current()
    assert now is not None
    with saga() as block:
        both(block)
    cancel_from_another_thread(now.workflow_id)
    return "done"


@step
def undoes_aloud(what: str) -> None:
    write_stream("undone", what)


@workflow
def waits_in_a_saga() -> None:
    with saga() as block:
        block.undo(undoes_aloud, "first")
        block.undo(undoes_aloud, "second")
        recv("never")


@pytest.mark.usefixtures("committing")
def test_an_undo_step_may_write_to_a_stream() -> None:
    handle = waits_in_a_saga.start()
    drain()
    handle.cancel()
    drain()
    assert handle.get_status().status == RunState.CANCELLED
    assert [*read_stream(handle.workflow_id, "undone")] == ["second", "first"]
