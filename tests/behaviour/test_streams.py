"""Streams: written once by a body, at once by a step, read to their end from everywhere."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import TestCase

import durable_workflows as durable
from durable_workflows import InvalidUse, NotInWorkflow, NotSerializable, StreamTimeout, WorkflowNotFound
from durable_workflows.engine import following
from durable_workflows.models import StepRun, StreamEntry, Wait, streaming
from durable_workflows.models.streaming import Entry
from durable_workflows.models.transactions import in_write_transaction
from durable_workflows.testing import drain, durable_worker, lose, travel
from durable_workflows.worker.local import LOCAL
from tests.behaviour import talking
from tests.engine.elsewhere import in_threads
from tests.engine.isolation import DATABASE

pytestmark = pytest.mark.django_db(transaction=True)


LATER = durable.Queue("tests-later")


@pytest.fixture(autouse=True)
def held() -> Iterator[dict[str, Callable[[], None]]]:
    talking.HELD.clear()
    yield talking.HELD
    talking.HELD.clear()


def entries(workflow_id: str) -> list[tuple[int, str | None]]:
    return list(StreamEntry.objects.filter(run_id=workflow_id).order_by("offset").values_list("offset", "value"))


def read_now(handle: durable.WorkflowHandle[Any], offset: int = 0) -> list[Any]:
    """What can be read at once, and "..." if more may come."""
    found = []
    try:
        for value in durable.read_stream(handle.workflow_id, "out", offset, timeout_seconds=0):
            found.append(value)  # noqa: PERF402  # what was read before the timeout counts
    except StreamTimeout:
        found.append("...")
    return found


class TestWriting:
    def test_a_body_writes_each_value_once_in_order(self) -> None:
        handle = talking.pours.start(["a", None, {"b": (1, 2)}])
        drain()
        assert read_now(handle) == ["a", None, {"b": (1, 2)}]
        lose(handle.workflow_id)
        drain()
        assert handle.get_result(timeout=1) == "poured"
        assert [offset for offset, _ in entries(handle.workflow_id)] == [0, 1, 2, 3]
        names = StepRun.objects.filter(run_id=handle.workflow_id).order_by("position").values_list("name", flat=True)
        assert list(names) == ["durable.write_stream"] * 3 + ["durable.close_stream"] * 2

    def test_a_stream_that_is_closed_takes_no_more(self) -> None:
        handle = talking.writes_after_close.start()
        drain()
        assert "'out' of run" in handle.get_result(timeout=1)
        assert "is closed" in handle.get_result(timeout=1)

    def test_a_steps_values_come_with_the_step_or_before_and_its_end_with_it(self) -> None:
        handle = talking.pours_in_a_step.start([1, 2])
        drain()
        assert read_now(handle) == [1, 2]
        assert StreamEntry.objects.filter(closes=True).count() == 1
        assert StepRun.objects.count() == 1

    def test_a_loose_steps_values_too(self) -> None:
        handle = talking.pours_in_a_loose_step.start([1, 2])
        drain()
        assert read_now(handle) == [1, 2]
        assert StreamEntry.objects.filter(closes=True).count() == 1

    @pytest.mark.skipif(DATABASE == "sqlite", reason="its one writer is the step's transaction")
    def test_a_steps_value_can_be_read_before_the_step_is_done(self, held: dict[str, Callable[[], None]]) -> None:
        seen: list[Any] = []

        def look() -> None:
            run_id = durable.current().workflow_id
            [now] = in_threads([lambda: read_now(durable.WorkflowHandle(run_id))])
            seen.append(now)

        held["pouring"] = look
        handle = talking.pours_in_a_step.start([1, 2])
        drain()
        assert handle.get_result(timeout=1) == "poured"
        assert seen == [[1, 2, "..."]]
        assert read_now(handle) == [1, 2]

    @pytest.mark.skipif(DATABASE == "sqlite", reason="its one writer is the step's transaction")
    def test_a_reader_whose_row_the_step_has_locked_is_woken_when_the_step_is_done(
        self, held: dict[str, Callable[[], None]]
    ) -> None:
        """The value must not wait for the step's own transaction, which waits for the value."""
        with durable.SetWorkflowID("pourer"):
            pourer = LATER.enqueue(talking.pours_after_all_else, "drinker")
        with durable.SetWorkflowID("drinker"):
            drinker = talking.drinks.start("pourer")
        drain(queues=["default"])
        statuses = [drinker.run.status]
        held["after"] = lambda: statuses.extend(in_threads([lambda: drinker.run.status]))
        drain()
        assert statuses == ["WAITING", "WAITING"]
        assert pourer.get_result(timeout=1) is None
        assert drinker.get_result(timeout=1) == ["value"]

    def test_values_of_an_attempt_that_failed_stay_and_are_told_apart(self) -> None:
        handle = talking.stutters.start()
        with durable_worker(threads=2):
            assert handle.get_result(timeout=30) == "poured"
        read = read_now(handle)
        assert read[-3:] == ["3.0", "3.1", "3.2"]
        attempts = StreamEntry.objects.filter(run_id=handle.workflow_id).order_by("offset").values_list("attempt", flat=True)
        if DATABASE == "sqlite":  # rolled back with the attempt
            assert list(attempts) == [3, 3, 3, 3]
        else:
            assert read == ["1.0", "2.0", "2.1", "3.0", "3.1", "3.2"]
            assert list(attempts) == [1, 2, 2, 3, 3, 3, 3]

    @pytest.mark.skipif(DATABASE == "sqlite", reason="the step's transaction has the file's lock")
    def test_an_attempt_that_has_lost_its_run_writes_nothing_more(self, held: dict[str, Callable[[], None]]) -> None:
        handle = talking.pours_held.start()

        def lost() -> None:
            held.clear()
            in_threads([lambda: lose(handle.workflow_id)])

        held["between"] = lost
        drain()
        assert handle.get_result(timeout=1) == "poured"
        assert [value for _, value in entries(handle.workflow_id)] == ['"first"', '"first"', '"second"']


class TestReading:
    def test_it_ends_with_the_run_after_all_values(self) -> None:
        handle = talking.pours.start([1, 2, 3], close=False)
        drain()
        assert list(durable.read_stream(handle.workflow_id, "out")) == [1, 2, 3]
        assert list(durable.read_stream(handle.workflow_id, "other")) == []

    def test_it_ends_when_a_run_is_cancelled(self) -> None:
        handle = talking.pours_slowly.start(5)
        durable.send(handle.workflow_id, None, "more")
        drain()
        assert read_now(handle) == [0, "..."]
        handle.cancel()
        assert read_now(handle) == [0]

    def test_from_an_offset_on_also_one_that_is_not_there_yet(self) -> None:
        handle = talking.pours.start([1, 2, 3])
        drain()
        assert [read_now(handle, offset) for offset in (0, 2, 3, 4, 100)] == [[1, 2, 3], [3], [], [], []]

    def test_more_than_one_query_reads(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(streaming, "BATCH", 4)
        values = list(range(10))
        handle = talking.pours.start(values)
        drain()
        assert read_now(handle) == values

    def test_a_timeout_is_for_each_value_and_says_where_to_go_on(self) -> None:
        handle = talking.pours_slowly.start(2)
        durable.send(handle.workflow_id, None, "more")
        drain()
        stream = durable.read_stream(handle.workflow_id, "out", timeout_seconds=0.01)
        assert next(stream) == 0
        with pytest.raises(StreamTimeout, match=r"offset=1") as raised:
            next(stream)
        late = raised.value
        assert (late.workflow_id, late.key, late.offset, late.timeout_seconds) == (handle.workflow_id, "out", 1, 0.01)
        assert isinstance(late, TimeoutError)

    def test_a_reader_in_another_thread_hears_of_each_value(self) -> None:
        with durable_worker(threads=2):
            handle = talking.pours_slowly.start(3)
            heard: list[Any] = []

            def listen() -> None:
                for value in durable.read_stream(handle.workflow_id, "out", timeout_seconds=30):
                    heard.append(value)
                    durable.send(handle.workflow_id, None, "more")

            durable.send(handle.workflow_id, None, "more")
            in_threads([listen])
        assert heard == [0, 1, 2]

    def test_waiting_inside_a_transaction_is_refused(self) -> None:
        handle = talking.pours_slowly.start(1)
        with transaction.atomic(), pytest.raises(InvalidUse, match="atomic"):
            next(durable.read_stream(handle.workflow_id, "out"))

    def test_a_reader_that_waits_long_holds_no_connection(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(following, "RELEASE_FROM", 0.0)
        handle = talking.pours_slowly.start(1)
        held: list[bool] = []
        monkeypatch.setattr(following.runtime.local(), "park", lambda keys, seconds: held.append(connection.connection is None))
        with pytest.raises(StreamTimeout):
            next(durable.read_stream(handle.workflow_id, "out", timeout_seconds=0.05))
        assert held
        assert all(held)

    def test_a_reader_in_a_workflow_records_each_value_and_the_end(self) -> None:
        writer = talking.pours_slowly.start(2)
        reader = talking.drinks.start(writer.workflow_id)
        for _ in range(2):
            drain()
            assert reader.run.status == "WAITING"
            assert Wait.objects.filter(run_id=reader.workflow_id, kind="stream").count() == 1
            durable.send(writer.workflow_id, None, "more")
        drain()
        assert reader.get_result(timeout=1) == [0, 1]
        steps = StepRun.objects.filter(run_id=reader.workflow_id).order_by("position")
        assert [(step.name, step.output) for step in steps] == [
            ("durable.read_stream", "0"), ("durable.read_stream", "1"), ("durable.read_stream", None),
        ]  # fmt: skip
        StreamEntry.objects.all().delete()
        lose(reader.workflow_id)
        drain()
        assert reader.get_result(timeout=1) == [0, 1]

    def test_a_reader_is_not_woken_for_values_before_its_own(self) -> None:
        writer = talking.pours_slowly.start(3)
        reader = talking.drinks.start(writer.workflow_id, 2)
        drain()
        durable.send_many([(writer.workflow_id, None, "more")] * 2)
        drain()
        assert (reader.run.status, reader.run.attempt) == ("WAITING", 1)
        durable.send(writer.workflow_id, None, "more")
        drain()
        assert reader.get_result(timeout=1) == [2]

    def test_a_timeout_in_a_workflow_is_recorded(self) -> None:
        writer = talking.pours_slowly.start(2)
        reader = talking.drinks_until_late.start(writer.workflow_id, 3600)
        durable.send(writer.workflow_id, None, "more")
        drain()
        travel(hours=2)
        drain()
        durable.send(writer.workflow_id, None, "more")
        durable.send(reader.workflow_id, None, "go on")
        drain()
        assert reader.get_result(timeout=1) == [0, "late", 1]

    def test_a_step_reads_what_is_there_and_waits_for_nothing(self) -> None:
        writer = talking.pours.start([1, 2])
        sipper, waiter = talking.sips.start(writer.workflow_id), talking.calls_waits_in_a_step.start(writer.workflow_id)
        drain()
        assert sipper.get_result(timeout=1) == [1, 2]
        with pytest.raises(NotInWorkflow, match="read_stream"):
            waiter.get_result(timeout=1)

    def test_an_iterator_of_a_body_is_for_the_body(self) -> None:
        writer = talking.pours.start([1])
        reader = talking.reads_elsewhere.start(writer.workflow_id)
        drain()
        with pytest.raises(InvalidUse, match="Read in the body"):
            reader.get_result(timeout=1)

    def test_a_run_cannot_wait_for_its_own_stream(self) -> None:
        with durable.SetWorkflowID("itself"):
            handle = talking.drinks.start("itself")
        drain()
        with pytest.raises(InvalidUse, match="would wait"):
            handle.get_result(timeout=1)


class TestConcurrentWriters:
    def test_offsets_are_dense_and_none_is_lost(self) -> None:
        """As when a step's attempts write at once, after a takeover that the first has not noticed."""
        handle = talking.pours_slowly.start(1)

        def write(name: str) -> None:
            for number in range(25):
                value = f'"{name}{number}"'
                entry = Entry(run_id=handle.workflow_id, generation=0, place=("", 1), key="out", value=value)
                in_write_transaction(streaming.append, entry)

        in_threads([lambda name=name: write(name) for name in "abcd"])  # type: ignore[misc] - a default binds it
        written = entries(handle.workflow_id)
        assert [offset for offset, _ in written] == list(range(100))
        for name in "abcd":
            own = [value for _, value in written if value and name in value]
            assert own == [f'"{name}{number}"' for number in range(25)]


class TestInATestCase(TestCase):
    def test_a_steps_values_join_its_transaction(self) -> None:
        handle = talking.pours_in_a_step.start([1, 2])
        reader = talking.drinks.start(handle.workflow_id)
        drain()
        assert list(durable.read_stream(handle.workflow_id, "out")) == [1, 2]
        assert reader.get_result(timeout=0) == [1, 2]


class TestBadInput:
    @pytest.mark.parametrize("pours", [talking.pours_unstorable, talking.pours_unstorable_in_a_step])
    def test_what_cannot_be_stored_is_not_written(self, pours: Any) -> None:
        handle = pours.start()
        drain()
        with pytest.raises(NotSerializable, match="value of stream 'out'"):
            handle.get_result(timeout=1)
        assert not StreamEntry.objects.exists()

    @pytest.mark.parametrize("offset", [-1, 1.5, "1", None, True, 10**400, 2**63])
    def test_what_cannot_be_an_offset(self, offset: Any) -> None:
        with pytest.raises(InvalidUse, match="offset"):
            durable.read_stream("run", "out", offset)

    @pytest.mark.parametrize("timeout", [-1, "5", 1e11])
    def test_what_cannot_be_a_timeout(self, timeout: Any) -> None:
        with pytest.raises(InvalidUse, match="timeout"):
            durable.read_stream("run", "out", timeout_seconds=timeout)

    @pytest.mark.parametrize("key", ["x" * 256, "a\0b", 5])
    def test_what_cannot_be_a_key(self, key: Any) -> None:
        for say in (
            lambda: durable.write_stream(key, 1),
            lambda: durable.close_stream(key),
            lambda: durable.read_stream("run", key),
        ):
            with pytest.raises(InvalidUse, match="key"):
                say()

    def test_a_run_that_does_not_exist(self) -> None:
        with pytest.raises(WorkflowNotFound, match="'nobody'"):
            next(durable.read_stream("nobody", "out"))
        reader = talking.drinks.start("nobody")
        drain()
        with pytest.raises(WorkflowNotFound, match="'nobody'"):
            reader.get_result(timeout=1)

    def test_outside_a_workflow_nothing_is_written(self) -> None:
        for say in (lambda: durable.write_stream("out", 1), lambda: durable.close_stream("out")):
            with pytest.raises(NotInWorkflow):
                say()


@pytest.mark.skipif(DATABASE == "sqlite", reason="nothing is written beside")
def test_the_threads_that_write_beside_steps_end_with_what_they_were_for(held: dict[str, Callable[[], None]]) -> None:
    def named() -> list[str]:
        return [thread.name for thread in threading.enumerate() if thread.name == "durable-aside"]

    seen: list[list[str]] = []
    held["pouring"] = lambda: seen.append(named())
    for _ in range(2):
        handle = talking.pours_in_a_step.start([1])
        drain()
        assert read_now(handle) == [1]
    assert seen == [["durable-aside"]] * 2
    assert named() == []


def test_work_beside_is_done_by_few_threads_also_while_they_are_told_to_end() -> None:
    aside, done = LOCAL.aside, []
    works = [lambda number=number: aside.do(lambda: done.append(number)) for number in range(40)]  # type: ignore[misc] - bound
    in_threads([*works, *[aside.close] * 8])  # type: ignore[list-item] - both take nothing
    assert sorted(done) == list(range(40))
    aside.close()
    with pytest.raises(LookupError):
        aside.do(lambda: {}["missing"])
    aside.close()
