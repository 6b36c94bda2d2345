"""A run that begins anew under its own id: fresh history, the same inbox, and no growth."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db.models import QuerySet

from durable_workflows import (
    InvalidUse,
    NotInWorkflow,
    NotSerializable,
    SetWorkflowTimeout,
    cancel_workflow,
    continue_as_new,
    current,
    get_event,
    get_result,
    recv,
    saga,
    send,
    set_event,
    sleep,
    start_workflow,
    step,
    workflow,
)
from durable_workflows.models import Event, Message, StepAttempt, StepRun, Wait, WorkflowRun
from durable_workflows.testing import drain, lose, travel
from tests.app.models import Ledger

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("unparked")]


@step
def note(what: str) -> str:
    Ledger.objects.create(run_id="", step=what)
    return what


@step(max_attempts=2, interval_seconds=0.0)
def flaky(what: str) -> str:
    now = current()
    assert now is not None
    if now.attempt == 1:
        raise ConnectionError
    return note(what)


def noted() -> list[str]:
    return list(Ledger.objects.order_by("pk").values_list("step", flat=True))


def rows(run_id: str) -> dict[str, int]:
    """How many rows a run has in each table."""
    found: dict[str, int] = {}
    for model in (StepRun, StepAttempt, Wait, Event, Message):
        queryset: QuerySet[Any] = QuerySet(model)
        found[model.__name__] = queryset.filter(run_id=run_id).count()
    return found


@workflow
def counts(upto: int, at: int = 0, *, how: str = "plain") -> str:
    note(f"{how} {at}")
    if how == "sleeps":
        sleep(60)
    if how == "hears":
        note(recv("next"))
    if how == "all":
        flaky("twice")
        set_event("at", at)
        recv("nothing", timeout_seconds=0)
    if at < upto:
        continue_as_new(upto, at + 1, how=how)
    return f"came to {at}"


def test_it_begins_anew_with_the_new_arguments_under_the_same_id() -> None:
    handle = counts.start(3)
    assert drain() == 1  # in the same thread, since nothing has to be waited for
    assert handle.get_result() == "came to 3"
    assert noted() == ["plain 0", "plain 1", "plain 2", "plain 3"]
    assert handle.run.generation == 3
    assert list(StepRun.objects.values_list("generation", "position")) == [(3, 1)]
    lose(handle.workflow_id)
    drain()
    assert handle.get_result() == "came to 3"
    assert len(noted()) == 4


def test_a_direct_call_goes_on_in_its_thread_and_returns_the_last_result() -> None:
    assert counts(3) == "came to 3"
    assert noted() == ["plain 0", "plain 1", "plain 2", "plain 3"]


@workflow
def calls(how: str) -> str:
    return counts(2, how=how)


@pytest.mark.parametrize("how", ["plain", "sleeps"])
def test_a_called_child_begins_anew_too(how: str) -> None:
    handle = calls.start(how)
    for _ in range(4):
        drain()
        travel(61)
    assert handle.get_result() == "came to 2"
    assert noted() == [f"{how} {at}" for at in range(3)]


def test_a_run_that_waits_in_each_turn_is_replayed_within_the_turn() -> None:
    handle = counts.start(2, how="sleeps")
    for _ in range(4):
        drain()
        lose(handle.workflow_id)
        drain()
        travel(61)
    drain()
    assert handle.get_result() == "came to 2"
    assert noted() == ["sleeps 0", "sleeps 1", "sleeps 2"]
    assert rows(handle.workflow_id)["Wait"] == 0


def test_unread_messages_stay_in_the_inbox() -> None:
    handle = counts.start(2, how="hears")
    for number in range(3):
        send(handle.workflow_id, f"heard {number}", "next", idempotency_key=f"key {number}")
    drain()
    assert handle.get_result() == "came to 2"
    assert noted() == ["hears 0", "heard 0", "hears 1", "heard 1", "hears 2", "heard 2"]


def test_a_message_that_was_received_in_a_former_turn_is_not_delivered_again() -> None:
    handle = counts.start(1, how="hears")
    drain()
    send(handle.workflow_id, "first", "next", idempotency_key="once")
    drain()
    send(handle.workflow_id, "first", "next", idempotency_key="once")
    drain()
    assert handle.run.status == "WAITING"
    send(handle.workflow_id, "second", "next")
    drain()
    assert noted() == ["hears 0", "first", "hears 1", "second"]


def test_the_latest_events_stay() -> None:
    handle = counts.start(2, how="all")
    drain()
    assert get_event(handle.workflow_id, "at") == 2


@pytest.mark.parametrize("turns", [10, 1000])
def test_the_tables_do_not_grow_with_the_turns(turns: int) -> None:
    handle = counts.start(turns, how="all" if turns == 10 else "plain")
    drain()
    assert handle.get_result() == f"came to {turns}"
    expected = {"StepRun": 4, "StepAttempt": 1, "Wait": 0, "Event": 2, "Message": 0}
    if turns == 1000:
        expected = {"StepRun": 1, "StepAttempt": 0, "Wait": 0, "Event": 0, "Message": 0}
    assert rows(handle.workflow_id) == expected


@workflow
def awaits(run_id: str) -> Any:
    return get_result(run_id)


def test_whoever_waits_gets_the_final_result() -> None:
    handle = counts.start(2, how="sleeps")
    waiter = awaits.start(handle.workflow_id)
    for _ in range(3):
        drain()
        assert waiter.run.status == "WAITING"
        travel(61)
    drain()
    assert waiter.get_result() == "came to 2"


def test_the_deadline_stays_where_the_first_turn_put_it() -> None:
    with SetWorkflowTimeout(100):
        handle = counts.start(5, how="sleeps")
    drain()
    first = handle.run.deadline
    assert first is not None
    travel(61)
    drain()
    assert handle.run.generation == 1
    assert handle.run.deadline == first - timedelta(seconds=61)
    travel(61)
    drain()
    assert handle.run.status == "CANCELLED"


@workflow
def forks(turn: int) -> list[str]:
    handle = start_workflow(counts, 0)
    handle.get_result()
    if turn < 2:
        continue_as_new(turn + 1)
    return sorted(WorkflowRun.objects.filter(parent__isnull=False).values_list("pk", flat=True))


def test_each_turn_has_children_of_its_own() -> None:
    handle = forks.start(0)
    drain()
    own = handle.workflow_id
    assert handle.get_result() == sorted([f"{own}-1", f"{own}-g1-1", f"{own}-g2-1"])


@workflow
def keys(turn: int) -> None:
    note(str(key()))
    if turn:
        continue_as_new(turn - 1)


@step
def key() -> str:
    now = current()
    assert now is not None
    return now.idempotency_key


def test_each_turn_has_idempotency_keys_of_its_own() -> None:
    keys.start(1)
    drain()
    assert len(set(noted())) == 2


@workflow
def swallows(at: int) -> str:
    try:
        if at == 0:
            continue_as_new(1)
    except BaseException:  # noqa: BLE001  # it tries to
        note("swallowed")
    finally:
        return f"turn {at}"  # noqa: B012  # a return that swallows it, too


def test_it_cannot_be_swallowed() -> None:
    handle = swallows.start(0)
    drain()
    assert handle.get_result() == "turn 1"
    assert noted() == []


@workflow
def with_a_saga(at: int) -> str:
    with saga() as block:
        note("pay")
        if at:
            block.undo(note, "unpay")
    if not at:
        continue_as_new(1)
    return "done"


def test_a_turn_may_end_after_a_saga() -> None:
    handle = with_a_saga.start(0)
    drain()
    assert handle.get_result() == "done"
    assert noted() == ["pay", "pay"]


@workflow
def cancelled_before_it_begins_anew() -> None:
    now = current()
    assert now is not None
    cancel_workflow(now.workflow_id)
    continue_as_new()


def test_a_cancelled_run_does_not_begin_anew() -> None:
    handle = cancelled_before_it_begins_anew.start()
    drain()
    assert (handle.run.status, handle.run.generation) == ("CANCELLED", 0)


@step
def begins_in_a_step() -> None:
    continue_as_new()


@workflow
def refused(how: str) -> None:
    if how == "step":
        begins_in_a_step()
    continue_as_new(object())


def test_where_and_with_what_it_cannot_begin_anew() -> None:
    with pytest.raises(NotInWorkflow):
        continue_as_new()
    handles = {how: refused.start(how) for how in ("step", "object")}
    drain()
    with pytest.raises(InvalidUse, match="inside the step"):
        handles["step"].get_result()
    with pytest.raises(NotSerializable):
        handles["object"].get_result()
