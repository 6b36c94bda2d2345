"""Runs are deleted, described anew, put off and erased: all of them or none, and never while they would need it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from durable_workflows import (
    ERASED,
    InvalidUse,
    NotSerializable,
    PayloadErased,
    Queue,
    SetEnqueueOptions,
    SetWorkflowAttributes,
    SetWorkflowID,
    SetWorkflowUser,
    WorkflowFailed,
    WorkflowNotFound,
    cancel_workflow,
    delete_workflow,
    delete_workflows,
    erase_payloads,
    erase_payloads_where,
    get_all_events,
    get_result,
    list_workflow_steps,
    list_workflows,
    pause_workflow,
    read_stream,
    recv,
    resume_workflow,
    send,
    set_delay,
    set_event,
    start_workflow,
    step,
    unpause_workflow,
    update_attributes,
    workflow,
    write_stream,
)
from durable_workflows.models import Event, Message, StepAttempt, StepRun, StreamEntry, WorkflowRun
from durable_workflows.serializers import is_erased
from durable_workflows.states import RunState
from durable_workflows.testing import drain, travel

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("unparked")]
S = RunState
DAY = 86400.0
SECRET = "ada@example.org"


class Refused(Exception):
    pass


@step(max_attempts=2, interval_seconds=0.0)
def refuses(who: str) -> None:
    raise Refused(f"no {who}")


@step
def echoes(who: str) -> str:
    return who


@workflow
def child(who: str) -> str:
    return echoes(who)


@workflow
def remembers(who: str) -> str:
    echoes(who)
    set_event("greeted", who)
    write_stream("words", who)
    result: str = get_result(start_workflow(child, who).workflow_id)
    recv("hello")
    return result


@workflow
def fails(who: str) -> None:
    refuses(who)


@workflow
def waits() -> Any:
    return recv()


def with_id(run_id: str, target: Any = child, *args: Any, **attributes: Any) -> str:
    with SetWorkflowID(run_id), SetWorkflowAttributes(attributes):
        start_workflow(target, *args)
    return run_id


def row(run_id: str) -> WorkflowRun:
    return WorkflowRun.objects.get(pk=run_id)


# -- deleting


def family() -> tuple[str, str]:
    parent = with_id("parent", remembers, "bob")
    send_when_there("parent")
    return parent, WorkflowRun.objects.get(parent=parent).pk


def send_when_there(run_id: str, what: str = "hello") -> None:
    send(run_id, what, topic="hello", idempotency_key=what)
    drain()


def test_a_finished_run_is_deleted_alone_or_with_its_children() -> None:
    parent, born = family()
    delete_workflow(parent)
    assert [run.pk for run in WorkflowRun.objects.all()] == [born]
    assert not Message.objects.exists()
    assert set(StepRun.objects.values_list("run_id", flat=True)) == {born}
    delete_workflow(born)
    parent, born = family()
    delete_workflow(parent, delete_children=True)
    assert not any(model._default_manager.exists() for model in (WorkflowRun, StepRun, Event, StreamEntry, Message))


def test_nothing_is_deleted_when_one_cannot_be() -> None:
    parent, born = family()
    with_id("open", waits)
    WorkflowRun.objects.filter(pk="open").update(parent=born)
    drain()
    for refused in (lambda: delete_workflow(parent, delete_children=True), lambda: delete_workflows([parent, "open"])):
        with pytest.raises(InvalidUse, match="Run 'open' is WAITING and cannot be deleted"):
            refused()
    with pytest.raises(WorkflowNotFound):
        delete_workflows([parent, "nobody"])
    assert WorkflowRun.objects.count() == 3
    delete_workflows([])
    with pytest.raises(InvalidUse):
        delete_workflows("parent")
    cancel_workflow("open")
    delete_workflows([parent, parent], delete_children=True)
    assert not WorkflowRun.objects.exists()


# -- attributes and delays


def test_attributes_are_replaced_merged_and_removed_in_any_state() -> None:
    run_id = with_id("run", child, "x", a=1, b={"c": 2})
    update_attributes(run_id, {"b": {"d": 3}, "e": None}, merge=True)
    assert row(run_id).attributes == {"a": 1, "b": {"d": 3}, "e": None}
    drain()
    update_attributes(run_id, {"f": [1]})
    assert [status.attributes for status in list_workflows(attributes={"f": [1]})] == [{"f": [1]}]
    update_attributes(run_id, None, merge=True)
    assert row(run_id).attributes == {"f": [1]}
    update_attributes(run_id, None)
    assert row(run_id).attributes is None
    for bad in (["a"], {1: 2}, "x"):
        with pytest.raises(InvalidUse):
            update_attributes(run_id, bad)  # type: ignore[arg-type]
    for unstorable in ({"a": object()}, {"a": float("inf")}, {"a": "\0"}):
        with pytest.raises(NotSerializable):
            update_attributes(run_id, unstorable)
    with pytest.raises(WorkflowNotFound):
        update_attributes("nobody", {})


def test_a_start_is_put_off_and_brought_forward_until_it_has_begun() -> None:
    queue = Queue("letters")
    with SetEnqueueOptions(delay=10 * DAY):
        delayed = queue.enqueue(child, "delayed").workflow_id
    queued = queue.enqueue(child, "queued").workflow_id
    set_delay(queued, 5 * DAY)
    set_delay(delayed, timezone.now() + timedelta(days=20))
    drain()
    assert (row(queued).status, row(delayed).status) == (S.DELAYED, S.DELAYED)
    travel(6 * DAY)
    drain()
    assert (row(queued).status, row(delayed).status) == (S.SUCCESS, S.DELAYED)
    travel(5 * DAY)
    drain()
    assert row(delayed).status == S.DELAYED, "its first moment does not hold any more"
    pause_workflow(delayed)
    set_delay(delayed, 1)
    assert row(delayed).status == S.PAUSED
    unpause_workflow(delayed)
    set_delay(delayed, 0)
    assert row(delayed).status == S.ENQUEUED
    drain()
    waiting = with_id("waiting", waits)
    drain()
    for run_id, why in ((delayed, "is SUCCESS and has begun"), (waiting, "is WAITING and has begun")):
        with pytest.raises(InvalidUse, match=why):
            set_delay(run_id, 5)
    cancel_workflow(waiting)
    with pytest.raises(WorkflowNotFound):
        set_delay("nobody", 5)
    for bad in (-1, float("nan"), True, "5", None, timezone.now().replace(tzinfo=None)):
        with pytest.raises(InvalidUse):
            set_delay(queued, bad)  # type: ignore[arg-type]


# -- erasing


def everything_stored() -> str:
    """All that the tables hold, as one text."""
    models = (WorkflowRun, StepRun, StepAttempt, Message, Event, StreamEntry)
    return repr([list(model._default_manager.values()) for model in models])


def test_what_a_person_left_is_gone_and_the_skeleton_stays() -> None:
    with SetWorkflowUser(SECRET):
        with_id("good", remembers, SECRET, email=SECRET)
        with_id("bad", fails, SECRET, email=SECRET)
    send_when_there("good", f"hello {SECRET}")
    child_id = WorkflowRun.objects.get(parent="good").pk
    WorkflowRun.objects.filter(pk="good").update(note=SECRET, progress_text=SECRET, partition_key=SECRET)
    before = {run.pk: run for run in WorkflowRun.objects.all()}
    steps = list(StepRun.objects.order_by("pk").values("name", "position", "started_at", "completed_at", "child_id"))
    assert everything_stored().count(SECRET) > 15
    assert erase_payloads(["good", "bad"]) == ["bad", *sorted(["good", child_id])]
    assert SECRET not in everything_stored()
    for run_id, old in before.items():
        new = row(run_id)
        for kept in ("name", "status", "queue", "created_at", "started_at", "completed_at", "parent_id", "attempt"):
            assert getattr(new, kept) == getattr(old, kept), kept
    assert list(StepRun.objects.order_by("pk").values(*steps[0])) == steps
    # Readers are told, and no list, status or page fails over it.
    for status in list_workflows(workflow_ids=["good", child_id]):
        assert (status.input, status.output, status.error, status.user, status.attributes) == (ERASED, ERASED, None, None, {})
    [bad] = list_workflows(workflow_ids="bad")
    assert bad.error.endswith("StepRetriesExceeded: (erased)")
    first = list_workflow_steps("good")[0]
    assert (first.output, first.error) == (ERASED, None)
    assert list_workflow_steps("bad")[0].error.endswith("StepRetriesExceeded: (erased)")
    assert "Refused" in StepAttempt.objects.filter(run_id="bad").first().error  # type: ignore[union-attr]
    with pytest.raises(PayloadErased, match="was erased"):
        get_result("good", timeout=1)
    with pytest.raises(WorkflowFailed, match=r"StepRetriesExceeded: \(erased\)"):
        get_result("bad", timeout=1)
    with pytest.raises(PayloadErased):
        get_all_events("good")
    with pytest.raises(PayloadErased):
        list(read_stream("good", "words"))
    assert erase_payloads("good") == sorted(["good", child_id]), "again is nothing new"


def test_a_value_of_a_user_is_never_taken_for_the_mark() -> None:
    run_id = with_id("run", echoes, "x")
    drain()
    for value in ({"$": "erased"}, "erased", '{"$":"erased"}', ERASED):
        handle = start_workflow(returns, value)
        drain()
        assert handle.get_result(timeout=1) == value
        assert not is_erased(handle.run.output)
    erase_payloads(run_id)
    assert is_erased(row(run_id).inputs)


@workflow
def returns(value: Any) -> Any:
    return value


def test_only_the_finished_are_erased_and_none_if_one_is_not() -> None:
    with_id("done", child, SECRET)
    with_id("open", waits)
    drain()
    WorkflowRun.objects.filter(pk="open").update(parent="done")
    with pytest.raises(InvalidUse, match="'open' is WAITING and cannot be erased"):
        erase_payloads("done")
    with pytest.raises(WorkflowNotFound):
        erase_payloads(["done", "nobody"])
    assert SECRET in everything_stored()
    assert erase_payloads("done", erase_children=False) == ["done"]
    assert erase_payloads([]) == []
    cancel_workflow("open")
    erase_payloads("open")
    resume_workflow("open")
    drain()
    assert (row("open").status, row("open").stranded) == (S.ENQUEUED, "payload")
    assert "was erased" in (row("open").note or "")
    cancel_workflow("open")


def test_a_person_is_found_by_attribute_or_user() -> None:
    for number, mail in enumerate([SECRET, SECRET, "bob@example.org", SECRET]):
        with SetWorkflowUser("ada" if number != 3 else "Ada"):
            with_id(f"run-{number}", child, mail, customer={"mail": mail, "number": number})
    drain()
    WorkflowRun.objects.filter(pk="run-2").update(forked_from="run-0")
    assert erase_payloads_where(attributes={"customer": {"mail": SECRET}}, user="Ada") == ["run-3"]
    for nobody in ({}, {"attributes": {}}, {"user": None}):
        with pytest.raises(InvalidUse, match="not told of whom"):
            erase_payloads_where(**nobody)  # type: ignore[arg-type]
    assert erase_payloads_where(user="nobody") == []
    found = erase_payloads_where(attributes={"customer": {"mail": SECRET}})
    assert found == ["run-0", "run-1", "run-2"], "forks hold copies"
    assert [is_erased(row(f"run-{number}").inputs) for number in range(4)] == [True] * 4


# -- in a workflow


@workflow
def cleans_up(done: str, waiting: str) -> list[str]:
    update_attributes(done, {"old": True}, merge=True)
    pause_workflow(waiting)
    unpause_workflow(waiting)
    erased = erase_payloads_where(attributes={"old": True})
    erase_payloads(done)
    try:
        set_delay(done, 5)
    except InvalidUse as error:
        erased.append(type(error).__name__)
    recv()
    delete_workflow(done)
    return erased


def test_each_is_one_recorded_step_and_is_not_done_again_by_a_replay() -> None:
    done, waiting = with_id("done", child, "x"), with_id("waiting", waits)
    drain()
    handle = cleans_up.start(done, waiting)
    drain()
    update_attributes(done, {"new": True})
    send(handle.workflow_id, "go on")
    drain()
    assert handle.get_result(timeout=1) == ["done", "InvalidUse"]
    assert [info.name.removeprefix("durable.") for info in list_workflow_steps(handle.workflow_id)] == [
        "update_attributes", "pause_workflow", "unpause_workflow", "erase_payloads_where", "erase_payloads", "set_delay",
        "recv", "delete_workflow",
    ]  # fmt: skip
    assert not WorkflowRun.objects.filter(pk=done).exists()
    cancel_workflow(waiting)


@step
def does_all(done: str) -> int:
    update_attributes(done, {"seen": 1})
    count = len(list_workflows(attributes={"seen": 1}))
    delete_workflow(done)
    return count


@workflow
def in_a_step(done: str) -> int:
    return does_all(done)


def test_in_a_step_they_are_part_of_it() -> None:
    with_id("done", child, "x")
    drain()
    handle = in_a_step.start("done")
    drain()
    assert handle.get_result(timeout=1) == 1
    assert len(list_workflow_steps(handle.workflow_id)) == 1
