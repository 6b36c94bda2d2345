"""What a step writes to a stream beside its transaction: at each isolation level, and when sessions break."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import pytest
from django.db import OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext

from durable_workflows import close_stream, get_result, read_stream, set_event, step, workflow, write_stream
from durable_workflows.ids import new_run_id
from durable_workflows.models import StepRun, Stream, StreamEntry, WorkflowRun, sessions, streaming, sweeps
from durable_workflows.models.checkpoints import Checkpoint
from durable_workflows.models.streaming import Entry
from durable_workflows.models.transactions import in_write_transaction, is_lock_error
from durable_workflows.states import RunState
from durable_workflows.testing import drain, durable_worker, lose
from durable_workflows.worker.local import LOCAL
from tests.app.models import Account, Ledger
from tests.engine.born import Unparked, execute, leased
from tests.engine.elsewhere import in_thread
from tests.engine.isolation import DATABASE, at_each_level
from tests.engine.test_lost_sessions import end_session

T = TypeVar("T")
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("committing", "unparked")]
beside = pytest.mark.skipif(DATABASE == "sqlite", reason="its one writer is the step's transaction")
CALLS: list[str] = []


@pytest.fixture(autouse=True)
def no_calls() -> None:
    CALLS.clear()


class Aside(Unparked):
    """As workers do it."""

    def __init__(self) -> None:
        super().__init__()
        self.alone: list[str] = []

    def record(self, checkpoint: Checkpoint) -> bool:
        self.alone.append(checkpoint.name)
        return super().record(checkpoint)

    def aside(self, work: Callable[[], T]) -> T:
        return LOCAL.aside.do(work)


def values(run_id: str) -> list[str]:
    entries = list(StreamEntry.objects.filter(run_id=run_id, key="out").order_by("offset"))
    assert [entry.offset for entry in entries] == list(range(len(entries)))
    return [entry.value or "closed" for entry in entries]


@step
def reads_and_pours() -> int:
    """Its transaction has a snapshot, at some levels, before anything is written beside it."""
    CALLS.append("body")
    count = Account.objects.count()
    Ledger.objects.create(run_id="1", step="before")
    set_event("state", "pouring")
    write_stream("out", 1)
    write_stream("out", 2)
    close_stream("out")
    return count


@workflow
def pours() -> int:
    return reads_and_pours()


@step
def touches_nothing() -> None:
    write_stream("out", 1)
    write_stream("out", 2)


@workflow
def pours_lightly() -> None:
    touches_nothing()


@at_each_level
def test_at_each_level_a_step_is_executed_once_and_closes_its_stream(level: str) -> None:
    run = leased(pours)
    execute(run, Aside())
    assert WorkflowRun.objects.get(pk=run.id).status == RunState.SUCCESS
    assert CALLS == ["body"]
    assert values(run.id) == ["1", "2", "closed"]
    assert Ledger.objects.count() == 1


@beside
@pytest.mark.skipif(DATABASE != "postgresql", reason="nothing tells elsewhere whether a transaction was touched")
def test_a_step_that_only_writes_to_a_stream_has_no_transaction() -> None:
    run, services = leased(pours_lightly), Aside()
    execute(run, services)
    assert values(run.id) == ["1", "2"]
    assert services.alone == [touches_nothing.durable.name], "its record is a statement by itself"


class Breaking(Unparked):
    """The first COMMIT beside a step's transaction gets no reply."""

    def __init__(self, carried_out: bool) -> None:
        super().__init__()
        self.carried_out = carried_out
        self.broken = 0

    def aside(self, work: Callable[[], T]) -> T:
        def on_a_connection_that_breaks() -> T:
            commit = connection._commit  # type: ignore[attr-defined] - where the driver's is called

            def loses_the_reply() -> None:
                connection._commit = commit  # type: ignore[attr-defined] - as above
                self.broken += 1
                if self.carried_out:
                    commit()
                end_session()
                commit()  # nobody answers

            if not self.broken:
                connection.ensure_connection()
                connection._commit = loses_the_reply  # type: ignore[attr-defined] - as above
            return work()

        return in_thread(on_a_connection_that_breaks)


@beside
@pytest.mark.parametrize("carried_out", [True, False], ids=["carried-out", "not-carried-out"])
def test_a_value_whose_commit_got_no_reply_is_there_once(carried_out: bool) -> None:
    run, services = leased(pours), Breaking(carried_out)
    execute(run, services)
    assert services.broken == 1
    assert WorkflowRun.objects.get(pk=run.id).status == RunState.SUCCESS
    assert values(run.id) == ["1", "2", "closed"]
    assert CALLS == ["body"]


@beside
def test_an_error_beside_it_is_the_steps() -> None:
    class Failing(Unparked):
        def aside(self, work: Callable[[], T]) -> T:
            raise LookupError("no thread is to be had")

    run = leased(pours)
    execute(run, Failing())
    assert WorkflowRun.objects.get(pk=run.id).status == RunState.ERROR
    assert not Ledger.objects.exists()
    assert not StreamEntry.objects.exists()


def test_a_step_that_is_a_whole_run_closes_its_stream_with_its_outcome() -> None:
    handle = reads_and_pours.start()
    reader = reads.start(handle.workflow_id)
    drain()
    assert handle.get_result(timeout=1) == 0
    assert values(handle.workflow_id) == ["1", "2", "closed"]
    assert reader.get_result(timeout=1) == [1, 2]


@workflow
def reads(run_id: str) -> list[Any]:
    return list(read_stream(run_id, "out"))


def test_a_direct_call_writes_to_its_streams() -> None:
    pours()
    run = WorkflowRun.objects.get()
    assert values(run.pk) == ["1", "2", "closed"]


def test_steps_of_several_runs_pour_at_once() -> None:
    with durable_worker(threads=6):
        handles = [pours.start() for _ in range(12)]
        for handle in handles:
            get_result(handle.workflow_id, timeout=60)
    for handle in handles:
        assert values(handle.workflow_id) == ["1", "2", "closed"]
    assert len(CALLS) >= 12


def test_values_are_read_in_batches() -> None:
    run = leased(writes_many)
    execute(run)
    with CaptureQueriesContext(connection) as sent:
        assert list(read_stream(run.id, "out")) == list(range(30))
    assert len(sent) <= 4
    reader = leased(reads, run.id)
    with CaptureQueriesContext(connection) as sent:
        execute(reader)
    looks = [query for query in sent.captured_queries if "streamentry" in query["sql"] and "SELECT" in query["sql"][:8]]
    assert len(looks) <= 5
    assert StepRun.objects.filter(run_id=reader.id).count() == 31


@workflow
def writes_many() -> None:
    for number in range(30):
        write_stream("out", number)


def test_a_run_is_deleted_with_its_streams() -> None:
    run = leased(pours)
    execute(run)
    WorkflowRun.objects.get(pk=run.id).delete()
    assert not StreamEntry.objects.exists()
    assert not Stream.objects.exists()


def test_the_sweep_wakes_nobody_whose_value_is_not_there() -> None:
    source = leased(writes_many)
    reader = leased(reads_from, source.id, 10)
    execute(reader)
    in_write_transaction(sweeps.wake_answered)
    assert WorkflowRun.objects.get(pk=reader.id).status == RunState.WAITING
    execute(source)
    assert WorkflowRun.objects.get(pk=reader.id).status == RunState.ENQUEUED


@workflow
def reads_from(run_id: str, offset: int) -> list[Any]:
    return list(read_stream(run_id, "out", offset))


@step(atomic=False)
def loses_its_run_and_pours(run_id: str) -> None:
    write_stream("out", 1)
    in_thread(lambda: lose(run_id))
    write_stream("out", 2)


@workflow
def pours_though_it_is_lost(run_id: str) -> None:
    loses_its_run_and_pours(run_id)


def test_a_loose_steps_values_are_fenced_too() -> None:
    run_id = new_run_id()
    execute(leased(pours_though_it_is_lost, run_id, id=run_id), Aside())
    assert values(run_id) == ["1"]
    assert WorkflowRun.objects.get(pk=run_id).status == RunState.ENQUEUED


@beside
def test_whoever_writes_beside_a_step_gives_up_on_a_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its caller holds a transaction; the step is repeated instead."""
    monkeypatch.setattr(streaming, "LOCK_SECONDS", 1)
    run = leased(pours)
    entry = Entry(run_id=run.id, generation=0, place=("", 1), key="out", value="1", token=run.token)
    in_write_transaction(streaming.append_beside, entry, run.token, False)

    def write() -> None:
        sessions.wait_no_longer(connection, 1)
        with pytest.raises(OperationalError) as raised, transaction.atomic():
            streaming.append_beside(connection, entry, run.token, False)
        assert is_lock_error(raised.value)

    with transaction.atomic():
        streaming.lock_streams(connection, [(run.id, "out")])
        in_thread(write)
    assert values(run.id) == ["1"]
