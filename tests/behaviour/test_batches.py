"""Several messages at once, all or none; all events at once; and what tells a message from none."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import transaction
from django.test import TestCase

import durable_workflows as durable
from durable_workflows import InvalidUse, NotSerializable, SendMessage, WorkflowNotFound
from durable_workflows.models import Event, Message, StepRun
from durable_workflows.testing import drain, durable_worker, lose, travel
from tests.app.models import Ledger
from tests.behaviour import talking

pytestmark = pytest.mark.django_db(transaction=True)


def topics_and_payloads(workflow_id: str) -> list[tuple[str, str]]:
    return list(Message.objects.filter(run_id=workflow_id).order_by("id").values_list("topic", "payload"))


class TestBatches:
    def test_each_arrives_in_the_order_given(self) -> None:
        first, second = talking.hears.start(3), talking.hears.start(1, "b")
        drain()
        durable.send_many(
            [(first.workflow_id, 1), SendMessage(second.workflow_id, "b", topic="b"), (first.workflow_id, 2),
             (first.workflow_id, 3, None, "key")]
        )  # fmt: skip
        drain()
        assert first.get_result(timeout=1) == [1, 2, 3]
        assert second.get_result(timeout=1) == ["b"]

    def test_more_than_one_statement_holds_keep_their_order(self) -> None:
        handle = talking.hears.start(1200)
        durable.send_many([(handle.workflow_id, number) for number in range(1200)])
        drain()
        assert handle.get_result(timeout=1) == list(range(1200))

    def test_a_run_that_does_not_exist_keeps_all_of_them_back(self) -> None:
        handle = talking.hears.start(1)
        with pytest.raises(WorkflowNotFound, match="'nobody'"):
            durable.send_many([(handle.workflow_id, 1), ("nobody", 2)])
        with pytest.raises(NotSerializable, match="message to"):
            durable.send_many([(handle.workflow_id, 1), (handle.workflow_id, object())])
        assert not Message.objects.exists()

    def test_a_key_that_was_used_leaves_out_its_message_alone(self) -> None:
        handle = talking.hears.start(3)
        durable.send(handle.workflow_id, "one", idempotency_key="1")
        durable.send_many([(handle.workflow_id, "one", None, "1"), (handle.workflow_id, "two", None, "2")])
        durable.send_many([(handle.workflow_id, "two", None, "2"), SendMessage(handle.workflow_id, "three")])
        drain()
        assert handle.get_result(timeout=1) == ["one", "two", "three"]
        assert Message.objects.count() == 3

    @pytest.mark.parametrize(
        ("batch", "why"),
        [
            ([("a", 1, None, "key"), ("b", 2, None, "key")], "'key' occurs twice"),
            ([("a",)], "tuples"),
            ([("a", 1, None, "key", "more")], "tuples"),
            (["ab"], "tuples"),
            ([{"workflow_id": "a"}], "tuples"),
            ([("", 1)], "empty"),
            ([("a", 1, "x" * 256)], "255"),
            ([("a", 1, None, 5)], "is a str"),
        ],
    )
    def test_what_cannot_be_a_batch(self, batch: list[Any], why: str) -> None:
        with pytest.raises(InvalidUse, match=why):
            durable.send_many(batch)

    def test_no_messages_are_no_message_and_no_step(self) -> None:
        durable.send_many([])
        heard = talking.hears.start(3)
        sent = talking.sends_to_one.start(heard.workflow_id, [1, 2, 3])
        drain()
        assert heard.get_result(timeout=1) == [1, 2, 3]
        assert [step.name for step in StepRun.objects.filter(run_id=sent.workflow_id)] == ["durable.send_many"]

    def test_in_a_workflow_it_is_one_step_that_a_replay_does_not_repeat(self) -> None:
        heard = talking.hears.start(2)
        sent = talking.sends_to_one.start(heard.workflow_id, [1, 2])
        drain()
        lose(sent.workflow_id)
        drain()
        assert sent.get_result(timeout=1) == "sent"
        assert [payload for _, payload in topics_and_payloads(heard.workflow_id)] == ["1", "2"]

    def test_in_a_workflow_an_unknown_run_is_recorded_and_nothing_is_sent(self) -> None:
        heard = talking.hears.start(1)
        sent = talking.sends_batch.start([(heard.workflow_id, 1), ("nobody", 2)])
        drain()
        for _ in range(2):
            with pytest.raises(WorkflowNotFound, match="'nobody'"):
                sent.get_result(timeout=1)
            lose(sent.workflow_id)
            drain()
        assert not Message.objects.exists()

    @pytest.mark.parametrize("fail", [False, True])
    def test_in_a_step_it_is_part_of_the_step(self, fail: bool) -> None:
        handles = [talking.hears.start(1) for _ in range(2)]
        ids = [handle.workflow_id for handle in handles]
        talking.sends_batch_in_a_step.start(ids, fail)
        drain()
        assert Message.objects.count() == (0 if fail else 2)
        if not fail:
            assert [handle.get_result(timeout=1) for handle in handles] == [[f"to {run_id}"] for run_id in ids]

    def test_a_rollback_of_the_callers_takes_all_of_them(self) -> None:
        handle = talking.hears.start(1)
        drain()
        with transaction.atomic():
            durable.send_many([(handle.workflow_id, 1), (handle.workflow_id, 2, "other", "key")])
            transaction.set_rollback(True)
        drain()
        assert not Message.objects.exists()
        assert handle.run.status == "WAITING"


class TestInATestCase(TestCase):
    def test_a_batch_in_a_test_cases_own_transaction(self) -> None:
        handle = talking.hears.start(2)
        durable.send_many([(handle.workflow_id, 1, None, "a"), (handle.workflow_id, 2, None, "b")])
        drain()
        assert handle.get_result(timeout=0) == [1, 2]


class TestNone:
    def test_a_message_none_wakes_and_is_no_timeout(self) -> None:
        handle = talking.hears_or_misses.start(3600)
        drain()
        durable.send(handle.workflow_id, None, "topic")
        durable.send(handle.workflow_id, None, "go on")
        drain()
        assert handle.get_result(timeout=1) == "heard None"

    def test_a_sentinel_that_cannot_be_stored_is_the_same_one_in_each_replay(self) -> None:
        handle = talking.hears_or_misses.start(3600)
        drain()
        travel(hours=2)
        drain()
        durable.send(handle.workflow_id, "too late", "topic")
        durable.send(handle.workflow_id, None, "go on")
        drain()
        assert handle.get_result(timeout=1) == "nothing came"
        assert handle.run.attempt >= 3


class TestAllEvents:
    def test_the_latest_of_each_and_the_history_by_step(self) -> None:
        handle = talking.publishes.start()
        assert durable.get_all_events(handle.workflow_id) == {}
        drain()
        assert durable.get_all_events(handle.workflow_id) == {"count": 1, "state": "begun"}
        durable.send(handle.workflow_id, None, "go on")
        drain()
        assert durable.get_all_events(handle.workflow_id) == {"count": 1, "state": "done"}
        history = Event.objects.filter(run_id=handle.workflow_id, key="state").order_by("id")
        assert list(history.values_list("position", "value")) == [(1, '"begun"'), (4, '"done"')]
        assert durable.get_all_events("nobody") == {}

    def test_in_a_workflow_what_was_read_stays_so(self) -> None:
        published = talking.publishes.start()
        drain()
        reader = talking.reads_all.start(published.workflow_id)
        drain()
        durable.send(published.workflow_id, None, "go on")
        drain()
        durable.send(reader.workflow_id, None, "go on")
        drain()
        before, after = reader.get_result(timeout=1)
        assert before == {"count": 1, "state": "begun"}
        assert after == {"count": 1, "state": "done"}


class TestBadEvents:
    @pytest.mark.parametrize("in_a_step", [False, True])
    @pytest.mark.parametrize(
        ("key", "fit", "error", "why"),
        [
            ("state", False, NotSerializable, "event 'state'"),
            ("x" * 256, True, InvalidUse, "255"),
            ("a\0b", True, InvalidUse, "NUL"),
        ],
    )
    def test_what_cannot_be_published_leaves_nothing_behind(
        self, in_a_step: bool, key: str, fit: bool, error: type[Exception], why: str
    ) -> None:
        handle = talking.publishes_badly.start(key, fit, in_a_step)
        drain()
        with pytest.raises(error, match=why):
            handle.get_result(timeout=1)
        assert not Event.objects.exists()
        assert not Ledger.objects.exists()
        with durable_worker(threads=1):  # and the worker lives on
            assert talking.returns.start(5).get_result(timeout=20) == 5
