"""The first of several: a message, an event, or the end of a run."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import transaction

import durable_workflows as durable
from durable_workflows import InvalidUse, NotInWorkflow, Selected, WorkflowHandle, WorkflowNotFound
from durable_workflows.models import Message, StepRun, Wait
from durable_workflows.testing import drain, lose, travel
from tests.behaviour import talking

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def publisher() -> str:
    handle = talking.publishes.start()
    drain()
    return handle.workflow_id


class TestInAWorkflow:
    def test_a_message_wakes_it_and_is_taken(self, publisher: str) -> None:
        handle = talking.chooses.start(["a", None], [(publisher, "later")], [publisher])
        drain()
        assert handle.run.status == "WAITING"
        assert sorted(Wait.objects.filter(run_id=handle.workflow_id).values_list("kind", "key")) == [
            ("first", ""), ("get_event", "later"), ("recv", ""), ("recv", "a"),
        ]  # fmt: skip
        durable.send(handle.workflow_id, {"paid": 5})
        drain()
        assert handle.get_result(timeout=1) == [["message", None, {"paid": 5}]]
        assert not Message.objects.filter(consumed_at=None).exists()
        assert not Wait.objects.filter(run_id=handle.workflow_id).exists()
        [step] = StepRun.objects.filter(run_id=handle.workflow_id)
        assert (step.name, step.kind) == ("durable.select", "select")

    def test_each_message_is_given_once_in_order(self) -> None:
        handle = talking.chooses.start(["a", "b"], [], [], None, 3)
        durable.send_many([(handle.workflow_id, 1, "b"), (handle.workflow_id, 2, "a"), (handle.workflow_id, 3, "b")])
        drain()
        assert handle.get_result(timeout=1) == [["message", "a", 2], ["message", "b", 1], ["message", "b", 3]]
        lose(handle.workflow_id)
        drain()
        assert handle.get_result(timeout=1) == [["message", "a", 2], ["message", "b", 1], ["message", "b", 3]]

    def test_an_event_wakes_it_also_of_a_run_that_comes_later(self) -> None:
        handle = talking.chooses.start(["a"], [("later", "none"), ("later", "state")], [])
        drain()
        with durable.SetWorkflowID("later"):
            talking.publishes.start()
        drain()
        assert handle.get_result(timeout=1) == [["event", ("later", "state"), "begun"]]

    @pytest.mark.parametrize("ends", [talking.returns, talking.raises])
    def test_the_end_of_a_run_wakes_it_and_its_result_is_still_to_be_taken(self, ends: Any) -> None:
        other, ending = talking.hears.start(1), talking.hears.start(1)
        handle = talking.chooses.start(["a"], [], [other.workflow_id, ending.workflow_id])
        drain()
        durable.send(ending.workflow_id, "end")
        drain()
        assert handle.get_result(timeout=1) == [["handle", ending.workflow_id, ending.workflow_id]]
        done = ends.start(*([5] if ends is talking.returns else []))
        drain()
        assert durable.select(handles=[other, done]) == Selected("handle", done.workflow_id, done)

    def test_a_cancelled_run_is_one_that_ended(self) -> None:
        ending = talking.hears.start(1)
        handle = talking.chooses.start(["a"], [], [ending.workflow_id])
        drain()
        ending.cancel()
        drain()
        assert handle.get_result(timeout=1) == [["handle", ending.workflow_id, ending.workflow_id]]

    def test_if_several_are_there_they_go_by_kind_then_by_what_was_named_first(self, publisher: str) -> None:
        done = talking.returns.start(1)
        drain()
        handle = talking.chooses.start(["b", "a"], [(publisher, "state"), (publisher, "count")], [done.workflow_id], None, 4)
        durable.send_many([(handle.workflow_id, "for a", "a"), (handle.workflow_id, "for b", "b")])
        drain()
        assert handle.get_result(timeout=1) == [
            ["message", "b", "for b"],
            ["message", "a", "for a"],
            ["event", (publisher, "state"), "begun"],
            ["event", (publisher, "state"), "begun"],
        ]

    def test_after_its_time_it_is_none_and_stays_so(self) -> None:
        handle = talking.chooses.start(["a"], [("nobody", "key")], [], 3600, 2)
        drain()
        travel(hours=2)
        drain()
        assert handle.run.status == "WAITING"
        durable.send(handle.workflow_id, "late", "a")
        drain()
        assert handle.get_result(timeout=1) == [None, ["message", "a", "late"]]

    @pytest.mark.parametrize("topic", [None, "a"])
    def test_one_topic_needs_no_list_and_no_time_only_looks(self, topic: str | None) -> None:
        nothing, something = talking.chooses_one.start(topic), talking.chooses_one.start(topic)
        durable.send(something.workflow_id, "here", topic)
        drain()
        assert nothing.get_result(timeout=1) == "nothing"
        assert something.get_result(timeout=1) == "here"

    def test_a_message_none_is_a_message(self) -> None:
        handle = talking.chooses.start(["a"], [], [])
        durable.send(handle.workflow_id, None, "a")
        drain()
        assert handle.get_result(timeout=1) == [["message", "a", None]]

    def test_the_same_named_twice_is_waited_for_once(self, publisher: str) -> None:
        handle = talking.chooses.start(["a", "a"], [(publisher, "x")] * 2, [publisher] * 2)
        drain()
        assert Wait.objects.filter(run_id=handle.workflow_id).count() == 3
        durable.send(handle.workflow_id, 1, "a")
        drain()
        assert handle.get_result(timeout=1) == [["message", "a", 1]]


class TestElsewhere:
    def test_outside_events_and_runs_can_be_waited_for(self, publisher: str) -> None:
        handle = talking.returns.start(5)
        drain()
        assert durable.select(events=[("nobody", "state"), (publisher, "state")]) == Selected(
            "event", (publisher, "state"), "begun"
        )
        came = durable.select(events=[("nobody", "state")], handles=[handle], timeout_seconds=1)
        assert came is not None
        assert came.value == handle
        assert came.value.get_result() == 5
        assert durable.select(events=[("nobody", "state")], timeout_seconds=0.01) is None

    def test_outside_nobody_has_messages(self) -> None:
        with pytest.raises(NotInWorkflow, match="select"):
            durable.select(recv="topic")

    def test_not_in_a_step(self) -> None:
        handle = talking.chooses_in_a_step.start()
        drain()
        with pytest.raises(NotInWorkflow, match="select"):
            handle.get_result(timeout=1)

    def test_not_waiting_in_a_transaction(self) -> None:
        with transaction.atomic():
            assert durable.select(events=[("nobody", "key")], timeout_seconds=0) is None
            with pytest.raises(InvalidUse, match="atomic"):
                durable.select(events=[("nobody", "key")])


class TestBadInput:
    def test_nothing_to_wait_for(self) -> None:
        with pytest.raises(InvalidUse, match="nothing to wait for"):
            durable.select(timeout_seconds=5)

    @pytest.mark.parametrize("event", ["key", ("run",), ("run", "key", 1), 5, ("", "key"), ("run", "x" * 256), ("run", 5)])
    def test_what_cannot_be_an_event(self, event: Any) -> None:
        with pytest.raises(InvalidUse):
            durable.select(events=[event])

    @pytest.mark.parametrize("topic", ["x" * 256, 5, ["a", "\0"]])
    def test_what_cannot_be_a_topic(self, topic: Any) -> None:
        with pytest.raises(InvalidUse, match="topic"):
            durable.select(recv=topic)

    def test_a_negative_timeout(self) -> None:
        with pytest.raises(InvalidUse, match="timeout"):
            durable.select(events=[("run", "key")], timeout_seconds=-1)
        handle = talking.chooses.start(["a"], [], [], -1)
        drain()
        with pytest.raises(InvalidUse, match="timeout"):
            handle.get_result(timeout=1)

    def test_a_run_that_does_not_exist(self) -> None:
        with pytest.raises(WorkflowNotFound, match="'nobody'"):
            durable.select(handles=[WorkflowHandle("nobody")])
        handle = talking.chooses.start(["a"], [], ["nobody"])
        drain()
        with pytest.raises(WorkflowNotFound, match="'nobody'"):
            handle.get_result(timeout=1)

    def test_a_run_cannot_wait_for_its_own_end(self) -> None:
        with durable.SetWorkflowID("itself"):
            handle = talking.chooses.start([], [], ["itself"])
        drain()
        with pytest.raises(InvalidUse, match="own end"):
            handle.get_result(timeout=1)
